#!/usr/bin/python3
"""muster stats on real servers: its forms and codes, every login shell with every noise, ways in, servers,
roles, and hosts that stop while others go on."""
import csv
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys

from fleet import Fleet
from muster_case import MusterCase, Result, main, stdout_of
from on_host import agents_below, below
from relay import Relay

BUILD = os.environ.get('MUSTER_BUILD', '')
STATIC = os.path.join(BUILD, 'agent', 'x86_64', 'muster-agent')
SOURCE = os.environ.get('MUSTER_SOURCE', '')
QUICK = ('--samples', '1', '--columns', 'host,memory.total')


class StatsCase(MusterCase):
    def stats(self, fleet, *args, output='json', **more):
        return self.execute(self.argv(fleet, '-o', output, *args, verb='stats'), **more)

    def start_stats(self, fleet, *args):
        """Its process, with the lines of ndjson to read."""
        return self.start_on(fleet, *args, output='ndjson', verb='stats')

    def start_on(self, fleet, *args, output='json', env=None, verb='run', **kwargs):
        real, self.argv = self.argv, lambda f, *a: real(f, *a, verb=verb)
        try:
            return super().start_on(fleet, *args, output=output, env=env, **kwargs)
        finally:
            self.argv = real

    def document(self, r):
        d = json.loads(r.raw)
        self.assertEqual(d['schema'], 'muster.stats/1')
        return d

    def failed(self, r):
        """{host: (status, problem)} of a document."""
        return {x['host']: (x['status'], x['problem']) for x in self.document(r)['failed']}

    def answered(self, r):
        d = self.document(r)
        return {x['host'] for x in d.get('rows', d.get('hosts', []))}


