"""Reads a scenario: the simulator's file with a table [testbed] beside it.

The simulator's own program checks the file and fills in the defaults, so that one place says what a scenario may contain.
What a testbed cannot emulate is not an error: it is said in `notes`, since the prediction will have it.
"""
import pathlib
import tomllib
from dataclasses import dataclass, field

import commands
from commands import TestbedError
from network import Rates

SPEEDS = ("pace", "cpu_quota", "native")
EVENT_KINDS = ("crash", "hang", "partition", "leave", "reset", "slow", "manager_crash", "rate")

# Key of [testbed]: its type, its default, what it says. README.md has the same list.
SETTINGS = {
    "job": (str, "", "job file of eddl-node, relative to the scenario; empty: only `exec` can use it"),
    "speed": (str, "pace", "how a device is made as slow as the scenario says: pace, cpu_quota, native"),
    "native_seconds_per_sample": (float, 0.0, "cpu_quota: of one core here; 0: measured before the run"),
    "port": (int, 7447, "the manager's, and with 1 added the devices'"),
    "logs": (str, "", "folder of logs and results; empty: runs/testbed/NAME"),
    "duration_seconds": (float, 0.0, "stop the job after that; 0: the scenario's duration_seconds"),
    "buffer_kb": (int, 256, "what a queue of a link holds before it drops"),
    "dilation": (float, 1.0, "so many times slower: links, devices and events; results are of the scenario's own clock"),
    "insecure": (bool, False, "run the cluster without TLS"),
    "set": (dict, {}, "more keys of the job, such as train.clip_norm"),
    "events": (list, [], "more faults: as [[faults.events]], or with at_round in place of at_seconds; also kind rate"),
}

# Keys that have an effect here, or whose effect is real here (headers, handling of messages) and not modelled.
KNOWN = {"name", "description", "duration_seconds", "job.sample_count", "job.epoch_count", "job.batch_size",
         "job.micro_batch_size", "job.seed", "job.parameter_count", "job.first_layer", "job.test_leases",
         "job.checkpoint_epochs", "job.exact", "pins.mode", "pins.codec", "pins.leader_count",
         "pins.speculate", "pins.admit_all", "faults.events", "faults.journal_sync_seconds",
         "faults.checkpoint_save_seconds", "cells", "connect_seconds", "beat_seconds", "separate_lanes",
         "progress_seconds_max", "manager.microseconds_per_message", "devices.name", "devices.count",
         "devices.join_seconds", "devices.join_spacing_seconds", "devices.can_work", "devices.can_lead",
         "devices.fixed_seconds", "devices.seconds_per_sample", "devices.microseconds_per_message",
         "devices.nanoseconds_per_byte"}
KNOWN_OF_LINKS = {"up_mbps", "down_mbps", "efficiency", "cell", "changes", "known_seconds"}
# What learns in the simulator is another task than the real one.
LEARNING = {"job.task", "job.optimizer", "job.learning_rate", "job.momentum", "job.gradient_norm_max", "job.noise_scale",
            "job.checkpoint_rounds", "job.target_accuracy", "job.evaluate_rounds", "job.stripe_count"}
# What a pair of virtual interfaces has of its own.
OWN_LATENCY_MS = 0.15


@dataclass
class Device:
    number: int
    name: str
    fixed_seconds: float
    seconds_per_sample: float
    can_work: bool
    can_lead: bool
    rates: Rates
    join_seconds: float
    changes: list = field(default_factory=list)  # [seconds, factor]


@dataclass
class Event:
    kind: str
    at_seconds: float | None
    at_round: int | None
    node: int
    who: str
    seconds: float
    factor: float


@dataclass
class Scenario:
    path: pathlib.Path
    name: str
    settings: dict
    devices: list
    cells: dict
    manager_rates: Rates
    events: list
    job: dict  # key of eddl-node: value, from keys that the scenario's author wrote
    sample_count: int
    duration_seconds: float
    notes: list
    sets: list  # KEY=VALUE: what the simulator is to use in place of what its file says

    @property
    def dilation(self):
        return self.settings["dilation"]

    @property
    def job_path(self):
        return self.path.parent / self.settings["job"]


def load(path, simulator, dilation=None, sets=()):
    """TestbedError with the file, the key and what it may be. `dilation`: another than the file says; `sets`: KEY=VALUE
    in place of what the file says, as the simulator takes them."""
    path = pathlib.Path(path)
    checked = commands.run(simulator, "scenario", path, *commands.set_options(sets), check=False)
    if checked.returncode != 0:
        raise TestbedError(checked.stderr.strip() or f"{simulator} refused {path}")
    full = tomllib.loads(checked.stdout)
    written = tomllib.loads(path.read_text(encoding="utf-8"))
    for key in (text.partition("=")[0].strip() for text in sets):
        write_key(path, written, full, key)
    if dilation is not None:
        written.setdefault("testbed", {})["dilation"] = dilation
    return from_tables(path, full, written, sets)


def write_key(path, written, full, key):
    """As if the file said what `full` has for that key."""
    *tables, name = key.split(".")
    for table in tables:
        full, written = full[table], written.setdefault(table, {})
        if not isinstance(full, dict):
            raise TestbedError(f"{path}: --set {key}: keys of lists, such as of [[devices]], are set in the file")
    written[name] = full[name]


