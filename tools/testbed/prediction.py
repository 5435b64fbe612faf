"""What the simulator says about the same scenario, and how it compares with what was measured."""
import json
import statistics

import commands
from commands import TestbedError


def predict(simulator, path, trace=None, sets=()):
    """The simulator's summary. `trace`: file for its trace, if one is wanted; `sets`: KEY=VALUE in place of what the
    scenario says. TestbedError if it finds an invariant broken or refuses the scenario."""
    options = (["--trace", trace] if trace else []) + commands.set_options(sets)
    done = commands.run(simulator, "run", path, "--format", "json", *options, check=False)
    if done.returncode != 0:
        raise TestbedError(f"{simulator} run {path}: {(done.stderr or done.stdout).strip()}")
    return json.loads(done.stdout.splitlines()[-1])


def epoch_seconds(epochs):
    """Between the ends of epochs, as the run's metrics have them; the median is not moved by a slow start."""
    ends = [epoch["seconds"] for epoch in epochs if "seconds" in epoch]
    lengths = [b - a for a, b in zip([0.0] + ends, ends)]
    return statistics.median(lengths) if lengths else None


def compare_links(prediction, result):
    """Rows (node, name, direction, MB a round predicted and measured) of all links; empty without a prediction."""
    predicted = {link["node"]: link for link in prediction.get("links", [])}
    rounds, steps = prediction.get("rounds"), result["measured"].get("steps")
    if not rounds or not steps:
        return []
    rows = []
    for node in result["nodes"]:
        for direction in ("up", "down"):
            a = predicted.get(node["node"], {}).get(f"{direction}_bytes", 0) * 1e-6 / rounds
            b = node[f"{direction}_bytes"] * 1e-6 / steps
            rows.append({"node": node["node"], "name": node["name"], "direction": direction, "predicted": a,
                         "measured": b, "ratio": b / a if a else None})
    return rows


def compare(prediction, result):
    """Rows (what, unit, predicted, measured); what one side does not know is None."""
    measured = result["measured"]
    sent = sum(node["up_bytes"] for node in result["nodes"])
    steps, samples = measured.get("steps"), measured.get("samples")
    ours = {"seconds": measured.get("seconds"), "rounds": steps, "samples": samples,
            "samples_per_second": measured.get("samples_per_second"), "bytes_sent": sent}
    theirs = {key: prediction.get(key) for key in ours}
    rows = [("training", "s", theirs["seconds"], ours["seconds"]),
            ("rounds", "", theirs["rounds"], ours["rounds"]),
            ("samples", "", theirs["samples"], ours["samples"]),
            ("rate", "samples/s", theirs["samples_per_second"], ours["samples_per_second"])]
    for name, unit, key, factor in (("a round", "s", "seconds", 1), ("sent a round", "MB", "bytes_sent", 1e-6)):
        values = [side[key] * factor / side["rounds"] if side[key] and side["rounds"] else None
                  for side in (theirs, ours)]
        rows.append((name, unit, *values))
    return [{"what": what, "unit": unit, "predicted": a, "measured": b, "ratio": b / a if a and b else None}
            for what, unit, a, b in rows]
