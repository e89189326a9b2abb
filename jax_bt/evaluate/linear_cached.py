"""The numbers of ``linear_sgd`` on features of one view per image: no second pass of the encoder.

This is not the papers' protocol, whose classifier sees new crops in every epoch: it costs seconds
where that costs hours, on any number of examples, and ends some points lower.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import ArrayLike

from jax_bt.evaluate import linear_sgd
from jax_bt.evaluate._checks import labelled_features
from jax_bt.evaluate._placement import mesh_or_own

TITLE = "linear classifier, SGD on stored features"
NEEDS = "features"
PRESETS = {
    name: dataclasses.replace(
        preset,
        title=f"{preset.title}, stored features",
        source=f"numbers of {preset.source}",
        published={},
    )
    for name, preset in linear_sgd.PRESETS.items()
}


def run(
    train_x: ArrayLike,
    train_y: ArrayLike,
    test_x: ArrayLike,
    test_y: ArrayLike,
    preset: linear_sgd.Sgd,
    *,
    mesh: Mesh | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Trains a linear classifier per learning rate on stored features.

    Args:
      train_x: (N, F) features, any floating dtype; every process gives them all.
      train_y: (N,) integer labels.
      test_x: (M, F) features.
      test_y: (M,) integer labels.
      preset: the numbers.
      mesh: the devices to use; None for those of this process.
      seed: of the classifier's weights and of the order, which is new in every epoch.

    Returns:
      As ``linear_sgd.run``.

    Raises:
      ValueError: shapes that do not fit, features not finite.
    """
    train_x, train_y, test_x, test_y = labelled_features(train_x, train_y, test_x, test_y)
    mesh = mesh_or_own(mesh)
    alone = mesh.size == len(mesh.local_devices)
    count, process = (1, 0) if alone else (jax.process_count(), jax.process_index())
    # Several processes need equal parts; one takes the incomplete last batch as it is.
    size = min(preset.batch_size, len(train_x))
    last = len(train_x) if alone else len(train_x) // size * size

    def batches(x, y, rows):
        for start in range(0, len(rows), size):
            mine = np.array_split(rows[start : start + size], count)[process]
            yield {"image": x[mine], "label": y[mine]}

    def train(epoch):
        rows = np.random.default_rng([seed, epoch]).permutation(len(train_x))[:last]
        return batches(train_x, train_y, rows)

    mine = np.array_split(np.arange(len(test_x)), count)[process]
    parts = np.split(mine, range(size, len(mine), size))
    test = ({"image": test_x[rows], "label": test_y[rows]} for rows in parts)
    classes = int(max(train_y.max(), test_y.max())) + 1
    return linear_sgd.run(
        lambda variables, x: x, {}, train, test, preset, classes=classes, mesh=mesh, seed=seed
    )
