"""Every method at a size that compiles in a second: MLP encoders on six inputs, or tiny ResNets."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jax_bt import methods, optim
from jax_bt.devices.mesh import AXIS, make_mesh, to_global
from jax_bt.methods import Context, Method, Networks
from jax_bt.models.heads import MLP
from jax_bt.models.resnet import ResNet
from jax_bt.train.epoch import make_epoch_start
from jax_bt.train.state import TrainState, shardings
from jax_bt.train.step import make_init_state, make_train_step

INPUTS, BATCH, STEPS, EPOCH = 6, 16, 8, 2  # an epoch of two steps
IMAGES = {"obow": (8, 8, 1)}  # methods that need maps, and the shape of their views
HEADS = {
    "obow": {"levels": ("layer1", "layer2")},
    "direct_clr": {"projector": ()},
    "byol": {"projector": (16, 8), "predictor": (16, 8)},
    "mec": {"projector": (16, 8), "predictor": (16, 8)},
    "moco_v3": {"projector": (16, 8), "predictor": (16, 8)},
    "simsiam": {"projector": (16, 8), "predictor": (4, 8)},
    "swav": {"projector": (16, 8), "prototypes": 12},
    "vicregl": {"projector": (16, 8), "maps_projector": (8, 4)},
    "sela_v2": {"projector": (16, 8), "prototypes": (4, 6)},
}
LOSS = {
    "obow": {"border": 0},
    "direct_clr": {"dimensions": 4},
    "w_mse": {"iterations": 2, "whitening_size": 16},
    "swav": {"freeze_steps": 1},
    "vicregl": {"num_matches": (3, 2)},
}
TARGET = {
    "obow": {"words": 40},
    "moco_v2": {"queue_size": 32},
    "swav": {"queue_size": 32},
    "deepcluster_v2": {"clusters": (4, 6)},
}


class Encoder(MLP):
    """Shows its 12 features as maps of 2 x 2 positions too."""

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        features = super().__call__(x, train)
        self.sow("intermediates", "maps", features.reshape(len(x), 2, 2, 3))
        return features


class Tiny(NamedTuple):
    """A method ready to train."""

    method: Method
    networks: Networks
    mesh: Any
    state: TrainState
    step: Any
    start_epoch: Any


def networks(name: str, *, axis_name: str | None = None, encoder_b: Any = None, **heads):
    """Tiny networks of a method; with ``encoder_b``, of two branches."""
    encoder = Encoder((12,), output_norm="affine", axis_name=axis_name)
    if name in IMAGES:
        encoder = ResNet((1, 1), bottleneck=False, features=4, stem="cifar", axis_name=axis_name)
    options = HEADS.get(name, {"projector": (16, 8)}) | heads
    module, inputs = methods.load(name), IMAGES.get(name, (INPUTS,))
    return methods.make_networks(module, encoder, options, encoder_b=encoder_b, inputs=inputs)


def make(name: str, *, devices: int = 1, loss=None, target=None, **heads) -> Tiny:
    """The method's step and its state of step 0."""
    method = Method(
        methods.load(name),
        loss_options=LOSS.get(name, {}) if loss is None else loss,
        target_options=TARGET.get(name, {}) if target is None else target,
    )
    nets, optimizer = networks(name, axis_name=AXIS, **heads), optim.sgd(0.05)
    mesh, one = (make_mesh(jax.devices()[:count]) for count in (devices, 1))
    # On one device and moved, which spares a compilation; train/test_step.py starts on several.
    examples = BATCH * EPOCH
    state = make_init_state(method, nets, optimizer, one, total_steps=STEPS, examples=examples)(0)
    state = jax.device_put(state, shardings(mesh))
    step = make_train_step(method, nets, optimizer, mesh, total_steps=STEPS)
    start_epoch = make_epoch_start(method, mesh, total_steps=STEPS)
    return Tiny(method, nets, mesh, state, step, start_epoch)


def index(i: int) -> np.ndarray:
    """Which examples of an epoch are in batch i, in an order of their own."""
    order = np.random.default_rng(i // EPOCH).permutation(BATCH * EPOCH)
    return order.reshape(EPOCH, BATCH)[i % EPOCH].astype(np.uint32)


def context(step: int = 0, seed: int = 0) -> Context:
    """What a method is told outside of ``shard_map``."""
    return Context(None, step, STEPS, jax.random.key(seed))


def views(i: int, count: int = 2, inputs: tuple[int, ...] = (INPUTS,)) -> tuple[np.ndarray, ...]:
    """Views of batch i: shared signal, own noise."""
    rng = np.random.default_rng(i)
    signal = rng.normal(size=(BATCH, *inputs))
    noisy = (signal + 0.3 * rng.normal(size=signal.shape) for _ in range(count))
    return tuple(view.astype(np.float32) for view in noisy)


def places(i: int, count: int = 2) -> tuple[np.ndarray, ...]:
    """Where those views lie: crops of an image of one pixel, half of them flipped."""
    rng = np.random.default_rng(i)
    corner, side, flip = rng.uniform(0, 0.5, (3, count, BATCH, 2))
    side *= np.where(flip < 0.25, [1, -1], 1)
    found = np.stack([side[..., :1] * [1, 0], side[..., 1:] * [0, 1]], axis=-2)
    start = corner + np.where(side < 0, -side, 0)
    return tuple(np.concatenate([found, start[..., None]], axis=-1).astype(np.float32))


def train(tiny: Tiny, steps: range, state=None) -> tuple[Any, list[float]]:
    """Trains on those batches; the state given is not consumed."""
    # A copy outlives the donation of the step's buffers.
    state = jax.tree.map(jnp.copy, tiny.state if state is None else state)
    losses = []
    for i in steps:
        if i % EPOCH == 0:
            state = tiny.start_epoch(state)
        batch = {"views": views(i, inputs=tiny.networks.inputs), "index": index(i)}
        if tiny.method.places:
            batch["places"] = places(i)
        state, metrics = tiny.step(state, to_global(tiny.mesh, batch))
        losses.append(float(metrics.terms["loss"]))
    return state, losses


def variables(state: TrainState) -> dict[str, Any]:
    """Parameters and statistics of a state."""
    return {"params": state.params, "batch_stats": state.batch_stats}


def through(nets: Networks, variables: Any, x: Any, *names: str) -> jax.Array:
    """What these networks make of x in training mode, one after the other."""

    @jax.jit
    def run(variables: Any, x: Any) -> jax.Array:
        for name in names:
            given = {kind: variables[kind].get(name, {}) for kind in ("params", "batch_stats")}
            x, _ = nets.modules[name].apply(given, x, train=True, mutable=["batch_stats"])
        return x

    return run(variables, x)


def loss(method: Method, nets: Networks, variables: Any, target: Any, views: Any, context: Context):
    """The method's loss and outputs, as one program."""
    return jax.jit(lambda *given: method.loss(nets, *given, context))(variables, target, views)


def others(variables: Any) -> Any:
    """The variables with other weights of the same size, as a target network has them."""
    params = jax.tree.map(lambda x: x + 0.3 * jnp.cos(7 * x), variables["params"])
    return {**variables, "params": params}
