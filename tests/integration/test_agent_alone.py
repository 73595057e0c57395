#!/usr/bin/python3
"""muster-agent by itself, as a process with a controller that is this test: the native build with its
sanitizers, and the static ones that travel, the one for aarch64 under qemu."""
import hashlib
import os
import resource
import select
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import unittest

from agent_peer import (BYE, CANCEL, CREDIT, DATA, END, INPUT, PING, PONG, REPLY, REQUEST, WELCOME, AgentProcess,
                        Ended, frame, pack)

BUILD = os.environ['MUSTER_BUILD']
NATIVE = os.path.join(BUILD, 'agent', 'muster-agent')
STATIC = {a: os.path.join(BUILD, 'agent', a, 'muster-agent') for a in ('x86_64', 'aarch64')}
HERE = STATIC['x86_64']
LIMITS = {'x86_64': 256 * 1024, 'aarch64': 1024 * 1024}
NONCE = bytes(range(16))
SECTIONS = ['host', 'cpu', 'memory', 'swap', 'disk', 'diskio', 'net', 'addrs', 'connections', 'sensors', 'users',
            'processes', 'pressure', 'cgroup']


class Case(unittest.TestCase):
    program = [NATIVE]

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix='muster-test-')
        self.addCleanup(shutil.rmtree, self.dir, True)

    def agent(self, *args, **how):
        a = AgentProcess(self.program, *args, **how)
        self.addCleanup(a.__exit__)
        return a

    def started(self, *args, **how):
        a = self.agent(*args, **how)
        a.start()
        return a

    def ends(self, a, code, says=''):
        """It exits so, and whatever sanitizers have to say is shown."""
        got = a.wait()
        err = a.stderr()
        self.assertEqual(got, code, err)
        for word in ('AddressSanitizer', 'LeakSanitizer', 'runtime error', 'broken invariant'):
            self.assertNotIn(word, err)
        self.assertIn(says, err)
        if not says:
            self.assertEqual(err, '')
        return err

    def status_of(self, a, id):
        f = a.read_type(END)
        self.assertEqual(f.id, id)
        return f.map['status']

    def execute(self, *args, env=None, program=None):
        return subprocess.run([*(program or self.program), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=dict(os.environ, **(env or {})))


class Conversation(Case):
    def test_hello(self):
        a = self.agent('--allow', 'stats')
        h = a.hello()
        with open(NATIVE, 'rb') as f:
            self.assertEqual(h['digest'], hashlib.sha256(f.read()).hexdigest())
        with open('/proc/sys/kernel/random/boot_id') as f:
            self.assertEqual(h['boot_id'], f.read().strip())
        self.assertEqual((h['low'], h['high'], h['arch']), (1, 1, os.uname().machine))
        self.assertEqual((h['uid'], h['pid']), (os.geteuid(), a.pid))
        self.assertEqual(h['ops'], ['stats'])
        a.welcome()
        a.bye()
        self.ends(a, 0)
        self.assertEqual(a.read, b'')

    def test_ping_while_a_sample_repeats(self):
        a = self.started()
        a.request(1, 'stats', sections=['cpu'], interval_ms=200, count=3)
        for i in range(50):
            a.ping(1000 + i)
        pongs, replies = [], []
        while len(pongs) < 50 or not replies or replies[-1].type != END:
            f = a.read_frame()
            (pongs if f.type == PONG else replies).append(f)
        self.assertEqual([f.id for f in pongs], [1000 + i for i in range(50)])
        self.assertEqual([f.map['seq'] for f in replies[:-1]], [0, 1, 2])
        times = [f.map['mono_ns'] for f in pongs]
        self.assertEqual(times, sorted(times))
        a.bye()
        self.ends(a, 0)

    def test_64_requests(self):
        a = self.started()
        for i in range(1, 65):
            a.request(i, 'stats', sections=['cpu'], interval_ms=0, window=0)     # each waits for credit
        a.request(65, 'stats', sections=['cpu'], interval_ms=0)
        self.assertEqual(self.status_of(a, 65), 'busy')
        a.cancel(3)
        self.assertEqual(self.status_of(a, 3), 'cancelled')
        a.request(65, 'stats', sections=['cpu'], interval_ms=0)
        self.assertEqual([f.type for f in a.until_end(65)], [REPLY, END])
        for i in (1, 64):
            a.credit(i, 100000)
            self.assertEqual([f.type for f in a.until_end(i)], [REPLY, END])
        a.close_input()
        while True:
            try:
                f = a.read_frame()
            except Ended:
                break
            self.assertEqual((f.type, f.map['status']), (END, 'cancelled'))
        self.ends(a, 0)

    def test_a_sample_without_credit_is_left_out(self):
        a = self.started()
        a.request(1, 'stats', sections=['cpu', 'memory'], interval_ms=0)
        size = len(a.until_end(1)[0].payload)
        a.request(2, 'stats', sections=['cpu', 'memory'], interval_ms=200, window=size + size // 2)
        first = a.read_type(REPLY)
        self.assertEqual(first.map['skipped'], 0)
        # Three more are due before there is credit: a request of its own tells the time.
        a.request(3, 'stats', sections=['host'], interval_ms=200, count=4)
        self.assertEqual([f.type for f in a.until_end(3)], [REPLY] * 4 + [END])
        a.credit(2, 10 * size)
        second = a.read_type(REPLY)
        self.assertEqual((second.id, second.map['seq']), (2, 1))
        self.assertGreaterEqual(second.map['skipped'], 2)
        a.cancel(2)
        while a.read_frame().type != END:
            pass
        a.bye()
        self.ends(a, 0)

    def test_what_it_may_not_and_cannot(self):
        a = self.started('--allow', 'exec')
        a.request(1, 'stats', sections=['cpu'])
        self.assertEqual(self.status_of(a, 1), 'refused')
        a.request(2, 'fly')
        self.assertEqual(self.status_of(a, 2), 'unsupported')
        a.request(3, 'x' * 33)
        self.assertEqual(self.status_of(a, 3), 'refused')
        a.bye()
        self.ends(a, 0)

    def test_a_section_of_a_later_version(self):
        a = self.started()
        a.request(1, 'stats', sections=['weather', 'cpu'], interval_ms=0, later='x')
        self.assertEqual(list(a.until_end(1)[0].map['sections']), ['cpu'])
        a.bye()
        self.ends(a, 0)

    def test_a_large_reply(self):
        """More than the queue and a pipe hold, read in small pieces."""
        a = self.started()
        a.request(1, 'stats', sections=SECTIONS, top=1000, detail=True, interval_ms=0, window=1 << 22)
        sample, end = a.until_end(1)
        self.assertEqual(sorted(sample.map['sections']), sorted(SECTIONS))
        self.assertEqual(end.map['status'], 'ok')
        a.bye()
        self.ends(a, 0)


class Commands(Case):
    """What commands do to the stream, and the stream to commands; what they are themselves is tested elsewhere."""

    def test_a_command_cannot_write_into_the_stream(self):
        a = self.started()
        a.request(1, 'exec', shell=b'for n in 0 1 2 3 4 5 6 7 8 9 10 11 12; do echo noise >&$n; done 2>/dev/null;'
                                   b' readlink /proc/$PPID/fd/0 /proc/$PPID/fd/1')
        frames = a.until_end(1)     # every byte is a frame's, or until_end would say so
        self.assertEqual(frames[-1].type, END)
        a.bye()
        self.assertEqual(a.wait(), 0)

    def test_control_gets_through_a_flood(self):
        """As much data as can be, and the answer to each ping all the same: the next is sent when it is there."""
        a = self.started()
        a.request(1, 'exec', shell=b'head -c 20000000 /dev/zero', window=1 << 24)
        got = pongs = 0
        a.ping(7)
        while True:
            f = a.read_frame()
            if f.type == PONG:
                pongs += 1
                a.ping(7)
            elif f.type == DATA:
                got += len(f.payload) - 1
                a.credit(1, len(f.payload) - 1)
            elif f.type == END:
                break
        self.assertEqual(got, 20000000)
        self.assertGreater(pongs, 10)

    def test_credit_bounds_output(self):
        a = self.started()
        a.request(1, 'exec', shell=b'head -c 1000000 /dev/zero', window=5000)
        said = len(a.read_type(REPLY).payload)     # what it says of itself is paid for, too
        got = 0
        while said + got < 5000:
            got += len(a.read_type(DATA).payload) - 1
        self.assertEqual(said + got, 5000)
        a.ping(3)
        self.assertEqual(a.read_frame().type, PONG)     # and not DATA
        a.credit(1, 1000000 - got)
        while got < 1000000:
            got += len(a.read_type(DATA).payload) - 1
        self.assertEqual(a.read_type(END).map['exit'], 0)

    def test_children_get_back_what_was_changed(self):
        self.program = [HERE]     # AddressSanitizer has a mind of its own about core files
        resource.setrlimit(resource.RLIMIT_CORE, (4096, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        a = self.started(umask=0o022)
        a.request(1, 'exec', shell=b'umask; ulimit -c; grep SigBlk /proc/self/status; grep SigIgn /proc/self/status')
        out = b''.join(f.payload[1:] for f in a.until_end(1) if f.type == DATA).decode().split()
        self.assertEqual(int(out[0], 8), 0o022)
        self.assertEqual(out[1], '8')     # blocks of 512
        self.assertEqual(int(out[3], 16), 0)
        self.assertFalse(int(out[5], 16) & 1 << (signal.SIGPIPE - 1), out)
        a.bye()
        self.ends(a, 0)

    def test_nothing_is_left_behind(self):
        a = self.started()
        a.request(1, 'exec', shell=b'echo $$; sleep 1000 & exec sleep 1000', on_disconnect='kill')
        a.read_type(REPLY)
        pid = int(a.read_type(DATA).payload[1:])
        a.close_input()
        self.assertEqual(a.wait(), 0)
        # The whole group, whoever reaps it; its keeper sees to it without the agent.
        while [p for p in os.listdir('/proc') if p.isdigit() and group_of(p) == pid]:
            self.assertGreater(a.left(), 1, f'group {pid} was left behind')
            time.sleep(0.01)


class FullDisk(Case):
    """Detached jobs whose folder is on a file system of 1 MB that others can fill."""

    def setUp(self):
        super().setUp()
        if os.getuid() != 0 or not shutil.which('unshare'):
            self.skipTest('a small file system is mounted in a name space of its own: root and unshare')
        state = os.path.join(self.dir, 'state')
        os.mkdir(state)
        mount = f'mount -t tmpfs -o size=1m,mode=700 none {state} && exec "$@"'
        self.program = ['unshare', '-m', '--propagation', 'private', 'sh', '-c', mount, 'sh', NATIVE]
        if subprocess.run(self.program[:-1] + ['true'], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest('no mount namespace can be made here')
        self.a = self.started(env={'XDG_STATE_HOME': state})
        self.filler = f'/proc/{self.a.pid}/root{state}/filler'
        self.id = 0

    def fill(self, leave=0):
        """All of it but so many bytes."""
        with open(self.filler, 'wb', buffering=0) as f:
            try:
                while f.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass
            f.truncate(max(os.path.getsize(self.filler) - leave, 0))

    def ask(self, op, **members):
        """END, and what came on standard output."""
        self.id += 1
        self.a.request(self.id, op, window=1 << 24, **members)
        frames = self.a.until_end(self.id)
        return frames[-1].map, b''.join(f.payload[1:] for f in frames if f.type == DATA and f.payload[0] == 1)

    def detach(self, run, shell):
        return self.ask('exec', shell=shell.encode(), detach={'run': run, 'host': 'h'})[0]

    def gate(self, name):
        path = os.path.join(self.dir, name)
        os.mkfifo(path)
        return path

    def test_a_job_that_cannot_be_written_down_does_not_run(self):
        self.fill()
        mark = os.path.join(self.dir, 'mark')
        for n in range(30):
            end = self.detach(f'r{n}', f'echo >> {mark}')
            self.assertEqual((end['status'], end['problem'], end['killed']), ('failed', 'exec-failed', ''))
            self.assertEqual(end['detail'], "the job's status: No space left on device")
        self.assertFalse(os.path.exists(mark))
        os.unlink(self.filler)
        end = self.detach('r0', f'echo >> {mark}')     # nothing of it was left
        self.assertEqual(end['status'], 'ok')
        self.assertEqual(self.ask('attach', run='r0', follow=True)[0]['status'], 'ok')

    def test_a_job_that_ends_there_has_ended(self):
        end = self.detach('full', 'head -c 3000000 /dev/zero; exit 7')
        self.assertEqual(end['status'], 'ok')
        end, out = self.ask('attach', run='full', follow=True)
        self.assertEqual((end['state'], end['problem'], end['exit']), ('ended', 'exit-nonzero', 7))
        self.assertGreater(len(out), 500000)
        self.assertEqual(len(out) + end['stdout_dropped'], 3000000)
        self.assertEqual(self.ask('collect', run='full')[0]['status'], 'ok')

    def test_what_is_kept_is_the_head(self):
        self.fill(leave=200000)
        wrote, go = self.gate('wrote'), self.gate('go')
        end = self.detach('head', f'seq 100000; echo > {wrote}; read x < {go}; seq 100001 110000')
        self.assertEqual(end['status'], 'ok')
        with open(wrote) as f:
            f.read()
        os.unlink(self.filler)
        with open(go, 'w') as f:
            f.write('go\n')
        end, out = self.ask('attach', run='head', follow=True)
        whole = ''.join(f'{n}\n' for n in range(1, 110001)).encode()
        self.assertEqual(end['state'], 'ended')
        self.assertGreater(len(out), 100000)
        self.assertEqual(out, whole[:len(out)])
        self.assertEqual(len(out) + end['stdout_dropped'], len(whole))


def group_of(pid):
    """The process group, but for one that is dead already; None."""
    try:
        with open(f'/proc/{pid}/stat') as f:
            state, _, group = f.read().rpartition(')')[2].split()[:3]
    except OSError:
        return None
    return int(group) if state not in 'ZX' else None


class Violations(Case):
    """Each ends it with exit 3 and a line that says why."""

    def broken(self, data, says):
        a = self.started()
        a.request(1, 'stats', sections=['cpu'], interval_ms=200)
        a.read_type(REPLY)
        a.send(data)
        self.ends(a, 3, says)

    def test_garbage(self):
        self.broken(b'\r\nLast login: Thu Jan  1 00:00:00 1970\r\n', 'no frame')

    def test_giant_length(self):
        self.broken(b'\xff\xff\xff\xff\x21\x00mu' + bytes(8), 'no frame')

    def test_unknown_type(self):
        self.broken(frame(99), 'type 99')

    def test_payloads(self):
        self.broken(frame(REQUEST, 2, b'\xdd\xff\xff\xff\xff'), 'msgpack')
        self.broken(frame(REQUEST, 2, pack(op='x') + b'\0'), 'msgpack')
        self.broken(frame(REQUEST, 2, b'\x91' * 1000), 'msgpack')
        self.broken(frame(REQUEST, 1, pack(op='stats')), 'in use')
        self.broken(frame(CREDIT, 1, b'\0\0\0'), 'CREDIT')
        self.broken(frame(CREDIT, 1, b'\xff\xff\xff\xff'), 'CREDIT')
        self.broken(frame(INPUT, 1, b'\0abc'), 'INPUT')
        self.broken(frame(CANCEL, 1, pack(grace_ms='soon')), 'CANCEL')
        self.broken(frame(PING, 1, b'x'), 'not empty')
        self.broken(frame(WELCOME, 0, pack(version=1)), 'WELCOME')

    def test_before_welcome(self):
        for data in (frame(PING), frame(WELCOME, 0, pack(version=2)), frame(WELCOME, 0, pack()), b'exit\n' * 10):
            a = self.agent()
            a.hello()
            a.send(data)
            self.ends(a, 3, 'broke the protocol')


class Ends(Case):
    def busy(self, *args, **how):
        a = self.started(*args, **how)
        a.request(1, 'stats', sections=['cpu'], interval_ms=200)
        a.read_type(REPLY)
        return a

    def test_end_of_input(self):
        a = self.busy()
        a.close_input()
        self.ends(a, 0)

    def test_end_of_input_before_welcome(self):
        a = self.agent()
        a.hello()
        a.close_input()
        self.ends(a, 0)
        a = self.agent()
        a.hello()
        a.send(frame(BYE))     # no version that both know
        self.ends(a, 0)

    def test_nobody_reads_any_more(self):
        a = self.busy()
        a.process.stdout.close()
        self.assertEqual(a.process.wait(a.left()), 0)

    def test_signals(self):
        for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            a = self.busy()
            a.process.send_signal(s)
            self.ends(a, 0)

    def test_killed(self):
        a = self.busy()
        a.process.kill()
        self.ends(a, -signal.SIGKILL)

    def test_idle(self):
        """Pings keep it; without them it ends by itself, although its streams are open."""
        a = self.started('--idle-ms', '3000')
        a.ping(1)
        a.read_type(PONG)
        self.ends(a, 0)

    def test_answers_that_nobody_reads(self):
        """It stops reading instead of growing, and the end of input ends it all the same."""
        a = self.started()
        os.set_blocking(a.process.stdin.fileno(), False)
        flood = frame(PING, 5) * 4096
        sent = 0
        while select.select([], [a.process.stdin], [], 1)[1]:     # until the pipe has been full for a while
            sent += os.write(a.process.stdin.fileno(), flood[:65536])
            self.assertLess(sent, 64 << 20, 'it never stopped reading')
        a.close_input()
        self.assertEqual(a.process.wait(a.left()), 0)


class Process(Case):
    """What it looks like from outside. The static build: what sanitizers open and ignore is not its own."""
    program = [HERE]

    def read(self, a, name):
        with open(f'/proc/{a.pid}/{name}') as f:
            return f.read()

    def test_descriptors(self):
        extra = os.open('/dev/zero', os.O_RDONLY)
        self.addCleanup(os.close, extra)
        a = self.started(pass_fds=[extra])
        where = {int(n): os.readlink(f'/proc/{a.pid}/fd/{n}') for n in os.listdir(f'/proc/{a.pid}/fd')}
        self.assertEqual(where[0], '/dev/null')
        self.assertEqual(where[1], where[2])
        streams = [n for n in where if n > 2]
        self.assertEqual(len(streams), 2, where)
        for n in streams:
            self.assertTrue(where[n].startswith('pipe:'), where)
            flags = int(self.read(a, f'fdinfo/{n}').split('flags:')[1].split()[0], 8)
            self.assertTrue(flags & os.O_CLOEXEC and flags & os.O_NONBLOCK, oct(flags))
        # What a child of it would print lands on standard error.
        with open(f'/proc/{a.pid}/fd/1', 'wb', buffering=0) as f:
            f.write(b'noise of a child\n')
        a.ping(9)
        self.assertEqual(a.read_frame().id, 9)
        a.bye()
        self.ends(a, 0, 'noise of a child')
        self.assertEqual(a.read, b'')

    def test_without_standard_error(self):
        a = self.agent(preexec_fn=lambda: os.close(2))
        a.start()
        self.assertEqual(os.readlink(f'/proc/{a.pid}/fd/2'), '/dev/null')
        a.bye()
        self.assertEqual(a.wait(), 0)

    def test_without_standard_input(self):
        p = subprocess.run([HERE, '--nonce', NONCE.hex()], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           preexec_fn=lambda: os.close(0))
        self.assertEqual(p.returncode, 1, p)
        self.assertEqual(p.stdout, b'')

    def test_limits(self):
        a = self.started(umask=0o022)
        status = dict(line.split(':\t', 1) for line in self.read(a, 'status').splitlines() if ':\t' in line)
        self.assertEqual(status['Umask'].strip(), '0077')
        self.assertTrue(int(status['SigIgn'], 16) & 1 << (signal.SIGPIPE - 1))
        limits = self.read(a, 'limits')
        self.assertRegex(limits, r'Max core file size +0 ')
        a.bye()
        self.ends(a, 0)

    @unittest.skipUnless(os.geteuid() == 0, 'only root may start it as somebody else')
    def test_not_dumpable(self):
        os.chmod(self.dir, 0o755)
        copy = shutil.copy(HERE, self.dir)
        os.chmod(copy, 0o755)
        self.program = [copy]
        a = self.started(user=65534, group=65534, extra_groups=[])
        self.assertEqual(os.stat(f'/proc/{a.pid}/environ').st_uid, 0)     # the kernel's mark for it
        a.bye()
        self.ends(a, 0)

    def test_memory(self):
        """Under 2 MB resident while it samples everything there is."""
        a = self.started()
        a.request(1, 'stats', sections=SECTIONS, top=1000, by='io', detail=True, interval_ms=200, count=10,
                  window=1 << 24)
        sizes = []
        while a.read_frame().type == REPLY:
            sizes.append(a.resident())
        self.assertEqual(len(sizes), 10)
        self.assertLess(max(sizes), 2048, sizes)
        a.bye()
        self.ends(a, 0)


class CommandLine(Case):
    def test_nonces(self):
        for args, env in (([], {}), (['--nonce', ''], {}), (['--nonce', 'AA' * 16], {}), (['--nonce', 'aa' * 17], {}),
                          (['--nonce'], {}), ([], {'SSH_ORIGINAL_COMMAND': 'uptime'}),
                          ([], {'SSH_ORIGINAL_COMMAND': 'muster-nonce=xyz'})):
            r = self.execute(*args, env=env)
            self.assertEqual((r.returncode, r.stdout), (2, b''), r)
            self.assertEqual(r.stderr.count(b'\n'), 1, r)

    def test_forced_command(self):
        """authorized_keys starts it without the controller's words; the nonce is in the environment."""
        a = self.agent('--allow', 'stats', nonce=NONCE, give_nonce=False,
                       env={'SSH_ORIGINAL_COMMAND': f"exec /bin/sh -c 'a b' muster-nonce={NONCE.hex()} c"})
        self.assertEqual(a.start()['ops'], ['stats'])
        a.bye()
        self.ends(a, 0)

    def test_version_and_digest(self):
        for program in [[NATIVE], [HERE]]:
            r = self.execute('--version', program=program)
            self.assertEqual(r.returncode, 0, r)
            self.assertRegex(r.stdout.decode(), r'^muster-agent \d+\.\d+\.\d+ x86_64\n$')
            r = self.execute('--digest', program=program)
            with open(program[0], 'rb') as f:
                self.assertEqual(r.stdout.decode(), hashlib.sha256(f.read()).hexdigest() + '\n')

    def test_expect(self):
        with open(NATIVE, 'rb') as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        a = self.agent('--expect', digest)
        self.assertEqual(a.start()['digest'], digest)
        a.bye()
        self.ends(a, 0)
        a = self.agent('--expect', digest[::-1])
        self.ends(a, 4, digest)
        self.assertEqual(a.read, b'')     # not a byte of the protocol

    def test_damaged(self):
        """What was changed on its way says nothing: one byte of its text, where it does no harm."""
        with open(HERE, 'rb') as f:
            text = f.read()
        copy = os.path.join(self.dir, 'agent')
        with open(copy, 'wb') as f:
            f.write(text.replace(b'broke the protocol', b'broke the Protocol'))
        os.chmod(copy, 0o700)
        self.program = [copy]
        a = self.agent('--expect', hashlib.sha256(text).hexdigest())
        self.ends(a, 4, 'not what was expected')
        self.assertEqual(a.read, b'')

    def test_temporary(self):
        copy = shutil.copy(HERE, self.dir)
        self.program = [copy]
        a = self.agent('--temporary')
        a.start()
        self.assertFalse(os.path.exists(copy))
        a.request(1, 'stats', sections=['cpu'], interval_ms=0)
        self.assertEqual(a.until_end(1)[-1].map['status'], 'ok')
        a.bye()
        self.ends(a, 0)


class Place(Case):
    """The freshly uploaded file puts itself into its place."""

    def setUp(self):
        super().setUp()
        self.new = os.path.join(self.dir, '.new.1')
        shutil.copy(HERE, self.new)
        os.chmod(self.new, 0o700)
        self.cache = os.path.join(self.dir, 'cache')
        os.mkdir(self.cache, 0o700)
        self.final = os.path.join(self.cache, 'agent-1')
        with open(HERE, 'rb') as f:
            self.digest = hashlib.sha256(f.read()).hexdigest()

    def place(self, final=None, digest=None, source=None, program=None):
        final = final or self.final
        r = self.execute('--place', final, '--expect', digest or self.digest, '--from', source or self.new,
                         program=program or [self.new])
        self.assertEqual(r.stderr, b'')
        self.assertEqual(r.stdout.count(b'\n'), 1)
        return r.returncode, r.stdout.decode().rstrip('\n')

    def test_in_place(self):
        os.chmod(self.new, 0o755)
        self.assertEqual(self.place(), (0, 'muster-placed ok'))
        self.assertFalse(os.path.exists(self.new))
        self.assertEqual(stat.S_IMODE(os.stat(self.final).st_mode), 0o700)
        self.program = [self.final]
        a = self.started('--expect', self.digest)
        a.bye()
        self.ends(a, 0)

    def test_one_is_there_already(self):
        with open(self.final, 'w') as f:
            f.write('an upload that was cut')
        self.assertEqual(self.place(), (0, 'muster-placed ok'))
        with open(self.final, 'rb') as f:
            self.assertEqual(hashlib.sha256(f.read()).hexdigest(), self.digest)

    def test_another_digest(self):
        self.assertEqual(self.place(digest='0' * 64), (1, f'muster-placed error EBADMSG {self.new}'))
        self.assertTrue(os.path.exists(self.new))
        self.assertFalse(os.path.exists(self.final))

    def test_another_file_by_that_name(self):
        other = shutil.copy(HERE, os.path.join(self.dir, 'other'))
        self.assertEqual(self.place(source=other), (1, f'muster-placed error ESTALE {other}'))
        link = os.path.join(self.dir, 'link')
        os.symlink(self.new, link)
        self.assertEqual(self.place(source=link), (1, f'muster-placed error ESTALE {link}'))
        self.assertEqual(os.listdir(self.cache), [])

    def test_folders(self):
        self.assertEqual(self.place(final=self.dir + '/none/x'), (1, f'muster-placed error ENOENT {self.dir}/none'))
        self.assertEqual(self.place(final='relative'), (1, 'muster-placed error EINVAL relative'))
        self.assertEqual(self.place(final=self.new + '/x'), (1, f'muster-placed error ENOTDIR {self.new}'))
        link = os.path.join(self.dir, 'link')
        os.symlink(self.cache, link)
        code, line = self.place(final=link + '/x')
        self.assertEqual((code, line.split()[2] in ('ELOOP', 'ENOTDIR')), (1, True), line)
        for mode in (0o770, 0o707, 0o1777):
            os.chmod(self.cache, mode)
            self.assertEqual(self.place(), (1, f'muster-placed error EPERM {self.cache}'))
        os.chmod(self.cache, 0o700)
        os.mkdir(self.final)
        self.assertEqual(self.place(), (1, f'muster-placed error EISDIR {self.final}'))

    @unittest.skipUnless(os.geteuid() == 0, 'only root may give a folder away')
    def test_folder_of_another_user(self):
        os.chown(self.cache, 65534, -1)
        self.assertEqual(self.place(), (1, f'muster-placed error EPERM {self.cache}'))

    def test_a_name_that_would_break_the_line(self):
        folder = os.path.join(self.dir, 'a\nmuster-placed ok')
        self.assertEqual(self.place(final=folder + '/x'),
                         (1, f'muster-placed error ENOENT {self.dir}/a\\x0amuster-placed ok'))


class Static(Case):
    def test_sizes(self):
        for arch, path in STATIC.items():
            self.assertLessEqual(os.path.getsize(path), LIMITS[arch], arch)

    def test_nothing_is_linked_at_run_time(self):
        for arch, path in STATIC.items():
            out = subprocess.run(['readelf', '-lW', path], stdout=subprocess.PIPE, check=True, text=True).stdout
            self.assertNotIn('INTERP', out, arch)
            self.assertRegex(out, r'GNU_STACK .* RW ', arch)

    def speak(self, program, arch):
        a = AgentProcess(program)
        self.addCleanup(a.__exit__)
        h = a.start()
        self.assertEqual(h['arch'], arch)
        with open(program[-1], 'rb') as f:
            self.assertEqual(h['digest'], hashlib.sha256(f.read()).hexdigest())
        a.request(1, 'stats', sections=['host', 'cpu', 'memory'], interval_ms=0)
        reply, end = a.until_end(1)
        self.assertEqual(end.map['status'], 'ok')
        for name, section in reply.map['sections'].items():
            self.assertEqual(section['status'], 'ok', name)
        a.ping(3)
        self.assertEqual(a.read_type(PONG).id, 3)
        a.bye()
        self.ends(a, 0)

    def test_x86_64(self):
        self.speak([HERE], 'x86_64')

    def test_aarch64(self):
        self.speak(['qemu-aarch64-static', STATIC['aarch64']], 'aarch64')


if __name__ == '__main__':
    unittest.main()
