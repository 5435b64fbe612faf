#!/usr/bin/env python3
"""A cluster on one machine: a manager and unequal devices train LeNet-5; one is killed, another joins. See demo.sh.

Devices are processes of their own that reach each other over TLS on this machine. Their speeds are emulated: a device
computes every lease for real, then waits until it has taken as long as a device of that speed would.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
NODE = ROOT / "build/release/bin/eddl-node"
JOB = ROOT / "examples/cluster_lenet5.toml"

# Name and samples a second. The second is killed, the last joins when the second is gone.
DEVICES = [("media-center", 2400), ("desktop", 1200), ("old-laptop", 600), ("board", 150)]
KILLED = 1
LATE = ("new-desktop", 1200)
KILL_AT, JOIN_AT = 0.35, 0.50  # fractions of the job's samples


class Cluster:
    def __init__(self, folder, options):
        self.folder = pathlib.Path(folder)
        self.environment = dict(os.environ, XDG_STATE_HOME=str(self.folder / "state"))
        self.devices = {}
        self.rates = []  # (fraction of the job, samples/s, sum of the devices that were there)
        command = [NODE, "manage", JOB, "--listen", "127.0.0.1:0", "--format", "json",
                   "--set", f"run.dir={self.folder / 'run'}", *options]
        self.manager = subprocess.Popen(command, env=self.environment, text=True, cwd=ROOT,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.result = {}
        self.hello = threading.Event()
        self.threads = [threading.Thread(target=self.read_json, daemon=True),
                        threading.Thread(target=self.read_text, daemon=True)]
        for thread in self.threads:
            thread.start()

    def read_json(self):
        for line in self.manager.stdout:
            message = json.loads(line)
            if message.get("status") == "listening":
                self.address, self.token = message["address"], message["token"]
                self.hello.set()
            else:
                self.result = message

    def read_text(self):
        for line in self.manager.stderr:
            print("  " + line.rstrip(), flush=True)

    def join(self, name, rate):
        command = [NODE, "join", self.address, "--token", self.token, "--name", name, "--threads", "1",
                   "--state", self.folder / name, "--pace", f"0,{1 / rate:.9f}"]
        log = open(self.folder / f"{name}.log", "w", encoding="utf-8")
        process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)
        self.devices[name] = (process, rate)

    def kill(self, name):
        process, _ = self.devices.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def status(self):
        command = [NODE, "status", self.address, "--format", "json"]
        answer = subprocess.run(command, env=self.environment, capture_output=True, text=True, cwd=ROOT)
        return json.loads(answer.stdout) if answer.returncode == 0 else None

    def speed_of_all(self):
        return sum(rate for _, rate in self.devices.values())

    def stop(self):
        for process, _ in self.devices.values():
            process.terminate()
        if self.manager.poll() is None:
            self.manager.terminate()
        for process, _ in self.devices.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def say(text):
    print(f"demo: {text}", flush=True)


def run(cluster):
    if not cluster.hello.wait(timeout=60):
        sys.exit("demo: the manager did not start")
    for name, rate in DEVICES:
        say(f"{name} joins: {rate:,} samples/s (emulated)")
        cluster.join(name, rate)
    killed = joined = False
    while cluster.manager.poll() is None:
        time.sleep(1)
        status = cluster.status()
        if status is None or status["phase"] == "over":
            continue
        done = status["samples"] / max(status["samples_total"], 1)
        cluster.rates.append((done, status["samples_per_second"], cluster.speed_of_all()))
        if done >= KILL_AT and not killed:
            killed = True
            say(f"kill -9 {DEVICES[KILLED][0]}")
            cluster.kill(DEVICES[KILLED][0])
        if done >= JOIN_AT and not joined:
            joined = True
            say(f"{LATE[0]} joins: {LATE[1]:,} samples/s (emulated)")
            cluster.join(*LATE)
    for thread in cluster.threads:
        thread.join(timeout=10)


def report(cluster):
    result = cluster.result
    if result.get("status") != "finished":
        say("the job did not finish: " + str(result.get("why", "the manager ended")))
        return 1
    rate = result["samples_per_second"]
    alone = [speed for _, speed in DEVICES]
    # What the devices of each moment would make together if nothing were lost.
    ideal = sum(speed for _, _, speed in cluster.rates) / max(len(cluster.rates), 1)
    print()
    say(f"test accuracy {100 * result['test_accuracy']:.2f} % after {result['epochs']} epochs, "
        f"{result['samples']:,} samples in {result['seconds']:.1f} s: {rate:,.0f} samples/s")
    say(f"that is {rate / min(alone):.1f} x the slowest device alone, {rate / max(alone):.2f} x the fastest, "
        f"{rate / ideal:.2f} of the sum of the devices that were there ({ideal:,.0f} samples/s)")
    say(f"each of the {result['samples'] // result['epochs']:,} samples was used exactly once an epoch, "
        f"though {DEVICES[KILLED][0]} was killed and {LATE[0]} joined on the way")
    return 0


def main():
    folder = tempfile.mkdtemp(prefix="eddl-demo-")
    cluster = Cluster(folder, sys.argv[1:])
    try:
        run(cluster)
        code = report(cluster)
        target = ROOT / "runs/demo"
        model = pathlib.Path(folder) / "run/model.safetensors"
        if code == 0 and model.exists():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(model, target / "model.safetensors")
            say(f"the model: {target.relative_to(ROOT)}/model.safetensors")
        return code
    except KeyboardInterrupt:
        return 130
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
