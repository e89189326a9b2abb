"""One file a method: its heads, its loss call, what it keeps beside the parameters."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from jax_bt import mesh, models
from jax_bt.methods._networks import Networks

NOT_METHODS = {"branches", "momentum", "networks", "nothing"}

# What a run gives to those functions of a method that name it among their keywords.
GIVEN = ("axis_name", "step", "total_steps", "key", "draw")


def names() -> list[str]:
    """The methods there are: the file names of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in NOT_METHODS)


def load(name: str) -> ModuleType:
    """The method's module.

    Raises:
      ValueError: there is no such method.
    """
    if name not in names():
        raise ValueError(f"no method {name!r}: choose one of {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}")


def make_networks(
    method: ModuleType,
    encoder: Mapping[str, Any],
    heads: Mapping[str, Any],
    *,
    encoder_b: Mapping[str, Any] | None = None,
    micro_batches: int = 1,
) -> Networks:
    """Builds encoder and heads for the training mesh.

    Args:
      method: a module of this folder.
      encoder: "name" and the other keywords of ``models.make``.
      heads: keywords of ``method.heads``.
      encoder_b: the same of the second branch's own encoder, which then has its own heads; None
        for branches that share weights.
      micro_batches: the encoder takes a batch in so many parts (``networks.in_parts``).

    Raises:
      ValueError: an unknown encoder or option (the message lists the valid ones), or separate
        branches for a method that has none.
    """
    check_options("heads", heads, method.heads)
    for name, given in heads.items():
        widths = given if isinstance(given, tuple) else (given,) if type(given) is int else ()
        if not all(isinstance(w, int) and w > 0 for w in widths):
            raise ValueError(f"heads.{name}={given}: widths are positive whole numbers")
    made = _branch(method, encoder, heads)
    if encoder_b is not None:
        if getattr(method, "SHARED_ONLY", False):
            raise ValueError(f'{_name(method)} has no separate branches: use branches="shared"')
        made |= {f"{n}_b": module for n, module in _branch(method, encoder_b, heads).items()}
    return Networks(made, micro_batches)


def _branch(method: ModuleType, encoder: Mapping[str, Any], heads: Mapping[str, Any]) -> dict:
    module = models.make(**encoder, axis_name=mesh.AXIS)
    made = method.heads(module.width_out, **heads)
    for name, head in made.items():
        if getattr(head, "widths", None) == ():
            raise ValueError(f"heads.{name}=(): {_name(method)} needs at least one layer there")
    fields = {"dtype": module.dtype, "axis_name": mesh.AXIS, "norm_group": module.norm_group}
    return {"encoder": module, **{name: _placed(head, fields) for name, head in made.items()}}


def _placed(head: Any, fields: Mapping[str, Any]) -> Any:
    """The head with the encoder's dtype, mesh axis and groups where it states none itself."""
    return head.clone(**{k: v for k, v in fields.items() if getattr(head, k, "absent") is None})


def options_of(*functions: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The options a config may set: the keyword-only parameters, less what a run gives."""
    return {
        p.name: p
        for function in functions
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name not in GIVEN
    }


def loss_functions(method: ModuleType) -> tuple[Callable[..., Any], ...]:
    """``loss`` and, where it passes further options on, the ``FORMULA`` that takes them."""
    formula = getattr(method, "FORMULA", None)
    return (method.loss,) if formula is None else (method.loss, formula)


def check(method: ModuleType, *, loss: Mapping[str, Any], target: Mapping[str, Any]) -> None:
    """Raises ValueError, listing the valid names, for an option that the method does not have."""
    check_options("loss", loss, *loss_functions(method))
    check_options("target", target, method.init_target, method.update_target)


def check_views(method: ModuleType, count: int) -> None:
    """Raises ValueError for a number of views that the method does not compare."""
    only = getattr(method, "VIEWS", count)
    if count != only:
        raise ValueError(
            f"{_name(method)} compares {only} views and the recipe has {count}: "
            f"use --config.data.views={only}"
        )


def check_options(kind: str, options: Mapping[str, Any], *functions: Callable[..., Any]) -> None:
    """Raises ValueError, listing the valid names, for an option that no function takes."""
    valid = options_of(*functions)
    for name in options:
        if name not in valid:
            method = functions[0].__module__.rpartition(".")[2]
            raise ValueError(
                f"{method} has no {kind} option {name!r}: it has {', '.join(valid) or 'none'}"
            )


def wanted(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those values that the function names among its parameters."""
    parameters = inspect.signature(function).parameters
    return {name: value for name, value in values.items() if name in parameters}


def _name(method: ModuleType) -> str:
    return method.__name__.rpartition(".")[2]
