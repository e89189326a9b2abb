"""Every loss of a package, and example inputs made from its signature alone.

A loss is a public function of a module of ``jax_bt.losses`` whose return annotation is a tuple or
dataclass with ``loss`` as its first field. Its required arguments are arrays: embeddings (N, D)
unless annotated otherwise, as in ``queue: Annotated[Array, "D K"]``. The axis N is the batch: it is
sharded, all others are not. Each other value of an option annotated ``bool`` or ``Literal[...]`` is
a case of its own. So a new loss file needs no entry anywhere.
"""

import dataclasses
import functools
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from jax.sharding import PartitionSpec as P

from jax_bt import losses

SIZES = {"N": 16, "D": 8, "K": 6, "C": 3}


@dataclasses.dataclass(frozen=True)
class Case:
    """A loss with one choice of its options."""

    name: str
    function: Callable[..., Any]
    axes: tuple[tuple[str, str], ...]  # (argument, "N D")

    def specs(self, axis_name: str) -> dict[str, P]:
        """How each argument is sharded."""
        return {
            name: P(*(axis_name if letter == "N" else None for letter in letters.split()))
            for name, letters in self.axes
        }

    def batch_axis(self, name: str) -> int | None:
        """Which axis of the argument is the batch; None for one without."""
        letters = dict(self.axes)[name].split()
        return letters.index("N") if "N" in letters else None

    def inputs(self, seed: int = 0, **sizes: int) -> dict[str, np.ndarray]:
        """Float64 arguments: views of one batch, half signal, half noise."""
        random = np.random.default_rng(seed)
        sizes = SIZES | sizes
        shapes = {
            name: tuple(sizes[letter] for letter in letters.split()) for name, letters in self.axes
        }
        signal = {shape: random.normal(size=shape) for shape in set(shapes.values())}
        return {
            name: signal[shape] + 0.7 * random.normal(size=shape) + 0.3
            for name, shape in shapes.items()
        }

    def loss(self, arguments: dict[str, Any], axis_name: str | None = None) -> Any:
        """The value, a scalar."""
        return self.function(**arguments, axis_name=axis_name).loss


def cases(package: ModuleType = losses) -> list[Case]:
    """Every loss of the package with its default options, then with each other choice."""
    found = []
    for info in pkgutil.iter_modules(package.__path__):
        # By its full name: the package's attribute of that name is the function.
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        found += _in_module(module)
    return found


def _in_module(module: ModuleType) -> list[Case]:
    functions = {
        key: value
        for key, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not key.startswith("_")
    }
    found = {key: value for key, value in functions.items() if _returns_loss(value)}
    for key, function in functions.items():
        if "return" not in typing.get_type_hints(function):
            raise TypeError(
                f"{module.__name__}.{key} has no return annotation: a loss returns a NamedTuple or "
                "dataclass whose first field is `loss`"
            )
    return [case for key, value in found.items() for case in _variants(key, value)]


def _returns_loss(function: Callable[..., Any]) -> bool:
    result = typing.get_type_hints(function).get("return")
    if dataclasses.is_dataclass(result):
        return dataclasses.fields(result)[0].name == "loss"
    return getattr(result, "_fields", ("",))[0] == "loss"


def _variants(name: str, function: Callable[..., Any]) -> list[Case]:
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    axes = tuple(
        (p.name, getattr(hints[p.name], "__metadata__", ("N D",))[0])
        for p in parameters
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    )
    variants = [Case(name, function, axes)]
    for p in parameters:
        for value in _choices(hints[p.name]):
            if value != p.default:
                chosen = functools.partial(function, **{p.name: value})
                variants.append(Case(f"{name}-{p.name}={value}", chosen, axes))
    return variants


def _choices(hint: Any) -> tuple[Any, ...]:
    if hint is bool:
        return False, True
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
