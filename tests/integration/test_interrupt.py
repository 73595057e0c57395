#!/usr/bin/python3
"""Ctrl-C: the first cancels and reports, the second leaves at once."""
import os
import signal

from muster_case import MusterCase, main, processes_of


class Interrupt(MusterCase):
    def begin(self, command, hosts=3, *options):
        """A run whose commands are known to have started: each makes a file."""
        self.f = self.fleet()
        self.f.sshd('web', hosts)
        self.f.write()
        self.marks = os.path.join(self.dir, 'marks')
        os.mkdir(self.marks)
        os.chmod(self.dir, 0o755)
        os.chmod(self.marks, 0o777)
        return self.start_on(self.f, *options, 'all', '--', f'echo partial; : >{self.marks}/$MUSTER_HOST; {command}')

    def started(self, count):
        self.wait_for(lambda: len(os.listdir(self.marks)) == count, f'{count} commands')

    def test_first_interrupt(self):
        p = self.begin('exec sleep 1000', 3, '-f', '2')
        self.started(2)
        os.kill(p.pid, signal.SIGINT)
        r = self.finish(p)
        self.assertEqual(r.code, 130, r)
        hosts = r.hosts()
        status = sorted((h['status'], h['problem']) for h in hosts.values())
        self.assertEqual(status, [('cancelled', 'cancelled')] * 2 + [('not-started', 'run-cancelled')], r)
        self.assertEqual(len(os.listdir(self.marks)), 2, 'nothing new may start')

    def test_second_interrupt(self):
        # These ignore what the first one sends.
        p = self.begin("trap '' TERM INT HUP; while :; do sleep 1; done")
        self.started(3)
        family = processes_of(p.pid)
        os.kill(p.pid, signal.SIGINT)
        os.kill(p.pid, signal.SIGINT)
        # The second may fall together with the first: one more cannot be too many.
        while p.poll() is None:
            os.kill(p.pid, signal.SIGINT)
            try:
                p.wait(0.5)
            except Exception:
                pass
        r = self.finish(p)
        self.assertEqual(r.code, 130, r)
        for pid in family:
            self.wait_for(lambda pid=pid: not alive(pid), f'end of {pid}')

    def test_term_is_as_an_interrupt(self):
        p = self.begin('exec sleep 1000')
        self.started(3)
        os.kill(p.pid, signal.SIGTERM)
        r = self.finish(p)
        self.assertEqual({h['status'] for h in r.hosts().values()}, {'cancelled'}, r)
        self.assertIn(r.code, (130, 143), r)

    def test_what_came_before_is_reported(self):
        p = self.begin('[ "$MUSTER_RANK" = 0 ] && exit 0; exec sleep 1000', 3)
        self.started(3)
        self.wait_for(lambda: self.results() >= 1, 'the first result')
        os.kill(p.pid, signal.SIGINT)
        r = self.finish(p)
        self.assertEqual(r.statuses(), {'web1': 'ok', 'web2': 'cancelled', 'web3': 'cancelled'}, r)

    def results(self):
        found = 0
        for d, _, names in os.walk(self.state):
            for n in names:
                if n.endswith('.ndjson'):
                    with open(os.path.join(d, n)) as f:
                        found += sum('"result"' in line for line in f)
        return found


def alive(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rpartition(')')[2].split()[0] not in 'ZX'
    except FileNotFoundError:
        return False


if __name__ == '__main__':
    main()
