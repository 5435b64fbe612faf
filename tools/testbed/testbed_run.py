"""testbed.py run: a job of eddl-node on the scenario's devices, and the simulator's prediction beside it."""
import json
import os
import shutil
import subprocess
import sys
import tomllib

import bed as testbed
import prediction
import report
from cluster import ClusterRun
from commands import TestbedError
from scenario import flatten

# Enough steps for a steady rate, few enough to wait for.
MEASURED_SAMPLES = 20_000


def say(text):
    print(text, file=sys.stderr, flush=True)


def native_seconds_per_sample(scenario, node_program, logs):
    """Of one core of this machine, by an epoch of the job alone."""
    keys = {**scenario.job, **scenario.settings["set"], "train.epochs": 1, "data.limit": MEASURED_SAMPLES,
            "run.dir": str(logs / "native"), "device.threads": 1, "device.name": "cpu"}
    keys = {key: value for key, value in keys.items() if not key.startswith("cluster.")}
    # A lease is computed in pieces of a micro-batch or more: the speed of the smallest is that of a device.
    command = [str(node_program), "train", str(scenario.job_path.resolve()), "--overwrite", "--format", "json"]
    for key, value in keys.items():
        command += ["--set", f"{key}={json.dumps(value)}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TestbedError(f"measuring this machine's speed failed: {done.stderr.strip()[-500:]}")
    return 1 / json.loads(done.stdout.splitlines()[-1])["samples_per_second"]


def quotas_of(scenario, node_program, logs):
    """Parts of a core, where the scenario makes speeds so; else nothing."""
    if scenario.settings["speed"] != "cpu_quota":
        return {}
    native = scenario.settings["native_seconds_per_sample"]
    if native == 0:
        native = native_seconds_per_sample(scenario, node_program, logs)
        say(f"one core of this machine: {1 / native:,.0f} samples/s")
    return testbed.fractions_of(scenario, native, os.cpu_count())


def job_mode(scenario):
    """How the job closes its rounds: where a scenario does not say it, the simulator would leave it to the planner, and
    it does not know of the job's optimizer, with which a manager may have no choice (PlannerOptions::allow_delay)."""
    defaults = {"cluster.mode": "sync", "train.optimizer": "sgd", "train.momentum": 0.9}
    of_job = dict(flatten(tomllib.loads(scenario.job_path.read_text(encoding="utf-8"))))
    keys = {**defaults, **of_job, **scenario.job, **scenario.settings["set"]}
    has_momentum = keys["train.optimizer"] == "sgd" and keys["train.momentum"] > 0
    return "sync" if keys["cluster.mode"] == "auto" and has_momentum else keys["cluster.mode"]


def prepare(scenario, logs):
    if not scenario.settings["job"]:
        raise TestbedError(f"{scenario.path}: testbed.job is empty: which job file of eddl-node?")
    if not scenario.job_path.is_file():
        raise TestbedError(f"{scenario.path}: testbed.job: there is no file {scenario.job_path}")
    logs.mkdir(parents=True, exist_ok=True)
    for path in logs.iterdir():
        if path.is_dir() and (path.name.startswith("state") or path.name in ("run", "native")):
            shutil.rmtree(path)
        elif path.suffix in (".log", ".jsonl"):
            path.unlink()


def run(scenario, logs, programs, with_prediction, as_json, with_trace=False):
    """Prints the result and writes it to result.json in the logs; the exit code."""
    node_program = programs / "eddl-node"
    prepare(scenario, logs)
    for note in scenario.notes:
        say(f"note: {note}")
    predicted = None
    if with_prediction:
        trace = logs / "trace_predicted.json" if with_trace else None
        predicted = prediction.predict(programs / "eddl-sim", scenario.path, trace,
                                       [*scenario.sets, f'pins.mode="{job_mode(scenario)}"'])
    fractions = quotas_of(scenario, node_program, logs)
    with testbed.build(scenario) as bed:
        testbed.add_nodes(bed, scenario)
        quotas = bed.add_quotas() if fractions else None
        say(f"{len(scenario.devices)} devices, logs in {logs}")
        cluster = ClusterRun(scenario, bed.network, node_program, logs, quotas, fractions,
                             logs / "trace.json" if with_trace else None)
        result = cluster.run(say)
        counters, cells = bed.network.counters(), bed.network.cell_bytes()
    nodes = report.node_rows(cluster.programs, counters, cluster.samples_of, scenario.dilation)
    result = {"schema": "eddl.testbed.run.v1", "scenario": scenario.name, **result, "nodes": nodes, "cell_bytes": cells,
              "epoch_seconds_median": prediction.epoch_seconds(result["epochs"]), "prediction": predicted,
              "quotas": fractions, "dilation": scenario.dilation,
              "notes": scenario.notes + notes_on(scenario, result), "logs": str(logs)}
    result["comparison"] = prediction.compare(predicted, result) if predicted else []
    result["links"] = prediction.compare_links(predicted, result) if predicted else []
    (logs / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result) if as_json else report.run_text(result))
    return 0 if result["outcome"] == "finished" else 1


def notes_on(scenario, result):
    """What a reader of the figures should know."""
    measured = result["measured"]
    return report.notes_on_time(scenario.dilation) + unfair(result, measured, scenario)


def unfair(result, measured, scenario):
    """What makes a comparison with the prediction unfair."""
    if result["outcome"] != "finished" or not measured.get("epochs"):
        return []
    if any(event["what"] == "start_manager" for event in result["events"]):
        return ["the manager came back: what it measured is of its last life, and the prediction of the whole job"]
    count = measured["samples"] / measured["epochs"]
    if abs(count - scenario.sample_count) < 1:
        return []
    return [f"the job has {count:,.0f} training samples an epoch, the scenario {scenario.sample_count:,}"]
