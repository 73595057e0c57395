#!/usr/bin/python3
"""SSH servers that mean harm: one address for each way to misbehave, for tests.

    with Hostile() as hostile:                # or Hostile(['bad-mac-run', …])
        hostile.write(directory)              # hostile.inventory, hostile.known_hosts, hostile.key
        run muster on it
        hostile.expected()                    # {host: (status, phase, problem)}
        hostile.sent()                        # {host: bytes that its connections got rid of}

Speaks the protocol by itself, so that every packet can be bent: curve25519, Ed25519, AES-GCM, no
library of SSH in between. One process serves all addresses and forks for each connection. It ends
with the process that started it.
"""
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG, SERVICE_REQUEST, SERVICE_ACCEPT = 1, 2, 3, 4, 5, 6
KEXINIT, NEWKEYS, ECDH_INIT, ECDH_REPLY = 20, 21, 30, 31
AUTH_REQUEST, AUTH_FAILURE, AUTH_SUCCESS, AUTH_BANNER, AUTH_PK_OK = 50, 51, 52, 53, 60
GLOBAL_REQUEST = 80
OPEN, CONFIRM, OPEN_FAILURE, ADJUST, DATA, EXTENDED, EOF, CLOSE = 90, 91, 92, 93, 94, 95, 96, 97
CHANNEL_REQUEST, CHANNEL_SUCCESS, CHANNEL_FAILURE = 98, 99, 100
BANNER = b'SSH-2.0-hostile'
# In this order a connection goes by; a mood first reaches one politely.
STAGES = ('banner', 'kex', 'service', 'auth', 'open', 'request', 'run')


def u32(n):
    return struct.pack('>I', n & 0xffffffff)


def text(s):
    s = s.encode() if isinstance(s, str) else s
    return u32(len(s)) + s


def mpint(b):
    b = b.lstrip(b'\0')
    return text(b'\0' + b if b and b[0] & 0x80 else b)


class Gone(Exception):
    """The client has left."""


class Direction:
    """Keys and counters of one direction."""

    def __init__(self, key, iv):
        self.cipher, self.fixed, self.count = AESGCM(key), iv[:4], int.from_bytes(iv[4:], 'big')

    def nonce(self):
        n = self.fixed + self.count.to_bytes(8, 'big')
        self.count = (self.count + 1) & 0xffffffffffffffff
        return n


