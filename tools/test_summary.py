#!/usr/bin/env python3
"""Sums the results of one or more CTest runs.

Usage: test_summary.py BUILD_DIR ...     reads BUILD_DIR/results: ctest.xml and one GoogleTest report per binary

Counts single GoogleTest cases where a report exists, else the CTest test. A binary that CTest calls failed although
its own report is clean (a crash or a leak at exit) is one more failure. Prints every failure and every skip with its
reason, and ends with the line "N passed, N failed, N skipped". Exit code 1 if something failed or nothing ran.
"""
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def read_binary(report):
    """(name, outcome, reason) of each case of a GoogleTest report."""
    for case in ElementTree.parse(report).iter("testcase"):
        if case.get("status") == "notrun":
            continue
        name = f"{case.get('classname')}.{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None:
            yield name, "failed", ""
        elif skipped is not None:
            # "file:line\nreason"
            yield name, "skipped", " ".join(skipped.get("message", "").split("\n")[1:]).strip()
        else:
            yield name, "passed", ""


def read_ctest_case(case):
    """Outcome and reason of a CTest test; the reason of a skip is the last line that it wrote."""
    if case.get("status") == "fail":
        return "failed", ""
    if case.find("skipped") is not None:
        lines = (case.findtext("system-out") or "").strip().splitlines()
        return "skipped", lines[-1] if lines else case.find("skipped").get("message", "")
    return "passed", ""


def read_run(build_dir):
    """(name, outcome, reason) of everything that ran in one build folder."""
    results = build_dir / "results"
    if not (results / "ctest.xml").exists():
        yield f"{build_dir.name}", "failed", "no test results"
        return
    for case in ElementTree.parse(results / "ctest.xml").iter("testcase"):
        name = case.get("name")
        outcome, reason = read_ctest_case(case)
        report = results / f"{name}.xml"
        cases = list(read_binary(report)) if report.exists() else []
        if not cases:
            yield name, outcome, reason
            continue
        yield from cases
        if outcome == "failed" and all(one[1] != "failed" for one in cases):
            yield f"{name} (the whole binary)", "failed", "crash, leak or time-out"


def main():
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for build_dir in map(pathlib.Path, sys.argv[1:]):
        for name, outcome, reason in read_run(build_dir):
            total[outcome] += 1
            if outcome != "passed":
                print(f"{build_dir.name}: {outcome}: {name}" + (f": {reason}" if reason else ""))
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 0 if total["failed"] == 0 and total["passed"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
