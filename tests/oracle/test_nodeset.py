"""Host sets against ClusterShell: the same folding and the same expansion, to the byte.

Generated cases come from a fixed seed. One process of select_tool answers all of them; a few go
through the real `nodeset` and through `muster hosts`. Differences by design are in
docs/differences.md, section "Host sets", and are tested here as such.
"""
import os
import random
import subprocess
import unittest

from ClusterShell.NodeSet import NodeSet, NodeSetException, RESOLVER_NOGROUP
from ClusterShell.RangeSet import RangeSetException

BUILD = os.environ["MUSTER_BUILD"]
MUSTER = os.environ.get("MUSTER", "")
TOOL = os.environ.get("SELECT_TOOL", os.path.join(BUILD, "tests", "oracle", "select_tool"))

PICKED = """
node1
node1,node2
node[1-5]
node[1-5,9]
web[01-20/2].example.com
web[01-20/3]
node-00[00-99]
node[2,01,001]
node[08-11]
node[8-11]
node[8-11,08-11]
node[001-003,01-03,1-3]
node[09,98-99,100]
node[08,09,98-99,100]
node[99-101,099]
node[0-9,00-09]
node[1-3]5
node[01-02]5
node[8-11]5
node[1,3,9]5
n1[2-5]
n1[02-15]
n0[2-5]
node[1-2]rack[3-4]
rack[1-3]n[1-4]
rack[1-3]-n[1-4],rack5-n[1-4]
rack[1-3]-n[1-4],rack2-n9
dc[1-2]n[01-10/3]
dc[1-2]n[01-10/3]!dc1n04
a[1-3]b[1-3]c[1-3]!a2b2c2
a[1-3]b[1-3]c[1-3]^a[2-5]b[2-5]c[2-5]
a[1-9]b[1-9]&a[3-12]b[5-6]
a1b1,a2b2,a3b3,a1b2,a2b1
a1b1,a1b2,a2b1,a2b2,a3b2,a3b3
a10b1,a2b1,a1b1,a10b2,a2b2
node[1-10]!node[4-6]
node[1-10]&node[4-16]
node[1-10]^node[4-16]
node[1-10]!node[4-6],node5
node[1-10],node[4-6]!node[1-3]&node[5-20]
db,web1,web2
db,db
5
[1-5]
[01-05]x
1.2.3.4
10.0.0.[1-20]
10.0.[0-3].[1-4]
10.0.[0-3].[1-4],10.0.9.[1-4]
10.0.0.1,10.0.0.2,10.0.1.1
fe80::1,fe80::2
a%b1,a%b2
a%s1,a%s2
100%
a,b!b
a!b
a^a
a1^a1
a&b
node[0-0]
node[00-00]
node[0-00]
node[5/1]
node[1-1/1]
node[1-9/20]
node[1 - 5]
node[ 1 , 3-4 ]
 a , b
web[1-3],db[1-2],app
x[1-3]y,x[1-3]z
a-b_c.d1
aa[1-2]x[3-4]yy[5-6]
n[1-2]x01,n[1-2]x02
vm-550e8400-e29b
vm-550e8400-e29b,vm-550e8401-e29b
Web1,web1,WEB2
node[1,3,5,7,9]
node[1,2,4,5,7,8]
node[1,6,7]
node[1,6,11,12]
node[01,06,10,11]
node[1-3,10,20,30-33]
node[9,10,11,099,100]
""".strip("\n").split("\n")

REFUSED = """
node[
node[1
node]
node]1[
node[1]]
node[]
node[1,]
node[,1]
node[a-b]
node[3-1]
node[01-100]
node[0-010]
node[1-5/0]
node[1-5/x]
node[1/2]
node[1-2][3-4]
node[1-2]5[3]
node[1-5/2]7
node[0-10]5
a,
,a
a,,b
a!
!a
a&
&
node[-05]
node[1-]
node[-]
""".strip("\n").split("\n")


def digits(rng, width):
    return "%0*d" % (width, rng.randint(0, 10 ** width - 1))


def bracket(rng):
    parts = []
    for _ in range(rng.randint(1, 3)):
        kind = rng.random()
        if kind < 0.35:
            parts.append(str(rng.choice([1, 2, 3, 9, 10, 11, 99, 100, rng.randint(0, 30)])))
        elif kind < 0.5:
            parts.append(digits(rng, rng.randint(2, 3)))
        else:
            low = rng.randint(0, 12)
            high = low + rng.randint(0, 6)
            width = rng.choice([0, 0, 2, 3])
            step = rng.choice(["", "", "", "/2", "/3"])
            parts.append("%0*d-%0*d%s" % (width, low, width, high, step))
    return "[" + ",".join(parts) + "]"


def operand(rng, dims):
    text = rng.choice(["n", "web", "a-", "r%", "X"])
    for axis in range(dims):
        if axis:
            text += rng.choice(["-", "b", ".x"])
        text += bracket(rng) if rng.random() < 0.6 else str(rng.randint(0, 12))
    return text + rng.choice(["", "", ".example.com", "-ilo"])


def small_operand(rng, dims):
    """Few names and few shapes, so that operands overlap and several indexes fold."""
    text = "n"
    for axis in range(dims):
        low = rng.randint(1, 4)
        text += "%s[%d-%d]" % ("abcd"[axis], low, low + rng.randint(0, 3))
    return text


