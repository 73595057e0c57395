#!/usr/bin/python3
"""Keys that an ssh-agent holds: which are used and in which order, one connection, slow and broken agents."""
import os
import re
import resource
import subprocess

from agent import Agent, Middleman, cut
from fleet import keygen
from muster_case import MUSTER, MemoryWatch, MusterCase, main
from sim import Simulator


class AgentCase(MusterCase):
    def agent(self, *keys):
        a = Agent(self.dir)
        self.addCleanup(a.stop)
        for k in keys:
            a.add(*(k if isinstance(k, (list, tuple)) else [k]))
        return a

    def between(self, agent, **how):
        m = Middleman(self.dir, agent.socket, **how)
        self.addCleanup(m.stop)
        return m

    def key(self, name, kind='ed25519', passphrase=''):
        path = os.path.join(self.dir, name)
        subprocess.run(['ssh-keygen', '-q', '-t', kind, '-N', passphrase, '-f', path], check=True)
        with open(path + '.pub') as f:
            return path, f.read()

    def bare(self, fleet, agent, *args, pattern='all', env=None):
        """Without the fleet's own key: what the inventory says of keys is left out."""
        return self.execute([MUSTER, 'run', '-o', 'json', '--known-hosts', fleet.known_hosts, '-i', fleet.inventory,
                             '--yes', *args, pattern, '--', 'true'],
                            env={'SSH_AUTH_SOCK': agent.socket, **(env or {})})


class Keys(AgentCase):
    def setUp(self):
        super().setUp()
        self.f = self.fleet()
        self.f.sshd('web', 2)
        self.f.write()
        # The inventory names the fleet's key; here nothing does.
        with open(self.f.inventory) as f:
            text = f.read()
        with open(self.f.inventory, 'w') as f:
            f.write(re.sub(r'.*ssh_private_key_file.*\n', '', text))

    def authorize(self, *lines):
        with open(self.f.authorized, 'w') as f:
            f.write(''.join(lines))

    def test_each_type(self):
        for kind in ('ed25519', 'ecdsa', 'rsa'):
            path, public = self.key(kind, kind)
            self.authorize(public)
            agent = self.between(self.agent(path))
            r = self.bare(self.f, agent)
            self.assertEqual(set(r.statuses().values()), {'ok'}, r)
            self.assertEqual((agent.connections, agent.lists, agent.signatures), (2, 1, 2), kind)

    def test_many_keys_and_only_the_right_one_signs(self):
        keys = [self.key(f'k{i}') for i in range(4)]
        self.authorize(keys[3][1])
        agent = self.between(self.agent(*(k for k, _ in keys)))
        r = self.bare(self.f, agent)
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual(agent.signatures, 2)
        self.assertNotIn('keys may be tried', r.err)

    def test_too_many_keys_are_warned_of(self):
        keys = [self.key(f'k{i}') for i in range(8)]
        self.authorize(keys[0][1])
        r = self.bare(self.f, self.agent(*(k for k, _ in keys)))
        self.assertIn('8 keys may be tried', r.err)

    def test_an_encrypted_key_is_not_asked_for(self):
        path, public = self.key('locked')
        self.authorize(public)
        agent = self.between(self.agent(path))
        subprocess.run(['ssh-keygen', '-q', '-p', '-P', '', '-N', 'secret', '-f', path], check=True)
        for name in (path, path + '.pub'):
            r = self.bare(self.f, agent, '--key', name)
            self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        os.unlink(path)     # the agent and the public key will do
        r = self.bare(self.f, agent, '--key', path)
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual(agent.signatures, 6)

    def test_a_named_key_stands_alone(self):
        mine, public = self.key('mine')
        other, _ = self.key('other')
        self.authorize(public)
        agent = self.between(self.agent(other))
        r = self.bare(self.f, agent, '--key', mine)
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual(agent.signatures, 0)
        r = self.bare(self.f, agent, '--key', other)
        self.assertEqual(set(r.facts().values()), {('auth-failed', 'auth', 'auth-denied')}, r)
        self.assertEqual(agent.signatures, 0, 'the server refused the key: nothing is signed')

    def test_no_agent(self):
        path, public = self.key('k')
        self.authorize(public)
        agent = self.between(self.agent(path))
        r = self.bare(self.f, agent, '--agent', 'none')
        self.assertEqual(set(r.facts().values()), {('auth-failed', 'auth', 'auth-no-method')}, r)
        self.assertEqual(agent.connections, 0)
        agent.stop()
        r = self.bare(self.f, agent)            # the environment's may be gone
        self.assertEqual(set(r.facts().values()), {('auth-failed', 'auth', 'auth-no-method')}, r)
        r = self.bare(self.f, agent, '--agent', agent.socket)
        self.assertEqual(r.code, 1, r)
        self.assertIn('nobody listens there', r.err)

    def test_refused(self):
        """ssh-add -c, and nobody there to say yes."""
        path, public = self.key('k')
        self.authorize(public)
        r = self.bare(self.f, self.agent(['-c', path]))
        self.assertEqual(set(r.facts().values()), {('auth-failed', 'auth', 'auth-denied')}, r)
        self.assertIn('the agent refused to sign', r.hosts()['web1']['detail'])

    def test_refused_and_then_another_key(self):
        first, one = self.key('first')
        second, two = self.key('second')
        self.authorize(one, two)
        agent = self.agent(['-c', first], second)
        r = self.bare(self.f, agent)
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        r = self.bare(self.f, self.agent(['-c', first]), '--key', first + '.pub', '--key', second)
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)

    def test_what_is_signed(self):
        """Every request is for a login: a session, this user, this key."""
        path, public = self.key('k')
        self.authorize(public)
        agent = self.between(self.agent(path))
        self.bare(self.f, agent)
        sessions = set()
        for request in agent.signed:
            key, rest = cut(request[1:])
            data, flags = cut(rest)
            session, data = cut(data)
            self.assertEqual(data[:1], b'\x32')
            user, data = cut(data[1:])
            self.assertEqual(user.decode(), self.f.user.pw_name)
            self.assertEqual(cut(data)[0], b'ssh-connection')
            self.assertTrue(data.endswith(key))
            sessions.add(session)
        self.assertEqual(len(sessions), 2)


