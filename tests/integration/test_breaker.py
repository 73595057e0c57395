#!/usr/bin/python3
"""The breaker and the budget: a run that goes wrong everywhere stops early."""
from muster_case import MusterCase, main


class Breaker(MusterCase):
    def denied(self):
        f = self.fleet()
        f.sshd('web', 48, config=['AuthorizedKeysFile /nonexistent'])
        f.write()
        return f

    def counts(self, r):
        found = {}
        for h in r.hosts().values():
            key = (h['status'], h['problem'])
            found[key] = found.get(key, 0) + 1
        return found

    def test_twenty_of_twenty(self):
        f = self.denied()
        r = self.run_on(f, '-f', '4', 'all', '--', 'true')
        counts = self.counts(r)
        denied = counts[('auth-failed', 'auth-denied')]
        self.assertGreaterEqual(denied, 20, r)
        self.assertLessEqual(denied, 20 + 4, r)
        self.assertEqual(counts[('not-started', 'breaker')], 48 - denied, r)
        self.assertEqual(r.code, 4 + 8, r)
        r = self.run_on(f, '-f', '4', 'all', '--', 'true', output='group')
        self.assertIn('--no-breaker', r.out + r.err)

    def test_no_breaker(self):
        r = self.run_on(self.denied(), '-f', '4', '--no-breaker', 'all', '--', 'true')
        self.assertEqual(self.counts(r), {('auth-failed', 'auth-denied'): 48}, r)
        self.assertEqual(r.code, 4, r)

    def test_commands_that_fail_do_not_trip_it(self):
        f = self.fleet()
        f.sshd('web', 48)
        f.write()
        r = self.run_on(f, '-f', '4', 'all', '--', 'false')
        self.assertEqual(self.counts(r), {('failed', 'exit-nonzero'): 48}, r)
        self.assertEqual(r.code, 2, r)

    def test_one_good_host_among_the_first_keeps_it_closed(self):
        f = self.fleet()
        f.sshd('good', 1)
        f.sshd('web', 40, config=['AuthorizedKeysFile /nonexistent'])
        f.write()
        r = self.run_on(f, '-f', '1', 'all', '--', 'true')
        self.assertEqual(self.counts(r)[('auth-failed', 'auth-denied')], 40, r)

    def test_budget(self):
        f = self.fleet()
        f.sshd('web', 20)
        f.write()
        r = self.run_on(f, '-f', '1', '--max-fail', '2', 'all', '--', 'false')
        self.assertEqual(self.counts(r), {('failed', 'exit-nonzero'): 3, ('not-started', 'budget'): 17}, r)
        self.assertEqual(r.code, 2 + 4 + 8, r)

    def test_serial_stops_at_the_first_bad_wave(self):
        f = self.fleet()
        f.sshd('web', 10)
        f.write()
        r = self.run_on(f, '--serial', '1,3', 'all', '--', '[ "$MUSTER_RANK" != 2 ]')
        counts = self.counts(r)
        self.assertEqual(counts[('failed', 'exit-nonzero')], 1, r)
        self.assertEqual(counts[('not-started', 'budget')], 6, r)

    def test_deadline(self):
        f = self.fleet()
        f.sshd('web', 3)
        f.write()
        r = self.run_on(f, '-f', '1', '--deadline', '3s', 'all', '--', 'exec sleep 1000')
        self.assertEqual(self.counts(r), {('timeout', 'run-deadline'): 1, ('not-started', 'deadline'): 2}, r)
        self.assertEqual(r.code, 2 + 4 + 8, r)


if __name__ == '__main__':
    main()
