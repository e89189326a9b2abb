"""IMAX maximises what two views share under a Gaussian model, by log-determinants."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.errors import UsageError
from jax_bt.losses._checks import embeddings
from jax_bt.losses._explicit_mesh import on_any_mesh
from jax_bt.losses._linalg import log_det


class IMAX(NamedTuple):
    """The value of ``imax`` and its two terms: loss = difference - total."""

    loss: Array
    difference: Array
    total: Array


@on_any_mesh
def imax(
    z_a: Array,
    z_b: Array,
    *,
    eps: float = 1e-3,
    axis_name: str | None = None,
    precision: lax.PrecisionLike = "highest",
) -> IMAX:
    """Log-determinant of the views' difference less that of their sum; lower is better agreement.

        loss = log|C(z_a - z_b) + eps I| - log|C(z_a + z_b) + eps I|

    with C the covariance over the batch, divided by N - 1. Minimising shrinks what differs between
    the views and spreads what they share: for one dimension it is minus twice the information
    1/2 log(V(z_a + z_b) / V(z_a - z_b)) that Becker and Hinton maximise. Identical views give
    D log(eps) - log|4 C(z) + eps I|, independent ones about 0, z_b = -z_a the first with its sign
    changed.

    The Barlow Twins paper publishes the formula without hyper-parameters, and reports that it did
    not succeed on ImageNet. Chosen here: the ridge eps in both terms, which bounds the loss from
    below at D log(eps / (4 max variance + eps)) and keeps batches of N <= D examples, whose
    covariance is singular, meaningful; eps = 1e-3 for embeddings of about unit variance (it is a
    variance: scale it with theirs); no standardisation (apply your own for a scale-free loss).

    For N <= D the determinants are taken of N x N Gram matrices, by Sylvester's identity
    log|X^T X + eps I_D| = (D - N) log(eps) + log|X X^T + eps I_N|: at N = 256, D = 8192 some
    30000 times fewer operations for the factors.

    Args:
      z_a: embeddings of view a, (N, D), any floating dtype.
      z_b: the same of view b.
      eps: ridge, in units of variance, above 0.
      axis_name: mapped axis over which the rows are sharded, or None: the covariances are summed
        over it, or for N <= D the embeddings gathered.
      precision: of the covariance or Gram products.

    Returns:
      IMAX with ``loss`` and its terms ``difference`` and ``total``, scalars of the global
      batch, float32 (float64 for float64 input).

    Raises:
      ValueError: an argument is not floating, not (N, D), or unlike the other in shape; the global
        batch has fewer than 2 examples; eps is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
      >>> print(f"{losses.imax(z, z).loss:.2f}")  # 2 log 0.001 - 2 log(16 / 3 + 0.001)
      -17.16

    Reference:
      Becker and Hinton, Self-organizing neural network that discovers surfaces in random-dot
      stereograms, Nature 1992; in this form Zbontar et al., Barlow Twins, ICML 2021, section 5.
      arXiv:2103.03230
    """
    if not eps > 0:
        raise UsageError(f"eps={eps} must be above 0: without a ridge the determinants may vanish")
    z_a, z_b = embeddings(z_a=z_a, z_b=z_b, axis_name=axis_name, minimum=2)
    count = z_a.shape[0] * stats.axis_size(axis_name)
    width = z_a.shape[1]

    pair = jnp.stack([z_a - z_b, z_a + z_b])
    pair = pair - stats.mean(pair, axis=1, axis_name=axis_name)[:, None]
    pair = pair / math.sqrt(count - 1)
    ridge = eps * jnp.eye(min(count, width), dtype=pair.dtype)
    if count <= width:
        pair = stats.all_gather(pair, axis=1, axis_name=axis_name)
        gram = jnp.einsum("vnd,vmd->vnm", pair, pair, precision=precision)
        # Centred rows leave the vector of ones the eigenvalue eps, which float32 loses beside the
        # others (1 % of the loss at 16 x 512). Lifted to their mean, and the lift divided out, the
        # determinant is the same.
        lift = lax.stop_gradient(jnp.trace(gram, axis1=-2, axis2=-1)) / count
        values = log_det(gram + lift[:, None, None] / count + ridge) - jnp.log(lift + eps)
        # Every device holds the same value; the mean tells the replication check so.
        values = stats.all_mean(values, axis_name)
        nullity = width - count + 1
    else:
        moment = jnp.einsum("vnd,vne->vde", pair, pair, precision=precision)
        values = log_det(stats.all_sum(moment, axis_name) + ridge)
        nullity = 0
    # Left out of the loss, in which it cancels: it may be thousands, and float32 has 7 digits.
    terms = values + nullity * jnp.log(jnp.asarray(eps, pair.dtype))
    return IMAX(values[0] - values[1], terms[0], terms[1])
