#!/usr/bin/python3
"""Names: several addresses, both families, and a name server that never answers."""
import os
import shutil
import socket
import subprocess
import time
import unittest

from muster_case import MusterCase, main

BOUND = 3


class Names(MusterCase):
    def setUp(self):
        super().setUp()
        if os.getuid() != 0 or not shutil.which('unshare'):
            self.skipTest('files of /etc are put in place in a mount namespace: root and unshare')
        r = subprocess.run(['unshare', '-m', 'true'], stderr=subprocess.DEVNULL)
        if r.returncode != 0:
            self.skipTest('no mount namespace can be made here')

    def put(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, 'w') as f:
            f.write(text)
        return path

    def run_with(self, files, argv):
        """argv where each of {path: text} lies over the real file."""
        steps = []
        for i, (path, text) in enumerate(files.items()):
            if not os.path.exists(path):
                self.skipTest(f'there is no {path} to put another over')
            steps.append(f'mount --bind {self.put(f"over{i}", text)} {path}')
        script = ' && '.join(steps + ['exec "$@"'])
        return self.execute(['unshare', '-m', '--propagation', 'private', 'sh', '-c', script, 'sh', *argv])

    def inventory(self, fleet, hosts):
        """Lines for hosts by name, beside what the fleet wrote."""
        lines = ['all:', '  vars:', f'    ansible_user: {fleet.user.pw_name}',
                 f'    ansible_ssh_private_key_file: {fleet.key}', '  hosts:']
        lines += [f'    {name}: {{ansible_host: "{address}", ansible_port: {port}}}'
                  for name, address, port in hosts]
        return self.put('inventory.yml', '\n'.join(lines) + '\n')

    def known(self, names):
        return self.put('known', ''.join(f'[{name}]:{port} {key}\n' for name, port, key in names))

    def argv_of(self, inventory, known, *args):
        return [self.program, 'run', '-i', inventory, '--known-hosts', known, '-o', 'json', *args]

    def test_next_address(self):
        f = self.fleet()
        good = f.sshd('web', 1)[0]
        hole = f.peer('hole', 'blackhole')[0]
        # Nothing listens on the good one's port at these addresses.
        other = [f'127.{a}.9.9' for a in (251, 252)]
        hosts = ''.join(f'{a} refuses-first.test\n' for a in other) + f'{good.address} refuses-first.test\n'
        hosts += ''.join(f'{a} refuses-all.test\n' for a in other)
        inv = self.inventory(f, [('a', 'refuses-first.test', good.port), ('b', 'refuses-all.test', good.port),
                                 ('c', hole.address, hole.port)])
        known = self.known([('refuses-first.test', good.port, good.key)])
        r = self.run_with({'/etc/hosts': hosts, '/etc/nsswitch.conf': 'hosts: files\n'},
                          self.argv_of(inv, known, '--connect-timeout', '3s', '--retries', '0', 'all', '--', 'echo hi'))
        self.assertEqual(r.facts(), {'a': ('ok', 'run', None), 'b': ('unreachable', 'connect', 'connect-refused'),
                                     'c': ('unreachable', 'connect', 'connect-timeout')}, r)
        self.assertEqual(r.hosts()['a']['address'], good.address, r)
        self.assertEqual(r.hosts()['a']['attempts'], 1, r)

    def test_silent_address_leaves_time_for_the_next(self):
        f = self.fleet()
        good = f.sshd('web', 1)[0]
        # A hole at another address with the same port.
        hole = socket.socket()
        self.addCleanup(hole.close)
        hole.bind(('127.251.9.10', good.port))
        hole.listen(0)
        for _ in range(16):
            s = socket.socket()
            self.addCleanup(s.close)
            s.setblocking(False)
            s.connect_ex(('127.251.9.10', good.port))
        inv = self.inventory(f, [('a', 'slow.test', good.port)])
        known = self.known([('slow.test', good.port, good.key)])
        hosts = f'127.251.9.10 slow.test\n{good.address} slow.test\n'
        r = self.run_with({'/etc/hosts': hosts, '/etc/nsswitch.conf': 'hosts: files\n'},
                          self.argv_of(inv, known, '--connect-timeout', '4s', 'all', '--', 'true'))
        self.assertEqual(r.facts(), {'a': ('ok', 'run', None)}, r)
        self.assertEqual(r.hosts()['a']['address'], good.address, r)

    def test_silent_name_server(self):
        f = self.fleet()
        servers = f.sshd('web', 16)
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(silent.close)
        try:
            silent.bind(('127.0.0.53', 53))
        except OSError as e:
            self.skipTest(f'127.0.0.53:53: {e}')
        inv = self.inventory(f, [(f'lost{i}', f'lost{i}.test', 22) for i in range(30)]
                             + [(h.name, h.address, h.port) for h in servers])
        known = self.known([(h.address, h.port, h.key) for h in servers])
        files = {'/etc/resolv.conf': 'nameserver 127.0.0.53\n', '/etc/nsswitch.conf': 'hosts: dns\n'}
        began = time.monotonic()
        r = self.run_with(files, self.argv_of(inv, known, '--connect-timeout', f'{BOUND}s', '--no-breaker',
                                              'all', '--', 'true'))
        took = time.monotonic() - began
        for name, fact in r.facts().items():
            if name.startswith('web'):
                self.assertEqual(fact, ('ok', 'run', None), r)
            else:
                self.assertEqual(fact, ('unreachable', 'resolve', 'dns-timeout'), r)
        # Those with addresses were not held up: each was over before the first name gave up.
        slowest = max(h['duration_ms'] for n, h in r.hosts().items() if n.startswith('web'))
        quickest = min(h['duration_ms'] for n, h in r.hosts().items() if n.startswith('lost'))
        self.assertLess(slowest, quickest, r)
        self.assertGreaterEqual(quickest, BOUND * 1000 - 50, r)
        # The system's own patience is longer; the run does not wait for it.
        self.assertLess(took, 4 * BOUND, r)

    def test_deadline_while_names_are_asked(self):
        f = self.fleet()
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(silent.close)
        try:
            silent.bind(('127.0.0.53', 53))
        except OSError as e:
            self.skipTest(f'127.0.0.53:53: {e}')
        inv = self.inventory(f, [(f'lost{i}', f'lost{i}.test', 22) for i in range(4)])
        files = {'/etc/resolv.conf': 'nameserver 127.0.0.53\n', '/etc/nsswitch.conf': 'hosts: dns\n'}
        r = self.run_with(files, self.argv_of(inv, self.known([]), '--deadline', '1s', '-f', '2', 'all', '--', 'true'))
        self.assertEqual(sorted(r.facts().values(), key=str),
                         [('not-started', None, 'deadline')] * 2 + [('timeout', 'resolve', 'run-deadline')] * 2, r)


