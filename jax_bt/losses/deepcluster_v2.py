"""DeepCluster v2 predicts from every crop the k-means cluster of its image."""

from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.losses._checks import floating, positive
from jax_bt.losses._clusters import best, in_parts, predict_assigned
from jax_bt.losses._explicit_mesh import on_any_mesh


class DeepClusterV2(NamedTuple):
    """The value of ``deepcluster_v2``."""

    loss: Array


class Clusters(NamedTuple):
    """What ``spherical_k_means`` found.

    Attributes:
      centroids: (K, D), unit rows.
      assignments: (N,) int32, the centroid of the greatest dot product; -1 for rows left out.
    """

    centroids: Array
    assignments: Array


@on_any_mesh
def deepcluster_v2(
    scores: Annotated[Array, "C N K"],
    *,
    assignments: Array,
    temperature: float | Array = 0.1,
    axis_name: str | None = None,
) -> DeepClusterV2:
    """DeepCluster v2's loss of one clustering: all crops predict their image's cluster.

        loss = -mean_{c, n} log softmax(scores[c, n] / T)[assignments[n]]

    Several clusterings have the mean of their losses.

    Args:
      scores: dot products of unit embeddings with centroids, (C crops, N, K clusters), any floating
        dtype. Centroids have no gradient: stop it there.
      assignments: cluster of each example, (N,) whole numbers below K, sharded like N; negative for
        none yet. Examples without a cluster do not count, as with torch's ``ignore_index``.
      temperature: T, dimensionless.
      axis_name: mapped axis over which N is sharded, or None.

    Returns:
      DeepClusterV2 with ``loss``, a scalar of the global batch, float32 (float64 for float64
      input); 0 where no example has a cluster.

    Raises:
      ValueError: scores are not floating or not (C, N, K), assignments are not whole numbers or not
        (N,), or the temperature is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> out = losses.deepcluster_v2(jnp.zeros((2, 4, 3)), assignments=jnp.array([0, 2, 1, -1]))
      >>> print(f"{out.loss:.4f}")  # equal scores: log 3
      1.0986

    Reference:
      Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments,
      NeurIPS 2020, appendix D, and main_deepclusterv2.py of its code. arXiv:2006.09882
    """
    return DeepClusterV2(predict_assigned(scores, assignments, temperature, axis_name))


def spherical_k_means(
    rows: Array,
    centroids: Array,
    *,
    iterations: int = 10,
    kept: Array | None = None,
    axis_name: str | None = None,
) -> Clusters:
    """K-means by dot products, from given centroids.

    One iteration assigns each row to its nearest centroid, and moves a centroid that has members to
    their mean at unit length; one without members stays where it is. The last assignment follows
    the last move.

    Args:
      rows: (N, D) unit rows, any floating dtype.
      centroids: (K, D) where to start, replicated: K of the rows.
      iterations: number of moves, at least 1.
      kept: (N,) bool, False for rows that take no part; None for all rows.
      axis_name: mapped axis over which N is sharded, or None.

    Returns:
      ``Clusters``, float32 (float64 for float64 input), without gradient.

    Raises:
      ValueError: rows or centroids are not floating or not of two axes, or iterations is below 1.

    Reference:
      cluster_memory of main_deepclusterv2.py (facebookresearch/swav).
    """
    positive(iterations=iterations)
    rows = lax.stop_gradient(floating("rows", rows, "N D"))
    centroids = lax.stop_gradient(floating("centroids", centroids, "K D")).astype(rows.dtype)
    count = len(centroids)

    def assign(centroids: Array) -> Array:
        nearest = best(rows, centroids)
        return nearest if kept is None else jnp.where(kept, nearest, -1)

    def move(_: int, centroids: Array) -> Array:
        assignments = assign(centroids)

        def total(numbers: Array) -> tuple[Array, Array]:
            # A product, not a sum by index: the order of that is random on a GPU.
            members = (assignments[:, None] == numbers).astype(rows.dtype)
            return jnp.matmul(members.T, rows, precision="highest"), jnp.sum(members, axis=0)

        numbers = in_parts(centroids, jnp.zeros(count))[0]
        sums, sizes = (stats.all_sum(x, axis_name) for x in lax.map(total, numbers))
        sums, sizes = sums.reshape(-1, rows.shape[1])[:count], sizes.reshape(-1)[:count, None]
        return stats.l2_normalize(jnp.where(sizes > 0, sums, centroids))

    centroids = lax.fori_loop(0, iterations, move, centroids)
    return Clusters(centroids, assign(centroids))
