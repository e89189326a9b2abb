"""VICRegL: its authors' numbers through the method, where its views lie, and its heads."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import augment, methods
from jax_bt.errors import UsageError
from jax_bt.methods import Context, Method, Networks
from jax_bt.models.heads import MLP

from . import tiny


class Given(nn.Module):
    """Shows the first channels of its input as maps; its output is the rest at one position."""

    channels: int

    @nn.compact
    def __call__(self, x, train=False):
        self.sow("intermediates", "maps", x[..., : self.channels])
        return x[:, 0, 0, self.channels :]


class Same(nn.Module):
    """A head that changes nothing."""

    reads: str | None = None

    def __call__(self, x, train=False):
        return x


def placed(cells):
    """The place (N, 2, 3) whose cells (N, h, w, 2) these are, from the first and last centre."""
    n = np.array(cells.shape[1:3])
    side = (cells[:, -1, -1] - cells[:, 0, 0]) * n / (n - 1)
    start = cells[:, 0, 0] - side / n / 2
    zero = np.zeros(len(cells))
    rows = [[side[:, 0], zero, start[:, 0]], [zero, side[:, 1], start[:, 1]]]
    return np.moveaxis(np.array(rows), 2, 0)


@pytest.mark.parametrize("case", ["8_2x7_2x3", "12_2x4"])
def test_cells_are_the_authors_grids(golden, case):
    """float32 of some hundred pixels: 3e-5."""
    g = golden(f"vicregl_loss_{case}")
    for i in range(len(g["embedding"])):
        expected = np.float64(g[f"location/{i}"])
        found = augment.cells(jnp.float32(placed(expected)), *expected.shape[1:3])
        np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("case", ["8_2x7_2x3", "12_2x4"])
@pytest.mark.parametrize("convention, key", [("author", "local_all"), ("few", "local_few")])
def test_the_method_gives_the_authors_loss(golden, case, convention, key):
    """Embeddings, maps and crops of theirs; float64 but for places, whose order alone matters."""
    g = golden(f"vicregl_loss_{case}")
    embeddings = np.float64(g["embedding"])
    maps = [np.float64(g[f"maps/{i}"]) for i in range(len(embeddings))]
    where = [np.float64(g[f"location/{i}"]) for i in range(len(embeddings))]
    views = tuple(
        np.concatenate([m, np.broadcast_to(z[:, None, None], (*m.shape[:3], z.shape[1]))], axis=-1)
        for m, z in zip(maps, embeddings, strict=True)
    )
    made = {"projector": Same(), "maps_projector": Same(reads="maps")}
    nets = Networks({"encoder": Given(maps[0].shape[-1]), **made}, views[0].shape[1:])
    matches = tuple(map(int, g["num_matches"]))
    options = {"num_matches": matches, "convention": convention}
    method = Method(methods.load("vicregl"), loss_options=options)
    with jax.enable_x64(True):
        variables = jax.jit(nets.init)(jax.random.key(0))
        places = tuple(jnp.float32(placed(cells)) for cells in where)
        context = Context(None, 0, 1, jax.random.key(0), places=places)
        loss, out = tiny.loss(method, nets, variables, (), views, context)
    np.testing.assert_allclose(loss, g[f"{key}/loss"], rtol=1e-9)
    local = np.asarray(out.terms["local_invariance"])
    np.testing.assert_allclose(25 * local, g[f"{key}/inv"], rtol=1e-9)


def test_alpha_one_is_vicreg_of_the_embeddings():
    """Its covariance is the mean of the views', VICReg's the sum; the maps have no gradient."""
    batch = tuple(map(jnp.asarray, tiny.views(0)))
    method = Method(methods.load("vicregl"), loss_options={"alpha": 1.0})
    nets = tiny.networks("vicregl")
    variables = jax.jit(nets.init)(jax.random.key(1))
    context = Context(None, 0, 1, jax.random.key(0), places=tiny.places(0))

    def loss(params):
        return method.loss(nets, {**variables, "params": params}, (), batch, context)[0]

    found, gradient = jax.jit(jax.value_and_grad(loss))(variables["params"])
    own = methods.load("vicreg")
    plain = tiny.networks("vicreg")
    names = ("encoder", "projector")
    same = {kind: {n: variables[kind][n] for n in names} for kind in ("params", "batch_stats")}
    half = Method(own, loss_options={"covariance_weight": 0.5})
    expected, _ = tiny.loss(half, plain, same, (), batch, context)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient["maps_projector"]))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(gradient["encoder"]))


def test_a_flip_moves_the_grid_unless_it_is_left_out():
    """Without it, as in its code by default, the loss is that of the view's unflipped place."""
    batch, where = tuple(map(jnp.asarray, tiny.views(0))), tiny.places(0)
    before = [np.array(place) for place in where]
    for place in before:  # every crop as it was before its flip
        flipped = place[:, 1, 1] < 0
        place[flipped, 1] = place[flipped, 1] * [0, -1, 1] + place[flipped, 1, 1, None] * [0, 0, 1]
        flipped = place[:, 0, 0] < 0  # upside down is no mirror alone: both turn it by 180 degrees
        place[flipped, 0] = place[flipped, 0] * [-1, 0, 1] + place[flipped, 0, 0, None] * [0, 0, 1]
    nets = tiny.networks("vicregl")
    variables = jax.jit(nets.init)(jax.random.key(1))

    def loss(places, **options):
        options |= {"num_matches": (2, 2), "alpha": 0.0}
        method = Method(methods.load("vicregl"), loss_options=options)
        context = Context(None, 0, 1, jax.random.key(0), places=tuple(places))
        return float(tiny.loss(method, nets, variables, (), batch, context)[0])

    assert loss(where) != pytest.approx(loss(before), rel=1e-4)
    assert loss(before, flip_grid=False) == loss(before)


