"""sudo for real, through the agent: users and rules of the test's own, made for it and removed after it.

As root only (it makes users), and with sudo; skipped otherwise. Nothing that is there already is changed:
one file in /etc/sudoers.d, whose name is this test's, and users whose names are.
"""
import hashlib
import os
import pwd
import secrets
import select
import shutil
import subprocess
import tempfile
import time
import unittest

import agent_peer as ap
from on_host import Process, marked, parent_of

BUILD = os.environ['MUSTER_BUILD']
STATIC = os.path.join(BUILD, 'agent', 'x86_64', 'muster-agent')
AGENT = STATIC if os.path.exists(STATIC) else os.path.join(BUILD, 'agent', 'muster-agent')
PLACES = ('/var/lib/muster', '/var/cache/muster', '/run/muster')
ALL = 'ALL=(ALL) ALL'
NOPASSWD = 'ALL=(ALL) NOPASSWD: ALL'


class Result:
    def __init__(self, frames):
        self.out = b''.join(f.payload[1:] for f in frames if f.type == ap.DATA and f.payload[0] == 1)
        self.err = b''.join(f.payload[1:] for f in frames if f.type == ap.DATA and f.payload[0] == 2)
        self.replies = [f.map for f in frames if f.type == ap.REPLY]
        self.end = frames[-1].map
        self.problem, self.exit = self.end['problem'], self.end['exit']