class Forms(StatsCase):
    """One fleet for all: three hosts that answer and two that cannot be reached."""

    @classmethod
    def setUpClass(cls):
        cls.f = Fleet()
        cls.addClassCleanup(cls.f.stop)
        cls.web = cls.f.sshd('web', 3)
        cls.web[0].vars['rack'] = cls.web[1].vars['rack'] = 'r1'
        cls.web[2].vars['rack'] = 'r2'
        cls.f.peer('gone', 'refused')
        cls.f.sshd('deny', config=['AuthorizedKeysFile /nonexistent'])
        cls.f.write()

    UNREACHED = {'gone1': ('unreachable', 'connect-refused'), 'deny1': ('auth-failed', 'auth-denied')}

    def test_json(self):
        r = self.stats(self.f, '--retries', '0', 'all')
        self.assertEqual(r.code, 4, r)
        d = self.document(r)
        self.assertEqual(d['coverage'], {'hosts': 5, 'answered': 3})
        self.assertEqual(self.failed(r), self.UNREACHED, r)
        self.assertEqual([h['host'] for h in d['hosts']], ['web1', 'web2', 'web3'])
        with open('/proc/meminfo') as f:
            total = int(f.readline().split()[1]) * 1024
        for h in d['hosts']:
            self.assertEqual(h['memory']['total'], total)
            self.assertEqual(h['cpu']['logical'], os.sysconf('SC_NPROCESSORS_ONLN'))
            self.assertEqual(h['system']['nodename'], os.uname().nodename)
            self.assertGreater(h['seconds'], 0.5)
            self.assertTrue(0 <= h['cpu']['percent'] <= 100, h['cpu'])
            self.assertIn('/', [m['mountpoint'] for m in h['disk']])
            self.assertEqual({s['status'] for n, s in h['sections'].items() if n in ('cpu', 'memory', 'disk', 'net')},
                             {'ok'})
        self.schema_holds(r.out)

    def schema_holds(self, *documents):
        try:
            import jsonschema
        except ImportError:
            self.skipTest('python3-jsonschema is not installed')
        with open(os.path.join(SOURCE, 'docs/schema/stats.schema.json')) as f:
            validator = jsonschema.Draft202012Validator(json.load(f))
        for text in documents:
            validator.validate(json.loads(text))

    def test_codes(self):
        self.assertEqual(self.stats(self.f, *QUICK, 'web').code, 0)
        r = self.stats(self.f, *QUICK, '--retries', '0', 'gone')
        self.assertEqual((r.code, self.document(r)['coverage']), (4, {'hosts': 1, 'answered': 0}), r)
        for wrong in (['--samples', '3', 'web'], ['--columns', 'disk.percent,net.name', 'web'], ['--only', 'nothing', 'web'],
                      ['--interval', '1s', 'web'], ['--filter', 'cpu.percent >', 'web'], []):
            r = self.stats(self.f, *wrong)
            self.assertIn(r.code, (1, 2), r)
            self.assertEqual(r.out, '', r)

    def test_table(self):
        r = self.stats(self.f, '--retries', '0', 'all', output='table')
        self.assertEqual(r.code, 4, r)
        lines = r.out.splitlines()
        self.assertEqual(lines[0].split()[:2], ['host', 'cpu.percent'], r)
        self.assertEqual([x.split()[0] for x in lines[1:]], ['web1', 'web2', 'web3'], r)
        self.assertIn('3 of 5 hosts answered', r.err)
        self.assertRegex(r.err, r'unreachable +1 +gone1 +connect-refused')
        self.assertRegex(r.err, r'auth-failed +1 +deny1 +auth-denied')
        quiet = self.stats(self.f, '-q', *QUICK, 'web', output='table')
        self.assertEqual((quiet.code, len(quiet.out.splitlines())), (0, 4), quiet)
        self.assertNotIn('answered', quiet.err)

    def test_output_that_cannot_be_written(self):
        """Also without an end of its own: it would go on for nobody."""
        for output, *more in (('table', '-q'), ('table',), ('json',), ('ndjson',), ('csv',), ('prometheus', '--only', 'memory'),
                              ('csv', '--interval', '1s')):
            argv = self.argv(self.f, '-o', output, *(more or QUICK), 'web', verb='stats')
            with open('/dev/full', 'wb') as full:
                p = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, env=self.env)
            r = self.checked(Result(argv, p.returncode, b'', p.stderr))
            self.assertEqual(r.code, 1, r)
            self.assertEqual(r.err.count('muster: standard output: No space left on device'), 1, r)

    def test_order_in_one_pipe(self):
        """With 2>&1 the foot is at the foot, of each round and of the end."""
        for more in (['-o', 'table'], ['-o', 'csv'], ['-o', 'csv', '--interval', '300ms', '--samples', '3']):
            for _ in range(4):
                options = more if '--interval' in more else ['--samples', '1', *more]
                argv = self.argv(self.f, *options, '--columns', 'host,memory.total', 'web', verb='stats')
                p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.env)
                r = self.checked(Result(argv, p.returncode, p.stdout, b''))
                lines = r.out.replace(',', ' ').replace('time ', '').splitlines()
                self.assertEqual(lines[0].split()[0], 'host', r)
                feet = [i for i, x in enumerate(lines) if '3 of 3 hosts answered' in x]
                rows = [i for i, x in enumerate(lines) if 'web3' in x.split()[:2]]
                self.assertTrue(all(row < foot for row, foot in zip(rows, feet, strict=True)), r)

    def test_lines_of_mounts(self):
        """A line a mount; filter, order, a variable and csv."""
        r = self.stats(self.f, '--columns', 'host,vars.rack,disk.mountpoint,disk.total', '--filter',
                       "disk.mountpoint == '/' and rack == 'r1'", '--sort', '-host', 'web', output='csv')
        self.assertEqual(r.code, 0, r)
        rows = list(csv.reader(io.StringIO(r.out)))
        root = os.statvfs('/')
        self.assertEqual(rows, [['host', 'vars.rack', 'disk.mountpoint', 'disk.total']] +
                         [[h, 'r1', '/', str(root.f_blocks * root.f_frsize)] for h in ('web2', 'web1')], r)
        r = self.stats(self.f, '--filter', 'memory.total < 0', 'web', output='csv')
        self.assertEqual((r.code, len(r.out.splitlines())), (0, 1), r)

    def test_by_and_top(self):
        d = self.document(self.stats(self.f, '--columns', 'memory.total', '--samples', '1', '--by', 'rack', 'web'))
        self.assertEqual([(x['rack'], x['hosts'], x['answered']) for x in d['by']], [('r1', 2, 2), ('r2', 1, 1)], d)
        d = self.document(self.stats(self.f, '--top', '2', '--by', 'rss', '--samples', '1', '--columns',
                                     'host,process.pid,process.rss', '--sort', '-process.rss', 'web'))
        rss = [x['process.rss'] for x in d['rows']]
        self.assertEqual((len(rss), rss), (6, sorted(rss, reverse=True)), d)

    def test_busy_now(self):
        """--by cpu takes those that use it now, whatever the others have used since they were started."""
        busy = subprocess.Popen([sys.executable, '-c', 'while True: pass'])
        self.addCleanup(busy.wait)
        self.addCleanup(busy.kill)
        r = self.stats(self.f, '--top', '20', '--by', 'cpu', '--columns', 'process.pid,process.cpu_percent', 'web1')
        rows = self.document(r)['rows']
        self.assertGreater({x['process.pid']: x['process.cpu_percent'] for x in rows}.get(busy.pid) or 0, 0, r)
        percent = [x['process.cpu_percent'] for x in rows if x['process.cpu_percent'] is not None]
        for more, less in zip(percent, percent[1:]):
            self.assertGreaterEqual(more + 3, less, percent)     # ticks are of 10 ms

    def test_prometheus(self):
        r = self.stats(self.f, '--retries', '0', 'all', output='prometheus')
        self.assertEqual(r.code, 4, r)
        up = {x.split('"')[1]: x.split()[-1] for x in r.out.splitlines() if x.startswith('muster_host_up{')}
        self.assertEqual(up, {'web1': '1', 'web2': '1', 'web3': '1', 'gone1': '0', 'deny1': '0'}, r)
        self.assertRegex(r.out, r'node_memory_MemTotal_bytes\{host="web1"\} [0-9.e+]+\n')
        if shutil.which('promtool'):
            p = subprocess.run(['promtool', 'check', 'metrics'], input=r.raw, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
            self.assertNotIn(b'error', p.stdout, p.stdout)

    def test_interval(self):
        r = self.stats(self.f, '--retries', '0', '--interval', '500ms', '--samples', '3', 'all', output='ndjson')
        self.assertEqual(r.code, 4, r)
        lines = [json.loads(x) for x in r.out.splitlines()]
        self.assertEqual((lines[0]['type'], lines[0]['interval'], lines[-1]['type']), ('stats', 0.5, 'summary'), r)
        self.assertEqual((lines[-1]['rounds'], lines[-1]['answered']), (3, 3), r)
        self.assertEqual([x['round'] for x in lines if x['type'] == 'round'], [1, 2, 3], r)
        self.assertEqual({x['host'] for x in lines if x['type'] == 'failed'}, {'gone1', 'deny1'}, r)
        for name in ('web1', 'web2', 'web3'):
            samples = [x for x in lines if x['type'] == 'sample' and x['host'] == name]
            self.assertGreaterEqual(len(samples), 2, r)
            # One warm session: the host's own clock moved on from sample to sample.
            uptimes = [x['uptime'] for x in samples]
            self.assertEqual(uptimes, sorted(set(uptimes)), r)
        self.schema_holds(*r.out.splitlines())

    def test_interrupted(self):
        """Ctrl-C is the usual end of --interval: what was shown stays, nothing is left on the hosts."""
        p = self.start_stats(self.f, '--interval', '300ms', 'web')
        seen = set()
        while len(seen) < 3:
            line = json.loads(p.stdout.readline())
            if line['type'] == 'sample':
                seen.add(line['host'])
        agents = agents_below(self.web[0].process.pid)
        self.assertEqual(len(agents), 3, agents)
        os.kill(p.pid, signal.SIGINT)
        r = self.finish(p)
        self.assertEqual(r.code, 0, r)
        self.assertEqual(json.loads(r.out.splitlines()[-1])['type'], 'summary', r)
        for a in agents:
            self.assertTrue(a.wait(60), a)
        told = self.muster('show', 'last')
        self.assertRegex(told.out, 'ended +exit code 0')
        self.assertRegex(told.out, '\n  figures +are not recorded\n')
        self.assertIn('3 ok', told.out + told.err)
        self.assertNotIn('retry', told.out + told.err)

    def test_interrupted_early(self):
        """While a host has not answered, or before the rounds that were asked for: that is an interruption."""
        self.f.peer('hole', 'silent')
        self.addCleanup(self.forget, 'hole1')
        self.f.write()
        for args, cancelled in ((('web:hole',), {'hole1'}), (('--samples', '1000', 'web'), {'web1', 'web2', 'web3'})):
            p = self.start_stats(self.f, '--connect-timeout', '5m', '--interval', '300ms', *args)
            while json.loads(p.stdout.readline())['type'] != 'sample':
                pass
            os.kill(p.pid, signal.SIGINT)
            r = self.finish(p)
            self.assertEqual(r.code, 130, r)
            # The first may be half a line: the other half was read ahead above.
            rest = [json.loads(x) for x in r.out.splitlines() if x.startswith('{"type"')]
            self.assertLessEqual(cancelled, {x['host'] for x in rest
                                             if x['type'] == 'failed' and x['status'] == 'cancelled'}, r)

    def forget(self, name):
        self.f.hosts[:] = [h for h in self.f.hosts if h.name != name]
        self.f.write()


class Ways(StatsCase):
    """How one gets there, and what may run there."""

    def only(self, f, *args):
        f.write()
        return self.stats(f, *QUICK, *args)

    def test_bastion(self):
        f = self.fleet()
        gate = f.sshd('gate')
        f.sshd('web', 3)
        f.write()
        r = self.stats(f, *QUICK, '-J', 'gate1', 'web')
        self.assertEqual((r.code, self.answered(r)), (0, {'web1', 'web2', 'web3'}), r)
        with open(gate[0].log, errors='replace') as log:
            self.assertEqual(sum(x.startswith('Accepted ') for x in log), 1)

    def test_password(self):
        f = self.fleet()
        f.sshd('web', 2, config=['PasswordAuthentication yes', 'AuthorizedKeysFile none'], password='horse battery')
        f.write(variables={'all': {'ansible_password': 'horse battery'}})
        r = self.stats(f, *QUICK, 'web')
        self.assertEqual((r.code, self.answered(r)), (0, {'web1', 'web2'}), r)

    def test_servers(self):
        """Others than OpenSSH, one channel at a time, and again with the agent in place."""
        f = self.fleet()
        f.dropbear('drop', 2)
        f.sshd('one', 2, config=['MaxSessions 1'], per_host=True)
        for _ in range(2):
            r = self.only(f, 'all')
            self.assertEqual((r.code, len(self.answered(r))), (0, 4), r)

    def test_tinysshd(self):
        """It closes the connection after one command: where the agent is in place, that is enough."""
        f = self.fleet()
        f.tinysshd('tiny')
        home = os.path.join(f._elsewhere[-1], 'home')
        r = self.only(f, '--retries', '0', 'all')
        self.assertEqual((r.code, self.failed(r)), (4, {'tiny1': ('unreachable', 'connection-reset')}), r)
        self.assertIn('takes one command only', self.document(r)['failed'][0]['detail'], r)
        with open(STATIC, 'rb') as agent:
            digest = hashlib.sha256(agent.read()).hexdigest()
        cache = os.path.join(home, '.cache/muster')
        os.makedirs(cache, mode=0o700, exist_ok=True)
        shutil.copy(STATIC, os.path.join(cache, 'muster-agent-' + digest))
        os.chmod(os.path.join(cache, 'muster-agent-' + digest), 0o700)
        r = self.only(f, 'all')
        self.assertEqual((r.code, self.answered(r)), (0, {'tiny1'}), r)

    def test_no_channel(self):
        f = self.fleet()
        f.sshd('none', config=['MaxSessions 0'])
        r = self.only(f, '--retries', '0', 'all')
        self.assertEqual((r.code, self.failed(r)), (4, {'none1': ('unreachable', 'channel-refused')}), r)

    def test_no_shell(self):
        f = self.fleet()
        f.sshd('nologin', shell='/usr/sbin/nologin')
        f.sshd('mute', shell='/bin/false')
        f.sshd('forced', config=['ForceCommand echo only this'])
        r = self.only(f, 'all')
        self.assertEqual({p for _, p in self.failed(r).values()}, {'login-shell'}, r)
        self.assertEqual(len(self.failed(r)), 3, r)
        details = {x['host']: x['detail'] for x in self.document(r)['failed']}
        self.assertIn('only this', details['forced1'])

    def cached(self, host):
        """What the agent's cache holds on a host."""
        d = os.path.join(os.path.dirname(host.log), 'home/.cache/muster')
        return sorted(os.listdir(d)) if os.path.isdir(d) else None

    def test_modes(self):
        f = self.fleet()
        h = f.sshd('web', 1)[0]
        libexec = os.path.join(f.dir, 'libexec')
        os.mkdir(libexec)
        shutil.copy(STATIC, os.path.join(libexec, 'muster-agent'))
        has = f.sshd('has', 1, env=[f'PATH={libexec}:/usr/bin:/bin'])[0]
        r = self.only(f, '--agent', 'installed', 'all')
        self.assertEqual((r.code, self.answered(r), self.failed(r)), (2, {'has1'}, {'web1': ('resource', 'agent-missing')}), r)
        self.assertEqual((self.cached(h), self.cached(has)), (None, None))
        r = self.stats(f, '--samples', '1', '--agent', 'never', 'all')
        self.assertEqual((r.code, self.answered(r)), (0, {'web1', 'has1'}), r)
        self.assertEqual((self.cached(h), self.cached(has)), (None, None))
        with open('/proc/meminfo') as m:
            total = int(m.readline().split()[1]) * 1024
        self.assertEqual({x['memory']['total'] for x in self.document(r)['hosts']}, {total}, r)
        r = self.only(f, '--agent', 'temporary', 'web')
        self.assertEqual((r.code, self.answered(r), self.cached(h)), (0, {'web1'}, []), r)
        # The default takes the installed one where it is the very file that would be sent.
        r = self.only(f, 'all')
        self.assertEqual((r.code, self.answered(r), self.cached(has)), (0, {'web1', 'has1'}, None), r)
        self.assertEqual(len(self.cached(h)), 1)

    def test_role(self):
        """A key that is bound to the agent in the role stats is not a shell on the host."""
        f = self.fleet()
        keys = os.path.join(f.dir, 'bound_keys')
        with open(keys, 'w') as k:
            k.write(f'command="{STATIC} --allow stats",restrict {f.public_key}\n')
        f.sshd('web', 2, config=[f'AuthorizedKeysFile {keys}'])
        mark = os.path.join(self.dir, 'mark')
        os.chmod(self.dir, 0o777)
        r = self.only(f, 'web')
        self.assertEqual((r.code, self.answered(r)), (0, {'web1', 'web2'}), r)
        for mode in ('temporary', 'installed'):
            r = self.only(f, '--agent', mode, 'web')
            self.assertEqual((r.code, self.answered(r)), (0, {'web1', 'web2'}), r)
        for how in (['--become'], ['--on-disconnect', 'kill'], ['--detach']):
            r = self.run_on(f, *how, 'web', '--', f'touch {mark}')
            self.assertEqual(set(r.facts().values()), {('resource', 'request', 'agent-refused')}, r)
            self.assertEqual({h['sent'] for h in r.hosts().values()}, {False}, r)
        r = self.run_on(f, 'web', '--', f'touch {mark}')
        self.assertEqual(set(r.statuses().values()), {'failed'}, r)
        # Nor with the words that the agent looks for: it starts, says HELLO, and reads the end of its input.
        r = self.run_on(f, '--raw', 'web', '--', f'touch {mark}; : muster-nonce={"0" * 32}')
        for h in r.hosts().values():
            self.assertTrue(stdout_of(h).startswith(b'\0\xffmuster-agent'), r)
        self.assertFalse(os.path.exists(mark))


class Shells(StatsCase):
    """Every login shell with every noise of start-up files, through sshd."""

    SHELLS = {'bash': '/bin/bash', 'dash': '/bin/dash', 'zsh': '/usr/bin/zsh', 'fish': '/usr/bin/fish',
              'tcsh': '/usr/bin/tcsh', 'ksh': '/usr/bin/ksh', 'ash': None}
    # Where the shell itself reads such a file for a command of ssh; sshd's own rc file does for all.
    FILES = {'bash': '.bashrc', 'zsh': '.zshenv', 'fish': '.config/fish/config.fish', 'tcsh': '.tcshrc'}
    NOISE = {
        'quiet': None,
        'words': 'echo "Welcome to the machine"; echo "muster-probe 00 os=Linux"',
        'binary': "printf '\\000\\001\\377\\033[2J no line end muster-start'",
        'page': 'head -c 60000 /dev/zero',
        'error': 'echo broken >&2; echo more >&2',
        'child': 'sleep 1000 & ',
    }

    def noisy(self, f, shell, noise):
        path = self.SHELLS[shell] or self.ash
        text = self.NOISE[noise]
        files = {}
        if text and noise == 'child':
            files['.ssh/rc'] = text + '\n'       # holds the channel open after the command
        elif text:
            files[self.FILES.get(shell, '.ssh/rc')] = f"sh -c '{text}'\n" if "'" not in text else f'sh {f.dir}/{noise}\n'
            with open(os.path.join(f.dir, noise), 'w') as script:
                script.write(text + '\n')
        return f.sshd(f'{shell}{noise}', shell=path, home=files)

    def test_matrix(self):
        f = self.fleet()
        self.ash = os.path.join(f.dir, 'ash')
        os.symlink('/bin/busybox', self.ash)
        for shell in self.SHELLS:
            for noise in self.NOISE:
                self.noisy(f, shell, noise)
        f.write()
        want = {h.name for h in f.hosts}
        self.assertEqual(len(want), 42)
        children = []
        for _ in range(2):     # with the upload, and with the agent in place
            r = self.stats(f, *QUICK, '--connect-timeout', '2m', 'all')
            self.assertEqual((r.code, self.answered(r)), (0, want), r)
            for h in f.hosts:
                if 'child' in h.name:
                    children += below(h.process.pid)
        for c in children:
            c.kill()

    def test_too_much(self):
        f = self.fleet()
        f.sshd('loud', shell='/bin/bash', home={'.bashrc': 'head -c 100000 /dev/zero | tr "\\0" x\n'})
        f.sshd('flood', shell='/bin/bash', home={'.bashrc': 'yes "this never ends"\n'})
        f.write()
        r = self.stats(f, *QUICK, 'all')
        self.assertEqual({p for _, p in self.failed(r).values()}, {'startup-noise'}, r)
        self.assertEqual(len(self.failed(r)), 2, r)
        self.assertIn('this never ends', str(self.document(r)['failed']), r)


class Stops(StatsCase):
    def test_hosts_that_stop(self):
        """An agent, a session of sshd and a network that stop: each known after three pings, nobody waits."""
        f = self.fleet()
        web = f.sshd('web', 4, per_host=True)
        relay = Relay(web[2])
        self.addCleanup(relay.stop)
        f.write()
        p = self.start_stats(f, '--interval', '500ms', 'web')
        seen = set()
        while len(seen) < 4:
            line = json.loads(p.stdout.readline())
            if line['type'] == 'sample':
                seen.add(line['host'])
        stopped = agents_below(web[0].process.pid) + [x for x in below(web[1].process.pid) if 'sshd' in x.command()]
        self.assertEqual(len(agents_below(web[0].process.pid)), 1)
        self.assertGreaterEqual(len(stopped), 2, stopped)
        for x in stopped:
            self.assertTrue(x.kill(signal.SIGSTOP))
            self.addCleanup(x.kill, signal.SIGCONT)
        relay.hold()
        failed, before, after = {}, 0, 0
        while len(failed) < 3:
            line = json.loads(p.stdout.readline())
            if line['type'] == 'failed':
                failed[line['host']] = line
            elif line['type'] == 'sample' and line['host'] == 'web4':
                before += not failed
                after += bool(failed)
        self.assertEqual({n: (x['status'], x['problem']) for n, x in failed.items()},
                         {f'web{i}': ('lost', 'agent-silent') for i in (1, 2, 3)})
        for x in failed.values():
            ms = int(x['detail'].split('no answer for ')[1].split(' ms')[0])
            self.assertTrue(45000 <= ms < 60000, x)
        self.assertGreater(before, 10, 'the others are not delayed')
        while line['type'] != 'sample' or line['host'] != 'web4':
            line = json.loads(p.stdout.readline())
        os.kill(p.pid, signal.SIGINT)
        r = self.finish(p)
        self.assertEqual(r.code, 2, r)
        # What was stopped ends when it goes on: its connection is gone.
        for x in stopped:
            x.kill(signal.SIGCONT)
        for x in stopped:
            self.assertTrue(x.wait(60), x)


if __name__ == '__main__':
    main()
