"""What the integration tests share: a case with a muster to run and a state folder of its own.

    class Something(MusterCase):
        def test_it(self):
            fleet = self.fleet()
            fleet.sshd('web', 3)
            fleet.write()
            r = self.run_on(fleet, 'all', '--', 'true')
            self.assertEqual(r.code, 0, r)
            self.assertEqual(r.statuses(), {'web1': 'ok', …})

A test has no time limit of its own: a hang is ctest's to end, at its default of 25 minutes.
"""
import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from fleet import Fleet

MUSTER = os.environ.get('MUSTER', '')
SANITIZED = ('AddressSanitizer', 'LeakSanitizer', 'runtime error:', 'ThreadSanitizer')


class Result:
    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.raw, self.raw_err = argv, code, out, err

    @property
    def out(self):
        return self.raw.decode('utf-8', 'replace')

    @property
    def err(self):
        return self.raw_err.decode('utf-8', 'replace')

    def __str__(self):
        return (f'{" ".join(self.argv)}\nexit {self.code}\n--- stdout\n{self.out[-6000:]}'
                f'\n--- stderr\n{self.err[-6000:]}')

    def hosts(self):
        """{name: object} of a run with -o json or -o ndjson."""
        found = {}
        for o in self._objects():
            for h in o.get('results', [o]) if isinstance(o, dict) else []:
                if isinstance(h, dict) and 'host' in h and 'status' in h:
                    found[h['host']] = h
        return found

    def _objects(self):
        text = self.raw.decode('utf-8')      # valid UTF-8 is part of the promise
        try:
            return [json.loads(text)]
        except ValueError:
            return [json.loads(line) for line in text.split('\n') if line]

    def statuses(self):
        return {n: h['status'] for n, h in self.hosts().items()}

    def facts(self):
        """{name: (status, phase, problem)}"""
        return {n: (h['status'], h.get('phase'), h.get('problem')) for n, h in self.hosts().items()}


def stdout_of(host, stream='stdout'):
    """The bytes of a host object's stream."""
    if stream + '_base64' in host:
        return base64.b64decode(host[stream + '_base64'])
    return host.get(stream, '').encode()


class MusterCase(unittest.TestCase):
    maxDiff = 4000
    program = MUSTER

    def setUp(self):
        if not os.access(MUSTER, os.X_OK):
            self.fail('MUSTER names no program: run this through ctest or tests/run')
        self.dir = tempfile.mkdtemp(prefix='muster-test-')
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.state = os.path.join(self.dir, 'state')
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(('MUSTER_', 'ANSIBLE_')) and k not in ('SSH_AUTH_SOCK', 'NO_COLOR')}
        self.env.update(HOME=self.dir, XDG_STATE_HOME=self.state,
                        XDG_CONFIG_HOME=os.path.join(self.dir, 'config'),
                        XDG_CACHE_HOME=os.path.join(self.dir, 'cache'), TERM='xterm-256color',
                        LC_ALL='C.UTF-8')

    def fleet(self):
        f = Fleet()
        self.addCleanup(f.stop)
        return f

    def options(self, fleet):
        return ['-i', fleet.inventory, '--known-hosts', fleet.known_hosts]

    def argv(self, fleet, *args, verb='run'):
        return [self.program, verb, *(self.options(fleet) if fleet else []), *args]

    def muster(self, *args, stdin=b'', env=None):
        return self.execute([MUSTER, *args], stdin, env)

    def run_on(self, fleet, *args, stdin=b'', env=None, output='json'):
        """muster run with the fleet's inventory; output json unless told otherwise."""
        form = ['-o', output] if output else []
        return self.execute(self.argv(fleet, *form, *args), stdin, env)

    def execute(self, argv, stdin=b'', env=None):
        p = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           env=dict(self.env, **(env or {})))
        return self.checked(Result(argv, p.returncode, p.stdout, p.stderr))

    def checked(self, r):
        for word in SANITIZED:
            self.assertNotIn(word, r.err, r)
        self.assertGreaterEqual(r.code, 0, r)
        return r

    def start_on(self, fleet, *args, output='json', env=None, **kwargs):
        """As run_on, but returns the process, with pipes, in a process group of its own."""
        form = ['-o', output] if output else []
        kwargs.setdefault('stdout', subprocess.PIPE)
        kwargs.setdefault('stderr', subprocess.PIPE)
        kwargs.setdefault('stdin', subprocess.DEVNULL)
        p = subprocess.Popen(self.argv(fleet, *form, *args), env=dict(self.env, **(env or {})),
                             start_new_session=True, **kwargs)
        self.addCleanup(self._end, p)
        return p

    @staticmethod
    def _end(p):
        for f in (p.stdin, p.stdout, p.stderr):
            if f:
                f.close()
        if p.poll() is None:
            os.killpg(p.pid, signal.SIGKILL)
        p.wait()

    def finish(self, p):
        out, err = p.communicate()
        return self.checked(Result([str(a) for a in p.args], p.returncode, out or b'', err or b''))

    def wait_for(self, condition, what):
        """Polls for what has no event to wait on; only a defect makes this reach its end."""
        end = time.monotonic() + 300
        while not condition():
            self.assertLess(time.monotonic(), end, f'never came: {what}')
            time.sleep(0.01)


def processes_of(pid):
    """The process and all below it."""
    found, queue = [], [pid]
    children = {}
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                with open(f'/proc/{entry}/stat') as f:
                    parent = int(f.read().rpartition(')')[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
            except OSError:
                pass
    while queue:
        p = queue.pop()
        found.append(p)
        queue += children.get(p, [])
    return found


class MemoryWatch(threading.Thread):
    """The highest resident sizes of a process and all its children, by reading VmHWM often."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peaks, self.ended = pid, {}, threading.Event()
        self.start()

    def run(self):
        while not self.ended.is_set():
            for p in processes_of(self.pid):
                try:
                    with open(f'/proc/{p}/status') as f:
                        for line in f:
                            if line.startswith('VmHWM:'):
                                self.peaks[p] = max(self.peaks.get(p, 0), int(line.split()[1]))
                except OSError:
                    pass
            self.ended.wait(0.02)

    def total(self):
        """Bytes; the sum of each process's own peak."""
        self.ended.set()
        self.join()
        return sum(self.peaks.values()) * 1024


def main():
    unittest.main(module=sys.modules['__main__'], verbosity=2)
