"""Writes tables for people: the same cells as text, as Markdown or as HTML."""

import html
from collections.abc import Collection, Sequence

Rows = Sequence[Sequence[str]]  # the headings, then the lines; all of one length


def text(rows: Rows) -> str:
    """Columns aligned with spaces, the first to the left, a rule below the headings."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for first, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def markdown(rows: Rows) -> str:
    """A Markdown table."""
    ruled = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in ruled)


def html_table(
    rows: Rows,
    *,
    caption: str,
    best: Collection[tuple[int, int]] = (),
    colors: Sequence[str] = (),
) -> str:
    """An HTML table.

    Args:
      rows: headings and lines.
      caption: below the table.
      best: (line, column) of cells in bold, the first line and the first column being 0.
      colors: CSS colour of the first cell of each line.
    """
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in rows[0])
    body = []
    for line, (first, *rest) in enumerate(rows[1:]):
        style = f' style="color:{colors[line]}"' if colors else ""
        row = f"<th{style}>{html.escape(first)}</th>"
        for column, cell in enumerate(rest, start=1):
            mark = ' class="best"' if (line, column) in best else ""
            row += f"<td{mark}>{html.escape(cell)}</td>"
        body.append(f"<tr>{row}</tr>")
    return (
        f"<table><caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>"
    )
