"""The house rules of docs/architecture.md, read from the source: one test per rule, all files.

A test lists every breach, so that a new file or a moved one is put right in one go.
"""

import ast
import importlib
import importlib.metadata
import pathlib
import subprocess
import sys

import jax_bt

PACKAGE = pathlib.Path(jax_bt.__file__).parent
ROOT = pathlib.Path(__file__).parents[1]
TREES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}

# The rooms from the cellar to the roof: each imports only those before it.
ROOMS = [
    "errors", "stats", "losses", "models", "optim", "augment", "data", "devices", "methods",
    "diagnostics", "evaluate", "weights", "report", "flag_errors", "config", "train", "plan",
    "main", "__main__",
]  # fmt: skip
FRONT_DOOR = PACKAGE / "__init__.py"

# Each library behind its door: the files and folders that may import it.
DOORS = {
    "tensorflow": ["data/", "augment/host/"],
    "tensorflow_datasets": ["data/"],
    "orbax": ["train/checkpoint.py", "train/orbax_manager.py"],
    "optax": ["optim/"],
    "absl": ["main.py"],
    # A ConfigDict ends in build. The loop and the plan take one from their caller and hand it to
    # build unread; test_below_build_nothing_reads_a_config watches over that.
    "ml_collections": [
        "config.py", "flag_errors.py", "main.py", "train/build.py", "train/loop.py",
        "train/pretrain.py", "plan/__init__.py",
    ],
    "matplotlib": ["report/"],
    "flax.linen": ["models/"],
    "sklearn": ["data/", "evaluate/"],
    "safetensors": ["weights/"],
    "jax2onnx": ["weights/"],
    "onnxruntime": ["weights/"],
    "tensorboardX": ["train/writer.py"],
    "tqdm": ["train/features.py", "train/writer.py"],
    "torch": [],
}  # fmt: skip
COLLECTIVES = {
    "psum", "pmean", "pmax", "pmin", "all_gather", "all_to_all", "ppermute", "pshuffle",
    "psum_scatter", "axis_index", "axis_size", "pcast", "pvary", "psend", "precv",
}  # fmt: skip


def place(path: pathlib.Path) -> str:
    """A file below jax_bt, such as "train/step.py"."""
    return path.relative_to(PACKAGE).as_posix()


def room(path: pathlib.Path) -> str:
    """The folder or top-level module that a file belongs to."""
    return place(path).partition("/")[0].removesuffix(".py")


def imports():
    """(file, line, dotted name, name after `as` or None) of every import, at any depth."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield path, node.lineno, alias.name, alias.asname
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{place(path)}:{node.lineno} imports relatively"
                for alias in node.names:
                    yield path, node.lineno, f"{node.module}.{alias.name}", alias.asname


def attributes():
    """(file, line, "lax.psum") of every attribute of a name, with the last two parts."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                yield path, node.lineno, ast.unparse(node.value).rpartition(".")[2], node.attr


def behind(path: pathlib.Path, door: list[str]) -> bool:
    return any(place(path) == d or (d.endswith("/") and place(path).startswith(d)) for d in door)


