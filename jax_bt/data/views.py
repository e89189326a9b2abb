"""From a decoded image to a view: TensorFlow, stateless, one example at a time.

In here an image is uint8 (H, W, 3) until its crop and float32 planes (3, H, W) after it
(see `jax_bt.data.planes`).
"""

import math

import numpy as np
import tensorflow as tf

from jax_bt.augment.parameters import COUNT, ORDERS, parameters
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
from jax_bt.data import planes

# The control flow is explicit; AutoGraph cannot read `match` and would only warn.
_plain = tf.autograph.experimental.do_not_convert

TRIES = 10
# Uniform numbers of a box: area and ratio of each try, then top and left.
BOX_COUNT = 2 * TRIES + 2


def uniforms(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The uniform numbers of one view: (COUNT,) for `parameters`, (BOX_COUNT,) for `random_box`.

    Args:
      seed: int (2,), the pair that names the view.

    Returns:
      Two float32 vectors in [0, 1).
    """
    # Philox by name: the default algorithm depends on the machine.
    drawn = tf.random.stateless_uniform((COUNT + BOX_COUNT,), seed, alg="philox")
    return drawn[:COUNT], drawn[COUNT:]


def random_box(shape: tf.Tensor, crop: Crop, uniform: tf.Tensor) -> tf.Tensor:
    """The box of a random resized crop, distributed as torchvision's get_params.

    Ten tries: area ~ U[scale] of the image, log(w / h) ~ U[log ratio], sides rounded; the first
    that fits is placed uniformly. If none fits, the largest central box with the ratio clamped.

    Args:
      shape: int, at least (2,): height and width first.
      crop: scale and ratio.
      uniform: float32 (BOX_COUNT,) in [0, 1).

    Returns:
      int32 (4,): top, left, height, width.
    """
    high, wide = tf.cast(shape[0], tf.int32), tf.cast(shape[1], tf.int32)
    high_f, wide_f = tf.cast(high, tf.float32), tf.cast(wide, tf.float32)
    low, up = math.log(crop.ratio[0]), math.log(crop.ratio[1])
    areas, logs = uniform[:TRIES], uniform[TRIES : 2 * TRIES]
    areas = high_f * wide_f * (crop.scale[0] + (crop.scale[1] - crop.scale[0]) * areas)
    ratios = tf.exp(low + (up - low) * logs)
    widths = tf.cast(tf.round(tf.sqrt(areas * ratios)), tf.int32)
    heights = tf.cast(tf.round(tf.sqrt(areas / ratios)), tf.int32)
    fits = (widths > 0) & (widths <= wide) & (heights > 0) & (heights <= high)
    first = tf.argmax(fits)  # the first True

    ratio = wide_f / high_f
    fall_height = tf.where(
        ratio < crop.ratio[0], tf.cast(tf.round(wide_f / crop.ratio[0]), tf.int32), high
    )
    fall_width = tf.where(
        ratio > crop.ratio[1], tf.cast(tf.round(high_f * crop.ratio[1]), tf.int32), wide
    )
    found = tf.reduce_any(fits)
    height = tf.where(found, heights[first], fall_height)
    width = tf.where(found, widths[first], fall_width)

    def place(room, number):
        room = tf.cast(room, tf.float32)
        # U rounds up to 1 - 2^-24 at most, but U * (room + 1) may round to room + 1.
        return tf.cast(tf.minimum(tf.floor(number * (room + 1)), room), tf.int32)

    top = tf.where(found, place(high - height, uniform[-2]), (high - height) // 2)
    left = tf.where(found, place(wide - width, uniform[-1]), (wide - width) // 2)
    return tf.stack([top, left, height, width])


@_plain
def sample_box(shape: tf.Tensor, recipe: Recipe, seed: tf.Tensor) -> tf.Tensor:
    """The box that `make_view` will crop, for a decoder which reads only that part of a file.

    Args:
      shape: int, at least (2,): the image's height and width.
      recipe: one whose first part is a `Crop`.
      seed: int (2,), the one given to `make_view`.

    Returns:
      int32 (4,): top, left, height, width.

    Raises:
      ValueError: the recipe does not start with a `Crop`.
    """
    if not isinstance(recipe.parts[0], Crop):
        raise ValueError(
            f"recipe starts with {type(recipe.parts[0]).__name__}: only one that starts with Crop "
            "can be decoded by its box; decode the whole image"
        )
    return random_box(shape, recipe.parts[0], uniforms(seed)[1])


@_plain
def make_view(
    image: tf.Tensor, recipe: Recipe, seed: tf.Tensor, cropped: bool = False
) -> tf.Tensor:
    """One view of an image: every part of the recipe, then (view - mean) / std.

    Args:
      image: uint8 (H, W, 3), or float32 in [0, 1]; one channel is repeated.
      recipe: parts and numbers.
      seed: int (2,); the view depends on it and on nothing else.
      cropped: the image is already the contents of `sample_box` (not yet resized).

    Returns:
      float32 (size, size, 3), normalised.

    Raises:
      ValueError: `cropped` with a recipe that does not start with a `Crop`.
    """
    view = _apply(image, recipe, seed, cropped, recipe.parts)
    return planes.to_image(normalize(view, recipe))


@_plain
def host_view(
    image: tf.Tensor, recipe: Recipe, seed: tf.Tensor, cropped: bool = False
) -> tf.Tensor:
    """The host's share of a view: the parts up to the crop, in 8 bits.

    `jax_bt.augment.device` does the rest inside the compiled step.

    Args:
      image, recipe, seed, cropped: as `make_view`.

    Returns:
      uint8 (size, size, 3).

    Raises:
      ValueError: as `make_view`.
    """
    view = _apply(image, recipe, seed, cropped, recipe.parts[: recipe.crop_index + 1])
    return planes.to_image(tf.cast(view * 255.0 + 0.5, tf.uint8))


def normalize(view: tf.Tensor, recipe: Recipe) -> tf.Tensor:
    """(view - mean) / std of (3, H, W) planes, as one product and one difference."""
    mean, std = (np.asarray(v, np.float32)[:, None, None] for v in (recipe.mean, recipe.std))
    return view * (1 / std) - mean / std


def _apply(image, recipe: Recipe, seed, cropped: bool, parts) -> tf.Tensor:
    """The given first parts of the recipe: planes (3, size, size)."""
    if cropped and not isinstance(recipe.parts[0], Crop):
        raise ValueError("cropped=True needs a recipe that starts with Crop")
    if image.shape[-1] == 1:
        image = tf.repeat(image, 3, axis=-1)
    uniform, box_uniform = uniforms(seed)
    chosen = parameters(recipe, tf.unstack(uniform))
    for number, part in enumerate(parts):
        if isinstance(part, Crop) and cropped:
            image = planes.resize(image, recipe.size, recipe.size, part.method)
        elif isinstance(part, Crop):
            box = random_box(tf.shape(image), part, box_uniform)
            image = planes.resized_crop(image, box, recipe.size, part.method)
        elif isinstance(part, CenterCrop):
            image = planes.center_crop(image, recipe.size, part.fraction, part.method)
        elif number < recipe.crop_index:
            image = planes.to_image(apply_part(planes.from_uint8(image), part, chosen))
        else:
            normal = None
            if isinstance(part, Noise):
                normal = tf.random.stateless_normal((recipe.size,) * 2, seed, alg="philox")
            image = apply_part(image, part, chosen, normal)
    return image


@_plain
def apply_part(
    view: tf.Tensor, part: Part, chosen: dict, normal: tf.Tensor | None = None
) -> tf.Tensor:
    """One part of a recipe with given choices; what is not chosen costs nothing.

    Args:
      view: float32 (3, H, W) in [0, 1].
      part: anything but a crop.
      chosen: scalars, from `jax_bt.augment.parameters.parameters`.
      normal: float32 (H, W) standard normal numbers, for `Noise`.

    Returns:
      float32 (3, H, W) in [0, 1].
    """

    def when(name, operation, *numbers):
        if part.p == 1.0:
            return operation(view, *numbers)
        return tf.cond(chosen[name], lambda: operation(view, *numbers), lambda: view)

    match part:
        case Flip():
            return when("flip", planes.horizontal_flip)
        case Jitter():
            return when("jitter", jitter, part, chosen)
        case Grayscale():
            return when("grayscale", planes.grayscale)
        case Blur():
            return when("blur", planes.gaussian_blur, chosen["sigma"])
        case Solarize():
            return when("solarize", planes.solarize, part.threshold)
        case Affine():
            names = ("angle", "zoom", "shift_y", "shift_x")
            return when("affine", planes.affine, *(chosen[name] for name in names))
        case Noise():
            return when("noise", lambda x: planes.clip(x + chosen["std"] * normal))
        case _:
            raise TypeError(f"{type(part).__name__} is not a part of the colour of a view")


def jitter(view: tf.Tensor, part: Jitter, chosen: dict) -> tf.Tensor:
    """Brightness, contrast, saturation and hue in the chosen order.

    Args:
      view: float32 (3, H, W) in [0, 1].
      part: which of the four there are (a zero spread is left out).
      chosen: "order", "brightness", "contrast", "saturation", "hue".

    Returns:
      float32 (3, H, W) in [0, 1].
    """
    operations = [
        (part.brightness, planes.brightness_additive if part.additive else planes.brightness),
        (part.contrast, planes.contrast),
        (part.saturation, planes.saturation),
        (part.hue, planes.hue),
    ]
    numbers = [chosen[name] for name in ("brightness", "contrast", "saturation", "hue")]

    def branch(spread, operation, number, now):
        return lambda: operation(now, number) if spread else now

    order = tf.unstack(tf.gather(np.array(ORDERS, np.int32), tf.cast(chosen["order"], tf.int32)))
    for which in order:
        branches = [branch(*each, n, view) for each, n in zip(operations, numbers, strict=True)]
        view = tf.switch_case(which, branches)
    return view
