#!/usr/bin/python3
"""The agent's delivery without ssh: the command lines of controller/remote/script, given to login
shells as sshd gives them, on places that are good, noexec, read-only, full, foreign or damaged.
"""
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

SOURCE = os.environ.get('MUSTER_SOURCE', os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
BUILD = os.environ.get('MUSTER_BUILD', '')
TOOL = os.path.join(BUILD, 'tests/integration/delivery_tool')
MAGIC = b'\0\xffmuster-agent\x01\n'
SHELLS = {'bash': ['bash'], 'dash': ['dash'], 'zsh': ['zsh'], 'fish': ['fish'], 'tcsh': ['tcsh'], 'ksh': ['ksh'],
          'ash': ['busybox', 'ash']}
OTHER = 65534      # nobody


def can_mount():
    if os.geteuid() != 0:
        return 'needs root'
    r = subprocess.run(['unshare', '-m', 'mount', '-t', 'tmpfs', 'none', '/mnt'], stderr=subprocess.PIPE)
    return '' if r.returncode == 0 else 'mount namespaces are not permitted here: ' + r.stderr.decode().strip()


CANNOT_MOUNT = can_mount()


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix='muster-delivery-')
        os.chmod(cls.dir, 0o755)
        cls.agent = os.path.join(cls.dir, 'agent')
        subprocess.run([os.environ.get('CC', 'cc'), '-static', '-O', '-o', cls.agent,
                        os.path.join(SOURCE, 'tests/integration/agent_stub.c')], check=True)
        with open(cls.agent, 'rb') as f:
            cls.blob = f.read()
        cls.digest = hashlib.sha256(cls.blob).hexdigest()
        cls.arch = os.uname().machine

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    def setUp(self):
        self.top = tempfile.mkdtemp(dir=self.dir)
        os.chmod(self.top, 0o755)
        self.home = os.path.join(self.top, 'home')
        os.mkdir(self.home, 0o755)
        self.cache = os.path.join(self.home, '.cache/muster')
        self.final = os.path.join(self.cache, 'muster-agent-' + self.digest)
        self.nonces = 0

    def tearDown(self):
        for place in ('/var/tmp', '/tmp', '/dev/shm'):      # what a probe made where the home would not do
            try:
                os.rmdir(f'{place}/muster-{os.getuid()}')
            except OSError:
                pass

    def nonce(self):
        self.nonces += 1
        return f'{self.nonces:032x}'

    def line(self, what, mode, nonce, *more, length=None, digest=None, arch=None):
        return subprocess.run([TOOL, what, mode, nonce, arch or self.arch, digest or self.digest,
                               str(len(self.blob) if length is None else length), *more],
                              check=True, stdout=subprocess.PIPE).stdout

    def login(self, line, shell=('sh',), stdin=b'', env=None, before='', user=None):
        """Runs a command line as sshd would: SHELL -c LINE, with a login's environment. `before` is sh that
        runs in front of it, in a mount namespace of its own."""
        full = {'PATH': '/usr/local/bin:/usr/bin:/bin', 'HOME': self.home, 'USER': 'u', 'LOGNAME': 'u',
                'SHELL': '/bin/sh'}
        full.update(env or {})
        argv = [*shell, '-c', line]
        if before:
            argv = ['unshare', '-m', 'sh', '-c', 'set -e; ' + before.rstrip('; ') + '; exec "$@"', 'sh', *argv]
        if user is not None:
            argv = ['setpriv', f'--reuid={user}', f'--regid={user}', '--clear-groups', *argv]
        r = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd='/',
                           env={k: v for k, v in full.items() if v is not None})
        r.args = [os.path.basename(shell[0])]
        return r

    def report(self, r, word, nonce):
        """The one line, as a dict; None where there is none."""
        lines = [m for m in r.stdout.split(b'\n') if m.startswith(f'{word} {nonce} '.encode())]
        self.assertLessEqual(len(lines), 1, r)
        if not lines:
            return None
        words = lines[0].decode().split(' ')[2:]
        got = dict(w.split('=', 1) if '=' in w else (w, True) for w in words)
        if got.get('refused'):
            got['refused'] = dict(w.split(':') for w in got['refused'].rstrip(',').split(','))
        return got

    def probe(self, mode='cached', refused='', temporary=None, dirs=(), **how):
        nonce = self.nonce()
        more = [refused, *(temporary or ['-', '-']), *dirs]
        kind = {k: how.pop(k) for k in ('arch', 'digest', 'length') if k in how}
        r = self.login(self.line('probe', mode, nonce, *more, **kind), **how)
        return self.report(r, 'muster-probe', nonce), self.started(r, nonce), r

    def started(self, r, nonce):
        """What the stub said of itself, or None."""
        at = r.stdout.find(MAGIC + bytes.fromhex(nonce))
        if at < 0:
            return None
        start = self.report(r, 'muster-start', nonce)
        got = {'at': start['at'], 'arg': [], 'env': {}, 'fd': []}
        for one in r.stdout[at + 32:].decode().splitlines():
            key, value = one.split('=', 1)
            if key == 'env':
                got['env'].update([value.split('=', 1)])
            elif key in ('arg', 'fd'):
                got[key].append(value)
            else:
                got[key] = value
        return got

    def upload(self, place='c', mode='cached', dirs=(), blob=None, nonce=None, length=None, **how):
        nonce = nonce or self.nonce()
        line = self.line('upload', mode, nonce, place, *dirs, length=length)
        r = self.login(line, stdin=self.blob if blob is None else blob, **how)
        return self.report(r, 'muster-placed', nonce), r

    def files(self, folder=None):
        return sorted(os.listdir(folder or self.cache))

    def deliver(self, **how):
        """Probe, upload, probe: the agent runs."""
        report, started, r = self.probe(**how)
        self.assertIsNone(started, r)
        placed, r = self.upload(report['at'], **how)
        self.assertEqual(placed, {'ok': True}, r)
        report, started, r = self.probe(**how)
        self.assertIsNotNone(started, r)
        return started


