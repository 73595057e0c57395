#!/usr/bin/python3
"""muster retry: the same command with the same options, where it was not ok, from any folder."""
import json
import os
import shutil
import subprocess

from muster_case import MUSTER, MusterCase, main


class Retry(MusterCase):
    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o755)
        self.marks = os.path.join(self.dir, 'marks')
        os.mkdir(self.marks)
        os.chmod(self.marks, 0o777)

    def three(self):
        f = self.fleet()
        f.sshd('web', 3)
        f.write()
        return f

    def retry(self, *args, cwd=None, which='last'):
        old = os.getcwd()
        try:
            os.chdir(cwd or old)
            return self.muster('retry', which, '-o', 'json', *args)
        finally:
            os.chdir(old)

    def flaky(self):
        """Fails on web2 and web3 until a mark is there."""
        return f'[ "$MUSTER_HOST" = web1 ] || [ -e {self.marks}/$MUSTER_HOST ] || exit 7; echo "$GREETING"'

    def mark(self, host):
        with open(os.path.join(self.marks, host), 'w'):
            pass

    def test_set_shrinks(self):
        f = self.three()
        r = self.run_on(f, '--env', 'GREETING=hello you', '--reason', 'ticket 7', 'web', '--', self.flaky())
        self.assertEqual(r.statuses(), {'web1': 'ok', 'web2': 'failed', 'web3': 'failed'}, r)
        self.mark('web2')
        r = self.retry()
        self.assertEqual(r.statuses(), {'web2': 'ok', 'web3': 'failed'}, r)
        self.assertEqual(r.hosts()['web2']['stdout'], 'hello you\n', r)
        self.assertIn('on 2 of 3 hosts: web[2-3] (2 failed)', r.err)
        self.assertIn('on 2 of them the command has run', r.err)
        self.mark('web3')
        r = self.retry('--failed')
        self.assertEqual(r.statuses(), {'web3': 'ok'}, r)
        r = self.retry()
        self.assertEqual((r.code, r.out), (0, ''), r)
        self.assertIn('nothing to retry', r.err)
        shown = self.muster('show')
        self.assertIn('retry of', shown.out)
        self.assertIn('ticket 7', shown.out)

    def test_show_names_the_bounds_of_then(self):
        f = self.fleet()
        f.sshd('web', 1)
        f.peer('silent', 'silent')
        f.write()
        r = self.run_on(f, '--connect-timeout', '1500ms', 'all', '--', 'echo here')
        self.assertIn('banner-timeout after 1.5s', r.err)
        shown = self.muster('show')
        self.assertIn('web1 (1)\n  here\n', shown.out)
        self.assertIn('banner-timeout after 1.5s', shown.err)
        self.assertEqual(shown.err.count('1 ok, 1 unreachable'), 1, shown)
        both = subprocess.run([MUSTER, 'show'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=self.env).stdout
        self.assertLess(both.index('  here'), both.index('1 ok, 1 unreachable'), both)

    def test_which_hosts(self):
        f = self.three()
        f2 = self.run_on(f, '--connect-timeout', '5s', 'web', '--', self.flaky())
        self.assertEqual(f2.code, 2, f2)
        r = self.retry('--unreachable')
        self.assertEqual((r.code, r.out), (0, ''), r)
        r = self.retry('-x', 'web3', which='-1')
        self.assertEqual(set(r.statuses()), {'web2'}, r)
        r = self.retry('--failed', '--list', which='-2')
        self.assertEqual(r.out, 'web2\nweb3\n', r)

    def test_from_another_folder(self):
        f = self.three()
        home = os.path.join(self.dir, 'here')
        away = os.path.join(self.dir, 'away')
        os.mkdir(home)
        os.mkdir(away)
        shutil.copy(f.inventory, os.path.join(home, 'inventory.yml'))
        shutil.copy(f.known_hosts, os.path.join(home, 'kh'))
        with open(os.path.join(home, 'in.txt'), 'w') as out:
            out.write('from a file\n')
        old = os.getcwd()
        os.chdir(home)
        try:
            r = self.muster('run', '--known-hosts', 'kh', '--stdin', 'in.txt', '-o', 'json', 'web2', '--',
                            f'cat; [ -e {self.marks}/web2 ]')
        finally:
            os.chdir(old)
        self.assertEqual(r.statuses(), {'web2': 'failed'}, r)
        self.mark('web2')
        r = self.retry(cwd=away)
        self.assertEqual(r.statuses(), {'web2': 'ok'}, r)
        self.assertEqual(r.hosts()['web2']['stdout'], 'from a file\n', r)

    def test_hosts_without_an_inventory(self):
        f = self.fleet()
        host = f.sshd('web', 1)[0]
        f.write()
        address = host.address
        args = ['-p', str(host.port), '--key', f.key, '--known-hosts', f.known_hosts]
        r = self.muster('run', '-o', 'json', *args, '-w', address, '--', f'[ -e {self.marks}/x ]')
        self.assertEqual(r.statuses(), {address: 'failed'}, r)
        self.mark('x')
        r = self.retry()
        self.assertEqual(r.statuses(), {address: 'ok'}, r)

    def test_not_logged(self):
        f = self.three()
        r = self.run_on(f, '--no-log-command', 'web', '--', 'exit 3')
        self.assertEqual(r.code, 2, r)
        r = self.retry()
        self.assertEqual(r.code, 1, r)
        self.assertIn('type it again after --', r.err)
        r = self.retry('--', 'exit 4')
        self.assertEqual(r.code, 1, r)
        self.assertIn('digest', r.err)
        r = self.retry('--', 'exit 3')
        self.assertEqual({h['exit_code'] for h in r.hosts().values()}, {3}, r)
        self.assertNotIn('exit 3', self.muster('show', 'last', '-q').out)

    def test_a_line_that_was_refused_is_no_run(self):
        """What is wrong with an option is found before the run is on record: `retry last` would make it."""
        f = self.three()
        for wrong in (('--tally', '('), ('--match', '['), ('--ignore', '(?<'), ('--columns', 'hots', '-o', 'csv')):
            r = self.run_on(f, *wrong, 'web', '--', f'touch {self.marks}/ran', output=None)
            self.assertEqual((r.code, r.out), (1, ''), r)
            self.assertIn(f'muster: {wrong[0]}', r.err)
        self.assertEqual(os.listdir(self.state) if os.path.exists(self.state) else [], [])
        r = self.retry()
        self.assertEqual(r.code, 1, r)
        self.assertIn('no record of any run', r.err)
        self.assertEqual(os.listdir(self.marks), [])

    def test_another_command(self):
        f = self.three()
        self.run_on(f, 'web', '--', 'false')
        r = self.retry('--', 'true')
        self.assertEqual(r.code, 1, r)
        self.assertIn('muster run', r.err)

    def test_after_the_breaker(self):
        f = self.three()
        f.peer('gone', 'refused', 22)
        f.write()
        r = self.run_on(f, '-f', '1', '--retries', '0', 'gone:web', '--', 'true')
        self.assertEqual(r.code & 8, 8, r)
        waiting = [n for n, s in r.statuses().items() if s == 'not-started']
        self.assertEqual(len(waiting), 5, r)
        r = self.retry('--not-started', '--no-breaker', '-f', '9')
        self.assertEqual(sorted(r.statuses()), sorted(waiting), r)
        self.assertNotIn('has run', r.err)

    def test_history(self):
        f = self.three()
        self.run_on(f, 'web', '--', 'true')
        self.run_on(f, 'web1', '--', 'exit 3')
        runs = json.loads(self.muster('history', '-o', 'json').out)
        self.assertEqual(runs['schema'], 'muster.history/1')
        self.assertEqual([(x['command'], x['targets'], x['ok'], x['exit_code']) for x in runs['runs']],
                         [('exit 3', 1, 0, 2), ('true', 3, 3, 0)])
        lines = self.muster('history', '--last', '1', '-o', 'ndjson').out.splitlines()
        self.assertEqual([json.loads(x)['command'] for x in lines], ['exit 3'])
        self.assertEqual(len(self.muster('history').out.splitlines()), 3)


if __name__ == '__main__':
    main()
