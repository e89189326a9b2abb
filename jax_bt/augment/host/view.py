"""Makes a view of a decoded image in TensorFlow, from a seed and a recipe.

An image keeps its type (H, W, C) until its crop and is float32 planes (C, H, W) after it (see
`jax_bt.augment.host.ops`).
"""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from jax_bt.augment.choices import ORDERS, parameters
from jax_bt.augment.host import crop_box, ops, resize
from jax_bt.augment.parts import (
    Affine,
    Blur,
    CenterCrop,
    Crop,
    Flip,
    Grayscale,
    Jitter,
    Noise,
    Part,
    Recipe,
    Solarize,
)

# The control flow is explicit; AutoGraph cannot read `match` and would only warn.
_plain = tf.autograph.experimental.do_not_convert


@_plain
def make_view(image: tf.Tensor, recipe: Recipe, seed: tf.Tensor) -> tf.Tensor:
    """One view of an image: every part of the recipe, then (view - mean) / std.

    Args:
      image: (H, W, C), uint8, uint16, or float32 in [0, 1]; one channel is repeated three times.
      recipe: parts and numbers, for C channels.
      seed: int32 (2,); the view depends on it and on nothing else.

    Returns:
      float32 (size, size, C), normalised.
    """
    return finish_view(_crop(image, recipe, seed), recipe, seed)


@_plain
def host_view(image: tf.Tensor, recipe: Recipe, seed: tf.Tensor) -> tf.Tensor:
    """The host's share of a view: the parts up to the crop, in 8 bits.

    `jax_bt.augment.device` does the rest inside the compiled step.

    Args:
      image, recipe, seed: as `make_view`.

    Returns:
      uint8 (size, size, C).
    """
    return ops.to_uint8(_crop(image, recipe, seed, channels_last=True))


@_plain
def crop_batch(images: tf.Tensor, recipe: Recipe, seeds: tf.Tensor) -> tf.Tensor:
    """The crops of many small images of one shape at once, ten times as fast as one by one.

    `finish_view` makes the views of `make_view` from them, in 8 bits they are those of `host_view`.

    Args:
      images: (B, H, W, C), uint8, uint16, or float32 in [0, 1]; one channel is repeated.
      recipe: one that starts with a `Crop`.
      seeds: int32 (B, 2).

    Returns:
      float32 planes (B, C, size, size) in [0, 1].

    Raises:
      ValueError: the recipe does not start with a `Crop`.
    """
    crop, images = recipe.parts[0], _colour(images)
    if not isinstance(crop, Crop):
        raise ValueError(f"crop_batch: the recipe starts with {type(crop).__name__}, not with Crop")
    boxes = crop_box.random_box(tf.shape(images)[1:3], crop, crop_box.uniforms(seeds)[1])
    return resize.resize_boxes(images, boxes, recipe.size, crop.method)


@_plain
def finish_view(crop: tf.Tensor, recipe: Recipe, seed: tf.Tensor) -> tf.Tensor:
    """The parts of a recipe after its crop, and the normalisation.

    Args:
      crop: float32 planes (C, size, size) in [0, 1].
      recipe, seed: as `make_view`.

    Returns:
      float32 (size, size, C), normalised.
    """
    parts = recipe.parts[recipe.crop_index + 1 :]
    view = _apply(crop, recipe, parts, seed)
    return ops.to_image(ops.normalize(view, recipe.mean, recipe.std))


