#!/usr/bin/env python3
"""Training speed side by side with a peer: interleaved, on pinned cores, as ratios of medians.

Peers are PyTorch and dlib, the sum of a step's own ops ("plan"), and the dense first layer beside the sparse ("dense").

compare.py --build BUILD --peer torch [--torch-python PYTHON] [--cores 1] [--case NAME] [--out FILE.json]

Exit code 0 if every target is met, 1 if one is missed, 2 if a run was too unsteady to count.
"""
import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import sys
import tempfile

import measure
import workers


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    model: str
    batch: int
    target: float = None  # ratio on one core; None: reported only
    density: float = 0.05  # of PerNet's features
    sparse: bool = False  # EDDL's first layer skips zeros


CASES = {
    "torch": [
        Case("pernet b32", "pernet", 32, 2.0),
        Case("pernet b128", "pernet", 128, 1.3),
        Case("pernet b128, 15.5 % ones", "pernet", 128, density=workers.DREBIN_DENSITY),
        Case("pernet b128, 15.5 % ones, sparse", "pernet", 128, density=workers.DREBIN_DENSITY, sparse=True),
        Case("lenet5 b128", "lenet5", 128, 1.4),
        Case("inception_small b128", "inception_small", 128),
        Case("resnet20 b128", "resnet20", 128, 1.2),
    ],
    "dlib": [
        Case("lenet5 b128", "lenet5", 128, 3.0),
        Case("inception_small b128", "inception_small", 128, 5.0),
    ],
    # EDDL beside itself: a step may cost little more than the ops of its plan.
    "plan": [
        Case("pernet b32", "pernet", 32, 0.9),
        Case("pernet b128", "pernet", 128, 0.9),
        Case("lenet5 b128", "lenet5", 128, 0.9),
        Case("inception_small b128", "inception_small", 128, 0.9),
        Case("resnet20 b128", "resnet20", 128, 0.9),
    ],
    # EDDL beside itself: what the sparse first layer brings.
    "dense": [
        Case("pernet b32, 15.5 % ones, sparse", "pernet", 32, density=workers.DREBIN_DENSITY, sparse=True),
        Case("pernet b128, 15.5 % ones, sparse", "pernet", 128, density=workers.DREBIN_DENSITY, sparse=True),
    ],
}


def peer_commands(options, case, data):
    """The peer's programs for a case; the fastest of them counts. By name."""
    if options.peer == "dlib":
        return {"dlib": workers.dlib_command(options.build, case.model, data, case.batch)}
    threads = ("--threads", options.cores)
    if options.peer == "plan":
        return {"plan's ops": workers.eddl_command(options.build, case.model, data, case.batch, *threads, "--plan-sum")}
    if options.peer == "dense":
        return {"dense": workers.eddl_command(options.build, case.model, data, case.batch, *threads)}
    plain = workers.torch_command(options.torch_python, case.model, data, case.batch, *threads)
    if case.model == "pernet":
        return {"torch": plain}
    return {"torch, contiguous": plain, "torch, channels_last": plain + ["--channels-last"]}


def run_case(options, case, folder):
    data = workers.make_data(folder, case.model, case.batch, case.density)
    ours = workers.eddl_command(options.build, case.model, data, case.batch, "--threads", options.cores,
                                *(["--sparse"] if case.sparse else []))
    commands = {"EDDL": ours, **peer_commands(options, case, data)}
    cores = range(options.first_core, options.first_core + options.cores)
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(workers.Worker(command, options.cores, cores)) for command in commands.values()]
        series, attempts, counts = measure.run(running, options.blocks)
    names = list(commands)
    best = min(range(1, len(series)), key=lambda i: series[i].median())
    ratio = series[best].median() / series[0].median()
    target = case.target if options.cores == 1 else None
    return {"case": case.name, "cores": options.cores, "ratio": ratio, "target": target, "steady": counts,
            "attempts": attempts, "samples_per_second": case.batch / series[0].median(),
            "peer": names[best], "peer_samples_per_second": case.batch / series[best].median(),
            "spread": max(one.spread() for one in series),
            "series": {name: one.to_json() for name, one in zip(names, series)}}


def verdict(result):
    if not result["steady"]:
        return "unsteady"
    if result["target"] is None:
        return "-"
    return "pass" if result["ratio"] >= result["target"] else "short"


def row(result):
    target = f"{result['target']:.1f}" if result["target"] else "-"
    return (f"| {result['case']} | {result['cores']} | {result['samples_per_second']:,.0f} "
            f"| {result['peer_samples_per_second']:,.0f} ({result['peer']}) | {result['ratio']:.2f} | {target} "
            f"| {verdict(result)} | {100 * result['spread']:.0f} % |")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    return {"cpu": names[0] if names else platform.machine(), "cores": os.cpu_count(), "kernel": platform.release(),
            "load": os.getloadavg()}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default="build", help="the build folder (default: build)")
    parser.add_argument("--peer", choices=sorted(CASES), required=True)
    parser.add_argument("--torch-python", help="an interpreter with torch (default: this one)")
    parser.add_argument("--cores", type=int, default=1, help="cores and threads (default 1; targets hold for 1)")
    parser.add_argument("--first-core", type=int, default=0, help="the first core to pin to (default 0)")
    parser.add_argument("--blocks", type=int, default=9, help="blocks a program (default 9, at least 7)")
    parser.add_argument("--case", action="append", help="only cases whose name begins so; may be repeated")
    parser.add_argument("--out", type=pathlib.Path, help="write all figures as JSON")
    return parser.parse_args()


def main():
    options = parse()
    cases = [case for case in CASES[options.peer]
             if options.case is None or case.name.startswith(tuple(options.case))]
    results = []
    print("| case | cores | EDDL, samples/s | peer, samples/s | ratio | target | | A/A spread |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="eddl-compare-") as folder:
        for case in cases:
            results.append(run_case(options, case, folder))
            print(row(results[-1]), flush=True)
    if options.out:
        report = {"command": sys.argv, "machine": machine(), "results": results}
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    verdicts = {verdict(result) for result in results}
    return 2 if "unsteady" in verdicts else 1 if "short" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
