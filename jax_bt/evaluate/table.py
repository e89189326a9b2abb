"""Several kinds of features under every protocol, and the table that shows them."""

from collections.abc import Mapping, Sequence

from numpy.typing import ArrayLike

from jax_bt.evaluate.knn import knn
from jax_bt.evaluate.linear import few_labels, linear_probe

PROTOCOLS = {
    "knn": "kNN",
    "linear": "linear probe",
    "linear_1": "1 label a class",
    "linear_5": "5 labels a class",
    "linear_10": "10 labels a class",
}
KINDS = {
    "raw_pixels": "raw pixels",
    "untrained": "untrained encoder",
    "trained": "trained encoder",
}


def compare(
    features: Mapping[str, tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]],
    *,
    protocols: Sequence[str] = tuple(PROTOCOLS),
    draws: int = 5,
    seed: int = 0,
    k: int = 200,
    temperature: float = 0.1,
) -> list[dict[str, str | float]]:
    """Evaluates every kind of features under every protocol, the same way.

    Args:
      features: kind, such as "raw_pixels", "untrained" or "trained" -> (train_x (N, F), train_y
        (N,), test_x (M, F), test_y (M,)).
      protocols: "knn", "linear", or "linear_<labels a class>".
      draws: draws of the few labels.
      seed: of the draws, the same for every kind.
      k: neighbours of the kNN.
      temperature: of the kNN.

    Returns:
      One record a kind and protocol: {"features", "protocol", "top1": percent, "std": percent};
      "std" is 0 where nothing is drawn.

    Raises:
      ValueError: an unknown protocol, or what the evaluations raise, naming the features.
    """
    results = []
    for kind, arrays in features.items():
        for protocol in protocols:
            try:
                if protocol == "knn":
                    scores = knn(*arrays, k=k, temperature=temperature)
                elif protocol == "linear":
                    scores = linear_probe(*arrays)
                else:
                    scores = few_labels(*arrays, _labels(protocol), draws, seed)
            except ValueError as error:
                raise ValueError(f"{kind}, {protocol}: {error}") from error
            results.append(
                {
                    "features": kind,
                    "protocol": protocol,
                    "top1": scores["top1"],
                    "std": scores.get("std", 0.0),
                }
            )
    return results


def table(results: Sequence[Mapping[str, str | float]]) -> str:
    """Lays results out as text: a row a kind of features, a column a protocol, top-1 percent.

    Args:
      results: records of ``compare``; the order of kinds and protocols is kept.

    Returns:
      Lines joined by newlines, without one at the end.

    Raises:
      ValueError: no results.
    """
    if not results:
        raise ValueError("no results to show")
    kinds = list(dict.fromkeys(result["features"] for result in results))
    protocols = list(dict.fromkeys(result["protocol"] for result in results))
    shown = {(r["features"], r["protocol"]): percent(r) for r in results}
    rows = [["top-1 %", *(title(protocol) for protocol in protocols)]]
    rows += [[title(kind), *(shown.get((kind, p), "") for p in protocols)] for kind in kinds]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip())
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def title(name: str) -> str:
    """What people read for a kind of features or a protocol."""
    if name.startswith("linear_") and name not in PROTOCOLS:
        return f"{name.removeprefix('linear_')} labels a class"
    return KINDS.get(name) or PROTOCOLS.get(name) or name


def percent(result: Mapping[str, str | float]) -> str:
    """One cell: "93.1 ± 0.8", or "97.5" where nothing was drawn."""
    spread = f" ± {result['std']:.1f}" if result["std"] else ""
    return f"{result['top1']:.1f}{spread}"


def _labels(protocol: str) -> int:
    count = protocol.removeprefix("linear_")
    if not protocol.startswith("linear_") or not count.isdigit():
        raise ValueError(
            f"unknown protocol {protocol!r}; choose from knn, linear, linear_<labels a class>"
        )
    return int(count)
