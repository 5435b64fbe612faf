#!/usr/bin/env python3
"""What a viewer of the dashboard, and a Prometheus, cost a cluster of eight devices on this machine.

Usage: dashboard_cost.py PROGRAM [--windows N] [--seconds S]
In one run, windows without anybody and windows with one viewer (the event stream, read as a page reads it, and a scrape
of /metrics every second) take turns. Prints samples/s and the manager's processor time of both kinds, medians and
quartiles. Devices compute as fast as they can: what the manager takes is missing elsewhere.
"""
import argparse
import json
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
    """Reads what an open page reads."""

    def __init__(self, url):
        self.url, self.running = url, True
        urllib.request.urlopen(url + "/api/history", timeout=10).read()
        self.threads = [threading.Thread(target=self.follow), threading.Thread(target=self.scrape)]
        for thread in self.threads:
            thread.start()

    def follow(self):
        with urllib.request.urlopen(self.url + "/events", timeout=10) as stream:
            while self.running:
                stream.readline()

    def scrape(self):
        while self.running:
            urllib.request.urlopen(self.url + "/metrics", timeout=10).read()
            time.sleep(1)

    def close(self):
        self.running = False
        for thread in self.threads:
            thread.join()


class Cluster:
    def __init__(self, program, folder):
        self.environment = dict(os.environ, XDG_STATE_HOME=f"{folder}/state")
        self.manager = subprocess.Popen(
            [program, "manage", ROOT / "examples/cluster_lenet5.toml", "--listen", "127.0.0.1:0", "--dashboard",
             "127.0.0.1:0", "--format", "json", "--set", f"run.dir={folder}/run", "--set", "train.epochs=10000"],
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


def window(cluster, seconds, watched):
    viewer = Viewer(cluster.url) if watched else None
    begin, samples, used = time.monotonic(), cluster.samples()[0], processor_seconds(cluster.manager.pid)
    time.sleep(seconds)
    took = time.monotonic() - begin
    result = (cluster.samples()[0] - samples) / took, (processor_seconds(cluster.manager.pid) - used) / took
    if viewer:
        viewer.close()
    return result


def spread(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:,.4g} ({low:,.4g} to {high:,.4g})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--windows", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=8)
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
            results = {False: [], True: []}
            for i in range(2 * arguments.windows):
                watched = i % 4 in (1, 2)  # neither kind is always the later one
                results[watched].append(window(cluster, arguments.seconds, watched))
        finally:
            cluster.stop()
    for watched, name in ((False, "nobody looks"), (True, "one viewer and a scrape a second")):
        print(f"{name}: {spread([rate for rate, _ in results[watched]])} samples/s, "
              f"manager {spread([100 * cores for _, cores in results[watched]])} % of a core")
    rates = {watched: statistics.median(rate for rate, _ in results[watched]) for watched in results}
    cores = {watched: statistics.median(used for _, used in results[watched]) for watched in results}
    print(f"throughput {100 * (rates[True] / rates[False] - 1):+.2f} %; processor "
          f"{100 * (cores[True] - cores[False]) / os.cpu_count():+.3f} % of this machine's {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
