#!/usr/bin/python3
"""Servers that mean harm: each comes to the end that is named for it, within bounds of bytes, memory
and time, and the healthy hosts of the same run do not notice."""
import json
import os
import shutil

import hostile
from muster_case import MemoryWatch, MusterCase, Result, main
from sim import Simulator

HEALTHY = 50
# What one connection may make us take before we leave, with what the kernel holds on both sides.
MOST_BYTES = 8 << 20
# A process with a sanitizer keeps what was freed; told to keep little, it is still no small one.
QUIET = {'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':quarantine_size_mb=1'}
MOST_MEMORY = 256 << 20
# Commands that go on are ended by us; all else ends for what the server did.
ENDLESS = ('past-the-window-for-ever',)


def stalls(name):
    return (hostile.MOODS[name][1][2] or '').endswith('timeout')


class HostileServers(MusterCase):
    def both(self, moods):
        """The hostile ones and a healthy fleet, as one inventory."""
        bad = hostile.Hostile(moods)
        self.addCleanup(bad.stop)
        sim = Simulator('--hosts', str(HEALTHY), '--prefix', 'healthy')
        self.addCleanup(sim.stop)
        known = os.path.join(self.dir, 'known_hosts')
        with open(known, 'wb') as out:
            for path in (bad.known_hosts, sim.known_hosts):
                with open(path, 'rb') as f:
                    shutil.copyfileobj(f, out)
        return bad, ['-i', bad.inventory, '-i', sim.inventory, '--known-hosts', known]

    def check(self, moods, *args, stdin=b''):
        bad, fleet = self.both(moods)
        p = self.start_on(None, '--yes', '--retries', '0', '--no-breaker', '--workers', '2', *fleet, *args, 'all', '--', 'true',
                          output='ndjson', env=QUIET, stdin=-1)
        watch = MemoryWatch(p.pid)
        out, err = p.communicate(stdin)
        peak = watch.total()
        r = self.checked(Result([str(a) for a in p.args], p.returncode, out, err))
        order = [h['host'] for h in map(json.loads, r.out.splitlines()) if 'host' in h and 'status' in h]
        self.assertEqual(len(order), len(set(order)))
        got = r.facts()
        healthy = {n for n in got if n not in bad.moods}
        self.assertEqual({got[n] for n in healthy}, {('ok', 'run', None)}, r)
        self.assertEqual(len(healthy), HEALTHY)
        self.assertEqual({n: (got[n], r.hosts()[n].get('detail')) for n in bad.moods if got[n] != bad.expected()[n]},
                         {}, r.err)
        self.assertLess(peak, MOST_MEMORY)
        for name, n in bad.sent().items():
            if name not in ENDLESS and name != 'past-the-window':
                self.assertLess(n, MOST_BYTES, name)
        return order, healthy

    def test_those_that_do_too_much(self):
        """They end for what they did: a bound of time that is far away is reached by none."""
        self.check([m for m in hostile.MOODS if not stalls(m)], '--connect-timeout', '10m', '--timeout', '20m')

    def test_those_that_stall(self):
        """They end at the bounds, all at once, and after every host that is well."""
        order, healthy = self.check([m for m in hostile.MOODS if stalls(m)], '--connect-timeout', '12s', '--timeout',
                                    '12s', '--stdin', '-', stdin=b'x' * (4 << 20))
        self.assertEqual(set(order[:len(healthy)]), healthy)


if __name__ == '__main__':
    main()
