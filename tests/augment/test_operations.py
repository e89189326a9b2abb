"""The operations of the device and of the host, against each other, torchvision and Pillow.

Tolerances are in grey levels (1/255). Pillow truncates or rounds to 8 bits after each step, which
is its own: at most one level for a blend, more for its 8-bit HSV and its blur in six passes.
"""

import functools
import importlib
import inspect

import jax
import numpy as np
import pytest
import tensorflow as tf

from jax_bt.augment.host import resize

DEVICE = importlib.import_module("jax_bt.augment.device.ops")
HOST = importlib.import_module("jax_bt.augment.host.ops")


class OnImages:
    """The host's operations, of planes, as functions of images and NumPy numbers."""

    def __getattr__(self, name):
        return functools.partial(self._apply, getattr(HOST, name))

    @staticmethod
    def _apply(operation, image, *numbers):
        # TensorFlow does not mix a scalar of float64, as files hold them, with float32.
        numbers = [np.asarray(n, np.float32) if np.ndim(n) or n != 0.5 else n for n in numbers]
        return HOST.to_image(operation(HOST.from_image(image), *numbers)).numpy()


BOTH = pytest.mark.parametrize("ops", [DEVICE, OnImages()], ids=["device", "host"])

# Operation: largest and mean distance to Pillow, largest to torchvision's float32 tensors.
# brightness and the blends: Pillow truncates (1 level), and rounds the grey it blends with
# (0.5 |1 - factor|). torchvision's float luma has 0.2989 for red where Pillow and we have 0.299,
# which a blend scales by |1 - factor|. Hue: Pillow's H and S have 8 bits.
COLOR = {
    "brightness": (1.0, 0.5, 1e-4),
    "contrast": (1.2, 0.5, 0.02),
    "saturation": (1.2, 0.5, 0.03),
    "hue": (8.0, 0.8, 1e-3),
}


def levels(actual, expected):
    """Absolute differences in grey levels."""
    expected = np.asarray(expected, np.float64) / (255 if expected.dtype == np.uint8 else 1)
    return np.abs(np.asarray(actual, np.float64) - expected) * 255


def apply(operation, images, *numbers):
    return np.stack([operation(image, *numbers) for image in images])


@pytest.fixture(scope="module")
def images(golden):
    return (golden("augment_color")["images"] / 255).astype(np.float32)


@BOTH
@pytest.mark.parametrize("name", COLOR)
def test_colour_against_pillow_and_torchvision(golden, images, ops, name):
    data, operation = golden("augment_color"), getattr(ops, name)
    most, mean, to_float = COLOR[name]
    factors = data[f"{name}_factors"].astype(np.float32)
    for factor, pillow in zip(factors, data[f"{name}_pil"], strict=True):
        distance = levels(apply(operation, images, factor), pillow)
        assert distance.max() < most, factor
        assert distance.mean() < mean, factor
    torchvision = data[f"{name}_float"][0]  # the last factor, the first image
    assert levels(apply(operation, images[:1], factors[-1]), torchvision).max() < to_float


@BOTH
def test_grayscale(golden, images, ops):
    data, grey = golden("augment_gray_solarize"), apply(ops.grayscale, images)
    assert levels(grey, data["gray_pil"]).max() < 0.51  # one rounding
    assert levels(grey[:1], data["gray_float"]).max() < 0.03  # 0.2989 for 0.299
    assert (grey[..., :1] == grey).all()


@BOTH
def test_solarize_and_flip_are_exact(golden, images, ops):
    data = golden("augment_gray_solarize")
    assert levels(apply(ops.solarize, images), data["solarize_pil"]).max() < 1e-3
    assert levels(apply(ops.horizontal_flip, images[:1]), data["hflip_pil"]).max() < 1e-3


@BOTH
def test_solarize_threshold(ops):
    grey = np.arange(256, dtype=np.float32) / 255
    image = np.broadcast_to(grey[None, :, None], (1, 256, 3))
    out = np.asarray(ops.solarize(image))[0, :, 0] * 255
    np.testing.assert_allclose(out[:128], np.arange(128), atol=1e-4)
    np.testing.assert_allclose(out[128:], 255 - np.arange(128, 256), atol=1e-4)
    low = np.asarray(ops.solarize(image, 0.25))[0, :, 0]
    np.testing.assert_allclose(low, np.where(grey < 0.25, grey, 1 - grey), atol=1e-6)
    np.testing.assert_allclose(ops.solarize(image, 1.1), image)


