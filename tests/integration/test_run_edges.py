#!/usr/bin/python3
"""A run at its edges: workers that die or hang, readers that stall, few descriptors, bounds that meet."""
import fcntl
import json
import os
import resource
import signal
import subprocess
import threading

from muster_case import MusterCase, main, processes_of


class Edges(MusterCase):
    def setUp(self):
        super().setUp()
        self.marks = os.path.join(self.dir, 'marks')
        os.chmod(self.dir, 0o755)
        os.mkdir(self.marks)
        os.chmod(self.marks, 0o777)

    def web(self, count):
        f = self.fleet()
        f.sshd('web', count)
        f.write()
        return f

    def ran(self):
        """{host: how often its command began}"""
        found = {}
        for name in os.listdir(self.marks):
            with open(os.path.join(self.marks, name)) as f:
                found[name] = len(f.read().split())
        return found

    def command(self, then):
        return f'echo x >>{self.marks}/$MUSTER_HOST; {then}'

    # Workers

    def test_a_killed_worker_repeats_nothing(self):
        f = self.web(100)
        p = self.start_on(f, '--yes', '--no-breaker', 'all', '--', self.command('sleep 1'))
        self.wait_for(lambda: len(os.listdir(self.marks)) >= 10, 'ten commands')
        os.kill(processes_of(p.pid)[1], signal.SIGKILL)
        r = self.finish(p)
        hosts, ran = r.hosts(), self.ran()
        self.assertEqual(len(hosts), 100, r)
        self.assertEqual([n for n, times in ran.items() if times > 1], [], r)
        for name, h in hosts.items():
            if h['status'] == 'ok':
                continue
            self.assertEqual((h['status'], h['problem'], h['may_still_run']), ('lost', 'worker-lost', True), r)
        # Some were in the middle of their command: those were lost, and all the others done.
        self.assertIn('lost', r.statuses().values(), r)
        self.assertIn('was killed by signal 9', r.err)
        self.assertEqual(r.code, 2, r)

    # Bounds

    def test_a_locked_known_hosts_holds_nobody_for_ever(self):
        f = self.fleet()
        f.sshd('web', 2)
        f.sshd('new', 1, known='none')
        f.write()
        with open(f.known_hosts, 'a') as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            p = self.start_on(f, '--host-keys', 'accept-new', '--connect-timeout', '2s', 'all', '--', 'true')
            try:
                p.wait(60)
            except subprocess.TimeoutExpired:
                self.fail('the run waits for a lock that somebody else holds')
        r = self.finish(p)
        status, phase, _ = r.facts()['new1']
        self.assertEqual((r.statuses()['web1'], r.statuses()['web2'], phase), ('ok', 'ok', 'host-key'), r)
        self.assertIn(status, ('host-key', 'unreachable'), r)

    def test_few_descriptors(self):
        f = self.web(100)
        for most in (64, 100, 200):
            r = self.execute(['sh', '-c', f'ulimit -n {most}; exec "$@"', 'sh',
                              *self.argv(f, '-o', 'json', '--yes', '-f', '4000', 'all', '--', 'true')])
            self.assertEqual(set(r.statuses().values()), {'ok'}, r)

    def test_a_stop_in_a_wave(self):
        f = self.web(6)
        r = self.run_on(f, '--serial', '2', 'all', '--', self.command('[ $MUSTER_HOST != web3 ]'))
        want = dict.fromkeys(('web1', 'web2', 'web4'), 'ok')
        want.update(web3='failed', web5='not-started', web6='not-started')
        self.assertEqual(r.statuses(), want, r)
        self.assertEqual(set(self.ran()), {'web1', 'web2', 'web3', 'web4'})
        self.assertEqual(r.code, 2 | 4 | 8, r)

    def test_deadline_ends_what_runs(self):
        f = self.web(3)
        r = self.run_on(f, '--deadline', '3s', '-f', '2', 'all', '--', self.command('exec sleep 1000'))
        self.assertEqual(sorted((h['status'], h['problem']) for h in r.hosts().values()),
                         [('not-started', 'deadline')] + [('timeout', 'run-deadline')] * 2, r)
        self.assertEqual(len(self.ran()), 2, r)

    def test_rate(self):
        f = self.web(6)
        r = self.run_on(f, '--rate', '4/s', 'all', '--', 'true')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        starts = sorted(h['started'] for h in r.hosts().values())
        self.assertEqual(len(set(starts)), 6, r)
        self.assertGreaterEqual(json.loads(r.out)['duration_ms'], 5 * 250 - 20, r)

    # At the gate

    def test_cancel_at_the_gate(self):
        f = self.fleet()
        host = f.peer('quiet', 'silent')[0]
        f.write()
        lines = ['all:', '  hosts:'] + [f'    same{i}: {{ansible_host: {host.address}, ansible_port: {host.port}, '
                                        f'ansible_ssh_private_key_file: {f.key}}}' for i in range(40)]
        with open(f.inventory, 'w') as out:
            out.write('\n'.join(lines) + '\n')
        p = self.start_on(f, '--connect-timeout', '1000s', 'all', '--', 'true')
        # Eight are let through to one server, and no more.
        self.wait_for(lambda: connections(host.port) == 8, 'eight connections')
        os.kill(p.pid, signal.SIGINT)
        r = self.finish(p)
        self.assertEqual(set(r.statuses().values()), {'cancelled'}, r)
        self.assertEqual(len(r.hosts()), 40, r)
        self.assertEqual(r.code, 130, r)

    def test_all_workers_die_with_many_at_the_gate(self):
        f = self.fleet()
        host = f.peer('quiet', 'silent')[0]
        f.write()
        count = 3000
        lines = ['all:', '  hosts:'] + [f'    same{i}: {{ansible_host: {host.address}, ansible_port: {host.port}, '
                                        f'ansible_ssh_private_key_file: {f.key}}}' for i in range(count)]
        with open(f.inventory, 'w') as out:
            out.write('\n'.join(lines) + '\n')
        p = self.start_on(f, '--connect-timeout', '1000s', '-f', str(count), '--yes', '--retries', '0',
                          '--no-breaker', 'all', '--', 'true', preexec_fn=small_stack)
        ends = []
        reader = threading.Thread(target=lambda: ends.append(self.finish(p)))
        reader.start()
        while reader.is_alive():  # until no other is put in their place
            self.wait_for(lambda: not reader.is_alive() or connections(host.port) == 8, 'eight connections')
            for pid in processes_of(p.pid)[1:]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        r = ends[0]
        self.assertEqual(len(r.hosts()), count)
        self.assertEqual({h['problem'] for h in r.hosts().values()}, {'worker-died'})

    # Readers

    def test_second_interrupt_with_both_outputs_stalled(self):
        f = self.web(2)
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        p = self.start_on(f, 'all', '--', self.command('exec yes'), output='stream',
                          stdout=write_end, stderr=write_end)
        os.close(write_end)
        self.wait_for(lambda: len(os.listdir(self.marks)) == 2, 'both commands')
        self.wait_for(lambda: not room(read_end), 'a full pipe')
        for _ in range(40):
            os.kill(p.pid, signal.SIGINT)
            try:
                p.wait(0.5)
                break
            except subprocess.TimeoutExpired:
                pass
        self.assertIn(p.poll(), (130, -signal.SIGINT), 'Ctrl-C again and again, and it stays')


def small_stack():
    """What is deep for many hosts is then too deep."""
    resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, 1 << 20))


def connections(port):
    """Established ones to a port of this machine."""
    found = 0
    with open('/proc/net/tcp') as f:
        for line in list(f)[1:]:
            _, _, remote, state = line.split()[:4]
            found += state == '01' and int(remote.split(':')[1], 16) == port
    return found


def room(fd):
    """Can a pipe take more?"""
    waiting = fcntl.ioctl(fd, 0x541b, b'\0\0\0\0')      # FIONREAD
    return int.from_bytes(waiting, 'little') < fcntl.fcntl(fd, 1032) - 4096     # F_GETPIPE_SZ


if __name__ == '__main__':
    main()
