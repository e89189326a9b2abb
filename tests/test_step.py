"""Whole training steps against the reference's traces, and on different numbers of devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import config as configs
from jax_bt import data, methods, optim, run, schedules, state, step, train
from jax_bt import mesh as meshes
from jax_bt.augment import device
from jax_bt.methods.networks import Networks
from jax_bt.models.heads import MLP
from jax_bt.models.resnet import ResNet

# torch's names of the traces' parameters -> ours
PARAMETERS = {
    "backbone.0.weight": ("encoder", "linear_0", "kernel"),
    "backbone.1.weight": ("encoder", "bn_0", "scale"),
    "backbone.1.bias": ("encoder", "bn_0", "bias"),
    "backbone.3.weight": ("encoder", "linear_1", "kernel"),
    "backbone.3.bias": ("encoder", "linear_1", "bias"),
    "projector.0.weight": ("projector", "linear_0", "kernel"),
    "projector.0.bias": ("projector", "linear_0", "bias"),
    "projector.1.weight": ("projector", "bn_0", "scale"),
    "projector.1.bias": ("projector", "bn_0", "bias"),
    "projector.3.weight": ("projector", "linear_1", "kernel"),
    "projector.3.bias": ("projector", "linear_1", "bias"),
    "projector.4.weight": ("projector", "bn_1", "scale"),
    "projector.4.bias": ("projector", "bn_1", "bias"),
    "projector.6.weight": ("projector", "linear_2", "kernel"),
}
STATISTICS = {
    "backbone.1.running_mean": ("encoder", "bn_0", "mean"),
    "backbone.1.running_var": ("encoder", "bn_0", "var"),
    "projector.1.running_mean": ("projector", "bn_0", "mean"),
    "projector.1.running_var": ("projector", "bn_0", "var"),
    "projector.4.running_mean": ("projector", "bn_1", "mean"),
    "projector.4.running_var": ("projector", "bn_1", "var"),
}


def ours(trace, when, names):
    """Arrays of the trace as our nested dict: torch keeps Linear weights transposed."""
    tree = {}
    for name, path in names.items():
        if f"{when}/{name}" in trace:
            node = tree
            for key in path[:-1]:
                node = node.setdefault(key, {})
            value = trace[f"{when}/{name}"]
            node[path[-1]] = value.T if value.ndim == 2 else value
    return tree


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("name", ["barlow_twins", "vicreg"])
def test_thirty_steps_are_the_references(golden, name, devices):
    """Loss of each step, parameters and running statistics at the end, in float64 at 1e-9."""
    trace = golden(f"train_trace_{name.removesuffix('_twins')}")
    biased = name == "vicreg"
    with jax.enable_x64(True):
        fields = {"dtype": jnp.float64, "param_dtype": jnp.float64, "axis_name": meshes.AXIS}
        networks = Networks(
            {
                "encoder": MLP((48, 32), output_bias=True, **fields),
                "projector": MLP((64, 64, 64), hidden_bias=biased, **fields),
            }
        )
        mesh = meshes.make_mesh(jax.devices()[:devices])
        # 15 epochs of 2 steps, warm-up 10 epochs, rates of batch 256; VICReg has one rate for all.
        rate = schedules.warmup_cosine(0.2, 20, 30, 0.0002)
        biases = None if biased else schedules.warmup_cosine(0.0048, 20, 30, 0.0000048)
        optimizer = optim.lars(rate, 1e-6, bias_learning_rate=biases)
        method = methods.load(name)
        params = jax.tree.map(jnp.asarray, ours(trace, "init", PARAMETERS))
        current = state.TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=jax.tree.map(jnp.asarray, ours(trace, "init", STATISTICS)),
            opt_state=optimizer.init(params),
            target=(),
            key=jax.random.key(0),
        )
        current = jax.device_put(current, meshes.replicated(mesh))
        train_step = step.make_train_step(method, networks, optimizer, mesh)
        for i, expected in enumerate(trace["loss"]):
            views = tuple(trace[y][i].astype(np.float64) for y in ("y1", "y2"))
            batch = meshes.to_global(mesh, {"views": views})
            current, terms = train_step(current, batch)
            np.testing.assert_allclose(terms["loss"], expected, rtol=1e-9)
        for tree, names in ((current.params, PARAMETERS), (current.batch_stats, STATISTICS)):
            final = ours(trace, "final", names)
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-11), tree, final
            )


def test_small_resnet_is_the_same_on_any_number_of_devices():
    """Twenty steps of a convolutional net in float32: losses to 2e-4, parameters to 2e-3.

    Rounding differs with the order of sums and training amplifies it; what a wrong reduction would
    give is off by factors from the second step on.
    """
    rng = np.random.default_rng(0)
    images = rng.normal(size=(20, 2, 16, 8, 8, 3)).astype(np.float32)
    images[:, 1] = images[:, 0] + 0.3 * images[:, 1]
    method = methods.load("barlow_twins")
    encoder = ResNet((1, 1), bottleneck=False, features=8, stem="cifar", axis_name=meshes.AXIS)
    networks = Networks({"encoder": encoder, "projector": MLP((16, 16), axis_name=meshes.AXIS)})
    optimizer = optim.lars(0.1, 1e-4, trust_coefficient=0.01, bias_learning_rate=0.01)
    runs = {}
    for devices in (1, 2, 8):
        mesh = meshes.make_mesh(jax.devices()[:devices])
        current = step.init_state(method, networks, optimizer, mesh, seed=0, image_shape=(8, 8, 3))
        train_step = step.make_train_step(method, networks, optimizer, mesh)
        losses = []
        for pair in images:
            current, terms = train_step(current, meshes.to_global(mesh, {"views": tuple(pair)}))
            losses.append(float(terms["loss"]))
        runs[devices] = losses, jax.device_get((current.params, current.batch_stats))
    assert min(runs[1][0][10:]) < 0.8 * runs[1][0][0]  # it learns, so the steps are real ones
    for devices in (2, 8):
        np.testing.assert_allclose(runs[devices][0], runs[1][0], rtol=2e-4)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4),
            runs[devices][1],
            runs[1][1],
        )


def test_device_augmentation_is_part_of_the_step():
    """The step with crops is the step with the views that ``augment.device`` makes of them."""
    config = configs.digits("smoke")
    config.data.device_augment = True
    config.heads.projector = (8, 8)
    built = run.build(config, 1297, meshes.make_mesh())
    encoder = ResNet((1,), bottleneck=False, features=4, stem="cifar", axis_name=meshes.AXIS)
    built = built._replace(networks=Networks({**built.networks.modules, "encoder": encoder}))
    source = data.load("digits")
    batches = data.batches(
        source,
        "train",
        global_batch=config.batch_size,
        seed=config.seed,
        recipes=built.recipes,
        start_step=81,  # the second epoch, so that the key's epoch counts
        host_only=True,
    )
    batch = train.step_input(next(batches))
    assert batch["views"][0].dtype == np.uint8

    def loss(device_augment, views):
        config.data.device_augment = device_augment
        current = run.init_state(built, config)
        current = current.replace(step=current.step + 81)
        inputs = meshes.to_global(built.mesh, {**batch, "views": views})
        return run.train_step(built, config)(current, inputs)[1]["loss"]

    key = jax.random.fold_in(jax.random.key(config.seed), step.VIEWS)
    views = device.views(batch["views"], batch["index"], built.recipes, jax.random.fold_in(key, 1))
    assert built.steps_per_epoch == 81
    np.testing.assert_allclose(loss(True, batch["views"]), loss(False, views), rtol=1e-4)


def test_gradient_scale_is_the_references_factor():
    """1/W scales what plain parameters feel and leaves adapted weights (no decay) alone."""
    rng = np.random.default_rng(0)
    views = tuple(rng.normal(size=(16, 20)).astype(np.float32) for _ in range(2))
    projector = MLP((16, 8), axis_name=meshes.AXIS)
    networks = Networks({"encoder": MLP((8,), output_bias=True), "projector": projector})
    method, mesh = methods.load("barlow_twins"), meshes.make_mesh(jax.devices()[:1])
    optimizer = optim.lars(0.1, 0.0, bias_learning_rate=0.1)
    moves = {}
    for scale in (1.0, 0.25):
        variables = networks.init(jax.random.key(0), jnp.zeros((1, 20)))
        start = jax.device_get(variables["params"])
        current = state.TrainState(
            step=jnp.zeros((), jnp.int32),
            params=variables["params"],
            batch_stats=variables["batch_stats"],
            opt_state=optimizer.init(variables["params"]),
            target=(),
            key=jax.random.key(0),
        )
        current = jax.device_put(current, meshes.replicated(mesh))
        train_step = step.make_train_step(method, networks, optimizer, mesh, gradient_scale=scale)
        current, _ = train_step(current, meshes.to_global(mesh, {"views": views}))
        moves[scale] = jax.tree.map(lambda a, b: np.asarray(a) - b, current.params, start)
    kernel = ("encoder", "linear_0", "kernel")
    bias = ("projector", "bn_0", "bias")
    for path, factor in ((kernel, 1.0), (bias, 0.25)):
        a, b = moves[1.0], moves[0.25]
        for key in path:
            a, b = a[key], b[key]
        assert np.abs(a).max() > 1e-6
        np.testing.assert_allclose(b, factor * a, rtol=1e-3, atol=1e-7)


def test_batch_that_does_not_divide_is_refused():
    mesh = meshes.make_mesh(jax.devices()[:8])
    with pytest.raises(ValueError, match="12 does not divide over 8 devices: use a multiple of 8"):
        meshes.check_divides(12, mesh)
