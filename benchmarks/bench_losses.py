"""Barlow Twins and VICReg, value and gradient: time and temporary memory of each form and of peers.

    python benchmarks/bench_losses.py                       # every shape of the table, some minutes
    python benchmarks/bench_losses.py --device gpu --contestants torch,cross_correlation,gram
    python benchmarks/bench_losses.py --shapes 256x8192 --losses vicreg --repeats 9 --cores 1

Peers: the reference repositories' formula in PyTorch, and the ``lightly`` package's classes. Each
contestant is a process of its own which sleeps while another runs, and their runs alternate, so
that a slow minute of the machine falls on all of them alike; ratios are of medians.

Prints one JSON line a contestant: seconds and cpu_seconds (medians), temporary_bytes, and ratios of
the reference formula's to its own (``faster``, ``faster_cpu``, ``leaner``: above 1 is better). On a
machine that does other work too, compare the processor time of one core each (``--cores 1``), which
waiting and spinning threads do not distort.

Temporary memory is what a run needs beside its inputs and gradients: by XLA's own account for the
forms, and for PyTorch the peak of the process's resident memory (Linux only), or on a GPU that of
its allocator. A contestant that would not fit into the memory available says so and is left out.
Both compute in full float32 on a GPU, without TF32.
"""

import argparse
import functools
import importlib.util
import json
import multiprocessing
import os
import pathlib
import statistics
import time

import numpy as np

SHAPES = "256x2048,256x8192,1024x8192,2048x8192,256x32768"
CONTESTANTS = ("torch", "lightly", "cross_correlation", "gram")
PLATFORMS = {"cpu": "cpu", "gpu": "cuda"}  # JAX's names; PyTorch's are the same
# D x D float32 matrices a contestant holds at once, as measured, with a quarter to spare: what
# decides whether a shape is tried at all.
SQUARES = {"torch": 6.5, "lightly": 9.5, "cross_correlation": 3.0, "gram": 0.0}


def embeddings(n, d):
    """Two correlated views, (n, d) float32."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(n, d))
    return [(common + rng.normal(size=(n, d))).astype(np.float32) for _ in range(2)]


def jax_contestant(loss, form, n, d):
    """A function that runs once, and XLA's count of temporary bytes."""
    import jax

    from jax_bt import losses

    function = functools.partial(getattr(losses, loss), form=form)
    step = jax.jit(jax.value_and_grad(lambda a, b: function(a, b).loss, argnums=(0, 1)))
    views = [jax.device_put(z) for z in embeddings(n, d)]
    step = step.lower(*views).compile()
    return (
        lambda: float(jax.block_until_ready(step(*views))[0]),
        step.memory_analysis().temp_size_in_bytes,
    )


def torch_contestant(function, n, d, device):
    """A function that runs once."""
    import torch

    views = [torch.tensor(z, device=device, requires_grad=True) for z in embeddings(n, d)]

    def run():
        for view in views:
            view.grad = None
        value = function(*views)
        value.backward()
        return value.item()

    return run


def reference(loss):
    """The reference repositories' formula, from the papers' pseudo-code, in PyTorch."""
    import torch

    def off_diagonal(c):
        n = c.shape[0]
        return c.flatten()[:-1].view(n - 1, n + 1)[:, 1:].flatten()

    def barlow_twins(z_a, z_b):
        z_a, z_b = (
            torch.nn.functional.batch_norm(z, None, None, training=True, eps=1e-5)
            for z in (z_a, z_b)
        )
        c = z_a.T @ z_b
        c.div_(len(z_a))
        on = torch.diagonal(c).add_(-1).pow_(2).sum()
        return on + 0.0051 * off_diagonal(c).pow_(2).sum()

    def vicreg(z_a, z_b):
        n, d = z_a.shape
        loss = 25 * torch.nn.functional.mse_loss(z_a, z_b)
        for z in (z_a, z_b):
            z = z - z.mean(dim=0)
            std = torch.sqrt(z.var(dim=0) + 1e-4)
            loss = loss + 25 * torch.mean(torch.relu(1 - std)) / 2
            loss = loss + off_diagonal((z.T @ z) / (n - 1)).pow_(2).sum() / d
        return loss

    return {"barlow_twins": barlow_twins, "vicreg": vicreg}[loss]


