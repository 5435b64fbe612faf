#!/usr/bin/env python3
"""Mistakes put into the cuda backend on purpose are caught by its tests on emulated GPUs.

Usage: mutants_test.py PLUGIN_FACTS [--all-barriers]

The plugin is built again with one piece of one file changed. Each mutant has cases that pass without it (also tested
here), and a word that whatever caught it must say. --all-barriers removes every BARRIER() of every kernel in turn: by
hand, it takes minutes.
"""
import argparse
import pathlib
import re
import sys
import tempfile
import unittest

import plugin

ARGUMENTS = argparse.ArgumentParser()
ARGUMENTS.add_argument("facts")
ARGUMENTS.add_argument("--all-barriers", action="store_true")
OPTIONS = ARGUMENTS.parse_args()
BUILD = plugin.Build(OPTIONS.facts)

# Name: file, piece, what stands there instead, cases, options, what must be said.
MUTANTS = {
    "a barrier less": (
        "kernels/softmax/softmax.knl", "SECOND_BARRIER", "", ["softmax/1"], "order=lazy", "shared memory"),
    "an index too far": (
        "kernels/flat/flat.knl", "if (i < count) y[i] = alpha * x[i];", "if (i <= count) y[i] = alpha * x[i];",
        ["scale/"], "order=lazy", "scale"),
    "another stride": (
        "backends/cuda/op.cc", "static_cast<int>(product.b_stride)", "static_cast<int>(product.n)", ["matmul/"],
        "order=lazy", "matmul"),
    "no event wait": (
        "backends/cuda/device.cc",
        'EDDL_CUDA_CALL(cudaStreamWaitEvent(queue.stream, event.event, 0), "waiting for another queue");', "",
        ["interface/orders queues by events"], "order=eager", "stream race"),
    "no synchronisation": (
        "backends/cuda/device.cc", "error = cudaStreamSynchronize(queue.stream);", "error = cudaSuccess;",
        ["scale/1"], "order=eager", "the host has not waited for"),
    "staging memory taken too early": (
        "backends/cuda/staging.cc", 'EDDL_CUDA_CALL(cudaEventSynchronize(next.done), "waiting for an earlier copy");', "",
        None, "order=lazy",
        "the host changed memory that a queued copy had yet to read"),
    "an unchecked launch": (
        "backends/cuda/op.cc", r"EDDL_CUDA_CALL\(\s*cudaLaunchKernel\(", "NOT_CHECKED(cudaLaunchKernel(", ["scale/1"],
        "order=lazy fail=cudaLaunchKernel:1", None),
    "a handle that is kept": (
        "backends/cuda/device.cc", "  cublas.reset();\n", "  cublas.release();\n", ["scale/1"], "order=lazy",
        "not given back: "),
}
NOT_CHECKED = "#define NOT_CHECKED(call, doing) static_cast<void>(call)\n"
UNCHECKED_TEXT = "launching flat_scale failed"


def barriers():
    """Every BARRIER() of the kernels: file, number, the text without it."""
    root = pathlib.Path(BUILD.facts["root"])
    for path in sorted((root / "kernels").glob("*/*.knl")):
        text = path.read_text()
        for number, match in enumerate(re.finditer(r"BARRIER\(\);", text)):
            yield str(path.relative_to(root)), number, text, text[:match.start()] + text[match.end():]


class MutantsTest(unittest.TestCase):
    def test_each_is_caught(self):
        for name, (source, old, new, cases, options, text) in MUTANTS.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                whole = BUILD.run(BUILD.facts["plugin"], cases, options)
                mutant = BUILD.run(self.build(source, old, new, folder), cases, options)
                if text is None:  # what the whole plugin says, the mutant keeps to itself
                    self.assertIn(UNCHECKED_TEXT, whole.stdout)
                    self.assertNotIn(UNCHECKED_TEXT, mutant.stdout)
                    continue
                self.assertEqual((whole.returncode, whole.stderr), (0, ""))
                self.assertNotEqual(mutant.returncode, 0)
                self.assertIn(text, mutant.stdout + mutant.stderr)

    @unittest.skipUnless(OPTIONS.all_barriers, "removes every barrier: with --all-barriers")
    def test_each_barrier_is_needed(self):
        for source, number, text, without in barriers():
            with self.subTest(source=source, barrier=number), tempfile.TemporaryDirectory() as folder:
                family = pathlib.Path(source).stem
                mutant = BUILD.run(BUILD.mutate(source, text, without, folder), CASES_OF.get(family, [family]))
                self.assertNotEqual(mutant.returncode, 0)
                self.assertRegex(mutant.stderr, "(race in|read of) shared memory")

    def build(self, source, old, new, folder):
        if old == "SECOND_BARRIER":
            text = (pathlib.Path(BUILD.facts["root"]) / source).read_text()
            at = [match.start() for match in re.finditer(r"BARRIER\(\);", text)][1]
            return BUILD.mutate(source, text, text[:at] + text[at + len("BARRIER();"):], folder)
        if new.startswith("NOT_CHECKED"):
            text = (pathlib.Path(BUILD.facts["root"]) / source).read_text()
            unchecked, count = re.subn(old, new, text)
            self.assertEqual(count, 1)
            return BUILD.mutate(source, text, NOT_CHECKED + unchecked, folder)
        return BUILD.mutate(source, old, new, folder)


# The op kinds that run a family's kernels, where they are not called like it.
CASES_OF = {"batch_norm": ["batch_norm"], "reduce": ["reduce", "sum_squares", "abs_max", "global_avg_pool/"],
            "softmax": ["softmax"], "sparse_matmul": ["sparse_matmul"]}

if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
