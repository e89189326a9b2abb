"""A trace of a few steps, whatever the length of the run."""

import jax
import jax.numpy as jnp
import pytest
from etils import epath

from jax_bt.train import profile


@pytest.mark.parametrize(
    ("start", "end", "traced"),
    [
        (0, 100, [10, 11, 12, 13, 14]),
        (40, 100, [50, 51, 52, 53, 54]),
        (0, 8, [3, 4, 5, 6, 7]),  # the last ones
        (7, 9, [7, 8]),
    ],
)
def test_the_steps(tmp_path, monkeypatch, capsys, start, end, traced):
    running, found = [], []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: running.append(folder))
    monkeypatch.setattr(jax.profiler, "stop_trace", running.clear)
    with profile.tracing(epath.Path(tmp_path), start, end) as before:
        for step in range(start, end):
            before(step)
            found += [step] if running else []
    assert found == traced and not running
    assert capsys.readouterr().out.count("tensorboard --logdir") == 1


def test_a_real_one_is_closed_when_the_block_fails(tmp_path):
    with pytest.raises(KeyError), profile.tracing(epath.Path(tmp_path), 0, 5) as before:
        before(0)
        jax.jit(lambda x: x + 1)(jnp.ones(3)).block_until_ready()
        raise KeyError
    assert list(tmp_path.glob("plugins/profile/*/*.xplane.pb"))
