"""What every loss says to arrays it cannot use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt.losses import _checks


def test_short_floats_widen_and_names_keep_their_order():
    a, b = _checks.embeddings(a=jnp.ones((2, 3), jnp.bfloat16), b=np.zeros((2, 3)))
    assert a.dtype == b.dtype == jnp.float32 and a[0, 0] == 1 and b[0, 0] == 0


@pytest.mark.parametrize(
    "array, message",
    [
        (np.ones((2, 3), np.int32), r"b is int32: a loss needs a floating dtype"),
        (np.ones((2, 3), bool), "b is bool"),
        (np.ones((2, 3), np.complex64), "b is complex64"),
        (np.ones(3, np.float32), r"b has shape \(3,\): expected \(N, D\)"),
        (np.ones((2, 0), np.float32), "no axis empty"),
        (np.ones((3, 3), np.float32), r"b has shape \(3, 3\) but a has \(2, 3\)"),
    ],
)
def test_refuses(array, message):
    with pytest.raises(ValueError, match=message):
        _checks.embeddings(a=np.ones((2, 3), np.float32), b=array)


def test_minimum_counts_the_global_batch():
    def count(x):
        return _checks.embeddings(axis_name="i", minimum=3, x=x)[0]

    x = jnp.ones((4, 1, 2))
    assert jax.vmap(count, axis_name="i")(x).shape == (4, 1, 2)
    with pytest.raises(ValueError, match="N=2 examples: this loss needs at least 3"):
        jax.vmap(count, axis_name="i")(x[:2])


def test_positive_accepts_what_is_traced():
    jax.jit(lambda t: _checks.positive(temperature=t))(0.0)
    with pytest.raises(ValueError, match="temperature=0.0 must be above 0"):
        _checks.positive(temperature=0.0)
