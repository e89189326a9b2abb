"""The whole training step on CPUs: jax_bt's against the same step in PyTorch.

    python benchmarks/bench_step.py                                  # some minutes
    python benchmarks/bench_step.py --steps digits --repeats 9 --torch /path/to/python

Two steps of Barlow Twins in float32, two views, SGD with momentum: "digits" (configs/
barlow_digits.py: a small ResNet, batch 256, 8x8, projector 256 x 3) and "cifar" (ResNet-18 with the
CIFAR stem, batch 128, 32x32, projector 2048 x 3).

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

import numpy as np

# batch, size, blocks of each stage, filters, projector
STEPS = {
    "digits": (256, 8, (1, 1, 1), 32, (256, 256, 256)),
    "cifar": (128, 32, (2, 2, 2, 2), 64, (2048, 2048, 2048)),
    "toy": (16, 8, (1, 1), 4, (16, 16)),
}
CONTESTANTS = ("jax_bt", "torch", "torch_channels_last")
RATE, MOMENTUM, LAMBDA = 1e-4, 0.9, 0.0051


def images(batch, size):
    """Two views of the same images, (batch, size, size, 3) float32."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(batch, size, size, 3))
    return tuple((common + rng.normal(size=common.shape)).astype(np.float32) for _ in range(2))


def ours(batch, size, blocks, filters, widths):
    """A function that takes one step and returns its loss, and the number of parameters."""
    import jax

    from jax_bt import methods, optim
    from jax_bt.devices.mesh import AXIS, make_mesh, to_global
    from jax_bt.models import MLP, ResNet
    from jax_bt.train.step import init_state, make_train_step

    encoder = ResNet(blocks, bottleneck=False, features=filters, stem="cifar", axis_name=AXIS)
    modules = {"encoder": encoder, "projector": MLP(widths, axis_name=AXIS)}
    networks = methods.Networks(modules, inputs=(size, size, 3))
    method = methods.Method(methods.load("barlow_twins"), {"lambd": LAMBDA})
    optimizer = optim.sgd(RATE, momentum=MOMENTUM)
    mesh = make_mesh(jax.devices()[:1])
    state = init_state(method, networks, optimizer, mesh, seed=0, total_steps=1000)
    step = make_train_step(method, networks, optimizer, mesh, total_steps=1000)
    given = to_global(mesh, {"views": images(batch, size)})
    count = sum(leaf.size for leaf in jax.tree.leaves(state.params))

    def run():
        nonlocal state
        state, metrics = step(state, given)
        return float(jax.block_until_ready((state, metrics))[1].terms["loss"])

    return run, count


def torch_step(batch, size, blocks, filters, widths, channels_last):
    """The same in PyTorch; convolutions in the channels_last memory format or not."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, given, features, stride):
            super().__init__()
            self.f = nn.Sequential(
                nn.Conv2d(given, features, 3, stride, 1, bias=False),
                nn.BatchNorm2d(features),
                nn.ReLU(),
                nn.Conv2d(features, features, 3, 1, 1, bias=False),
                nn.BatchNorm2d(features),
            )
            nn.init.zeros_(self.f[-1].weight)
            self.shortcut = nn.Identity()
            if stride > 1 or given != features:
                project = nn.Conv2d(given, features, 1, stride, bias=False)
                self.shortcut = nn.Sequential(project, nn.BatchNorm2d(features))

        def forward(self, x):
            return torch.relu(self.f(x) + self.shortcut(x))

    layers = [nn.Conv2d(3, filters, 3, 1, 1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]
    width = filters
    for stage, count in enumerate(blocks):
        for i in range(count):
            features = filters * 2**stage
            layers.append(Block(width, features, 2 if stage and not i else 1))
            width = features
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    for features in widths[:-1]:
        linear = nn.Linear(width, features, bias=False)
        layers += [linear, nn.BatchNorm1d(features), nn.ReLU()]
        width = features
    net = nn.Sequential(*layers, nn.Linear(width, widths[-1], bias=False))
    form = torch.channels_last if channels_last else torch.contiguous_format
    net = net.to(memory_format=form)
    views = [torch.tensor(v.transpose(0, 3, 1, 2)).contiguous() for v in images(batch, size)]
    views = [v.to(memory_format=form) for v in views]
    optimizer = torch.optim.SGD(net.parameters(), RATE, momentum=MOMENTUM)

    def run():
        za, zb = (nn.functional.batch_norm(net(v), None, None, training=True) for v in views)
        c = za.T @ zb / batch
        diagonal = torch.diagonal(c)
        off = c.pow(2).sum() - diagonal.pow(2).sum()
        loss = (diagonal - 1).pow(2).sum() + LAMBDA * off
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return run, sum(p.numel() for p in net.parameters())


def worker(name, step, cores):
    """Tells its parameters and first loss, then takes a step per line of input."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])  # before threads are counted
    shape = STEPS[step]
    if name == "jax_bt":
        run, parameters = ours(*shape)
    else:
        run, parameters = torch_step(*shape, channels_last=name == "torch_channels_last")
    first = run()
    run()
    print(json.dumps({"parameters": parameters, "first_loss": first}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        print(json.dumps(time.perf_counter() - start), flush=True)


def bench(step, names, repeats, cores, torch):
    """Yields one record a contestant; one that does not start says so."""
    root = pathlib.Path(__file__).parents[1]
    paths = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    children, told, seconds = {}, {}, {}
    for name in names:
        python = sys.executable if name == "jax_bt" else torch
        command = [python, __file__, "--worker", name, "--steps", step, "--cores", str(cores)]
        environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": paths}
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
        record = {"step": step, "contestant": name, "cores": cores, **told[name]}
        if name in medians:
            record |= {"seconds": medians[name], "repeats": repeats}
            record |= {"faster": min(peers) / medians[name]} if peers else {}
        yield record


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", default="digits,cifar", help=f"of {', '.join(STEPS)}")
    parser.add_argument("--contestants", default=",".join(CONTESTANTS))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="for each contestant")
    parser.add_argument("--torch", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        return worker(given.worker, given.steps, given.cores)
    names = given.contestants.split(",")
    for step in given.steps.split(","):
        for record in bench(step, names, given.repeats, given.cores, given.torch):
            print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
