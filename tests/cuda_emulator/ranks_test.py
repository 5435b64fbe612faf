#!/usr/bin/env python3
"""Collectives of ranks in threads: right in every order of the streams; ranks that disagree or do not come are found.

Usage: ranks_test.py PROGRAM EMULATOR_DIR
"""
import os
import subprocess
import sys
import unittest

PROGRAM, LIBRARIES = sys.argv[1:3]
ORDERS = ["order=eager", "order=lazy"] + [f"order=random:{seed}" for seed in range(1, 4)]
VIOLATION = 86


def run(mistake, options):
    environment = dict(os.environ, LD_LIBRARY_PATH=LIBRARIES, EDDL_CUDA_EMULATOR=f"devices=3 hang_ms=300 {options}")
    return subprocess.run([PROGRAM, mistake], env=environment, capture_output=True, text=True, timeout=60)


class RanksTest(unittest.TestCase):
    def test_ranks_that_agree_get_the_sum(self):
        for order in ORDERS:
            with self.subTest(order):
                # A machine that is busy is not a hang.
                result = run("", f"{order} hang_ms=30000")
                self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_ranks_that_disagree_are_found(self):
        for order in ORDERS:
            with self.subTest(order):
                result = run("other_count", order)
                self.assertEqual(result.returncode, VIOLATION)
                self.assertRegex(result.stderr, r"rank \d adds \d+ elements, another one \d+")

    def test_a_rank_that_does_not_come_is_a_hang(self):
        for order in ORDERS:
            with self.subTest(order):
                result = run("missing_rank", order)
                self.assertEqual(result.returncode, VIOLATION)
                self.assertRegex(result.stderr, r"hang: stream \d of device \d waits at 'ncclAllReduce of rank \d'")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
