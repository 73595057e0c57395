#!/usr/bin/python3
"""200 hosts, run after run: every host ok, nothing left behind; the same with ill hosts among them.

MUSTER_REPEAT is the number of runs in a row (30)."""
import os
import time

from muster_case import MusterCase, main, processes_of

REPEAT = int(os.environ.get('MUSTER_REPEAT', '30'))
CONNECT_TIMEOUT = 10
ILL = {
    'blackhole': ('unreachable', 'connect', 'connect-timeout'),
    'refused': ('unreachable', 'connect', 'connect-refused'),
    'reset': ('unreachable', 'banner', 'connection-reset'),
    'wrongkey': ('host-key', 'host-key', 'host-key-changed'),
}


class Fleet200(MusterCase):
    def watched_run(self, f, *args):
        """A run, and the descriptors of ours that it left open: a pipe that the run's processes all
        inherit reads as ended only when the last of them is gone."""
        r, w = os.pipe()
        try:
            p = self.start_on(f, *args, pass_fds=(w,))
            os.close(w)
            w = -1
            result = self.finish(p)
            self.assertEqual(os.read(r, 1), b'', 'no process may outlive the run')
            return result
        finally:
            os.close(r)
            if w >= 0:
                os.close(w)

    def test_runs_in_a_row(self):
        f = self.fleet()
        f.sshd('web', 200)
        f.write()
        ours = len(os.listdir('/proc/self/fd'))
        servers = self.server_processes()
        times = []
        for i in range(REPEAT):
            t = time.monotonic()
            r = self.watched_run(f, '--yes', 'all', '--', 'echo ok')
            times.append(time.monotonic() - t)
            self.assertEqual(r.code, 0, f'run {i}: {r}')
            self.assertEqual(set(r.statuses().values()), {'ok'}, f'run {i}: {r}')
            self.assertEqual(len(r.hosts()), 200)
        self.assertEqual(f.logins(), 200 * REPEAT)
        self.assertEqual(len(os.listdir('/proc/self/fd')), ours)
        # sshd's sessions end with the connections: one that we left open would still be there.
        self.wait_for(lambda: self.server_processes() <= servers, 'the end of every session')
        times.sort()
        print(f'{REPEAT} runs of 200: median {times[len(times) // 2]:.2f} s, slowest {times[-1]:.2f} s')

    @staticmethod
    def server_processes():
        return len(processes_of(os.getpid()))

    def test_one_in_a_hundred_ill(self):
        f = self.fleet()
        f.sshd('web', 192)
        for kind in ('blackhole', 'refused', 'reset'):
            f.peer(kind, kind, 2)
        f.sshd('wrongkey', 2, known='wrong')
        f.write()
        for i in range(max(1, REPEAT // 10)):
            t = time.monotonic()
            r = self.watched_run(f, '--yes', '--connect-timeout', f'{CONNECT_TIMEOUT}s', 'all', '--', 'echo ok')
            took = time.monotonic() - t
            facts = r.facts()
            self.assertEqual(len(facts), 200, r)
            for name, fact in facts.items():
                kind = name.rstrip('0123456789')
                if kind == 'web':
                    self.assertEqual(fact[0], 'ok', f'{name}: {fact}')
                elif kind == 'reset':
                    # The reset may be there before we have seen that the connection was.
                    self.assertIn(fact, (ILL[kind], ('unreachable', 'connect', 'connection-reset')), name)
                else:
                    self.assertEqual(fact, ILL[kind], name)
            self.assertEqual(r.code, 4, r)
            self.assertGreaterEqual(took, CONNECT_TIMEOUT * 0.9)
            print(f'with 8 ill hosts: {took:.2f} s')
            # The slowest bound is the connect timeout; the rest is what 192 sshds cost one machine,
            # generously: a run that waits for a second bound would take twice as long.
            self.assertLess(took, CONNECT_TIMEOUT * 2 + 60)


if __name__ == '__main__':
    main()
