#!/usr/bin/python3
"""What is left when something dies in the middle: nothing on the hosts but what was detached, and a named outcome
here."""
import os
import signal
import time

from muster_case import MusterCase, main, processes_of
from on_host import Process, agents_below, below, marked, parent_of
from relay import Relay

# How long what is not detached may still be there once the connection is gone: the agent's four seconds and one.
SECONDS = 5
# What a machine that is busy adds to that before it is a defect; the time itself is printed.
SLACK = 15


class Leftovers(MusterCase):
    """Two hosts; on each a command that ignores polite signals, with children in sessions of their own, and a
    job that was detached before. The hosts' homes are in the environment of all of them, and of nothing else."""

    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o755)
        self.marks = os.path.join(self.dir, 'marks')
        os.mkdir(self.marks)
        os.chmod(self.marks, 0o777)
        self.f = self.fleet()
        self.web = self.f.sshd('web', 2, per_host=True)
        self.f.write()
        r = self.run_on(self.f, '--detach', 'web', '--', self.command('job', 'exec sleep 1000'))
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.jobs = [self.pid(f'job.web{i}') for i in (1, 2)]
        for j in self.jobs:
            self.addCleanup(j.kill)
        for h in self.web:
            self.wait_for(lambda h=h: not below(h.process.pid), 'the end of the connections')
        self.detached = self.ours()     # the jobs and their keepers
        for d in self.detached:
            self.addCleanup(d.kill)

    def ours(self):
        """All that runs there. Where an environment is not ours to read, all that is known by number."""
        homes = [os.path.join(os.path.dirname(h.log), 'home') for h in self.web]
        return {p for d in homes for p in marked(f'HOME={d}')} | {p for p in self.seen if p.alive()}

    seen = frozenset()

    def command(self, name, text):
        mark = f'{self.marks}/{name}.$MUSTER_HOST'
        return f'echo $$ >{mark}.new; mv {mark}.new {mark}; {text}'

    def pid(self, name):
        path = os.path.join(self.marks, name)
        self.wait_for(lambda: os.path.exists(path), name)
        with open(path) as f:
            return Process(int(f.read()))

    STUBBORN = ('trap "" TERM HUP INT QUIT PIPE; (setsid sh -c "sleep 1000; sleep 1000" >/dev/null 2>&1 &); '
                '(sleep 1000 & sleep 1000); sleep 1000')

    def running(self, *options, verb='run'):
        """A run under way on both hosts; its process, and what it runs there."""
        p = self.start_on(self.f, *(options or ['--on-disconnect', 'kill']), 'web', '--',
                          self.command('main', self.STUBBORN))
        mains = [self.pid(f'main.web{i}') for i in (1, 2)]
        self.wait_for(lambda: all(len(processes_of(m.pid)) >= 3 for m in mains), 'the children')
        keepers = [parent_of(m) for m in mains]
        self.seen = frozenset([x for h in self.web for x in below(h.process.pid)] + keepers +
                              [x for k in keepers for x in below(k.pid)])
        self.assertNotIn(1, [k.pid for k in keepers])
        self.assertGreater(len(self.ours() - self.detached), 8)
        return p

    def nothing_is_left(self, since):
        """Nothing but what was detached, and that is all still there."""
        while (left := self.ours() - self.detached) and time.monotonic() < since + SECONDS + SLACK:
            next(iter(left)).wait(0.5)
        took = time.monotonic() - since
        self.assertEqual(left, set(), f'{took:.1f} s after the end')
        self.assertTrue(all(d.alive() for d in self.detached), self.detached)
        print(f' nothing left after {took:.1f} s', end='', flush=True)

    def test_controller_killed(self):
        p = self.running()
        since = time.monotonic()
        os.kill(p.pid, signal.SIGKILL)
        p.wait()
        self.nothing_is_left(since)
        r = self.muster('show', '-o', 'json', 'last')
        self.assertEqual({h['status'] for h in r.hosts().values()}, {'unknown'}, r)

    def test_worker_killed(self):
        """Its hosts end as lost, each once, and what ran there ends."""
        p = self.running('--on-disconnect', 'kill', '--workers', '1')
        worker = Process(processes_of(p.pid)[1])
        since = time.monotonic()
        self.assertTrue(worker.kill())
        r = self.finish(p)
        self.assertEqual(set(r.facts().values()), {('lost', 'run', 'worker-lost')}, r)
        self.nothing_is_left(since)

    def test_session_killed(self):
        """sshd's process for the connection, by kill -9."""
        p = self.running()
        since = time.monotonic()
        for h in self.web:
            for x in below(h.process.pid):
                if 'sshd' in x.command().split(' ')[0]:
                    x.kill()
        r = self.finish(p)
        self.assertEqual(set(r.facts().values()), {('lost', 'run', 'connection-lost')}, r)
        self.nothing_is_left(since)

    def test_agent_killed(self):
        """kill -9 of the agent: the command does not run twice, and ends all the same."""
        p = self.running()
        since = time.monotonic()
        for h in self.web:
            agents = agents_below(h.process.pid)
            self.assertTrue(agents)
            agents[0].kill()
        r = self.finish(p)
        self.assertEqual({(h['status'], h['problem']) for h in r.hosts().values()}, {('lost', 'agent-died')}, r)
        self.assertEqual(len([n for n in os.listdir(self.marks) if n.startswith('main')]), 2)
        self.nothing_is_left(since)

    def test_interrupted(self):
        p = self.running()
        os.kill(p.pid, signal.SIGINT)
        r = self.finish(p)
        since = time.monotonic()
        self.assertEqual({(h['status'], h['may_still_run']) for h in r.hosts().values()}, {('cancelled', False)}, r)
        self.nothing_is_left(since)

    def test_stats_killed(self):
        p = self.start_stats()
        self.wait_for(lambda: all(agents_below(h.process.pid) for h in self.web), 'the agents')
        since = time.monotonic()
        os.kill(p.pid, signal.SIGKILL)
        p.wait()
        self.nothing_is_left(since)

    def start_stats(self):
        real, self.argv = self.argv, lambda f, *a: real(f, *a, verb='stats')
        try:
            return self.start_on(self.f, '--interval', '1s', 'web', output='ndjson')
        finally:
            self.argv = real


