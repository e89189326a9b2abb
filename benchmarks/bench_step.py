"""The whole training step on CPUs or a GPU: jax_bt's against the same step in PyTorch.

    python benchmarks/bench_step.py                                  # some minutes
    python benchmarks/bench_step.py --steps digits --repeats 9 --torch /path/to/python
    python benchmarks/bench_step.py --device gpu --steps r50,cifar

Steps of Barlow Twins with two views and SGD with momentum, in float32: "digits" (configs/
barlow_digits.py: a small ResNet, batch 256, 8x8, projector 256 x 3) and "cifar" (ResNet-18 with the
CIFAR stem, batch 128, 32x32, projector 2048 x 3); and in bfloat16, with loss and statistics in
float32, for a GPU: "r50" (ResNet-50, batch 128, 224x224, projector 8192 x 3). PyTorch's is in its
usual and its channels_last memory format and, on a GPU, the latter compiled by torch.compile.

Each contestant is a process of its own, with ``--torch``'s Python where it needs PyTorch, which
sleeps while another runs; their steps alternate, so that a slow minute of the machine falls on all
alike. Prints one JSON line a contestant: seconds (median), parameters, the first loss, and
``faster``: the faster PyTorch's seconds over its own, above 1 is better. Other work on the machine
slows all of them, but not in proportion: take such figures for rough.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import typing

import numpy as np


class Step(typing.NamedTuple):
    """What a step trains; ``blocks`` are those of each stage."""

    batch: int
    size: int
    blocks: tuple[int, ...]
    filters: int
    projector: tuple[int, ...]
    bottleneck: bool = False
    stem: str = "cifar"
    dtype: str = "float32"


STEPS = {
    "digits": Step(256, 8, (1, 1, 1), 32, (256, 256, 256)),
    "cifar": Step(128, 32, (2, 2, 2, 2), 64, (2048, 2048, 2048)),
    "r50": Step(128, 224, (3, 4, 6, 3), 64, (8192, 8192, 8192), True, "imagenet", "bfloat16"),
    "toy": Step(16, 8, (1, 1), 4, (16, 16)),
}
CONTESTANTS = {
    "cpu": ("jax_bt", "torch", "torch_channels_last"),
    "gpu": ("jax_bt", "torch", "torch_channels_last", "torch_compiled"),
}
PLATFORMS = {"cpu": "cpu", "gpu": "cuda"}  # JAX's names; PyTorch's are the same
RATE, MOMENTUM, LAMBDA = 1e-4, 0.9, 0.0051


def images(batch, size):
    """Two views of the same images, (batch, size, size, 3) float32."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(batch, size, size, 3))
    return tuple((common + rng.normal(size=common.shape)).astype(np.float32) for _ in range(2))


def ours(given):
    """A function that takes one step and returns its loss, and the number of parameters."""
    import jax

    from jax_bt import methods, optim
    from jax_bt.devices.mesh import AXIS, make_mesh, to_global
    from jax_bt.models import MLP, ResNet
    from jax_bt.train.step import make_init_state, make_train_step

    options = {"axis_name": AXIS, "dtype": given.dtype}
    encoder = ResNet(
        given.blocks, given.bottleneck, features=given.filters, stem=given.stem, **options
    )
    modules = {"encoder": encoder, "projector": MLP(given.projector, **options)}
    networks = methods.Networks(modules, inputs=(given.size, given.size, 3))
    method = methods.Method(methods.load("barlow_twins"), {"lambd": LAMBDA})
    optimizer = optim.sgd(RATE, momentum=MOMENTUM)
    mesh = make_mesh(jax.devices()[:1])
    state = make_init_state(method, networks, optimizer, mesh, total_steps=1000)(0)
    step = make_train_step(method, networks, optimizer, mesh, total_steps=1000)
    batch = to_global(mesh, {"views": images(given.batch, given.size)})
    count = sum(leaf.size for leaf in jax.tree.leaves(state.params))

    def run():
        nonlocal state
        state, metrics = step(state, batch)
        return float(jax.block_until_ready((state, metrics))[1].terms["loss"])

    return run, count


