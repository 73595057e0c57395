"""Patterns against Ansible: the same hosts in the same order as `ansible --list-hosts`.

Generated cases come from a fixed seed; Ansible's InventoryManager answers in this process, muster's
pattern module in one select_tool, a few go through both programs. Differences by design are in
docs/differences.md, section "Patterns", and are tested here as such.
"""
import os
import random
import subprocess
import tempfile
import unittest

from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager, order_patterns, split_host_pattern
from ansible.parsing.dataloader import DataLoader

BUILD = os.environ["MUSTER_BUILD"]
MUSTER = os.environ.get("MUSTER", "")
TOOL = os.environ.get("SELECT_TOOL", os.path.join(BUILD, "tests", "oracle", "select_tool"))

INVENTORY = """
all:
  hosts:
    lonely:
    mail.example.com:
    "fe80::1":
  children:
    web:
      hosts:
        web[01:12].example.com:
        app1:
        app2:
      children:
        edge:
          hosts:
            edge-[a:d]:
            app2:
    db:
      hosts:
        db1:
        db2:
        db10:
        canary:
    db_replicas:
      hosts:
        db2:
        db10:
    prod:
      children:
        web:
        db:
    staging:
      hosts:
        app2:
        stage[1:3]:
    empty: {}
    rack1:
      hosts: {db1: , app1: }
    rack2:
      hosts: {db2: , "web03.example.com": }
    10.0.0.x:
      hosts:
        10.0.0.[1:5]:
"""

PICKED = """
all
*
web
db
edge
prod
empty,db
ungrouped
lonely
mail.example.com
db1
db1,db2
db2,db1
db,web
web,db
db:web
db:web:staging
web:&prod
web:&staging
prod:!db
prod:&staging
web:!edge
!db
&db
!db:!web
&web:&prod
web:db:&staging
web,db,!db1
db,!db1,!db2
!db1,db
&staging,web
web,&staging
db*
*db*
db?
db1*
web*
w*b
*.example.com
web0[1-3]*
web0[!1-3].example.com
web0[13579].example.com
edge-[ab]
edge-[!ab]
edge-[a-c]
~web0[1-3]
~db\\d+$
~(web|db)
~.*\\.example\\.com
~edge-[ab]
~db\\d+:&rack1
web[0]
web[-1]
web[1:3]
web[2:]
web[0:0]
db[0]
db[1:2]
db*[0]
db*[0:3]
rack*[1]
rack*[0:2]
prod[5:8]
all[3]
all[0:4]
web[0:2]:db[0]
web[0:2],db[0]
web[0:2]:!web[1]
staging[1:]
db:rack1:rack2
rack?
rack*
fe80::1
fe80::1,db1
10.0.0.1
10.0.0.*
10.0.0.x
10.0.0.?
10.0.0.x[1:2]
app1:app2
app2
stage1,stage3
stage*:!stage2
db canary
 db , web 
db,,web
db,
web[20:30],db
db:!canary:&prod
edge:&web
edge,web[0]
*:!*.example.com
*:&db
lonely:db1:lonely
db1,db1
all:!prod
all:&prod:!web
ungrouped:db
?????
~^db
~[dw].*
db[!1]
db_replicas
db_replicas:db
db:&db_replicas
!db_replicas:db
""".strip("\n").split("\n")

# What Ansible answers and we refuse: (pattern, the start of our answer).
REFUSED = [
    ("nosuch", "! not-found: nosuch matches nothing"),
    ("web,nosuch", "! not-found: nosuch matches nothing"),
    ("web:!nosuch", "! not-found: nosuch matches nothing"),
    ("web:&nosuch", "! not-found: nosuch matches nothing"),
    ("canray", "! not-found: canray matches nothing; canary?"),
    ("db:&edge", "! not-found: db:&edge leaves no host"),
    ("empty", "! not-found: empty leaves no host"),
    ("localhost", "! not-found: localhost matches nothing"),
    ("~nosuch", "! not-found: ~nosuch matches nothing"),
    ("nosuch*", "! not-found: nosuch* matches nothing"),
    ("web[99]", "! not-found: web[99] matches nothing"),
    ("web[3:1]", "! parse: web[3:1]"),
    ("db[1]", "! ambiguous: ambiguous: host db1 or @db[1]"),
    ("web[20:30]", "! not-found: web[20:30] matches nothing"),
    ("~(", "! parse: regular expression '('"),
    ("!", "! parse: nothing follows '!'"),
]

# Ours alone, or read otherwise than Ansible reads it.
OURS = {
    "@db": "db1 db2 db10 canary",
    "@db[1]": "db2",
    "db[1-2]": "db1 db2",
    "db[1,10]": "db1 db10",
    "stage[1-3/2]": "stage1 stage3",
    "web[01-03].example.com": "web01.example.com web02.example.com web03.example.com",
    "@rack[1-2]": "db1 app1 db2 web03.example.com",
    "@rack*:&web": "app1 web03.example.com",
    "web:&staging,stage1": "app2 stage1",
    "web db,canary:&db": "db1 db2 db10 canary",
    "~(?:lonely|db1$)": "lonely db1",
    "~db\\d{1,2}$": "db1 db2 db10",
    "stage[2]": "stage2",
}