class Broken(Keys):
    """Agents that are not what they should be. Inherits the fleet; its tests run there."""

    def setUp(self):
        super().setUp()
        self.path, public = self.key('k')
        self.authorize(public)
        self.real = self.agent(self.path)

    def expect(self, agent, fact, words, *args):
        r = self.bare(self.f, agent, '--connect-timeout', '10s', *args)
        self.assertEqual(set(r.facts().values()), {fact}, r)
        self.assertIn(words, r.hosts()['web1']['detail'])
        return r

    FAILED = ('auth-failed', 'auth', 'agent-failed')

    def test_killed_in_the_middle(self):
        agent = self.between(self.real, on_sign=lambda n, q: agent.stop() or 'close')
        self.expect(agent, self.FAILED, 'the agent is gone')
        self.assertEqual(agent.signatures, 1)

    def test_closes_idle_connections(self):
        agent = self.between(self.real, on_sign=lambda n, q: 'close' if n == 1 else None)
        r = self.bare(self.f, agent)
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual(agent.signatures, 3)

    def test_closes_always(self):
        agent = self.between(self.real, on_sign=lambda n, q: 'close')
        self.expect(agent, self.FAILED, 'the agent closed the connection')
        self.assertEqual(agent.signatures, 2)

    def test_never_answers(self):
        agent = self.between(self.real, on_sign=lambda n, q: 'silence')
        r = self.bare(self.f, agent, '--connect-timeout', '2s')
        self.assertEqual(set(r.facts().values()), {self.FAILED}, r)
        self.assertIn('the agent did not answer in 6', r.hosts()['web1']['detail'])
        self.assertEqual(agent.signatures, 1)

    def test_lies(self):
        for answer in (b'', b'\x0e', b'\x0e' + b'\xff' * 40, b'\x0c\0\0\0\0', b'\x0e\0\0\0\5\0\0\0\1x'):
            agent = self.between(self.real, on_sign=lambda n, q, a=answer: a)
            r = self.bare(self.f, agent)
            self.assertEqual({f[0] for f in r.facts().values()}, {'auth-failed'}, r)

    def test_a_wrong_signature(self):
        """Well-formed, and of no use: the server refuses it."""
        import struct
        sig = struct.pack('>I', 11) + b'ssh-ed25519' + struct.pack('>I', 64) + b'x' * 64
        agent = self.between(self.real, on_sign=lambda n, q: b'\x0e' + struct.pack('>I', len(sig)) + sig)
        self.expect(agent, ('auth-failed', 'auth', 'auth-denied'), 'refused')

    def test_lists_nonsense(self):
        for answer in (b'\x0c\xff\xff\xff\xff', b'\x0c\0\0\0\2\0\0', b'\x05', b'\x63'):
            agent = self.between(self.real, on_list=lambda n, q, a=answer: a)
            r = self.bare(self.f, agent)
            self.assertEqual(set(r.facts().values()), {('auth-failed', 'auth', 'auth-no-method')}, r)
            self.assertIn('no agent', r.err)


