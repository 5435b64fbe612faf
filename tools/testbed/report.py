"""The result of a run as tables for people; the JSON has the same and more."""

COLUMNS = (("node", ">4"), ("name", "<16"), ("samples", ">10"), ("up MB", ">9"), ("down MB", ">9"), ("up Mbit/s", ">9"),
           ("down Mbit/s", ">11"), ("dropped", ">8"), ("CPU s", ">8"), ("wall s", ">8"), ("lives", ">5"), ("exit", ">5"))


def undilated(line, dilation):
    """What a program said of its times, in the scenario's."""
    factors = {"seconds": 1 / dilation, "samples_per_second": dilation}
    return {key: value * factors[key] if key in factors else value for key, value in line.items()}


def notes_on_time(dilation):
    if dilation == 1:
        return []
    return [f"all was emulated {dilation:g} times slower; times and rates here are the scenario's, processor times, logs, "
            "traces and what commands print this machine's"]


def node_rows(programs, counters, samples_of, dilation=1.0):
    """A dictionary for each node: bytes of its link, what it used of the processor, how it ended. Times and rates are
    the scenario's; the processor is this machine's."""
    rows = []
    for number, program in sorted(programs.items()):
        counted, wall = counters[number], program.wall_seconds / dilation
        rows.append({"node": number, "name": program.name, "samples": samples_of(number), **counted,
                     "up_mbps": counted["up_bytes"] * 8e-6 / wall if wall else 0.0,
                     "down_mbps": counted["down_bytes"] * 8e-6 / wall if wall else 0.0,
                     "cpu_seconds": round(program.cpu_seconds, 3), "wall_seconds": round(wall, 3),
                     "lives": program.lives, "exit_code": program.exit_code})
    return rows


def text_of(value, digits=1):
    if value is None:
        return "-"
    return f"{value:,.{digits}f}" if isinstance(value, float) else f"{value:,}"


def node_table(rows):
    lines = ["  ".join(f"{title:{form}}" for title, form in COLUMNS)]
    for row in rows:
        cells = (str(row["node"]), row["name"][:16], text_of(row["samples"]), text_of(row["up_bytes"] * 1e-6),
                 text_of(row["down_bytes"] * 1e-6), text_of(row["up_mbps"]), text_of(row["down_mbps"]),
                 text_of(row["dropped"]), text_of(row["cpu_seconds"], 2), text_of(row["wall_seconds"]),
                 text_of(row["lives"]), text_of(row["exit_code"]))
        lines.append("  ".join(f"{cell:{form}}" for cell, (_, form) in zip(cells, COLUMNS)))
    return "\n".join(lines)


def comparison_table(rows):
    lines = [f"{'':20} {'predicted':>12} {'measured':>12} {'ratio':>7}"]
    for row in rows:
        name = row["what"] + (f", {row['unit']}" if row["unit"] else "")
        digits = 3 if row["unit"] in ("s", "MB") else 1
        lines.append(f"{name:20} {text_of(row['predicted'], digits):>12} {text_of(row['measured'], digits):>12} "
                     f"{text_of(row['ratio'], 2):>7}")
    return "\n".join(lines)


def links_table(rows):
    lines = [f"{'MB a round, by link':20} {'predicted':>12} {'measured':>12} {'ratio':>7}"]
    for row in rows:
        name = f"{row['node']} {row['name'][:12]} {row['direction']}"
        lines.append(f"{name:20} {text_of(row['predicted'], 3):>12} {text_of(row['measured'], 3):>12} "
                     f"{text_of(row['ratio'], 2):>7}")
    return "\n".join(lines)


def run_text(result):
    measured = result["measured"]
    lines = [f"{result['scenario']}: {result['outcome']}" + (f" ({result['why']})" if result["why"] else "")]
    if measured.get("test_accuracy") is not None:
        lines.append(f"test accuracy {100 * measured['test_accuracy']:.2f} % after {measured['epochs']} epochs")
    if result.get("plan"):
        lines.append(f"last plan: {result['plan']}")
    lines += ["", node_table(result["nodes"])]
    for cell, sent in result["cell_bytes"].items():
        lines.append(f"cell {cell} carried {sent * 1e-6:,.1f} MB")
    if result.get("comparison"):
        lines += ["", comparison_table(result["comparison"])]
    if result.get("links"):
        lines += ["", links_table(result["links"])]
    lines += [f"note: {note}" for note in result["notes"]]
    return "\n".join(lines)
