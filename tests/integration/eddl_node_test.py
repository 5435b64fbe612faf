#!/usr/bin/env python3
"""Runs the real eddl-node on small files made here: train, stop, resume, test, predict, and everything a user can get wrong.

Usage: eddl_node_test.py PROGRAM PLUGIN_FOLDER [unittest options]
  PLUGIN_FOLDER   fake backends (tests/runtime/device): good, which computes nothing and lacks matmul; no_driver; open_fails; too_old
"""
import gzip
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = None
PLUGINS = None
TIMEOUT_SECONDS = 240  # of one command; sanitizers and busy machines are slow


def write_idx(folder, prefix, count, seed, labels=None):
    """Images 8x8 in which the brightest row tells the class, of 4."""
    generator = random.Random(seed)
    labels = labels or [generator.randrange(4) for _ in range(count)]
    pixels = bytearray()
    for label in labels:
        for row in range(8):
            bright = row // 2 == label % 4
            pixels += bytes(generator.randrange(150, 256) if bright else generator.randrange(0, 100) for _ in range(8))
    with gzip.open(folder / f"{prefix}-images-idx3-ubyte.gz", "wb") as file:
        file.write(struct.pack(">4B3i", 0, 0, 8, 3, len(labels), 8, 8) + pixels)
    with gzip.open(folder / f"{prefix}-labels-idx1-ubyte.gz", "wb") as file:
        file.write(struct.pack(">4Bi", 0, 0, 8, 1, len(labels)) + bytes(labels))


def write_csv(path, count, seed, extra_rows=()):
    """Five features in which the largest of the first three tells the class: a, b or c."""
    generator = random.Random(seed)
    lines = ["f0,f1,f2,f3,f4,kind"]
    for _ in range(count):
        values = [generator.random() for _ in range(5)]
        lines.append(",".join(f"{value:.4f}" for value in values) + "," + "abc"[values.index(max(values[:3]))])
    lines[3:3] = extra_rows
    path.write_text("\n".join(lines) + "\n")


class NodeTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="eddl node "))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.data = self.folder / "data"
        self.data.mkdir()
        self.job = self.folder / "job.toml"

    def write_job(self, text):
        self.job.write_text(text)

    def image_job(self, train="epochs = 3\nbatch = 16\nlearning_rate = 0.05"):
        write_idx(self.data, "train", 320, 1)
        write_idx(self.data, "t10k", 80, 2)
        self.write_job(f'[data]\npath = "data"\n[model]\nname = "mlp"\nwidths = [16]\n[train]\n{train}\n'
                       '[device]\nname = "cpu"\nthreads = 1\n[run]\ndir = "run"\n')

    def command(self, *arguments):
        return [PROGRAM, *map(str, arguments)]

    def run_node(self, *arguments, code=0, **options):
        result = subprocess.run(self.command(*arguments), cwd=self.folder, capture_output=True, text=True,
                                stdin=subprocess.DEVNULL, timeout=TIMEOUT_SECONDS, **options)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result

    def train(self, *arguments, code=0, **options):
        """The last line of --format json as an object."""
        result = self.run_node("train", "job.toml", "--format", "json", *arguments, code=code, **options)
        return json.loads(result.stdout.splitlines()[-1])

    def assert_refused(self, code, *words, arguments=()):
        answer = self.train(*arguments, code=code)
        self.assertEqual(answer["status"], "error")
        self.assertEqual(answer["error"]["exit_code"], code)
        for word in words:
            self.assertIn(word, answer["error"]["message"])

    def metrics(self, run="run"):
        return [json.loads(line) for line in (self.folder / run / "metrics.jsonl").read_text().splitlines()]


