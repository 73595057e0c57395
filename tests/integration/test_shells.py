#!/usr/bin/python3
"""One command line, every login shell: what runs on the host is what was typed."""
import os

from muster_case import MusterCase, main, stdout_of

SHELLS = {
    'bash': '/bin/bash', 'dash': '/bin/dash', 'zsh': '/usr/bin/zsh', 'fish': '/usr/bin/fish',
    'tcsh': '/usr/bin/tcsh', 'ksh': '/usr/bin/ksh', 'ash': None, 'sh': '/bin/sh',
}
# Each argument must arrive byte for byte.
ARGUMENTS = [
    '', ' ', 'a b', '  two  blanks  ', "it's", '"quoted"', "'", "''", '\\', '\\\\', '\\n', 'a\nb', '\n', 'end\n',
    '!', 'wow!', '!!', '!$', "!'", '*', '?', '[a-z]*', '~', '~root', '$HOME', '${HOME}', '$(id)', '`id`', '$', '$$',
    '#', '# no comment', ';', '; id', '&', '&& id', '|', '| cat', '<', '>', '> /x', '(', ')', '{a,b}', '{}', '^',
    '^a^b', '%', '%1', '=', '=ls', 'a=b', '-n', '--', '\t', 'tab\there', '\x01\x1b[31m', 'naïve', 'größe', '日本語',
    '🐟', 'é' * 200, 'x' * 5000, '\r', 'cr\r\nlf', 'a\\\nb', "\\'", '"\\"', '$\'x\'', '\\!', "'!'", '@', '@(x)', '+(x)',
    '\x7f', 'set', 'end', 'if', ',', '.', ':', '[', ']', '[[', 'nul\\0',
]


class Shells(MusterCase):
    def setUp(self):
        super().setUp()
        self.f = self.fleet()
        ash = os.path.join(self.f.dir, 'ash')
        os.symlink('/bin/busybox', ash)
        for name, path in SHELLS.items():
            self.f.sshd(name, shell=path or ash)
        self.f.write()
        self.count = len(SHELLS)

    def same_everywhere(self, expected, *command):
        r = self.run_on(self.f, 'all', '--', *command)
        self.assertEqual(r.code, 0, r)
        hosts = r.hosts()
        self.assertEqual(len(hosts), self.count, r)
        for name, host in hosts.items():
            self.assertEqual(stdout_of(host), expected, f'{name}: {command}')
            self.assertEqual(stdout_of(host, 'stderr'), b'', f'{name}: {command}')

    def test_the_shells_are_what_they_say(self):
        r = self.run_on(self.f, 'all', '--raw', '--', 'echo $0')
        self.assertEqual(r.code, 0, r)
        hosts = r.hosts()
        for name in ('bash', 'dash', 'zsh', 'ksh', 'ash', 'tcsh'):
            self.assertIn(name, stdout_of(hosts[name + '1']).decode(), r)

    def test_words_arrive_as_typed(self):
        self.same_everywhere(b'<%d>' % len(ARGUMENTS) + b''.join(b'[' + a.encode() + b']' for a in ARGUMENTS),
                             '/bin/sh', '-c', 'printf "<%d>" $#; printf "[%s]" "$@"', 'sh', *ARGUMENTS)

    def test_each_word_alone(self):
        """One at a time, in one connection: a failure above hides behind the first bad word."""
        for a in ("it's", '!', '\n', '*', 'größe', '\\'):
            self.same_everywhere(b'[' + a.encode() + b']', 'printf', '[%s]', a)

    def test_one_word_is_a_line_for_sh(self):
        line = ('a="it\'s $((1+2))"; for i in x y; do printf "%s %s\\n" "$i" "$a"; done | sort -r\n'
                'case "größe!" in gr*!) echo ok;; *) echo no;; esac\necho "`echo back`" \'!$HOME*\'')
        self.same_everywhere("y it's 3\nx it's 3\nok\nback !$HOME*\n".encode(), line)

    def test_environment_and_folder(self):
        r = self.run_on(self.f, '--env', "GREETING=it's a * $HOME!", '--env', 'EMPTY=', '--cwd', '/usr/bin', 'all',
                        '--', 'printf "%s|%s|%s|%s" "$GREETING" "${EMPTY-unset}" "$PWD" "$MUSTER_TOTAL"')
        self.assertEqual(r.code, 0, r)
        for name, host in r.hosts().items():
            self.assertEqual(stdout_of(host).decode(), f"it's a * $HOME!||/usr/bin|{self.count}", name)

    def test_exit_code_survives_the_shell(self):
        r = self.run_on(self.f, 'all', '--', 'exit 77')
        self.assertEqual(r.code, 2, r)
        self.assertEqual({h['exit_code'] for h in r.hosts().values()}, {77}, r)


if __name__ == '__main__':
    main()
