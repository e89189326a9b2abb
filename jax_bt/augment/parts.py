"""The parts of a view and the recipe that lists them, as frozen records of numbers.

A `Recipe` lists parts in the order in which they are applied; the code that applies them is
`augment.host.view` (TensorFlow, on the host) and `augment.device.view` (JAX, on the device).
Probabilities are per example; angles are degrees; sigma is pixels of the view; shifts are
fractions of its side; everything else is in the [0, 1] scale of the image.
"""

import dataclasses
from typing import ClassVar

from jax_bt.errors import UsageError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Crop:
    """Random resized crop: area fraction ~ U[scale], log(width / height) ~ U[log ratio]."""

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    method: str = "bicubic"


@dataclasses.dataclass(frozen=True)
class CenterCrop:
    """Shorter side to size / fraction, then the central size x size (0.875: 256 and 224).

    With `squash` the whole image becomes size x size, whatever its shape.
    """

    fraction: float = 1.0
    method: str = "bicubic"
    squash: bool = False


@dataclasses.dataclass(frozen=True)
class Flip:
    """Horizontal flip."""

    p: float = 0.5


@dataclasses.dataclass(frozen=True)
class Jitter:
    """Colour jitter in random order: factors ~ U[max(0, 1 - x), 1 + x], hue shift ~ U[-hue, hue].

    With `additive`, brightness adds U[-brightness, brightness] instead (SimCLR v1).
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.2
    hue: float = 0.1
    p: float = 0.8
    additive: bool = False


@dataclasses.dataclass(frozen=True)
class Grayscale:
    """ITU-R 601 luma in all three channels."""

    p: float = 0.2


@dataclasses.dataclass(frozen=True)
class Blur:
    """Gaussian blur as Pillow does it, sigma ~ U[sigma] pixels."""

    p: float = 0.5
    sigma: tuple[float, float] = (0.1, 2.0)


@dataclasses.dataclass(frozen=True)
class Solarize:
    """Values at and above `threshold` are inverted."""

    p: float = 0.2
    threshold: float = 0.5


@dataclasses.dataclass(frozen=True)
class Affine:
    """Rotation ~ U[-rotate, rotate] degrees, zoom ~ U[zoom], shift ~ U[-shift, shift] per axis."""

    rotate: float = 10.0
    zoom: tuple[float, float] = (0.9, 1.1)
    shift: float = 0.1
    p: float = 1.0


@dataclasses.dataclass(frozen=True)
class Noise:
    """Added Gaussian noise of standard deviation ~ U[std], the same in all channels."""

    std: tuple[float, float] = (0.0, 0.1)
    p: float = 1.0


PARTS = {
    "crop": Crop,
    "center_crop": CenterCrop,
    "flip": Flip,
    "jitter": Jitter,
    "grayscale": Grayscale,
    "blur": Blur,
    "solarize": Solarize,
    "affine": Affine,
    "noise": Noise,
}
# They mix red, green and blue, and mean nothing for another number of channels.
COLOUR = (Jitter, Grayscale)
Part = Crop | CenterCrop | Flip | Jitter | Grayscale | Blur | Solarize | Affine | Noise


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one view of an image is made.

    Args:
      size: side of the square view, pixels.
      parts: applied in this order; each kind at most once, exactly one of `Crop` and `CenterCrop`.
      mean, std: subtracted and divided at the end, in the [0, 1] scale; one number per channel.
      eval_fraction, eval_method: of the centre crop with which features are evaluated. 0.875 at
        224 pixels is torchvision's Resize(256), CenterCrop(224); 1.0 is the whole image.
      eval_squash: evaluate the whole image squeezed to the square, as a spectrogram is.

    Raises:
      UsageError: a part twice, no crop or two, or a number outside its range.
    """

    size: int
    parts: tuple[Part, ...]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    eval_fraction: float = 0.875
    eval_method: str = "bilinear"
    eval_squash: bool = False

    modality: ClassVar[str] = "image"
    dtype: ClassVar[str] = "float32"
    host_dtype: ClassVar[str] = "uint8"  # with data.device_augment

    def __post_init__(self):
        kinds = [type(part) for part in self.parts]
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise UsageError(f"recipe: {kind.__name__} is given twice; each part at most once")
        if sum(kind in (Crop, CenterCrop) for kind in kinds) != 1:
            raise UsageError("recipe: give exactly one of crop and center_crop")
        if self.size < 1:
            raise UsageError(f"recipe: size must be at least 1 pixel, got {self.size}")
        if not self.mean or len(self.mean) != len(self.std):
            raise UsageError(
                "recipe: mean and std must have one number per channel each, got "
                f"{self.mean} and {self.std}"
            )
        if min(self.std) <= 0:
            raise UsageError(f"recipe: std must be positive, got {self.std}")
        for part in (*self.parts, CenterCrop(self.eval_fraction, self.eval_method)):
            _check(part)
        colour = [type(part).__name__ for part in self.parts if isinstance(part, COLOUR)]
        if colour and self.channels != 3:
            raise UsageError(
                f"recipe: {' and '.join(colour)} need 3 channels, mean and std have {self.channels}"
            )

    def get(self, kind: type) -> Part | None:
        """The part of this kind, or None."""
        return next((part for part in self.parts if isinstance(part, kind)), None)

    @property
    def crop_index(self) -> int:
        """Where the crop stands: the host does the parts up to it, the device those after it."""
        return next(i for i, p in enumerate(self.parts) if isinstance(p, Crop | CenterCrop))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one view."""
        return (self.size, self.size, self.channels)

    @property
    def channels(self) -> int:
        """Channels of the images that the recipe is for."""
        return len(self.mean)

    def evaluation(self) -> "Recipe":
        """The recipe for evaluating features: centre crop, the same size and normalisation."""
        crop = CenterCrop(self.eval_fraction, self.eval_method, self.eval_squash)
        return dataclasses.replace(self, parts=(crop,))

    def for_channels(self, channels: int) -> "Recipe":
        """The recipe for images of another number of channels, which are no colours.

        Jitter and grayscale are left out. Mean and std are, in every channel, the average of the
        recipe's own.
        """
        if channels == self.channels:
            return self
        mean, std = (sum(numbers) / len(numbers) for numbers in (self.mean, self.std))
        return dataclasses.replace(
            self,
            parts=tuple(part for part in self.parts if not isinstance(part, COLOUR)),
            mean=(mean,) * channels,
            std=(std,) * channels,
        )


def _check(part: Part) -> None:
    """Raises UsageError with the part's name, its field and the range that is allowed."""
    for field in dataclasses.fields(part):
        name, value = f"recipe: {type(part).__name__}.{field.name}", getattr(part, field.name)
        if field.name == "p" and not 0 <= value <= 1:
            raise UsageError(f"{name} is a probability, got {value}")
        if field.name == "fraction" and not 0 < value <= 1:
            raise UsageError(f"{name} must be in (0, 1], got {value}")
        if field.name == "hue" and not 0 <= value <= 0.5:
            raise UsageError(f"{name} must be in [0, 0.5] of the colour circle, got {value}")
        if field.name == "method" and value not in ("bicubic", "bilinear"):
            raise UsageError(f"{name} must be 'bicubic' or 'bilinear', got {value!r}")
        if isinstance(value, tuple):
            low = 1e-6 if field.name in ("scale", "ratio", "zoom") else 0.0
            if len(value) != 2 or not low <= value[0] <= value[1]:
                raise UsageError(
                    f"{name} must be (low, high) with {low:g} <= low <= high, got {value}"
                )
            if field.name == "scale" and value[1] > 1:
                raise UsageError(f"{name} is a fraction of the image's area, got {value}")
        elif isinstance(value, float | int) and value < 0:
            raise UsageError(f"{name} must not be negative, got {value}")
