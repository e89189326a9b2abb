"""MoCo's losses beside solo-learn's numbers (v2 with a queue, v3 in the batch)."""

import functools
import math

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.golden import check

from jax_bt import losses

each_file = pytest.mark.parametrize("name", ["8x16_K32", "32x64_K256"])


@each_file
def test_queue_equals_the_reference(golden, name):
    g = golden(f"moco_infonce_{name}")
    check(
        functools.partial(losses.info_nce, temperature=float(g["temperature"])),
        (g["q"], g["k"], g["queue"]),
        g["loss_v2"],
        (g["grad_q_v2"], None, None),
        float32=(2e-6, 5e-6),
    )


@each_file
def test_in_batch_equals_the_reference(golden, name):
    g = golden(f"moco_infonce_{name}")
    check(
        functools.partial(losses.info_nce_in_batch, temperature=float(g["temperature"])),
        (g["q"], g["k"]),
        g["loss_v3"],
        (g["grad_q_v3"], None),
        float32=(2e-6, 5e-6),
    )


def test_queue_is_used_as_stored():
    q = jnp.ones((1, 1))
    loss = losses.info_nce(q, q, jnp.full((1, 2), 3.0), temperature=1.0).loss
    np.testing.assert_allclose(loss, math.log(1 + 2 * math.exp(2)), rtol=1e-6)


def test_one_example_and_one_key_are_enough_with_a_queue():
    q, queue = jnp.eye(3)[:1], jnp.eye(3)[:, 1:2]
    loss = losses.info_nce(q, q, queue, temperature=0.5).loss
    np.testing.assert_allclose(loss, math.log(1 + math.exp(-2)), rtol=1e-6)


def test_in_batch_is_scaled_by_twice_the_temperature():
    q = jnp.eye(4)
    for t in (0.2, 1.0):
        loss = losses.info_nce_in_batch(q, q, temperature=t).loss
        np.testing.assert_allclose(loss, 2 * t * math.log(1 + 3 * math.exp(-1 / t)), rtol=1e-6)


def test_refuses_a_queue_of_rows():
    q = jnp.ones((4, 3))
    with pytest.raises(ValueError, match=r"queue has shape \(6, 3\): expected \(3, K\)"):
        losses.info_nce(q, q, jnp.ones((6, 3)))
    with pytest.raises(ValueError, match="N=1"):
        losses.info_nce_in_batch(q[:1], q[:1])
