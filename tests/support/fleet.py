#!/usr/bin/python3
"""A fleet of real SSH servers on loopback addresses, for tests, benchmarks and deploy/quickstart.

Every 127.x.y.z is another host. Nothing outside the fleet's own folder is touched, no service is
started or stopped, nothing listens beyond loopback, and all processes end with the one that started
them. Works as root and as any user (who can then only log in as themselves, as sshd wants it).

As a module:

    with Fleet() as fleet:
        fleet.sshd('web', 12)                        # web1 .. web12, OpenSSH
        fleet.sshd('fish', 1, shell='/usr/bin/fish') # the account's login shell, really
        fleet.sshd('loud', 1, config=['Banner /path'], home={'.bashrc': 'echo noise'})
        fleet.dropbear('drop', 1)
        fleet.tinysshd('tiny', 1)
        fleet.sshd('bad', 1, known='wrong')          # known_hosts has another key for it
        fleet.peer('hole', 'blackhole')              # see PEERS
        fleet.write()                                # fleet.inventory, fleet.known_hosts
        subprocess.run([muster, 'run', '-i', fleet.inventory, '--known-hosts', fleet.known_hosts,
                        'all', '--', 'uname'])

The order of calls is the order of the hosts in the inventory; each call's prefix is a group. A server
call returns its list of Host. `known` says what known_hosts holds: 'right', 'wrong' (another key),
'none', 'revoked', 'hashed', 'ca'.

As a program:

    fleet.py start --dir DIR [--hosts N] [--prefix web] [--bad KIND=N]   leaves it running
    fleet.py stop --dir DIR
    fleet.py run [--hosts N] [--bad KIND=N] -- COMMAND...                stops it afterwards

`run` gives the command MUSTER_INVENTORY and MUSTER_KNOWN_HOSTS; `start` writes DIR/inventory.yml,
DIR/known_hosts, DIR/id (the user's key) and DIR/env (a file for `.`). KIND: wrong-key or one of PEERS.
"""
import argparse
import base64
import ctypes
import errno
import grp
import hashlib
import hmac
import json
import os
import pwd
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

# What a peer that is not an SSH server does to a connection.
PEERS = {
    'blackhole': 'answers no SYN: the queue of a listener that never accepts is kept full',
    'refused': 'nothing listens there, and nothing else can come to',
    'reset': 'accepts, then resets',
    'eof': 'accepts, then closes in good order without a word',
    'silent': 'accepts, and never says a word',
    'garbage': 'answers with a page of HTTP',
    'noise': 'answers with random bytes',
    'endless': 'sends lines that are no SSH banner for as long as anyone listens',
    'throttled': 'says what sshd says past its MaxStartups',
    'midway': 'sends a good SSH banner, then nothing',
}
# sshd has room for 16 listening sockets in one process (MAX_LISTEN_SOCKS).
HOSTS_PER_SSHD = 16
# How long a server may take to listen. Only a server that is broken takes that long.
START_SECONDS = 120
NSS_WRAPPER = 'libnss_wrapper.so'


class FleetError(Exception):
    pass


class Host:
    """One address of the fleet and what known_hosts shall hold for it."""

    def __init__(self, name, group, address, port, kind, key=None, known='right', user=None):
        self.name, self.group, self.address, self.port = name, group, address, port
        self.kind = kind          # openssh, dropbear, tinysshd, or one of PEERS
        self.key = key            # 'ssh-ed25519 AAAA…' as the server presents it, or None
        self.known = known
        self.user = user
        self.process = None       # of an OpenSSH server, which may serve other hosts too
        self.log = None           # likewise
        self.vars = {}            # further variables for the inventory

    def __repr__(self):
        return f'<{self.kind} {self.name} {self.address}:{self.port}>'


def find_program(name):
    for d in os.environ.get('PATH', '').split(':') + ['/usr/sbin', '/sbin', '/usr/local/sbin']:
        path = os.path.join(d, name)
        if os.access(path, os.X_OK):
            return path
    raise FleetError(f'{name} is not installed (deploy/deps --test installs it)')


