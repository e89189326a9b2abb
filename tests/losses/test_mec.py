"""Maximum entropy coding beside the authors' numbers, and its series beside the determinant."""

import jax
import numpy as np
import pytest
from helpers.golden import check

from jax_bt import losses


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("name", ["mec_loss_32x24", "mec_loss_8x16"])
def test_equals_the_reference(golden, name, given):
    g = golden(name)
    # The file's lamda_inv is N * 64 / D, the default.
    lamda_inv = float(g["lamda_inv"]) if given else None
    out = check(
        lambda *arrays: losses.mec(*arrays, lamda_inv=lamda_inv),
        tuple(g[k] for k in ("p1", "p2", "z1", "z2")),
        g["loss"],
        (g["grad_p1"], g["grad_p2"], None, None),
        float32=(1e-5, 1e-5),
    )
    np.testing.assert_allclose(out.mec, g["mec"], rtol=1e-9)


def unit_rows(*shape):
    x = np.random.default_rng(0).normal(size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_a_long_series_is_the_log_determinant():
    p = unit_rows(6, 9)
    with jax.enable_x64(True):
        out = losses.mec(p, p, p, p, lamda_inv=12.0, order=40)
        expected = np.linalg.slogdet(np.eye(6) + p @ p.T / 12)[1]
        np.testing.assert_allclose(out.mec, expected / 6, rtol=1e-9)


@pytest.mark.parametrize("options", [{"eps": 0.0}, {"lamda_inv": 0.0}, {"order": 0}])
def test_refuses(options):
    x = np.ones((4, 3), np.float32)
    with pytest.raises(ValueError, match="must be above 0"):
        losses.mec(x, x, x, x, **options)
