#!/usr/bin/python3
"""What goes wrong on real networks and real servers, each with the status, phase and problem it must
have. Hostile servers are in test_hostile.py, simulated faults in test_sim.py."""
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

from muster_case import MusterCase, main, processes_of, stdout_of

# Set where this file runs once more in a network of its own.
INSIDE = 'MUSTER_TEST_OWN_NETWORK'


def receive(conn):
    try:
        return conn.recv(65536)
    except OSError:
        return b''


def pass_on(a, b):
    """What comes from a goes to b, up to its end."""
    while data := receive(a):
        try:
            b.sendall(data)
        except OSError:
            break
    try:
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    a.close()


class Relay:
    """In front of a server: turns everybody away for a while, in the words given, then passes on."""

    def __init__(self, host, refuse_seconds, line):
        self.target, self.seconds, self.line = (host.address, host.port), refuse_seconds, line
        self.listener = socket.create_server((host.address, 0))
        self.port = self.listener.getsockname()[1]
        self.times, self.open, self.most, self.refused = [], 0, 0, 0
        self.lock = threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            now = time.monotonic()
            with self.lock:
                self.times.append(now)
                self.open += 1
                self.most = max(self.most, self.open)
            if self.seconds is None or now < self.times[0] + self.seconds:
                self.refused += 1
                threading.Thread(target=self.refuse, args=(conn,), daemon=True).start()
            else:
                other = socket.create_connection(self.target)
                for a, b in ((conn, other), (other, conn)):
                    threading.Thread(target=self.copy, args=(a, b, a is conn), daemon=True).start()

    def refuse(self, conn):
        try:
            conn.sendall(self.line)
            conn.shutdown(socket.SHUT_WR)
            while conn.recv(65536):
                pass
        except OSError:
            pass
        self.closed(conn)

    def copy(self, a, b, counts):
        pass_on(a, b)
        if counts:
            self.closed(b)

    def closed(self, conn):
        with self.lock:
            self.open -= 1
        conn.close()


