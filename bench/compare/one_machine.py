#!/usr/bin/env python3
"""Workers that share one machine, over loopback and TLS, not slowed: PerNet on generated data of the paper's shape.

Usage: bench/compare/one_machine.py [--workers 1,2,4] [--batches 128,512,2048] [--parking] [--times N]
                                    [--out FILE.json]

Beside the cluster, `eddl-node train` with the same batch and one thread: what one device needs, and how good its model gets. The
manager is a process of its own, which trains nothing; each worker has one thread. Runs take turns; medians are told.
With --parking, as by default in a job, devices without which the others are faster get no work.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/release/bin/eddl-node"
JOB = ROOT / "examples/testbed/pernet_6656.toml"
PATIENCE_SECONDS = 600


def settings(folder, batch, **more):
    keys = {"train.batch": batch, "device.name": '"cpu"', "device.threads": 1, "run.dir": f'"{folder / "run"}"', **more}
    return [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]


def last_json(lines):
    result = json.loads(lines.splitlines()[-1])
    return {"samples_per_second": result["samples_per_second"], "accuracy": result["test_accuracy"]}


def alone(program, folder, batch):
    done = subprocess.run([program, "train", JOB, *settings(folder, batch), "--format", "json"], capture_output=True,
                          text=True, check=False, timeout=PATIENCE_SECONDS)
    if done.returncode != 0:
        sys.exit(f"eddl-node train failed: {done.stderr[-2000:]}")
    return last_json(done.stdout)


def cluster(program, folder, workers, batch, parking):
    """The mean rate from the first lease to the last, tests included, and the accuracy of the last version."""
    environment = dict(os.environ, XDG_STATE_HOME=str(folder / "state"))
    # A round is at least a micro-batch for each worker.
    keys = {"cluster.workers_min": workers, "cluster.parking": str(parking).lower(), "cluster.micro_batch": min(32, batch // workers)}
    started = []

    def start(name, *arguments, **streams):
        log = (folder / f"{name}.log").open("w", encoding="utf-8")
        started.append(subprocess.Popen([program, *map(str, arguments)], env=environment, stderr=log, text=True,
                                        **streams))
        return started[-1]

    try:
        manager = start("manager", "manage", JOB, "--listen", "127.0.0.1:0", "--format", "json",
                        *settings(folder, batch, **keys), stdout=subprocess.PIPE)
        line = manager.stdout.readline()
        if not line:
            sys.exit(f"the manager ended: {(folder / 'manager.log').read_text(encoding='utf-8')[-2000:]}")
        hello = json.loads(line)
        for number in range(workers):
            start(f"worker-{number}", "join", hello["address"], "--token", hello["token"], "--state",
                  folder / f"state-{number}", "--device", "cpu", "--threads", 1, stdout=subprocess.DEVNULL)
        out, _ = manager.communicate(timeout=PATIENCE_SECONDS)
        return last_json(out)
    finally:
        for process in started:
            process.kill()
            process.wait()


def in_a_folder(run, *arguments):
    with tempfile.TemporaryDirectory(prefix="eddl-one-machine-") as folder:
        return run(arguments[0], pathlib.Path(folder), *arguments[1:])


def numbers(text):
    return [int(word) for word in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--workers", type=numbers, default=[1, 2, 4], help="how many, separated by commas")
    parser.add_argument("--batches", type=numbers, default=[128, 512, 2048], help="of all workers together")
    parser.add_argument("--parking", action="store_true", help="leave out devices that hold up the others")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--program", type=pathlib.Path, default=PROGRAM)
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    if not options.program.exists():
        sys.exit(f"there is no {options.program}: tools/demo.sh builds it")
    runs = [{"workers": workers, "batch": batch, "results": []} for batch in options.batches
            for workers in (0, *options.workers)]
    for _ in range(options.times):
        for run in runs:
            if run["workers"] == 0:
                result = in_a_folder(alone, options.program, run["batch"])
            else:
                result = in_a_folder(cluster, options.program, run["workers"], run["batch"], options.parking)
            run["results"].append(result)
    print(f"{'batch':>6} {'workers':>8} {'samples/s':>10} {'accuracy':>9}")
    for run in runs:
        rate, accuracy = (statistics.median(result[key] for result in run["results"])
                          for key in ("samples_per_second", "accuracy"))
        print(f"{run['batch']:6} {run['workers'] or 'alone':>8} {rate:10,.0f} {accuracy:9.4f}")
    if options.out:
        options.out.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
