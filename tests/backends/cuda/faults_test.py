#!/usr/bin/env python3
"""What the cuda backend makes of a driver that is not there and of calls that fail: one clear line, nothing leaked.

Usage: faults_test.py PLUGIN_FACTS
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import plugin

BUILD = plugin.Build(sys.argv[1])
PLUGIN = BUILD.facts["plugin"]

# Call and which one of them fails; the cases to run; what must be said.
FAILURES = [
    ("cudaMalloc:3", "scale/1", "bytes failed: the GPU is out of memory; make the batch smaller"),
    ("cudaMallocHost:1", "scale/1", "allocating page-locked memory for copies failed"),
    ("cudaStreamCreateWithFlags:1", "scale/1", "creating a stream failed"),
    ("cudaEventCreateWithFlags:1", "scale/1", "creating an event for copies failed"),
    ("cudaEventRecord:1", "scale/1", "recording the end of a copy failed"),
    ("cudaMemcpyAsync:1", "scale/1", "writing to the GPU failed"),
    ("cudaMemcpyAsync:1", "interface/copies", "writing to the GPU failed"),
    ("cudaLaunchKernel:1", "scale/1", "launching flat_scale failed: unknown error (CUDA error 999)"),
    ("cudaStreamSynchronize:1", "scale/1", "waiting for the GPU failed"),
    ("cudaStreamWaitEvent:1", "interface/orders queues by events", "waiting for another queue failed"),
    ("cudaGetDeviceProperties:2", "scale/1", "asking for the GPU's properties failed"),
    ("cublasCreate:1", "scale/1", "creating a cuBLAS handle failed"),
    ("cublasSgemm:1", "matmul/1", "a matrix product failed: an internal operation failed"),
]


class FaultsTest(unittest.TestCase):
    def test_a_call_that_fails_is_said_and_leaves_nothing_behind(self):
        for call, cases, text in FAILURES:
            for order in ("order=eager", "order=lazy"):
                with self.subTest(call=call, order=order):
                    result = BUILD.run(PLUGIN, [cases], f"{order} fail={call}")
                    self.assertIn(text, result.stdout)
                    self.assertEqual((result.returncode, result.stderr), (1, ""))

    def test_memory_that_ends_is_said_with_the_size(self):
        result = BUILD.run(PLUGIN, ["scale/1"], "memory=256")
        self.assertRegex(result.stdout, r"allocating \d+ bytes failed: the GPU is out of memory")
        self.assertEqual((result.returncode, result.stderr), (1, ""))

    def test_without_a_driver_it_steps_aside_with_one_line(self):
        for libraries, options in ((None, "devices=0"), ("", "")):
            with self.subTest(libraries="emulated" if libraries is None else "real"):
                result = BUILD.run(PLUGIN, ["scale/1"], options, libraries)
                if libraries == "" and result.returncode == 0:
                    self.skipTest("this machine has an NVIDIA GPU")
                self.assertEqual(result.returncode, 77)
                self.assertRegex(result.stdout, r"\A.*no NVIDIA driver; CUDA 13 needs one\n\Z")

    def test_without_the_toolkit_it_steps_aside_with_one_line(self):
        with tempfile.TemporaryDirectory() as folder:
            # The plugin as on a machine where its run path leads nowhere.
            moved = shutil.copy(PLUGIN, folder)
            text = pathlib.Path(moved).read_bytes()
            run_path = str(pathlib.Path(BUILD.facts["cudart"]).parent).encode()
            pathlib.Path(moved).write_bytes(text.replace(run_path, b"/" + b"x" * (len(run_path) - 1)))
            if b"libcudart" in subprocess.run(["ldconfig", "-p"], capture_output=True, check=False).stdout:
                self.skipTest("the CUDA runtime is installed for the whole system")
            result = BUILD.run(moved, ["scale/1"], "", "")
            self.assertEqual(result.returncode, 77)
            self.assertRegex(result.stdout, r"libcudart\.so\.13: cannot open shared object file")
            self.assertEqual(result.stdout.count("\n"), 1)

    def test_without_cublas_the_device_is_not_opened(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(pathlib.Path(BUILD.facts["emulator"]) / "libcudart.so.13", folder)
            pathlib.Path(folder, "libcublas.so.13").write_text("no library")
            result = BUILD.run(PLUGIN, ["scale/1"], "", folder)
            self.assertIn("cuBLAS can't be loaded", result.stdout)
            self.assertIn("install the CUDA toolkit's runtime libraries", result.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
