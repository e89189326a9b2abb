"""Makes views in JAX inside the compiled step, from the host's 8-bit crops.

The host stops after the crop (`augment.host.view.host_view`). The parts after it and the
normalisation run here, with keys folded from the global example index, so that a view does not
depend on the number of devices. The recipes and the choices are those of the host.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jax_bt.augment.choices import COUNT, ORDERS, parameters
from jax_bt.augment.device import ops
from jax_bt.augment.parts import (
    Affine,
    Blur,
    Flip,
    Grayscale,
    Jitter,
    Noise,
    Recipe,
    Solarize,
)
from jax_bt.augment.places import behind

_HUE = 3
# Where hue stands in each order, and the three others in theirs.
_HUE_AT = tuple(order.index(_HUE) for order in ORDERS)
_OTHERS = tuple(tuple(k for k in order if k != _HUE) for order in ORDERS)


def views(crops: Sequence[Array], index: Array, recipes: Sequence[Any], key: Array) -> tuple:
    """The augmented views of a batch.

    Args:
      crops: per view, uint8 (N, S, S, C) from `host_view`; views of texts are ready.
      index: int (N,), the examples' indices in the data set.
      recipes: one per view.
      key: of the seed and the epoch: `jax.random.fold_in(jax.random.key(seed), epoch)`.

    Returns:
      Per view, float32 (N, S, S, C), normalised.

    Raises:
      ValueError: not as many crops as recipes.
    """
    if len(crops) != len(recipes):
        raise ValueError(f"device augmentation: got {len(crops)} crops for {len(recipes)} recipes")
    return tuple(
        view(crop, index, recipe, jax.random.fold_in(key, number))
        if isinstance(recipe, Recipe)
        else crop
        for number, (crop, recipe) in enumerate(zip(crops, recipes, strict=True))
    )


def placed(
    places: Sequence[Array], index: Array, recipes: Sequence[Recipe], key: Array
) -> tuple[Array, ...]:
    """Where the views of `views` lie in their images, from where the host's crops do.

    Args:
      places: per view, float32 (N, 2, 3) of the crops (``jax_bt.augment.places``).
      index: as of `views`.
      recipes: as of `views`, all of images.
      key: as of `views`.

    Returns:
      Per view, float32 (N, 2, 3).
    """
    return tuple(
        _place(place, index, recipe, jax.random.fold_in(key, number))
        for number, (place, recipe) in enumerate(zip(places, recipes, strict=True))
    )


def _place(place: Array, index: Array, recipe: Recipe, key: Array) -> Array:
    size, parts = float(recipe.size), recipe.parts[recipe.crop_index + 1 :]

    def one(rows, number):
        chosen = _chosen(recipe, jax.random.fold_in(key, number))
        (a, b, c), (d, e, f) = rows
        rows = behind(((a, b, c), (d, e, f)), parts, chosen, (size, size), 1 / size, jnp)
        return jnp.stack([jnp.stack(row) for row in rows])

    return jax.vmap(one)(place, index)


def _chosen(recipe: Recipe, key: Array) -> dict:
    return parameters(recipe, jax.random.uniform(key, (COUNT,)))


def view(crop: Array, index: Array, recipe: Recipe, key: Array) -> Array:
    """One augmented view of each example of a batch.

    Args:
      crop: uint8 (N, S, S, C).
      index: int (N,), the examples' indices in the data set.
      recipe: its parts after the crop are done here.
      key: of the seed, the epoch and the view.

    Returns:
      float32 (N, S, S, C), normalised.
    """
    size = crop.shape[1]

    def one(image, number):
        mine = jax.random.fold_in(key, number)
        chosen = _chosen(recipe, mine)
        normal = None
        if recipe.get(Noise) is not None:
            normal = jax.random.normal(jax.random.fold_in(mine, 1), (size, size))
        return apply(image, recipe, chosen, normal)

    return jax.vmap(one)(crop, index)


def apply(crop: Array, recipe: Recipe, chosen: dict, normal: Array | None = None) -> Array:
    """The parts of a recipe after its crop, with given choices, then (view - mean) / std.

    Args:
      crop: (S, S, C), uint8, or float32 in [0, 1].
      recipe: parts and numbers.
      chosen: scalars, from `jax_bt.augment.choices.parameters`.
      normal: float32 (S, S) standard normal numbers, for `Noise`.

    Returns:
      float32 (S, S, C), normalised.
    """
    image = crop.astype(jnp.float32) / 255.0 if crop.dtype == jnp.uint8 else crop
    for part in recipe.parts[recipe.crop_index + 1 :]:
        image = _part(image, part, chosen, normal)
    return ops.normalize(image, recipe.mean, recipe.std)


def _part(image: Array, part, chosen: dict, normal: Array | None) -> Array:
    def when(name: str, changed: Array) -> Array:
        return changed if part.p == 1.0 else jnp.where(chosen[name], changed, image)

    match part:
        case Flip():
            return when("flip", ops.horizontal_flip(image))
        case Jitter():
            return when("jitter", jitter(image, part, chosen))
        case Grayscale():
            return when("grayscale", ops.grayscale(image))
        case Blur():
            return when("blur", ops.gaussian_blur(image, chosen["sigma"]))
        case Solarize():
            return when("solarize", ops.solarize(image, part.threshold))
        case Affine():
            choice = [chosen[name] for name in ("angle", "zoom", "shift_y", "shift_x")]
            return when("affine", ops.affine(image, *choice))
        case Noise():
            return when("noise", ops.noise(image, jnp.asarray(normal), chosen["std"]))
        case _:
            raise TypeError(f"{type(part).__name__} is a crop, which the host does")


def jitter(image: Array, part: Jitter, chosen: dict) -> Array:
    """Brightness, contrast, saturation and hue in the chosen order, with hue evaluated once.

    A switch over four operations under `vmap` evaluates all four at each of four positions, and
    hue costs as much as the other three. So hue stands in the middle: three positions before it and
    three after take the others, and an operation changes nothing on the side where it does not
    belong. For views of 224 pixels, this and the switch take 0.51 and 0.69 ms per image on a CPU
    core; compiled for a TPU v5e, they access 38 and 46 times the image's bytes and take 1 and 71
    MB of temporaries for 64 images.

    Args:
      image: float32 (S, S, 3) in [0, 1].
      part: which of the four there are (a zero spread is left out).
      chosen: scalars "order", "brightness", "contrast", "saturation", "hue".

    Returns:
      float32 (S, S, 3) in [0, 1].
    """
    row = chosen["order"].astype(jnp.int32)
    hue_at, others = jnp.asarray(_HUE_AT)[row], jnp.asarray(_OTHERS)[row]
    bright = ops.brightness_additive if part.additive else ops.brightness
    operations = (
        (part.brightness, bright, chosen["brightness"]),
        (part.contrast, ops.contrast, chosen["contrast"]),
        (part.saturation, ops.saturation, chosen["saturation"]),
    )

    def other(image: Array, position: int, here: ArrayLike) -> Array:
        out = image
        for number, (spread, operation, factor) in enumerate(operations):
            if spread:
                mine = here & (others[position] == number)
                out = jnp.where(mine, operation(image, factor), out)
        return out

    if not part.hue:
        for position in range(3):
            image = other(image, position, True)
        return image
    for position in range(3):
        image = other(image, position, position < hue_at)
    image = ops.hue(image, chosen["hue"])
    for position in range(3):
        image = other(image, position, position >= hue_at)
    return image
