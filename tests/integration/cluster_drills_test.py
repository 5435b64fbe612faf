#!/usr/bin/env python3
"""Drills: a cluster in exact mode while something bad goes on. Whatever it is, the model is that of the undisturbed run, bit
for bit, and nothing hangs.

Usage: cluster_drills_test.py PROGRAM [--long] [unittest options]
  --long   nodes come and go for a minute, every 5 s, and not for a fifth of that; a leader and its backup are killed
"""
import os
import pathlib
import signal
import ssl
import subprocess
import sys
import threading
import time
import unittest

import cluster_case
import peer_by_hand

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools/testbed"))
import bed  # noqa: E402
import network  # noqa: E402

EPOCHS = 8
SAMPLES = EPOCHS * cluster_case.TRAIN_SAMPLES
LONG = False


class DrillsTest(cluster_case.ClusterCase):
    undisturbed = None

    def write_job(self, **values):
        super().write_job(**{"codec": "exact", "epochs": EPOCHS, **values})

    def setUp(self):
        super().setUp()
        if DrillsTest.undisturbed is None:
            manager = self.manage(run="undisturbed")
            node = self.join("undisturbed", pace=0)
            DrillsTest.undisturbed = super().finished(manager, EPOCHS)["parameters_hash"]
            node.wait()

    def finished_as_undisturbed(self, manager):
        result = self.finished(manager, EPOCHS)
        self.assertEqual(result["samples"], SAMPLES, "a sample was lost or used twice")
        self.assertEqual(result["parameters_hash"], self.undisturbed)
        return result

    def identity(self, name):
        """The folder with what that node shows to others."""
        return next((self.folder / name / "clusters").iterdir())

    def join_and_leave(self, name):
        node = self.join(name)
        self.wait_for(f"{name} to work", lambda s: any(m["name"] == name and m["samples"] > 0 for m in s["members"]))
        node.send(signal.SIGINT)
        self.assertEqual(node.wait(), 0, "".join(node.err))

    # People who do not belong.

    def test_a_port_scan_and_a_peer_that_sends_garbage(self):
        manager = self.manage()
        nodes = [self.join(name, pace=0.0012) for name in ("a", "b")]
        self.join_and_leave("traitor")
        for i in range(100):  # with nothing, with noise, with another protocol, with TLS and no certificate
            with peer_by_hand.connect(self.address) as plain:
                if i % 4 == 1:
                    plain.sendall(os.urandom(1000))
                elif i % 4 == 2:
                    plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
                elif i % 4 == 3:
                    with peer_by_hand.context_of().wrap_socket(plain) as secret:
                        secret.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(4096))
        job_id = (self.folder / "run/cluster/job_id").read_text()
        for strike in range(3):
            peer = peer_by_hand.Peer(self.address, self.identity("traitor"), job_id)
            peer.send(peer_by_hand.BULK, b"garbage " * (strike + 1))
            self.assertTrue(peer.wait_for_end(peer_by_hand.BULK), "the stream stays open")
            peer.close()
        self.wait_for("the traitor's quarantine", lambda s: self.member(s, "traitor")["state"] == "quarantined")
        again = self.ask("join", self.address, "--state", self.folder / "traitor")
        self.assertEqual(again.returncode, 9, again.stderr)
        self.finished_as_undisturbed(manager)
        self.assertEqual([node.wait() for node in nodes], [0, 0])
        said = [line for line in manager.err if "strangers" in line]
        self.assertTrue(any("does not speak TLS" in line for line in said), manager.err)
        self.assertLess(len(said), 20, "a scan fills the log")
        self.assertFalse([line for line in manager.err if "ssl_transport" in line], "gRPC writes to stderr itself")

    def test_a_certificate_that_has_ended(self):
        manager = self.manage()
        node = self.join("a", pace=0.0012)
        self.join_and_leave("late")
        identity, authority = self.identity("late"), self.folder / "run/authority"
        number = (identity / "node").read_text()
        request, extensions = self.folder / "late.csr", self.folder / "late.cnf"
        extensions.write_text(f"subjectAltName=DNS:eddl-node-{number}\nextendedKeyUsage=serverAuth,clientAuth\n")
        for words in (["req", "-new", "-key", identity / "key.pem", "-subj", f"/CN=eddl-node-{number}", "-out", request],
                      ["x509", "-req", "-in", request, "-CA", authority / "ca.pem", "-CAkey", authority / "ca.key",
                       "-days", "-1", "-extfile", extensions, "-set_serial", "77", "-out", identity / "certificate.pem"]):
            subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
        # The device says so itself; and the manager's door stays shut if it does not look.
        alone = self.ask("join", self.address, "--state", self.folder / "late")
        self.assertEqual(alone.returncode, 2, alone.stderr)
        self.assertIn(f"can't come back as node {number}", alone.stderr)
        self.assertIn("the certificate ended", alone.stderr)
        with self.assertRaises((ssl.SSLError, ConnectionError, EOFError)), peer_by_hand.connect(self.address) as plain:
            with peer_by_hand.context_of(identity).wrap_socket(plain) as secret:
                # In TLS 1.3 the server looks at the certificate after the client's part of the handshake is over.
                while secret.recv(1):
                    secret.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                raise EOFError
        self.assertNotEqual(self.ask("status", self.address, "--state", self.folder / "late").returncode, 0)
        # With the token, it is let in anew.
        back = self.join("late", pace=0.0012)
        self.finished_as_undisturbed(manager)
        self.assertEqual([node.wait(), back.wait()], [0, 0])
        self.assertTrue(any("not valid now" in line for line in manager.err), manager.err)

    # Nodes that go.

    def kill_a_leader_and(self, other):
        """And the one, of four, of those that `other` is true for that leads least; at once."""
        manager = self.manage()
        nodes = {name: self.join(name, pace=0.001) for name in ("a", "b", "c", "d")}
        self.wait_for("four nodes", lambda s: sum(m["state"] == "working" for m in s["members"]) == 4)
        status = self.wait_for_samples(2000)
        by_share = sorted(status["members"], key=lambda member: (not other(member), member["leader_share"]))
        leader = max(status["members"], key=lambda member: member["leader_share"])
        for victim in (by_share[0], leader):
            nodes[victim["name"]].send(signal.SIGKILL)
        self.assertNotEqual(by_share[0], leader)
        self.finished_as_undisturbed(manager)

    def test_a_worker_and_a_leader_killed_at_once(self):
        self.kill_a_leader_and(lambda member: not member["backs_up"])

    def test_a_leader_and_its_backup_killed_at_once(self):
        if not LONG:
            self.skipTest("SKIP: only with --long: the manager waits 10 s for one of the two to come back")
        self.kill_a_leader_and(lambda member: member["backs_up"])

    def test_nodes_that_come_and_go_all_the_time(self):
        seconds, period = (60, 5) if LONG else (12, 3)
        pace = 1.3 * seconds / SAMPLES
        manager = self.manage()
        steady = self.join("steady", pace=pace)
        self.wait_for_samples(1)
        end = time.monotonic() + seconds
        visits = 0
        while time.monotonic() < end:
            guest = self.join(f"guest{visits % 2}", pace=pace)
            self.sleep(period)
            guest.send(signal.SIGINT if visits % 3 != 2 else signal.SIGKILL)
            visits += 1
        self.finished_as_undisturbed(manager)
        self.assertEqual(steady.wait(), 0)
        self.assertGreaterEqual(visits, seconds // period)

    def sleep(self, seconds):
        threading.Event().wait(seconds)

    # Links.

    def test_a_link_that_is_cut_for_20_seconds(self):
        if os.geteuid() != 0:
            self.skipTest("SKIP: network namespaces need root")
        if why := network.missing_features():
            self.skipTest(f"SKIP: no testbed here: {why}")
        with bed.Testbed() as testbed:
            for number in range(4):
                testbed.network.add(number, network.Rates(100, 100))
            inside = [("ip", "netns", "exec", testbed.network.namespace(number)) for number in range(4)]
            self.within = inside[0]
            manager = self.manage(listen=f"{network.address_of(0)}:7447")
            nodes = [self.join(name, pace=0.0055, within=inside[i + 1]) for i, name in enumerate(("a", "b", "c"))]
            self.wait_for("three nodes", lambda s: sum(m["state"] == "working" for m in s["members"]) == 3)
            before = self.wait_for_samples(800)
            testbed.network.cut(3)
            self.sleep(20)
            during = self.status()
            testbed.network.mend(3)
            back = self.wait_for("the node that was cut off", lambda s: self.member(s, "c")["state"] == "working" and
                                 self.member(s, "c")["samples"] > self.member(during, "c")["samples"])
            self.finished_as_undisturbed(manager)
            self.assertGreater(during["samples"] - before["samples"], 1000, "the others waited")
            self.assertLess(back["samples"], SAMPLES)
            self.assertEqual([node.wait() for node in nodes], [0, 0, 0])

    # Data.

    def test_samples_are_not_sent_again_to_a_node_that_was_killed(self):
        manager = self.manage()
        steady = self.join("steady", pace=0.001)
        node = self.join("killed", pace=0.001)
        self.wait_for_samples(2000)
        node.send(signal.SIGKILL)
        node.wait()
        node = self.join("killed", pace=0.001)
        self.finished_as_undisturbed(manager)
        self.assertEqual(steady.wait(), 0)
        self.assertEqual(node.wait(), 0, "".join(node.err))
        self.assertEqual(steady.json()[-1]["rows_fetched"], cluster_case.TRAIN_SAMPLES)
        # At most what was under way when it was killed.
        self.assertLess(node.json()[-1]["rows_fetched"], cluster_case.TRAIN_SAMPLES / 2)
        self.assertEqual(node.json()[-1]["rows_cached"], cluster_case.TRAIN_SAMPLES)


if __name__ == "__main__":
    cluster_case.PROGRAM = sys.argv.pop(1)
    if "--long" in sys.argv:
        sys.argv.remove("--long")
        LONG = True
    unittest.main(verbosity=2)
