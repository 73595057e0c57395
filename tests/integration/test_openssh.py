#!/usr/bin/python3
"""Hosts that OpenSSH's ssh reaches for us: the same outcomes as over the library, from its log."""
import os
import signal
import stat
import subprocess
import sys
import unittest

from fleet import keygen
from muster_case import MusterCase, main

# Between ssh and the server: what a ProxyCommand is, without a package for it.
RELAY = '''
import os, select, socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
open(sys.argv[3], 'a').write('%d\\n' % os.getpid()) if len(sys.argv) > 3 else None
while True:
    for f in select.select([0, s], [], [])[0]:
        if f == 0:
            data = os.read(0, 65536)
            if not data:
                sys.exit(0)
            s.sendall(data)
        else:
            data = s.recv(65536)
            if not data:
                sys.exit(0)
            while data:
                data = data[os.write(1, data):]
'''


class OpenSsh(MusterCase):
    def setUp(self):
        super().setUp()
        self.relay = os.path.join(self.dir, 'relay.py')
        self.pids = os.path.join(self.dir, 'pids')
        with open(self.relay, 'w') as f:
            f.write(RELAY)
        os.makedirs(os.path.join(self.dir, '.ssh'), mode=0o700)

    def config(self, text):
        path = os.path.join(self.dir, '.ssh/config')
        with open(path, 'w') as f:
            f.write(text)
        os.chmod(path, 0o600)

    def proxy(self):
        return f'ProxyCommand {sys.executable} {self.relay} %h %p {self.pids}'

    def block(self, fleet, name, host, *more):
        lines = [f'HostName {host.address}', f'Port {host.port}', f'User {fleet.user.pw_name}',
                 f'IdentityFile {fleet.key}', 'IdentitiesOnly yes', f'UserKnownHostsFile {fleet.known_hosts}', *more]
        return f'Host {name}\n' + ''.join(f'  {line}\n' for line in lines)

    def server(self, *more, count=1, **kwargs):
        f = self.fleet()
        hosts = f.sshd('web', count, **kwargs)
        f.write()
        more = more or (self.proxy(),)
        self.config(''.join(self.block(f, h.name, h, *more) for h in hosts))
        return f, hosts

    def run_hosts(self, names, *args, options=(), stdin=b'', env=None, output='json'):
        form = ['-o', output] if output else []
        return self.execute([self.program, 'run', '-w', names, *form, *options, *args], stdin, env)

    def one(self, r):
        h, = r.hosts().values()
        return h

    # What a command comes to

    def test_it_runs(self):
        self.server(count=3)
        r = self.run_hosts('web[1-3]', '--', 'echo $MUSTER_HOST; echo to stderr >&2')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        for name, h in r.hosts().items():
            self.assertEqual((h['stdout'], h['stderr']), (name + '\n', 'to stderr\n'), r)
            self.assertTrue(h['server'].startswith('SSH-2.0-OpenSSH'), r)
        with open(self.pids) as f:
            self.assertEqual(len(f.read().split()), 3, 'each went through the proxy')

    def test_exit_codes(self):
        self.server()
        for code in (0, 1, 3, 127, 254, 255):
            h = self.one(self.run_hosts('web1', '--', f'exit {code}'))
            self.assertEqual((h['status'], h['exit_code'], h['may_still_run']),
                             ('failed' if code else 'ok', code, False), h)

    def test_signal(self):
        self.server()
        h = self.one(self.run_hosts('web1', '--raw', '--', 'kill -9 $$'))
        self.assertEqual((h['status'], h['problem'], h['exit_code']), ('signaled', 'killed-by-signal', None), h)

    def test_standard_input_and_much_output(self):
        self.server()
        data = os.urandom(1 << 20).hex().encode()
        r = self.run_hosts('web1', '--', 'cat', options=['--stdin', '-', '--max-output', '8M'], stdin=data)
        self.assertEqual(self.one(r)['stdout'].encode(), data)
        r = self.run_hosts('web1', '--', 'true', options=['--stdin', '-'], stdin=data)
        self.assertEqual(r.statuses(), {'web1': 'ok'}, r)

    def test_output_after_the_end_of_the_command(self):
        self.server()
        r = self.run_hosts('web1', '--', '(sleep 1; echo late) & echo early')
        self.assertEqual(self.one(r)['stdout'], 'early\nlate\n', r)

    # What goes wrong before

    def test_no_such_name(self):
        self.config('Host far\n  HostName no-such-name.invalid\n  BindAddress 127.0.0.1\n')
        h = self.one(self.run_hosts('far', '--', 'true'))
        self.assertEqual((h['status'], h['phase']), ('unreachable', 'resolve'), h)
        self.assertIn(h['problem'], ('dns-not-found', 'dns-failed'), h)

    def test_peers_that_are_no_servers(self):
        f = self.fleet()
        expected = {'refused': ('connect', 'connect-refused'), 'reset': ('banner', 'connection-reset'),
                    'eof': ('banner', 'connection-reset'), 'garbage': ('banner', 'not-ssh'),
                    'throttled': ('banner', 'throttled'), 'silent': ('banner', 'banner-timeout'),
                    'blackhole': ('connect', 'connect-timeout'), 'midway': ('kex', 'kex-timeout')}
        text = ''
        for kind in expected:
            text += self.block(f, kind, f.peer(kind, kind)[0], 'BindAddress 127.0.0.1')
        f.write()
        self.config(text)
        r = self.run_hosts(','.join(expected), '--', 'true',
                           options=['--connect-timeout', '4s', '--retries', '0'])
        got = {n: (p, q) for n, (_, p, q) in r.facts().items()}
        self.assertEqual(got, expected, r)
        self.assertEqual(set(r.statuses().values()), {'unreachable'}, r)

    def test_host_keys(self):
        f = self.fleet()
        hosts = {k: f.sshd(k, 1, known=k, own_key=True)[0] for k in ('wrong', 'none', 'revoked')}
        f.write()
        self.config(''.join(self.block(f, k, h, self.proxy()) for k, h in hosts.items())
                    + self.block(f, 'loose', hosts['none'], self.proxy(), 'StrictHostKeyChecking no').replace(
                        f.known_hosts, '/dev/null'))
        r = self.run_hosts('wrong,none,revoked,loose', '--', 'true')
        self.assertEqual({n: p for n, (_, _, p) in r.facts().items()},
                         {'wrong': 'host-key-changed', 'none': 'host-key-unknown',
                          'revoked': 'host-key-revoked', 'loose': None}, r)
        self.assertEqual({p for n, (_, p, _) in r.facts().items() if n != 'loose'}, {'host-key'}, r)
        r = self.run_hosts('none', '--', 'true', options=['--host-keys', 'accept-new'])
        self.assertEqual(r.statuses(), {'none': 'ok'}, r)

    def test_denied(self):
        f, (a,) = self.server()
        other = os.path.join(self.dir, 'other')
        keygen(other)
        self.config(self.block(f, 'web1', a, self.proxy()).replace(f.key, other))
        h = self.one(self.run_hosts('web1', '--', 'true'))
        self.assertEqual((h['status'], h['phase'], h['problem']), ('auth-failed', 'auth', 'auth-denied'), h)
        self.assertIn('Permission denied', h['detail'])

    def test_a_proxy_that_fails(self):
        self.server('ProxyCommand sh -c "echo no way >&2; exit 1"')
        h = self.one(self.run_hosts('web1', '--', 'true', options=['--retries', '0']))
        self.assertEqual(h['status'], 'unreachable', h)
        self.assertFalse(h['sent'], h)

    # What goes wrong afterwards

    def test_timeouts(self):
        self.server()
        h = self.one(self.run_hosts('web1', '--', 'echo begun; sleep 60', options=['--timeout', '1s']))
        self.assertEqual((h['status'], h['problem'], h['may_still_run'], h['stdout']),
                         ('timeout', 'run-timeout', True, 'begun\n'), h)
        h = self.one(self.run_hosts('web1', '--', 'echo begun; sleep 60', options=['--silence-timeout', '1s']))
        self.assertEqual((h['status'], h['problem']), ('timeout', 'silence-timeout'), h)

    def begin(self, seconds):
        """A run whose command has begun and sleeps."""
        mark = os.path.join(self.dir, 'mark')
        p = subprocess.Popen([self.program, 'run', '-w', 'web1', '-o', 'json', '--',
                              f'echo > {mark}; sleep {seconds}'],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=self.env, start_new_session=True)
        self.addCleanup(self._end, p)
        self.wait_for(lambda: os.path.exists(mark), 'the command')
        return p

    def test_the_connection_is_lost(self):
        self.server()
        p = self.begin(60)
        with open(self.pids) as f:
            os.kill(int(f.read().split()[-1]), signal.SIGKILL)
        h = self.one(self.finish(p))
        self.assertEqual((h['status'], h['problem'], h['may_still_run'], h['sent']),
                         ('lost', 'connection-lost', True, True), h)

    def test_cancelled(self):
        self.server()
        p = self.begin(60)
        p.send_signal(signal.SIGINT)
        r = self.finish(p)
        self.assertEqual(r.code, 130, r)
        self.assertEqual(self.one(r)['problem'], 'cancelled', r)
        self.assertTrue(self.one(r)['may_still_run'], r)

    # Who goes there

    def test_only_so_many_at_once(self):
        self.server(count=6)
        r = self.run_hosts('web[1-6]', '--', 'echo hi; sleep 1', options=['--openssh-max', '2'])
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        begins = sorted(h['duration_ms'] for h in r.hosts().values())
        self.assertGreater(begins[-1], 3000, f'three turns of a second each: {begins}')

    def test_switched_off_or_missing(self):
        f, (a,) = self.server()
        r = self.run_hosts('web1', '--', 'true', options=['--no-openssh'])
        self.assertEqual(r.facts(), {'web1': ('unreachable', 'resolve', 'bad-target')}, r)
        self.assertIn('--no-openssh was given', self.one(r)['detail'], r)
        r = self.run_hosts('web1', '--', 'true', env={'PATH': '/nonexistent'})
        self.assertIn('there is no ssh on PATH', self.one(r)['detail'], r)

    def test_why_is_shown(self):
        f, hosts = self.server(count=1)
        h = hosts[0]
        sk = os.path.join(self.dir, 'id_sk')
        with open(sk + '.pub', 'w') as k:
            k.write('sk-ssh-ed25519@openssh.com AAAA x\n')
        open(sk, 'w').close()
        self.config(self.block(f, 'exec', h) + 'Match host exec exec true\n  ForwardAgent yes\n  Port 7\n'
                    + self.block(f, 'gss', h, 'GSSAPIAuthentication yes',
                                 'PreferredAuthentications gssapi-with-mic,publickey')
                    + self.block(f, 'sk', h).replace(f.key, sk)
                    + self.block(f, 'kex', h, 'KexAlgorithms sntrup761x25519-sha512@openssh.com')
                    + self.block(f, 'plain', h, 'GSSAPIAuthentication yes')
                    + 'Match originalhost exec exec false\n  Port 8\n')
        r = self.run_hosts('exec,gss,sk,kex,plain', '--', 'true', options=['--dry-run'], output=None)
        lines = {line.split(' ')[0]: line for line in r.out.split('\n')}
        for name, why in (('exec', 'the Match at'), ('gss', 'GSSAPIAuthentication at'), ('sk', 'the security key at'),
                          ('kex', 'KexAlgorithms at')):
            self.assertIn("by OpenSSH's ssh (" + why, lines[name], r)
        self.assertNotIn('OpenSSH', lines['plain'], r)
        r = self.run_hosts('kex,plain', '--', 'true')
        self.assertEqual(r.statuses(), {'kex': 'ok', 'plain': 'ok'}, r)

    def test_host_certificates(self):
        f = self.fleet()
        ca = os.path.join(self.dir, 'ca')
        public = keygen(ca)
        key = os.path.join(f.dir, 'certified')
        keygen(key)
        subprocess.run(['ssh-keygen', '-q', '-s', ca, '-I', 'host', '-h', key + '.pub'], check=True,
                       stdin=subprocess.DEVNULL)
        h = f.sshd('web', 1, known='none', config=[f'HostKey {key}', f'HostCertificate {key}-cert.pub'])[0]
        f.write()
        with open(f.known_hosts, 'a') as k:
            k.write(f'@cert-authority [127.*]:* {public}\n')
        self.config(self.block(f, 'web1', h))
        r = self.run_hosts('web1', '--', 'echo hi')
        self.assertEqual(r.statuses(), {'web1': 'ok'}, r)
        r = self.run_hosts('web1', '--', 'true', options=['--no-openssh'])
        self.assertEqual(r.facts()['web1'][2], 'host-key-ca-only', r)

    def test_nothing_reads_as_an_option(self):
        mark = os.path.join(self.dir, 'mark')
        self.config('Host *\n  BindAddress 127.0.0.1\n')
        inventory = os.path.join(self.dir, 'hosts.yml')
        with open(inventory, 'w') as f:
            f.write(f'all:\n  hosts:\n    a: {{ansible_host: "-oProxyCommand=touch {mark}"}}\n'
                    f'    b: {{ansible_host: "x`touch {mark}`"}}\n'
                    f'    c: {{ansible_host: 127.0.0.1, ansible_user: "-oProxyCommand=touch {mark}"}}\n')
        r = self.execute([self.program, 'run', '-i', inventory, '-o', 'json', 'all', '--', 'true'])
        self.assertEqual({p for _, _, p in r.facts().values()}, {'bad-target'}, r)
        self.assertFalse(os.path.exists(mark), r)

    def test_bastions(self):
        """Neither a bastion that only ssh can reach nor one that ssh knows nothing of is passed by."""
        f, (a,) = self.server()
        text = self.block(f, 'web1', a, self.proxy()) + self.block(f, 'inner', a)
        self.config(text)
        for name, options in (('inner', ['-J', 'web1']), ('web1', ['-J', 'inner'])):
            r = self.run_hosts(name, '--', 'true', options=options)
            self.assertEqual(r.facts(), {name: ('unreachable', 'resolve', 'bad-target')}, r)
            self.assertIn("only OpenSSH's ssh can reach it", self.one(r)['detail'], r)
        self.config(self.block(f, 'inner', a, 'BindAddress 127.0.0.1', 'ProxyJump no-such-host.invalid'))
        self.assertEqual(self.run_hosts('inner', '--', 'true').statuses(), {'inner': 'unreachable'})
        r = self.run_hosts('inner', '--', 'true', options=['-J', 'none'])
        self.assertEqual(r.statuses(), {'inner': 'ok'}, r)

    def test_nothing_is_left(self):
        self.server(count=2)
        here = os.path.join(self.dir, 'run')
        os.mkdir(here, 0o700)
        r = self.run_hosts('web[1-2]', '--', 'true', env={'XDG_RUNTIME_DIR': here})
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual(os.listdir(here), [], r)
        self.assertEqual(stat.S_IMODE(os.stat(here).st_mode), 0o700)


if __name__ == '__main__':
    main()