class Peer:
    """The server's side of one connection."""

    def __init__(self, sock, host_key, stats):
        self.sock, self.host_key, self.stats = sock, host_key, stats
        self.inward = self.outward = self.session_id = None
        self.client_channel = self.exec = None
        self.window, self.max_packet = 2 << 20, 32768
        self.buffer = b''
        self.at = 'banner'

    # Bytes and packets

    def raw(self, data):
        view = memoryview(data)
        while view:
            try:
                n = self.sock.send(view)
            except OSError:
                raise Gone from None
            self.stats['sent'] += n
            view = view[n:]

    def read(self, n):
        while len(self.buffer) < n:
            try:
                more = self.sock.recv(65536)
            except OSError:
                raise Gone from None
            if not more:
                raise Gone
            self.buffer += more
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def sealed(self, payload):
        """A packet's bytes on the wire."""
        block, extra = (16, 0) if self.outward else (8, 4)
        pad = block - (1 + len(payload) + extra) % block
        pad += block if pad < 4 else 0
        length = u32(1 + len(payload) + pad)
        body = bytes([pad]) + payload + bytes(pad)
        if not self.outward:
            return length + body
        return length + self.outward.cipher.encrypt(self.outward.nonce(), body, length)

    def send(self, *payloads):
        self.raw(b''.join(self.sealed(p) for p in payloads))

    def receive(self):
        length = self.read(4)
        n = struct.unpack('>I', length)[0]
        if self.inward:
            body = self.inward.cipher.decrypt(self.inward.nonce(), self.read(n + 16), length)
        else:
            body = self.read(n)
        return body[1:n - body[0]]

    def expect(self, *types):
        """The next packet of one of the types; others are dropped."""
        while True:
            p = self.receive()
            if p[0] in types:
                return p

    # The polite way

    def reach(self, stage):
        for name in STAGES[STAGES.index(self.at) + 1:STAGES.index(stage) + 1]:
            getattr(self, 'go_' + name)()
            self.at = name

    def go_kex(self):
        self.raw(BANNER + b'\r\n')
        line = b''
        while not line.endswith(b'\n'):
            line += self.read(1)
        self.client_banner = line.strip()

    def kexinit(self, kex=b'curve25519-sha256'):
        cipher = text('aes128-gcm@openssh.com')
        return bytes([KEXINIT]) + os.urandom(16) + text(kex) + text('ssh-ed25519') + cipher * 2 + \
            text('hmac-sha2-256') * 2 + text('none') * 2 + text('') * 2 + b'\0' + u32(0)

    def exchange_keys(self, bend=None):
        """A whole exchange, first or later; `bend` may change the reply."""
        mine = self.kexinit()
        self.send(mine)
        theirs = self.expect(KEXINIT)
        init = self.expect(ECDH_INIT)
        n = struct.unpack('>I', init[1:5])[0]
        q_c, private = init[5:5 + n], X25519PrivateKey.generate()
        q_s = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        secret = mpint(private.exchange(X25519PublicKey.from_public_bytes(q_c)))
        k_s = text('ssh-ed25519') + text(self.host_key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw))
        h = hashlib.sha256(text(self.client_banner) + text(BANNER) + text(theirs) + text(mine) + text(k_s) +
                           text(q_c) + text(q_s) + secret).digest()
        sig = self.host_key.sign(h)
        if bend:
            k_s, q_s, sig = bend(k_s, q_s, sig)
        self.send(bytes([ECDH_REPLY]) + text(k_s) + text(q_s) + text(text('ssh-ed25519') + text(sig)),
                  bytes([NEWKEYS]))
        self.session_id = self.session_id or h

        def key(letter, size):
            return hashlib.sha256(secret + h + letter + self.session_id).digest()[:size]
        self.outward = Direction(key(b'D', 16), key(b'B', 12))
        self.expect(NEWKEYS)
        self.inward = Direction(key(b'C', 16), key(b'A', 12))

    def go_service(self):
        self.exchange_keys()
        self.expect(SERVICE_REQUEST)

    def go_auth(self):
        self.send(bytes([SERVICE_ACCEPT]) + text('ssh-userauth'))
        self.expect(AUTH_REQUEST)

    def go_open(self):
        self.send(bytes([AUTH_SUCCESS]))
        self.client_channel = self.expect(OPEN)[1 + 4 + len('session'):][:4]

    def confirmation(self):
        return bytes([CONFIRM]) + self.client_channel + u32(7) + u32(self.window) + u32(self.max_packet)

    def go_request(self):
        self.send(self.confirmation())
        self.exec = self.expect(CHANNEL_REQUEST)

    def go_run(self):
        self.send(self.channel(CHANNEL_SUCCESS))

    # What a server says of a channel

    def channel(self, kind, more=b''):
        return bytes([kind]) + self.client_channel + more

    def data(self, data):
        return self.channel(DATA, text(data))

    def request(self, name, more=b'', reply=False):
        return self.channel(CHANNEL_REQUEST, text(name) + bytes([reply]) + more)

    def exit_status(self, n=0):
        return self.request('exit-status', u32(n))

    def end(self, status=0):
        self.send(self.exit_status(status), self.channel(EOF), self.channel(CLOSE))

    def stall(self):
        """Reads for as long as the client stays."""
        try:
            while True:
                self.read(1)
        except Gone:
            pass

    def deaf(self):
        """Stays without reading."""
        while self.sock.send(b'') == 0:
            time.sleep(3600)

    def storm(self, *payloads):
        """The packets over and over, in large writes, without reading."""
        while True:
            self.raw(b''.join(self.sealed(p) for p in payloads * max(1, 200 // len(payloads))))


MOODS = {}


def mood(status, phase, problem=None, name=None):
    def add(f):
        MOODS[name or f.__name__.replace('_', '-')] = (f, (status, phase, problem))
        return f
    return add


# Each stage's phase, and what a broken connection there is called.
PHASE = {'banner': 'banner', 'kex': 'kex', 'service': 'auth', 'auth': 'auth', 'open': 'open', 'request': 'request',
         'run': 'run'}
SENT = ('request', 'run')


def lost(stage):
    return ('lost', PHASE[stage], 'connection-lost') if stage in SENT else \
        ('unreachable', PHASE[stage], 'connection-reset')


def abuse(stage):
    return ('lost', PHASE[stage], 'protocol-error') if stage in SENT else \
        ('unreachable', PHASE[stage], 'protocol-abuse' if stage != 'kex' else 'kex-failed')


def each_stage(prefix, action, outcome, stages=STAGES[1:]):
    """A mood for each stage: get there, then act."""
    for stage in stages:
        def run(p, stage=stage):
            p.reach(stage)
            action(p)
        MOODS[f'{prefix}-{stage}'] = (run, outcome(stage))


# The end, in every state

def do_close(p):
    p.sock.shutdown(socket.SHUT_WR)
    p.stall()


def do_reset(p):
    p.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))


def do_disconnect(p):
    p.send(bytes([DISCONNECT]) + u32(11) + text('go away \x1b[31m now') + text(''))
    p.stall()


each_stage('close', do_close, lost)
each_stage('reset', do_reset, lost)
each_stage('disconnect', do_disconnect, lost)

# Packets that are none

def do_garbage(p):
    p.raw(random.Random(3).randbytes(4096))
    p.stall()


def do_bad_mac(p):
    data = bytearray(p.sealed(bytes([IGNORE]) + text(b'x' * 40)))
    data[-1] ^= 1
    p.raw(data)
    p.stall()


def do_huge(p):
    p.raw(u32(0x7ffffff0) + bytes(4096))
    p.stall()


def do_tiny(p):
    p.raw(u32(0) + bytes(64))
    p.stall()


each_stage('garbage', do_garbage, abuse)
each_stage('bad-mac', do_bad_mac, abuse, STAGES[2:])
each_stage('huge-length', do_huge, abuse)
each_stage('zero-length', do_tiny, abuse)

# Storms, before and after the login

STORMED = STAGES[1:]


def flooded(stage):
    return abuse(stage) if stage != 'kex' else ('unreachable', 'kex', 'protocol-abuse')


each_stage('ignore-storm', lambda p: p.storm(bytes([IGNORE]) + text(b'x' * 200)), flooded, STORMED)
each_stage('debug-storm', lambda p: p.storm(bytes([DEBUG]) + b'\1' + text(b'\x1b]0;x\7' * 30) + text('')), flooded,
           STORMED)
each_stage('big-ignore-storm', lambda p: p.storm(bytes([IGNORE]) + text(bytes(200000))), flooded, STORMED)
each_stage('unimplemented-storm', lambda p: p.storm(bytes([UNIMPLEMENTED]) + u32(3)), flooded, STORMED[2:])
each_stage('unknown-storm', lambda p: p.storm(bytes([192]) + b'abc'), flooded, STORMED[2:])
each_stage('global-request-storm',
           lambda p: p.storm(bytes([GLOBAL_REQUEST]) + text('keepalive@openssh.com') + b'\1'), flooded, STORMED[3:])
each_stage('global-unasked-storm',
           lambda p: p.storm(bytes([GLOBAL_REQUEST]) + text('hostkeys-00@openssh.com') + b'\0' + text(b'k' * 50)),
           flooded, STORMED[3:])
each_stage('open-storm', lambda p: p.storm(
    bytes([OPEN]) + text('forwarded-tcpip') + u32(1) + u32(1 << 21) + u32(32768) + text('h') + u32(1) + text('h') +
    u32(2)), flooded, STORMED[3:])
each_stage('channel-request-storm', lambda p: p.storm(p.request('keepalive@openssh.com', reply=True)), flooded, SENT)
each_stage('adjust-storm', lambda p: p.storm(p.channel(ADJUST, u32(1))), flooded, SENT)
each_stage('adjust-overflow', lambda p: p.storm(p.channel(ADJUST, u32(0xffffffff))), flooded, SENT)
each_stage('success-storm', lambda p: p.storm(p.channel(CHANNEL_SUCCESS)), flooded, ('run',))
each_stage('exit-status-storm', lambda p: p.storm(p.exit_status(1)), flooded, ('run',))
each_stage('empty-data-storm', lambda p: p.storm(p.data(b'')), flooded, ('run',))


@mood('unreachable', 'banner', 'protocol-abuse')
def lines_before_banner(p):
    while True:
        p.raw(b'please wait\r\n' * 300)


@mood('unreachable', 'banner', 'not-ssh')
def one_endless_line(p):
    while True:
        p.raw(b'x' * 4096)


@mood('unreachable', 'banner', 'banner-timeout')
def banner_byte_by_byte(p):
    while True:
        p.raw(b'.')
        time.sleep(0.2)


@mood('unreachable', 'kex', 'kex-timeout')
def kex_byte_by_byte(p):
    p.reach('kex')
    for b in p.sealed(p.kexinit(b'curve25519-sha256,' + b'x' * 30000)):
        p.raw(bytes([b]))
        time.sleep(0.2)


@mood('auth-failed', 'auth', 'auth-timeout')
def login_byte_by_byte(p):
    p.reach('auth')
    while True:
        p.send(bytes([IGNORE]) + text(b'.'))
        time.sleep(0.2)


# Key exchange

@mood('unreachable', 'kex', 'kex-failed')
def bad_signature(p):
    p.reach('kex')
    p.exchange_keys(lambda k, q, s: (k, q, bytes(64)))


@mood('unreachable', 'kex', 'kex-failed')
def zero_point(p):
    p.reach('kex')
    p.exchange_keys(lambda k, q, s: (k, bytes(32), s))


@mood('unreachable', 'kex', 'kex-failed')
def short_point(p):
    p.reach('kex')
    p.exchange_keys(lambda k, q, s: (k, q[:5], s))


@mood('unreachable', 'kex', 'kex-failed')
def empty_host_key(p):
    p.reach('kex')
    p.exchange_keys(lambda k, q, s: (b'', q, s))


@mood('unreachable', 'kex', 'kex-failed')
def torn_kexinit(p):
    p.reach('kex')
    p.send(bytes([KEXINIT]) + bytes(16) + u32(1000) + b'curve')
    p.stall()


@mood('unreachable', 'kex', 'kex-no-match')
def kexinit_of_250k(p):
    p.reach('kex')
    p.send(p.kexinit(b'x' * 200000))
    p.stall()


@mood('unreachable', 'kex', 'kex-failed')
def newkeys_at_once(p):
    p.reach('kex')
    p.send(p.kexinit(), bytes([NEWKEYS]))
    p.stall()


@mood('unreachable', 'kex', 'kex-failed')
def success_before_keys(p):
    """The login cannot be had before there are keys."""
    p.reach('kex')
    p.send(bytes([AUTH_SUCCESS]))
    p.stall()


@mood('unreachable', 'auth', 'protocol-abuse')
def success_before_login(p):
    p.reach('service')
    p.send(bytes([AUTH_SUCCESS]))
    p.stall()


def rekey_for_ever(p):
    while True:
        p.exchange_keys()


each_stage('endless-rekey', rekey_for_ever, flooded, ('auth', 'open', 'run'))


def rekey_and_stop(p):
    p.send(p.kexinit())
    p.stall()


each_stage('rekey-and-stop', rekey_and_stop, lambda s: {
    'auth': ('unreachable', 'auth', 'protocol-abuse'), 'open': ('unreachable', 'open', 'open-timeout'),
    'run': ('timeout', 'run', 'run-timeout')}[s], ('auth', 'open', 'run'))

# Login

@mood('unreachable', 'auth', 'protocol-abuse')
def banner_256k_endless(p):
    p.reach('auth')
    p.storm(bytes([AUTH_BANNER]) + text(b'password: ' * 25000) + text(''))


@mood('unreachable', 'auth', 'protocol-abuse')
def banner_small_endless(p):
    p.reach('auth')
    p.storm(bytes([AUTH_BANNER]) + text(b'password: ') + text(''))


@mood('auth-failed', 'auth', 'auth-denied')
def partial_for_ever(p):
    p.reach('auth')
    while True:
        p.send(bytes([AUTH_FAILURE]) + text('publickey') + b'\1')
        p.expect(AUTH_REQUEST)


@mood('auth-failed', 'auth', 'auth-denied')
def failure_of_endless_methods(p):
    p.reach('auth')
    p.send(bytes([AUTH_FAILURE]) + text(b'publickey,' * 20000) + b'\0')
    p.stall()


@mood('unreachable', 'auth', 'protocol-abuse')
def failure_storm(p):
    """Answers to questions that nobody asked."""
    p.reach('service')
    p.storm(bytes([AUTH_FAILURE]) + text('publickey') + b'\0')


@mood('auth-failed', 'auth', 'auth-timeout')
def service_of_another_name(p):
    p.reach('service')
    p.send(bytes([SERVICE_ACCEPT]) + text('ssh-connection'))
    p.stall()


# Channel

for size in (0, 1, 10, 100, 1023):
    @mood('unreachable', 'open', 'protocol-abuse', name=f'packets-of-{size}')
    def tiny_packets(p, size=size):
        p.max_packet = size
        p.reach('run')
        p.end()


@mood('ok', 'run')
def packets_of_1024(p):
    p.max_packet = 1024
    p.reach('run')
    p.end()
    p.stall()


@mood('timeout', 'run', 'run-timeout')
def window_zero(p):
    """Input that is never asked for."""
    p.window = 0
    p.reach('run')
    p.stall()


@mood('timeout', 'run', 'run-timeout')
def reads_nothing(p):
    p.reach('run')
    p.deaf()


@mood('unreachable', 'open', 'open-timeout')
def torn_confirmation(p):
    p.reach('open')
    p.send(bytes([CONFIRM]) + p.client_channel)
    p.stall()


@mood('unreachable', 'open', 'open-timeout')
def confirms_another_channel(p):
    p.reach('open')
    p.client_channel = u32(99999)
    p.send(p.confirmation())
    p.stall()


@mood('ok', 'run')
def confirms_twice(p):
    p.reach('run')
    p.send(p.confirmation())
    p.end()
    p.stall()


@mood('unreachable', 'open', 'channel-refused')
def refuses_with_100k(p):
    p.reach('open')
    p.send(bytes([OPEN_FAILURE]) + p.client_channel + u32(1) + text(b'\x1b[2J' * 25000) + text(''))
    p.stall()


@mood('lost', 'run', 'no-exit-status')
def closes_instead_of_an_answer(p):
    p.reach('request')
    p.send(p.channel(EOF), p.channel(CLOSE))
    p.stall()


@mood('lost', 'request', 'request-timeout')
def never_answers_the_request(p):
    p.reach('request')
    p.stall()


# The command

@mood('ok', 'run')
def polite(p):
    p.reach('run')
    p.send(p.data(b'fine\n'))
    p.end()
    p.stall()


@mood('ok', 'run')
def past_the_window(p):
    """Ten times what the client allowed, whatever it says."""
    p.reach('run')
    for _ in range(640):
        p.send(p.data(bytes(32768)))
    p.end()
    p.stall()


@mood('timeout', 'run', 'run-timeout')
def past_the_window_for_ever(p):
    p.reach('run')
    p.storm(p.data(b'y\n' * 8000))


@mood('timeout', 'run', 'run-timeout')
def never_closes(p):
    p.reach('run')
    p.send(p.exit_status(0), p.channel(EOF))
    p.stall()


@mood('lost', 'run', 'no-exit-status')
def close_without_exit(p):
    p.reach('run')
    p.send(p.data(b'?'), p.channel(EOF), p.channel(CLOSE))
    p.stall()


@mood('failed', 'run', 'exit-nonzero')
def exit_status_twice(p):
    p.reach('run')
    p.send(p.exit_status(3), p.exit_status(3), p.channel(EOF), p.channel(CLOSE))
    p.stall()


@mood('failed', 'run', 'exit-nonzero')
def exit_status_beyond(p):
    p.reach('run')
    p.end(0xffffffff)
    p.stall()


@mood('failed', 'run', 'exit-nonzero')
def exit_255(p):
    p.reach('run')
    p.end(255)
    p.stall()


@mood('signaled', 'run', 'killed-by-signal')
def exit_signal_of_100k(p):
    p.reach('run')
    p.send(p.request('exit-signal', text(b'\x1b[31mKILL' * 10000) + b'\0' + text('') + text('')),
           p.channel(EOF), p.channel(CLOSE))
    p.stall()


@mood('lost', 'run', 'no-exit-status')
def torn_exit_status(p):
    p.reach('run')
    p.send(p.request('exit-status', b'\0'), p.channel(EOF), p.channel(CLOSE))
    p.stall()


@mood('ok', 'run')
def data_after_close(p):
    p.reach('run')
    p.send(p.exit_status(0), p.channel(CLOSE), p.data(b'late\n'), p.data(b'later\n'), p.exit_status(9),
           p.channel(EOF), p.channel(CLOSE))
    p.stall()


@mood('ok', 'run')
def data_after_eof(p):
    p.reach('run')
    p.send(p.data(b'a'), p.channel(EOF), p.data(b'b'), p.exit_status(0), p.channel(CLOSE))
    p.stall()


@mood('ok', 'run')
def data_for_no_channel(p):
    p.reach('run')
    other = bytes([DATA]) + u32(4242) + text(b'whose?')
    p.send(other, bytes([CLOSE]) + u32(4242), other, bytes([EXTENDED]) + u32(4242) + u32(1) + text(b'x'))
    p.end()
    p.stall()


@mood('ok', 'run')
def extended_of_unknown_kind(p):
    p.reach('run')
    p.send(p.channel(EXTENDED, u32(77) + text(b'neither')))
    p.end()
    p.stall()


def serve_one(conn, name, key, log):
    stats = {'host': name, 'sent': 0}
    try:
        MOODS[name][0](Peer(conn, key, stats))
    except Gone:
        pass
    finally:
        conn.close()
        os.write(log, (json.dumps(stats) + '\n').encode())


def serve(key_file, log_file, places):
    """Forks for each connection. `places`: [[mood, address, port]…]; prints ready once all listen."""
    with open(key_file, 'rb') as f:
        key = serialization.load_ssh_private_key(f.read(), None)
    assert isinstance(key, Ed25519PrivateKey)
    log = os.open(log_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    poller, names = __import__('select').poll(), {}
    for name, address, port in places:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 17)
        s.bind((address, port))
        s.listen(64)
        names[s.fileno()] = (name, s)
        poller.register(s, 1)
    poller.register(0, 1)
    print('ready', *(s.getsockname()[1] for _, s in names.values()), flush=True)
    while True:
        for fd, _ in poller.poll():
            if fd == 0:        # whoever started us is gone
                return
            name, s = names[fd]
            conn, _ = s.accept()
            if os.fork() == 0:
                try:
                    serve_one(conn, name, key, log)
                finally:
                    os._exit(0)
            conn.close()


class Hostile:
    def __init__(self, moods=None, base='127.201.1.0'):
        self.moods = list(moods or MOODS)
        self.dir = tempfile.mkdtemp(prefix='hostile-')
        self.log = os.path.join(self.dir, 'log')
        self.host_key = os.path.join(self.dir, 'host_key')
        self.key = os.path.join(self.dir, 'id')
        for path in (self.host_key, self.key):
            subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'hostile', '-f', path], check=True)
        first = struct.unpack('>I', socket.inet_aton(base))[0]
        self.hosts = {m: socket.inet_ntoa(u32(first + i + 1)) for i, m in enumerate(self.moods)}
        places = [[m, a, 0] for m, a in self.hosts.items()]
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), self.host_key, self.log, json.dumps(places)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        words = self.process.stdout.readline().split()
        if not words or words[0] != b'ready':
            raise OSError('the hostile servers did not start')
        self.ports = dict(zip(self.moods, map(int, words[1:])))
        self.inventory, self.known_hosts = (os.path.join(self.dir, n) for n in ('inventory', 'known_hosts'))
        self.write()

    def write(self):
        with open(self.host_key + '.pub') as f:
            public = ' '.join(f.read().split()[:2])
        with open(self.inventory, 'w') as f:
            f.write('[hostile]\n')
            for m in self.moods:
                f.write(f'{m} ansible_host={self.hosts[m]} ansible_port={self.ports[m]}\n')
            f.write(f'[hostile:vars]\nansible_user=root\nansible_ssh_private_key_file={self.key}\n')
        with open(self.known_hosts, 'w') as f:
            for m in self.moods:
                f.write(f'[{self.hosts[m]}]:{self.ports[m]} {public}\n')

    def expected(self):
        return {m: MOODS[m][1] for m in self.moods}

    def sent(self):
        """Bytes that the connections now over got rid of, by host; as much as their server knows."""
        found = {}
        with open(self.log) as f:
            for line in f:
                o = json.loads(line)
                found[o['host']] = found.get(o['host'], 0) + o['sent']
        return found

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.communicate()
        shutil.rmtree(self.dir, ignore_errors=True)


if __name__ == '__main__':
    serve(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