def die_with_parent():
    """Runs in the child: it gets SIGTERM when the thread that started it is gone."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def nobody_else_writes(path):
    """Whether only the owner may write the folder and all above it."""
    while True:
        if os.stat(path).st_mode & 0o022:
            return False
        if path == '/':
            return True
        path = os.path.dirname(path)


def can_mount():
    """'' where a process may have mounts of its own, else why not."""
    if os.geteuid() != 0:
        return 'needs root'
    r = subprocess.run(['unshare', '-m', 'mount', '-t', 'tmpfs', 'none', '/mnt'], stderr=subprocess.PIPE, text=True)
    return '' if r.returncode == 0 else 'mount namespaces are not permitted here: ' + r.stderr.strip()


def have_nss_wrapper():
    for d in ('/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib', '/usr/lib64'):
        if os.path.exists(os.path.join(d, NSS_WRAPPER)):
            return True
    return False


def keygen(path):
    """A new ed25519 key pair at path and path.pub; returns 'ssh-ed25519 AAAA…'."""
    subprocess.run([find_program('ssh-keygen'), '-q', '-t', 'ed25519', '-N', '', '-C', 'fleet',
                    '-f', path], check=True, stdin=subprocess.DEVNULL)
    with open(path + '.pub') as f:
        return ' '.join(f.read().split()[:2])


def hashed_name(name):
    """A known_hosts name as ssh-keygen -H writes it."""
    salt = os.urandom(20)
    mac = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return '|1|%s|%s' % (base64.b64encode(salt).decode(), base64.b64encode(mac).decode())


def hashed_password(password):
    """As /etc/shadow holds it; '*' for None."""
    if password is None:
        return '*'
    return subprocess.run([find_program('openssl'), 'passwd', '-6', '-stdin'], input=password + '\n', check=True,
                          stdout=subprocess.PIPE, text=True).stdout.strip()


class Fleet:
    def __init__(self, directory=None, keep=False):
        self.dir = os.path.abspath(directory) if directory else tempfile.mkdtemp(prefix='fleet-')
        self.keep = keep                     # leave the folder behind
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)
        self.user = pwd.getpwuid(os.getuid())
        self.hosts = []
        self.processes = []
        self.sockets = []                    # held open for the peers
        self.stopping = threading.Event()
        self.threads = []
        self.inventory = os.path.join(self.dir, 'inventory.yml')
        self.known_hosts = os.path.join(self.dir, 'known_hosts')
        self.key = os.path.join(self.dir, 'id')
        self.public_key = keygen(self.key)
        self.host_key = os.path.join(self.dir, 'host_key')
        self.host_public = keygen(self.host_key)
        self.wrong_public = keygen(os.path.join(self.dir, 'wrong_key'))
        self.authorized = self._file('authorized_keys', self.public_key + '\n')
        # One block of addresses per fleet, so that fleets side by side do not meet.
        rng = random.Random(os.urandom(8))
        self._block = (rng.randrange(16, 250), rng.randrange(0, 200))
        self._next = 0
        self._groups = 0
        self._elsewhere = []

    # Life

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        """Ends every process and thread of the fleet and waits for them; removes the folder."""
        self.stopping.set()
        for p in self.processes:
            if p.poll() is None:
                p.terminate()
        for p in self.processes:
            try:
                p.wait(30)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.processes = []
        for s in self.sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
        self.sockets = []
        for t in self.threads:
            t.join()
        self.threads = []
        for d in self._elsewhere + ([] if self.keep else [self.dir]):
            shutil.rmtree(d, ignore_errors=True)

    # Servers

    def sshd(self, prefix, count=1, *, names=None, config=(), shell=None, home=None, known='right',
             per_host=False, own_key=False, max_startups='5000', env=(), password=None, inside=None,
             system=False):
        """OpenSSH servers for `count` new hosts PREFIX1…, or the names given.

        config     further lines of sshd_config (they come first, so they win)
        shell      the account's login shell (needs libnss-wrapper; fails without)
        home       files of the account's home folder: {name: text}
        per_host   one server process per host instead of one for every 16
        own_key    a host key of their own instead of the fleet's one
        env        environment of the sessions: K=V
        password   the account's password, for config=['PasswordAuthentication yes'] (needs
                   libnss-wrapper; fails without)
        inside     sh that runs first in a mount namespace of the server's own, with $HOME the
                   account's; root only, and where the machine permits it (see can_mount)
        system     the accounts of this machine as they are: their homes, shells and passwords
        """
        names = names or self._names(prefix, count)
        step = 1 if per_host else HOSTS_PER_SSHD
        made = []
        for i in range(0, len(names), step):
            made += self._sshd(prefix, names[i:i + step], config, shell, home, known, own_key,
                               max_startups, env, password, inside, system)
        return made

    def _sshd(self, prefix, names, config, shell, home, known, own_key, max_startups, env, password,
              inside, system):
        d = self._group_dir('sshd')
        key, public = self.host_key, self.host_public
        if own_key:
            key = os.path.join(d, 'host_key')
            public = keygen(key)
        home_dir = self._home(d, home or {})
        wrapper = {} if system else self._accounts(d, home_dir, shell, password)
        log = os.path.join(d, 'log')
        addresses = [self._address() for _ in names]

        def start(port):
            lines = list(config) + [
                f'Port {port}', *[f'ListenAddress {a}' for a in addresses], f'HostKey {key}',
                f'AuthorizedKeysFile {self.authorized}', 'PidFile none', 'StrictModes no',
                'UsePAM ' + ('no' if wrapper or not self._account_locked() else 'yes'),
                'PasswordAuthentication no', 'KbdInteractiveAuthentication no',
                'PermitRootLogin yes', f'MaxStartups {max_startups}', 'UseDNS no',
                'PrintMotd no', 'PrintLastLog no', 'LogLevel INFO', 'LoginGraceTime 120']
            sets = list(env)
            if not wrapper and not system:
                sets.append(f'HOME={home_dir}')
            if sets:
                lines.append('SetEnv ' + ' '.join(sets))
            conf = self._file(os.path.join(d, 'sshd_config'), '\n'.join(lines) + '\n')
            argv = [find_program('sshd'), '-D', '-f', conf, '-E', log]
            if inside is None:
                return argv
            return ['unshare', '-m', 'sh', '-c', f'set -e; HOME={home_dir}; {inside}\nexec "$@"', 'sh', *argv]

        if os.getuid() == 0:
            os.makedirs('/run/sshd', mode=0o755, exist_ok=True)
        port = self._serve(addresses, start, log, wrapper)
        made = self._add(names, prefix, addresses, port, 'openssh', public, known)
        for h in made:
            h.process, h.log = self.processes[-1], log
        return made

    def dropbear(self, prefix, count=1, *, shell=None, home=None, known='right', args=()):
        """Dropbear servers, one process for each host."""
        made = []
        for name in self._names(prefix, count):
            d = self._group_dir('dropbear')
            key = os.path.join(d, 'host_key')
            subprocess.run([find_program('dropbearkey'), '-t', 'ed25519', '-f', key], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            out = subprocess.run([find_program('dropbearkey'), '-y', '-f', key], check=True,
                                 stdout=subprocess.PIPE, text=True).stdout
            public = next(' '.join(x.split()[:2]) for x in out.split('\n') if x.startswith('ssh-'))
            wrapper = self._needs_accounts(d, self._home(d, home or {}), shell)
            address, log = self._address(), os.path.join(d, 'log')
            port = self._serve([address], lambda port: [
                find_program('dropbear'), '-F', '-E', '-m', '-s', '-r', key, '-P', os.path.join(d, 'pid'),
                *args, '-p', f'{address}:{port}'], log, wrapper)
            made += self._add([name], prefix, [address], port, 'dropbear', public, known)
        return made

    def tinysshd(self, prefix, count=1, *, shell=None, home=None, known='right'):
        """TinySSH servers: a listener of ours that starts one process for each connection."""
        made = []
        for name in self._names(prefix, count):
            d = self._group_dir('tinysshd')
            keydir = os.path.join(d, 'keys')
            subprocess.run([find_program('tinysshd-makekey'), '-q', keydir], check=True)
            out = subprocess.run([find_program('tinysshd-printkey'), keydir], check=True,
                                 stdout=subprocess.PIPE, text=True).stdout
            public = ' '.join(out.split()[:2])
            wrapper = self._needs_accounts(d, self._home(self._strict_dir(), home or {}), shell)
            address = self._address()
            listener = self._listener(address)
            argv = [find_program('tinysshd'), '-v', keydir]

            def serve(conn, argv=argv, wrapper=wrapper, log=os.path.join(d, 'log')):
                with open(log, 'ab') as out, conn:
                    self.processes.append(subprocess.Popen(
                        argv, stdin=conn, stdout=conn, stderr=out, env=dict(os.environ, **wrapper)))

            self._accept(listener, serve)
            made += self._add([name], prefix, [address], listener.getsockname()[1], 'tinysshd',
                              public, known)
        return made

    def peer(self, prefix, kind, count=1, *, names=None, known='right'):
        """Hosts that are no SSH servers; kind is one of PEERS."""
        made = []
        for name in names or self._names(prefix, count):
            address = self._address()
            port = getattr(self, '_peer_' + kind)(address)
            made += self._add([name], prefix, [address], port, kind, self.host_public, known)
        return made

    # Files for muster

    def write(self, groups=None, variables=None):
        """Writes the inventory and known_hosts of all hosts made so far. `groups`: further groups,
        {name: [host names]}; `variables`: {group or 'all': {name: value}}."""
        variables = dict(variables or {})
        everyone = {'ansible_user': self.user.pw_name, 'ansible_ssh_private_key_file': self.key,
                    **variables.pop('all', {})}
        out = ['all:', '  vars:'] + [f'    {k}: {json.dumps(v)}' for k, v in everyone.items()]
        out.append('  children:')
        own = {}
        for h in self.hosts:
            own.setdefault(h.group, []).append(h)
        for group, hosts in own.items():
            out += [f'    {group}:', '      hosts:']
            for h in hosts:
                more = {'ansible_host': h.address, 'ansible_port': h.port, **h.vars}
                if h.user:
                    more['ansible_user'] = h.user
                words = ', '.join(f'{k}: {json.dumps(v)}' for k, v in more.items())
                out.append(f'        {json.dumps(h.name) if not h.name.isalnum() else h.name}: {{{words}}}')
            out += self._group_vars(variables.pop(group, None))
        for group, names in (groups or {}).items():
            out += [f'    {group}:', '      hosts:'] + [f'        {json.dumps(n)}: {{}}' for n in names]
            out += self._group_vars(variables.pop(group, None))
        if variables:
            raise FleetError(f'variables for no group: {variables}')
        self._file(self.inventory, '\n'.join(out) + '\n')
        self._file(self.known_hosts, ''.join(self._known_line(h) for h in self.hosts))
        return self.inventory

    @staticmethod
    def _group_vars(variables):
        if not variables:
            return []
        return ['      vars:'] + [f'        {k}: {json.dumps(v)}' for k, v in variables.items()]

    def _known_line(self, h):
        where = h.address if h.port == 22 else f'[{h.address}]:{h.port}'
        line = {'right': f'{where} {h.key}', 'wrong': f'{where} {self.wrong_public}',
                'revoked': f'{where} {h.key}\n@revoked * {h.key}', 'none': '',
                'hashed': f'{hashed_name(where)} {h.key}',
                'ca': f'@cert-authority {where} {self.wrong_public}'}[h.known]
        return line + '\n' if line else ''

    def logins(self, group=None):
        """How many logins the OpenSSH servers have accepted so far."""
        n = 0
        for d in sorted(os.listdir(self.dir)):
            log = os.path.join(self.dir, d, 'log')
            if d.startswith('sshd') and os.path.exists(log):
                with open(log, errors='replace') as f:
                    n += sum(line.startswith('Accepted ') for line in f)
        return n

    # Below: how it is done

    def _names(self, prefix, count):
        have = sum(h.group == prefix for h in self.hosts)
        if count == 1 and have == 0:
            return [prefix + '1']
        return [f'{prefix}{have + i + 1}' for i in range(count)]

    def _add(self, names, group, addresses, port, kind, key, known):
        made = [Host(n, group, a, port, kind, key, known) for n, a in zip(names, addresses)]
        self.hosts += made
        return made

    def _address(self):
        self._next += 1
        a, b = self._block
        return f'127.{a}.{b + self._next // 250}.{self._next % 250 + 1}'

    def _group_dir(self, kind):
        self._groups += 1
        d = os.path.join(self.dir, f'{kind}{self._groups}')
        os.makedirs(d)
        return d

    def _file(self, path, text, mode=0o644):
        path = os.path.join(self.dir, path)
        with open(path, 'w') as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def _home(self, d, files):
        home = os.path.join(d, 'home')
        os.makedirs(os.path.join(home, '.ssh'), mode=0o700)
        self._file(os.path.join(home, '.ssh/authorized_keys'), self.public_key + '\n', 0o600)
        for name, text in files.items():
            path = os.path.join(home, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._file(path, text)
        return home

    def _strict_dir(self):
        """A folder that nobody else may write above, which rules out /tmp: tinysshd looks."""
        cache = os.path.join(self.user.pw_dir, '.cache')
        for base in ('/run', os.environ.get('XDG_RUNTIME_DIR', ''), '/var/cache', cache):
            if base == cache:
                os.makedirs(base, mode=0o700, exist_ok=True)
            if os.access(base, os.W_OK) and nobody_else_writes(base):
                break
        else:
            raise FleetError(f'tinysshd wants a home below which only its owner writes; {cache} is not such')
        self._elsewhere.append(tempfile.mkdtemp(prefix='fleet-', dir=base))
        return self._elsewhere[-1]

    def _account_locked(self):
        """sshd without PAM refuses an account whose password field begins with '!'."""
        if os.getuid() != 0:
            return False
        try:
            with open('/etc/shadow') as f:
                return any(x.startswith(self.user.pw_name + ':!') for x in f)
        except OSError:
            return False

    def _accounts(self, d, home, shell, password=None):
        """The environment in which a server finds our user with the home and login shell wanted, or
        {} where libnss-wrapper is not installed and nothing but HOME is asked for."""
        if have_nss_wrapper():
            return self._wrap(d, home, shell, password)
        if shell or password:
            raise FleetError('a login shell or a password of its own needs libnss-wrapper (deploy/deps --test)')
        return {}

    def _needs_accounts(self, d, home, shell):
        if not have_nss_wrapper():
            raise FleetError('dropbear and tinysshd need libnss-wrapper here (deploy/deps --test)')
        return self._wrap(d, home, shell)

    def _wrap(self, d, home, shell, password=None):
        u = self.user
        group = grp.getgrgid(u.pw_gid).gr_name
        users = [f'{u.pw_name}:x:{u.pw_uid}:{u.pw_gid}:fleet:{home}:{shell or "/bin/sh"}']
        shadow = [f'{u.pw_name}:{hashed_password(password)}:20000:0:99999:7:::']
        groups = [f'{group}:x:{u.pw_gid}:']
        try:
            p = pwd.getpwnam('sshd')
            users.append(f'sshd:x:{p.pw_uid}:{p.pw_gid}::/run/sshd:/usr/sbin/nologin')
            shadow.append('sshd:!:20000::::::')
            groups.append(f'{grp.getgrgid(p.pw_gid).gr_name}:x:{p.pw_gid}:')
        except KeyError:
            pass
        return {
            'LD_PRELOAD': NSS_WRAPPER,
            'NSS_WRAPPER_PASSWD': self._file(os.path.join(d, 'passwd'), '\n'.join(users) + '\n'),
            'NSS_WRAPPER_SHADOW': self._file(os.path.join(d, 'shadow'), '\n'.join(shadow) + '\n'),
            'NSS_WRAPPER_GROUP': self._file(os.path.join(d, 'group'), '\n'.join(groups) + '\n'),
        }

    def _free_port(self, addresses):
        """A port that is free on all the addresses just now."""
        for _ in range(100):
            with socket.socket() as first:
                first.bind((addresses[0], 0))
                port = first.getsockname()[1]
                try:
                    for a in addresses[1:]:
                        with socket.socket() as s:
                            s.bind((a, port))
                    return port
                except OSError:
                    continue
        raise FleetError(f'no port is free on {addresses}')

    def _serve(self, addresses, argv_for, log, env):
        """Starts a server on a free port and waits until it listens on every address."""
        for _ in range(10):
            port = self._free_port(addresses)
            with open(log, 'ab') as out:
                p = subprocess.Popen(argv_for(port), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                     env=dict(os.environ, **env), preexec_fn=die_with_parent)
            # The last address is bound last.
            if self._await(p, addresses[-1], port):
                self.processes.append(p)
                return port
            with open(log, errors='replace') as f:
                said = f.read()
            if 'in use' not in said:
                raise FleetError(f'{argv_for(port)[0]} did not start: {said.strip()[-2000:]}')
            os.unlink(log)
        raise FleetError('ten ports in a row were taken between the look and the bind')

    @staticmethod
    def _await(p, address, port):
        end = time.monotonic() + START_SECONDS
        pause = 0.002
        while time.monotonic() < end:
            if p.poll() is not None:
                return False
            with socket.socket() as s:
                if s.connect_ex((address, port)) == 0:
                    return True
            select.select([], [], [], pause)
            pause = min(pause * 2, 0.1)
        p.kill()
        p.wait()
        raise FleetError(f'{p.args[0]} does not listen on {address}:{port}')

    def _listener(self, address, backlog=128):
        s = socket.socket()
        s.bind((address, 0))
        s.listen(backlog)
        self.sockets.append(s)
        return s

    def _accept(self, listener, serve):
        """A thread that hands each connection to `serve` until the fleet stops."""
        def loop():
            while not self.stopping.is_set():
                try:
                    conn, _ = listener.accept()
                except OSError:
                    return
                try:
                    serve(conn)
                except OSError:
                    conn.close()
        t = threading.Thread(target=loop, daemon=True)
        self.threads.append(t)
        t.start()

    def _say(self, address, text=b'', then='close'):
        listener = self._listener(address)

        def serve(conn):
            if text:
                conn.sendall(text)
            if then == 'hold':
                self.sockets.append(conn)
                return
            if then == 'reset':
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            elif text:
                # Closing on what the peer has sent would be a reset: its words first, then ours end.
                conn.shutdown(socket.SHUT_WR)
                conn.settimeout(5)
                while conn.recv(4096):
                    pass
            conn.close()
        self._accept(listener, serve)
        return listener.getsockname()[1]

    def _peer_reset(self, address):
        return self._say(address, then='reset')

    def _peer_eof(self, address):
        return self._say(address)

    def _peer_silent(self, address):
        return self._say(address, then='hold')

    def _peer_garbage(self, address):
        return self._say(address, b'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')

    def _peer_noise(self, address):
        return self._say(address, bytes(random.Random(7).randrange(256) for _ in range(65536)))

    def _peer_throttled(self, address):
        return self._say(address, b'Exceeded MaxStartups\r\n')

    def _peer_midway(self, address):
        return self._say(address, b'SSH-2.0-OpenSSH_9.2\r\n', then='hold')

    def _peer_endless(self, address):
        listener = self._listener(address)

        def flood(conn):
            try:
                while not self.stopping.is_set():
                    conn.sendall(b'please wait\r\n' * 64)
            except OSError:
                pass
            conn.close()

        def serve(conn):
            self.sockets.append(conn)
            t = threading.Thread(target=flood, args=(conn,), daemon=True)
            self.threads.append(t)
            t.start()
        self._accept(listener, serve)
        return listener.getsockname()[1]

    def _peer_refused(self, address):
        """Bound and not listening: nobody else can take the port meanwhile."""
        s = socket.socket()
        s.bind((address, 0))
        self.sockets.append(s)
        return s.getsockname()[1]

    def _peer_blackhole(self, address):
        """The kernel drops a SYN for a listener whose queue is full; ours is filled by ourselves."""
        listener = self._listener(address, 0)
        where = listener.getsockname()
        for _ in range(64):
            s = socket.socket()
            s.setblocking(False)
            self.sockets.append(s)
            if s.connect_ex(where) not in (0, errno.EINPROGRESS):
                raise FleetError(f'cannot fill the queue of {where}')
            # On loopback a SYN that is answered at all is answered at once.
            if not select.select([], [s], [], 0.25)[1]:
                return where[1]
        raise FleetError(f'the queue of {where} does not fill')


# The program

def build(fleet, args):
    fleet.sshd(args.prefix, args.hosts)
    for spec in args.bad:
        kind, _, count = spec.partition('=')
        count = int(count or 1)
        if kind == 'wrong-key':
            fleet.sshd('wrongkey', count, known='wrong')
        elif kind in PEERS:
            fleet.peer(kind, kind, count)
        else:
            raise FleetError(f'--bad {kind}: one of wrong-key, {", ".join(PEERS)}')
    fleet.write()
    fleet._file('env', f'export MUSTER_INVENTORY={fleet.inventory}\n'
                       f'export MUSTER_KNOWN_HOSTS={fleet.known_hosts}\n')


def wait_for_end():
    stop = threading.Event()
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sig, lambda *_: stop.set())
    stop.wait()


def start(args):
    """A process of its own holds the fleet; this one returns when all servers listen."""
    os.makedirs(args.dir, exist_ok=True)
    pid_file = os.path.join(args.dir, 'pid')
    if os.path.exists(pid_file):
        raise FleetError(f'{args.dir} holds a fleet already: fleet.py stop --dir {args.dir}')
    r, w = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.close(r)
        message = b'ok'
        try:
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            with Fleet(args.dir, keep=True) as fleet:
                build(fleet, args)
                fleet._file('pid', f'{os.getpid()}\n')
                os.write(w, message)
                os.close(w)
                wait_for_end()
                os.unlink(pid_file)
        except Exception as e:          # noqa: the parent says it
            os.write(w, str(e).encode()[:4000])
        os._exit(0)
    os.close(w)
    said = b''
    while chunk := os.read(r, 4096):
        said += chunk
    if said != b'ok':
        raise FleetError(said.decode() or 'the fleet died while starting')


def stop(args):
    try:
        with open(os.path.join(args.dir, 'pid')) as f:
            pid = int(f.read())
        fd = os.pidfd_open(pid)
        signal.pidfd_send_signal(fd, signal.SIGTERM)
        select.select([fd], [], [])
    except (FileNotFoundError, ProcessLookupError):
        print(f'no fleet runs in {args.dir}', file=sys.stderr)
    shutil.rmtree(args.dir, ignore_errors=True)


def run(args):
    with Fleet(args.dir) as fleet:
        build(fleet, args)
        env = dict(os.environ, MUSTER_INVENTORY=fleet.inventory, MUSTER_KNOWN_HOSTS=fleet.known_hosts)
        return subprocess.run(args.command, env=env).returncode


def main():
    parser = argparse.ArgumentParser(prog='fleet.py', description='A fleet of real SSH servers on loopback.')
    sub = parser.add_subparsers(dest='verb', required=True)
    for name in ('start', 'stop', 'run'):
        p = sub.add_parser(name)
        p.add_argument('--dir', required=name != 'run')
        if name != 'stop':
            p.add_argument('--hosts', type=int, default=12)
            p.add_argument('--prefix', default='web')
            p.add_argument('--bad', action='append', default=[], metavar='KIND=N')
        if name == 'run':
            p.add_argument('command', nargs='+')
    args = parser.parse_args()
    try:
        return {'start': start, 'stop': stop, 'run': run}[args.verb](args) or 0
    except FleetError as e:
        print(f'fleet: {e}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
