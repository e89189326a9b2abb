"""The recipe tables and what a config may make of them."""

import dataclasses

import pytest

from jax_bt import augment
from jax_bt.augment import (
    Affine,
    Blur,
    CenterCrop,
    Crop,
    Flip,
    Grayscale,
    Jitter,
    Noise,
    Recipe,
    Solarize,
)

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def kinds(recipe):
    return [type(part) for part in recipe.parts]


def test_barlow_is_the_reference_pair():
    a, b = augment.recipes("barlow", size=224)
    assert a.get(Crop) == b.get(Crop) == Crop((0.08, 1.0), (3 / 4, 4 / 3), "bicubic")
    assert a.get(Jitter) == b.get(Jitter) == Jitter(0.4, 0.4, 0.2, 0.1, p=0.8)
    assert a.get(Flip).p == b.get(Flip).p == 0.5
    assert a.get(Grayscale).p == b.get(Grayscale).p == 0.2
    assert (a.get(Blur), b.get(Blur)) == (Blur(1.0, (0.1, 2.0)), Blur(0.1, (0.1, 2.0)))
    assert (a.get(Solarize), b.get(Solarize)) == (None, Solarize(0.2, 0.5))
    assert (a.mean, a.std) == IMAGENET
    assert kinds(b) == [Crop, Flip, Jitter, Grayscale, Blur, Solarize]
    assert augment.recipes("byol") == augment.recipes("vicreg") == (a, b)


def test_vicreg_paper_is_symmetric():
    a, b = augment.recipes("vicreg_paper")
    assert a == b
    assert (a.get(Blur).p, a.get(Solarize).p) == (0.5, 0.1)


def test_simclr_adds_brightness_in_its_first_version_only():
    (a, _), (old, _) = augment.recipes("simclr"), augment.recipes("simclr_v1")
    assert a.get(Jitter) == Jitter(0.8, 0.8, 0.8, 0.2, p=0.8)
    assert old.get(Jitter) == dataclasses.replace(a.get(Jitter), additive=True)
    assert (a.mean, a.std) == ((0.0,) * 3, (1.0,) * 3)


def test_swav_has_eight_views_of_two_sizes():
    views = augment.recipes("swav", size=224)
    assert [view.size for view in views] == [224, 224] + [96] * 6
    assert [view.get(Crop).scale for view in views] == [(0.14, 1.0)] * 2 + [(0.05, 0.14)] * 6


def test_orders_of_the_references():
    assert kinds(augment.recipes("moco_v2")[0])[-1] is Flip
    assert kinds(augment.recipes("moco_v3")[1])[-2:] == [Solarize, Flip]
    assert kinds(augment.recipes("w_mse")[0])[:3] == [Jitter, Grayscale, Crop]
    assert augment.recipes("w_mse")[0].crop_index == 2


def test_removals_of_figure_3():
    def parts(name):
        return [kinds(view) for view in augment.recipes(name)]

    baseline = parts("barlow")
    assert parts("barlow_no_grayscale") == [[k for k in v if k is not Grayscale] for v in baseline]
    assert parts("barlow_no_color") == [
        [k for k in v if k not in (Grayscale, Jitter)] for v in baseline
    ]
    assert parts("barlow_crop_blur") == [[Crop, Blur]] * 2
    assert parts("barlow_crop") == [[Crop]] * 2


@pytest.mark.parametrize("name", [name for name in augment.names() if name.startswith("cifar_")])
def test_cifar_recipes_do_not_blur(name):
    for view in augment.recipes(name, size=32):
        assert view.get(Blur) is None
        assert view.size == 32
        assert view.evaluation().parts[0].fraction == 1.0
        own_mean = name != "cifar_lightly"
        assert (view.mean == (0.4914, 0.4822, 0.4465)) == own_mean


def test_digits_keep_their_side_and_their_grey():
    for size in (8, 16):
        a, b = augment.recipes("digits", size=size)
        assert a == b
        assert a.size == size
        assert a.get(Flip) is None
        assert (a.get(Jitter).saturation, a.get(Jitter).hue) == (0, 0)
        assert a.get(Affine).rotate > 0
        assert a.get(Noise).std[1] > 0


def test_evaluation_keeps_size_and_normalisation():
    for name in ("moco_v2", "barlow"):  # whose crops are bilinear and bicubic
        view = augment.recipes(name, size=224)[0]
        plain = view.evaluation()
        assert plain.parts == (CenterCrop(0.875, "bilinear"),)
        assert (plain.size, plain.mean, plain.std) == (224, view.mean, view.std)
    assert plain == augment.recipes("eval")[0]
    own = augment.recipe_from({"base": "barlow", "eval_fraction": 1.0, "eval_method": "bicubic"})
    assert own.evaluation().parts == (CenterCrop(1.0, "bicubic"),)