for name in [n for n in dir(Keys) if n.startswith('test_')]:
    setattr(Broken, name, None)     # once is enough


class ManyHosts(AgentCase):
    def sim(self, *options):
        s = Simulator(*options)
        self.addCleanup(lambda: self.assertEqual(s.stop(), (0, '')))
        return s

    def with_key(self, sim, key):
        """An inventory that names this key."""
        path = os.path.join(self.dir, 'inventory.yml')
        with open(sim.inventory) as f:
            text = f.read()
        with open(path, 'w') as f:
            f.write(text.replace(sim.key, key))
        return path

    def run_sim(self, sim, agent, *args, inventory=None, watch=False):
        argv = [MUSTER, 'run', '-o', 'json', '-i', inventory or sim.inventory, '--known-hosts', sim.known_hosts,
                '--yes', *args, 'all', '--', 'true']
        p = subprocess.Popen(argv, env=dict(self.env, SSH_AUTH_SOCK=agent.socket if agent else ''),
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        memory = MemoryWatch(p.pid) if watch else None
        r = self.finish(p)
        return (r, memory.total()) if watch else r

    def test_a_slow_agent_and_a_thousand_hosts(self):
        """20 ms for each signature, and a bound that is much shorter than the line."""
        sim = self.sim('--hosts', '1000', '--host-keys', '20')
        agent = self.between(self.agent(sim.key), delay=0.02)
        r, memory = self.run_sim(sim, agent, '-f', '1000', '--connect-timeout', '10s', watch=True)
        self.assertEqual(set(r.statuses().values()), {'ok'}, r)
        self.assertEqual(len(r.statuses()), 1000)
        self.assertEqual((agent.connections, agent.lists, agent.signatures), (2, 1, 1000))
        self.assertEqual({h['attempts'] for h in r.hosts().values()}, {1})
        self.assertLess(memory, 600 << 20)

    def test_cost(self):
        """What a login by agent costs beside one by file; the figures go to the log."""
        sim = self.sim('--hosts', '200', '--host-keys', '20')
        real = self.agent(sim.key)

        def cpu(agent):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            r = self.run_sim(sim, agent, '-f', '200')
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            self.assertEqual(set(r.statuses().values()), {'ok'}, r)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        by_file, by_agent = cpu(None), cpu(real)
        print(f'\n200 hosts: by file {by_file * 5:.2f} ms of CPU per host, by agent {by_agent * 5:.2f} ms, '
              f'ratio {by_agent / by_file:.2f}', flush=True)
        self.assertLess(by_agent, 4 * by_file)


if __name__ == '__main__':
    main()
