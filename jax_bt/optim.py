"""Optimisers as optax transformations, with the update order of the reference code.

Rates are floats or schedules (functions of the step, counted from 0), and nothing else holds them:
whoever built the schedules logs the current rate by calling them with the step. To freeze a group
of parameters, give it a schedule in ``rate_groups`` that is 0 for as long: zero gradients alone
would leave the weight decay.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

GradientTransformation = optax.GradientTransformation
Rate = float | Callable[[Any], Any]
PyTree = Any


def _matrices(params: PyTree) -> PyTree:
    """Marks weights; biases and norm parameters (ndim <= 1) take no decay and no adaptation."""
    return jax.tree.map(lambda p: jnp.ndim(p) > 1, params)


def _scale_by_rates(
    rate: Rate, bias_rate: Rate | None, rate_groups: Mapping[str, Rate] | None
) -> optax.GradientTransformation:
    """Multiplies by minus the rate of each parameter's group."""
    groups = dict(rate_groups or {})
    if bias_rate is None and not groups:
        return optax.scale_by_learning_rate(rate)
    rates = {"": rate, "ndim <= 1": rate if bias_rate is None else bias_rate, **groups}

    def label(path: tuple, p: Any) -> str:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        for prefix in groups:
            if f"{name}/".startswith(f"{prefix}/"):
                return prefix
        return "" if jnp.ndim(p) > 1 else "ndim <= 1"

    def labels(params: PyTree) -> PyTree:
        named = jax.tree_util.tree_map_with_path(label, params)
        for prefix in groups.keys() - set(jax.tree.leaves(named)):
            raise ValueError(f"rate_groups: no parameter's path starts with {prefix!r}")
        return named

    return optax.partition(
        {name: optax.scale_by_learning_rate(r) for name, r in rates.items()}, labels
    )


def lars(
    learning_rate: Rate,
    weight_decay: float,
    momentum: float = 0.9,
    trust_coefficient: float = 0.001,
    bias_learning_rate: Rate | None = None,
    rate_groups: Mapping[str, Rate] | None = None,
    rate_inside: bool = False,
) -> optax.GradientTransformation:
    """LARS as in the Barlow Twins and VICReg code: the rate multiplies the momentum buffer.

    For weights (ndim > 1), with q = trust_coefficient * |p| / |g| (1 where either norm is 0)::

        g <- g + weight_decay * p;  m <- momentum * m + q * g;  p <- p - rate * m

    Parameters with ndim <= 1 (biases, norm scales) get neither decay nor q. ``optax.lars`` puts the
    rate inside the momentum: under a warm-up and cosine schedule it ends 67 % elsewhere.

    Args:
      learning_rate: rate of the weights, float or schedule.
      weight_decay: factor of the parameters added to the gradients of the weights.
      momentum: factor of the buffer.
      trust_coefficient: eta of the LARS paper.
      bias_learning_rate: rate of the parameters with ndim <= 1; None for ``learning_rate``.
      rate_groups: rates of parts of the tree by prefix of the path ("predictor"), which go before
        both rates above.
      rate_inside: SimCLR's order instead: m <- momentum * m + rate * q * g;  p <- p - m.

    Returns:
      An optax transformation; its ``update`` needs the parameters.

    Reference: You et al. 2017, https://arxiv.org/abs/1708.03888; Zbontar et al. 2021,
    https://arxiv.org/abs/2103.03230
    """
    rates = _scale_by_rates(learning_rate, bias_learning_rate, rate_groups)
    trace = optax.trace(momentum)
    return optax.chain(
        optax.add_decayed_weights(weight_decay, _matrices),
        optax.masked(optax.scale_by_trust_ratio(trust_coefficient=trust_coefficient), _matrices),
        *((rates, trace) if rate_inside else (trace, rates)),
    )


# SimCLR's LARS; for a constant rate the two agree
lars_inside = functools.partial(lars, rate_inside=True)


def larc(
    learning_rate: Rate,
    weight_decay: float,
    momentum: float = 0.9,
    trust_coefficient: float = 0.001,
    clip: bool = False,
    adapt_biases: bool = True,
    bias_learning_rate: Rate | None = None,
    rate_groups: Mapping[str, Rate] | None = None,
) -> optax.GradientTransformation:
    """LARC, whose ratio has both norms below: apex's (SwAV), and with clipping solo-learn's LARS.

    With q = trust_coefficient * |p| / (|g| + weight_decay * |p| + 1e-8), or with ``clip`` the
    smaller of q / rate and 1; parameters or gradients of norm 0 keep g as it is::

        g <- q * (g + weight_decay * p);  m <- momentum * m + g;  p <- p - rate * m

    Args:
      learning_rate: rate, float or schedule; also the one that ``clip`` compares with.
      weight_decay: factor of the parameters added to the gradients.
      momentum: factor of the buffer.
      trust_coefficient: 0.001 in SwAV; 0.02, with clip, in solo-learn's CIFAR recipes.
      clip: see above.
      adapt_biases: False leaves out parameters with ndim <= 1, as solo-learn does.
      bias_learning_rate: rate of the parameters with ndim <= 1; None for ``learning_rate``.
      rate_groups: rates by prefix of the path, as in ``lars``.

    Returns:
      An optax transformation; its ``update`` needs the parameters.

    Reference: NVIDIA/apex apex/parallel/LARC.py; vturrisi/solo-learn solo/utils/lars.py
    """

    def init(params: PyTree) -> optax.ScaleByScheduleState:
        return optax.ScaleByScheduleState(count=jnp.zeros([], jnp.int32))

    def update(grads: PyTree, state: optax.ScaleByScheduleState, params: PyTree) -> tuple:
        rate = learning_rate(state.count) if callable(learning_rate) else learning_rate

        def adapt(g: jax.Array, p: jax.Array) -> jax.Array:
            p_norm, g_norm = jnp.linalg.norm(p.ravel()), jnp.linalg.norm(g.ravel())
            q = trust_coefficient * p_norm / (g_norm + weight_decay * p_norm + 1e-8)
            if clip:
                q = jnp.minimum(q / rate, 1.0)
            return jnp.where((p_norm > 0) & (g_norm > 0), q * (g + weight_decay * p), g)

        count = optax.safe_increment(state.count)
        return jax.tree.map(adapt, grads, params), optax.ScaleByScheduleState(count=count)

    ratio = optax.GradientTransformation(init, update)
    return optax.chain(
        ratio if adapt_biases else optax.masked(ratio, _matrices),
        optax.trace(momentum),
        _scale_by_rates(learning_rate, bias_learning_rate, rate_groups),
    )


