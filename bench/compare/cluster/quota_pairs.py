#!/usr/bin/env python3
"""A cluster beside the same devices training alone at the same time, all under processor quotas; needs root.

Usage: sudo bench/compare/cluster/quota_pairs.py [--scenario FILE.toml] [--times N] [--out FILE.json]

In turns: `eddl-node train` on every device of the scenario at once, each for itself and with the batch of all, whose
rates are added up, and have no tests in them; the cluster without test data; the cluster as it is, tests in its time.
The scenario says native_seconds_per_sample, so that quotas are the same in all.
"""
import argparse
import json
import pathlib
import shutil
import statistics
import tempfile
import tomllib

from cluster_compare import ROOT, testbed

SCENARIO = ROOT / "examples/testbed/quotas_4.toml"
# Epochs of the fastest device; slower ones compute as much less.
EPOCHS = 4


def train_command(shown, scenario, folder):
    """Of each device: about as long for all, by epochs of as many samples as it is fast."""
    job = (scenario.parent / shown["settings"]["job"]).resolve()
    fastest = min(device["seconds_per_sample"] for device in shown["devices"])
    limits = [str(max(2 * shown["job"]["train.batch"], int(60_000 * fastest / device["seconds_per_sample"])))
              for device in shown["devices"]]
    script = (f'set -- {" ".join(limits)}; shift {{rank}}; exec {ROOT}/build/release/bin/eddl-node train {job} '
              f'--set train.batch={shown["job"]["train.batch"]} --set train.epochs={EPOCHS} --set data.limit=$1 '
              f'--set \'run.dir="{folder}/{{rank}}"\' --set device.threads=1 --set \'device.name="cpu"\' '
              "--overwrite --format json")
    return ["sh", "-c", script]


def alone(shown, scenario, logs):
    """samples/s of all devices that train at the same time, each for itself."""
    with tempfile.TemporaryDirectory() as folder:
        result = testbed("exec", scenario, logs, "--", *train_command(shown, scenario, folder))
    outputs = [logs / f"{node['name']}.out" for node in result["nodes"]]
    return sum(json.loads(path.read_text(encoding="utf-8").splitlines()[-1])["samples_per_second"] for path in outputs)


def without_tests(shown, scenario, folder):
    """A copy of the scenario whose data are the training files alone."""
    job = shown["settings"]["job"]
    copy = folder / "testbed" / scenario.name
    data = folder / "data"
    for made in (copy.parent, data):
        made.mkdir(parents=True)
    shutil.copy(scenario.parent / job, copy.parent / job)
    for file in pathlib.Path(tomllib.loads((scenario.parent / job).read_text(encoding="utf-8"))["data"]["path"]).iterdir():
        if file.name.startswith("train-"):
            (data / file.name).symlink_to(file)
    copy.write_text(f'{scenario.read_text(encoding="utf-8")}\n[testbed.set]\ndata.path = "{data}"\n'
                    "data.test_fraction = 0.0\n", encoding="utf-8")
    return copy


def cluster(scenario, logs):
    return testbed("run", scenario, logs, "--no-prediction")["measured"]["samples_per_second"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--scenario", type=pathlib.Path, default=SCENARIO)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    logs = ROOT / "runs/compare" / options.scenario.stem
    shown = testbed("show", options.scenario, "unused")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        untested = without_tests(shown, options.scenario, pathlib.Path(folder))
        for _ in range(options.times):
            rows.append({"alone": alone(shown, options.scenario, logs / "alone"),
                         "cluster": cluster(untested, logs / "untested"),
                         "cluster_with_tests": cluster(options.scenario, logs / "cluster")})
            print("  ".join(f"{name} {rate:,.0f}" for name, rate in rows[-1].items()), "samples/s", flush=True)
    for name in ("cluster", "cluster_with_tests"):
        ratio = statistics.median(row[name] / row["alone"] for row in rows)
        print(f"{name}, median of {len(rows)}: {ratio:.2f} of the sum of the devices alone")
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
