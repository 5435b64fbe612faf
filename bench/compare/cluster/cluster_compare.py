#!/usr/bin/env python3
"""EDDL and PyTorch DDP side by side on the same emulated devices and links; needs root, and torch for its Python.

Usage: sudo bench/compare/cluster/cluster_compare.py [--scenario FILE.toml]... [--python PROGRAM] [--dilation N]
                                                     [--out FILE.json]

With a dilation all is emulated so many times slower, which is told in the time of the scenario: this machine's cores,
which do the work of all devices and of their links, are not the bottleneck then.
"""
import argparse
import json
import pathlib
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


def eddl(scenario, logs, dilation):
    result = testbed("run", scenario, logs, *dilation)
    epochs = [{"epoch": epoch["epoch"], "seconds": epoch["seconds"], "test_accuracy": epoch.get("test_accuracy")}
              for epoch in result["epochs"]]
    return {"system": "EDDL", "epochs": epochs, "samples_per_second": result["measured"]["samples_per_second"],
            "plan": result["plan"], "prediction": result["prediction"]["samples_per_second"],
            "bytes": sum(node["up_bytes"] for node in result["nodes"])}


def torch_ddp(scenario, logs, dilation, python, epochs, batch):
    result = testbed("exec", scenario, logs, *dilation, "--", python, "-B", str(HERE / "torch_ddp.py"), "--epochs",
                     str(epochs), "--batch", str(batch))
    first = next(node["name"] for node in result["nodes"] if node["node"] == 1)
    answer = json.loads((logs / f"{first}.out").read_text(encoding="utf-8").splitlines()[-1])
    epochs = [{**epoch, "seconds": epoch["seconds"] / result["dilation"]} for epoch in answer["epochs"]]
    return {**answer, "epochs": epochs, "samples_per_second": answer["samples_per_second"] * result["dilation"],
            "bytes": sum(node["up_bytes"] for node in result["nodes"])}


def job_of(scenario):
    shown = testbed("show", scenario, "unused")
    return shown["job"]["train.epochs"], shown["job"]["train.batch"], shown["devices"]


def print_table(scenario, devices, results):
    ideal = sum(1 / device["seconds_per_sample"] for device in devices)
    print(f"\n{scenario.stem}: {len(devices)} devices, together {ideal:,.0f} samples/s if nothing were lost")
    print(f"{'':28} {'samples/s':>10} {'of ideal':>9} {'seconds':>9} {'accuracy':>9} {'sent MB':>9}")
    for result in results:
        last = result["epochs"][-1]
        print(f"{result['system']:28} {result['samples_per_second']:10,.0f} "
              f"{result['samples_per_second'] / ideal:9.2f} {last['seconds']:9.1f} {last['test_accuracy']:9.4f} "
              f"{result['bytes'] * 1e-6:9.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--scenario", action="append", type=pathlib.Path, help="of the testbed; may be repeated")
    parser.add_argument("--python", default="/usr/bin/python3", help="a Python with torch (%(default)s)")
    parser.add_argument("--dilation", help="emulate all so many times slower (as the scenario says)")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    has_torch = subprocess.run([options.python, "-c", "import torch.distributed"], capture_output=True, check=False)
    if has_torch.returncode != 0:
        sys.exit(f"{options.python} cannot import torch: apt-get install python3-torch (bench/README.md)")
    everything = []
    for scenario in options.scenario or DEFAULT_SCENARIOS:
        epochs, batch, devices = job_of(scenario)
        logs = ROOT / "runs/compare" / scenario.stem
        dilation = ["--dilation", options.dilation] if options.dilation else []
        results = [eddl(scenario, logs / "eddl", dilation),
                   torch_ddp(scenario, logs / "torch", dilation, options.python, epochs, batch)]
        print_table(scenario, devices, results)
        everything.append({"scenario": scenario.stem, "devices": devices, "results": results})
    if options.out:
        options.out.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
