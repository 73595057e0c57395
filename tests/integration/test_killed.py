#!/usr/bin/python3
"""A controller that is killed: its record tells what is known, and what is not; retry goes on from there."""
import json
import os
import signal

from muster_case import MusterCase, main, processes_of


class Killed(MusterCase):
    def records(self):
        found = []
        for d, _, names in os.walk(self.state):
            found += [os.path.join(d, n) for n in names if n.endswith('.ndjson')]
        return sorted(found)

    def text(self):
        with open(self.records()[0]) as f:
            return f.read()

    def lines(self):
        return [json.loads(line) for line in self.text().split('\n')[:-1]]

    def test_kill_9(self):
        f = self.fleet()
        f.sshd('web', 6)
        f.write()
        marks = os.path.join(self.dir, 'marks')
        os.chmod(self.dir, 0o755)
        os.mkdir(marks)
        os.chmod(marks, 0o777)
        # The first two end, the next two never do, the last two never start.
        p = self.start_on(f, '-f', '2', 'all', '--',
                          f': >{marks}/$MUSTER_HOST; [ "$MUSTER_RANK" -lt 2 ] || exec sleep 1000')
        self.wait_for(lambda: len(os.listdir(marks)) == 4, 'four commands')
        self.wait_for(lambda: 'result' in str(self.lines()), 'a result in the record')
        self.wait_for(lambda: sum('sent' in str(x) for x in self.lines()) >= 2, 'what was sent')
        family = processes_of(p.pid)
        os.kill(p.pid, signal.SIGKILL)
        p.wait()
        for pid in family[1:]:
            self.wait_for(lambda pid=pid: not os.path.exists(f'/proc/{pid}') or zombie(pid),
                          f'the end of worker {pid}')
        r = self.muster('show', '-o', 'json', 'last')
        statuses = {n: h['status'] for n, h in r.hosts().items()}
        self.assertEqual(len(statuses), 6, r)
        for name in ('web1', 'web2'):
            self.assertIn(statuses[name], ('ok', 'unknown'), r)
        for name in ('web3', 'web4'):
            self.assertIn(statuses[name], ('unknown', 'not-started'), r)
        for name in ('web5', 'web6'):
            self.assertEqual(statuses[name], 'not-started', r)
        r = self.muster('history')
        self.assertEqual(r.code, 0, r)
        # Only those that never started, and the command as it was.
        r = self.muster('retry', 'last', '--not-started', '--dry-run')
        self.assertIn('web', r.out)
        self.assertNotIn('web1', r.out.replace('web[', ''), r)

    def test_record_of_a_good_run(self):
        f = self.fleet()
        f.sshd('web', 2)
        f.peer('gone', 'refused')
        f.write()
        r = self.run_on(f, '--retries', '0', '--reason', 'ticket 7', '--env', 'TOKEN=hunter2', 'all', '--', 'echo hello')
        self.assertEqual(r.code, 4, r)
        self.assertEqual(len(self.records()), 1)
        text = self.text()
        self.assertIn('ticket 7', text)
        self.assertNotIn('hunter2', text)
        self.assertEqual(os.stat(self.records()[0]).st_mode & 0o777, 0o600)
        shown = self.muster('show', '-o', 'json', 'last')
        self.assertEqual({n: h['status'] for n, h in shown.hosts().items()},
                         {'web1': 'ok', 'web2': 'ok', 'gone1': 'unreachable'}, shown)
        # A value that was not recorded is asked for, not left out in silence.
        bare = self.muster('retry', 'last', '--unreachable')
        self.assertEqual(bare.code, 1, bare)
        self.assertIn('--env TOKEN', bare.err)
        again = self.muster('retry', 'last', '--unreachable', '--env', 'TOKEN=hunter2', '-o', 'json')
        self.assertEqual(again.facts(), {'gone1': ('unreachable', 'connect', 'connect-refused')}, again)
        self.assertEqual(f.logins(), 2)

    def test_no_log_command(self):
        f = self.fleet()
        f.sshd('web', 1)
        f.write()
        r = self.run_on(f, '--no-log-command', 'all', '--', 'echo s3cr3t')
        self.assertEqual(r.code, 0, r)
        text = self.text()
        start = text.split('\n')[0]
        self.assertNotIn('s3cr3t', start)


def zombie(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rpartition(')')[2].split()[0] in 'ZX'
    except FileNotFoundError:
        return True


if __name__ == '__main__':
    main()
