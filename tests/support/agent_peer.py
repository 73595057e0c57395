"""The controller's side of muster-agent, for tests: frames and msgpack by hand, and a process to speak with.

    with AgentProcess([AGENT]) as a:
        hello = a.hello()                       # preamble checked, HELLO as a dict
        a.welcome()
        a.request(1, 'stats', sections=['cpu'], interval_ms=0)
        for frame in a.until_end(1): ...        # Frame(type, id, payload), `map` decoded

Waiting is for events: read_frame() blocks until a whole frame is there, and raises Ended where the agent
has closed its output. `LIMIT` seconds are a guard against a test that hangs for ever, not a time that is tested.
"""
import os
import secrets
import select
import struct
import subprocess
import time

import msgpack

WELCOME, REQUEST, INPUT, CREDIT, CANCEL, PING, BYE = range(32, 39)
HELLO, REPLY, DATA, END, TAKEN, PONG = range(160, 166)
NAMES = {WELCOME: 'WELCOME', REQUEST: 'REQUEST', INPUT: 'INPUT', CREDIT: 'CREDIT', CANCEL: 'CANCEL', PING: 'PING',
         BYE: 'BYE', HELLO: 'HELLO', REPLY: 'REPLY', DATA: 'DATA', END: 'END', TAKEN: 'TAKEN', PONG: 'PONG'}
MAGIC = b'\x00\xffmuster-agent\x01\n'
HEADER = struct.Struct('>IBBHQ')
FRAME_MAGIC = 0x6d75
MAX = 1 << 20
LIMIT = 120


class Ended(Exception):
    """The agent has closed its output."""


class Frame:
    def __init__(self, type, id, payload):
        self.type, self.id, self.payload = type, id, payload

    @property
    def name(self):
        return NAMES.get(self.type, str(self.type))

    @property
    def map(self):
        return msgpack.unpackb(self.payload, raw=False, strict_map_key=True)

    @property
    def count(self):
        return struct.unpack('>I', self.payload)[0]

    def __repr__(self):
        return f'{self.name} {self.id} {self.payload[:60]!r}'


def frame(type, id=0, payload=b''):
    return HEADER.pack(len(payload), type, 0, FRAME_MAGIC, id) + payload


def pack(**members):
    return msgpack.packb(members, use_bin_type=True)


class AgentProcess:
    """command: the program and whatever runs it; args: after its --nonce."""

    def __init__(self, command, *args, nonce=None, env=None, give_nonce=True, **popen):
        self.nonce = secrets.token_bytes(16) if nonce is None else nonce
        words = [*command, *(['--nonce', self.nonce.hex()] if give_nonce else []), *args]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=dict(os.environ, **(env or {})), bufsize=0, **popen)
        self.pid = self.process.pid
        self.read = b''
        self.dead_line = time.monotonic() + LIMIT

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for f in (self.process.stdin, self.process.stdout, self.process.stderr):
            if f is not None and not f.closed:
                f.close()

    def left(self):
        return max(self.dead_line - time.monotonic(), 1)

    # ---- bytes ----

    def more(self):
        """Waits for bytes and keeps them. Ended at the end of output."""
        if not select.select([self.process.stdout], [], [], self.left())[0]:
            raise TimeoutError(f'nothing from the agent in {LIMIT} s')
        got = os.read(self.process.stdout.fileno(), 65536)
        if not got:
            raise Ended(f'after {self.read!r}' if self.read else 'between frames')
        self.read += got

    def take(self, n):
        while len(self.read) < n:
            self.more()
        head, self.read = self.read[:n], self.read[n:]
        return head

    def send(self, data):
        view = memoryview(data)
        while view:
            view = view[os.write(self.process.stdin.fileno(), view):]

    # ---- frames ----

    def read_frame(self):
        length, type, flags, magic, id = HEADER.unpack(self.take(HEADER.size))
        if magic != FRAME_MAGIC or flags != 0 or length > MAX:
            raise AssertionError(f'no frame: length {length}, type {type}, flags {flags}, magic {magic:x}')
        return Frame(type, id, self.take(length))

    def read_type(self, type):
        f = self.read_frame()
        if f.type != type:
            raise AssertionError(f'wanted {NAMES[type]}, got {f!r}')
        return f

    def hello(self):
        start = self.take(32)
        if start != MAGIC + self.nonce:
            raise AssertionError(f'not our preamble: {start!r}')
        return self.read_type(HELLO).map

    def welcome(self, version=1):
        self.send(frame(WELCOME, 0, pack(version=version)))

    def start(self):
        hello = self.hello()
        self.welcome()
        return hello

    def request(self, id, op, **members):
        self.send(frame(REQUEST, id, pack(op=op, **members)))

    def input(self, id, data, last=False):
        self.send(frame(INPUT, id, bytes([last]) + data))

    def credit(self, id, n):
        self.send(frame(CREDIT, id, struct.pack('>I', n)))

    def cancel(self, id, grace_ms=1000):
        self.send(frame(CANCEL, id, pack(grace_ms=grace_ms)))

    def ping(self, id=0):
        self.send(frame(PING, id))

    def bye(self):
        self.send(frame(BYE))

    def until_end(self, id):
        """The frames of one request up to its END, that one included; of others none may come."""
        frames = []
        while not frames or frames[-1].type != END:
            f = self.read_frame()
            if f.id != id:
                raise AssertionError(f'about another request: {f!r}')
            frames.append(f)
        return frames

    # ---- the end ----

    def close_input(self):
        self.process.stdin.close()

    def wait(self):
        """Its exit code; what is left of its output is read and kept. A signal is negative."""
        try:
            while True:
                self.more()
        except Ended:
            pass
        return self.process.wait(self.left())

    def stderr(self):
        return self.process.stderr.read().decode(errors='replace')

    def resident(self):
        """KiB, of which the process alone has any."""
        with open(f'/proc/{self.pid}/smaps_rollup') as f:
            return next(int(line.split()[1]) for line in f if line.startswith('Rss:'))
