"""Draws docs/images/wire.png: what each loss sends, from the formulas of the table in docs/wire.md.

python benchmarks/plot_wire.py docs/wire.md docs/images/wire.png
"""

import pathlib
import re
import sys

from PIL import Image

from jax_bt.report import style

DEVICES, SLICES, BATCHES = 32, 256, (2048, 256)
RESNET_50 = 182  # MB that one device sends of the encoder's gradient
LEAST = 0.05  # MB, the left end


def megabytes(tall: str, wide: str, count: int, width: int) -> float:
    """MB that one device sends per step on a ring, float32; an all-reduce sends twice its size."""
    cell = tall if count >= width else wide
    sizes = {"N": count, "D": width, "M": SLICES}
    numbers = 0
    for kind, formula in re.findall(r"(reduce|gather|scatter) `(.*?)`", cell):
        numbers += eval(formula, sizes) * (2 if kind == "reduce" else 1)
    return 4 * numbers * (DEVICES - 1) / DEVICES / 1e6


def main(page: str, picture: str) -> None:
    text = pathlib.Path(page).read_text()
    rows = [
        (f"{name}, D = {width}", [megabytes(tall, wide, n, int(width)) for n in BATCHES])
        for name, tall, wide, width in re.findall(
            r"^\| `(\w+)` \| (.*?) \| (.*?) ?\| (\d+) \|", text, re.M
        )
    ]
    rows.sort(key=lambda row: (row[1][0], row[0]))
    height = 0.27 * len(rows)
    figure = style.figure_with(
        1.75 + height,
        "What the losses send",
        f"megabytes that one of {DEVICES} devices sends per step, at each paper's width",
    )
    axes = style.axes_at(figure, 2.55, 1.05, style.WIDTH - 2.55 - 0.75, height)
    axes.axvline(RESNET_50, color=style.ORANGE, lw=1.2)
    note = {"color": style.ORANGE, "size": 8.5, "ha": "right"}
    axes.text(0.97 * RESNET_50, 0.1, "ResNet-50's gradient", va="center", **note)
    for y, (_, values) in enumerate(rows):
        large, small = (max(value, LEAST) for value in values)
        axes.plot([small, large], [y, y], color=style.RULE, lw=2, zorder=1)
        axes.plot(small, y, "o", ms=6, mfc="white", mec=style.GREY, mew=1.4)
        axes.plot(large, y, "o", ms=7, color=style.BLUE)
        label = f"{values[0]:.3g}" if values[0] > LEAST else f"{1e6 * values[0]:.0f} bytes"
        place = {"xytext": (8, 0), "textcoords": "offset points", "va": "center"}
        place["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.annotate(label, (large, y), color=style.BLUE, size=8.5, weight="bold", **place)
    axes.set(xscale="log", xlim=(0.8 * LEAST, 600), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_xticks([0.1, 1, 10, 100], ["0.1 MB", "1 MB", "10 MB", "100 MB"])
    axes.minorticks_off()
    axes.grid(False, axis="y")
    style.legend(figure, [("● N = 2048", style.BLUE), ("○ N = 256", style.GREY)])
    style.save(figure, picture)
    with Image.open(picture) as drawn:  # few colours: a quarter of the bytes
        drawn.convert("RGB").quantize(48).save(picture, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
