"""What loops repeat, beside programs without loops and XLA's own count of them."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from jax_bt.plan import loops


def compiled(function, *shapes):
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return jax.jit(function).lower(*arrays).compile()


def layers(count: int, looped: bool):
    """One matrix product and a sine of it, `count` times, then another product."""

    def function(x, w, last):
        def layer(x, _=None):
            return jnp.sin(x @ w), None

        if looped:
            x, _ = lax.scan(layer, x, length=count)
        else:
            for _ in range(count):
                x, _ = layer(x)
        return x @ last

    return compiled(function, (64, 256), (256, 256), (256, 32))


def test_a_loop_counts_as_often_as_it_runs():
    unrolled, looped = layers(10, looped=False), layers(10, looped=True)
    once = 64 * 256 * (256 + 32)
    often = 64 * 256 * (10 * 256 + 32)
    products, accesses = loops.repeated(looped.as_text())
    assert products == pytest.approx(often / once)
    cost, expected = looped.cost_analysis(), unrolled.cost_analysis()
    assert products * cost["flops"] == pytest.approx(expected["flops"], rel=0.01)
    accessed = accesses * cost["bytes accessed"]
    assert accessed == pytest.approx(expected["bytes accessed"], rel=0.15)  # and the loop's counter


def test_a_loop_in_the_dearer_branch():
    def function(x, w, often):
        def dear():
            return jnp.sum(lax.fori_loop(0, 5, lambda _, x: x @ w, x))

        return x @ often, lax.cond(x[0, 0] > 0, dear, lambda: jnp.sum(x[:, :32] @ often[:32]))

    products, _ = loops.repeated(compiled(function, (64, 256), (256, 256), (256, 32)).as_text())
    assert products == pytest.approx((32 + 5 * 256) / (32 + 256))


def test_a_program_without_loops():
    assert loops.repeated(layers(3, looped=False).as_text()) == (1.0, 1.0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"window_strides": (2, 2)},
        {"padding": ((1, 2), (-1, 3))},
        {"lhs_dilation": (2, 3), "padding": ((1, 1), (2, 0))},
        {"rhs_dilation": (3, 2), "padding": "VALID"},
        {"feature_group_count": 4},
    ],
)
def test_products_of_convolutions_beside_xlas_own_count(options):
    """XLA leaves out products with padding and dilation. Three times in a loop beside once."""
    groups = options.get("feature_group_count", 1)
    shapes = (4, 12, 10, 8), (3, 3, 8 // groups, 16)

    def convolve(x, w):
        arguments = {"window_strides": (1, 1), "padding": "SAME", **options}
        numbers = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, w, **arguments, dimension_numbers=numbers)

    def both(x, w, a, b):
        """The convolution three times in a loop beside a matrix product of known cost."""
        sums = lax.fori_loop(0, 3, lambda _, x: x + jnp.sum(convolve(x, w)) * 1e-9, x)
        return sums, a @ b

    one = compiled(convolve, *shapes).cost_analysis()["flops"] / 2
    factor, _ = loops.repeated(compiled(both, *shapes, (64, 64), (64, 64)).as_text())
    assert factor == pytest.approx((3 * one + 64**3) / (one + 64**3), rel=1e-3)
