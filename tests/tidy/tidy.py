#!/usr/bin/env python3
"""Keeps the promises of the house style that a machine can check.

Usage: tidy.py [--root DIR] [--rule NAME]     prints "file:line: rule: message" lines; exit code 1 if there are any

One function a rule: it takes the tree and yields (file, line, message). Each rule has a folder in fixtures/ with a tiny
tree that it must reject and the exact lines it must say (tidy_test.py). Rules look at text, not at syntax: they are
kept simple enough to be right on this tree, and a rule that gets in the way of good code is to be changed.

Some words below are written with a bracketed letter, so that this file does not reject itself.
"""
import argparse
import collections
import functools
import os
import pathlib
import re
import subprocess
import sys

import declarations

FIXTURES = "tests/tidy/fixtures/"
SOURCE = (".h", ".cc", ".c", ".knl")
TEXT = SOURCE + (".py", ".sh", ".md", ".txt", ".cmake", ".toml", ".json", ".in", ".yml", ".run")
LINES_MAX = 700

# Who may include whom: a folder, and the folders right below it. What those may include, it may too.
# Folders of FREE see everything.
LAYERS = {
    "backends/sdk": [],
    "backends/sdk/conformance": ["backends/sdk", "kernels"],
    "kernels": ["backends/sdk"],
    "backends/cpu": ["backends/sdk", "kernels"],
    "backends/checked": ["backends/sdk", "kernels"],
    "backends/device": ["backends/sdk", "kernels"],
    "backends/opencl": ["backends/device", "backends/sdk", "kernels"],
    "backends/cuda": ["backends/device", "backends/sdk", "kernels"],
    "runtime/base": [],
    "runtime/tensor": ["runtime/base", "backends/sdk"],
    "runtime/graph": ["runtime/tensor"],
    "runtime/device": ["runtime/tensor"],
    "runtime/profile": ["runtime/tensor"],
    "runtime/nn": ["runtime/graph", "runtime/device", "runtime/profile"],
    "runtime/data": ["runtime/graph", "runtime/device", "runtime/profile"],
    "runtime/exec": ["runtime/graph", "runtime/device", "runtime/profile"],
    "runtime/train": ["runtime/nn", "runtime/data", "runtime/exec"],
    "net": ["runtime/base"],
    "net/policy": ["net"],
    "net/node": ["net/policy"],
    "net/sim": ["net/node"],
    "net/wire": ["net/node"],
    "net/transport": ["net/wire"],
}
FREE = ("tools", "bench", "tests", "examples")
OURS = ("kernels", "backends", "runtime", "net") + FREE
VENDOR = re.compile(r"(oneapi/|dnnl|CL/|clblast|cuda|cublas|nccl)")
# What is installed for a plugin's author, whose root is another.
SDK_HEADERS = {
    "backends/sdk/eddl_backend.h": {"stddef.h", "stdint.h"},
    "backends/sdk/eddl_ops.h": {"stddef.h", "stdint.h", "eddl_backend.h"},
    "backends/sdk/op_table.h": {"array", "cstddef", "cstdint", "eddl_ops.h"},
}
SDK_TEMPLATE = "backends/sdk/template/"

# Words that a folder does not use: (folders, pattern, why).
PURE = r"net/(policy|node|sim)/.*\.(h|cc)$"
BANNED = [
    (PURE, r"std::chrono|\b\w+_clock\b|\bclock_gettime\b|\bgettimeofday\b|\btime\(|\bNow\(\)",
     "time is an argument here"),
    (PURE, r"\bgetenv\b", "settings are arguments here"),
    (PURE, r"\bs?rand\(|<random>|std::random_device|std::mt19937|std::\w+_distribution", "use eddl::Rng"),
    (PURE, r"<(thread|mutex|atomic|future|condition_variable)>|std::j?thread\b|std::mutex|absl::Mutex",
     "one thread only here"),
    (PURE, r"\b(map|set)<[^,<>]*\*", "no pointer keys: their order changes from run to run"),
    (r"tests/(?!net/transport/|integration/).*\.(h|cc)$",
     r"\bsleep_(for|until)\b|\bu?sleep\(|\bnanosleep\b|SleepFor\(", "a test does not sleep: use a virtual clock"),
    (r"(?!backends/|tests/).*\.(h|cc)$", r"^\s*#\s*if.*EDDL_(CUDA|OPENCL|CPU)\b",
     "a missing backend is an absent target, not an #if in its caller"),
    (r"runtime/.*\.(h|cc)$|net/.*\.(h|cc)$", r"\bthrow\b", "nothing throws here: return absl::Status"),
]


