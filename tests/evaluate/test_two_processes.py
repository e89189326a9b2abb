"""Two processes with two devices each find what one process with one device finds."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from jax_bt import evaluate
from jax_bt.devices.mesh import make_mesh

ROOT = pathlib.Path(__file__).parent.parent.parent


def protocols(mesh, process=0, count=1):
    """Features, kNN, linear_sgd and fine-tuning of one small example, with this process's share."""
    from jax_bt import models

    random = np.random.default_rng(0)
    y = random.integers(0, 6, 150)
    x = (random.normal(size=(6, 12))[y] + random.normal(size=(150, 12))).astype(np.float32)
    encoder = models.MLP((8, 5))
    variables = encoder.init(jax.random.key(0), x)

    def split(rows, size):
        """Every count-th example, as the loader gives them: one process gets a batch less."""
        mine = rows[process::count]
        for start in range(0, len(mine), size):
            index = mine[start : start + size]
            yield {"image": x[index], "label": y[index], "index": index}

    def batches(rows):
        return ({k: b[k] for k in ("image", "label")} for b in split(rows, 8 // count))

    def train(epoch):
        rows = np.random.default_rng(epoch).permutation(80)
        for start in range(0, 80, 16):
            mine = np.split(rows[start : start + 16], count)[process]
            yield {"image": x[mine], "label": y[mine]}

    apply = jax.jit(lambda images: encoder.apply(variables, images))
    found = [evaluate.extract(apply, split(r, 8 // count), mesh) for r in ROWS]
    arrays = [a for features, label, _ in found for a in (features, label)]
    result = {"index": [index.tolist() for *_, index in found]}
    result["sums"] = [float(features.sum()) for features, *_ in found]
    result["knn"] = evaluate.knn(*arrays, k=10, mesh=mesh)

    sgd = evaluate.find("linear_sgd").module
    preset = sgd.Sgd(title="", learning_rates=(0.1, 1.0), epochs=3)
    result["linear_sgd"] = sgd.run(
        lambda variables, images: encoder.apply(variables, images),
        variables,
        train,
        batches(ROWS[1]),
        preset,
        classes=6,
        mesh=mesh,
    )

    def trained(variables, images, train):
        if not train:
            return encoder.apply(variables, images), variables["batch_stats"]
        out, new = encoder.apply(variables, images, train=True, mutable=["batch_stats"])
        return out, new["batch_stats"]

    finetune = evaluate.find("finetune").module
    result["finetune"] = finetune.run(
        trained,
        variables,
        train,
        lambda: batches(ROWS[1]),
        finetune.FineTuning(title="", epochs=2, norm_group=4, encoder_rate=0.05),
        classes=6,
        mesh=mesh,
    )
    return result


ROWS = (np.arange(83), np.arange(83, 150))


def flat(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def test_two_processes_find_what_one_finds():
    with socket.socket() as s:
        s.bind(("localhost", 0))
        address = f"localhost:{s.getsockname()[1]}"
    children = [
        subprocess.Popen(
            [sys.executable, __file__, address, str(process)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in (0, 1)
    ]
    try:
        said = [child.communicate(timeout=240) for child in children]
    finally:
        for child in children:
            child.kill()
    assert [child.returncode for child in children] == [0, 0], said
    one = flat(protocols(make_mesh(jax.devices()[:1])))
    for out, _ in said:
        two = flat(json.loads(out.splitlines()[-1]))
        assert set(two) == set(one)
        for name, value in one.items():
            # Accuracies and indices to the digit; losses and sums to the order of summation.
            exact = "top" in name or "index" in name or isinstance(value, str)
            assert two[name] == (value if exact else pytest.approx(value, rel=1e-4)), name


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 2)
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
    print(json.dumps(protocols(make_mesh(), int(sys.argv[2]), 2)))
