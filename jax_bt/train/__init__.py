"""Runs configs: built, trained step by step, saved, evaluated, reported."""

import os
from typing import Any


def train(config: Any, workdir: str | os.PathLike[str], **options: Any) -> dict[str, Any]:
    """Runs a config in a folder: ``jax_bt.train.loop.train``, imported when it is called."""
    from jax_bt.train import loop

    return loop.train(config, workdir, **options)
