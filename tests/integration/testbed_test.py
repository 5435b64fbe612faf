#!/usr/bin/env python3
"""The testbed on this machine: what it promises of links and quotas, and a small cluster with faults that leaves nothing.

Usage: testbed_test.py PROGRAMS [unittest options]
Exit code 77, with the reason, where no testbed can be made: without root, or without what tc needs.
"""
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTBED = ROOT / "tools/testbed/testbed.py"
sys.path.insert(0, str(TESTBED.parent))

import owner  # noqa: E402

PROGRAMS = None
SKIP = 77
TIMEOUT_SECONDS = 240

JOB = """
seed = 3
[data]
format = "generate"
[data.generate]
samples = 2000
features = 32
classes = 4
density = 0.3
[model]
name = "mlp"
widths = [64]
[train]
batch = 64
optimizer = "sgd"
learning_rate = 0.1
"""

# Node 1 is killed and comes back, node 2 is cut off and mended, node 3 comes late, the link of node 1 gets slower.
SCENARIO = """
name = "small"
duration_seconds = 120
[testbed]
job = "job.toml"
set.train.clip_norm = 100.0
[[testbed.events]]
kind = "partition"
at_round = 20
node = 2
seconds = 0.5
[[testbed.events]]
kind = "rate"
at_seconds = 1
node = 1
factor = 0.5
seconds = -1
[job]
sample_count = 1600
epoch_count = 20
batch_size = 64
micro_batch_size = 8
parameter_count = 2372
[[cells]]
cell = 1
mbps = 100
[[devices]]
name = "wired"
count = 2
seconds_per_sample = 0.0005
[[devices]]
name = "wireless"
seconds_per_sample = 0.001
join_seconds = 1.5
link.cell = 1
[[faults.events]]
kind = "crash"
at_seconds = 2
node = 1
seconds = 1
"""


def testbed(*arguments, timeout=TIMEOUT_SECONDS):
    return subprocess.run([sys.executable, "-B", TESTBED, "--programs", PROGRAMS, *map(str, arguments)],
                          capture_output=True, text=True, timeout=timeout, check=False)


def leftovers(pid):
    """Namespaces and control groups that carry a process's number."""
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
    groups = list(pathlib.Path("/sys/fs/cgroup").glob(f"**/eddl-{pid}-*"))
    return [name for name in names if name.startswith(f"eddl-{pid}-")] + [str(group) for group in groups]


def running(pids):
    """Those that are there, and not only waiting to be noticed as ended."""
    return [pid for pid in pids if owner.start_of(pid) is not None]


class TestbedTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="eddl-testbed-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        (self.folder / "job.toml").write_text(JOB)
        self.scenario = self.folder / "small.toml"
        self.scenario.write_text(SCENARIO)

    def test_links_queues_and_quotas_hold_what_they_promise(self):
        done = testbed("selftest", "--format", "json")
        results = json.loads(done.stdout)["results"]
        self.assertEqual([result for result in results if not result["ok"]], [])
        self.assertEqual({result["check"] for result in results},
                         {"rate", "change", "fan-in", "control", "cell", "cut", "reset", "quota", "clean"})

    def test_a_cluster_with_faults_finishes_and_is_measured(self):
        process = subprocess.Popen([sys.executable, "-B", TESTBED, "--programs", PROGRAMS, "run", self.scenario, "--logs",
                                    self.folder / "logs", "--format", "json"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
        self.assertEqual(process.returncode, 0, err)
        result = json.loads(out)
        self.assertEqual(result["outcome"], "finished")
        self.assertEqual(result["measured"]["samples"], 20 * 1600)
        self.assertEqual([(event["what"], event["node"]) for event in result["events"]
                          if event["what"] not in ("cut", "mend")],
                         [("rate", 1), ("start", 3), ("kill", 1), ("start", 1)])
        self.assertEqual([event["what"] for event in result["events"] if event["node"] == 2], ["cut", "mend"])
        nodes = {node["node"]: node for node in result["nodes"]}
        self.assertEqual(set(nodes), {0, 1, 2, 3})
        self.assertEqual(nodes[1]["lives"], 2)
        for node in nodes.values():
            self.assertGreater(node["up_bytes"], 1000, node)
            self.assertGreater(node["cpu_seconds"], 0, node)
        self.assertEqual(len(result["epochs"]), 20)
        self.assertGreater(result["cell_bytes"]["1"], 1000)
        self.assertEqual(result["prediction"]["outcome"], "finished")
        self.assertEqual(leftovers(process.pid), [])

    def test_any_command_runs_on_each_device_and_knows_who_it_is(self):
        done = testbed("exec", self.scenario, "--logs", self.folder / "exec", "--format", "json", "--", "sh", "-c",
                       "echo {rank} of $TESTBED_WORLD at {address}; ip -br link show eth0 >/dev/null")
        self.assertEqual(done.returncode, 0, done.stderr)
        outputs = sorted(path.read_text().strip() for path in (self.folder / "exec").glob("*.out"))
        self.assertEqual(outputs, ["0 of 3 at 10.77.0.2", "1 of 3 at 10.77.0.3", "2 of 3 at 10.77.0.4"])
        failing = testbed("exec", self.scenario, "--logs", self.folder / "exec", "--", "sh", "-c", "exit {rank}")
        self.assertEqual(failing.returncode, 1)

    def test_a_stopped_testbed_takes_its_programs_and_namespaces_with_it(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(signal=number.name):
                process = subprocess.Popen([sys.executable, "-B", TESTBED, "--programs", PROGRAMS, "exec", self.scenario,
                                            "--logs", self.folder / number.name, "--", "sh", "-c",
                                            "echo $$; sleep 600 & wait"], stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL)
                end = time.monotonic() + TIMEOUT_SECONDS
                outputs = []
                while time.monotonic() < end and len(outputs) < 3:
                    outputs = [path for path in (self.folder / number.name).glob("*.out") if path.read_text()]
                    time.sleep(0.05)
                pids = [int(path.read_text()) for path in outputs]
                self.assertEqual(len(pids), 3)
                process.send_signal(number)
                process.wait(timeout=TIMEOUT_SECONDS)
                end = time.monotonic() + 20
                while time.monotonic() < end and leftovers(process.pid) + running(pids):
                    time.sleep(0.05)
                self.assertEqual(leftovers(process.pid) + running(pids), [])


if __name__ == "__main__":
    PROGRAMS = sys.argv.pop(1)
    tried = testbed("clean")
    if tried.returncode == SKIP:
        print(f"skipped: {tried.stderr.strip()}")
        sys.exit(SKIP)
    unittest.main(verbosity=2)
