#!/usr/bin/env python3
"""What the kernels take of a multiprocessor, on every architecture that nvcc knows: registers, shared memory, no spills.

Usage: resources_test.py PLUGIN_FACTS

nvcc's assembler says it while it compiles (--resource-usage). A kernel whose group does not fit cannot be launched at
all, and one that spills registers to memory is slow; neither shows on an emulator.
"""
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

FACTS = json.loads(pathlib.Path(sys.argv[1]).read_text())
GROUP = 256                      # threads of a block: kernels/dialect.h
REGISTERS_MAX = 65536 // GROUP   # a multiprocessor has 65536, and the group must fit
SHARED_BYTES_MAX = 48 * 1024

Usage = collections.namedtuple("Usage", "architecture kernel registers shared stack stores loads")


def parse(text):
    """One Usage for every kernel and architecture in what the assembler printed."""
    pattern = re.compile(
        r"Compiling entry function '(\w+)' for 'sm_(\d+)\w?'\n.*?\n\s*(\d+) bytes stack frame, (\d+) bytes spill stores, "
        r"(\d+) bytes spill loads\nptxas info\s*: Used (\d+) registers([^\n]*)")
    for kernel, architecture, stack, stores, loads, registers, rest in pattern.findall(text):
        shared = re.search(r"(\d+) bytes smem", rest)
        yield Usage(int(architecture), kernel, int(registers), int(shared[1]) if shared else 0, int(stack), int(stores),
                    int(loads))


class ResourcesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        architectures = [option for number in FACTS["architectures"].split(";")
                         for option in ("-gencode", f"arch=compute_{number},code=sm_{number}")]
        with tempfile.TemporaryDirectory() as folder:
            command = [FACTS["nvcc"], "-std=c++20", "-O3", "--resource-usage", *architectures, "--threads", "2",
                       "-I" + FACTS["root"], "-c", FACTS["root"] + "/backends/cuda/kernels.cu", "-o", folder + "/k.o"]
            result = subprocess.run(command, capture_output=True, text=True, check=True)
        cls.usages = list(parse(result.stdout + result.stderr))

    def test_every_kernel_was_compiled_for_every_architecture(self):
        architectures = {int(number) for number in FACTS["architectures"].split(";")}
        kernels = {usage.kernel for usage in self.usages}
        listed = set(re.findall(r"KERNEL_ENTRY\((\w+)\)", pathlib.Path(
            FACTS["root"], "backends/cuda/kernels.cu").read_text())) - {"name"}
        self.assertEqual(kernels, listed)
        self.assertEqual({(usage.kernel, usage.architecture) for usage in self.usages},
                         {(kernel, number) for kernel in kernels for number in architectures})
        self.assertGreaterEqual(min(architectures), 75)

    def test_a_group_fits(self):
        for usage in self.usages:
            self.assertLessEqual(usage.registers, REGISTERS_MAX, usage)
            self.assertLessEqual(usage.shared, SHARED_BYTES_MAX, usage)

    def test_nothing_spills(self):
        for usage in self.usages:
            self.assertEqual((usage.stack, usage.stores, usage.loads), (0, 0, 0), usage)

    def test_the_most_that_any_takes(self):
        most = max(self.usages, key=lambda usage: usage.registers)
        shared = max(self.usages, key=lambda usage: usage.shared)
        print(f"most registers: {most.registers} ({most.kernel}, sm_{most.architecture}); "
              f"most shared memory: {shared.shared} bytes ({shared.kernel})", file=sys.stderr)
        self.assertGreater(most.registers, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
