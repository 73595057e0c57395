"""A network between us and one server of a fleet, which can stop, be cut, or carry only so much.

    relay = Relay(host)                 # host.port leads through it from now on; write() the fleet after
    relay.limit = 100000                # from us to the server, of all connections together
    relay.on_limit = 'hold' or 'cut'
    relay.reached.wait()
    relay.hold()                        # no byte and no word any more, to either end
    relay.stop()                        # for addCleanup
"""
import socket
import threading


class Relay:
    def __init__(self, host):
        self.target = (host.address, host.port)
        self.limit, self.on_limit, self.sent = None, 'cut', 0
        self.held, self.reached = threading.Event(), threading.Event()
        self.lock = threading.Lock()
        self.listener = socket.create_server((host.address, 0))
        host.port = self.listener.getsockname()[1]
        self.open = [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self):
        self.held.set()

    def stop(self):
        for s in self.open:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def _accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
                other = socket.create_connection(self.target)
            except OSError:
                return
            self.open += [conn, other]
            for a, b, counts in ((conn, other, True), (other, conn, False)):
                threading.Thread(target=self._copy, args=(a, b, counts), daemon=True).start()

    def _allow(self, n):
        """How many of n bytes may pass."""
        with self.lock:
            if self.limit is not None:
                n = min(n, max(0, self.limit - self.sent))
            self.sent += n
            return n

    def _copy(self, a, b, counts):
        try:
            while (data := a.recv(65536)) and not self.held.is_set():
                n = self._allow(len(data)) if counts else len(data)
                b.sendall(data[:n])
                if n < len(data):
                    if self.on_limit == 'hold':
                        self.hold()
                    self.reached.set()
                    break
            if not self.held.is_set():
                b.shutdown(socket.SHUT_WR)
                if self.reached.is_set():
                    a.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
