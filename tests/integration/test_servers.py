#!/usr/bin/python3
"""Servers other than OpenSSH, and OpenSSH with unusual limits."""
from muster_case import MusterCase, main, stdout_of


class Servers(MusterCase):
    def check(self, f):
        f.write()
        r = self.run_on(f, 'all', '--', 'echo out; echo err >&2; exit 7')
        for name, h in r.hosts().items():
            self.assertEqual((h['status'], h['exit_code'], stdout_of(h), stdout_of(h, 'stderr')),
                             ('failed', 7, b'out\n', b'err\n'), f'{name}: {r}')
        self.assertEqual(len(r.hosts()), len(f.hosts))
        r = self.run_on(f, 'all', '--', 'head -c 3000000 /dev/zero | tr "\\0" x')
        for name, h in r.hosts().items():
            self.assertEqual(h['status'], 'ok', f'{name}: {r.err}')

    def test_dropbear(self):
        f = self.fleet()
        f.dropbear('drop', 2)
        self.check(f)

    def test_tinysshd(self):
        f = self.fleet()
        f.tinysshd('tiny', 2)
        self.check(f)

    def test_openssh_algorithms(self):
        """Each of the algorithms that a hardened or an old server may insist on."""
        f = self.fleet()
        for i, line in enumerate((
                'Ciphers aes256-gcm@openssh.com', 'Ciphers aes128-ctr', 'KexAlgorithms curve25519-sha256',
                'KexAlgorithms ecdh-sha2-nistp256', 'MACs hmac-sha2-512-etm@openssh.com\nCiphers aes256-ctr')):
            f.sshd(f'algo{i}', config=line.split('\n'))
        self.check(f)

    def test_no_common_algorithm(self):
        f = self.fleet()
        f.sshd('odd', config=['KexAlgorithms sntrup761x25519-sha512@openssh.com'])
        f.write()
        r = self.run_on(f, 'all', '--', 'true')
        self.assertEqual(r.facts(), {'odd1': ('unreachable', 'kex', 'kex-no-match')}, r)
        self.assertEqual(r.code, 4, r)

    def test_rekey_in_mid_stream(self):
        f = self.fleet()
        f.sshd('rekey', config=['RekeyLimit 1M'])
        f.write()
        r = self.run_on(f, '--max-output', '64M', 'all', '--', 'head -c 20000000 /dev/zero | tr "\\0" x')
        self.assertEqual(r.statuses(), {'rekey1': 'ok'}, r.err)
        self.assertEqual(len(stdout_of(r.hosts()['rekey1'])), 20000000)

    def test_no_sessions_allowed(self):
        f = self.fleet()
        f.sshd('none', config=['MaxSessions 0'])
        f.write()
        r = self.run_on(f, '--retries', '0', 'all', '--', 'true')
        self.assertEqual(r.facts(), {'none1': ('unreachable', 'open', 'channel-refused')}, r)

    def test_login_denied(self):
        f = self.fleet()
        f.sshd('deny', config=['AuthorizedKeysFile /nonexistent'])
        f.write()
        r = self.run_on(f, 'all', '--', 'true')
        self.assertEqual(r.facts(), {'deny1': ('auth-failed', 'auth', 'auth-denied')}, r)
        self.assertEqual(r.code, 4, r)

    def test_few_startups_are_not_exceeded(self):
        """Ten addresses of one server would be ten servers to us; one address is one: at most eight
        logins at a time, so that a server of MaxStartups 10 drops nobody."""
        f = self.fleet()
        h = f.sshd('one', max_startups='9:100:9')[0]
        for i in range(2, 41):
            twin = f._add([f'one{i}'], 'one', [h.address], h.port, 'openssh', h.key, 'none')[0]
            self.assertEqual(twin.port, h.port)
        f.write()
        r = self.run_on(f, '--retries', '0', 'all', '--', 'true')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual(len(r.hosts()), 40)


if __name__ == '__main__':
    main()