class TrainTest(NodeTest):
    def test_trains_tests_and_predicts(self):
        self.image_job()
        answer = self.train()
        self.assertEqual((answer["schema"], answer["status"], answer["device"]), ("eddl.train.v1", "finished", "cpu:0"))
        self.assertEqual((answer["epochs"], answer["steps"], answer["samples"], answer["threads"]), (3, 60, 960, 1))
        self.assertGreater(answer["test_accuracy"], 0.9)
        self.assertGreater(answer["samples_per_second"], 0)
        self.assertRegex(answer["parameters_hash"], "^[0-9a-f]{16}$")
        for key in ("seconds", "train_loss", "decode_seconds", "ready_seconds", "peak_rss_bytes", "arena_bytes", "parameters"):
            self.assertIn(key, answer)
        self.assertEqual([line["epoch"] for line in self.metrics()], [1, 2, 3])

        evaluated = json.loads(self.run_node("eval", "--model", answer["model_path"], "--format", "json").stdout)
        self.assertAlmostEqual(evaluated["accuracy"], answer["test_accuracy"])
        self.assertAlmostEqual(evaluated["loss"], answer["test_loss"], places=5)
        self.assertEqual(sum(map(sum, evaluated["confusion"])), 80)
        self.assertEqual(sum(row[i] for i, row in enumerate(evaluated["confusion"])), evaluated["correct"])

        images = self.data / "t10k-images-idx3-ubyte.gz"
        lines = self.run_node("predict", "--model", answer["model_path"], images).stdout.splitlines()
        self.assertEqual(lines[0], "sample,label,probability,p(0),p(1),p(2),p(3)")
        self.assertEqual(len(lines), 81)
        with gzip.open(self.data / "t10k-labels-idx1-ubyte.gz") as file:
            labels = list(file.read()[8:])
        right = sum(int(line.split(",")[1]) == label for line, label in zip(lines[1:], labels))
        self.assertEqual(right, evaluated["correct"])

    def test_predicts_from_image_files(self):
        self.image_job()
        self.train()
        photos = self.folder / "photos"
        photos.mkdir()
        for label in (2, 0, 3):
            pixels = bytes(220 if row // 2 == label else 40 for row in range(8) for _ in range(8))
            (photos / f"class {label}.pgm").write_bytes(b"P5 8 8 255\n" + pixels)
        lines = self.run_node("predict", "--model", "run/model.safetensors", "photos").stdout.splitlines()[1:]
        answers = [line.split(",")[:2] for line in lines]
        self.assertEqual([(os.path.basename(name), label) for name, label in answers],
                         [("class 0.pgm", "0"), ("class 2.pgm", "2"), ("class 3.pgm", "3")])
        (photos / "wide.pgm").write_bytes(b"P5 9 8 255\n" + bytes(72))
        self.assertIn("wide.pgm", self.run_node("predict", "--model", "run/model.safetensors", "photos", code=3).stderr)

    def test_text_ends_with_accuracy_and_the_model(self):
        self.image_job()
        text = self.run_node("train", "job.toml").stdout
        self.assertRegex(text, r"test accuracy \d+\.\d\d %")
        self.assertIn("model saved: run/model.safetensors", text)
        self.assertNotIn("\r", text)

    def test_csv_classes_keep_their_names(self):
        write_csv(self.data / "a.csv", 300, 1)
        write_csv(self.data / "b.csv", 60, 2)
        self.write_job('[data]\npath = "data/a.csv"\nscale = "standard"\n[model]\nwidths = [16]\n'
                       '[train]\nepochs = 20\nbatch = 16\noptimizer = "adam"\n[device]\nthreads = 1\n[run]\ndir = "run"\n')
        self.assertGreater(self.train()["test_accuracy"], 0.8)
        evaluated = json.loads(self.run_node("eval", "job.toml", "--data", "data/b.csv", "--format", "json").stdout)
        self.assertGreater(evaluated["accuracy"], 0.8)
        self.assertEqual([one["name"] for one in evaluated["classes"]], ["a", "b", "c"])
        lines = self.run_node("predict", "--model", "run/model.safetensors", "data/b.csv", "--format", "json").stdout.splitlines()
        answers = [json.loads(line) for line in lines]
        rows = (self.data / "b.csv").read_text().splitlines()[1:]
        right = sum(answer["label"] == row[-1] for answer, row in zip(answers, rows))
        self.assertEqual((len(answers), right), (60, evaluated["correct"]))
        self.assertAlmostEqual(sum(answers[0]["probabilities"]), 1.0, places=5)

    def test_starts_from_another_model_and_keeps_frozen_layers(self):
        self.image_job()
        self.train()
        answer = self.train("--set", "model.init=run/model.safetensors", "--set", "model.freeze=fc1", "--set", "run.dir=tuned",
                            "--set", "train.epochs=1")
        self.assertGreater(answer["test_accuracy"], 0.9)

        def tensor(path, name):
            content = (self.folder / path).read_bytes()
            size = struct.unpack("<Q", content[:8])[0]
            begin, end = json.loads(content[8:8 + size])[name]["data_offsets"]
            return content[8 + size + begin:8 + size + end]
        self.assertEqual(tensor("tuned/model.safetensors", "fc1.weight"), tensor("run/model.safetensors", "fc1.weight"))
        self.assertNotEqual(tensor("tuned/model.safetensors", "fc2.weight"), tensor("run/model.safetensors", "fc2.weight"))

    def test_writes_a_trace_when_asked(self):
        self.image_job()
        self.train("--set", "run.trace=trace.json", "--set", "train.epochs=1")
        trace = json.loads((self.folder / "trace.json").read_text())
        self.assertIn("fc1", {event["name"] for event in trace["traceEvents"]})


class AgainTest(NodeTest):
    def long_job(self):
        """20,000 small steps and few saves: long enough that a signal meets it at work, also on a busy machine."""
        self.write_job('[data]\nformat = "generate"\n[data.generate]\nsamples = 20000\nfeatures = 64\nclasses = 4\n'
                       '[model]\nwidths = [64]\ndropout = 0.1\n[train]\nepochs = 5\nbatch = 4\ncheckpoint_steps = 1500\n'
                       '[device]\nname = "cpu"\nthreads = 1\n[run]\ndir = "run"\n')

    def interrupt(self, number):
        """Starts a long run and sends it a signal once it has a checkpoint."""
        process = subprocess.Popen(self.command("train", "job.toml", "--format", "json"), cwd=self.folder,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not (self.folder / "run/checkpoint.safetensors").exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(number)
        output, errors = process.communicate(timeout=TIMEOUT_SECONDS)
        return process.returncode, output, errors

    def test_the_same_job_twice_is_the_same_model_and_loses_nothing(self):
        self.image_job()
        first = self.train()
        second = self.train()
        self.assertEqual(first["parameters_hash"], second["parameters_hash"])
        kept = (self.folder / "run/previous-1/model.safetensors").read_bytes()
        self.assertEqual(kept, (self.folder / "run/model.safetensors").read_bytes())
        self.assertNotEqual(self.train("--set", "seed=2", "--overwrite")["parameters_hash"], first["parameters_hash"])
        self.assertFalse((self.folder / "run/previous-2").exists())

    def test_a_run_stopped_by_ctrl_c_resumes_bit_for_bit(self):
        self.long_job()
        whole = self.train("--set", "run.dir=whole")
        code, output, errors = self.interrupt(signal.SIGINT)
        self.assertEqual(code, 130, errors)
        stopped = json.loads(output.splitlines()[-1])
        self.assertEqual(stopped["status"], "stopped")
        self.assertLess(stopped["steps"], whole["steps"])
        self.assertRegex(errors, r"to resume: .*eddl-node'? train job.toml --format json --resume")
        resumed = self.train("--resume")
        self.assertEqual(resumed["parameters_hash"], whole["parameters_hash"])
        self.assertEqual((resumed["steps"], resumed["test_accuracy"]), (whole["steps"], whole["test_accuracy"]))

    def test_sigterm_stops_it_too(self):
        self.long_job()
        self.assertEqual(self.interrupt(signal.SIGTERM)[0], 143)

    def test_a_killed_run_resumes_bit_for_bit_without_repeating_metrics(self):
        self.long_job()
        log = ("--set", "run.log_every=100")
        whole = self.train("--set", "run.dir=whole", *log)
        self.assertEqual(self.interrupt(signal.SIGKILL)[0], -signal.SIGKILL)
        resumed = self.train("--resume", *log)
        self.assertEqual(resumed["parameters_hash"], whole["parameters_hash"])
        steps = [(line["kind"], line["step"]) for line in self.metrics()]
        self.assertEqual(len(steps), len(set(steps)))

    def test_resuming_a_finished_run_says_so(self):
        self.image_job()
        first = self.train()
        result = self.run_node("train", "job.toml", "--format", "json", "--resume")
        self.assertIn("finished already", result.stderr)
        self.assertEqual(json.loads(result.stdout)["parameters_hash"], first["parameters_hash"])

    def test_resuming_where_nothing_is_starts_from_the_beginning(self):
        self.image_job()
        self.assertEqual(self.train("--resume")["steps"], 60)

    def test_more_epochs_carry_a_finished_run_on(self):
        self.image_job()
        self.train()
        longer = self.train("--resume", "--set", "train.epochs=5")
        fresh = self.train("--set", "train.epochs=5", "--set", "run.dir=fresh")
        self.assertEqual(longer["parameters_hash"], fresh["parameters_hash"])


class BadInputTest(NodeTest):
    def test_a_job_that_is_wrong(self):
        self.image_job()
        self.assert_refused(2, "unknown key 'train.epoch'", "did you mean 'train.epochs'", arguments=["--set", "train.epoch=1"])
        self.assert_refused(2, "train.batch", "integer", arguments=["--set", "train.batch=x"])
        self.assert_refused(2, "train.batch is 1000", "only 320", arguments=["--set", "train.batch=1000"])
        self.write_job("[train]\nbatch = 4\nepochs = \n")
        self.assert_refused(2, "job.toml:3", "not TOML")
        self.write_job("")
        self.assert_refused(2, "data.path is not set")
        answer = json.loads(self.run_node("train", "job.toml", "--nonsense", "--format=json", code=2).stdout)
        self.assertEqual(answer["error"]["code"], "usage")
        self.assertFalse((self.folder / "run/job.toml").exists())

    def test_files_that_are_truncated_or_corrupt(self):
        self.image_job()
        images = self.data / "train-images-idx3-ubyte.gz"
        whole = images.read_bytes()
        images.write_bytes(whole[:len(whole) // 2])
        self.assert_refused(3, "train-images-idx3-ubyte.gz")
        images.write_bytes(whole[:200] + bytes(100) + whole[300:])
        self.assert_refused(3, "train-images-idx3-ubyte.gz")
        images.unlink()
        self.assert_refused(3, "data")

    def test_labels_out_of_range(self):
        self.image_job()
        write_idx(self.data, "train", 0, 1, labels=[0, 1, 2, 3, 9] * 8)
        self.assert_refused(3, "9", arguments=["--set", "data.class_count=4"])

    def test_csv_rows_that_cannot_be_used(self):
        write_csv(self.data / "a.csv", 100, 1, extra_rows=["1,?,3,4,5,a", "1,2,3"])
        self.write_job('[data]\npath = "data/a.csv"\n[train]\nepochs = 1\nbatch = 8\n[device]\nthreads = 1\n[run]\ndir = "run"\n')
        self.assert_refused(3, "a.csv", "4", "f1", "?", "on_bad_row")
        answer = self.run_node("train", "job.toml", "--set", "data.on_bad_row=skip")
        self.assertRegex(answer.stdout, r"2 .*rows|2 rows|skipped 2")

    def test_data_that_do_not_fit_the_model(self):
        write_csv(self.data / "a.csv", 100, 1)
        self.write_job('[data]\npath = "data/a.csv"\n[model]\nname = "lenet5"\n[train]\nbatch = 8\n[run]\ndir = "run"\n')
        self.assert_refused(3, "lenet5")

    def test_a_loss_that_is_no_number_keeps_the_last_checkpoint(self):
        self.image_job()
        self.assert_refused(5, "diverged", "step 2", "train.learning_rate", "no checkpoint yet",
                            arguments=["--set", "train.learning_rate=1e30"])
        # The rate grows step by step: the first ones go well.
        self.assert_refused(5, "diverged", "the checkpoint of step", "is kept in wild/checkpoint.safetensors",
                            arguments=["--set", "run.dir=wild", "--set", "train.checkpoint_steps=1",
                                       "--set", "train.learning_rate=1e30", "--set", "train.warmup_epochs=3"])
        self.assertTrue((self.folder / "wild/checkpoint.safetensors").exists())
        self.assertEqual(json.loads((self.folder / "wild/run.json").read_text())["status"], "error")

    def test_a_folder_that_cannot_be_written(self):
        self.image_job()
        self.assert_refused(6, "/proc/run", "--set run.dir=", arguments=["--set", "run.dir=/proc/run"])
        (self.folder / "file").write_text("x")
        self.assert_refused(6, "file", arguments=["--set", "run.dir=file"])

    def test_a_full_disk_keeps_what_was_saved(self):
        # A limit on the size of files stands for a disk that is full: writes fail in the same place.
        self.image_job()
        before = self.train()
        checkpoint = (self.folder / "run/checkpoint.safetensors").read_bytes()
        size = len(checkpoint)

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
        answer = self.train("--resume", "--set", "train.epochs=4", code=6, preexec_fn=limit)
        self.assertEqual(answer["error"]["code"], "save")
        self.assertEqual((self.folder / "run/checkpoint.safetensors").read_bytes(), checkpoint)
        self.assertEqual(list((self.folder / "run").glob("*.tmp")), [])
        self.assertEqual(self.train("--resume")["parameters_hash"], before["parameters_hash"])

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("mount"), "needs root, to mount a small file system")
    def test_a_small_file_system_that_is_full(self):
        self.image_job()
        small = self.folder / "small"
        small.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", small], capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest("mounting is not allowed here: " + mounted.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", small], check=True)
        self.assert_refused(6, "space", arguments=["--set", "run.dir=small/run"])

    def test_checkpoints_that_belong_to_another_run(self):
        self.image_job()
        self.train()
        self.assert_refused(7, "train.batch = 16", "has 8", arguments=["--resume", "--set", "train.batch=8"])
        self.assert_refused(7, "model.widths", arguments=["--resume", "--set", "model.widths=8"])
        write_idx(self.data, "train", 320, 7)
        self.assert_refused(7, "other data", arguments=["--resume"])
        write_idx(self.data, "train", 320, 1)
        # A checkpoint of another model, copied into the folder.
        self.train("--set", "model.widths=8", "--set", "run.dir=other")
        shutil.copy(self.folder / "other/checkpoint.safetensors", self.folder / "run/checkpoint.safetensors")
        self.assert_refused(7, "another model", "model.widths", arguments=["--resume"])
        (self.folder / "run/checkpoint.safetensors").write_bytes(b"no checkpoint")
        self.assert_refused(7, "checkpoint.safetensors", arguments=["--resume"])

    def test_a_device_that_is_not_here(self):
        self.image_job()
        self.assert_refused(4, "nosuch", "cpu", arguments=["--device", "nosuch"])

    def test_a_batch_that_needs_more_than_the_memory_limit(self):
        self.image_job("epochs = 1\nbatch = 320")
        arguments = ["--set", "device.memory_limit_mb=1", "--set", "model.widths=1024"]
        self.assert_refused(4, "the largest batch that fits is", arguments=arguments)
        largest = int(re.search(r"largest batch that fits is (\d+)", self.train(*arguments, code=4)["error"]["message"])[1])
        self.train(*arguments, "--set", f"train.micro_batch={largest}")

    def test_a_model_file_that_is_none(self):
        (self.folder / "model.safetensors").write_text("nothing")
        for command in (["predict", "--model", "model.safetensors", "x.csv"], ["eval", "--model", "model.safetensors", "--data", "x"]):
            self.assertIn("model.safetensors", self.run_node(*command, code=7).stderr)

    def test_labels_that_the_model_does_not_know(self):
        write_csv(self.data / "a.csv", 100, 1)
        self.write_job('[data]\npath = "data/a.csv"\n[train]\nepochs = 1\nbatch = 8\n[device]\nthreads = 1\n[run]\ndir = "run"\n')
        self.train()
        write_csv(self.data / "b.csv", 20, 2, extra_rows=["1,2,3,4,5,z"])
        self.assertIn("'z'", self.run_node("eval", "job.toml", "--data", "data/b.csv", code=3).stderr)


class OtherCommandsTest(NodeTest):
    def test_devices_lists_the_cpu(self):
        answer = json.loads(self.run_node("devices", "--format", "json").stdout)
        self.assertIn("cpu:0", [device["id"] for device in answer["devices"]])
        self.assertIn("cpu:0", self.run_node("devices").stdout)

    def test_check_finds_the_cpu_backend_sound(self):
        answer = json.loads(self.run_node("check", "--format", "json", "--threads", "1").stdout)
        self.assertEqual((answer["status"], answer["failures"]), ("ok", []))
        self.assertIn("conv2d", [kind["kind"] for kind in answer["kinds"]])

    def test_check_has_its_own_code_for_a_backend_without_a_device(self):
        result = self.run_node("check", "--backend", PLUGINS / "libeddl_backend_no_driver.so", code=77)
        self.assertIn("libfake.so.1 is missing", result.stderr)

    def test_check_finds_a_backend_that_computes_nothing(self):
        result = self.run_node("check", "--backend", PLUGINS / "libeddl_backend_good.so", "--format", "json", code=1)
        self.assertIn("does not keep the contract", result.stderr)
        answer = json.loads(result.stdout)
        self.assertEqual((answer["status"], answer["training"]["passed"]), ("failed", False))

    def test_ops_that_a_device_lacks_run_on_the_cpu_and_are_named(self):
        self.image_job()
        arguments = ["--device", PLUGINS / "libeddl_backend_good.so"]
        text = self.run_node("train", "job.toml", *arguments).stdout
        self.assertRegex(text, r"good:0 lacks matmul: 5 ops run on cpu:0, which costs copies of \d+\.\d kB a step")
        plan = json.loads(self.run_node("plan", "job.toml", "--format", "json", *arguments).stdout)
        self.assertEqual({step["device"] for step in plan["steps"] if step["op"] == "matmul"}, {"cpu:0"})
        self.assertEqual({step["device"] for step in plan["steps"] if step["op"] == "relu_grad"}, {"good:0"})

    def test_a_device_that_does_not_open_says_why(self):
        self.image_job()
        result = self.run_node("train", "job.toml", "--device", PLUGINS / "libeddl_backend_open_fails.so", code=4)
        self.assertIn("in use by another program", result.stderr)

    def test_devices_names_plugins_that_could_not_be_loaded(self):
        (self.folder / "libeddl_backend_broken.so").write_text("no library")
        answer = json.loads(self.run_node("devices", "--backend-dir", self.folder, "--format", "json").stdout)
        self.assertEqual(answer["devices"], [])
        self.assertIn("libeddl_backend_broken.so", answer["problems"][0])

    def test_plan_shows_ops_and_memory(self):
        self.image_job()
        self.assertIn("fc1/grad_weight", self.run_node("plan", "job.toml").stdout)
        answer = json.loads(self.run_node("plan", "job.toml", "--format", "json").stdout)
        self.assertEqual(answer["parameters"], 64 * 16 + 16 + 16 * 4 + 4)
        self.assertEqual(answer["fallback_ops"], 0)
        self.assertGreater(answer["arena_bytes"], 0)

    def test_the_default_job_is_a_job(self):
        write_csv(self.data / "a.csv", 300, 1)
        self.write_job(self.run_node("job", "--set", "data.path=data/a.csv", "--set", "train.epochs=1").stdout)
        self.assertEqual(self.train()["epochs"], 1)

    def test_version_and_help(self):
        self.assertRegex(self.run_node("--version").stdout, r"^eddl-node \d+\.\d+\.\d+")
        self.assertIn("predict", self.run_node("--help").stdout)
        self.assertIn("--resume", self.run_node("train", "--help").stdout)
        self.run_node(code=2)


if __name__ == "__main__":
    PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    PLUGINS = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