class Families(MusterCase):
    def test_ipv6(self):
        if not socket.has_ipv6:
            self.skipTest('no IPv6')
        with socket.socket(socket.AF_INET6) as s:
            try:
                s.bind(('::1', 0))
            except OSError as e:
                self.skipTest(f'::1: {e}')
            port = s.getsockname()[1]
        f = self.fleet()
        f._address = lambda: '::1'
        f._free_port = lambda addresses: port
        f._await = lambda p, address, port: listens(p, address, port)
        f.sshd('six', 1)
        f.write()
        r = self.run_on(f, 'all', '--', 'echo $SSH_CONNECTION')
        self.assertEqual(r.facts(), {'six1': ('ok', 'run', None)}, r)
        self.assertEqual(r.hosts()['six1']['address'], '::1', r)
        self.assertTrue(r.hosts()['six1']['stdout'].startswith('::1 '), r)
        r = self.muster('run', '-w', '::1', '-p', str(port), '--key', f.key, '-u', f.user.pw_name,
                        '--known-hosts', f.known_hosts, '-o', 'json', '--', 'true')
        self.assertEqual(r.facts(), {'::1': ('ok', 'run', None)}, r)


def listens(process, address, port):
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        with socket.socket(socket.AF_INET6) as s:
            if s.connect_ex((address, port)) == 0:
                return True
        time.sleep(0.01)
    return False


if __name__ == '__main__':
    main()
