"""One file a method: its heads, its loss call, what it keeps beside the parameters."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from jax_bt import mesh, models
from jax_bt.methods.networks import Networks

NOT_METHODS = {"networks"}


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
    method: ModuleType, encoder: Mapping[str, Any], heads: Mapping[str, Any]
) -> Networks:
    """Builds encoder and heads for the training mesh.

    Args:
      method: a module of this folder.
      encoder: "name" and the other keywords of ``models.make``.
      heads: keywords of ``method.heads``.

    Raises:
      ValueError: an unknown encoder or option; the message lists the valid ones.
    """
    encoder_module = models.make(**encoder, axis_name=mesh.AXIS)
    check_options(method.heads, heads, skip=1)
    made = method.heads(encoder_module.width_out, **heads)
    made = {name: _placed(head, encoder_module.dtype) for name, head in made.items()}
    return Networks({"encoder": encoder_module, **made})


def _placed(head: Any, dtype: Any) -> Any:
    """The head in the encoder's compute dtype, its statistics over the training mesh."""
    fields = {"dtype": dtype, "axis_name": mesh.AXIS}
    return head.clone(**{k: v for k, v in fields.items() if hasattr(head, k)})


def check_options(function: Callable[..., Any], options: Mapping[str, Any], skip: int = 0) -> None:
    """Raises ValueError, listing the valid names, for an option that ``function`` does not take."""
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    valid = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for name in options:
        if name not in valid:
            raise ValueError(
                f"{function.__module__}.{function.__name__} has no option {name!r}: "
                f"choose among {', '.join(valid) or 'none'}"
            )
