#!/usr/bin/python3
"""Ways to run: scripts, standard input, folders of output, waves, retries by choice, and another type
of host key on record than the one the server likes best."""
import hashlib
import os
import subprocess
import time

from muster_case import MusterCase, main, stdout_of


class Ways(MusterCase):
    def setUp(self):
        super().setUp()
        self.f = self.fleet()
        self.f.sshd('web', 4)
        self.f.write()

    def script(self, text):
        path = os.path.join(self.dir, 'script')
        with open(path, 'wb') as f:
            f.write(text)
        return path

    def outputs(self, r):
        return {n: stdout_of(h) for n, h in r.hosts().items()}

    def test_script_of_sh(self):
        path = self.script(b'read -r line; echo "$0" "$#" "$1" "$MUSTER_RANK" "[$line]"\nexit 3\n')
        r = self.run_on(self.f, '--script', path, 'web[1-2]', '--', 'a b!')
        self.assertEqual(r.code, 2, r)
        for n, (host, out) in enumerate(self.outputs(r).items()):
            self.assertRegex(out, rb'^/\S+/muster\.\w{8} 1 a b! %d \[\]\n$' % n, host)
        self.assertEqual({h['exit_code'] for h in r.hosts().values()}, {3})

    def test_script_leaves_nothing(self):
        where = os.path.join(self.dir, 'tmp')
        os.mkdir(where)
        path = self.script(b'echo "$0"\n')
        r = self.run_on(self.f, '--env', f'TMPDIR={where}', '--script', path, 'web1')
        self.assertEqual(r.code, 0, r)
        self.assertTrue(stdout_of(r.hosts()['web1']).startswith(where.encode()), r)
        self.assertEqual(os.listdir(where), [])

    def test_script_with_an_interpreter_from_windows(self):
        path = self.script(b'\xef\xbb\xbf#!/usr/bin/env python3\r\nimport sys\r\nprint(sys.argv[1:])\r\n')
        r = self.run_on(self.f, '--script', path, 'web1', '--', 'x', 'y')
        self.assertEqual(self.outputs(r), {'web1': b"['x', 'y']\n"}, r)
        self.assertIn('byte order mark and CR line ends', r.err)

    def test_standard_input_to_all(self):
        data = os.urandom(300000)
        r = self.run_on(self.f, '--stdin', '-', 'web', '--', 'sha256sum; wc -c', stdin=data)
        self.assertEqual(r.code, 0, r)
        self.assertEqual(set(self.outputs(r).values()),
                         {hashlib.sha256(data).hexdigest().encode() + b'  -\n0\n'})

    def test_standard_input_is_empty_otherwise(self):
        r = self.run_on(self.f, 'web1', '--', 'wc -c', stdin=b'not for the hosts')
        self.assertEqual(self.outputs(r), {'web1': b'0\n'})

    def test_folder_of_output(self):
        d = os.path.join(self.dir, 'out')
        r = self.run_on(self.f, '--out-dir', d, 'web[1-2]', '--', 'printf "\\377\\000x"; echo e >&2')
        self.assertEqual(r.code, 0, r)
        for h in ('web1', 'web2'):
            with open(f'{d}/{h}.stdout', 'rb') as f:
                self.assertEqual(f.read(), b'\xff\x00x')
            with open(f'{d}/{h}.stderr', 'rb') as f:
                self.assertEqual(f.read(), b'e\n')

    def test_waves(self):
        """No host of a wave starts before the one before it has ended."""
        path = os.path.join(self.dir, 'order')
        r = self.run_on(self.f, '--serial', '1,2', 'web', '--', f'echo start >>{path}; echo end >>{path}')
        self.assertEqual(r.code, 0, r)
        with open(path) as f:
            lines = f.read().split()
        self.assertEqual(lines[:2], ['start', 'end'])
        self.assertEqual(lines[-2:], ['start', 'end'])
        self.assertEqual(sorted(lines[2:6]), ['end', 'end', 'start', 'start'])

    def test_retry_on_an_exit_code(self):
        path = os.path.join(self.dir, 'tries')
        r = self.run_on(self.f, '--retries', '3', '--retry-on', 'exit=75', 'web1', '--',
                        f'echo x >>{path}; [ $(wc -l <{path}) -ge 3 ] || exit 75')
        self.assertEqual(r.facts(), {'web1': ('ok', 'run', None)}, r)
        self.assertEqual(r.hosts()['web1']['attempts'], 3)

    def test_what_ran_is_not_run_again_unasked(self):
        path = os.path.join(self.dir, 'tries')
        r = self.run_on(self.f, '--retries', '3', 'web1', '--', f'echo x >>{path}; exit 75')
        self.assertEqual(r.code, 2, r)
        with open(path) as f:
            self.assertEqual(f.read(), 'x\n')

    def test_rate_of_logins(self):
        t0 = time.monotonic()
        r = self.run_on(self.f, '--rate', '2', 'web', '--', 'true')
        self.assertEqual(r.code, 0, r)
        self.assertGreater(time.monotonic() - t0, 1.0)  # four logins, two a second: at least 1 s apart

    def test_another_type_on_record(self):
        """The server offers ed25519 first; known_hosts has its ECDSA key only."""
        key = os.path.join(self.dir, 'ecdsa')
        subprocess.run(['ssh-keygen', '-q', '-t', 'ecdsa', '-N', '', '-f', key], check=True)
        with open(key + '.pub') as f:
            public = ' '.join(f.read().split()[:2])
        for form in ('plain', 'hashed'):
            f = self.fleet()
            h = f.sshd('two', 1, config=[f'HostKey {key}'], known='none')[0]
            f.write()
            with open(f.known_hosts, 'a') as known:
                known.write(f'[{h.address}]:{h.port} {public}\n')
            if form == 'hashed':
                subprocess.run(['ssh-keygen', '-q', '-H', '-f', f.known_hosts], check=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for policy in ('strict', 'accept-new'):
                r = self.run_on(f, '--host-keys', policy, 'all', '--', 'true')
                self.assertEqual(r.facts(), {'two1': ('ok', 'run', None)}, f'{form} {policy} {r}')
                self.assertEqual(r.hosts()['two1']['attempts'], 1)

    def test_another_type_on_record_that_the_server_lost(self):
        """Only the type differs: that is a changed key, also with accept-new."""
        key = os.path.join(self.dir, 'ecdsa')
        subprocess.run(['ssh-keygen', '-q', '-t', 'ecdsa', '-N', '', '-f', key], check=True)
        with open(key + '.pub') as f:
            public = ' '.join(f.read().split()[:2])
        h = self.f.hosts[0]
        known = os.path.join(self.dir, 'known')
        with open(known, 'w') as f:
            f.write(f'[{h.address}]:{h.port} {public}\n')
        for policy in ('strict', 'accept-new'):
            r = self.execute([self.program, 'run', '-i', self.f.inventory, '--known-hosts', known,
                              '--host-keys', policy, '-o', 'json', 'web1', '--', 'true'])
            self.assertEqual(r.facts(), {'web1': ('host-key', 'host-key', 'host-key-changed')}, r)
        self.assertEqual(self.f.logins(), 0)

    def test_host_key_alias(self):
        h = self.f.hosts[0]
        known = os.path.join(self.dir, 'known')
        with open(known, 'w') as f:
            f.write(f'the-alias {h.key}\n')
        base = [self.program, 'run', '-i', self.f.inventory, '--known-hosts', known, '-o', 'json']
        r = self.execute([*base, 'web1', '--', 'true'])
        self.assertEqual(r.facts()['web1'][2], 'host-key-unknown', r)
        r = self.execute([*base, '-O', 'HostKeyAlias=the-alias', 'web1', '--', 'true'])
        self.assertEqual(r.facts()['web1'][0], 'ok', r)


if __name__ == '__main__':
    main()
