"""The fleet simulator for tests: starts muster-sim, waits until it listens, knows what to expect.

    with Simulator('--hosts', '300', '--fault', 'stall-kex=2%') as sim:
        subprocess.run([muster, 'run', '-i', sim.inventory, '--known-hosts', sim.known_hosts, …])
        sim.expected()       # {host: (status, phase, problem)}

The program is $MUSTER_SIM, or the one built beside the program under test ($MUSTER_BUILD). It ends
with the process that started it.
"""
import json
import os
import shutil
import subprocess
import tempfile


def find_sim():
    path = os.environ.get('MUSTER_SIM') or os.path.join(os.environ.get('MUSTER_BUILD', ''),
                                                        'tests', 'sim', 'muster-sim')
    if not os.access(path, os.X_OK):
        raise OSError(f'{path} is no program: MUSTER_SIM or MUSTER_BUILD says where muster-sim is')
    return path


class Simulator:
    def __init__(self, *options):
        self.dir = tempfile.mkdtemp(prefix='muster-sim-')
        self.inventory, self.known_hosts, self.key, self.targets, self.expect = (
            os.path.join(self.dir, n) for n in ('inventory.yml', 'known_hosts', 'id', 'targets', 'expect.json'))
        self.process = subprocess.Popen(
            [find_sim(), '--inventory', self.inventory, '--known-hosts', self.known_hosts, '--user-key', self.key,
             '--targets', self.targets, '--expect', self.expect, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.ready = self.process.stdout.readline().decode()
        if not self.ready.startswith('ready'):
            raise OSError(f'muster-sim did not start: {self.stop()[1]}')

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def expected(self):
        """{host: (status, phase, problem)} of `true`."""
        with open(self.expect) as f:
            return {h: (x['status'], x['phase'], x['problem']) for h, x in json.load(f).items()}

    def faults(self):
        """{host: name of its fault}"""
        with open(self.expect) as f:
            return {h: x['fault'] for h, x in json.load(f).items()}

    def stop(self):
        """Ends it by closing its standard input. Returns (exit code, what it said on stderr)."""
        _, err = self.process.communicate()
        shutil.rmtree(self.dir, ignore_errors=True)
        return self.process.returncode, err.decode()
