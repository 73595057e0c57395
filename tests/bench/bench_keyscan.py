#!/usr/bin/python3
"""What collecting host keys costs, against OpenSSH's ssh-keyscan, on one fleet in one go.

    tests/bench/bench_keyscan.py [--build DIR] [--hosts 2000] [--rounds 3]

Starts muster-sim, then collects the keys of all hosts in turn with muster keyscan and with ssh-keyscan -f,
first one kind of key, then all three (two of which the simulator has not). Prints the CPU time of each tool
with its children (not the servers') and its wall time, medians, and the ratios of the medians.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
from sim import Simulator  # noqa: E402


def measure(argv):
    """The output, CPU seconds (with children), wall seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return p.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', default=os.path.join(ROOT, 'build', 'bench'))
    parser.add_argument('--hosts', type=int, default=2000)
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args()
    os.environ.setdefault('MUSTER_BUILD', args.build)
    muster = os.path.join(args.build, 'controller', 'muster')
    with Simulator('--hosts', str(args.hosts)) as sim:
        with open(sim.targets) as f:
            targets = [line.split()[0].rpartition(':') for line in f]
        listed = os.path.join(sim.dir, 'list')
        with open(listed, 'w') as f:
            f.write(''.join(host + '\n' for host, _, _ in targets))
        for kinds in ('ed25519', 'ed25519,ecdsa,rsa'):
            tools = {'muster keyscan': [muster, 'keyscan', '-i', sim.inventory, '--known-hosts', sim.known_hosts, '-o',
                                        'json', '--types', kinds, 'all'],
                     'ssh-keyscan': ['ssh-keyscan', '-t', kinds, '-p', targets[0][2], '-T', '10', '-f', listed]}
            cpu, wall = {t: [] for t in tools}, {t: [] for t in tools}
            for _ in range(args.rounds):
                for tool, argv in tools.items():
                    out, c, w = measure(argv)
                    keys = (sum(len(h['keys']) for h in json.loads(out)['hosts']) if tool.startswith('muster')
                            else out.count(b' ssh-ed25519 '))
                    if keys != args.hosts:
                        sys.exit(f'{tool}: {keys} keys of {args.hosts} hosts')
                    cpu[tool].append(c)
                    wall[tool].append(w)
            print(f'{args.hosts} hosts, {kinds}:')
            for tool in tools:
                print(f'  {tool:15} {statistics.median(wall[tool]):7.2f} s wall  '
                      f'{1000 * statistics.median(cpu[tool]) / args.hosts:6.2f} ms CPU per host')
            a, b = tools
            print(f'  ssh-keyscan takes {statistics.median(wall[b]) / statistics.median(wall[a]):.1f} times the wall time '
                  f'and {statistics.median(cpu[b]) / statistics.median(cpu[a]):.1f} times the CPU')


if __name__ == '__main__':
    main()
