"""Evaluates an encoder under named protocols on a data set, and records what came out."""

import dataclasses
import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flax.serialization
import jax
import numpy as np
from etils import epath
from jax.sharding import Mesh

from jax_bt import augment, data, evaluate
from jax_bt.data import Source
from jax_bt.data.sources import splits
from jax_bt.data.sources.base import Selection
from jax_bt.devices import processes
from jax_bt.devices.mesh import make_mesh
from jax_bt.errors import UsageError
from jax_bt.report import table
from jax_bt.train import evaluation
from jax_bt.train.encoder import Encoder
from jax_bt.train.workdir import write_json

RESULTS, STATE = "results.json", "state.msgpack"


@dataclasses.dataclass(frozen=True)
class Task:
    """An encoder and the data to evaluate it on.

    Attributes:
      encoder: from ``jax_bt.load``.
      source: a labelled data set.
      train: split whose labels are learned from.
      test: split to test on.
      subset: a list of names, to which the examples of ``train`` are restricted; None for all.
      batch: images per step where a protocol does not say.
      epochs: in place of the preset's; None for those.
    """

    encoder: Encoder
    source: Source
    train: str = "train"
    test: str = "test"
    subset: str | None = None
    batch: int = 256
    epochs: int | None = None


def check(task: Task, names: Sequence[str]) -> list[evaluate.Protocol]:
    """The protocols by name, refused before any long work where they cannot run.

    Raises:
      UsageError: no such protocol, or one that the data set or the encoder does not suit.
      DataError: no such split, or no labels.
    """
    source, found = task.source, [evaluate.find(name) for name in names]
    for split in (task.train, task.test):
        source.size(split)
    where = f"{source.name} {task.train}"
    for protocol in found:
        if protocol.module.NEEDS == "pairs":
            raise UsageError(
                f"--protocols: {protocol.name} compares both branches of a run: put it into "
                "--config.evaluate.protocols of the run"
            )
        if protocol.labels == "none":
            continue
        for split in (task.train, task.test):
            if not source.has_labels(split):
                raise UsageError(
                    f"--protocols: {protocol.name} needs labels, and {source.name} {split} has none"
                )
        if protocol.labels == "several" and not source.several:
            raise UsageError(
                f"--protocols: {protocol.name} needs several labels per example (present or absent "
                f"by class), and {source.name} has one: give a data set such as PASCAL VOC 2007"
            )
        if protocol.labels == "class" and source.several:
            raise UsageError(
                f"--protocols: {protocol.name} needs one label per example, and {source.name} has "
                "several: use voc07_svm"
            )
        if source.several and not all(evaluation.counts(source, task.test)):
            raise UsageError(
                f"--protocols: {protocol.name} needs an example of each class in "
                f"{source.name} {task.test}, whose precision means nothing otherwise"
            )
    size = source.size(task.train)
    counts = None
    if size <= evaluate.MOST_EXAMPLES and source.has_labels(task.train):
        counts = evaluation.counts(source, task.train)
    for protocol in found:
        protocol.check(
            examples=size, counts=counts, where=where, folds=len(splits.names(task.train))
        )
    return found


