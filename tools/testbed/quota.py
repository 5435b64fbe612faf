"""Gives the computing threads of a program a part of one core, by control groups of version 1 or 2.

Only threads called eddl-compute are limited: sending, receiving and adding up go on as on a device whose processor is
slower, not busier. The period is short, so that a limited thread runs slowly rather than in long steps.
"""
import os
import pathlib

from commands import TestbedError

VERSION_1 = pathlib.Path("/sys/fs/cgroup/cpu")
VERSION_2 = pathlib.Path("/sys/fs/cgroup")
COMPUTE_THREAD = "eddl-compute"
PERIOD_US = 4000
# The kernel's smallest quota: smaller parts of a core have longer periods.
QUOTA_US_MIN = 1000
PERIOD_US_MAX = 1_000_000


def root():
    """Where groups with a processor quota can be made; None if nowhere."""
    if (VERSION_1 / "cpu.cfs_quota_us").exists():
        return VERSION_1
    controllers = VERSION_2 / "cgroup.controllers"
    if controllers.exists() and "cpu" in controllers.read_text().split():
        return VERSION_2
    return None


def folder_names():
    where = root()
    return sorted(path.name for path in where.glob("eddl-*")) if where else []


def remove_folder(tag):
    """Removes the tag's groups; those that still have threads stay."""
    where = root()
    if where is None or not (where / tag).is_dir():
        return
    for folder, _, _ in os.walk(where / tag, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            pass


def period_and_quota_us(fraction):
    """Of a part of a core: 0.5 is (4000, 2000), 0.1 is (10000, 1000)."""
    period = min(max(PERIOD_US, round(QUOTA_US_MIN / fraction)), PERIOD_US_MAX)
    return period, max(QUOTA_US_MIN, round(period * fraction))


def thread_ids(pid, name):
    """Of the threads of that name; none if the process has gone."""
    found = []
    try:
        for task in os.scandir(f"/proc/{pid}/task"):
            with open(f"{task.path}/comm", encoding="utf-8") as file:
                if file.read().strip() == name:
                    found.append(int(task.name))
    except OSError:
        pass
    return found


class Quotas:
    """One group a node, below one of the testbed."""

    def __init__(self, tag):
        self.root = root()
        if self.root is None:
            raise TestbedError("no control group with a processor quota: neither /sys/fs/cgroup/cpu (version 1) nor "
                               "the cpu controller of version 2 is there; use speed = \"pace\"")
        self.threaded = self.root == VERSION_2
        self.folder = self.root / tag
        self.folder.mkdir(exist_ok=True)
        if self.threaded:
            self.allow_children(self.root)
            self.allow_children(self.folder)
        self.adopted = set()
        self.domains = set()  # processes whose other threads are in their node's domain

    def allow_children(self, folder):
        (folder / "cgroup.subtree_control").write_text("+cpu")

    def compute_folder(self, node):
        # Version 2 moves single threads only between groups of one domain: the process in one, its threads below it.
        return self.folder / str(node) / "compute" if self.threaded else self.folder / str(node)

    def set(self, node, fraction):
        """From now on; makes the node's group if there is none."""
        folder = self.compute_folder(node)
        if not folder.exists():
            folder.mkdir(parents=True)
            if self.threaded:
                (folder / "cgroup.type").write_text("threaded")
                self.allow_children(folder.parent)
        period, quota = period_and_quota_us(fraction)
        if self.threaded:
            (folder / "cpu.max").write_text(f"{quota} {period}")
            return
        # No quota while the period changes: the kernel refuses pairs that exceed those of the group above.
        (folder / "cpu.cfs_quota_us").write_text("-1")
        (folder / "cpu.cfs_period_us").write_text(str(period))
        (folder / "cpu.cfs_quota_us").write_text(str(quota))

    def adopt(self, node, pid, thread):
        """Puts a process's thread into the node's group, if it is not there yet."""
        if thread not in self.adopted:
            self.move(node, pid, thread)
            self.adopted.add(thread)

    def adopt_process(self, node, pid):
        """Puts all of a process into the node's group: for programs whose threads have other names."""
        for thread in os.listdir(f"/proc/{pid}/task"):
            self.move(node, pid, int(thread))

    def move(self, node, pid, thread):
        folder = self.compute_folder(node)
        try:
            if self.threaded:
                # Once: it takes all threads of the process along, those that are limited already among them.
                if pid not in self.domains:
                    (folder.parent / "cgroup.procs").write_text(str(pid))
                    self.domains.add(pid)
                (folder / "cgroup.threads").write_text(str(thread))
            else:
                (folder / "tasks").write_text(str(thread))
        except ProcessLookupError:
            pass
