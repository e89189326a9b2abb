"""Whole training steps against the reference's traces, and on different numbers of devices."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import augment, config, data, methods, optim
from jax_bt.devices.mesh import AXIS, check_divides, make_mesh, replicated, to_global
from jax_bt.errors import UsageError
from jax_bt.methods import Method, Networks
from jax_bt.models.heads import MLP
from jax_bt.models.resnet import ResNet
from jax_bt.optim.schedules import warmup_cosine
from jax_bt.train.build import build
from jax_bt.train.loop import step_input
from jax_bt.train.state import TrainState
from jax_bt.train.step import VIEWS, key_of, make_init_state, make_train_step

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
        fields = {"dtype": jnp.float64, "param_dtype": jnp.float64, "axis_name": AXIS}
        networks = Networks(
            {
                "encoder": MLP((48, 32), output_bias=True, **fields),
                "projector": MLP((64, 64, 64), hidden_bias=biased, **fields),
            },
            inputs=trace["y1"].shape[2:],
        )
        mesh = make_mesh(jax.devices()[:devices])
        # 15 epochs of 2 steps, warm-up 10 epochs, rates of batch 256; VICReg has one rate for all.
        rate = warmup_cosine(0.2, 20, 30, 0.0002)
        biases = None if biased else warmup_cosine(0.0048, 20, 30, 0.0000048)
        optimizer = optim.lars(rate, 1e-6, bias_learning_rate=biases)
        method = Method(methods.load(name))
        params = jax.tree.map(jnp.asarray, ours(trace, "init", PARAMETERS))
        current = TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            batch_stats=jax.tree.map(jnp.asarray, ours(trace, "init", STATISTICS)),
            opt_state=optimizer.init(params),
            target=(),
            key=jax.random.key(0),
        )
        current = jax.device_put(current, replicated(mesh))
        train_step = make_train_step(method, networks, optimizer, mesh, total_steps=30)
        for i, expected in enumerate(trace["loss"]):
            views = tuple(trace[y][i].astype(np.float64) for y in ("y1", "y2"))
            batch = to_global(mesh, {"views": views})
            current, metrics = train_step(current, batch)
            np.testing.assert_allclose(metrics.terms["loss"], expected, rtol=1e-9)
        for tree, names in ((current.params, PARAMETERS), (current.batch_stats, STATISTICS)):
            final = ours(trace, "final", names)
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-11), tree, final
            )


def small(devices, *, encoder=None, rate=0.1, biases=0.01, **options):
    """The first state of a small ResNet on so many devices, its step, and the devices."""
    method = Method(methods.load("barlow_twins"))
    fields = {"dtype": jnp.float32, "axis_name": AXIS, **(encoder or {})}
    net = ResNet((1, 1), bottleneck=False, features=8, stem="cifar", **fields)
    shared = {k: v for k, v in fields.items() if k in ("axis_name", "norm_group", "param_dtype")}
    head = MLP((16, 16), dtype=fields["dtype"], **shared)
    networks = Networks({"encoder": net, "projector": head}, inputs=(8, 8, 3))
    optimizer = optim.lars(rate, 1e-4, trust_coefficient=0.01, bias_learning_rate=biases)
    mesh = make_mesh(jax.devices()[:devices])
    state = make_init_state(method, networks, optimizer, mesh, total_steps=20)(0)
    step = make_train_step(method, networks, optimizer, mesh, total_steps=20, **options)
    return state, step, mesh


def small_run(devices, batches, **options):
    """Steps of the small ResNet: the metrics of each, and the last state."""
    current, train_step, mesh = small(devices, **options)
    history = []
    for views in batches:
        current, metrics = train_step(current, to_global(mesh, {"views": views}))
        history.append(jax.device_get(metrics))
    return history, current


@pytest.fixture(scope="module")
def augmented():
    """Views of twenty steps as a run gets them: augmented digits, three epochs and a bit."""
    batches = data.batches(
        data.load("digits"),
        "train[:96]",
        global_batch=16,
        seed=0,
        recipes=augment.recipes("digits", size=8),
    )
    return [batch["views"] for batch in itertools.islice(batches, 20)]


def test_a_run_is_the_same_on_any_number_of_devices(augmented):
    """Twenty steps of a convolutional net, BatchNorm and augmentation and all, in float64.

    Only rounding differs, with the order of sums, and grows by a thousand in twenty steps. A wrong
    reduction is off by factors from step two on.
    """
    losses, states = {}, {}
    with jax.enable_x64(True):
        batches = [tuple(view.astype("float64") for view in views) for views in augmented]
        types = {"dtype": jnp.float64, "param_dtype": jnp.float64}
        for count in (1, 8):
            history, current = small_run(count, batches, encoder=types)
            losses[count] = [metrics.terms["loss"] for metrics in history]
            states[count] = jax.device_get((current.params, current.batch_stats))
        start = jax.device_get(small_run(1, [], encoder=types)[1].params)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), states[1][0], start)
    assert max(jax.tree.leaves(moved)) > 0.05  # the steps are real ones
    np.testing.assert_allclose(losses[8], losses[1], rtol=1e-8)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8), states[8], states[1]
    )


def test_a_float32_step_is_the_same_on_any_number_of_devices(augmented):
    """Each of twenty steps from the state of one device, so that no rounding grows.

    The loss is continuous: some eps * sqrt(number of sums), far below 1e-5. The gradient is not:
    among the millions of activations of these steps some are rounded to the other side of zero,
    and relu then switches one of thousands of equal shares of a gradient on or off. A wrong
    reduction changes the whole update by a factor.
    """
    state, step, mesh = small(1)
    _, step_8, mesh_8 = small(8)
    for views in augmented:
        before = jax.device_get(state.params)
        state_8 = jax.device_put(jax.tree.map(jnp.copy, state), replicated(mesh_8))
        state_8, metrics_8 = step_8(state_8, to_global(mesh_8, {"views": views}))
        state, metrics = step(state, to_global(mesh, {"views": views}))
        np.testing.assert_allclose(metrics_8.terms["loss"], metrics.terms["loss"], rtol=1e-5)
        new, new_8 = jax.device_get((state.params, state_8.params))
        update = np.linalg.norm(flat(new) - flat(before))
        assert np.linalg.norm(flat(new_8) - flat(new)) < 0.02 * update
        stats, stats_8 = jax.device_get((state.batch_stats, state_8.batch_stats))
        np.testing.assert_allclose(flat(stats_8), flat(stats), rtol=1e-4, atol=1e-5)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def test_groups_of_devices_share_batch_statistics(augmented):
    """A group of all is the global batch; smaller groups are something else, by choice."""
    losses = {
        group: [
            m.terms["loss"] for m in small_run(4, augmented[:2], encoder={"norm_group": group})[0]
        ]
        for group in (None, 4, 2)
    }
    np.testing.assert_allclose(losses[4], losses[None], rtol=1e-5)
    assert abs(losses[2][0] / losses[None][0] - 1) > 1e-3


def test_recomputing_blocks_changes_nothing(augmented):
    plain, remat = (
        small_run(2, augmented[:3], encoder={"remat": remat}) for remat in (False, True)
    )
    for a, b in zip(plain[0], remat[0], strict=True):
        np.testing.assert_allclose(a.norms["gradient_norm"], b.norms["gradient_norm"], rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        plain[1].params,
        remat[1].params,
    )


def test_bfloat16_computes_and_float32_keeps(augmented):
    """Parameters, statistics, optimiser state and loss stay float32, and the loss is close."""
    (exact, _), (history, current) = (
        small_run(2, augmented[:3], encoder={"dtype": dtype})
        for dtype in (jnp.float32, jnp.bfloat16)
    )
    for tree in (current.params, current.batch_stats, current.opt_state, history):
        floats = [x.dtype for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
        assert floats and set(floats) == {jnp.dtype("float32")}
    for a, b in zip(history, exact, strict=True):
        np.testing.assert_allclose(a.terms["loss"], b.terms["loss"], rtol=0.05)
        assert a.terms["loss"] != b.terms["loss"]


def test_a_step_that_is_not_finite_is_left_out(augmented):
    """One NaN pixel in the second step: only its number and the count move; then on as before."""
    broken = [tuple(view.copy() for view in views) for views in augmented[:3]]
    broken[1][0][5, 0, 0, 0] = np.nan
    history, current = small_run(2, broken, skip_nonfinite=True)
    assert [int(metrics.skipped) for metrics in history] == [0, 1, 1]
    losses = [metrics.terms["loss"] for metrics in history]
    assert not np.isfinite(losses[1]) and np.isfinite(losses[2])
    assert (int(current.step), int(current.skipped)) == (3, 1)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(current.params))
    _, before = small_run(2, broken[:1], skip_nonfinite=True)
    _, after = small_run(2, broken[:2], skip_nonfinite=True)
    for name in ("params", "batch_stats", "opt_state"):
        jax.tree.map(np.testing.assert_array_equal, getattr(after, name), getattr(before, name))


def test_device_augmentation_is_part_of_the_step():
    """The step with crops is the step with the views that ``augment.device`` makes of them."""
    c = config.smoke(config.digits())
    c.data.device_augment = True
    c.heads.projector = (8, 8)
    with c.unlocked():
        c.encoder.features = 4
    built = build(c, make_mesh(), train_size=1297)
    batches = data.batches(
        data.load("digits"),
        "train",
        global_batch=16,
        seed=0,
        recipes=built.data.recipes,
        start_step=81,  # the second epoch, so that the key's epoch counts
        host_only=True,
    )
    batch = step_input(built, next(batches))
    assert batch["views"][0].dtype == np.uint8

    def loss(on_device, views):
        run = dataclasses.replace(built, data=dataclasses.replace(built.data, on_device=on_device))
        current = run.init_state()
        current = current.replace(step=current.step + 81)
        inputs = to_global(run.mesh, {**batch, "views": views})
        return run.train_step(current, inputs)[1].terms["loss"]

    key = jax.random.fold_in(jax.random.fold_in(key_of(0), VIEWS), 1)
    views = augment.device.views(batch["views"], batch["index"], built.data.recipes, key)
    assert built.steps_per_epoch == 81
    np.testing.assert_allclose(loss(True, batch["views"]), loss(False, views), rtol=1e-4)


def test_rates_follow_the_step_where_updates_are_left_out(augmented):
    """After a step that was left out the rate is that of the step's number, as the log has it."""
    rate = warmup_cosine(0.1, 10, 20, 0.0)
    good = [tuple(view.copy() for view in views) for views in augmented[:3]]
    broken = [tuple(np.full_like(view, np.nan) for view in good[0]), *good[1:]]
    history, _ = small_run(1, broken, rate=rate, biases=None, skip_nonfinite=True)
    sizes = [float(metrics.norms["update_norm"]) for metrics in history[1:]]
    twice, _ = small_run(
        1, broken, rate=lambda step: rate(step) * 2, biases=None, skip_nonfinite=True
    )
    assert float(history[1].norms["update_norm"]) > 0  # the rate of step 1, not of step 0
    np.testing.assert_allclose(twice[1].norms["update_norm"], 2 * sizes[0], rtol=1e-5)


