"""The cuda plugin under test: how it is built, and how it is run on emulated GPUs."""
import json
import os
import pathlib
import shutil
import subprocess

VIOLATION = 86  # what the emulator ends a process with that broke a rule


class Build:
    """What CMake wrote down about the plugin: its objects, and how to make one of them again."""

    def __init__(self, path):
        self.facts = json.loads(pathlib.Path(path).read_text())

    def run(self, plugin, filters, options="", libraries=None):
        """The conformance cases of these filters on the plugin; filters: None for the device test instead; libraries: None
        for the emulator's."""
        environment = dict(os.environ, LD_BIND_NOW="1", EDDL_CUDA_EMULATOR=options,
                           LD_LIBRARY_PATH=self.facts["emulator"] if libraries is None else libraries,
                           EDDL_BACKEND_DIR=str(pathlib.Path(plugin).parent))
        command = [self.facts["device_test"]] if filters is None else [self.facts["conformance"], str(plugin), *filters]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)

    def mutate(self, source, old, new, folder):
        """The plugin with one piece of one source file replaced, built in the folder."""
        root = pathlib.Path(self.facts["root"])
        text = (root / source).read_text()
        if text.count(old) != 1:
            raise ValueError(f"{source} has {text.count(old)} pieces {old!r}, not one: the mutant is out of date")
        copy = pathlib.Path(folder) / source
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text.replace(old, new))
        kernel = source.endswith(".knl")
        compiled = str(pathlib.Path(folder) / "mutant.o")
        # Includes are looked up in the folder first: a kernel file is reached through kernels.cu.
        include = [f"-I{folder}", f"-I{root}"]
        if kernel:
            shutil.copy(root / "backends/cuda/kernels.cu", folder)
            command = [self.facts["nvcc"], "-std=c++20", "-O3", "-Xcompiler", "-fPIC,-fvisibility=hidden", *include,
                       "-gencode", "arch=compute_75,code=compute_75", "--no-compress", "-c", f"{folder}/kernels.cu",
                       "-o", compiled]
        else:
            command = [self.facts["cxx"], "-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden", *include, "-isystem",
                       self.facts["cuda_include"], '-DEDDL_VERSION="mutant"', "-c", str(copy), "-o", compiled]
            command += ["-DEDDL_CUDA_NCCL"] if self.facts["nccl"] == "1" else []
        subprocess.run(command, check=True)
        replaced = "kernels.cu.o" if kernel else pathlib.Path(source).name + ".o"
        objects = [path for path in self.facts["objects"] if pathlib.Path(path).name != replaced] + [compiled]
        plugin = pathlib.Path(folder) / "libeddl_backend_cuda.so"
        subprocess.run([self.facts["cxx"], "-shared", "-o", str(plugin), *objects, self.facts["plan"],
                        self.facts["cudart"], "-ldl"], check=True)
        return plugin
