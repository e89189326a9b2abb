"""The notebooks are clean files, and their cells run at toy size, each notebook in one process."""

import ast
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
DEVICES = {"01_train_tpu_or_gpu": "2", "03_losses_in_your_loop": "4"}

# A traceback names the cell and its line.
RUNNER = """
import json, sys
names = {"__name__": "__main__"}
for id, source in json.load(sys.stdin):
    exec(compile(source, f"cell {id}", "exec"), names)
"""


def read(path):
    return json.loads(path.read_text())


def source(cell):
    return "".join(cell["source"])


def code(path, *, colab):
    """The code cells that only Colab runs, or the others."""
    cells = [cell for cell in read(path)["cells"] if cell["cell_type"] == "code"]
    return [c for c in cells if ("colab" in c["metadata"].get("tags", ())) == colab]


def test_there_are_notebooks():
    assert len(PATHS) >= 5


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_file_is_clean(path):
    book = read(path)
    assert book["nbformat"] == 4 and book["nbformat_minor"] >= 5
    ids = [cell["id"] for cell in book["cells"]]
    assert len(set(ids)) == len(ids)
    # One form, so that a change of a cell is a change of its lines alone.
    assert path.read_text() == json.dumps(book, indent=1, ensure_ascii=False) + "\n"
    for cell in book["cells"]:
        assert max(map(len, source(cell).splitlines())) <= 100
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
    sized = [cell for cell in code(path, colab=False) if "JAX_BT_NOTEBOOK_SMOKE" in source(cell)]
    assert len(sized) == 1, "sizes come from one cell"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_install_cell_gets_jax_with_its_plugin_first(path):
    install = source(code(path, colab=True)[0])
    assert install.index("jax[{ACCELERATOR}]") < install.index("--editable ./jax_bt")
    for cell in code(path, colab=False):
        ast.parse(source(cell))  # no ! and no %, which Python does not know


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_cells_run(path, tmp_path):
    cells = [(cell["id"], source(cell)) for cell in code(path, colab=False)]
    env = {
        **os.environ,
        "JAX_BT_NOTEBOOK_SMOKE": "1",
        "JAX_NUM_CPU_DEVICES": DEVICES.get(path.stem, "1"),
        "MPLBACKEND": "agg",
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNNER],
        input=json.dumps(cells),
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Exception ignored" not in done.stderr, done.stderr[-4000:]  # files left open