class Silence(MusterCase):
    def test_half_open(self):
        """The network in between is gone with no word to either end: known here after three pings, and on the
        host, by the agent itself, after as long; what it runs ends with it."""
        f = self.fleet()
        web = f.sshd('web', 2, per_host=True)
        relay = Relay(web[0])
        self.addCleanup(relay.stop)
        f.write()
        marks = os.path.join(self.dir, 'mark')
        os.chmod(self.dir, 0o777)
        p = self.start_on(f, '--on-disconnect', 'kill', 'web', '--', f'echo $$ >{marks}.$MUSTER_HOST.new; '
                          f'mv {marks}.$MUSTER_HOST.new {marks}.$MUSTER_HOST; '
                          f'[ $MUSTER_HOST = web1 ] || while [ ! -e {marks}.go ]; do sleep 0.1; done; '
                          '[ $MUSTER_HOST = web2 ] || { trap "" TERM HUP; sleep 1000; sleep 1000; }')
        self.wait_for(lambda: all(os.path.exists(f'{marks}.web{i}') for i in (1, 2)), 'the commands')
        with open(marks + '.web1') as x:
            victim = Process(int(x.read()))
        ours = [victim, parent_of(victim), *agents_below(web[0].process.pid)]
        self.assertEqual(len(set(ours)), 3, ours)
        relay.hold()
        self.wait_for(lambda: 'agent-silent' in self.records(), 'the host that is silent')
        with open(marks + '.go', 'w'):
            pass
        r = self.finish(p)
        self.assertEqual(r.facts(), {'web1': ('lost', 'run', 'agent-silent'), 'web2': ('ok', 'run', None)}, r)
        self.assertEqual(r.hosts()['web1']['may_still_run'], True, r)
        for x in ours:      # sshd still believes in its connection; it is the agent who knows better
            self.assertTrue(x.wait(120), x)

    def records(self):
        text = ''
        for d, _, names in os.walk(self.state):
            for n in names:
                with open(os.path.join(d, n), errors='replace') as f:
                    text += f.read()
        return text


if __name__ == '__main__':
    main()
