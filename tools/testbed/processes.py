"""Programs in the namespaces of nodes: started, watched, ended, with their logs and what they used of the processor."""
import ctypes
import os
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """In the child: SIGKILL when the testbed's process ends, however that comes."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Program:
    """One command on one node, which may be started again; logs of all its lives go into the same two files."""

    def __init__(self, name, namespace, command, out_path, log_path, environment=None):
        self.name, self.namespace = name, namespace
        self.command = [str(word) for word in command]
        self.out_path, self.log_path = out_path, log_path
        self.environment = {**os.environ, **(environment or {})}
        self.process = None
        self.exit_code = None
        self.lives = 0
        self.started_at = self.wall_seconds = self.cpu_seconds = 0.0

    def start(self):
        self.exit_code = None
        self.lives += 1
        self.started_at = time.monotonic()
        with open(self.out_path, "ab") as out, open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(["ip", "netns", "exec", self.namespace, *self.command], stdout=out,
                                            stderr=log, stdin=subprocess.DEVNULL, env=self.environment,
                                            start_new_session=True, preexec_fn=die_with_parent)

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        """Also notes what a life used that has ended."""
        if self.process is None or self.exit_code is not None:
            return False
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid == 0:
            return True
        self.exit_code = self.process.returncode = os.waitstatus_to_exitcode(status)
        self.wall_seconds += time.monotonic() - self.started_at
        self.cpu_seconds += usage.ru_utime + usage.ru_stime
        return False

    def send(self, number):
        """To the program and those that it started."""
        if self.is_running():
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                pass

    def wait(self, seconds):
        """Whether it has ended by then."""
        end = time.monotonic() + seconds
        while self.is_running():
            if time.monotonic() >= end:
                return False
            time.sleep(0.01)
        return True

    def end(self, polite=signal.SIGINT, seconds=10):
        """Asks it to end, and kills it if it does not."""
        self.send(signal.SIGCONT)
        self.send(polite)
        if not self.wait(seconds):
            self.send(signal.SIGKILL)
            self.wait(seconds)


def end_all(programs, seconds=10):
    """As Program.end, all at once."""
    for program in programs:
        program.send(signal.SIGCONT)
        program.send(signal.SIGINT)
    end = time.monotonic() + seconds
    for program in programs:
        program.wait(max(0, end - time.monotonic()))
    for program in programs:
        program.send(signal.SIGKILL)
        program.wait(seconds)
