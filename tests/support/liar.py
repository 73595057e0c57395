#!/usr/bin/python3
"""An agent that lies: started by sshd as a forced command, with the way to lie as its argument.

    fleet.sshd('depth', config=[liar.forced('depth')])      # host depth1
    liar.STATS, liar.EXEC, liar.DELIVERY                    # {mood: (status, phase, problem)}

It speaks the magic and the nonce that it was given, so that it is believed to be the agent, and then
whatever its mood says. Ends with its input.
"""
import os
import re
import signal
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from agent_peer import (BYE, CANCEL, CREDIT, DATA, END, HEADER, HELLO, INPUT, MAGIC, PING, PONG, REPLY,  # noqa: E402
                        REQUEST, TAKEN, WELCOME, frame, pack)

PROTOCOL = ('lost', 'hello', 'agent-protocol')
BROKEN = ('lost', 'run', 'agent-protocol')
MIB = 1 << 20


def forced(mood, notes=''):
    """notes: a file for those that take notes."""
    return f'ForceCommand exec {sys.executable} {os.path.abspath(__file__)} {mood} {notes}'


class Gone(Exception):
    pass


class Agent:
    def __init__(self):
        self.original = os.environ.get('SSH_ORIGINAL_COMMAND', '')
        found = re.search(r'muster-nonce=([0-9a-f]{32})', self.original)
        self.hex = found.group(1) if found else '0' * 32
        self.nonce = bytes.fromhex(self.hex)
        self.request = 0

    def say(self, data):
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(1, view):]
            except OSError:
                raise Gone from None

    def read(self, n):
        data = b''
        while len(data) < n:
            more = os.read(0, n - len(data))
            if not more:
                raise Gone
            data += more
        return data

    def next(self):
        length, kind, _, _, id = HEADER.unpack(self.read(HEADER.size))
        return kind, id, self.read(length)

    def until(self, kind):
        while True:
            k, id, payload = self.next()
            if k == kind:
                return id, payload
            if k == PING:
                self.say(frame(PONG, id, pack(mono_ns=1, real_ns=1)))

    def hello(self, **other):
        members = dict(low=1, high=1, agent='0.1.0', digest='ab' * 32, arch='x86_64', uid=0, pid=1, boot_id='b',
                       mono_ns=1, real_ns=1, ops=['stats', 'exec', 'attach', 'jobs', 'collect', 'kill'])
        members.update(other)
        return frame(HELLO, 0, pack(**members))

    def start(self):
        """To the first request; its id."""
        self.say(MAGIC + self.nonce + self.hello())
        self.until(WELCOME)
        self.request, _ = self.until(REQUEST)
        return self.request

    def note(self, text):
        with open(sys.argv[2], 'a', encoding='utf-8') as f:
            f.write(text + '\n')

    def secret(self):
        """To the password for sudo."""
        id = self.start()
        self.until(INPUT)
        self.note('password')
        return id

    def stay(self):
        """Answers pings until it is told to go."""
        self.until(BYE)


STATS, EXEC, DELIVERY, BECOME = {}, {}, {}, {}


def mood(table, want):
    def add(f):
        f.name = f.__name__.rstrip('_').replace('_', '')
        table[f.name] = (f, want)
        return f
    return add


def raw_header(length, kind=HELLO, flags=0, magic=0x6d75, id=0):
    return HEADER.pack(length, kind, flags, magic, id)


# ---- before the HELLO is believed ----

@mood(STATS, PROTOCOL)
def hello_giant(a):
    a.say(MAGIC + a.nonce + raw_header(0xffffffff) + b'x' * 1000)
    a.stay()


@mood(STATS, PROTOCOL)
def hello_flags(a):
    a.say(MAGIC + a.nonce + raw_header(3, flags=1) + b'abc')
    a.stay()


@mood(STATS, PROTOCOL)
def hello_text(a):
    a.say(MAGIC + a.nonce + b'Segmentation fault, and more words of that sort\n')
    a.stay()


@mood(STATS, PROTOCOL)
def hello_depth(a):
    a.say(MAGIC + a.nonce + frame(HELLO, 0, b'\x81\xa1x' + b'\x91' * 100000 + b'\xc0'))
    a.stay()


@mood(STATS, PROTOCOL)
def hello_counts(a):
    a.say(MAGIC + a.nonce + frame(HELLO, 0, b'\xdf\xff\xff\xff\xff' + b'\xa1x\xc0' * 10))
    a.stay()


@mood(STATS, PROTOCOL)
def hello_types(a):
    a.say(MAGIC + a.nonce + a.hello(low='one', ops=7))
    a.stay()


@mood(STATS, PROTOCOL)
def hello_order(a):
    a.say(MAGIC + a.nonce + a.hello(low=5, high=1))
    a.stay()


