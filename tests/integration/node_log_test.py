#!/usr/bin/env python3
"""What nodes log: lines with node and round, as text or JSON, at a level that the operator can change while they run.

Usage: node_log_test.py PROGRAM [unittest options]
"""
import json
import re
import sys
import time
import unittest

import cluster_case

TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|info|debug)( node=\d+)?( round=\d+)? \S.*")


class NodeLogTest(cluster_case.ClusterCase):
    def wait_for_line(self, process, text):
        end = time.monotonic() + cluster_case.TIMEOUT_SECONDS
        while time.monotonic() < end:
            if any(text in line for line in process.err):
                return
            time.sleep(0.05)
        self.fail(f"no line with {text!r}: " + "".join(process.err[-20:]))

    def test_lines_are_json_with_node_and_round(self):
        manager = self.manage("--log-format", "json", "--log-level", "debug")
        node = self.join("a", "--log-format", "json", "--log-level", "debug")
        self.finished(manager)
        self.assertEqual(node.wait(), 0, "".join(node.err))
        for process, number in ((manager, 0), (node, 1)):
            lines = [json.loads(line) for line in process.err]
            for line in lines:
                self.assertEqual(list(line), ["time", "level", "node", "round", "text"])
            self.assertEqual({line["node"] for line in lines} - {None}, {number})
            rounds = [line["round"] for line in lines if line["round"] is not None]
            self.assertEqual(rounds, sorted(rounds))
            self.assertGreater(rounds[-1], 50)
            for line in lines:
                if lease := re.match(r"lease of round (\d+):", line["text"]):
                    self.assertEqual(line["round"], int(lease[1]), line["text"])
        self.assertTrue(any(json.loads(line)["text"].startswith("round 50 committed") for line in manager.err))
        self.assertTrue(any(json.loads(line)["text"].startswith("lease of round") for line in node.err))

    def test_lines_are_text_with_node_and_round_and_few_if_little_is_wanted(self):
        manager = self.manage("--log-format", "text")
        node = self.join("a", "--log-format", "text", "--log-level", "error")
        self.finished(manager)
        self.assertEqual(node.wait(), 0)
        self.assertEqual(node.err, [])
        for line in manager.err:
            self.assertRegex(line.rstrip("\n"), TEXT)
        self.assertTrue(any(" node=0 round=" in line for line in manager.err))
        self.assertFalse(any(" debug " in line for line in manager.err))

    def test_an_error_is_a_line_too(self):
        answer = self.ask("join", "127.0.0.1:9", "--insecure", "--state", self.folder / "z", "--log-format", "json")
        self.assertEqual(answer.returncode, 8)
        line = json.loads(answer.stdout.splitlines()[-1])
        self.assertEqual(line["level"], "error")
        self.assertIn("127.0.0.1:9", line["text"])

    def test_the_operator_changes_levels_while_nodes_run(self):
        self.write_job(epochs=1000)
        manager = self.manage()
        nodes = {name: self.join(name) for name in ("a", "b")}
        status = self.wait_for("two nodes", lambda s: sum(m["samples"] > 0 for m in s["members"]) == 2)
        number = self.member(status, "a")["node"]
        self.assertEqual(self.ask("log", self.address, "--level", "debug", "--node", number).returncode, 0)
        self.wait_for_line(nodes["a"], "debug: lease of round")
        self.assertFalse(any("debug: " in line for line in (*nodes["b"].err, *manager.err)))
        everybody = self.ask("log", self.address, "--level", "debug")
        self.assertEqual(everybody.returncode, 0, everybody.stderr)
        self.assertIn("debug", everybody.stdout)
        self.wait_for_line(nodes["b"], "debug: lease of round")
        self.wait_for_line(manager, "debug: round ")
        # Also those that come later, and back again.
        late = self.join("late")
        self.wait_for_line(late, "debug: lease of round")
        self.ask("log", self.address, "--level", "info")
        for node in (*nodes.values(), late):
            self.wait_for_line(node, "log level info")
        counts = [sum("debug: " in line for line in node.err) for node in nodes.values()]
        self.wait_for_samples(self.status()["samples"] + 2000)
        self.assertEqual([sum("debug: " in line for line in node.err) for node in nodes.values()], counts)

    def test_others_and_wrong_levels_are_refused(self):
        self.write_job(epochs=1000)
        manager = self.manage()
        node = self.join("a")
        self.wait_for_samples(100)
        member = self.ask("log", self.address, "--level", "debug", "--state", self.folder / "a")
        self.assertEqual(member.returncode, 9, member.stderr)
        self.assertIn("operator", member.stderr)
        stranger = self.ask("log", self.address, "--level", "debug", "--state", self.folder / "nobody")
        self.assertEqual(stranger.returncode, 9, stranger.stderr)
        loud = self.ask("log", self.address, "--level", "loud")
        self.assertEqual(loud.returncode, 2)
        for word in ("loud", "error", "warning", "info", "debug"):
            self.assertIn(word, loud.stderr)
        none = self.ask("log", self.address)
        self.assertEqual(none.returncode, 2)
        self.assertIn("--level", none.stderr)
        nobody = self.ask("log", self.address, "--level", "debug", "--node", 99)
        self.assertEqual(nobody.returncode, 9)
        self.assertIn("no node 99", nobody.stderr)
        self.assertFalse(any("debug: " in line for line in (*manager.err, *node.err)))


if __name__ == "__main__":
    cluster_case.PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)
