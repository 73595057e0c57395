"""ssh-agents for tests: a real one, and one in between that is slow, silent, gone or lying.

    with Agent(directory) as agent:
        agent.add('/path/to/key')
        env['SSH_AUTH_SOCK'] = agent.socket

    with Middleman(directory, agent.socket, delay=0.02) as slow:
        env['SSH_AUTH_SOCK'] = slow.socket
        slow.connections, slow.lists, slow.signatures
"""
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time

LIST, SIGN, FAILURE = 11, 13, bytes([5])


class Agent:
    def __init__(self, directory, *args):
        self.dir = tempfile.mkdtemp(prefix='agent-', dir=directory)
        self.socket = os.path.join(self.dir, 'socket')
        self.process = subprocess.Popen(['ssh-agent', '-D', '-a', self.socket, *args],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        env=dict(os.environ, SSH_ASKPASS='/bin/false', SSH_ASKPASS_REQUIRE='force'))
        if b'SSH_AUTH_SOCK' not in self.process.stdout.readline():    # said once it listens
            raise OSError('ssh-agent did not start')

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def add(self, *args):
        """ssh-add ARGS"""
        p = subprocess.run(['ssh-add', '-q', *args], env=dict(os.environ, SSH_AUTH_SOCK=self.socket),
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if p.returncode != 0:
            raise OSError(f'ssh-add {args}: {p.stdout.decode()}')


def string(b):
    return struct.pack('>I', len(b)) + b


def cut(b):
    """The first string of b, and what follows it."""
    n = struct.unpack('>I', b[:4])[0]
    return b[4:4 + n], b[4 + n:]


class Middleman:
    """Passes requests on to a real agent, one connection after the other.

    delay      seconds before each signature
    on_sign    called with (number of this signature from 1, request); returns an answer's body in place
               of the agent's, None for the agent's own, 'silence' or 'close'
    on_list    likewise
    """

    def __init__(self, directory, behind, delay=0, on_sign=None, on_list=None):
        self.dir = tempfile.mkdtemp(prefix='middleman-', dir=directory)
        self.socket = os.path.join(self.dir, 'socket')
        self.behind, self.delay, self.on_sign, self.on_list = behind, delay, on_sign, on_list
        self.connections = self.lists = self.signatures = self.at_once = self.most_at_once = 0
        self.signed = []
        self.open = set()
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.socket)
        self.listener.listen(16)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        """As if it had been killed."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        with self.lock:
            for s in self.open:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with self.lock:
                self.open.add(conn)
                self.most_at_once = max(self.most_at_once, len(self.open))
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _read(self, s):
        data = b''
        while len(data) < 4 or len(data) < 4 + struct.unpack('>I', data[:4])[0]:
            part = s.recv(65536)
            if not part:
                return None
            data += part
        return data[4:]

    def _ask(self, request):
        s = socket.socket(socket.AF_UNIX)
        s.connect(self.behind)
        with s:
            s.sendall(string(request))
            return self._read(s)

    def _answer(self, request):
        hook = None
        if request[0] == LIST:
            self.lists += 1
            hook = self.on_list and self.on_list(self.lists, request)
        elif request[0] == SIGN:
            self.signatures += 1
            self.signed.append(request)
            if self.delay:
                time.sleep(self.delay)      # this is what a slow agent does
            hook = self.on_sign and self.on_sign(self.signatures, request)
        return self._ask(request) if hook is None else hook

    def _serve(self, conn):
        try:
            while True:
                request = self._read(conn)
                if request is None:
                    return
                answer = self._answer(request)
                if answer == 'close':
                    return
                if answer != 'silence':
                    conn.sendall(string(answer))
        except OSError:
            pass
        finally:
            with self.lock:
                self.open.discard(conn)
            conn.close()
