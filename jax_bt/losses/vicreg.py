"""VICReg: invariance of two views, variance and covariance of each."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from jax_bt import stats
from jax_bt.losses import inputs


class VICReg(NamedTuple):
    loss: Array
    invariance: Array
    variance: Array
    covariance: Array


def vicreg(
    z_a: Array,
    z_b: Array,
    *,
    invariance_weight: float = 25.0,
    variance_weight: float = 25.0,
    covariance_weight: float = 1.0,
    gamma: float = 1.0,
    eps: float = 1e-4,
    axis_name: str | None = None,
    form: str = "auto",
    precision: str | None = "highest",
) -> VICReg:
    """The three terms in the reference's scaling, and their weighted sum."""
    z_a, z_b = inputs.embeddings(axis_name=axis_name, minimum=2, z_a=z_a, z_b=z_b)
    invariance = stats.all_mean(jnp.mean(jnp.square(z_a - z_b)), axis_name)
    variance = covariance = jnp.zeros(())
    for z in (z_a, z_b):
        c = stats.covariance(z, 1, axis_name, precision)
        diagonal = jnp.diagonal(c)
        variance += jnp.mean(jnp.maximum(gamma - jnp.sqrt(diagonal + eps), 0)) / 2
        covariance += jnp.sum(jnp.square(c - jnp.diag(diagonal))) / z.shape[1]
    loss = (
        invariance_weight * invariance
        + variance_weight * variance
        + covariance_weight * covariance
    )
    return VICReg(loss, invariance, variance, covariance)
