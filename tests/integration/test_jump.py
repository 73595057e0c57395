#!/usr/bin/python3
"""Hosts behind bastions: real sshd in front of real sshd."""
import os
import signal

from muster_case import MusterCase, main, processes_of


def connections(host):
    """Logins that a host's sshd has accepted, by its own log."""
    with open(host.log, errors='replace') as f:
        return sum(x.startswith('Accepted ') for x in f)


def kill_server(host):
    """The server and every connection it has."""
    for pid in processes_of(host.process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Jump(MusterCase):
    def setUp(self):
        super().setUp()
        self.f = self.fleet()
        self.gate = self.f.sshd('gate', 2, per_host=True, max_startups='10:30:100')
        self.web = self.f.sshd('web', 12)

    def outcome(self, r, name):
        """(problem, detail) of a host."""
        host = r.hosts()[name]
        return host['problem'], host['detail']

    def test_one(self):
        self.f.write()
        r = self.run_on(self.f, '-J', 'gate1', 'web', '--', 'echo', 'hello')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual(connections(self.gate[0]), 1)
        self.assertEqual({x['jump'] for x in r.hosts().values()}, {'gate1'})
        self.assertEqual({x['address'] for x in r.hosts().values()}, {None})
        self.assertEqual({x['stdout'] for x in r.hosts().values()}, {'hello\n'})

    def test_keyscan(self):
        """The keys of hosts behind it, none of which is logged in to."""
        new = self.f.sshd('new', 3, known='none')
        self.f.write()
        r = self.execute(self.argv(self.f, '-J', 'gate1', 'new', '--yes', verb='keyscan'))
        self.assertEqual(r.code, 0, r)
        with open(self.f.known_hosts) as f:
            known = f.read()
        for h in new:
            self.assertIn(f'[{h.address}]:{h.port} {h.key}', known, r)
        self.assertEqual(connections(self.gate[0]), 1)
        self.assertEqual(self.f.logins(), 1, r)

    def test_three_hops(self):
        third = self.f.sshd('third', 1, config=['AllowTcpForwarding yes'])
        self.f.write()
        r = self.run_on(self.f, '-J', 'gate1,gate2,third1', 'web', '--', 'true')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        for h in (*self.gate, *third):
            self.assertEqual(connections(h), 1)
        self.assertEqual(r.hosts()['web1']['jump'], 'gate1 > gate2 > third1')

    def test_behind_it(self):
        self.f.peer('closed', 'refused')
        self.f.write(groups={'odd': ['no-such-host.invalid']})
        r = self.run_on(self.f, '-J', 'gate1', '--retries', '0', 'web1,closed1,odd', '--', 'true')
        self.assertEqual(self.outcome(r, 'web1')[0], None, r)
        problem, detail = self.outcome(r, 'closed1')
        self.assertEqual(problem, 'connect-refused', r)
        self.assertIn('from gate1: ', detail)
        self.assertEqual(self.outcome(r, 'no-such-host.invalid')[0], 'dns-not-found', r)

    def test_what_is_wrong_with_a_bastion(self):
        self.f.sshd('forbids', 1, config=['AllowTcpForwarding no'])
        self.f.sshd('denies', 1, config=['AuthorizedKeysFile /nonexistent'])
        self.f.sshd('other', 1, known='wrong')
        self.f.sshd('unknown', 1, known='none')
        self.f.peer('closed', 'refused')
        self.f.write()
        for gate, problem, words in (
                ('forbids1', 'forward-refused', ['forbids1', 'AllowTcpForwarding']),
                ('denies1', 'jump-unreachable', ['denies1: auth-denied']),
                ('other1', 'jump-unreachable', ['other1: host-key-changed']),
                ('unknown1', 'jump-unreachable', ['unknown1: host-key-unknown']),
                ('closed1', 'jump-unreachable', ['closed1: connect-refused']),
                ('nowhere.invalid', 'jump-unreachable', ['nowhere.invalid: dns-'])):
            with self.subTest(gate):
                r = self.run_on(self.f, '-J', gate, 'web[1-3]', '--', 'true')
                self.assertEqual(r.code, 4, r)
                for name in ('web1', 'web2', 'web3'):
                    self.assertEqual(self.outcome(r, name)[0], problem, r)
                    for w in words:
                        self.assertIn(w, self.outcome(r, name)[1])

    def test_a_dead_bastion_is_one_line(self):
        """Hosts that had not been started are not, and those not behind it are not stopped."""
        self.f.peer('closed', 'refused')
        direct = self.f.sshd('direct', 3)
        self.f.write(variables={'web': {'muster_jump': 'closed1'}})
        r = self.run_on(self.f, '-f', '4', 'web:direct', '--', 'true')
        statuses = r.statuses()
        self.assertEqual([statuses[h.name] for h in direct], ['ok'] * 3, r)
        self.assertEqual(sum(s == 'not-started' for s in statuses.values()), 8, r)
        self.assertEqual(sum(s == 'unreachable' for s in statuses.values()), 4, r)
        self.assertEqual(self.outcome(r, 'web12')[0], 'jump-dead', r)
        self.assertIn('closed1: connect-refused', self.outcome(r, 'web12')[1])
        r = self.run_on(self.f, '-f', '4', 'web', '--', 'true', output='group')
        rows = [x for x in (r.out + r.err).split('\n') if 'closed1: connect-refused' in x]
        self.assertEqual(len(rows), 2, r)
        self.assertEqual(sum('jump-dead' in x for x in rows), 1, r)

    def test_killed_in_the_middle(self):
        """Those whose command was sent are lost, those not yet started are not."""
        self.f.write()
        p = self.start_on(self.f, '-J', 'gate1', '-f', '6', 'web', '--', 'sleep', '600')
        self.wait_for(lambda: self.f.logins() >= 7, 'six hosts through the bastion')
        kill_server(self.gate[0])
        r = self.finish(p)
        statuses = sorted(r.statuses().values())
        self.assertEqual(set(statuses) - {'lost', 'unreachable'}, {'not-started'}, r)
        self.assertEqual(statuses.count('not-started'), 6, r)
        self.assertTrue(all(x['attempts'] == 0 for x in r.hosts().values()
                            if x['status'] == 'not-started'), r)
        for x in r.hosts().values():
            self.assertIn('gate1', x['detail'], r)
            self.assertEqual(x['may_still_run'], x['status'] == 'lost')


if __name__ == '__main__':
    main()
