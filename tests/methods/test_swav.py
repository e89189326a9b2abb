"""SwAV: unit prototypes, frozen at first; a queue that serves once full; crops of two sizes."""

import jax
import jax.numpy as jnp
import numpy as np

from jax_bt import losses, methods
from jax_bt.methods._networks import Networks
from jax_bt.models.heads import MLP
from jax_bt.models.resnet import ResNet

from . import tiny


def kernel(state):
    return np.array(state.params["prototypes"]["kernel"])


def test_prototypes_have_unit_length_and_learn_after_the_freeze():
    run = tiny.make("swav", loss={"freeze_steps": 2})
    kernels, state = [kernel(run.state)], run.state
    for i in range(4):
        state, _ = tiny.train(run, range(i, i + 1), state)
        kernels.append(kernel(state))
    for k in kernels:
        np.testing.assert_allclose(np.linalg.norm(k, axis=0), 1, rtol=1e-6)
    np.testing.assert_allclose(kernels[2], kernels[0], atol=1e-6)
    assert np.abs(kernels[3] - kernels[2]).max() > 1e-4


@jax.jit
def embeddings(variables, views):
    """Unit embeddings of both views: together through the projector, as the reference has it."""
    out, _ = tiny.networks("swav")(variables, jnp.concatenate(views), until="projector")
    z = out["projector"]
    return (z / jnp.linalg.norm(z, axis=1, keepdims=True)).reshape(2, tiny.BATCH, -1)


def test_queue_is_newest_first_and_serves_once_full():
    """Four shards hold 8 of the 32 stored embeddings each; three batches of 16 pass through."""
    run = tiny.make("swav", devices=4, target={"queue_size": 32, "queue_start": 1})
    state, stored, swav = run.state, [], jax.jit(losses.swav)
    for i in range(4):
        z = embeddings(tiny.variables(jax.device_get(state)), tiny.views(i))
        queue = np.array(state.target)
        expected = np.concatenate([*stored[::-1], np.zeros((2, 32, 8))], axis=1)[:, :32]
        np.testing.assert_allclose(queue, expected, atol=2e-5)
        full = len(stored) >= 2
        options = {"queue_scores": queue @ kernel(state)} if full else {}
        loss = swav(z @ kernel(state), **options).loss
        state, (ours,) = tiny.train(run, range(i, i + 1), state)
        np.testing.assert_allclose(ours, loss, rtol=1e-4)
        if i >= 1:  # queue_start
            stored.append(np.asarray(z))
    assert np.abs(swav(z @ kernel(run.state)).loss - loss) > 1e-3  # the queue matters


def test_small_crops_predict_the_codes_of_the_large_ones():
    """Two crops of 8 pixels and three of 4: each size through the encoder at once."""
    method = methods.load("swav")
    encoder = ResNet((1,), bottleneck=False, features=4, stem="cifar")
    heads = {"projector": MLP((8, 4)), "prototypes": method.heads(4, prototypes=6)["prototypes"]}
    nets = Networks({"encoder": encoder, **heads})
    key = jax.random.key(0)
    variables = nets.init(key, jnp.zeros((1, 8, 8, 3)))
    views = tuple(jax.random.normal(key, (6, side, side, 3)) for side in (8, 8, 4, 4, 4))

    @jax.jit
    def ours(variables):
        loss, out = method.loss(nets, variables, (), views, axis_name=None, step=jnp.zeros(()))
        return loss, out.embeddings

    @jax.jit
    def expected(variables):
        large, variables = nets(variables, jnp.concatenate(views[:2]), until="encoder")
        small, variables = nets(variables, jnp.concatenate(views[2:]), until="encoder")
        features = jnp.concatenate([large["encoder"], small["encoder"]])
        z = nets(variables, features, after="encoder", until="projector")[0]["projector"]
        z = z / jnp.linalg.norm(z, axis=1, keepdims=True)
        scores = (z @ variables["params"]["prototypes"]["kernel"]).reshape(5, 6, 6)
        return losses.swav(scores, assigned=(0, 1)).loss, z.reshape(5, 6, 4)

    (loss, z), (loss_0, z_0) = ours(variables), expected(variables)
    np.testing.assert_allclose(loss, loss_0, rtol=1e-5)
    np.testing.assert_allclose(np.stack(z), z_0, atol=1e-5)