def sgd(
    learning_rate: Rate,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    nesterov: bool = False,
    bias_learning_rate: Rate | None = None,
    rate_groups: Mapping[str, Rate] | None = None,
) -> optax.GradientTransformation:
    """torch.optim.SGD: g <- g + weight_decay * p; m <- momentum * m + g; p <- p - rate * m.

    Args:
      learning_rate: rate, float or schedule.
      weight_decay: of all parameters, biases and norm scales included.
      momentum: factor of the buffer.
      nesterov: step along g + momentum * m instead of m.
      bias_learning_rate: rate of the parameters with ndim <= 1; None for ``learning_rate``.
      rate_groups: rates by prefix of the path, as in ``lars``.

    Returns:
      An optax transformation; its ``update`` needs the parameters.
    """
    return optax.chain(
        optax.add_decayed_weights(weight_decay),
        optax.trace(momentum, nesterov=nesterov),
        _scale_by_rates(learning_rate, bias_learning_rate, rate_groups),
    )


def adamw(
    learning_rate: Rate,
    weight_decay: float = 0.0,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    bias_learning_rate: Rate | None = None,
    rate_groups: Mapping[str, Rate] | None = None,
    decoupled: bool = True,
) -> optax.GradientTransformation:
    """Adam with decoupled decay: p <- p - rate * (m / (sqrt(v) + eps) + weight_decay * p).

    Args:
      learning_rate: rate, float or schedule.
      weight_decay: of the weights (ndim > 1) only, if it is decoupled.
      b1: decay of the first moment m.
      b2: decay of the second moment v.
      eps: added to the root of the second moment.
      bias_learning_rate: rate of the parameters with ndim <= 1; None for ``learning_rate``.
      rate_groups: rates by prefix of the path, as in ``lars``.
      decoupled: False is torch.optim.Adam: g <- g + weight_decay * p of all parameters, first.

    Returns:
      An optax transformation; its ``update`` needs the parameters.

    Reference: Loshchilov and Hutter 2017, https://arxiv.org/abs/1711.05101
    """
    moments = optax.scale_by_adam(b1=b1, b2=b2, eps=eps)
    decayed = optax.add_decayed_weights(weight_decay, _matrices if decoupled else None)
    return optax.chain(
        *((moments, decayed) if decoupled else (decayed, moments)),
        _scale_by_rates(learning_rate, bias_learning_rate, rate_groups),
    )


adam = functools.partial(adamw, decoupled=False)  # W-MSE's

OPTIMIZERS = {
    "lars": lars,
    "lars_inside": lars_inside,
    "larc": larc,
    "sgd": sgd,
    "adamw": adamw,
    "adam": adam,
}


def make(name: str, learning_rate: Rate, **options: Any) -> optax.GradientTransformation:
    """An optimiser by name.

    Args:
      name: one of OPTIMIZERS.
      learning_rate: float or schedule of the step.
      **options: keywords of the function of that name.

    Returns:
      An optax transformation.

    Raises:
      ValueError: if there is no optimiser of that name, or it has no such option.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer {name!r} is not one of {', '.join(OPTIMIZERS)}")
    valid = inspect.signature(OPTIMIZERS[name]).parameters
    for option in options:
        if option not in valid:
            raise ValueError(f"optimizer option {option!r}: {name} has {', '.join(valid)}")
    return OPTIMIZERS[name](learning_rate, **options)


def update(
    optimizer: GradientTransformation, grads: PyTree, opt_state: PyTree, params: PyTree
) -> tuple[PyTree, PyTree, dict[str, Any]]:
    """One step of the optimiser.

    Args:
      optimizer: from ``make``.
      grads: gradients, the structure of ``params``.
      opt_state: the optimiser's state.
      params: parameters.

    Returns:
      New parameters, new state, and the global l2 norms {"gradient_norm", "update_norm",
      "parameter_norm"} (of the parameters before the update), float32 scalars.
    """
    updates, opt_state = optimizer.update(grads, opt_state, params)
    norms = {
        "gradient_norm": optax.tree.norm(grads),
        "update_norm": optax.tree.norm(updates),
        "parameter_norm": optax.tree.norm(params),
    }
    return optax.apply_updates(params, updates), opt_state, norms