@pytest.mark.parametrize("layer_norm, kind", [(False, "bn"), (True, "ln")])
def test_heads_are_the_references(layer_norm, kind):
    """Hidden layers have biases, the last none; ConvNeXts' have layer norms for batch norms."""
    made = methods.load("vicregl").heads(2048, layer_norm=layer_norm)
    assert (made["projector"].reads, made["maps_projector"].reads) == (None, "maps")
    for head, width in zip(made.values(), (8192, 512), strict=True):
        start = jax.eval_shape(
            lambda head=head: head.init(jax.random.key(0), jnp.zeros((2, 3, 3, 2048)))
        )
        kernels = {n: p["kernel"].shape for n, p in start["params"].items() if "kernel" in p}
        hidden = {f"linear_{i}": (2048 if i == 0 else width, width) for i in range(3)}
        assert kernels == hidden
        assert {n for n, p in start["params"].items() if "bias" in p} == {
            "linear_0", "linear_1", f"{kind}_0", f"{kind}_1"
        }  # fmt: skip


def test_maps_of_micro_batches_are_in_the_batchs_order():
    nets = tiny.networks("vicregl")
    nets = nets._replace(modules={**nets.modules, "encoder": tiny.Encoder((12,))})
    variables = jax.jit(nets.init)(jax.random.key(1))
    x = jnp.asarray(tiny.views(0)[0])
    whole, _ = nets(variables, x)
    parts, _ = nets._replace(micro_batches=4)(variables, x)
    np.testing.assert_allclose(parts["maps_projector"], whole["maps_projector"], atol=1e-6)


def test_an_encoder_without_maps_and_a_view_without_a_place_are_refused():
    nets = tiny.networks("vicregl")
    nets = nets._replace(modules={**nets.modules, "encoder": MLP((12,))})
    with pytest.raises(UsageError, match="takes the encoder's 'maps', which it does not show"):
        nets.init(jax.random.key(0))
    with pytest.raises(UsageError, match="vicregl asks where each view lies in its image"):
        Method(methods.load("vicregl")).check_views(2, ["image", "tokens"])
