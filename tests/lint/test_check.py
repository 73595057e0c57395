#!/usr/bin/python3
"""Each rule of check.py is given a tree that breaks it, and one that does not."""
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LONG = 'int f(void)\n{\n' + '    f();\n' * 70 + '}\n'


class Rules(unittest.TestCase):
    def run_rule(self, rule, files):
        with tempfile.TemporaryDirectory() as d:
            subprocess.run(['git', 'init', '-q', d], check=True)
            for name, text in files.items():
                path = os.path.join(d, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, 'w') as f:
                    f.write(text)
            r = subprocess.run([sys.executable, os.path.join(HERE, 'check.py'), '--root', d, rule],
                               stdout=subprocess.PIPE, text=True)
            return r.returncode, r.stdout

    def found(self, rule, name, text, what):
        code, out = self.run_rule(rule, {name: text})
        self.assertEqual(code, 1, out)
        self.assertIn(what, out)

    def clean(self, rule, name, text):
        code, out = self.run_rule(rule, {name: text})
        self.assertEqual(code, 0, out)

    def test_nothing_to_look_at_fails(self):
        code, _ = self.run_rule('arrows', {'README.md': 'x'})
        self.assertEqual(code, 1)

    def test_arrows(self):
        self.found('arrows', 'common/a.c', '#include "proto/wire.h"\n', 'common may not include proto')
        self.found('arrows', 'inventory/a.c', '#include <uv.h>\n', 'inventory may not use uv')
        self.found('arrows', 'controller/a.c', '#include "cmd.h"\n', 'from the root')
        self.found('arrows', 'controller/run/a.c', '#include <libssh/libssh.h>\n', 'only controller/ssh')
        self.clean('arrows', 'controller/ssh/ssh_io.c', '#include <libssh/libssh.h>\n')
        self.clean('arrows', 'controller/a.c', '#include "common/buf.h"\n#include <uv.h>\n')

    def test_banned(self):
        self.found('banned', 'common/a.c', 'void f(char *a) { strcpy(a, "x"); }\n', 'strcpy')
        self.found('banned', 'common/a.c', 'int f(void) { return atoi("1"); }\n', 'atoi')
        self.found('banned', 'proto/a.c', 'void *f(void) { return malloc(3); }\n', 'malloc')
        self.found('banned', 'controller/run/a.c', 'void f(void) { ssh_connect(s); }\n', 'ssh_connect')
        self.clean('banned', 'common/a.c', '/* strcpy(a) */ const char *s = "strcpy(a)";\n')
        self.clean('banned', 'controller/ssh/session.c', 'void f(void) { ssh_io_connect(s); }\n')
        self.clean('banned', 'controller/ssh/ssh_io.c', 'void f(void) { ssh_connect(s); }\n')

    def test_paths(self):
        self.found('paths', 'docs/a.md', 'see /work' + '/x\n', 'one machine')
        self.clean('paths', 'docs/a.md', 'see docs/b.md\n')

    def test_sizes(self):
        self.found('sizes', 'common/a.c', 'int x;\n' * 601, '601 lines')
        self.found('sizes', 'common/a.c', LONG, 'f() has 7')
        self.clean('sizes', 'common/a.c', '/* Long: one table. */\n' + LONG)

    def test_style(self):
        with open(os.path.join(ROOT, '.clang-format')) as f:
            conf = f.read()
        code, out = self.run_rule('style', {'.clang-format': conf, 'common/a.c': 'int  x ;\n'})
        self.assertEqual(code, 1, out)
        code, out = self.run_rule('style', {'.clang-format': conf, 'common/a.c': 'int x;\n'})
        self.assertEqual(code, 0, out)

    def test_docs(self):
        with open(os.path.join(ROOT, 'controller/outcome/outcome.h')) as f:
            table = f.read()
        code, out = self.run_rule('docs', {'controller/outcome/outcome.h': table,
                                           'docs/muster.1.scd': 'only *connect-refused* here\n'})
        self.assertEqual(code, 1)
        self.assertIn('auth-denied', out)
        self.assertNotIn('"connect-refused"', out)


if __name__ == '__main__':
    unittest.main()
