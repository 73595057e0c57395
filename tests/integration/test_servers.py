#!/usr/bin/python3
"""Servers other than OpenSSH, the same table for all three, and OpenSSH with unusual limits."""
import os

from fleet import keygen
from muster_case import MusterCase, main, stdout_of

BIG = 20000000
# Command, and what becomes of it on every server: status, problem, exit code, signal, stdout, stderr.
CORE = [
    ('exit 0', ('ok', None, 0, None, b'', b'')),
    *((f'exit {n}', ('failed', 'exit-nonzero', n, None, b'', b'')) for n in (1, 4, 126, 127, 254, 255)),
    *((f'kill -{n} $$', ('signaled', 'killed-by-signal', None, n, b'', b''))
      for n in ('HUP', 'TERM', 'KILL', 'USR1', 'SEGV')),
    ('echo out; echo err >&2; exit 7', ('failed', 'exit-nonzero', 7, None, b'out\n', b'err\n')),
    ('exec >&- 2>&-; sleep 1; exit 5', ('failed', 'exit-nonzero', 5, None, b'', b'')),
    ('printf "a\\000b\\377"', ('ok', None, 0, None, b'a\0b\xff', b'')),
    ('wc -c', ('ok', None, 0, None, b'0\n', b'')),
    (f'head -c {BIG} /dev/zero | tr "\\0" x', ('ok', None, 0, None, b'x' * BIG, b'')),
    # What is left behind with its output open, and still speaks.
    ('(sleep 1; echo late >&2) & exec >&-; exit 3', ('failed', 'exit-nonzero', 3, None, b'', b'late\n')),
]
# Where a server is otherwise than the others, and that is not for us to change (docs/differences.md).
EXCEPTIONS = {
    # It is over for dropbear when the command is.
    ('dropbear', CORE[-1][0]): ('failed', 'exit-nonzero', 3, None, b'', b''),
}
# The servers that pass on TERM and KILL; OpenSSH not to root.
PASSES_SIGNALS = {'openssh': os.getuid() != 0, 'dropbear': True, 'tinysshd': False}


class EveryServer(MusterCase):
    def three(self):
        f = self.fleet()
        f.sshd('open')
        f.dropbear('drop')
        f.tinysshd('tiny')
        f.write()
        return f, {h.name: h.kind for h in f.hosts}

    def test_commands(self):
        f, kinds = self.three()
        for command, want in CORE:
            r = self.run_on(f, '--max-output', '64M', 'all', '--', command)
            self.assertEqual(len(r.hosts()), 3)
            for name, h in r.hosts().items():
                got = (h['status'], h['problem'], h['exit_code'], h['signal'], stdout_of(h), stdout_of(h, 'stderr'))
                self.assertTrue(got == EXCEPTIONS.get((kinds[name], command), want),
                                f'{kinds[name]}: {command}: {got[:4]} {got[4][:50]} {got[5][:50]} {h.get("detail")}')
                self.assertFalse(h['may_still_run'])

    def test_input(self):
        """All of it, and not all of it."""
        f, kinds = self.three()
        size = 3 << 20
        r = self.run_on(f, '--stdin', '-', 'all', '--', 'wc -c', stdin=b'x' * size)
        self.assertEqual({stdout_of(h) for h in r.hosts().values()}, {b'%d\n' % size}, r)
        r = self.run_on(f, '--stdin', '-', 'all', '--', 'head -c 10', stdin=b'x' * size)
        for name, h in r.hosts().items():
            if kinds[name] == 'tinysshd':     # it hangs up on what nobody reads
                self.assertIn((h['status'], h['problem']), {('lost', 'connection-lost'), ('ok', None)}, r)
            else:
                self.assertEqual((h['status'], stdout_of(h)), ('ok', b'x' * 10), r)

    def test_time_limits(self):
        f, kinds = self.three()
        for options, command, problem, signal in (
                (['--timeout', '3s'], 'exec sleep 1000', 'run-timeout', 'TERM'),
                (['--timeout', '3s'], 'trap "" TERM; while :; do sleep 1; done', 'run-timeout', 'KILL'),
                (['--silence-timeout', '3s'], 'echo once; exec sleep 1000', 'silence-timeout', 'TERM')):
            r = self.run_on(f, '--connect-timeout', '2m', *options, 'all', '--', command)
            self.assertEqual(set(r.facts().values()), {('timeout', 'run', problem)}, r)
            for name, h in r.hosts().items():
                passes = PASSES_SIGNALS[kinds[name]]
                self.assertEqual((h['signal'], h['may_still_run']), (signal if passes else None, not passes), r)

    def test_trust_and_login(self):
        f = self.fleet()
        for known in ('wrong', 'none', 'revoked', 'hashed'):
            f.sshd(f'open-{known}', known=known, own_key=True)
            f.dropbear(f'drop-{known}', known=known)
            f.tinysshd(f'tiny-{known}', known=known)
        f.write()
        r = self.run_on(f, 'all', '--', 'true')
        want = {'wrong': 'host-key-changed', 'none': 'host-key-unknown', 'revoked': 'host-key-revoked', 'hashed': None}
        self.assertEqual({h.name: r.hosts()[h.name]['problem'] for h in f.hosts},
                         {h.name: want[h.known] for h in f.hosts}, r)
        stranger = os.path.join(self.dir, 'stranger')
        keygen(stranger)
        r = self.run_on(f, '--key', stranger, '*-hashed*', '--', 'true')
        self.assertEqual(set(r.facts().values()), {('auth-failed', 'auth', 'auth-denied')}, r)


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
