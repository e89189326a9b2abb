"""Reads pickles as data: an interpreter of their opcodes that imports nothing and runs nothing.

A pickle is a program: Python's own unpickler imports the names in it and calls them. Here a name is
looked up in a table that the caller gives, and nothing else can be named. Everything the table
holds is written for that table; everything else on the stack is None, a number, text, bytes, a
list, a tuple, a dict or an inert object of those functions. ``pickletools`` splits the stream
into opcodes; those that torch and numpy do not write are refused.

``pickle.Unpickler`` with its own ``find_class`` would not do: it allocates what a pickle asks for
before looking whether it is there, 64 GB for a memo entry numbered 2**32 - 1.
"""

import pickletools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from jax_bt.errors import WeightsError
from jax_bt.weights._limits import LENGTH, NAME, OPCODES, shown

# Opcodes that push their argument or a constant.
PUSH = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8",
    "BYTEARRAY8",
}  # fmt: skip
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
KEYS = (str, int, float, bool, type(None))  # what dicts may have as keys


def load(
    stream: BinaryIO,
    allowed: Mapping[str, Any],
    *,
    persistent: Callable[[Any], Any] | None = None,
    build: Callable[[Any, Any], None] | None = None,
) -> Any:
    """One pickled object, from the stream's position to just behind its end.

    Args:
      stream: whose ``read(n)`` allocates no more than it has, such as ``io.BytesIO``.
      allowed: by dotted name, what the pickle may name: functions, which it may also call with
        a tuple of arguments, and values.
      persistent: gives the object of a persistent id.
      build: gives an object, in place, the state that follows it.

    Raises:
      WeightsError: anything else than a sound pickle of those.
    """
    try:
        # pickletools warns of odd escapes in names, which no allowed name has
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            return _run(stream, allowed, persistent, build)
    except WeightsError:
        raise
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        # of pickletools, of a stack too short, of arguments that a function does not take
        what = f"{type(error).__name__}: {error}"
        raise WeightsError(
            f"its pickle is damaged before byte {stream.tell()} ({shown(what)[1:-1]})"
        ) from None


def _run(stream, allowed, persistent, build) -> Any:
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def cut(start: int) -> list[Any]:
        if start < 0:
            raise IndexError("stack too short")
        items = stack[start:]
        del stack[start:]
        return items

    def named(name: str) -> Any:
        if name not in allowed:
            raise WeightsError(
                f"its pickle names {shown(name)[1:-1]}, which is no part of plain weights; nothing "
                "was run. If you trust the file, save its state dict alone"
            )
        return allowed[name]

    operations: Iterator[Any] = pickletools.genops(stream)
    for number, (opcode, argument, _) in enumerate(operations):
        if number == OPCODES:
            raise WeightsError(f"its pickle has more than {OPCODES:,} opcodes")
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case name if name in PUSH:
                if isinstance(argument, int) and argument.bit_length() > 128:
                    raise WeightsError("its pickle holds an integer of more than 128 bits")
                stack.append(argument)
            case name if name in CONSTANTS:
                stack.append(CONSTANTS[name])
            case "MARK":
                marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(cut(marks.pop())))
            case "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                stack.append(tuple(cut(len(stack) - int(name[-1]))))
            case "EMPTY_LIST":
                stack.append([])
            case "APPEND":
                item = stack.pop()
                _append(stack[-1], [item])
            case "APPENDS":
                items = cut(marks.pop())
                _append(stack[-1], items)
            case "EMPTY_DICT":
                stack.append({})
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                set_items(stack[-1], [(key, value)])
            case "SETITEMS":
                items = cut(marks.pop())
                set_items(stack[-1], zip(items[::2], items[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(named(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(named(f"{_text(module)}.{_text(name)}"))
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                if not callable(function) or not is_short(arguments):
                    raise WeightsError("its pickle calls something that is no function")
                stack.append(function(*arguments))
            case "BUILD" if build:
                state = stack.pop()
                build(stack[-1], state)
            case "BINPERSID" if persistent:
                stack.append(persistent(stack.pop()))
            case name:
                what = f" ({shown(argument)})" if isinstance(argument, str) else ""
                raise WeightsError(
                    f"its pickle uses opcode {name}{what}, which weights do not need"
                )
    raise AssertionError("genops ends with STOP or raises")


def set_items(target: Any, items: Any) -> None:
    """Puts (key, value) pairs into a dict."""
    if type(target) is not dict:
        raise WeightsError("its pickle sets items of something that is no dict")
    for key, value in items:
        # no tuples: hashing one takes time exponential in the pickle's size if it shares its parts;
        # no long integers: any number of them can have the same hash
        if type(key) not in KEYS or (type(key) is int and key.bit_length() > 64):
            raise WeightsError(f"its pickle has a dict with a key of type {type(key).__name__}")
        target[key] = value


def _append(target: Any, items: list[Any]) -> None:
    if type(target) is not list:
        raise WeightsError("its pickle appends to something that is no list")
    target.extend(items)


def is_short(value: Any) -> bool:
    """Whether this is a tuple of a length that shapes, arguments and states have."""
    return type(value) is tuple and len(value) <= LENGTH


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > NAME:
        raise WeightsError("its pickle names something by no text")
    return value
