#!/usr/bin/python3
"""Sealed values of an inventory, opened when a host needs them: ours and Ansible's, and every way in
which they cannot be opened."""
import os
import subprocess

from muster_case import MUSTER, MusterCase, main
from terminal import Terminal

KEY = 'the-key-of-the-vault-5512'
SECRET = 'staple-battery-0417'
CONFIG = ['PasswordAuthentication yes', 'AuthorizedKeysFile none']


class Sealed(MusterCase):
    def setUp(self):
        super().setUp()
        self.f = self.fleet()
        self.hosts = self.f.sshd('web', 3, config=CONFIG, password=SECRET)
        self.f.sshd('free', 1)
        self.key = self.write('vault-key', KEY)

    def write(self, name, text, mode=0o600):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), 'w') as f:
            f.write(text)
        return path

    def seal(self, name, text):
        """A line of YAML and what belongs to it."""
        return subprocess.run([MUSTER, 'vault', 'encrypt', '--name', name, '--vault-key', self.key], input=text.encode(),
                              env=self.env, check=True, stdout=subprocess.PIPE).stdout.decode()

    def ansible_seal(self, name, text):
        env = {**self.env, 'ANSIBLE_LOCAL_TEMP': os.path.join(self.dir, 'tmp')}
        return subprocess.run(['/usr/bin/ansible-vault', 'encrypt_string', '--vault-password-file', self.key, '--name',
                               name, text], env=env, check=True, stdout=subprocess.PIPE).stdout.decode() + '\n'

    def inventory(self, *values):
        """The fleet's own, and a group_vars/web.yml of these values."""
        self.f.write()
        path = os.path.join(os.path.dirname(self.f.inventory), 'group_vars', 'web.yml')
        self.vars = self.write(path, ''.join(values))

    def run_web(self, *options, hosts='all', **more):
        argv = ['setsid', '-w', *self.argv(self.f, '-o', 'json', *options, hosts, '--', 'echo', 'hello')]
        r = self.execute(argv, **more)
        self.assertNotIn(SECRET, r.out + r.err)
        self.assertNotIn(KEY, r.out + r.err)
        return r

    def test_passwords(self):
        for seal in (self.seal, self.ansible_seal):
            self.inventory(seal('ansible_password', SECRET))
            r = self.run_web('--vault-key', self.key)
            self.assertEqual(set(r.statuses().values()), {'ok'}, r)
            self.assertNotIn('clear text', r.err)

    def test_other_variables(self):
        h = self.hosts[0]
        self.inventory('x: 1\n')
        with open(self.f.inventory) as f:
            text = f.read()
        indent = '          '
        entry = next(l for l in text.split('\n') if l.strip().startswith('web1:'))
        values = [('ansible_host', h.address), ('ansible_port', str(h.port)), ('ansible_user', self.f.user.pw_name),
                  ('muster_password', SECRET)]
        sealed = ''.join(self.seal(n, v) for n, v in values)
        with open(self.f.inventory, 'w') as f:
            f.write(text.replace(entry, '        web1:\n' + ''.join(indent + l + '\n' for l in sealed.strip().split('\n'))))
        r = self.run_web('--vault-key', self.key, hosts='web1')
        self.assertEqual(r.statuses(), {'web1': 'ok'}, r)
        # The inventory without its key: the place, not a wrong host.
        r = self.run_web(hosts='web1')
        self.assertEqual(r.facts(), {'web1': ('unreachable', 'resolve', 'bad-target')}, r)
        self.assertIn(f'{self.f.inventory}:', r.hosts()['web1']['detail'])

    def test_keys(self):
        self.inventory(self.seal('ansible_password', SECRET))
        r = self.run_web()
        self.assertEqual({n: f[2] for n, f in r.facts().items()},
                         {'web1': 'bad-target', 'web2': 'bad-target', 'web3': 'bad-target', 'free1': None}, r)
        self.assertIn(f'{self.vars}:1:', r.hosts()['web1']['detail'])
        self.assertIn('--vault-key FILE', r.hosts()['web1']['detail'])
        r = self.run_web(env={'ANSIBLE_VAULT_PASSWORD_FILE': self.key}, hosts='web1')
        self.assertIn('ANSIBLE_VAULT_PASSWORD_FILE is not read here', r.hosts()['web1']['detail'])
        r = self.run_web('--vault-key', self.write('other', 'not the key'), hosts='web1')
        self.assertIn('wrong key', r.hosts()['web1']['detail'])
        r = self.run_web('--vault-key', self.write('nobody', ''), hosts='web1')
        self.assertIn('it is empty', r.hosts()['web1']['detail'])
        self.assertEqual(self.run_web('--vault-key-command', f'cat {self.key}', hosts='web1').code, 0)
        os.mkdir(os.path.join(self.dir, 'creds'))
        self.write('creds/muster-vault', KEY)
        self.assertEqual(self.run_web(env={'CREDENTIALS_DIRECTORY': os.path.join(self.dir, 'creds')}, hosts='web1').code, 0)
        usual = self.write('config/muster/vault.key', KEY + '\n')
        r = self.run_web(hosts='web1')
        self.assertEqual(r.code, 0, r)
        os.chmod(usual, 0o644)
        self.assertIn('others may read this key', self.run_web(hosts='web1').hosts()['web1']['detail'])
        r = self.run_web('--ask-pass', hosts='free1')  # no terminal, and it is said
        self.assertIn('--ask-pass', r.err)

    def test_asked_only_when_needed(self):
        self.inventory(self.seal('ansible_password', SECRET))
        t = Terminal(self, self.argv(self.f, '-o', 'stream', 'free', '--', 'echo', 'hello'), self.env)
        self.assertEqual(t.end(), 0, t.said)
        self.assertNotIn(b'key', t.said)
        t = Terminal(self, self.argv(self.f, '-o', 'stream', 'all', '--', 'echo', 'hello'), self.env)
        t.answer(b'vault key: ', KEY)
        self.assertEqual(t.end(), 0, t.said)
        self.assertEqual(t.said.count(b'vault key'), 1, t.said)
        self.assertEqual(t.said.count(b'hello'), 4, t.said)
        self.assertNotIn(SECRET.encode(), t.said)

    def test_a_value_counts_only_under_its_name(self):
        self.inventory(self.seal('banner', SECRET).replace('banner:', 'ansible_password:'))
        r = self.run_web('--vault-key', self.key, hosts='web1')
        self.assertIn("sealed for the variable 'banner', not for 'ansible_password'", r.hosts()['web1']['detail'])
        self.inventory(self.seal('ansible_password', SECRET).replace('TVVT', 'TVVX'))
        r = self.run_web('--vault-key', self.key, hosts='web1')
        self.assertEqual(r.facts()['web1'][2], 'bad-target', r)

    def test_a_template_is_said_where_it_was_needed(self):
        self.inventory('ansible_password: "{{ vault_password }}"\n')
        r = self.run_web()
        self.assertEqual(r.statuses()['free1'], 'ok', r)
        self.assertIn('its password:', r.hosts()['web1']['detail'])
        self.assertIn('templates are not evaluated', r.hosts()['web1']['detail'])


if __name__ == '__main__':
    main()
