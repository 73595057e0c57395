#!/usr/bin/python3
"""The user's ssh_config: where, as whom and how safely, and who wins over whom."""
import os
import unittest

from muster_case import MusterCase, main


class SshConfig(MusterCase):
    def put(self, name, text, mode=0o600):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, 'w') as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def user_config(self, text):
        return self.put('.ssh/config', text)

    def run_hosts(self, names, *args, options=(), output='json'):
        form = ['-o', output] if output else []
        return self.execute([self.program, 'run', '-w', names, *form, *options, *args])

    def server(self, count=1, **kwargs):
        f = self.fleet()
        hosts = f.sshd('web', count, **kwargs)
        f.write()
        return f, hosts

    def block(self, fleet, name, host, more=''):
        return (f'Host {name}\n  HostName {host.address}\n  Port {host.port}\n  User {fleet.user.pw_name}\n'
                f'  IdentityFile {fleet.key}\n  UserKnownHostsFile {fleet.known_hosts}\n{more}')

    def test_names_that_only_the_file_knows(self):
        f, (a, b) = self.server(2)
        self.user_config('Include more\n' + self.block(f, 'alpha', a))
        self.put('.ssh/more', self.block(f, 'beta', b))
        r = self.run_hosts('alpha,beta', '--', 'echo $MUSTER_HOST')
        self.assertEqual(r.statuses(), {'alpha': 'ok', 'beta': 'ok'}, r)
        self.assertEqual(r.hosts()['alpha']['address'], a.address, r)
        self.assertEqual(r.hosts()['beta']['stdout'], 'beta\n', r)

    def test_none_and_another_file(self):
        f, (a,) = self.server()
        self.user_config('Host alpha\n  HostName 127.255.255.254\n  Port 1\n')
        other = self.put('other', self.block(f, 'alpha', a))
        r = self.run_hosts('alpha', '--', 'true', options=['-F', other])
        self.assertEqual(r.statuses(), {'alpha': 'ok'}, r)
        r = self.run_hosts(a.address, '--', 'true', options=[
            '-F', 'none', '-p', str(a.port), '--key', f.key, '--known-hosts', f.known_hosts])
        self.assertEqual(r.statuses(), {a.address: 'ok'}, r)
        r = self.run_hosts('alpha', '--', 'true', options=['-F', os.path.join(self.dir, 'missing')])
        self.assertEqual(r.code, 1, r)
        self.assertIn('missing: no such file', r.err, r)

    def test_the_environment_names_the_file(self):
        f, (a,) = self.server()
        other = self.put('other', self.block(f, 'alpha', a))
        r = self.execute([self.program, 'run', '-w', 'alpha', '-o', 'json', '--', 'true'],
                         env={'MUSTER_SSH_CONFIG': other})
        self.assertEqual(r.statuses(), {'alpha': 'ok'}, r)

    def test_who_wins(self):
        f, (a,) = self.server()
        self.user_config(self.block(f, '*', a, '  Port 1\n').replace(f'Port {a.port}', 'Port 2'))
        inventory = self.put('hosts.yml', f'all: {{hosts: {{alpha: {{ansible_port: {a.port}}}, beta: }}}}\n')
        # the inventory over the file, the command line over both, the environment under all
        r = self.execute([self.program, 'run', '-i', inventory, '-o', 'json', 'all', '--', 'true'],
                         env={'MUSTER_PORT': str(a.port), 'MUSTER_USER': 'nobody-of-that-name'})
        self.assertEqual(r.statuses(), {'alpha': 'ok', 'beta': 'unreachable'}, r)
        self.assertEqual(r.hosts()['beta']['port'], 2, r)
        r = self.execute([self.program, 'run', '-i', inventory, '-o', 'json', '-p', str(a.port), 'all', '--',
                          'true'])
        self.assertEqual(r.statuses(), {'alpha': 'ok', 'beta': 'ok'}, r)

    def test_the_dialled_name_is_matched(self):
        f, (a,) = self.server()
        self.user_config(self.block(f, 'inner', a) + 'Host alpha\n  Port 1\n')
        inventory = self.put('hosts.yml', 'all: {hosts: {alpha: {ansible_host: inner}}}\n')
        r = self.execute([self.program, 'run', '-i', inventory, '-o', 'json', 'all', '--', 'true'])
        self.assertEqual(r.statuses(), {'alpha': 'ok'}, r)

    def test_identity_files(self):
        f, (a,) = self.server()
        text = self.block(f, 'alpha', a)
        # the first is not there, the second has a token in its name
        self.user_config(text.replace(f'IdentityFile {f.key}', 'IdentityFile /nonexistent/key\n'
                                      '  IdentityFile ~/keys/%n-%p\n  IdentityFile none'))
        with open(f.key) as k:
            self.put(f'keys/alpha-{a.port}', k.read())
        r = self.run_hosts('alpha', '--', 'true', options=['-q'])
        self.assertEqual(r.statuses(), {'alpha': 'ok'}, r)
        self.assertEqual(r.err, '', r)

    def test_trust_of_its_own(self):
        f = self.fleet()
        good, bad, new = f.sshd('good', 1)[0], f.sshd('bad', 1, known='wrong')[0], f.sshd('new', 1,
                                                                                         known='none')[0]
        f.write()
        own = self.put('own_hosts', '')
        self.user_config(self.block(f, 'good', good) + self.block(f, 'bad', bad) + self.block(f, 'new', new)
                         + self.block(f, 'loose', bad, '  StrictHostKeyChecking no\n')
                         + self.block(f, 'first', new, '  StrictHostKeyChecking accept-new\n').replace(
                             f.known_hosts, own)
                         + self.block(f, 'alias', good, '  HostKeyAlias other\n'))
        r = self.run_hosts('good,bad,new,loose,first,alias', '--', 'true')
        self.assertEqual(r.facts(), {
            'good': ('ok', 'run', None), 'loose': ('ok', 'run', None), 'first': ('ok', 'run', None),
            'bad': ('host-key', 'host-key', 'host-key-changed'),
            'new': ('host-key', 'host-key', 'host-key-unknown'),
            'alias': ('host-key', 'host-key', 'host-key-unknown')}, r)
        with open(own) as k:
            self.assertIn(f'[{new.address}]:{new.port} ', k.read())
        with open(f.known_hosts) as k:
            self.assertNotIn(new.address, k.read())
        # what is typed wins
        r = self.run_hosts('loose', '--', 'true', options=['--host-keys', 'strict'])
        self.assertEqual(r.statuses(), {'loose': 'host-key'}, r)

    def test_connect_timeout(self):
        f = self.fleet()
        hole = f.peer('hole', 'blackhole')[0]
        f.write()
        self.user_config(self.block(f, 'hole', hole, '  ConnectTimeout 1\n')
                         + self.block(f, 'far', hole, '  ConnectTimeout 12\n'))
        r = self.run_hosts('hole,far', '--', 'true')
        self.assertEqual({p for _, _, p in r.facts().values()}, {'connect-timeout'}, r)
        took = {n: h['duration'] if 'duration' in h else h['duration_ms'] for n, h in r.hosts().items()}
        self.assertLess(took['hole'] * 3, took['far'], r)
        r = self.run_hosts('far', '--', 'true', options=['--connect-timeout', '500ms'])
        self.assertEqual(r.facts()['far'][2], 'connect-timeout', r)

    def test_address_family(self):
        f, (a,) = self.server()
        self.user_config(self.block(f, 'alpha', a, '  AddressFamily inet6\n'))
        r = self.run_hosts('alpha', '--', 'true')
        self.assertEqual(r.facts(), {'alpha': ('unreachable', 'resolve', 'dns-not-found')}, r)
        self.assertIn('AddressFamily', r.hosts()['alpha']['detail'], r)

    def test_words_of_the_command_line(self):
        f, (a,) = self.server()
        self.user_config(self.block(f, 'alpha', a).replace(a.address, '127.255.255.254'))
        r = self.run_hosts('alpha', '--', 'true', options=['-O', f'HostName={a.address}'])
        self.assertEqual(r.statuses(), {'alpha': 'ok'}, r)
        r = self.run_hosts('alpha', '--', 'true', options=['-O', 'ForwardAgent=yes'])
        self.assertEqual(r.code, 1, r)
        self.assertIn("'ForwardAgent' is not a word we act on", r.err, r)

    def test_a_retry_asks_the_same_file(self):
        f, (a,) = self.server()
        text = self.block(f, 'alpha', a)
        other = self.put('other', text.replace(a.address, '127.255.255.254'))
        r = self.execute([self.program, 'run', '-w', 'alpha', '-o', 'json', '-F', os.path.relpath(other),
                          '-O', 'AddressFamily=inet', '--', 'true'])
        self.assertEqual(r.statuses(), {'alpha': 'unreachable'}, r)
        self.put('other', text)
        p = self.execute([self.program, 'retry', 'last', '-o', 'json'])
        self.assertEqual(p.statuses(), {'alpha': 'ok'}, p)

    def test_mistakes_have_their_place(self):
        for text, words in (('Host a\n  Prot 22\n', 'config:2:3: '), ('Port 22 33\n', 'config:1:9: '),
                            ('Match colour red\n', 'config:1:7: ')):
            self.user_config(text)
            r = self.run_hosts('alpha', '--', 'true')
            self.assertEqual(r.code, 1, r)
            self.assertIn(words, r.err, r)
        os.chmod(self.user_config('Port 22\n'), 0o666)
        r = self.run_hosts('alpha', '--', 'true')
        self.assertEqual(r.code, 1, r)
        self.assertIn('chmod go-w', r.err, r)

    def test_words_without_meaning_are_passed_over(self):
        f, (a,) = self.server()
        self.user_config('IgnoreUnknown UseKeychain\nUseKeychain yes\nForwardAgent yes\nControlMaster auto\n'
                         'ControlPath ~/.ssh/%C\nServerAliveInterval 30\nSendEnv LANG\nAddKeysToAgent yes\n'
                         'LogLevel ERROR\n' + self.block(f, 'alpha', a))
        r = self.run_hosts('alpha', '--', 'true', options=['-q'])
        self.assertEqual(r.statuses(), {'alpha': 'ok'}, r)
        self.assertEqual(r.err, '', r)

    def test_what_is_not_followed_is_said_once(self):
        f, (a, b) = self.server(2)
        self.user_config(self.block(f, 'alpha', a) + self.block(f, 'beta', b) + 'Host *\n  Ciphers aes256-ctr\n')
        r = self.run_hosts('alpha,beta', '--', 'true')
        self.assertEqual(r.statuses(), {'alpha': 'ok', 'beta': 'ok'}, r)
        self.assertEqual(r.err.count('Ciphers is not followed'), 1, r)

    def test_dry_run_shows_it(self):
        f, (a,) = self.server()
        self.user_config(self.block(f, 'alpha', a))
        r = self.run_hosts('alpha', '--', 'true', options=['--dry-run'], output=None)
        self.assertIn(f'{f.user.pw_name}@{a.address} port {a.port}', r.out, r)


if __name__ == '__main__':
    main()
