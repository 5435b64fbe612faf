#!/usr/bin/env python3
"""How long a cluster stands still when nodes are killed: from the last commit before the kill to the first after it.

Usage: bench/compare/drills.py [--times N] [--program PATH] [--out FILE.json]

Six devices of 400 samples/s each on this machine, over loopback, rounds of about a quarter of a second. Each drill kills
with SIGKILL, waits until training goes on, starts what was killed again, and waits until it takes part. A commit counts
when the manager says so on its /metrics page, which is asked every 5 ms. The first commit after a kill may be of a round
that was whole already, so what counts is the longest time without a commit in the 15 s behind the kill.
"""
import argparse
import json
import pathlib
import shutil
import statistics
import tempfile
import threading
import time

from local_cluster import PROGRAM, LocalCluster

NODES = 6
WATCHED_SECONDS = 15
SETTLE_SECONDS = 4
JOB = f"""
seed = 1
[data]
format = "generate"
[data.generate]
samples = 20000
features = 128
classes = 8
[model]
name = "mlp"
widths = [256, 128]
[train]
epochs = 1000000
batch = 512
learning_rate = 0.01
[cluster]
micro_batch = 16
leaders = 3
mode = "sync"
codec = "f32"
workers_min = {NODES}
parking = false
[run]
dir = "{{folder}}/run"
"""


class Watch:
    """When rounds were committed, as the manager's page says."""

    def __init__(self, cluster):
        self.cluster, self.commits, self.ended = cluster, [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        last = None
        while not self.ended.wait(0.005):
            number = self.cluster.round()
            if number is not None and number != last:
                self.commits.append(time.monotonic())
                last = number

    def longest_gap(self, killed):
        """Seconds; the gap begins before the kill at the earliest."""
        before = [at for at in self.commits if at <= killed][-1:]
        after = [at for at in self.commits if at > killed]
        times = before + after
        return max(b - a for a, b in zip(times, times[1:]))

    def end(self):
        self.ended.set()
        self.thread.join()


def roles(cluster):
    """Who leads, and who only works: indices of the cluster's nodes."""
    members = [member for member in cluster.status()["members"] if member["state"] == "working"]
    index = {member["node"]: int(member["name"].rpartition("-")[2]) for member in members}
    leaders = [index[member["node"]] for member in members if member["leader_share"] > 0]
    workers = [index[member["node"]] for member in members if member["leader_share"] == 0]
    return leaders, workers


def is_whole(cluster):
    status = cluster.status()
    if status is None or status["phase"] != "running":
        return None
    working = [member for member in status["members"] if member["state"] == "working"]
    busy = sum(member["samples_per_second"] > 50 for member in working)
    return status if busy == NODES and len(working) == NODES else None


def kill_nodes(choose):
    def drill(cluster):
        victims = choose(*roles(cluster))
        killed = time.monotonic()
        for victim in victims:
            cluster.nodes[victim].kill()

        def heal():
            for victim in victims:
                cluster.nodes[victim].wait()
                cluster.nodes[victim] = cluster.join(victim)
        return killed, heal
    return drill


def kill_manager(cluster):
    killed = time.monotonic()
    cluster.manager.kill()
    cluster.manager.wait()
    cluster.start_manager(cluster.address, "--resume")
    return killed, lambda: None


DRILLS = {
    "a worker": kill_nodes(lambda leaders, workers: workers[:1]),
    "a leader": kill_nodes(lambda leaders, workers: leaders[:1]),
    "a worker and a leader": kill_nodes(lambda leaders, workers: [workers[0], leaders[0]]),
    "the manager, resumed at once": kill_manager,
}


def run(options, folder):
    cluster = LocalCluster(folder, JOB, NODES, "0,0.0025", options.program)
    watch = Watch(cluster)
    gaps = {name: [] for name in DRILLS}
    try:
        for _ in range(options.times):
            for name, drill in DRILLS.items():
                cluster.wait(lambda: is_whole(cluster))
                time.sleep(SETTLE_SECONDS)
                killed, heal = drill(cluster)
                time.sleep(WATCHED_SECONDS)
                gaps[name].append(watch.longest_gap(killed))
                heal()
        intervals = sorted(b - a for a, b in zip(watch.commits, watch.commits[1:]))
        return {"round_seconds": statistics.median(intervals), "gaps": gaps}
    finally:
        watch.end()
        cluster.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--program", default=PROGRAM)
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="eddl-drills-"))
    result = run(options, folder)
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{NODES} devices; a commit every {result['round_seconds']:.2f} s; seconds without one, of {options.times} kills:")
    print(f"{'killed':32} {'median':>8} {'most':>8}")
    for name, gaps in result["gaps"].items():
        print(f"{name:32} {statistics.median(gaps):8.2f} {max(gaps):8.2f}")
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
