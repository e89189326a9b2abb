"""Protocols by name, and every kind of features under each of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from jax_bt.errors import UsageError
from jax_bt.evaluate.knn import knn
from jax_bt.evaluate.linear import MOST_EXAMPLES, few_labels, linear_probe

KINDS = {
    "raw_pixels": "raw pixels",
    "untrained": "untrained encoder",
    "trained": "trained encoder",
}


def check_protocol(name: Any) -> None:
    """Raises UsageError unless there is a protocol of that name."""
    if name not in ("knn", "linear") and labels_per_class(name) is None:
        raise UsageError(
            f"evaluate.protocols: no protocol {name!r}; choose from knn, linear, "
            "linear_<labels per class>"
        )


def labels_per_class(name: Any) -> int | None:
    """n of "linear_<n>", None of other names."""
    count = str(name).removeprefix("linear_")
    few = str(name).startswith("linear_") and count.isdecimal() and int(count) > 0
    return int(count) if few else None


def check_size(name: str, examples: int) -> None:
    """Raises UsageError if a protocol cannot take so many labelled examples."""
    if name.startswith("linear") and examples > MOST_EXAMPLES:
        raise UsageError(
            f"evaluate.protocols: {name!r} solves in the memory of one host, for up to "
            f"{MOST_EXAMPLES:,} examples, not {examples:,}: use 'knn', or a part of the split by "
            "--config.evaluate.train"
        )


def compare(
    features: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]],
    *,
    protocols: Sequence[str] = ("knn", "linear", "linear_1", "linear_5", "linear_10"),
    draws: int = 5,
    seed: int = 0,
    k: int = 200,
    temperature: float = 0.1,
) -> list[dict[str, Any]]:
    """Evaluates every kind of features under every protocol, the same way.

    A protocol that refuses the features costs its cell: the record then says why.

    Args:
      features: kind, such as "raw_pixels", "untrained" or "trained" -> (train_x (N, F), train_y
        (N,), test_x (M, F), test_y (M,)).
      protocols: "knn", "linear", or "linear_<labels per class>".
      draws: draws of the few labels.
      seed: of the draws, the same for every kind.
      k: neighbours of the kNN.
      temperature: of the kNN.

    Returns:
      One record per kind and protocol: {"features", "protocol", "top1": percent or None, "std":
      percent}, and "error" where top1 is None; "std" is 0 where nothing is drawn.

    Raises:
      UsageError: an unknown protocol.
    """
    for protocol in protocols:
        check_protocol(protocol)
    results = []
    for kind, arrays in features.items():
        for protocol in protocols:
            record: dict[str, Any] = {"features": kind, "protocol": protocol}
            try:
                if protocol == "knn":
                    scores = knn(*arrays, k=k, temperature=temperature)
                elif protocol == "linear":
                    scores = linear_probe(*arrays)
                else:
                    scores = few_labels(*arrays, labels_per_class(protocol), draws, seed)
                record |= {"top1": scores["top1"], "std": scores.get("std", 0.0)}
            except ValueError as error:
                record |= {"top1": None, "std": 0.0, "error": f"{kind}, {protocol}: {error}"}
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
    if few := labels_per_class(name):
        return f"{few} label{'s' * (few > 1)} per class"
    return KINDS.get(name) or {"knn": "kNN", "linear": "linear probe"}.get(name, name)


def percent(result: Mapping[str, Any]) -> str:
    """One cell: "93.1 ± 0.8", "97.5" where nothing was drawn, "failed" without a number."""
    if result["top1"] is None:
        return "failed"
    spread = f" ± {result['std']:.1f}" if result["std"] else ""
    return f"{result['top1']:.1f}{spread}"
