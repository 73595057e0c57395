#!/usr/bin/python3
"""Hosts whose agent lies in every field (tests/support/liar.py): each ends with the outcome it must have, beside
one that is honest, and none of them can make us grow."""
import json
import os

import liar
from muster_case import MemoryWatch, MusterCase, main


SMALL_QUARANTINE = {'ASAN_OPTIONS': 'quarantine_size_mb=1:thread_local_quarantine_size_kb=64:malloc_context_size=1'}


class Liars(MusterCase):
    MEMORY = 300 << 20      # of the coordinator and its worker together, with ASan's own

    def lied_to(self, table, *args, verb):
        """All moods at once, beside a host that is honest; how much memory that took."""
        f = self.fleet()
        for mood in table:
            f.sshd(mood, config=[liar.forced(mood)])
        f.sshd('honest')
        f.write()
        real, self.argv = self.argv, lambda f, *a: real(f, *a, verb=verb)
        p = self.start_on(f, '--retries', '0', '--workers', '1', '--no-breaker', '--yes', *args, env=SMALL_QUARANTINE)
        self.argv = real
        memory = MemoryWatch(p.pid)
        r = self.finish(p)
        total = memory.total()
        print(f' {len(table)} moods, {total >> 20} MiB', end='', flush=True)
        self.assertLess(total, self.MEMORY, r.err)
        return r

    def compare(self, got, table, phases):
        for mood, (_, want) in table.items():
            with self.subTest(mood=mood):
                have = got[mood + '1']
                self.assertEqual((have['status'], have['problem']), (want[0], want[2]), have)
                if phases:
                    self.assertEqual(have['phase'], want[1], have)
                self.assertNotIn('\x1b', json.dumps(have, ensure_ascii=False))
                self.assertNotIn('\\u001b', json.dumps(have))

    def test_stats(self):
        r = self.lied_to(liar.STATS, '--timeout', '8s', 'all', verb='stats')
        d = json.loads(r.raw)
        self.assertIn('honest1', [x['host'] for x in d['hosts']], r)
        self.compare({x['host']: x for x in d['failed']}, liar.STATS, False)

    def test_delivery(self):
        r = self.lied_to(liar.DELIVERY, '--on-disconnect', 'kill', 'all', '--', 'true', verb='run')
        self.assertEqual(r.statuses()['honest1'], 'ok', r)
        self.compare(r.hosts(), liar.DELIVERY, True)
        self.assertEqual({h['sent'] for n, h in r.hosts().items() if n != 'honest1'}, {False}, r)

    def test_commands(self):
        data = os.path.join(self.dir, 'data')
        with open(data, 'wb') as x:
            x.truncate(4 << 20)
        r = self.lied_to(liar.EXEC, '--on-disconnect', 'kill', '--timeout', '5s', '--stdin', data, 'all', '--', 'cat >&2',
                         verb='run')
        self.assertEqual(r.statuses()['honest1'], 'ok', r)
        self.compare(r.hosts(), liar.EXEC, True)


if __name__ == '__main__':
    main()
