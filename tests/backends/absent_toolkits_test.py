#!/usr/bin/env python3
"""A machine without a toolkit builds the rest: configures the tree as if OpenCL and CUDA were absent.

Usage: absent_toolkits_test.py CMAKE SOURCE_DIR GENERATOR
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

CMAKE, SOURCE, GENERATOR = sys.argv[1:4]


class AbsentToolkitsTest(unittest.TestCase):
    def test_each_absent_toolkit_costs_one_line_and_its_own_targets(self):
        for option, line, backend in (
                ("-DCMAKE_DISABLE_FIND_PACKAGE_Nvcc=ON", "-- backends/cuda: skipped, nvcc not found", "cuda"),
                ("-DOPENCL_LIBRARY=OFF", "-- backends/opencl: skipped, OpenCL or CLBlast not found", "opencl"),
                ("-DCLBLAST_LIBRARY=OFF", "-- backends/opencl: skipped, OpenCL or CLBlast not found", "opencl")):
            with self.subTest(option), tempfile.TemporaryDirectory() as build:
                query = pathlib.Path(build, ".cmake/api/v1/query")
                query.mkdir(parents=True)
                (query / "codemodel-v2").touch()
                result = subprocess.run([CMAKE, "-S", SOURCE, "-B", build, "-G", GENERATOR, "-DEDDL_BUILD_BENCH=OFF",
                                         option], capture_output=True, text=True, timeout=300)
                self.assertEqual(result.returncode, 0, result.stderr)
                told = [said for said in result.stdout.splitlines() if said.startswith(f"-- backends/{backend}: ")]
                self.assertEqual([said.startswith(line) for said in told], [True], result.stdout)
                reply = pathlib.Path(build, ".cmake/api/v1/reply")
                model = json.loads(next(reply.glob("codemodel-*.json")).read_text())
                targets = {target["name"] for target in model["configurations"][0]["targets"]}
                self.assertIn("eddl-node", targets)
                self.assertIn("eddl_backend_cpu", targets)
                self.assertNotIn("eddl_backend_" + backend, targets)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