class LateServer:
    """In front of a server: takes no connection until it is relieved, then passes on."""

    def __init__(self, host):
        self.target = (host.address, host.port)
        self.listener = socket.socket()
        self.listener.bind((host.address, 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.fillers = []
        while len(self.fillers) < 64:
            s = socket.socket()
            s.setblocking(False)
            self.fillers.append(s)
            s.connect_ex((host.address, self.port))
            if not select.select([], [s], [], 0.25)[1]:
                return
        raise AssertionError('the queue does not fill')

    def relieve(self):
        for s in self.fillers:
            s.close()
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            other = socket.create_connection(self.target)
            for a, b in ((conn, other), (other, conn)):
                threading.Thread(target=pass_on, args=(a, b), daemon=True).start()


class Faults(MusterCase):
    def log_of(self, fleet, pattern):
        """Lines of the servers' logs that match."""
        found = []
        for d, _, names in os.walk(fleet.dir):
            for n in names:
                if n == 'log':
                    with open(os.path.join(d, n), errors='replace') as f:
                        found += [x for x in f if re.search(pattern, x)]
        return found

    def twins(self, fleet, host, port, n):
        """Further names for one address and port."""
        for i in range(n):
            fleet._add([f'twin{i}'], 'twin', [host.address], port, 'openssh', host.key,
                       'right' if i == 0 else 'none')

    # 1, 2: nobody answers

    def test_no_answer_costs_the_bound_once(self):
        """Twenty that drop SYNs and twenty that never speak: one bound, not forty, and nobody waits."""
        f = self.fleet()
        f.sshd('web', 5)
        f.peer('hole', 'blackhole', 20)
        f.peer('silent', 'silent', 20)
        f.write()
        start = time.monotonic()
        r = self.run_on(f, '--connect-timeout', '6s', 'all', '--', 'true', output='ndjson')
        took = time.monotonic() - start
        facts = r.facts()
        self.assertEqual({facts[f'web{i}'] for i in range(1, 6)}, {('ok', 'run', None)}, r)
        self.assertEqual({v for k, v in facts.items() if k.startswith('hole')},
                         {('unreachable', 'connect', 'connect-timeout')}, r)
        self.assertEqual({v for k, v in facts.items() if k.startswith('silent')},
                         {('unreachable', 'banner', 'banner-timeout')}, r)
        self.assertEqual({h[:3] for h in list(facts)[:5]}, {'web'})
        self.assertLess(took, 40 * 6)
        self.assertTrue(all(h['attempts'] == 1 for h in r.hosts().values()))

    def test_who_is_silent_keeps_nobody_waiting(self):
        """More that drop SYNs than the fan-out has places, in front of those that answer."""
        f = self.fleet()
        f.peer('hole', 'blackhole', 40)
        f.sshd('web', 10)
        f.write()
        r = self.run_on(f, '-f', '32', '--connect-timeout', '10s', '--no-breaker', 'all', '--', 'true',
                        output='ndjson')
        facts = r.facts()
        self.assertEqual({facts[f'web{i}'] for i in range(1, 11)}, {('ok', 'run', None)}, r)
        self.assertEqual({v for k, v in facts.items() if k.startswith('hole')},
                         {('unreachable', 'connect', 'connect-timeout')}, r)
        self.assertEqual({h[:3] for h in list(facts)[:10]}, {'web'}, r)

    def test_a_late_one_waits_for_its_place(self):
        """It answers when others have all the places: its command runs when one of theirs is over, and
        no sooner; and that it had to wait is nobody's failure."""
        f = self.fleet()
        h = f.sshd('real')[0]
        late = LateServer(h)
        self.addCleanup(late.listener.close)
        f._add(['late'], 'late', [h.address], late.port, 'openssh', h.key, 'right')
        f.sshd('web', 32)
        f.write()
        begun, ended, over = (os.path.join(self.dir, n) for n in ('begun', 'ended', 'over'))

        def relieve():
            while not (os.path.exists(begun) and os.path.getsize(begun) == 32 * 2) and not os.path.exists(over):
                time.sleep(0.05)
            late.relieve()
        thread = threading.Thread(target=relieve, daemon=True)
        thread.start()
        r = self.run_on(f, '-vv', '-f', '32', '--connect-timeout', '60s', 'late,web', '--',
                        f'if [ $MUSTER_HOST = late ]; then wc -l < {ended}; '
                        f'else echo x >> {begun}; sleep 12; echo x >> {ended}; fi', output='json')
        with open(over, 'w'):
            thread.join()
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual(r.hosts()['late']['attempts'], 1)
        self.assertGreater(int(r.hosts()['late']['stdout']), 0)
        self.assertIn('late: connect -> held', r.err)

    # 5, 14: the end of the connection is not the end of the command

    def test_exit_255_is_no_lost_connection(self):
        f = self.fleet()
        f.sshd('web', 2)
        f.write()
        r = self.run_on(f, 'web', '--', '[ $MUSTER_HOST = web1 ] && exit 255; kill -9 $PPID; sleep 1000')
        self.assertEqual(r.facts(), {'web1': ('failed', 'run', 'exit-nonzero'),
                                     'web2': ('lost', 'run', 'connection-lost')}, r)
        self.assertEqual(r.hosts()['web1']['exit_code'], 255)
        self.assertIsNone(r.hosts()['web2']['exit_code'])
        self.assertEqual([h['may_still_run'] for h in r.hosts().values()], [False, True])

    # 6, 7: servers that turn us away

    def test_max_startups(self):
        """A server with room for two logins, and forty of ours: all get in, none in a hurry."""
        f = self.fleet()
        h = f.sshd('one', config=['LogLevel VERBOSE'], max_startups='2:100:2')[0]
        self.twins(f, h, h.port, 40)
        f.write()
        r = self.run_on(f, '--connect-timeout', '4m', 'all', '--', 'true')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual(len(r.hosts()), 41)
        self.assertTrue(self.log_of(f, 'MaxStartups throttling|drop connection'), 'it never was too much')
        attempts = sum(x['attempts'] for x in r.hosts().values())
        self.assertGreater(attempts, 41)
        self.assertLessEqual(len(self.log_of(f, 'Connection from')), attempts + 1)   # and the fleet's own look

    def turned_away(self, seconds, line, bound, hosts=12):
        f = self.fleet()
        h = f.sshd('real')[0]
        relay = Relay(h, seconds, line)
        self.addCleanup(relay.listener.close)
        self.twins(f, h, relay.port, hosts)
        f.write()
        return relay, self.run_on(f, '--connect-timeout', bound, '--no-breaker', 'twin', '--', 'true')

    def test_a_penalty_is_waited_out(self):
        """As sshd does with PerSourcePenalties: nobody gets in for some time, then everybody."""
        relay, r = self.turned_away(4, b'Not allowed at this time\r\n', '2m')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertGreater(relay.refused, 12)
        self.assertEqual(len(relay.times), sum(x['attempts'] for x in r.hosts().values()))
        self.assertLessEqual(relay.most, 8)
        # Four seconds of pauses that double from a tenth of a second.
        self.assertLess(max(x['attempts'] for x in r.hosts().values()), 10)

    def test_both_lines_of_a_busy_server(self):
        for line in (b'Exceeded MaxStartups\r\n', b'Not allowed at this time\r\n'):
            relay, r = self.turned_away(None, line, '3s', 3)
            self.assertEqual(set(r.facts().values()), {('unreachable', 'banner', 'throttled')}, r)
            self.assertIn(line.decode().strip(), r.hosts()['twin0']['detail'])
            self.assertLess(max(x['attempts'] for x in r.hosts().values()), 10)
            self.assertGreater(min(x['attempts'] for x in r.hosts().values()), 1)

    def test_a_denied_login_is_not_tried_again(self):
        f = self.fleet()
        f.sshd('deny', config=['AuthorizedKeysFile /nonexistent', 'LogLevel VERBOSE'])
        f.write()
        r = self.run_on(f, '--retries', '5', 'all', '--', 'true')
        self.assertEqual(r.facts(), {'deny1': ('auth-failed', 'auth', 'auth-denied')}, r)
        self.assertEqual(r.hosts()['deny1']['attempts'], 1)
        self.assertEqual(len(self.log_of(f, 'authenticating user')), 1)

    # 8

    def test_one_session_is_enough(self):
        f = self.fleet()
        f.sshd('one', 3, config=['MaxSessions 1'])
        f.write()
        self.assertEqual(set(self.run_on(f, 'all', '--', 'true').statuses().values()), {'ok'})

    # 9

    def test_banners(self):
        """What sshd shows before the login is nobody's output, however long, whatever it says."""
        f = self.fleet()
        for size in (0, 10, 100000):
            path = os.path.join(self.dir, f'banner{size}')
            with open(path, 'w') as out:
                out.write(('password: \x1b[31m' + 'do not ' * 20000)[:size])
            os.chmod(path, 0o644)
            f.sshd(f'banner{size}', config=[f'Banner {path}'])
        os.chmod(self.dir, 0o755)
        f.write()
        r = self.run_on(f, '-v', 'all', '--', 'echo yes')
        self.assertEqual({stdout_of(h) for h in r.hosts().values()}, {b'yes\n'}, r)
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertNotIn('password', r.out + r.err)

    # 10

    def test_noise_of_start_files(self):
        """What a start file prints is output like any other; the exit status is the command's."""
        f = self.fleet()
        f.sshd('loud', shell='/bin/bash', home={'.bashrc': 'echo noise; echo more >&2; false\n'})
        f.write()
        r = self.run_on(f, 'all', '--', 'echo hello; exit 4')
        h = r.hosts()['loud1']
        self.assertEqual((h['status'], h['exit_code'], stdout_of(h), stdout_of(h, 'stderr')),
                         ('failed', 4, b'noise\nhello\n', b'more\n'), r)

    # 15

    def test_a_server_that_wants_a_password(self):
        f = self.fleet()
        f.sshd('pass', config=['PubkeyAuthentication no', 'PasswordAuthentication yes', 'KbdInteractiveAuthentication no'])
        f.write()
        r = self.run_on(f, 'all', '--', 'true')
        self.assertEqual(r.statuses(), {'pass1': 'auth-failed'}, r)
        self.assertIn('the server takes password', r.hosts()['pass1']['detail'])

    # 17

    def test_no_terminals_are_used(self):
        f = self.fleet()
        f.sshd('web', 8)
        f.write()
        marks = os.path.join(self.dir, 'marks')
        os.chmod(self.dir, 0o755)
        os.mkdir(marks)
        os.chmod(marks, 0o777)
        p = self.start_on(f, 'web', '--', f'[ -t 0 ] || [ -t 1 ] || : >{marks}/$MUSTER_HOST; exec sleep 1000')
        self.wait_for(lambda: len(os.listdir(marks)) == 8, 'eight commands without a terminal')
        # Processes that write no core show their descriptors to root only; the commands' word is everybody's.
        for pid in processes_of(p.pid) if os.getuid() == 0 else []:
            for fd in os.listdir(f'/proc/{pid}/fd'):
                try:
                    where = os.readlink(f'/proc/{pid}/fd/{fd}')
                except FileNotFoundError:
                    continue
                self.assertNotRegex(where, '^/dev/(pts|ptmx|tty)', f'{pid} {fd}')
        os.kill(p.pid, signal.SIGINT)
        self.assertEqual(self.finish(p).code, 130)

    # 4

    @unittest.skipIf(os.environ.get(INSIDE), 'is inside already')
    @unittest.skipUnless(os.getuid() == 0, 'only root can make a network of its own in which sshd works')
    @unittest.skipUnless(subprocess.run(['unshare', '--net', 'true'], stderr=subprocess.DEVNULL).returncode == 0,
                         'no network of its own can be made here')
    def test_half_open(self):
        """In a network of its own, where nothing but the loopback interface is."""
        p = subprocess.run(['unshare', '--net', sys.executable, os.path.abspath(__file__), 'Cut'],
                           env=dict(os.environ, **{INSIDE: 'yes'}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(p.returncode, 0, p.stdout.decode())


@unittest.skipUnless(os.environ.get(INSIDE), 'runs in a network of its own, through test_half_open')
class Cut(MusterCase):
    def setUp(self):
        super().setUp()
        subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)

    def test_link_cut(self):
        """The line goes dead while commands run, and nothing is on its way in either direction. Nobody
        says a word, and yet it is found long before the command's own bound."""
        f = self.fleet()
        f.sshd('web', 2)
        f.write()
        os.chmod(self.dir, 0o755)
        marks = os.path.join(self.dir, 'marks')
        os.mkdir(marks)
        os.chmod(marks, 0o777)
        # Each writes its number once the end of its input has come: the last that we send.
        p = self.start_on(f, '--timeout', '20m', 'web', '--',
                          f'cat; echo $$ >{marks}/new$MUSTER_RANK; mv {marks}/new$MUSTER_RANK {marks}/$MUSTER_HOST; exec sleep 3000')
        self.wait_for(lambda: set(os.listdir(marks)) == {'web1', 'web2'}, 'two commands')
        self.wait_for(lambda: self.waiting_bytes() == 0, 'the last acknowledgement')
        subprocess.run(['ip', 'link', 'set', 'lo', 'down'], check=True)
        r = self.finish(p)
        for name in os.listdir(marks):      # nobody else ends them
            with open(os.path.join(marks, name)) as pid:
                os.kill(int(pid.read()), signal.SIGKILL)
        self.assertEqual(set(r.facts().values()), {('lost', 'run', 'connection-lost')}, r)
        self.assertEqual({h['may_still_run'] for h in r.hosts().values()}, {True})

    @staticmethod
    def waiting_bytes():
        """What is sent and not acknowledged, in this network."""
        with open('/proc/net/tcp') as f:
            rows = [line.split() for line in f][1:]
        return sum(int(r[4].split(':')[0], 16) for r in rows if r[3] == '01')


if __name__ == '__main__':
    main()
