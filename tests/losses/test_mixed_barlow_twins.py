"""Mixed Barlow Twins beside the authors' numbers, in both forms."""

import numpy as np
import pytest
from helpers.golden import check

from jax_bt import losses


@pytest.mark.parametrize("form", ["auto", "cross_correlation", "gram"])
@pytest.mark.parametrize("name", ["mixbt_loss_64x32", "mixbt_loss_8x16"])
def test_equals_the_reference(golden, name, form):
    g = golden(name)
    options = {key: float(g[key]) for key in ("alpha", "lambd", "mixup_loss_scale")}
    out = check(
        lambda *z: losses.mixed_barlow_twins(
            *z, permutation=g["permutation"].astype(np.int32), form=form, **options
        ),
        (g["z_a"], g["z_b"], g["z_m"]),
        g["loss"],
        (g["grad_a"], g["grad_b"], g["grad_m"]),
        float32=(1e-5, 1e-4),
    )
    np.testing.assert_allclose(out, [g["loss"], g["loss_bt"], g["loss_mix"]], rtol=1e-9)


def test_a_mixture_of_one_image_alone_costs_nothing_if_it_is_embedded_as_that_image():
    random = np.random.default_rng(0)
    q, _ = np.linalg.qr(np.c_[np.ones(16), random.normal(size=(16, 3))])
    z = q[:, 1:].astype(np.float32)
    for alpha in (0.0, 1.0):
        rows = random.permutation(16) if alpha == 0 else np.arange(16)
        mixed = alpha * z + (1 - alpha) * z[rows]
        out = losses.mixed_barlow_twins(z, z, mixed, permutation=rows, alpha=alpha)
        np.testing.assert_allclose(out.loss_mix, 0, atol=1e-10)
        np.testing.assert_allclose(out.loss_bt, 3 / 16**2, rtol=1e-4)  # C_ii is (N - 1) / N


@pytest.mark.parametrize("permutation", [np.arange(3), np.arange(4.0), np.arange(4)[:, None]])
def test_refuses(permutation):
    z = np.ones((4, 3), np.float32)
    with pytest.raises(ValueError, match=r"expected integers of shape \(4,\)"):
        losses.mixed_barlow_twins(z, z, z, permutation=permutation, alpha=0.5)
