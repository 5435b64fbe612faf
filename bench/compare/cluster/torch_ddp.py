#!/usr/bin/env python3
"""One rank of PyTorch DistributedDataParallel over gloo, on an emulated device: what `testbed.py exec` runs on each.

Trains LeNet-5 on Fashion-MNIST as examples/cluster_lenet5.toml says: the same global batch, of which each rank has an equal
share, the same optimizer and schedule. Speed is emulated as eddl-node --pace does it: every step is computed for real; a
bucket of gradients is held back until such a device would have had it, and then summed. The forward pass is taken for a
third of a step, the backward pass for the rest, in proportion to parameters. Rank 0 prints one JSON object.
"""
import argparse
import gzip
import json
import math
import os
import pathlib
import sys
import time

import numpy
import torch
import torch.distributed
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import torch_models  # noqa: E402

IDX_HEADER = {"images": 16, "labels": 8}
FORWARD_PART = 1 / 3
PORT = 29_500


def read_idx(folder, part):
    arrays = []
    for kind, suffix in (("images", "images-idx3-ubyte.gz"), ("labels", "labels-idx1-ubyte.gz")):
        with gzip.open(f"{folder}/{part}-{suffix}") as file:
            arrays.append(numpy.frombuffer(file.read(), numpy.uint8, offset=IDX_HEADER[kind]))
    images = torch.from_numpy(arrays[0].reshape(-1, 1, 28, 28).astype(numpy.float32) / 255)
    return images, torch.from_numpy(arrays[1].astype(numpy.int64))


class Pace:
    """Holds each bucket of gradients until a device with these times would have computed it."""

    def __init__(self, fixed_seconds, seconds_per_sample, parameter_count):
        self.fixed_seconds, self.seconds_per_sample = fixed_seconds, seconds_per_sample
        self.parameter_count = parameter_count

    def begin(self, samples):
        self.began, self.done = time.monotonic(), 0
        self.seconds = self.fixed_seconds + self.seconds_per_sample * samples

    def hook(self, group, bucket):
        self.done += bucket.buffer().numel()
        part = 1 if bucket.is_last() else FORWARD_PART + (1 - FORWARD_PART) * self.done / self.parameter_count
        time.sleep(max(0, self.began + self.seconds * part - time.monotonic()))
        world = torch.distributed.get_world_size()
        future = torch.distributed.all_reduce(bucket.buffer(), group=group, async_op=True).get_future()
        return future.then(lambda summed: summed.value()[0] / world)


def rate_at(step, steps_an_epoch, epochs, options):
    """Linear up over the warm-up, then a cosine down to 0, as the job's schedule."""
    epoch = step / steps_an_epoch
    warm = min(1, epoch / options.warmup_epochs) if options.warmup_epochs else 1
    return options.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * epoch / epochs))


def accuracy(model, images, labels):
    with torch.no_grad():
        correct = sum(int((model(x).argmax(1) == y).sum()) for x, y in
                      zip(images.split(1000), labels.split(1000)))
    return correct / len(labels)


def train(options, rank, world):
    torch.manual_seed(options.seed)
    images, labels = read_idx(options.data, "train")
    test = read_idx(options.data, "t10k") if rank == 0 else None
    model = torch_models.MODELS["lenet5"]((28, 28, 1), 10)
    count = sum(parameter.numel() for parameter in model.parameters())
    pace = Pace(float(os.environ["TESTBED_FIXED_SECONDS"]), float(os.environ["TESTBED_SECONDS_PER_SAMPLE"]), count)
    parallel = DistributedDataParallel(model)
    parallel.register_comm_hook(torch.distributed.group.WORLD, pace.hook)
    optimizer = torch.optim.SGD(parallel.parameters(), lr=0, momentum=0.9, weight_decay=options.weight_decay)
    steps = math.ceil(len(labels) / options.batch)
    seconds, epochs = 0.0, []
    for epoch in range(options.epochs):
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(options.seed + epoch))
        torch.distributed.barrier()
        begin = time.monotonic()
        for step in range(steps):
            batch = order[step * options.batch:(step + 1) * options.batch]
            own = batch[rank::world]
            for group in optimizer.param_groups:
                group["lr"] = rate_at(epoch * steps + step, steps, options.epochs, options)
            pace.begin(len(own))
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(parallel(images[own]), labels[own]).backward()
            optimizer.step()
        torch.distributed.barrier()
        seconds += time.monotonic() - begin
        if rank == 0:
            epochs.append({"epoch": epoch + 1, "seconds": seconds, "test_accuracy": accuracy(model, *test)})
    return {"system": f"torch {torch.__version__} DDP, gloo", "parameters": count, "epochs": epochs,
            "samples_per_second": options.epochs * len(labels) / seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--warmup-epochs", type=float, default=0.5)
    parser.add_argument("--weight-decay", type=float, default=0.0005)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rank, world = int(os.environ["TESTBED_RANK"]), int(os.environ["TESTBED_WORLD"])
    os.environ["GLOO_SOCKET_IFNAME"] = "eth0"
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=world,
                                         init_method=f"tcp://{os.environ['TESTBED_FIRST_ADDRESS']}:{PORT}")
    result = train(options, rank, world)
    torch.distributed.destroy_process_group()
    if rank == 0:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
