"""A cluster of real processes for tests: `eddl-node manage` and `join` over TLS on this machine, all in one folder.

Not a test. The module's PROGRAM is the eddl-node to be tested.
"""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

PROGRAM = None
# Of one wait; sanitizers and busy machines are slow.
TIMEOUT_SECONDS = 120

JOB = """
seed = 3
[data]
format = "generate"
test_fraction = 0.2
[data.generate]
samples = 2000
features = 32
classes = 4
density = 0.3
[model]
name = "mlp"
widths = [64]
[train]
epochs = {epochs}
batch = 64
optimizer = "{optimizer}"
learning_rate = {learning_rate}
[cluster]
micro_batch = 8
codec = "{codec}"
mode = "{mode}"
workers_min = {workers_min}
parking = false
[device]
threads = 1
"""
TRAIN_SAMPLES = 1600
PACE = 0.0002  # seconds a sample: a device of 5,000 samples/s, so that runs are long enough to disturb


def read_lines(stream, lines, event=None, match=None):
    """Reads a pipe to its end, so that its writer never waits."""
    for line in stream:
        lines.append(line)
        if event is not None and match in line:
            event.set()


class Process:
    """An eddl-node, with all that it prints; `within`: a command that runs it, such as `ip netns exec NAME`."""

    def __init__(self, arguments, environment, within=()):
        self.out, self.err = [], []
        self.listening = threading.Event()
        self.process = subprocess.Popen([*within, PROGRAM, *map(str, arguments)], env=environment, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.threads = [
            threading.Thread(target=read_lines, args=(self.process.stdout, self.out, self.listening, "listening")),
            threading.Thread(target=read_lines, args=(self.process.stderr, self.err))]
        for thread in self.threads:
            thread.start()

    def json(self):
        return [json.loads(line) for line in self.out]

    def send(self, number):
        self.process.send_signal(number)

    def wait(self):
        code = self.process.wait(timeout=TIMEOUT_SECONDS)
        for thread in self.threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return code

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        return self.wait()


class ClusterCase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="eddl-cluster-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.environment = dict(os.environ, XDG_STATE_HOME=str(self.folder / "state"))
        self.processes = []
        self.within = ()  # the manager's machine, where people ask
        self.addCleanup(lambda: [process.end() for process in self.processes])
        self.job = self.folder / "job.toml"
        self.write_job()

    def write_job(self, **values):
        defaults = {"epochs": 4, "optimizer": "sgd", "learning_rate": 0.1, "codec": "auto", "mode": "sync",
                    "workers_min": 1}
        self.job.write_text(JOB.format(**{**defaults, **values}))

    def start(self, *arguments, within=()):
        process = Process(arguments, self.environment, within)
        self.processes.append(process)
        return process

    def manage(self, *options, listen="127.0.0.1:0", run="run"):
        manager = self.start("manage", self.job, "--listen", listen, "--format", "json",
                             "--set", f"run.dir={self.folder / run}", *options, within=self.within)
        self.assertTrue(manager.listening.wait(TIMEOUT_SECONDS), "".join(manager.err))
        hello = manager.json()[0]
        self.address, self.token = hello["address"], hello["token"]
        return manager

    def join(self, name, *options, pace=PACE, within=()):
        return self.start("join", self.address, "--token", self.token, "--name", name, "--format", "json",
                          "--state", self.folder / name, "--pace", f"0,{pace}", *options, within=within)

    def ask(self, *arguments):
        return subprocess.run([*self.within, PROGRAM, *map(str, arguments)], env=self.environment, capture_output=True, text=True,
                              timeout=TIMEOUT_SECONDS)

    def status(self):
        answer = self.ask("status", self.address, "--format", "json")
        return json.loads(answer.stdout) if answer.returncode == 0 else None

    def wait_for(self, what, condition):
        """The status for which the condition holds."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < end:
            status = self.status()
            if status is not None and condition(status):
                return status
            time.sleep(0.1)
        errors = "".join(line for process in self.processes for line in process.err[-15:])
        self.fail(f"waited in vain for {what}: {status}\n{errors}")

    def wait_for_samples(self, count):
        return self.wait_for(f"{count} samples", lambda status: status["samples"] >= count)

    def member(self, status, name):
        return next(member for member in status["members"] if member["name"] == name)

    def finished(self, manager, epochs=4):
        """The result of a job that ended as it should: every sample once an epoch."""
        self.assertEqual(manager.wait(), 0, "".join(manager.err[-30:]))
        result = manager.json()[-1]
        self.assertEqual(result["status"], "finished", result)
        self.assertEqual(result["epochs"], epochs)
        return result
