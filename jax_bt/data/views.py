"""From a decoded image to a view: TensorFlow, stateless, one example at a time."""

import math

import tensorflow as tf

from jax_bt.augment.parameters import COUNT, ORDERS, parameters
from jax_bt.augment.parts import (
    Affine,
    Blur,
    Crop,
    Flip,
    Grayscale,
    Jitter,
    Noise,
    Recipe,
    Solarize,
)
from jax_bt.data import ops

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
    return normalize(_apply(image, recipe, seed, cropped, len(recipe.parts)), recipe)


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
    view = _apply(image, recipe, seed, cropped, recipe.crop_index + 1)
    return tf.cast(tf.round(view * 255.0), tf.uint8)


def normalize(image: tf.Tensor, recipe: Recipe) -> tf.Tensor:
    """(image - mean) / std per channel, as one product and one difference."""
    mean, std = tf.constant(recipe.mean), tf.constant(recipe.std)
    return image * (1.0 / std) - mean / std


def _apply(image, recipe: Recipe, seed, cropped: bool, stop: int) -> tf.Tensor:
    """The first `stop` parts of the recipe."""
    if cropped and not isinstance(recipe.parts[0], Crop):
        raise ValueError("cropped=True needs a recipe that starts with Crop")
    if image.shape[-1] == 1:
        image = tf.repeat(image, 3, axis=-1)
    uniform, box_uniform = uniforms(seed)
    chosen = parameters(recipe, uniform)
    for part in recipe.parts[:stop]:
        if isinstance(part, Crop):
            shape = tf.shape(image)
            box = (0, 0, shape[0], shape[1]) if cropped else random_box(shape, part, box_uniform)
            image = ops.resized_crop(image, box, recipe.size, part.method)
        else:
            if not image.dtype.is_floating and not hasattr(part, "fraction"):
                image = tf.cast(image, tf.float32) / 255.0
            normal = None
            if isinstance(part, Noise):
                shape = tf.concat([tf.shape(image)[:2], [1]], 0)
                normal = tf.random.stateless_normal(shape, seed, alg="philox")
            image = apply_part(image, recipe, part, chosen, normal)
    return image


@_plain
def apply_part(
    image: tf.Tensor, recipe: Recipe, part, chosen: dict, normal: tf.Tensor | None = None
) -> tf.Tensor:
    """One part of a recipe with given choices; what is not chosen costs nothing.

    Args:
      image: float32 (H, W, 3) in [0, 1] (uint8 too for a `CenterCrop`).
      recipe: the recipe that `part` belongs to.
      part: anything but a `Crop`.
      chosen: from `parameters`.
      normal: float32 (H, W, 1) standard normal numbers, for `Noise`.

    Returns:
      float32 (H, W, 3) in [0, 1].
    """

    def when(name, operation):
        if getattr(part, "p", 1.0) == 1.0:
            return operation(image)
        return tf.cond(chosen[name], lambda: operation(image), lambda: image)

    match part:
        case Flip():
            return when("flip", ops.horizontal_flip)
        case Jitter():
            return when("jitter", lambda x: jitter(x, part, chosen))
        case Grayscale():
            return when("grayscale", ops.grayscale)
        case Blur():
            return when("blur", lambda x: ops.gaussian_blur(x, chosen["sigma"]))
        case Solarize():
            return when("solarize", lambda x: ops.solarize(x, part.threshold))
        case Affine():
            choice = [chosen[name] for name in ("angle", "zoom", "shift_y", "shift_x")]
            return when("affine", lambda x: ops.affine(x, *choice))
        case Noise():
            return when("noise", lambda x: ops.noise(x, normal, chosen["std"]))
        case _:
            return ops.center_crop(image, recipe.size, part.fraction, part.method)


def jitter(image: tf.Tensor, part: Jitter, chosen: dict) -> tf.Tensor:
    """Brightness, contrast, saturation and hue in the chosen order.

    Args:
      image: float32 (H, W, 3) in [0, 1].
      part: which of the four there are (a zero spread is left out).
      chosen: "order", "brightness", "contrast", "saturation", "hue".

    Returns:
      float32 (H, W, 3) in [0, 1].
    """
    bright = ops.brightness_additive if part.additive else ops.brightness
    operations = [
        (part.brightness, bright, "brightness"),
        (part.contrast, ops.contrast, "contrast"),
        (part.saturation, ops.saturation, "saturation"),
        (part.hue, ops.hue, "hue"),
    ]

    def branch(spread, operation, name):
        return lambda: operation(image, chosen[name]) if spread else tf.identity(image)

    order = tf.gather(tf.constant(ORDERS), tf.cast(chosen["order"], tf.int32))
    for position in range(4):
        # `image` is rebound below: the branches of a position are traced before that.
        image = tf.switch_case(order[position], [branch(*each) for each in operations])
    return image
