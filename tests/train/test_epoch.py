"""The loop gives a method its say before each epoch, also where a run goes on between epochs."""

import jax
import numpy as np
import pytest
from etils import epath

from jax_bt import config, data
from jax_bt.devices.mesh import make_mesh
from jax_bt.train import history, loop
from jax_bt.train.build import build

EXAMPLES, BATCH = 96, 16  # six steps per epoch


def run(steps):
    c = config.smoke(config.digits("deepcluster_v2"))
    c.steps, c.batch_size, c.data.train = steps, BATCH, f"train[:{EXAMPLES}]"
    c.optimizer.name, c.optimizer.bias_learning_rate = "sgd", None
    c.optimizer.final_fraction = 1.0  # one rate, however many steps there are
    c.checkpoint.every_steps = 100
    return build(c, make_mesh(jax.devices()[:1]), train_size=EXAMPLES)


def take(steps, folder):
    """What the log says of each step, and the last state's bank."""
    _, state = loop._steps(run(steps), data.load("digits"), epath.Path(folder), profile=False)
    records = [(r["loss"], r["clusters_used"]) for r in history.read(folder)]
    return records, jax.device_get(state.bank)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return take(9, tmp_path_factory.mktemp("whole"))


def test_clusters_are_found_before_the_second_epoch(whole):
    records, bank = whole
    assert all(record == (0, 0) for record in records[:6])
    assert all(loss > 0.1 and 0 < used <= 1 for loss, used in records[6:])
    assert np.all(bank["assignments"][:EXAMPLES] >= 0)


def test_a_run_stopped_between_epochs_goes_on_as_if_it_had_not(whole, tmp_path):
    """The checkpoint of step 6 has the clustering still to come."""
    records, bank = take(6, tmp_path)
    assert np.all(bank["assignments"][:EXAMPLES] == -1)
    records, bank = take(9, tmp_path)
    assert records == whole[0]
    for name, rows in whole[1].items():
        np.testing.assert_array_equal(bank[name], rows)
