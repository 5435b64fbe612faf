#!/usr/bin/env python3
"""Kernels with a mistake in them fail the conformance suite; kernels without one show Oclgrind no race and no access
out of bounds.

Usage: subset_test.py (mutants | oclgrind) OPENCL_SUBSET     exit code 77 where OpenCL or Oclgrind is missing
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
# What an interpreter of kernels gets through in seconds: few and small cases of every kernel but CLBlast's.
SMALL = ["relu/1", "add/1", "concat/1", "split/1", "pad/1", "transpose/1", "broadcast/1", "reduce/1", "reduce/2",
         "dropout/1", "softmax/1", "softmax_xent/11", "batch_norm/1", "batch_norm_grad/1", "batch_norm_inference/1",
         "max_pool2d/1", "max_pool2d_grad/1", "avg_pool2d/1", "avg_pool2d_grad/1", "global_avg_pool/1",
         "global_avg_pool_grad/1", "sparse_matmul/2", "sum_squares/1", "abs_max/1", "adam/11", "sgd/11", "pack_f16/2",
         "unpack_f16/2", "fixed_add/2", "fixed_to_float/2", "layer_norm/1", "layer_norm_grad/1", "gelu/1",
         "sigmoid_bce/1", "mse/1"]
# Seen by its race alone: groups run their work-items in order on a CPU.
BY_OCLGRIND = "barrier_missing"


def run(command, folder):
    environment = dict(os.environ, XDG_CACHE_HOME=folder)
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def check_mutants(subset, folder):
    names = [line.split() for line in run([subset, "--list"], folder).stdout.splitlines()]
    survived = 0
    for name, filter_name in names:
        if name == BY_OCLGRIND:
            continue
        result = run([subset, "--mutant", name, filter_name], folder)
        if result.returncode == SKIP:
            print(result.stdout, end="")
            return SKIP
        caught = result.returncode == 1
        survived += not caught
        print(f"{name}: {'caught by ' + filter_name if caught else 'SURVIVED'}")
        if not caught:
            print(result.stdout + result.stderr)
    return 1 if survived or not names else 0


def oclgrind(arguments, folder):
    """Exit code, output, and what Oclgrind found."""
    log = pathlib.Path(folder) / "oclgrind.log"
    log.unlink(missing_ok=True)
    result = run(["oclgrind", "--data-races", "--max-errors", "10", "--log", str(log)] + arguments, folder)
    return result.returncode, result.stdout + result.stderr, log.read_text() if log.exists() else ""


def check_oclgrind(subset, folder):
    if shutil.which("oclgrind") is None:
        print("SKIP: oclgrind not found (Debian: oclgrind): races and bounds are not checked")
        return SKIP
    code, output, found = oclgrind([subset] + SMALL, folder)
    print(output + found)
    if code == SKIP:
        return SKIP
    if code != 0 or found.strip():
        return 1
    _, _, found = oclgrind([subset, "--mutant", BY_OCLGRIND, "reduce/1"], folder)
    print(f"{BY_OCLGRIND}: {'caught' if 'data race' in found else 'SURVIVED'}")
    return 0 if "data race" in found else 1


def main():
    checks = {"mutants": check_mutants, "oclgrind": check_oclgrind}
    with tempfile.TemporaryDirectory() as folder:
        return checks[sys.argv[1]](sys.argv[2], folder)


if __name__ == "__main__":
    sys.exit(main())
