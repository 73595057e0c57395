#!/usr/bin/python3
"""Commands through the agent on real sshd: ends and signals, time limits, lost connections, detached jobs. With
sudo: test_through_sudo.py."""
import hashlib
import json
import os
import random
import signal
import subprocess

from fleet import Fleet
from muster_case import MUSTER, MusterCase, main, stdout_of
from on_host import Process, agents_below, below
from terminal import Terminal

BIG = 20 << 20


class ThroughCase(MusterCase):
    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o755)
        self.marks = os.path.join(self.dir, 'marks')
        os.mkdir(self.marks)
        os.chmod(self.marks, 0o777)

    def mark(self, name):
        return os.path.join(self.marks, name)

    def pid(self, name):
        """The process whose number a command wrote there: `echo $$ >X.new; mv X.new X`."""
        self.wait_for(lambda: os.path.exists(self.mark(name)), f'the command {name}')
        with open(self.mark(name)) as f:
            return Process(int(f.read()))

    def writes(self, name):
        return f'echo $$ >{self.mark(name)}.new; mv {self.mark(name)}.new {self.mark(name)}; '

    def one(self, r):
        self.assertEqual(len(r.hosts()), 1, r)
        return next(iter(r.hosts().values()))

    def kill_session(self, host):
        """kill -9 of sshd's processes for our connections, and of nothing else."""
        for x in below(host.process.pid):
            if 'sshd' in x.command().split(' ')[0]:
                x.kill()


