#!/usr/bin/env python3
"""tools/install.sh against a fake Debian, and tools/test_summary.py against made reports. Installs nothing."""
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = "# [build] tools\nmake\nbox # a remark\n\n# [data] sets\nimages\n\n# [bench] optional\nclock\n"
SYSTEM_TOOLS = ("awk", "basename", "bash", "cat", "dirname", "echo", "env", "grep", "sed", "xargs")
# Knows what the file "installed" lists; fails, as the real one does, when it is asked for a package it never heard of.
DPKG_QUERY = """#!/bin/bash
here=$(dirname "$0") code=0
for package in "${@:3}"; do
  if grep -qx "$package" "$here/installed"; then echo "$package installed"; else code=1; fi
done
exit $code
"""
APT_GET = """#!/bin/bash
here=$(dirname "$0")
echo "$DEBIAN_FRONTEND ${@: -2}" >>"$here/calls"
[ ! -e "$here/offline" ] || exit 100
"""
SUDO = """#!/bin/bash
echo "sudo $1" >>"$(dirname "$0")/calls"
[ "$1" != -n ] || shift
exec "$@"
"""


class InstallTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="with space ")
        self.bin = pathlib.Path(self.folder.name)
        for name in SYSTEM_TOOLS:
            target = next(path for path in ("/usr/bin/" + name, "/bin/" + name) if os.path.exists(path))
            (self.bin / name).symlink_to(target)
        (self.bin / "list").write_text(LIST)
        self.fake("dpkg-query", DPKG_QUERY)
        self.fake("apt-get", APT_GET)
        self.user(0)
        self.installed()

    def tearDown(self):
        self.folder.cleanup()

    def fake(self, name, text):
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def user(self, uid):
        self.fake("id", f"#!/bin/bash\necho {uid}\n")

    def installed(self, *packages):
        (self.bin / "installed").write_text("".join(f"{package}\n" for package in packages))

    def install(self, *groups):
        environment = {"PATH": str(self.bin), "EDDL_PACKAGE_LIST": str(self.bin / "list")}
        return subprocess.run([ROOT / "tools/install.sh", *groups], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, cwd="/")

    def calls(self):
        path = self.bin / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def test_calls_nothing_when_nothing_is_missing(self):
        self.installed("make", "box", "images")
        self.assertEqual(self.install("build", "data").returncode, 0)
        self.assertEqual(self.calls(), [])

    def test_installs_only_what_is_missing_without_questions(self):
        self.installed("box")
        self.assertEqual(self.install("build", "data").returncode, 0)
        self.assertEqual(self.calls(), ["noninteractive Dpkg::Options::=--force-confold update",
                                        "noninteractive make images"])

    def test_takes_sudo_without_a_question_when_it_is_not_root(self):
        self.user(1000)
        self.fake("sudo", SUDO)
        self.fake("true", "#!/bin/bash\n")
        self.installed("make")
        self.assertEqual(self.install("build").returncode, 0)
        self.assertEqual(self.calls()[-2:], ["sudo -n", "noninteractive --no-install-recommends box"])

    def test_names_the_packages_when_there_is_neither_root_nor_sudo(self):
        self.user(1000)
        result = self.install("build")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr, "install: neither root nor sudo to install: make box\n")

    def test_names_the_packages_where_there_is_no_dpkg(self):
        (self.bin / "dpkg-query").unlink()
        result = self.install("build")
        self.assertEqual(result.returncode, 1)
        self.assertIn("this is no Debian: install what corresponds to these packages", result.stderr)
        self.assertIn("make box", result.stderr)

    def test_names_the_packages_when_apt_fails(self):
        (self.bin / "offline").touch()
        result = self.install("data")
        self.assertEqual(result.returncode, 1)
        self.assertIn("apt-get could not install: images", result.stderr)

    def test_names_the_known_groups_for_an_unknown_one(self):
        result = self.install("tea")
        self.assertEqual(result.returncode, 1)
        self.assertIn("no group 'tea'", result.stderr)
        self.assertIn("(found: build data bench)", result.stderr)


class SummaryTest(unittest.TestCase):
    CTEST = """<testsuite>
      <testcase name="shape_test" status="run"/>
      <testcase name="crash_test" status="fail"><failure/></testcase>
      <testcase name="leak_test" status="fail"><failure/></testcase>
      <testcase name="data_test" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/>
        <system-out>looking\nno data\n</system-out></testcase>
      </testsuite>"""
    SHAPE = """<testsuites><testsuite>
      <testcase classname="ShapeTest" name="Counts" status="run"/>
      <testcase classname="ShapeTest" name="Images" status="run"><skipped message="a.cc:3&#x0A;no images"/></testcase>
      </testsuite></testsuites>"""
    LEAK = '<testsuites><testsuite><testcase classname="LeakTest" name="Runs" status="run"/></testsuite></testsuites>'

    def summary(self, **files):
        with tempfile.TemporaryDirectory(prefix="with space ") as folder:
            results = pathlib.Path(folder, "release", "results")
            results.mkdir(parents=True)
            for name, text in files.items():
                (results / f"{name}.xml").write_text(text)
            command = ["python3", "-B", ROOT / "tools/test_summary.py", results.parent]
            result = subprocess.run(command, capture_output=True, text=True)
        return result.returncode, result.stdout.splitlines()

    def test_counts_cases_and_gives_each_skip_its_reason(self):
        code, lines = self.summary(ctest=self.CTEST, shape_test=self.SHAPE, leak_test=self.LEAK)
        self.assertEqual(code, 1)
        self.assertEqual(lines, ["release: skipped: ShapeTest.Images: no images",
                                 "release: failed: crash_test",
                                 "release: failed: leak_test (the whole binary): crash, leak or time-out",
                                 "release: skipped: data_test: no data",
                                 "2 passed, 2 failed, 2 skipped"])

    def test_is_content_when_all_pass(self):
        passed = '<testsuite><testcase name="shape_test" status="run"/></testsuite>'
        self.assertEqual(self.summary(ctest=passed), (0, ["1 passed, 0 failed, 0 skipped"]))

    def test_a_run_without_results_is_a_failure(self):
        code, lines = self.summary()
        self.assertEqual(code, 1)
        self.assertEqual(lines, ["release: failed: release: no test results", "0 passed, 1 failed, 0 skipped"])


if __name__ == "__main__":
    unittest.main()
