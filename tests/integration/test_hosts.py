"""muster hosts: every view, where hosts come from, and what is said when they do not come."""
import json
import os
import subprocess
import tempfile
import unittest

MUSTER = os.environ["MUSTER"]

INVENTORY = """
all:
  vars: {site: fra}
  children:
    web:
      hosts:
        web[01:12]: {cores: 8}
        big: {cores: 64, greeting: "hello {{ site }}", key: !vault "x"}
    db:
      hosts: {db1: , db2: , canary: }
"""


class Hosts(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = self.write("hosts.yml", INVENTORY)

    def write(self, name, text):
        path = os.path.join(self.folder.name, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        return path

    def muster(self, *words, code=0, stdin="", env=None):
        base = {"PATH": os.environ["PATH"], "HOME": self.folder.name}
        base.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        base.update(env or {})
        run = subprocess.run([MUSTER, "hosts", *words], input=stdin.encode(), cwd=self.folder.name,
                             env=base, capture_output=True)
        self.assertEqual(run.returncode, code, run.stderr.decode())
        self.stderr = run.stderr.decode()
        return run.stdout.decode()

    def test_views(self):
        i = ("-i", self.path)
        self.assertEqual(self.muster(*i, "db"), "db1\ndb2\ncanary\n")
        self.assertEqual(self.muster(*i, "--fold"), "big,canary,db[1-2],web[01-12]\n")
        self.assertEqual(self.muster(*i, "--expand", "db"), "canary db1 db2\n")
        self.assertEqual(self.muster(*i, "--count", "web", "db1"), "14\n")
        self.assertEqual(self.muster(*i, "--graph", "db"),
                         "@db:\n  |--db1\n  |--db2\n  |--canary\n")
        self.assertEqual(self.muster(*i, "--graph", "@db"), self.muster(*i, "--graph", "db"))
        document = json.loads(self.muster(*i, "--json"))
        self.assertEqual(document["_meta"]["hostvars"]["web01"], {"cores": 8, "site": "fra"})

    def test_vars(self):
        shown = json.loads(self.muster("-i", self.path, "--vars", "big"))
        self.assertEqual(shown["cores"], 64)
        self.assertEqual(shown["greeting"], "hello {{ site }}")
        self.assertRegex(self.stderr, r"hosts\.yml:8:[0-9]+: greeting is a template")
        self.assertRegex(self.stderr, r"hosts\.yml:8:[0-9]+: key is a vault value")
        self.muster("-i", self.path, "--vars", "nosuch", code=1)
        self.assertIn("nosuch: no such host", self.stderr)

    def test_narrowing(self):
        i = ("-i", self.path)
        self.assertEqual(self.muster(*i, "-l", "db,web[0:1]", "-x", "db2", "--fold"),
                         "canary,db1,web[01-02]\n")
        self.assertEqual(self.muster(*i, "--where", "cores > 8"), "big\n")
        self.assertEqual(self.muster(*i, "--where", "cores > 100"), "")
        self.muster(*i, "web:!canray", code=1)
        self.assertEqual(self.stderr, "muster: canray matches nothing; canary?\n")
        self.assertEqual(self.muster(*i, "web:!canray", code=1), "")
        self.muster(*i, "--where", "greeting == 'x'", code=1)
        self.assertRegex(self.stderr, r"hosts\.yml:8:[0-9]+: --where: greeting of host big is a")
        for text in ("site == fra", "cores > 8 and not (site != fra)", "fra in groups"):
            self.assertEqual(self.muster(*i, "--where", text, code=1), "")
            self.assertEqual(self.stderr, "muster: --where: no host has a variable 'fra'; if it is text, it wants quotes: \"fra\"\n")
        self.assertEqual(self.muster(*i, "--where", "cores == cores and nosuch != 'x'", "--count"), "16\n")

    def test_names(self):
        self.assertEqual(self.muster("-w", "n[1-3]!n2", "-w", "m", "--fold"), "m,n[1,3]\n")
        self.assertEqual(self.muster("-w", "n[2-1]", code=1), "")
        self.assertIn("host set 'n[2-1]' column 3", self.stderr)
        self.assertEqual(self.muster("-w", "n1", "-x", "n[1-1]", code=1), "")
        names = self.write("names", "# some\nn[1-2]\n\n  n9  \n")
        self.assertEqual(self.muster("-w", "^" + names), "n1\nn2\nn9\n")
        self.assertEqual(self.muster("-w", "-", "--count", stdin="a\nb,c\n"), "3\n")
        self.muster("-w", "-", code=1, stdin="a\nb[1\n")
        self.assertIn("standard input:2: host set 'b[1' column 2", self.stderr)
        self.muster("-w", "root@web01", code=1)
        self.assertIn("-u USER", self.stderr)
        for name in ("web01:2222", "[::1]:22"):
            self.muster("-w", name, code=1)
            self.assertIn("-p PORT", self.stderr)
        self.assertEqual(self.muster("-w", "::1"), "::1\n")
        self.assertEqual(self.muster("-w", "n[1-1000000]", "--fold"), "n[1-1000000]\n")

    def test_names_with_inventory(self):
        i = ("-i", self.path)
        self.assertEqual(self.muster(*i, "-w", "@db!db2,new1,web0*", "--fold"),
                         "canary,db1,new1,web[01-09]\n")
        self.assertEqual(self.muster(*i, "-w", "big,new1", "--where", "cores == 64"), "big\n")
        self.muster(*i, "-w", "@nosuch", code=1)
        self.assertIn("@nosuch matches nothing", self.stderr)
        self.muster("-w", "@db", code=1)
        self.assertIn("need an inventory", self.stderr)

    def test_places(self):
        self.muster(code=1)
        self.assertIn("no inventory: give one with -i", self.stderr)
        self.write(".config/muster/inventory.yml", "all: {hosts: {user: }}")
        self.assertEqual(self.muster(), "user\n")
        self.write("xdg/muster/inventory.yml", "all: {hosts: {xdg: }}")
        xdg = {"XDG_CONFIG_HOME": os.path.join(self.folder.name, "xdg")}
        self.assertEqual(self.muster(env=xdg), "xdg\n")
        self.write("inventory.yml", "all: {hosts: {here: }}")
        self.assertEqual(self.muster(env=xdg), "here\n")
        self.assertEqual(self.muster("db", env={"MUSTER_INVENTORY": self.path}),
                         "db1\ndb2\ncanary\n")

    def test_nothing_there(self):
        empty = self.write("empty.yml", "")
        self.assertEqual(self.muster("-i", empty, "web", code=1), "")
        self.assertEqual(self.stderr, f"muster: {empty} holds no host\n")
        self.muster("-i", empty, "-i", empty, code=1)
        self.assertIn("the inventories given with -i hold no host", self.stderr)
        run = subprocess.run([MUSTER, "run", "-i", self.path, "--where", "cores > 99", "web", "--", "true"],
                             cwd=self.folder.name, capture_output=True, text=True)
        self.assertEqual(run.returncode, 1, run)
        self.assertIn("--where keeps no host; muster hosts --vars HOST shows", run.stderr)

    def test_hostile_names(self):
        path = self.write("bad.yml", 'all: {hosts: {"a\\u001bc1": , "a\\u001bc2": }}')
        for view in ((), ("--fold",), ("--expand",)):
            text = self.muster("-i", path, *view)
            self.assertNotIn("\x1b", text)
            self.assertIn("a\\x1bc", text)
        self.muster("-i", path, "b\x1b[31m", code=1)
        self.assertNotIn("\x1b", self.stderr)


if __name__ == "__main__":
    unittest.main()
