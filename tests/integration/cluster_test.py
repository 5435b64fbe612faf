#!/usr/bin/env python3
"""Real clusters on this machine: `eddl-node manage` and `join` over TLS, with nodes that are killed, stopped, cut off or wrong.

Usage: cluster_test.py PROGRAM [unittest options]
"""
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import time
import unittest

import cluster_case
from cluster_case import PACE, TRAIN_SAMPLES

# As kLeavePatience of member_node.h.
LEAVE_PATIENCE_SECONDS = 15
STOP_PATIENCE_SECONDS = 30


class ClusterTest(cluster_case.ClusterCase):
    # A whole job.

    def test_three_nodes_train_a_model_that_is_as_good_as_one_devices(self):
        manager = self.manage()
        nodes = [self.join(f"n{i}", "--save-model", self.folder / "fetched.safetensors") if i == 0 else
                 self.join(f"n{i}") for i in range(3)]
        result = self.finished(manager)
        self.assertEqual(result["samples"], 4 * TRAIN_SAMPLES)
        alone = subprocess.run([cluster_case.PROGRAM, "train", self.job, "--format", "json", "--set",
                                f"run.dir={self.folder / 'alone'}"], capture_output=True, text=True, check=True)
        single = json.loads(alone.stdout.splitlines()[-1])
        self.assertGreater(result["test_accuracy"], single["test_accuracy"] - 0.05)
        for node in nodes:
            self.assertEqual(node.wait(), 0, "".join(node.err))
        computed = sum(node.json()[-1]["samples"] for node in nodes)
        self.assertGreaterEqual(computed, 4 * TRAIN_SAMPLES)
        model = self.folder / "run/model.safetensors"
        answer = self.ask("eval", self.job, "--model", model, "--format", "json")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertEqual((self.folder / "run/metrics.jsonl").read_text().count('"kind":"epoch"'), 4)

    def test_the_managers_own_device_works_too(self):
        manager = self.manage("--work")
        result = self.finished(manager)
        self.assertEqual(result["samples"], 4 * TRAIN_SAMPLES)

    def test_exact_mode_gives_one_model_whoever_trained_it(self):
        for optimizer, rate in (("sgd", 0.1), ("adam", 0.005)):
            self.write_job(codec="exact", optimizer=optimizer, learning_rate=rate, epochs=2)
            hashes = []
            for count, disturb in ((1, False), (3, True)):
                manager = self.manage(run=f"{optimizer}-{count}")
                nodes = [self.join(f"{optimizer}{count}{i}") for i in range(count)]
                if disturb:
                    self.wait_for_samples(600)
                    nodes[0].send(signal.SIGKILL)
                hashes.append(self.finished(manager, epochs=2)["parameters_hash"])
            self.assertEqual(hashes[0], hashes[1], optimizer)

    # Nodes that go.

    def leader_and_worker(self, status, nodes):
        leads = max(status["members"], key=lambda member: member["leader_share"])["name"]
        others = [member["name"] for member in status["members"] if member["name"] != leads]
        return nodes[leads], nodes[others[0]]

    def test_a_killed_worker_and_a_killed_leader_cost_no_sample(self):
        self.write_job(epochs=6)
        manager = self.manage()
        nodes = {name: self.join(name, pace=5 * PACE) for name in ("a", "b", "c", "d")}
        self.wait_for("four nodes", lambda s: sum(m["state"] == "working" for m in s["members"]) >= 3)
        leader, worker = self.leader_and_worker(self.wait_for_samples(800), nodes)
        worker.send(signal.SIGKILL)
        self.wait_for_samples(2000)
        leader.send(signal.SIGKILL)
        result = self.finished(manager, epochs=6)
        self.assertEqual(result["samples"], 6 * TRAIN_SAMPLES)

    def test_a_killed_manager_goes_on_and_its_nodes_come_back(self):
        self.check_a_killed_manager(codec="auto")

    def test_a_killed_manager_of_an_exact_job_goes_on(self):
        self.check_a_killed_manager(codec="exact")

    def check_a_killed_manager(self, codec):
        self.write_job(epochs=8, codec=codec)
        manager = self.manage()
        port = self.address.rpartition(":")[2]
        nodes = [self.join(name, pace=2 * PACE) for name in ("a", "b")]
        self.wait_for_samples(2500)
        manager.send(signal.SIGKILL)
        manager.wait()
        manager = self.manage("--resume", listen=f"127.0.0.1:{port}")
        result = self.finished(manager, epochs=8)
        self.assertLess(result["samples"], 8 * TRAIN_SAMPLES)  # those before the kill were not done again
        for node in nodes:
            self.assertEqual(node.wait(), 0, "".join(node.err))

    def test_a_node_leaves_cleanly_and_another_takes_over(self):
        self.write_job(epochs=6)
        manager = self.manage()
        first = self.join("first", pace=3 * PACE)
        self.wait_for_samples(500)
        second = self.join("second")
        self.wait_for("the second", lambda s: len(s["members"]) > 1 and self.member(s, "second")["samples"] > 0)
        first.send(signal.SIGINT)
        self.assertEqual(first.wait(), 0, "".join(first.err))
        self.assertEqual(first.json()[-1]["status"], "left")
        self.finished(manager, epochs=6)
        self.assertEqual(second.wait(), 0, "".join(second.err))

    def without_room(self):
        """No checkpoint gets to the manager's disk, while its journal does, until what is returned is called."""
        folder, away = self.folder / "run/cluster", self.folder / "run/away"
        folder.rename(away)
        return lambda: away.rename(folder)

    def test_the_last_that_leaves_waits_until_all_is_on_disk(self):
        self.write_job(epochs=1000)
        manager = self.manage()
        port = self.address.rpartition(":")[2]
        for presses in (1, 2):
            node = self.join(f"node-{presses}")
            before = self.wait_for("samples of it", lambda s: self.member_or(s, f"node-{presses}")["samples"] > 500)
            make_room = self.without_room()
            node.send(signal.SIGINT)
            status = self.wait_for("a save that failed, and a reason to stay", lambda s: (
                "can't save a checkpoint, trying again" in json.dumps(s["events"])
                and "waits_for" in self.member(s, f"node-{presses}")))
            number = self.member(status, f"node-{presses}")["node"]
            why = self.ask("why", self.address, number).stdout
            self.assertIn("it waits for the manager's disk", why)
            self.assertIn("it waits for the manager's disk", self.ask("status", self.address).stdout)
            self.assertIsNone(node.process.poll())
            if presses == 2:
                node.send(signal.SIGINT)
                self.assertEqual(node.wait(), 130)
                make_room()
                continue
            time.sleep(LEAVE_PATIENCE_SECONDS + 2)  # of one that holds nothing that is nowhere else
            self.assertIsNone(node.process.poll())
            self.assertIn(f"goes when version {status['round']} is on the manager's disk",
                          self.ask("why", self.address, number).stdout)
            self.assertIn("waits until others, or the manager's disk, have what this device holds", "".join(node.err))
            make_room()
            self.assertEqual(node.wait(), 0, "".join(node.err))
            self.assertEqual(node.json()[-1]["status"], "left")
            # All of it is there, although the only device that had it has gone, and the manager is killed.
            manager.send(signal.SIGKILL)
            manager.wait()
            manager = self.manage("--resume", listen=f"127.0.0.1:{port}")
            self.assertEqual(self.status()["round"], status["round"])
            self.assertGreaterEqual(status["round"], before["round"])

    def test_a_stop_does_not_wait_for_a_full_disk_for_ever(self):
        self.write_job(epochs=1000)
        manager = self.manage("--work")
        node = self.join("node")
        self.wait_for("samples of it", lambda s: self.member_or(s, "node")["samples"] > 500)
        make_room = self.without_room()
        begin = time.monotonic()
        manager.send(signal.SIGINT)
        self.assertEqual(manager.wait(), 130, "".join(manager.err))
        self.assertLess(time.monotonic() - begin, STOP_PATIENCE_SECONDS + 20)
        said = "".join(manager.err)
        self.assertIn("can't save a checkpoint, trying again", said)
        self.assertEqual(said.count("can't save a checkpoint, trying again"), 1, said)
        self.assertIn("the disk did not take the last checkpoint", said)
        self.assertEqual(json.loads((self.folder / "run/run.json").read_text())["status"], "stopped")
        self.assertEqual(node.wait(), 0, "".join(node.err))
        make_room()

    def test_what_an_epoch_can_not_save_is_saved_later_or_is_an_error(self):
        self.write_job(epochs=12)
        for run in ("later", "never"):
            manager = self.manage(run=run)
            in_the_way = self.folder / run / "best.safetensors.tmp"
            in_the_way.mkdir()
            node = self.join(f"node-{run}")
            self.wait_for("the third epoch", lambda s: s["epoch"] >= 3)
            metrics = self.folder / run / "metrics.jsonl"
            self.assertEqual(metrics.read_text(), "", "the best model is not saved, which a line would say")
            if run == "later":
                in_the_way.rmdir()
                self.finished(manager, epochs=12)
                lines = map(json.loads, metrics.read_text().splitlines())
                self.assertEqual([line["epoch"] for line in lines if line["kind"] == "epoch"], list(range(1, 13)))
                self.assertTrue((self.folder / run / "best.safetensors").exists())
            else:
                self.assertEqual(manager.wait(), 6)
                self.assertIn("metrics.jsonl lacks 12 epochs, and the best model is not saved", "".join(manager.err))
                self.assertTrue((self.folder / run / "model.safetensors").exists())
            said = "".join(manager.err)
            self.assertEqual(said.count("can't save what came of epoch 1"), 1, said)
            self.assertEqual(json.loads((self.folder / run / "run.json").read_text())["status"], "finished")
            self.assertEqual(node.wait(), 0, "".join(node.err))

    def member_or(self, status, name):
        return next((member for member in status["members"] if member["name"] == name), {"samples": 0})

    def check_epochs_over_a_kill(self, mode):
        """Epochs end while no checkpoint gets to the disk, and then the manager is killed."""
        run = f"run-{mode}"
        self.write_job(epochs=12, mode=mode, learning_rate=0.01)
        manager = self.manage(run=run)
        port = self.address.rpartition(":")[2]
        nodes = [self.join(f"{name}-{mode}") for name in ("a", "b")]
        self.wait_for("the third epoch", lambda s: s["epoch"] >= 3)
        folder, away = self.folder / run / "cluster", self.folder / run / "away"
        folder.rename(away)
        epoch = self.status()["epoch"]
        self.wait_for("two more epochs", lambda s: s["epoch"] >= min(epoch + 2, 12))
        manager.send(signal.SIGKILL)
        manager.wait()
        away.rename(folder)
        manager = self.manage("--resume", listen=f"127.0.0.1:{port}", run=run)
        self.finished(manager, epochs=12)
        warned = any("gradients come late" in line for line in manager.err)
        self.assertEqual(warned, mode == "async", "momentum is 0.9")
        for node in nodes:
            self.assertEqual(node.wait(), 0, "".join(node.err))
        lines = map(json.loads, (self.folder / run / "metrics.jsonl").read_text().splitlines())
        epochs = [line for line in lines if line["kind"] == "epoch"]
        self.assertEqual([line["epoch"] for line in epochs], list(range(1, 13)))
        self.assertIsNotNone(epochs[-1]["test_accuracy"])

    def test_each_epoch_is_reported_once_over_a_kill(self):
        self.check_epochs_over_a_kill("sync")

    def test_each_epoch_of_an_async_job_is_reported_once_over_a_kill(self):
        self.check_epochs_over_a_kill("async")

    def test_a_stopped_node_holds_nobody_up_and_may_come_back(self):
        self.write_job(epochs=8)
        manager = self.manage()
        nodes = {name: self.join(name, pace=2 * PACE) for name in ("a", "b", "c")}
        _, worker = self.leader_and_worker(self.wait_for_samples(800), nodes)
        worker.send(signal.SIGSTOP)
        self.wait_for_samples(6000)
        worker.send(signal.SIGCONT)
        self.finished(manager, epochs=8)

    def test_recorded_nodes_decide_the_same_when_they_are_played_again(self):
        simulator = pathlib.Path(cluster_case.PROGRAM).parent / "eddl-sim"
        if not simulator.exists():
            self.skipTest("SKIP: eddl-sim is not built")
        record = self.folder / "record"
        record.mkdir()
        manager = self.manage("--record", record / "manager")
        nodes = [self.join(name, "--record", record / name) for name in ("a", "b")]
        self.finished(manager)
        for node in nodes:
            node.wait()
        for log in sorted(record.iterdir()):
            answer = subprocess.run([simulator, "replay", log], capture_output=True, text=True)
            self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
            self.assertIn("all answered the same", answer.stdout)

    def test_people_can_ask_and_act(self):
        self.write_job(epochs=1000)
        manager = self.manage()
        node = self.join("only")
        self.wait_for_samples(200)
        text = self.ask("status", self.address)
        self.assertIn("only", text.stdout)
        why = self.ask("why", self.address, 1)
        self.assertEqual(why.returncode, 0, why.stderr)
        self.assertIn("samples/s", why.stdout)
        self.assertEqual(self.ask("why", self.address, 99).returncode, 9)
        self.check_plan()
        twice = self.ask("join", self.address, "--token", self.token, "--state", self.folder / "only")
        self.assertEqual(twice.returncode, 2)
        self.assertIn("--state", twice.stderr)
        # A member may look, but not stop the job.
        denied = self.ask("stop", self.address, "--state", self.folder / "only")
        self.assertEqual(denied.returncode, 9, denied.stderr)
        self.assertEqual(self.ask("stop", self.address).returncode, 0)
        self.assertIn(manager.wait(), (0,))
        self.assertEqual(manager.json()[-1]["status"], "stopped")
        self.assertEqual(node.wait(), 0, "".join(node.err))

    def check_plan(self):
        """What the cluster would make of a job is near what it makes of the one that it has."""
        plan = self.ask("plan", self.job, self.address, "--format", "json")
        self.assertEqual(plan.returncode, 0, plan.stderr)
        planned = json.loads(plan.stdout)
        member = self.member(self.status(), "only")
        self.assertAlmostEqual(planned["sum_of_devices"] * member["sample_seconds"], 1, delta=0.2)
        self.assertLessEqual(planned["samples_per_second"], 1.01 * planned["sum_of_devices"])
        self.assertIn("predicted", self.ask("plan", self.job, self.address, "--set", "model.name=mlp").stdout)
        away = self.ask("plan", self.job, "127.0.0.1:1", "--insecure")
        self.assertEqual(away.returncode, 8)
        self.assertIn("no manager answers", away.stderr)

    # Who does not belong.

    def test_strangers_stay_outside(self):
        manager = self.manage()
        host, _, port = self.address.rpartition(":")
        cut = self.ask("join", self.address, "--token", self.token[:-4], "--state", self.folder / "x")
        self.assertEqual(cut.returncode, 2)
        self.assertIn("token", cut.stderr)
        no_token = self.ask("join", self.address, "--state", self.folder / "x")
        self.assertEqual(no_token.returncode, 2)
        insecure = self.ask("join", self.address, "--insecure", "--state", self.folder / "x")
        self.assertIn(insecure.returncode, (8, 9))
        stranger = self.ask("status", self.address, "--state", self.folder / "nobody")
        self.assertEqual(stranger.returncode, 9)
        # Another cluster's token, of a manager that listens elsewhere.
        address, token = self.address, self.token
        self.manage(run="other")
        other = self.ask("join", address, "--token", self.token, "--state", self.folder / "y")
        self.assertNotEqual(other.returncode, 0)
        self.assertIn("not the cluster", other.stderr)
        self.address, self.token = address, token
        # Garbage, and a scan of the port.
        for payload in (b"", b"\x00" * 4096, b"GET / HTTP/1.1\r\n\r\n", os.urandom(1 << 16)):
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                connection.sendall(payload)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        with socket.create_connection((host, int(port)), timeout=5) as plain:
            with context.wrap_socket(plain) as secret:
                secret.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(4096))
        node = self.join("welcome")
        self.finished(manager)
        self.assertEqual(node.wait(), 0, "".join(node.err))

    def test_a_wrong_command_line_says_what_to_do(self):
        answer = self.ask("join", "host:port:1x", "--token", "EDDL1-0")
        self.assertEqual(answer.returncode, 2)
        nobody = self.ask("join", "127.0.0.1:9", "--insecure", "--state", self.folder / "z")
        self.assertEqual(nobody.returncode, 8)
        self.assertIn("127.0.0.1:9", nobody.stderr)
        pace = self.ask("join", "127.0.0.1:9", "--insecure", "--pace", "fast")
        self.assertEqual(pace.returncode, 2)
        self.assertIn("--pace", pace.stderr)


if __name__ == "__main__":
    cluster_case.PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)
