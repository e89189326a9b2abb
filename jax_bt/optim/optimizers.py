"""Defines optimisers as optax transformations, with the update order of their sources.

What all of them take beside their own options:

    learning_rate       rate of the weights: a float, or a function of the step, counted from 0
    bias_learning_rate  the same of parameters with at most one dimension (biases, norm scales);
                        None for ``learning_rate``
    rules               what parts of the parameters do otherwise, see ``groups``
    rates               further rates by name, which rules may name

They return an optax transformation whose ``update`` needs the parameters. It may be given the
``step``, without which it counts its own updates: the two differ where updates are left out, and
only the first agrees with what is logged. They raise UsageError for a rule that cannot be, and
their ``init`` does for one that decides for no parameter.

``w`` and ``g`` are a parameter and its gradient, |.| the Euclidean norm.
"""

from typing import Any

import jax.numpy as jnp
import optax
from jax import Array

from jax_bt.optim import _parts
from jax_bt.optim._parts import Rate, Rates
from jax_bt.optim.groups import Group, Rules

GradientTransformation = optax.GradientTransformation

# What parameters with at most one dimension get where no rule says otherwise
ALIKE = Group(rate="bias")
PLAIN = Group(decay=0.0, adapt=False, rate="bias")


def lars(
    learning_rate: Rate,
    weight_decay: float,
    momentum: float = 0.9,
    trust_coefficient: float = 0.001,
    bias_learning_rate: Rate | None = None,
    *,
    nesterov: bool = False,
    rules: Rules = (),
    rates: Rates | None = None,
) -> GradientTransformation:
    """LARS as in the Barlow Twins and VICReg code: the rate multiplies the momentum buffer.

    With q = trust_coefficient * |w| / |g|, or 1 where either norm is 0::

        g <- g + weight_decay * w;  m <- momentum * m + q * g;  w <- w - rate * m

    Parameters with at most one dimension get neither decay nor q. ``optax.lars`` puts the rate
    inside the momentum: under a warm-up and cosine schedule it ends 67 % elsewhere.

    Args:
      learning_rate: rate of the weights, float or schedule.
      weight_decay: factor of the weights added to their gradients.
      momentum: factor of the buffer.
      trust_coefficient: eta of the paper.
      bias_learning_rate: rate of parameters with at most one dimension.
      nesterov: step along q * g + momentum * m instead of m.
      rules: by parameter path, see ``groups``.
      rates: further rates, for the rules.

    Returns:
      An optax transformation; its ``update`` needs the parameters.

    Raises:
      UsageError: a rule that cannot be; from ``init``, one that decides for no parameter.

    Reference: You et al. 2017, https://arxiv.org/abs/1708.03888; Zbontar et al. 2021,
    https://arxiv.org/abs/2103.03230
    """
    return _parts.chain(
        _parts.add_decay(weight_decay),
        _parts.scale_by_ratio(trust_coefficient),
        optax.trace(momentum, nesterov),
        _parts.scale_by_rate(),
        vectors=PLAIN,
        rules=rules,
        rates=_named(learning_rate, bias_learning_rate, rates),
    )


def lars_inside(
    learning_rate: Rate,
    weight_decay: float,
    momentum: float = 0.9,
    trust_coefficient: float = 0.001,
    bias_learning_rate: Rate | None = None,
    *,
    nesterov: bool = False,
    rules: Rules = (),
    rates: Rates | None = None,
) -> GradientTransformation:
    """LARS as in SimCLR's code, the rate inside the buffer; as ``lars`` for a constant rate.

    ::

        g <- g + weight_decay * w;  m <- momentum * m + rate * q * g;  w <- w - m

    Args: as ``lars``.

    Reference: google-research/simclr lars_optimizer.py, classic_momentum=True
    """
    return _parts.chain(
        _parts.add_decay(weight_decay),
        _parts.scale_by_ratio(trust_coefficient),
        _parts.scale_by_rate(),
        optax.trace(momentum, nesterov),
        vectors=PLAIN,
        rules=rules,
        rates=_named(learning_rate, bias_learning_rate, rates),
    )


def lars_popular(
    learning_rate: Rate,
    weight_decay: float,
    momentum: float = 0.9,
    trust_coefficient: float = 0.001,
    bias_learning_rate: Rate | None = None,
    *,
    nesterov: bool = False,
    rules: Rules = (),
    rates: Rates | None = None,
) -> GradientTransformation:
    """LARS whose ratio has the norm of the momentum buffer, not of the gradient, below.

    ::

        g <- g + weight_decay * w;  m <- momentum * m + g
        w <- w - rate * trust_coefficient * |w| / |m| * m

    Args: as ``lars``.

    Reference: google-research/simclr lars_optimizer.py, classic_momentum=False
    """
    return _parts.chain(
        _parts.add_decay(weight_decay),
        optax.trace(momentum, nesterov),
        _parts.scale_by_ratio(trust_coefficient),
        _parts.scale_by_rate(),
        vectors=PLAIN,
        rules=rules,
        rates=_named(learning_rate, bias_learning_rate, rates),
    )


