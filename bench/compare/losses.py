#!/usr/bin/env python3
"""Losses of EDDL and PyTorch, step by step, from the same weights and the same batches.

losses.py --build BUILD [--torch-python PYTHON] [--out FILE.json]

Each of 50 losses must be within 1e-4, relative, of PyTorch's in float32; PyTorch in float64 judges who is nearer. SGD
with momentum 0.9. Gated at a learning rate of 0.001. At 0.01 training is chaotic after some 20 steps: a last bit flips
a relu, and float32 parts from float64 in PyTorch too; that is reported. Exit code 1 if a gated run is off.
"""
import argparse
import json
import os
import pathlib
import sys
import tempfile

import workers

STEPS = 50
TOLERANCE = 1e-4
BATCH = 128
# (model, learning rate, gated). Batch norm amplifies rounding from the first step.
RUNS = [
    ("lenet5", 0.001, True),
    ("pernet", 0.001, True),
    ("inception_small", 0.001, False),
    ("resnet20", 0.001, False),
    ("lenet5", 0.01, False),
    ("pernet", 0.01, False),
]


def largest_difference(losses, others):
    """(relative difference, step from 1) where two series are farthest apart."""
    return max((abs(a - b) / abs(b), step) for step, (a, b) in enumerate(zip(losses, others), 1))


def losses_of(command, *more):
    with workers.Worker([*command, *more], threads=1, cores=range(os.cpu_count())) as worker:
        return worker.ask(f"losses {STEPS}")["losses"]


def compare(options, model, learning_rate, gated, folder):
    data = workers.make_data(folder, model, BATCH)
    ours = workers.eddl_command(options.build, model, data, BATCH)
    parameters = pathlib.Path(folder) / f"{model}.f32"
    with workers.Worker(ours, threads=1, cores=range(os.cpu_count())) as worker:
        answer = worker.ask(f"export {parameters}")
    pathlib.Path(f"{parameters}.json").write_text(json.dumps(answer), encoding="utf-8")
    torch = [*workers.torch_command(options.torch_python, model, data, BATCH), "--parameters", parameters]
    rate = ("--learning-rate", learning_rate)
    eddl, float32, float64 = losses_of(ours, *rate), losses_of(torch, *rate), losses_of(torch, *rate, "--double")
    difference, step = largest_difference(eddl, float32)
    return {"model": model, "learning_rate": learning_rate, "gated": gated, "difference": difference, "at_step": step,
            "first_loss": eddl[0], "last_loss": eddl[-1],
            "eddl_from_float64": largest_difference(eddl, float64)[0],
            "torch_from_float64": largest_difference(float32, float64)[0],
            "losses": {"eddl": eddl, "torch_float32": float32, "torch_float64": float64}}


def row(result):
    tolerance = f"{TOLERANCE:.0e}" if result["gated"] else "-"
    judged = ("pass" if result["difference"] <= TOLERANCE else "off") if result["gated"] else "-"
    return (f"| {result['model']} | {result['learning_rate']} "
            f"| {result['first_loss']:.4f} to {result['last_loss']:.4f} "
            f"| {result['difference']:.1e} (step {result['at_step']}) | {tolerance} | {judged} "
            f"| {result['eddl_from_float64']:.1e} | {result['torch_from_float64']:.1e} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default="build", help="the build folder (default: build)")
    parser.add_argument("--torch-python", help="an interpreter with torch (default: this one)")
    parser.add_argument("--out", type=pathlib.Path, help="write all losses as JSON")
    options = parser.parse_args()
    print("| model | rate | loss | EDDL to PyTorch | tolerance | | EDDL to float64 | PyTorch to float64 |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    results = []
    with tempfile.TemporaryDirectory(prefix="eddl-losses-") as folder:
        for run in RUNS:
            results.append(compare(options, *run, folder))
            print(row(results[-1]), flush=True)
    if options.out:
        options.out.write_text(json.dumps({"command": sys.argv, "results": results}, indent=1) + "\n", encoding="utf-8")
    return 1 if any(result["gated"] and result["difference"] > TOLERANCE for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
