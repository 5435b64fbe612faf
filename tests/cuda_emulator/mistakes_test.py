#!/usr/bin/env python3
"""A right program passes in every order of its streams; each mistake is caught, by the check that is there for it.

Usage: mistakes_test.py PROGRAM EMULATOR_DIR
"""
import os
import signal
import subprocess
import sys
import unittest

PROGRAM, LIBRARIES = sys.argv[1:3]
ORDERS = ["order=eager", "order=lazy"] + [f"order=random:{seed}" for seed in range(1, 6)]
VIOLATION = 86

# Mistake: what the emulator says of it, in every order; a pattern.
ALWAYS = {
    "unguarded_store": "are in no live allocation: byte",
    "small_buffer": "are in no live allocation",
    "wrong_direction": "which is not what the direction says",
    "default_stream": "the default stream is used",
    "wide_launch": "is launched with 128 threads a block, but compiled for 64",
    "no_wait": "stream race: .*SumKernel.*, and no event or synchronisation orders them",
    "no_barrier": "race in shared memory with a",
    "half_a_barrier": "waits at a barrier that thread",
    "freed_early": r"(the memory is in use: the host has not waited for|0x[0-9a-f]+ was freed)",
    "no_synchronisation": "the host has not waited for",
    "freed_twice": r"no allocation begins there \(freed twice\?\)",
    "leak": r"not given back: 1 device allocation\(s\)",
}
# What some orders let pass, and which do not.
SOMETIMES = {"reused_staging": ("the host changed memory that a queued copy had yet to read", ["order=lazy"])}


def run(mistake="", options=""):
    environment = dict(os.environ, LD_LIBRARY_PATH=LIBRARIES, EDDL_CUDA_EMULATOR=options)
    return subprocess.run([PROGRAM, mistake], env=environment, capture_output=True, text=True, timeout=60)


class MistakesTest(unittest.TestCase):
    def test_a_right_program_passes_in_every_order(self):
        for order in ORDERS:
            with self.subTest(order):
                result = run("", order)
                self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_every_mistake_is_caught_in_every_order(self):
        for mistake, message in ALWAYS.items():
            for order in ORDERS:
                with self.subTest(mistake=mistake, order=order):
                    result = run(mistake, order)
                    self.assertEqual(result.returncode, VIOLATION, result.stderr)
                    self.assertIn("cuda emulator: ", result.stderr)
                    self.assertRegex(result.stderr, message)

    def test_some_mistakes_are_caught_in_late_orders_only(self):
        for mistake, (message, orders) in SOMETIMES.items():
            for order in orders:
                with self.subTest(mistake=mistake, order=order):
                    result = run(mistake, order)
                    self.assertEqual(result.returncode, VIOLATION)
                    self.assertIn(message, result.stderr)

    def test_the_host_cannot_touch_device_memory(self):
        self.assertEqual(run("host_dereference").returncode, -signal.SIGSEGV)

    def test_a_call_that_is_told_to_fail_fails(self):
        calls = {"cudaMalloc:2": "out of memory", "cudaMallocHost:1": "out of memory", "cudaLaunchKernel:2": "unknown",
                 "cudaMemcpyAsync:1": "unknown", "cudaStreamSynchronize:1": "unknown", "cudaEventRecord:1": "unknown"}
        for call, text in calls.items():
            with self.subTest(call):
                result = run("", f"fail={call} leaks=0")
                self.assertIn(text, result.stdout)
                self.assertNotEqual(result.returncode, 0)

    def test_memory_ends(self):
        self.assertIn("out of memory", run("", "memory=1024 leaks=0").stdout)

    def test_without_a_driver_every_call_says_so(self):
        result = run("", "devices=0")
        self.assertEqual(result.returncode, 1)
        self.assertIn("CUDA driver version is insufficient for CUDA runtime version", result.stdout)

    def test_options_that_are_not_understood_end_the_program(self):
        result = run("", "order=backwards")
        self.assertEqual(result.returncode, VIOLATION)
        self.assertIn("'order=backwards' is not understood", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
