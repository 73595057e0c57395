"""What `muster stats` writes for programs, read by programs: the exposition by `promtool check
metrics` (and by a strict reader of our own, because promtool lets some things pass), documents by
their schema. Samples are made up here, hostile ones among them; stats_tool turns them into msgpack
and feeds them in.
"""
import csv
import io
import json
import os
import random
import re
import subprocess
import unittest

import jsonschema

BUILD = os.environ["MUSTER_BUILD"]
TOOL = os.path.join(BUILD, "tests", "oracle", "stats_tool")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

MODES = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"]
NASTY = ['plain', '', 'a"b', 'a\\b', 'a\nb', 'x' * 2000, '\u00e9\u4e2d', '{evil="1"} 5', '# HELP x',
         '\x1b[31m', 'tab\there', 'NaN', '\u202eabc', 'a,b', '=1+1', '\r']


def table(*rows):
    """Rows as dicts to a table of the protocol."""
    cols = sorted({c for r in rows for c in r})
    return {"cols": cols, "rows": [[r.get(c) for c in cols] for r in rows]}


def section(data, **more):
    return {"status": "ok", "us": 12, "data": data, **more}


def sample(at, rnd, boot="b", names=("x",)):
    """A sample `at` seconds after boot with everything in it."""
    ticks = {m: int(at * 10 * (i + 1)) for i, m in enumerate(MODES)}
    name = lambda: rnd.choice(names)
    return {
        "seq": int(at), "skipped": 0, "mono_ns": int(at * 1e9), "real_ns": 1700000000 * 10**9,
        "boot_id": boot, "hz": 100, "page": 4096, "sections": {
            "host": section({"nodename": name(), "sysname": "Linux", "release": "6.1", "version": name(),
                             "machine": "x86_64", "os_id": name(), "os_name": name(),
                             "boot_time": 1699990000.0, "uptime_ms": int(at * 1000),
                             "process_visibility": "all"}),
            "cpu": section({"times": ticks, "percpu": table({"cpu": 0, **ticks}, {"cpu": 3, **ticks}),
                            "logical": 2, "cores": 1, "ctx_switches": int(at * 7), "interrupts": 5,
                            "soft_interrupts": 5, "syscalls": 0, "forks": 9, "procs_running": 1,
                            "procs_blocked": 0, "load1": 0.5, "load5": 1.25, "load15": 1e-5,
                            "freq": table({"cpu": 0, "current": 2400.123, "min": 800, "max": 3e3})}),
            "memory": section({"total": 2**40, "available": 2**39, "used": 1, "free": 2, "active": 3,
                               "inactive": 4, "buffers": 5, "cached": 6, "shared": 7, "slab": 8,
                               "meminfo": {"MemTotal": 2**40, "Active(anon)": 5, "HugePages_Total": 3,
                                           name(): 1, "Evil{} 5\n": 6},
                               "vmstat": {"pswpin": 1, "oom_kill": 0, name() + "!": 3}}),
            "swap": section({"total": 100, "used": 10, "free": 90, "sin": int(at), "sout": 0}),
            "disk": section({"mounts": table(*(
                {"device": name(), "mountpoint": f"/{i}{name()}", "fstype": name(), "opts": "rw,noatime",
                 "total": 1000, "used": 100 * i, "free": 900 - 100 * i, "files": 10, "files_free": 5,
                 "status": "ok" if i else "timeout"} for i in range(5)))}, error=name()),
            "diskio": section({"disks": table(*(
                {"name": f"sd{i}{name()}", "read_count": int(at), "write_count": 5, "read_bytes": int(at * 512),
                 "write_bytes": 2**63 - 1, "read_time": 5, "write_time": 6, "read_merged_count": 1,
                 "write_merged_count": 2, "busy_time": int(at * 500), "in_flight": 0, "weighted_time": 9,
                 "total": True, "physical": i == 0} for i in range(3)))}),
            "net": section({"nics": table(*(
                {"name": f"eth{i}{name()}", "bytes_sent": int(at * 10), "bytes_recv": 5, "packets_sent": 1,
                 "packets_recv": 2, "errin": 0, "errout": 0, "dropin": 0, "dropout": 0, "isup": True,
                 "duplex": 2, "speed": 1000, "mtu": 1500, "flags": "up,running"} for i in range(3)))}),
            "addrs": section({"addrs": table({"name": "eth0", "family": 2, "address": name()})}),
            "connections": section({"count": 3, "by_status": {"LISTEN": 2}, "truncated": False,
                                    "connections": table({"fd": -1, "family": 2, "type": 1, "laddr": name(),
                                                          "lport": 22, "status": "LISTEN"})}),
            "sensors": section({"temperatures": table({"chip": name(), "label": name(), "current": 45.5,
                                                       "high": 80.0},
                                                      {"chip": "k", "label": "", "current": -5.0},
                                                      {"chip": "k", "label": "", "current": -6.0}),
                                "fans": table({"chip": "k", "label": name(), "current": 1200}),
                                "battery": {"percent": 50.5, "secsleft": -2, "plugged": True}}),
            "users": section({"users": table({"name": name(), "terminal": "pts/0", "started": 1700000000.0,
                                              "pid": 5}), "source": "utmp"}),
            "processes": section({"total": 90, "threads": 300, "by_status": {"running": 1, "sleeping": 89},
                                  "processes": table({"pid": 1, "rss": 4096, "start_ticks": 3, "cpu_user": int(at * 50),
                                                      "cpu_system": 0, "cmdline": name(), "name": name()})}),
            "pressure": section({k: {"some": {"avg10": 1.5, "avg60": 0, "avg300": 0, "total": int(at * 1e4)},
                                     "full": {"avg10": 0, "avg60": 0, "avg300": 0, "total": 0}}
                                 for k in ("cpu", "memory", "io")}),
            "cgroup": {"status": "denied", "us": 1, "error": name()},
        }}


