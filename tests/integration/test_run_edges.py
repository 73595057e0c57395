#!/usr/bin/python3
"""A run at its edges: workers that die or hang, readers that stall, few descriptors, bounds that meet."""
import fcntl
import os
import signal
import subprocess

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


def room(fd):
    """Can a pipe take more?"""
    waiting = fcntl.ioctl(fd, 0x541b, b'\0\0\0\0')      # FIONREAD
    return int.from_bytes(waiting, 'little') < fcntl.fcntl(fd, 1032) - 4096     # F_GETPIPE_SZ


if __name__ == '__main__':
    main()
