"""FroSSL: views that agree, and columns whose Gram matrix has a small Frobenius norm."""

import math
from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.losses import _checks
from jax_bt.losses._correlations import correlations
from jax_bt.losses._cost import FORMS
from jax_bt.losses._explicit_mesh import on_any_mesh
from jax_bt.losses._views import stacked

Convention = Literal["author", "lightly", "author_paper"]


class FroSSL(NamedTuple):
    """Value of ``frossl`` and its terms.

    Attributes:
      loss: frobenius + invariance_weight * invariance.
      frobenius: sum over views of 2 log(||G||_F / tr G).
      invariance: the views' squared distances, with the factor of the convention.
    """

    loss: Array
    frobenius: Array
    invariance: Array


@on_any_mesh
def frossl(
    z_a: Array,
    z_b: Array,
    *more: Array,
    invariance_weight: float | Array = 1.4,
    convention: Convention = "author",
    axis_name: str | None = None,
    form: Literal["auto", "cross_correlation", "gram"] = "auto",
    precision: str | None = "highest",
) -> FroSSL:
    """FroSSL loss of the global batch, exact in each form.

        y = z / ||column of z||,  G = y^T y  (D x D, or y y^T of N x N with the same norm and trace)
        frobenius  = sum_views 2 log(||G||_F / tr G),  the trace without gradient
        invariance = sum_views V D mean_nd (y_v - mean_views y)^2
        loss = frobenius + invariance_weight * invariance

    Args:
      z_a: (n, D) embeddings of the first view, any floating dtype: the local shard under
        ``axis_name``, else the whole batch.
      z_b: (n, D) of the second view, row by row of the same examples.
      *more: (n, D) of further views.
      invariance_weight: weight of the invariance.
      convention: "author" as above; "lightly" is the same function. "author_paper" is the first
        paper's, of two views: columns are standardised over the batch (N - 1) first and have
        length sqrt(D), and invariance = mean (y_a - y_b)^2, for more views the mean over pairs.
      axis_name: mapped axis of ``shard_map`` or ``pmap``; None on one device or under ``jit``.
      form: "cross_correlation" (D x D matrices), "gram" (N x N), or "auto": the cheaper. Equal to
        rounding in value and gradient.
      precision: of the large products (``jax.lax.Precision``). The default is full float32.

    Returns:
      ``FroSSL``: float32 scalars (float64 for float64 input), the same on every shard.

    Raises:
      ValueError: shapes that do not match, a global batch below 2, embeddings that are not
        floating, or an unknown option.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
      >>> print(f"{losses.frossl(z, z).loss:.4f}")  # G = I of 2 x 2: -2 log 2
      -1.3863

    Reference: Skean et al., FroSSL: Frobenius Norm Minimization for Self-Supervised Learning,
      ECCV 2024, https://arxiv.org/abs/2310.02903
    """
    _checks.precision(precision)
    _checks.one_of("form", form, FORMS)
    _checks.one_of("convention", convention, get_args(Convention))
    views = stacked(z_a, z_b, *more, axis_name=axis_name, minimum=2)
    count, _, width = views.shape
    first_paper = convention == "author_paper"
    if first_paper:
        views = jnp.stack([stats.standardize(z, 0.0, ddof=1, axis_name=axis_name) for z in views])
    squares = stats.all_sum(jnp.sum(jnp.square(views), axis=1, keepdims=True), axis_name)
    views = views * stats.inverse_sqrt(squares)
    if first_paper:
        views = views * math.sqrt(width)

    logs = []
    for y in views:
        diagonal, off = correlations(
            (y,), ((0, 0),), form=form, axis_name=axis_name, precision=precision
        )
        square = off + jnp.sum(jnp.square(diagonal))
        trace = lax.stop_gradient(jnp.sum(diagonal))
        # A batch of zeros has neither norm nor trace: it counts as the worst, a ratio of 1.
        logs.append(_log(square) - 2 * _log(trace))
    frobenius = jnp.sum(jnp.stack(logs))

    distance = stats.mean(jnp.square(views - jnp.mean(views, axis=0)), (0, 1, 2), axis_name)
    # The mean over pairs of (y_u - y_v)^2 is 2 V / (V - 1) times the distance from the mean.
    factor = 2 * count / (count - 1) if first_paper else count**2 * width
    invariance = factor * distance
    return FroSSL(frobenius + invariance_weight * invariance, frobenius, invariance)


def _log(x):
    """log(x), and 0 with gradient 0 where x is 0."""
    return jnp.log(jnp.where(x > 0, x, 1))
