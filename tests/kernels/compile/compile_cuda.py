#!/usr/bin/env python3
"""Compiles every kernel file as CUDA C++, warnings as errors; what OpenCL makes of them is seen when they run.

Usage: compile_cuda.py ROOT FILE...     exit code 77 where there is no nvcc
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

ARCHITECTURE = "compute_75"


def nvcc():
    return shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")


def main():
    root, files = sys.argv[1], [path for path in sys.argv[2:] if path.endswith(".knl")]
    compiler = nvcc()
    if compiler is None:
        print("SKIP: nvcc not found in PATH or /usr/local/cuda/bin: the kernels are not compiled as CUDA")
        return 77
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in files:
            output = str(pathlib.Path(folder) / "kernel.ptx")
            command = [compiler, "-x", "cu", f"-arch={ARCHITECTURE}", "-ptx", "-Werror", "all-warnings", "-I", root,
                       path, "-o", output]
            result = subprocess.run(command, capture_output=True, text=True)
            entries = pathlib.Path(output).read_text().count(".entry") if result.returncode == 0 else 0
            print(f"{pathlib.Path(path).name}: {entries} kernels" if entries else f"{path}: {result.stderr}")
            failed += entries == 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
