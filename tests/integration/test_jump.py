#!/usr/bin/python3
"""Hosts behind bastions: real sshd in front of real sshd."""
import os
import signal

from muster_case import MUSTER, MemoryWatch, MusterCase, main, processes_of
from sim import Simulator

SMALL_QUARANTINE = {'ASAN_OPTIONS': 'quarantine_size_mb=1:thread_local_quarantine_size_kb=64:malloc_context_size=1'}


def connections(host):
    """Logins that a host's sshd has accepted, by its own log."""
    with open(host.log, errors='replace') as f:
        return sum(x.startswith('Accepted ') for x in f)


def kill_server(host):
    """The server and every connection it has: all are stopped first, so that none escapes by a fork."""
    stopped = set()
    while set(processes_of(host.process.pid)) - stopped:
        for pid in set(processes_of(host.process.pid)) - stopped:
            stopped.add(pid)
            try:
                os.kill(pid, signal.SIGSTOP)
            except ProcessLookupError:
                pass
    for pid in stopped:
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

    def test_variables(self):
        """Every way in which an inventory says it; the bastion's own variables; words for ssh."""
        g = self.gate[0]
        full = f'{g.address}:{g.port}'
        ways = {'web1': {'muster_jump': 'gate1'},
                'web2': {'ansible_ssh_common_args': '-J gate1 -o StrictHostKeyChecking=no'},
                'web3': {'ansible_ssh_extra_args': '-C -o "ProxyJump=gate1"'},
                'web4': {'ansible_ssh_args': f"-o ProxyCommand='ssh -q -W %h:%p -p {g.port} {g.address}'"},
                'web5': {'muster_jump': 'none', 'ansible_ssh_common_args': '-J gate1'},
                'web6': {'ansible_ssh_common_args': '-o BindAddress=127.0.0.1'},
                'web7': {'ansible_ssh_common_args': '-o ProxyCommand="nc -X 5 %h %p"'},
                'web8': {'muster_jump': 'gate1:x'},
                'web9': {'muster_jump': full}}
        for h in self.web:
            h.vars.update(ways.get(h.name, {}))
        self.f.write()
        r = self.run_on(self.f, '--key', self.f.key, 'web[1-9]', '--', 'true')
        jumps = {n: h['jump'] for n, h in r.hosts().items()}
        for n in ('web1', 'web2', 'web3'):
            self.assertEqual((r.statuses()[n], jumps[n]), ('ok', 'gate1'), r)
        for n in ('web4', 'web9'):
            self.assertEqual((r.statuses()[n], jumps[n]), ('ok', g.address), r)
        self.assertEqual((r.statuses()['web5'], jumps['web5']), ('ok', None), r)
        for n, word in (('web6', 'BindAddress=127.0.0.1'), ('web7', 'nc -X 5'), ('web8', "'x' is no port")):
            self.assertEqual(self.outcome(r, n)[0], 'bad-target', r)
            self.assertIn(word, self.outcome(r, n)[1])
        r = self.run_on(self.f, '-J', 'none', 'web1', '--', 'true')
        self.assertEqual((r.statuses(), r.hosts()['web1']['jump']), ({'web1': 'ok'}, None), r)

    def test_its_own_bastion(self):
        """The bastion of a bastion; one that is named for its own host; a circle."""
        self.gate[1].vars['muster_jump'] = 'gate1'
        self.web[0].vars['muster_jump'] = 'gate2'
        self.web[1].vars['muster_jump'] = 'web3'
        self.web[2].vars['muster_jump'] = 'web2'
        self.f.write(variables={'gate': {'ansible_ssh_common_args': '-J gate1'}})
        r = self.run_on(self.f, 'web1,web2,gate', '--', 'true')
        jumps = {n: h['jump'] for n, h in r.hosts().items()}
        self.assertEqual((jumps['web1'], jumps['gate1'], jumps['gate2']), ('gate1 > gate2', None, 'gate1'), r)
        self.assertEqual([r.statuses()[n] for n in ('web1', 'gate1', 'gate2')], ['ok'] * 3, r)
        self.assertEqual(self.outcome(r, 'web2')[0], 'bad-target', r)
        self.assertIn('web2 is behind web3 is behind web2', self.outcome(r, 'web2')[1])

    def test_alternates(self):
        self.f.peer('closed', 'refused')
        self.f.write(variables={'web': {'muster_jump': ['closed1', 'gate2']}})
        r = self.run_on(self.f, 'web', '--', 'true')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual(connections(self.gate[1]), 1)
        # One that dies under way: those that had not begun go through the other.
        self.f.write(variables={'web': {'muster_jump': ['gate1', 'gate2']}})
        marks = os.path.join(self.dir, 'marks')
        os.mkdir(marks)
        p = self.start_on(self.f, '-f', '4', 'web', '--',
                          f'test $MUSTER_RANK -ge 4 || {{ : > {marks}/$MUSTER_HOST; exec sleep 600; }}')
        self.wait_for(lambda: len(os.listdir(marks)) == 4, 'four commands through the bastion')
        kill_server(self.gate[0])
        r = self.finish(p)
        self.assertEqual([r.statuses()[f'web{i}'] for i in range(5, 13)], ['ok'] * 8, r)
        self.assertEqual([r.statuses()[f'web{i}'] for i in range(1, 5)], ['lost'] * 4, r)

    def test_ssh_config(self):
        g = self.gate[1]
        self.f.write(variables={'web': {}})
        path = os.path.join(self.dir, 'ssh_config')
        with open(path, 'w') as f:
            f.write(f'Host outer\n HostName {g.address}\n Port {g.port}\n IdentityFile {self.f.key}\n'
                    f'Host {self.web[0].address}\n ProxyJump outer\n'
                    f'Host {self.web[1].address}\n ProxyCommand ssh -W %h:%p outer\n')
        r = self.run_on(self.f, '-F', path, 'web1,web2', '--', 'true')
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual({h['jump'] for h in r.hosts().values()}, {'outer'}, r)
        self.assertEqual(connections(g), 1)
        # A bastion that is itself behind a program is not dialled without it.
        with open(path, 'a') as f:
            f.write('Host outer\n ProxyCommand nc -X 5 %h %p\n')
        r = self.run_on(self.f, '-F', path, 'web1', '--', 'true')
        self.assertEqual(self.outcome(r, 'web1')[0], 'bad-target', r)
        self.assertIn("bastion outer: only OpenSSH's ssh", self.outcome(r, 'web1')[1])
        self.assertEqual(connections(g), 1)

    def test_dropbear(self):
        self.f.dropbear('drop', 1)
        self.f.peer('closed', 'refused')
        self.f.write()
        r = self.run_on(self.f, '-J', 'drop1', '--retries', '0', 'web,closed1', '--', 'echo', 'x')
        self.assertEqual({h.name for h in self.web},
                         {n for n, s in r.statuses().items() if s == 'ok'}, r)
        self.assertEqual(r.statuses()['closed1'], 'unreachable', r)
        self.assertIn('from drop1', self.outcome(r, 'closed1')[1])

    def test_much_output(self):
        """100 MB through the bastion, to a reader that is slow at first: all of it, in little room."""
        self.f.write()
        p = self.start_on(self.f, '-J', 'gate1', '-N', 'web[1-4]', '--', 'yes | head -c 25000000', output='stream',
                          env=SMALL_QUARANTINE)
        watch = MemoryWatch(p.pid)
        got = p.stdout.read(4096)
        self.wait_for(lambda: self.f.logins() >= 5, 'all hosts')
        n = len(got)
        while got:
            got = p.stdout.read(1 << 20)
            n += len(got)
        self.assertEqual(p.wait(), 0)
        self.assertEqual(n, 100000000)
        total = watch.total()
        self.assertLess(total, 170 << 20)

    def test_a_thousand(self):
        """Through one bastion with sshd's own MaxStartups: four connections do."""
        self.f.write()
        with Simulator('--hosts', '1000') as sim:
            r = self.execute([MUSTER, 'run', '-i', sim.inventory, '-i', self.f.inventory, '--known-hosts',
                              sim.known_hosts, '--known-hosts', self.f.known_hosts, '-J', 'gate1', '--yes', '-f',
                              '1000', '--connect-timeout', '5m', '-o', 'json', 'all:!gate:!web', '--', 'true'])
        self.assertEqual(len(r.hosts()), 1000)
        self.assertEqual({h['status'] for h in r.hosts().values()}, {'ok'}, r)
        self.assertEqual({h['attempts'] for h in r.hosts().values()}, {1}, r)
        self.assertIn(connections(self.gate[0]), (1, 2, 3, 4), r)

    def test_a_thousand_and_the_bastion_killed(self):
        """Named by hop, the rest not started, and a few lines say it all."""
        self.f.write()
        with Simulator('--hosts', '1000') as sim:
            p = self.start_on(None, '-i', sim.inventory, '-i', self.f.inventory, '--known-hosts', sim.known_hosts,
                              '--known-hosts', self.f.known_hosts, '-J', 'gate1', '--yes', '-f', '200',
                              '--connect-timeout', '5m', 'all:!gate:!web', '--', 'sleep 600')
            self.wait_for(lambda: connections(self.gate[0]) >= 2, 'two connections to the bastion')
            kill_server(self.gate[0])
            r = self.finish(p)
        counts = {}
        for h in r.hosts().values():
            counts[h['status']] = counts.get(h['status'], 0) + 1
            self.assertIn('gate1: ', h['detail'], r)
        self.assertGreaterEqual(counts['not-started'], 800, r)
        self.assertEqual(sum(counts.values()), 1000, r)
        self.assertLessEqual(set(counts), {'not-started', 'lost', 'unreachable'}, r)
        rows = [x for x in r.err.split('\n') if 'gate1: ' in x]
        self.assertLessEqual(len(rows), 6, r)
        self.assertEqual(sum(x.startswith('not-started') for x in rows), 1, r)

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
