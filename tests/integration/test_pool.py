#!/usr/bin/python3
"""The worker processes: shut in."""
import os

from muster_case import MusterCase, main, processes_of


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


if __name__ == '__main__':
    main()