def test_other_numbers_of_channels_leave_colours_out(caplog):
    view = augment.recipes("barlow", size=32)[1]
    made = view.for_channels(10)
    assert kinds(made) == [Crop, Flip, Blur, Solarize]
    assert made.channels == made.evaluation().channels == 10
    assert made.mean == pytest.approx((0.449,) * 10, abs=1e-3)  # (0.485 + 0.456 + 0.406) / 3
    assert made.std == pytest.approx((0.226,) * 10, abs=1e-3)
    assert view.for_channels(3) is view
    pair = augment.recipes("barlow", size=32)
    assert augment.for_channels(pair, 10) == tuple(v.for_channels(10) for v in pair)
    (line,) = (r.getMessage() for r in caplog.records)
    assert line.startswith("images of 10 channels: Grayscale and Jitter of the recipe")


def test_unknown_recipe_lists_the_known():
    with pytest.raises(ValueError, match="recipe 'barlo' is not known; there are: barlow, byol"):
        augment.recipes("barlo")


def test_recipe_from_changes_a_base():
    made = augment.recipe_from(
        {"base": "barlow", "view": 1, "size": 96, "jitter": {"hue": 0.0}, "solarize": None}
    )
    base = augment.recipes("barlow", 96)[1]
    jitter = dataclasses.replace(base.get(Jitter), hue=0.0)
    assert made == dataclasses.replace(base, parts=(*base.parts[:2], jitter, *base.parts[3:5]))


def test_recipe_from_builds_with_and_without_an_order():
    description = {"size": 32, "flip": {}, "crop": {"scale": [0.2, 1.0]}, "mean": [0.0] * 3}
    made = augment.recipe_from(description)
    assert made.parts == (Crop(scale=(0.2, 1.0)), Flip())  # the order of augment.PARTS
    assert made.mean == (0.0, 0.0, 0.0)
    turned = augment.recipe_from(description | {"order": ("flip", "crop")})
    assert turned.parts == made.parts[::-1]


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"size": 32, "crop": {}, "blurr": {}}, "no part 'blurr'; there are: .*crop.*blur"),
        ({"size": 32, "crop": {"scal": 1}}, "crop has no 'scal'; it has: scale, ratio, method"),
        ({"size": 32, "crop": 0.5}, "crop must be a mapping of its fields .* or None, got 0.5"),
        ({"crop": {}}, "give its size in pixels"),
        ({"size": 32, "flip": {}}, "exactly one of crop and center_crop"),
        (
            {"size": 32, "crop": {}, "order": ("flip",)},
            "order names 'flip', but",
        ),
        ({"size": 32, "crop": {}, "order": ("crop", "crop")}, "order names 'crop' twice"),
        ({"size": 32, "crop": {}, "flip": {"p": 1.5}}, r"Flip.p is a probability, got 1.5"),
        ({"size": 32, "crop": {"scale": (2, 1)}}, "Crop.scale must be"),
        ({"size": 32, "crop": {"scale": (0.5, 2)}}, "fraction of the image's area"),
        ({"size": 32, "crop": {"method": "cubic"}}, "'bicubic' or 'bilinear', got 'cubic'"),
        ({"size": 32, "crop": {}, "jitter": {"hue": 0.7}}, r"Jitter.hue must be in \[0, 0.5\]"),
        ({"size": 32, "crop": {}, "jitter": {"contrast": -1}}, "contrast must not be negative"),
        ({"size": 32, "center_crop": {"fraction": 0}}, r"fraction must be in \(0, 1\]"),
        ({"size": 0, "crop": {}}, "size must be at least 1"),
        ({"size": 32, "crop": {}, "std": (0, 1, 1)}, "std must be positive"),
        ({"size": 32, "crop": {}, "mean": (0, 1)}, "mean and std must have one number per channel"),
        (
            {"size": 32, "crop": {}, "jitter": {}, "mean": (0, 1), "std": (1, 1)},
            "Jitter need 3 channels, mean and std have 2",
        ),
        ({"size": 32, "crop": {}, "eval_fraction": 0}, r"fraction must be in \(0, 1\], got 0"),
        ({"size": 32, "crop": {}, "eval_method": "cubic"}, "'bicubic' or 'bilinear', got 'cubic'"),
        ({"base": "barlow", "view": 2}, "has views 0 to 1, not 2"),
        ({"base": "nothing"}, "is not known"),
    ],
)
def test_bad_descriptions_get_one_clear_line(description, message):
    with pytest.raises(ValueError, match=message) as caught:
        augment.recipe_from(description)
    assert "\n" not in str(caught.value)


def test_a_part_twice_is_refused():
    with pytest.raises(ValueError, match="Flip is given twice"):
        Recipe(32, (Crop(), Flip(), Flip()))
