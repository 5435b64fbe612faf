"""testbed.py selftest: measures what a testbed promises, on three devices, with plain sockets.

  rate      a link of 100 Mbit/s carries 90 to 100 of payload, up and down
  change    and half of that when it is made half as fast
  fan-in    two senders share the receiver's link
  control   small packets are not held up by a full queue of bulk ones
  cell      members of a shared medium share its rate
  cut       a node that is cut off hears nothing, and hears again when it is mended
  reset     connections that are reset end with an error
  quota     a thread called eddl-compute gets its part of a core, others of the process do not wait
  clean     nothing is left afterwards, even of a testbed whose process was killed
"""
import json
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import owner
import quota
from bed import Testbed
from commands import TestbedError
from network import Rates, address_of
from processes import Program

HERE = pathlib.Path(__file__).resolve().parent
PEER = HERE / "selftest_peer.py"
MBPS = 100
CELL_MBPS = 20
SECONDS = 1.5
PORT = 5000
QUOTA = 0.25
# A full queue of 256 kB takes 20 ms at 100 Mbit/s; a request that waits for none of it, a few pieces.
CONTROL_MS_MAX = 3


class SelfTest:
    """Runs peers in namespaces and keeps what each check found."""

    def __init__(self, bed, folder):
        self.bed, self.folder = bed, folder
        self.results = []
        self.count = 0

    def note(self, name, ok, text):
        self.results.append({"check": name, "ok": bool(ok), "text": text})

    def peer(self, number, *arguments):
        """Starts selftest_peer.py on a node; its output is JSON."""
        self.count += 1
        out = self.folder / f"{self.count}.out"
        program = Program(f"peer-{self.count}", self.bed.network.namespace(number),
                          [sys.executable, "-B", PEER, *map(str, arguments)], out, self.folder / f"{self.count}.err")
        program.start()
        return program

    def answer(self, program, seconds=SECONDS + 20):
        if not program.wait(seconds) or program.exit_code != 0:
            program.end(signal.SIGKILL)
            raise TestbedError(f"{program.name}: {program.log_path.read_text()[-500:] or 'no answer'}")
        return json.loads(program.out_path.read_text())

    def receive(self, number, port, senders):
        """Mbit/s of payload that a node receives from each of some senders at once."""
        receiver = self.peer(number, "receive", address_of(number), port, len(senders))
        programs = [self.peer(sender, "send", address_of(number), port, SECONDS) for sender in senders]
        for program in programs:
            self.answer(program)
        return self.answer(receiver)["mbps"]

    def rate(self):
        up = self.receive(1, PORT, [2])[0]
        self.note("rate", 90 <= up <= 100, f"{up:.1f} Mbit/s of payload on links of {MBPS}")

    def change(self):
        self.bed.network.scale(1, 0.5)
        half = self.receive(1, PORT + 6, [2])[0]
        self.bed.network.scale(1, 1)
        self.note("change", 45 <= half <= 50, f"{half:.1f} Mbit/s of payload when the receiver's link is half as fast")

    def fan_in(self):
        shares = self.receive(1, PORT + 1, [2, 3])
        self.note("fan-in", 85 <= sum(shares) <= 100 and min(shares) > 20,
                  f"two senders to one receiver: {shares[0]:.1f} and {shares[1]:.1f} Mbit/s")

    def control(self):
        echo = self.peer(1, "echo", address_of(1), PORT + 2)
        receiver = self.peer(1, "receive", address_of(1), PORT + 3, 2)
        bulk = [self.peer(sender, "send", address_of(1), PORT + 3, SECONDS + 1) for sender in (2, 3)]
        time.sleep(0.4)
        times = self.answer(self.peer(2, "ask", address_of(1), PORT + 2, SECONDS))["milliseconds"]
        for program in bulk + [receiver, echo]:
            self.answer(program)
        median, late = statistics.median(times), sorted(times)[int(len(times) * 0.95)]
        self.note("control", median <= CONTROL_MS_MAX, f"there and back beside bulk: median {median:.2f} ms, "
                  f"95 % within {late:.2f} ms, of {len(times)}")

    def cell(self):
        shares = self.receive(4, PORT + 4, [5])
        self.note("cell", 0.8 * CELL_MBPS / 2 <= shares[0] <= CELL_MBPS / 2,
                  f"{shares[0]:.1f} Mbit/s between two members of a cell of {CELL_MBPS}: each packet passes it twice")

    def cut(self):
        echo = self.peer(1, "echo", address_of(1), PORT + 5)
        asker = self.peer(2, "ask", address_of(1), PORT + 5, 2)
        time.sleep(0.7)
        self.bed.network.cut(2)
        time.sleep(0.6)
        self.bed.network.mend(2)
        longest = max(self.answer(asker)["milliseconds"])
        self.answer(echo)
        self.note("cut", longest >= 550, f"an answer took {longest:.0f} ms when the node was cut off for 600")

    def reset(self):
        receiver = self.peer(1, "receive", address_of(1), PORT + 7, 1)
        sender = self.peer(2, "send", address_of(1), PORT + 7, 10)
        time.sleep(0.7)
        self.bed.network.reset(2)
        ended = sender.wait(3) and sender.exit_code != 0
        for program in (sender, receiver):
            program.end(signal.SIGKILL)
        self.note("reset", ended, "a sender whose connections were reset " + ("failed at once" if ended else "went on"))

    def quota(self):
        try:
            quotas = self.bed.add_quotas()
        except TestbedError as error:
            self.note("quota", True, f"not tested: {error}")
            return
        quotas.set(3, QUOTA)
        program = self.peer(3, "burn", SECONDS)
        end = time.monotonic() + 5
        while not quotas.adopted and time.monotonic() < end:
            for thread in quota.thread_ids(program.pid, quota.COMPUTE_THREAD):
                quotas.adopt(3, program.pid, thread)
            time.sleep(0.01)
        answer = self.answer(program)
        computing, other = answer["compute"], answer["other"]
        # A busy machine gives both less, but never more than the quota.
        self.note("quota", QUOTA / 2 <= computing <= QUOTA + 0.03 and other > 1.5 * computing,
                  f"a computing thread with {QUOTA} of a core had {computing:.3f}, another one {other:.3f}")