def test_seeds_of_64_bits_are_told_apart():
    """Small seeds are jax's own; large ones use both words of the key."""
    for seed in (0, 5, 2**31 - 1):
        assert (
            jax.random.key_data(key_of(seed)) == jax.random.key_data(jax.random.key(seed))
        ).all()
    keys = {tuple(jax.random.key_data(key_of(s)).tolist()) for s in (1, 2**32 + 1, 2**64 - 1)}
    assert len(keys) == 3


def test_gradient_scale_is_the_references_factor():
    """1/W scales what plain parameters feel and leaves adapted weights (no decay) alone."""
    rng = np.random.default_rng(0)
    views = tuple(rng.normal(size=(16, 20)).astype(np.float32) for _ in range(2))
    projector = MLP((16, 8), axis_name=AXIS)
    networks = Networks(
        {"encoder": MLP((8,), output_bias=True), "projector": projector}, inputs=(20,)
    )
    method, mesh = Method(methods.load("barlow_twins")), make_mesh(jax.devices()[:1])
    optimizer = optim.lars(0.1, 0.0, bias_learning_rate=0.1)
    moves = {}
    for scale in (1.0, 0.25):
        variables = networks.init(jax.random.key(0))
        start = jax.device_get(variables["params"])
        current = TrainState(
            step=jnp.zeros((), jnp.int32),
            params=variables["params"],
            batch_stats=variables["batch_stats"],
            opt_state=optimizer.init(variables["params"]),
            target=(),
            key=jax.random.key(0),
        )
        current = jax.device_put(current, replicated(mesh))
        train_step = make_train_step(
            method, networks, optimizer, mesh, total_steps=2, gradient_scale=scale
        )
        current, _ = train_step(current, to_global(mesh, {"views": views}))
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
    mesh = make_mesh(jax.devices()[:8])
    with pytest.raises(UsageError, match="batch_size=12 does not divide over 8 devices"):
        check_divides(12, mesh)


