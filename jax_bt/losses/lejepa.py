"""LeJEPA: views that agree, and embeddings whose every projection is a standard normal (SIGReg)."""

from typing import Annotated, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jax_bt import stats
from jax_bt.errors import UsageError
from jax_bt.losses import _checks
from jax_bt.losses._explicit_mesh import on_any_mesh
from jax_bt.losses._slices import unit_directions
from jax_bt.losses._views import global_count, stacked

Convention = Literal["minimal", "package", "lightly", "stable", "eb_jepa"]


class LeJEPA(NamedTuple):
    """Value of ``lejepa`` and its terms, which are unweighted.

    Attributes:
      loss: what the convention makes of the two.
      sigreg: distance of the projections from the standard normal, mean over views and slices.
      inv: mean squared distance of the views from their centre.
    """

    loss: Array
    sigreg: Array
    inv: Array

    @property
    def bcs(self) -> Array:
        """The name of ``sigreg`` in eb_jepa."""
        return self.sigreg


@on_any_mesh
def lejepa(
    z_a: Array,
    z_b: Array,
    *more: Array,
    directions: Annotated[Array, "D M"] | None = None,
    key: Array | None = None,
    slices: int = 256,
    lam: float | Array | None = None,
    n_global: int | None = None,
    t_max: float = 3.0,
    n_points: int = 17,
    convention: Convention = "minimal",
    axis_name: str | None = None,
    precision: str | None = "highest",
) -> LeJEPA:
    """LeJEPA loss of the global batch, in the conventions of five public codes.

        sigreg = mean_{views, slices a} N sum_j w_j |phi_hat_a(t_j) - exp(-t_j^2 / 2)|^2
        phi_hat_a(t) = mean_n exp(i t a.z_n)
        w_j = exp(-t_j^2 / 2) times the trapezoidal rule over [-t_max, t_max]
        inv = mean (z - centre of the views)^2
        loss = lam sigreg + (1 - lam) inv

    The empirical characteristic functions, 2 V M n_points numbers, are all that devices exchange.

    Args:
      z_a: (n, D) embeddings of the first view, any floating dtype: the local shard under
        ``axis_name``, else the whole batch.
      z_b: (n, D) of the second view, row by row of the same examples.
      *more: (n, D) of further views.
      directions: (D, M) directions of the slices, replicated, scaled here to unit columns.
      key: in place of ``directions``: the key of a draw, the same on every device (of the step).
      slices: M of that draw.
      lam: weight of sigreg; None is 0.02, in "eb_jepa" 10.
      n_global: the first n_global views are the global ones, whose mean is the centre where the
        convention says so; None is all of them.
      t_max: end of the interval of the knots, in units of 1 / embedding.
      n_points: number of knots on [0, t_max].
      convention: "minimal" as above, the centre that of all views. "package": the statistic alone
        is the loss. "lightly": as minimal, the centre that of the global views. "stable" (stable-
        pretraining): centre of the global views, all V N vectors as one sample, and
        loss = inv + lam sigreg. "eb_jepa": no factor N, 10 knots on [-3, 3], inv the mean squared
        difference of the pairs of views, loss = inv + lam sigreg; ignores t_max and n_points.
      axis_name: mapped axis of ``shard_map`` or ``pmap``; None on one device or under ``jit``.
      precision: of the projections (``jax.lax.Precision``). The default is full float32.

    Returns:
      ``LeJEPA``: float32 scalars (float64 for float64 input), the same on every shard.

    Raises:
      ValueError: shapes that do not match, embeddings that are not floating, both or neither of
        ``directions`` and ``key``, ``n_global`` outside 1..V, fewer than 2 knots, or an unknown
        convention.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> z = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
      >>> out = losses.lejepa(z, -z, directions=jnp.eye(2), lam=0.0)
      >>> print(f"{out.loss:.4f}")  # mean z^2, as the centre is 0
      1.0000

    Reference: Balestriero and LeCun, LeJEPA, 2025, https://arxiv.org/abs/2511.08544
    """
    _checks.precision(precision)
    _checks.one_of("convention", convention, get_args(Convention))
    views = stacked(z_a, z_b, *more, axis_name=axis_name)
    n_global = global_count(n_global, len(views))
    statistics = sigreg(
        views,
        directions=directions,
        key=key,
        slices=slices,
        t_max=t_max,
        n_points=n_points,
        convention=convention,
        axis_name=axis_name,
        precision=precision,
    )
    regularizer = jnp.mean(statistics)
    centre_of = n_global if convention in ("lightly", "stable") else len(views)
    centre = jnp.mean(views[:centre_of], axis=0)
    inv = stats.mean(jnp.square(views - centre), (0, 1, 2), axis_name)
    if convention == "eb_jepa":
        # The mean over pairs of views of (z_u - z_v)^2, by the distances from their centre.
        inv = inv * (2 * len(views) / (len(views) - 1))
    if lam is None:
        lam = 10.0 if convention == "eb_jepa" else 0.02
    if convention == "package":
        loss = regularizer
    elif convention in ("stable", "eb_jepa"):
        loss = inv + lam * regularizer
    else:
        loss = lam * regularizer + (1 - lam) * inv
    return LeJEPA(loss, regularizer, inv)


def sigreg(
    z: Array,
    *,
    directions: Array | None = None,
    key: Array | None = None,
    slices: int = 256,
    t_max: float = 3.0,
    n_points: int = 17,
    convention: Convention = "minimal",
    axis_name: str | None = None,
    precision: str | None = "highest",
) -> Array:
    """The statistic of Epps and Pulley of each slice, which is 0 for a standard normal.

    Args:
      z: (V, n, D) views; the other arguments are those of ``lejepa``.

    Returns:
      (V, M), and (1, M) in the convention "stable", where the views are one sample.
    """
    if n_points < 2:
        raise UsageError(f"n_points={n_points} must be at least 2")
    z = _checks.floating("z", z, "V N D")
    a = unit_directions(z.shape[2], z.dtype, directions=directions, key=key, slices=slices)
    x = jnp.matmul(z, a, precision=precision)
    if convention == "stable":
        x = x.reshape(1, -1, x.shape[2])
    if convention == "eb_jepa":
        t = np.linspace(-3, 3, 10)
        weights = _trapezoid(t)
    else:
        t = np.linspace(0, t_max, n_points)
        weights = 2 * _trapezoid(t)  # both halves of the interval are equal
        weights = weights * (x.shape[1] * stats.axis_size(axis_name))
    phi = np.exp(-np.square(t) / 2)
    parts = jnp.stack(_characteristic(x, jnp.asarray(t, x.dtype)))
    cosine, sine = stats.all_mean(parts, axis_name)
    phi, weights = (jnp.asarray(v, x.dtype)[:, None, None] for v in (phi, weights * phi))
    return jnp.sum(weights * (jnp.square(cosine - phi) + jnp.square(sine)), axis=0)


def _trapezoid(t):
    """Weights of the trapezoidal rule over equally spaced knots."""
    ends = np.ones(len(t))
    ends[[0, -1]] = 0.5
    return ends * (t[1] - t[0])


def _characteristic(x, t):
    """Means over the shard's rows of cos and sin of t x: (V, n, M) and (K,) to two (K, V, M)."""

    # One knot at a time, its angles recomputed in the backward pass: all of them together, and
    # kept, would take many times the memory of the projections.
    @jax.checkpoint
    def at(knot):
        return jnp.mean(jnp.cos(knot * x), axis=1), jnp.mean(jnp.sin(knot * x), axis=1)

    return lax.map(at, t)
