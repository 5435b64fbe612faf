"""A run of eddl-node on the nodes of a scenario: the manager, the devices, what happens to them, and the results.

One thread, which looks at everything a few times in a second's tenth; the clock of the scenario starts when the manager has
its first plan, and goes slower than that on the wall if time is dilated.
"""
import contextlib
import json
import os
import random
import signal
import time

import commands
import network
import processes
import quota
import report
from commands import TestbedError
from timeline import Timeline

LOOK_SECONDS = 0.02
# Between two questions for the status: while something waits for the answer, and else, for the log.
STATUS_SECONDS = 0.5
STATUS_LOG_SECONDS = 5
# Between two looks for new computing threads of a device, before and after the first was found.
THREADS_SECONDS = 0.1
THREADS_AGAIN_SECONDS = 2
# Paced computation has time: it must not hold up the sending and receiving of the many devices that share these cores.
PACED_PRIORITY = 10
START_SECONDS_MAX = 60
# Then the next device joins as well.
JOIN_SECONDS_MAX = 5
END_SECONDS_MAX = 30
MANAGER = 0


def json_lines(path):
    """The objects of a file, but a last line that is not whole."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    objects = []
    for line in lines:
        try:
            objects.append(json.loads(line))
        except ValueError:
            pass
    return objects


class ClusterRun:
    """`quotas`: None unless the speed is made so; `fractions`: number of device to part of a core; `trace`: file."""

    def __init__(self, scenario, net, node_program, logs, quotas=None, fractions=None, trace=None):
        self.scenario, self.net, self.node_program, self.logs = scenario, net, node_program, logs
        self.quotas, self.fractions, self.trace = quotas, fractions or {}, trace
        self.settings = scenario.settings
        self.environment = {"XDG_STATE_HOME": str(logs / "state")}
        self.random = random.Random(scenario.job.get("seed", 1))
        self.timeline = Timeline(scenario)
        self.programs = {}
        self.log = []  # what was done to whom, and when
        self.status = {}
        self.began = None  # of the scenario's clock
        self.asked_at = 0.0
        self.stopping = ""
        self.threads_at = {}  # number of device: when to look for its computing threads

    # Programs.

    @property
    def address(self):
        return f"{network.address_of(MANAGER)}:{self.settings['port']}"

    def manager_command(self, resume=False):
        command = [self.node_program, "manage", self.scenario.job_path.resolve(), "--listen", self.address, "--format",
                   "json"]
        keys = {**self.scenario.job, "cluster.workers_min": sum(d.join_seconds == 0 and d.can_work
                                                                for d in self.scenario.devices) or 1,
                **self.settings["set"], "run.dir": str(self.logs / "run")}
        for key, value in keys.items():
            command += ["--set", f"{key}={json.dumps(value)}"]
        command += ["--insecure"] if self.settings["insecure"] else []
        command += ["--trace", self.trace] if self.trace else []
        return command + (["--resume"] if resume else ["--overwrite"])

    def device_command(self, device, token):
        listen = f"{network.address_of(device.number)}:{self.settings['port'] + 1}" if device.can_lead else "none"
        command = [self.node_program, "join", self.address, "--name", f"{device.number}-{device.name}", "--listen",
                   listen, "--state", self.logs / f"state-{device.number}", "--device", "cpu", "--threads", "1",
                   "--format", "json"]
        command += ["--insecure"] if token is None else ["--token", token]
        if self.settings["speed"] == "pace":
            pace = [self.scenario.dilation * part for part in (device.fixed_seconds, device.seconds_per_sample)]
            command += ["--pace", f"{pace[0]:.9g},{pace[1]:.9g}"]
        return command + ([] if device.can_work else ["--lead-only"])

    def program(self, number, name, command):
        self.programs[number] = processes.Program(name, self.net.namespace(number), command, self.logs / f"{name}.jsonl",
                                                  self.logs / f"{name}.log", self.environment)

    def start_manager(self, resume=False):
        before = len(json_lines(self.logs / "manager.jsonl"))
        if MANAGER not in self.programs:
            self.program(MANAGER, "manager", self.manager_command())
        self.programs[MANAGER].command = [str(word) for word in self.manager_command(resume)]
        self.programs[MANAGER].start()
        if resume:
            return None
        end = time.monotonic() + START_SECONDS_MAX * self.scenario.dilation
        while time.monotonic() < end and self.programs[MANAGER].is_running():
            hello = [line for line in json_lines(self.logs / "manager.jsonl")[before:] if
                     line.get("status") == "listening"]
            if hello:
                return hello[0]
            time.sleep(LOOK_SECONDS)
        tail = (self.logs / "manager.log").read_text(encoding="utf-8", errors="replace")[-1000:]
        raise TestbedError(f"the manager does not listen; {self.logs}/manager.log ends with:\n{tail}")

    def start_device(self, number):
        self.programs[number].start()
        self.threads_at[number] = 0.0

    def wait_for_join(self, number):
        """Devices join in the scenario's order, so that the manager gives them the simulator's numbers: who backs up
        whom goes by these."""
        program = self.programs[number]
        log = self.logs / f"{program.name}.log"
        end = time.monotonic() + JOIN_SECONDS_MAX * self.scenario.dilation
        while time.monotonic() < end and program.is_running():
            if log.exists() and " as node " in log.read_text(encoding="utf-8", errors="replace"):
                return
            time.sleep(LOOK_SECONDS)

    # The run.

    def run(self, say):
        hello = self.start_manager()
        for device in self.scenario.devices:
            if device.number in self.fractions:
                self.quotas.set(device.number, self.fractions[device.number])
            self.program(device.number, f"{device.number}-{device.name}", self.device_command(device, hello["token"]))
            if device.join_seconds == 0:
                self.start_device(device.number)
                self.wait_for_join(device.number)
        begin = time.monotonic()
        try:
            while self.manager_goes_on():
                self.look(say)
                self.limit(time.monotonic() - begin)
                time.sleep(LOOK_SECONDS)
            self.wait_for_devices()
            return self.outcome()
        finally:
            processes.end_all(self.programs.values())

    def manager_goes_on(self):
        # Between its crash and its return nothing runs, but the run is not over.
        coming_back = any(step.what == "start_manager" for _, _, step in self.timeline.by_time)
        return self.programs[MANAGER].is_running() or (coming_back and not self.stopping)

    def look(self, say):
        self.look_for_threads()
        now = time.monotonic()
        waiting = self.began is None or self.timeline.needs_rounds
        if now - self.asked_at >= (STATUS_SECONDS if waiting else STATUS_LOG_SECONDS):
            self.ask()
            now = time.monotonic()
        if self.began is None:
            return
        seconds = self.clock(now)
        while (step := self.timeline.due(seconds, self.status.get("round", 0))) is not None:
            self.do(step, seconds, say)

    def clock(self, now):
        """The scenario's, in seconds; 0 before it starts."""
        return (now - self.began) / self.scenario.dilation if self.began is not None else 0

    def look_for_threads(self):
        """Gives new computing threads their quota, or, if they are paced, a lower priority."""
        for number, due in self.threads_at.items():
            now = time.monotonic()
            if now < due or self.settings["speed"] == "native" or not self.programs[number].is_running():
                continue
            threads = quota.thread_ids(self.programs[number].pid, quota.COMPUTE_THREAD)
            self.threads_at[number] = now + (THREADS_AGAIN_SECONDS if threads else THREADS_SECONDS)
            for thread in threads:
                if number in self.fractions:
                    self.quotas.adopt(number, self.programs[number].pid, thread)
                elif self.settings["speed"] == "pace":
                    with contextlib.suppress(ProcessLookupError):
                        os.setpriority(os.PRIO_PROCESS, thread, PACED_PRIORITY)

    def ask(self):
        """The manager's status, as `eddl-node status` on its own device has it."""
        self.asked_at = time.monotonic()
        command = ["ip", "netns", "exec", self.net.namespace(MANAGER), "env",
                   *(f"{name}={value}" for name, value in self.environment.items()), self.node_program, "status",
                   self.address, "--format", "json", *(["--insecure"] if self.settings["insecure"] else [])]
        answer = commands.run(*command, check=False)
        if answer.returncode != 0:
            return
        self.status = json.loads(answer.stdout)
        with open(self.logs / "status.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(self.status) + "\n")
        if self.began is None and self.status["phase"] != "agreeing" and self.status["view"] > 0:
            self.began = time.monotonic()

    def limit(self, seconds):
        if not self.stopping and self.clock(time.monotonic()) > self.scenario.duration_seconds:
            self.stopping = f"the scenario's {self.scenario.duration_seconds:g} s are over"
        elif not self.stopping and self.began is None and seconds > START_SECONDS_MAX * self.scenario.dilation:
            self.stopping = f"training did not begin within {START_SECONDS_MAX} s of the scenario"
        else:
            return
        self.programs[MANAGER].send(signal.SIGINT)

    def draw(self, who):
        """A device for an event that names none; 0 if nobody fits."""
        running = [number for number in sorted(self.programs) if number and self.programs[number].is_running()]
        if who != "any":
            self.ask()
            leads = {int(member["name"].split("-")[0]): member["leader_share"] > 0 for member in
                     self.status.get("members", []) if member["name"][0].isdigit()}
            running = [number for number in running if leads.get(number, False) == (who == "leader")]
        return self.random.choice(running) if running else 0

    def do(self, step, seconds, say):
        number = step.node
        if number == 0 and step.what not in ("kill_manager", "start_manager"):
            number = self.draw(step.who)
            if number == 0:
                return
        program = self.programs[number]
        actions = {"start": lambda: None if program.is_running() else self.start_device(number),
                   "kill": lambda: program.send(signal.SIGKILL), "leave": lambda: program.send(signal.SIGINT),
                   "freeze": lambda: program.send(signal.SIGSTOP), "thaw": lambda: program.send(signal.SIGCONT),
                   "cut": lambda: self.net.cut(number), "mend": lambda: self.net.mend(number),
                   "reset": lambda: self.net.reset(number), "rate": lambda: self.net.scale(number, step.factor),
                   "slow": lambda: self.quotas.set(number, self.fractions[number] / step.factor),
                   "kill_manager": lambda: program.send(signal.SIGKILL),
                   "start_manager": lambda: self.start_manager(resume=True)}
        actions[step.what]()
        self.timeline.follow(seconds, number, step)
        self.log.append({"seconds": round(seconds, 3), "what": step.what, "node": number, "factor": step.factor})
        say(f"{seconds:8.1f} s  {step.what} {program.name}" + (f" x {step.factor:g}" if step.factor != 1 else ""))

    def wait_for_devices(self):
        """They end by themselves when the manager has told them that the job is over."""
        end = time.monotonic() + END_SECONDS_MAX * self.scenario.dilation
        for program in self.programs.values():
            program.send(signal.SIGCONT)
            program.wait(max(0, end - time.monotonic()))

    # Results.

    def outcome(self):
        """What was measured; `outcome` is finished, stopped or failed."""
        results = [line for line in json_lines(self.logs / "manager.jsonl") if "parameters_hash" in line]
        result = results[-1] if results else {}
        state = result.get("status", "failed")
        epochs = [line for line in json_lines(self.logs / "run" / "metrics.jsonl") if line.get("kind") == "epoch"]
        result = report.undilated(result, self.scenario.dilation)
        epochs = [report.undilated(epoch, self.scenario.dilation) for epoch in epochs]
        return {"outcome": state, "why": self.stopping or result.get("why", "") or self.failure(state),
                "measured": result, "epochs": epochs, "events": self.log, "plan": self.status.get("plan", "")}

    def failure(self, state):
        if state != "failed":
            return ""
        return f"the manager ended with exit code {self.programs[MANAGER].exit_code}; see {self.logs}/manager.log"

    def samples_of(self, number):
        """What the device says that it computed in its last life; None if it could not say it."""
        lines = [line for line in json_lines(self.logs / f"{self.programs[number].name}.jsonl") if "samples" in line]
        return lines[-1]["samples"] if lines else None
