"""Pretrains by one call from Python, on the same code path as the command line."""

import os
from typing import Any

from jax_bt import config
from jax_bt.train.loop import train


def pretrain(
    data: Any,
    out: str | os.PathLike[str],
    *,
    method: str = "barlow_twins",
    encoder: str = "resnet50",
    epochs: float = 100.0,
    **overrides: Any,
) -> dict[str, Any]:
    """Pretrains an encoder without labels, evaluates it and writes a report.

    The run starts from the method's recipe of its paper (``configs/<method>_r50.py``) at 256
    examples per step in float32. Called again with the same arguments, it goes on where it stopped.

    Args:
      data: a folder of images, a .npz file, a TFDS name, "digits", or images in memory: an array
        (N, H, W, C) of uint8 or floats in [0, 1], or a dict of splits, each an array or a pair
        (images, labels).
      out: folder of the run.
      method: a file of ``jax_bt/methods``.
      encoder: such as "resnet18".
      epochs: passes over the data.
      **overrides: any other field of the config by its dotted name, such as
        ``**{"optimizer.learning_rate": 0.3}``; fields without a dot are ordinary keywords.

    Returns:
      What ``summary.json`` holds: final loss, collapse verdict, results of the protocols.

    Raises:
      UsageError, DataError, WorkdirError, CheckpointError: a mistake, in one line.
      Stopped: after SIGINT or SIGTERM; the state is saved.
      Diverged: the loss is not finite.
    """
    c = config.of_method(method)
    c.batch_size, c.encoder.dtype = 256, "float32"
    c.encoder.name, c.epochs = encoder, float(epochs)
    c.data.train, c.data.test = "train", "test"
    named = isinstance(data, str | os.PathLike)
    c.data.name = os.fspath(data) if named else "images in memory"
    for name, value in overrides.items():
        config.set_field(c, name, value)
    return train(c, out, images=None if named else data)
