#!/usr/bin/python3
"""The guard: many hosts want the count, protected ones a word; nothing runs before that."""
import os
import pty

from muster_case import MusterCase, main


class Guard(MusterCase):
    def setUp(self):
        super().setUp()
        self.f = self.fleet()
        self.f.sshd('web', 60)
        self.f.write(groups={'vault': ['web3']}, variables={'vault': {'muster_protected': True}})

    def test_without_a_terminal(self):
        r = self.run_on(self.f, 'web:!vault', '--', 'true')
        self.assertEqual(r.code, 1, r)
        self.assertIn('--expect 59', r.err)
        self.assertIn('--yes', r.err)
        self.assertEqual(self.f.logins(), 0)

    def test_expect(self):
        rest = ('web:!vault', '--', 'true')
        self.assertEqual(self.run_on(self.f, '--expect', '59', *rest).code, 0)
        self.assertEqual(self.run_on(self.f, '--expect', '50-60', *rest).code, 0)
        before = self.f.logins()
        for wrong in ('60', '10', '60-90', '1-58'):
            r = self.run_on(self.f, '--expect', wrong, *rest)
            self.assertEqual(r.code, 1, r)
            self.assertIn('59', r.err)
        self.assertEqual(self.f.logins(), before)

    def test_expect_counts_for_few_hosts_too(self):
        self.assertEqual(self.run_on(self.f, '--expect', '2', 'web1', '--', 'true').code, 1)
        self.assertEqual(self.f.logins(), 0)

    def test_yes(self):
        self.assertEqual(self.run_on(self.f, '--yes', 'web:!vault', '--', 'true').code, 0)

    def test_few_hosts_are_not_asked_about(self):
        self.assertEqual(self.run_on(self.f, 'web[1-2]', '--', 'true').code, 0)

    def test_protected(self):
        for args in (('web3', '--', 'true'), ('--yes', 'web', '--', 'true')):
            r = self.run_on(self.f, *args)
            self.assertEqual(r.code, 1, r)
            self.assertIn('--allow-protected', r.err)
        self.assertEqual(self.f.logins(), 0)
        self.assertEqual(self.run_on(self.f, '--allow-protected', 'web3', '--', 'true').code, 0)

    def on_terminal(self, answer):
        """Runs with a controlling terminal, types the answer once the question is there."""
        argv = self.argv(self.f, '-o', 'none', 'web:!vault', '--', 'true')
        pid, master = pty.fork()
        if pid == 0:
            os.execve(argv[0], argv, self.env)
        said, answered = b'', False
        while True:
            try:
                chunk = os.read(master, 65536)
            except OSError:
                break
            if not chunk:
                break
            said += chunk
            if not answered and b'59' in said and said.rstrip(b' ').endswith((b':', b'?', b'>')):
                os.write(master, answer)
                answered = True
        _, status = os.waitpid(pid, 0)
        os.close(master)
        self.assertTrue(answered, said)
        return os.waitstatus_to_exitcode(status), said.decode('utf-8', 'replace')

    def test_terminal_takes_the_count(self):
        code, said = self.on_terminal(b'59\n')
        self.assertEqual(code, 0, said)
        self.assertIn('web[1-2,4-60]', said)
        self.assertEqual(self.f.logins(), 59)

    def test_terminal_takes_nothing_else(self):
        for answer in (b'y\n', b'yes\n', b'58\n', b'\n', b'\x04'):
            code, said = self.on_terminal(answer)
            self.assertNotEqual(code, 0, said)
        self.assertEqual(self.f.logins(), 0)


if __name__ == '__main__':
    main()