def feed(mode, lines, *options):
    text = "".join(json.dumps(l) + "\n" for l in lines)
    r = subprocess.run([TOOL, mode, *options], input=text.encode(), stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=120)
    if r.returncode or b"refused" in r.stderr:
        raise AssertionError(r.stderr.decode(errors="replace"))
    return r.stdout


def fleet(seed, names=("x",), hosts=3, samples=2):
    rnd = random.Random(seed)
    out = []
    for s in range(samples):
        for h in range(hosts):
            out.append({"host": f"web{h}", "sample": sample(10 + s, rnd, boot=f"b{h}", names=names)})
    out.append({"host": "dead1", "problem": "connect-refused"})
    return out


LINE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\} (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def read_exposition(text):
    """{family: (type, {labels: value})}; AssertionError for what the format does not allow."""
    families, open_family = {}, None
    assert text.endswith("\n") and not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e]", text)
    for line in text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in families, f"{name} is not in one piece"
            assert kind in ("counter", "gauge", "untyped"), line
            families[name] = (kind, {})
            open_family = name
            continue
        m = LINE.match(line)
        assert m, repr(line)
        name, labels, value = m.groups()
        assert name == open_family, f"{name} within {open_family}"
        pairs = LABEL.findall(labels)
        assert len({k for k, _ in pairs}) == len(pairs), line
        assert not {k for k, _ in pairs} & {"instance", "job"}, line
        assert all(len(v.encode()) <= 3 * 256 for _, v in pairs), line
        key = tuple(sorted(pairs))
        assert key not in families[name][1], f"twice: {line}"
        families[name][1][key] = float(value)
        assert float(value) == float(value)
        if families[name][0] == "counter":
            assert name.endswith("_total") and float(value) >= 0, line
    return families


class Exposition(unittest.TestCase):
    def check(self, text):
        text.decode("utf-8")
        r = subprocess.run(["promtool", "check", "metrics"], input=text, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=60)
        # 3: it reads it, and has something to say of style. Of node_exporter's own names it says this.
        self.assertIn(r.returncode, (0, 3), r.stdout.decode())
        said = [line for line in r.stdout.decode().splitlines()
                if not re.match(r"node_memory_\w+ metric names should be written in 'snake_case'", line)]
        self.assertEqual(said, [])
        return read_exposition(text.decode("utf-8"))

    def test_promtool_likes_it(self):
        got = self.check(feed("prometheus", fleet(1, samples=1)))
        self.assertGreater(len(got), 60)
        host = ("host", "web1")
        self.assertEqual(got["node_load5"][1][(host,)], 1.25)
        self.assertEqual(got["node_cpu_seconds_total"][1][(("cpu", "3"), host, ("mode", "iowait"))], 5.0)
        self.assertEqual(got["node_memory_Active_anon_bytes"][1][(host,)], 5)
        self.assertEqual(got["node_memory_HugePages_Total"][1][(host,)], 3)
        self.assertEqual(got["node_network_speed_bytes"][1][(("device", "eth0x"), host)], 125e6)
        self.assertEqual(got["node_disk_io_time_seconds_total"][1][(("device", "sd0x"), host)], 5)
        self.assertEqual(got["node_cpu_scaling_frequency_hertz"][1][(("cpu", "0"), host)], 2400.123e6)
        self.assertEqual(got["node_scrape_collector_success"][1][(("collector", "cgroup"), host)], 0)
        self.assertEqual(got["muster_host_up"][1][(("host", "dead1"),)], 0)
        self.assertEqual(got["muster_host_up"][1][(host,)], 1)

    def test_hosts_cannot_break_it(self):
        for seed in range(25):
            with self.subTest(seed=seed):
                got = self.check(feed("prometheus", fleet(seed, names=NASTY, samples=1)))
                known = {n for n in got if not n.startswith(("node_", "muster_host_"))}
                self.assertEqual(known, set())
                self.assertNotIn("Evil", "".join(got))

    def test_the_reader_can_fail(self):
        bad = ['node_x{} 1\n', '# TYPE a gauge\na{host="x"} 1\n# TYPE b gauge\n# TYPE a gauge\n',
               '# TYPE a gauge\na{host="x"} 1\na{host="x"} 1\n', '# TYPE a gauge\na{host="x\\q"} 1\n']
        for text in bad:
            with self.assertRaises(AssertionError, msg=text):
                read_exposition(text)


