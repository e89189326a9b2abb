"""A run that starts from weights: files in torch's layout, other runs, mistakes."""

import jax
import numpy as np
import pytest

from jax_bt import config, models, weights
from jax_bt.devices.mesh import make_mesh
from jax_bt.errors import UsageError, WeightsError
from jax_bt.train import initial
from jax_bt.train.build import build


def small(method="barlow_twins", **fields):
    c = config.smoke(config.digits(method))
    for name, value in fields.items():
        config.set_field(c, name.replace("__", "."), value)
    return build(c, make_mesh(jax.devices()[:1]), train_size=1297)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Another seed's encoder and projector, by the names of the reference's checkpoint.pth."""
    state = small(seed=7).init_state()
    own = {kind: state.variables[kind]["encoder"] for kind in ("params", "batch_stats")}
    arrays = {f"module.backbone.{k}": v for k, v in weights.to_torchvision(own).items()}
    head = state.params["projector"]
    for number, layer in ((0, "linear_0"), (3, "linear_1"), (6, "linear_2")):
        arrays[f"module.projector.{number}.weight"] = np.array(head[layer]["kernel"]).T
    for number, layer in ((1, "bn_0"), (4, "bn_1")):
        stats = state.batch_stats["projector"][layer]
        arrays |= {
            f"module.projector.{number}.weight": np.array(head[layer]["scale"]),
            f"module.projector.{number}.bias": np.array(head[layer]["bias"]),
            f"module.projector.{number}.running_mean": np.array(stats["mean"]),
            f"module.projector.{number}.running_var": np.array(stats["var"]),
        }
    path = tmp_path_factory.mktemp("weights") / "checkpoint.safetensors"
    weights.write_safetensors(path, {k: np.ascontiguousarray(v) for k, v in arrays.items()})
    return path, state


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_encoder_and_projector_come_from_the_file(checkpoint):
    path, source = checkpoint
    run = small(init__weights=str(path), init__parts=("encoder", "projector"))
    state = initial.start(run)
    same(state.params, source.params)
    same(state.batch_stats, source.batch_stats)


def test_only_the_parts_asked_for(checkpoint):
    path, source = checkpoint
    state, fresh = initial.start(small(init__weights=str(path))), small().init_state()
    same(state.params["encoder"], source.params["encoder"])
    same(state.params["projector"], fresh.params["projector"])


def test_a_momentum_encoder_starts_from_the_same_weights(checkpoint):
    path, source = checkpoint
    state = initial.start(small("byol", init__weights=str(path)))
    same(state.target["params"]["encoder"], source.params["encoder"])


def test_a_vit_of_another_image_size_keeps_its_features(tmp_path):
    """Positions of 4 x 4 patches in a run on 2 x 2: the file's own model gives the same there."""
    module = models.make("vit_toy_patch4")
    random = np.random.default_rng(0)
    drawn = jax.eval_shape(module.init, jax.random.key(0), np.zeros((1, 16, 16, 3), np.float32))
    drawn = jax.tree.map(lambda x: random.normal(0, 0.1, x.shape).astype(x.dtype), drawn)
    weights.write_safetensors(tmp_path / "vit.safetensors", weights.to_state_dict(module, drawn))
    name = {"encoder__name": "vit_toy_patch4", "encoder__stem": None}
    run = small(init__weights=str(tmp_path / "vit.safetensors"), **name)
    state = initial.start(run)
    assert state.params["encoder"]["pos_embed"].shape[1] == 1 + 2 * 2
    images = random.normal(size=(4, 8, 8, 3)).astype(np.float32)
    ours = module.apply({"params": state.params["encoder"]}, images, train=False)
    # Not bit for bit: one resampling is outside of the compiled program.
    np.testing.assert_allclose(ours, module.apply(drawn, images, train=False), rtol=1e-4, atol=1e-5)


def test_shapes_that_differ_are_named(checkpoint):
    path, _ = checkpoint
    run = small(init__weights=str(path), encoder__width=2)
    with pytest.raises(WeightsError, match=r"encoder/.* is \(.*\) there and \(.*\) in this run"):
        initial.start(run)


def test_a_file_without_projector_is_told(checkpoint, tmp_path):
    path, _ = checkpoint
    bare = tmp_path / "encoder.npz"
    np.savez(bare, **weights.read(path))
    run = small(init__weights=str(bare), init__parts=("projector",))
    with pytest.raises(WeightsError, match="holds no projector"):
        initial.start(run)
    with pytest.raises(UsageError, match="init.parts=.*choose from encoder, projector"):
        small(init__weights=str(bare), init__parts=("head",))
