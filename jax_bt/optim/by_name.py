"""Makes optimisers by name and checks their options."""

import inspect
from typing import Any

from jax_bt.errors import UsageError
from jax_bt.optim import optimizers
from jax_bt.optim._parts import Rate, Rates
from jax_bt.optim.groups import Rules
from jax_bt.optim.optimizers import GradientTransformation

OPTIMIZERS = {
    "lars": optimizers.lars,
    "lars_inside": optimizers.lars_inside,
    "lars_popular": optimizers.lars_popular,
    "larc": optimizers.larc,
    "sgd": optimizers.sgd,
    "adam": optimizers.adam,
    "adamw": optimizers.adamw,
}


def options(name: str) -> dict[str, inspect.Parameter]:
    """The options of an optimiser, with their defaults, beside its rates and rules.

    Raises:
      UsageError: there is no optimiser of that name.
    """
    if name not in OPTIMIZERS:
        raise UsageError(f"optimizer {name!r} is not one of {', '.join(OPTIMIZERS)}")
    shared = ("learning_rate", "bias_learning_rate", "rules", "rates")
    parameters = inspect.signature(OPTIMIZERS[name]).parameters
    return {option: p for option, p in parameters.items() if option not in shared}


def make(
    name: str,
    learning_rate: Rate,
    *,
    bias_learning_rate: Rate | None = None,
    rules: Rules = (),
    rates: Rates | None = None,
    **given: Any,
) -> GradientTransformation:
    """An optimiser by name.

    Args:
      name: one of OPTIMIZERS.
      learning_rate: rate of the weights, float or schedule.
      bias_learning_rate: rate of parameters with at most one dimension; None for the same.
      rules: by parameter path, see ``groups``.
      rates: further rates by name, for the rules.
      **given: what ``options(name)`` lists.

    Returns:
      An optax transformation; its ``update`` needs the parameters.

    Raises:
      UsageError: there is no optimiser of that name, it has no such option, it needs one that is
        not given, or a rule cannot be.
    """
    valid = options(name)
    for option in given:
        if option not in valid:
            raise UsageError(
                f"optimizer {name} has no option {option!r}: it has {', '.join(valid)}"
            )
    for option, parameter in valid.items():
        if parameter.default is parameter.empty and option not in given:
            raise UsageError(f"optimizer {name} needs {option}")
    return OPTIMIZERS[name](
        learning_rate, bias_learning_rate=bias_learning_rate, rules=rules, rates=rates, **given
    )
