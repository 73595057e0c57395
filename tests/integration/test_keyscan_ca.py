#!/usr/bin/python3
"""muster keyscan with host certificates: real ones of ssh-keygen, shown by real sshds; expired, for another host, of
another authority, for another key; recorded until they end."""
import datetime
import json
import os
import re
import subprocess

from muster_case import MusterCase, main


class Certificates(MusterCase):
    def setUp(self):
        super().setUp()
        self.f = self.fleet()
        self.ca, self.other = self.key('ca', 'ecdsa'), self.key('other', 'ed25519')

    def key(self, name, kind='ed25519'):
        """Makes a key; its path."""
        path = os.path.join(self.dir, name)
        subprocess.run(['ssh-keygen', '-q', '-t', kind, '-N', '', '-C', '', '-f', path], check=True)
        return path

    def public(self, path):
        with open(path + '.pub') as f:
            return ' '.join(f.read().split()[:2])

    def certify(self, key, *options, ca=None):
        subprocess.run(['ssh-keygen', '-q', '-s', ca or self.ca, '-h', '-I', 'the id', *options, key + '.pub'],
                       check=True)

    def server(self, name, certify=None, kinds=('ed25519',)):
        """A server with a certificate; certify gets the path of its first key, before its address is known."""
        keys = [self.key(f'{name}_{k}', k) for k in kinds]
        config = [f'HostKey {k}' for k in keys]
        if certify:
            config.append(f'HostCertificate {keys[0]}-cert.pub')
            # sshd reads the file when it starts, by which time the address is not known to us: names are patterns.
            certify(keys[0])
        h = self.f.sshd(name, 1, known='none', config=config)[0]
        h.first = self.public(keys[0])
        return h

    def known(self):
        with open(self.f.known_hosts) as f:
            return f.read()

    def write(self, *lines):
        self.f.write()
        with open(self.f.known_hosts, 'a') as out:
            out.write(''.join(x + '\n' for x in lines))

    def scan(self, *args):
        # The fleet's own ed25519 key is there too in every sshd; only the kind under test is asked for.
        return self.execute(self.argv(self.f, *args, verb='keyscan'))

    def keys(self, *args):
        r = self.scan('-o', 'json', *args)
        return r, {h['host']: {k['type']: k for k in h['keys']} for h in json.loads(r.out)['hosts']}

    def authority(self, path, names='*'):
        return f'@cert-authority {names} {self.public(path)}'

    def test_good(self):
        web = self.server('web', lambda k: self.certify(k, '-n', '127.*', '-V', '-1d:+30d'), kinds=('ecdsa', 'rsa'))
        self.write(self.authority(self.ca))
        r, hosts = self.keys('--types', 'ecdsa,rsa', '--yes', 'all')
        self.assertEqual(r.code, 0, r)
        keys = hosts['web1']
        self.assertEqual(keys['ecdsa-sha2-nistp256']['proof'], 'verified', r)
        self.assertEqual(keys['ecdsa-sha2-nistp256']['proof_by'],
                         f'the certificate "the id" of {self.f.known_hosts}:1')
        self.assertEqual(keys['ssh-rsa']['proof'], 'uncertified', r)
        line = re.fullmatch(re.escape(f'[{web.address}]:{web.port} {web.first} muster:until=') + r'(\S+)',
                            self.known().split('\n')[1])
        self.assertTrue(line, self.known())
        end = datetime.datetime.strptime(line[1], '%Y-%m-%dT%H:%M:%SZ')
        self.assertTrue(29 <= (end - datetime.datetime.utcnow()).days <= 30, line[1])
        self.assertEqual(len(self.known().split('\n')), 3, 'the key without a certificate is not recorded')
        r = self.run_on(self.f, 'all', '--', 'true')
        self.assertEqual(r.code, 0, r)
        found = subprocess.run(['ssh-keygen', '-F', f'[{web.address}]:{web.port}', '-f', self.f.known_hosts],
                               stdout=subprocess.PIPE, text=True)
        self.assertIn(web.first, found.stdout, 'ssh reads the line too')

    def test_bad_ones_are_not_recorded(self):
        cases = {
            'expired': (lambda k: self.certify(k, '-n', '127.*', '-V', '20200101:20210101'), 'expired on 2021-01-01'),
            'stranger': (lambda k: self.certify(k, '-n', 'somebody.else'), 'for somebody.else, not for 127.'),
            'forged': (lambda k: self.certify(k, '-n', '127.*', ca=self.other), 'authority that is not on record'),
            'nameless': (lambda k: self.certify(k), 'names no host'),
            'without': (None, 'shows no certificate'),
        }
        for name, (certify, _) in cases.items():
            self.server(name, certify, kinds=('ecdsa',))
        self.write(self.authority(self.ca))
        before = self.known()
        r, hosts = self.keys('--types', 'ecdsa', '--yes', 'all')
        self.assertEqual(r.code, 2, r)
        for name, (_, why) in cases.items():
            key = hosts[name + '1']['ecdsa-sha2-nistp256']
            self.assertEqual(key['proof'], 'uncertified', r)
            self.assertIn(why, key['proof_by'], name)
        self.assertEqual(self.known(), before)
        r = self.scan('-o', 'group', '--types', 'ecdsa', 'expired')
        self.assertIn('1 key without a good certificate of 1 host: expired1', r.out)
        r = self.run_on(self.f, '--host-keys', 'accept-new', 'without1', '--', 'true')
        self.assertEqual(r.facts(), {'without1': ('host-key', 'host-key', 'host-key-ca-only')}, r)

    def test_the_end_comes(self):
        web = self.server('web', lambda k: self.certify(k, '-n', '127.*', '-V', '-1d:+30d'), kinds=('ecdsa',))
        name = f'[{web.address}]:{web.port}'
        self.write(self.authority(self.ca), f'{name} {web.first} muster:until=2021-01-01T00:00:00Z')
        r = self.run_on(self.f, 'all', '--', 'true')
        self.assertEqual(r.facts(), {'web1': ('host-key', 'host-key', 'host-key-expired')}, r)
        self.assertIn('muster keyscan', r.hosts()['web1']['detail'])
        r = self.scan('--types', 'ecdsa', '--yes', 'all')
        self.assertEqual(r.code, 0, r)
        self.assertEqual(self.known().count(name), 1, 'renewed in its place')
        r = self.run_on(self.f, 'all', '--', 'true')
        self.assertEqual(r.code, 0, r)
        r = self.scan('--types', 'ecdsa', '--yes', 'all')
        self.assertNotIn('recorded', r.err, 'good for as long as it can be')

    def test_ca_file(self):
        self.server('web', lambda k: self.certify(k, '-n', '127.*', ca=self.other), kinds=('ecdsa',))
        self.write()
        r, hosts = self.keys('--types', 'ecdsa', '--ca', self.other + '.pub', 'all')
        self.assertEqual((r.code, hosts['web1']['ecdsa-sha2-nistp256']['proof']), (0, 'verified'), r)
        r, hosts = self.keys('--types', 'ecdsa', 'all')
        self.assertEqual(hosts['web1']['ecdsa-sha2-nistp256']['proof'], 'none', r)
        r = self.scan('--ca', self.f.inventory, 'all')
        self.assertEqual(r.code, 1, r)
        self.assertIn('no public key of an authority', r.err)

    def test_behind_a_bastion(self):
        """ssh-keyscan knows no bastions: such a host is scanned, and not taken on first use either."""
        self.f.sshd('bast', 1)
        web = self.server('web', lambda k: self.certify(k, '-n', '127.*'), kinds=('ecdsa',))
        self.write(self.authority(self.ca))
        r, hosts = self.keys('--types', 'ecdsa', '--yes', '-J', 'bast1', 'web1')
        self.assertEqual(r.code, 2, r)
        self.assertEqual(hosts['web1']['ecdsa-sha2-nistp256']['proof'], 'uncertified', r)
        self.assertIn('behind a bastion', hosts['web1']['ecdsa-sha2-nistp256']['proof_by'])
        self.assertNotIn(web.first, self.known())

    def test_without_ssh_keyscan(self):
        self.server('web', lambda k: self.certify(k, '-n', '127.*'), kinds=('ecdsa',))
        self.write(self.authority(self.ca))
        empty = os.path.join(self.dir, 'empty')
        os.mkdir(empty)
        r = self.execute(self.argv(self.f, '--types', 'ecdsa', '--yes', 'all', verb='keyscan'), env={'PATH': empty})
        self.assertEqual(r.code, 2, r)
        self.assertIn('is not installed', r.out)


if __name__ == '__main__':
    main()
