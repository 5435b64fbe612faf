#!/usr/bin/env python3
"""What a testbed makes of a scenario, without making one: needs no root.

Usage: testbed_scenario_test.py PROGRAMS [unittest options]
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTBED = ROOT / "tools/testbed"
PROGRAMS = None

sys.path.insert(0, str(TESTBED))

import bed  # noqa: E402
import cluster  # noqa: E402
import execution  # noqa: E402
import network  # noqa: E402
import prediction  # noqa: E402
import quota  # noqa: E402
import report  # noqa: E402
import scenario  # noqa: E402
import testbed_run  # noqa: E402
from commands import TestbedError  # noqa: E402
from timeline import Step, Timeline  # noqa: E402


def load(text, sets=()):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "s.toml"
        path.write_text(text)
        return scenario.load(path, f"{PROGRAMS}/eddl-sim", sets=sets)


DEVICES = '[[devices]]\nname = "a"\ncount = 2\n[[devices]]\nname = "b"\n'


class ScenarioTest(unittest.TestCase):
    def refusal(self, text, sets=()):
        with self.assertRaises(TestbedError) as caught:
            load(text, sets)
        return str(caught.exception)

    def test_groups_become_devices_with_numbers_names_and_times(self):
        loaded = load('[[devices]]\nname = "a"\ncount = 2\njoin_spacing_seconds = 3\nlink.up_mbps = 5\n'
                      '[[devices]]\nname = "b"\nfixed_seconds = 0.5\n')
        self.assertEqual([(d.number, d.name, d.join_seconds, d.rates.up_mbps, d.fixed_seconds) for d in loaded.devices],
                         [(1, "a-1", 0, 5, 0), (2, "a-2", 3, 5, 0), (3, "b", 0, 100, 0.5)])

    def test_what_the_author_wrote_of_the_job_becomes_its_keys_and_nothing_else(self):
        loaded = load("[job]\nepoch_count = 3\nbatch_size = 64\nlearning_rate = 1\n[pins]\nmode = \"pipe\"\n"
                      "[testbed.set]\ntrain.clip_norm = 1.0\n" + DEVICES)
        self.assertEqual(loaded.job, {"train.epochs": 3, "train.batch": 64, "cluster.mode": "pipe"})
        self.assertEqual(loaded.settings["set"], {"train.clip_norm": 1.0})
        self.assertEqual(load("[pins]\nadmit_all = true\n" + DEVICES).job, {"cluster.parking": False})

    def test_the_command_line_may_say_another_value(self):
        loaded = load('[job]\nepoch_count = 3\nbatch_size = 64\n[pins]\nmode = "pipe"\n' + DEVICES,
                      ["job.epoch_count=2", "pins.mode=async", "pins.leader_count=1", "duration_seconds=5"])
        self.assertEqual(loaded.job, {"train.epochs": 2, "train.batch": 64, "cluster.mode": "async",
                                      "cluster.leaders": 1})
        self.assertEqual(loaded.duration_seconds, 5)
        self.assertIn("did you mean 'pins.mode'", self.refusal(DEVICES, ["pins.mood=sync"]))
        self.assertIn("KEY", self.refusal(DEVICES, ["pins.mode"]).upper())
        self.assertIn("set in the file", self.refusal(DEVICES, ["devices.count=3"]))

    def test_what_is_not_emulated_is_said(self):
        loaded = load('[pins]\nleaders = [1]\n[[devices]]\nvariation = 0.1\nlink.latency_ms = 2\nspeed_spread = 0\n'
                      "microseconds_per_message = 5\nlink.efficiency = 0.9\n")
        self.assertEqual([note.split(":")[0] for note in loaded.notes],
                         ["pins.leaders = [1]", "devices.variation = 0.1", "devices.link.latency_ms = 2"])

    def test_a_wrong_file_is_refused_with_what_it_may_say(self):
        self.assertIn("unknown key 'testbed.jop'", self.refusal('[testbed]\njop = "x"\n' + DEVICES))
        self.assertIn("testbed.port: expected int", self.refusal('[testbed]\nport = "x"\n' + DEVICES))
        self.assertIn("one of pace, cpu_quota, native", self.refusal('[testbed]\nspeed = "fast"\n' + DEVICES))
        self.assertIn("did you mean 'job.batch_size'", self.refusal("[job]\nbach_size = 1\n" + DEVICES))
        self.assertIn("needs [[devices]]", self.refusal("[job]\nbatch_size = 8\n"))
        self.assertIn("there is no node 9", self.refusal('[[testbed.events]]\nkind = "crash"\nnode = 9\n' + DEVICES))
        self.assertIn("has no 'pause'", self.refusal('[[faults.events]]\nkind = "pause"\n' + DEVICES))
        self.assertIn("needs testbed.speed", self.refusal('[[faults.events]]\nkind = "slow"\n' + DEVICES))

    def test_every_example_is_a_scenario_of_the_simulator_and_of_the_testbed(self):
        examples = [path for path in sorted((ROOT / "examples/testbed").glob("*.toml"))
                    if "[testbed]" in path.read_text()]
        self.assertGreaterEqual(len(examples), 2)
        for path in examples:
            done = subprocess.run([sys.executable, "-B", TESTBED / "testbed.py", "--programs", PROGRAMS, "show", path,
                                   "--format", "json"], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, f"{path}: {done.stderr}")
            self.assertEqual(json.loads(done.stdout)["notes"], [], path)
            loaded = scenario.load(path, f"{PROGRAMS}/eddl-sim")
            self.assertTrue(not loaded.settings["job"] or loaded.job_path.exists(), path)
            self.assertEqual(prediction.predict(f"{PROGRAMS}/eddl-sim", path)["outcome"], "finished", path)


class TimelineTest(unittest.TestCase):
    def timeline(self, text):
        return Timeline(load(text + DEVICES))

    def test_steps_come_in_order_of_time_and_of_rounds(self):
        timeline = self.timeline('[[faults.events]]\nkind = "hang"\nat_seconds = 2\nnode = 1\n'
                                 '[[testbed.events]]\nkind = "leave"\nat_round = 5\nnode = 2\n'
                                 '[[faults.events]]\nkind = "crash"\nat_seconds = 1\nnode = 3\nseconds = -1\n')
        self.assertIsNone(timeline.due(0.5, 4))
        self.assertEqual(timeline.due(0.5, 5).what, "leave")
        self.assertEqual([timeline.due(9, 0).what, timeline.due(9, 0).what, timeline.due(9, 0)],
                         ["kill", "freeze", None])

    def test_what_undoes_a_step_comes_its_seconds_later_on_the_same_node(self):
        timeline = self.timeline('[[faults.events]]\nkind = "partition"\nat_seconds = 1\nseconds = 2\n')
        step = timeline.due(1, 0)
        timeline.follow(1.25, 3, step)
        self.assertIsNone(timeline.due(3.2, 0))
        self.assertEqual(timeline.due(3.25, 0), Step("mend", 3, 1.0))

    def test_what_ends_for_ever_is_not_undone(self):
        timeline = self.timeline('[[faults.events]]\nkind = "crash"\nat_seconds = 1\nseconds = -1\n')
        timeline.follow(1, 2, timeline.due(1, 0))
        self.assertIsNone(timeline.due(1e9, 10**9))


class ShapeTest(unittest.TestCase):
    def test_a_quota_keeps_its_part_where_the_kernel_allows_no_shorter_one(self):
        self.assertEqual(quota.period_and_quota_us(0.5), (4000, 2000))
        self.assertEqual(quota.period_and_quota_us(0.1), (10_000, 1000))
        self.assertEqual(quota.period_and_quota_us(1e-6), (1_000_000, 1000))

    def test_quotas_must_fit_the_machine(self):
        loaded = load("[[devices]]\ncount = 4\nseconds_per_sample = 0.001\n")
        self.assertEqual(bed.fractions_of(loaded, 0.0004, 2), {1: 0.4, 2: 0.4, 3: 0.4, 4: 0.4})
        with self.assertRaisesRegex(TestbedError, "add up to 2.40 cores"):
            bed.fractions_of(loaded, 0.0006, 2)
        with self.assertRaisesRegex(TestbedError, "too fast to be emulated"):
            bed.fractions_of(loaded, 0.002, 64)

    def test_with_a_dilation_devices_take_longer_and_results_are_in_the_scenarios_time(self):
        loaded = load("[testbed]\ndilation = 4\n[[devices]]\nseconds_per_sample = 0.001\n")
        self.assertEqual(bed.fractions_of(loaded, 0.002, 2), {1: 0.5})
        self.assertEqual(execution.values_of(loaded, loaded.devices[0])["seconds_per_sample"], 0.004)
        self.assertEqual(report.undilated({"seconds": 8.0, "samples_per_second": 5.0, "steps": 3}, loaded.dilation),
                         {"seconds": 2.0, "samples_per_second": 20.0, "steps": 3})
        run = cluster.ClusterRun(loaded, None, "eddl-node", pathlib.Path("logs"))
        self.assertEqual(run.clock(100.0), 0)
        run.began = 92.0
        self.assertEqual(run.clock(100.0), 2.0)
        command = run.device_command(loaded.devices[0], "token")
        self.assertEqual(command[command.index("--pace") + 1], "0,0.004")
        with self.assertRaisesRegex(TestbedError, "a number from 1 to 100"):
            load("[testbed]\ndilation = 0.5\n[[devices]]\n")

    def test_the_simulator_closes_rounds_as_the_job_does(self):
        job = '[testbed]\njob = "job.toml"\n'
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "s.toml"
            for of_job, of_scenario, mode in (("", "", "sync"), ('[cluster]\nmode = "pipe"\n', "", "pipe"),
                                              ("", '[pins]\nmode = "async"\n', "async"),
                                              ("[train]\nmomentum = 0.0\n",
                                               '[testbed.set]\ncluster.mode = "auto"\n', "auto"),
                                              ('[train]\noptimizer = "adam"\n[cluster]\nmode = "auto"\n', "", "auto"),
                                              ('[cluster]\nmode = "auto"\n', "", "sync")):
                (path.parent / "job.toml").write_text(of_job)
                path.write_text(job + of_scenario + DEVICES)
                self.assertEqual(testbed_run.job_mode(scenario.load(path, f"{PROGRAMS}/eddl-sim")), mode)

    def test_the_classes_of_a_link_share_exactly_its_rate(self):
        rates = [line.split("rate ")[1].split("bit")[0] for line in network.class_lines("add", "eth0", 100)]
        self.assertEqual(rates, ["100000000", "10000000", "90000000"])

    def test_addresses_are_inside_the_network_and_differ(self):
        addresses = {network.address_of(number) for number in (0, 1, 254, 255, 256, network.NODE_MAX)}
        self.assertEqual(len(addresses), 6)
        self.assertNotIn("10.77.255.255", addresses)


if __name__ == "__main__":
    PROGRAMS = sys.argv.pop(1)
    unittest.main(verbosity=2)
