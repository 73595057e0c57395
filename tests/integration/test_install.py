#!/usr/bin/python3
"""cmake --install into an empty folder: the program runs from there, the manual renders."""
import os
import subprocess

from muster_case import MusterCase, main

BUILD = os.environ.get('MUSTER_BUILD', '')


class Install(MusterCase):
    def setUp(self):
        super().setUp()
        self.dest = os.path.join(self.dir, 'dest')
        subprocess.run(['cmake', '--install', BUILD, '--prefix', '/usr'], check=True, stdout=subprocess.DEVNULL,
                       env=dict(os.environ, DESTDIR=self.dest))

    def find(self, name):
        for d, _, names in os.walk(self.dest):
            for path in (os.path.join(d, n) for n in names):
                if path.endswith('/' + name):
                    return path
        self.fail(f'{name} is not installed')

    def test_program(self):
        r = self.execute([self.find('bin/muster'), '--version'])
        self.assertEqual(r.code, 0, r)
        self.assertRegex(r.out, r'muster \d+\.\d+')

    def test_completions(self):
        for name, check in (('bash-completion/completions/muster', ['bash', '-n']),
                            ('site-functions/_muster', ['zsh', '-n']),
                            ('vendor_completions.d/muster.fish', ['fish', '-n'])):
            path = self.find(name)
            subprocess.run([*check, path], check=True)
        r = subprocess.run(['bash', '-c', 'source "$1"; COMP_WORDS=(muster run --fan); COMP_CWORD=2; _muster; '
                            'echo "${COMPREPLY[@]}"', 'bash', self.find('bash-completion/completions/muster')],
                           stdout=subprocess.PIPE, text=True)
        self.assertEqual(r.stdout, '--fanout\n')

    def test_manual_pages(self):
        for page, words in (('muster.1', ('muster run', '--connect-timeout', 'host-key-changed')),
                            ('muster-inventory.5', ('group_vars', 'muster_protected'))):
            path = self.find(page)
            r = subprocess.run(['man', '--warnings', '-l', path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, env=dict(os.environ, MANWIDTH='100', MANPAGER='cat', LC_ALL='C.UTF-8'))
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertEqual(r.stderr, '', f'{page} has warnings')
            for word in words:
                self.assertIn(word, r.stdout, page)


if __name__ == '__main__':
    main()