@functools.lru_cache(maxsize=64)
def traced(
    make: Callable[[tf.Tensor, Recipe, tf.Tensor], tf.Tensor], recipe: Recipe
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A recipe as a TensorFlow function that is traced once per process: it takes up to a second.

    Args:
      make: `make_view`, `host_view` or `finish_view`.
      recipe: of the views.

    Returns:
      (image, seed) -> view.
    """
    return tf.function(lambda image, seed: make(image, recipe, seed), autograph=False)


def _colour(images: tf.Tensor) -> tf.Tensor:
    return tf.concat([images] * 3, axis=-1) if images.shape[-1] == 1 else images


def _crop(
    image: tf.Tensor, recipe: Recipe, seed: tf.Tensor, channels_last: bool = False
) -> tf.Tensor:
    """The parts up to the crop: planes (C, size, size), or an image."""
    image, part = _colour(image), recipe.parts[recipe.crop_index]
    if recipe.crop_index > 0:
        before = recipe.parts[: recipe.crop_index]
        image = ops.to_image(_apply(ops.from_image(image), recipe, before, seed))
    if isinstance(part, CenterCrop):
        squash, shape = part.squash, tf.shape(image)
        where = {} if squash else resize.center(shape, recipe.size, part.fraction)
    else:
        where = {"box": crop_box.random_box(tf.shape(image), part, crop_box.uniforms(seed)[1])}
    size = (recipe.size, recipe.size)
    return resize.resize(image, size, part.method, **where, channels_last=channels_last)


def _apply(view: tf.Tensor, recipe: Recipe, parts: tuple[Part, ...], seed: tf.Tensor) -> tf.Tensor:
    """These parts of the recipe, none of them a crop."""
    if not parts:
        return view
    chosen = parameters(recipe, tf.unstack(crop_box.uniforms(seed)[0]))
    for part in parts:
        normal = None
        if isinstance(part, Noise):
            normal = tf.random.stateless_normal(tf.shape(view)[1:], seed, alg="philox")
        view = apply_part(view, part, chosen, normal)
    return view


@_plain
def apply_part(
    view: tf.Tensor, part: Part, chosen: dict, normal: tf.Tensor | None = None
) -> tf.Tensor:
    """One part of a recipe with given choices; what is not chosen costs nothing.

    Args:
      view: float32 planes (C, H, W) in [0, 1].
      part: anything but a crop.
      chosen: scalars, from `jax_bt.augment.choices.parameters`.
      normal: float32 (H, W) standard normal numbers, for `Noise`.

    Returns:
      float32 (C, H, W) in [0, 1].
    """

    def when(name, operation, *numbers):
        if part.p == 1.0:
            return operation(view, *numbers)
        return tf.cond(chosen[name], lambda: operation(view, *numbers), lambda: view)

    match part:
        case Flip():
            return when("flip", ops.horizontal_flip)
        case Jitter():
            return when("jitter", jitter, part, chosen)
        case Grayscale():
            return when("grayscale", ops.grayscale)
        case Blur():
            return when("blur", ops.gaussian_blur, chosen["sigma"])
        case Solarize():
            return when("solarize", ops.solarize, part.threshold)
        case Affine():
            names = ("angle", "zoom", "shift_y", "shift_x")
            return when("affine", ops.affine, *(chosen[name] for name in names))
        case Noise():
            return when("noise", ops.noise, normal, chosen["std"])
        case _:
            raise TypeError(f"{type(part).__name__} is a crop: not a part of `apply_part`")


def jitter(view: tf.Tensor, part: Jitter, chosen: dict) -> tf.Tensor:
    """Brightness, contrast, saturation and hue in the chosen order.

    Args:
      view: float32 planes (3, H, W) in [0, 1].
      part: which of the four there are (a zero spread is left out).
      chosen: "order", "brightness", "contrast", "saturation", "hue".

    Returns:
      float32 (3, H, W) in [0, 1].
    """
    operations = [
        (part.brightness, ops.brightness_additive if part.additive else ops.brightness),
        (part.contrast, ops.contrast),
        (part.saturation, ops.saturation),
        (part.hue, ops.hue),
    ]
    numbers = [chosen[name] for name in ("brightness", "contrast", "saturation", "hue")]

    def branch(spread, operation, number, now):
        return lambda: operation(now, number) if spread else now

    order = tf.unstack(tf.gather(np.array(ORDERS, np.int32), tf.cast(chosen["order"], tf.int32)))
    for which in order:
        branches = [branch(*each, n, view) for each, n in zip(operations, numbers, strict=True)]
        view = tf.switch_case(which, branches)
    return view