@mood(STATS, ('resource', 'hello', 'agent-version'))
def hello_version(a):
    a.say(MAGIC + a.nonce + a.hello(low=900, high=901, agent='\x1b[31mred'))
    a.stay()


@mood(STATS, PROTOCOL)
def other_nonce(a):
    a.say(MAGIC + bytes(16) + a.hello())
    a.stay()


@mood(STATS, PROTOCOL)
def reply_first(a):
    a.say(MAGIC + a.nonce + frame(REPLY, 1, pack(seq=1)))
    a.stay()


@mood(STATS, ('timeout', 'hello', 'agent-hello-timeout'))
def hello_never(a):
    a.say(MAGIC + a.nonce)
    a.stay()


@mood(STATS, ('lost', 'run', 'agent-protocol'))
def hello_twice(a):
    a.start()
    a.say(a.hello())
    a.stay()


# ---- requests ----

def broken(name, data):
    """A mood that says these bytes once it was asked; {id} is the request's."""
    def act(a):
        a.say(data(a.start()))
        a.stay()
    act.__name__ = name
    mood(STATS, BROKEN)(act)


broken('reply_unknown', lambda id: frame(REPLY, id + 7, pack(seq=1)))
broken('end_unknown', lambda id: frame(END, id + 7, pack(status='ok', problem='', detail='')))
broken('end_status', lambda id: frame(END, id, pack(status='splendid', problem='', detail='')))
broken('end_problem', lambda id: frame(END, id, pack(status='failed', problem='no-such-problem', detail='')))
broken('end_types', lambda id: frame(END, id, pack(status=7, problem=[], detail={})))
broken('end_empty', lambda id: frame(END, id))
broken('taken_none', lambda id: frame(TAKEN, id, struct.pack('>I', 0xffffffff)))
broken('taken_short', lambda id: frame(TAKEN, id, b'x'))
broken('pong_unknown', lambda id: frame(PONG, 0xffffffffffffffff, pack(mono_ns=1, real_ns=1)))
broken('of_ours', lambda id: frame(REQUEST, id, pack(op='exec', shell=b'id')))
broken('of_nobody', lambda id: frame(250, id, pack(x=1)))
broken('credit', lambda id: frame(CREDIT, id, struct.pack('>I', 5)))
broken('input', lambda id: frame(INPUT, id, b'\1x'))
broken('data_stream', lambda id: frame(DATA, id, b'\x09hello'))
broken('data_empty', lambda id: frame(DATA, id, b'\1'))
broken('reply_window', lambda id: frame(REPLY, id, pack(x='x' * (MIB - 100))))
broken('reply_twice', lambda id: frame(REPLY, id, b'\x82\xa1x\x01\xa1x\x02'))
broken('reply_after', lambda id: frame(REPLY, id, pack(seq=1) + b'\xc0'))
broken('reply_ext', lambda id: frame(REPLY, id, b'\x81\xa1x\xd4\x05\x00'))
broken('reply_list', lambda id: frame(REPLY, id, b'\x93\x01\x02\x03'))


def sample(**other):
    s = dict(seq=1, skipped=0, mono_ns=10 ** 9, real_ns=10 ** 18, boot_id='b', hz=100, page=4096, sections={})
    s.update(other)
    return s


def section(data, status='ok', **other):
    return dict(status=status, at_us=0, us=1, data=data, **other)


def samples(name, *many):
    broken(name, lambda id: b''.join(frame(REPLY, id, pack(**s)) for s in many))


samples('sample_empty', {})
samples('sample_types', sample(seq='one', hz=[], sections=7))
samples('sample_negative', sample(sections={'memory': section({'total': -1})}))
samples('sample_nan', sample(sections={'cpu': section({'load1': float('nan')})}))
samples('sample_rows', sample(sections={'disk': section({'mounts': {'cols': ['device', 'total'], 'rows': [['x']]}})}))
samples('sample_clock', sample(), sample(seq=2, mono_ns=5))
samples('sample_hz', sample(hz=0))


@mood(STATS, BROKEN)
def endless_replies(a):
    id, n = a.start(), 0
    while True:
        n += 1
        a.say(frame(REPLY, id, pack(**sample(seq=n, mono_ns=n * 10 ** 9))))


@mood(STATS, BROKEN)
def endless_data(a):
    """To a request that has none; past what may come it is an end."""
    id = a.start()
    while True:
        a.say(frame(DATA, id, b'\1' + b'x' * 60000))


@mood(STATS, BROKEN)
def endless_pongs(a):
    a.start()
    while True:
        a.say(frame(PONG, 1, pack(mono_ns=1, real_ns=1)) * 1000)


@mood(STATS, BROKEN)
def never_answers(a):
    """Alive, and says nothing to what it was asked."""
    a.start()
    a.stay()