class Ansible:
    def __init__(self, path):
        self.manager = InventoryManager(loader=DataLoader(), sources=[path])

    def hosts(self, pattern):
        return [str(h) for h in self.manager.list_hosts(pattern)]

    def matches_nothing(self, pattern):
        """Does one of the terms match neither a group nor a host?"""
        for term in order_patterns(split_host_pattern(pattern)):
            bare = term.lstrip("!&")
            name, _ = self.manager._split_subscript(bare)
            try:
                if not self.manager._match_one_pattern(bare) and name not in self.manager.groups:
                    return True
            except AnsibleError:
                return True
        return False


class Tool:
    def __init__(self, path):
        self.process = subprocess.Popen([TOOL, path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def ask(self, pattern):
        self.process.stdin.write("p %s\n" % pattern)
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait()


ATOMS = ["web", "db", "edge", "prod", "staging", "rack1", "rack2", "db1", "app1", "app2", "lonely",
         "db*", "web0?.example.com", "*.example.com", "~db\\d", "~edge", "edge-[ab]", "stage*",
         "web[0:4]", "web[2:]", "prod[3]", "db[-1]", "rack*[0:2]", "all", "ungrouped", "10.0.0.*",
         "db_replicas", "*a*", "nosuch", "mail.example.com"]


def generated():
    rng = random.Random(424242)
    cases = []
    for _ in range(300):
        terms = [rng.choice(["", "", "", "&", "!"]) + rng.choice(ATOMS)
                 for _ in range(rng.randint(1, 4))]
        if all(":" not in t for t in terms):
            cases.append(rng.choice(":,").join(terms))
        else:
            cases.append(",".join(terms))
    return cases


class ListHosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = os.path.join(cls.folder.name, "hosts.yml")
        with open(cls.path, "w") as f:
            f.write(INVENTORY)
        cls.ansible = Ansible(cls.path)
        cls.tool = Tool(cls.path)

    @classmethod
    def tearDownClass(cls):
        assert cls.tool.close() == 0
        cls.folder.cleanup()

    def test_picked(self):
        for pattern in PICKED:
            with self.subTest(pattern):
                theirs = self.ansible.hosts(pattern)
                if pattern == "web[20:30],db":
                    self.assertTrue(self.tool.ask(pattern).startswith("! not-found"))
                    continue
                self.assertTrue(theirs, pattern)
                self.assertEqual(self.tool.ask(pattern).split(), theirs)

    def test_generated(self):
        same = refused = 0
        for pattern in generated():
            with self.subTest(pattern):
                ours = self.tool.ask(pattern)
                if ours.startswith("! not-found"):
                    if "leaves no host" in ours:
                        self.assertEqual(self.ansible.hosts(pattern), [])
                    else:
                        self.assertTrue(self.ansible.matches_nothing(pattern), ours)
                    refused += 1
                    continue
                self.assertEqual(ours.split(), self.ansible.hosts(pattern))
                self.assertFalse(self.ansible.matches_nothing(pattern))
                same += 1
        self.assertGreater(same, 150)
        self.assertGreater(refused, 20)

    def test_refused_by_design(self):
        for pattern, answer in REFUSED:
            with self.subTest(pattern):
                self.assertEqual(self.tool.ask(pattern)[:len(answer)], answer)

    def test_ours(self):
        for pattern, answer in OURS.items():
            with self.subTest(pattern):
                self.assertEqual(self.tool.ask(pattern), answer)

    def test_ansible_itself(self):
        for pattern in ("web:&prod:!edge", "db,web[0:2]", "~db\\d+$", "rack*"):
            run = subprocess.run(["ansible", "-i", self.path, pattern, "--list-hosts"], check=True,
                                 text=True, capture_output=True)
            theirs = [line.strip() for line in run.stdout.splitlines()[1:]]
            self.assertEqual(self.tool.ask(pattern).split(), theirs)

    @unittest.skipUnless(MUSTER, "MUSTER names no program")
    def test_limits(self):
        names = os.path.join(self.folder.name, "names")
        with open(names, "w") as f:
            f.write("db1\n\napp2\n")
        for pattern, limit in (("prod", "staging"), ("prod", "!db"), ("all", "@" + names),
                               ("web", "web[0:3],&prod"), ("prod", "@" + names + ",canary")):
            with self.subTest((pattern, limit)):
                self.ansible.manager.subset(limit)
                theirs = self.ansible.hosts(pattern)
                self.ansible.manager.subset(None)
                ours = subprocess.run([MUSTER, "hosts", "-i", self.path, "-l", limit, pattern],
                                      check=True, text=True, capture_output=True).stdout.split()
                self.assertEqual(ours, theirs)


if __name__ == "__main__":
    unittest.main()