def lightly_loss(loss):
    """The class of the ``lightly`` package.

    Its file is loaded by itself: the package's ``loss/__init__.py`` imports torchvision, of which
    there is no build for every build of PyTorch, and these two classes do not need it.
    """
    import lightly

    file, name, options = {
        "barlow_twins": ("barlow_twins_loss", "BarlowTwinsLoss", {"lambda_param": 0.0051}),
        "vicreg": ("vicreg_loss", "VICRegLoss", {}),
    }[loss]
    path = pathlib.Path(lightly.__file__).parent / "loss" / f"{file}.py"
    spec = importlib.util.spec_from_file_location(file, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)(**options)


def resident(field):
    """Resident memory of this process in bytes: now (VmRSS) or at most so far (VmHWM)."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def available():
    """Bytes the machine can give without swapping."""
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def peak_of(run, device):
    """Bytes by which the device's memory in use rises at most while ``run`` runs."""
    if device == "cuda":
        import torch

        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated() - before
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM back to VmRSS
    before = resident("VmRSS")
    run()
    return resident("VmHWM") - before


def worker(connection, loss, name, n, d, device, cores):
    """Tells its temporary bytes, then each time it is told to runs and tells seconds and value."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])  # before threads are counted
    if name in ("torch", "lightly"):
        function = reference(loss) if name == "torch" else lightly_loss(loss)
        torch_contestant(function, 64, 128, device)()  # loads libraries, starts threads
        run = torch_contestant(function, n, d, device)
        temporary = peak_of(run, device) - 2 * 4 * n * d  # the gradients stay
    else:
        run, temporary = jax_contestant(loss, name, n, d)
        run()
    connection.send(temporary)
    while connection.recv():
        start, processor = time.perf_counter(), time.process_time()
        value = run()
        connection.send((time.perf_counter() - start, time.process_time() - processor, value))


def bench(loss, n, d, repeats, names, device, cores):
    """Yields one record a contestant."""
    os.environ["JAX_PLATFORMS"] = device
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # all share one GPU's memory
    context = multiprocessing.get_context("spawn")
    pipes, temporary, samples, absent = {}, {}, {}, {}
    for name in names:
        needed = SQUARES[name] * 4 * d * d + 40 * n * d
        free = available()
        if needed > free:
            absent[name] = f"needs {needed / 2**30:.0f} GiB, {free / 2**30:.0f} are free"
            continue
        pipe, theirs = context.Pipe()
        given = (theirs, loss, name, n, d, device, cores)
        context.Process(target=worker, args=given, daemon=True).start()
        theirs.close()  # so that a worker's death ends the pipe
        try:
            temporary[name], pipes[name], samples[name] = pipe.recv(), pipe, []
        except EOFError:
            absent[name] = "its process died: out of memory?"
    for _ in range(repeats):
        for name, pipe in pipes.items():
            pipe.send(True)
            samples[name].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(False)
    for name in names:
        record = {"loss": loss, "n": n, "d": d, "contestant": name}
        record |= {"device": device, "cores": cores}
        if name in absent:
            yield record | {"absent": absent[name]}
            continue
        record |= figures(samples[name]) | {"temporary_bytes": temporary[name]}
        if "torch" in samples:
            torch = figures(samples["torch"])
            record["faster"] = torch["seconds"] / record["seconds"]
            record["faster_cpu"] = torch["cpu_seconds"] / record["cpu_seconds"]
            record["leaner"] = temporary["torch"] / temporary[name]
        yield record | {"repeats": repeats}


def figures(runs):
    """Medians of (seconds, processor seconds), and the value all runs agree on."""
    seconds, processor, values = zip(*runs, strict=True)
    return {
        "seconds": statistics.median(seconds),
        "cpu_seconds": statistics.median(processor),
        "value": values[0],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", default=SHAPES, help="NxD, separated by commas")
    parser.add_argument("--losses", default="barlow_twins,vicreg")
    parser.add_argument("--device", choices=tuple(PLATFORMS), default="cpu")
    parser.add_argument("--contestants", default=",".join(CONTESTANTS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="for each contestant")
    arguments = parser.parse_args()
    for shape in arguments.shapes.split(","):
        n, d = (int(size) for size in shape.split("x"))
        for loss in arguments.losses.split(","):
            names = arguments.contestants.split(",")
            options = (arguments.repeats, names, PLATFORMS[arguments.device], arguments.cores)
            for record in bench(loss, n, d, *options):
                print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
