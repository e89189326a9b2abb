"""OBoW predicts from crops which visual words of a teacher's feature maps an image has."""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.losses._checks import floating, positive
from jax_bt.losses._explicit_mesh import on_any_mesh


class OBoW(NamedTuple):
    """The value of ``obow``."""

    loss: Array


class Bags(NamedTuple):
    """What ``bags_of_words`` makes of a batch of maps.

    Attributes:
      target: (N, K), rows summing to 1.
      mean_distance: the running mean, a scalar, for the next step.
    """

    target: Array
    mean_distance: Array


@on_any_mesh
def obow(
    logits: Annotated[Array, "C N K"],
    target: Annotated[Array, "N K"],
    *,
    axis_name: str | None = None,
) -> OBoW:
    """OBoW's loss of one level and one kind of crops: predict the image's bag of words.

        loss = mean_{c, n} KL(target[n] || softmax(logits[c, n]))

    The method has the mean of the levels' losses, and the sum over the kinds of crops. The KL
    divergence has the entropy of the targets in it, as the reference's, which has no gradient.

    Args:
      logits: kappa * feature . word weight, (C crops, N, K words), any floating dtype.
      target: (N, K), rows summing to 1, no gradient (``bags_of_words``); sharded like N.
      axis_name: mapped axis over which N is sharded, or None.

    Returns:
      OBoW with ``loss``, a scalar of the global batch, float32 (float64 for float64 input).

    Raises:
      ValueError: an argument is not floating, or the shapes are not (C, N, K) and (N, K).

    Example:
      >>> import jax.numpy as jnp
      >>> from jax_bt import losses
      >>> print(f"{losses.obow(jnp.zeros((2, 1, 4)), jnp.eye(4)[:1]).loss:.4f}")  # log 4
      1.3863

    Reference:
      Gidaris et al., OBoW: Online Bag-of-Visual-Words Generation for Self-Supervised Learning, CVPR
      2021; builder_obow.py of its code. arXiv:2012.11552
    """
    logits, target = floating("logits", logits, "C N K"), floating("target", target, "N K")
    if target.shape != logits.shape[1:]:
        raise ValueError(
            f"target has shape {target.shape}: expected {logits.shape[1:]}, that of one crop's "
            "logits"
        )
    target = lax.stop_gradient(target)
    held = target > 0
    entropy = -jnp.sum(jnp.where(held, target * jnp.log(jnp.where(held, target, 1)), 0), axis=1)
    cross = -jnp.sum(target * jnp.mean(jax.nn.log_softmax(logits, axis=-1), axis=0), axis=1)
    return OBoW(stats.mean(cross - entropy, axis_name=axis_name))


def bags_of_words(
    maps: Array,
    words: Array,
    mean_distance: Array,
    *,
    inverse_delta: float | Array = 15.0,
    decay: float | Array = 0.99,
    border: int = 1,
    axis_name: str | None = None,
) -> Bags:
    """Bags of words of a teacher's maps: soft codes by distance, the greatest over all places.

        code[n, p] = softmax_k(-(inverse_delta / mu) |f[n, p] - word_k|^2)
        target[n] = max_p code[n, p], scaled to sum 1

    where mu, the running mean of the smallest squared distance, takes this batch in first.

    Args:
      maps: (N, H, W, C) features of the teacher, any floating dtype.
      words: (K, C), replicated.
      mean_distance: mu after the step before; 0.5 at the start.
      inverse_delta: how sharp codes are: 15, for ResNet-18 10.
      decay: weight of the old mu.
      border: places at each side of the maps that are left out.
      axis_name: mapped axis over which N is sharded, or None.

    Returns:
      ``Bags``, float32 or wider, without gradient.

    Raises:
      ValueError: arguments of the wrong shape or dtype, or maps that are all border.

    Reference: BoWExtractor of builder_obow.py (valeoai/obow).
    """
    positive(inverse_delta=inverse_delta)
    words = lax.stop_gradient(floating("words", words, "K C"))
    features = _inside(maps, border).astype(words.dtype)
    features = features.reshape(len(features), -1, features.shape[-1])
    distance = (
        jnp.sum(jnp.square(features), axis=-1, keepdims=True)
        + jnp.sum(jnp.square(words), axis=-1)
        - 2 * jnp.matmul(features, words.T, precision="highest")
    )
    nearest = stats.mean(jnp.min(distance, axis=-1), axis=(0, 1), axis_name=axis_name)
    mean_distance = decay * mean_distance + (1 - decay) * nearest
    codes = jax.nn.softmax(-(inverse_delta / mean_distance) * distance, axis=-1)
    bag = jnp.max(codes, axis=1)
    return Bags(bag / jnp.sum(bag, axis=1, keepdims=True), mean_distance)


def new_words(maps: Array, places: Array, *, border: int = 1) -> Array:
    """One word of each image, to replace the oldest: the mean of 3x3 features at a given place.

    Args:
      maps: (N, H, W, C) features of the teacher, any floating dtype.
      places: (N,) whole numbers below (H - 2 border - 2) (W - 2 border - 2), row by row: drawn at
        random.
      border: as of ``bags_of_words``.

    Returns:
      (N, C), float32 or wider, without gradient.

    Raises:
      ValueError: maps of the wrong shape or dtype, or too small for a 3x3 window inside the border.
    """
    inside, around = _inside(maps, border + 1), _inside(maps, border)
    height, width = inside.shape[1:3]
    windows = [around[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    mean = jnp.mean(jnp.stack(windows), axis=0)
    return mean.reshape(len(mean), -1, mean.shape[-1])[jnp.arange(len(mean)), places]


def _inside(maps: Array, border: int) -> Array:
    """The maps without their border, in the dtype of statistics and without gradient."""
    maps = lax.stop_gradient(floating("maps", maps, "N H W C"))
    _, height, width, _ = maps.shape
    if min(height, width) <= 2 * border:
        raise ValueError(f"maps have shape {maps.shape}: nothing is left inside {border} of border")
    return maps[:, border : height - border, border : width - border]
