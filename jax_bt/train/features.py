"""Writes the features of a split to disk, on all devices and processes of a run."""

import json
import os
import pathlib
from typing import Any

import jax
import numpy as np
import tqdm

from jax_bt import data, evaluate
from jax_bt.data import Source
from jax_bt.devices import processes
from jax_bt.devices.mesh import from_first_process, make_mesh
from jax_bt.errors import UsageError
from jax_bt.train.encoder import Encoder

FEATURES, LABELS, NAMES, META = "features.npy", "labels.npy", "names.txt", "meta.json"


def write(
    encoder: Encoder,
    source: Source,
    split: str,
    output: str | os.PathLike[str],
    *,
    layer: str = "pooled",
    batch: int = 256,
) -> dict[str, Any]:
    """Writes features.npy, labels.npy, names.txt and meta.json for every example of a split.

    Row i belongs to example i. ``features.npy`` (N, F) float32 is memory-mapped while it is
    written, so that the memory holds one batch. Each process of several computes every P-th
    example. Interrupted, the same call goes on behind the last complete batch. An image that
    cannot be decoded leaves a row of NaN and its name in meta.json.

    Args:
      encoder: from ``jax_bt.load``.
      source: a data set.
      split: such as "train" or "test[:10%]".
      output: a folder, made if missing.
      layer: as of ``Encoder.apply``.
      batch: images per step and process.

    Returns:
      What meta.json holds.

    Raises:
      UsageError: the folder cannot be written, or holds the features of something else.
      DataError: too many images cannot be decoded.
    """
    folder, first = pathlib.Path(output).expanduser(), processes.is_first()
    apply, size, width = encoder.apply(layer), source.size(split), encoder.width(layer)
    meta = {
        "data": source.name,
        "split": split,
        "layer": layer,
        "examples": size,
        "width": width,
        "fingerprint": source.fingerprint(split),
        "card": json.loads(encoder.card.to_json()),
    }
    if first:
        labelled = source.has_labels(split)
        label = (source.num_classes or 1,) if source.several else ()
        _prepare(folder, meta, (size, *label) if labelled else None)
    from_first_process(make_mesh(), np.array(0))  # the others wait until the files are there
    features = np.lib.format.open_memmap(folder / FEATURES, mode="r+")
    labels = None
    if (folder / LABELS).exists():
        labels = np.lib.format.open_memmap(folder / LABELS, mode="r+")
    place, count = jax.process_index(), jax.process_count()
    progress = folder / f".done_{place}_of_{count}"
    done = int(progress.read_text()) if progress.exists() else 0
    batches = data.examples(
        source,
        split,
        recipe=encoder.card.evaluation,
        batch=batch,
        process_index=place,
        process_count=count,
        skip=done,
    )
    mine = len(range(place, size, count))
    with tqdm.tqdm(total=mine, initial=done, unit="image", disable=not first) as bar:
        for found, rows in evaluate.in_turn(apply, batches):
            index = found["index"]
            features[index] = rows
            if labels is not None and "label" in found:
                labels[index] = found["label"]
            passed = int(index[-1] - place) // count + 1
            bar.update(passed - done)
            done = passed
            features.flush()
            progress.write_text(str(done))
    from_first_process(make_mesh(), np.array(0))
    if not first:
        return meta
    meta["damaged"] = np.flatnonzero(np.isnan(features[:, 0])).tolist()
    records = source.records(split)
    names = (records.describe(i) for i in range(size))
    (folder / NAMES).write_text("".join(f"{name}\n" for name in names), errors="replace")
    (folder / META).write_text(json.dumps({**meta, "complete": True}, indent=2) + "\n")
    for file in folder.glob(".done_*"):
        file.unlink()
    print(f"{size:,} x {width} features of {source.name} {split}: {folder / FEATURES}")
    return meta


def _prepare(folder: pathlib.Path, meta: dict[str, Any], label: tuple[int, ...] | None) -> None:
    """Makes the files, or checks that those of an interrupted call are of the same features."""
    path = folder / META
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            recorded = json.loads(path.read_text())
            differing = [k for k in meta if recorded.get(k) != json.loads(json.dumps(meta[k]))]
            if differing:
                raise UsageError(
                    f"--output={folder} holds other features ({', '.join(differing)} differ): "
                    "choose another folder"
                )
            if (folder / FEATURES).exists():
                return
        shape = (meta["examples"], meta["width"])
        features = np.lib.format.open_memmap(folder / FEATURES, "w+", np.float32, shape)
        features[:] = np.nan
        if label is not None:
            labels = np.lib.format.open_memmap(folder / LABELS, "w+", np.int64, label)
            labels[:] = -1
        path.write_text(json.dumps(meta, indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"--output={folder} cannot be written: {error.strerror}") from error
