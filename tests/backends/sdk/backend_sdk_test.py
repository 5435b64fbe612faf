#!/usr/bin/env python3
"""A stranger's afternoon: installs the SDK, builds the template against it, runs the suite, trains; then makes mistakes.

Usage: backend_sdk_test.py CMAKE BUILD_DIR SOURCE_DIR CC CXX     exit code 77 where no program can be built
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

CMAKE, BUILD, SOURCE, CC, CXX = sys.argv[1:6]
JOB = """
seed = 3
[data]
format = "generate"
test_fraction = 0.25
[data.generate]
samples = 200
features = 20
classes = 3
[model]
name = "mlp"
widths = [16]
dropout = 0.1
[train]
epochs = 2
batch = 32
clip_norm = 1.0
[run]
dir = "run"
"""
# A device_open that breaks the rule on exceptions, in front of the template's.
THROWS = """
#include <stdexcept>
#include "eddl/eddl_backend.h"
extern "C" const eddl_backend* example_table(const eddl_host* host);
extern "C" EDDL_EXPORT const eddl_backend* eddl_backend_get_v1(const eddl_host* host) {
  static eddl_backend table = *example_table(host);
  table.%s
  return &table;
}
"""


def run(*command, code=0, cwd=None, **environment):
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("EDDL_", "CMAKE_"))}
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=cwd, timeout=300,
                            env=dict(inherited, **environment))
    if code is not None and result.returncode != code:
        raise AssertionError(f"{command} ended with {result.returncode}, not {code}:\n{result.stdout}{result.stderr}")
    return result


class BackendSdkTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="eddl-sdk-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.prefix = cls.folder / "prefix"
        for component in ("eddl", "eddl-backend-sdk"):
            run(CMAKE, "--install", BUILD, "--prefix", cls.prefix, "--component", component)
        cls.conformance = cls.prefix / "bin/eddl-conformance"
        cls.node = cls.prefix / "bin/eddl-node"
        cls.plugin = cls.build("template", {})
        (cls.folder / "job.toml").write_text(JOB)

    @classmethod
    def build(cls, name, changes):
        """The template with some text replaced, built as its README says: the plugin's path."""
        source = cls.folder / name
        shutil.copytree(cls.prefix / "share/eddl-backend-sdk/template", source)
        for file, pairs in changes.items():
            text = (source / file).read_text()
            for old, new in pairs:
                assert text.count(old) >= 1, old
                text = text.replace(old, new)
            (source / file).write_text(text)
        run(CMAKE, "-S", source, "-B", source / "build", f"-DCMAKE_PREFIX_PATH={cls.prefix}",
            f"-DCMAKE_C_COMPILER={CC}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON")
        run(CMAKE, "--build", source / "build")
        return source / "build/libeddl_backend_example.so"

    def check(self, plugin, *arguments, code=0):
        return run(self.conformance, plugin, *arguments, code=code, cwd=self.folder)

    def train(self, device, code=0, **environment):
        directory = f"run.dir=run-{pathlib.Path(device).name}"
        return run(self.node, "train", "job.toml", "--device", device, "--set", directory, "--overwrite", code=code,
                   cwd=self.folder, **environment)

    def test_what_is_installed_needs_no_source(self):
        found = sorted(str(path.relative_to(self.prefix)) for path in self.prefix.rglob("*") if path.is_file())
        for name in ("bin/eddl-node", "bin/eddl-sim", "lib/eddl/backends/libeddl_backend_cpu.so",
                     "bin/eddl-conformance", "include/eddl/eddl_backend.h", "include/eddl/eddl_ops.h",
                     "include/eddl/op_table.h", "lib/cmake/eddl-backend-sdk/eddl-backend-sdk-config.cmake",
                     "lib/cmake/eddl-backend-sdk/eddl-backend-sdk-config-version.cmake",
                     "share/eddl-backend-sdk/backend-author-guide.md", "share/eddl-backend-sdk/template/backend.c"):
            self.assertIn(name, found)
        for path in self.prefix.rglob("*"):
            if path.suffix in (".cmake", ".h", ".c", ".txt"):
                self.assertNotIn(SOURCE, path.read_text(), path)
        commands = (self.folder / "template/build/compile_commands.json").read_text()
        self.assertNotIn(SOURCE + "/", commands)
        # The node finds its backends beside itself.
        devices = json.loads(run(self.node, "devices", "--format", "json").stdout)["devices"]
        self.assertIn("cpu:0", [device["id"] for device in devices])

    def test_headers_serve_c_and_cxx(self):
        for compiler, suffix, header in ((CC, "c", "eddl_ops.h"), (CXX, "cc", "op_table.h")):
            source = self.folder / f"includes.{suffix}"
            source.write_text(f'#include "eddl/{header}"\n')
            run(compiler, "-std=c11" if suffix == "c" else "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                f"-I{self.prefix}/include", source)

    def test_the_template_passes_as_its_own_test_says(self):
        result = run(pathlib.Path(CMAKE).parent / "ctest", "--test-dir", self.folder / "template/build", "-V")
        self.assertIn("100% tests passed", result.stdout)
        text = self.check(self.plugin).stdout
        matmul = re.search(r"^matmul +(\d+) +(\d+) +(\d+) +(\d+)", text, re.MULTILINE)
        cases, passed, failed, lacking = map(int, matmul.groups())
        self.assertEqual((passed, failed, lacking), (cases, 0, 0), text)
        self.assertGreater(cases, 60)
        self.assertRegex(text, r" 0 failed, \d+ lacking \(these fall back to the cpu\)")

    def test_it_trains_with_the_cpu_for_the_rest(self):
        losses = {}
        for device in (self.plugin, "cpu"):
            text = self.train(device).stdout
            losses[device] = [float(loss) for loss in re.findall(r"epoch \d/\d  loss ([\d.]+)", text)]
            if device == self.plugin:
                self.assertRegex(text, r"example:0 lacks .*softmax_xent.*: \d+ ops run on cpu:0")
                self.assertIn("example:0 lacks sgd: all parameters go to cpu:0 and back in every step", text)
        self.assertEqual(len(losses[self.plugin]), 2)
        for one, other in zip(losses[self.plugin], losses["cpu"]):
            self.assertAlmostEqual(one, other, delta=0.001)

    def test_the_self_test_of_the_node_passes(self):
        answer = json.loads(run(self.node, "check", "--backend", self.plugin, "--format", "json").stdout)
        self.assertEqual((answer["status"], answer["training"]["passed"]), ("ok", True))

    def test_a_wrong_result_leaves_a_reproducer_that_can_be_run(self):
        wrong = self.build("wrong", {"matmul.c": [("bias != NULL ? bias[column] : 0", "0")]})
        text = self.check(wrong, "--output", "failures", code=1).stdout
        count = int(re.search(r"wrote (\d+) reproducers", text)[1])
        files = sorted((self.folder / "failures").iterdir())
        self.assertEqual(len(files), count)
        self.assertTrue(all(file.name.startswith("matmul-") for file in files), files)
        again = run(self.conformance, "--reproduce", files[0], code=1, cwd=self.folder).stdout
        self.assertRegex(again, r"now: FAILED case matmul/\d+, seed 1\n  matmul\(f32\[.*\n.*: got .*, expected .* within")
        # With the mistake mended: the same case passes, and a whole run clears the folder.
        mended = run(self.conformance, self.plugin, "--reproduce", files[0], cwd=self.folder).stdout
        self.assertRegex(mended, r"now: case matmul/\d+ passes")
        self.check(self.plugin, "--output", "failures")
        self.assertEqual(list((self.folder / "failures").iterdir()), [])
        self.assertIn("no such file", run(self.conformance, "--reproduce", files[0], code=2).stderr)
        (self.folder / "torn.txt").write_text("suite = 1\nnonsense\n")
        self.assertIn("line 2 is not of the form", run(self.conformance, "--reproduce", self.folder / "torn.txt",
                                                       code=2).stderr)

    def test_a_crash_and_a_hang_are_told_by_their_case(self):
        loop = ("static volatile int waiting = 1;\n"
                "static int sum_of_all(volatile int n) { volatile char on_stack[4096]; on_stack[n % 4096] = 1;\n"
                "  return waiting ? sum_of_all(n + 1) + on_stack[n % 4096] : 0; }\n")
        for name, code, arguments, change, said in (
                ("crashes", None, (), "*(volatile float*)NULL = 1;", r"crashed \(SIGSEGV\)"),
                ("overflows", None, (), "sum_of_all(1);", r"crashed \(SIGSEGV\)"),
                ("hangs", 1, ("--limit", "1"), "while (waiting) {}", r"did not come back within 1 s")):
            with self.subTest(name):
                plugin = self.build(name, {"matmul.c": [("float sum = bias", change + "\n        float sum = bias"),
                                                        ("static int is_present", loop + "static int is_present")]})
                output = pathlib.Path(name + "-failures", "of", "today")
                result = self.check(plugin, "--output", str(output), *arguments, code=code)
                self.assertNotEqual(result.returncode, 0)
                self.assertRegex(result.stderr, rf"the plugin {said} in case 'matmul/1'")
                self.assertIn("case = matmul/1\n", (self.folder / output / "matmul-1.txt").read_text())

    def test_versions_that_do_not_meet_are_told_apart(self):
        for name, version, said in (("old", "0", "too old: it speaks version 0."), ("new", "2", "update EDDL")):
            with self.subTest(name):
                plugin = self.build(name, {"backend.c": [(".abi_major = EDDL_ABI_MAJOR", f".abi_major = {version}")]})
                self.assertIn(said, self.check(plugin, code=1).stderr)
                self.assertIn(said, self.train(plugin, code=4).stderr)

    def test_a_function_that_is_missing_fails_when_it_is_linked(self):
        with self.assertRaisesRegex(AssertionError, "undefined reference to .*not_written_yet"):
            self.build("unlinked", {"matmul.c": [("float sum = bias", "extern float not_written_yet(void);\n"
                                                  "        float sum = not_written_yet(); sum = bias")]})

    def test_an_entry_of_another_name_is_told(self):
        plugin = self.build("entry", {"backend.c": [("eddl_backend_get_v1", "eddl_backend_get")]})
        self.assertIn("it does not export eddl_backend_get_v1", self.check(plugin, code=1).stderr)

    def test_a_slot_that_is_missing_is_told(self):
        plugin = self.build("slot", {"backend.c": [("    .fill = fill_bytes,\n", "    .fill = 0,\n"),
                                                   ("static eddl_code fill_bytes", "eddl_code fill_bytes")]})
        self.assertIn("required function 'fill' is NULL", self.check(plugin, code=1).stderr)

    def test_a_device_that_does_not_open_says_why_and_training_goes_on(self):
        fails = 'return fail(error, EDDL_UNAVAILABLE, "the firmware is older than 1.2; update it")'
        plugin = self.build("open", {"backend.c": [
            ("  eddl_device_options full = {0};", f"  if (index == 0) {fails};\n  eddl_device_options full = {{0}};"),
            ("full.score = 0", "full.score = 4000000")]})
        self.assertIn("the firmware is older than 1.2", self.check(plugin, code=1).stdout)
        self.assertIn("the firmware is older than 1.2", self.train(plugin, code=4).stderr)
        # As one of the installed backends, the best by its score.
        installed = shutil.copy(plugin, self.prefix / "lib/eddl/backends")
        self.addCleanup(os.remove, installed)
        result = self.train("auto")
        self.assertIn("opening device example:0: example: the firmware is older than 1.2", result.stderr + result.stdout)
        self.assertIn("cpu:0", result.stdout)

    def test_an_exception_is_told_by_the_function_it_came_from(self):
        self.build("entry_only", {"backend.c": [("EDDL_EXPORT const eddl_backend* eddl_backend_get_v1",
                                                 "const eddl_backend* example_table")]})
        for name, slot, said in (
                ("open", 'device_open = [](uint32_t, const eddl_device_options*, eddl_device**, eddl_error*) -> eddl_code '
                 '{ throw std::runtime_error("no firmware"); };', "no firmware"),
                ("prepare", 'op_prepare = [](eddl_device*, const eddl_op_desc*, eddl_op**, eddl_op_info*, eddl_error*) '
                 '-> eddl_code { throw 1; };', "something that is no std::exception")):
            with self.subTest(name):
                source = self.folder / f"throws_{name}.cc"
                source.write_text(THROWS % slot)
                plugin = self.folder / f"libeddl_backend_throws_{name}.so"
                objects = sorted((self.folder / "entry_only/build").rglob("*.o"))
                run(CXX, "-std=c++20", "-shared", "-fPIC", f"-I{self.prefix}/include", source, *objects, "-o", plugin)
                result = self.check(plugin, code=1)
                self.assertRegex(result.stderr, r"the plugin threw in case '[^']+': " + said)
                self.assertIn("no exception may leave a function of the table", result.stderr)
        result = self.train(self.folder / "libeddl_backend_throws_open.so", code=4)
        self.assertIn("device_open threw: no firmware; no exception may leave a plugin", result.stderr)

    def test_the_package_refuses_another_major_version(self):
        with self.assertRaisesRegex(AssertionError, r"compatible with\s+requested version \"2.0\""):
            self.build("version", {"CMakeLists.txt": [("find_package(eddl-backend-sdk 1.0", "find_package(eddl-backend-sdk 2.0")]})

    def test_a_name_that_the_node_would_not_find_is_refused(self):
        with self.assertRaisesRegex(AssertionError, "'My-Backend' is not of the form"):
            self.build("name", {"CMakeLists.txt": [("eddl_add_backend(example", "eddl_add_backend(My-Backend")]})


if __name__ == "__main__":
    for compiler in (CC, CXX):
        if shutil.which(compiler) is None:
            print(f"SKIP: no compiler {compiler}, so that a plugin can't be built")
            sys.exit(77)
    unittest.main(argv=sys.argv[:1])
