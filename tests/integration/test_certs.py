#!/usr/bin/python3
"""User certificates: found beside their keys, named, in an agent; expired, of another user, of another key."""
import os
import re
import subprocess

from agent import Agent
from muster_case import MUSTER, MusterCase, main


class Certs(MusterCase):
    def setUp(self):
        super().setUp()
        self.f = self.fleet()
        self.ca = os.path.join(self.dir, 'ca')
        self.keygen(self.ca)
        self.f.sshd('web', 2, config=[f'TrustedUserCAKeys {self.ca}.pub', 'AuthorizedKeysFile none'])
        self.f.sshd('plain', 1)
        self.f.write()
        with open(self.f.inventory) as f:
            text = f.read()
        with open(self.f.inventory, 'w') as f:
            f.write(re.sub(r'.*ssh_private_key_file.*\n', '', text))
        self.user = self.f.user.pw_name
        os.mkdir(os.path.join(self.dir, '.ssh'), 0o700)

    def keygen(self, path, kind='ed25519', passphrase=''):
        subprocess.run(['ssh-keygen', '-q', '-t', kind, '-N', passphrase, '-f', path], check=True)
        return path

    def key(self, name, kind='ed25519', passphrase=''):
        return self.keygen(os.path.join(self.dir, name), kind, passphrase)

    def certify(self, key, *args, principal=None, to=None):
        """KEY-cert.pub, or elsewhere."""
        subprocess.run(['ssh-keygen', '-q', '-s', self.ca, '-I', 'a test', '-n', principal or self.user, *args,
                        key + '.pub'], check=True)
        if to:
            os.rename(key + '-cert.pub', to)
        return to or key + '-cert.pub'

    def run_web(self, *args, env=None, pattern='web'):
        return self.execute([MUSTER, 'run', '-o', 'json', '--known-hosts', self.f.known_hosts, '-i', self.f.inventory,
                             *args, pattern, '--', 'true'], env=env)

    def ok(self, r):
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual(len(r.statuses()), 2, r)

    def denied(self, r, words):
        self.assertEqual(set(r.facts().values()), {('auth-failed', 'auth', 'auth-denied')}, r)
        self.assertIn(words, r.hosts()['web1']['detail'])

    def test_each_type_beside_its_key(self):
        for kind in ('ed25519', 'ecdsa', 'rsa'):
            key = self.key(kind, kind)
            self.denied(self.run_web('--key', key), '1 key refused')
            self.certify(key)
            self.ok(self.run_web('--key', key))

    def test_default_key(self):
        key = self.keygen(os.path.join(self.dir, '.ssh', 'id_ed25519'))
        self.certify(key)
        self.ok(self.run_web())

    def test_the_plain_key_is_tried_too(self):
        """One server takes certificates only, the other keys only."""
        key = self.key('k')
        self.certify(key)
        with open(key + '.pub') as f, open(self.f.authorized, 'a') as to:
            to.write(f.read())
        r = self.run_web('--key', key, pattern='all')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)

    def test_named(self):
        key = self.key('k')
        cert = self.certify(key, to=os.path.join(self.dir, 'elsewhere.pub'))
        self.ok(self.run_web('--key', key, '--certificate', cert))
        self.ok(self.run_web('--key', key, '-O', f'CertificateFile={cert}'))
        r = self.run_web('--key', self.key('other'), '--certificate', cert)
        self.denied(r, '1 key refused')
        self.assertIn('is for none of the keys', r.err)
        r = self.run_web('--key', key, '--certificate', key + '.pub')
        self.assertEqual(r.code, 1, r)
        self.assertIn('not a certificate', r.err)

    def test_of_another_key(self):
        key, other = self.key('k'), self.key('other')
        self.certify(other, to=key + '-cert.pub')
        r = self.run_web('--key', key)
        self.denied(r, '1 key refused')
        self.assertIn('not a certificate of the key beside it', r.err)

    def test_expired(self):
        key = self.key('k')
        self.certify(key, '-V', '20200101000000:20200201000000')
        r = self.run_web('--key', key)
        self.denied(r, 'k-cert.pub expired on 2020-0')
        self.assertIn('left out', r.err)

    def test_not_yet_valid(self):
        key = self.key('k')
        self.certify(key, '-V', '+52w:+104w')
        self.denied(self.run_web('--key', key), 'k-cert.pub is not valid before')

    def test_of_a_host(self):
        key = self.key('k')
        self.certify(key, '-h')
        self.denied(self.run_web('--key', key), 'is for hosts, not for users')

    def test_wrong_principal(self):
        key = self.key('k')
        self.certify(key, principal='somebody-else')
        self.denied(self.run_web('--key', key), '2 keys refused')

    def agent(self, *keys):
        a = Agent(self.dir)
        self.addCleanup(a.stop)
        for k in keys:
            a.add(k)
        return {'SSH_AUTH_SOCK': a.socket}

    def test_in_an_agent(self):
        """ssh-add takes the certificate along."""
        for kind in ('ed25519', 'ecdsa', 'rsa'):
            key = self.key(kind, kind)
            self.certify(key)
            env = self.agent(key)
            os.unlink(key + '-cert.pub')
            self.ok(self.run_web(env=env))
            self.ok(self.run_web('--key', key, env=env))
            os.unlink(key)
            self.ok(self.run_web('--key', key + '.pub', env=env))

    def test_beside_a_key_of_an_agent(self):
        """The agent has the key alone; the certificate is a file."""
        for kind in ('ed25519', 'ecdsa', 'rsa'):
            key = self.key(kind, kind)
            env = self.agent(key)
            self.certify(key)
            os.unlink(key)
            self.ok(self.run_web('--key', key, env=env))
            cert = os.path.join(self.dir, 'c')
            os.rename(key + '-cert.pub', cert)
            self.ok(self.run_web('--certificate', cert, env=env))

    def test_expired_in_an_agent(self):
        key = self.key('k')
        env = self.agent(key)
        self.certify(key, '-V', '20200101000000:20200201000000')
        self.denied(self.run_web('--key', key, env=env), 'expired on 2020-0')

    def test_dropbear_and_certificates(self):
        """A server that knows none gets the plain key next."""
        self.f.dropbear('small', 1)
        self.f.write()
        self.certify(self.f.key)
        self.addCleanup(os.unlink, self.f.key + '-cert.pub')
        r = self.run_web('--key', self.f.key, pattern='small')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)


if __name__ == '__main__':
    main()