class Tree:
    """The text files below a root: paths relative to it, and their lines."""

    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.files = sorted(path for path in self._list() if self._is_text(path))

    @functools.lru_cache(maxsize=None)
    def lines(self, path):
        return (self.root / path).read_text(encoding="utf-8", errors="replace").splitlines()

    def select(self, *endings):
        return [path for path in self.files if path.endswith(endings)]

    def _list(self):
        if (self.root / ".git").exists():
            git = ["git", "-c", f"safe.directory={self.root}", "-C", str(self.root)]
            command = git + ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
            found = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split("\0")
        else:
            found = []
            for folder, folders, names in os.walk(self.root):
                folders[:] = [name for name in folders if name not in ("build", "runs", "__pycache__")]
                found += [os.path.relpath(os.path.join(folder, name), self.root) for name in names]
        return [path for path in found if (self.root / path).is_file() and not path.startswith(FIXTURES)]

    def _is_text(self, path):
        return path.endswith(TEXT) or path == ".ci/run"


def search(tree, paths, pattern, message):
    """Every line of the files that matches."""
    expression = re.compile(pattern)
    for path in paths:
        for number, line in enumerate(tree.lines(path), 1):
            if expression.search(line):
                yield path, number, message


def without_comment(line):
    return re.sub(r"//.*|/\*.*?\*/|^\s*\*.*", "", line)


def includes(tree, path):
    """(line number, included file, written in quotes)."""
    for number, line in enumerate(tree.lines(path), 1):
        match = re.match(r'\s*#\s*include\s+(["<])([^">]+)', line)
        if match:
            yield number, match[2], match[1] == '"'


def layer_of(path):
    """The longest folder of LAYERS that holds the path, or its first folder."""
    folder = os.path.dirname(path)
    while folder and folder not in LAYERS:
        folder = os.path.dirname(folder)
    return folder or path.split("/")[0]


def reachable(layer):
    below = {layer}
    for other in LAYERS.get(layer, []):
        below |= reachable(other)
    return below


def layering(tree):
    for path in tree.select(*SOURCE):
        if path.startswith(FREE) or not path.startswith(OURS):
            continue
        layer = layer_of(path)
        if layer not in LAYERS:
            yield path, 1, f"{layer} is in no layer: add it to LAYERS in tests/tidy/tidy.py"
            continue
        for number, included, _ in includes(tree, path):
            if VENDOR.match(included) and not layer.startswith("backends/"):
                yield path, number, f"{layer} includes a vendor's header, {included}: only backends do"
            ours = included.startswith(tuple(f"{folder}/" for folder in OURS))
            if ours and layer_of(included) not in reachable(layer):
                yield path, number, f"{layer} may not include {included}"


def include_path(tree):
    for path in tree.select(*SOURCE):
        if path in SDK_HEADERS or path.startswith(SDK_TEMPLATE):
            continue
        for number, included, quoted in includes(tree, path):
            if quoted and ("/" not in included or included.startswith(".")):
                yield path, number, f"write the full path from the root: {included}"


def sdk_includes(tree):
    for path, allowed in SDK_HEADERS.items():
        for number, included, _ in includes(tree, path) if path in tree.files else ():
            if included not in allowed:
                yield path, number, f"a plugin's author has only {', '.join(sorted(allowed))}; not {included}"


def banned_word(tree):
    for folders, pattern, why in BANNED:
        paths = [path for path in tree.files if re.match(folders, path)]
        for path in paths:
            for number, line in enumerate(tree.lines(path), 1):
                match = re.search(pattern, without_comment(line))
                if match:
                    yield path, number, f"'{match[0].strip()}': {why}"


def hash_iteration(tree):
    """A hash map's order changes from run to run; names are looked up in a file and in the header of its name."""
    declared = re.compile(r"(?:unordered|flat_hash|node_hash)_(?:map|set)<.*>&?\s+(\w+)")
    for path in [path for path in tree.files if re.match(PURE, path)]:
        header = re.sub(r"\.cc$", ".h", path)
        text = tree.lines(path) + (tree.lines(header) if header != path and header in tree.files else [])
        names = {match[1] for match in map(declared.search, text) if match}
        if not names:
            continue
        used = re.compile(rf"for \(.*:\s*(?:{'|'.join(names)})\)|\b(?:{'|'.join(names)})\.c?begin\(")
        for number, line in enumerate(tree.lines(path), 1):
            if used.search(line):
                yield path, number, "iterates over a hash map, whose order changes from run to run"


