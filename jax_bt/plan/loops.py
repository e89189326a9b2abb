"""Counts what the loops of a program repeat, which XLA's cost analysis counts once."""

import functools
import math
import re

import numpy as np

from jax_bt.plan import hlo

_LABELS = re.compile(r"dim_labels=([\w?]+)_([\w?]+)->([\w?]+)")
_WINDOW = re.compile(r"(\w+)=(-?\d[\dx_\-]*)")
_CONTRACTED = re.compile(r"lhs_contracting_dims=\{([\d,]*)\}")
_CONTROL = ("while", "conditional", "call")  # what they call accesses the memory, not they
_FREE = (*hlo.ALIASES, *_CONTROL, "parameter", "constant")


def repeated(text: str) -> tuple[float, float]:
    """How many times as much a program multiplies and accesses as XLA's cost analysis says.

    That counts the body of a loop once, however often it runs. Here products (matrix products and
    convolutions) and bytes (operands and results of what is not inside a fusion) are added up both
    ways. Of a condition both take the dearer branch, as XLA does.

    Args:
      text: ``compiled.as_text()``.

    Returns:
      Factors for "flops" and for "bytes accessed", 1 for a program without loops.
    """
    computations, entry = hlo.parse(text)

    @functools.cache
    def cost(name: str, fused: bool) -> np.ndarray:
        """(2, 2): products and bytes of a computation, with loops once and as often as they run."""
        total = np.zeros((2, 2))
        types_of = {i.name: i.types for i in computations.get(name, ())}
        for _, types, operation, rest in computations.get(name, ()):
            operands = [types_of.get(o, "") for o in hlo.OPERAND.findall(rest.split(")")[0])]
            if operation in ("dot", "convolution"):
                total[:, 0] += _products(operation, types, operands, rest)
            if not fused and operation not in _FREE:
                total[:, 1] += sum(map(hlo.size_in_bytes, (types, *operands)))
            inside = fused or operation not in _CONTROL
            if called := [cost(each, inside) for each in hlo.callees(rest)]:
                combine = np.max if operation == "conditional" else np.sum
                times = hlo.trip_count(rest, computations) if operation == "while" else 1
                total += [[1], [times]] * combine(called, axis=0)
        return total

    once, often = cost(entry, False)
    return tuple(np.divide(often, once, out=np.ones(2), where=once > 0).tolist())


def _products(operation: str, types: str, operands: list[str], rest: str) -> int:
    """Multiplications of a matrix product or a convolution, without those by padding."""
    left, right, out = _shape(operands[0]), _shape(operands[1]), _shape(types)
    if operation == "dot":
        dimensions = _CONTRACTED.search(rest)[1].split(",")
        return math.prod(out) * math.prod(left[int(d)] for d in dimensions if d)
    labels = _LABELS.search(rest).groups()
    left, right, out = (
        dict(zip(names, shape, strict=True))
        for names, shape in zip(labels, (left, right, out), strict=True)
    )
    window = re.search(r"window=\{([^}]*)\}", rest)
    window = {k: v.split("x") for k, v in _WINDOW.findall(window[1])} if window else {}
    products = out["b"] * out["f"] * right["i"]
    for d in (int(name) for name in out if name.isdigit()):
        low = int(window["pad"][d].split("_")[0]) if "pad" in window else 0
        stride, between, apart = (
            int(window[k][d]) if k in window else 1 for k in ("stride", "lhs_dilate", "rhs_dilate")
        )
        at = (
            o * stride + k * apart - low for o in range(out[str(d)]) for k in range(right[str(d)])
        )
        products *= sum(0 <= a < between * left[str(d)] and a % between == 0 for a in at)
    return products


def _shape(types: str) -> list[int]:
    return [int(n) for n in hlo.ARRAY.search(types)[2].split(",") if n]
