#!/usr/bin/env python3
"""Prints two JSON files of Google Benchmark side by side: times, their ratio, and how far repetitions lie apart.

Usage: bench_compare.py FIRST.json SECOND.json [--plain PLAIN.json] [--min-share 0.25]

Several files of one program, separated by commas, count as one: programs that took turns saw the same machine.
Times are medians of the repetitions in microseconds; a spread is the distance between the quartiles in percent of the
median ("-" with fewer than four repetitions). --plain adds a yardstick, what simple kernels of as many bytes or FLOPs take
on the first file's device (bench_opencl_plain): the first file's speed as a part of it, for the rows that the yardstick
has. Exit code 1 if a part is below --min-share.
"""
import argparse
import json
import statistics
import sys


def read(paths):
    """Name -> microseconds of each repetition."""
    to_microseconds = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
    rows = {}
    for path in paths.split(","):
        with open(path, encoding="utf-8") as file:
            runs = json.load(file)["benchmarks"]
        for run in runs:
            if run.get("run_type") == "aggregate" or run.get("error_occurred"):
                continue
            name = run.get("run_name", run["name"]).removeprefix("BM_").removesuffix("/real_time")
            rows.setdefault(name, []).append(run["real_time"] * to_microseconds[run["time_unit"]])
    return rows


def spread(times):
    if len(times) < 4:
        return "-"
    first, _, third = statistics.quantiles(times, n=4)
    return f"{100 * (third - first) / statistics.median(times):.0f} %"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--plain")
    parser.add_argument("--min-share", type=float, default=0.25)
    arguments = parser.parse_args()
    first, second = read(arguments.first), read(arguments.second)
    plain = read(arguments.plain) if arguments.plain else None
    names = sorted(first if plain is None else set(first) & set(plain))
    print("| op | first, us | spread | second, us | spread | first / second |" + (" plain, us | of plain |" if plain else ""))
    print("|---|---|---|---|---|---|" + ("---|---|" if plain else ""))
    low = []
    for name in names:
        time = statistics.median(first[name])
        cells = [name, f"{time:.0f}", spread(first[name])]
        if name in second:
            other = statistics.median(second[name])
            cells += [f"{other:.0f}", spread(second[name]), f"{time / other:.2f}"]
        else:
            cells += ["-"] * 3
        if plain is not None:
            yardstick = statistics.median(plain[name])
            cells += [f"{yardstick:.0f}", f"{yardstick / time:.2f}"]
            if yardstick / time < arguments.min_share:
                low.append(name)
        print("| " + " | ".join(cells) + " |")
    if low:
        print(f"\nbelow {arguments.min_share} of plain: " + ", ".join(low))
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
