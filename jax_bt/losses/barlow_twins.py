"""Barlow Twins: the cross-correlation matrix of two views, driven to the identity."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from jax_bt import stats
from jax_bt.losses import inputs


class BarlowTwins(NamedTuple):
    loss: Array
    invariance: Array
    redundancy: Array


def barlow_twins(
    z_a: Array,
    z_b: Array,
    *,
    lambd: float = 0.0051,
    axis_name: str | None = None,
    form: str = "auto",
    eps: float = 1e-5,
    precision: str | None = "highest",
) -> BarlowTwins:
    """sum_i (C_ii - 1)^2 + lambd * sum_{i != j} C_ij^2."""
    z_a, z_b = inputs.embeddings(axis_name=axis_name, minimum=2, z_a=z_a, z_b=z_b)
    c = stats.cross_correlation(z_a, z_b, eps, axis_name, precision)
    diagonal = jnp.diagonal(c)
    invariance = jnp.sum(jnp.square(diagonal - 1))
    redundancy = jnp.sum(jnp.square(c - jnp.diag(diagonal)))
    return BarlowTwins(invariance + lambd * redundancy, invariance, redundancy)
