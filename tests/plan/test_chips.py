"""Slices by name, and the published figures against those that jax itself carries."""

import pytest
from jax.experimental.pallas import tpu as pallas_tpu

from jax_bt.errors import UsageError
from jax_bt.plan import chips


@pytest.mark.parametrize(
    ("name", "count", "devices"),
    [
        ("v5e:1x1", 1, 1),
        ("v5e:4x8", 32, 32),
        ("v6e:16x16", 256, 256),
        ("v3:2x2", 4, 8),  # two cores a chip, each a device
        ("v4:2x2x4", 16, 16),
        ("v5p:8x12x16", 1536, 1536),
    ],
)
def test_slices(name, count, devices):
    found = chips.parse(name)
    assert (found.chips, found.devices) == (count, devices)


@pytest.mark.parametrize(
    "name",
    ["", "v5e", "v5e:", "v5e:3x5", "v5e:4x", "v5e:8x4", "v5e:4x4x4", "v4:4x4", "v4:4x4x2",
     "v4:0x4x4", "v5p:4x6x8", "v5p:32x32x32", "v9:2x2", "4x8", "v5e-32", "v5litepod:4x8"],
)  # fmt: skip
def test_other_names_get_the_valid_forms_in_one_line(name):
    with pytest.raises(UsageError) as caught:
        chips.parse(name)
    message = str(caught.value)
    assert f"--topology={name}:" in message and "\n" not in message
    for form in ("v5e or v6e:SHAPE of 1x1, 2x2, 2x4, 4x4, 4x8", "v4 or v5p:SHAPE of 2x2x1", "v3:"):
        assert form in message


@pytest.mark.parametrize("name", ["v4", "v5e", "v5p", "v6e"])
def test_figures_are_those_of_jax(name):
    """jax has its own table, a core; of v5p's memory it has 2.46 TB/s where Google says 2.77."""
    chip = chips.CHIPS[name]
    cores = 2 if name in ("v4", "v5p") else 1
    info = pallas_tpu.get_tpu_info_for_chip(pallas_tpu.ChipVersion(name), cores)
    assert chip.flops == pytest.approx(info.num_cores * info.bf16_ops_per_second, rel=0.01)
    assert chip.hbm_rate == pytest.approx(info.num_cores * info.mem_bw_bytes_per_second, rel=0.13)
    assert chip.hbm_bytes == pytest.approx(info.num_cores * info.hbm_capacity_bytes, rel=0.02)
