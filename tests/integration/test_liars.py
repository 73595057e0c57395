#!/usr/bin/python3
"""Hosts whose agent lies in every field (tests/support/liar.py): each ends with the outcome it must have, beside
one that is honest, and none of them can make us grow."""
import json
import os
import signal

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

    # ---- with --become ----

    def become_fleet(self, mood, count):
        """`count` hosts of that mood; and what they note, which is read anew each time."""
        f, notes = self.fleet(), os.path.join(self.dir, mood)
        f.sshd(mood, count, config=[liar.forced(mood, notes)])
        f.write(variables={'all': {'ansible_become_password': 'sesame'}})

        def read():
            if not os.path.exists(notes):
                return []
            with open(notes, encoding='utf-8') as x:
                return x.read().split()
        return f, read

    def test_a_password_that_nobody_judges(self):
        """It may have been counted against the account: few get it, as if each had refused it."""
        for mood in ('dieswithit', 'slowsudo'):
            f, notes = self.become_fleet(mood, 36)
            r = self.run_on(f, '--become', '--retries', '0', '--yes', 'all', '--', 'true')
            self.assertGreaterEqual(len(notes()), 20, r)
            self.assertLessEqual(len(notes()), 27, r)
            self.assertIn(liar.BECOME[mood][1], r.facts().values(), r)

    def test_a_password_is_sent_once(self):
        f, notes = self.become_fleet('drops', 1)
        r = self.run_on(f, '--become', '--retries', '2', '--retry-on', 'lost', 'all', '--', 'true')
        self.assertEqual(notes(), ['password'], r)
        self.assertEqual(r.facts()['drops1'], liar.BECOME['drops'][1], r)

    def test_a_command_that_cannot_be_ended(self):
        f, notes = self.become_fleet('cannotend', 1)
        p = self.start_on(f, '--become', 'all', '--', 'sleep 100')
        self.wait_for(lambda: notes() == ['started'], 'the command')
        os.kill(p.pid, signal.SIGINT)
        r = self.finish(p)
        self.assertEqual((r.code, r.facts()['cannotend1']), (130, liar.BECOME['cannotend'][1]), r)
        h = r.hosts()['cannotend1']
        self.assertEqual((h['sent'], h['may_still_run']), (True, True), r)


if __name__ == '__main__':
    main()
