"""Draws docs/losses_cost.png: cost per device of the two forms, by the cost model of the losses.

python benchmarks/plot_losses.py docs/losses_cost.png
"""

import sys

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt  # noqa: E402

from jax_bt.losses import _cost  # noqa: E402

D = 8192
BATCHES = [2**k for k in range(6, 15)]
PANELS = {
    "intermediate": ("largest matrices, GiB", 2**30),
    "wire": ("received from others, GiB", 2**30),
    "flops": ("products, TFLOP", 1e12),
}
LINES = {
    ("cross_correlation", 1): ("D x D, one device", "C0", "-"),
    ("cross_correlation", 32): ("D x D, 32 devices", "C0", "--"),
    ("gram", 1): ("N x N, one device", "C1", "-"),
    ("gram", 32): ("N x N, 32 devices", "C1", "--"),
}


def main(path: str) -> None:
    plt.rc("font", size=8)
    figure, axes = plt.subplots(1, len(PANELS), figsize=(9, 2.8), layout="constrained")
    for axis, (field, (title, unit)) in zip(axes, PANELS.items(), strict=True):
        for (form, devices), (label, color, style) in LINES.items():
            costs = [
                _cost.cost(form, n, D, axis_size=devices, cross=1, own=0, views=2) for n in BATCHES
            ]
            values = [getattr(cost, field) / unit for cost in costs]
            if any(values):
                axis.plot(BATCHES, values, style, color=color, label=label)
        axis.set(xscale="log", yscale="log", xlabel="global batch N", title=title)
        axis.axvline(D, color="0.8", linewidth=0.8)
    axes[0].legend(frameon=False)
    figure.suptitle(f"Barlow Twins, value and gradient, per device, D = {D} (grey: N = D)")
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main(*sys.argv[1:])