@unittest.skipUnless(os.geteuid() == 0, 'makes users: only as root')
@unittest.skipUnless(shutil.which('sudo') and shutil.which('useradd'), 'sudo or useradd is missing')
class Become(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tag = secrets.token_hex(3)
        cls.user, cls.other = f'mut{tag}a', f'mut{tag}b'
        cls.password = 'pass word\u00e9 $\x15' + tag    # with what a terminal would take for itself
        cls.rules = f'/etc/sudoers.d/muster-test-{tag}'
        cls.dir = tempfile.mkdtemp(prefix='muster-become-')
        cls.addClassCleanup(cls.clean)
        os.chmod(cls.dir, 0o755)
        for name in (cls.user, cls.other):
            subprocess.run(['useradd', '-m', '-s', '/bin/sh', '-d', os.path.join(cls.dir, name), name], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(['chpasswd'], input=f'{cls.user}:{cls.password}'.encode(), check=True)
        # A cache that the user may write to, as the real one.
        entry = pwd.getpwnam(cls.user)
        cls.cache = os.path.join(cls.dir, cls.user, 'cache')
        os.mkdir(cls.cache, 0o700)
        cls.agent = os.path.join(cls.cache, 'muster-agent')
        shutil.copy(AGENT, cls.agent)
        os.chmod(cls.agent, 0o700)
        for path in (cls.cache, cls.agent):
            os.chown(path, entry.pw_uid, entry.pw_gid)
        with open(AGENT, 'rb') as f:
            cls.digest = hashlib.sha256(f.read()).hexdigest()
        cls.had = [p for p in PLACES if os.path.exists(p)]

    @classmethod
    def clean(cls):
        if os.path.exists(cls.rules):
            os.unlink(cls.rules)
        for name in (cls.user, cls.other):
            subprocess.run(['userdel', '-r', name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for left in (f'/run/sudo/ts/{name}', f'/var/lib/sudo/lectured/{name}'):
                if os.path.exists(left):
                    os.unlink(left)
        shutil.rmtree(cls.dir, ignore_errors=True)
        for place in PLACES:
            copy = os.path.join(place, f'muster-agent-{getattr(cls, "digest", "none")}')
            if os.path.exists(copy):
                os.unlink(copy)
            if place not in getattr(cls, 'had', PLACES) and os.path.isdir(place) and not os.listdir(place):
                os.rmdir(place)

    def rule(self, who, *defaults):
        text = ''.join(f'Defaults:{self.user} {d}\n' for d in defaults) + (f'{self.user} {who}\n' if who else '')
        fresh = self.rules + '.new'
        with open(fresh, 'w') as f:
            f.write(text)
        os.chmod(fresh, 0o440)
        subprocess.run(['visudo', '-cqf', fresh], check=True)
        os.rename(fresh, self.rules)
        self.forget()

    def forget(self):
        for name in (f'/run/sudo/ts/{self.user}', f'/var/lib/sudo/lectured/{self.user}'):
            if os.path.exists(name):
                os.unlink(name)

    def start(self, program=None, **env):
        entry = pwd.getpwnam(self.user)
        command = program if isinstance(program, list) else [program or self.agent]

        def become_user():
            os.initgroups(self.user, entry.pw_gid)
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            os.chdir(entry.pw_dir)
        a = ap.AgentProcess(command, preexec_fn=become_user if command is not program else None,
                            env={'HOME': entry.pw_dir, 'USER': self.user, 'LOGNAME': self.user, **env})
        self.addCleanup(a.__exit__)
        a.start()
        self.next = 0
        return a

    def run_as(self, a, password=None, user='root', stdin=None, **members):
        self.next += 1
        become = {'user': user, 'method': 'sudo', 'password': password is not None}
        a.request(self.next, 'exec', become=become, window=4 << 20, stdin=stdin is not None, **members)
        if password is not None:
            a.input(self.next, password.encode(), last=stdin is None)
        for at in range(0, max(len(stdin), 1), 60000) if stdin is not None else ():
            a.input(self.next, stdin[at:at + 60000], last=at + 60000 >= len(stdin))
        return Result([f for f in a.until_end(self.next)])

    def fails(self, result, problem):
        self.assertEqual((result.problem, result.end['phase'], result.end['status']), (problem, 'become', 'failed'),
                         result.end)
        self.assertNotIn(self.password, result.end['detail'])

    # ---- rules ----

    def test_without_password(self):
        self.rule(NOPASSWD)
        a = self.start()
        r = self.run_as(a, shell=b'id -u; umask; pwd; echo "$MUT_X"; echo err >&2; exit 3', cwd=b'/root', umask=0o27,
                        env=[b'MUT_X=a b'])
        self.assertEqual((r.out, r.err, r.exit), (b'0\n0027\n/root\na b\n', b'err\n', 3))
        self.assertEqual(self.run_as(a, user=self.other, shell=b'id -un').out, self.other.encode() + b'\n')
        r = self.run_as(a, password='not asked for', stdin=b'data', shell=b'cat')
        self.assertEqual((r.out, r.exit), (b'data', 0))
        r = self.run_as(a, shell=b'true', cwd=b'/nonexistent')
        self.assertEqual(r.problem, 'cwd-failed')

    def test_password(self):
        self.rule(ALL)
        a = self.start()
        r = self.run_as(a, password=self.password, stdin=b'to the command\n', shell=b'cat; id -u')
        self.assertEqual((r.out, r.problem), (b'to the command\n0\n', ''), r.end)
        self.forget()
        self.fails(self.run_as(a, shell=b'id'), 'become-password-needed')

    def agents(self):
        """Agents and keepers, which are the same program."""
        found = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                if os.readlink(f'/proc/{pid}/exe') == self.agent:
                    found.append(int(pid))
            except OSError:
                pass
        return found

    def memory(self, pid):
        """All of a process that can be read."""
        with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as mem:
            for line in maps:
                first, last = (int(x, 16) for x in line.split()[0].split('-'))
                try:
                    mem.seek(first)
                    yield mem.read(min(last - first, 64 << 20))    # a sanitizer's own are larger
                except (OSError, ValueError, OverflowError):    # [vvar], [vsyscall]
                    pass

    def test_password_is_kept_nowhere(self):
        """Neither in the agent nor in the keeper, which is forked when the password, or most of it, has come already."""
        self.rule(ALL)
        secret = self.password.encode()
        for later in (0, 3):
            with self.subTest(later=later):
                self.forget()
                a = self.start()
                data = (ap.frame(ap.REQUEST, 1, ap.pack(op='exec', shell=b'echo up; exec sleep 1000',
                                                        become={'user': 'root', 'password': True})) +
                        ap.frame(ap.INPUT, 1, b'\1' + secret))
                a.send(data[:len(data) - later])
                while len(self.agents()) < 2:
                    select.select([], [], [], 0.02)
                a.send(data[len(data) - later:])
                while (f := a.read_frame()).type != ap.DATA:
                    self.assertNotEqual(f.type, ap.END, f)
                ours = self.agents()  # without what was between fork and exec before
                self.assertIn(a.pid, ours)
                self.assertGreater(len(ours), 1, 'the keeper as well')
                for pid in ours:
                    found = [m for m in self.memory(pid) if secret[:-3] in m]
                    self.assertEqual(len(found), 0, 'the agent' if pid == a.pid else 'its keeper')
                a.cancel(1, 0)
                a.until_end(1)
                a.close_input()
                a.wait()

    def test_wrong_password(self):
        self.rule(ALL)
        a = self.start()
        r = self.run_as(a, password='wrong', shell=b'id')
        self.fails(r, 'become-wrong-password')
        self.assertEqual(r.replies, [])
        self.fails(self.run_as(a, password='two\nlines', shell=b'id'), 'become-wrong-password')
        self.rule(ALL, 'passwd_tries=1', 'badpass_message="nope"')
        self.fails(self.run_as(a, password='wrong', shell=b'id'), 'become-wrong-password')

    def test_denied(self):
        self.rule(None)
        a = self.start()
        self.fails(self.run_as(a, password=self.password, shell=b'id'), 'become-denied')
        self.rule('ALL=(root) NOPASSWD: /usr/bin/true')
        self.fails(self.run_as(a, password=self.password, shell=b'id'), 'become-denied')
        self.assertEqual(self.run_as(a, argv=[b'/usr/bin/true']).problem, '')    # a rule for one command holds
        self.fails(self.run_as(a, user='no-such-user', shell=b'id'), 'become-denied')

    def test_path(self):
        """PATH is the request's: one that leads nowhere does not hide the system's sudo."""
        self.rule(NOPASSWD)
        r = self.run_as(self.start(), shell=b'echo "$PATH"; exec /usr/bin/id -u', env=[b'PATH=/nonexistent'])
        self.assertEqual((r.out.split(b'\n')[1], r.problem), (b'0', ''), r.end)

    # ---- the terminal ----

    def test_terminals(self):
        block = bytes(range(256)) * 400
        for defaults in (('requiretty',), ('use_pty',), ('!use_pty',), ('lecture=always',), ('pwfeedback',),
                         ('requiretty', 'use_pty', 'pwfeedback', 'lecture=always', 'timestamp_timeout=0')):
            with self.subTest(defaults=defaults):
                self.rule(ALL, *defaults)
                r = self.run_as(self.start(), password=self.password, stdin=block, shell=b'cat; echo done >&2')
                self.assertEqual((r.problem, r.err), ('', b'done\n'), r.end)
                self.assertEqual(r.out, block)

    def test_language(self):
        self.rule(ALL)
        a = self.start(LANG='de_DE.UTF-8', LANGUAGE='de')
        r = self.run_as(a, password=self.password, shell=b'echo "$LC_ALL"')
        self.assertEqual((r.problem, r.out), ('', b'\n'), r.end)
        self.forget()
        self.fails(self.run_as(a, password='falsch', shell=b'id'), 'become-wrong-password')

    # ---- the end ----

    def test_killed(self):
        for defaults in ('use_pty', '!use_pty'):
            with self.subTest(defaults=defaults):
                self.rule(NOPASSWD, defaults)
                a, fifo = self.start(), os.path.join(self.dir, secrets.token_hex(4))
                os.mkfifo(fifo)
                witness = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
                self.addCleanup(os.close, witness)
                text = f'exec 3>{fifo}; trap "" TERM INT HUP QUIT; sleep 1000; sleep 1000'
                r = self.run_as(a, shell=text.encode(), timeout_ms=500, grace_ms=300)
                self.assertEqual((r.problem, r.end['may_run']), ('run-timeout', False), r.end)
                os.set_blocking(witness, True)
                self.assertEqual(os.read(witness, 1), b'')    # root's processes are gone, too

    def test_killed_number_of_another(self):
        """The command behind sudo has gone, and its number is another's by now: root does not kill that."""
        self.rule(NOPASSWD, '!use_pty')
        other = subprocess.Popen(['sleep', '1000'], start_new_session=True)
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        tools = tempfile.mkdtemp(dir=self.dir)
        os.chmod(tools, 0o755)
        with open(os.path.join(tools, 'sudo'), 'w') as f:    # says that the command is that one
            f.write(f"""#!/bin/sh
[ "$1" != -n ] || exec {shutil.which("sudo")} "$@"
t=${{2#[}}; printf '\036%s go {other.pid}\n' "${{t%] }}" >&2
exec {shutil.which("sudo")} -n /bin/sh -c 'trap "" TERM INT QUIT HUP; sleep 1000; sleep 1000'
""")
            os.chmod(f.fileno(), 0o755)
        r = self.run_as(self.start(), shell=b'', env=[f'PATH={tools}:/usr/bin:/bin'.encode()], timeout_ms=500,
                        grace_ms=300)
        self.assertEqual((r.problem, r.end['may_run'], len(r.replies)), ('run-timeout', False, 1), r.end)
        self.assertIsNone(other.poll())

    def test_killed_unseen(self):
        """What root runs is ended, or told, where /proc does not show it; without any /proc nothing can be found."""
        self.rule(NOPASSWD)
        for mount, left, may_run in (('mount -t proc -o hidepid=2 proc /proc', 1, False),
                                     ('mount -t tmpfs tmpfs /proc', 0, True)):
            with self.subTest(mount=mount):
                if subprocess.run(['unshare', '-m', 'sh', '-c', mount], stderr=subprocess.DEVNULL).returncode != 0:
                    self.skipTest('no mount of our own here')
                a = self.start(['unshare', '-m', 'sh', '-c',
                                f'{mount} && exec setpriv --reuid {self.user} --regid {self.user} --init-groups "$@"',
                                'sh', self.agent])
                r = self.run_as(a, shell=b'setsid sleep 1000 >/dev/null 2>&1 & echo $!; exit 0',
                                on_disconnect='kill')
                sleep = Process(int(r.out))
                self.addCleanup(sleep.kill)
                self.assertEqual((r.problem, r.end['left'], r.end['may_run']), ('', left, may_run), r.end)
                self.assertEqual(sleep.alive(), may_run)
                if not may_run:
                    r = self.run_as(a, shell=b'trap "" TERM INT HUP QUIT; sleep 1000; sleep 1000', timeout_ms=500,
                                    grace_ms=300)
                    self.assertEqual((r.problem, r.end['may_run']), ('run-timeout', False), r.end)

    def test_controller_gone_at_the_prompt(self):
        """Nobody is left to answer: sudo and its keeper go, whatever is to live on."""
        for defaults in ('use_pty', '!use_pty'):
            for op, members in (('become', {'digest': self.digest, 'nonce': '0' * 32}),
                                ('exec', {'shell': b'sleep 1000', 'on_disconnect': 'continue'})):
                with self.subTest(op=op, defaults=defaults):
                    self.rule(ALL, defaults)
                    a = self.start(MUT_MARK=(mark := 'mut' + secrets.token_hex(8)))
                    a.request(1, op, become={'user': 'root', 'password': True}, **members)
                    while not (sudo := [p for p in marked(mark) if 'sudo' in p.command().split(' ')[0]]):
                        select.select([], [], [], 0.02)
                    keeper = parent_of(sudo[0])
                    self.assertNotEqual(keeper.pid, a.pid)
                    self.addCleanup(keeper.kill)
                    self.addCleanup(sudo[0].kill)
                    a.close_input()
                    self.assertTrue(sudo[0].wait(15), sudo)
                    self.assertTrue(keeper.wait(5), keeper)

    def test_detached(self):
        self.rule(ALL)
        a = self.start(XDG_STATE_HOME=os.path.join(self.dir, self.user))
        r = self.run_as(a, password=self.password, shell=b'id -u; echo e >&2', detach={'run': 'r-1', 'host': 'h'})
        self.assertEqual(r.problem, '', r.end)
        a.request(99, 'attach', run='r-1', follow=True)
        r = Result(a.until_end(99))
        self.assertEqual((r.out, r.err, r.exit), (b'0\n', b'e\n', 0))
        self.forget()
        r = self.run_as(a, password='wrong', shell=b'id', detach={'run': 'r-2'})
        self.fails(r, 'become-wrong-password')
        a.request(100, 'jobs')
        self.assertEqual([m['run'] for m in Result(
            [*a.until_end(100)[:-1], ap.Frame(ap.END, 0, ap.pack(problem='', exit=0))]).replies], ['r-1'])

    # ---- root's own agent ----

    def channel(self, a, digest):
        """(request id, nonce) of an agent of root's, or its END."""
        self.next += 1
        nonce = secrets.token_bytes(16)
        a.request(self.next, 'become', digest=digest, nonce=nonce.hex(), window=4 << 20,
                  become={'user': 'root', 'password': False})
        return self.next, nonce

    def test_root_agent(self):
        self.rule(NOPASSWD)
        for _ in range(2):    # the second finds root's copy
            a = self.start()
            id, nonce = self.channel(a, self.digest)
            started, read = False, b''
            while len(read) < 48:
                f = a.read_frame()
                started |= f.type == ap.REPLY
                if f.type == ap.END:
                    self.fail(f.map)
                read += f.payload[1:] if f.type == ap.DATA and f.payload[0] == 1 else b''
            self.assertTrue(started)
            self.assertTrue(read.startswith(ap.MAGIC + nonce))
            a.input(id, ap.frame(ap.WELCOME, 0, ap.pack(version=1)) +
                    ap.frame(ap.REQUEST, 1, ap.pack(op='exec', shell=b'id -u; umask; ls -l /proc/$PPID/exe')))
            while b'muster-agent-' + self.digest.encode() not in read:
                f = a.read_frame()
                self.assertNotEqual(f.type, ap.END, f)
                read += f.payload[1:] if f.type == ap.DATA else b''
            self.assertIn(b'0\n', read)
            a.input(id, ap.frame(ap.BYE), last=True)
            end = [f for f in a.until_end(id) if f.type == ap.END][0].map
            self.assertEqual(end['status'], 'ok', end)
        place = next(p for p in PLACES if os.path.exists(f'{p}/muster-agent-{self.digest}'))
        st = os.stat(place)
        self.assertEqual((st.st_uid, st.st_mode & 0o777), (0, 0o700))

    def test_changed_agent(self):
        """What the user's cache holds is another file by now: root does not run it."""
        self.rule(NOPASSWD)
        changed = self.agent + '-changed'
        shutil.copy(self.agent, changed)
        with open(changed, 'ab') as f:
            f.write(b'one byte more')
        shutil.copystat(self.agent, changed)
        os.chown(changed, pwd.getpwnam(self.user).pw_uid, -1)
        for place in PLACES:    # no earlier copy that would do
            copy = f'{place}/muster-agent-{self.digest}'
            if os.path.exists(copy):
                os.unlink(copy)
        a = self.start(changed)
        id, _ = self.channel(a, self.digest)
        r = Result(a.until_end(id))
        self.fails(r, 'become-changed')
        self.assertEqual((r.replies, r.out), ([], b''))
        for place in PLACES:
            self.assertFalse(os.path.exists(f'{place}/muster-agent-{self.digest}'))
            self.assertEqual([n for n in (os.listdir(place) if os.path.isdir(place) else []) if n.startswith('.new')], [])

    def test_copy_of_root_changed(self):
        """Root's copy itself was damaged: it is made anew, not run."""
        self.rule(NOPASSWD)
        os.makedirs(PLACES[0], mode=0o700, exist_ok=True)
        copy = f'{PLACES[0]}/muster-agent-{self.digest}'
        with open(copy, 'w') as f:
            f.write('#!/bin/sh\necho bad\n')
        os.chmod(copy, 0o700)
        # What an older version left goes then, and what a script that was killed did, but not before its time.
        names = [f'{PLACES[0]}/muster-agent-{"0" * 63}', f'{PLACES[0]}/.new.']
        files = [name + end for name in names for end in ('1', '2')]
        for i, path in enumerate(files):
            with open(path, 'w'):
                self.addCleanup(lambda p=path: os.path.exists(p) and os.unlink(p))
            when = time.time() - 86400 * (29 if i % 2 else 32)
            os.utime(path, (when, when))
        a = self.start()
        id, nonce = self.channel(a, self.digest)
        read = b''
        while len(read) < 32:
            f = a.read_frame()
            self.assertNotEqual(f.type, ap.END, f)
            read += f.payload[1:] if f.type == ap.DATA else b''
        self.assertEqual(read[:32], ap.MAGIC + nonce)
        a.input(id, b'', last=True)
        self.assertEqual(a.until_end(id)[-1].map['status'], 'ok')
        self.assertEqual([os.path.exists(p) for p in files], [False, True] * 2)
        with open(copy, 'rb') as f:
            self.assertEqual(hashlib.sha256(f.read()).hexdigest(), self.digest)


if __name__ == '__main__':
    unittest.main()
