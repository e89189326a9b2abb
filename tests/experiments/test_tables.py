"""Every row of every table is a run that can be built, at each of its scales."""

import pathlib
import runpy

import jax
import pytest
from suite.declaration import SCALES, config_of, identity

from jax_bt.devices.mesh import make_mesh
from jax_bt.train.build import build

FILES = sorted(pathlib.Path(__file__).parents[2].glob("experiments/*/run.py"))
TABLES = {
    path.parent.name: declared["TABLE"]
    for path in FILES
    if "TABLE" in (declared := runpy.run_path(str(path)))
}


@pytest.mark.parametrize("name", TABLES)
def test_every_row_can_be_built(name):
    table, mesh = TABLES[name], make_mesh(jax.devices()[:1])
    assert table.name == name
    for scale in SCALES:
        keys = []
        for row in table.at(scale):
            c = config_of(row, scale)
            build(c, mesh, train_size=SCALES[scale].train_size)
            assert len(row.published) <= len(table.published)
            if row.computed is None:
                keys.append(identity(c))
        assert len(set(keys)) == len(keys), "two rows are the same run"


def test_seed_and_place_of_the_data_are_no_part_of_the_identity():
    row, other = TABLES["bt_table5"].rows[:2]
    key = identity(config_of(row, "cifar"))
    assert identity(config_of(row, "cifar", seed=3, data_dir="elsewhere")) == key
    assert identity(config_of(other, "cifar")) != key
