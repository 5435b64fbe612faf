"""testbed.py exec: one command on every device of a scenario, for other systems in the same network and at the same speed.

The command learns who it is by TESTBED_ variables, and {rank}, {world}, {name}, {address}, {first_address},
{fixed_seconds}, {seconds_per_sample} and {dilation} in its words are replaced. It makes its own pace; with speed = "cpu_quota" all of it is limited.
"""
import json
import os
import time

import bed as testbed
import network
import processes
import report
from commands import TestbedError

LOOK_SECONDS = 0.05


def values_of(scenario, device):
    return {"rank": device.number - 1, "world": len(scenario.devices), "name": device.name,
            "address": network.address_of(device.number), "first_address": network.address_of(1),
            "fixed_seconds": scenario.dilation * device.fixed_seconds,
            "seconds_per_sample": scenario.dilation * device.seconds_per_sample, "dilation": scenario.dilation}


def filled(word, values):
    """Only our own names are replaced: other braces are the command's."""
    for name, value in values.items():
        word = word.replace("{" + name + "}", str(value))
    return word


def run(scenario, logs, command, as_json):
    """0 if every command ended with 0."""
    settings = scenario.settings
    fractions = {}
    if settings["speed"] == "cpu_quota":
        if settings["native_seconds_per_sample"] == 0:
            raise TestbedError(f"{scenario.path}: exec with quotas needs testbed.native_seconds_per_sample: what one "
                               "sample takes the command on one core")
        fractions = testbed.fractions_of(scenario, settings["native_seconds_per_sample"], os.cpu_count())
    logs.mkdir(parents=True, exist_ok=True)
    programs = {}
    with testbed.build(scenario) as bed:
        testbed.add_nodes(bed, scenario)
        quotas = bed.add_quotas() if fractions else None
        begin = time.monotonic()
        for device in scenario.devices:
            programs[device.number] = start(scenario, device, bed, logs, command)
            if device.number in fractions:
                quotas.set(device.number, fractions[device.number])
                quotas.adopt_process(device.number, programs[device.number].pid)
        try:
            while any([program.is_running() for program in programs.values()]):
                if time.monotonic() - begin > scenario.duration_seconds * scenario.dilation:
                    break
                time.sleep(LOOK_SECONDS)
        finally:
            processes.end_all(programs.values())
        counters, cells = bed.network.counters(), bed.network.cell_bytes()
    nodes = report.node_rows(programs, counters, lambda _: None, scenario.dilation)
    codes = [node["exit_code"] for node in nodes]
    result = {"schema": "eddl.testbed.exec.v1", "scenario": scenario.name, "command": command, "nodes": nodes,
              "cell_bytes": cells, "seconds": (time.monotonic() - begin) / scenario.dilation,
              "dilation": scenario.dilation, "notes": scenario.notes + report.notes_on_time(scenario.dilation),
              "logs": str(logs)}
    print(json.dumps(result) if as_json else
          report.node_table(nodes) + "".join(f"\nnote: {note}" for note in result["notes"]) + f"\noutput: {logs}/*.out")
    return 0 if all(code == 0 for code in codes) else 1


def start(scenario, device, bed, logs, command):
    values = values_of(scenario, device)
    name = f"{device.number}-{device.name}"
    for suffix in (".out", ".err"):
        (logs / (name + suffix)).unlink(missing_ok=True)
    environment = {f"TESTBED_{key.upper()}": str(value) for key, value in values.items()}
    program = processes.Program(name, bed.network.namespace(device.number), [filled(word, values) for word in command],
                                logs / f"{name}.out", logs / f"{name}.err", environment)
    program.start()
    return program
