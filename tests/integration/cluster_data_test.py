#!/usr/bin/env python3
"""Data that come to a running cluster, real processes over TLS: entries that are contributed, and entries that stay
on their device.

Usage: cluster_data_test.py PROGRAM [unittest options]
"""
import json
import random
import re
import signal
import sys
import time
import unittest

import cluster_case
import peer_by_hand
from cluster_case import PACE, TRAIN_SAMPLES

FEATURES = 32
CLASSES = 4


def write_csv(path, count, seed, features=FEATURES, label=None, value=None):
    """Entries of the form of the job's; of the last one, the label or first value may be another."""
    rng = random.Random(seed)
    lines = []
    for i in range(count):
        values = [str(int(rng.random() < 0.3)) for _ in range(features)]
        name = str(rng.randrange(CLASSES)) if i >= CLASSES else str(i)
        if i == count - 1:
            values[0] = value or values[0]
            name = label or name
        lines.append(",".join(values + [name]))
    path.write_text("\n".join(lines) + "\n")
    return path


class ClusterDataTest(cluster_case.ClusterCase):
    def contribute(self, path, *options):
        return self.ask("contribute", self.address, "--data", path, "--format", "json", *options)

    def accepted(self, path, *options):
        answer = self.contribute(path, *options)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        return json.loads(answer.stdout.splitlines()[-1])

    def test_contributed_entries_are_used_from_the_next_epoch_by_everybody(self):
        self.write_job(epochs=6)
        manager = self.manage("--work", "--pace", f"0,{PACE}")
        nodes = [self.join(name) for name in ("a", "b")]
        self.wait_for_samples(500)
        entries = write_csv(self.folder / "more.csv", 320, seed=1)
        first = self.accepted(entries)
        self.assertEqual(first["accepted"], 320)
        self.assertGreaterEqual(first["first_epoch"], 2)
        # A member may contribute, too.
        second = self.accepted(write_csv(self.folder / "again.csv", 100, seed=2), "--state", self.folder / "a")
        expected = 6 * TRAIN_SAMPLES + 320 * (7 - first["first_epoch"]) + 100 * (7 - second["first_epoch"])
        status = self.status()
        self.assertEqual([block["rows"] for block in status["blocks"]], [TRAIN_SAMPLES, 320, 100])
        self.assertEqual(status["samples_total"], expected)
        self.assertIn("320 more from epoch", self.ask("status", self.address).stdout)
        result = self.finished(manager, epochs=6)
        self.assertEqual(result["samples"], expected)
        for node in nodes:
            self.assertEqual(node.wait(), 0, "".join(node.err))
            self.assertGreater(node.json()[-1]["samples"], 0)

    def test_a_killed_manager_goes_on_with_what_was_contributed(self):
        self.write_job(codec="exact", epochs=5)
        entries = write_csv(self.folder / "more.csv", 320, seed=1)
        hashes = []
        for killed in (False, True):
            manager = self.manage(run=f"run-{killed}")
            # Nothing has begun: the first epoch has them already.
            self.assertEqual(self.accepted(entries), {"schema": "eddl.contribute.v1", "accepted": 320,
                                                      "first_epoch": 1})
            nodes = [self.join(f"{name}-{killed}", pace=3 * PACE) for name in ("a", "b")]
            if killed:
                port = self.address.rpartition(":")[2]
                self.wait_for_samples(2500)
                manager.send(signal.SIGKILL)
                manager.wait()
                manager = self.manage("--resume", listen=f"127.0.0.1:{port}", run=f"run-{killed}")
                status = self.wait_for("the devices", lambda s: s["samples"] > 0)
                self.assertEqual(status["samples_total"], 5 * (TRAIN_SAMPLES + 320))
            result = self.finished(manager, epochs=5)
            self.assertEqual(result["samples"] < 5 * (TRAIN_SAMPLES + 320), killed)
            hashes.append(result["parameters_hash"])
            for node in nodes:
                self.assertEqual(node.wait(), 0, "".join(node.err))
        self.assertEqual(hashes[0], hashes[1])

    def test_what_is_contributed_again_is_there_once(self):
        self.write_job(epochs=1000)
        self.manage()
        entries = write_csv(self.folder / "more.csv", 320, seed=1)
        self.assertEqual(self.accepted(entries), self.accepted(entries))
        self.assertEqual([block["rows"] for block in self.status()["blocks"]], [TRAIN_SAMPLES, 320])

    def test_fewer_epochs_than_the_run_has_been_through_are_refused(self):
        self.write_job(epochs=1000)
        manager = self.manage()
        self.join("a")
        self.wait_for("the third epoch", lambda s: s["epoch"] >= 3)
        self.accepted(write_csv(self.folder / "more.csv", 320, seed=1))
        manager.send(signal.SIGKILL)
        manager.wait()
        answer = self.ask("manage", self.job, "--resume", "--listen", "127.0.0.1:0", "--set", "train.epochs=2",
                          "--set", f"run.dir={self.folder / 'run'}")
        self.assertEqual(answer.returncode, 2, answer.stderr)
        self.assertIn("larger train.epochs", answer.stderr)

    def test_a_job_does_not_go_on_with_other_rows_under_the_same_labels(self):
        self.write_job(epochs=1000)
        data = write_csv(self.folder / "data.csv", 400, seed=1)
        options = ("--set", "data.format=csv", "--set", f"data.path={data}")
        manager = self.manage(*options)
        self.join("a")
        self.wait_for_samples(200)
        manager.send(signal.SIGKILL)
        manager.wait()
        before = data.read_text()
        data.write_text(("1" if before[0] == "0" else "0") + before[1:])
        answer = self.ask("manage", self.job, "--resume", "--listen", "127.0.0.1:0", *options, "--set",
                          f"run.dir={self.folder / 'run'}")
        self.assertEqual(answer.returncode, 7, answer.stderr)
        self.assertIn("the samples themselves differ; restore the data files", answer.stderr)
        data.write_text(before)
        (self.folder / "run/cluster/data").unlink()  # as a run of before the name was kept
        self.manage("--resume", *options)
        self.assertTrue((self.folder / "run/cluster/data").exists())

    def test_lost_entries_are_said_and_the_job_does_not_go_on_without_them(self):
        self.write_job(epochs=1000)
        manager = self.manage()
        self.accepted(write_csv(self.folder / "more.csv", 320, seed=1))
        self.join("a")
        self.wait_for_samples(200)
        manager.send(signal.SIGKILL)
        manager.wait()
        kept, = (self.folder / "run/cluster/contributed").iterdir()
        damaged = bytearray(kept.read_bytes())
        damaged[1000] ^= 1
        kept.write_bytes(damaged)
        answer = self.ask("manage", self.job, "--resume", "--listen", "127.0.0.1:0", "--set",
                          f"run.dir={self.folder / 'run'}")
        self.assertNotEqual(answer.returncode, 0)
        self.assertIn(f"rows {TRAIN_SAMPLES} to {TRAIN_SAMPLES + 320}", answer.stderr)

    def test_what_can_not_be_trained_on_is_refused_and_the_job_goes_on(self):
        self.write_job(epochs=3)
        manager = self.manage()
        node = self.join("a", pace=10 * PACE)
        self.wait_for_samples(100)
        more = self.folder / "more.csv"
        for bad, word in ((write_csv(self.folder / "short.csv", 40, seed=1, features=FEATURES - 1), "31"),
                          (write_csv(self.folder / "label.csv", 40, seed=1, label="9"), "label"),
                          (write_csv(self.folder / "nan.csv", 40, seed=1, value="nan"), "nan"),
                          (self.folder / "absent.csv", "absent.csv")):
            answer = self.contribute(bad)
            self.assertNotEqual(answer.returncode, 0, bad)
            self.assertIn(word, (answer.stdout + answer.stderr).lower(), bad)
        stranger = self.contribute(write_csv(more, 40, seed=1), "--state", self.folder / "nobody")
        self.assertNotEqual(stranger.returncode, 0)
        self.assertEqual(self.status()["samples_total"], 3 * TRAIN_SAMPLES)
        self.wait_for("the last epoch", lambda s: s["epoch"] == 3)
        late = self.contribute(more)
        self.assertEqual(late.returncode, 9, late.stderr)
        self.assertIn("the last epoch has begun", late.stdout + late.stderr)
        result = self.finished(manager, epochs=3)
        self.assertEqual(result["samples"], 3 * TRAIN_SAMPLES)
        self.assertEqual(node.wait(), 0, "".join(node.err))

    def test_who_contributes_slowly_keeps_nobody_out(self):
        self.write_job(epochs=100000)
        self.manage()
        self.join("a")
        self.wait_for_samples(100)
        identity = next((self.folder / "a" / "clusters").iterdir())
        slow = [peer_by_hand.Call(self.address, identity, "/eddl.v1.Cluster/Contribute") for _ in range(3)]
        self.addCleanup(lambda: [call.close() for call in slow])
        begin = time.monotonic()
        ended = [call for call in slow if call.wait_for_end(3)]
        self.assertEqual(len(ended), 1, "one caller has two places")
        self.assertEqual(self.accepted(write_csv(self.folder / "more.csv", 320, seed=1))["accepted"], 320)
        for call in slow:
            self.assertTrue(call in ended or call.wait_for_end(45))
        self.assertLess(time.monotonic() - begin, 50)
        status = self.wait_for("both to be given up", lambda s: json.dumps(s["events"]).count("nothing came") == 2)
        self.assertIn("a contribution of node 1 was given up: nothing came for 30 s", json.dumps(status["events"]))
        self.accepted(write_csv(self.folder / "again.csv", 320, seed=2), "--state", self.folder / "a")

    # Data that stay where they are.

    def join_with(self, name, count, seed, pace=PACE):
        path = self.folder / f"{name}.csv"
        if not path.exists():
            write_csv(path, count, seed)
        return self.join(name, "--data", path, pace=pace)

    def test_entries_of_their_own_are_trained_on_where_they_are(self):
        self.write_job(epochs=4, workers_min=3)
        manager = self.manage("--set", "data.policy=local")
        a = self.join_with("a", 480, 1)
        b = self.join_with("b", 240, 2)
        idle = self.join("idle")
        result = self.finished(manager, epochs=4)
        self.assertEqual(result["samples"], 4 * (480 + 240))
        for node in (a, b, idle):
            self.assertEqual(node.wait(), 0, "".join(node.err))
        # Nobody else can have computed them: rows are not to be had. (Twice, maybe: what a change of view undoes.)
        self.assert_computed(a, 4 * 480)
        self.assert_computed(b, 4 * 240)
        self.assertEqual([idle.json()[-1][key] for key in ("samples", "rows_fetched")], [0, 0])

    def assert_computed(self, owner, count):
        """Its own samples are all computed there, and it got no others."""
        said = owner.json()[-1]
        self.assertGreaterEqual(said["samples"], count)
        self.assertEqual(said["rows_fetched"], 0)

    def test_the_managers_own_data_stay_with_its_own_device(self):
        self.write_job(epochs=3, workers_min=2)
        manager = self.manage("--set", "data.policy=local", "--work")
        a = self.join_with("a", 480, 1)
        refused = self.ask("contribute", self.address, "--data", self.folder / "a.csv")
        self.assertEqual(refused.returncode, 9, refused.stderr)
        self.assertIn("join --data", refused.stdout + refused.stderr)
        result = self.finished(manager, epochs=3)
        self.assertEqual(result["samples"], 3 * (TRAIN_SAMPLES + 480))
        self.assertEqual(a.wait(), 0, "".join(a.err))
        self.assert_computed(a, 3 * 480)

    def test_an_owner_that_goes_is_left_out_and_welcome_again(self):
        self.write_job(epochs=60, workers_min=3)
        manager = self.manage("--set", "data.policy=local")
        nodes = {name: self.join_with(name, 240, seed, pace=5 * PACE) for seed, name in enumerate(("a", "b", "c"))}
        self.wait_for_samples(1500)
        nodes["c"].send(signal.SIGKILL)
        status = self.wait_for("an epoch without c", lambda s: "ended without" in json.dumps(s["events"]))
        self.assertIn("of its 720 entries", json.dumps(status["events"]))
        other = write_csv(self.folder / "other.csv", 240, seed=9)
        wrong = self.ask("join", self.address, "--state", self.folder / "c", "--data", other)
        self.assertEqual(wrong.returncode, 9, wrong.stderr)
        self.assertIn("these are others", wrong.stdout + wrong.stderr)
        without = self.ask("join", self.address, "--state", self.folder / "c")
        self.assertEqual(without.returncode, 2, without.stderr)
        back = self.join_with("c", 240, 2, pace=5 * PACE)
        before = self.status()["samples"]
        result = self.finished(manager, epochs=60)
        self.assertLess(result["samples"], 60 * 720)
        self.assertGreater(result["samples"], before)
        self.assertEqual(back.wait(), 0, "".join(back.err))
        self.assertGreater(back.json()[-1]["samples"], 0)

    def test_a_job_whose_owners_are_gone_goes_on_with_a_newcomer(self):
        self.write_job(epochs=12)
        options = ("--set", "data.policy=local")
        for restarted in (False, True):
            run = f"run-{restarted}"
            manager = self.manage(*options, run=run)
            port = self.address.rpartition(":")[2]
            first = self.join_with(f"a-{restarted}", 480, 1, pace=10 * PACE)
            self.wait_for("the second epoch", lambda s: s["epoch"] >= 2)
            first.send(signal.SIGKILL)
            first.wait()
            if restarted:
                manager.send(signal.SIGKILL)
                manager.wait()
                manager = self.manage("--resume", *options, listen=f"127.0.0.1:{port}", run=run)
            second = self.join_with(f"b-{restarted}", 240, 2)
            result = self.finished(manager, epochs=12)
            self.assertEqual(second.wait(), 0, "".join(second.err))
            self.assertGreater(second.json()[-1]["samples"], 5 * 240)
            self.assertIn("ended without", "".join(manager.err + manager.out))

    def test_a_restarted_manager_hears_again_what_a_newcomer_brought(self):
        self.write_job(epochs=12)
        options = ("--set", "data.policy=local")
        manager = self.manage(*options)
        port = self.address.rpartition(":")[2]

        def again():
            manager.send(signal.SIGKILL)
            manager.wait()
            return self.manage("--resume", *options, listen=f"127.0.0.1:{port}")

        first = self.join_with("a", 480, 1, pace=10 * PACE)
        self.wait_for("the second epoch", lambda s: s["epoch"] >= 2)
        first.send(signal.SIGKILL)
        first.wait()
        manager = again()
        # It waits for node 1, for as long as somebody may take to come back: what comes now is taken later.
        second = self.join_with("b", 240, 2)
        status = self.wait_for("the newcomer", lambda s: any(member["name"] == "b" and member["state"] == "working"
                                                             for member in s["members"]))
        self.assertEqual(status["phase"], "agreeing")
        self.assertEqual([block["rows"] for block in status["blocks"]], [480])
        manager = again()
        self.finished(manager, epochs=12)
        self.assertEqual(second.wait(), 0, "".join(second.err))
        self.assertGreater(second.json()[-1]["samples"], 5 * 240)

    def test_a_restarted_manager_tells_of_no_epoch_twice(self):
        self.write_job(epochs=40, workers_min=2)
        options = ("--set", "data.policy=local")
        manager = self.manage(*options)
        port = self.address.rpartition(":")[2]
        nodes = [self.join_with(name, 240, seed, pace=5 * PACE) for seed, name in enumerate(("a", "b"))]
        self.wait_for_samples(1000)
        nodes[1].send(signal.SIGKILL)
        nodes[1].wait()
        self.wait_for("epochs without b", lambda s: json.dumps(s["events"]).count("ended without") >= 3)
        manager.send(signal.SIGKILL)
        manager.wait()
        again = self.manage("--resume", *options, listen=f"127.0.0.1:{port}")
        self.finished(again, epochs=40)
        self.assertEqual(nodes[0].wait(), 0, "".join(nodes[0].err))
        text = "".join(manager.err + again.err)
        told = re.findall(r"epoch (\d+) ended without", text)
        self.assertGreater(len(told), 30, text)
        self.assertEqual(len(told), len(set(told)), told)
        self.assertEqual(text.count("is away"), 1, text)
        lines = map(json.loads, (self.folder / "run/metrics.jsonl").read_text().splitlines())
        epochs = [line["epoch"] for line in lines if line["kind"] == "epoch"]
        self.assertEqual(len(epochs), len(set(epochs)), epochs)

    def test_a_killed_manager_goes_on_with_data_that_stay_where_they_are(self):
        self.write_job(epochs=12, workers_min=2)
        manager = self.manage("--set", "data.policy=local")
        port = self.address.rpartition(":")[2]
        nodes = [self.join_with(name, 480, seed, pace=3 * PACE) for seed, name in enumerate(("a", "b"))]
        self.wait_for_samples(2500)
        manager.send(signal.SIGKILL)
        manager.wait()
        manager = self.manage("--resume", "--set", "data.policy=local", listen=f"127.0.0.1:{port}")
        result = self.finished(manager, epochs=12)
        self.assertLess(result["samples"], 12 * 960)
        self.assertEqual(result["samples_in_all"], 12 * 960)
        for node in nodes:
            self.assertEqual(node.wait(), 0, "".join(node.err))

    def test_own_data_belong_to_jobs_that_ask_for_them(self):
        self.manage()
        wrong = self.join_with("a", 40, 1)
        self.assertEqual(wrong.wait(), 2)
        self.assertIn("eddl-node contribute", "".join(wrong.out + wrong.err))
        together = self.ask("manage", self.job, "--set", "data.policy=local", "--set", "cluster.mode=async", "--set",
                            f"run.dir={self.folder / 'other'}")
        self.assertEqual(together.returncode, 2, together.stderr)


if __name__ == "__main__":
    cluster_case.PROGRAM = sys.argv.pop(1)
    unittest.main(verbosity=2)