class Commands(ThroughCase):
    """Without sudo: any user."""

    @classmethod
    def setUpClass(cls):
        cls.f = Fleet()
        cls.addClassCleanup(cls.f.stop)
        cls.web = cls.f.sshd('web', 2, per_host=True)
        cls.f.write()

    def run_kill(self, *args, **more):
        return self.run_on(self.f, '--on-disconnect', 'kill', *args, **more)

    def test_ends(self):
        for command, want in (
                ('exit 0', ('ok', None, 0, None)), ('exit 1', ('failed', 'exit-nonzero', 1, None)),
                ('exit 255', ('failed', 'exit-nonzero', 255, None)),
                ('exec /nonexistent', ('failed', 'exit-nonzero', 127, None)),
                ('kill -TERM $$', ('signaled', 'killed-by-signal', None, 'TERM')),
                ('kill -KILL $$', ('signaled', 'killed-by-signal', None, 'KILL')),
                ('kill -USR1 $$', ('signaled', 'killed-by-signal', None, 'USR1'))):
            h = self.one(self.run_kill('web1', '--', command))
            self.assertEqual((h['status'], h['problem'], h['exit_code'], h['signal']), want, h)
            self.assertEqual((h['sent'], h['may_still_run'], h['phase']), (True, False, 'run'), h)

    def test_words_environment_folder(self):
        r = self.run_kill('--env', "GREETING=it's a * $HOME!", '--cwd', '/usr/bin', 'web', '--',
                          'printf "%s|%s|%s|%s" "$GREETING" "$PWD" "$MUSTER_HOST" "$MUSTER_TOTAL"; echo err >&2')
        for name, h in r.hosts().items():
            self.assertEqual((stdout_of(h).decode(), h['stderr']), (f"it's a * $HOME!|/usr/bin|{name}|2", 'err\n'), r)
        words = ['', ' ', "it's", '!', '\n', '*', '\\', '$HOME', 'größe', '-n', '\x01', '"']
        h = self.one(self.run_kill('web1', '--', 'printf', '[%s]', *words))
        self.assertEqual(stdout_of(h).decode(), ''.join(f'[{w}]' for w in words))

    def test_large(self):
        """20 MB there and back, byte for byte, on both hosts; and a command that does not read it."""
        data = random.Random(5).randbytes(BIG)
        r = self.run_kill('--max-output', '30M', '--stdin', '-', 'web', '--', 'cat', stdin=data)
        for h in r.hosts().values():
            self.assertEqual((h['status'], hashlib.sha256(stdout_of(h)).digest()), ('ok', hashlib.sha256(data).digest()),
                             r.err)
        r = self.run_kill('--stdin', '-', 'web', '--', 'head -c 10 | wc -c; exec <&-; exit 3', stdin=data)
        self.assertEqual({(h['exit_code'], h['stdout']) for h in r.hosts().values()}, {(3, '10\n')}, r)
        script = self.mark('script')
        with open(script, 'w') as s:
            s.write('echo "$1 and $2"; exit 4\n')
        h = self.one(self.run_kill('--script', script, 'web1', '--', 'a b', "c'd"))
        self.assertEqual((h['stdout'], h['exit_code']), ("a b and c'd\n", 4), h)

    def test_ansible_become_is_said(self):
        """Who comes from Ansible is told, once, that the inventory alone makes nobody root."""
        path = self.mark('inventory.yml')
        with open(path, 'w') as f:
            f.write('all:\n  children:\n    a: {hosts: {a1: , a2: }, vars: {ansible_become: yes}}\n'
                    '    b: {hosts: {b1: }, vars: {ansible_become: "no"}}\n    c: {hosts: {c1: }}\n')
        for args, times in ((['all'], 1), (['a2'], 1), (['b,c'], 0), (['--become', 'all'], 0)):
            r = self.muster('run', '-i', path, '--dry-run', *args, '--', 'true')
            self.assertEqual((r.code, r.err.count('has ansible_become')), (0, times), r)

    def test_timeout(self):
        """Ended for good, and what it left in other sessions of its own too."""
        command = f'setsid sh -c \'{self.writes("child")} trap "" TERM; exec sleep 1000\' & {self.writes("main")} exec sleep 1000'
        r = self.run_kill('--timeout', '3s', 'web1', '--', command)
        h = self.one(r)
        self.assertEqual((h['status'], h['phase'], h['problem']), ('timeout', 'run', 'run-timeout'), r)
        self.assertEqual(h['may_still_run'], False, r)
        for name in ('main', 'child'):
            self.assertFalse(self.pid(name).alive(), name)

    def test_interrupt(self):
        p = self.start_on(self.f, '--on-disconnect', 'kill', 'web1', '--', f'echo partial; {self.writes("main")} sleep 1000; :')
        victim = self.pid('main')
        os.kill(p.pid, signal.SIGINT)
        r = self.finish(p)
        h = self.one(r)
        self.assertEqual((r.code, h['status'], h['problem'], h['may_still_run']), (130, 'cancelled', 'cancelled', False), r)
        self.assertTrue(h['sent'], r)
        self.assertIn('has run', self.muster('retry', 'last', '--list').err)
        self.assertEqual(h['stdout'], 'partial\n', r)
        self.assertFalse(victim.alive())

    def test_disconnect(self):
        """The same loss of the connection: kill ends the command, continue lets it come to its end."""
        done = self.mark('done')
        command = f'trap "" TERM HUP INT PIPE; {self.writes("X")} while [ ! -e {self.mark("go")} ]; do sleep 0.1; done; echo end >{done}'
        p = self.start_on(self.f, '--on-disconnect', 'kill', 'web1', '--', command.replace('/X', '/killed'))
        victim = self.pid('killed')
        self.kill_session(self.web[0])
        r = self.finish(p)
        self.assertEqual(r.facts(), {'web1': ('lost', 'run', 'connection-lost')}, r)
        self.assertTrue(victim.wait(60), victim)
        self.assertFalse(os.path.exists(done))

    # ---- detached ----

    def detach(self, command, hosts='web'):
        r = self.run_on(self.f, '--detach', hosts, '--', command)
        self.assertEqual(set(r.facts().values()), {('ok', 'run', None)}, r)
        run = json.loads(r.raw)['run_id']
        self.assertIn(f'\nattach with: muster attach {run}\n', r.err)
        return run

    def attach(self, run, *args):
        return self.muster('attach', '-o', 'json', *args, run)

    def test_detach(self):
        """From another process, while it runs and after; once collected nothing is there."""
        run = self.detach(f'echo begin $MUSTER_HOST; echo err >&2; {self.writes("$MUSTER_HOST")} '
                          f'while [ ! -e {self.mark("go")} ]; do sleep 0.1; done; echo end; exit 7')
        jobs = [self.pid(f'web{i}') for i in (1, 2)]
        for h in self.web:
            self.wait_for(lambda h=h: not [x for x in below(h.process.pid)], 'the end of the connections')
        self.assertTrue(all(j.alive() for j in jobs))
        r = self.attach(run, '--no-follow')
        self.assertEqual({n: h['stdout'] for n, h in r.hosts().items()},
                         {f'web{i}': f'begin web{i}\n' for i in (1, 2)}, r)
        self.assertTrue(all(j.alive() for j in jobs))
        p = subprocess.Popen([MUSTER, 'attach', '-o', 'json', run], env=self.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.wait_for(lambda: all(agents_below(h.process.pid) for h in self.web), 'the attached agents')
        with open(self.mark('go'), 'w'):
            pass
        r = self.finish(p)
        self.assertEqual(r.code, 2, r)
        for name, h in r.hosts().items():
            self.assertEqual((h['status'], h['exit_code'], h['stdout'], h['stderr']),
                             ('failed', 7, f'begin {name}\nend\n', 'err\n'), r)
        r = self.attach(run)
        self.assertEqual({(h['status'], h['problem']) for h in r.hosts().values()}, {('resource', 'job-not-found')}, r)

    def test_last_is_what_the_verb_can_use(self):
        """Looking at a run, or at figures, leaves `last` where it was."""
        run = self.detach(f'{self.writes("job")} exec sleep 1000', 'web1')
        job = self.pid('job')
        self.addCleanup(job.kill)
        shown = self.muster('show')
        self.assertIn(f'  detached  what its commands print: muster attach {run}\n', shown.out)
        for _ in range(2):
            r = self.attach('last', '--no-follow')
            self.assertEqual(r.statuses(), {'web1': 'ok'}, r)
        looked = json.loads(r.raw)['run_id']
        shown = self.muster('show')
        self.assertIn(f'  attach of {run}\n', shown.out)
        self.assertNotIn('retry', shown.out + shown.err)
        r = self.muster('attach', looked)
        self.assertIn(f'was an attach of run {run}: muster attach {run}', r.err)
        r = self.muster('retry', looked)
        self.assertIn(f'was an attach of run {run}', r.err)
        r = self.run_on(self.f, 'web', '--', '[ $MUSTER_HOST = web1 ]')
        failed = json.loads(r.raw)['run_id']
        r = self.muster('attach', failed)
        self.assertEqual(r.code, 1, r)
        self.assertIn('was no detached one', r.err)
        r = self.execute(self.argv(self.f, '--samples', '1', '-o', 'json', 'web', verb='stats'))
        self.assertEqual(r.code, 0, r)
        r = self.run_on(self.f, '--out-dir', '/dev/null/x', 'web', '--', 'true')
        self.assertEqual(r.code, 1, r)
        r = self.muster('retry', 'last', '-o', 'json')
        self.assertEqual(r.statuses(), {'web2': 'failed'}, r)
        self.assertIn(f'retrying {failed} on', r.err)
        self.assertEqual(self.attach('last', '--no-follow').statuses(), {'web1': 'ok'})

    def test_detach_survives(self):
        """kill -9 of everything but the job's keeper: agent, sshd's session, our own processes."""
        p = self.start_on(self.f, '--detach', 'web1', '--', f'{self.writes("job")} head -c 300000 /dev/zero | tr "\\0" x; '
                          f'while [ ! -e {self.mark("go")} ]; do sleep 0.1; done; kill -USR1 $$')
        job = self.pid('job')
        r = self.finish(p)
        run = json.loads(r.raw)['run_id']
        told = self.mark('told')
        p = subprocess.Popen([MUSTER, 'attach', '-o', 'json', '--capture', told, run], env=self.env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.addCleanup(self._end, p)
        heard = os.path.join(told, 'web1.stdout')
        self.wait_for(lambda: os.path.exists(heard) and os.path.getsize(heard) > 300000, 'what the job has printed')
        for sig in (signal.SIGSTOP, signal.SIGKILL):
            for x in below(self.web[0].process.pid):
                x.kill(sig)
        r = self.finish(p)
        self.assertEqual(r.facts(), {'web1': ('lost', 'run', 'connection-lost')}, r)
        self.assertTrue(job.alive())
        with open(self.mark('go'), 'w'):
            pass
        self.assertTrue(job.wait(60))
        h = self.one(self.attach(run))
        self.assertEqual((h['status'], h['signal'], len(stdout_of(h))), ('signaled', 'USR1', 300000), h)

    def test_attach_shows_every_line(self):
        """Jobs that end in the moment in which they are looked at, ten times; both streams through one pipe."""
        for i in range(10):
            run = self.detach(f'echo hi; sleep 0.{i}; echo bye; echo last words >&2')
            r = subprocess.run(f'{MUSTER} attach -o stream {run} 2>&1 | cat', shell=True, env=self.env,
                               stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
            for host in ('web1', 'web2'):
                self.assertEqual([x for x in r.stdout.splitlines() if x.startswith(host)],
                                 [f'{host}: hi', f'{host}: bye', f'{host}: last words'], r.stdout)
            self.assertIn('2 ok', r.stdout)

    def test_attach_tells_what_is_missing(self):
        """A host keeps the head of what a job prints: that the rest is missing is said in every form."""
        run = self.detach('echo head; head -c 17000000 /dev/zero; echo tail >&2', 'web1')
        looked = self.attach(run)
        h = self.one(looked)
        self.assertEqual((h['status'], h['stdout_bytes'], h['stdout_truncated'], h['stderr_bytes'], h['stderr_truncated']),
                         ('ok', 17000005, True, 5, False), {k: v for k, v in h.items() if not k.startswith('stdout')})
        r = self.muster('show', '-o', 'group', 'last')
        self.assertIn('more not kept', r.out)
        run = self.detach(f'head -c 17000000 /dev/zero; {self.writes("job")} while [ ! -e {self.mark("go")} ]; do sleep 0.1; done', 'web1')
        self.pid('job')
        for args in (['-o', 'stream'], ['-o', 'csv'], ['-q', '-o', 'stream']):
            r = self.muster('attach', '--no-follow', *args, run)
            self.assertIn('only the beginning of the output was kept: web1\n', r.err)
        with open(self.mark('go'), 'w'):
            pass
        self.assertTrue(self.one(self.attach(run))['stdout_truncated'])

    def test_attach_twice_at_once(self):
        run = self.detach(f'{self.writes("job")} while [ ! -e {self.mark("go")} ]; do sleep 0.1; done; echo end', 'web1')
        self.pid('job')
        two = [subprocess.Popen([MUSTER, 'attach', '-o', 'json', run], env=self.env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
        self.wait_for(lambda: sum(a.has_open(f'{run}@web1/stdout') for a in agents_below(self.web[0].process.pid)) == 2,
                      'both agents to follow the job')
        with open(self.mark('go'), 'w'):
            pass
        for p in two:
            h = self.one(self.finish(p))
            # Whoever comes first collects it; the other has followed to the end as well.
            self.assertEqual((h['status'], h['stdout']), ('ok', 'end\n'), h)

    def here(self):
        """A detached command that has printed `here`, and the words that attach to it."""
        run = self.detach(f'echo here; {self.writes("job")} exec sleep 1000', 'web1')
        job = self.pid('job')
        self.addCleanup(job.kill)
        return run, job, [MUSTER, 'attach', '--capture', self.mark('told'), run]

    def heard(self):
        def is_there():
            path = os.path.join(self.mark('told'), 'web1.stdout')
            if not os.path.exists(path):
                return False
            with open(path, 'rb') as f:
                return b'here' in f.read()
        self.wait_for(is_there, 'what the job has printed')

    def test_attach_is_left(self):
        """Ctrl-C leaves the job alone, and says so."""
        run, job, argv = self.here()
        p = subprocess.Popen([*argv, '-o', 'json'], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        self.heard()
        os.kill(p.pid, signal.SIGINT)
        r = self.finish(p)
        h = self.one(r)
        self.assertEqual((r.code, h['status'], h['sent'], h['may_still_run']), (130, 'cancelled', True, True), r)
        self.assertIn('left, it goes on', r.err)
        self.assertIn('interrupted: 1 left', r.err)
        self.assertIn(f'attach with: muster attach {run}\n', r.err)
        shown = self.muster('show')
        self.assertIn('web1 (1) left, it goes on\n  here\n', shown.out)
        self.assertTrue(job.alive())

    def test_attach_is_left_at_a_terminal(self):
        run, job, argv = self.here()
        t = Terminal(self, argv, self.env)
        self.heard()
        os.kill(t.pid, signal.SIGINT)
        code = t.end()
        said = t.said.decode()
        self.assertEqual(code, 130, said)
        self.assertIn(f'leaving 1 host: what runs there goes on; muster attach {run} shows it again', said)
        self.assertNotIn('cancelling', said)
        self.assertIn('web1 (1) left, it goes on', said)
        self.assertTrue(job.alive())

    def test_retry_where_nothing_was_sent(self):
        """No agent is installed there: the command surely has not run, and retry does not say that it may have."""
        r = self.run_kill('--agent', 'installed', 'web1', '--', 'true')
        h = self.one(r)
        self.assertEqual((r.code, h['status'], h['problem'], h['sent']), (2, 'resource', 'agent-missing', False), r)
        r = self.muster('retry', 'last', '--resource', '--agent', 'cached', '-o', 'json')
        self.assertEqual(r.statuses(), {'web1': 'ok'}, r)
        self.assertIn('(1 resource)', r.err)
        self.assertNotIn('has run', r.err)

    def test_retry(self):
        """A detached or guarded run is repeated as what it was."""
        r = self.run_kill('web1', '--', f'[ -e {self.mark("go")} ] || exit 7; readlink /proc/$PPID/exe')
        self.assertEqual(self.one(r)['exit_code'], 7, r)
        with open(self.mark('go'), 'w'):
            pass
        h = self.one(self.muster('retry', 'last', '-o', 'json'))
        self.assertEqual(h['status'], 'ok', h)
        self.assertIn('muster-agent', h['stdout'])


if __name__ == '__main__':
    main()
