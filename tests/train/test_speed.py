"""The rate at the devices' peak, from the operations of the step."""

import pytest

from jax_bt import config
from jax_bt.devices.mesh import make_mesh
from jax_bt.train import speed
from jax_bt.train.build import build

PEAK = 1e12


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setitem(speed.PEAKS, "cpu", PEAK)

    def run(**changes):
        c = config.imagenet_r50()
        c.encoder.name, c.batch_size, c.heads.projector = "resnet18", 8, (16, 16)
        c.update(changes)
        return build(c, make_mesh(), train_size=800)

    return run


def test_eight_devices_at_their_peak(run):
    """torchvision counts 1.814e9 multiply-adds in a ResNet-18 at 224 x 224. A step has two views
    and three passes, less one for the first layer's input (0.118e9); norms add a few per cent."""
    operations = 2 * 2 * (3 * 1.814e9 - 0.118e9)
    assert speed.peak_rate(run()) == pytest.approx(8 * PEAK / operations, rel=0.06)


def test_neither_loops_nor_unknown_devices(run, monkeypatch):
    assert speed.peak_rate(run(batch_size=16, micro_batches=2)) is None
    monkeypatch.delitem(speed.PEAKS, "cpu")
    assert speed.peak_rate(run()) is None
