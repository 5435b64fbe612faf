#!/usr/bin/env python3
"""How long a device that joins takes to contribute: from starting `eddl-node join` to the commit of the first round that has
gradients of it, and what that time goes to. Needs root, like the testbed that it uses.

Usage: sudo bench/compare/joiner.py [--times N] [--mbps N] [--program PATH] [--out FILE.json]

Three devices at 100 Mbit/s train PerNet on generated data, over TLS, each in a network namespace of its own and as fast as an
ODROID-XU4; then another joins whose link is slower, that was never there before. Times are the manager's record of events (`--record`) and the
joiner's own output, by one clock.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/testbed"))

import bed as testbed  # noqa: E402
from network import Rates, address_of  # noqa: E402
from processes import die_with_parent  # noqa: E402

PROGRAM = ROOT / "build/release/bin/eddl-node"
PATIENCE_SECONDS = 90
JOINER = 4
# Speed of a device, of the paper's kind: seconds a lease, seconds a sample. A round takes about a second: of one that is
# shorter than a version takes to the joiner, it would never compute a part.
PACE = "0.03,0.00875"
SETTINGS = ("train.epochs=100000", "train.batch=256", "cluster.micro_batch=16", "cluster.workers_min=3",
            "device.threads=1")


class Cluster:
    def __init__(self, bed, folder, program):
        self.bed, self.folder, self.program = bed, folder, program
        self.environment = dict(os.environ, XDG_STATE_HOME=str(folder / "state"))
        self.processes = []

    def start(self, number, name, *arguments):
        with (self.folder / f"{name}.out").open("wb") as out, (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(["ip", "netns", "exec", self.bed.network.namespace(number), str(self.program),
                                        *map(str, arguments)], env=self.environment, stdout=out, stderr=log,
                                       stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        self.processes.append(process)
        return process

    def manage(self):
        sets = [word for setting in (*SETTINGS, f"run.dir={self.folder / 'run'}") for word in ("--set", setting)]
        self.start(0, "manager", "manage", ROOT / "examples/pernet_generated.toml", "--listen", f"{address_of(0)}:7447",
                   "--format", "json", "--record", self.folder / "record.jsonl", *sets)
        self.token = self.wait("the manager", self.read_token)

    def read_token(self):
        text = (self.folder / "manager.out").read_text(encoding="utf-8")
        return json.loads(text.splitlines()[0])["token"] if text else None

    def join(self, number, name):
        return self.start(number, name, "join", f"{address_of(0)}:7447", "--token", self.token, "--name", name, "--state",
                          self.folder / name, "--pace", PACE, "--set", "device.threads=1", "--log-level", "debug")

    def events(self):
        """What the manager was told so far."""
        for line in (self.folder / "record.jsonl").read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                return  # half-written

    def wait(self, what, condition):
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            if (value := condition()) is not None:
                return value
            time.sleep(0.2)
        sys.exit(f"waited in vain for {what}: see {self.folder}")

    def end(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGKILL)
            process.wait()


def received(event, kind):
    """(from, body) if the manager received such a message."""
    message = event.get("event", {}).get("Received")
    if message is None or kind not in message["message"].get("body", {}):
        return None
    return message["from"], message["message"]["body"][kind]


def milestones(events, node, begin_ns):
    """Seconds after the start at which the manager heard of it: Hello, its first finished lease, the round it is in staged."""
    times = {}
    wanted = None
    for event in events:
        seconds = (event.get("at", 0) - begin_ns) / 1e9
        if seconds < 0:
            continue
        if "hello" not in times and (hello := received(event, "Hello")) and hello[0] == node:
            times["hello"] = seconds
        if wanted is None and (done := received(event, "Done")) and done[0] == node and not done[1].get("cancelled"):
            times["lease"], wanted = seconds, done[1]["round"]
        if wanted is not None and (staged := received(event, "Staged")) and staged[1]["round"] == wanted:
            times["committed"] = seconds  # by the last leader that says so
    return times if "committed" in times else None


def measure(options, folder):
    with testbed.Testbed() as bed:
        for number in range(JOINER + 1):
            mbps = 1000 if number == 0 else options.mbps if number == JOINER else 100
            bed.network.add(number, Rates(mbps, mbps))
        bed.network.limit_pieces()
        cluster = Cluster(bed, folder, options.program)
        try:
            cluster.manage()
            for number in range(1, JOINER):
                cluster.join(number, f"device-{number}")
            cluster.wait("50 rounds", lambda: True if sum(
                1 for event in cluster.events() if received(event, "Staged")) > 50 else None)
            begin = time.monotonic_ns()
            cluster.join(JOINER, "joiner")
            return cluster.wait("the joiner", lambda: milestones(cluster.events(), JOINER, begin))
        finally:
            cluster.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--mbps", type=float, default=50)
    parser.add_argument("--program", type=pathlib.Path, default=PROGRAM)
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    runs = []
    for _ in range(options.times):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="eddl-joiner-"))
        runs.append(measure(options, folder))
        shutil.rmtree(folder, ignore_errors=True)
        print("  ".join(f"{name} {seconds:.2f} s" for name, seconds in runs[-1].items()), flush=True)
    print("median: " + "  ".join(f"{name} {statistics.median(run[name] for run in runs):.2f} s" for name in runs[0]))
    if options.out:
        options.out.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
