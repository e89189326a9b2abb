"""Checkpoints that people can rely on: whole, kept, refused with one line, damage reported."""

import logging
import pathlib
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from jax_bt import errors
from jax_bt.devices.mesh import make_mesh, replicated
from jax_bt.train import checkpoint, orbax_manager
from jax_bt.train.state import TrainState

MESH = make_mesh()
VARIANCES = np.random.default_rng(0).random(20000, np.float32)  # most of a checkpoint's bytes


def state(step, width=4, dtype=jnp.float32, name="projector"):
    values = jnp.arange(3 * width, dtype=dtype).reshape(3, width) + step
    made = TrainState(
        step=jnp.array(step, jnp.int32),
        params={"encoder": {"kernel": -0.0 * values}, name: {"kernel": values}},
        batch_stats={"encoder": {"mean": jnp.full(width, jnp.nan), "var": VARIANCES}},
        opt_state=({"trace": values.astype(jnp.bfloat16)}, ()),
        target={"queue": values + 1},
        key=jax.random.key(7),
        skipped=jnp.zeros((), jnp.int32),
    )
    return jax.device_put(made, replicated(MESH))


def words(tree):
    """Every leaf's bytes: equal means equal to the bit, NaN and the sign of zero included."""
    leaves, structure = jax.tree.flatten(jax.device_get(checkpoint._words(tree)))
    return structure, [(leaf.dtype, leaf.shape, leaf.tobytes()) for leaf in leaves]


def save_all(folder, steps, **options):
    with checkpoint.opened(epath.Path(folder), **options) as manager:
        for step in steps:
            checkpoint.save(manager, state(step))


def restore(folder, like=None):
    with checkpoint.opened(epath.Path(folder)) as manager:
        return checkpoint.restore(manager, state(0) if like is None else like, MESH)


def steps_in(folder):
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def test_bit_for_bit_and_where_it_belongs(tmp_path):
    save_all(tmp_path, [5])
    found = restore(tmp_path)
    assert words(found) == words(state(5))
    shardings = {leaf.sharding for leaf in jax.tree.leaves(checkpoint._words(found))}
    assert shardings == {replicated(MESH)}
    np.testing.assert_array_equal(
        jax.random.normal(found.key, (3,)), jax.random.normal(state(5).key, (3,))
    )


def test_the_state_may_be_consumed_while_it_is_written(tmp_path):
    """The next step takes the buffers; what is written is the state as it was."""
    step = jax.jit(
        lambda s: jax.tree.map(lambda x: x, s.replace(step=s.step + 1)), donate_argnums=0
    )
    current = state(1)
    with checkpoint.opened(epath.Path(tmp_path)) as manager:
        checkpoint.save(manager, current)
        for _ in range(20):
            current = step(current)
    assert words(restore(tmp_path)) == words(state(1))


def test_nothing_to_restore(tmp_path):
    assert checkpoint.steps(epath.Path(tmp_path / "new")) == []
    assert restore(tmp_path / "new") is None


def test_the_last_and_every_nth_are_kept(tmp_path):
    save_all(tmp_path, range(1, 12), keep=2, keep_every=4)
    assert steps_in(tmp_path) == [4, 8, 10, 11]


def files(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def largest(folder):
    return max(files(folder), key=lambda path: path.stat().st_size)


def cut_short(folder):
    path = largest(folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def one_byte_changed(folder):
    path = largest(folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def file_missing(folder):
    largest(folder).unlink()


def emptied(folder):
    shutil.rmtree(folder / "state")
    (folder / "state").mkdir()


@pytest.mark.parametrize("damage", [cut_short, one_byte_changed, file_missing, emptied])
def test_a_damaged_newest_is_reported_and_the_one_before_used(tmp_path, damage):
    save_all(tmp_path, [3, 6])
    damage(tmp_path / "6")
    with pytest.warns(UserWarning, match="checkpoint 6 in .* is damaged .* moved to damaged_6"):
        found = restore(tmp_path)
    assert words(found) == words(state(3))
    assert steps_in(tmp_path) == [3] and (tmp_path / "damaged_6").is_dir()
    save_all(tmp_path, [6])  # the way is free for the run that goes on
    assert words(restore(tmp_path)) == words(state(6))


def test_all_damaged(tmp_path):
    save_all(tmp_path, [3, 6])
    for step in "36":
        cut_short(tmp_path / step)
    with pytest.warns(UserWarning), pytest.raises(errors.CheckpointError, match="every checkpoint"):
        restore(tmp_path)


@pytest.mark.parametrize(
    "other, said",
    [
        ({"width": 5}, r"params/projector/kernel \(float32\[3, 4\] stored, float32\[3, 5\] wanted"),
        (
            {"dtype": jnp.float16},
            r"projector/kernel \(float32\[3, 4\] stored, float16\[3, 4\] want",
        ),
        ({"name": "head"}, r"params/head/kernel \(absent stored, float32\[3, 4\] wanted\)"),
    ],
)
def test_another_models_checkpoint_names_what_differs(tmp_path, other, said):
    save_all(tmp_path, [3])
    before = {path: path.read_bytes() for path in files(tmp_path)}
    with pytest.raises(errors.CheckpointError, match=said):
        restore(tmp_path, state(0, **other))
    assert {path: path.read_bytes() for path in files(tmp_path)} == before


def test_a_folder_that_cannot_be_written():
    with pytest.raises(errors.CheckpointError, match="cannot write checkpoints to .*null"):
        save_all(pathlib.Path("/dev/null/checkpoints"), [1])


# A second thread of Orbax may meet the limit as well, with nobody left to tell.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_full_disk_leaves_what_exists(tmp_path, capfd):
    """A limit on the size of files acts like a full disk. One error, and no noise."""
    save_all(tmp_path, [3])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        with pytest.raises(errors.CheckpointError, match="could not save .*: File too large"):
            save_all(tmp_path, [6])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert steps_in(tmp_path) == checkpoint.steps(epath.Path(tmp_path)) == [3]
    assert words(restore(tmp_path)) == words(state(3))
    assert capfd.readouterr().err == ""


def test_every_part_is_closed_after_one_has_failed():
    """Orbax stops at the first; threads left alone can hang the process (seen in CI)."""
    met = [OSError("disk"), ValueError("late")]

    class Manager:
        def close(self):
            if met:
                raise met.pop(0)

    with pytest.raises(OSError, match="disk"):
        orbax_manager._close(Manager())
    assert not met


def test_others_errors_are_heard(tmp_path, caplog):
    """Orbax's own tracebacks are dropped while a folder is open, and nothing else."""
    with checkpoint.opened(epath.Path(tmp_path)):
        logging.getLogger("absl").error("a flag of another library")
    assert "a flag of another library" in caplog.text


def test_a_half_written_checkpoint_is_not_seen(tmp_path):
    save_all(tmp_path, [3, 6])
    (tmp_path / "6").rename(tmp_path / "6.orbax-checkpoint-tmp-0")
    assert words(restore(tmp_path)) == words(state(3))
    assert steps_in(tmp_path) == [3]
