#!/usr/bin/python3
"""Rules of the house that no compiler checks.

    check.py [--root DIR] arrows|banned|paths|sizes|style|docs|all

Looks at the files that git tracks (and those about to be added). Prints each violation as
file:line: text, then how many files it looked at; a rule that looked at none fails.
"""
import os
import re
import subprocess
import sys

# Who may include whom, by folder; and which third-party headers a folder may see.
ARROWS = {
    'common': {'common'},
    'proto': {'common', 'proto'},
    'inventory': {'common', 'inventory'},
    'agent': {'common', 'proto', 'agent'},
    'controller': {'common', 'proto', 'inventory', 'controller'},
    'tests': {'common', 'proto', 'inventory', 'controller', 'agent', 'tests'},
}
THIRD_PARTY = {
    'common': set(),
    'proto': {'msgpack'},
    'inventory': {'yaml', 'jansson', 'pcre2', 'sodium', 'openssl'},
    'agent': {'msgpack'},
    'controller': {'msgpack', 'jansson', 'pcre2', 'sodium', 'openssl', 'uv', 'libssh', 'yaml'},
    'tests': {'msgpack', 'jansson', 'pcre2', 'sodium', 'openssl', 'uv', 'libssh', 'yaml', 'cmocka'},
}
KNOWN_PACKAGES = {'msgpack', 'yaml', 'jansson', 'pcre2', 'sodium', 'openssl', 'uv', 'libssh', 'cmocka',
                  'curl', 'sqlite3', 'microhttpd', 'ares'}
# The only files that may call the SSH library: every fence around its traps is in there.
SSH_FILES = re.compile(r'^(controller/ssh/ssh_(io|key)\w*\.[ch]|tests/.*)$')
SSH_CALL = re.compile(r'\b(ssh|sftp)_[a-z0-9_]+\s*\(')
# Names of our own that begin with ssh_: declared by those same wrapper files.
SSH_OURS = re.compile(r'\b(ssh_(io|key|config|conf)_[a-z0-9_]+)\s*\(')

BANNED = {
    'strcpy': 'str_copy', 'strcat': 'struct buf', 'sprintf': 'snprintf', 'vsprintf': 'vsnprintf',
    'atoi': 'num_*', 'atol': 'num_*', 'atoll': 'num_*', 'atof': 'num_*', 'strtok': 'str_*',
    'alloca': 'struct arena', 'gets': 'fgets', 'tmpnam': 'mkstemp', 'mktemp': 'mkstemp',
    'system': 'posix_spawn', 'popen': 'posix_spawn',
}
# Clumsy rather than dangerous: a test may.
TESTS_MAY = {'atoi', 'atol', 'atoll', 'atof', 'system', 'popen'}
BANNED_ALLOC = {'malloc', 'calloc', 'realloc', 'reallocarray', 'strdup', 'strndup', 'asprintf', 'vasprintf'}
# A place of one machine, or of how the work was organised: none of it means anything to a reader.
# Spelt in halves so that this file does not match itself.
PATHS = [r'/work' + r'/', r'\.\./sha' + r'red\b', r'/ro' + r'ot/\.', r'/home/' + r'(?!(me|you|user|alice|bob)\b)[a-z]+/(?!\.\.\.)',
         r'/tmp/' + r'(brief|bash_jobs)']
MAX_C, MAX_H, MAX_FUNCTION = 600, 400, 60


def git_files(root, *patterns):
    out = subprocess.run(
        ['git', '-c', 'safe.directory=*', '-C', root, 'ls-files', '-z', '--cached', '--others',
         '--exclude-standard', '--', *patterns], check=True, stdout=subprocess.PIPE).stdout
    names = sorted(set(n for n in out.decode().split('\0') if n))
    return [n for n in names if os.path.isfile(os.path.join(root, n))]


def strip_comments(text):
    """Comments and the insides of strings become blanks; lines and columns stay."""
    def blank(m):
        s = m.group(0)
        if s[0] in '"\'':
            return s[0] + re.sub(r'[^\n]', ' ', s[1:-1]) + s[-1]
        return re.sub(r'[^\n]', ' ', s)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text,
                  flags=re.S)


def read(root, name):
    with open(os.path.join(root, name), encoding='utf-8', errors='replace') as f:
        return f.read()


def package_of(header):
    first = header.split('/')[0]
    first = re.sub(r'\.(h|hpp)$', '', first)
    return first if first in KNOWN_PACKAGES else None


def check_arrows(root):
    bad, files = [], git_files(root, '*.c', '*.h')
    for name in files:
        folder = name.split('/')[0]
        if folder not in ARROWS:
            bad.append(f'{name}:1: C files live in {", ".join(ARROWS)}, not in {folder}')
            continue
        for n, line in enumerate(read(root, name).split('\n'), 1):
            m = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            if not m:
                continue
            quote, header = m.groups()
            if quote == '"':
                target = header.split('/')[0]
                if '/' not in header or header.startswith('.'):
                    bad.append(f'{name}:{n}: "{header}": includes are written from the root')
                elif target not in ARROWS[folder]:
                    bad.append(f'{name}:{n}: {folder} may not include {target}')
            else:
                pkg = package_of(header)
                if pkg and pkg not in THIRD_PARTY[folder]:
                    bad.append(f'{name}:{n}: {folder} may not use {pkg}')
                if pkg == 'libssh' and not SSH_FILES.match(name):
                    bad.append(f'{name}:{n}: only controller/ssh/ssh_io.* and ssh_key.* include libssh')
    return bad, files


