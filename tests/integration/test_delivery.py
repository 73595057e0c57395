#!/usr/bin/python3
"""How the agent gets to real hosts: once, whole, beside others, and where a host has no good place for it."""
import hashlib
import json
import os
import re
import signal
import subprocess
import tempfile
import unittest

from fleet import Fleet, can_mount
from muster_case import MusterCase, main, stdout_of
from on_host import below
from relay import Relay

BUILD = os.environ.get('MUSTER_BUILD', '')
STATIC = os.path.join(BUILD, 'agent', 'x86_64', 'muster-agent')
QUICK = ('--samples', '1', '--columns', 'host,memory.total')
VERBOSE = ['LogLevel VERBOSE']
CANNOT_MOUNT = can_mount()


class Delivery(MusterCase):
    @classmethod
    def setUpClass(cls):
        with open(STATIC, 'rb') as f:
            agent = f.read()
        cls.size, cls.digest = len(agent), hashlib.sha256(agent).hexdigest()
        cls.name = 'muster-agent-' + cls.digest

    def stats(self, f, *args, **more):
        return self.execute(self.argv(f, '-o', 'json', *QUICK, '--yes', *args, verb='stats'), **more)

    def all_answer(self, f, *args):
        r = self.stats(f, *args)
        d = json.loads(r.raw)
        self.assertEqual((r.code, d['coverage']['answered']), (0, d['coverage']['hosts']), r)
        return r

    @staticmethod
    def home(host):
        return os.path.join(os.path.dirname(host.log), 'home')

    def cache(self, host):
        return os.path.join(self.home(host), '.cache/muster')

    def stored(self, host):
        """What tells one stored file from another with the same bytes."""
        st = os.stat(os.path.join(self.cache(host), self.name))
        return st.st_ino, st.st_mtime_ns, st.st_size

    def is_good(self, host):
        """The agent and nothing else in its folder."""
        self.assertEqual(os.listdir(self.cache(host)), [self.name])
        with open(os.path.join(self.cache(host), self.name), 'rb') as f:
            self.assertEqual(hashlib.sha256(f.read()).hexdigest(), self.digest)
        self.assertEqual(os.stat(self.cache(host)).st_mode & 0o777, 0o700)

    def received(self, host, logins):
        """Bytes that the server got in each of its connections; it says so at their end."""
        found = []

        def all_there():
            with open(host.log, errors='replace') as f:
                found[:] = [int(n) for n in re.findall(r'Transferred: sent \d+, received (\d+) bytes', f.read())]
            return len(found) == logins
        self.wait_for(all_there, f'{logins} ends of connections')
        return found

    # ---- once ----

    def test_once(self):
        f = self.fleet()
        web = f.sshd('web', 24, per_host=True, config=VERBOSE)
        f.write()
        self.all_answer(f, 'all')
        first = {h.name: self.stored(h) for h in web}
        self.all_answer(f, 'all')
        self.assertEqual({h.name: self.stored(h) for h in web}, first)
        for h in web:
            self.is_good(h)
            sent, again = self.received(h, 2)
            self.assertTrue(self.size < sent < self.size * 3 // 2, (h, sent))
            self.assertLess(again, self.size // 8, h)
        # Another verb finds the same.
        r = self.run_on(f, '--on-disconnect', 'kill', 'all', '--', 'true')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual({h.name: self.stored(h) for h in web}, first)

    def test_one_home_for_many(self):
        """Sixteen hosts with one home, as on NFS, and no agent in it yet: all at once, and nobody is harmed."""
        f = self.fleet()
        web = f.sshd('web', 16)
        f.write()
        self.all_answer(f, 'all')
        self.is_good(web[0])

    def test_controllers_at_once(self):
        f = self.fleet()
        web = f.sshd('web', 6, per_host=True)
        f.write()
        argv = self.argv(f, '-o', 'json', *QUICK, 'all', verb='stats')
        running = [subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE) for _ in range(4)]
        for p in running:
            r = self.finish(p)
            self.assertEqual((r.code, json.loads(r.raw)['coverage']), (0, {'hosts': 6, 'answered': 6}), r)
        for h in web:
            self.is_good(h)

    # ---- interrupted ----

    def test_cut_in_the_middle(self):
        """The connection breaks half-way; the next run repairs it, and finds nothing in its way."""
        f = self.fleet()
        web = f.sshd('web', 2, per_host=True)
        relays = [Relay(h) for h in web]
        for r in relays:
            self.addCleanup(r.stop)
            r.limit = self.size // 2
        f.write()
        r = self.stats(f, '--retries', '0', 'all')
        failed = json.loads(r.raw)['failed']
        self.assertEqual(r.code, 4, r)
        self.assertEqual({(x['status'], x['problem']) for x in failed}, {('unreachable', 'connection-reset')}, r)
        for h in web:
            self.assertFalse(os.path.exists(os.path.join(self.cache(h), self.name)))
        for x in relays:
            x.limit = None
        self.all_answer(f, 'all')
        for h in web:
            self.wait_for(lambda h=h: os.listdir(self.cache(h)) == [self.name], 'the end of what was interrupted')
            self.is_good(h)

    def test_session_killed_in_the_middle(self):
        """kill -9 of all that the server runs for us, shell and cat among it: what they left is swept up."""
        f = self.fleet()
        web = f.sshd('web', 1)[0]
        relay = Relay(web)
        self.addCleanup(relay.stop)
        relay.limit, relay.on_limit = self.size // 2, 'hold'
        f.write()
        p = self.start_on(f, '--retries', '0', '--on-disconnect', 'kill', 'all', '--', 'true')
        relay.reached.wait()
        parts = lambda: [n for n in os.listdir(self.cache(web)) if n.startswith('.muster-')]    # noqa: E731
        self.wait_for(lambda: os.path.isdir(self.cache(web)) and parts(), 'the temporary file')
        for sig in (signal.SIGSTOP, signal.SIGKILL):     # stopped first: none sees another's end
            for x in below(web.process.pid):
                x.kill(sig)
        relay.stop()
        r = self.finish(p)
        self.assertEqual(r.facts(), {'web1': ('unreachable', 'hello', 'connection-reset')}, r)
        self.assertEqual(r.hosts()['web1']['sent'], False, r)
        left = parts()
        self.assertEqual(len(left), 1)
        web.port = relay.target[1]
        f.write()
        self.all_answer(f, 'all')
        self.assertIn(self.name, os.listdir(self.cache(web)))
        # Somebody else's upload might be under way: only an old one goes.
        self.assertEqual(parts(), left)
        old = os.stat(self.cache(web)).st_mtime - 7200
        os.utime(os.path.join(self.cache(web), left[0]), (old, old))
        self.all_answer(f, 'all')
        self.is_good(web)

    def test_damaged(self):
        """Half a file, another file, no right to execute it, a folder: each run ends well, with a good one."""
        f = self.fleet()
        web = f.sshd('web', 4, per_host=True)
        f.write()
        self.all_answer(f, 'all')
        half, other, plain, link = (os.path.join(self.cache(h), self.name) for h in web)
        os.truncate(half, self.size // 2)
        with open(other, 'r+b') as x:
            x.seek(self.size // 2)
            byte = x.read(1)
            x.seek(self.size // 2)
            x.write(bytes([byte[0] ^ 1]))
        os.chmod(plain, 0o600)
        os.rename(link, link + '.aside')
        os.symlink(link + '.aside', link)
        self.all_answer(f, 'all')
        os.unlink(link + '.aside')
        for h in web:
            self.is_good(h)
            self.assertEqual(os.lstat(os.path.join(self.cache(h), self.name)).st_mode & 0o170777, 0o100700)

    # ---- places ----

    EVERYWHERE = ('$HOME', '/var/tmp', '/tmp', '/dev/shm')

    def everywhere(self, options, after=''):
        return '; '.join(f'mount -t tmpfs -o mode=1777,{options} none {p}{after.replace("@", p)}' for p in self.EVERYWHERE)

    def rows(self, uname):
        """name: (what is done to the places, problem or None, where it is stored)"""
        ro = '; mount -o remount,ro none @'
        home = 'mount -t tmpfs -o mode=755,%s none $HOME; '
        good = 'mount -t tmpfs -o mode=1777 none /var/tmp; '
        own = 'mkdir -p -m 700 $HOME/.cache; '
        return {
            'noexec': (self.everywhere('noexec'), 'agent-no-exec', ''),
            'readonly': (self.everywhere('size=4m', ro), 'read-only-fs', ''),
            'full': (self.everywhere('size=64k'), 'disk-full', ''),
            'inodes': (self.everywhere('nr_inodes=1'), 'disk-full', ''),
            'homenoexec': (home % 'noexec' + good, None, '/var/tmp'),
            'homereadonly': (home % 'size=4m' + 'mount -o remount,ro none $HOME; ' + good, None, '/var/tmp'),
            'homefull': (home % 'size=64k' + good, None, '/var/tmp'),
            'symlink': (own + good + 'mkdir $HOME/elsewhere; ln -s $HOME/elsewhere $HOME/.cache/muster', None, '/var/tmp'),
            'foreign': (own + good + 'mkdir -m 700 $HOME/.cache/muster; chown 65534 $HOME/.cache/muster', None, '/var/tmp'),
            'open': (own + good + 'mkdir $HOME/.cache/muster; chmod 777 $HOME/.cache/muster', None, '/var/tmp'),
            'squat': (home % 'noexec' + 'for p in /var/tmp /tmp /dev/shm; do mount -t tmpfs none $p; mkdir -m 700 '
                      '$p/muster-0; chown 65534 $p/muster-0; done', 'agent-no-exec', ''),
            'last': (home % 'noexec' + 'for p in /var/tmp /tmp; do mount -t tmpfs -o noexec none $p; done; '
                     'mount -t tmpfs none /dev/shm', None, '/dev/shm'),
            'limit': (self.everywhere('size=4m') + '; echo "ulimit -f 100" >$HOME/.bashrc', 'agent-no-place', ''),
            'arch': (f'mount --bind {uname} /usr/bin/uname', 'agent-no-binary', ''),
        }

    @unittest.skipIf(CANNOT_MOUNT, f'places need mounts: {CANNOT_MOUNT}')
    def test_places(self):
        f = Fleet(tempfile.mkdtemp(prefix='muster-places-', dir='/run'))     # /tmp is one of the places
        self.addCleanup(f.stop)
        rows = self.rows(f._file('uname', '#!/bin/sh\necho Linux armv7l\n', 0o755))
        for name, (mounts, _, _) in rows.items():
            f.sshd(name, inside=mounts, shell='/bin/bash')
        f.write()
        r = self.run_on(f, '--on-disconnect', 'kill', 'all', '--', 'readlink /proc/$PPID/exe')
        for name, (_, problem, place) in rows.items():
            h = r.hosts()[name + '1']
            with self.subTest(place=name):
                self.assertEqual(h['problem'], problem, h)
                self.assertEqual(stdout_of(h).decode().strip(), f'{place}/muster-0/{self.name}' if place else '')
                if problem:
                    self.assertEqual((h['status'], h['phase'], h['sent']), ('resource', 'hello', False), h)
        self.assertIn('Linux armv7l', r.hosts()['arch1']['detail'])
        for where in ('~/.cache', '/var/tmp', '/tmp', '/dev/shm'):
            self.assertIn(f'{where}: mounted noexec', r.hosts()['noexec1']['detail'])
        # Figures come all the same, by plain sh, and that is said.
        r = self.execute(self.argv(f, '-o', 'json', '--samples', '1', '--only', 'memory', 'all', verb='stats'))
        self.assertEqual(r.code, 0, r)
        said = {h['host'][:-1]: h.get('plain_sh', {}).get('problem') for h in json.loads(r.raw)['hosts']}
        self.assertEqual(said, {name: problem for name, (_, problem, _) in rows.items()}, r)
        self.assertIn('by plain sh, without an agent and with less: ', r.err)


if __name__ == '__main__':
    main()
