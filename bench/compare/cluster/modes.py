#!/usr/bin/env python3
"""One scenario of the testbed with one leader and with split ones, in each mode of closing rounds; needs root.

Usage: sudo bench/compare/cluster/modes.py SCENARIO.toml [--modes sync,pipe,async,auto] [--leaders 1,0] [--epochs N]
                                           [--times N] [--dilation N] [--out FILE.json]

Leaders: how many, with equal shares; 0: as the planner chooses. Variants take turns; medians are told, and beside them what
`eddl-sim` predicts for the same file.
"""
import argparse
import itertools
import json
import pathlib
import statistics

from cluster_compare import ROOT, testbed


def run(scenario, mode, leaders, options):
    sets = [f'pins.mode="{mode}"', f"pins.leader_count={leaders}"]
    sets += [f"job.epoch_count={options.epochs}"] if options.epochs else []
    more = [word for text in sets for word in ("--set", text)]
    more += ["--dilation", options.dilation] if options.dilation else []
    result = testbed("run", scenario, ROOT / "runs/compare" / scenario.stem / f"{mode}-{leaders}", *more)
    return {"samples_per_second": result["measured"]["samples_per_second"],
            "predicted": result["prediction"]["samples_per_second"], "plan": result["plan"],
            "accuracy": result["epochs"][-1].get("test_accuracy")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("scenario", type=pathlib.Path, metavar="SCENARIO.toml")
    parser.add_argument("--modes", type=lambda text: text.split(","), default=["sync", "pipe", "async", "auto"])
    parser.add_argument("--leaders", type=lambda text: text.split(","), default=["1", "0"])
    parser.add_argument("--epochs", type=int, help="as the scenario says")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--dilation", help="emulate all so many times slower (as the scenario says)")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    variants = list(itertools.product(options.modes, options.leaders))
    results = {variant: [] for variant in variants}
    for _ in range(options.times):
        for variant in variants:
            results[variant].append(run(options.scenario, *variant, options))
    print(f"{'mode':6} {'leaders':>8} {'samples/s':>10} {'predicted':>10} {'accuracy':>9}  plan")
    for (mode, leaders), rows in results.items():
        rate, accuracy = (statistics.median(row[key] for row in rows) for key in ("samples_per_second", "accuracy"))
        print(f"{mode:6} {leaders:>8} {rate:10,.0f} {rows[0]['predicted']:10,.0f} {accuracy:9.4f}  {rows[-1]['plan']}")
    if options.out:
        rows = [{"mode": mode, "leaders": leaders, "runs": rows} for (mode, leaders), rows in results.items()]
        options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