def orphan_source(tree):
    """Every source is named by the CMakeLists.txt of its folder or of one above."""
    named = set()
    for path in tree.select("CMakeLists.txt", ".cmake"):
        folder = os.path.dirname(path)
        for line in tree.lines(path):
            for word in re.findall(r"[^\s()\";]+\.c[cu]?\b", line.split("#")[0]):
                relative = re.sub(r"^\$\{[^}]*\}/?", "", word)
                named |= {os.path.normpath(os.path.join(folder, relative)), os.path.normpath(relative)}
    for path in tree.select(".cc", ".c"):
        if path not in named:
            yield path, 1, "is in no CMake target"


def commented_out_cmake(tree):
    pattern = r"^\s*#+\s*(?!eddl\b)[a-z_]+\s*\(([^)]*|[^)]*\)\s*)$"
    yield from search(tree, tree.select("CMakeLists.txt", ".cmake"), pattern, "a commented-out line")


def commented_out_code(tree):
    call = r"(?:\w+(?:::|\.|->))*\w+\([^)]*.*\);"
    pattern = rf"^\s*//\s*(?:{call}|(?:if|for|while) \(.*\) .*[;{{]|return\b.*;|#\s*(?:if|include|define)\b.*)\s*$"
    yield from search(tree, tree.select(*SOURCE), pattern, "commented-out code")


def undocumented(tree):
    for path in tree.select(".h"):
        if path.startswith(FREE):
            continue
        for number, name in declarations.undocumented(tree.lines(path)):
            yield path, number, f"{name} has no comment that says what it does"


def pragma_once(tree):
    for path in tree.select(".h"):
        guarded = path.startswith("backends/sdk/") and any(line.startswith("#ifndef ") for line in tree.lines(path))
        if not guarded and "#pragma once" not in tree.lines(path):
            yield path, 1, "has no #pragma once"


def unfinished(tree):
    pattern = r"\b(TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b"
    yield from search(tree, tree.files, pattern, "finish it, or write an issue")


def disabled_test(tree):
    paths = tree.select(".cc", ".h", "CMakeLists.txt")
    yield from search(tree, paths, r"\bDISABLED[_]|\bDISABLED (TRUE|ON)\b", "a disabled test: fix or delete it")


def skip_without_reason(tree):
    paths = tree.select(".cc", ".h")
    yield from search(tree, paths, r"GTEST_SKIP\(\)\s*(;|<<\s*\"\"\s*;)", "a skipped test says why")


def file_length(tree):
    for path in tree.select(".py", ".sh", *SOURCE):
        if len(tree.lines(path)) > LINES_MAX:
            yield path, LINES_MAX + 1, f"{len(tree.lines(path))} lines; at most {LINES_MAX}"


def machine_path(tree):
    yield from search(tree, tree.files, r"(?<![\w.}])/(wor[k]|hom[e]|roo[t]|User[s])/", "a path of somebody's machine")


def dead_reference(tree):
    """A document that is named exists: beside the file that names it, or below the root."""
    known = {os.path.basename(path) for path in tree.files}
    for path in tree.files:
        for number, line in enumerate(tree.lines(path), 1):
            for name in re.findall(r"\b[\w-]+\.md\b", line):
                if name not in known:
                    yield path, number, f"names {name}, which does not exist"


def about_the_making(tree):
    """The text is about the project, not about how its authors work."""
    pattern = (r"(?i)\b(sub-?a[g]ents?|(ai|coding|helper) a[g]ents?|cha[t]bot|l[l]ms?\b|cla[u]de|ch[a]tgpt|copil[o]t"
               r"|this s[e]ssion|(helper|another|other|previous|next|earlier) s[e]ssions?|the b[r]ief\b|your t[a]sk"
               r"|as (requested|instructed|ask[e]d)|per the (issue|revie[w]))\b|\bissue #?\d")
    yield from search(tree, tree.files, pattern, "speaks of how the project is made, not of the project")


RULES = {function.__name__.replace("_", "-"): function for function in (
    layering, include_path, sdk_includes, banned_word, hash_iteration, orphan_source, commented_out_cmake,
    commented_out_code, undocumented, pragma_once, unfinished, disabled_test, skip_without_reason, file_length,
    machine_path, dead_reference, about_the_making)}


def main():
    parser = argparse.ArgumentParser(description="Checks the house style.")
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--rule", choices=sorted(RULES), action="append", help="only this rule (default: all)")
    arguments = parser.parse_args()
    tree = Tree(arguments.root)
    counts = collections.Counter()
    for rule in arguments.rule or RULES:
        for path, line, message in RULES[rule](tree):
            print(f"{path}:{line}: {rule}: {message}")
            counts[rule] += 1
    if counts:
        print(f"{sum(counts.values())} violations in {len(tree.files)} files:", dict(counts), file=sys.stderr)
    return 1 if counts else 0


if __name__ == "__main__":
    sys.exit(main())
