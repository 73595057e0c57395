#!/usr/bin/python3
"""Our reading of ssh_config against `ssh -G`: the same files, the same hosts, the same answers.

Files are made at random from a seed, in the shapes that people write; each also has its hand-made
cases. What differs on purpose stands in docs/differences.md, under "ssh_config".
"""
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = os.environ.get('MUSTER_BUILD', '')
TOOL = os.path.join(BUILD, 'tests/oracle/sshconfig_tool')
FILES = int(os.environ.get('MUSTER_ORACLE_FILES', '300'))
# The words compared. ssh prints its defaults too, which are taken away by asking it about an empty file.
WORDS = ('hostname', 'user', 'port', 'identityfile', 'certificatefile', 'identitiesonly', 'identityagent',
         'proxyjump', 'proxycommand', 'userknownhostsfile', 'globalknownhostsfile', 'hostkeyalias',
         'stricthostkeychecking', 'connecttimeout', 'addressfamily', 'bindaddress', 'bindinterface',
         'preferredauthentications', 'passwordauthentication', 'gssapiauthentication', 'pkcs11provider',
         'knownhostscommand', 'revokedhostkeys')
HOSTS = ('web1', 'web2', 'db1.example.com', 'db2.example.com', 'Gate', '10.0.0.7', 'other')
YES = {'true': 'yes', 'false': 'no', 'off': 'no'}


def parse(text):
    found = {}
    for line in text.split('\n'):
        word, _, value = line.partition(' ')
        if word in WORDS:
            if word in ('identitiesonly', 'passwordauthentication', 'gssapiauthentication',
                        'stricthostkeychecking'):
                value = YES.get(value.lower(), value.lower())
            if word == 'proxyjump' or word == 'proxycommand' or word == 'pkcs11provider':
                if value == 'none':
                    continue
            if word == 'proxyjump':      # ssh prints a URI as what it means
                value = value.replace('ssh://', '')
            found.setdefault(word, []).append(value)
    return found


