#!/usr/bin/python3
"""The worker processes: shut in, and replaced when they die. Nothing is lost, nothing told twice."""
import collections
import json
import os
import random
import resource
import signal

from muster_case import MusterCase, main, processes_of
from sim import Simulator


def lines_of(pid, name):
    """{key: rest of the line} of a file of /proc."""
    with open(f'/proc/{pid}/{name}') as f:
        return {k.strip(): v.strip() for k, _, v in (x.partition(':') for x in f)}


class Pool(MusterCase):
    def running(self, *args):
        """A run that stays: its process and its workers."""
        f = self.fleet()
        f.sshd('web', 2)
        f.write()
        mark = os.path.join(self.dir, 'mark')
        os.chmod(self.dir, 0o777)
        p = self.start_on(f, *args, 'all', '--', f': >>{mark}.$MUSTER_HOST; exec sleep 1000')
        self.wait_for(lambda: all(os.path.exists(f'{mark}.web{i}') for i in (1, 2)), 'the commands')
        return p, processes_of(p.pid)[1:]

    def test_seen_from_outside(self):
        """What a worker of the program itself is, not one of a unit test. What it may do inside is tested there."""
        p, workers = self.running('--workers', '2')
        self.assertEqual(len(workers), 2)
        for pid in workers:
            status = lines_of(pid, 'status')
            self.assertEqual(status['Name'], 'muster-worker')
            self.assertEqual(status['NoNewPrivs'], '1')
            self.assertEqual(status['Seccomp'], '2')
            with open(f'/proc/{pid}/limits') as f:
                core = [x.split() for x in f if x.startswith('Max core file size')]
            self.assertEqual(core[0][4:6], ['0', '0'])
            # Not dumpable: its files of /proc are root's, so that the user's other processes cannot look.
            self.assertEqual(os.stat(f'/proc/{pid}/environ').st_uid, 0)
            if os.geteuid() != 0:
                with self.assertRaises(PermissionError):
                    open(f'/proc/{pid}/mem', 'rb')
        self.assertTrue(p.poll() is None)

    def start_on_sim(self, hosts, *args, command='true', **kwargs):
        sim = Simulator('--hosts', str(hosts), '--latency', '20ms')
        self.addCleanup(sim.stop)
        return self.start_on(sim, '--yes', '--connect-timeout', '60s', *args, 'all', '--', command, output='ndjson',
                             **kwargs)

    def workers_of(self, p):
        """Those that are still there."""
        found = []
        for pid in processes_of(p.pid)[1:]:
            try:
                status = lines_of(pid, 'status')
            except OSError:
                continue
            if status['Name'] == 'muster-worker' and not status['State'].startswith('Z'):
                found.append(pid)
        return found

    def results_while(self, p, act):
        """{host: object} of the run, each once; act(count of results so far) after each."""
        found = {}
        for line in p.stdout:
            o = json.loads(line)
            if 'host' in o:
                self.assertNotIn(o['host'], found)
                found[o['host']] = o
                act(len(found))
        return found

    def check_ends(self, p, found, hosts):
        err = p.stderr.read().decode()
        p.wait()
        ends = collections.Counter((h['status'], h.get('problem')) for h in found.values())
        said = (ends, err[-3000:])
        self.assertEqual(sum(ends.values()), hosts, said)
        # What was running when its worker died is lost; one alone with a dying worker is the suspect.
        allowed = {('ok', None), ('lost', 'worker-lost'), ('unreachable', 'worker-died')}
        self.assertEqual({(s, x or None) for s, x in ends} - allowed, set(), said)
        self.assertNotIn('Sanitizer', err)
        self.assertEqual(processes_of(p.pid), [p.pid])
        return ends, err

    def test_killed_worker(self):
        """One of two, once: another takes its place, and the run ends as if nothing had been but for what ran."""
        p = self.start_on_sim(300, '-v', '-f', '40', '--workers', '2')
        killed = []

        def act(count):
            if count == 60:
                killed.append(self.workers_of(p)[0])
                os.kill(killed[0], signal.SIGKILL)
        found = self.results_while(p, act)
        ends, err = self.check_ends(p, found, 300)
        self.assertGreaterEqual(ends['ok', ''] + ends['ok', None], 260, ends)
        self.assertIn(f'(process {killed[0]}) was killed by signal 9; another takes its place', err)
        self.assertRegex(err, r'worker [12] is process [0-9]+ now')

    def test_killed_at_random(self):
        """All of them, again and again; more than there ever were at a time."""
        rng = random.Random(4)
        p = self.start_on_sim(400, '-f', '40', '--workers', '2', '--no-breaker')
        kills, when = collections.Counter(), set(rng.sample(range(1, 250), 8))

        def act(count):
            if count in when:
                self.wait_for(lambda: self.workers_of(p), 'a worker')
                workers = self.workers_of(p)
                for pid in workers if rng.random() < 0.3 else workers[:1]:
                    os.kill(pid, signal.SIGKILL)
                    kills[pid] += 1
        found = self.results_while(p, act)
        ends, err = self.check_ends(p, found, 400)
        self.assertGreater(len(kills), 4, err[-3000:])
        self.assertGreaterEqual(ends['ok', ''] + ends['ok', None], 200, (ends, err[-3000:]))

    def test_killed_coordinator(self):
        """With a worker that was replaced: nobody stays behind."""
        p, workers = self.running('--workers', '2')
        os.kill(workers[0], signal.SIGKILL)
        self.wait_for(lambda: len(set(self.workers_of(p)) - set(workers)) == 1, 'another worker')
        family = self.workers_of(p)
        os.kill(p.pid, signal.SIGKILL)
        p.wait()
        self.wait_for(lambda: not any(self.is_worker(pid) for pid in family), 'the end of the workers')

    @staticmethod
    def is_worker(pid):
        try:
            status = lines_of(pid, 'status')
        except OSError:
            return False
        return status['Name'] == 'muster-worker' and not status['State'].startswith(('Z', 'X'))

    def test_cancelled_in_line(self):
        """Some are in a handshake, some in a worker's line, some nowhere yet: each is told once."""
        p = self.start_on_sim(1500, '-f', '1000', '--workers', '2')

        def act(count):
            if count == 1:
                os.kill(p.pid, signal.SIGINT)
        found = self.results_while(p, act)
        self.assertEqual(len(found), 1500)
        self.assertLessEqual({h['status'] for h in found.values()}, {'ok', 'cancelled', 'not-started'})
        err = p.stderr.read().decode()
        self.assertEqual(p.wait(), 130, err)
        self.assertNotIn('Sanitizer', err)

    def test_few_descriptors(self):
        """The fan-out is lowered with a word, and no host fails for want of a descriptor."""
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
        p = self.start_on_sim(200, '-f', '200', '--workers', '2', preexec_fn=few)
        found = self.results_while(p, lambda count: None)
        err = p.stderr.read().decode()
        self.assertEqual(p.wait(), 0, err)
        self.assertEqual({h['status'] for h in found.values()}, {'ok'})
        self.assertEqual(len(found), 200)
        self.assertIn('--fanout lowered', err)

    def test_few_descriptors_behind_a_bastion(self):
        """There a host takes two."""
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (44, 44))
        f = self.fleet()
        f.sshd('gate', 1)
        f.sshd('web', 12)
        f.write()
        p = self.start_on(f, '-J', 'gate1', '-f', '12', '--connect-timeout', '60s', 'web', '--', 'true', preexec_fn=few)
        r = self.finish(p)
        self.assertEqual(r.code, 0, r)
        self.assertIn('room for 10 hosts at a time', r.err)

    def test_not_by_hand(self):
        r = self.muster('--worker-process', '1')
        self.assertEqual(r.code, 2, r)
        self.assertIn('not for use by hand', r.err)
        self.assertNotIn('worker-process', self.muster('--help').out)


if __name__ == '__main__':
    main()
