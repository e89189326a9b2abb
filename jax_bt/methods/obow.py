"""OBoW predicts from crops which visual words a slow teacher sees in the whole image.

The first view is the teacher's, the others are the student's. Words are the teacher's local
features of the last steps, a queue for each level of its maps.

Reference: Gidaris et al. 2021, https://arxiv.org/abs/2012.11552; valeoai/obow
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jax_bt import losses, optim, stats
from jax_bt.errors import UsageError
from jax_bt.methods import _momentum, _together
from jax_bt.methods._context import Context
from jax_bt.methods._networks import Networks, Outputs, Variables
from jax_bt.methods._options import Count, CountOrZero, Positive, Share, Widths
from jax_bt.models.heads import MLP, Identity

SHARED_ONLY = True  # the teacher is an average of the one student


def heads(
    encoder_width: int,
    *,
    projector: Widths = (),
    levels: tuple[str, ...] = ("layer3", "layer4"),
) -> dict[str, Any]:
    """A head for each level makes weights of its words: Linear-BN-ReLU-Linear of unit words.

    Levels are names of the encoder's maps, which give a head the width of its input; in the loss it
    takes words, which have that width. Features are the encoder's, unless a projector has
    widths, which the reference does not have.
    """
    if not levels:
        raise UsageError("heads.levels=(): obow needs at least one")
    width = projector[-1] if projector else encoder_width
    made: dict[str, Any] = {"projector": MLP(projector) if projector else Identity(encoder_width)}
    for level in levels:
        widths = (2 * width, width)
        made[f"words_{level}"] = MLP(widths, output_bias=True, unit_input=True, reads=level)
    return made


def init_target(
    networks: Networks, variables: Variables, context: Context, *, words: Count = 8192
) -> dict[str, Any]:
    """Copies the encoder for the teacher; draws the words (K, C) of each level, relu(normal)."""
    queues = []
    for i, (name, _) in enumerate(networks.chain(after="projector")):
        channels = len(variables["params"][name]["linear_0"]["kernel"])
        key = jax.random.fold_in(context.key, i)
        queues.append(jax.nn.relu(jax.random.normal(key, (words, channels))))
    return {
        **_momentum.copy(networks, variables),
        "words": tuple(queues),
        "mean_distance": jnp.full(len(queues), 0.5),
    }


def loss(
    networks: Networks,
    variables: Variables,
    target: dict[str, Any],
    views: tuple[Array, ...],
    context: Context,
    *,
    kappa: Positive = 8.0,
    inverse_delta: Positive = 15.0,
    decay: Share = 0.99,
    border: CountOrZero = 1,
) -> tuple[Array, Outputs]:
    """Takes ``losses.obow``: mean over levels, sum over the sizes of the student's crops.

    Each device makes the weights of its share of the words.
    """
    axis_name, (whole, *crops) = context.axis_name, views
    teacher, moved = networks(target, whole, until="encoder")
    out = _together.run(networks, variables, (), tuple(crops))
    variables = {**variables, "batch_stats": out.batch_stats}
    by_size = itertools.groupby(zip(crops, out.embeddings, strict=True), lambda x: x[0].shape)
    features = [kappa * jnp.stack([z for _, z in same]) for _, same in by_size]
    terms, perplexities, distances, new = [], [], [], []
    before = "projector"
    for i, (head, module) in enumerate(networks.chain(after="projector")):
        words, maps = target["words"][i], teacher[module.reads]
        places = _places(jax.random.fold_in(context.key, i), maps, border, axis_name)
        new.append(losses.new_words(maps, places, border=border))
        bags = losses.bags_of_words(
            maps,
            words,
            target["mean_distance"][i],
            inverse_delta=inverse_delta,
            decay=decay,
            border=border,
            axis_name=axis_name,
        )
        distances.append(bags.mean_distance)
        mean_bag = stats.mean(bags.target, axis_name=axis_name)
        perplexities.append(jnp.exp(jnp.sum(jax.scipy.special.entr(mean_bag))))
        share = stats.own_share(words, axis_name, field="target.words")
        made, variables = networks(variables, share, after=before, until=head)
        before = head
        weights = stats.all_gather(stats.l2_normalize(made[head]), axis_name=axis_name).T
        terms += [losses.obow(z @ weights, bags.target, axis_name=axis_name).loss for z in features]
    value = sum(terms) / len(new)
    return value, Outputs(
        terms={"loss": value, "perplexity": sum(perplexities) / len(new)},
        batch_stats=variables["batch_stats"],
        representations=(*out.representations, *new),
        embeddings=out.embeddings,
        kept={"batch_stats": moved["batch_stats"], "mean_distance": jnp.stack(distances)},
    )


def _places(key: Array, maps: Array, border: int, axis_name: str | None) -> Array:
    """Where each image's new word is: a place that has all its neighbours inside the border."""
    batch, height, width, _ = maps.shape
    rows, columns = (side - 2 * (border + 1) for side in (height, width))
    if min(rows, columns) < 1:
        raise UsageError(
            f"obow: maps of {height} x {width} have no window of 3 x 3 inside a border of "
            f"{border}: use a larger first view, --config.loss.border=0 or earlier heads.levels"
        )
    count = batch * stats.axis_size(axis_name)
    places = jax.random.randint(key, (count,), 0, rows * columns)
    return stats.own_share(places, axis_name, field="batch_size")


def update_target(
    target: dict[str, Any],
    params: Any,
    outputs: Outputs,
    context: Context,
    *,
    momentum: Share = 0.99,
) -> dict[str, Any]:
    """Replaces the oldest words, the first, and moves the teacher for the NEXT step.

    The reference moves it at the start of each step; see ``moco_v3.update_target``.
    """
    new = outputs.representations[-len(target["words"]) :]
    share = optim.schedules.cosine_ema(momentum, context.total_steps)(context.step + 1)
    return {
        **outputs.kept,
        "params": _momentum.move(target["params"], params, share),
        "words": tuple(
            jnp.concatenate([old, x.astype(old.dtype)])[-len(old) :]
            for old, x in zip(target["words"], new, strict=True)
        ),
    }
