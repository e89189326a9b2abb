"""Products with a banded matrix, a block of its rows at a time."""

import tensorflow as tf


def product(weights: tf.Tensor, needed: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Each block of the matrix times the few rows that its band needs.

    Args:
      weights: float32 (blocks, block, band), the band of the matrix in each block of its rows.
      needed: int32 (blocks, band), the rows that the weights are for.
      rows: (..., n, m), any dtype; they are gathered before they are cast.

    Returns:
      float32 (..., blocks * block, m).
    """
    shape = (*tf.unstack(tf.shape(rows)[:-2]), -1, tf.shape(rows)[-1])
    picked = tf.cast(tf.gather(rows, needed, axis=-2), tf.float32)
    return tf.reshape(tf.matmul(weights, picked), shape)