class SshConfig(unittest.TestCase):
    maxDiff = 4000

    def setUp(self):
        if shutil.which('ssh') is None:
            self.fail('ssh is not installed (deploy/deps --test installs openssh-client)')
        self.dir = tempfile.mkdtemp(prefix='muster-oracle-')
        self.addCleanup(shutil.rmtree, self.dir, True)
        empty = self.file('empty', '')
        self.defaults = parse(self.ssh(empty, 'nowhere').stdout)

    def file(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, 'w') as f:
            f.write(text)
        os.chmod(path, 0o644)
        return path

    def ssh(self, path, host):
        return subprocess.run(['ssh', '-G', '-T', '-F', path, host], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def ours(self, path, hosts):
        p = subprocess.run([TOOL, path, *hosts], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn(p.returncode, (0, 1), p.stderr)
        return p

    def compare(self, path, hosts=HOSTS):
        with open(path) as f:
            text = f.read()
        mine = self.ours(path, hosts)
        if mine.returncode:
            theirs = self.ssh(path, hosts[0])
            self.assertNotEqual(theirs.returncode, 0, f'ssh takes it, we say {mine.stdout}\n{text}')
            return False
        for host, block in zip(hosts, mine.stdout.split('\n\n')):
            theirs = self.ssh(path, host)
            self.assertEqual(theirs.returncode, 0, f'we take it, ssh says {theirs.stderr}\n{text}')
            want, got = parse(theirs.stdout), parse(block)
            for word in WORDS:
                wanted = want.get(word)
                if word not in got and wanted == self.defaults.get(word):
                    continue
                if word in ('hostname', 'user') and word not in got:
                    continue
                self.assertEqual(got.get(word), wanted, f'{word} of {host}\n{text}')
        return True

    # Files made at random

    def value(self, rng):
        word = rng.choice([
            'HostName', 'HostName', 'Port', 'Port', 'User', 'IdentityFile', 'IdentityFile', 'CertificateFile',
            'IdentitiesOnly', 'ProxyJump', 'ProxyCommand', 'UserKnownHostsFile', 'GlobalKnownHostsFile',
            'HostKeyAlias', 'StrictHostKeyChecking', 'ConnectTimeout', 'AddressFamily', 'IdentityAgent',
            'PreferredAuthentications', 'GSSAPIAuthentication', 'PasswordAuthentication', 'BindAddress',
            'ForwardAgent', 'ServerAliveInterval', 'SendEnv'])
        value = {
            'HostName': lambda: rng.choice(['%h.example.com', 'web1', '192.0.2.1', 'UPPER.example.com', '%h']),
            'Port': lambda: str(rng.randrange(1, 65536)),
            'User': lambda: rng.choice(['deploy', 'root', 'alice']),
            'IdentityFile': lambda: rng.choice(['~/.ssh/id_%h', '/keys/a', '"/keys/with blank"', 'none', '%d/k']),
            'CertificateFile': lambda: rng.choice(['/keys/a-cert.pub', '~/c']),
            'IdentitiesOnly': lambda: rng.choice(['yes', 'no', 'true']),
            'ProxyJump': lambda: rng.choice(['jump', 'a@jump:22,b', 'none', 'ssh://u@jump:2222']),
            'ProxyCommand': lambda: rng.choice(['nc %h %p', 'none', 'ssh -W "%h:%p" gate # not a comment']),
            'UserKnownHostsFile': lambda: rng.choice(['/k/a', '/k/a /k/b', '"/k/a b" /k/c', '/dev/null']),
            'GlobalKnownHostsFile': lambda: rng.choice(['/k/g', '/k/g /k/h']),
            'HostKeyAlias': lambda: rng.choice(['alias1', 'alias2']),
            'StrictHostKeyChecking': lambda: rng.choice(['yes', 'no', 'ask', 'accept-new', 'off']),
            'ConnectTimeout': lambda: rng.choice(['5', '1m', '1m30s', '10']),
            'AddressFamily': lambda: rng.choice(['inet', 'inet6', 'any']),
            'IdentityAgent': lambda: rng.choice(['none', '/run/agent', 'SSH_AUTH_SOCK']),
            'PreferredAuthentications': lambda: rng.choice(['publickey', 'gssapi-with-mic,publickey']),
            'GSSAPIAuthentication': lambda: rng.choice(['yes', 'no']),
            'PasswordAuthentication': lambda: rng.choice(['yes', 'no']),
            'BindAddress': lambda: '127.0.0.1',
            'ForwardAgent': lambda: 'yes',
            'ServerAliveInterval': lambda: '30',
            'SendEnv': lambda: 'LANG LC_*',
        }[word]()
        if rng.random() < 0.2:
            word = rng.choice([word.lower(), word.upper()])
        gap = rng.choice([' ', ' ', '\t', '  ', '=', ' = '])
        comment = ' # why' if rng.random() < 0.1 and not word.lower().startswith('proxy') else ''
        return f'{rng.choice(["", "  ", chr(9)])}{word}{gap}{value}{comment}{rng.choice(["", "", " "])}'

    def patterns(self, rng):
        some = ['web1', 'web*', 'web?', '*.example.com', 'db1.example.com', '!web2', '*', 'gate', 'Gate',
                '10.0.0.*', '!*.example.com', 'none', 'web1.example.com']
        return rng.sample(some, rng.randrange(1, 4))

    def condition(self, rng):
        if rng.random() < 0.6:
            return 'Host ' + ' '.join(self.patterns(rng))
        if rng.random() < 0.1:
            return 'Match all'
        words = []
        for _ in range(rng.randrange(1, 3)):
            kind = rng.choice(['host', 'originalhost', 'user', 'localuser', 'final'])
            sign = '!' if rng.random() < 0.2 else ''
            if kind == 'final':
                words.append(sign + kind)
            elif kind.endswith('user'):
                words.append(f'{sign}{kind} {rng.choice(["root", "deploy", "a*,!alice", "nobody"])}')
            else:
                words.append(f'{sign}{kind} {",".join(self.patterns(rng))}')
        return 'Match ' + ' '.join(words)

    def text(self, rng, name, depth=0):
        lines = [self.value(rng) for _ in range(rng.randrange(0, 2))]
        for _ in range(rng.randrange(1, 6)):
            lines.append(self.condition(rng))
            for _ in range(rng.randrange(0, 4)):
                if depth < 2 and rng.random() < 0.12:
                    inner = self.file(f'{name}.{rng.randrange(10**6)}', self.text(rng, name, depth + 1))
                    lines.append(f'  Include {inner}')
                else:
                    lines.append(self.value(rng))
            if rng.random() < 0.3:
                lines.append(rng.choice(['', '# a comment', '   ']))
        return '\n'.join(lines) + '\n'

    def test_random_files(self):
        taken = 0
        for seed in range(FILES):
            rng = random.Random(seed)
            path = self.file(f'c{seed}', self.text(rng, f'i{seed}'))
            with self.subTest(seed=seed):
                taken += self.compare(path, rng.sample(HOSTS, 3))
        self.assertGreater(taken, FILES * 9 // 10, 'most of the files are good ones')

    # By hand

    def test_cases(self):
        cases = {
            'equals': 'Port=2222\nUser = bob\nHostName\t=\tx\n',
            'quotes': 'Host "web1"\n  User "deploy"\nIdentityFile "a b" # c\n',
            'negated alone': 'Host !web1\n  Port 5\n',
            'crlf': 'Host web*\r\n  Port 7\r\n',
            'match after host': 'Host web1\n HostName db9\nMatch host db9\n Port 8\nMatch originalhost web1\n User u\n',
            'match user': 'User deploy\nMatch user deploy\n Port 9\nMatch user=root\n Port 10\n',
            'jump then command': 'ProxyJump a\nProxyCommand nc %h %p\n',
            'command then jump': 'ProxyCommand nc %h %p\nProxyJump a\n',
            'none first': 'Host web1\n ProxyJump none\nHost *\n ProxyJump jump\n ProxyCommand x\n',
            'identities add up': 'Host web*\n IdentityFile /a\nHost *\n IdentityFile /b\n IdentityFile /a\n',
            'final': 'Host web1\n HostName WEB9\nMatch final host web9\n Port 99\nHost web9\n User nine\n',
            'final all': 'Match final all\n Port 98\n',
            'canonical': 'Match canonical all\n Port 97\n',
            'match all': 'Host nobody\nMatch all\n Port 96\n',
            'ignored': 'IgnoreUnknown Foo*,bar\nFooBar 1\nBAR 2\nPort 95\n',
            'harmless': 'ForwardAgent yes\nControlMaster auto\nControlPath ~/.ssh/c-%C\nAddKeysToAgent yes\n',
            'no end of line': 'Port 94',
            'yes and no': 'IdentitiesOnly true\nPasswordAuthentication FALSE\n',
        }
        for name, text in cases.items():
            with self.subTest(name):
                self.assertTrue(self.compare(self.file('case', text)), name)

    def test_both_refuse(self):
        cases = ['Bogus 1\n', 'Port\n', 'Port 22 33\n', 'Port 0\n', 'Port 65536\n', 'Host\n', 'Match\n',
                 'Match colour red\nPort 1\n', 'Match all user x\nPort 1\n', 'Match user\nPort 1\n',
                 'IdentitiesOnly maybe\n', 'StrictHostKeyChecking sometimes\n', 'ConnectTimeout soon\n',
                 'AddressFamily ipx\n', 'User "unclosed\n', 'HostName\n', 'Include\n', 'IdentityFile ""\n',
                 'ProxyJump\n']
        for text in cases:
            with self.subTest(text):
                self.assertFalse(self.compare(self.file('bad', text), ('web1',)))

    def test_includes(self):
        self.file('one', 'Port 1001\nHost web2\n  User second\n')
        self.file('two', 'User two\n')
        for name, text in {
                'at the top': f'Include {self.dir}/one\nPort 5\n',
                'in a block': f'Host web1\n Include {self.dir}/one\n IdentityFile /after\nHost *\n Port 6\n',
                'in a match': f'Match user root\n Include {self.dir}/one\n HostKeyAlias after\n',
                'glob': f'Include {self.dir}/t*o {self.dir}/on?\n',
                'missing': f'Include {self.dir}/nothing\nPort 7\n',
                'twice': f'Host web*\n Include {self.dir}/two\nInclude {self.dir}/one\n'}.items():
            with self.subTest(name):
                self.assertTrue(self.compare(self.file('case', text)), name)

    def test_loop_of_includes(self):
        path = os.path.join(self.dir, 'loop')
        self.assertFalse(self.compare(self.file('loop', f'Include {path}\n'), ('web1',)))

    def test_exec_is_never_run(self):
        mark = os.path.join(self.dir, 'ran')
        p = self.ours(self.file('case', f'Match host web1 exec "touch {mark}"\n Port 1\nHost *\n Port 2\n'),
                      ('web1', 'web2'))
        one, two = p.stdout.split('\n\n')[:2]
        self.assertIn('undecided', one)
        self.assertIn(':1', one)
        self.assertNotIn('undecided', two)
        self.assertFalse(os.path.exists(mark))


if __name__ == '__main__':
    if not os.access(TOOL, os.X_OK):
        sys.exit('MUSTER_BUILD names no build: run this through ctest')
    unittest.main(verbosity=2)
