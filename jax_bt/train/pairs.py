"""Evaluates the two branches of a run by each other: images find captions, and captions images."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jax_bt import evaluate
from jax_bt.data import Source
from jax_bt.errors import UsageError
from jax_bt.evaluate import Protocol
from jax_bt.methods import Variables
from jax_bt.train import evaluation
from jax_bt.train.run import Run

WORDS = {"representation": "encoder", "embedding": "projector"}


def check(run: Run, source: Source) -> None:
    """Checks before the first step that the branches can be evaluated after the last.

    Raises:
      UsageError: the second view has no items of its own.
      DataError: the test split does not exist or lacks the column of the second view.
    """
    if not run.evaluation.pairs:
        return
    second = run.data.recipes[1]
    if not hasattr(second, "items"):
        raise UsageError(
            f"evaluate.protocols: {run.evaluation.pairs[0]} needs captions as the second view: "
            'use data.built with {"modality": "tokens"}'
        )
    source.column(run.data.test, second.array)


def scores(run: Run, source: Source, stages: Mapping[str, Variables]) -> list[dict[str, Any]]:
    """Recall between images and captions of the test split, on this process.

    The embeddings are compared, and the encoders' outputs too where both are of one width: with
    projectors of their own these need not have anything in common.

    Args:
      run: the run.
      source: its data set.
      stages: variables by name, "trained" and others; with ``evaluate.baselines`` all of them are
        evaluated, else "trained" alone.

    Returns:
      {"features": stage or "chance", "layer", "protocol", "title" for people, and the scores of
      ``evaluate.retrieval``} each; nothing without a protocol of pairs.
    """
    records = []
    for name in run.evaluation.pairs:
        protocol = evaluate.find(name)
        for stage, variables in sorted(stages.items(), reverse=True):  # untrained first
            if stage == "trained" or run.evaluation.baselines:
                records += _of_stage(run, source, protocol, stage, variables)
        records.append({**records[-1]["chance"], "features": "chance", "layer": "",
                        "protocol": name, "title": "chance"})  # fmt: skip
    return [{k: v for k, v in record.items() if k != "chance"} for record in records]


def _of_stage(
    run: Run, source: Source, protocol: Protocol, stage: str, variables: Variables
) -> list[dict[str, Any]]:
    column = source.column(run.data.test, run.data.recipes[1].array)
    images, _, index = evaluate.extract(
        _both(run, variables, 0), evaluation.images(run, source, run.data.test)
    )
    captions, example = run.data.recipes[1].items(column)
    found, *_ = evaluate.extract(
        _both(run, variables, 1), _batches(captions, run.evaluation.batch_size)
    )
    # Damaged images are not there: their captions have no owner and are left out.
    place = np.full(len(column), -1)
    place[index] = np.arange(len(index))
    there = place[example] >= 0
    found, owner = found[there], place[example[there]]
    texts = np.unique(captions[there], axis=0, return_inverse=True)[1].ravel()
    widths = [run.networks.modules[f"encoder{b}"].width_out for b in ("", "_b")]
    records = []
    for layer, words in WORDS.items():
        if layer == "representation" and widths[0] != widths[1]:
            continue
        first, second = (
            x[:, :width] if layer == "representation" else x[:, width:]
            for x, width in ((images, widths[0]), (found, widths[1]))
        )
        title = f"{stage}, {words} outputs"
        result = protocol.module.run(first, second, owner, texts, protocol.preset)
        chance = protocol.module.chance(owner, texts, protocol.preset)
        records.append({"features": stage, "layer": layer, "protocol": protocol.name,
                        "title": title, **result, "chance": chance})  # fmt: skip
    return records


def _both(run: Run, variables: Variables, branch: int) -> Any:
    """(batch) -> representation and embedding side by side, compiled."""

    @jax.jit
    def apply(x: jax.Array) -> jax.Array:
        r = run.networks.represent(variables, x, branch)
        return jax.numpy.concatenate([r, run.networks.embed(variables, x, branch)], axis=1)

    return apply


def _batches(items: np.ndarray, size: int) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, len(items), size):
        yield {"image": items[start : start + size]}
