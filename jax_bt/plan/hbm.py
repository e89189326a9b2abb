"""Counts the bytes that a TPU's program moves between the chip and its memory (HBM)."""

import functools
import math
import re
from collections import Counter
from typing import NamedTuple

import numpy as np

from jax_bt.plan import hlo
from jax_bt.plan.hlo import Instruction

_TYPED = re.compile(r"([a-z]+\d*[a-z0-9]*\[[\d,]*\])(\{[^}]*\})?")
_TILE = re.compile(r"T\(([\d,]+)\)")
_ELSEWHERE = re.compile(r"S\([1-9]")  # memory space 1 is the chip's own (VMEM); 0, unsaid, is HBM
_CONTROL = ("while", "conditional", "call", "async-start")  # what they call moves bytes, not they
_FREE = (*hlo.ALIASES, "parameter", "constant", "partition-id", "replica-id", "after-all")
_SLICES = ("slice", "dynamic-slice", "gather")
_UNMOVED = ("AllocateBuffer", "AsyncCollectiveDone")  # targets of custom calls


class Moved(NamedTuple):
    """Bytes from and to HBM of one step, a device."""

    read: int
    written: int


def moved(text: str) -> Moved:
    """Adds up what each scheduled instruction reads from HBM and writes to it.

    The layout of an array says in which memory it is, and the tiles to which its sides are padded:
    padding travels too. An instruction reads its operands and writes its results, each once; a
    fusion reads only slices of an
    operand that it only slices, and of an array updated in place only the update moves. A copy
    between two memories is read where it comes from HBM and written where it goes there; a pair of
    start and done counts once. The body of a loop counts as often as it runs, of a condition's
    branches the one that moves most.

    Args:
      text: ``compiled.as_text()`` of a program for TPUs. A CPU's has no memory spaces.
    """
    computations, entry = hlo.parse(text)

    @functools.cache
    def cost(name: str) -> np.ndarray:
        body = computations.get(name, [])
        types, total = {i.name: i.types for i in body}, np.zeros(2, np.int64)
        for instruction in body:
            operation, rest = instruction.operation, instruction.rest
            if operation in _FREE or operation.endswith(("-done", "-update")):
                continue
            if operation == "conditional":
                total += max(map(cost, hlo.callees(rest)), key=np.sum)
            elif operation in _CONTROL:
                times = hlo.trip_count(rest, computations) if operation == "while" else 1
                total += times * sum(map(cost, hlo.callees(rest)))
            elif operation == "fusion":
                total += _fusion(instruction, types, computations)
            else:
                total += _single(instruction, types)
        return total

    return Moved(*cost(entry).tolist())


def _single(instruction: Instruction, types: dict[str, str]) -> tuple[int, int]:
    """(read, written) of an instruction that is no fusion."""
    names, results = _operands(instruction), _arrays(instruction.types)
    operands = [types.get(name, "") for name in names]
    if any(f'"{target}"' in instruction.rest for target in _UNMOVED):
        return 0, 0
    operation = instruction.operation.removesuffix("-start")
    if operation in _SLICES:  # of its first operand no more than the result
        results = _made(instruction, operands)
        part = sum(map(_size, results)) if _in_hbm(operands[0]) else 0
        return part + sum(map(_hbm, operands[1:])), sum(_hbm(r) for r in results)
    if operation == "dynamic-update-slice":
        update = _size(operands[1])
        return sum(map(_hbm, operands[1:])), update if _in_hbm(results[0]) else 0
    return sum(map(_hbm, operands)), sum(map(_hbm, _made(instruction, operands)))


def _fusion(
    instruction: Instruction, types: dict[str, str], computations: dict[str, list[Instruction]]
) -> tuple[int, int]:
    """(read, written) of a fusion: its own operands and results, as far as it uses them."""
    operands = [types.get(name, "") for name in _operands(instruction)]
    body = computations.get(hlo.callees(instruction.rest)[0], [])
    if not body or "AsyncCollectiveStart" in body[-1].rest:
        return _single(instruction._replace(operation="async-collective-start"), types)
    if "AsyncCollectiveDone" in body[-1].rest:
        return 0, 0
    passed_on = "output_to_operand_aliasing" in instruction.rest
    read = sum(
        _used(_parameter(body, k), body, _size(operand), passed_on, computations)
        for k, operand in enumerate(operands)
        if _in_hbm(operand)
    )
    results, ends = _arrays(instruction.types), _ends(body)
    if len(results) != len(ends):  # tuples of tuples
        return read, sum(map(_hbm, results))
    inside = {i.name: i.types for i in body}
    written = 0
    for result, end in zip(results, ends, strict=True):
        if not _in_hbm(result) or _is_piece(end) or (passed_on and end.operation == "parameter"):
            continue
        updates = end.operation == "dynamic-update-slice"
        written += _size(inside.get(_operands(end)[1], "")) if updates else _size(result)
    return read, written


