#!/usr/bin/env python3
"""Many nodes on one machine: what each takes of its memory, at the beginning and at the end, also if nodes keep dying.

Usage: bench/compare/many_nodes.py [--nodes N] [--rounds N] [--kill-every SECONDS] [--program PATH] [--out FILE.json]

A tiny model on generated data, loopback, one thread a node. Memory is the proportional set size (PSS): what is shared
with other nodes counts in parts. With --kill-every a node is killed with SIGKILL again and again, and joins anew.
"""
import argparse
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
JOB = """
seed = 1
[data]
format = "generate"
[data.generate]
samples = 16384
features = 32
classes = 8
[model]
name = "mlp"
[train]
epochs = 1000000
batch = {batch}
learning_rate = 0.01
[cluster]
micro_batch = 8
leaders = 4
mode = "sync"
codec = "f32"
workers_min = {nodes}
[run]
dir = "{folder}/run"
"""
PATIENCE_SECONDS = 600


def pss_mb(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE).group(1)) / 1000


class Cluster:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.environment = dict(os.environ, XDG_STATE_HOME=str(folder / "state"))
        job = folder / "job.toml"
        job.write_text(JOB.format(nodes=options.nodes, batch=16 * options.nodes, folder=folder), encoding="utf-8")
        self.manager = self.start("manager", "manage", job, "--listen", "127.0.0.1:0", "--insecure", "--format", "json")
        self.address = self.wait(self.read_address)
        self.nodes = [self.join(index) for index in range(options.nodes)]

    def start(self, name, *arguments):
        log = (self.folder / f"{name}.log").open("a", encoding="utf-8")
        return subprocess.Popen([self.options.program, *map(str, arguments)], env=self.environment, stdout=log,
                                stderr=log)

    def join(self, index):
        return self.start(f"node-{index}", "join", self.address, "--insecure", "--name", f"node-{index}", "--state",
                          self.folder / f"node-{index}", "--device", "cpu", "--threads", 1, "--cache-limit", 0,
                          "--pace", "0.01,0")

    def read_address(self):
        for line in (self.folder / "manager.log").read_text(encoding="utf-8").splitlines():
            if line.startswith("{") and "address" in (message := json.loads(line)):
                return message["address"]
        return None

    def wait(self, condition):
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            if (value := condition()) is not None:
                return value
            time.sleep(0.5)
        sys.exit(f"waited {PATIENCE_SECONDS} s in vain; logs in {self.folder}")

    def status(self):
        done = subprocess.run([self.options.program, "status", self.address, "--insecure", "--format", "json"],
                              capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def at_round(self, number):
        status = self.status()
        return status if status is not None and status["round"] >= number else None

    def memory(self):
        nodes = sorted(pss_mb(node.pid) for node in self.nodes if node.poll() is None)
        return {"manager_mb": pss_mb(self.manager.pid), "node_median_mb": statistics.median(nodes),
                "node_max_mb": nodes[-1]}

    def end(self):
        for process in [*self.nodes, self.manager]:
            process.kill()
            process.wait()


def run(options, folder):
    cluster = Cluster(options, folder)
    try:
        status = cluster.wait(lambda: cluster.at_round(20))
        first_round, begin, first = status["round"], time.monotonic(), cluster.memory()
        kills = itertools.cycle(range(1, options.nodes))
        killed, next_kill = 0, begin + options.kill_every
        while status["round"] < first_round + options.rounds:
            time.sleep(0.5)
            if options.kill_every > 0 and time.monotonic() > next_kill:
                index = next(kills)
                cluster.nodes[index].send_signal(signal.SIGKILL)
                cluster.nodes[index].wait()
                cluster.nodes[index] = cluster.join(index)
                killed, next_kill = killed + 1, time.monotonic() + options.kill_every
            status = cluster.wait(cluster.status)
        seconds = time.monotonic() - begin
        leaders = sum(member["leader_share"] > 0 for member in status["members"])
        return {"nodes": options.nodes, "leaders": leaders, "rounds": status["round"] - first_round, "killed": killed,
                "rounds_per_second": (status["round"] - first_round) / seconds, "begin": first,
                "end": cluster.memory()}
    finally:
        cluster.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--kill-every", type=float, default=0, help="seconds; 0: nobody is killed")
    parser.add_argument("--program", default=ROOT / "build/release/bin/eddl-node")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="eddl-many-"))
    result = run(options, folder)
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{result['nodes']} nodes, {result['leaders']} leaders, {result['rounds']} rounds at "
          f"{result['rounds_per_second']:.1f} a second, {result['killed']} killed")
    for when in ("begin", "end"):
        memory = result[when]
        print(f"{when:6} PSS: manager {memory['manager_mb']:.1f} MB, nodes {memory['node_median_mb']:.1f} MB (median), "
              f"{memory['node_max_mb']:.1f} MB (most)")
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
