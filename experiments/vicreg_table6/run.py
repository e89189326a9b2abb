"""VICReg, table 6: spectrograms beside waveforms on ESC-50; at small scale beside their frames."""

import functools
import pathlib
import sys

import jax
import numpy as np
from ml_collections import ConfigDict

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from suite import Row, Table, main

from jax_bt import data, evaluate
from jax_bt.devices.mesh import make_mesh
from jax_bt.evaluate import finetune
from jax_bt.train import encoder
from jax_bt.train.build import build

# At most 64 clips a step and 60 epochs of 320 clips: as many steps as the pretraining takes. The
# rates are one choice of ours.
RATE, EPOCHS, BATCH = 0.05, 60, 64


def supervised(c: ConfigDict) -> dict[str, float]:
    """The first branch's encoder, trained with the labels from random weights, one run per fold.

    Its views are those of the first branch. The score is that of the last epoch: the best one would
    be chosen by the labels of the test fold.
    """
    source, folds, scores = data.load(c.data.name, c.data.data_dir), c.data.train.split("+"), []
    for test in folds:
        train = "+".join(fold for fold in folds if fold != test)
        size, mesh = source.size(train), make_mesh(jax.devices()[:1])
        run = build(c, mesh, train_size=size, channels=source.channels)
        start, recipe = encoder.of_run(run, run.init_state().variables, 0), run.data.recipes[0]
        preset = finetune.FineTuning(
            title="supervised",
            encoder_rate=RATE,
            head_rate=RATE,
            epochs=min(EPOCHS, c.steps),
            batch_size=min(BATCH, size),
            norm_group=None,
        )
        found = finetune.run(
            start.train_apply,
            start.variables,
            functools.partial(_epoch, source, train, recipe, preset.batch_size, c.seed),
            functools.partial(data.examples, source, test, recipe=recipe.evaluation()),
            preset,
            classes=source.num_classes,
            mesh=mesh,
            seed=c.seed,
        )
        scores.append(found["last_top1"])
    return {"linear_folds": float(np.mean(scores))}


def _epoch(source, split, recipe, batch, seed, epoch):
    """Batches of new views of the labelled clips."""
    steps = source.size(split) // batch
    batches = data.batches(
        source,
        split,
        global_batch=batch,
        seed=seed,
        recipes=[recipe],
        start_step=epoch * steps,
    )
    for _, one in zip(range(steps), batches, strict=False):
        yield {"image": one["views"][0], "label": one["label"]}


def band_statistics(c: ConfigDict) -> dict[str, float]:
    """Mean and deviation over time of each band as features: no network."""
    source, split = data.load(c.data.name, c.data.data_dir), c.data.train
    images = source.records(split).fetch(np.arange(source.size(split)))[0]
    images = images.astype(np.float32) / np.iinfo(images.dtype).max
    x = np.concatenate([images.mean(axis=2), images.std(axis=2)], axis=1).reshape(len(images), -1)
    found = evaluate.linear_folds(x, source.labels(split), source.folds(split))
    return {"linear_folds": found["top1"]}


def row(name, config, published=(), *, scales=("esc10",), **rest):
    return Row(
        name=name,
        config=config,
        published=published,
        digits=None,
        cifar=None,
        imagenet=None,
        **dict.fromkeys(scales, {}),
        **rest,
    )


TABLE = Table(
    name="vicreg_table6",
    title="VICReg, table 6: sounds",
    setting="ESC-50, 2,000 sounds",
    published=("top-1",),
    rows=[
        row("band statistics", "vicreg", computed=band_statistics),
        row("supervised", "vicreg", (72.7,), computed=supervised),
        row("Barlow Twins", "barlow", (75.4,), scales=("esc10", "esc50"), baselines=True),
        row("VICReg", "vicreg", (78.4,), scales=("esc10", "esc50")),
    ],
)


if __name__ == "__main__":
    main(TABLE)