class Documents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(ROOT, "docs", "schema", "stats.schema.json"), encoding="utf-8") as f:
            cls.schema = json.load(f)
        jsonschema.Draft202012Validator.check_schema(cls.schema)

    def validate(self, value):
        jsonschema.Draft202012Validator(self.schema).validate(value)

    def test_json(self):
        for names in (("x",), NASTY):
            doc = json.loads(feed("json", fleet(3, names=names)))
            self.validate(doc)
            self.assertEqual(doc["coverage"], {"hosts": 4, "answered": 3})
            self.assertEqual([h["host"] for h in doc["hosts"]], ["web0", "web1", "web2"])
            self.assertEqual(doc["failed"][0]["host"], "dead1")
            web = doc["hosts"][1]
            self.assertEqual(web["cpu"]["times"]["iowait"], 5.5)
            self.assertEqual(len(web["percpu"]), 2)
            self.assertEqual(web["disk"][2]["percent"], 22.2)
            self.assertNotIn("process", web)
        doc = json.loads(feed("json", fleet(3), "only=processes,connections"))
        self.validate(doc)
        self.assertEqual(doc["hosts"][0]["connection"][0]["lport"], 22)
        doc = json.loads(feed("json", fleet(3, names=NASTY, samples=1), "columns=host,disk.mountpoint,disk.percent",
                              "filter=disk.percent > 20", "sort=-disk.percent"))
        self.validate(doc)
        self.assertEqual([r["disk.percent"] for r in doc["rows"]][:3], [44.4] * 3)

    def test_unknown_figures_are_errors_of_the_schema(self):
        doc = json.loads(feed("json", fleet(3)))
        doc["hosts"][0]["cpu"]["nosuch"] = 1
        with self.assertRaises(jsonschema.ValidationError):
            self.validate(doc)

    def test_every_figure_is_in_the_schema(self):
        defs = self.schema["$defs"]["sample"]["properties"]
        out = subprocess.run([TOOL, "figures"], stdout=subprocess.PIPE, check=True).stdout.decode()
        for line in out.splitlines():
            name, kind, types = line.split(" ")
            where, parts = defs, name.split(".")
            if kind == "row":
                where = defs[parts.pop(0)]["items"]["properties"]
            for part in parts[:-1]:
                where = where[part]["properties"]
            self.assertEqual(where[parts[-1]]["type"], types if "," not in types else types.split(","), name)

    def test_ndjson(self):
        lines = feed("ndjson", fleet(4, names=NASTY, samples=4), "interval=5000").split(b"\n")[:-1]
        kinds = []
        for line in lines:
            value = json.loads(line)
            self.validate(value)
            kinds.append(value["type"])
        self.assertEqual(kinds[0], "stats")
        self.assertEqual(kinds[-1], "summary")
        self.assertEqual(kinds.count("sample"), 9)  # the first of each has no rates
        self.assertIn("round", kinds)
        self.assertEqual(kinds.count("failed"), 1)

    def test_csv(self):
        rows = list(csv.reader(io.StringIO(feed("csv", fleet(5, names=NASTY, samples=1), "only=disk").decode(),
                                           newline="")))
        self.assertEqual(rows[0][:3], ["host", "disk.mountpoint", "disk.percent"])
        self.assertEqual(len(rows), 1 + 3 * 5)
        self.assertTrue(all(len(r) == len(rows[0]) for r in rows))
        self.assertFalse(any(c[:1] in "=+-@" and c for r in rows for c in r))


if __name__ == "__main__":
    unittest.main()
