"""SwAV: unit prototypes, frozen at first; a queue that serves once full; crops of two sizes."""

import jax
import numpy as np

from jax_bt import methods
from jax_bt.methods import Method
from jax_bt.models.resnet import ResNet

from . import formulas, tiny


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


def embeddings(state, views):
    """Unit embeddings of both views: together through the networks, as the reference has it."""
    variables, both = tiny.variables(jax.device_get(state)), np.concatenate(views)
    z = tiny.through(tiny.networks("swav"), variables, both, "encoder", "projector")
    return formulas.unit(z).reshape(2, tiny.BATCH, -1)


def test_queue_is_newest_first_and_serves_once_full():
    """Four shards hold 8 of the 32 stored embeddings each; three batches of 16 pass through."""
    run = tiny.make("swav", devices=4, target={"queue_size": 32, "queue_start": 1})
    state, stored = run.state, []
    for i in range(4):
        z = embeddings(state, tiny.views(i))
        queue = np.array(state.target)
        expected = np.concatenate([*stored[::-1], np.zeros((2, 32, 8))], axis=1)[:, :32]
        np.testing.assert_allclose(queue, expected, atol=2e-5)
        alone = formulas.swav(z @ kernel(state))
        full = len(stored) >= 2
        loss = formulas.swav(z @ kernel(state), queue=queue @ kernel(state)) if full else alone
        state, (ours,) = tiny.train(run, range(i, i + 1), state)
        np.testing.assert_allclose(ours, loss, rtol=1e-4)
        if i >= 1:  # queue_start
            stored.append(z)
    assert full and np.abs(alone - loss) > 1e-3  # the queue matters


def test_small_crops_predict_the_codes_of_the_large_ones():
    """Two crops of 8 pixels and three of 4: each size through the encoder at once."""
    encoder = ResNet((1,), bottleneck=False, features=4, stem="cifar")
    module, heads = methods.load("swav"), {"projector": (8, 4), "prototypes": 6}
    nets = methods.make_networks(module, encoder, heads, inputs=(8, 8, 3))
    key = jax.random.key(0)
    variables = nets.init(key)
    views = tuple(jax.random.normal(key, (6, side, side, 3)) for side in (8, 8, 4, 4, 4))
    method = Method(module)

    @jax.jit
    def ours(variables):
        loss, out = tiny.loss(method, nets, variables, (), views, tiny.context())
        return loss, out.embeddings

    loss, z = ours(variables)
    large = tiny.through(nets, variables, np.concatenate(views[:2]), "encoder")
    small = tiny.through(nets, variables, np.concatenate(views[2:]), "encoder")
    expected = tiny.through(nets, variables, np.concatenate([large, small]), "projector")
    expected = formulas.unit(expected).reshape(5, 6, 4)
    np.testing.assert_allclose(np.stack(z), expected, atol=1e-5)
    scores = expected @ variables["params"]["prototypes"]["kernel"]
    np.testing.assert_allclose(loss, formulas.swav(scores), rtol=1e-4)