def momentum_of_one_step(devices, dtype, parts=1, small_batches=1, examples=slice(None)):
    """SGD's momentum after the first step, which is the gradient, and the loss."""
    like = {"dtype": dtype, "axis_name": AXIS}
    encoder = ResNet((1, 1), bottleneck=False, features=8, stem="cifar", **like)
    modules = {"encoder": encoder, "projector": MLP((16, 16), **like)}
    networks = Networks(modules, (8, 8, 3), micro_batches=parts)
    method = Method(methods.load("barlow_twins"), {})
    optimizer, mesh = optim.sgd(0.1, momentum=0.9), make_mesh(jax.devices()[:devices])
    state = make_init_state(method, networks, optimizer, mesh, total_steps=4)(0)
    step = make_train_step(
        method, networks, optimizer, mesh, total_steps=4, small_batches=small_batches
    )
    random = np.random.default_rng(0)
    views = tuple(random.normal(size=(16, 8, 8, 3)).astype(np.float32)[examples] for _ in range(2))
    state, metrics = step(state, to_global(mesh, {"views": views}))
    found = jax.tree_util.tree_leaves_with_path(jax.device_get(state.opt_state))
    # Where the residual branches start from zero most gradients do: those say nothing.
    names = {jax.tree_util.keystr(path): x for path, x in found if np.ndim(x) and np.any(x)}
    return names, float(metrics.terms["loss"])


