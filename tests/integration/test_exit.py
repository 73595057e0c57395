#!/usr/bin/python3
"""Ends of commands: every exit code, signals, a session that dies."""
from muster_case import MusterCase, main, stdout_of


class Exit(MusterCase):
    def test_every_exit_code(self):
        f = self.fleet()
        f.sshd('web', 256)
        f.write()
        r = self.run_on(f, '--yes', 'all', '--', 'exit $MUSTER_RANK')
        hosts = r.hosts()
        self.assertEqual(len(hosts), 256, r)
        codes = {}
        for i in range(256):
            h = hosts[f'web{i + 1}']
            codes[h['exit_code']] = (h['status'], h.get('problem') or '')
        self.assertEqual(sorted(codes), list(range(256)))
        self.assertEqual(codes.pop(0)[0], 'ok')
        self.assertEqual(set(codes.values()), {('failed', 'exit-nonzero')})
        self.assertEqual(r.code, 2, r)

    def test_all_ok_is_zero(self):
        f = self.fleet()
        f.sshd('web', 2)
        f.write()
        self.assertEqual(self.run_on(f, 'all', '--', 'true').code, 0)

    def test_signals(self):
        f = self.fleet()
        f.sshd('web', 4)
        f.write()
        r = self.run_on(f, 'all', '--', 'set -- TERM KILL SEGV HUP; shift $MUSTER_RANK; kill -$1 $$')
        hosts = r.hosts()
        self.assertEqual(r.code, 2, r)
        self.assertEqual({n: (h['status'], h['problem'], h['signal']) for n, h in hosts.items()},
                         {f'web{i + 1}': ('signaled', 'killed-by-signal', s)
                          for i, s in enumerate(('TERM', 'KILL', 'SEGV', 'HUP'))}, r)

    def test_connection_that_dies_is_lost(self):
        f = self.fleet()
        f.sshd('web', 2)
        f.write()
        r = self.run_on(f, 'all', '--', 'echo before; [ "$MUSTER_RANK" = 0 ] && kill -9 $PPID; sleep 0; echo after')
        hosts = r.hosts()
        self.assertEqual(hosts['web2']['status'], 'ok', r)
        self.assertEqual((hosts['web1']['status'], hosts['web1']['problem']), ('lost', 'connection-lost'), r)
        self.assertTrue(hosts['web1']['may_still_run'], r)
        self.assertEqual(r.code, 2, r)
        self.assertEqual(f.logins(), 2, 'what was sent must not be sent again')

    def test_timeouts(self):
        f = self.fleet()
        f.sshd('web', 1)
        f.write()
        r = self.run_on(f, '--timeout', '1s', 'all', '--', 'echo started; exec sleep 600')
        h = r.hosts()['web1']
        self.assertEqual((h['status'], h['problem'], r.code), ('timeout', 'run-timeout', 2), r)
        self.assertEqual(stdout_of(h), b'started\n')
        r = self.run_on(f, '--silence-timeout', '1s', 'all', '--', 'echo a; exec sleep 600')
        h = r.hosts()['web1']
        self.assertEqual((h['status'], h['problem'], r.code), ('timeout', 'silence-timeout', 2), r)


if __name__ == '__main__':
    main()
