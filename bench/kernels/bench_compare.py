#!/usr/bin/env python3
"""Prints two JSON files of Google Benchmark side by side: times, their ratio, and how far repetitions lie apart.

Usage: bench_compare.py FIRST.json SECOND.json [--plain PLAIN.json] [--min-share 0.25]

Times are medians of the repetitions in microseconds; a spread is the distance between the quartiles in percent of the
median ("-" with fewer than four repetitions). --plain adds a yardstick, a benchmark of simple kernels on the same device:
for rows that move 1 MB or compute 10 MFLOP and more, the first file's rate as a part of the yardstick's median rate. Exit
code 1 if a share is below --min-share.
"""
import argparse
import json
import statistics
import sys

LARGE_BYTES = 1e6
LARGE_FLOPS = 1e7


def read(path):
    """Name -> {"times": microseconds of each repetition, "rate": (unit, per second)}."""
    to_microseconds = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
    rows = {}
    with open(path, encoding="utf-8") as file:
        for run in json.load(file)["benchmarks"]:
            if run.get("run_type") == "aggregate" or run.get("error_occurred"):
                continue
            name = run.get("run_name", run["name"]).removeprefix("BM_").removesuffix("/real_time")
            row = rows.setdefault(name, {"times": [], "rates": {}})
            row["times"].append(run["real_time"] * to_microseconds[run["time_unit"]])
            for unit in ("FLOP/s", "bytes/s"):
                if unit in run:
                    row["rates"].setdefault(unit, []).append(run[unit])
    return rows


def median(row):
    return statistics.median(row["times"])


def spread(row):
    if len(row["times"]) < 4:
        return "-"
    first, _, third = statistics.quantiles(row["times"], n=4)
    return f"{100 * (third - first) / median(row):.0f} %"


def plain_rates(rows):
    """Unit -> the median over the plain kernels."""
    rates = {}
    for row in rows.values():
        for unit, values in row["rates"].items():
            rates.setdefault(unit, []).append(statistics.median(values))
    return {unit: statistics.median(values) for unit, values in rates.items()}


def share_of_plain(row, plain):
    """The row's rate as a part of the plain one; None for small work."""
    for unit, values in row["rates"].items():
        rate = statistics.median(values)
        work = rate * median(row) * 1e-6
        if unit in plain and work >= (LARGE_FLOPS if unit == "FLOP/s" else LARGE_BYTES):
            return rate / plain[unit]
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--plain")
    parser.add_argument("--min-share", type=float, default=0.25)
    arguments = parser.parse_args()
    first, second = read(arguments.first), read(arguments.second)
    plain = plain_rates(read(arguments.plain)) if arguments.plain else {}
    print("| op | first, us | spread | second, us | spread | first / second |" + (" of plain |" if plain else ""))
    print("|---|---|---|---|---|---|" + ("---|" if plain else ""))
    low = []
    for name in sorted(first):
        one, other = first[name], second.get(name)
        cells = [name, f"{median(one):.0f}", spread(one)]
        cells += [f"{median(other):.0f}", spread(other), f"{median(one) / median(other):.2f}"] if other else ["-"] * 3
        if plain:
            share = share_of_plain(one, plain)
            cells.append("-" if share is None else f"{share:.2f}")
            if share is not None and share < arguments.min_share:
                low.append(name)
        print("| " + " | ".join(cells) + " |")
    for unit, rate in plain.items():
        print(f"\nplain kernels: {rate / 1e9:.2f} G{unit}", end="")
    if low:
        print(f"\nbelow {arguments.min_share} of plain: " + ", ".join(low), end="")
    print()
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
