"""SSH servers that ask for passwords in every way that servers do, on loopback addresses of a fleet.

    servers = AskServers(fleet)
    servers.add('pam', 3, rounds=[[('Password: ', False)]])    # keyboard-interactive
    servers.add('old', 1, password='secret')                   # the method of that name
    fleet.write()
    ... servers.passwords  [(host, what was sent), …]
    servers.stop()

They run on a thread of this process. A command is answered with ECHO, whatever it is.
"""
import asyncio
import threading
import warnings

with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # of ciphers that nobody uses
    import asyncssh


class _Server(asyncssh.SSHServer):
    def __init__(self, servers, name, how):
        self.servers, self.name, self.how, self.round = servers, name, how, 0

    def begin_auth(self, username):
        return True

    def public_key_auth_supported(self):
        return False

    def password_auth_supported(self):
        return self.how.get('password') is not None

    async def validate_password(self, username, password):
        await self.servers.took(self.name, password)
        if self.how.get('expired'):
            raise asyncssh.PasswordChangeRequired('Your password has expired; choose another')
        return password == self.how['password']

    def change_password(self, username, old_password, new_password):
        self.servers.passwords.append((self.name, 'changed'))
        return False

    def kbdint_auth_supported(self):
        return bool(self.how.get('rounds'))

    def get_kbdint_challenge(self, username, lang, submethods):
        return self._challenge()

    def _challenge(self):
        return ('login', 'read me', 'en', self.how['rounds'][self.round])

    async def validate_kbdint_response(self, username, responses):
        for text in responses:
            await self.servers.took(self.name, text)
        right = self.how.get('right', 'secret')
        if any(text != right for text in responses):
            return False
        self.round += 1
        return True if self.round == len(self.how['rounds']) else self._challenge()


class AskServers:
    def __init__(self, fleet, echo=b'hello\n'):
        self.fleet, self.echo = fleet, echo
        self.passwords = []          # (host, text) in the order they came
        self.at_once = self.most = 0
        self.hold = 0                # seconds that a server takes to look at a password
        self.loop = asyncio.new_event_loop()
        self.listeners = []
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    async def took(self, name, text):
        self.passwords.append((name, text))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(self.hold)
        self.at_once -= 1

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def _command(self, process):
        process.stdout.write(self.echo)
        process.exit(0)

    async def _listen(self, name, address, how):
        return await asyncssh.create_server(
            lambda: _Server(self, name, how), address, 0, server_host_keys=[self.fleet.host_key],
            process_factory=self._command, encoding=None, login_timeout=0)

    def add(self, prefix, count=1, known='right', **how):
        """password: what the password method takes; expired: it asks for a new one instead.
        rounds: of keyboard-interactive, lists of (prompt, echo); right: the answer to all."""
        made = []
        for name in self.fleet._names(prefix, count):
            address = self.fleet._address()
            listener = self._run(self._listen(name, address, how))
            self.listeners.append(listener)
            made += self.fleet._add([name], prefix, [address], listener.sockets[0].getsockname()[1], 'asyncssh',
                                    self.fleet.host_public, known)
        return made

    async def _close(self):
        for listener in self.listeners:
            listener.close()
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()

    def stop(self):
        self._run(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
