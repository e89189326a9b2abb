"""Prepares what the report draws: view pairs, their correlation, spectra and neighbours."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jax_bt import data, diagnostics, evaluate, stats
from jax_bt.data import Source
from jax_bt.data.sources import splits
from jax_bt.methods import Variables
from jax_bt.report import maps, style
from jax_bt.train import evaluation
from jax_bt.train.evaluation import Features
from jax_bt.train.run import Run

QUERIES, NEIGHBOURS = 6, 8  # test images in the report, and training images beside each
PAIRS = 512  # view pairs from which the cross-correlation is estimated
POINTS, THUMBNAILS = 1000, 20  # test images in the map of features, and those drawn in each panel
DIMENSIONS = 1024  # number of leading dimensions of a wider embedding that enter it


def of_views(run: Run, source: Source, stages: Mapping[str, Variables]) -> dict[str, Any]:
    """View pairs, and their cross-correlation and spectrum at each stage.

    Args:
      run: the run.
      source: its data set.
      stages: variables before and after training.

    Returns:
      Keywords of ``report.write``.
    """
    batches = data.batches(
        source,
        run.data.train,
        global_batch=min(PAIRS, source.size(run.data.train)),
        seed=run.data.seed,
        recipes=run.data.recipes,
    )
    views = next(batches)["views"]
    embed = jax.jit(run.networks.embed, static_argnums=2)
    correlations, spectra = [], []
    for variables in stages.values():
        z_a, z_b = (
            embed(variables, view, branch)[:, :DIMENSIONS] for branch, view in enumerate(views[:2])
        )
        correlations.append(np.asarray(stats.cross_correlation(z_a, z_b)))
        spectra.append(np.asarray(diagnostics.spectrum(z_a)))
    recipe = run.data.recipes[0]
    return {
        "views": [view for view in views if view.ndim == 4],  # those that are pictures
        "mean": recipe.mean,
        "std": recipe.std,
        "correlations": tuple(correlations),
        "spectra": tuple(spectra),
    }


def of_neighbours(run: Run, source: Source, features: Features | None) -> dict[str, Any] | None:
    """A few test images and their nearest training images by cosine; None without features."""
    if features is None:
        return None
    queries = np.linspace(0, len(features.test_x) - 1, QUERIES).astype(int)
    length = np.linalg.norm(features.train_x, axis=1, keepdims=True)
    unit = features.train_x / np.maximum(length, 1e-12)
    nearest = np.argsort(-(features.test_x[queries] @ unit.T), axis=1)[:, :NEIGHBOURS]
    recipe = run.data.recipes[0].evaluation()
    found = data.chosen(source, run.data.probe, features.train_index[nearest.ravel()], recipe)
    return {
        "queries": data.chosen(source, run.data.test, features.test_index[queries], recipe),
        "found": found.reshape(*nearest.shape, *found.shape[1:]),
        "query_labels": features.test_y[queries],
        "found_labels": features.train_y[nearest],
        "class_names": source.class_names,
    }


def of_map(
    run: Run, source: Source, features: Features | None, trained: Variables
) -> dict[str, Any] | None:
    """Features of test images in the plane, by PCA and by t-SNE, with some of the images.

    Of more classes than the picture has colours, as many are shown, evenly spaced over the labels.

    Args:
      run: the run.
      source: its data set.
      features: of the labelled examples, or None.
      trained: the encoder's variables, for examples without labels.

    Returns:
      ``feature_map`` of ``report.write``; None for a run that evaluates nothing, or where fewer
      than four examples differ.
    """
    subtitle, labels, part, split = "test images", None, source, run.data.test
    if not run.evaluation.protocols:
        return None
    if features is None:
        if any(name not in source.splits for name in splits.names(split)):
            subtitle, split = "training images", run.data.train
        x, index, part = evaluation.some(run, source, split, trained, POINTS)
        split = "part"
    else:
        classes = np.unique(features.test_y)
        most = len(style.CLASSES)
        if len(classes) > most:
            subtitle += f" of {most} of the {len(classes):,} classes"
            classes = classes[np.linspace(0, len(classes) - 1, most).astype(int)]
        (of_classes,) = np.isin(features.test_y, classes).nonzero()
        chosen = of_classes[_evenly(len(of_classes), POINTS)]
        x, labels, index = (
            array[chosen] for array in (features.test_x, features.test_y, features.test_index)
        )
    recipe, layouts = run.data.recipes[0].evaluation(), {}
    for name, plane in evaluate.planes(x).items():
        shown = maps.spread(plane.places, THUMBNAILS)
        images = data.chosen(part, split, index[shown], recipe)
        layouts[name] = maps.Layout(plane.note, plane.places, shown, images)
    if not layouts:
        return None
    return {
        "layouts": layouts,
        "labels": labels,
        "class_names": source.class_names,
        "subtitle": f"{len(x):,} {subtitle}, by the cosine of their features",
    }


def _evenly(size: int, most: int) -> np.ndarray:
    return np.linspace(0, size - 1, min(most, size)).astype(int)