def torch_step(given, device, channels_last, compiled):
    """The same in PyTorch; convolutions in the channels_last memory format or not."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, width, filters, stride):
            super().__init__()
            # Width, kernel and stride of each convolution.
            plain = ((filters, 3, stride), (filters, 3, 1))
            inner = ((filters, 1, 1), (filters, 3, stride), (4 * filters, 1, 1))
            layers, now = [], width
            for out, kernel, step in inner if given.bottleneck else plain:
                conv = nn.Conv2d(now, out, kernel, step, kernel // 2, bias=False)
                layers += [conv, nn.BatchNorm2d(out), nn.ReLU()]
                now = out
            self.f = nn.Sequential(*layers[:-1])
            nn.init.zeros_(self.f[-1].weight)
            self.shortcut = nn.Identity()
            if stride > 1 or width != now:
                project = nn.Conv2d(width, now, 1, stride, bias=False)
                self.shortcut = nn.Sequential(project, nn.BatchNorm2d(now))

        def forward(self, x):
            return torch.relu(self.f(x) + self.shortcut(x))

    kernel, stride = (3, 1) if given.stem == "cifar" else (7, 2)
    stem = nn.Conv2d(3, given.filters, kernel, stride, kernel // 2, bias=False)
    layers = [stem, nn.BatchNorm2d(given.filters), nn.ReLU()]
    if given.stem == "imagenet":
        layers.append(nn.MaxPool2d(3, 2, 1))
    width = given.filters
    for stage, count in enumerate(given.blocks):
        for i in range(count):
            filters = given.filters * 2**stage
            layers.append(Block(width, filters, 2 if stage and not i else 1))
            width = filters * (4 if given.bottleneck else 1)
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    for features in given.projector[:-1]:
        linear = nn.Linear(width, features, bias=False)
        layers += [linear, nn.BatchNorm1d(features), nn.ReLU()]
        width = features
    net = nn.Sequential(*layers, nn.Linear(width, given.projector[-1], bias=False))
    form = torch.channels_last if channels_last else torch.contiguous_format
    net = net.to(device, memory_format=form)
    views = [torch.tensor(v.transpose(0, 3, 1, 2)) for v in images(given.batch, given.size)]
    views = [v.to(device).contiguous(memory_format=form) for v in views]
    optimizer = torch.optim.SGD(net.parameters(), RATE, momentum=MOMENTUM)
    count = sum(p.numel() for p in net.parameters())
    forward = torch.compile(net) if compiled else net
    narrow = torch.autocast(device, torch.bfloat16, enabled=given.dtype == "bfloat16")

    def run():
        with narrow:
            embeddings = [forward(v) for v in views]
        za, zb = (
            nn.functional.batch_norm(z.float(), None, None, training=True) for z in embeddings
        )
        c = za.T @ zb / given.batch
        diagonal = torch.diagonal(c)
        off = c.pow(2).sum() - diagonal.pow(2).sum()
        loss = (diagonal - 1).pow(2).sum() + LAMBDA * off
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return run, count


def worker(name, step, device, cores):
    """Tells its parameters and first loss, then takes a step per line of input."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])  # before threads are counted
    if name == "jax_bt":
        run, parameters = ours(STEPS[step])
    else:
        compiled = name == "torch_compiled"
        last = compiled or name == "torch_channels_last"
        run, parameters = torch_step(STEPS[step], PLATFORMS[device], last, compiled)
    first = run()
    for _ in range(3):
        run()
    print(json.dumps({"parameters": parameters, "first_loss": first}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(json.dumps(time.perf_counter() - start), flush=True)


def bench(step, device, names, repeats, cores, torch):
    """Yields one record a contestant; one that does not start says so."""
    root = pathlib.Path(__file__).parents[1]
    paths = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    children, told, seconds = {}, {}, {}
    for name in names:
        python = sys.executable if name == "jax_bt" else torch
        command = [python, __file__, "--worker", name, "--steps", step, "--cores", str(cores)]
        command += ["--device", device]
        environment = os.environ | {"JAX_PLATFORMS": PLATFORMS[device], "PYTHONPATH": paths}
        environment["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # all share one GPU's memory
        if name != "jax_bt":
            environment.pop("PYTHONPATH")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        child = subprocess.Popen(command, env=environment, **pipes)
        if line := child.stdout.readline():
            children[name], told[name], seconds[name] = child, json.loads(line), []
        else:
            told[name] = {"absent": f"its process ended with code {child.wait()}"}
    for _ in range(repeats):
        for name, child in children.items():
            child.stdin.write("\n")
            child.stdin.flush()
            seconds[name].append(json.loads(child.stdout.readline()))
    for child in children.values():
        child.communicate()
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    peers = [value for name, value in medians.items() if name != "jax_bt"]
    for name in names:
        record = {"step": step, "device": device, "contestant": name, "cores": cores, **told[name]}
        if name in medians:
            record |= {"seconds": medians[name], "repeats": repeats}
            record |= {"faster": min(peers) / medians[name]} if peers else {}
        yield record


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", default="digits,cifar", help=f"of {', '.join(STEPS)}")
    parser.add_argument("--device", choices=tuple(CONTESTANTS), default="cpu")
    parser.add_argument("--contestants", help="all of the device without it")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="for each contestant")
    parser.add_argument("--torch", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        return worker(given.worker, given.steps, given.device, given.cores)
    names = given.contestants.split(",") if given.contestants else CONTESTANTS[given.device]
    for step in given.steps.split(","):
        for record in bench(step, given.device, names, given.repeats, given.cores, given.torch):
            print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
