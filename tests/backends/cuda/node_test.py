#!/usr/bin/env python3
"""eddl-node with the cuda backend: goes on without one where there is no driver, trains on an emulated GPU.

Usage: node_test.py EDDL_NODE EMULATOR_DIR
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

NODE, EMULATOR = sys.argv[1:3]
JOB = """
seed = 3
[data]
format = "generate"
test_fraction = 0.25
[data.generate]
samples = 200
features = 20
classes = 3
[model]
name = "mlp"
widths = [16]
dropout = 0.1
[train]
epochs = 2
batch = 32
[run]
dir = "run"
"""


class CudaNodeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        with open(os.path.join(self.folder, "job.toml"), "w", encoding="utf-8") as file:
            file.write(JOB)

    def run_node(self, *arguments, emulator="order=lazy"):
        return subprocess.run([NODE, *arguments], capture_output=True, text=True, cwd=self.folder,
                              env=self.environment(emulator), timeout=280)

    @staticmethod
    def environment(emulator):
        return dict(os.environ, LD_LIBRARY_PATH=EMULATOR, LD_BIND_NOW="1", EDDL_CUDA_EMULATOR=emulator)

    def losses(self, *arguments, **options):
        result = self.run_node("train", "job.toml", *arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return re.findall(r"epoch \d/\d  loss ([\d.]+)", result.stdout + result.stderr), result.stdout + result.stderr

    def test_trains_on_an_emulated_gpu_as_on_the_cpu(self):
        expected, _ = self.losses("--device", "cpu", "--set", "run.dir=cpu")
        got, text = self.losses("--device", "cuda:0")
        self.assertIn("CUDA EMULATOR", text)
        self.assertEqual(len(got), 2, text)
        for one, other in zip(got, expected):
            self.assertAlmostEqual(float(one), float(other), delta=0.001)

    # Two GPUs share each batch, and add up their gradients.
    def test_all_emulated_gpus_train_as_one(self):
        expected, _ = self.losses("--device", "cpu", "--set", "run.dir=cpu")
        for order in ("lazy", "random:1"):
            with self.subTest(order):
                got, text = self.losses("--device", "cuda:all", "--set", "train.micro_batch=12", "--overwrite",
                                        emulator=f"order={order} devices=2")
                self.assertIn("and 1 more as one", text)
                self.assertEqual(len(got), 2, text)
                for one, other in zip(got, expected):
                    self.assertAlmostEqual(float(one), float(other), delta=0.001)
        # One GPU is no group; none of them may be missing the library for groups.
        self.assertNotIn("as one", self.losses("--device", "cuda:all", "--overwrite")[1])

    def test_all_emulated_gpus_are_one_worker_of_a_cluster(self):
        start = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "cwd": self.folder,
                 "env": self.environment("order=lazy devices=2")}
        manager = subprocess.Popen([NODE, "manage", "job.toml", "--listen", "127.0.0.1:0", "--set",
                                    "cluster.micro_batch=8"], **start)
        member = None
        try:
            for line in manager.stdout:
                if found := re.search(r"eddl-node join (\S+ --token \S+)", line):
                    break
            member = subprocess.Popen([NODE, "join", *found[1].split(), "--device", "cuda:all", "--state",
                                       os.path.join(self.folder, "member")], **start)
            told = manager.communicate(timeout=200)[0]
            self.assertEqual(manager.returncode, 0, told)
            self.assertIn("finished after 2 epochs", told)
            said = member.communicate(timeout=60)[0]
            self.assertRegex(said, r"computed [1-9][\d,]* samples here")
        finally:
            for process in filter(None, (manager, member)):
                process.kill()
                process.wait()

    # Its score is 0: nobody takes it for a fast device.
    def test_an_emulated_gpu_is_used_only_when_asked_for(self):
        _, text = self.losses()
        self.assertNotIn("cuda:0", text)

    def test_a_gpu_that_breaks_is_said_with_what_to_do(self):
        result = self.run_node("train", "job.toml", "--device", "cuda:0", emulator="fail=cudaLaunchKernel:9")
        self.assertNotEqual(result.returncode, 0)
        self.assertRegex(result.stderr, r"launching \w+ failed: unknown error \(CUDA error 999\)")

    # In the middle of a sum, for which the other one waits: of gradients, and of parameters.
    def test_a_gpu_of_a_group_that_is_lost_ends_training_with_its_name(self):
        for call in (2, 4):
            with self.subTest(call=call):
                result = self.run_node("train", "job.toml", "--device", "cuda:all",
                                       emulator=f"devices=2 lose=ncclAllReduce:{call}")
                self.assertNotIn(result.returncode, (0, 86))
                self.assertEqual(result.stderr, "eddl-node: error: cuda: choosing GPU 1 failed: unspecified launch "
                                                "failure; the GPU is lost to this process, start it again\n")

    def test_without_a_driver_it_says_so_in_one_line_and_goes_on(self):
        devices = self.run_node("devices", emulator="devices=0")
        self.assertEqual(devices.returncode, 0, devices.stderr)
        self.assertEqual([line for line in devices.stdout.splitlines() if line.startswith("not used: cuda")],
                         ["not used: cuda: no NVIDIA driver; CUDA 13 needs one"])
        trained = self.run_node("train", "job.toml", emulator="devices=0")
        self.assertEqual(trained.returncode, 0, trained.stderr)

    def test_a_driver_that_is_too_old_is_said_with_its_version_and_training_goes_on(self):
        devices = self.run_node("devices", emulator="driver=12080")
        lines = [line for line in devices.stdout.splitlines() if line.startswith("not used: cuda")]
        self.assertEqual(lines, ["not used: cuda: looking for GPUs (driver for CUDA 12.8) failed: CUDA driver version is "
                                 "insufficient for CUDA runtime version; is NVIDIA's driver installed, and new enough for "
                                 "CUDA 13?"])
        self.assertIn("cpu:0", self.losses(emulator="driver=12080")[1])
        self.assertEqual(self.run_node("check", "--backend", "cuda", emulator="driver=12080").returncode, 77)
        named = self.run_node("train", "job.toml", "--device", "cuda", emulator="driver=12080")
        self.assertEqual(named.returncode, 4)
        self.assertIn("driver for CUDA 12.8", named.stderr)

    # The self-test for owners of GPUs, whole: versions, facts, suite, sums between devices, training.
    def test_the_self_test_passes_on_two_emulated_gpus(self):
        result = self.run_node("check", "--backend", "cuda", "--format", "json", emulator="order=lazy devices=2")
        self.assertEqual(result.returncode, 0, result.stderr)
        answer = json.loads(result.stdout)
        self.assertEqual((answer["status"], answer["versions"]["emulated"]), ("ok", True))
        self.assertRegex(answer["versions"]["backend"], r"CUDA \d+\.\d+")
        self.assertEqual((answer["facts"]["status"], answer["facts"]["false"]), ("ok", []))
        self.assertGreater(answer["facts"]["true"], 20)
        self.assertEqual(answer["all_reduce"], {"status": "ok", "reason": ""})
        self.assertTrue(answer["training"]["passed"])
        for line in ("versions: ", "facts: ", "all-reduce: sums over", "training: like the CPU", "keeps the contract"):
            self.assertIn(line, result.stderr)

    def test_the_self_test_fails_where_something_is_wrong_and_says_what_it_did_not_check(self):
        for emulator, said, all_reduce in (("devices=2 fail=ncclAllReduce:1", "all-reduce: FAILED: group/", "failed"),
                                           ("fail=cudaMemsetAsync:1", "facts: 1 of 27 are FALSE", "skipped")):
            with self.subTest(emulator):
                result = self.run_node("check", "--backend", "cuda", "--format", "json", emulator=emulator)
                self.assertEqual(result.returncode, 1, result.stderr)
                answer = json.loads(result.stdout)
                self.assertEqual((answer["status"], answer["all_reduce"]["status"]), ("failed", all_reduce))
                self.assertIn(said, result.stderr)
                if all_reduce == "skipped":
                    self.assertEqual(answer["all_reduce"]["reason"], "one device only: a group needs two")

    def test_without_a_driver_a_check_is_skipped(self):
        result = self.run_node("check", "--backend", "cuda", emulator="devices=0")
        self.assertEqual(result.returncode, 77, result.stdout)
        self.assertIn("no NVIDIA driver; CUDA 13 needs one", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
