#!/usr/bin/env python3
"""eddl-node with the opencl backend: trains on an OpenCL device, and goes on without one where there is no driver.

Usage: node_test.py EDDL_NODE     exit code 77 where there is no OpenCL device
"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

NODE = sys.argv.pop()
JOB = """
seed = 3
[data]
format = "generate"
test_fraction = 0.25
[data.generate]
samples = 400
features = 20
classes = 3
[model]
name = "mlp"
widths = [32]
dropout = 0.1
[train]
epochs = 3
batch = 32
[run]
dir = "run"
"""


def node(folder, *arguments, drivers=True):
    environment = dict(os.environ)
    if not drivers:
        environment["OCL_ICD_VENDORS"] = os.path.join(folder, "no_such_folder")
    return subprocess.run([NODE, *arguments], capture_output=True, text=True, cwd=folder, env=environment, timeout=280)


class OpenclNodeTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        with open(os.path.join(self.folder.name, "job.toml"), "w", encoding="utf-8") as file:
            file.write(JOB)

    def tearDown(self):
        self.folder.cleanup()

    def run_node(self, *arguments, **options):
        return node(self.folder.name, *arguments, **options)

    def test_trains_on_an_opencl_device(self):
        result = self.run_node("train", "job.toml", "--device", "opencl:0")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("opencl:0", result.stdout + result.stderr)

    # The job has to be long enough for both to get a share, whoever is faster.
    def test_a_cluster_of_a_cpu_and_an_opencl_device_trains_one_model(self):
        start = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "cwd": self.folder.name}
        manager = subprocess.Popen([NODE, "manage", "job.toml", "--listen", "127.0.0.1:0", "--set",
                                    "cluster.workers_min=2", "--set", "cluster.micro_batch=8", "--set",
                                    "train.epochs=40"], **start)
        members = []
        try:
            for line in manager.stdout:
                if found := re.search(r"eddl-node join (\S+ --token \S+)", line):
                    break
            for device in ("cpu", "opencl:0"):
                members.append(subprocess.Popen([NODE, "join", *found[1].split(), "--device", device, "--state",
                                                 os.path.join(self.folder.name, device)], **start))
            told = manager.communicate(timeout=240)[0]
            self.assertEqual(manager.returncode, 0, told)
            self.assertIn("finished after 40 epochs", told)
            for member in members:
                said = member.communicate(timeout=60)[0]
                computed = re.search(r"computed ([\d,]+) samples here", said)
                self.assertIsNotNone(computed, said)
                self.assertGreater(int(computed[1].replace(",", "")), 0, said)
        finally:
            for process in [manager, *members]:
                process.kill()
                process.wait()

    def test_says_which_devices_there_are(self):
        result = self.run_node("train", "job.toml", "--device", "opencl:7")
        self.assertEqual(result.returncode, 4)
        self.assertRegex(result.stderr, r"no device 'opencl:7': backend opencl has \d+, counted from 0")

    def test_without_a_driver_it_says_so_in_one_line_and_goes_on(self):
        devices = self.run_node("devices", drivers=False)
        self.assertEqual(devices.returncode, 0, devices.stderr)
        lines = [line for line in devices.stdout.splitlines() if line.startswith("not used: opencl:")]
        self.assertEqual(len(lines), 1, devices.stdout)
        self.assertIn("no OpenCL driver is installed", lines[0])
        trained = self.run_node("train", "job.toml", drivers=False)
        self.assertEqual(trained.returncode, 0, trained.stderr)
        self.assertIn("cpu:0", trained.stdout + trained.stderr)

    def test_without_a_driver_a_check_is_skipped(self):
        result = self.run_node("check", "--backend", "opencl", drivers=False)
        self.assertEqual(result.returncode, 77, result.stdout)
        self.assertIn("no OpenCL driver is installed", result.stderr)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as somewhere:
        if "opencl:0" not in node(somewhere, "devices").stdout:
            print("SKIP: no OpenCL device:", node(somewhere, "devices").stdout)
            sys.exit(77)
    unittest.main()
