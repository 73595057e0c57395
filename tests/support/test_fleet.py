#!/usr/bin/python3
"""The test fleet itself: OpenSSH's client agrees that the servers serve and that the bad peers are bad."""
import os
import socket
import subprocess
import sys
import tempfile
import unittest

from fleet import PEERS, Fleet

HERE = os.path.dirname(os.path.abspath(__file__))


def ssh(fleet, host, command):
    return subprocess.run(
        ['ssh', '-F', 'none', '-i', fleet.key, '-o', 'BatchMode=yes', '-o', 'IdentitiesOnly=yes',
         '-o', f'UserKnownHostsFile={fleet.known_hosts}', '-o', 'GlobalKnownHostsFile=/dev/null',
         '-o', 'StrictHostKeyChecking=yes', '-o', 'ConnectTimeout=60', '-p', str(host.port),
         f'{fleet.user.pw_name}@{host.address}', command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def gone(pid):
    """Ended; whoever is process 1 here may not have collected it yet."""
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rpartition(')')[2].split()[0] in 'ZX'
    except FileNotFoundError:
        return True


class Servers(unittest.TestCase):
    def test_each_kind_of_server_runs_a_command(self):
        with Fleet() as fleet:
            hosts = fleet.sshd('web', 20) + fleet.dropbear('drop') + fleet.tinysshd('tiny')
            fleet.write()
            for h in (hosts[0], hosts[19], hosts[20], hosts[21]):
                r = ssh(fleet, h, 'echo hello; exit 3')
                self.assertEqual((r.returncode, r.stdout), (3, 'hello\n'), f'{h}: {r.stderr}')
            self.assertEqual(fleet.logins(), 2)

    def test_login_shell_and_home(self):
        with Fleet() as fleet:
            h = fleet.sshd('fish', 1, shell='/usr/bin/fish', home={'note': 'mine\n'})[0]
            fleet.write()
            r = ssh(fleet, h, 'cat ~/note; echo (status fish-path)')
            self.assertEqual(r.stdout, 'mine\n/usr/bin/fish\n', r.stderr)

    def test_known_hosts_variants(self):
        with Fleet() as fleet:
            hosts = {k: fleet.sshd(k, 1, known=k)[0]
                     for k in ('right', 'wrong', 'none', 'hashed')}
            fleet.write()
            say = {k: ssh(fleet, h, 'true').returncode for k, h in hosts.items()}
            self.assertEqual(say, {'right': 0, 'wrong': 255, 'none': 255, 'hashed': 0})

    def test_bad_peers(self):
        with Fleet() as fleet:
            for kind in PEERS:
                fleet.peer(kind, kind)
            got = {}
            for h in fleet.hosts:
                with socket.socket() as s:
                    s.settimeout(1 if h.kind in ('blackhole', 'silent') else 60)
                    try:
                        s.connect((h.address, h.port))
                        got[h.kind] = s.recv(64)[:8]
                    except OSError as e:
                        got[h.kind] = type(e).__name__
            noise = got.pop('noise')
            self.assertEqual(len(noise), 8)
            self.assertEqual(got, {
                'blackhole': 'TimeoutError', 'refused': 'ConnectionRefusedError',
                'reset': 'ConnectionResetError', 'eof': b'', 'silent': 'TimeoutError',
                'garbage': b'HTTP/1.1', 'endless': b'please w', 'throttled': b'Exceeded',
                'midway': b'SSH-2.0-'})

    def test_program_starts_and_stops(self):
        with tempfile.TemporaryDirectory() as d:
            where = os.path.join(d, 'fleet')
            program = [sys.executable, os.path.join(HERE, 'fleet.py')]
            subprocess.run([*program, 'start', '--dir', where, '--hosts', '2', '--bad', 'reset=1'],
                           check=True)
            with open(os.path.join(where, 'pid')) as f:
                pid = int(f.read())
            self.assertTrue(os.path.exists(os.path.join(where, 'inventory.yml')))
            subprocess.run([*program, 'stop', '--dir', where], check=True)
            self.assertFalse(os.path.exists(where))
            self.assertTrue(gone(pid))


if __name__ == '__main__':
    unittest.main()