@BOTH
def test_blur_is_pillows(golden, images, ops):
    """Pillow rounds to 8 bits after each of six passes: up to 2.4 levels, half a level on average.

    True Gaussians differ from all that by their shape (mean 0.05 to 0.32 levels, inside 3) and at
    the borders, where Pillow repeats the edge pixel in every pass (up to 15 against repeated
    edges, 27 against reflected ones).
    """
    data = golden("augment_blur")
    for sigma, pillow in zip(data["sigmas"].astype(np.float32), data["blur_pil"], strict=True):
        distance = levels(apply(ops.gaussian_blur, images, sigma), pillow)
        assert distance.max() < 2.5, sigma
        assert distance.mean() < 0.55, sigma
    for number, sigma in enumerate(data["sigmas"][[1, 3]].astype(np.float32)):
        blurred = apply(ops.gaussian_blur, images[:1], sigma)
        for gaussian in ("blur_tv_k23", "blur_scipy_edge"):
            distance = levels(blurred, data[gaussian][number])
            assert distance.mean() < 0.4
            assert distance[:, 8:-8, 8:-8].max() < 3.5


@BOTH
def test_blur_keeps_sums_and_has_the_variance_asked_for(ops):
    point = np.zeros((65, 41, 3), np.float32)
    point[32, 20] = 1
    for sigma in (0.1, 0.7, 1.3, 2.0, 4.5):
        spread = np.asarray(ops.gaussian_blur(point, np.float32(sigma)), np.float64)[..., 0]
        down, across = np.arange(65) - 32, np.arange(41) - 20
        np.testing.assert_allclose(spread.sum(), 1, rtol=1e-5)
        np.testing.assert_allclose((spread.sum(1) * down**2).sum(), sigma**2, rtol=1e-3)
        np.testing.assert_allclose((spread.sum(0) * across**2).sum(), sigma**2, rtol=1e-3)
    np.testing.assert_allclose(ops.gaussian_blur(point, np.float32(0)), point)
    flat = np.full((9, 7, 3), 0.25, np.float32)  # wider than the image: edges repeat
    np.testing.assert_allclose(ops.gaussian_blur(flat, np.float32(3)), flat, rtol=1e-5)


@BOTH
def test_a_whole_chain(golden, ops):
    """The reference's chain; its seven roundings add up, hue's the most."""
    data = golden("augment_chain")
    out = []
    for image in data["images"]:
        view = resize.resize(image, (48, 48), "bicubic", box=(6, 4, 50, 44), channels_last=True)
        view = view.numpy()
        view = ops.brightness(ops.horizontal_flip(view), 1.25)
        view = ops.saturation(ops.contrast(view, 0.8), 1.15)
        view = ops.solarize(ops.gaussian_blur(ops.hue(view, 0.07), 0.9))
        out.append((np.asarray(view) - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225])
    distance = np.abs(np.stack(out) - data["out"]) * [0.229, 0.224, 0.225] * 255
    assert distance.max() < 10
    assert distance.mean() < 2


@BOTH
def test_neutral_numbers_change_nothing(images, ops):
    image = images[0]
    for name, neutral in {
        "brightness": 1.0,
        "contrast": 1.0,
        "saturation": 1.0,
        "hue": 0.0,
    }.items():
        np.testing.assert_allclose(getattr(ops, name)(image, neutral), image, atol=1e-6)
    np.testing.assert_allclose(ops.brightness_additive(image, 0.0), image)
    np.testing.assert_allclose(ops.affine(image, 0.0, 1.0, 0.0, 0.0), image, atol=1e-5)
    np.testing.assert_allclose(ops.noise(image, np.zeros((64, 64), np.float32), 1.0), image)


@BOTH
def test_results_are_clipped(images, ops):
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(64, 64)).astype(np.float32)
    for out in (
        ops.brightness(images[0], 3.0),
        ops.brightness_additive(images[0], -0.6),
        ops.contrast(images[0], 4.0),
        ops.saturation(images[0], 9.0),
        ops.noise(images[0], normal, 0.5),
    ):
        out = np.asarray(out)
        assert out.min() >= 0 and out.max() <= 1
        assert (out == 0).any() or (out == 1).any()


@BOTH
def test_hue_of_grey_and_of_primaries(ops):
    grey = np.repeat(np.linspace(0, 1, 16, dtype=np.float32)[None, :, None], 3, axis=-1)
    np.testing.assert_allclose(ops.hue(grey, 0.3), grey, atol=1e-6)
    red, green, blue = np.eye(3, dtype=np.float32)[:, None, None]
    np.testing.assert_allclose(ops.hue(red, 1 / 3), green, atol=1e-5)
    np.testing.assert_allclose(ops.hue(green, 1 / 3), blue, atol=1e-5)
    np.testing.assert_allclose(ops.hue(red, -1 / 3), blue, atol=1e-5)
    np.testing.assert_allclose(ops.hue(red, 0.5), 1 - red, atol=1e-5)


