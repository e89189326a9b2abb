"""Every loss of a package, and example inputs made from its signature alone.

A loss is a public function of a module of ``jax_bt.losses`` whose return annotation is a tuple or
dataclass with ``loss`` as its first field. Its required arguments are arrays: embeddings (N, D)
unless annotated otherwise, as in ``queue: Annotated[Array, "D K"]``. The axis N is the batch: it is
sharded, all others are not. Each other value of an option annotated ``bool`` or ``Literal[...]`` is
a case of its own, and so is an optional array whose axes have letters of ``SIZES``, as in
``C: Annotated[Array, "D D"] | None = None``. A loss with a ``key`` gets one unless it is given its
``directions``; one that requires the ``permutation`` of a batch gets that, one that requires
``assignments`` gets a number below K for each example, and a required number is 0.3. So a new loss
file needs no entry anywhere.
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

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import PartitionSpec as P

from jax_bt import losses, stats

SIZES = {"N": 16, "D": 8, "K": 6, "C": 3, "M": 12, "H": 3, "W": 2, "L": 2}


@dataclasses.dataclass(frozen=True)
class Case:
    """A loss with one choice of its options."""

    name: str
    function: Callable[..., Any]
    axes: tuple[tuple[str, str], ...]  # (argument, "N D")
    permutation: tuple[int, ...] | None = None  # rows of the global batch, where a loss needs it
    sizes: tuple[tuple[str, int], ...] = ()  # in place of those of SIZES
    assignments: tuple[int, ...] | None = None  # of the examples, where a loss needs them

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
        sizes = SIZES | dict(self.sizes) | sizes
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
        if self.permutation is not None:
            arguments = arguments | {"permutation": np.array(self.permutation)}
        if self.assignments is not None:
            name, _ = self.axes[0]
            count = arguments[name].shape[self.batch_axis(name)]
            first = stats.shard_index(axis_name) * count
            own = lax.dynamic_slice_in_dim(jnp.array(self.assignments), first, count)
            arguments = arguments | {"assignments": own}
        return self.function(**arguments, axis_name=axis_name).loss

    def wide(self) -> "Case":
        """The case of more dimensions than examples, where a loss may take N x N matrices."""
        sizes = (("D", SIZES["N"] + 8),)
        return dataclasses.replace(self, name=f"{self.name}-wide", sizes=sizes)

    def reordered(self, order: np.ndarray) -> "Case":
        """The case of a batch whose rows are taken in another order."""
        moved = {}
        if self.permutation is not None:
            rows = np.argsort(order)[np.array(self.permutation)[order]]
            moved["permutation"] = tuple(rows.tolist())
        if self.assignments is not None:
            moved["assignments"] = tuple(np.array(self.assignments)[order].tolist())
        return dataclasses.replace(self, **moved)


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
    parameters = inspect.signature(function).parameters
    axes = tuple(
        (p.name, _letters(hints[p.name]) or "N D")
        for p in parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    )
    optional = [
        (p.name, _letters(hints[p.name]))
        for p in parameters.values()
        if p.default is None
        and _letters(hints[p.name])
        and set(_letters(hints[p.name]).split()) <= set(SIZES)
    ]
    required = {
        p.name for p in parameters.values() if p.default is p.empty and p.kind is p.KEYWORD_ONLY
    }
    random = np.random.default_rng(3)
    rows = {
        "permutation": tuple(random.permutation(SIZES["N"]).tolist()),
        "assignments": tuple(random.integers(-1, SIZES["K"], SIZES["N"]).tolist()),
    }
    case = functools.partial(Case, **{name: rows[name] for name in required & rows.keys()})
    function = functools.partial(function, **dict.fromkeys(required - rows.keys(), 0.3))
    drawn = {"key": jax.random.key(0)} if "key" in parameters else {}
    default = functools.partial(function, **drawn)
    variants = [case(name, default, axes)]
    for argument, letters in optional:
        bare = function if argument == "directions" else default
        variants.append(case(f"{name}-{argument}", bare, (*axes, (argument, letters))))
    for p in parameters.values():
        for value in _choices(hints[p.name]):
            if value != p.default:
                chosen = functools.partial(default, **{p.name: value})
                variants.append(case(f"{name}-{p.name}={value}", chosen, axes))
    return variants


def _letters(hint: Any) -> str:
    """The axes of ``Annotated[Array, "N D"]``, also where it may be None; else none."""
    hints = [hint, *typing.get_args(hint)]
    return next((h.__metadata__[0] for h in hints if hasattr(h, "__metadata__")), "")


def _choices(hint: Any) -> tuple[Any, ...]:
    if hint is bool:
        return False, True
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