class Shells(Case):
    def test_first_and_second_contact(self):
        for name, shell in SHELLS.items():
            with self.subTest(name):
                shutil.rmtree(os.path.join(self.home, '.cache'), ignore_errors=True)
                report, started, r = self.probe(shell=shell)
                self.assertIsNone(started, r)
                self.assertEqual((r.stderr, r.returncode), (b'', 0), r)
                self.assertEqual((report['os'], report['arch'], report['at'], report['tool'], report['uid']),
                                 ('Linux', self.arch, 'c', '1', str(os.getuid())), r)
                with open('/proc/sys/kernel/random/boot_id') as f:
                    self.assertEqual(report['boot'], f.read().strip())
                self.assertEqual(self.files(), [], 'a probe leaves nothing behind')
                placed, r = self.upload(shell=shell)
                self.assertEqual((placed, r.stderr), ({'ok': True}, b''), r)
                self.assertEqual(self.files(), ['muster-agent-' + self.digest])
                self.assertEqual(os.stat(self.cache).st_mode & 0o7777, 0o700)
                self.assertEqual(os.stat(self.final).st_mode & 0o7777, 0o700)
                report, started, r = self.probe(shell=shell)
                self.assertIsNone(report, 'one round trip')
                self.assertEqual(started['at'], 'c')
                self.assertEqual(started['exe'], self.final)
                self.assertEqual(started['cwd'], self.home)
                self.assertEqual(started['arg'][2:], ['--idle-ms', '45000', '--expect', self.digest])
                self.assertEqual((started['fd'], r.stderr), ([], b''), r)

    def test_an_environment_that_is_hostile(self):
        self.deliver()
        env = {'LD_PRELOAD': '/nonexistent.so', 'IFS': 'ame/-', 'BASH_ENV': '/nonexistent', 'ENV': '/nonexistent',
               'CDPATH': '/tmp:/', 'BASH_FUNC_ls%%': '() { echo hostile; }', 'BASH_FUNC_cd%%': '() { echo hostile; }',
               'BASH_FUNC_echo%%': '() { exit 9; }', 'LC_ALL': 'de_DE.UTF-8', 'LANG': 'tr_TR.UTF-8',
               'POSIXLY_CORRECT': '1', 'BASHOPTS': 'nocaseglob', 'SHELLOPTS': 'noclobber:nounset', 'PS4': '$(exit)',
               'XDG_RUNTIME_DIR': '/run/user/77 7'}
        for name, shell in SHELLS.items():
            with self.subTest(name):
                report, started, r = self.probe(shell=shell, env=env)
                self.assertIsNotNone(started, r)
                self.assertEqual(set(started['env']) - {'PWD', 'SHLVL', '_'},
                                 {'PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'XDG_RUNTIME_DIR'}, r)
                self.assertEqual(started['env']['PATH'], '/usr/local/bin:/usr/bin:/bin')

    def test_start_up_files_that_print(self):
        self.deliver()
        noise = 'echo noise on stdout; echo noise on stderr >&2\n'
        for name in ('.bashrc', '.zshenv', '.tcshrc', '.cshrc', '.profile', '.kshrc'):
            with open(os.path.join(self.home, name), 'w') as f:
                f.write(noise.replace(' >&2', '') if 'csh' in name else noise)
        os.makedirs(os.path.join(self.home, '.config/fish'), exist_ok=True)
        with open(os.path.join(self.home, '.config/fish/config.fish'), 'w') as f:
            f.write(noise)
        loud = 0
        for name, shell in SHELLS.items():
            with self.subTest(name):
                # bash reads its rc file where it believes to be started by sshd
                env = {'SSH_CLIENT': '127.0.0.1 1 2', 'SHLVL': '0'} if name == 'bash' else {}
                report, started, r = self.probe(shell=shell, env=env)
                self.assertIsNotNone(started, r)
                loud += b'noise on stdout' in r.stdout
        self.assertGreaterEqual(loud, 3, 'the start-up files were read')

    def test_shells_that_are_none(self):
        for shell in (['/usr/sbin/nologin'], ['rbash'], ['/bin/false']):
            with self.subTest(shell[0]):
                report, started, r = self.probe(shell=shell)
                self.assertEqual((report, started), (None, None), r)


class Places(Case):
    def test_no_home(self):
        for home in (None, '', '/nonexistent/home', 'relative'):
            with self.subTest(home):
                report, started, r = self.probe(env={'HOME': home, 'XDG_CACHE_HOME': None})
                self.assertEqual((report['at'], report['refused']), ('v', {'c': 'none'}), r)

    def test_xdg_folders(self):
        run = os.path.join(self.top, 'run')
        os.mkdir(run, 0o700)
        env = {'XDG_RUNTIME_DIR': run, 'XDG_CACHE_HOME': os.path.join(self.top, 'my cache')}
        started = self.deliver(env=env)
        self.assertEqual(started['exe'], os.path.join(self.top, 'my cache/muster/muster-agent-' + self.digest))
        report, started, r = self.probe('temporary', env={**env, 'XDG_CACHE_HOME': '/nonexistent/x'})
        self.assertEqual(report['at'], 'r', r)

    def test_configured_folders_come_first(self):
        mine = os.path.join(self.top, 'my place')
        os.mkdir(mine)
        report, started, r = self.probe(dirs=['/nonexistent', mine])
        self.assertEqual((report['at'], report['refused']), ('1', {'0': 'none'}), r)
        placed, r = self.upload('1', dirs=['/nonexistent', mine])
        self.assertEqual(placed, {'ok': True}, r)
        report, started, r = self.probe(dirs=['/nonexistent', mine])
        self.assertEqual(started['exe'], f'{mine}/muster-{os.getuid()}/muster-agent-{self.digest}', r)

    def test_folders_that_cannot_be_trusted(self):
        self.deliver()
        elsewhere = os.path.join(self.top, 'elsewhere')
        os.rename(self.cache, elsewhere)
        os.symlink(elsewhere, self.cache)
        report, started, r = self.probe()
        self.assertEqual((started, report['refused']), (None, {'c': 'link'}), 'a link to what is good is a link')
        os.unlink(self.cache)
        os.rename(elsewhere, self.cache)
        for mode in (0o770, 0o755, 0o777, 0o710, 0o707):
            os.chmod(self.cache, mode)
            report, started, r = self.probe()
            self.assertEqual((started, report['refused']), (None, {'c': 'mode'}), oct(mode))
            placed, r = self.upload()
            self.assertEqual(placed, {'error': 'mode'}, r)
        os.chmod(self.cache, 0o2700)    # inherited from the folder above: nobody's but ours
        report, started, r = self.probe()
        self.assertIsNotNone(started, r)

    @unittest.skipIf(os.geteuid() != 0, 'needs root to give a folder away')
    def test_somebody_elses_folder(self):
        self.deliver()
        os.chown(self.cache, OTHER, OTHER)
        report, started, r = self.probe()
        self.assertEqual((started, report['refused']), (None, {'c': 'owner'}), r)
        placed, r = self.upload()
        self.assertEqual(placed, {'error': 'owner'}, r)
        self.assertEqual(os.listdir(self.cache), ['muster-agent-' + self.digest], 'nothing was touched')

    @unittest.skipIf(os.geteuid() != 0, 'needs root to be somebody else')
    def test_a_home_that_cannot_be_written(self):
        report, started, r = self.probe(user=OTHER, env={'TMPDIR': None})
        self.assertEqual(report['refused'], {'c': 'denied'}, r)
        self.assertEqual((report['at'], report['uid']), ('v', str(OTHER)), r)
        shutil.rmtree(f'/var/tmp/muster-{OTHER}')

    def test_another_architecture_uploads_nothing(self):
        report, started, r = self.probe(arch='riscv64')
        self.assertEqual((report['at'], report['refused'], report['arch']), ('', '', self.arch), r)
        self.assertFalse(os.path.exists(self.cache))

    def test_never_only_looks(self):
        report, started, r = self.probe('never')
        self.assertEqual((report['at'], started), ('', None), r)
        self.assertFalse(os.path.exists(self.cache))

    def test_installed(self):
        tools = os.path.join(self.top, 'tools')
        os.mkdir(tools)
        path = tools + ':/usr/bin:/bin'
        report, started, r = self.probe('installed', env={'PATH': path})
        self.assertEqual((started, report['at']), (None, ''), r)
        shutil.copy(self.agent, os.path.join(tools, 'muster-agent'))
        report, started, r = self.probe('installed', digest='0' * 64, env={'PATH': path})
        self.assertEqual((started['at'], started['exe']), ('i', os.path.join(tools, 'muster-agent')), r)
        self.assertNotIn('--expect', started['arg'])
        report, started, r = self.probe(env={'PATH': path})
        self.assertEqual((started['at'], started['env']['PATH']), ('i', path), 'the same file: no upload')
        report, started, r = self.probe(digest='0' * 64, env={'PATH': path})
        self.assertEqual((started, report['at']), (None, 'c'), 'another file: ours is sent')

    def test_temporary_leaves_nothing(self):
        nonce = self.nonce()
        placed, r = self.upload(mode='temporary', nonce=nonce)
        self.assertEqual(placed, {'ok': True}, r)
        self.assertEqual(self.files(), ['muster-temp-' + nonce])
        report, started, r = self.probe('temporary', temporary=[nonce, 'c'])
        self.assertEqual(started['arg'][-1], '--temporary', r)
        self.assertEqual(self.files(), [])


class Damage(Case):
    def test_a_damaged_agent_is_not_run(self):
        self.deliver()
        with open(self.final, 'r+b') as f:
            f.seek(len(self.blob) // 2)
            f.write(b'damage')
        report, started, r = self.probe()
        self.assertEqual((started, report['at']), (None, 'c'), r)
        self.assertEqual(self.files(), [], 'and removed')
        self.deliver()

    def test_bytes_that_changed_on_the_way(self):
        placed, r = self.upload(blob=self.blob[:-1] + bytes([self.blob[-1] ^ 1]))
        self.assertEqual((placed, self.files()), ({'error': 'digest'}, []), r)

    def test_an_upload_that_was_cut(self):
        for n in (0, 1, 4096, len(self.blob) - 1):
            placed, r = self.upload(blob=self.blob[:n])
            self.assertEqual((placed, self.files()), ({'error': 'short'}, []), r)
        placed, r = self.upload(blob=self.blob + b'x')
        self.assertEqual((placed, self.files()), ({'error': 'short'}, []), r)
        self.deliver()

    def test_an_upload_that_was_killed(self):
        nonce = self.nonce()
        p = subprocess.Popen(['sh', '-c', self.line('upload', 'cached', nonce, 'c')], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, env={'PATH': '/usr/bin:/bin', 'HOME': self.home},
                             start_new_session=True)
        p.stdin.write(self.blob[:5000])
        p.stdin.flush()
        part = os.path.join(self.cache, f'.muster-{nonce}.part')
        while not os.path.exists(part):
            self.assertIsNone(p.poll())
            time.sleep(0.01)
        os.killpg(p.pid, 9)
        p.communicate()
        self.assertEqual(self.files(), [os.path.basename(part)])
        self.deliver()
        self.assertIn(os.path.basename(part), self.files(), 'it might still be going on')
        hour = time.time() - 3700
        os.utime(part, (hour, hour))
        report, started, r = self.probe()
        self.assertIsNotNone(started)
        self.assertEqual(self.files(), ['muster-agent-' + self.digest])

    def test_two_at_once(self):
        """Ten controllers meet a host that knows none of them: all are served, one file stays."""
        results = []

        def one(i):
            nonce = f'{1000 + i:032x}'
            line = self.line('upload', 'cached', nonce, 'c')
            r = self.login(line, stdin=self.blob)
            results.append((self.report(r, 'muster-placed', nonce), r))
        threads = [threading.Thread(target=one, args=(i,)) for i in range(10)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual([p for p, r in results], [{'ok': True}] * 10, results)
        self.assertEqual(self.files(), ['muster-agent-' + self.digest])
        report, started, r = self.probe()
        self.assertIsNotNone(started, r)

    def test_old_versions_go(self):
        self.deliver()
        old = os.path.join(self.cache, 'muster-agent-' + '0' * 64)
        shutil.copy(self.agent, old)
        os.unlink(self.final)
        self.upload()
        self.assertEqual(len(self.files()), 2)
        month = time.time() - 32 * 86400
        os.utime(old, (month, month))
        self.upload()
        self.assertEqual(self.files(), ['muster-agent-' + self.digest])


@unittest.skipIf(os.geteuid() != 0, 'needs root for chroot')
class FewTools(Case):
    """A root with some applets of busybox, /dev/null and nothing else: no /proc, no env, no digest tool."""

    BASE = ('sh', 'id', 'uname', 'ls', 'mkdir', 'chmod', 'rm', 'cat', 'wc', 'mv', 'sync')

    def root(self, *more):
        root = tempfile.mkdtemp(dir=self.top)
        for d in ('bin', 'dev', 'tmp', 'root', 'var/tmp'):
            os.makedirs(os.path.join(root, d))
        os.mknod(os.path.join(root, 'dev/null'), 0o20666, os.makedev(1, 3))
        shutil.copy('/bin/busybox', os.path.join(root, 'bin/box'))
        out = subprocess.run(['ldd', '/bin/busybox'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        for lib in re.findall(r'(/\S+)', out.decode()):
            os.makedirs(os.path.dirname(root + lib), exist_ok=True)
            shutil.copy(lib, root + lib)
        for n in (*self.BASE, *more):
            os.symlink('box', os.path.join(root, 'bin', n))
        return root

    def test_few_tools(self):
        for more, tool in ((), '0'), (('sha256sum', 'find'), '1'):
            with self.subTest(tool):
                root = self.root(*more)
                how = {'shell': ['/usr/sbin/chroot', root, '/bin/sh'], 'env': {'HOME': '/root', 'PATH': '/bin'}}
                report, started, r = self.probe(**how)
                self.assertEqual((report['at'], report['tool'], report['boot']), ('c', tool, ''), r)
                placed, r = self.upload(**how)
                self.assertEqual((placed, r.stderr), ({'ok': True}, b''), r)
                report, started, r = self.probe(**how)
                self.assertEqual((started['at'], started['cwd'], r.stderr), ('c', '/root', b''), r)
                placed, r = self.upload(blob=self.blob[:-1] + b'!', **how)
                self.assertEqual(placed, {'error': 'digest'} if tool == '1' else {'ok': True}, r)
                # without a tool it is the agent itself that refuses such a file, and the next probe removes it
                placed, r = self.upload(blob=self.blob[:-1], **how)
                self.assertEqual(placed, {'error': 'short'}, r)


class Mounts(Case):
    """File systems that refuse, each in a mount namespace of its own."""

    def setUp(self):
        super().setUp()
        if CANNOT_MOUNT:
            self.skipTest(CANNOT_MOUNT)
        self.others = ('for d in /var/tmp /tmp /dev/shm; do if mountpoint -q $d || [ -d $d ]; then '
                       'mount -t tmpfs -o noexec none $d; fi; done; ')
        # the test's own folder lies in /tmp: kept within reach
        self.keep = f'mount -t tmpfs none /mnt; mkdir /mnt/keep; mount --bind {self.top} /mnt/keep; '
        self.env = {'HOME': '/mnt/keep/home'}

    def test_noexec_everywhere(self):
        before = self.keep + self.others + 'mount -t tmpfs -o noexec none /mnt/keep/home'
        for name, shell in SHELLS.items():
            with self.subTest(name):
                report, started, r = self.probe(before=before, env=self.env, shell=shell)
                self.assertEqual((report['at'], report['refused']),
                                 ('', {'c': 'noexec', 'v': 'noexec', 't': 'noexec', 's': 'noexec', 'r': 'none'}), r)

    def test_the_first_that_executes(self):
        before = self.keep + self.others + ('mount -t tmpfs -o noexec none /mnt/keep/home; '
                                            'mount -t tmpfs -o exec none /dev/shm')
        report, started, r = self.probe(before=before, env=self.env)
        self.assertEqual((report['at'], report['refused']), ('s', {'c': 'noexec', 'v': 'noexec', 't': 'noexec'}), r)

    def test_a_cache_that_became_noexec(self):
        self.deliver()
        before = self.keep + self.others + 'mount --bind /mnt/keep/home /mnt/keep/home; ' \
            'mount -o remount,bind,noexec /mnt/keep/home'
        report, started, r = self.probe(before=before, env=self.env)
        self.assertIsNone(started, r)
        if report is not None:      # a shell whose test -x does not know noexec finds out by running it
            self.assertEqual(report['refused']['c'], 'noexec', r)
        else:
            self.assertEqual(r.returncode, 126, r)
        placed, r = self.upload(before=before, env=self.env)
        self.assertEqual(placed, {'error': 'noexec'}, r)

    def test_read_only_everywhere(self):
        before = self.keep + 'for d in /var/tmp /tmp /dev/shm /mnt/keep/home; do mount -t tmpfs -o ro none $d; done'
        report, started, r = self.probe(before=before, env=self.env)
        self.assertEqual(report['refused'], {'c': 'ro', 'v': 'ro', 't': 'ro', 's': 'ro', 'r': 'none'}, r)
        placed, r = self.upload(before=before, env=self.env)
        self.assertEqual(placed, {'error': 'ro'}, r)

    def test_full(self):
        small = 'for d in /var/tmp /tmp /dev/shm /mnt/keep/home; do mount -t tmpfs -o size=64k none $d; done; '
        report, started, r = self.probe(before=self.keep + small, env=self.env)
        self.assertEqual(report['refused'], {'c': 'full', 'v': 'full', 't': 'full', 's': 'full', 'r': 'none'}, r)
        placed, r = self.upload(before=self.keep + small, env=self.env)
        self.assertEqual(placed, {'error': 'full'}, r)
        no_inodes = 'for d in /var/tmp /tmp /dev/shm /mnt/keep/home; do mount -t tmpfs -o nr_inodes=1 none $d; done'
        report, started, r = self.probe(before=self.keep + no_inodes, env=self.env)
        self.assertEqual(report['refused'], {'c': 'full', 'v': 'full', 't': 'full', 's': 'full', 'r': 'none'}, r)

    def test_nothing_is_left_on_a_full_disk(self):
        small = 'mount -t tmpfs -o size=64k none /mnt/keep/home; '
        nonce = self.nonce()
        line = self.line('upload', 'cached', nonce, 'c').decode()
        show = self.login('"$0" -c "$1"; ls -A ~/.cache/muster | grep . && exit 5; exit 0'
                          .replace('$0', '/bin/sh').replace('"$1"', '"$LINE"'),
                          stdin=self.blob, before=self.keep + small, env={**self.env, 'LINE': line})
        self.assertEqual(self.report(show, 'muster-placed', nonce), {'error': 'full'}, show)
        self.assertEqual(show.returncode, 0, show)


if __name__ == '__main__':
    unittest.main()
