#!/usr/bin/env python3
"""Start-up time and memory of eddl-node: from process start to ready, without data, and the largest resident memory.

startup.py --build BUILD [--out FILE.json]

Ready within 0.15 s, as eddl-node reports it; memory beyond the data at most 1.2 x (3 x parameters + planned arena) +
60 MB. Beside the reported time stands one from outside, which is an upper bound: a whole run of `eddl-node plan`, with
reading 640 samples, printing and exit. Medians of 9 runs. Exit code 1 if a limit is exceeded.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

READY_SECONDS_MAX = 0.15
RUNS = 9
MB = 1e6
FASHION_MNIST = ["--set", "data.path=/usr/share/datasets/fashion-mnist"]
GENERATED = ["--set", "data.format=generate"]
JOBS = {"lenet5": FASHION_MNIST, "inception_small": FASHION_MNIST, "resnet20": FASHION_MNIST, "pernet": GENERATED}
STEPS = 20


def run(command):
    """(seconds, largest resident bytes, stdout) of one process."""
    begin = time.perf_counter()
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with code {process.returncode}")
    return time.perf_counter() - begin, usage.ru_maxrss * 1024, output.decode()


def measure(node, model, folder):
    job = pathlib.Path(folder) / "job.toml"
    job.write_text("", encoding="utf-8")
    settings = ["--set", f"model.name={model}", "--set", "train.batch=128", "--threads", "1"]
    tiny = ["--set", "data.format=generate", "--set", "data.generate.samples=640"]
    if model != "pernet":
        tiny = [*JOBS[model], "--set", "data.limit=640"]
    plan_seconds = [run([node, "plan", job, *settings, *tiny])[0] for _ in range(RUNS)]
    train = [node, "train", job, *settings, *JOBS[model], "--set", "train.epochs=1", "--format", "json", "--set",
             f"run.dir={folder}/run", "--overwrite"]
    count = "data.generate.samples" if model == "pernet" else "data.limit"
    ready_seconds = [json.loads(run([*train, "--set", f"{count}=256"])[2].splitlines()[-1])["ready_seconds"]
                     for _ in range(RUNS)]
    _, peak, output = run([*train, "--set", f"{count}={128 * STEPS}"])
    answer = json.loads(output.splitlines()[-1])
    limit = 1.2 * (3 * 4 * answer["parameters"] + answer["arena_bytes"]) + 60 * MB
    return {"model": model, "ready_seconds": statistics.median(ready_seconds),
            "plan_seconds": statistics.median(plan_seconds), "peak_bytes": peak, "data_bytes": answer["data_bytes"],
            "arena_bytes": answer["arena_bytes"], "parameters": answer["parameters"],
            "beyond_data_bytes": peak - answer["data_bytes"], "limit_bytes": limit}


def fits(result):
    return result["ready_seconds"] < READY_SECONDS_MAX and result["beyond_data_bytes"] <= result["limit_bytes"]


def row(result):
    return (f"| {result['model']} | {result['ready_seconds']:.2f} s | {result['plan_seconds']:.2f} s "
            f"| {result['peak_bytes'] / MB:.0f} MB | {result['data_bytes'] / MB:.0f} MB "
            f"| {result['beyond_data_bytes'] / MB:.0f} MB | {result['limit_bytes'] / MB:.0f} MB "
            f"| {'pass' if fits(result) else 'short'} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default="build", help="the build folder (default: build)")
    parser.add_argument("--out", type=pathlib.Path, help="write all figures as JSON")
    options = parser.parse_args()
    print("| model | ready, reported | plan, from outside | peak memory | data | beyond the data | limit | |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    results = []
    for model in JOBS:
        with tempfile.TemporaryDirectory(prefix="eddl-startup-") as folder:
            results.append(measure(options.build / "bin/eddl-node", model, folder))
        print(row(results[-1]), flush=True)
    if options.out:
        options.out.write_text(json.dumps({"command": sys.argv, "results": results}, indent=1) + "\n", encoding="utf-8")
    return 0 if all(map(fits, results)) else 1


if __name__ == "__main__":
    sys.exit(main())
