#!/usr/bin/env python3
"""Many nodes on one machine: what each takes of its memory, at the beginning and at the end, also if nodes keep dying.

Usage: bench/compare/many_nodes.py [--nodes N] [--rounds N] [--kill-every SECONDS] [--tls] [--program PATH]
                                   [--out FILE.json]

A tiny model on generated data, loopback, one thread a node. Memory is the proportional set size (PSS): what is shared
with other nodes counts in parts. With --kill-every a node is killed with SIGKILL again and again, and joins anew;
with --tls it comes back as who it was.
"""
import argparse
import itertools
import json
import pathlib
import re
import shutil
import signal
import statistics
import sys
import tempfile
import time

from local_cluster import PROGRAM, LocalCluster

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
parking = false
[device]
name = "cpu"
[run]
dir = "{{folder}}/run"
"""


# Memory is looked at after each of so many parts of the rounds.
PARTS = 4


def pss_mb(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE).group(1)) / 1000


def memory(cluster):
    nodes = sorted(pss_mb(node.pid) for node in cluster.nodes if node.poll() is None)
    return {"manager_mb": pss_mb(cluster.manager.pid), "node_median_mb": statistics.median(nodes),
            "node_max_mb": nodes[-1]}


def run(options, folder):
    job = JOB.format(nodes=options.nodes, batch=16 * options.nodes)
    cluster = LocalCluster(folder, job, options.nodes, "0.01,0", options.program, options.tls)
    try:
        status = cluster.wait(lambda: cluster.at_round(20))
        first_round, begin = status["round"], time.monotonic()
        taken = [{"round": 0, **memory(cluster)}]
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
            if status["round"] - first_round >= len(taken) * options.rounds / PARTS:
                taken.append({"round": status["round"] - first_round, **memory(cluster)})
        seconds = time.monotonic() - begin
        leaders = sum(member["leader_share"] > 0 for member in status["members"])
        return {"nodes": options.nodes, "leaders": leaders, "rounds": status["round"] - first_round, "killed": killed,
                "rounds_per_second": (status["round"] - first_round) / seconds, "memory": taken}
    finally:
        cluster.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--kill-every", type=float, default=0, help="seconds; 0: nobody is killed")
    parser.add_argument("--tls", action="store_true", help="as users have it; without: no encryption")
    parser.add_argument("--program", default=PROGRAM)
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="eddl-many-"))
    result = run(options, folder)
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{result['nodes']} nodes, {result['leaders']} leaders, {result['rounds']} rounds at "
          f"{result['rounds_per_second']:.1f} a second, {result['killed']} killed")
    for taken in result["memory"]:
        print(f"after {taken['round']:5} rounds, PSS: manager {taken['manager_mb']:.1f} MB, nodes "
              f"{taken['node_median_mb']:.1f} MB (median), {taken['node_max_mb']:.1f} MB (most)")
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
