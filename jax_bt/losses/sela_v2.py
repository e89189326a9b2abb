"""SeLa v2 predicts from every crop its image's label, and labels divide the images equally."""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.losses._checks import floating, positive
from jax_bt.losses._clusters import best, in_parts, predict_assigned, scores_of
from jax_bt.losses._explicit_mesh import on_any_mesh

LOOK = 10  # steps between looks at the error, as in the reference


class SeLaV2(NamedTuple):
    """The value of ``sela_v2``."""

    loss: Array


class Parts(NamedTuple):
    """What ``equal_parts`` found.

    Attributes:
      assignments: (N,) int32 labels; -1 for rows left out.
      offsets: (K,) logarithms of the labels' factors: the plan, in which labels have equal sums, is
        softmax_k(power * scores / T + offsets) / N.
    """

    assignments: Array
    offsets: Array


@on_any_mesh
def sela_v2(
    scores: Annotated[Array, "C N K"],
    *,
    assignments: Array,
    temperature: float | Array = 0.1,
    axis_name: str | None = None,
) -> SeLaV2:
    """SeLa v2's loss of one labelling: all crops predict their image's label.

        loss = -mean_{c, n} log softmax(scores[c, n] / T)[assignments[n]]

    It is DeepCluster v2's; the labels differ (``equal_parts``), and prototypes have a gradient.

    Args:
      scores: dot products of unit embeddings with unit prototypes, (C crops, N, K), any floating
        dtype.
      assignments: label of each example, (N,) whole numbers below K, sharded like N; negative for
        none yet. Examples without a label do not count.
      temperature: T, dimensionless.
      axis_name: mapped axis over which N is sharded, or None.

    Returns:
      SeLaV2 with ``loss``, a scalar of the global batch, float32 (float64 for float64 input); 0
      where no example has a label.

    Raises:
      ValueError: scores are not floating or not (C, N, K), assignments are not whole numbers or not
        (N,), or the temperature is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> out = losses.sela_v2(jnp.zeros((2, 4, 3)), assignments=jnp.array([0, 2, 1, -1]))
      >>> print(f"{out.loss:.4f}")  # equal scores: log 3
      1.0986

    Reference:
      Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments,
      NeurIPS 2020, appendix D. arXiv:2006.09882
    """
    return SeLaV2(predict_assigned(scores, assignments, temperature, axis_name))


def equal_parts(
    rows: Array,
    prototypes: Array,
    *,
    temperature: float | Array = 0.1,
    power: float | Array = 25.0,
    tolerance: float | Array = 0.1,
    most: int = 100,
    kept: Array | None = None,
    axis_name: str | None = None,
) -> Parts:
    """Labels that divide all rows into equal parts: Sinkhorn-Knopp over the whole data set.

    Scales P = softmax(rows . prototypes / T) ^ power by label to sum 1/K, then by row to sum 1/N,
    until sum_n |c / c_new - 1| of the rows' factors c is at most ``tolerance``. A row's label is
    its greatest entry. In logarithms, and for some prototypes at a time: P is never in memory.

    Args:
      rows: (N, D) embeddings, any floating dtype.
      prototypes: (K, D), replicated.
      temperature: T, that of the predictions; 1 for logits.
      power: of the probabilities (``lamb`` of the reference). Large: sharp, near equal, slow.
      tolerance: on the sum over all rows, looked at on every tenth step. Float32 may never reach
        it for a million rows.
      most: number of steps after which it ends anyway, at least 1.
      kept: (N,) bool, False for rows that take no part; None for all rows.
      axis_name: mapped axis over which N is sharded, or None.

    Returns:
      ``Parts``, without gradient.

    Raises:
      ValueError: rows or prototypes are not floating or not of two axes; an option is not positive.

    Reference:
      Asano et al., Self-labelling via simultaneous clustering and representation learning, ICLR
      2020; optimize_L_sk of sinkhornknopp.py (yukimasano/self-label). arXiv:1911.05371
    """
    positive(temperature=temperature, power=power, tolerance=tolerance, most=most)
    rows = lax.stop_gradient(floating("rows", rows, "N D"))
    prototypes = lax.stop_gradient(floating("prototypes", prototypes, "K D")).astype(rows.dtype)
    logits, count = prototypes / temperature, len(prototypes)
    sharp = logits * power
    kept = stats.vary_like(jnp.ones(len(rows), bool), rows) if kept is None else kept
    log_n = jnp.log(stats.all_sum(jnp.sum(kept), axis_name).astype(rows.dtype))

    def log_sum_of_rows(prototypes: Array, offsets: Array) -> Array:
        def add(total: Array, part: tuple[Array, ...]) -> tuple[Array, None]:
            _, prototypes, offsets = part
            own = jax.nn.logsumexp(scores_of(rows, prototypes) + offsets, axis=1)
            return jnp.logaddexp(total, own), None

        start = stats.vary_like(jnp.full(len(rows), -jnp.inf, rows.dtype), rows)
        return lax.scan(add, start, in_parts(prototypes, offsets))[0]

    def log_sum_of_labels(c: Array) -> Array:
        def total(prototypes: Array) -> Array:
            scores = scores_of(rows, prototypes) + jnp.where(kept, c, -jnp.inf)[:, None]
            return stats.log_sum_exp(scores, axis=0, axis_name=axis_name)

        _, parts, _ = in_parts(sharp, zeros)
        return lax.map(total, parts).reshape(-1)[:count]

    def unfinished(state: tuple[Array, ...]) -> Array:
        step, _, _, error = state
        return (error > tolerance) & (step < most)

    def iterate(state: tuple[Array, ...]) -> tuple[Array, ...]:
        step, c, _, error = state
        r = -log_sum_of_labels(c) - jnp.log(count)
        new = -log_sum_of_rows(sharp, r) - log_n
        moved = jnp.sum(jnp.where(kept, jnp.abs(jnp.exp(c - new) - 1), 0))
        look = step % LOOK == 0
        return step + 1, new, r, jnp.where(look, stats.all_sum(moved, axis_name), error)

    zeros = jnp.zeros(count, rows.dtype)
    c = -power * log_sum_of_rows(logits, zeros) - log_n  # 1/N each, of probabilities
    start = jnp.zeros((), jnp.int32), c, zeros, jnp.array(jnp.inf, rows.dtype)
    _, _, r, _ = lax.while_loop(unfinished, iterate, start)
    return Parts(jnp.where(kept, best(rows, sharp, r), -1), r)
