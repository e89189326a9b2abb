"""Computes features of the second branch, where the branches share no weights."""

import functools
from collections.abc import Iterator, Mapping

import jax
import numpy as np

from jax_bt import augment, data, evaluate
from jax_bt.data import Source
from jax_bt.devices import processes
from jax_bt.devices.mesh import replicated
from jax_bt.methods import Variables
from jax_bt.train.evaluation import Features
from jax_bt.train.run import Run


def features(
    run: Run, source: Source, stages: Mapping[str, Variables], found: Mapping[str, Features]
) -> dict[str, Features]:
    """Features of the same examples as the second branch sees them, and of both side by side.

    An image is seen as its view's recipe evaluates it, a sound or a sequence of frames whole. Every
    process calls this with the same variables, computes its share, and gets all.

    Args:
      run: the run.
      source: its data set.
      stages: variables by name, "trained" and others.
      found: features of the first branch by the same names, and maybe of others.

    Returns:
      "<stage>_b" and "<stage>_both" of each stage that ``found`` has; nothing unless the run asks
      for it (``evaluate.branch_b``).
    """
    made = {}
    for stage, variables in stages.items() if run.evaluation.branch_b else ():
        if stage not in found:
            continue
        placed, first = jax.device_put(variables, replicated(run.mesh)), found[stage]
        apply = functools.partial(run.represent_b, placed)
        arrays = {}
        for part, split in (("train", run.data.probe), ("test", run.data.test)):
            x, _, index = evaluate.extract(apply, _batches(run, source, split), run.mesh)
            # Those of the first branch that have a label, in their order.
            arrays[part] = x[np.searchsorted(index, getattr(first, f"{part}_index"))]
        made[f"{stage}_b"] = first._replace(train_x=arrays["train"], test_x=arrays["test"])
        both = {
            f"{part}_x": np.concatenate([getattr(first, f"{part}_x"), x], axis=1)
            for part, x in arrays.items()
        }
        made[f"{stage}_both"] = first._replace(**both)
    return made


def _batches(run: Run, source: Source, split: str) -> Iterator[dict[str, np.ndarray]]:
    """This process's share of a split, by index."""
    view, size, share = run.data.recipes[1], run.evaluation.batch_size, processes.share()
    if isinstance(view, augment.Recipe):
        yield from data.examples(source, split, recipe=view.evaluation(), batch=size, **share)
        return
    column = source.column(split, view.array)
    mine = np.arange(share["process_index"], len(column), share["process_count"])
    for start in range(0, len(mine), size):
        index = mine[start : start + size]
        yield {"image": view.whole(column[index]), "index": index}
