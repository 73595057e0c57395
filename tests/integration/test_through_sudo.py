#!/usr/bin/python3
"""Commands through the agent and sudo, for real: rules, passwords, terminals, ends, lost connections.

Makes users of its own (root only) and removes them, and one file in /etc/sudoers.d; nothing that is there is
changed."""
import hashlib
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import unittest

from fleet import Fleet, can_mount
from muster_case import MUSTER, main, stdout_of
from terminal import Terminal
from test_through import BIG, ThroughCase


@unittest.skipUnless(os.geteuid() == 0, 'makes users: only as root')
@unittest.skipUnless(shutil.which('sudo') and shutil.which('useradd'), 'sudo or useradd is missing')
class Become(ThroughCase):
    @classmethod
    def setUpClass(cls):
        tag = secrets.token_hex(3)
        cls.user, cls.other = f'mut{tag}a', f'mut{tag}b'
        cls.password = 'pass word\u00e9 $' + tag
        cls.rules = f'/etc/sudoers.d/muster-test-{tag}'
        cls.homes = tempfile.mkdtemp(prefix='muster-through-')
        cls.log = os.path.join(cls.homes, 'sudo.log')
        cls.addClassCleanup(cls.clean)
        os.chmod(cls.homes, 0o755)
        for name in (cls.user, cls.other):
            subprocess.run(['useradd', '-m', '-s', '/bin/sh', '-d', os.path.join(cls.homes, name), name], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            subprocess.run(['chpasswd'], input=f'{name}:{cls.password}'.encode(), check=True)
        cls.f = Fleet()
        cls.addClassCleanup(cls.f.stop)
        cls.web = cls.f.sshd('web', 2, per_host=True, system=True)
        for h in cls.web:
            h.user = cls.user
        cls.f.write()

    @classmethod
    def clean(cls):
        if os.path.exists(cls.rules):
            os.unlink(cls.rules)
        for name in (cls.user, cls.other):
            subprocess.run(['userdel', '-r', name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for left in (f'/run/sudo/ts/{name}', f'/var/lib/sudo/lectured/{name}'):
                if os.path.exists(left):
                    os.unlink(left)
        shutil.rmtree(cls.homes, ignore_errors=True)

    def rule(self, who, *defaults):
        defaults = [f'logfile={self.log}', *defaults]
        text = ''.join(f'Defaults:{self.user} {d}\n' for d in defaults) + (f'{self.user} {who}\n' if who else '')
        fresh = self.rules + '.new'
        with open(fresh, 'w') as f:
            f.write(text)
        os.chmod(fresh, 0o440)
        subprocess.run(['visudo', '-cqf', fresh], check=True)
        os.rename(fresh, self.rules)
        for name in (self.log, f'/run/sudo/ts/{self.user}', f'/var/lib/sudo/lectured/{self.user}'):
            if os.path.exists(name):
                os.unlink(name)

    def wrong_attempts(self):
        """By sudo's own log."""
        if not os.path.exists(self.log):
            return 0
        with open(self.log) as f:
            return f.read().replace('\n', ' ').count('incorrect password attempt')

    def with_password(self, password, *args, **more):
        """The password from the inventory's variables."""
        self.f.write(variables={'all': {'ansible_become_password': password}})
        self.addCleanup(self.f.write)
        r = self.run_on(self.f, '--become', *args, **more)
        self.assertNotIn(self.password, r.out + r.err)
        for d, _, names in os.walk(self.state):
            for n in names:
                with open(os.path.join(d, n), 'rb') as f:
                    self.assertNotIn(self.password.encode(), f.read(), n)
        return r

    NOPASSWD = 'ALL=(ALL) NOPASSWD: ALL'
    ALL = 'ALL=(ALL) ALL'

    def test_without_password(self):
        self.rule(self.NOPASSWD)
        r = self.run_on(self.f, '--become', '--cwd', '/usr', '--env', 'MUT_X=a b', 'web', '--',
                        'id -u; pwd; echo "$MUT_X $MUSTER_HOST"; echo err >&2; exit 3')
        for name, h in r.hosts().items():
            self.assertEqual((h['stdout'], h['stderr'], h['exit_code']), (f'0\n/usr\na b {name}\n', 'err\n', 3), r)
        h = self.one(self.run_on(self.f, f'--become={self.other}', 'web1', '--', 'id -un; echo $HOME'))
        self.assertEqual(h['stdout'].split('\n')[0], self.other, h)
        script = self.mark('script')
        with open(script, 'w') as s:
            s.write('id -u; echo "$1"\n')
        h = self.one(self.run_on(self.f, '--become', '--script', script, 'web1', '--', 'a b'))
        self.assertEqual(h['stdout'], '0\na b\n', h)

    def test_password_asked(self):
        self.rule(self.ALL)
        t = Terminal(self, self.argv(self.f, '--become', '--ask-become-pass', '-o', 'stream', 'web', '--', 'id', '-u'),
                     self.env)
        t.answer(b'sudo password: ', self.password)
        self.assertEqual(t.end(), 0, t.said)
        for host in (b'web1: ', b'web2: '):
            self.assertRegex(t.said, host + b'[^0-9 ]*(\x1b\\[0m)?0\r\n')
        self.assertEqual(t.said.count(b'password'), 1, t.said)
        self.assertNotIn(self.password.encode(), t.said)
        self.assertEqual(self.wrong_attempts(), 0)

    def test_password_sealed(self):
        self.rule(self.ALL)
        key = self.mark('key')
        with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), 'w') as k:
            k.write('the-key-of-the-vault')
        sealed = subprocess.run([MUSTER, 'vault', 'encrypt', '--name', 'ansible_become_password', '--vault-key', key],
                                input=self.password.encode(), env=self.env, check=True, stdout=subprocess.PIPE).stdout
        path = os.path.join(self.f.dir, 'group_vars')
        os.makedirs(path, exist_ok=True)
        self.addCleanup(shutil.rmtree, path)
        with open(os.path.join(path, 'web.yml'), 'wb') as v:
            v.write(sealed)
        r = self.run_on(self.f, '--become', '--vault-key', key, '--stdin', '-', 'web', '--', 'cat; id -u', stdin=b'input\n')
        self.assertEqual({h['stdout'] for h in r.hosts().values()}, {'input\n0\n'}, r)
        self.assertNotIn(self.password, r.out + r.err)
        # Without the key: told, and nothing is sent.
        r = self.run_on(self.f, '--become', 'web', '--', 'true')
        self.assertEqual({h['sent'] for h in r.hosts().values()}, {False}, r)

    def test_wrong_password(self):
        """One attempt at each host, whatever is said of retries."""
        self.rule(self.ALL)
        r = self.with_password('wrong', '--retries', '3', '--retry-on', 'auth-failed', 'web1', '--', f'touch {self.mark("x")}')
        self.assertEqual(r.facts(), {'web1': ('auth-failed', 'become', 'become-wrong-password')}, r)
        h = self.one(r)
        self.assertEqual((h['sent'], h['may_still_run']), (False, False), r)
        self.assertEqual((self.wrong_attempts(), h['attempts']), (1, 1), r)
        r = self.with_password('wrong', 'web', '--', 'true')
        self.assertEqual({h['problem'] for h in r.hosts().values()} - {'become-wrong-password'}, set(), r)
        self.assertFalse(os.path.exists(self.mark('x')))

    def test_few_before_it_was_right_once(self):
        """A typing error must not lock the account of a whole fleet; once right, nobody waits."""
        self.rule(self.ALL)
        many = self.f.sshd('many', 40, system=True)
        for h in many:
            h.user = self.user
        try:
            r = self.with_password('wrong', '--yes', 'many', '--', 'true')
            self.assertEqual(set(r.statuses().values()) - {'not-started'}, {'auth-failed'}, r)
            self.assertEqual({h['problem'] for h in r.hosts().values() if h['status'] == 'auth-failed'},
                             {'become-wrong-password'}, r)
            barred = [h for h in r.hosts().values()
                      if re.search('sudo was not sent: 2[0-7] hosts have refused it', h.get('detail', ''))]
            self.assertGreater(len(barred), 0, r)
            self.assertEqual({(h['sent'], h['phase']) for h in barred}, {(False, 'become')}, r)
            self.assertGreaterEqual(self.wrong_attempts(), 20)
            self.assertLessEqual(self.wrong_attempts(), 27)
            # Each waits for all: there are never 40 at once where only an end counts as "right".
            self.rule(self.ALL)
            r = self.with_password(self.password, '-f', '40', '--yes', 'many', '--',
                                   f'echo >>{self.mark("here")}; while [ $(wc -l <{self.mark("here")}) -lt 40 ]; do sleep 0.1; done')
            self.assertEqual(set(r.statuses().values()), {'ok'}, r)
            # sudo that never asks proves nothing of the password: nobody waits, nobody is refused.
            self.rule(self.NOPASSWD)
            r = self.with_password('wrong', '--yes', 'many', '--', 'id -u')
            self.assertEqual({h['stdout'] for h in r.hosts().values()}, {'0\n'}, r)
        finally:
            for h in many:
                self.f.hosts.remove(h)
            self.f.write()

    def test_told_apart(self):
        self.rule(self.ALL)
        for rule, password, problem in ((self.ALL, None, 'become-password-needed'), (None, self.password, 'become-denied'),
                                        ('ALL=(root) NOPASSWD: /usr/bin/true', self.password, 'become-denied')):
            self.rule(rule)
            args = ('web1', '--', f'touch {self.mark("x")}')
            r = self.with_password(password, *args) if password else self.run_on(self.f, '--become', *args)
            self.assertEqual(r.facts(), {'web1': ('auth-failed', 'become', problem)}, r)
            self.assertEqual((r.code, self.one(r)['sent']), (4, False), r)
        self.assertFalse(os.path.exists(self.mark('x')))
        if can_mount():
            return
        gone = self.f.sshd('gone', inside='mount --bind /dev/null /usr/bin/sudo', system=True)[0]
        gone.user = self.user
        self.f.write()
        try:
            r = self.run_on(self.f, '--become', 'gone1', '--', 'true')
        finally:
            self.f.hosts.remove(gone)
            self.f.write()
        self.assertEqual(r.facts(), {'gone1': ('resource', 'become', 'become-missing')}, r)

    def test_large(self):
        """20 MB through sudo and its terminal: not a byte is the terminal's."""
        self.rule(self.ALL, 'use_pty', 'requiretty', 'lecture=always')
        data = random.Random(6).randbytes(BIG)
        r = self.with_password(self.password, '--max-output', '30M', '--stdin', '-', 'web1', '--', 'id -u >&2; cat', stdin=data)
        h = self.one(r)
        self.assertEqual((h['status'], h['stderr']), ('ok', '0\n'), r.err)
        self.assertEqual(hashlib.sha256(stdout_of(h)).digest(), hashlib.sha256(data).digest())

    def test_ends(self):
        for defaults in ('use_pty', '!use_pty'):
            self.rule(self.NOPASSWD, defaults)
            h = self.one(self.run_on(self.f, '--become', 'web1', '--', 'exit 77'))
            self.assertEqual((h['problem'], h['exit_code']), ('exit-nonzero', 77), (defaults, h))
            h = self.one(self.run_on(self.f, '--become', 'web1', '--', 'kill -TERM $$'))
            self.assertEqual((h['problem'], h['signal']), ('killed-by-signal', 'TERM'), (defaults, h))
            name = 'root' + defaults.strip('!') + str(len(defaults))
            r = self.run_on(self.f, '--become', '--timeout', '3s', 'web1', '--',
                            f'{self.writes(name)} trap "" TERM HUP INT; sleep 1000; sleep 1000')
            h = self.one(r)
            self.assertEqual((h['problem'], h['may_still_run']), ('run-timeout', False), r)
            self.assertFalse(self.pid(name).alive())
            p = self.start_on(self.f, '--become', 'web1', '--', self.writes(name + 'c') + 'sleep 1000; :')
            victim = self.pid(name + 'c')
            os.kill(p.pid, signal.SIGINT)
            r = self.finish(p)
            self.assertEqual((r.code, self.one(r)['may_still_run']), (130, False), r)
            self.assertFalse(victim.alive())

    def test_disconnect(self):
        """What root runs for us ends with the connection only where that was asked for."""
        self.rule(self.NOPASSWD)
        for what in ('kill', 'continue'):
            p = self.start_on(self.f, '--become', '--on-disconnect', what, 'web1', '--', f'trap "" TERM HUP INT PIPE; '
                              f'{self.writes(what)} while [ ! -e {self.mark("go")} ]; do sleep 0.1; done; id -u >{self.mark("done")}')
            victim = self.pid(what)
            self.kill_session(self.web[0])
            r = self.finish(p)
            self.assertEqual(r.facts(), {'web1': ('lost', 'run', 'connection-lost')}, r)
            self.assertEqual(self.one(r)['may_still_run'], True, r)
            if what == 'kill':
                self.assertTrue(victim.wait(60), victim)
        self.assertFalse(victim.wait(6), 'it outlives the connection and the agent')
        with open(self.mark('go'), 'w'):
            pass
        self.assertTrue(victim.wait(60))
        with open(self.mark('done')) as f:
            self.assertEqual(f.read(), '0\n')

    def test_retry(self):
        self.rule(self.NOPASSWD)
        r = self.run_on(self.f, '--become', 'web', '--', f'[ -e {self.mark("go")} ] || exit 7; id -u')
        self.assertEqual({h['exit_code'] for h in r.hosts().values()}, {7}, r)
        with open(self.mark('go'), 'w'):
            pass
        r = self.muster('retry', 'last', '-o', 'json')
        self.assertEqual({h['stdout'] for h in r.hosts().values()}, {'0\n'}, r)
        self.assertEqual(pwd.getpwnam(self.user).pw_name, next(iter(r.hosts().values()))['user'])


if __name__ == '__main__':
    main()
