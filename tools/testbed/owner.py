"""Names what a testbed makes after the process that made it, and removes it when that process is gone.

Namespaces and control groups are called eddl-PID-START-PART, START being the process's start in clock ticks after boot:
a number that is used again for another process does not keep leftovers alive. A guardian process waits for the end of
its owner, however that comes, and cleans; if it is killed, too, the next start does it.
"""
import os
import pathlib
import re
import signal
import time

import commands
import quota

NAME = re.compile(r"(eddl-(\d+)-(\d+))(?:-.*)?$")
NAMESPACES = pathlib.Path("/run/netns")
KILL_SECONDS_MAX = 5


def start_of(pid):
    """Of a process, in clock ticks after boot; None if it has ended."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    after_name = text.rpartition(")")[2].split()
    return None if after_name[0] == "Z" else int(after_name[19])


def own_tag():
    return f"eddl-{os.getpid()}-{start_of(os.getpid())}"


def is_alive(tag):
    match = NAME.fullmatch(tag)
    return match is not None and start_of(int(match[2])) == int(match[3])


def namespaces_of(tag):
    return [name for name in existing_names() if name == tag or name.startswith(tag + "-")]


def existing_names():
    return sorted(path.name for path in NAMESPACES.iterdir()) if NAMESPACES.is_dir() else []


def all_tags():
    """Of every testbed that has left something, its owner alive or not."""
    matches = [NAME.fullmatch(name) for name in existing_names() + quota.folder_names()]
    return sorted({match[1] for match in matches if match is not None})


def pids_in(namespace):
    return [int(pid) for pid in commands.output("ip", "netns", "pids", namespace, check=False).split()]


def remove(tag):
    """Ends every process in the testbed's namespaces, and removes them and its control groups."""
    names = namespaces_of(tag)
    end = time.monotonic() + KILL_SECONDS_MAX
    while time.monotonic() < end:
        pids = [pid for name in names for pid in pids_in(name)]
        if not pids:
            break
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)
    for name in names:
        commands.run("ip", "netns", "del", name, check=False)
    quota.remove_folder(tag)


def remove_dead():
    """Removes what testbeds left whose owners are gone; returns their tags."""
    dead = [tag for tag in all_tags() if not is_alive(tag)]
    for tag in dead:
        remove(tag)
    return dead


class Guardian:
    """A child process that removes the tag's things when its parent ends, or is killed."""

    def __init__(self, tag):
        self.tag = tag
        read_end, self.write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self.watch(read_end)
        os.close(read_end)

    def watch(self, read_end):
        """Of the child: never returns."""
        try:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            os.close(self.write_end)
            null = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(null, stream)
            os.read(read_end, 1)
            remove(self.tag)
        finally:
            os._exit(0)

    def close(self):
        """Removes all, in this process or in the child."""
        remove(self.tag)
        os.close(self.write_end)
        os.waitpid(self.pid, 0)
