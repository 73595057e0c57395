"""The inventory loader against ansible-inventory: the same files, the same document.

Hand-picked corner cases and generated inventories (deterministic: the seed is in the name) go to
ansible-core's own code, inside this process, and to tests/oracle/inv_dump.c. Either both give the
same --list (compared as text, types and order included), or both refuse, or the case is one of the
differences named in docs/differences.md.
"""
import contextlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

os.environ.setdefault("ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED", "1")
os.environ["ANSIBLE_LOCAL_TEMP"] = tempfile.mkdtemp(prefix="muster-ansible-")
os.environ["ANSIBLE_CONFIG"] = os.path.join(os.environ["ANSIBLE_LOCAL_TEMP"], "ansible.cfg")
with open(os.environ["ANSIBLE_CONFIG"], "w") as f:
    f.write("[defaults]\n")
os.environ["HOME"] = os.environ["ANSIBLE_LOCAL_TEMP"]

from ansible import context  # noqa: E402
from ansible.cli.inventory import InventoryCLI  # noqa: E402
from ansible.inventory.manager import InventoryManager  # noqa: E402
from ansible.module_utils.common.collections import ImmutableDict  # noqa: E402
from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.utils.display import Display  # noqa: E402
from ansible.vars.manager import VariableManager  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GENERATED = 150


class Ansible:
    """ansible-inventory without its start-up time."""

    def __init__(self):
        Display.warning = lambda self, *a, **k: None
        Display.deprecated = lambda self, *a, **k: None

    def run(self, sources, what="--list", arg=None):
        context.CLIARGS = ImmutableDict(
            export=False, basedir=None, yaml=False, toml=False, extra_vars=(), pattern=arg or "all",
            show_vars=what == "--graph-vars", flush_cache=False)
        cli = InventoryCLI.__new__(InventoryCLI)
        cli.loader = DataLoader()
        cli.inventory = InventoryManager(loader=cli.loader, sources=[os.path.abspath(s) if "," not in s else s
                                                                     for s in sources])
        cli.vm = VariableManager(loader=cli.loader, inventory=cli.inventory,
                                 version_info={"string": "test"})
        if what == "--list":
            return cli.dump(cli.json_inventory(cli._get_group("all")))
        if what == "--hosts":
            return "".join(h.name + "\n" for h in cli.inventory.groups[arg].get_hosts())
        return cli.inventory_graph() + "\n"