def leftovers(tag):
    names = owner.namespaces_of(tag)
    where = quota.root()
    return names + ([str(where / tag)] if where and (where / tag).exists() else [])


def killed_testbed():
    """What is left of a testbed whose process is killed with a program in it, a moment later."""
    victim = subprocess.Popen([sys.executable, "-B", PEER, "testbed"], stdout=subprocess.PIPE, text=True)
    tag, pid = victim.stdout.readline().split()
    victim.kill()
    victim.wait()
    victim.stdout.close()
    end = time.monotonic() + 5
    while time.monotonic() < end and (leftovers(tag) or owner.start_of(int(pid)) is not None):
        time.sleep(0.05)
    return leftovers(tag) + ([f"process {pid}"] if owner.start_of(int(pid)) is not None else [])


def measure(folder):
    with Testbed(cells={1: CELL_MBPS}) as bed:
        test = SelfTest(bed, folder)
        for number in (1, 2, 3):
            bed.network.add(number, Rates(MBPS, MBPS))
        for number in (4, 5):
            bed.network.add(number, Rates(MBPS, MBPS, cell=1))
        bed.network.limit_pieces()
        for check in (test.rate, test.change, test.fan_in, test.control, test.cell, test.cut, test.reset,
                      test.quota):
            try:
                check()
            except (TestbedError, ValueError, KeyError) as error:
                test.note(check.__name__, False, str(error))
        tag = bed.tag
    left = leftovers(tag) + killed_testbed()
    test.note("clean", not left, f"left: {', '.join(left)}" if left else "nothing is left, nor of a killed testbed")
    return test.results


def run(as_json):
    with tempfile.TemporaryDirectory(prefix="eddl-testbed-") as folder:
        results = measure(pathlib.Path(folder))
    if as_json:
        print(json.dumps({"schema": "eddl.testbed.selftest.v1", "results": results}))
    else:
        print("\n".join(f"{'ok ' if result['ok'] else 'BAD'}  {result['check']:8} {result['text']}" for result in results))
    return 0 if all(result["ok"] for result in results) else 1
