#!/usr/bin/python3
"""Host keys: on record, unknown, changed, revoked, hashed; strict, accept-new, off."""
import os
import subprocess

from muster_case import MUSTER, MusterCase, main


class Trust(MusterCase):
    def setUp(self):
        super().setUp()
        self.f = self.fleet()
        for known in ('right', 'wrong', 'none', 'revoked', 'hashed', 'ca'):
            # A key of its own: the revoked line counts for every host that shows the key.
            self.f.sshd(known, known=known, own_key=known == 'revoked')
        self.f.write()

    def known(self):
        with open(self.f.known_hosts) as f:
            return f.read()

    def test_strict(self):
        before = self.known()
        r = self.run_on(self.f, 'all', '--', 'true')
        self.assertEqual({n: f for n, f in r.facts().items() if f[0] != 'ok'}, {
            'wrong1': ('host-key', 'host-key', 'host-key-changed'),
            'none1': ('host-key', 'host-key', 'host-key-unknown'),
            'revoked1': ('host-key', 'host-key', 'host-key-revoked'),
            'ca1': ('host-key', 'host-key', 'host-key-ca-only')}, r)
        self.assertEqual([n for n, s in r.statuses().items() if s == 'ok'], ['right1', 'hashed1'], r)
        self.assertEqual(r.code, 4, r)
        self.assertEqual(self.known(), before)
        self.assertEqual(self.f.logins(), 2, 'nobody logs in where the key is not trusted')

    def test_accept_new(self):
        r = self.run_on(self.f, '--host-keys', 'accept-new', 'all', '--', 'true')
        self.assertEqual({n: s for n, s in r.statuses().items() if s == 'ok'},
                         {'right1': 'ok', 'hashed1': 'ok', 'none1': 'ok'}, r)
        h = next(h for h in self.f.hosts if h.name == 'none1')
        self.assertIn(f'[{h.address}]:{h.port} {h.key}\n', self.known())
        r = self.run_on(self.f, 'none1', '--', 'true')
        self.assertEqual(r.code, 0, r)
        # ssh itself agrees with what was written.
        found = subprocess.run(['ssh-keygen', '-F', f'[{h.address}]:{h.port}', '-f', self.f.known_hosts],
                               stdout=subprocess.PIPE)
        self.assertEqual(found.returncode, 0)

    def test_off(self):
        r = self.run_on(self.f, '--host-keys', 'off', 'right,wrong,none,hashed', '--', 'true')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)

    def test_no_known_hosts_at_all(self):
        """The files that nobody named may be missing: then nothing is on record."""
        for policy, fact in (('strict', ('host-key', 'host-key', 'host-key-unknown')), ('accept-new', ('ok', 'run', None))):
            r = self.execute([MUSTER, 'run', '-i', self.f.inventory, '--host-keys', policy, '-o', 'json', 'right1',
                              '--', 'true'])
            self.assertEqual(r.facts(), {'right1': fact}, r)
        mine = os.path.join(self.dir, '.ssh', 'known_hosts')
        self.assertEqual(os.stat(mine).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(os.path.dirname(mine)).st_mode & 0o777, 0o700)

    def test_a_missing_file_that_was_named(self):
        os.unlink(self.f.known_hosts)
        r = self.run_on(self.f, 'right1', '--', 'true')
        self.assertEqual(r.code, 1, r)
        self.assertIn(self.f.known_hosts, r.err)
        self.assertEqual(self.f.logins(), 0)

    def test_a_failure_is_explained(self):
        r = self.run_on(self.f, 'wrong1', '--', 'true', output='group')
        text = r.out + r.err
        self.assertIn('host-key-changed', text)
        self.assertIn('wrong1', text)


if __name__ == '__main__':
    main()
