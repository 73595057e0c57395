"""The agent's figures against psutil, within a second of each other, idle and under load.

Each figure is asked of psutil, of the agent's core (core_dump), and of psutil again: the core's must
lie between, or off by no more than psutil's own tests allow against other tools. What moves by more
in that time is asked again, as they do. The differences that there are on purpose are in
docs/differences.md, section "psutil", and are tested here as such.
"""
import collections
import functools
import json
import mmap
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import psutil

BUILD = os.environ["MUSTER_BUILD"]
TOOL = os.environ.get("CORE_DUMP", os.path.join(BUILD, "tests", "oracle", "core_dump"))
HZ = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20
# psutil's own: tests/__init__.py
SYS_MEM = 5 * MIB
DISK_USAGE = 10 * MIB
RETRIES = 10


def retry(method):
    """Figures move while they are compared."""
    @functools.wraps(method)
    def tried(self):
        for left in reversed(range(RETRIES)):
            try:
                return method(self)
            except AssertionError:
                if left == 0:
                    raise
    return tried


class Core:
    """core_dump, kept running: a sample is a line."""

    def __init__(self, *args):
        self.child = subprocess.Popen([TOOL, *args, "--count", "1000"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE)
        self.asked = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.stdout.close()
        if self.child.wait() != 0:
            raise AssertionError("core_dump ended with %d" % self.child.returncode)

    def sample(self):
        if self.asked:
            self.child.stdin.write(b"\n")
            self.child.stdin.flush()
        self.asked = True
        return json.loads(self.child.stdout.readline(), object_hook=text)["sections"]


def text(o):
    """Bytes as psutil has them: surrogates."""
    if set(o) == {"bin"}:
        return os.fsdecode(bytes.fromhex(o["bin"]))
    return o


def sample(*args):
    with Core(*args) as core:
        return core.sample()


def section(name, *args):
    return checked(name, sample("--only", name, *args))


def checked(name, sections):
    s = sections[name]
    if s["status"] != "ok":
        raise AssertionError("%s: %s, %s" % (name, s["status"], s.get("error")))
    return s["data"]


def rows(table):
    return [dict(zip(table["cols"], r)) for r in table["rows"]]


BUSY = """
import os, tempfile
block = bytearray(os.urandom(1 << 20))
with tempfile.TemporaryFile() as f:
    print("ready", flush=True)
    while True:
        f.seek(0)
        f.write(block)
        f.flush()
        sum(block[:50000])
        if os.fork() == 0:
            os._exit(0)
        os.wait()
"""


def sleep_of_its_own(folder):
    """A sleep with a loader and a C library of its own: with those that all programs map, its share
    of them (pss, uss) would change whenever any program starts or ends."""
    maps = [m.path for m in psutil.Process().memory_maps()]
    paths = {"sleep": shutil.which("sleep"),
             "loader": next(m for m in maps if os.path.basename(m).startswith("ld-linux")),
             "libc.so.6": next(m for m in maps if os.path.basename(m).startswith("libc."))}
    for name, path in paths.items():
        shutil.copy(path, os.path.join(folder, name))
    return subprocess.Popen([os.path.join(folder, "loader"), "--library-path", folder,
                             os.path.join(folder, "sleep"), "1000"], cwd="/", env={"LC_ALL": "C"})


class Figures(unittest.TestCase):
    """Idle: as the machine happens to be."""

    def near(self, name, before, got, after, tolerance):
        low, high = min(before, after) - tolerance, max(before, after) + tolerance
        self.assertTrue(low <= got <= high, "%s: %s, psutil %s and %s, tolerance %s"
                        % (name, got, before, after, tolerance))

    def between(self, ask, take, names, tolerance):
        """`ask` psutil, take a sample, ask again; each name within the tolerance."""
        before, data, after = ask(), take(), ask()
        for n in names:
            self.near(n, getattr(before, n), data[n], getattr(after, n), tolerance)

    # ---- cpu ----

    @retry
    def test_cpu_times(self):
        def take():
            return {k: v / HZ for k, v in section("cpu")["times"].items()}
        names = psutil.cpu_times()._fields
        self.assertEqual(set(take()), set(names))
        self.between(psutil.cpu_times, take, names, 1)

    @retry
    def test_cpu_times_of_each(self):
        before, table, after = psutil.cpu_times(percpu=True), rows(section("cpu")["percpu"]), \
            psutil.cpu_times(percpu=True)
        self.assertEqual(len(before), len(table))
        for b, got, a in zip(before, table, after):
            for n in b._fields:
                self.near(n, getattr(b, n), got[n] / HZ, getattr(a, n), 1)

    def test_cpu_counts(self):
        data = section("cpu")
        self.assertEqual(data["logical"], psutil.cpu_count())
        self.assertEqual(data["cores"], psutil.cpu_count(logical=False))

    @retry
    def test_cpu_stats(self):
        self.between(psutil.cpu_stats, lambda: section("cpu"),
                     ("ctx_switches", "interrupts", "soft_interrupts", "syscalls"), 500)

    @retry
    def test_load(self):
        before, data, after = psutil.getloadavg(), section("cpu"), psutil.getloadavg()
        for i, name in enumerate(("load1", "load5", "load15")):
            self.near(name, before[i], data[name], after[i], 0.01)

    @retry
    def test_frequencies(self):
        try:
            before, after = psutil.cpu_freq(percpu=True), psutil.cpu_freq(percpu=True)
        except (OSError, NotImplementedError) as e:
            self.skipTest("psutil cannot tell here: %s" % e)
        table = rows(section("cpu")["freq"])
        self.assertEqual(len(table), len(before))
        for b, got, a in zip(before, table, after):
            self.assertEqual((got["min"], got["max"]), (b.min, b.max))
            self.near("current", b.current, got["current"], a.current, 0.2 * b.current)

    # ---- memory ----

    @retry
    def test_memory(self):
        names = [n for n in psutil.virtual_memory()._fields if n not in ("percent", "used")]
        self.between(psutil.virtual_memory, lambda: section("memory"), names, SYS_MEM)
        self.assertEqual(section("memory")["total"], psutil.virtual_memory().total)

    def test_memory_used(self):
        """psutil 7.1 and later, and free(1) of procps 4: total - available."""
        data = section("memory")
        self.assertEqual(data["used"], data["total"] - data["available"])

    @retry
    def test_swap(self):
        names = ("total", "used", "free", "sin", "sout")
        if PAGE != 4096:
            names = names[:3]  # differences.md: psutil takes every page for 4 KiB
        self.between(psutil.swap_memory, lambda: section("swap"), names, SYS_MEM)

    # ---- disks ----

    @retry
    def test_partitions(self):
        table = rows(section("disk")["mounts"])

        def key(p):
            return p.device, p.mountpoint, p.fstype, p.opts
        got = [(r["device"], r["mountpoint"], r["fstype"], r["opts"]) for r in table]
        physical = [g for g, r in zip(got, table) if r["physical"]]
        self.assertEqual(physical, [key(p) for p in psutil.disk_partitions(all=False)])
        everything = [key(p) for p in psutil.disk_partitions(all=True)]
        self.assertEqual([g for g in got if g not in everything], [])
        detail = rows(section("disk", "--detail")["mounts"])
        self.assertEqual([(r["device"], r["mountpoint"], r["fstype"], r["opts"]) for r in detail],
                         everything)

    @retry
    def test_usage(self):
        seen = 0
        for r in rows(section("disk")["mounts"]):
            if r["status"] != "ok":
                continue
            u = psutil.disk_usage(r["mountpoint"])
            self.assertEqual(r["total"], u.total, r["mountpoint"])
            for n in ("used", "free"):
                self.near(r["mountpoint"], getattr(u, n), r[n], getattr(u, n), DISK_USAGE)
            seen += 1
        self.assertGreater(seen, 0)

    @retry
    def test_disk_io(self):
        def ask():
            return psutil.disk_io_counters(perdisk=True, nowrap=False)
        before, table, after = ask(), rows(section("diskio")["disks"]), ask()
        self.assertEqual({r["name"] for r in table}, set(before))
        for r in table:
            b, a = before[r["name"]], after[r["name"]]
            for n in b._fields:
                self.near(r["name"] + " " + n, getattr(b, n), r[n], getattr(a, n),
                          MIB if n.endswith("bytes") else 1000)

    @retry
    def test_disk_io_sum(self):
        def ask():
            return psutil.disk_io_counters(nowrap=False)
        before, table, after = ask(), rows(section("diskio")["disks"]), ask()
        if before is None:
            self.assertEqual(table, [])
            return
        for n in before._fields:
            got = sum(r[n] for r in table if r["total"])
            self.near(n, getattr(before, n), got, getattr(after, n),
                      MIB if n.endswith("bytes") else 1000)

    # ---- network ----

    @retry
    def test_net_io(self):
        def ask():
            return psutil.net_io_counters(pernic=True, nowrap=False)
        before, table, after = ask(), rows(section("net")["nics"]), ask()
        self.assertEqual({r["name"] for r in table}, set(before))
        for r in table:
            b, a = before[r["name"]], after[r["name"]]
            for n in b._fields:
                tolerance = 10240 if n.startswith("bytes") else 1024 if n.startswith("pack") else 10
                self.near(r["name"] + " " + n, getattr(b, n), r[n], getattr(a, n), tolerance)

    @retry
    def test_interfaces(self):
        want, table = psutil.net_if_stats(), rows(section("net")["nics"])
        self.assertEqual({r["name"] for r in table}, set(want))
        for r in table:
            w = want[r["name"]]
            self.assertEqual((r["isup"], r["duplex"], r["speed"], r["mtu"], r["flags"]),
                             (w.isup, int(w.duplex), w.speed, w.mtu, w.flags), r["name"])

    @retry
    def test_addresses(self):
        got = collections.defaultdict(list)
        for r in rows(section("addrs")["addrs"]):
            got[r["name"]].append((r["family"], r["address"], r["netmask"], r["broadcast"], r["ptp"]))
        want = {k: [(int(a.family), a.address, a.netmask, a.broadcast, a.ptp) for a in v]
                for k, v in psutil.net_if_addrs().items()}
        self.assertEqual({k: sorted(v, key=repr) for k, v in got.items()},
                         {k: sorted(v, key=repr) for k, v in want.items()})

    @staticmethod
    def socket_key(c):
        return (int(c.family), int(c.type), tuple(c.laddr), tuple(c.raddr), c.status)

    @staticmethod
    def row_key(r):
        if r["family"] == socket.AF_UNIX:
            return (r["family"], r["type"], tuple(r["laddr"]), (), r["status"])
        return (r["family"], r["type"], () if r["laddr"] is None else (r["laddr"], r["lport"]),
                () if r["raddr"] is None else (r["raddr"], r["rport"]), r["status"])

    @retry
    def test_connections(self):
        with socket.create_server(("127.0.0.1", 0)) as server, \
                socket.create_connection(server.getsockname()) as client, server.accept()[0], \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 0))
            before, data, after = psutil.net_connections("inet"), section("connections"), \
                psutil.net_connections("inet")
            got = rows(data["connections"])
            self.near("count", len(before), data["count"], len(after), 0.2 * len(before) + 10)
            for status in ("LISTEN", "NONE"):  # those of others may come and go
                here = {self.row_key(r) for r in got if r["status"] == status}
                was, will = ({self.socket_key(c) for c in asked if c.status == status}
                             for asked in (before, after))
                self.assertEqual(((was & will) - here, here - (was | will)), (set(), set()))
            if not data["truncated"]:
                pair = (socket.AF_INET, socket.SOCK_STREAM, client.getsockname(),
                        server.getsockname(), "ESTABLISHED")
                self.assertIn(pair, [self.row_key(r) for r in got])

    @retry
    def test_owners_of_connections(self):
        with tempfile.TemporaryDirectory() as folder, \
                socket.create_server(("127.0.0.1", 0)) as server, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, \
                socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unix:
            udp.bind(("127.0.0.1", 0))
            unix.bind(os.path.join(folder, "a socket"))
            data = section("connections", "--detail")
            kept = [r for r in rows(data["connections"]) if r["status"] in ("LISTEN", "NONE")]
            if data["truncated"] and len(kept) == len(data["connections"]["rows"]):
                self.skipTest("even those that listen do not fit here")
            mine = [r for r in rows(data["connections"]) if r["pid"] == os.getpid()]
            self.assertEqual({(r["fd"], r["family"], r["type"]) for r in mine},
                             {(s.fileno(), int(s.family), int(s.type)) for s in (server, udp, unix)})
            self.assertIn(os.path.join(folder, "a socket"),
                          [r["laddr"] for r in mine if r["family"] == socket.AF_UNIX])

    # ---- the rest ----

    def test_boot_time(self):
        self.assertEqual(section("host")["boot_time"], int(psutil.boot_time()))

    def test_sensors(self):
        data = section("sensors")
        want = psutil.sensors_temperatures()
        self.assertEqual(sorted((r["chip"], r["label"]) for r in rows(data["temperatures"])),
                         sorted((k, s.label) for k, v in want.items() for s in v))
        fans = psutil.sensors_fans()
        self.assertEqual(sorted((r["chip"], r["label"]) for r in rows(data["fans"])),
                         sorted((k, s.label) for k, v in fans.items() for s in v))
        battery = psutil.sensors_battery()
        self.assertEqual(data["battery"] is None, battery is None)
        if battery is not None:
            self.near("battery", battery.percent, data["battery"]["percent"], battery.percent, 1)
            self.assertEqual(data["battery"]["plugged"], battery.power_plugged)

    @retry
    def test_users(self):
        s = sample("--only", "users")["users"]
        if s["data"]["source"] != "utmp":
            self.assertEqual(psutil.users(), [])  # it knows utmp only
            return
        self.assertEqual([(r["name"], r["terminal"], r["pid"], r["started"])
                          for r in rows(s["data"]["users"])],
                         [(u.name, u.terminal or None, u.pid, u.started) for u in psutil.users()])
        for r, u in zip(rows(s["data"]["users"]), psutil.users()):
            self.assertEqual(r["host"], u.host or "localhost")  # since 6.1.1

    # ---- processes ----

    @retry
    def test_pids(self):
        start = time.time()
        before, data, after = set(psutil.pids()), section("processes", "--top", "4096"), \
            set(psutil.pids())
        got = {r["pid"]: r for r in rows(data["processes"])}
        self.assertGreaterEqual(data["total"], len(got))  # more: counted, and gone before their rows
        self.assertEqual((before & after) - set(got), set())
        # core_dump itself, and whoever came and went meanwhile.
        self.assertEqual([r for pid, r in got.items() if pid not in before | after and
                          r["create_time"] < start - 1], [])
        self.assertEqual(sum(data["by_status"].values()), data["total"])
        self.assertEqual(data["visibility"], "all")

    def test_every_attribute_of_every_process(self):
        """Those that cannot change, of all processes that live through it."""
        data = section("processes", "--top", "1000", "--detail")
        seen = 0
        for r in rows(data["processes"]):
            try:
                p = psutil.Process(r["pid"])
                with p.oneshot():
                    if abs(p.create_time() - r["create_time"]) > 0.02 or p.status() == "zombie" or \
                            r["status"] == "zombie":
                        continue
                    self.fixed(r, p)
                    self.growing(r, p)
                seen += 1
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        self.assertGreater(seen, 3)

    def fixed(self, r, p):
        where = "%d %s" % (r["pid"], r["name"])
        cmdline = r["cmdline"].split("\0")
        want = p.cmdline()
        if len("\0".join(want)) < 256 and p.ppid() == r["ppid"]:  # has it become another by exec?
            if want != cmdline[:-1]:
                return
        if not r["name"].startswith("kworker/"):  # named after what they just do
            self.assertEqual(r["name"], p.name(), where)
        self.assertEqual(r["username"], p.username(), where)
        self.assertEqual((r["uid"], r["euid"], r["suid"]), tuple(p.uids()), where)
        self.assertEqual((r["gid"], r["egid"], r["sgid"]), tuple(p.gids()), where)
        self.assertEqual(r["nice"], p.nice(), where)
        self.assertEqual(r["terminal"], p.terminal(), where)
        self.assertEqual(cpus(r["cpu_affinity"]), p.cpu_affinity(), where)
        self.assertEqual((r["ionice_class"], r["ionice_value"]),
                         (int(p.ionice().ioclass), p.ionice().value), where)
        if r["exe"] is not None:
            self.assertEqual(r["exe"], p.exe(), where)

    def growing(self, r, p):
        """Counters: psutil was second."""
        where = "%d %s" % (r["pid"], r["name"])
        times = p.cpu_times()
        for n, v in (("cpu_user", times.user), ("cpu_system", times.system),
                     ("cpu_children_user", times.children_user)):
            self.assertLessEqual(r[n] / HZ, v + 0.3, where + " " + n)
        ctx = p.num_ctx_switches()
        self.assertLessEqual(r["ctx_voluntary"], ctx.voluntary + 1, where)
        if r["read_bytes"] is not None:
            io = p.io_counters()
            self.assertLessEqual(r["read_bytes"], io.read_bytes, where)
            self.assertLessEqual(r["write_chars"], io.write_chars, where)

    @retry
    def test_a_process_that_sleeps(self):
        """All of it, exactly: it does nothing meanwhile, and shares its pages with nobody but us."""
        with tempfile.TemporaryDirectory() as folder, sleep_of_its_own(folder) as child, \
                Core("--only", "processes", "--top", "1000", "--detail") as core:
            try:
                p = psutil.Process(child.pid)
                while len(p.memory_maps()) < 10 or p.status() != "sleeping":
                    pass
                with open(os.path.join(folder, "libc.so.6"), "rb") as f, \
                        mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as shared:
                    self.assertTrue(any(shared[::PAGE]))  # touched, so that pss is not uss
                    before, data, after = p.as_dict(), checked("processes", core.sample()), p.as_dict()
                for still in ("num_ctx_switches", "memory_full_info"):
                    self.assertEqual(before[still], after[still])
                self.sleeper(next(r for r in rows(data["processes"]) if r["pid"] == child.pid),
                             before, child.args)
            finally:
                child.kill()

    def sleeper(self, r, want, args):
        self.assertEqual(r["name"], "loader")
        self.assertEqual(r["cmdline"], "".join(a + "\0" for a in args))
        self.assertEqual(r["status"], "sleeping")
        self.assertEqual(r["ppid"], os.getpid())
        self.assertEqual(r["cwd"], "/")
        for name in ("ppid", "exe", "cwd", "nice", "num_threads", "num_fds", "username", "cpu_num"):
            self.assertEqual(r[name], want[name], name)
        m = want["memory_full_info"]
        self.assertNotEqual(m.uss, m.pss)
        for name in ("rss", "vms", "shared", "text", "data", "uss", "pss", "swap"):
            self.assertEqual(r[name], getattr(m, name), name)
        io = want["io_counters"]
        if io is not None:
            for name in ("read_count", "write_count", "read_bytes", "write_bytes", "read_chars",
                         "write_chars"):
                self.assertEqual(r[name], getattr(io, name), name)
        self.assertEqual((r["ctx_voluntary"], r["ctx_involuntary"]), tuple(want["num_ctx_switches"]))
        t = want["cpu_times"]
        for name, v in (("cpu_user", t.user), ("cpu_system", t.system), ("cpu_iowait", t.iowait)):
            self.assertEqual(r[name] / HZ, v, name)
        self.assertAlmostEqual(r["create_time"], want["create_time"], delta=0.02)

    def test_odd_processes(self):
        """A zombie; names and arguments that are made to mislead."""
        with tempfile.TemporaryDirectory() as folder:
            name = os.path.join(folder, ") S 1 (x) and it is long")
            os.symlink("/bin/sleep", name)
            odd = subprocess.Popen([name, "1000"])
            dead = subprocess.Popen(["true"])
            try:
                zombie, p = psutil.Process(dead.pid), psutil.Process(odd.pid)
                while zombie.status() != "zombie" or p.cmdline()[:1] != [name]:
                    pass
                table = {r["pid"]: r for r in rows(section("processes", "--top", "1000")["processes"])}
                self.assertEqual(table[dead.pid]["status"], "zombie")
                self.assertIsNone(table[dead.pid]["cmdline"])
                self.assertEqual(table[odd.pid]["name"], p.name())
                self.assertEqual(table[odd.pid]["cmdline"].split("\0")[:-1], p.cmdline())
                self.assertEqual(table[odd.pid]["ppid"], os.getpid())
            finally:
                odd.kill()
                odd.wait()
                dead.wait()

    @retry
    def test_those_that_lead(self):
        data = rows(section("processes", "--top", "3", "--by", "rss")["processes"])
        want = sorted((p.info["memory_info"].rss for p in psutil.process_iter(["memory_info"])
                       if p.info["memory_info"]), reverse=True)[:3]
        for r, w in zip(data, want):
            self.near("rss", w, r["rss"], w, SYS_MEM)


def cpus(ranges):
    """"0-2,5" as a list."""
    out = []
    for part in ranges.split(","):
        low, _, high = part.partition("-")
        out += range(int(low), int(high or low) + 1)
    return out


class UnderLoad(Figures):
    """The same while others compute, write and start processes."""

    @classmethod
    def setUpClass(cls):
        cls.busy = [subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE)
                    for _ in range(3)]
        for b in cls.busy:
            b.stdout.readline()

    @classmethod
    def tearDownClass(cls):
        for b in cls.busy:
            b.kill()
            b.wait()
            b.stdout.close()

    @classmethod
    def all_alive(cls):
        return all(b.poll() is None for b in cls.busy)

    def tearDown(self):
        self.assertTrue(self.all_alive())


if __name__ == "__main__":
    unittest.main()