@BOTH
def test_affine_moves_turns_and_enlarges(ops):
    image = np.zeros((9, 9, 3), np.float32)
    image[2, 4] = 1  # above the centre
    shifted = np.asarray(ops.affine(image, 0.0, 1.0, 1 / 9, 2 / 9))
    assert shifted[3, 6, 0] == pytest.approx(1, abs=1e-5)
    turned = np.asarray(ops.affine(image, np.float32(np.pi / 2), 1.0, 0.0, 0.0))
    assert turned[4, 2, 0] == pytest.approx(1, abs=1e-5)  # counter-clockwise: to the left
    enlarged = np.asarray(ops.affine(image, 0.0, 2.0, 0.0, 0.0))
    assert enlarged[0, 4, 0] == pytest.approx(1, abs=1e-5)
    assert np.asarray(ops.affine(image, 0.0, 1.0, 0.9, 0.0)).max() == 0  # black comes in


# Arguments of every operation; the affine's shifts and angle lie between pixels.
RANDOM = np.random.default_rng(1)
NORMAL = RANDOM.normal(size=(17, 23)).astype(np.float32)
ARGUMENTS = {
    "clip": (),
    "normalize": ((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)),
    "brightness": (1.37,),
    "brightness_additive": (-0.21,),
    "contrast": (1.62,),
    "saturation": (0.55,),
    "hue": (-0.34,),
    "grayscale": (),
    "solarize": (0.6,),
    "gaussian_blur": (1.7,),
    "horizontal_flip": (),
    "affine": (0.3, 1.2, 0.1, -0.2),
    "noise": (NORMAL, 0.1),
}


def operations(module):
    """The public functions of a module whose first argument is an image or its planes."""
    found = inspect.getmembers(module, inspect.isfunction)
    found = {n: f for n, f in found if not n.startswith("_") and f.__module__ == module.__name__}
    return {n: list(inspect.signature(f).parameters) for n, f in found.items()}


def test_host_and_device_have_the_same_operations():
    ours, theirs = operations(DEVICE), operations(HOST)
    assert ours.keys() == ARGUMENTS.keys()
    assert theirs.keys() - ours.keys() == {"from_image", "to_image", "to_uint8"}
    for name in ours:
        assert (ours[name][0], theirs[name][0]) == ("image", "planes")
        assert ours[name][1:] == theirs[name][1:]


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_twins_agree(name):
    """On an image that is not square, to float32 rounding."""
    image = np.random.default_rng(2).uniform(size=(17, 23, 3)).astype(np.float32)
    numbers = [np.float32(n) if isinstance(n, float) else n for n in ARGUMENTS[name]]
    operation, twin = getattr(DEVICE, name), getattr(HOST, name)
    ours = jax.jit(lambda x: operation(x, *numbers))(image)
    theirs = HOST.to_image(twin(HOST.from_image(image), *numbers)).numpy()
    assert ours.dtype == theirs.dtype == np.float32
    # The affine reads at coordinates whose rounding the steepest edge multiplies.
    np.testing.assert_allclose(ours, theirs, atol=2e-5)


@pytest.mark.parametrize(
    "name", sorted(ARGUMENTS.keys() - {"contrast", "saturation", "hue", "grayscale", "normalize"})
)
def test_other_numbers_of_channels(name):
    """Five channels are worked on as each alone would be."""
    image = np.random.default_rng(3).uniform(size=(17, 23, 5)).astype(np.float32)
    numbers = [np.float32(n) if isinstance(n, float) else n for n in ARGUMENTS[name]]
    for ops in (DEVICE, OnImages()):
        operation = getattr(ops, name)
        whole = np.asarray(operation(image, *numbers))
        for channel in range(5):
            alone = operation(image[..., channel : channel + 1], *numbers)
            np.testing.assert_allclose(whole[..., channel : channel + 1], alone, atol=1e-5)


def test_hue_equals_tensorflows_own():
    image = np.random.default_rng(3).uniform(size=(21, 20, 3)).astype(np.float32)
    for delta in (-0.5, -0.07, 0.2, 0.5):
        expected = tf.image.adjust_hue(image, delta)
        np.testing.assert_allclose(OnImages().hue(image, delta), expected, atol=2e-6)
