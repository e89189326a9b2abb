"""VICRegL's loss beside its authors' and lightly's numbers."""

import jax
import numpy as np
import pytest

from jax_bt import losses
from jax_bt.errors import UsageError

CASES = ("8_2x7_2x3", "12_2x4")  # two large views and two small ones; two large ones


def call(g, convention="author", **options):
    """The views' maps to a record; the golden arrays widened to float64."""
    options |= {"num_matches": tuple(map(int, g["num_matches"])), "convention": convention}
    embeddings = np.float64(g["embedding"])
    places = [np.float64(g[f"location/{i}"]) for i in range(len(embeddings))]

    def function(maps):
        (a, b, *more) = zip(embeddings, maps, places, strict=True)
        first = (array for pair in zip(a, b, strict=True) for array in pair)
        return losses.vicregl(*first, *more, **options)

    return function


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("convention, key", [("author", "local_all"), ("few", "local_few")])
def test_equals_the_authors_code(golden, case, convention, key):
    g = golden(f"vicregl_loss_{case}")
    with jax.enable_x64(True):
        out = jax.tree.map(np.asarray, jax.jit(call(g, convention))(maps_of(g)))
    weights = {"inv": 25, "var": 25, "cov": 1}
    for part, terms in (("global", out[1:4]), (key, out[4:7])):
        for (name, weight), term in zip(weights.items(), terms, strict=True):
            np.testing.assert_allclose(weight * term, g[f"{part}/{name}"], rtol=1e-9)
    np.testing.assert_allclose(out.loss, g[f"{key}/loss"], rtol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_the_maps_are_the_authors(golden, case):
    """The golden copies hold the first examples only; theirs is of the local part alone."""
    g = golden(f"vicregl_loss_{case}")
    function = call(g, alpha=0.0)
    with jax.enable_x64(True):
        found = jax.jit(jax.grad(lambda maps: function(maps).loss))(maps_of(g))
    for i, gradient in enumerate(found):
        expected = g[f"local_all/grad/{i}"]
        scale = np.abs(expected).max()
        np.testing.assert_allclose(gradient[: len(expected)], expected, atol=1e-9 * scale)


@pytest.mark.parametrize("case", CASES)
def test_lightlys_order_of_matches(golden, case):
    g = golden(f"vicregl_loss_{case}")
    with jax.enable_x64(True):
        found = jax.jit(call(g, "lightly"))(maps_of(g)).loss
    np.testing.assert_allclose(found, g["lightly/loss"], rtol=1e-9)


def maps_of(g):
    return [np.float64(g[f"maps/{i}"]) for i in range(len(g["embedding"]))]


def test_alpha_one_is_vicreg_with_half_its_covariance(golden):
    g = golden("vicregl_loss_12_2x4")
    with jax.enable_x64(True):
        found = call(g, alpha=1.0)(maps_of(g)).loss
        expected = losses.vicreg(*np.float64(g["embedding"]), covariance_weight=0.5).loss
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_matches_follow_the_places_and_the_features():
    """Two positions whose places are swapped, and whose features are not."""
    maps = np.random.default_rng(0).normal(size=(4, 1, 2, 3))
    z, here = np.zeros((4, 2)), np.zeros((4, 1, 2, 2))
    here[:, 0, 1] = 1
    options = {"alpha": 0.0, "variance_weight": 0.0, "covariance_weight": 0.0}
    same = losses.vicregl(z, z, maps, maps, here, here, **options)
    np.testing.assert_allclose(same.loss, 0, atol=1e-5)
    swapped = losses.vicregl(z, z, maps, maps, here, here[:, :, ::-1], **options)
    expected = 25 * np.mean((maps - maps[:, :, ::-1]) ** 2)  # of the places; features still meet
    np.testing.assert_allclose(swapped.loss, expected, rtol=1e-5)


def test_what_does_not_fit_is_refused():
    z, maps, places = np.ones((4, 2)), np.ones((4, 2, 2, 3)), np.ones((4, 2, 2, 2))
    with pytest.raises(
        ValueError, match=r"maps_b has shape \(4, 2, 2, 3\) and locations_b \(4, 1, 2"
    ):
        losses.vicregl(z, z, maps, maps, places, places[:, :1])
    with pytest.raises(ValueError, match=r"maps have \[2, 3\] channels"):
        losses.vicregl(z, z, maps, maps[..., :2], places, places)
    with pytest.raises(UsageError, match="num_matches"):
        losses.vicregl(z, z, maps, maps, places, places, num_matches=(0, 1))
