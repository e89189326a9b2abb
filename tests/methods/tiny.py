"""Every method at a size that compiles in a second: MLP encoders on six inputs."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_bt import mesh as meshes
from jax_bt import methods, optim, step
from jax_bt.methods._networks import Networks
from jax_bt.models.heads import MLP

INPUTS, BATCH, STEPS = 6, 16, 8
HEADS = {
    "byol": {"projector": (16, 8), "predictor": (16, 8)},
    "moco_v3": {"projector": (16, 8), "predictor": (16, 8)},
    "simsiam": {"projector": (16, 8), "predictor": (4, 8)},
    "swav": {"projector": (16, 8), "prototypes": 12},
}
LOSS = {"w_mse": {"iterations": 2, "whitening_size": 16}, "swav": {"freeze_steps": 1}}
TARGET = {"moco_v2": {"queue_size": 32}, "swav": {"queue_size": 32}}


class Tiny(NamedTuple):
    """A method ready to train."""

    method: Any
    networks: Networks
    mesh: Any
    state: Any
    step: Any


def networks(
    name: str, *, axis_name: str | None = None, separate: bool = False, **heads
) -> Networks:
    """Tiny networks of a method; with ``separate``, of two branches."""
    method = methods.load(name)
    fields = {"axis_name": axis_name}
    modules = {}
    for suffix in ("", "_b")[: 1 + separate]:
        modules[f"encoder{suffix}"] = MLP((12,), output_norm="affine", **fields)
        made = method.heads(12, **(HEADS.get(name, {"projector": (16, 8)}) | heads))
        modules |= {f"{k}{suffix}": methods._placed(head, fields) for k, head in made.items()}
    return Networks(modules)


def make(name: str, *, devices: int = 1, loss=None, target=None, **heads) -> Tiny:
    """The method's step and its state of step 0."""
    method = methods.load(name)
    nets = networks(name, axis_name=meshes.AXIS, **heads)
    mesh = meshes.make_mesh(jax.devices()[:devices])
    optimizer = optim.sgd(0.05)
    options = TARGET.get(name, {}) if target is None else target
    # On one device and moved, which spares a compilation; test_step.py starts on several.
    state = step.init_state(
        method,
        nets,
        optimizer,
        meshes.make_mesh(jax.devices()[:1]),
        seed=0,
        image_shape=(INPUTS,),
        target_options=options,
    )
    state = jax.device_put(state, meshes.replicated(mesh))
    train_step = step.make_train_step(
        method,
        nets,
        optimizer,
        mesh,
        loss_options=LOSS.get(name, {}) if loss is None else loss,
        target_options=options,
        total_steps=STEPS,
    )
    return Tiny(method, nets, mesh, state, train_step)


def views(i: int, count: int = 2) -> tuple[np.ndarray, ...]:
    """Views of batch i: shared signal, own noise."""
    rng = np.random.default_rng(i)
    signal = rng.normal(size=(BATCH, INPUTS))
    noisy = (signal + 0.3 * rng.normal(size=signal.shape) for _ in range(count))
    return tuple(view.astype(np.float32) for view in noisy)


def train(tiny: Tiny, steps: range, state=None) -> tuple[Any, list[float]]:
    """Trains on those batches; the state given is not consumed."""
    state = copy(tiny.state if state is None else state)
    losses = []
    for i in steps:
        state, terms = tiny.step(state, meshes.to_global(tiny.mesh, {"views": views(i)}))
        losses.append(float(terms["loss"]))
    return state, losses


def copy(tree: Any) -> Any:
    """A copy that outlives the donation of the original."""
    return jax.tree.map(jnp.copy, tree)


def variables(state: Any) -> dict[str, Any]:
    """Parameters and statistics of a state."""
    return {"params": state.params, "batch_stats": state.batch_stats}
