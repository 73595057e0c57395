#!/usr/bin/python3
"""What a run costs the controller, against a bare driver and pdsh, on one fleet in one go.

    tests/bench/bench_run.py [--build DIR] [--hosts 200] [--rounds 9] [--fanout 64]

Starts real sshd's on loopback, runs `true` on every host in turn with muster, with the bare driver
(tests/bench/floor: libssh and libuv, no inventory, no output) and with pdsh, and prints the CPU time
of each tool with its children (not the servers') and its wall time: medians, and the ratio of the
medians. The order changes every round, so that a busy moment hits all alike.

Then the same with a known_hosts of 50,000 hashed lines: what it adds to a run whose hosts are all
known, and to each host that is not.
"""
import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'support'))
from fleet import Fleet, find_program  # noqa: E402


def measure(argv, env, check):
    """CPU seconds (with children), wall seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    t0 = time.monotonic()
    with tempfile.TemporaryFile() as out:
        p = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        p.wait()
        wall = time.monotonic() - t0
        out.seek(0)
        text = out.read().decode(errors='replace')
    if check and p.returncode != 0:
        sys.exit(f'{argv[0]} failed ({p.returncode}):\n{text[-2000:]}')
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return cpu, wall


def hashed_lines(path, count):
    """known_hosts of `count` hosts that are not ours, hashed as ssh-keygen -H does, keys distinct."""
    import base64
    import hashlib
    import hmac
    import struct
    with open(path, 'w') as f:
        for i in range(count):
            salt = hashlib.sha1(b'salt%d' % i).digest()
            mac = hmac.new(salt, b'other%d.example.com' % i, hashlib.sha1).digest()
            blob = struct.pack('>I11sI32s', 11, b'ssh-ed25519', 32, hashlib.sha256(b'key%d' % i).digest())
            f.write('|1|%s|%s ssh-ed25519 %s\n' % (base64.b64encode(salt).decode(),
                                                   base64.b64encode(mac).decode(),
                                                   base64.b64encode(blob).decode()))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--build', default=os.path.join(ROOT, 'build', 'bench'))
    ap.add_argument('--hosts', type=int, default=200)
    ap.add_argument('--rounds', type=int, default=9)
    ap.add_argument('--fanout', type=int, default=64)
    a = ap.parse_args()
    muster = os.path.join(a.build, 'controller', 'muster')
    floor = os.path.join(a.build, 'tests', 'bench', 'floor')
    with Fleet() as fleet:
        hosts = fleet.sshd('h', a.hosts)
        fleet.write()
        home = tempfile.mkdtemp(dir=fleet.dir)
        env = dict(os.environ, XDG_STATE_HOME=home, XDG_CONFIG_HOME=home, HOME=home, LC_ALL='C')
        for k in [k for k in env if k.startswith('MUSTER_')]:
            del env[k]
        targets = os.path.join(fleet.dir, 'targets')
        with open(targets, 'w') as f:
            f.writelines(f'{h.address}:{h.port}\n' for h in hosts)
        ssh_config = os.path.join(fleet.dir, 'pdsh_config')
        with open(ssh_config, 'w') as f:
            f.write(f'IdentityFile {fleet.key}\nIdentitiesOnly yes\nUserKnownHostsFile {fleet.known_hosts}\n'
                    'StrictHostKeyChecking yes\nBatchMode yes\n')
            for h in hosts:
                f.write(f'Host {h.name}\n HostName {h.address}\n Port {h.port}\n')
        run = [muster, 'run', '-i', fleet.inventory, '--known-hosts', fleet.known_hosts, '--key', fleet.key,
               '-f', str(a.fanout), '--yes']
        names = ','.join(h.name for h in hosts)
        tools = {
            'floor': ([floor, '-f', str(a.fanout), '-k', fleet.key, '-u', fleet.user.pw_name, '-c', 'true', '-F', targets], env),
            'muster': (run + ['all', '--', 'true'], env),
            'pdsh': ([find_program('pdsh'), '-R', 'ssh', '-f', str(a.fanout), '-w', names, 'true'],
                     dict(env, PDSH_SSH_ARGS_APPEND=f'-F {ssh_config}')),
        }
        seen = {t: [] for t in tools}
        for i in range(a.rounds + 1):
            order = list(tools)
            order = order[i % 3:] + order[:i % 3]
            for t in order:
                if t == 'pdsh' and i > 3:
                    continue  # it costs the machine 20 ms a host; three rounds place it well enough
                m = measure(*tools[t], check=True)
                if i > 0:
                    seen[t].append(m)
        print(f'{a.hosts} hosts of real sshd, fan-out {a.fanout}, command true; medians')
        med = {t: [statistics.median(x[k] for x in seen[t]) for k in range(2)] for t in tools}
        for t in tools:
            c, w = med[t]
            print(f'  {t:8} cpu {c * 1000:8.1f} ms ({c * 1000 / a.hosts:6.3f} ms a host)  wall {w:6.2f} s  '
                  f'({len(seen[t])} rounds)')
        print(f'  CPU, muster / floor: {med["muster"][0] / med["floor"][0]:.2f}   '
              f'pdsh / muster: {med["pdsh"][0] / med["muster"][0]:.1f}')

        big = os.path.join(fleet.dir, 'known_hosts.big')
        hashed_lines(big, 50000)
        # known: the big file and the fleet's own. unknown: only the big file, accept-new into a copy.
        plain, known = [], []
        for _ in range(a.rounds):
            plain.append(measure(run + ['all', '--', 'true'], env, True))
            known.append(measure(run + ['--known-hosts', big, 'all', '--', 'true'], env, True))
        unknown = []
        for _ in range(a.rounds):
            unknown.append(measure([muster, 'run', '-i', fleet.inventory, '--known-hosts', big, '--key', fleet.key,
                                    '-f', str(a.fanout), '--yes', '--no-breaker', '-o', 'none', 'all', '--', 'true'],
                                   env, False))
        none = os.path.join(fleet.dir, 'known_hosts.none')
        open(none, 'w').close()
        nothing = []
        for _ in range(a.rounds):
            nothing.append(measure([muster, 'run', '-i', fleet.inventory, '--known-hosts', none, '--key', fleet.key,
                                    '-f', str(a.fanout), '--yes', '--no-breaker', '-o', 'none', 'all', '--', 'true'],
                                   env, False))
        m = {k: statistics.median(x[0] for x in v) for k, v in
             (('plain', plain), ('known', known), ('unknown', unknown), ('nothing', nothing))}
        print('known_hosts of 50,000 hashed lines, CPU')
        print(f'  hosts known:   {m["plain"] * 1000:.0f} ms without, {m["known"] * 1000:.0f} ms with: '
              f'{(m["known"] - m["plain"]) * 1000:.0f} ms once')
        print(f'  hosts unknown: {m["nothing"] * 1000:.0f} ms without, {m["unknown"] * 1000:.0f} ms with: '
              f'{(m["unknown"] - m["nothing"] - (m["known"] - m["plain"])) * 1000 / a.hosts:.2f} ms a host')


if __name__ == '__main__':
    main()
