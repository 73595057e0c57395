#!/usr/bin/python3
"""Passphrases, passwords and keys stay where they belong: asked once on the terminal, then never seen
in an argument, an environment, output, a file, a core or the memory of a process that has used them."""
import os
import signal
import subprocess

from muster_case import MUSTER, MusterCase, main
from terminal import Terminal

PASSPHRASE = 'correct-horse-battery-staple-7291'
PASSWORD = 'open-sesame-and-close-3344'
VAULT_KEY = 'the-vault-is-opened-by-8860'
UNUSED = 'beside-it-in-the-same-sealed-file-5518'
MASK = b'********'


class Secrets(MusterCase):
    def setUp(self):
        super().setUp()
        self.f = self.fleet()
        by_password = ['PasswordAuthentication yes', 'AuthorizedKeysFile none']
        self.f.sshd('web', 2)
        self.f.sshd('db', 2, config=by_password, password=PASSWORD)
        self.f.write()
        self.key = os.path.join(self.dir, 'sealed')
        with open(self.f.key, 'rb') as f, open(os.open(self.key, os.O_CREAT | os.O_WRONLY, 0o600), 'wb') as g:
            g.write(f.read())
        subprocess.run(['ssh-keygen', '-q', '-p', '-P', '', '-N', PASSPHRASE, '-f', self.key], check=True,
                       stdout=subprocess.DEVNULL)
        self.secrets = [PASSPHRASE, PASSWORD, VAULT_KEY]
        for path in (self.f.key, self.key):
            with open(path) as f:
                self.secrets += [s for s in f.read().split('\n') if len(s) > 40]
        self.go = os.path.join(self.dir, 'go')
        # Printed by the hosts themselves, and cut in two.
        self.loot = os.path.join(self.dir, 'loot')
        with open(self.loot, 'w') as f:
            f.write(f'db_password={PASSWORD}\n')
        self.command = (f'touch {self.dir}/there.$MUSTER_RANK; head -c 20 {self.loot}; '
                        f'until [ -e {self.go} ] || [ ! -d {self.dir} ]; do sleep 0.1; done; tail -c +21 {self.loot}')

    def seal(self):
        """The password of db in group_vars, under the vault's key."""
        key = os.path.join(self.dir, 'vault-key')
        with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), 'w') as f:
            f.write(VAULT_KEY)
        text = subprocess.run([MUSTER, 'vault', 'encrypt', '--name', 'ansible_password', '--vault-key', key],
                              input=PASSWORD.encode(), env=self.env, check=True, stdout=subprocess.PIPE).stdout
        os.unlink(key)
        folder = os.path.join(os.path.dirname(self.f.inventory), 'group_vars')
        os.mkdir(folder)
        with open(os.path.join(folder, 'db.yml'), 'wb') as f:
            f.write(text)

    def seal_file(self):
        """The same in a file that is sealed as a whole, beside what nobody needs."""
        key = os.path.join(self.dir, 'vault-key')
        with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), 'w') as f:
            f.write(VAULT_KEY)
        text = (f'ansible_password: {PASSWORD}\ntoken: {UNUSED}\nagain: "\\x20{UNUSED}"\nwhole: |\n  {UNUSED}\n  {UNUSED}\n'
                f'list: [{UNUSED}, {{ {UNUSED}: 1 }}]\nfolded: >-\n  {PASSWORD}\n')
        text = subprocess.run([MUSTER, 'vault', 'encrypt', '--vault-key', key], input=text.encode(), env=self.env, check=True,
                              stdout=subprocess.PIPE).stdout
        os.unlink(key)
        folder = os.path.join(os.path.dirname(self.f.inventory), 'group_vars', 'db')
        os.makedirs(folder)
        with open(os.path.join(folder, 'vault.yml'), 'wb') as f:
            f.write(text)
        self.secrets.append(UNUSED)

    def tree(self, pid):
        """pid and all that descend from it."""
        found, todo = [], [pid]
        while todo:
            p = todo.pop()
            found.append(p)
            try:
                with open(f'/proc/{p}/task/{p}/children') as f:
                    todo += [int(x) for x in f.read().split()]
            except OSError:
                pass
        return found

    def start(self, *options):
        return Terminal(self, self.argv(self.f, '--key', self.key, '-vv', '--out-dir', os.path.join(self.dir, 'out'),
                                        *options, 'all', '--', self.command), self.env, cwd=self.dir)

    def wait_until_they_run(self, n):
        self.wait_for(lambda: sum(s.startswith('there.') for s in os.listdir(self.dir)) >= n, 'the commands')

    def nowhere(self, where, data):
        for secret in self.secrets:
            self.assertNotIn(secret.encode(), data, where)

    def look_at(self, pid):
        """What others can see of the processes while they work."""
        for p in self.tree(pid):
            for name in ('cmdline', 'environ'):
                try:
                    with open(f'/proc/{p}/{name}', 'rb') as f:
                        self.nowhere(name, f.read())
                except OSError:
                    pass
            with open(f'/proc/{p}/limits') as f:
                self.assertRegex(f.read(), r'Max core file size +0 +0 ')

    def memory(self, pid):
        """Every byte of a process that can be read: as root."""
        with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as mem:
            for line in maps:
                span, mode = line.split()[:2]
                if mode[0] != 'r' or '[v' in line:
                    continue
                a, b = (int(x, 16) for x in span.split('-'))
                try:
                    mem.seek(a)
                    yield line.strip(), mem.read(b - a)
                except (OSError, OverflowError):
                    pass

    def look_inside(self, pid, allowed):
        """allowed: what the first process, the coordinator, still needs."""
        if os.getuid() != 0:
            return
        # The sanitizer keeps what was freed as it was.
        if subprocess.run(['grep', '-q', '__asan_init', MUSTER]).returncode == 0:
            return
        processes = self.tree(pid)
        self.assertGreater(len(processes), 1)
        for p in processes:
            for where, data in self.memory(p):
                for secret in (PASSPHRASE, PASSWORD, VAULT_KEY, UNUSED):
                    at = data.find(secret.encode())
                    if at >= 0 and (p != pid or secret not in allowed):
                        self.fail(f'{secret} in the {"coordinator" if p == pid else "worker"}: {where} '
                                  f"at {at:#x} of {len(data):#x} {data[max(at - 64, 0):at + 96]}")

    def files(self):
        for folder in (self.state, os.path.join(self.dir, 'out')):
            for root, _, names in os.walk(folder):
                for n in names:
                    with open(os.path.join(root, n), 'rb') as f:
                        yield n, f.read()

    def look_at_all(self, t, allowed):
        self.wait_until_they_run(4)
        self.look_at(t.pid)
        self.look_inside(t.pid, allowed)
        open(self.go, 'w').close()
        self.assertEqual(t.end(), 0, t.said)
        self.nowhere('terminal', t.said)
        self.assertIn(b'db_password=' + MASK, t.said)
        found = dict(self.files())
        self.assertGreater(len(found), 4)
        for name, data in found.items():
            self.nowhere(name, data)
        self.assertTrue(any(b'db_password=' + MASK in d for n, d in found.items() if n.startswith('web')), found)
        self.nowhere('folder', b''.join(n.encode() for n in os.listdir(self.dir)))
        self.assertFalse([n for n in os.listdir(self.dir) if n.startswith('core')])

    def test_passphrase_and_sealed_password(self):
        self.seal()
        t = self.start()
        t.answer(b'vault key: ', VAULT_KEY)
        t.answer(b'assphrase', PASSPHRASE)
        self.look_at_all(t, allowed=[PASSWORD])
        self.assertEqual(t.said.lower().count(b'passphrase'), 1, t.said)

    def test_passphrase_and_sealed_file(self):
        self.seal_file()
        t = self.start()
        t.answer(b'vault key: ', VAULT_KEY)
        t.answer(b'assphrase', PASSPHRASE)
        self.look_at_all(t, allowed=[PASSWORD])

    def test_asked_password(self):
        t = self.start('--ask-pass')
        t.answer(b'SSH password: ', PASSWORD)
        t.answer(b'assphrase', PASSPHRASE)
        self.look_at_all(t, allowed=[PASSWORD])

    def test_no_core(self):
        t = self.start('--ask-pass')
        t.answer(b'SSH password: ', PASSWORD)
        t.answer(b'assphrase', PASSPHRASE)
        self.wait_until_they_run(4)
        os.kill(t.pid, signal.SIGABRT)
        t.until(None)
        status = os.waitpid(t.pid, 0)[1]
        open(self.go, 'w').close()
        self.assertTrue(os.WIFSIGNALED(status) or os.WEXITSTATUS(status) != 0)
        self.assertFalse(os.WCOREDUMP(status))

    def test_without_a_terminal(self):
        r = self.execute(['setsid', '-w', *self.argv(self.f, '--key', self.key, 'web', '--', 'true')])
        self.assertEqual(r.code, 1, r)
        self.assertIn(self.key, r.err)
        self.assertEqual(self.f.logins(), 0)


if __name__ == '__main__':
    main()
