#!/usr/bin/env python3
"""EDDL and PyTorch DDP side by side on the same emulated devices and links; needs root, and torch for its Python.

Usage: sudo bench/compare/cluster/cluster_compare.py [--scenario FILE.toml]... [--python PROGRAM] [--dilation N]
                                                     [--epochs N] [--times N] [--out FILE.json]

The two take turns; medians are told. With a dilation all is emulated so many times slower, which is told in the time of the scenario: this machine's cores,
which do the work of all devices and of their links, are not the bottleneck then.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TESTBED = ROOT / "tools/testbed/testbed.py"
DEFAULT_SCENARIOS = [HERE / "equal_4.toml", HERE / "unequal_4.toml"]


def testbed(verb, scenario, logs, *more):
    """The JSON of a run; SystemExit with what it said if it failed."""
    done = subprocess.run([sys.executable, "-B", TESTBED, verb, scenario, "--logs", logs, "--format", "json", *more],
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"testbed.py {verb} {scenario} failed; logs in {logs}\n{done.stdout[-2000:]}")
    return json.loads(done.stdout)


def eddl(scenario, logs, options):
    result = testbed("run", scenario, logs, *options)
    epochs = [{"epoch": epoch["epoch"], "seconds": epoch["seconds"], "test_accuracy": epoch.get("test_accuracy")}
              for epoch in result["epochs"]]
    return {"system": "EDDL", "epochs": epochs, "samples_per_second": result["measured"]["samples_per_second"],
            "plan": result["plan"], "prediction": result["prediction"]["samples_per_second"],
            "bytes": sum(node["up_bytes"] for node in result["nodes"])}


def torch_ddp(scenario, logs, options, python, epochs, batch):
    result = testbed("exec", scenario, logs, *options, "--", python, "-B", str(HERE / "torch_ddp.py"), "--epochs",
                     str(epochs), "--batch", str(batch))
    first = next(node["name"] for node in result["nodes"] if node["node"] == 1)
    answer = json.loads((logs / f"{first}.out").read_text(encoding="utf-8").splitlines()[-1])
    epochs = [{**epoch, "seconds": epoch["seconds"] / result["dilation"]} for epoch in answer["epochs"]]
    return {**answer, "epochs": epochs, "samples_per_second": answer["samples_per_second"] * result["dilation"],
            "bytes": sum(node["up_bytes"] for node in result["nodes"])}


def print_table(scenario, devices, turns):
    """`turns`: lists of results, one of each system."""
    ideal = sum(1 / device["seconds_per_sample"] for device in devices)
    print(f"\n{scenario.stem}: {len(devices)} devices, together {ideal:,.0f} samples/s if nothing were lost; "
          f"medians of {len(turns)}")
    print(f"{'':28} {'samples/s':>10} {'least':>8} {'most':>8} {'of ideal':>9} {'seconds':>9} {'accuracy':>9} "
          f"{'sent MB':>9}")
    for results in zip(*turns):
        rates = [result["samples_per_second"] for result in results]
        seconds, accuracy, sent = (statistics.median(values) for values in (
            [result["epochs"][-1]["seconds"] for result in results],
            [result["epochs"][-1]["test_accuracy"] for result in results],
            [result["bytes"] * 1e-6 for result in results]))
        print(f"{results[0]['system']:28} {statistics.median(rates):10,.0f} {min(rates):8,.0f} {max(rates):8,.0f} "
              f"{statistics.median(rates) / ideal:9.2f} {seconds:9.1f} {accuracy:9.4f} {sent:9.1f}")
    ratios = [turn[0]["samples_per_second"] / turn[1]["samples_per_second"] for turn in turns]
    print(f"EDDL / DDP: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); predicted of EDDL: "
          f"{statistics.median(turn[0]['prediction'] for turn in turns):,.0f} samples/s", flush=True)


def compare(scenario, options):
    sets = ["--set", f"job.epoch_count={options.epochs}"] if options.epochs else []
    shown = testbed("show", scenario, "unused", *sets)
    epochs, batch = shown["job"]["train.epochs"], shown["job"]["train.batch"]
    logs = ROOT / "runs/compare" / scenario.stem
    more = [*sets, *(["--dilation", options.dilation] if options.dilation else [])]
    turns = [[eddl(scenario, logs / "eddl", more),
              torch_ddp(scenario, logs / "torch", more, options.python, epochs, batch)] for _ in range(options.times)]
    print_table(scenario, shown["devices"], turns)
    return {"scenario": scenario.stem, "devices": shown["devices"], "turns": turns}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--scenario", action="append", type=pathlib.Path, help="of the testbed; may be repeated")
    parser.add_argument("--python", default="/usr/bin/python3", help="a Python with torch (%(default)s)")
    parser.add_argument("--dilation", help="emulate all so many times slower (as the scenario says)")
    parser.add_argument("--epochs", type=int, help="of both systems (as the scenario says)")
    parser.add_argument("--times", type=int, default=1, help="how often each runs (%(default)s)")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    has_torch = subprocess.run([options.python, "-c", "import torch.distributed"], capture_output=True, check=False)
    if has_torch.returncode != 0:
        sys.exit(f"{options.python} cannot import torch: apt-get install python3-torch (bench/README.md)")
    everything = [compare(scenario, options) for scenario in options.scenario or DEFAULT_SCENARIOS]
    if options.out:
        options.out.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
