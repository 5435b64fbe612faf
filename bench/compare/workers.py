"""Workers: programs that train when told to, and the data that all of them train on.

A worker stays alive and idle between its turns, so that programs can take turns within one run and share whatever the
machine does to them.
"""
import gzip
import json
import os
import pathlib
import subprocess
import sys

import numpy

HERE = pathlib.Path(__file__).resolve().parent
FASHION_MNIST = pathlib.Path("/usr/share/datasets/fashion-mnist")  # Debian: dataset-fashion-mnist
BATCHES = 16  # that a worker goes round
DREBIN_DENSITY = 0.155


class Worker:
    """One running program. Close it, or use it in a with statement."""

    def __init__(self, command, threads, cores):
        """Starts it on these cores and waits until it is ready to train."""
        environment = dict(os.environ)
        # Whichever of these a program's libraries read: none may start more threads than it was given.
        for name in ("OMP", "MKL", "OPENBLAS", "BLIS"):
            environment[name + "_NUM_THREADS"] = str(threads)
        pinned = ["taskset", "-c", ",".join(map(str, cores))]
        self.command = [str(part) for part in command]
        self.process = subprocess.Popen(pinned + self.command, env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.about = self._read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, line):
        """Sends a command and returns the answer."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(self.command)} ended with code {self.process.wait()}; its message is above")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.command[0]}: {answer['error']}")
        return answer


def eddl_command(build, model, data, batch, *more):
    return [build / "bin/compare_eddl", "--model", model, "--data", data, "--batch", batch, *more]


def dlib_command(build, model, data, batch, *more):
    program = build / "bin/compare_dlib"
    if not program.exists():
        raise RuntimeError(f"{program} was not built; is dlib installed (Debian: libdlib-dev)?")
    return [program, "--model", model, "--data", data, "--batch", batch, *more]


def torch_command(python, model, data, batch, *more):
    return [python or sys.executable, HERE / "torch_worker.py", "--model", model, "--data", data, "--batch", batch,
            *more]


def make_data(folder, model, batch, density=0.05):
    """Writes an .npz file of BATCHES batches for a model and returns its path.

    Image models get the first images of Fashion-MNIST; PerNet gets random binary features of this density, with labels
    that are a linear function of them.
    """
    path = pathlib.Path(folder) / f"{model}-{batch}-{density}.npz"
    count = BATCHES * batch
    if model == "pernet":
        random = numpy.random.default_rng(1)
        x = (random.random((count, 427)) < density).astype(numpy.float32)
        y = (x @ random.standard_normal((427, 71))).argmax(1)
        y[:71] = numpy.arange(71)  # every class is there
    else:
        x = _read_idx("train-images-idx3-ubyte.gz", 16, count * 784).reshape(count, 28, 28, 1)
        x = x.astype(numpy.float32) / 255
        y = _read_idx("train-labels-idx1-ubyte.gz", 8, count)
    numpy.savez(path, x_train=x, y_train=y.astype(numpy.int32))
    return path


def _read_idx(name, header_bytes, size_bytes):
    path = FASHION_MNIST / name
    if not path.exists():
        raise RuntimeError(f"{path} is not there (Debian: dataset-fashion-mnist)")
    with gzip.open(path) as file:
        file.read(header_bytes)
        return numpy.frombuffer(file.read(size_bytes), dtype=numpy.uint8)
