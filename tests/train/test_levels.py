"""The loss of embeddings that are identical, independent or collapsed, by hand."""

import jax
import numpy as np
import pytest

from jax_bt import config
from jax_bt.devices.mesh import make_mesh
from jax_bt.train import levels
from jax_bt.train.build import build


def run_of(method, **fields):
    c = config.digits(method)
    c.heads.projector = (16, 12)
    for name, value in fields.items():
        config.set_field(c, name, value)
    return build(c, make_mesh(jax.devices()[:1]), train_size=1297)


def test_barlow_twins_by_numpy():
    run = run_of("barlow_twins")
    found = levels.levels(run)
    a, b = (np.random.default_rng(i).normal(size=(256, 12)) for i in (0, 1))

    def loss(x, y):
        x, y = ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (x, y))
        c = x.T @ y / 256
        off = c - np.diag(np.diag(c))
        return np.sum((np.diag(c) - 1) ** 2) + 0.0051 * np.sum(off**2)

    assert found["identical"] == pytest.approx(loss(a, a), rel=1e-3)
    assert found["independent"] == pytest.approx(loss(a, b), rel=1e-3)
    assert found["collapsed"] == pytest.approx(12.0, rel=1e-3)  # C = 0
    assert "loss of embeddings 256 x 12 that are: identical" in levels.text(found, run)


def test_vicreg_of_one_point_is_its_variance_term():
    """std = sqrt(eps) in both views: 25 (1 - 0.01) of gamma = 1 and eps = 1e-4."""
    assert levels.levels(run_of("vicreg"))["collapsed"] == pytest.approx(24.75, rel=1e-4)


@pytest.mark.parametrize("method", ["byol", "swav", "moco_v2"])
def test_losses_that_need_more_than_embeddings_are_left_out(method):
    c = config.smoke(config.digits(method))
    run = build(c, make_mesh(jax.devices()[:1]), train_size=1297)
    assert levels.levels(run) == {}
