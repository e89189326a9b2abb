"""Assigns decay, adaptation and rate to each parameter by rules on its path.

A rule is a pair of a regular expression and settings::

    rules = (
        ("^predictor/", {"rate": "constant"}),
        ("cls_token|pos_embed", {"decay": False, "adapt": False}),
    )

The expression is searched for in the parameter's path, such as "encoder/layer1_0/conv1/kernel".
The first rule that is found decides; what it does not set stays as the optimiser has it for
parameters of so many dimensions. A rule that decides for no parameter is an error.

    =======  ==========================================================================
    decay    whether the weight decay applies, or a factor of it
    adapt    whether the layer-wise ratio of LARS and LARC applies
    rate     a factor of the parameter's rate, or the name of another rate: "weights",
             "bias", or one that was given to the optimiser beside the rules
    frozen   whether the parameter stays as it is; the optimiser then keeps no state of it
    =======  ==========================================================================
"""

import dataclasses
import difflib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jax_bt.errors import UsageError

PyTree = Any
Rules = Sequence[tuple[str, Mapping[str, Any]]]


@dataclasses.dataclass(frozen=True)
class Group:
    """What an optimiser does with a parameter.

    Attributes:
      decay: factor of the weight decay.
      adapt: whether the layer-wise ratio applies.
      rate: name of the rate.
      factor: of that rate.
      frozen: whether the parameter is left alone.
    """

    decay: float = 1.0
    adapt: bool = True
    rate: str = "weights"
    factor: float = 1.0
    frozen: bool = False


class Rule(NamedTuple):
    """A rule that was read: a compiled expression and the fields of ``Group`` that it sets."""

    expression: re.Pattern
    fields: dict[str, Any]


def read(rules: Rules, rates: Collection[str]) -> tuple[Rule, ...]:
    """Reads rules.

    Args:
      rules: pairs of a regular expression and settings, see above.
      rates: the names that a rate may have.

    Raises:
      UsageError: something that is no rule, no expression, no setting, or no value of it.
    """
    return tuple(_read(rule, rates) for rule in rules)


def _read(rule: Any, rates: Collection[str]) -> Rule:
    try:
        text, settings = rule
        expression, settings = re.compile(text), dict(settings)
    except re.error as error:
        raise UsageError(f"optimizer rule {rule[0]!r} is no regular expression: {error}") from None
    except (TypeError, ValueError):
        raise UsageError(
            f"optimizer rule {rule!r} is no pair (regular expression, settings), "
            'such as ("^predictor/", {"rate": 0.1})'
        ) from None
    fields = {}
    for name, value in settings.items():
        match name, value:
            case "decay", bool() | int() | float() if 0 <= value < math.inf:
                fields["decay"] = float(value)
            case (("adapt" | "frozen"), bool()):
                fields[name] = value
            case "rate", str() if value in rates:
                fields["rate"] = value
            case "rate", int() | float() if 0 <= value < math.inf:
                fields["factor"] = float(value)
            case (("decay" | "adapt" | "rate" | "frozen"), _):
                names = f" or one of {', '.join(rates)}" if name == "rate" else ""
                valid = "True or False" if name in ("adapt", "frozen") else "a factor from 0"
                raise UsageError(f"optimizer rule {text!r}: {name}={value!r} is not {valid}{names}")
            case _:
                raise UsageError(
                    f"optimizer rule {text!r} sets {name!r}: a rule sets decay, adapt, rate, frozen"
                )
    return Rule(expression, fields)


def assign(params: PyTree, rules: Sequence[Rule], vectors: Group) -> PyTree:
    """The group of each parameter.

    Args:
      params: parameters, of which only paths and dimensions are looked at.
      rules: from ``read``.
      vectors: the group of parameters with at most one dimension that no rule takes: biases and
        norm scales. All others start from ``Group()``.

    Returns:
      A ``Group`` for each parameter, in the structure of ``params``.
    """

    def group(path: tuple, p: Any) -> Group:
        start = vectors if jnp.ndim(p) <= 1 else Group()
        rule = _first(rules, _name(path))
        return dataclasses.replace(start, **rule.fields) if rule else start

    return jax.tree_util.tree_map_with_path(group, params)


def check(params: PyTree, rules: Sequence[Rule]) -> None:
    """Raises UsageError for a rule that decides for none of the parameters."""
    names = [_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    deciding = [_first(rules, name) for name in names]
    for rule in rules:
        if any(rule is other for other in deciding):
            continue
        text = rule.expression.pattern
        taken = [name for name in names if rule.expression.search(name)]
        if taken:
            raise UsageError(
                f"optimizer rule {text!r} never decides: earlier rules take {taken[0]!r} and all "
                "else that it matches; put it before them or leave it out"
            )
        near = ", ".join(_near(text, names))
        raise UsageError(f"optimizer rule {text!r} matches no parameter: near it are {near}")


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _first(rules: Sequence[Rule], name: str) -> Rule | None:
    return next((rule for rule in rules if rule.expression.search(name)), None)


def _near(text: str, names: list[str]) -> list[str]:
    """Paths, beginnings of paths and their parts that resemble an expression."""
    parts = {part for name in names for part in name.split("/")}
    parts |= {name[: m.start()] for name in names for m in re.finditer("/", name)} | set(names)
    return difflib.get_close_matches(text.strip("^$/.*()"), sorted(parts), 3, 0.5) or names[:3]
