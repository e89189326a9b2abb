"""The mesh: broadcasts to the bit, batches that fit, devices that are not there."""

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from jax_bt import errors
from jax_bt.devices.mesh import (
    check_divides,
    find_devices,
    from_first_process,
    make_mesh,
    to_global,
)

ROOT = pathlib.Path(__file__).parents[2]


def test_a_broadcast_keeps_every_bit():
    """-0.0, NaN with its payload, and dtypes that JAX would convert to others."""
    tree = {
        "zeros": np.array([-0.0, 0.0], np.float32),
        "nan": np.array([0x7FC01234], np.uint32).view(np.float32),
        "flag": np.array(True),
        "half": np.arange(6, dtype=np.float16).reshape(2, 3),
    }
    found = from_first_process(make_mesh(), tree)
    for name, value in tree.items():
        assert np.asarray(found[name]).tobytes() == value.tobytes()
        assert found[name].shape == value.shape and found[name].dtype == value.dtype
        assert found[name].sharding.is_fully_replicated


def test_a_batch_is_split_in_order():
    mesh = make_mesh()
    x = to_global(mesh, {"x": np.arange(16)})["x"]
    for number, shard in enumerate(sorted(x.addressable_shards, key=lambda s: s.device.id)):
        np.testing.assert_array_equal(shard.data, [2 * number, 2 * number + 1])


@pytest.mark.parametrize(
    "batch_size, micro_batches, said",
    [
        (
            12,
            1,
            "batch_size=12 does not divide over 8 devices: set it to a multiple of 8, such as 8",
        ),
        (12, 1, "or use 6 devices"),
        (5, 1, "such as 8, or use 5 devices"),
        (48, 4, "micro_batches=4 does not divide the 6 examples per device: use one of 1, 2, 3, 6"),
    ],
)
def test_a_batch_that_does_not_fit(batch_size, micro_batches, said):
    mesh = make_mesh(jax.devices()[:8])
    with pytest.raises(errors.UsageError, match=said):
        check_divides(batch_size, mesh, micro_batches)
    check_divides(48, mesh, 3)


def test_cuda_without_its_plugin():
    """JAX itself raises an AssertionError without a word."""
    code = (
        "from jax_bt import errors\nfrom jax_bt.devices.mesh import make_mesh\n"
        "try: make_mesh()\nexcept errors.UsageError as error: print(error)"
    )
    env = os.environ | {"JAX_PLATFORMS": "cuda"}
    if any("cuda" in path.name for path in pathlib.Path(jax.__file__).parents[1].glob("jax_*")):
        pytest.skip("the plugin is installed")
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )
    assert said.stdout == (
        "JAX cannot use the devices of JAX_PLATFORMS='cuda': their plugin is not installed. "
        "Install it (pip install 'jax_bt[cuda12]'), or unset JAX_PLATFORMS to run on the devices "
        "that JAX finds\n"
    ), said.stderr


@pytest.mark.parametrize(
    "platforms, error, said",
    [
        (
            "gpu,cpu",
            RuntimeError("Unable to initialize backend 'rocm': not known (set JAX_PLATFORMS='' to"),
            r"'gpu,cpu': Unable to initialize backend 'rocm': not known\. Install .*cuda12",
        ),
        ("tpu", RuntimeError("no chip\nstack"), r"'tpu': no chip\. Install .*jax_bt\[tpu\]"),
        ("metal", RuntimeError("no"), r"'metal': no\. Unset JAX_PLATFORMS"),
    ],
)
def test_other_devices_that_are_not_there(monkeypatch, platforms, error, said):
    def fail():
        raise error

    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setattr(jax, "devices", fail)
    with pytest.raises(errors.UsageError, match=said) as raised:
        find_devices()
    assert "\n" not in str(raised.value)
