"""A testbed while it lasts: its guardian, network and quotas; all gone when it is left, or its process killed."""
import network
import owner
import quota
from commands import TestbedError

MANAGER = 0
# What is left to everything else: senders, receivers, the kernel's queues.
CORES_LEFT_MIN = 0.1


class Testbed:
    def __init__(self, cells=None, buffer_bytes=262_144, dilation=1.0):
        self.cells, self.buffer_bytes, self.dilation = cells, buffer_bytes, dilation
        self.tag = owner.own_tag()
        self.network = self.quotas = self.guardian = None

    def __enter__(self):
        self.guardian = owner.Guardian(self.tag)
        try:
            self.network = network.Network(self.tag, self.cells, self.buffer_bytes, self.dilation)
        except BaseException:
            self.guardian.close()
            raise
        return self

    def __exit__(self, *_):
        self.guardian.close()

    def add_quotas(self):
        self.quotas = quota.Quotas(self.tag)
        return self.quotas


def build(scenario):
    """A testbed, not yet entered, for the scenario; add_nodes when it is."""
    return Testbed(scenario.cells, scenario.settings["buffer_kb"] * 1024, scenario.dilation)


def add_nodes(bed, scenario):
    bed.network.add(MANAGER, scenario.manager_rates)
    for device in scenario.devices:
        bed.network.add(device.number, device.rates)
    bed.network.limit_pieces()


def fractions_of(scenario, native_seconds_per_sample, cores):
    """Number of device to the part of a core that makes it as slow as the scenario and its dilation say; pure.

    TestbedError if a device is faster than a core here, or all together are more than the machine has.
    """
    fractions = {}
    for device in scenario.devices:
        if not device.can_work:
            continue
        seconds_per_sample = scenario.dilation * device.seconds_per_sample
        fraction = native_seconds_per_sample / seconds_per_sample
        if fraction > 1:
            raise TestbedError(f"device {device.number} ({device.name}) takes {seconds_per_sample:g} s a sample, one "
                               f"core of this machine {native_seconds_per_sample:g} s: too fast to be emulated here "
                               "without a greater testbed.dilation")
        fractions[device.number] = fraction
    if sum(fractions.values()) > cores - CORES_LEFT_MIN:
        raise TestbedError(f"the devices' quotas add up to {sum(fractions.values()):.2f} cores, and this machine has "
                           f"{cores}: fewer devices, slower ones, or a greater testbed.dilation")
    return fractions
