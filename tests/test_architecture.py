"""The import rules of docs/architecture.md, read from the source."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "jax_bt"
FILES = sorted(PACKAGE.rglob("*.py"))

# Higher levels import lower ones; a folder's files share its level.
LEVELS = {
    0: {"stats", "schedules", "errors", "processes"},
    1: {"losses", "models", "optim", "augment", "data", "mesh"},
    2: {
        "state",
        "methods",
        "step",
        "diagnostics",
        "evaluate",
        "checkpoint",
        "metrics",
        "log",
        "pace",
        "watch",
    },
    3: {
        "weights",
        "plan",
        "report",
        "run",
        "finish",
        "workdir",
        "train",
        "config",
        "mistakes",
        "views",
    },
    4: {"main"},
}
LEVEL = {name: level for level, names in LEVELS.items() for name in names}

# Each library behind one door: where it may be imported.
DOORS = {
    "tensorflow": {"data"},
    "tensorflow_datasets": {"data"},
    "orbax": {"checkpoint"},
    "optax": {"optim"},
    "absl": {"main"},
    "torch": set(),
    "ml_collections": {"config", "run", "train", "finish", "main", "mistakes", "plan", "views"},
    "matplotlib": {"report"},
    "tensorboardX": {"metrics"},
}
COLLECTIVES = {
    "psum", "pmean", "pmax", "pmin", "all_gather", "all_to_all", "ppermute", "psum_scatter",
    "axis_index", "axis_size", "pcast", "pvary",
}  # fmt: skip


def part(path: pathlib.Path) -> str:
    """The module or folder of jax_bt that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: pathlib.Path) -> set[str]:
    """Dotted names that a file imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards_and_through_the_doors(path):
    mine = part(path)
    if mine == "__init__":
        assert imports(path) == {"jax_bt.losses"}
        return
    assert mine in LEVEL, f"{mine} has no level in docs/architecture.md"
    for name in imports(path):
        library, *rest = name.split(".")
        if library == "jax_bt" and rest and rest[0] in LEVEL:
            assert LEVEL[rest[0]] <= LEVEL[mine], f"{mine} imports {rest[0]} from above"
        assert library not in ("configs", "experiments", "benchmarks", "tests")
        assert mine in DOORS.get(library, {mine}), f"{library} is imported outside its door"
        if name.startswith("flax.linen"):
            assert mine == "models"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_collectives_live_in_stats(path):
    if part(path) == "stats":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("lax"):
            assert node.attr not in COLLECTIVES, f"{node.attr} belongs in stats.py: {node.lineno}"
    assert not {name.removeprefix("jax.lax.") for name in imports(path)} & COLLECTIVES


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_training_maps_over_devices(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr in ("shard_map", "pmap"):
            assert part(path) in ("step", "mesh"), f"line {node.lineno}"


def test_losses_alone_are_light():
    """A researcher who takes only the losses waits for neither TensorFlow nor Orbax."""
    code = (
        "import sys, jax_bt.losses; "
        "bad = [m for m in ('tensorflow', 'orbax', 'flax', 'optax', 'matplotlib', 'sklearn') "
        "if m in sys.modules]; sys.exit(', '.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_configs_are_short_and_say_their_command():
    for path in sorted((ROOT / "configs").glob("*.py")):
        text = path.read_text()
        assert len(text.splitlines()) <= 60, path.name
        assert f"--config=configs/{path.name}" in ast.get_docstring(ast.parse(text)), path.name
