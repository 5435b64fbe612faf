#!/usr/bin/env python3
"""Trains with PyTorch for the comparisons; speaks as compare_eddl does (eddl_worker.cc): steps N, losses N.

A step is what a PyTorch user writes: forward, mean cross-entropy, backward, SGD with momentum, gradients set to none.
Batches lie in memory as tensors of the chosen memory format before the first step.
"""
import argparse
import json
import sys
import time

import numpy
import torch
import torch_models
from torch.nn import functional


class Training:
    def __init__(self, options):
        dtype = torch.float64 if options.double else torch.float32
        with numpy.load(options.data) as arrays:
            x, y = arrays["x_train"], arrays["y_train"]
        self.model = torch_models.MODELS[options.model](x.shape[1:], int(y.max()) + 1)
        if options.parameters:
            with open(options.parameters + ".json", encoding="utf-8") as file:
                parameters = json.load(file)["parameters"]
            values = numpy.fromfile(options.parameters, dtype=numpy.float32)
            torch_models.load_parameters(self.model, parameters, values)
        layout = torch.channels_last if options.channels_last else torch.contiguous_format
        self.model = self.model.to(dtype=dtype, memory_format=layout)
        self.batches = []
        for begin in range(0, len(x) - options.batch + 1, options.batch):
            batch = torch.from_numpy(x[begin:begin + options.batch]).to(dtype)
            if batch.ndim == 4:
                batch = batch.permute(0, 3, 1, 2).contiguous(memory_format=layout)
            self.batches.append((batch, torch.from_numpy(y[begin:begin + options.batch].astype(numpy.int64))))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=options.learning_rate, momentum=0.9)
        self.next = 0

    def step(self):
        x, y = self.batches[self.next % len(self.batches)]
        self.next += 1
        loss = functional.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def steps(self, count):
        cpu_begin, begin = time.process_time(), time.perf_counter()
        for _ in range(count):
            loss = self.step()
        seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu_begin
        return {"seconds": seconds, "cpu_seconds": cpu_seconds, "loss": loss.item()}

    def losses(self, count):
        return {"losses": [self.step().item() for _ in range(count)]}


def main():
    parser = argparse.ArgumentParser(description="Trains with PyTorch, told by lines on standard input.")
    parser.add_argument("--model", choices=sorted(torch_models.MODELS), required=True)
    parser.add_argument("--data", required=True, help="an .npz file with x_train and y_train")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=0.001)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--double", action="store_true", help="compute in float64")
    parser.add_argument("--parameters", help="a file that compare_eddl exported, its answer beside it as .json")
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    training = Training(options)
    print(json.dumps({"program": "PyTorch", "version": torch.__version__}), flush=True)
    for line in sys.stdin:
        command, count = line.split()
        answer = {"steps": training.steps, "losses": training.losses}[command](int(count))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