def run(task: Task, names: Sequence[str], folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Runs protocols one after the other; those whose results are there are not repeated.

    Every process of several calls this; the first one writes. ``<folder>/<protocol>-<data>`` gets
    results.json. A protocol that trains goes on behind its last complete epoch.

    Args:
      task: what to evaluate on what.
      names: protocols, such as "knn" or "linear_sgd_vicreg".
      folder: where the results go.

    Returns:
      The records: protocol, its settings, data, numbers of examples, results, seconds, published.

    Raises:
      UsageError, DataError: as ``check``; results of another encoder in the folder.
    """
    records = []
    for protocol in check(task, names):
        place = epath.Path(folder) / f"{protocol.name}-{epath.Path(task.source.name).name}"
        settings = _settings(task, protocol)
        done = place / RESULTS
        if done.exists():
            record = json.loads(done.read_text())
            if record["settings"] != settings:
                raise UsageError(
                    f"{done} is of another encoder or setting: move it away, or choose another "
                    "--output"
                )
            records.append(record)
            continue
        start = time.perf_counter()
        if processes.is_first():
            place.mkdir(parents=True, exist_ok=True)
            print(f"{protocol.name} on {task.source.name} ...", flush=True)
        results = _run(task, protocol, place)
        record = {
            "protocol": protocol.name,
            "title": protocol.preset.title,
            "settings": settings,
            "results": results,
            "published": {who: dict(cells) for who, cells in protocol.preset.published.items()},
            "source": protocol.preset.source,
            "seconds": round(time.perf_counter() - start, 1),
        }
        if processes.is_first():
            write_json(done, record)
            (place / STATE).unlink(missing_ok=True)
        records.append(json.loads(json.dumps(record)))
    return records


def text(records: Sequence[dict[str, Any]]) -> str:
    """The results as a table, with published numbers in a column of their own."""
    rows = [["protocol", "ours", "published (ResNet-50, ImageNet)"]]
    for record in records:
        ours = ", ".join(
            f"{name} {value:.1f}"
            for name, value in record["results"].items()
            if isinstance(value, int | float)
        )
        cells = [
            f"{who}: {', '.join(f'{k} {v}' for k, v in values.items())}"
            for who, values in record["published"].items()
        ]
        rows.append([record["protocol"], ours, "; ".join(cells[:3])])
    return table.text(rows)


def _settings(task: Task, protocol: evaluate.Protocol) -> dict[str, Any]:
    """Everything that the results depend on, as JSON types."""
    numbers = dataclasses.asdict(protocol.preset)
    for name in ("title", "source", "published"):
        numbers.pop(name)
    settings = {
        "preset": numbers,
        "data": task.source.name,
        "train": task.train,
        "test": task.test,
        "subset": task.subset,
        "epochs": task.epochs,
        "examples": [task.source.size(task.train), task.source.size(task.test)],
        "encoder": dataclasses.asdict(task.encoder.card),
        "weights": f"{task.encoder.fingerprint():08x}",
    }
    return json.loads(json.dumps(settings))


def _run(task: Task, protocol: evaluate.Protocol, place: epath.Path) -> dict[str, Any]:
    mesh, needs = make_mesh(), protocol.module.NEEDS
    if needs == "features":
        features = _features(task, mesh, (task.train, task.test), protocol.preset)
        arrays = (array for x, y, _ in features for array in (x, y))
        return protocol.module.run(*arrays, protocol.preset, mesh=mesh)
    if needs == "folds":
        ((x, y, index),) = _features(task, mesh, (task.train,), protocol.preset)
        fold = task.source.folds(task.train)[index]
        return protocol.module.run(x, y, fold, protocol.preset, mesh=mesh)
    preset = protocol.preset
    if task.epochs is not None:
        preset = dataclasses.replace(preset, epochs=task.epochs)
    source = task.source if task.subset is None else _subset(task)
    options = {
        "classes": task.source.num_classes,
        "mesh": mesh,
        "resume": functools.partial(_resumed, place / STATE),
        "on_epoch": functools.partial(_save, place / STATE, preset.epochs),
    }
    train, encoder = _training(task, source, preset), task.encoder
    if needs == "encoder":
        return protocol.module.run(
            encoder.train_apply,
            encoder.variables,
            train,
            lambda: _testing(task),
            preset,
            **options,
        )
    encode = encoder.encode_maps if needs == "maps" else encoder.encode
    return protocol.module.run(
        encode, encoder.variables, train, list(_testing(task)), preset, **options
    )


def _features(
    task: Task, mesh: Mesh, wanted: Sequence[str], preset: Any
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Features, labels and indices of the examples of splits that have a label."""
    found, apply = [], task.encoder.apply(mesh=mesh)
    for split in wanted:
        images = _images(task, split, squash=getattr(preset, "squash", False))
        x, y, index = evaluate.extract(apply, images, mesh)
        y = np.full(len(x), -1) if y is None else y
        known = (y >= 0).reshape(len(y), -1).any(axis=1)
        found.append((x[known], y[known], index[known]) if known.any() else (x, y, index))
    return found


def _images(task: Task, split: str, *, squash: bool = False) -> Iterator[dict[str, np.ndarray]]:
    card = task.encoder.card
    recipe = card.evaluation
    if squash:
        parts = (augment.CenterCrop(method=card.eval_method, squash=True),)
        recipe = dataclasses.replace(recipe, parts=parts)
    return data.examples(
        task.source,
        split,
        recipe=recipe,
        batch=task.batch,
        **processes.share(),
    )


def _testing(task: Task) -> Iterator[dict[str, np.ndarray]]:
    for batch in _images(task, task.test):
        yield {"image": batch["image"], "label": batch["label"]}


def _training(task: Task, source: Source, preset: Any) -> Callable[[int], Iterator[dict]]:
    """epoch -> batches of crops and flips of the labelled images, new in every epoch."""
    card = task.encoder.card
    crop = augment.Crop(
        scale=getattr(preset, "crop", (0.08, 1.0)),
        method=getattr(preset, "interpolation", "bilinear"),
    )
    parts = (crop, augment.Flip(0.5))
    recipe = augment.Recipe(card.image_size, parts, mean=card.mean, std=card.std)
    split = task.train if source is task.source else "train"
    size = min(preset.batch_size, source.size(split))
    devices = jax.device_count()
    size = max(size // devices * devices, devices)
    steps = source.size(split) // size

    def epoch(number: int) -> Iterator[dict[str, np.ndarray]]:
        batches = data.batches(
            source,
            split,
            global_batch=size,
            seed=0,
            recipes=[recipe],
            start_step=number * steps,
            **processes.share(),
        )
        for _ in range(steps):
            batch = next(batches)
            yield {"image": batch["views"][0], "label": batch["label"]}

    return epoch


def _subset(task: Task) -> Source:
    """The listed examples of the training split as a data set of their own."""
    source, records = task.source, task.source.records(task.train)
    names = [records.describe(index) for index in range(records.size)]
    indices = evaluate.select(evaluate.read_list(task.subset), names)
    return Source(
        f"{source.name}, {len(indices)} listed",
        {"train": len(indices)},
        lambda split: Selection([(records, indices)]),
        num_classes=source.num_classes,
        class_names=source.class_names,
        channels=source.channels,
        several=source.several,
    )


def _save(path: epath.Path, epochs: int, state: Any) -> None:
    """Keeps the state of an epoch, and says how far it is."""
    if not processes.is_first():
        return
    last = {k: v for k, v in state.history[-1].items() if k != "epoch"}
    best = max(values["top1"] for values in last.values())
    print(f"  epoch {state.epoch}/{epochs}  top-1 {best:.2f}", flush=True)
    kept = jax.device_get(state._replace(history=()))
    partial = path.parent / f"{path.name}.partial"
    partial.write_bytes(flax.serialization.to_bytes((kept, json.dumps(state.history))))
    partial.replace(path)


def _resumed(path: epath.Path, fresh: Any) -> Any:
    """The state that an interrupted evaluation left, or the fresh one."""
    if not path.exists():
        return fresh
    kept, history = flax.serialization.from_bytes(
        (jax.device_get(fresh._replace(history=())), ""), path.read_bytes()
    )
    return kept._replace(history=tuple(json.loads(history)))
