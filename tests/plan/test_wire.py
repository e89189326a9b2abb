"""docs/wire.md against the compiled programs: what every loss reduces, gathers and scatters."""

import functools
import pathlib
import re
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P
from matplotlib.image import imread

from jax_bt import losses
from jax_bt.devices.mesh import AXIS, make_mesh
from jax_bt.plan import hlo
from jax_bt.report import style

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "wire.md"
ROWS = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) ?\| (\d+) \| (\S+) \|$", PAGE.read_text(), re.M)
KINDS = {"reduce": "all_reduce", "gather": "all_gather", "scatter": "reduce_scatter"}
SLICES = 256
DRAWN = {"key": jax.random.key(0), "slices": SLICES}


def two_views(name, count):
    """The loss as a function of two views and the axis."""
    function = getattr(losses, name)
    if name in ("byol", "mec"):
        return lambda a, b, axis_name: function(a, b, a + 1, b + 1, axis_name=axis_name)
    if name == "mixed_barlow_twins":
        given = {"permutation": np.roll(np.arange(count), -1), "alpha": 0.3}
        return lambda a, b, axis_name: function(a, b, a + b, **given, axis_name=axis_name)
    given = {"lejepa": DRAWN, "visreg": DRAWN, "nt_xent": {"temperature": 0.2}}
    return functools.partial(function, **given.get(name, {}))


def stated(cell, **sizes):
    """Numbers by kind of collective, as a cell of the table says."""
    found = dict.fromkeys(KINDS.values(), 0)
    for kind, formula in re.findall(r"(reduce|gather|scatter) `(.*?)`", cell):
        found[KINDS[kind]] += eval(formula, {"M": SLICES, **sizes})
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
@pytest.mark.parametrize(("count", "width", "column"), [(128, 64, 1), (32, 128, 2)])
def test_the_table_is_what_programs_send(row, count, width, column):
    if not row[column]:
        return pytest.skip("this loss refuses so small a batch")
    loss = two_views(row[0], count)
    mapped = jax.shard_map(
        lambda a, b: loss(a, b, axis_name=AXIS).loss,
        mesh=make_mesh(jax.devices()[:8]),
        in_specs=P(AXIS),
        out_specs=P(),
    )
    z = jax.ShapeDtypeStruct((count, width), jnp.float32)
    compiled = jax.jit(jax.value_and_grad(mapped, (0, 1))).lower(z, z).compile()
    found = hlo.collectives(compiled.as_text(), 8).bytes
    for kind, numbers in stated(row[column], N=count, D=width).items():
        # Means and deviations of the columns come to at most 18 D numbers, reduced.
        few = 20 * width if kind == "all_reduce" else 0
        assert numbers * 4 <= found[kind] <= (numbers + few) * 4, kind
    assert found["all_to_all"] == found["collective_permute"] == 0


def test_megabytes_follow_from_the_formulas():
    assert len(ROWS) == 18
    for name, tall, wide, width, megabytes in ROWS:
        count, width = 2048, int(width)
        numbers = stated(tall if count >= width else wide, N=count, D=width)
        whole = 2 * numbers["all_reduce"] + numbers["all_gather"] + numbers["reduce_scatter"]
        assert float(megabytes) == pytest.approx(4 * whole * 31 / 32 / 1e6, abs=0.006), name


def test_the_plot_is_of_the_table(tmp_path):
    """Its megabytes are the table's last column; each row of a page has its line."""
    plot = runpy.run_path(str(ROOT / "benchmarks" / "plot_wire.py"))
    for name, tall, wide, width, megabytes in ROWS:
        found = plot["megabytes"](tall, wide, 2048, int(width))
        assert found == pytest.approx(float(megabytes), abs=0.006), name
    page, pictures = tmp_path / "wire.md", [tmp_path / f"{i}.png" for i in (0, 1)]
    for rows, picture in zip((1, 2), pictures, strict=True):
        page.write_text("| `some_loss` | reduce `D*D` | gather `N*D` | 64 | 0 |\n" * rows)
        plot["main"](page, picture)
    heights = [imread(picture).shape[0] for picture in pictures]
    assert heights[1] - heights[0] == pytest.approx(0.27 * style.DPI, abs=1.5)
    assert "](images/wire.png)" in PAGE.read_text()
    assert (PAGE.parent / "images" / "wire.png").stat().st_size < 60_000
