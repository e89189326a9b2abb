"""Says where a view lies in its image, from the same seed as the view itself, in TensorFlow."""

import tensorflow as tf

from jax_bt.augment import places
from jax_bt.augment.choices import parameters
from jax_bt.augment.host import crop_box, resize
from jax_bt.augment.parts import CenterCrop, Recipe


@tf.autograph.experimental.do_not_convert
def place_of(
    shape: tf.Tensor, recipe: Recipe, seed: tf.Tensor, *, host_only: bool = False
) -> tf.Tensor:
    """The map from a view's square to pixels of its image (``jax_bt.augment.places``).

    Args:
      shape: int, at least (2,): height and width of the image, or of every image.
      recipe: parts and numbers; with several seeds it starts with a `Crop`.
      seed: int32 (..., 2), as of `make_view`.
      host_only: of `host_view`, in place of `make_view`: up to the crop.

    Returns:
      float32 (..., 2, 3).
    """
    choices, of_box = crop_box.uniforms(seed)
    chosen = parameters(recipe, tf.unstack(choices, axis=-1))
    sides = tuple(tf.unstack(tf.cast(shape[:2], tf.float32)))
    before, crop = recipe.parts[: recipe.crop_index], recipe.parts[recipe.crop_index]
    rows = places.behind(places.PIXELS, before, chosen, sides, 1.0, tf)
    if isinstance(crop, CenterCrop):
        top, left, height, width = _center(sides, shape, recipe.size, crop)
    else:
        box = crop_box.random_box(shape, crop, of_box)
        top, left, height, width = tf.unstack(tf.cast(box, tf.float32), axis=-1)
    rows = places.within(rows, (height, 0.0, top), (0.0, width, left))
    if not host_only:
        after, size = recipe.parts[recipe.crop_index + 1 :], float(recipe.size)
        rows = places.behind(rows, after, chosen, (size, size), 1 / size, tf)
    return tf.stack([tf.stack(row, axis=-1) for row in rows], axis=-2)


def _center(sides: tuple, shape: tf.Tensor, size: int, crop: CenterCrop) -> tuple:
    """Top, left, height and width of what a centre crop shows of the image."""
    if crop.squash:
        return (0.0, 0.0, *sides)
    found = resize.center(shape, size, crop.fraction)
    scales = [side / tf.cast(n, tf.float32) for side, n in zip(sides, found["whole"], strict=True)]
    corner = [tf.cast(n, tf.float32) * s for n, s in zip(found["corner"], scales, strict=True)]
    return (*corner, *(size * scale for scale in scales))