def test_top_level_is_small_enough_to_see():
    entries = [path for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    files = [path.name for path in entries if path.suffix == ".py" and path.name != "__init__.py"]
    folders = [path.name for path in entries if path.is_dir()]
    assert len(files) <= 8 and len(folders) <= 12, (files, folders)
    assert {name.removesuffix(".py") for name in files} | set(folders) - {"configs"} == set(ROOMS)


def test_imports_point_downwards():
    breaches = []
    for path, line, name, _ in imports():
        top, _, rest = name.partition(".")
        if top != "jax_bt" or path == FRONT_DOOR:
            continue
        other, mine = rest.partition(".")[0], room(path)
        if other != mine and ROOMS.index(other) > ROOMS.index(mine):
            breaches.append(f"{place(path)}:{line} imports {other} from above")
    assert not breaches, "\n".join(breaches)


def test_the_package_imports_neither_its_configs_nor_its_tests():
    outside = {"configs", "experiments", "benchmarks", "tests", "helpers"}
    breaches = [place(path) for path, _, name, _ in imports() if name.partition(".")[0] in outside]
    assert not breaches


def test_each_library_stays_behind_its_door():
    breaches = []
    for path, line, name, _ in imports():
        for library, door in DOORS.items():
            if f"{name}.".startswith(f"{library}.") and not behind(path, door):
                breaches.append(f"{place(path)}:{line} imports {name}: {library} is for {door}")
    assert not breaches, "\n".join(breaches)


def test_modules_of_the_project_need_no_other_name():
    """`from x import y as y` marks what a room offers; any other `as` means that a name is bad."""
    breaches = [
        f"{place(path)}:{line} imports {name} as {alias}"
        for path, line, name, alias in imports()
        if name.startswith("jax_bt") and alias not in (None, name.rpartition(".")[2])
    ]
    assert not breaches, "\n".join(breaches)


def test_an_underscore_marks_a_helper_of_its_room():
    """Every other file of losses/ and methods/ is one that people name; helpers stay inside."""
    for path in TREES:
        if room(path) in ("losses", "methods") and not path.name.startswith("_"):
            module = importlib.import_module(f"jax_bt.{room(path)}.{path.stem}")
            named = [path.stem] if room(path) == "losses" else ["heads", "loss"]
            assert all(callable(getattr(module, name, None)) for name in named), place(path)
    # The config lists the options of a method as that module reads them from its functions.
    allowed = {("config.py", "_options")}
    breaches = []
    for path, line, name, _ in imports():
        parts = name.split(".")[1:-1]
        for part in parts:
            if name.startswith("jax_bt.") and part.startswith("_") and room(path) != parts[0]:
                if (place(path), part) not in allowed:
                    breaches.append(f"{place(path)}:{line} imports {name}")
    assert not breaches, "\n".join(breaches)


def test_collectives_live_in_stats():
    found = [f"{place(p)}:{line} {a}" for p, line, of, a in attributes()
             if of == "lax" and a in COLLECTIVES and room(p) != "stats"]  # fmt: skip
    found += [place(p) for p, _, name, _ in imports()
              if name.startswith("jax.lax.") and name.split(".")[2] in COLLECTIVES]  # fmt: skip
    assert not found, f"these belong in stats.py: {found}"


def test_only_the_step_and_the_mesh_map_over_devices():
    found = {place(path) for path, _, _, attribute in attributes()
             if attribute in ("shard_map", "pmap")}  # fmt: skip
    # The search of kNN has no gradient; jit would gather every similarity before its top_k.
    allowed = {"train/step.py", "devices/mesh.py", "devices/audit.py", "evaluate/knn.py"}
    assert found <= allowed, found


def test_below_build_nothing_reads_a_config():
    """The loop, pretrain and the plan may pass a ConfigDict on; no other file knows the name."""
    allowed = set(DOORS["ml_collections"])
    found = set()
    for path, tree in TREES.items():
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if names & {"ConfigDict", "FrozenConfigDict"}:
            found.add(place(path))
    assert found <= allowed, found - allowed


LIGHT = """
import importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ImportError(f"{{name}} is imported")

sys.meta_path.insert(0, Blocked())
import jax_bt
from jax_bt import losses
import numpy
z = numpy.random.default_rng(0).normal(size=(4, 3)).astype("float32")
assert losses.barlow_twins(z, z[::-1]).loss > 0
"""


def test_losses_need_jax_and_numpy_alone():
    """A researcher who takes only the losses needs nothing else installed that is not jax's own."""
    theirs = {"jax", "jaxlib", "numpy", "scipy", "ml_dtypes", "opt_einsum"}
    installed = set(importlib.metadata.packages_distributions())
    blocked = installed - theirs - set(sys.stdlib_module_names) - {"jax_bt"}
    blocked = {name for name in blocked if not name.startswith("_")}
    assert {"flax", "optax", "tensorflow", "orbax", "sklearn"} <= blocked
    code = LIGHT.format(blocked=blocked)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
