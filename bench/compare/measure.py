"""Measures workers side by side: they take turns in blocks of equal work, and medians of blocks are compared.

A run counts only if every program agrees with itself: its A/A spread, the distance between the quartiles of its own
blocks over their median, is at most SPREAD_MAX. A run that does not count is repeated, a limited number of times.
"""
import statistics

SPREAD_MAX = 0.10
BLOCKS_MIN = 7
BLOCK_SECONDS = 0.5
ATTEMPTS_MAX = 6


class Series:
    """One program's blocks: seconds per step, by the wall clock and by the process's own."""

    def __init__(self, about):
        self.about = about
        self.wall = []
        self.cpu = []

    def add(self, answer, steps):
        self.wall.append(answer["seconds"] / steps)
        self.cpu.append(answer["cpu_seconds"] / steps)

    def median(self):
        return statistics.median(self.wall)

    def spread(self):
        low, _, high = statistics.quantiles(self.wall, n=4, method="inclusive")
        return (high - low) / self.median()

    def to_json(self):
        return {"about": self.about, "seconds_per_step": self.wall, "cpu_seconds_per_step": self.cpu,
                "median": self.median(), "spread": self.spread()}


def calibrate(worker):
    """Steps for a block of about BLOCK_SECONDS; warms the worker up."""
    seconds = worker.ask("steps 3")["seconds"] / 3
    steps = max(3, round(0.2 * BLOCK_SECONDS / seconds))
    return max(3, round(BLOCK_SECONDS / worker.ask(f"steps {steps}")["seconds"] * steps))


def run_once(workers, blocks):
    """A list of Series, one a worker: `blocks` blocks each, taken in turns."""
    steps = [calibrate(worker) for worker in workers]
    series = [Series(worker.about) for worker in workers]
    for _ in range(blocks):
        for worker, count, one in zip(workers, steps, series):
            one.add(worker.ask(f"steps {count}"), count)
    return series


def run(workers, blocks):
    """(series, number of runs it took, whether the last one counts)."""
    if blocks < BLOCKS_MIN:
        raise ValueError(f"{blocks} blocks; medians are of at least {BLOCKS_MIN}")
    for attempt in range(1, ATTEMPTS_MAX + 1):
        series = run_once(workers, blocks)
        if all(one.spread() <= SPREAD_MAX for one in series):
            return series, attempt, True
    return series, ATTEMPTS_MAX, False