def larc(
    learning_rate: Rate,
    weight_decay: float,
    momentum: float = 0.9,
    trust_coefficient: float = 0.001,
    *,
    clip: bool = False,
    adapt_biases: bool = True,
    nesterov: bool = False,
    bias_learning_rate: Rate | None = None,
    rules: Rules = (),
    rates: Rates | None = None,
) -> GradientTransformation:
    """LARC, whose ratio has both norms below: apex's (SwAV), and LARS of solo-learn and lightly.

    With q = trust_coefficient * |w| / (|g| + weight_decay * |w| + 1e-8), or with ``clip`` the
    smaller of q / rate and 1; where either norm is 0, g stays as it is, without decay::

        g <- q * (g + weight_decay * w);  m <- momentum * m + g;  w <- w - rate * m

    Args:
      learning_rate: rate of the weights, float or schedule.
      weight_decay: factor of the parameters added to their gradients.
      momentum: factor of the buffer.
      trust_coefficient: 0.001 in SwAV; 0.02, with ``clip``, in solo-learn's CIFAR recipes.
      clip: let no ratio raise the rate above itself.
      adapt_biases: False gives parameters with at most one dimension neither decay nor q, as
        solo-learn and lightly do.
      nesterov: step along g + momentum * m instead of m.

    Reference: NVIDIA/apex apex/parallel/LARC.py; vturrisi/solo-learn solo/utils/lars.py;
    lightly-ai/lightly lightly/utils/lars.py
    """

    def adapt(g: Array, w: Array, group: Group, rate: Any) -> Array:
        decay = group.decay * weight_decay
        if not group.adapt:
            return g + decay * w if group.decay else g
        w_norm, g_norm = _parts.norm(w), _parts.norm(g)
        q = trust_coefficient * w_norm / (g_norm + decay * w_norm + 1e-8)
        if clip:
            q = jnp.where(q < rate, q / rate, 1.0)  # 1 at rate 0, too
        adapted = (q * (g + decay * w)).astype(g.dtype)
        return jnp.where((w_norm > 0) & (g_norm > 0), adapted, g)

    return _parts.chain(
        _parts.each(adapt),
        optax.trace(momentum, nesterov),
        _parts.scale_by_rate(),
        vectors=ALIKE if adapt_biases else PLAIN,
        rules=rules,
        rates=_named(learning_rate, bias_learning_rate, rates),
    )


def sgd(
    learning_rate: Rate,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    *,
    nesterov: bool = False,
    bias_learning_rate: Rate | None = None,
    rules: Rules = (),
    rates: Rates | None = None,
) -> GradientTransformation:
    """torch.optim.SGD: g <- g + weight_decay * w; m <- momentum * m + g; w <- w - rate * m.

    Args:
      learning_rate: rate, float or schedule.
      weight_decay: of all parameters, biases and norm scales included.
      momentum: factor of the buffer.
      nesterov: step along g + momentum * m instead of m.
    """
    return _parts.chain(
        _parts.add_decay(weight_decay),
        optax.trace(momentum, nesterov),
        _parts.scale_by_rate(),
        vectors=ALIKE,
        rules=rules,
        rates=_named(learning_rate, bias_learning_rate, rates),
    )


def adam(
    learning_rate: Rate,
    weight_decay: float = 0.0,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    bias_learning_rate: Rate | None = None,
    rules: Rules = (),
    rates: Rates | None = None,
) -> GradientTransformation:
    """torch.optim.Adam: g <- g + weight_decay * w first, of all parameters; W-MSE's.

    Args: as ``adamw``.

    Reference: Kingma and Ba 2014, https://arxiv.org/abs/1412.6980
    """
    return _parts.chain(
        _parts.add_decay(weight_decay),
        optax.scale_by_adam(b1, b2, eps),
        _parts.scale_by_rate(),
        vectors=ALIKE,
        rules=rules,
        rates=_named(learning_rate, bias_learning_rate, rates),
    )


def adamw(
    learning_rate: Rate,
    weight_decay: float = 0.0,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    *,
    bias_learning_rate: Rate | None = None,
    rules: Rules = (),
    rates: Rates | None = None,
) -> GradientTransformation:
    """Adam with decoupled decay: w <- w - rate * (m / (sqrt(v) + eps) + weight_decay * w).

    Args:
      learning_rate: rate, float or schedule.
      weight_decay: of the parameters with more than one dimension.
      b1: decay of the first moment m.
      b2: decay of the second moment v.
      eps: added to the root of the second moment.

    Reference: Loshchilov and Hutter 2017, https://arxiv.org/abs/1711.05101
    """
    return _parts.chain(
        optax.scale_by_adam(b1, b2, eps),
        _parts.add_decay(weight_decay),
        _parts.scale_by_rate(),
        vectors=PLAIN,
        rules=rules,
        rates=_named(learning_rate, bias_learning_rate, rates),
    )


def _named(rate: Rate, bias_rate: Rate | None, rates: Rates | None) -> Rates:
    """The rates that a rule may name."""
    return {"weights": rate, "bias": rate if bias_rate is None else bias_rate, **(rates or {})}
