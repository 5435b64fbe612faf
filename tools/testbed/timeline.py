"""What happens in a run, and when: pure; the run asks what is due and does it.

Instants are seconds since training began, or a round. What an event undoes (a hung process goes on, a cut link is mended)
is one more step that comes its `seconds` later.
"""
import heapq
import itertools
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    what: str  # start, kill, leave, freeze, thaw, cut, mend, reset, slow, rate, kill_manager, start_manager
    node: int = 0  # 0: drawn when it is due, or the manager
    factor: float = 1
    after: tuple = ()  # (seconds later, what, factor): what undoes it on the same node
    who: str = "any"


def steps_of(event):
    """The step of an event; a negative time means that nothing undoes it."""
    kinds = {"crash": ("kill", "start"), "leave": ("leave", "start"), "hang": ("freeze", "thaw"),
             "partition": ("cut", "mend"), "reset": ("reset", ""), "slow": ("slow", "slow"), "rate": ("rate", "rate"),
             "manager_crash": ("kill_manager", "start_manager")}
    what, undo = kinds[event.kind]
    after = ((event.seconds, undo, 1.0),) if undo and event.seconds >= 0 else ()
    factor = event.factor if what in ("slow", "rate") else 1.0
    return Step(what=what, node=event.node, factor=factor, after=after, who=event.who)


class Timeline:
    def __init__(self, scenario):
        self.order = itertools.count()
        self.by_time, self.by_round = [], []
        for device in scenario.devices:
            if device.join_seconds > 0:
                self.at(device.join_seconds, Step("start", device.number))
            for seconds, factor in device.changes:
                self.at(seconds, Step("rate", device.number, factor))
        for event in scenario.events:
            if event.at_round is None:
                self.at(event.at_seconds, steps_of(event))
            else:
                heapq.heappush(self.by_round, (event.at_round, next(self.order), steps_of(event)))

    def at(self, seconds, step):
        heapq.heappush(self.by_time, (seconds, next(self.order), step))

    @property
    def needs_rounds(self):
        return bool(self.by_round)

    def due(self, seconds, round_number):
        """The next step that is due, in order, or None; removes it."""
        if self.by_time and self.by_time[0][0] <= seconds:
            return heapq.heappop(self.by_time)[2]
        if self.by_round and self.by_round[0][0] <= round_number:
            return heapq.heappop(self.by_round)[2]
        return None

    def follow(self, seconds, node, step):
        """Plans what undoes a step that was done on that node."""
        for later, what, factor in step.after:
            self.at(seconds + later, Step(what, node, factor))