def test_bfloat16_kernels_have_one_bfloat16_gradient():
    """On eight devices every entry is one. Those of norms and of micro-batches are float32."""
    one, loss = momentum_of_one_step(1, jnp.bfloat16)
    eight, loss_8 = momentum_of_one_step(8, "bfloat16")  # a config has the name
    parts, _ = momentum_of_one_step(8, jnp.bfloat16, parts=2)
    kernels = [name for name in one if "kernel" in name]
    assert kernels and len(kernels) < len(one)

    def rounded(tree, name):
        return np.array_equal(tree[name], tree[name].astype(jnp.bfloat16).astype(np.float32))

    assert all(rounded(eight, name) for name in kernels)
    assert not any(rounded(eight, name) for name in one if "scale" in name)
    assert not any(rounded(parts, name) for name in kernels if "encoder" in name)
    np.testing.assert_allclose(loss_8, loss, rtol=0.01)  # activations of 8 bits, other sums


def test_small_batches_average_the_gradients_of_their_own_losses():
    """Beside one step on each of them alone, which knows nothing of the others."""
    alone = [momentum_of_one_step(1, "float32", examples=slice(i, None, 2)) for i in (0, 1)]
    mean = np.mean([value for _, value in alone])
    for devices in (1, 8):
        found, loss = momentum_of_one_step(devices, "float32", small_batches=2)
        assert loss == pytest.approx(mean, rel=1e-5), devices
        for name, gradient in found.items():
            expected = np.mean([gradients[name] for gradients, _ in alone], axis=0)
            # Batch norm of 8 examples amplifies rounding of 6e-8 by some hundreds.
            np.testing.assert_allclose(gradient, expected, atol=1e-4 * np.abs(expected).max())
    _, whole = momentum_of_one_step(1, "float32")
    assert abs(whole - mean) > 0.01 * mean
