#!/usr/bin/env python3
"""`eddl-node top` of a real cluster, on a terminal that is made up.

Usage: top_test.py PROGRAM [unittest options]
"""
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
import unittest

import cluster_case


class TopTest(cluster_case.ClusterCase):
    def setUp(self):
        super().setUp()
        self.write_job(epochs=1000)
        self.manage()
        self.join("a-device")
        self.wait_for_samples(200)

    def open(self, rows=20, columns=90):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(theirs)
        process = subprocess.Popen([cluster_case.PROGRAM, "top", self.address], stdin=theirs, stdout=theirs, stderr=theirs,
                                   env=dict(self.environment, LC_ALL="C.UTF-8"))
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        self.addCleanup(process.kill)
        return process, ours, theirs

    def read_until(self, terminal, text):
        seen = ""
        end = time.monotonic() + cluster_case.TIMEOUT_SECONDS
        while text not in seen and time.monotonic() < end:
            if select.select([terminal], [], [], 0.2)[0]:
                seen += os.read(terminal, 65536).decode(errors="replace")
        self.assertIn(text, seen)
        return seen

    def test_it_draws_the_cluster_and_gives_the_terminal_back(self):
        process, terminal, theirs = self.open()
        seen = self.read_until(terminal, "a-device")
        self.assertIn("\x1b[?1049h", seen)
        self.assertIn("samples/s", seen)
        self.read_until(terminal, "\x1b[H")  # once more, a second later
        os.write(terminal, b"q")
        self.read_until(terminal, "\x1b[?1049l")
        self.assertEqual(process.wait(cluster_case.TIMEOUT_SECONDS), 0)
        self.assertEqual(termios.tcgetattr(theirs), self.before)

    def test_without_a_terminal_it_says_what_to_use(self):
        answer = self.ask("top", self.address)
        self.assertEqual(answer.returncode, 2, answer.stderr)
        self.assertIn("status --watch", answer.stderr)


def load_tests(loader, _tests, _pattern):
    """Not those of the class that it is made from."""
    suite = unittest.TestSuite()
    suite.addTests(TopTest(name) for name in loader.getTestCaseNames(TopTest) if name in vars(TopTest))
    return suite


if __name__ == "__main__":
    cluster_case.PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)
