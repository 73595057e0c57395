#!/usr/bin/python3
"""A passphrase and a key stay where they belong: asked once on the terminal, then never seen in any
argument, environment, output or file of the run."""
import os
import pty
import subprocess
import time

from muster_case import MusterCase, main

PASSPHRASE = 'correct-horse-battery-staple-7291'


class Secrets(MusterCase):
    def setUp(self):
        super().setUp()
        self.f = self.fleet()
        self.f.sshd('web', 3)
        self.f.write()
        self.key = os.path.join(self.dir, 'sealed')
        with open(self.f.key, 'rb') as f, open(os.open(self.key, os.O_CREAT | os.O_WRONLY, 0o600), 'wb') as g:
            g.write(f.read())
        subprocess.run(['ssh-keygen', '-q', '-p', '-P', '', '-N', PASSPHRASE, '-f', self.key], check=True,
                       stdout=subprocess.DEVNULL)

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

    def start(self, *words):
        argv = self.argv(self.f, '--key', self.key, '-o', 'group', 'web', '--', *words)
        pid, master = pty.fork()
        if pid == 0:
            os.execve(argv[0], argv, self.env)
        return pid, master

    def read_until(self, master, mark):
        said = b''
        while mark is None or mark not in said:
            try:
                chunk = os.read(master, 65536)
            except OSError:
                break
            if not chunk:
                break
            said += chunk
        return said

    def test_asked_once_and_nowhere_to_be_found(self):
        go = os.path.join(self.dir, 'go')
        pid, master = self.start(f'touch {self.dir}/there.$MUSTER_RANK; until [ -e {go} ]; do sleep 0.1; done')
        said = self.read_until(master, b': ')
        self.assertIn(b'assphrase', said)
        os.write(master, PASSPHRASE.encode() + b'\n')
        while sum(n.startswith('there.') for n in os.listdir(self.dir)) < 3:
            time.sleep(0.02)  # the commands run: nothing tells but the files they make
        seen = b''
        for p in self.tree(pid):
            for name in ('cmdline', 'environ'):
                try:
                    with open(f'/proc/{p}/{name}', 'rb') as f:
                        seen += f.read()
                except OSError:
                    pass
        self.assertIn(b'--key', seen)
        open(go, 'w').close()
        said += self.read_until(master, None)
        _, status = os.waitpid(pid, 0)
        os.close(master)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0, said)
        self.assertEqual(said.lower().count(b'passphrase'), 1, said)
        with open(self.f.key) as f:
            lines = [s for s in f.read().split('\n') if len(s) > 40]
        with open(self.key) as f:
            lines += [s for s in f.read().split('\n') if len(s) > 40]
        for where, text in (('arguments and environment', seen), ('terminal', said), *self.files()):
            for secret in (PASSPHRASE, *lines):
                self.assertNotIn(secret.encode(), text, where)

    def files(self):
        for root, _, names in os.walk(self.state):
            for n in names:
                with open(os.path.join(root, n), 'rb') as f:
                    yield n, f.read()

    def test_without_a_terminal(self):
        r = self.execute(['setsid', '-w', *self.argv(self.f, '--key', self.key, 'web', '--', 'true')])
        self.assertEqual(r.code, 1, r)
        self.assertIn(self.key, r.err)
        self.assertEqual(self.f.logins(), 0)


if __name__ == '__main__':
    main()
