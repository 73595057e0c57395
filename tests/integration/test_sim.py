#!/usr/bin/python3
"""muster run on the fleet simulator: every host is reported once, with the outcome its fault demands."""
import collections
import os
import signal
import socket
import subprocess

from muster_case import MusterCase, main, stdout_of
from sim import Simulator, find_sim

# What stalls waits as long; what does not must be through by then on a machine that is busy.
BOUNDS = ['--connect-timeout', '10s', '--timeout', '10s', '--retries', '0']


def fault_names():
    text = subprocess.run([find_sim(), '--help'], stdout=subprocess.PIPE, check=True).stdout.decode()
    return [line.split()[0] for line in text.split('\nfaults:\n')[1].splitlines()]


class Sim(MusterCase):
    def sim(self, *options):
        s = Simulator(*options)
        self.addCleanup(self.sound_end, s)
        return s

    def sound_end(self, sim):
        """No sanitizer spoke, no process was lost."""
        self.assertEqual(sim.stop(), (0, ''))

    def run_all(self, sim, *args, pattern='all'):
        return self.run_on(sim, '--yes', *BOUNDS, *args[:-1], pattern, '--', args[-1])

    def check(self, sim, r):
        """Each host once, as its fault demands; differences by fault."""
        doc = r._objects()
        names = [h['host'] for o in doc for h in o.get('results', [])]
        self.assertEqual([n for n, k in collections.Counter(names).items() if k != 1], [])
        got, want, faults = r.facts(), sim.expected(), sim.faults()
        self.assertEqual(set(got), set(want))
        wrong = collections.Counter((faults[h], got[h]) for h in want if got[h] != want[h])
        self.assertEqual(wrong, {}, r)

    def test_all_well(self):
        sim = self.sim('--hosts', '300', '--host-keys', '20')
        r = self.run_all(sim, 'true')
        self.check(sim, r)
        self.assertEqual(r.code, 0, r)

    def test_every_fault(self):
        """The stalls wait for their bounds together, so this takes about as long as one of them."""
        shares = [o for n in fault_names() for o in ('--fault', f'{n}=3%')]
        sim = self.sim('--hosts', '200', '--seed', '7', '--processes', '2', *shares)
        r = self.run_all(sim, 'true')
        self.check(sim, r)
        self.assertEqual(r.code, 2 | 4, r)
        counts = collections.Counter(sim.faults().values())
        self.assertEqual(counts, {**{n: 6 for n in fault_names()}, 'none': 200 - 6 * len(fault_names())})
        for h, fault in sim.faults().items():
            self.assertEqual(r.hosts()[h]['attempts'], 1, h)
            size = 1 << 20 if fault in ('flood', 'rekey') else 0
            self.assertEqual(r.hosts()[h]['stdout_bytes'], size, (h, fault))

    def test_retries(self):
        """What fails fast before the command is sent is tried again, what stalls or is denied is not."""
        again = ['rst-after-accept', 'disconnect-auth', 'refuse-channel']
        never = ['deny-auth', 'wrong-host-key', 'close-no-exit', 'exit-signal', 'banner-lines']
        sim = self.sim('--hosts', '20', *(o for n in again + never for o in ('--fault', f'{n}=2')))
        r = self.run_on(sim, '--yes', '--connect-timeout', '5m', 'all', '--', 'true')
        self.check(sim, r)
        for h, fault in sim.faults().items():
            self.assertEqual(r.hosts()[h]['attempts'], 3 if fault in again else 1, (h, fault))

    def test_seed_decides(self):
        """Same seed, same faults and keys; another seed, others. The order of options is nothing."""
        seen = []
        for args in (['--seed', '3', '--fault', 'flood=10%', '--fault', 'rekey=5'],
                     ['--fault', 'rekey=5', '--fault', 'flood=10%', '--seed', '3'],
                     ['--seed', '4', '--fault', 'flood=10%', '--fault', 'rekey=5']):
            sim = self.sim('--hosts', '50', *args)
            with open(sim.known_hosts) as f:
                seen.append((sim.faults(), [line.split()[-1] for line in f]))
        self.assertEqual(seen[0], seen[1])
        self.assertNotEqual(seen[0][0], seen[2][0])
        self.assertNotEqual(seen[0][1], seen[2][1])
        self.assertEqual(collections.Counter(seen[0][0].values()), {'none': 40, 'flood': 5, 'rekey': 5})

    def test_commands(self):
        sim = self.sim('--hosts', '2')
        for command, code, out, err in (
                ('exit 37', 37, b'', b''),
                ('false || echo "or $MUSTER_HOST"; exit 255', 255, b'or sim1\n', b''),
                ("echo 'it''s' $MUSTER_RANK\\! >&2", 0, b'', b'its 0!\n'),
                ('echo one\necho two && false && echo three', 1, b'one\ntwo\n', b''),
                ('sleep 0.05; echo -n late', 0, b'late', b''),
                ('nonsense', 127, b'', b'muster-sim: nonsense: not found\n'),
                ('true | true', 2, b'', b'muster-sim: that needs a real shell\n')):
            r = self.run_all(sim, command, pattern='sim1')
            h = r.hosts()['sim1']
            self.assertEqual((h['exit_code'], stdout_of(h), stdout_of(h, 'stderr')), (code, out, err), command)
        r = self.run_all(sim, 'flood 300K', pattern='sim2')
        self.assertEqual(r.hosts()['sim2']['stdout_bytes'], 300 << 10, r)
        r = self.run_all(sim, 'kill -QUIT $$', pattern='sim2')
        self.assertEqual((r.statuses(), r.hosts()['sim2']['signal']), ({'sim2': 'signaled'}, 'QUIT'), r)
        r = self.run_all(sim, 'sleep 3600', pattern='sim2')   # TERM ends it
        h = r.hosts()['sim2']
        self.assertEqual((h['status'], h['problem'], h['may_still_run']), ('timeout', 'run-timeout', False), r)

    def test_plain_request(self):
        """--raw: the line as it is, without muster's wrapping."""
        sim = self.sim('--hosts', '1')
        r = self.run_all(sim, '--raw', 'echo "$MUSTER_HOST" raw; exit 4')
        h = r.hosts()['sim1']
        self.assertEqual((h['exit_code'], stdout_of(h)), (4, b' raw\n'), r)

    def test_latency(self):
        """Seven round trips, less what a timer of milliseconds may be early; all hosts wait at once."""
        sim = self.sim('--hosts', '50', '--latency', '50ms')
        r = self.run_all(sim, 'true')
        self.check(sim, r)
        for h in r.hosts().values():
            self.assertGreaterEqual(h['duration_ms'], 6.5 * 50, h)

    def test_another_listener_for_each(self):
        sim = self.sim('--hosts', '20', '--listeners', 'each', '--processes', '2', '--base', '127.65.0.250')
        self.check(sim, self.run_all(sim, 'true'))

    def test_nobody_else_is_served(self):
        """An address that is no host's is closed at once, and so is this machine's own outer one."""
        sim = self.sim('--hosts', '3', '--base', '127.66.0.1')
        port = int(sim.ready.split()[-1])
        self.assertTrue(self.first_bytes('127.66.0.3', port).startswith(b'SSH-2.0-'))
        for address in ['127.66.0.4', '127.66.0.0', *self.outer_addresses()]:
            self.assertEqual(self.first_bytes(address, port), b'', address)

    @staticmethod
    def outer_addresses():
        text = subprocess.run(['hostname', '-I'], stdout=subprocess.PIPE).stdout.decode()
        return [a for a in text.split() if ':' not in a]

    @staticmethod
    def first_bytes(address, port):
        """What the peer says; b'' when it refuses, resets or closes without a word."""
        try:
            with socket.create_connection((address, port)) as s:
                return s.recv(64)
        except (ConnectionRefusedError, ConnectionResetError):
            return b''

    def test_only_one_key(self):
        other = self.sim('--hosts', '1', '--seed', '99')
        public = os.path.join(self.dir, 'other.pub')
        with open(public, 'wb') as f:
            f.write(subprocess.run(['ssh-keygen', '-y', '-f', other.key], stdout=subprocess.PIPE, check=True).stdout)
        sim = self.sim('--hosts', '3', '--authorized-key', public)
        self.assertEqual(set(self.run_all(sim, 'true').statuses().values()), {'auth-failed'})
        r = self.run_all(sim, '--key', other.key, 'true')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)

    def test_ends_when_told(self):
        sim = Simulator('--hosts', '3', '--processes', '2')
        sim.process.send_signal(signal.SIGTERM)
        self.assertEqual(sim.stop(), (0, ''))

    def test_usage(self):
        for args, text in ((['--fault', 'stal-kex=1%'], 'there is no fault "stal-kex"'),
                           (['--fault', 'flood'], 'write NAME=SHARE'),
                           (['--fault', 'flood=101%'], '0% to 100%'),
                           (['--hosts', '10', '--fault', 'flood=8', '--fault', 'rekey=3'], '11 hosts, --hosts has 10'),
                           (['--base', '10.0.0.1'], 'no address of 127.0.0.0/8'),
                           (['--base', '127.255.255.250', '--hosts', '6'], 'pass 127.255.255.254'),
                           (['--prefix', 'a b'], 'letters, digits'),
                           (['--hosts'], 'no value'),
                           (['fleet'], 'every option begins with --')):
            p = subprocess.run([find_sim(), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
            self.assertEqual((p.returncode, p.stdout), (1, b''), args)
            self.assertIn(text, p.stderr.decode())


if __name__ == '__main__':
    main()