class Muster:
    """inv_dump, started once."""

    def __init__(self):
        program = os.path.join(os.environ.get("MUSTER_BUILD", "build"), "tests", "oracle", "inv_dump")
        self.process = subprocess.Popen([program, "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, sources, what="--list", arg=None):
        words = [what] + ([arg or "all"] if what != "--list" else []) + list(sources)
        self.process.stdin.write(("\t".join(words) + "\n").encode())
        self.process.stdin.flush()
        verdict, size = self.process.stdout.readline().split()
        text = self.process.stdout.read(int(size)).decode("utf-8", "replace")
        return verdict == b"OK", text

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


def write(folder, files):
    for name, content in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        mode = 0o644
        if isinstance(content, tuple):
            content, mode = content
        data = content if isinstance(content, bytes) else content.encode()
        with open(path, "wb") as f:
            f.write(data)
        os.chmod(path, mode)


# Each case: files (or the text of one file called "hosts"), sources (default: that one file).
CASES = {}


def case(name, files, sources=None, what="--list", arg=None):
    assert name not in CASES, name
    if isinstance(files, (str, bytes)):
        files = {"hosts": files}
    CASES[name] = (files, sources or [sorted(files)[0] if "hosts" not in files else "hosts"], what, arg)


def yaml_values(name, *scalars):
    text = "all:\n  hosts:\n    h:\n"
    for i, scalar in enumerate(scalars):
        text += "      v%02d: %s\n" % (i, scalar)
    case("yaml values: " + name, {"hosts.yml": text})


def ini_values(name, *values):
    case("ini :vars values: " + name,
         "h\n[all:vars]\n" + "".join("v%02d=%s\n" % (i, v) for i, v in enumerate(values)))
    tokens = " ".join("v%02d=%s" % (i, "'" + v.replace("'", "'\"'\"'") + "'") for i, v in enumerate(values))
    case("ini host values: " + name, "h " + tokens + "\n")


yaml_values("booleans", *"yes no Yes No YES NO true false True False TRUE FALSE on off On Off ON OFF y n Y N yEs tRUE".split())
yaml_values("nulls", "", "~", "null", "Null", "NULL", "nULL", "!!null ''", "'~'")
yaml_values("integers", *"0 1 -1 +1 00 01 07 08 09 010 0777 0x1F 0xff 0xFF 0XFF 0b101 -0b1 +0x1f 0o17 1_000 1__0 1_ 0_7 123456789012".split())
yaml_values("sixties", *"1:30 1:60 190:20:30 -1:30 0:30 1:5 20:00:00 1:30.5 190:20:30.15 1:2:3:4".split())
yaml_values("floats", *"1.0 1. .5 -.5 -0.5 1.5e3 1.5e+3 1.5E-3 1e3 1e+3 1.e+2 6.8523015e+5 685_230.15 .inf -.inf +.inf .INF .nan .NaN .Nan 1.2.3 1._5 0.1 1e400 1.0e+400 -1.0e+400 -0.0 1.0e-400".split())
yaml_values("float shapes", *"100000.0 123456789.125 1.0e+15 1.0e+16 1.0e+17 1.5e-4 1.5e-5 0.0001 0.00001 3.141592653589793 2.220446049250313e-16 5.0e-324 1.7976931348623157e+308 0.30000000000000004".split())
yaml_values("beyond 64 bits", "12345678901234567890", "-12345678901234567890", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1_2345678901234567890123")
yaml_values("texts", "plain", "'single ''quoted'''", '"double \\" \\n \\t \\x41 \\u00e9 \\U0001F600"', "two words", "a#b", "a #comment", "'yes'", '"1"', "=x", "10.0.0.1", "a:b", "-x", "é", "日本", '"\\e[31m"', '"\\x7f"')
yaml_values("explicit tags", "!!str 1", "!!str yes", "!!int '5'", "!!float '1.5'", "!!float 3", "!!bool 'yes'", "! 5", "!!str", "!!timestamp '2001-01-01x'" if False else "!!str 2001-01-01")
yaml_values("blocks", "|\n        line 1\n        line 2", ">\n        folded\n        text\n\n        more", "|-\n        x", "|+\n        x\n\n", ">2-\n          deep")
yaml_values("collections", "[]", "{}", "[1, two, 3.0, yes, ~]", "{a: 1, b: [x, {c: d}]}", "\n        - 1\n        - [2, 3]\n        - k: v\n          l: w", "[[[[[]]]]]", "{1: a, yes: b, ~: c, 1.5: d, x: e}" if False else "{1: a, 2: b}")
yaml_values("templates", "'{{ foo }}'", "'{% if x %}a{% endif %}'", "'{# c #}'", "'{ {'", "'}}{{'")
yaml_values("unsafe and vault", "!unsafe '{{ x }}'", "!unsafe plain", "!unsafe 5", "!vault |\n        $ANSIBLE_VAULT;1.1;AES256\n        6162\n", "!vault-encrypted x")
yaml_values("anchors", "&a [1, 2]", "*a", "&b {x: 1}", "{y: *b, z: *a}", "&c text", "*c")
case("yaml: merge keys", {"hosts.yml": """
all:
  vars:
    base: &base {a: 1, b: 2}
    other: &other {b: 3, c: 4}
    one: {<<: *base, c: 9}
    over: {a: 5, <<: *base}
    list: {<<: [*base, *other], d: 1}
    twice: {<<: [*other, *base], b: 7}
    quoted: {'<<': x}
    inline: {<<: {q: 1}}
  hosts: {h: }
"""})
case("yaml: merged hosts keep their order", {"hosts.yml": """
x: &x
  hosts: {c: , a: }
web:
  hosts:
    <<: {z: {v: 1}, y: }
    b:
    z: {v: 2}
"""})
case("yaml: the manual's example", {"hosts.yaml": """
all:
    hosts:
        test1:
        test2:
            host_var: value
    vars:
        group_all_var: value
    children:
        other_group:
            children:
                group_x:
                    hosts:
                        test5
                group_y:
                    hosts:
                        test6:
            vars:
                g2_var2: value3
            hosts:
                test4:
                    ansible_host: 127.0.0.1
        last_group:
            hosts:
                test1
            vars:
                group_last_var: value
"""})
case("yaml: sections as text or empty", {"hosts.yml": "web:\n  hosts: a\n  children: b\n  vars:\nb:\n  hosts:\nc:\nd: {}\n"})
case("yaml: keys that are no sections are skipped", {"hosts.yml": "web:\n  hosts: {a: }\n  junk: {x: 1}\n  more: 5\n  list: [1]\nnogroup: text\nalso: [1, 2]\n"})
case("yaml: ports", {"hosts.yml": "all:\n  hosts:\n    a:22: {x: 1}\n    'b:22':\n    '[::1]:2222':\n    '10.0.0.1:80':\n    '::1':\n    'fe80::1':\n    '[a]:5':\n    'x_y:22':\n    'x_:22':\n    'a b:22':\n    '2001:db8::1:22':\n    'é:22':\n    'c:0':\n"})
case("yaml: port of a known host is not taken", {"hosts.yml": "all:\n  hosts:\n    a:\nweb:\n  hosts:\n    a:22:\n    b:23: {ansible_port: 5}\n    b:24:\n"})
case("yaml: a host named like a group gives it the vars", {"hosts.yml": "web:\n  hosts:\n    web: {x: 1}\n    other:\n"})
case("yaml: own order of hosts and groups", {"hosts.yml": "z:\n  hosts: {c: , b: , a: }\na:\n  hosts: {b: , d: }\nm:\n  children: {z: , a: , q: {hosts: {e: }}}\n"})
case("yaml: ungrouped", {"hosts.yml": "all:\n  hosts: {a: , b: }\n  children:\n    web: {hosts: {b: }}\nungrouped:\n  hosts: {c: , b: }\n"})
case("yaml: ungrouped with children", {"hosts.yml": "ungrouped:\n  children: {x: {hosts: {a: }}}\n  hosts: {b: }\n"})
case("yaml: a group twice in different places", {"hosts.yml": "a:\n  children:\n    c: {hosts: {h1: }, vars: {x: 1}}\nb:\n  children:\n    c: {hosts: {h2: }, vars: {x: 2, y: 3}}\n"})
case("yaml: dict values replace", {"hosts.yml": "all:\n  vars: {d: {a: 1}}\nweb:\n  vars: {d: {b: 2}}\n  hosts: {h: , g: {d: {c: 3}}}\n"})
case("yaml: internal names are not shown", {"hosts.yml": "all:\n  hosts: {h: {inventory_dir: x, inventory_hostname: y, groups: z, omit: 1, playbook_dir: 2, ok: 3}}\n"})
case("yaml: number as a variable's name", {"hosts.yml": "all:\n  hosts: {h: {80: http, 443: https}}\n"})
case("yaml: json text", {"hosts.json": '{"all": {"hosts": {"h": {"a": 1e3, "b": 1.0, "c": null, "d": "\\u00e9\\ud83d\\ude00\\/", "e": [true, {}], "f": -0.0}}}}'})
case("yaml: json with vault and unsafe", {"hosts.json": '{"all": {"hosts": {"h": {"a": {"__ansible_vault": "x"}, "b": {"__ansible_unsafe": "{{y}}"}, "c": [{"__ansible_unsafe": "z"}]}}}}'})
case("yaml: json with a trailing comma is yaml", {"hosts.json": '{"all": {"hosts": {"h": {"a": 1e3, }, }}}'})
case("yaml: big number in json", {"hosts.json": '{"all": {"hosts": {"h": {"a": 123456789012345678901234567890}}}}'})
case("yaml: BOM", {"hosts.yml": b"\xef\xbb\xbfall:\n  hosts: {h: }\n"})
case("yaml: CRLF", {"hosts.yml": "all:\r\n  hosts:\r\n    h:\r\n      a: x\r\n"})
case("yaml: document marks", {"hosts.yml": "---\nall: {hosts: {h: }}\n...\n"})
case("yaml: directive", {"hosts.yml": "%YAML 1.1\n---\nall: {hosts: {h: }}\n"})
case("yaml: json inside yaml strings", {"hosts.yml": "all: {hosts: {h: {a: '{\"x\": 1}', b: \"[1]\"}}}\n"})
for i, text in enumerate(["web:\n hosts:\n  5:\n", "5:\n hosts: {a: }\n", "web:\n hosts: [a, b]\n", "web:\n vars: 5\n",
                          "web:\n hosts: {a: text}\n", "web:\n hosts: {a: [1]}\n", "web: {children: {x: text}}\n",
                          "- a\n- b c\n", "web:\n\thosts:\n", "web: [\n", "a: *b\n", "a: !foo {}\n",
                          "a:\n  children: {a: }\n", "plugin: foo\n", "web: {hosts: {'x[1:2': }}\n",
                          "web: {hosts: {'x[1]': }}\n", "web: {hosts: {'x[b:a]': }}\n", "web: {hosts: {'x[01:100]': }}\n",
                          "web: {hosts: {'x[1:2:0]': }}\n", "web: {hosts: {'x[a:3]': }}\n", "web: {hosts: {'': }}\n",
                          "---\na: {}\n---\nb: {}\n", "web: {vars: {ansible_group_priority: x}}\n", "'': {}\n",
                          "web: {hosts: {'x[1:]': }}\n", "web: {hosts: {'x|[1:2]': }}\n", "web: {hosts: {'x[1:2:z]': }}\n",
                          "a: {children: {b: {children: {a: }}}}\n", "a: {children: {all: }}\n",
                          "web: {hosts: {a: }}\n<<: 5\n", "? [a]\n: b\n", "a: 'x\n", "a: \"\\q\"\n", "@a: b\n"]):
    case("yaml: refused %d" % i, {"hosts.yml": text})

for i, pattern in enumerate(["h[1:3]", "h[01:03]", "h[001:010:4]", "h[a:c]", "h[A:C]", "h[x:C]", "h[a:k:3]", "h[1:2]-[a:b]",
                             "h[1:2][3:4]x[5:6]", "h[:3]", "h[5:1]", "h[5:1:-1]", "h[1:9:4].d", "h[00:02]", "[1:2]h", "[1:3]",
                             "h[08:12]", "h[0:2]", "h[-1:1]", "h[1:3:+1]", "h[ 1 : 3 ]", "h[1_0:1_2]", "h[ab:cd]", "10.0.0.[1:3]",
                             "h[1:2].x:22", "h[c:a:-1]", "h[1:20:100]", "h[05:-1]", "h[1:3]]", "h]x[1:2]", "h[a:a]", "h[1:1]",
                             "2001:db8::[a:c]", "[2001:db8::[1:2]]:22", "h[1:3", "h[[1:2]", "h[1:2:3:4]", "h[", "h[]", "h[:]",
                             "h[1:3]:", "h:", "h:x", "h:22:23", "a.b.c:99", "-x:22", "x-:22", "1.2.3.4:22", "256.1.1.1:22",
                             "h[1:2]:022", "h[+1:+3]", "h[01:a]", "h[z:A]"]):
    case("range %02d %s" % (i, pattern), {"hosts.yml": json.dumps({"all": {"hosts": {pattern: {"v": 1}}}})})
    if " " not in pattern:
        case("ini range %02d %s" % (i, pattern), "[g]\n%s v=1\n" % pattern)

ini_values("numbers", "1", "-1", "+1", "0", "00", "01", "0x1F", "0o17", "0b11", "1_000", "1__0", "1.5", "1.", ".5", "1e3", "1E-3", "- 5", "--5", "1e400", "01.5", "1.5.2", "12abc", "0x", "1 2", "123456789012345678901234567890", "0_0", "1j" if False else "5 ")
ini_values("words", "True", "False", "None", "true", "FALSE", "yes", "null", "Truex", "a b", "a,b", "", "-", "+", ".", "...x", "True False", "(True)", "not True", "x=y", "a=b=c", "é", "=")
ini_values("literal strings", "'x'", '"x"', "'a' 'b'", "'a'\"b\"", "r'\\n'", "'\\n\\t\\x41\\u00e9\\101'", "'\\q'", "b'x'", "u'x'", "f'x'", "'''x'''", '""', "'unclosed", "'a' + 'b'", "'it\\'s'", "R'x'", "rb'x'", "'a'.b")
ini_values("collections", "[]", "[1, 2]", "['a', 1.5, None, [True]]", "(1,)", "(1, 2)", "()", "1,2", "80,443", "1,", "{}", "{'a': 1, 'b': [2]}", "{'a': 1, 'a': 2}", "[1, 2,]", "[1 2]", "[a]", "{'a'}x", "{1: 2}", "[1", "((1))", "[(1, 2), {'x': (3,)}]", "{'a': 1,}", "[,]", "{,}", "(,)", "1,,2", "[1][0]")
ini_values("comments inside", "1 # one", "'x' # y", "x # y", "[1] # l", "#x")
case("ini: the manual's example", """
[web]
host1
host2 ansible_port=222 # defined inline, interpreted as an integer

[web:vars]
http_port=8080 # all members of 'web' will inherit these
myvar=23 # defined in a :vars section, interpreted as a string

[web:children] # child groups will automatically add their hosts to parent group
apache
nginx

[apache]
tomcat1
tomcat2 myvar=34 # host specific vars override group vars
tomcat3 mysecret="'03#pa33w0rd'" # proper quoting to prevent value changes

[nginx]
jenkins1

[nginx:vars]
has_java = True # vars in child groups override same in parent

[all:vars]
has_java = False # 'all' is 'top' parent
""")
case("ini: quoting", "h a=\"b c\" d='e f' g=\"'h'\" i=j\\ k l=\"m\\\"n\" o='p\"q' r=\"s\\tt\" u=v#w x=y\n")
case("ini: escapes in double quotes", 'h a="b\\\\c" d="e\\$f" g=h\\\\i j=\\#k\n')
case("ini: comment glued to a word", "h a=b#c d=e\ni# j=k\n")
case("ini: comments and blanks", "# c\n; c\n\n  h  \n\t i a=1\t b=2  \n[g] # c\n j\n  # x\n[g:vars]\n a = b # c \n ; d\n")
case("ini: ports", "a:22\nb:2222 x=1\n[::1]:22\n::1\n10.0.0.1:80\na:23\n")
case("ini: late declarations", "[a:children]\nb\nc\n[c]\nh3\n[b:vars]\nx=1\n[b]\nh2\n")
case("ini: vars before the group", "[g:vars]\nx=1\n[g]\nh\n")
case("ini: same group twice", "[g]\na\n[h]\nb\n[g]\nc\n[g:vars]\nx=1\n[g:vars]\nx=2\ny=3\n")
case("ini: hosts section by name", "[g:hosts]\na\n")
case("ini: priority", "[a]\nh\n[b]\nh\n[a:vars]\nansible_group_priority=10\nx=a\n[b:vars]\nx=b\n")
case("ini: all and ungrouped", "u\n[all]\na\n[ungrouped]\nb\n[g]\nb\n")
case("ini: CRLF and form feed", b"[g]\r\na x=1\r\nb\x0cc\r\n")
case("ini: unicode line ends", "[g]\na\u2028b\u0085c\n")
case("ini: unicode blanks", "\u00a0h\u3000\n")
case("ini: odd group names", "[a-b]\nx\n[c.d]\ny\n[e/f]\nz\n[é]\nw\n")
case("ini: not UTF-8 in a comment", b"# caf\xe9\nh\n")
case("ini: a yml file with ini inside", {"hosts.yml": "[g]\na x=1\n"})
case("ini: extension of its own", {"hosts.ini": "[g]\na x=1\n"})
case("ini: no yaml for this extension", {"hosts.prod": "a:\n"})
case("ini: empty", "")
case("ini: only comments", "# x\n")
case("ini: plain list of hosts", "b\na\nc.example.com\n")
case("ini: host and var overwritten later", "a x=1 y=2\n[g]\na x=3\n")
case("ini: duplicate var on a line", "a x=1 x=2\n")
case("ini: value with equal signs", "a x=b=c 'y=d e' =z\n[all:vars]\n q = r = s \n")
for i, text in enumerate(["[g\na\n", "[g] x\na\n", "[g h]\na\n", "[g:foo]\na\n", "[]\n", "[:vars]\n", "[a:b:c]\n", "h x\n", "h x=1 y\n",
                          "h a='b\n", "h a=b\\\n", "[a:children]\nb\n", "[a:vars]\nx=1\n", "[a:vars]\nnoequal\n[a]\nh\n",
                          "[a:children]\nb c\n[b]\nh\n", "[a:children]\na\n", "[a:children]\nb\n[b:children]\na\n", "h:\n", "---\nh\n",
                          "[a]\nh\n[a:vars]\nansible_group_priority=x\n", "''\n", "[web] ; comment\nh\n"]):
    case("ini: refused %02d" % i, {"hosts.ini": text})

INI = "[web]\nw1\nw2\n[db]\nd1\n[prod:children]\nweb\ndb\n"
case("group_vars: files", {"i/hosts": INI, "i/group_vars/all.yml": "a: all\nb: all\nc: all\n", "i/group_vars/web.yaml": "b: web\n",
                           "i/group_vars/prod.json": '{"b": "prod", "c": "prod"}', "i/group_vars/db": "c: db\n",
                           "i/group_vars/none.yml": "x: 1\n"}, ["i/hosts"])
case("group_vars: a folder per group", {"i/hosts": INI, "i/group_vars/web/2.yml": "a: 2\nb: 2\n", "i/group_vars/web/1.yml": "a: 1\nc: 1\n",
                                        "i/group_vars/web/sub/x": "a: sub\n", "i/group_vars/web/.hid.yml": "h: 1\n",
                                        "i/group_vars/web/back.yml~": "k: 1\n", "i/group_vars/web/no.txt": "n: 1\n",
                                        "i/group_vars/web/s.d/y.yml": "sd: 1\n", "i/group_vars/web/j.json": '{"j": 1}'}, ["i/hosts"])
case("group_vars: which name wins", {"i/hosts": INI, "i/group_vars/web": "a: none\n", "i/group_vars/web.yml": "a: yml\n",
                                     "i/group_vars/db.yml": "a: yml\n", "i/group_vars/db.yaml": "a: yaml\n",
                                     "i/group_vars/prod.yaml": "b: yaml\n", "i/group_vars/prod.json": '{"b": "json"}',
                                     "i/group_vars/all/x.yml": "z: dir\n", "i/group_vars/all.yml": "z: file\n"}, ["i/hosts"])
case("host_vars", {"i/hosts": INI + "[web:vars]\na=1\n", "i/host_vars/w1.yml": "a: h\nb: {c: d}\n", "i/host_vars/d1/x.yml": "q: 1\n",
                   "i/host_vars/d1/y.yml": "q: 2\n", "i/host_vars/w2": "a: plain\n", "i/group_vars/web.yml": "a: gv\n"}, ["i/hosts"])
case("host_vars: names with dots", {"i/hosts": "a.example.com\na.yml\nb\n", "i/host_vars/a.example.com.yml": "x: 1\n",
                                    "i/host_vars/a.yml": "x: 2\n", "i/host_vars/b.yml.yml": "x: 3\n"}, ["i/hosts"])
case("host_vars: names with a slash", {"i/hosts": "a/b\n/c\n", "i/host_vars/a/b.yml": "x: 1\n"}, ["i/hosts"])
case("vars files: empty and null", {"i/hosts": INI, "i/group_vars/web.yml": "", "i/group_vars/db.yml": "---\n", "i/group_vars/all.yml": "[]\n",
                                    "i/group_vars/prod.yml": "# c\n"}, ["i/hosts"])
case("vars files: a list is refused", {"i/hosts": INI, "i/group_vars/web.yml": "- a\n"}, ["i/hosts"])
case("vars files: broken is refused", {"i/hosts": INI, "i/group_vars/web.yml": "a: [\n"}, ["i/hosts"])
case("vars files: priority there is a plain variable", {"i/hosts": "[a]\nh\n[b]\nh\n", "i/group_vars/a.yml": "ansible_group_priority: 10\nx: a\n",
                                                        "i/group_vars/b.yml": "x: b\n"}, ["i/hosts"])
case("vars files: group_vars is a file", {"i/hosts": INI, "i/group_vars": "x\n"}, ["i/hosts"])
case("precedence: inventory and files", {"i/hosts": "[p:children]\nc\n[c]\nh x=host\n[p:vars]\na=p\nb=p\nc=p\nx=p\n[c:vars]\na=c\nx=c\n[all:vars]\na=all\nd=all\ne=all\n",
                                         "i/group_vars/all.yml": "a: fall\nb: fall\nd: fall\n", "i/group_vars/p.yml": "a: fp\nf: fp\n", "i/host_vars/h.yml": "g: fh\n"}, ["i/hosts"])
case("precedence: two folders of sources", {"i/hosts": "[a]\nh\n[b]\nh\n", "j/hosts": "[b]\nk\n", "i/group_vars/b.yml": "x: ib\ny: ib\n",
                                            "j/group_vars/a.yml": "x: ja\n", "i/group_vars/all.yml": "z: i\n", "j/group_vars/all.yml": "z: j\ny: j\n",
                                            "i/host_vars/h.yml": "w: i\nv: i\n", "j/host_vars/h.yml": "w: j\n"}, ["i/hosts", "j/hosts"])
case("precedence: the same folder named twice", {"i/a": "h\n", "i/b": "[g]\nh\n", "j/c": "[g]\nh\n", "i/group_vars/g.yml": "x: i\n",
                                                 "j/group_vars/g.yml": "x: j\n"}, ["i/a", "j/c", "i/b"])
case("precedence: siblings by name, then priority", "[b]\nh\n[a]\nh\n[c]\nh\n[a:vars]\nx=a\ny=a\nansible_group_priority=5\n[b:vars]\nx=b\ny=b\n[c:vars]\nx=c\nz=c\nansible_group_priority=-1\n")
case("precedence: depth", {"hosts.yml": "a: {vars: {x: a}, children: {b: {vars: {x: b}, children: {c: {vars: {x: c}, hosts: {h: }}}}}}\nz: {vars: {x: z}, hosts: {h: }}\nd: {children: {c: }}\n"})
case("precedence: longest way counts", {"hosts.yml": "a: {children: {d: {hosts: {h: }, vars: {x: d}}}}\nb: {children: {c: {children: {e: {children: {d: }}}}}}\ne: {vars: {x: e}}\nf: {children: {g: {children: {i: {children: {j: {hosts: {h: }, vars: {x: j}}}}}}}}\n"})
case("sources: a later file overrides", {"a.yml": "web: {hosts: {h: {x: 1, y: 1}}, vars: {g: 1}}\n", "b.yml": "web: {hosts: {h: {x: 2}, i: }, vars: {g: 2}}\n"}, ["a.yml", "b.yml"])
case("sources: a folder", {"d/02.yml": "web: {hosts: {h: {x: 2}}}\n", "d/01": "h x=1 y=1\n", "d/group_vars/web.yml": "g: 1\n", "d/host_vars/h.yml": "hv: 1\n",
                           "d/.hidden": "[[[", "d/skip.txt": "[[[", "d/skip.md": "[[[", "d/x.cfg": "[[[", "d/x.ini": "[[[", "d/x.retry": "[[[",
                           "d/x~": "[[[", "d/x.orig": "[[[", "d/x.bak": "[[[", "d/x.rst": "[[[", "d/x.pyc": "[[[", "d/x.swp": "[[[", "d/vars_plugins/x": "[[["}, ["d"])
case("sources: folders inside folders", {"d/a/hosts": "a\n", "d/b": "b\n", "d/A": "c\n", "d/a/group_vars/all.yml": "no: 1\n", "d/z/y/x": "d\n"}, ["d"])
case("sources: an empty folder beside a file", {"d/.x": "", "h": "a\n"}, ["d/", "h"]) if False else None
case("sources: a folder with a trailing slash", {"d/h": "a\n", "d/group_vars/all.yml": "x: 1\n"}, ["d/"])
case("sources: inline list", {"x": ""}, ["a,b,c:22, d ,,[::1]:5,a"])
case("sources: inline and file", {"hosts": "[g]\nb\n", "group_vars/all.yml": "x: 1\n"}, ["a,b", "hosts"])
case("sources: ini completes yaml", {"a.yml": "web: {children: {db: }}\n", "b.ini": "[db]\nd1\n[other:children]\nweb\n"}, ["a.yml", "b.ini"])
case("sources: group known from before needs no declaration", {"a": "[g]\nh\n", "b": "[g:vars]\nx=1\n[p:children]\ng\n"}, ["a", "b"])
case("sources: missing is refused", {"x": ""}, ["nothing"])


def script(name, output, extra="", sources=None, files=None):
    text = "#!/bin/sh\n%s\ncat <<'EOT'\n%s\nEOT\n" % (extra, output)
    case("script: " + name, dict(files or {}, inv=(text, 0o755)), sources or ["inv"])


script("lists and vars", '{"web": {"hosts": ["a", "b"], "vars": {"x": 1}}, "db": ["c"], "p": {"children": ["web", "db", "later"]}, "later": {"hosts": []}, "_meta": {"hostvars": {"a": {"y": [1]}, "zz": {"n": 1}}}}')
script("short form", '{"solo": {"ansible_host": "1.2.3.4", "x": 2}, "empty": {}, "_meta": {"hostvars": {"solo": {"y": 1}}}}')
script("no range in names", '{"g": ["a[1:3]", "b:22"], "_meta": {"hostvars": {}}}')
script("priority", '{"a": {"hosts": ["h"], "vars": {"x": 1, "ansible_group_priority": "7"}}, "b": {"hosts": ["h"], "vars": {"x": 2}}, "_meta": {"hostvars": {}}}')
script("without _meta it is asked for each host", '{"g": {"hosts": ["a", "b"]}}', 'if [ "$1" = --host ]; then echo "{\\"me\\": \\"$2\\", \\"n\\": 1e2}"; exit; fi')
script("with group_vars", '{"g": ["a"], "_meta": {"hostvars": {"a": {"x": 1}}}}', files={"group_vars/g.yml": "y: 2\n", "host_vars/a.yml": "x: 3\n"})
script("vault and unsafe", '{"g": {"hosts": ["a"], "vars": {"v": {"__ansible_vault": "q"}, "u": {"__ansible_unsafe": "{{x}}"}}}, "_meta": {"hostvars": {}}}')
script("floats and unicode", '{"g": {"hosts": ["a"], "vars": {"f": 1e16, "g": 1e15, "h": 0.00001, "i": "\\u00e9\\u0001\\n\\"", "j": 1.10}}, "_meta": {"hostvars": {}}}')
script("exit status", '{}', "exit 3")
script("not json", 'nothing')
script("a list", '[1]')
script("hosts not a list", '{"g": {"hosts": "a"}}')
script("vars not an object", '{"g": {"vars": []}}')
script("a host that is a number", '{"g": [5], "_meta": {"hostvars": {}}}')
script("hostvars of a host not an object", '{"g": ["a"], "_meta": {"hostvars": {"a": 5}}}')
case("script: executable bit on an ini file", {"hosts": ("[g]\na x=1\n", 0o755)})
case("script: executable bit on a yaml file", {"hosts.yml": ("g: {hosts: {a: }}\n", 0o755)})
case("script: in a folder", {"d/1": ("#!/bin/sh\necho '{\"g\": [\"a\"], \"_meta\": {\"hostvars\": {}}}'\n", 0o755), "d/2": "[g]\nb\n"}, ["d"])

GRAPH = {"hosts.yml": "a: {children: {b: {hosts: {h1: {x: [1, 'it''s', {k: ~}], y: 1.5, z: yes}, h2: }, vars: {v: text}}, c: {hosts: {h2: }}}}\nd: {children: {b: }}\nall: {vars: {q: 1}}\n"}
case("graph", GRAPH, ["hosts.yml"], "--graph", "all")
case("graph of one group", GRAPH, ["hosts.yml"], "--graph", "a")
case("graph with vars", GRAPH, ["hosts.yml"], "--graph-vars", "all")
case("graph: unknown group is refused", GRAPH, ["hosts.yml"], "--graph", "zz")
case("hosts of a group in order", GRAPH, ["hosts.yml"], "--hosts", "a")
case("hosts of all in order", GRAPH, ["hosts.yml"], "--hosts", "all")

# --- where we differ on purpose: heading in docs/differences.md → files, sources, what ours must say ---
DIFFERENCES = [
    ("\"ungrouped\" inside another group", {"h.yml": "foo:\n  children: {ungrouped: {hosts: {a: , b: }}}\nbar: {hosts: {b: }}\n"}, None, "accepts", None),
    ("Anchors that hold themselves", {"h.yml": "a: &x {b: *x}\n"}, None, "accepts", r"h\.yml:1:11: .*holds itself"),
    ("A key written twice", {"h.yml": "web:\n  hosts: {a: }\nweb:\n  hosts: {b: }\n"}, None, "accepts", r"h\.yml:3:1: .*second time"),
    ("A key written twice", {"h.json": '{"web": {}, "web": {}}'}, None, "accepts", r"h\.json:1:\d+: .*second time"),
    ("A source that cannot be read", {"i/ok": "a\n", "i/README": "not an inventory at all\n"}, ["i"], "refuses", r"README"),
    ("Nesting and size are bounded", {"h.yml": "all: {vars: {x: " + "[" * 70 + "]" * 70 + "}}\n"}, None, "accepts", r"h\.yml:1:\d+: nested deeper"),
    ("Nesting and size are bounded", {"h.yml": "all: {hosts: {'x[1:99999999]': }}\n"}, None, "skip", r"h\.yml:1:\d+: .*more than 10000000"),
    ("Nesting and size are bounded", {"h.yml": "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        "%s: &%s [%s]\n" % (n, n, ",".join(["*" + p] * 9)) for p, n in zip("abcdefgh", "bcdefghi"))}, None, "skip", r"h\.yml:\d+:\d+: the alias"),
    ("Dates stay text", {"h.yml": "all: {hosts: {h: {d: 2001-12-14 21:59:43.10 -5}}}\n"}, None, "accepts", None),
    ("Ranges in an inline list", {"x": ""}, ["h[1:2],"], "accepts", r"-w"),
    ("Inventory plugins", {"h.yml": "plugin: constructed\n"}, None, "accepts", r"h\.yml:1:9: .*plugin"),
    ("Files sealed as a whole", {"i/hosts": "a\n", "i/group_vars/all.yml": "$ANSIBLE_VAULT;1.1;AES256\n6162\n"}, ["i/hosts"], "refuses", None),
    ("Literals of Python that are no JSON", "h a='{1,2}' b='1j'\n", None, "refuses", None),
    ("An empty mapping", {"h.json": "{}"}, None, "accepts", None),
    ("An empty mapping", {"h.yml": "---\n"}, None, "refuses", None),
    ("Text that is not UTF-8", {"h.ini": b"h x=\xff\n"}, None, "skip", r"h\.ini:1:1: .*UTF-8"),
    ("Ports", {"h.ini": "h:70000\n"}, None, "accepts", r"h\.ini:1:1: .*65535"),
    ("A lone equals sign", {"h.yml": "all: {hosts: {h: {x: =}}}\n"}, None, "refuses", None),
]


# --- generated inventories ---

SCALARS = ["1", "0", "-7", "1.5", "yes", "no", "text", "'quoted'", '"dq"', "~", "0x10", "010", "1e3", "1.0e+3", "[1, a]", "{k: v}", "10.0.0.1",
           "a b", "'{{ t }}'", "08", "1:30", "''", "[]", "{}", "2.50", "on", "N", "_x", "1_0"]
WORDS = ["1", "0", "True", "false", "None", "x", "1.50", "'q'", "[1,2]", "a,b", "1,2", "08", "0x1f", "", "yes", "{{t}}", "(1,)", "-3"]
NAMES = ["x", "y", "z", "ansible_host", "ansible_port", "env", "role"]
HOSTS = ["h%d" % i for i in range(8)] + ["w[1:3]", "n[01:10:3].d", "db-[a:c]", "10.0.0.[1:2]", "p:2222", "q[1:2]:22"]


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.groups = ["g%d" % i for i in range(self.r.randint(1, 7))]
        self.files = {}

    def some(self, items, most):
        return self.r.sample(items, self.r.randint(0, min(most, len(items))))

    def group_doc(self, group, depth):
        """YAML lines of a group; children only of later groups, so that there is no circle."""
        out = []
        pad = "  " * (depth * 2 + 1)
        kinds = ["hosts", "vars", "children"]
        self.r.shuffle(kinds)
        for kind in kinds:
            if self.r.random() < 0.35:
                continue
            if kind == "hosts":
                out.append(pad + "hosts:")
                for host in self.some(HOSTS, 4):
                    out.append(pad + "  '%s':" % host)
                    for name in self.some(NAMES, 3):
                        out.append(pad + "    %s: %s" % (name, self.r.choice(SCALARS)))
            elif kind == "vars":
                out.append(pad + "vars:")
                for name in self.some(NAMES, 3):
                    out.append(pad + "  %s: %s" % (name, self.r.choice(SCALARS)))
                if self.r.random() < 0.25:
                    out.append(pad + "  ansible_group_priority: %d" % self.r.randint(-2, 5))
            elif depth < 3:
                later = [g for g in self.groups if group == "all" or g > group]
                out.append(pad + "children:")
                for child in self.some(later, 3):
                    out.append(pad + "  %s:" % child)
                    if self.r.random() < 0.5:
                        out.extend(self.group_doc(child, depth + 1))
        return out

    def yaml(self):
        lines = []
        for group in self.some(["all"] + self.groups, 6) or ["all"]:
            lines.append(group + ":")
            lines.extend(self.group_doc(group, 0))
        return "\n".join(lines) + "\n"

    def ini(self):
        lines = ["%s %s" % (h, self.host_vars()) for h in self.some(HOSTS, 3)]
        sections = []
        for group in self.groups:
            block = ["[%s]" % group] + ["%s %s" % (h, self.host_vars()) for h in self.some(HOSTS, 3)]
            sections.append(block)
            if self.r.random() < 0.5:
                sections.append(["[%s:vars]" % group] + ["%s=%s" % (n, self.r.choice(WORDS)) for n in self.some(NAMES, 3)] +
                                (["ansible_group_priority=%d" % self.r.randint(-2, 5)] if self.r.random() < 0.3 else []))
            later = [g for g in self.groups if g > group]
            if later and self.r.random() < 0.6:
                sections.append(["[%s:children]" % group] + self.some(later, 3))
        self.r.shuffle(sections)
        if self.r.random() < 0.4:
            sections.append(["[all:vars]"] + ["%s=%s" % (n, self.r.choice(WORDS)) for n in self.some(NAMES, 3)])
        for block in sections:
            lines.extend(block)
        return "\n".join(lines) + "\n"

    def host_vars(self):
        return " ".join("%s=\"%s\"" % (n, self.r.choice(WORDS)) for n in self.some(NAMES, 3))

    def vars_file(self):
        return "".join("%s: %s\n" % (n, self.r.choice(SCALARS)) for n in self.some(NAMES, 4))

    def vars_files(self, folder):
        for kind, names in (("group_vars", ["all", "ungrouped"] + self.groups), ("host_vars", ["h0", "h1", "w1", "n01.d", "db-a", "p"])):
            for name in self.some(names, 4):
                shape = self.r.choice(["%s", "%s.yml", "%s.yaml", "%s.json", "%s/a.yml", "%s/b"])
                text = self.vars_file()
                if shape.endswith(".json"):
                    text = json.dumps({n: self.r.choice([1, "s", None, 1.5, [1], {"a": 1e20}]) for n in self.some(NAMES, 3)})
                path = "%s/%s/%s" % (folder, kind, shape % name)
                if any(p.startswith(path + "/") or path.startswith(p + "/") for p in self.files):
                    continue
                self.files[path] = text

    def build(self):
        sources = []
        for folder in ["one", "two"][:self.r.choice([1, 1, 2])]:
            for n in range(self.r.choice([1, 1, 2])):
                if self.r.random() < 0.5:
                    name, text = "%s/%d.yml" % (folder, n), self.yaml()
                else:
                    name, text = "%s/%d" % (folder, n), self.ini()
                self.files[name] = text
                sources.append(name)
            if self.r.random() < 0.6:
                self.vars_files(folder)
        if self.r.random() < 0.2:
            sources = sorted({s.split("/")[0] for s in sources})
        return self.files, sources


class TestAnsibleInventory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ansible = Ansible()
        cls.muster = Muster()
        cls.folder = tempfile.mkdtemp(prefix="muster-oracle-")
        cls.count = 0
        cls.agreed = cls.refused = 0

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)
        shutil.rmtree(os.environ["ANSIBLE_LOCAL_TEMP"], ignore_errors=True)
        status = cls.muster.close()
        print("\n%d cases agree, %d are refused by both" % (cls.agreed, cls.refused), file=sys.stderr)
        assert status == 0, "inv_dump ended with %d" % status

    def place(self, files):
        """A folder of its own, with nothing beside it: ansible-inventory reads the group_vars of the
        current folder too, which is a named difference."""
        type(self).count += 1
        folder = os.path.join(self.folder, "%04d" % self.count)
        os.makedirs(folder)
        write(folder, files)
        return folder

    def both(self, files, sources, what="--list", arg=None):
        folder = self.place(files)
        paths = [s if "," in s else os.path.join(folder, s) for s in sources]
        os.chdir(self.folder)
        try:
            with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
                theirs = True, self.ansible.run(paths, what, arg)
        except Exception as e:  # whatever Ansible dies of is a refusal
            theirs = False, "%s: %s" % (type(e).__name__, e)
        return theirs, self.muster.run(paths, what, arg)

    def compare(self, files, sources, what="--list", arg=None):
        theirs, ours = self.both(files, sources, what, arg)
        context_text = "\nfiles: %r\nansible: %s\nmuster: %s" % (files, theirs[1][:3000], ours[1][:3000])
        self.assertEqual(theirs[0], ours[0], "one of them refuses" + context_text)
        if not theirs[0]:
            type(self).refused += 1
            self.assertRegex(ours[1], r"\S", "a refusal without a reason")
            return
        type(self).agreed += 1
        a, b = theirs[1], ours[1]
        if what == "--list":
            a, b = (json.dumps(json.loads(t), sort_keys=True, indent=1) for t in (a, b))
        self.assertEqual(a, b, context_text)

    def test_cases(self):
        for name, (files, sources, what, arg) in CASES.items():
            with self.subTest(name):
                self.compare(files, sources, what, arg)

    def test_generated(self):
        for seed in range(GENERATED):
            with self.subTest(seed=seed):
                files, sources = Generator(seed).build()
                self.compare(files, sources)

    def test_enough_cases(self):
        self.assertGreaterEqual(len(CASES) + GENERATED, 150)

    def test_named_differences(self):
        with open(os.path.join(ROOT, "docs", "differences.md"), encoding="utf-8") as f:
            text = f.read()
        for name, files, sources, theirs, says in DIFFERENCES:
            with self.subTest(name, files=str(files)[:60]):
                self.assertIn(name, text, "the difference is not in docs/differences.md")
                if not isinstance(files, dict):
                    files = {"hosts": files}
                sources = sources or [sorted(files)[0]]
                if theirs == "skip":
                    folder = self.place(files)
                    ours = self.muster.run([os.path.join(folder, s) for s in sources])
                else:
                    answer, ours = self.both(files, sources)
                    self.assertEqual(answer[0], theirs == "accepts", answer[1])
                self.assertEqual(ours[0], says is None, ours[1])
                if says is not None:
                    self.assertRegex(ours[1], says)
                elif theirs == "accepts":
                    self.assertNotEqual(json.loads(answer[1]), json.loads(ours[1]), "no difference any more")

    def test_nothing_is_read_from_the_current_folder(self):
        folder = self.place({"i/hosts": "h\n", "cwd/group_vars/all.yml": "leak: 1\n"})
        os.chdir(os.path.join(folder, "cwd"))
        try:
            self.assertIn("leak", self.ansible.run([os.path.join(folder, "i/hosts")]))
            ok, text = self.muster.run([os.path.join(folder, "i/hosts")])
        finally:
            os.chdir(self.folder)
        self.assertTrue(ok)
        self.assertNotIn("leak", text)


if __name__ == "__main__":
    unittest.main()