def from_tables(path, full, written, sets=()):
    """`full`: with all defaults; `written`: what the file says."""
    settings = read_settings(path, written.get("testbed", {}))
    devices = [device for group in full.get("devices", []) for device in devices_of(group)]
    if not devices:
        raise TestbedError(f"{path}: a testbed needs [[devices]]")
    for number, device in enumerate(devices, start=1):
        device.number = number
    events = [event_of(path, entry) for entry in full.get("faults", {}).get("events", []) + settings["events"]]
    scenario = Scenario(path=path, name=full["name"], settings=settings, devices=devices,
                        cells={cell["cell"]: cell["mbps"] for cell in full.get("cells", [])},
                        manager_rates=rates_of(full["manager"]["link"]), events=events, job=job_keys(written),
                        sample_count=full["job"]["sample_count"],
                        duration_seconds=settings["duration_seconds"] or full["duration_seconds"],
                        notes=notes_of(written), sets=list(sets))
    check_events(scenario)
    return scenario


def read_settings(path, table):
    settings = {name: default for name, (_, default, _) in SETTINGS.items()}
    for name, value in table.items():
        if name not in SETTINGS:
            raise TestbedError(f"{path}: unknown key 'testbed.{name}'; there are: {', '.join(SETTINGS)}")
        kind = SETTINGS[name][0]
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise TestbedError(f"{path}: testbed.{name}: expected {kind.__name__}: {SETTINGS[name][2]}; got {value!r}")
        settings[name] = value
    if settings["speed"] not in SPEEDS:
        raise TestbedError(f"{path}: testbed.speed: expected one of {', '.join(SPEEDS)}; got '{settings['speed']}'")
    for name in ("native_seconds_per_sample", "duration_seconds"):
        if settings[name] < 0:
            raise TestbedError(f"{path}: testbed.{name}: expected a number from 0; got {settings[name]}")
    if not 1 <= settings["dilation"] <= 100:
        raise TestbedError(f"{path}: testbed.dilation: expected a number from 1 to 100; got {settings['dilation']}")
    if not 0 < settings["port"] < 65535 or settings["buffer_kb"] < 4:
        raise TestbedError(f"{path}: testbed.port is from 1 to 65534, testbed.buffer_kb from 4")
    settings["set"] = dict(flatten(settings["set"]))
    return settings


def flatten(table, prefix=""):
    """(dotted key, value) of a table of tables; lists are values."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def rates_of(link):
    return Rates(up_mbps=link["up_mbps"], down_mbps=link["down_mbps"], cell=link["cell"])


def devices_of(group):
    """Of a group, their numbers still 0."""
    count = group["count"]
    for i in range(count):
        yield Device(number=0, name=group["name"] if count == 1 else f"{group['name']}-{i + 1}",
                     fixed_seconds=group["fixed_seconds"], seconds_per_sample=group["seconds_per_sample"],
                     can_work=group["can_work"], can_lead=group["can_lead"], rates=rates_of(group["link"]),
                     join_seconds=group["join_seconds"] + i * group["join_spacing_seconds"],
                     changes=group["link"]["changes"])


def event_of(path, entry):
    # `samples` are of the kind `contribute`, which a testbed has not; the simulator fills it in everywhere.
    known = {"kind", "at_seconds", "at_round", "node", "who", "seconds", "factor", "samples"}
    unknown = set(entry) - known
    if unknown:
        raise TestbedError(f"{path}: events: unknown key '{sorted(unknown)[0]}'; there are: {', '.join(sorted(known))}")
    kind = entry.get("kind", "crash")
    if kind not in EVENT_KINDS:
        raise TestbedError(f"{path}: events: a testbed has no '{kind}'; it has {', '.join(EVENT_KINDS)}")
    at_round = entry.get("at_round")
    return Event(kind=kind, at_seconds=None if at_round is not None else float(entry.get("at_seconds", 0)),
                 at_round=at_round, node=entry.get("node", 0), who=entry.get("who", "any"),
                 seconds=float(entry.get("seconds", 1)), factor=float(entry.get("factor", 3)))


def check_events(scenario):
    for event in scenario.events:
        if not 0 <= event.node <= len(scenario.devices):
            raise TestbedError(f"{scenario.path}: events: there is no node {event.node}")
        if event.kind == "slow" and scenario.settings["speed"] != "cpu_quota":
            raise TestbedError(f"{scenario.path}: events: 'slow' needs testbed.speed = \"cpu_quota\": "
                               "a running device's pace is fixed")


def job_keys(written):
    """What the scenario says of the job, in eddl-node's words."""
    job, pins = written.get("job", {}), written.get("pins", {})
    keys = {}
    for table, name, key in ((job, "epoch_count", "train.epochs"), (job, "batch_size", "train.batch"),
                             (job, "micro_batch_size", "cluster.micro_batch"), (job, "seed", "seed"),
                             (pins, "mode", "cluster.mode"), (pins, "codec", "cluster.codec"),
                             (pins, "leader_count", "cluster.leaders"), (pins, "speculate", "cluster.speculate")):
        if name in table:
            keys[key] = table[name]
    if job.get("exact"):
        keys["cluster.codec"] = "exact"
    if pins.get("admit_all"):
        keys["cluster.parking"] = False
    return keys


def notes_of(written):
    """What the file asks for that is not emulated here, a sentence each."""
    tables = {name: value for name, value in written.items() if name not in ("testbed", "devices", "cells")}
    items = list(flatten(tables))
    for group in written.get("devices", []):
        items += flatten(group, "devices.")
    notes = []
    for key, value in items:
        table, _, name = key.rpartition(".")
        if table.endswith("link"):
            if name == "latency_ms" and value > OWN_LATENCY_MS:
                notes.append(f"{key} = {value}: latency is not emulated (this testbed does not use netem); links have "
                             f"about {OWN_LATENCY_MS} ms of their own")
                continue
            known = name in KNOWN_OF_LINKS or name == "latency_ms"
        else:
            known = key in KNOWN or any(key == item or key.startswith(item + ".") for item in LEARNING)
        if not known and value:
            notes.append(f"{key} = {value}: not emulated")
    return sorted(set(notes), key=notes.index)