def _used(
    name: str,
    body: list[Instruction],
    whole: int,
    passed_on: bool,
    computations: dict[str, list[Instruction]],
) -> int:
    """Bytes that a fused computation reads of one of its values of ``whole`` bytes."""
    if name == body[-1].name:  # the result itself
        return 0 if passed_on else whole
    total, ends = 0, {end.name for end in _ends(body)}
    for user in body:
        at = [k for k, operand in enumerate(_operands(user)) if operand == name]
        if not at or _is_piece(user):
            continue
        if at == [0] and user.operation in _SLICES:
            total += _size(user.types)
        elif at == [0] and user.operation == "dynamic-update-slice" and user.name in ends:
            continue  # in place: the rest of the array stays where it is
        elif user.operation == "bitcast" or _is_bitcast(user, computations):
            total += _used(user.name, body, whole, passed_on, computations)
        elif user.operation == "fusion":
            inner = computations[hlo.callees(user.rest)[0]]
            total += sum(_used(_parameter(inner, k), inner, whole, False, computations) for k in at)
        elif not (user.operation == "tuple" and passed_on):
            return whole
    return min(total, whole)


def _ends(body: list[Instruction]) -> list[Instruction]:
    """What makes each result of a fused computation, behind bitcasts."""
    by_name, root = {i.name: i for i in body}, body[-1]
    ends = [by_name[o] for o in _operands(root)] if root.operation == "tuple" else [root]
    for k, end in enumerate(ends):
        while end.operation == "bitcast":
            end = by_name[_operands(end)[0]]
        ends[k] = end
    return ends


def _is_bitcast(instruction: Instruction, computations: dict[str, list[Instruction]]) -> bool:
    """Whether it is a fusion that only gives its one operand another shape."""
    if instruction.operation != "fusion":
        return False
    inner = computations[hlo.callees(instruction.rest)[0]]
    return all(i.operation in ("parameter", "bitcast") for i in inner)


def _is_piece(instruction: Instruction) -> bool:
    """Whether it is a piece of a collective that is spread over fusions; its start counts."""
    return "chain_id=" in instruction.rest


def _parameter(body: list[Instruction], number: int) -> str:
    """Name of a computation's parameter."""
    return next(
        i.name for i in body if i.operation == "parameter" and i.rest.startswith(f"{number})")
    )


def _operands(instruction: Instruction) -> list[str]:
    return hlo.OPERAND.findall(instruction.rest.split(")")[0])


def _made(instruction: Instruction, operands: list[str]) -> list[str]:
    """Arrays that an instruction writes; the type of a start has operands and semaphores too."""
    results = Counter(_arrays(instruction.types))
    if instruction.operation.endswith("-start") and instruction.operation != "all-reduce-start":
        results -= Counter(array for operand in operands for array in _arrays(operand))
        results = Counter({k: n for k, n in results.items() if "[]" not in k})
    return list(results.elements())


def _arrays(types: str) -> list[str]:
    return ["".join(found) for found in _TYPED.findall(types)]


def _in_hbm(types: str) -> bool:
    return not _ELSEWHERE.search(types)


def _hbm(types: str) -> int:
    """Bytes of those arrays of a type that are in HBM."""
    return sum(map(_size, filter(_in_hbm, _arrays(types))))


def _size(array: str) -> int:
    """Bytes of one array with the padding of its layout, such as ``{1,0:T(8,128)}``."""
    if not array or not (tile := _TILE.search(array)):
        return hlo.size_in_bytes(array)
    dtype, shape = hlo.ARRAY.search(array).groups()
    sides = [int(n) for n in shape.split(",") if n]
    order = re.search(r"\{([\d,]*)", array)[1].split(",")  # of memory: the last side to move first
    sides = [sides[int(k)] for k in order if k]
    for k, length in enumerate(reversed(tile[1].split(","))):
        if k < len(sides):
            sides[k] = math.ceil(sides[k] / int(length)) * int(length)
    return hlo.size_in_bytes(f"{dtype}[{','.join(map(str, sides))}]")
