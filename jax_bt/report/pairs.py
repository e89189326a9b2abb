"""Lays out the recall between the two branches of a run, by what was compared."""

from collections.abc import Mapping, Sequence
from typing import Any

from jax_bt.report import table

DIRECTIONS = {"text": "caption query", "image": "image query"}
COLUMNS = {
    f"{key}_{score}": f"{words} {title}"
    for key, words in DIRECTIONS.items()
    for score, title in (("r1", "R@1"), ("r5", "R@5"), ("r10", "R@10"), ("median", "median rank"))
}


def pair_cells(records: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Recalls in percent and median ranks as the cells of a table.

    Args:
      records: "title" and what ``evaluate.retrieval`` gives, each.
    """
    rows = [["", *COLUMNS.values(), "rsum"]]
    for record in records:
        scores = [f"{record[key]:.1f}" if key in record else "" for key in (*COLUMNS, "rsum")]
        rows.append([record["title"], *scores])
    return rows


def pair_table(records: Sequence[Mapping[str, Any]]) -> str:
    """The table of ``pair_cells`` for the page of a run."""
    made = table.html_table(
        pair_cells(records),
        caption="Retrieval between both branches on the test set, by cosine similarity: percent of "
        "the queries with an answer among the first K, and the median of the best answer's rank.",
    )
    return f'<div class="wide">{made}</div>'
