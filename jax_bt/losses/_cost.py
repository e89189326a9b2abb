"""Chooses the cheaper form of the redundancy term: D x D or N x N matrices.

Both are exact (docs/losses.md derives them), so that only their cost decides. The model counts, per
device and for value and gradient, multiplications, bytes through memory and bytes over the wire. It
turns bytes into the operations that an accelerator does in the same time.
"""

from typing import Literal, NamedTuple, get_args

Form = Literal["auto", "cross_correlation", "gram"]
FORMS = get_args(Form)

# Float32 operations in the time of one byte: TPU v5e at full float32 precision does 33 TFLOP/s (six
# bfloat16 passes), moves 0.82 TB/s through memory and 0.2 TB/s between chips. An A100 has 13 and
# 32, one core of a CPU about 15: the choice rarely depends on them, since the terms move together.
FLOPS_PER_MEMORY_BYTE = 40
FLOPS_PER_WIRE_BYTE = 160

# Below this many bytes of D x D, the latency of two collectives outweighs the elementwise work that
# reduce-scattering spares.
SCATTER_BYTES = 2**20


class Cost(NamedTuple):
    """Cost per device of the redundancy term, value and gradient.

    Attributes:
      flops: floating-point operations of the matrix products.
      memory: bytes of float32 read and written by them.
      wire: bytes received from other devices.
      intermediate: bytes of the largest matrices alive at once, inputs not counted.
    """

    flops: float
    memory: float
    wire: float
    intermediate: float

    def total(self) -> float:
        """The sum in floating-point operations."""
        return self.flops + FLOPS_PER_MEMORY_BYTE * self.memory + FLOPS_PER_WIRE_BYTE * self.wire


def cost(form: str, n: int, d: int, *, axis_size: int, cross: int, own: int, views: int) -> Cost:
    """Cost of ``cross`` products of two views and ``own`` products of a view with itself.

    D x D: per pair one product forward and two backward (one for a view with itself, by symmetry),
    2 n D^2 each. N x N: per view one product forward and one backward, 2 n N D each, whatever the
    number of pairs.

    Args:
      form: "cross_correlation" or "gram".
      n: N, the GLOBAL batch.
      d: D, the width of the embeddings.
      axis_size: shards of the mapped axis.
      cross: pairs of different views.
      own: pairs of a view and itself.
      views: number of views.

    Returns:
      The ``Cost`` per device.
    """
    rows, others = n / axis_size, (axis_size - 1) / axis_size
    if form == "gram":
        gathered, gram = 4 * views * n * d, 4 * views * rows * n
        return Cost(
            flops=4 * views * rows * n * d,
            # Both operands and the result, forward and backward.
            memory=2 * (gathered + 4 * views * rows * d + gram),
            wire=others * gathered,
            intermediate=gram + (gathered if axis_size > 1 else 0),
        )
    square = 4 * d * d
    share = square / axis_size if scattered(d, axis_size) else square
    return Cost(
        flops=2 * rows * d * d * (3 * cross + 2 * own),
        # Written, squared, masked and read once or twice; the embeddings are read with them.
        memory=(cross + own) * (square + 3 * share) + (3 * cross + 2 * own) * 8 * rows * d,
        # A reduce-scatter forward and a gather backward carry as much as one all-reduce.
        wire=2 * others * square * (cross + own),
        intermediate=square + (share if axis_size > 1 else 0),
    )


def scattered(d: int, axis_size: int) -> bool:
    """Whether the D x D form reduce-scatters its rows over the shards, rather than all-reduces."""
    return axis_size > 1 and d % axis_size == 0 and 4 * d * d >= SCATTER_BYTES


def choose(n: int, d: int, *, axis_size: int, cross: int, own: int, views: int) -> Form:
    """The form of least ``cost``, which explains the arguments."""

    def total(form: Form) -> float:
        return cost(form, n, d, axis_size=axis_size, cross=cross, own=own, views=views).total()

    return min(FORMS[1:], key=total)


def chosen_form(
    n: int,
    d: int,
    *,
    loss: str = "barlow_twins",
    axis_size: int = 1,
    views: int = 2,
) -> Form:
    """The form that ``form="auto"`` takes.

    Args:
      n: N, the GLOBAL batch (local batch times ``axis_size``).
      d: D, the width of the embeddings.
      loss: "barlow_twins" (products of two views) or "vicreg" (of each view with itself).
      axis_size: shards of the mapped axis; 1 for ``axis_name=None``.
      views: number of views.

    Returns:
      "cross_correlation" (D x D) or "gram" (N x N).

    Raises:
      ValueError: an unknown loss, or a size below 1.
    """
    if min(n, d, axis_size) < 1 or views < 2:
        raise ValueError(
            f"n={n}, d={d}, axis_size={axis_size} must be at least 1 and views={views} at least 2"
        )
    if loss == "barlow_twins":
        cross, own = views * (views - 1) // 2, 0
    elif loss == "vicreg":
        cross, own = 0, views
    else:
        raise ValueError(f"loss={loss!r} has no forms: choose barlow_twins or vicreg")
    return choose(n, d, axis_size=axis_size, cross=cross, own=own, views=views)