def generated():
    rng = random.Random(20240229)
    cases = []
    for _ in range(260):
        dims = rng.choice([1, 1, 1, 2, 2, 3])
        text = operand(rng, dims)
        for _ in range(rng.randint(0, 3)):
            text += rng.choice(",,,!&^") + operand(rng, rng.choice([dims, 1]))
        cases.append(text)
    for _ in range(200):
        dims = rng.choice([1, 2, 2, 3, 4])
        text = small_operand(rng, dims)
        for _ in range(rng.randint(1, 5)):
            text += rng.choice(",,!^&") + small_operand(rng, dims)
        cases.append(text)
    for _ in range(120):  # scattered names: what folding several indexes is hard on
        dims = rng.choice([2, 2, 3])
        size = rng.choice([3, 5, 12])
        names = ["n" + "-".join(str(rng.randint(1, size)) for _ in range(dims))
                 for _ in range(rng.randint(2, 60))]
        cases.append(",".join(names))
    for _ in range(80):  # digits that touch a bracket
        low = rng.randint(0, 15)
        width = rng.choice([0, 2, 3])
        cases.append("n%s[%0*d-%0*d]%s" % (rng.choice(["", "1", "0", "10", "00"]), width, low, width,
                                           low + rng.randint(0, 8), rng.choice(["", "5", "05", "-x"])))
    return cases


class Tool:
    def __init__(self):
        self.process = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def ask(self, kind, text):
        self.process.stdin.write("%s %s\n" % (kind, text))
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait()


class HostSets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tool = Tool()

    @classmethod
    def tearDownClass(cls):
        assert cls.tool.close() == 0

    def compare(self, text):
        theirs = NodeSet(text, resolver=RESOLVER_NOGROUP)
        self.assertEqual(self.tool.ask("f", text), str(theirs), text)
        self.assertEqual(self.tool.ask("e", text), " ".join(theirs), text)

    def test_picked(self):
        for text in PICKED:
            with self.subTest(text):
                self.compare(text)

    def test_generated(self):
        cases = generated()
        compared = 0
        for text in cases:
            with self.subTest(text):
                try:
                    NodeSet(text, resolver=RESOLVER_NOGROUP)
                except (NodeSetException, RangeSetException):
                    self.assertTrue(self.tool.ask("f", text).startswith("! "), text)
                    continue
                if self.tool.ask("f", text).startswith("! ambiguous: "):
                    self.assertRegex(text, r"[0-9]\[")
                    continue
                self.compare(text)
                compared += 1
        self.assertGreater(compared, 500)

    def test_refused_by_both(self):
        for text in REFUSED:
            with self.subTest(text):
                with self.assertRaises((NodeSetException, RangeSetException, ValueError)):
                    NodeSet(text, resolver=RESOLVER_NOGROUP)
                self.assertRegex(self.tool.ask("f", text), "^! parse: .* column [0-9]+: ")

    def test_difference_crossing_run(self):
        for text in ("n1[8-12]", "n1[9,10]", "n1[99-100]"):
            self.assertRegex(self.tool.ask("f", text), "^! ambiguous: ")
        self.assertEqual(self.tool.ask("f", "n1[08-12]"), str(NodeSet("n1[08-12]")))

    def test_difference_negative(self):
        self.assertEqual(self.tool.ask("e", "n[-3-2]"), " ".join(NodeSet("n[-3-2]")))
        self.assertEqual(self.tool.ask("f", "n[-3--1]"), "n-[1-3]")

    def test_difference_long_digits(self):
        text = "n123456789012345678,n123456789012345679"
        self.assertEqual(self.tool.ask("f", text), text)
        self.assertRegex(self.tool.ask("f", "n[1-123456789012345678]"), "^! limit: ")

    def test_difference_three_numbers(self):
        self.assertEqual(str(NodeSet("n[1-2-3]")), "n[-2-3]")
        self.assertRegex(self.tool.ask("f", "n[1-2-3]"), "^! parse: ")

    def test_difference_blank_inside(self):
        self.assertRegex(self.tool.ask("f", "a b"), "^! parse: .*blank")

    def test_limit(self):
        for text in ("n[1-10000001]", "n[0-99999]x[0-99999]", "a,n[0-9999999]"):
            self.assertRegex(self.tool.ask("f", text), "^! limit: ")

    def test_nodeset_itself(self):
        for text in ("web[01-20/2].example.com", "a[1-3]b[1-3]!a2b2", "node[2,01,001],db"):
            for kind, option in (("f", "-f"), ("e", "-e")):
                theirs = subprocess.run(["nodeset", option, text], check=True, text=True,
                                        capture_output=True).stdout.rstrip("\n")
                self.assertEqual(self.tool.ask(kind, text), theirs)

    @unittest.skipUnless(MUSTER, "MUSTER names no program")
    def test_the_verb(self):
        text = "dc[1-2]n[01-10/3],web[1-3]!web2"
        for option, theirs in (("--fold", str(NodeSet(text))),
                               ("--expand", " ".join(NodeSet(text))),
                               ("--count", str(len(NodeSet(text))))):
            ours = subprocess.run([MUSTER, "hosts", "-w", text, option], check=True, text=True,
                                  capture_output=True).stdout.rstrip("\n")
            self.assertEqual(ours, theirs)


if __name__ == "__main__":
    unittest.main()
