#!/usr/bin/env python3
"""Many emulated edge devices on this Linux machine: namespaces, shaped links, slowed processors. README.md tells all.

Usage:
  testbed.py run SCENARIO.toml [options]                a job of eddl-node
  testbed.py exec SCENARIO.toml [options] -- COMMAND... any command on each device
  testbed.py show SCENARIO.toml [options]               devices, addresses, speeds, what cannot be emulated; needs no root
  testbed.py selftest                                   whether links, queues and quotas of this machine hold what they promise
  testbed.py clean [--all]                              removes what testbeds left that are gone; --all: running ones, too
Options: testbed.py VERB --help.
Exit codes: 0 done; 1 the run failed, or the self-test; 2 the command line or a file is wrong; 77 this machine cannot do it.
"""
import sys

if sys.version_info < (3, 11):
    sys.exit("testbed.py: needs Python 3.11 or later, for tomllib")

import argparse
import json
import os
import pathlib
import signal

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import commands
import execution
import network
import owner
import selftest
import testbed_run
from commands import TestbedError
from scenario import load

ROOT = pathlib.Path(__file__).resolve().parents[2]
CANNOT = 77


def parse():
    parser = argparse.ArgumentParser(prog="testbed.py", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--programs", default=str(ROOT / "build/release/bin"), metavar="FOLDER",
                        help="where eddl-node and eddl-sim are (%(default)s)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in (("run", "a job of eddl-node"), ("exec", "any command on each device"), ("show", "what would be")):
        command = verbs.add_parser(verb, help=text)
        command.add_argument("scenario", metavar="SCENARIO.toml")
        command.add_argument("--logs", help="folder of logs and results (testbed.logs, or runs/testbed/NAME)")
        command.add_argument("--format", choices=("text", "json"), default="text")
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="sets",
                             help="another value for a key of the scenario, such as pins.mode=async; may be repeated")
        if verb != "show":
            command.add_argument("--dilation", type=float, metavar="N",
                                 help="emulate everything N times slower (testbed.dilation)")
        if verb == "run":
            command.add_argument("--no-prediction", action="store_true", help="do not run the simulator beside it")
            command.add_argument("--trace", action="store_true",
                                 help="write trace.json and, of the simulator, trace_predicted.json to the logs")
        if verb == "exec":
            command.add_argument("command", nargs="+", help="the command and its arguments, behind --")
    selftest_command = verbs.add_parser("selftest", help="does this machine hold what a testbed promises")
    selftest_command.add_argument("--format", choices=("text", "json"), default="text")
    clean = verbs.add_parser("clean", help="remove what testbeds left")
    clean.add_argument("--all", action="store_true", help="also those that still run")
    return parser.parse_args()


def why_not():
    """Why no testbed can be made here; empty if one can."""
    if sys.platform != "linux":
        return "a testbed needs Linux: network namespaces, tc, control groups"
    if os.geteuid() != 0:
        return "a testbed needs root, to make network namespaces and shape links: sudo tools/testbed/testbed.py ..."
    try:
        return network.missing_features()
    except TestbedError as error:
        return str(error)


def clean(everything):
    tags = owner.all_tags() if everything else owner.remove_dead()
    for tag in tags if everything else []:
        owner.remove(tag)
    print(f"removed: {', '.join(tags) if tags else 'nothing was left'}")


def show(scenario, as_json):
    rows = [{"node": device.number, "name": device.name, "address": network.address_of(device.number),
             "fixed_seconds": device.fixed_seconds, "seconds_per_sample": device.seconds_per_sample,
             "up_mbps": device.rates.up_mbps, "down_mbps": device.rates.down_mbps, "cell": device.rates.cell,
             "join_seconds": device.join_seconds} for device in scenario.devices]
    if as_json:
        print(json.dumps({"schema": "eddl.testbed.show.v1", "scenario": scenario.name, "devices": rows,
                          "job": scenario.job, "settings": scenario.settings, "notes": scenario.notes}))
        return
    for row in rows:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    print("".join(f"note: {note}\n" for note in scenario.notes), end="")


def act(options):
    if options.verb == "show":
        show(load(options.scenario, f"{options.programs}/eddl-sim", sets=options.sets), options.format == "json")
        return 0
    problem = why_not()
    if problem:
        print(f"testbed.py: {problem}", file=sys.stderr)
        return CANNOT
    if options.verb == "clean":
        clean(options.all)
        return 0
    for tag in owner.remove_dead():
        print(f"testbed.py: removed what a killed testbed left: {tag}", file=sys.stderr)
    if options.verb == "selftest":
        return selftest.run(options.format == "json")
    scenario = load(options.scenario, f"{options.programs}/eddl-sim", options.dilation, options.sets)
    logs = pathlib.Path(options.logs or scenario.settings["logs"] or ROOT / "runs/testbed" / scenario.name).resolve()
    if options.verb == "exec":
        return execution.run(scenario, logs, options.command, options.format == "json")
    return testbed_run.run(scenario, logs, pathlib.Path(options.programs), not options.no_prediction,
                           options.format == "json", options.trace)


def main():
    # As for Ctrl-C: what was made is removed on the way out.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda caught, _: sys.exit(128 + caught))
    options = parse()
    try:
        return act(options)
    except TestbedError as error:
        print(f"testbed.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
