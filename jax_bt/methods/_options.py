"""Reads the options of methods off their functions and checks the ranges of numbers."""

import inspect
import math
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

from jax_bt.errors import UsageError

# An interval as text is the check, the message and the documentation.
Positive = Annotated[float, "(0, inf)"]
Weight = Annotated[float, "[0, inf)"]
Share = Annotated[float, "[0, 1]"]
Count = Annotated[int, "[1, 2147483647]"]
CountOrZero = Annotated[int, "[0, 2147483647]"]
Widths = Annotated[tuple[int, ...], "[1, 1048576]"]


class Option(NamedTuple):
    """One option of a method: a keyword-only parameter of one of its functions.

    Attributes:
      default: the value where the config gives none.
      kind: the type of its values other than None; ``object`` where there are several.
      interval: of a number (or of each number of a tuple), or None.
    """

    default: Any
    kind: type
    interval: str | None


def options_of(*functions: Callable[..., Any] | None) -> dict[str, Option]:
    """Reads the options that functions declare: their keyword-only parameters.

    Args:
      *functions: functions of a method; None is passed over.

    Raises:
      TypeError: an option without a default or a type (a bug of the method).
    """
    found = {}
    for function in filter(None, functions):
        hints = typing.get_type_hints(function, include_extras=True)
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind is not parameter.KEYWORD_ONLY:
                continue
            if parameter.default is parameter.empty or name not in hints:
                where = f"{function.__module__}.{function.__name__}"
                raise TypeError(f"{where}: option {name!r} needs a default and a type")
            found[name] = Option(parameter.default, *_kind_and_interval(hints[name]))
    return found


def _kind_and_interval(hint: Any) -> tuple[type, str | None]:
    parts = [hint]
    if typing.get_origin(hint) is not Annotated:
        parts = [part for part in typing.get_args(hint) if part is not type(None)] or [hint]
    if typing.get_origin(hint) is tuple:
        return tuple, None
    interval = next((p.__metadata__[0] for p in parts if typing.get_origin(p) is Annotated), None)
    plain = [p.__origin__ if typing.get_origin(p) is Annotated else p for p in parts]
    return (typing.get_origin(plain[0]) or plain[0]) if len(plain) == 1 else object, interval


def check_options(
    method: str, group: str, given: Mapping[str, Any], *functions: Callable[..., Any] | None
) -> None:
    """Raises UsageError for an option that no function declares, or outside its range.

    Args:
      method: its name, for the message.
      group: "heads", "loss" or "target", for the message.
      given: values by name.
      *functions: those that declare the group's options.
    """
    valid = options_of(*functions)
    for name, value in given.items():
        if name not in valid:
            raise UsageError(
                f"{method} has no {group} option {name!r}: it has {', '.join(valid) or 'none'}"
            )
        if interval := valid[name].interval:
            check_range(f"{group}.{name}", value, interval)


def check_range(name: str, value: Any, interval: str) -> None:
    """Raises UsageError unless a number, or every number of a tuple, lies in the interval.

    Args:
      name: the field as the user writes it, such as "optimizer.momentum".
      value: a number or a tuple of numbers; anything else is not checked.
      interval: such as "[0, 1)"; NaN lies in none.
    """
    low, high = _ends(interval)
    for number in value if isinstance(value, list | tuple) else (value,):
        if not isinstance(number, int | float):
            continue
        above = number >= low if interval[0] == "[" else number > low
        below = number <= high if interval[-1] == "]" else number < high
        if not (above and below):
            raise UsageError(f"{name}={value}: give {interval_words(interval)}")


def interval_words(interval: str) -> str:
    """Puts an interval into words: "(0, inf)" is "a number above 0"."""
    low, high = (end.strip() for end in interval[1:-1].split(","))
    lower = f"{'of at least' if interval[0] == '[' else 'above'} {low}"
    upper = f"{'at most' if interval[-1] == ']' else 'below'} {high}"
    both = zip((lower, upper), _ends(interval), strict=True)
    ends = [word for word, end in both if math.isfinite(end)]
    return f"a number {' and '.join(ends)}"


def _ends(interval: str) -> list[int | float]:
    """Both ends of an interval; whole numbers stay exact, for seeds of 64 bits."""
    ends = (end.strip() for end in interval[1:-1].split(","))
    return [int(end) if end.lstrip("-").isdigit() else float(end) for end in ends]
