"""Trains a linear classifier beside the encoder, on representations that it does not change.

Its accuracy is that of a classifier which follows a moving encoder on augmented views: a sign of
life during training, some points from what a probe finds afterwards.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.evaluate.linear_sgd import linear, linear_init

Params = dict[str, Array]


def online_init(key: Array, width: int, classes: int) -> Params:
    """Weights N(0, 0.01^2) and a bias of 0.

    Args:
      key: random key.
      width: of the representation.
      classes: number of classes K.

    Returns:
      {"kernel": (width, K), "bias": (K,)} float32.
    """
    return linear_init(classes, key, jnp.zeros((1, width)))["params"]


def online_loss(
    params: Params, representation: Array, label: Array, axis_name: str | None = None
) -> tuple[Array, dict[str, Array]]:
    """Cross-entropy of the classifier, whose gradient does not reach the representation.

    loss = - mean over labelled examples of log softmax(W sg(z) + b)[y],  z = (h - mean) / deviation

    Added to a method's loss it changes no gradient but the classifier's own. Mean and deviation are
    those of the global batch (as in MAE's linear probe, arXiv:2111.06377, A.1): representations of
    methods and encoders differ in scale, and one rate serves all of them only when standardised.

    Args:
      params: from ``online_init``.
      representation: (n, width) local shard of the encoder's outputs, any floating dtype.
      label: (n,) integer labels; examples with a label < 0 do not count.
      axis_name: mapped axis, or None.

    Returns:
      The loss of the global batch and {"online_loss", "online_top1"} (percent), float32 scalars;
      all 0 for a batch without labels.
    """
    features = lax.stop_gradient(stats.wide(representation))
    features = stats.standardize(features, axis_name=axis_name)
    logits, _ = linear({"params": params}, features, True)
    known = label >= 0
    own = jnp.maximum(label, 0)[:, None]
    losses = -jnp.take_along_axis(jax.nn.log_softmax(logits), own, axis=1)[:, 0]
    right = jnp.argmax(logits, axis=1) == label
    sums = [jnp.sum(jnp.where(known, x, 0).astype(logits.dtype)) for x in (losses, right, 1)]
    loss, hits, count = (stats.all_sum(x, axis_name) for x in sums)
    count = jnp.maximum(count, 1)
    loss = loss / count
    return loss, {"online_loss": loss, "online_top1": 100 * hits / count}
