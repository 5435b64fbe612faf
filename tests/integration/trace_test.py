#!/usr/bin/env python3
"""The trace of a real run: what each node did when, on one clock, in the form of the simulator's traces.

Usage: trace_test.py PROGRAM [unittest options]
"""
import collections
import json
import pathlib
import subprocess
import sys
import unittest

import cluster_case

EPOCHS = 6
# The manager notes a commit just after it has given it to the network.
SENT_MICROSECONDS = 2_000


def word(event):
    return event["name"].split()[0]


class TraceTest(cluster_case.ClusterCase):
    def traced(self):
        self.write_job(epochs=EPOCHS)
        path = self.folder / "trace.json"
        manager = self.manage("--trace", path)
        nodes = [self.join(name, pace=0.001) for name in ("a", "b", "c")]
        self.wait_for("three nodes", lambda status: len(status["members"]) == 3)
        self.finished(manager, epochs=EPOCHS)
        for node in nodes:
            self.assertEqual(node.wait(), 0, "".join(node.err))
        self.assertNotIn("the trace lacks", "".join(manager.err))
        return json.loads(path.read_text())

    def check_lanes(self, events):
        """Of the spans of a row each ends before the next begins."""
        rows = collections.defaultdict(list)
        for event in events:
            if event["ph"] == "X":
                self.assertGreaterEqual(event["dur"], 0)
                self.assertGreaterEqual(event["ts"], 0)
                rows[event["pid"], event["tid"]].append((event["ts"], event["dur"], event["name"]))
        for row, spans in rows.items():
            spans.sort()
            for (begin, length, name), (after, _, other) in zip(spans, spans[1:]):
                self.assertLessEqual(begin + length, after + 0.01, f"{row}: {name} and {other}")
        return rows

    def check_transfers(self, trace):
        """Pushes of a round have come before its commit, and the leader's step is after it, if clocks are aligned."""
        events = trace["traceEvents"]
        errors = {int(node): error for node, error in trace["otherData"]["clock_error_us"].items()}
        for error in errors.values():
            self.assertLess(error, 20_000)  # one machine
        begins = {event["id"]: event for event in events if event["ph"] == "b"}
        ends = {event["id"]: event for event in events if event["ph"] == "e"}
        self.assertEqual(begins.keys(), ends.keys())
        self.assertTrue({"push", "pull"} <= {word(event) for event in begins.values()})
        commits = {int(event["name"].split()[1]): event["ts"] + event["dur"] for event in events if word(event) == "round"}
        steps = {(event["pid"], event["args"]["round"]): event["ts"] for event in events if event["name"] == "apply"}
        checked = 0
        for number, begin in begins.items():
            self.assertGreaterEqual(ends[number]["ts"], begin["ts"])
            if word(begin) != "push":
                continue
            number_of_round, leader = begin["args"]["round"], int(begin["name"].split()[2])
            if (leader, number_of_round) not in steps or number_of_round not in commits:
                continue
            step, commit = steps[leader, number_of_round], commits[number_of_round]
            self.assertLessEqual(begin["ts"], commit + errors[begin["pid"]], begin)  # the worker's clock and the manager's
            self.assertLessEqual(ends[number]["ts"], commit + errors[leader], begin)
            self.assertLessEqual(commit, step + errors[leader] + SENT_MICROSECONDS, begin)
            self.assertLessEqual(ends[number]["ts"], step, begin)  # both the leader's
            checked += 1
        self.assertGreater(checked, 30)

    def test_a_trace_tells_who_did_what_on_one_clock(self):
        trace = self.traced()
        events = trace["traceEvents"]
        names = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
        self.assertEqual(names[0], "manager")
        self.assertEqual(sorted(names[node][-3:] for node in (1, 2, 3)), ["(a)", "(b)", "(c)"])
        self.check_lanes(events)
        counts = collections.Counter((event["pid"], word(event)) for event in events if event["ph"] == "X")
        for node in (1, 2, 3):
            self.assertGreater(counts[node, "compute"], 10)
            self.assertGreater(counts[node, "wait"], 0)
        for kind in ("aggregate", "apply"):
            self.assertGreater(sum(counts[node, kind] for node in (1, 2, 3)), 30)
        rounds = EPOCHS * cluster_case.TRAIN_SAMPLES // 64
        self.assertEqual(counts[0, "round"], rounds)
        self.assertEqual(sum(event["name"] == "commit" for event in events), rounds)
        samples = sum(event["args"]["samples"] for event in events if event["name"] == "compute")
        self.assertGreater(samples, 0.8 * EPOCHS * cluster_case.TRAIN_SAMPLES)
        self.check_transfers(trace)

    def test_it_has_the_form_of_the_simulators(self):
        simulator = pathlib.Path(cluster_case.PROGRAM).parent / "eddl-sim"
        scenario = pathlib.Path(__file__).resolve().parents[2] / "examples/sim/small.toml"
        if not simulator.exists():
            self.skipTest("SKIP: eddl-sim is not built")
        path = self.folder / "simulated.json"
        subprocess.run([simulator, "run", scenario, "--trace", path], check=True, capture_output=True)

        def shape(trace):
            """Of each sort of event: its fields, row and arguments."""
            return {(event["ph"], word(event)): (tuple(event), event["tid"], event.get("cat"), tuple(event.get("args", ())))
                    for event in trace["traceEvents"]
                    if word(event) in ("compute", "wait", "push", "pull", "aggregate", "apply", "round", "commit")}

        real, simulated = shape(self.traced()), shape(json.loads(path.read_text()))
        both = real.keys() & simulated.keys()
        self.assertEqual({key: real[key] for key in both}, {key: simulated[key] for key in both})
        self.assertGreaterEqual({name for _, name in both}, {"compute", "wait", "push", "pull", "round", "commit"})

    def test_a_node_that_is_killed_is_in_the_trace(self):
        self.write_job(epochs=EPOCHS)
        path = self.folder / "trace.json"
        manager = self.manage("--trace", path)
        nodes = {name: self.join(name, pace=0.001) for name in ("a", "b")}
        self.wait_for_samples(cluster_case.TRAIN_SAMPLES * 3)
        nodes["b"].process.kill()
        self.finished(manager, epochs=EPOCHS)
        events = json.loads(path.read_text())["traceEvents"]
        self.check_lanes(events)
        self.assertEqual({event["pid"] for event in events if event["name"] == "compute"}, {1, 2})

    def test_a_file_that_can_not_be_written_is_told_at_once(self):
        answer = self.ask("manage", self.job, "--listen", "127.0.0.1:0", "--set", f"run.dir={self.folder / 'run'}",
                          "--trace", self.folder / "nowhere/trace.json")
        self.assertEqual(answer.returncode, 6, answer.stderr)
        self.assertIn("--trace", answer.stderr)
        self.assertIn("nowhere", answer.stderr)


if __name__ == "__main__":
    cluster_case.PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)
