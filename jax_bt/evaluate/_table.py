"""Evaluates several kinds of features under several protocols, and lays out their table."""

from collections.abc import Mapping, Sequence
from typing import Any

from jax.sharding import Mesh
from numpy.typing import ArrayLike

from jax_bt.errors import UsageError
from jax_bt.evaluate._protocols import check_protocol, find

KINDS = {
    "raw_pixels": "raw pixels",
    "untrained": "untrained encoder",
    "trained": "trained encoder",
}


def compare(
    features: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]],
    *,
    protocols: Sequence[str] = ("knn", "linear", "linear_1", "linear_5", "linear_10"),
    folds: ArrayLike | None = None,
    mesh: Mesh | None = None,
) -> list[dict[str, Any]]:
    """Evaluates every kind of features under every protocol, the same way.

    A protocol that refuses the features costs its cell: the record then says why.

    Args:
      features: kind, such as "raw_pixels", "untrained" or "trained" -> (train_x (N, F), train_y
        (N,), test_x (M, F), test_y (M,)).
      protocols: names of protocols on features.
      folds: (N,) integers, the fold of each training example; for protocols that need it, which
        look at the training examples alone.
      mesh: the devices to use; None for those of this process.

    Returns:
      One record per kind and protocol: {"features", "protocol", "top1": percent or None, "std":
      percent}, and "error" where top1 is None; "std" is 0 where nothing is drawn.

    Raises:
      UsageError: an unknown protocol, or one that needs more than features, or folds where none
        are given.
    """
    for protocol in protocols:
        check_protocol(protocol)
        if folds is None and find(protocol).module.NEEDS == "folds":
            raise UsageError(f"{protocol} needs folds: give the fold of each training example")
    results = []
    for kind, arrays in features.items():
        for name in protocols:
            record: dict[str, Any] = {"features": kind, "protocol": name}
            protocol = find(name)
            try:
                given = arrays if protocol.module.NEEDS == "features" else (*arrays[:2], folds)
                scores = protocol.module.run(*given, protocol.preset, mesh=mesh)
                record |= {"top1": scores["top1"], "std": scores.get("std", 0.0)}
            except ValueError as error:
                record |= {"top1": None, "std": 0.0, "error": f"{kind}, {name}: {error}"}
            results.append(record)
    return results


def cells(results: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Results as the cells of a table, top-1 in percent.

    Args:
      results: records of ``compare``; the order of kinds and protocols is kept.

    Returns:
      One row per kind of features, one column per protocol, headings first.
    """
    kinds = list(dict.fromkeys(result["features"] for result in results))
    protocols = list(dict.fromkeys(result["protocol"] for result in results))
    shown = {(r["features"], r["protocol"]): percent(r) for r in results}
    rows = [["top-1 %", *(title(protocol) for protocol in protocols)]]
    return rows + [[title(kind), *(shown.get((kind, p), "") for p in protocols)] for kind in kinds]


def title(name: str) -> str:
    """What people read for a kind of features or a protocol."""
    if name in KINDS:
        return KINDS[name]
    try:
        return find(name).preset.title
    except UsageError:  # of a run made when there was another
        return name


def percent(result: Mapping[str, Any]) -> str:
    """One cell: "93.1 ± 0.8", "97.5" where nothing was drawn, "failed" without a number."""
    if result["top1"] is None:
        return "failed"
    spread = f" ± {result['std']:.1f}" if result["std"] else ""
    return f"{result['top1']:.1f}{spread}"
