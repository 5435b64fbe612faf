"""A cluster of eddl-node processes on this machine, for measurements: a tiny model on generated data, loopback, with TLS or without.

Not a program. Nodes have one thread each and are paced: they emulate slower devices and sleep most of the time.
"""
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/release/bin/eddl-node"
PATIENCE_SECONDS = 600


class LocalCluster:
    """`job`: text of the job file; {folder} in it is replaced. Logs and state are in `folder`."""

    def __init__(self, folder, job, nodes, pace, program=PROGRAM, tls=False):
        self.folder, self.program, self.pace = folder, program, pace
        self.open = [] if tls else ["--insecure"]
        self.token = []
        self.environment = dict(os.environ, XDG_STATE_HOME=str(folder / "state"))
        self.job = folder / "job.toml"
        self.job.write_text(job.replace("{folder}", str(folder)), encoding="utf-8")
        self.page = None
        self.start_manager("127.0.0.1:0")
        self.nodes = [self.join(index) for index in range(nodes)]

    def start(self, name, *arguments):
        with (self.folder / f"{name}.log").open("a", encoding="utf-8") as log:
            return subprocess.Popen([self.program, *map(str, arguments)], env=self.environment, stdout=log, stderr=log)

    def start_manager(self, listen, *options):
        log = self.folder / "manager.log"
        begin = log.stat().st_size if log.exists() else 0
        self.manager = self.start("manager", "manage", self.job, "--listen", listen, *self.open, "--format", "json",
                                  "--dashboard", "127.0.0.1:0", *options)
        hello = self.wait(lambda: self.read_hello(log, begin))
        self.address, self.page = hello["address"], hello["dashboard"]
        self.token = [] if self.open else ["--token", hello["token"]]

    def read_hello(self, log, begin):
        if self.manager.poll() is not None:
            sys.exit(f"the manager ended: {log.read_text(encoding='utf-8')[-2000:]}")
        for line in log.read_text(encoding="utf-8")[begin:].splitlines():
            if line.startswith("{") and "address" in (message := json.loads(line)):
                return message
        return None

    def join(self, index):
        return self.start(f"node-{index}", "join", self.address, *self.open, *self.token, "--name", f"node-{index}", "--state",
                          self.folder / f"node-{index}", "--device", "cpu", "--threads", 1, "--cache-limit", 0,
                          "--pace", self.pace)

    def wait(self, condition, seconds=PATIENCE_SECONDS, pause=0.5):
        """The first value of the condition that is not None."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (value := condition()) is not None:
                return value
            time.sleep(pause)
        sys.exit(f"waited {seconds} s in vain; logs in {self.folder}")

    def status(self):
        done = subprocess.run([self.program, "status", self.address, *self.open, "--format", "json"],
                              env=self.environment, capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def at_round(self, number):
        status = self.status()
        return status if status is not None and status["round"] >= number else None

    def round(self):
        """The newest committed round, in a millisecond; None while the manager is away."""
        try:
            with urllib.request.urlopen(f"http://{self.page}/metrics", timeout=1) as answer:
                for line in answer:
                    if line.startswith(b"eddl_job_round "):
                        return int(float(line.split()[1]))
        except OSError:
            pass
        return None

    def end(self):
        for process in [*self.nodes, self.manager]:
            process.kill()
            process.wait()
