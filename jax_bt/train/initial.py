"""Starts a run from weights that were trained before."""

import math
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jax_bt import weights
from jax_bt.devices import processes
from jax_bt.devices.mesh import from_first_process
from jax_bt.errors import WeightsError
from jax_bt.methods import Variables
from jax_bt.models import vit
from jax_bt.train import workdir
from jax_bt.train.encoder import load
from jax_bt.train.run import Run
from jax_bt.train.state import TrainState

PyTree = Any
LEAVES = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}


def start(run: Run) -> TrainState:
    """The state of step 0: drawn from the seed, then with the parts of ``init.weights``.

    A momentum encoder starts from the same weights, and so does a second branch of the same shapes.

    Raises:
      WeightsError: the file is not there or unusable, or its shapes are not those of the run.
    """
    state = run.init_state()
    if run.initial.weights is None:
        return state
    parts = run.initial.parts
    like = {part: _own(state.variables, part) for part in parts}
    found = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
    if processes.is_first():
        read = _read(run.initial.weights, parts, run.networks.modules["encoder"])
        found = {part: _fitted(run.initial.weights, part, read[part], like[part]) for part in parts}
    found = from_first_process(run.mesh, found)
    state = state.replace(
        params=_with(state.params, found, "params"),
        batch_stats=_with(state.batch_stats, found, "batch_stats"),
    )
    if isinstance(state.target, dict) and "params" in state.target:
        moved = {kind: _with(state.target[kind], found, kind) for kind in ("params", "batch_stats")}
        state = state.replace(target={**state.target, **moved})
    return state


def _own(variables: Variables, part: str) -> Variables:
    return {kind: variables[kind][part] for kind in ("params", "batch_stats")}


def _with(tree: Mapping[str, PyTree], found: Mapping[str, Variables], kind: str) -> PyTree:
    """The tree by network, with what was found in place of its own, in branches of its shapes."""

    def start(name: str, own: PyTree) -> PyTree:
        part = name.removesuffix("_b")
        same = part in found and jax.tree.map(np.shape, found[part][kind]) == jax.tree.map(
            np.shape, own
        )
        return found[part][kind] if same else own

    return {name: start(name, own) for name, own in tree.items()}


def _read(source: str, parts: tuple[str, ...], encoder: Any) -> dict[str, Variables]:
    """The variables of each part, from a run's folder or a file."""
    path = workdir.path(source)
    if path.is_dir():
        loaded = load(path, step=0 if "projector" in parts else None)
        head = loaded.head and loaded.head[1]
        return {"encoder": loaded.variables, "projector": head}
    found = {"encoder": weights.from_state_dict(encoder, weights.read(path))}
    if "projector" in parts:
        found["projector"] = projector(weights.read(path, strip=False), source)
    return found


def projector(arrays: Mapping[str, np.ndarray], where: str) -> Variables:
    """Variables of our MLP from the arrays of a torch ``Sequential`` called "projector".

    Linear layers (two-dimensional weights, transposed) and batch norms are counted in order.

    Raises:
      WeightsError: there are none.
    """
    layers: dict[int, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        if match := re.search(r"(?:^|\.)projector\.(\d+)\.(\w+)$", name):
            layers.setdefault(int(match[1]), {})[match[2]] = array
    if not layers:
        raise WeightsError(f"{where} holds no projector: its names have no projector.<number>")
    params: dict[str, dict[str, np.ndarray]] = {}
    batch_stats: dict[str, dict[str, np.ndarray]] = {}
    linear = -1
    for _, layer in sorted(layers.items()):
        if layer.get("weight", np.zeros(0)).ndim == 2:
            linear += 1
            own = {"kernel": layer["weight"].T}
            params[f"linear_{linear}"] = own | {k: layer[k] for k in ("bias",) if k in layer}
        else:
            named = {LEAVES[k]: v for k, v in layer.items() if k in LEAVES}
            params[f"bn_{linear}"] = {k: v for k, v in named.items() if k in ("scale", "bias")}
            batch_stats[f"bn_{linear}"] = {k: v for k, v in named.items() if k in ("mean", "var")}
    return {"params": params, "batch_stats": batch_stats}


def _fitted(where: str, part: str, found: Variables | None, like: Variables) -> Variables:
    """What was found, in the dtypes of the run; WeightsError where names or shapes differ."""
    if found is None:
        raise WeightsError(f"init.weights={where} holds no {part}: leave it out of init.parts")
    found = {kind: found.get(kind, {}) for kind in like}  # a ViT has no statistics
    if "pos_embed" in found["params"] and "pos_embed" in like["params"]:
        table, prefix = found["params"]["pos_embed"], int("cls_token" in like["params"])
        side = math.isqrt(like["params"]["pos_embed"].shape[1] - prefix)
        table = np.asarray(vit.resampled(table, prefix, side, side))
        found["params"] = {**found["params"], "pos_embed": table}
    have, want = _shapes(found), _shapes(like)
    for name in sorted(want.keys() | have.keys()):
        if have.get(name) != want.get(name):
            raise WeightsError(
                f"init.weights={where}: {part}/{name} is {have.get(name, 'absent')} there and "
                f"{want.get(name, 'absent')} in this run"
            )
    return jax.tree.map(lambda x, y: np.asarray(x).astype(y.dtype), found, like)


def _shapes(tree: PyTree) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path[1:], simple=True, separator="/"): np.shape(leaf)
        for path, leaf in leaves
    }
