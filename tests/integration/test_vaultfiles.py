#!/usr/bin/python3
"""Files of variables that are sealed as a whole: opened when a host that they cover needs a variable,
with the place among the other files that they have by their name."""
import os
import subprocess

from muster_case import MUSTER, MusterCase, main
from terminal import Terminal

KEY = 'the-key-of-the-vault-5512'
SECRET = 'staple-battery-0417-and-some-more-so-that-it-has-to-grow'
WRONG = 'not-the-password-9921'
CONFIG = ['PasswordAuthentication yes', 'AuthorizedKeysFile none']


class VaultFiles(MusterCase):
    def setUp(self):
        super().setUp()
        self.f = self.fleet()
        self.hosts = self.f.sshd('web', 2, config=CONFIG, password=SECRET)
        self.f.sshd('free', 1)
        self.f.write()
        self.folder = os.path.dirname(self.f.inventory)
        self.key = self.write('vault-key', KEY)

    def write(self, name, text, mode=0o600):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), 'w') as f:
            f.write(text)
        return path

    def vars(self, name, text):
        return self.write(os.path.join(self.folder, name), text)

    def ours(self, path):
        subprocess.run([MUSTER, 'vault', 'encrypt', '--vault-key', self.key, path], env=self.env, check=True)

    def theirs(self, path):
        env = {**self.env, 'ANSIBLE_LOCAL_TEMP': os.path.join(self.dir, 'tmp')}
        subprocess.run(['/usr/bin/ansible-vault', 'encrypt', '--vault-password-file', self.key, path], env=env, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def sealed(self, name, text, seal=None):
        path = self.vars(name, text)
        (seal or self.theirs)(path)
        with open(path) as f:
            self.assertIn('_VAULT;', f.readline())
        return path

    def run_on_hosts(self, *options, hosts='web', **more):
        command = more.pop('command', ('echo', 'hello'))
        argv = ['setsid', '-w', *self.argv(self.f, '-o', 'json', *options, hosts, '--', *command)]
        r = self.execute(argv, **more)
        for secret in (SECRET, KEY):
            self.assertNotIn(secret, r.out + r.err)
        return r

    def all_ok(self, r, n=2):
        self.assertEqual((set(r.statuses().values()), len(r.statuses())), ({'ok'}, n), r)

    def bad(self, r, says):
        for name in ('web1', 'web2'):
            self.assertEqual(r.facts()[name], ('unreachable', 'resolve', 'bad-target'), r)
            self.assertIn(says, r.hosts()[name]['detail'])

    def test_both_formats_at_every_level(self):
        for seal in (self.ours, self.theirs):
            for name in ('group_vars/all.yml', 'group_vars/all/vault.yml', 'group_vars/web/vault.yml', 'group_vars/web'):
                path = self.sealed(name, f'---\n# ours\nansible_password: {SECRET}\n', seal)
                r = self.run_on_hosts('--vault-key', self.key)
                self.all_ok(r)
                self.assertNotIn('sealed', r.err)
                self.assertNotIn('clear text', r.err)
                os.unlink(path)
                if os.path.dirname(path).rsplit('/', 1)[1] != 'group_vars':
                    os.rmdir(os.path.dirname(path))
        self.sealed('host_vars/web2/v.yml', f'ansible_password: "{SECRET}"\n')
        r = self.run_on_hosts('--vault-key', self.key, hosts='web2')
        self.all_ok(r, 1)

    def test_its_place_among_the_files(self):
        """Folder by folder, file by file; each time what wins has the password, and the rest another."""
        def outcome():
            return self.run_on_hosts('--vault-key', self.key, hosts='web1').statuses()['web1']
        right, wrong = f'ansible_password: {SECRET}\n', f'ansible_password: {WRONG}\n'
        self.sealed('group_vars/web/b.yml', right)
        self.vars('group_vars/web/a.yml', wrong)
        self.assertEqual(outcome(), 'ok')
        self.vars('group_vars/web/c.yml', wrong)  # behind it
        self.assertEqual(outcome(), 'auth-failed')
        self.sealed('host_vars/web1.yml', right)
        self.assertEqual(outcome(), 'ok')
        self.vars('host_vars/web1.yml', right)
        self.sealed('group_vars/web/d.yml', wrong)
        self.assertEqual(outcome(), 'ok')
        os.unlink(os.path.join(self.folder, 'host_vars/web1.yml'))
        self.assertEqual(outcome(), 'auth-failed')
        self.sealed('group_vars/web/e.yml', 'other: 1\n')  # says nothing of it
        self.vars('group_vars/web/f.yml', right)
        self.assertEqual(outcome(), 'ok')

    def test_the_well_known_idiom(self):
        self.vars('group_vars/web/vars.yml', 'ansible_password: "{{ vault_web_password }}"\nansible_user: "{{who}}"\n')
        self.vars('group_vars/all.yml', f'who: {self.f.user.pw_name}\n')
        path = self.sealed('group_vars/web/vault.yml', f'vault_web_password: {SECRET}\n')
        self.all_ok(self.run_on_hosts('--vault-key', self.key))
        # Once, and no further: nor in a circle.
        self.vars('group_vars/web/vars.yml', 'ansible_password: "{{ a }}"\na: "{{ b }}"\nb: "{{ a }}"\n')
        r = self.run_on_hosts('--vault-key', self.key)
        self.assertIn('templates are not evaluated', r.hosts()['web1']['detail'])
        self.vars('group_vars/web/vars.yml', 'ansible_user: "{{ ansible_user }}"\n')
        self.bad(self.run_on_hosts('--vault-key', self.key), 'templates are not evaluated')
        # A template within the sealed file is one too, and is not shown.
        self.vars('group_vars/web/vars.yml', 'ansible_user: "{{ vault_user }}"\n')
        self.sealed('group_vars/web/vault.yml', 'vault_user: "x{{ hidden_name }}"\n')
        r = self.run_on_hosts('--vault-key', self.key)
        self.bad(r, f'{path}:1:13: a template is needed here')
        self.assertNotIn('hidden_name', r.out + r.err)

    def test_every_connection_variable_and_what_is_shown(self):
        h = self.hosts[0]
        with open(self.f.inventory) as f:
            lines = f.read().split('\n')
        entry = next(n for n, l in enumerate(lines) if l.strip().startswith('web1:'))
        lines[entry] = '        web1:'
        with open(self.f.inventory, 'w') as f:
            f.write('\n'.join(lines))
        self.sealed('host_vars/web1.yml', f'ansible_host: {h.address}\nansible_port: {h.port}\nansible_password: {SECRET}\n'
                                          f'ansible_user: {self.f.user.pw_name}\nmuster_note: [1, 2]\n')
        loot = self.write('loot', SECRET, 0o644)
        r = self.run_on_hosts('--vault-key', self.key, hosts='web1', command=('cat', loot))
        self.all_ok(r, 1)
        self.assertIn('********', r.out)
        r = self.execute(['setsid', '-w', *self.argv(self.f, '--vault-key', self.key, '--dry-run', 'web1', '--', 'true')])
        self.assertEqual(r.code, 0, r)
        self.assertNotIn(h.address, r.out + r.err)
        r = self.execute([MUSTER, 'hosts', '-i', self.f.inventory, '--vars', 'web1'])
        self.assertNotIn('ansible_password', r.out)
        self.assertIn('host_vars/web1.yml: the file is sealed; its variables are not known here', r.err)

    def test_a_bastion_has_to_be_in_the_clear(self):
        path = self.sealed('group_vars/web.yml', f'ansible_password: {SECRET}\nmuster_jump: free1\n')
        self.bad(self.run_on_hosts('--vault-key', self.key), f'{path}:2:14: sealed; how a host is reached is shown')

    def test_sealed_values_within(self):
        value = subprocess.run([MUSTER, 'vault', 'encrypt', '--name', 'ansible_password', '--vault-key', self.key],
                               input=SECRET.encode(), env=self.env, check=True, stdout=subprocess.PIPE).stdout.decode()
        self.sealed('group_vars/web.yml', value)
        self.all_ok(self.run_on_hosts('--vault-key', self.key))

    def test_without_a_key(self):
        path = self.sealed('group_vars/all/vault.yml', f'ansible_password: {SECRET}\n')
        r = self.run_on_hosts(hosts='all')
        self.assertEqual(r.statuses()['free1'], 'ok', r)
        self.assertEqual(r.facts()['web1'][2], 'auth-denied', r)
        self.assertEqual(r.err.count(path), 1, r)
        self.assertIn('--vault-key FILE', r.err)
        # Nothing typed: the same.
        t = Terminal(self, self.argv(self.f, '-o', 'stream', 'free', '--', 'echo', 'hello'), self.env)
        t.answer(b'vault key: ', '')
        self.assertEqual(t.end(), 0, t.said)
        self.assertEqual(t.said.count(b'vault key: '), 2, t.said)  # asked once, said once
        self.assertIn(b'its variables are not known here', t.said)

    def test_asked_once_and_only_when_needed(self):
        self.sealed('group_vars/web/a.yml', f'ansible_password: {SECRET}\n')
        self.sealed('host_vars/web1.yml', 'x: 1\n')
        t = Terminal(self, self.argv(self.f, '-o', 'stream', 'free', '--', 'echo', 'hello'), self.env)
        self.assertEqual(t.end(), 0, t.said)
        self.assertNotIn(b'key', t.said)
        t = Terminal(self, self.argv(self.f, '-o', 'stream', 'all', '--', 'echo', 'hello'), self.env)
        t.answer(b'vault key: ', KEY)
        self.assertEqual(t.end(), 0, t.said)
        self.assertEqual(t.said.count(b'vault key'), 1, t.said)
        self.assertEqual(t.said.count(b'hello'), 3, t.said)
        self.assertNotIn(SECRET.encode(), t.said)

    def test_wrong_key_and_damage(self):
        path = self.sealed('group_vars/web.yml', f'ansible_password: {SECRET}\n', self.ours)
        other = self.write('other', 'not the key')
        r = self.run_on_hosts('--vault-key', other, hosts='all')
        self.bad(r, f'{path}: sealed: wrong key')
        self.assertEqual(r.statuses()['free1'], 'ok', r)
        with open(path) as f:
            text = f.read()
        self.vars('group_vars/web.yml', text[:-40] + ('A' if text[-40] != 'A' else 'B') + text[-39:])
        self.bad(self.run_on_hosts('--vault-key', self.key), f'{path}: sealed: ')
        self.vars('group_vars/web.yml', text[:len(text) // 2])
        self.bad(self.run_on_hosts('--vault-key', self.key), f'{path}: sealed: ')
        # The text of a value is no file.
        self.vars('group_vars/web.yml', subprocess.run(
            [MUSTER, 'vault', 'encrypt', '--name', 'x', '--vault-key', self.key], input=b'a: 1', env=self.env, check=True,
            stdout=subprocess.PIPE).stdout.decode().split('\n', 1)[1].replace('  ', ''))
        self.bad(self.run_on_hosts('--vault-key', self.key), f'{path}: sealed: ')
        self.bad(self.run_on_hosts('--vault-key', os.path.join(self.dir, 'nowhere')), f'{path}: sealed: vault key: ')

    def test_what_is_no_file_of_variables(self):
        for text, says in ((f'a: 1\nansible_password: *{SECRET}\n', ':2:19 of the opened file: not a YAML file'),
                           (f'a: 1\n{SECRET}: 1\n{SECRET}: 2\n', ':3:1 of the opened file: not a YAML file'),
                           (f'- {SECRET}\n', ': a file of variables is a mapping of names to values, not a list'),
                           (f'ansible_password: [{SECRET}]\n', ':1:19: a text or a number is needed, not a list')):
            path = self.sealed('group_vars/web.yml', text)
            self.bad(self.run_on_hosts('--vault-key', self.key), path + says)

    def test_where_does_not_look_inside(self):
        path = self.sealed('group_vars/web.yml', f'ansible_password: {SECRET}\nsite: b\n')
        r = self.run_on_hosts('--vault-key', self.key, '--where', 'site == "b"')
        self.assertIn(f'{path}: the file is sealed; its variables are not known here', r.err)
        self.assertIn('--where keeps no host', r.err)


if __name__ == '__main__':
    main()
