#!/usr/bin/python3
"""Passwords: asked for or from the inventory, by both methods, beside keys; sent once, to hosts that
are proven, and to few before they were right once."""
import os
import re
import signal

from ask_server import AskServers
from muster_case import MusterCase, main, processes_of
from terminal import Terminal

SECRET = 'correct horse battery'
PASSWORD = ['PasswordAuthentication yes', 'AuthorizedKeysFile none']


class Passwords(MusterCase):
    def setUp(self):
        super().setUp()
        self.f = self.fleet()

    def asking(self):
        servers = AskServers(self.f)
        self.addCleanup(servers.stop)
        return servers

    def write(self, password=SECRET):
        self.f.write(variables={'all': {'ansible_password': password}})

    def failures(self):
        """Refused passwords in the logs of the OpenSSH servers."""
        n = 0
        for d in os.listdir(self.f.dir):
            log = os.path.join(self.f.dir, d, 'log')
            if d.startswith('sshd') and os.path.exists(log):
                with open(log, errors='replace') as f:
                    n += sum(line.startswith('Failed password') for line in f)
        return n

    # --- OpenSSH ---

    def test_asked_for_once(self):
        self.f.sshd('web', 3, config=PASSWORD, password=SECRET)
        self.f.write()
        t = Terminal(self, self.argv(self.f, '--ask-pass', '-o', 'stream', 'web', '--', 'echo', 'it', 'works'), self.env)
        t.answer(b'SSH password: ', SECRET)
        self.assertEqual(t.end(), 0, t.said)
        self.assertEqual(t.said.count(b'it works'), 3, t.said)
        self.assertEqual(t.said.count(b'password'), 1, t.said)
        self.assertNotIn(SECRET.encode(), t.said)

    def test_no_terminal(self):
        self.f.sshd('web')
        self.f.write()
        r = self.execute(['setsid', '-w', *self.argv(self.f, '--ask-pass', 'web', '--', 'true')])
        self.assertEqual(r.code, 1, r)
        self.assertIn('--ask-pass: no terminal to ask on', r.err)

    def test_in_the_inventory(self):
        self.f.sshd('web', 2, config=PASSWORD, password=SECRET)
        self.write()
        r = self.run_on(self.f, 'web', '--', 'true')
        self.assertEqual(r.statuses(), {'web1': 'ok', 'web2': 'ok'}, r)
        self.assertEqual(r.err.count('in clear text'), 1, r)
        self.assertIn(f'{self.f.inventory}:5:', r.err)  # where it stands
        self.assertNotIn(SECRET, r.out + r.err)

    def test_keys_first(self):
        self.f.sshd('web', 2, config=['PasswordAuthentication yes'], password=SECRET)
        self.write('wrong')
        r = self.run_on(self.f, 'web', '--', 'true')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual(self.failures(), 0)

    def test_a_wrong_one_is_sent_once(self):
        self.f.sshd('web', 2, config=PASSWORD, password=SECRET)
        self.write('wrong')
        r = self.run_on(self.f, '--retries', '3', '--retry-on', 'auth-failed', 'web', '--', 'true')
        self.assertEqual(set(r.facts().values()), {('auth-failed', 'auth', 'auth-denied')}, r)
        self.assertEqual(r.code, 4, r)
        self.assertEqual(self.failures(), 2)
        r = self.run_on(self.f, 'web1', '--', 'true', output='group')
        self.assertIn(f'the password and 1 key were refused for {self.f.user.pw_name}', r.out + r.err)

    def test_two_factors(self):
        both = ['PasswordAuthentication yes']
        self.f.sshd('first', 1, config=both + ['AuthenticationMethods publickey,password'], password=SECRET)
        self.f.sshd('last', 1, config=both + ['AuthenticationMethods password,publickey'], password=SECRET)
        self.write()
        r = self.run_on(self.f, 'all', '--', 'true')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        r = self.run_on(self.f, '--key', os.path.join(self.f.dir, 'wrong_key'), 'last1', '--', 'true', output='group')
        self.assertIn('the password was accepted for', r.out + r.err)
        self.assertIn('also wants publickey', r.out + r.err)

    def test_unproven_hosts_get_none(self):
        self.f.sshd('new', 1, config=PASSWORD, password=SECRET, known='none')
        self.f.sshd('keyed', 1, known='none')
        self.write()
        for policy in ('off', 'accept-new'):
            r = self.run_on(self.f, '--host-keys', policy, 'all', '--', 'true')
            self.assertEqual(r.facts(), {'new1': ('auth-failed', 'auth', 'auth-unproven-host'),
                                         'keyed1': ('ok', 'run', None)}, r)
        for d in ('sshd1', 'sshd2'):
            with open(os.path.join(self.f.dir, d, 'log')) as f:
                self.assertNotIn('password for', f.read())
        r = self.run_on(self.f, 'new1', '--', 'true')  # now it is on record
        self.assertEqual(r.statuses(), {'new1': 'ok'}, r)

    # --- servers that ask otherwise ---

    def test_questions(self):
        s = self.asking()
        password = ('Password: ', False)
        s.add('pam', 1, rounds=[[password]])
        s.add('banner', 1, rounds=[[], [password], []])
        s.add('code', 1, rounds=[[('Verification code: ', False)]])
        s.add('seen', 1, rounds=[[('Password: ', True)]])
        s.add('two', 1, rounds=[[password, ('Token: ', False)]])
        s.add('then', 1, rounds=[[password], [('Verification \x1b[2J code: ', False)]])
        s.add('again', 1, rounds=[[password], [password]])
        s.add('fresh', 1, rounds=[[('New password: ', False)]])
        s.add('endless', 1, rounds=[[]] * 50 + [[password]])
        s.add('word', 1, password='secret')
        s.add('expired', 1, password='secret', expired=True)
        s.add('both', 1, password='another', rounds=[[password]])
        self.write('secret')
        r = self.run_on(self.f, '--no-breaker', 'all', '--', 'true')
        denied = ('auth-failed', 'auth', 'auth-denied')
        self.assertEqual(r.facts(), {
            'pam1': ('ok', 'run', None), 'banner1': ('ok', 'run', None), 'word1': ('ok', 'run', None),
            'code1': denied, 'seen1': denied, 'two1': denied, 'then1': denied, 'again1': denied,
            'fresh1': denied, 'expired1': denied, 'both1': denied,
            'endless1': ('unreachable', 'auth', 'protocol-abuse')}, r)
        said = {n: h.get('detail', '') for n, h in r.hosts().items()}
        self.assertIn('before any password the server asks "Verification code: "', said['code1'])
        self.assertIn('asks 2 things at once ("Password: " first)', said['two1'])
        self.assertIn(r'after the password the server asks "Verification \x1b[2J code: "', said['then1'])
        self.assertIn('after the password the server asks "Password: "', said['again1'])
        self.assertIn('expired', said['expired1'])
        self.assertEqual(sorted(s.passwords), sorted(
            (n, 'secret') for n in ('pam1', 'banner1', 'word1', 'then1', 'again1', 'expired1', 'both1')))

    def test_few_before_it_was_right_once(self):
        s = self.asking()
        s.hold = 0.2
        s.add('web', 60, password='secret')
        self.write('mistyped')
        r = self.run_on(self.f, '--yes', 'all', '--', 'true')
        self.assertEqual(s.most, 8, r)
        self.assertEqual(len(s.passwords), len(set(s.passwords)))
        self.assertGreaterEqual(len(s.passwords), 20)
        self.assertLessEqual(len(s.passwords), 27)
        self.assertEqual(r.code, 4 + (8 if 'not-started' in r.statuses().values() else 0), r)
        self.assertEqual(set(r.statuses().values()) - {'not-started'}, {'auth-failed'}, r)
        barred = [h for h in r.hosts().values() if re.search('not sent: 2[0-7] hosts have refused it', h.get('detail', ''))]
        self.assertGreater(len(barred), 0, r)
        s.passwords.clear()
        self.write('secret')
        r = self.run_on(self.f, '--yes', 'all', '--', 'true')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual(len(s.passwords), 60)

    def test_a_bastion_dies_while_hosts_look_at_it(self):
        """They go on by another connection, where none is sent again."""
        gate = self.f.sshd('gate', 1, config=['AllowTcpForwarding yes'])
        s = self.asking()
        s.add('web', 12, password='secret')
        self.f.write(variables={'web': {'muster_jump': 'gate1', 'ansible_password': 'secret'}})
        r = self.run_on(self.f, 'web', '--', 'true')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        s.passwords.clear()
        s.hold = 2
        p = self.start_on(self.f, 'web', '--', 'true')
        self.wait_for(lambda: len(s.passwords) == 8, 'eight hosts that have it')
        for pid in processes_of(gate[0].process.pid)[1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        r = self.finish(p)
        self.assertEqual(set(r.statuses()), {f'web{i}' for i in range(1, 13)}, r)
        self.assertEqual(r.code, 4, r)
        self.assertEqual(len(s.passwords), len(set(s.passwords)), s.passwords)


if __name__ == '__main__':
    main()
