#!/usr/bin/python3
"""muster keyscan: what is new, known, changed, revoked and shared; --verify; recording, replacing, forgetting."""
import json
import os
import pty
import re
import subprocess
import threading

from muster_case import MUSTER, MusterCase, main
from sim import Simulator

KINDS = ('ed25519', 'ecdsa', 'rsa')


def fingerprint(line):
    """Of a line that ends with TYPE KEY, as ssh-keygen sees it."""
    out = subprocess.run(['ssh-keygen', '-lf', '-'], input=line + '\n', stdout=subprocess.PIPE, text=True, check=True)
    return out.stdout.split()[1]


class Keyscan(MusterCase):
    def known(self, fleet):
        with open(fleet.known_hosts) as f:
            return f.read()

    def three_keys(self):
        """sshd_config for a server with a key of each kind, and their public lines."""
        publics, config = {}, []
        for kind in KINDS:
            path = os.path.join(self.dir, f'host_{kind}_{len(os.listdir(self.dir))}')
            subprocess.run(['ssh-keygen', '-q', '-t', kind, '-N', '', '-C', '', '-f', path], check=True)
            with open(path + '.pub') as f:
                publics[kind] = ' '.join(f.read().split()[:2])
            config.append(f'HostKey {path}')
        return config, publics

    def scan(self, fleet, *args, **kwargs):
        return self.execute(self.argv(fleet, *args, verb='keyscan'), **kwargs)

    def json(self, fleet, *args):
        r = self.scan(fleet, '-o', 'json', *args)
        return r, {h['host']: h for h in json.loads(r.out)['hosts']}

    def states(self, hosts):
        return {n: sorted((k['type'], k['state']) for k in h['keys']) for n, h in hosts.items()}

    def name(self, host):
        return f'[{host.address}]:{host.port}'

    def found_by_ssh(self, fleet, host):
        """The keys that ssh itself finds on record for a host."""
        out = subprocess.run(['ssh-keygen', '-F', self.name(host), '-f', fleet.known_hosts], stdout=subprocess.PIPE,
                             text=True).stdout
        return sorted(' '.join(x.split()[1:3]) for x in out.split('\n') if x and not x.startswith('#'))

    def test_every_kind_of_server(self):
        f = self.fleet()
        config, publics = self.three_keys()
        web = f.sshd('web', 1, known='none', config=config)[0]
        drop = f.dropbear('drop', known='none')[0]
        tiny = f.tinysshd('tiny', known='none')[0]
        f.write()
        r, hosts = self.json(f, '--yes', 'all')
        self.assertEqual(r.code, 0, r)
        types = ['ecdsa-sha2-nistp256', 'ssh-ed25519', 'ssh-rsa']
        self.assertEqual(self.states(hosts), {'web1': [(t, 'new') for t in types], 'drop1': [('ssh-ed25519', 'new')],
                                              'tiny1': [('ssh-ed25519', 'new')]}, r)
        want = {k.split()[0]: fingerprint(k) for k in publics.values()}
        self.assertEqual({k['type']: k['fingerprint'] for k in hosts['web1']['keys']
                          if k['type'] != 'ssh-ed25519'},
                         {t: p for t, p in want.items() if t != 'ssh-ed25519'})
        self.assertIn('recorded 5 keys', r.err)
        self.assertEqual(f.logins(), 0, 'a scan logs in nowhere')
        self.assertEqual(self.found_by_ssh(f, drop), [drop.key])
        self.assertEqual(self.found_by_ssh(f, tiny), [tiny.key])
        self.assertEqual(len(self.found_by_ssh(f, web)), 3)
        r = self.run_on(f, 'all', '--', 'true')
        self.assertEqual(r.code, 0, r)
        r, hosts = self.json(f, 'all')
        self.assertEqual({s for h in self.states(hosts).values() for _, s in h}, {'known'}, r)
        self.assertNotIn('recorded', r.err)
        self.assertFalse(os.path.exists(os.path.join(self.state, 'muster', 'runs', 'keyscan')))

    def test_types(self):
        f = self.fleet()
        config, _ = self.three_keys()
        f.sshd('web', 1, known='none', config=config)
        f.sshd('bare', 1, known='none')
        f.write()
        r, hosts = self.json(f, '--types', 'rsa,ecdsa', 'web1')
        self.assertEqual(self.states(hosts), {'web1': [('ecdsa-sha2-nistp256', 'new'), ('ssh-rsa', 'new')]}, r)
        r, hosts = self.json(f, '--types', 'rsa', 'bare1')
        self.assertEqual(hosts['bare1']['keys'], [], r)
        # What sshd says when it finds nothing in common may be overtaken by its hanging up.
        self.assertIn(hosts['bare1']['problem'], ('kex-no-match', 'connection-reset'), r)
        self.assertEqual(r.code, 4, r)
        r = self.scan(f, '--types', 'dsa', 'all')
        self.assertEqual(r.code, 1)
        self.assertIn("'dsa' is none of ed25519, ecdsa and rsa", r.err)

    def test_changed_revoked_clones_and_the_unreachable(self):
        f = self.fleet()
        bad = f.sshd('bad', 1, known='wrong', own_key=True)[0]
        f.sshd('rev', 1, known='revoked', own_key=True)
        f.sshd('twin', 2, known='right', own_key=True)
        f.peer('closed', 'refused')
        f.write()
        before = self.known(f)
        r = self.scan(f, '-o', 'group', '--yes', 'all')
        self.assertEqual(r.code, 6, r)
        line = next(i for i, x in enumerate(before.split('\n')) if self.name(bad) in x) + 1
        self.assertRegex(r.out, r'1 CHANGED key of 1 host: bad1\n')
        self.assertIn(fingerprint(bad.key), r.out)
        self.assertIn(f'{f.known_hosts}:{line} has {fingerprint(f.wrong_public)}', r.out)
        self.assertRegex(r.out, r'1 REVOKED key of 1 host: rev1\n')
        self.assertRegex(r.out, r'2 keys on record of 2 hosts: twin\[1-2\]\n')
        self.assertRegex(r.out, r'one key on 2 hosts: twin\[1-2\]\n')
        self.assertRegex(r.err, r'unreachable +1 +closed1 +connect-refused')
        self.assertEqual(self.known(f), before, 'nothing here may be recorded')

    def test_two_names_of_one_server_are_no_clones(self):
        f = self.fleet()
        web = f.sshd('web', 1, known='none')[0]
        f.write()
        inv = os.path.join(self.dir, 'two.ini')
        with open(inv, 'w') as out:
            out.write(''.join(f'{n} ansible_host={web.address} ansible_port={web.port}\n' for n in ('a', 'b')))
        r = self.execute([MUSTER, 'keyscan', '-i', inv, '--known-hosts', f.known_hosts, '--yes', 'all'])
        self.assertEqual(r.code, 0, r)
        self.assertNotIn('one key', r.out)
        self.assertEqual(self.known(f).count(self.name(web)), 1, 'one line for one name')

    def test_replace(self):
        f = self.fleet()
        config, _ = self.three_keys()
        right = f.sshd('right', 1)[0]
        bad = f.sshd('bad', 1, known='wrong', config=config)[0]
        f.write()
        with open(f.known_hosts, 'a') as out:
            out.write(f'# kept\n{self.name(bad)},other.example {f.wrong_public} a comment\n@revoked gone {right.key}\n')
        os.chmod(f.known_hosts, 0o640)
        before = self.known(f).split('\n')
        r = self.scan(f, '--yes', '--replace', 'all')
        self.assertEqual(r.code, 0, r)
        after = self.known(f).split('\n')
        self.assertIn('replaced', r.err)
        self.assertEqual(os.stat(f.known_hosts).st_mode & 0o777, 0o640)
        self.assertEqual(len(self.found_by_ssh(f, bad)), 3, after)
        self.assertNotIn(f.wrong_public, ''.join(x for x in after if self.name(bad) in x))
        self.assertIn(f'other.example {f.wrong_public} a comment', after)
        kept = [x for x in before if self.name(bad) not in x]
        self.assertEqual([x for x in after if x in kept], kept, 'the others stay, in their order')
        r, hosts = self.json(f, 'all')
        self.assertEqual(r.code, 0, r)
        r = self.run_on(f, 'all', '--', 'true')
        self.assertEqual(r.code, 0, r)

    def test_a_changed_key_in_another_file_is_not_replaced(self):
        f = self.fleet()
        f.sshd('bad', 1, known='wrong')
        f.write()
        mine = os.path.join(self.dir, 'mine')
        r = self.execute([MUSTER, 'keyscan', '-i', f.inventory, '--known-hosts', mine, '--known-hosts', f.known_hosts,
                          '--yes', '--replace', 'all'])
        self.assertEqual(r.code, 2, r)
        self.assertIn('another file', r.err)
        self.assertFalse(os.path.exists(mine))

    def test_forget(self):
        f = self.fleet()
        right, gone, hashed = f.sshd('right', 1)[0], f.sshd('gone', 1)[0], f.sshd('hashed', 1, known='hashed')[0]
        f.write()
        with open(f.known_hosts, 'a') as out:
            out.write(f'@cert-authority {self.name(gone)} {f.wrong_public}\n')
        before = self.known(f)
        r = self.scan(f, '--forget', '--dry-run', 'gone,hashed')
        self.assertEqual((r.code, self.known(f)), (0, before), r)
        self.assertIn('Take 2 keys of 2 hosts out of', r.err)
        r = self.scan(f, '--forget', 'gone,hashed')
        self.assertEqual((r.code, self.known(f)), (0, before), r)
        self.assertIn('there is no terminal to ask; add --yes', r.err)
        r = self.scan(f, '--forget', '--yes', 'gone,hashed')
        self.assertEqual(r.code, 0, r)
        self.assertEqual(self.found_by_ssh(f, hashed), [])
        self.assertEqual(self.known(f), ''.join(x + '\n' for x in (
            f'{self.name(right)} {right.key}', f'@cert-authority {self.name(gone)} {f.wrong_public}')))

    def test_verify(self):
        f = self.fleet()
        one, two, three, four = (f.sshd(n, 1, known='none', own_key=True)[0] for n in ('one', 'two', 'three', 'four'))
        f.write()
        path = os.path.join(self.dir, 'keys.txt')
        with open(path, 'w') as out:
            out.write(f'{self.name(one)} {one.key}\n'                      # ssh-keyscan's form
                      f'two1 {fingerprint(two.key)}\n'                     # by the inventory's name
                      f'256 {fingerprint(f.wrong_public)} three1 (ED25519)\n')   # ssh-keygen -l's form
        r, hosts = self.json(f, '--verify', path, '--yes', '--only-verified', 'all')
        self.assertEqual({n: (h['keys'][0]['proof'], h['keys'][0]['proof_by']) for n, h in hosts.items()}, {
            'one1': ('verified', f'{path}:1'), 'two1': ('verified', f'{path}:2'), 'three1': ('denied', f'{path}:3'),
            'four1': ('none', None)}, r)
        self.assertEqual(r.code, 2, r)
        self.assertEqual([bool(self.found_by_ssh(f, h)) for h in (one, two, three, four)], [True, True, False, False])
        r = self.scan(f, '--verify', path, '--yes', '--replace', 'all')
        self.assertEqual(r.code, 2, r)
        self.assertRegex(r.out, '1 DENIED key of 1 host: three1')
        self.assertEqual([bool(self.found_by_ssh(f, h)) for h in (three, four)], [False, True])
        with open(path, 'w') as out:
            out.write('neither a key\nnor a print\n')
        r = self.scan(f, '--verify', path, 'all')
        self.assertEqual(r.code, 1, r)
        self.assertIn('no line in it is a key', r.err)

    def on_terminal(self, argv, answer):
        """Runs it on a terminal, types the answer when it is asked; returns what was shown and the exit code."""
        pid, master = pty.fork()
        if pid == 0:
            os.execve(argv[0], argv, self.env)
        shown, typed = b'', False
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:
                break
            shown += part
            if b'[y/N]' in shown and not typed:
                typed = True
                os.write(master, answer)
        os.close(master)
        _, status = os.waitpid(pid, 0)
        return shown.decode(), os.waitstatus_to_exitcode(status), typed

    def test_the_question(self):
        f = self.fleet()
        web = f.sshd('web', 2, known='none', own_key=True)
        f.write()
        path = os.path.join(self.dir, 'keys.txt')
        with open(path, 'w') as out:
            out.write(f'web1 {fingerprint(web[0].key)}\n')
        argv = self.argv(f, '--verify', path, 'all', verb='keyscan')
        for answer, recorded in ((b'\n', 0), (b'no\n', 0), (b'y\n', 1)):
            shown, code, typed = self.on_terminal(argv, answer)
            self.assertTrue(typed, shown)
            self.assertEqual(code, 0, shown)
            self.assertRegex(shown, r'Record 2 keys of 2 hosts in \S+: 1 verified, 1 on first use\? \[y/N\]')
            self.assertEqual([len(self.found_by_ssh(f, h)) for h in web], [recorded, recorded], shown)
        shown, code, typed = self.on_terminal(argv, b'y\n')
        self.assertFalse(typed, 'nothing new, nothing to ask: ' + shown)

    def test_dry_run_and_no_terminal(self):
        f = self.fleet()
        f.sshd('web', 1, known='none')
        f.write()
        for args, says in ((['--dry-run', '--yes'], 'would ask: Record 1 key of 1 host'), ([], 'add --yes')):
            r = self.scan(f, *args, 'all')
            self.assertEqual(r.code, 0, r)
            self.assertIn(says, r.err)
            self.assertEqual(self.known(f), '')

    def test_as_the_file_is(self):
        f = self.fleet()
        hashed = f.sshd('hashed', 2, known='hashed')
        web = f.sshd('web', 1, known='none')[0]
        f.write()
        r = self.scan(f, '--yes', 'all')
        self.assertEqual(r.code, 0, r)
        self.assertNotIn(web.address, self.known(f))
        self.assertEqual([len(self.found_by_ssh(f, h)) for h in (*hashed, web)], [1, 1, 1])

    def test_many_write_at_once(self):
        f = self.fleet()
        web = f.sshd('web', 24, known='none')
        f.write()
        argv = [self.argv(f, '--yes', f'web[{i}-{i + 11}]', verb='keyscan') for i in (1, 7, 13)]
        results = []
        threads = [threading.Thread(target=lambda a=a: results.append(self.execute(a))) for a in argv]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual([r.code for r in results], [0, 0, 0], '\n'.join(map(str, results)))
        lines = self.known(f).split('\n')
        self.assertEqual(sorted(lines), sorted([f'{self.name(h)} {h.key}' for h in web] + ['']))

    def test_a_further_key(self):
        """A host that proves a key on record may add one of another type; one that does not has changed."""
        f = self.fleet()
        config, publics = self.three_keys()
        good = f.sshd('good', 1, known='none', config=config)[0]
        swapped = f.dropbear('swapped', known='none')[0]
        f.write()
        with open(f.known_hosts, 'w') as out:
            out.write(f'{self.name(good)} {publics["rsa"]}\n{self.name(swapped)} {publics["rsa"]}\n')
        r, hosts = self.json(f, '--yes', 'all')
        self.assertEqual(r.code, 2, r)
        self.assertEqual({n: sorted(k['state'] for k in h['keys']) for n, h in hosts.items()},
                         {'good1': ['known', 'new', 'new'], 'swapped1': ['changed']}, r)
        self.assertEqual((len(self.found_by_ssh(f, good)), len(self.found_by_ssh(f, swapped))), (3, 1))
        r = self.scan(f, '--yes', '--replace', 'swapped1')
        self.assertEqual(self.found_by_ssh(f, swapped), [swapped.key], r)

    def test_forms(self):
        f = self.fleet()
        f.sshd('web', 1)
        f.peer('closed', 'refused')
        f.write()
        r = self.scan(f, '-o', 'ndjson', 'all')
        lines = [json.loads(x) for x in r.out.splitlines()]
        self.assertEqual([(x['host'], x['status'], len(x['keys'])) for x in lines],
                         [('web1', 'ok', 1), ('closed1', 'unreachable', 0)], r)
        r = self.scan(f, '-o', 'csv', 'all')
        rows = [x.split(',') for x in r.raw.decode().split('\r\n')]
        self.assertEqual(rows[0][:5], ['host', 'address', 'port', 'status', 'problem'])
        self.assertEqual([row[3] for row in rows[1:3]], ['ok', 'unreachable'], r)
        r = self.scan(f, '-o', 'table', 'all')
        self.assertEqual(len(r.out.splitlines()), 3, r)
        r = self.scan(f, '-o', 'stream', 'all')
        self.assertEqual(r.code, 1, r)
        r = self.scan(f, '-o', 'none', 'all')
        self.assertEqual((r.code, r.out), (4, ''), r)

    def test_three_hundred(self):
        with Simulator('--hosts', '300') as sim:
            r = self.execute([MUSTER, 'keyscan', '-i', sim.inventory, '--known-hosts', sim.known_hosts, '-o', 'json',
                              'all'])
            self.assertEqual(r.code, 0, r.err)
            hosts = json.loads(r.out)['hosts']
            self.assertEqual(len(hosts), 300)
            self.assertEqual({k['state'] for h in hosts for k in h['keys']}, {'known'})
            self.assertTrue(re.search(r'300 ok', r.err), r.err)


if __name__ == '__main__':
    main()
