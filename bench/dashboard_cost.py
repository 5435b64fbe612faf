#!/usr/bin/env python3
"""What a viewer of the dashboard, and a Prometheus, cost a cluster of eight devices on this machine.

Usage: dashboard_cost.py PROGRAM [--pairs N] [--seconds S] [--times K]
In one run, windows without anybody and windows with viewers take turns, in pairs whose order alternates. A viewer has a
state of the cluster made and sent every second, and a Prometheus one page of /metrics; K times as often (20), their cost
stands above the noise, and is divided by K. Of each pair: the manager's processor seconds for a sample with and without,
which neither a busy machine nor a slower training changes much, times the rate. Prints the median over the pairs with its
95 % confidence interval (order statistics). The job's plan is fixed, as another plan is other work for the manager.
Devices compute as fast as they can: what the manager takes is missing elsewhere.
"""
import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
DEVICES = 8


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Viewer:
    """Reads what an open page and a Prometheus read, so many times a second."""

    def __init__(self, url, times):
        self.url, self.times, self.running = url, times, True
        urllib.request.urlopen(url + "/api/history", timeout=10).read()
        self.threads = [threading.Thread(target=self.follow), threading.Thread(target=self.ask, args=("/metrics", times))]
        if times > 1:  # what the event stream does not send
            self.threads.append(threading.Thread(target=self.ask, args=("/api/state", times - 1)))
        for thread in self.threads:
            thread.start()

    def follow(self):
        with urllib.request.urlopen(self.url + "/events", timeout=10) as stream:
            while self.running:
                stream.readline()

    def ask(self, path, times):
        due = time.monotonic()
        while self.running:
            urllib.request.urlopen(self.url + path, timeout=10).read()
            due += 1 / times
            time.sleep(max(due - time.monotonic(), 0))

    def close(self):
        self.running = False
        for thread in self.threads:
            thread.join()


class Cluster:
    def __init__(self, program, folder):
        self.environment = dict(os.environ, XDG_STATE_HOME=f"{folder}/state")
        self.manager = subprocess.Popen(
            [program, "manage", ROOT / "examples/cluster_lenet5.toml", "--listen", "127.0.0.1:0", "--dashboard",
             "127.0.0.1:0", "--format", "json", "--set", f"run.dir={folder}/run", "--set", "train.epochs=10000",
             "--set", "cluster.mode=sync", "--set", "cluster.codec=f16", "--set", "cluster.leaders=1"],
            env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
        hello = json.loads(self.manager.stdout.readline())
        self.url = "http://" + hello["dashboard"]
        self.devices = [subprocess.Popen(
            [program, "join", hello["address"], "--token", hello["token"], "--name", f"device-{i}", "--state",
             f"{folder}/device-{i}", "--threads", "1"], env=self.environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL) for i in range(DEVICES)]

    def samples(self):
        with urllib.request.urlopen(self.url + "/api/state", timeout=30) as answer:
            state = json.load(answer)
        return state["samples"], sum(member["state"] == "working" for member in state["members"])

    def stop(self):
        for process in (*self.devices, self.manager):
            process.kill()
            process.wait()


def window(cluster, seconds, times):
    """Samples/s, and the manager's processor seconds for a sample."""
    viewer = Viewer(cluster.url, times) if times else None
    begin, samples, used = time.monotonic(), cluster.samples()[0], processor_seconds(cluster.manager.pid)
    time.sleep(seconds)
    took = time.monotonic() - begin
    samples, used = cluster.samples()[0] - samples, processor_seconds(cluster.manager.pid) - used
    if viewer:
        viewer.close()
    return samples / took, used / samples


def median_interval(values):
    """The median and its distribution-free 95 % confidence interval: the order statistics that binomial tails leave."""
    values, n, tail, cut = sorted(values), len(values), 0.0, 0
    while tail + math.comb(n, cut) / 2**n <= 0.025:
        tail += math.comb(n, cut) / 2**n
        cut += 1
    cut = max(cut - 1, 0)
    return statistics.median(values), values[cut], values[n - 1 - cut]


def spread(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:,.4g} ({low:,.4g} to {high:,.4g})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=9)
    parser.add_argument("--times", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="eddl-cost-", ignore_cleanup_errors=True) as folder:
        cluster = Cluster(arguments.program, folder)
        try:
            end = time.monotonic() + 120
            while cluster.samples()[1] < DEVICES:
                if time.monotonic() > end:
                    sys.exit("the devices did not come")
                time.sleep(0.5)
            time.sleep(arguments.seconds)
            pairs = []
            for i in range(arguments.pairs):
                order = (0, arguments.times) if i % 2 == 0 else (arguments.times, 0)
                pair = {times: window(cluster, arguments.seconds, times) for times in order}
                pairs.append((pair[0], pair[arguments.times]))
        finally:
            cluster.stop()
    for kind, name in ((0, "nobody looks"), (1, f"{arguments.times} times a viewer and a scrape a second")):
        print(f"{name}: {spread([pair[kind][0] for pair in pairs])} samples/s, manager "
              f"{spread([1e6 * pair[kind][1] for pair in pairs])} us of processor a sample")
    cores = os.cpu_count()
    cost = [100 * (watched[1] - alone[1]) / arguments.times * alone[0] / cores for alone, watched in pairs]
    middle, low, high = median_interval(cost)
    print(f"one viewer and a scrape a second cost {middle:+.3f} % of this machine's {cores} cores (median of {len(pairs)} "
          f"pairs; 95 % within {low:+.3f} to {high:+.3f})")


if __name__ == "__main__":
    main()
