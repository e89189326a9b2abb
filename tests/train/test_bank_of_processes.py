"""A bank that lies on two processes in parts is saved whole, and comes back in parts."""

import os
import subprocess
import sys

import jax
import numpy as np
from etils import epath
from helpers import program

from jax_bt.devices.mesh import make_mesh
from jax_bt.train import checkpoint
from jax_bt.train.state import TrainState, shardings

PROCESS = """
import sys
import jax, jax.numpy as jnp, numpy as np
from etils import epath
from jax_bt.devices import processes
from jax_bt.devices.mesh import make_mesh
from jax_bt.train import checkpoint
from jax_bt.train.state import TrainState, shardings

coordinator, process, folder = sys.argv[1:]
processes.start(coordinator, 2, int(process))
mesh = make_mesh()
lies = shardings(mesh)

def make(value):
    return TrainState(
        step=jnp.asarray(3), params={"w": jnp.ones(2)}, batch_stats={}, opt_state={}, target=(),
        key=jax.random.key(0), bank={"rows": jnp.arange(2048 * 3).reshape(2048, 3) * value},
        skipped=jnp.asarray(0),
    )

state, like = (jax.jit(lambda v=v: make(v), out_shardings=lies)() for v in (2, 0))
with checkpoint.opened(epath.Path(folder)) as manager:
    checkpoint.save(manager, state)
with checkpoint.opened(epath.Path(folder)) as manager:
    found = checkpoint.restore(manager, like, mesh)
rows = found.bank["rows"]
assert rows.sharding == lies.bank and not rows.is_fully_addressable
for shard in rows.addressable_shards:
    first = shard.index[0].start or 0
    assert len(shard.data) == 512
    np.testing.assert_array_equal(shard.data, 2 * np.arange(2048 * 3).reshape(-1, 3)[first:][:512])
print("in parts")
processes.finish(0)
"""


def test_two_processes_save_and_restore_a_bank(tmp_path):
    where = f"localhost:{program.free_port()}"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, where, str(i), str(tmp_path)],
            cwd=program.ROOT,
            env=os.environ | {"JAX_NUM_CPU_DEVICES": "2"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for i in range(2)
    ]
    said = [program.end(child) for child in children]
    assert all("in parts" in text for text in said)
    # One process with eight devices reads the same file.
    lies = shardings(make_mesh())
    like = TrainState(
        step=np.int32(0),
        params={"w": np.zeros(2, np.float32)},
        batch_stats={},
        opt_state={},
        target=(),
        key=jax.random.key(0),
        bank={"rows": np.zeros((2048, 3), np.int32)},
        skipped=np.int32(0),
    )
    like = jax.device_put(like, lies)
    with checkpoint.opened(epath.Path(tmp_path)) as manager:
        found = checkpoint.restore(manager, like, make_mesh())
    np.testing.assert_array_equal(found.bank["rows"], 2 * np.arange(2048 * 3).reshape(-1, 3))
    assert {len(shard.data) for shard in found.bank["rows"].addressable_shards} == {256}