@mood(STATS, BROKEN)
def half_a_frame(a):
    """No pings are answered either: the sample's bound comes before three of them."""
    id = a.start()
    a.say(raw_header(MIB, REPLY, id=id) + b'x' * 1000)
    while True:
        os.read(0, 65536) or sys.exit(0)


# ---- delivery: what is no agent ----

def answers(name, want, *lines):
    """One answer for each command, the last for all that follow."""
    def act(a):
        kind = 'muster-placed' if 'cat >$q' in a.original else 'muster-probe'
        for text in lines:
            if text.startswith(kind):
                a.say(text.format(n=a.hex).encode())
        if kind == 'muster-placed':
            while os.read(0, 65536):
                pass
    act.__name__ = name
    mood(DELIVERY, want)(act)


GOOD = 'os=Linux arch=x86_64 bits=64 uid=0 boot=b tool=1 at={at} free=999999 refused='
answers('probe_nothing', ('unreachable', 'hello', 'login-shell'))
answers('probe_fields', PROTOCOL, 'muster-probe {n} os=Linux os=Linux\n')
answers('probe_place', PROTOCOL, 'muster-probe {n} ' + GOOD.format(at='?') + '\n')
answers('probe_escapes', PROTOCOL,
        'muster-probe {n} os=Linux arch=\x1b[31mvax bits=64 uid=0 boot=b tool=1 at=c free=1 refused=\n')
answers('probe_arch', ('resource', 'hello', 'agent-no-binary'),
        'muster-probe {n} os=Plan9 arch=vax bits=32 uid=0 boot=b tool=1 at=c free=1 refused=\n')
answers('probe_long', PROTOCOL, 'muster-probe {n} os=' + 'x' * 5000 + '\n')
answers('placed_never', ('resource', 'hello', 'agent-upload-failed'), 'muster-probe {n} ' + GOOD.format(at='c') + '\n',
        'muster-placed {n} ok\n')
answers('placed_what', PROTOCOL, 'muster-probe {n} ' + GOOD.format(at='c') + '\n', 'muster-placed {n} error=\x1b[2J\n')


# ---- commands ----

def ends(name, want, **members):
    def act(a):
        id = a.start()
        a.say(frame(END, id, pack(**{'status': 'ok', 'problem': '', 'detail': '', **members})))
        a.stay()
    act.__name__ = name
    mood(EXEC, want)(act)


ends('end_twice_', ('ok', 'run', None), exit=0)
ends('end_escapes', ('signaled', 'run', 'killed-by-signal'), signal='\x1b[31m\n', exit=-1, detail='\x1b]0;x\x07')
ends('gives_up', ('lost', 'run', 'connection-lost'), status='cancelled', killed='disconnect', exit=-1)
ends('end_refused', ('resource', 'request', 'agent-refused'), status='refused', detail='no')


@mood(EXEC, BROKEN)
def taken_too_much(a):
    id = a.start()
    a.until(INPUT)
    a.say(frame(TAKEN, id, struct.pack('>I', 200 << 20)))
    a.stay()


@mood(EXEC, BROKEN)
def floods_and_stays(a):
    id = a.start()
    a.say(frame(DATA, id, b'\1' + b'x' * 60000) * 400)
    a.stay()


@mood(EXEC, BROKEN)
def never_ends(a):
    """The command's time is over, and it goes on."""
    a.say(frame(REPLY, a.start(), pack(state='started', pid=1)))
    a.stay()


# ---- the password for sudo ----

@mood(BECOME, ('lost', 'run', 'agent-died'))
def dies_with_it(a):
    a.secret()
    os._exit(9)


@mood(BECOME, ('timeout', 'become', 'become-timeout'))
def slow_sudo(a):
    a.say(frame(END, a.secret(), pack(status='failed', problem='become-timeout', detail='no command after 20 s',
                                      exit=-1, signal='', may_run=False)))
    a.stay()


@mood(BECOME, ('auth-failed', 'become', 'become-wrong-password'))
def drops(a):
    a.secret()
    os.kill(os.getppid(), signal.SIGKILL)
    a.stay()


@mood(BECOME, ('cancelled', 'run', 'cancelled'))
def cannot_end(a):
    id = a.start()
    a.say(frame(REPLY, id, pack(state='started', pid=7, password=False)))
    a.note('started')
    a.until(CANCEL)
    a.say(frame(END, id, pack(status='cancelled', problem='', detail='', exit=-1, signal='', killed='cancel',
                              may_run=True)))
    a.stay()


def main():
    a = Agent()
    for table in (STATS, EXEC, DELIVERY, BECOME):
        if sys.argv[1] in table:
            try:
                table[sys.argv[1]][0](a)
            except Gone:
                pass
            return
    sys.exit(f'no such mood: {sys.argv[1]}')


if __name__ == '__main__':
    main()