def check_banned(root):
    bad, files = [], git_files(root, '*.c', '*.h')
    for name in files:
        text = strip_comments(read(root, name))
        product = not name.startswith('tests/')
        for n, line in enumerate(text.split('\n'), 1):
            for m in re.finditer(r'(?<![\w.>])([a-z_][a-z0-9_]*)\s*\(', line):
                fn = m.group(1)
                if fn in BANNED and (product or fn not in TESTS_MAY):
                    bad.append(f'{name}:{n}: {fn}() is banned, use {BANNED[fn]}')
                if product and fn in BANNED_ALLOC and name != 'common/mem.c':
                    bad.append(f'{name}:{n}: {fn}() cannot be made to fail in a test, use mem_*')
            if not SSH_FILES.match(name):
                for m in SSH_CALL.finditer(line):
                    if not SSH_OURS.match(m.group(0)):
                        bad.append(f'{name}:{n}: {m.group(0).rstrip("( ")}() outside controller/ssh/ssh_io.c')
    return bad, files


def check_paths(root):
    bad, files = [], git_files(root)
    for name in files:
        for n, line in enumerate(read(root, name).split('\n'), 1):
            for p in PATHS:
                if re.search(p, line):
                    bad.append(f'{name}:{n}: names a place of one machine: {line.strip()[:80]}')
    return bad, files


def functions(text):
    """(name, first line, lines) of each function whose brace stands in column 0."""
    lines, start = text.split('\n'), None
    for i, line in enumerate(lines):
        if line.startswith('{') and i > 0:
            start = i
        elif line.startswith('}') and start is not None:
            head = start - 1
            while head > 0 and lines[head].startswith((' ', '\t')):
                head -= 1
            m = re.search(r'(\w+)\s*\(', lines[head])
            if m:
                yield m.group(1), head, i - head + 1
            start = None


def check_sizes(root):
    """Files past 600 lines are split; functions past 60 say why in a comment just above: "Long: …"."""
    bad, files = [], git_files(root, '*.c', '*.h')
    for name in files:
        text = read(root, name)
        count = text.count('\n')
        limit = MAX_H if name.endswith('.h') else MAX_C
        if name.startswith('tests/'):
            limit *= 2
        if count > limit:
            bad.append(f'{name}:1: {count} lines, split past {limit}')
        lines = text.split('\n')
        for fn, head, length in functions(text):
            if length > MAX_FUNCTION and not name.startswith('tests/'):
                above = '\n'.join(lines[max(0, head - 12):head])
                if not re.search(r'\bLong\b', above):
                    bad.append(f'{name}:{head + 1}: {fn}() has {length} lines, past {MAX_FUNCTION}: '
                               'split it, or say above it why not ("Long: ...")')
    return bad, files


def check_style(root):
    files = git_files(root, '*.c', '*.h')
    bad = []
    for i in range(0, len(files), 40):
        r = subprocess.run(['clang-format', '--dry-run', '--Werror', '--ferror-limit=3',
                            *files[i:i + 40]], cwd=root, stderr=subprocess.PIPE, text=True)
        if r.returncode:
            bad += [line for line in r.stderr.split('\n') if re.search(r':\d+:\d+: error', line)] or [r.stderr]
    return bad, files


def check_docs(root):
    """Every problem, and every status and phase that is in use, is in the manual as it is installed: the
    built muster.1 (environment MANUAL), or the sources of docs/ without one."""
    bad = []
    table = read(root, 'controller/outcome/outcome.h')
    built = os.environ.get('MANUAL')
    manual = [built] if built else [p for p in git_files(root, 'docs/*')
                                    if re.search(r'(^|/)muster\.1.*\.scd$', p)]
    if not manual or not all(os.path.exists(os.path.join(root, p)) for p in manual):
        return [f'no manual page: {built or "docs/*muster.1.scd"} is not there'], []
    text = '\n'.join(read(root, p) for p in manual)
    text = re.sub(r'\\f[BIRP]', '', text).replace('\\', '')
    codes = re.findall(r'X\(PROBLEM_\w+,\s*"([^"]+)"', table)
    used = '\n'.join([table.split('define PROBLEM_TABLE')[-1]] +
                     [read(root, p) for p in git_files(root, 'controller/*.c')])
    for kind in ('STATUS', 'PHASE'):
        codes += [name for code, name in re.findall(r'X\((' + kind + r'_\w+),\s*"([^"]+)"', table)
                  if re.search(code + r'\b', used)]
    for code in codes:
        if not re.search(r'(?<![\w-])' + re.escape(code) + r'(?![\w-])', text):
            bad.append(f'{manual[0]}:1: does not explain "{code}" of controller/outcome/outcome.h')
    if len(codes) < 40:
        bad.append('controller/outcome/outcome.h:1: the tables could not be read')
    return bad, manual + ['controller/outcome/outcome.h']


RULES = {'arrows': check_arrows, 'banned': check_banned, 'paths': check_paths, 'sizes': check_sizes,
         'style': check_style, 'docs': check_docs}


def main(argv):
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if argv[:1] == ['--root']:
        root, argv = argv[1], argv[2:]
    names = list(RULES) if argv == ['all'] else argv
    if not names or any(n not in RULES for n in names):
        sys.exit(__doc__)
    failed = False
    for n in names:
        bad, files = RULES[n](root)
        for b in bad:
            print(b)
        print(f'lint.{n}: {len(bad)} violations in {len(files)} files')
        failed |= bool(bad) or not files
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main(sys.argv[1:])
