#!/usr/bin/python3
"""muster vault as people use it: files and values, every way to give a key, the editor, and secrets
that are nowhere to be found afterwards."""
import glob
import os
import pty
import select
import signal
import subprocess
import tempfile
import time
import unittest

MUSTER = os.environ['MUSTER']
KEY = 'a-vault-key-nobody-guesses-4711'
NEW = 'the-next-vault-key-0815'
PLAIN = b'root_password: xyzzy-is-the-word\n'
VALUE = 'battery-staple-9034'


class Vault(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.dir = self.folder.name
        self.env = {'PATH': os.environ['PATH'], 'HOME': self.dir, 'XDG_RUNTIME_DIR': '/nonexistent'}
        self.env.update({k: v for k, v in os.environ.items() if k.endswith('SAN_OPTIONS')})
        self.key = self.write('key', KEY.encode() + b'\n')
        self.new = self.write('new', NEW.encode() + b'\n')
        self.left = set(glob.glob('/dev/shm/muster-edit-*'))

    def tearDown(self):
        self.assertEqual(set(glob.glob('/dev/shm/muster-edit-*')) - self.left, set())
        odd = [n for n in os.listdir(self.dir) if n.count('.') > 1]
        self.assertEqual(odd, [])  # no temporary file stays

    def write(self, name, data, mode=0o600):
        path = os.path.join(self.dir, name)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode), 'wb') as f:
            f.write(data)
        os.chmod(path, mode)
        return path

    def read(self, path):
        with open(path, 'rb') as f:
            return f.read()

    def vault(self, *words, code=0, stdin=b'', key=True, **more):
        """Without a terminal: what asks must fail."""
        argv = ['setsid', '-w', MUSTER, 'vault', *words]
        if key:
            argv += ['--vault-key', self.key]
        r = subprocess.run(argv, input=stdin, capture_output=True, env={**self.env, **more.pop('env', {})},
                           cwd=self.dir, **more)
        self.err = r.stderr.decode()
        self.assertEqual(r.returncode, code, self.err)
        for secret in (KEY, NEW, VALUE):
            self.assertNotIn(secret, self.err)
        return r.stdout

    def fails(self, say, *words, **more):
        self.assertEqual(self.vault(*words, code=1, **more), b'')
        self.assertIn(say, self.err)

    # --- files ---

    def test_file_there_and_back(self):
        path = self.write('group.yml', PLAIN, 0o644)
        self.vault('encrypt', path)
        sealed = self.read(path)
        self.assertTrue(sealed.startswith(b'$MUSTER_VAULT;1\n'), sealed)
        self.assertNotIn(b'xyzzy', sealed)
        self.assertEqual(os.stat(path).st_mode & 0o7777, 0o600)
        self.fails('it is sealed already', 'encrypt', path)
        self.assertEqual(self.vault('view', path), PLAIN)
        self.assertEqual(self.read(path), sealed)
        wrong = self.write('wrong', b'not the key')
        self.fails('wrong key, or altered', 'view', path, '--vault-key', wrong, key=False)
        self.fails('wrong key, or altered', 'decrypt', path, '--vault-key', wrong, key=False)
        self.assertEqual(self.read(path), sealed)
        other = b'B' if sealed[-9:-8] == b'A' else b'A'
        self.write('group.yml', sealed[:-9] + other + sealed[-8:])
        self.fails('group.yml: ', 'decrypt', path)
        self.write('group.yml', sealed)
        self.vault('decrypt', path)
        self.assertEqual(self.read(path), PLAIN)
        self.fails('not sealed as a whole', 'decrypt', path)

    def test_pipes(self):
        sealed = self.vault('encrypt', stdin=PLAIN)
        self.assertEqual(self.vault('decrypt', stdin=sealed), PLAIN)
        self.assertEqual(self.vault('view', '-', stdin=sealed), PLAIN)

    def test_all_or_nothing(self):
        good, bad = self.write('good', PLAIN), self.write('bad', b'$MUSTER_VAULT;1\nxx\n')
        self.fails('bad: it is sealed already', 'encrypt', good, bad)
        self.assertEqual(self.read(good), PLAIN)
        self.fails('damaged', 'decrypt', bad)

    # --- values ---

    def test_value_is_bound_to_its_name(self):
        text = self.vault('encrypt', '--name', 'db_password', stdin=VALUE.encode() + b'\n')
        self.assertTrue(text.startswith(b'db_password: !vault |\n  $MUSTER_VAULT;1\n  '), text)
        self.assertEqual(self.vault('view', stdin=text), VALUE.encode())
        path = self.write('vars.yml', b'# mine\nport: 22\n' + text + b'last: 1\n')
        self.assertEqual(self.vault('view', '--name', 'db_password', path), VALUE.encode())
        self.fails("no sealed value 'port:'", 'view', '--name', 'port', path)
        moved = self.write('moved.yml', text.replace(b'db_password', b'www_password'))
        self.fails("sealed for the variable 'db_password', not for 'www_password'", 'view', moved)
        self.fails('moved.yml: ', 'rekey', moved, '--new-vault-key', self.new)
        self.fails('not sealed as a whole', 'decrypt', path)
        bare = self.write('bare', b''.join(l.strip() + b'\n' for l in text.split(b'\n')[1:] if l))
        self.fails("the sealed value of 'db_password', not a sealed file", 'decrypt', bare)
        self.fails('never taken from the command line', 'encrypt', '--name', 'x', VALUE)
        self.fails('no name of a variable', 'encrypt', '--name', 'a b', stdin=b'x')

    def test_one_vault_for_many_values(self):
        a = self.vault('encrypt', '--name', 'a', stdin=b'1')
        path = self.write('vars.yml', a)
        b = self.vault('encrypt', '--name', 'b', '--like', path, stdin=b'2')
        c = self.vault('encrypt', '--name', 'c', stdin=b'3')
        header = [t.split(b'\n')[2].strip()[:52] for t in (a, b, c)]  # as far as the salt goes
        self.assertEqual(header[0], header[1])
        self.assertNotEqual(header[0], header[2])
        self.fails('wrong key', 'encrypt', '--name', 'b', '--like', path, '--vault-key', self.new,
                   key=False, stdin=b'2')

    def test_rekey(self):
        whole = self.write('whole', PLAIN)
        self.vault('encrypt', whole)
        value = self.vault('encrypt', '--name', 'db', stdin=VALUE.encode())
        vars_yml = self.write('vars.yml', b'---\n# kept\nweb:\n  ' + value.replace(b'\n', b'\n  ').rstrip(b' ')
                              + b'\nlast: [1,   2]  # kept\n')
        before = self.read(vars_yml)
        plain = self.write('plain.yml', b'a: 1\n')
        self.fails('nothing in it is sealed', 'rekey', whole, plain, '--new-vault-key', self.new)
        self.vault('rekey', whole, vars_yml, '--new-vault-key', self.new)
        after = self.read(vars_yml)
        self.assertEqual(after.split(b'\n')[:5], before.split(b'\n')[:5])
        self.assertEqual(after.split(b'\n')[-3:], before.split(b'\n')[-3:])
        self.assertNotEqual(after, before)
        self.fails('wrong key', 'view', whole)
        self.key = self.new
        self.assertEqual(self.vault('view', whole), PLAIN)
        self.assertEqual(self.vault('view', vars_yml), VALUE.encode())

    def test_ansible(self):
        path = self.write('a.yml', PLAIN)
        env = {**self.env, 'ANSIBLE_LOCAL_TEMP': os.path.join(self.dir, 'tmp')}
        subprocess.run(['/usr/bin/ansible-vault', 'encrypt', '--vault-password-file', self.key, path],
                       check=True, env=env, capture_output=True)
        self.assertTrue(self.read(path).startswith(b'$ANSIBLE_VAULT;1.1;AES256\n'))
        self.assertEqual(self.vault('view', path), PLAIN)
        self.fails('wrong key, or altered', 'view', path, '--vault-key', self.new, key=False)
        self.fails('ansible-vault, which this program only reads', 'edit', path)
        text = subprocess.run(['/usr/bin/ansible-vault', 'encrypt_string', '--vault-password-file', self.key,
                               '--name', 'db', VALUE], check=True, env=env, capture_output=True).stdout
        one = self.write('one.yml', text)
        self.assertEqual(self.vault('view', '--name', 'db', one), VALUE.encode())
        self.vault('rekey', path, one, '--new-vault-key', self.key)
        self.assertTrue(self.read(path).startswith(b'$MUSTER_VAULT;1\n'))
        self.assertEqual(self.vault('view', path), PLAIN)
        self.assertEqual(self.vault('view', one), VALUE.encode())

    # --- where keys come from ---

    def test_ways_to_give_a_key(self):
        sealed = self.write('f', self.vault('encrypt', stdin=PLAIN))
        r, w = os.pipe()
        os.write(w, KEY.encode())
        os.close(w)
        self.assertEqual(self.vault('view', sealed, '--vault-key-fd', str(r), key=False, pass_fds=[r]), PLAIN)
        os.close(r)
        self.assertEqual(self.vault('view', sealed, '--vault-key-fd', '0', key=False, stdin=KEY.encode()), PLAIN)
        self.assertEqual(self.vault('view', sealed, '--vault-key-command', f"cat '{self.key}'", key=False), PLAIN)
        os.mkdir(os.path.join(self.dir, 'creds'))
        self.write('creds/muster-vault', KEY.encode())
        self.assertEqual(self.vault('view', sealed, key=False,
                                    env={'CREDENTIALS_DIRECTORY': os.path.join(self.dir, 'creds')}), PLAIN)
        self.fails('no terminal to ask for it on; give --vault-key FILE', 'view', sealed, key=False)
        self.fails('one of them', 'view', sealed, '--vault-key-fd', '0')
        self.fails('another descriptor', 'view', '--vault-key-fd', '0', key=False, stdin=KEY.encode())
        os.chmod(self.key, 0o644)
        self.fails('others may read this key', 'view', sealed)
        # A shell would have run the second word.
        self.fails('exit code', 'view', sealed, '--vault-key-command', f'cat /nonexistent; cat {self.key}',
                   key=False)

    # --- on a terminal ---

    def start(self, *words, env=None):
        pid, master = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execve(MUSTER, [MUSTER, 'vault', *words], {**self.env, **(env or {})})
        self.addCleanup(os.close, master)
        return pid, master

    def until(self, master, mark):
        said = b''
        while mark is None or mark not in said:
            ready, _, _ = select.select([master], [], [], 120)
            self.assertTrue(ready, said)
            try:
                chunk = os.read(master, 65536)
            except OSError:
                break
            if not chunk:
                break
            said += chunk
        return said

    def end(self, pid):
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def answer(self, master, mark, text):
        said = self.until(master, mark)
        self.assertIn(mark, said)
        os.write(master, text.encode() + b'\n')
        return said

    def test_prompt(self):
        pid, master = self.start('encrypt', '--name', 'db')
        said = self.answer(master, b'vault key: ', KEY)
        said += self.answer(master, b'vault key once more: ', KEY)
        said += self.answer(master, b'value of db: ', VALUE)
        seen = b''.join(self.read(f'/proc/{pid}/{n}') for n in ('cmdline',))
        said += self.answer(master, b'value of db once more: ', VALUE)
        text = self.until(master, None)
        self.assertEqual(self.end(pid), 0, text)
        for secret in (KEY, VALUE):
            self.assertNotIn(secret.encode(), seen + said + text)
        at = text.index(b'db: !vault |')
        path = self.write('v.yml', text[at:].replace(b'\r\n', b'\n'))
        self.assertEqual(self.vault('view', '--name', 'db', path), VALUE.encode())
        pid, master = self.start('view', path)
        self.answer(master, b'vault key: ', KEY)  # once: it is not being made
        self.assertIn(VALUE.encode(), self.until(master, None))
        self.assertEqual(self.end(pid), 0)

    def test_two_answers_that_differ(self):
        path = self.write('f', PLAIN)
        pid, master = self.start('encrypt', path)
        self.answer(master, b'vault key: ', KEY)
        self.answer(master, b'once more: ', KEY + 'x')
        self.assertIn(b'the two answers differ', self.until(master, None))
        self.assertEqual(self.end(pid), 1)
        self.assertEqual(self.read(path), PLAIN)

    # --- the editor ---

    def editor(self, text):
        return {'EDITOR': self.write('editor', b'#!/bin/sh\n' + text.encode() + b'\n', 0o700)}

    def test_edit(self):
        path = self.write('f.yml', PLAIN)
        self.vault('encrypt', path)
        sealed = self.read(path)
        self.vault('edit', path, env={'EDITOR': 'true'})
        self.assertEqual(self.read(path), sealed)  # unchanged is not sealed again
        env = self.editor(f'echo "$1" > {self.dir}/where; stat -c "%a" "$1" "$(dirname "$1")" > {self.dir}/mode\n'
                          # Empty where only root may look: the process is not dumpable.
                          f'cat /proc/$PPID/environ > {self.dir}/environ 2>/dev/null\n'
                          'cp "$1" "$1~"; echo more: 1 >> "$1"')
        self.vault('edit', path, env=env)
        self.assertEqual(self.vault('view', path), PLAIN + b'more: 1\n')
        where = self.read(os.path.join(self.dir, 'where')).decode().strip()
        self.assertTrue(where.startswith('/dev/shm/muster-edit-') and where.endswith('/f.yml'), where)
        self.assertEqual(self.read(os.path.join(self.dir, 'mode')), b'600\n700\n')
        self.assertNotIn(KEY.encode(), self.read(os.path.join(self.dir, 'environ')))
        sealed = self.read(path)
        self.fails('failed with exit code 3', 'edit', path, env=self.editor('echo x > "$1"; exit 3'))
        self.fails('cannot start', 'edit', path, env={'EDITOR': 'no-such-editor; true'})
        self.assertEqual(self.read(path), sealed)

    def test_edit_a_value(self):
        text = self.vault('encrypt', '--name', 'db', stdin=VALUE.encode())
        path = self.write('v.yml', b'a: 1\n' + text + b'b: 2\n')
        self.vault('edit', path, '--name', 'db', env=self.editor('echo changed > "$1"'))
        self.assertEqual(self.vault('view', path), b'changed')
        self.assertTrue(self.read(path).startswith(b'a: 1\ndb: !vault |\n  $MUSTER_VAULT;1\n'))
        self.assertTrue(self.read(path).endswith(b'\nb: 2\n'))

    def test_terminated_while_editing(self):
        path = self.write('f.yml', PLAIN)
        self.vault('encrypt', path)
        sealed = self.read(path)
        ready = os.path.join(self.dir, 'ready')
        os.mkfifo(ready)
        env = self.editor(f'echo "$1" > {ready}; exec sleep 60')
        pid, master = self.start('edit', path, '--vault-key', self.key, env=env)
        where = self.read(ready).decode().strip()
        self.assertTrue(os.path.exists(where))
        os.write(master, b'\x03')  # the editor's business: our wait goes on, sleep dies of it
        self.until(master, None)
        self.assertEqual(self.end(pid), 1)
        self.assertFalse(os.path.exists(os.path.dirname(where)))
        pid, master = self.start('edit', path, '--vault-key', self.key, env=env)
        where = self.read(ready).decode().strip()
        os.kill(pid, signal.SIGTERM)
        self.until(master, None)
        self.assertEqual(self.end(pid), -signal.SIGTERM)
        self.assertFalse(os.path.exists(os.path.dirname(where)))
        self.assertEqual(self.read(path), sealed)

    # --- nowhere ---

    def test_secrets_are_nowhere(self):
        """While it works: arguments and environment of the process; afterwards: every file made."""
        gate = os.path.join(self.dir, 'gate')
        os.mkfifo(gate)
        path = self.write('f', PLAIN)
        p = subprocess.Popen([MUSTER, 'vault', 'encrypt', path, '--vault-key-command', f'cat {gate}'],
                             env=self.env, cwd=self.dir, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with open(gate, 'wb') as f:  # it has asked
            f.write(KEY.encode())
        seen = b''
        while p.poll() is None:  # at every moment of its work
            for name in ('cmdline', 'environ'):
                try:
                    seen += self.read(f'/proc/{p.pid}/{name}')
                except OSError:
                    pass
            time.sleep(0.02)
        said = p.stderr.read()
        p.stderr.close()
        self.assertEqual(p.returncode, 0, said)
        self.assertIn(b'encrypt', seen)
        os.unlink(self.key)
        for root, _, names in os.walk(self.dir):
            for n in names:
                if n != 'gate':
                    seen += self.read(os.path.join(root, n))
        self.assertIn(b'MUSTER_VAULT', seen)
        for secret in (KEY.encode(), b'xyzzy'):
            self.assertNotIn(secret, seen + said)

    def test_hosts_keeps_values_sealed(self):
        text = self.vault('encrypt', '--name', 'db', stdin=VALUE.encode())
        self.write('hosts.yml', b'all:\n  hosts: {web1: }\n  vars:\n    '
                   + text.replace(b'\n', b'\n    ').rstrip(b' '))
        r = subprocess.run([MUSTER, 'hosts', '-i', os.path.join(self.dir, 'hosts.yml'), '--vars', 'web1'],
                           env=self.env, capture_output=True)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn(b'$MUSTER_VAULT;1', r.stdout)
        self.assertNotIn(VALUE.encode(), r.stdout + r.stderr)


if __name__ == '__main__':
    unittest.main()
