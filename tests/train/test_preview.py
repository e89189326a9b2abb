"""The command `views`: a picture, and the rate of the pipeline."""

import numpy as np
import pytest
from PIL import Image

from jax_bt import config, errors
from jax_bt.train import preview
from jax_bt.train.build import read_data


@pytest.fixture
def small(monkeypatch):
    """A config of the digits, measured for a moment only."""
    monkeypatch.setattr(preview, "SECONDS", 0.05)
    c = config.smoke(config.digits())
    c.data.recipe = "none"
    return c


def test_a_picture_and_a_rate(small, tmp_path, capsys):
    path = tmp_path / "views.png"
    assert preview.write(read_data(small), path) > 0
    picture = np.asarray(Image.open(path).convert("L"))
    assert min(picture.shape) > 300
    assert picture.std() > 10
    printed = capsys.readouterr().out
    assert printed.startswith("digits, recipe none: 2 views of 8 pixels, ")
    assert f"views: {path}" in printed


def test_views_of_two_sizes_and_only_the_host_s_part(small, tmp_path, capsys):
    small.data.built = ({"size": 8, "crop": {}},) * 2 + ({"size": 4, "crop": {}},) * 3
    small.data.device_augment = True
    preview.write(read_data(small), tmp_path / "views.png")
    printed = capsys.readouterr().out
    assert "digits, recipe of its own: 2 views of 8 and 3 of 4 pixels, " in printed
    assert "for the host's part" in printed


def test_what_cannot_be_drawn(small, tmp_path):
    for path in (tmp_path / "views.jpg", tmp_path / "missing" / "views.png"):
        with pytest.raises(errors.UsageError, match="give a .png file in a folder that exists"):
            preview.write(read_data(small), path)
    small.data.recipe = "barlowe"
    with pytest.raises(errors.UsageError, match="recipe 'barlowe' is not known"):
        preview.write(read_data(small), tmp_path / "views.png")
