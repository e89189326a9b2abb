"""Reads from HLO text what a program sends between devices and keeps in memory."""

import itertools
import math
import re
from collections import Counter
from typing import NamedTuple

KINDS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "collective_permute")
# Bytes a device sends for each byte of the whole array, on a ring of n: an all-reduce is a
# reduce-scatter and an all-gather, each of (n - 1) / n.
RING = {"all_reduce": 2.0, "all_gather": 1.0, "reduce_scatter": 1.0, "all_to_all": 1.0}

_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z0-9\-]*)\((.*)$")
ARRAY = re.compile(r"\b([a-z]+\d*[a-z0-9]*)\[([\d,]*)\]")
_CALLED = re.compile(
    r"(?:calls|body|condition|to_apply|true_computation|false_computation)=%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_CHAIN = re.compile(r'chain_id="(\d+)"')
OPERAND = re.compile(r"%([\w.\-]+)")
_SOURCE = re.compile(r'op_name="([^"]*)"')
# Give another name to memory that exists.
ALIASES = ("bitcast", "get-tuple-element", "tuple", "optimization-barrier")


class Instruction(NamedTuple):
    """One line: ``%name = types operation(rest``."""

    name: str
    types: str
    operation: str
    rest: str


class Traffic(NamedTuple):
    """Collectives of one step, a device.

    Attributes:
      bytes: by kind of ``KINDS``: the whole array reduced, gathered, scattered or exchanged, in
        its own dtype without the padding of its layout.
      count: how many operations, by kind.
      sent: bytes a device sends if each runs on a ring, the least that any algorithm needs.
    """

    bytes: dict[str, int]
    count: dict[str, int]
    sent: float


def collectives(text: str, devices: int) -> Traffic:
    """Adds up the collectives of a compiled program.

    An asynchronous pair of start and done counts once, as does one spread over several fused
    operations; the body of a loop counts as often as it runs.

    Args:
      text: ``compiled.as_text()``.
      devices: of the program.
    """
    computations, entry = parse(text)
    size, count, chains, sent = Counter(), Counter(), set(), 0.0

    def visit(name: str, times: int, scattered: bool) -> None:
        nonlocal sent
        for _, types, operation, rest in computations.get(name, ()):
            kind = operation.removesuffix("-start").removeprefix("ragged-").replace("-", "_")
            if kind in KINDS:
                # A TPU overlaps a collective with products by fusing a piece of it into each.
                if chain := _CHAIN.search(rest):
                    if (kind, chain[1]) in chains:
                        continue
                    chains.add((kind, chain[1]))
                group = _group(rest, devices)
                if group == 1:  # nobody to send to
                    continue
                bytes_ = _whole(kind, types, group, operation.endswith("-start"))
                kind = "reduce_scatter" if scattered and kind == "all_reduce" else kind
                size[kind] += times * bytes_
                count[kind] += times
                sent += times * bytes_ * (RING[kind] * (group - 1) / group if kind in RING else 1)
            elif not operation.endswith(("-done", "-update")):
                inner = times * trip_count(rest, computations) if operation == "while" else times
                for called in callees(rest):
                    # TPU: a fusion of an all-reduce and a slice of its result.
                    visit(called, inner, called.startswith("all-reduce-scatter"))

    visit(entry, 1, False)
    return Traffic({k: size[k] for k in KINDS}, {k: count[k] for k in KINDS}, sent)


def activations(text: str) -> int:
    """The most bytes of forward results that a device holds at once for the backward pass.

    Follows the schedule of the compiled program from where each result of the forward pass is made
    to where it is last used; what XLA fuses away or recomputes is not there, and padding of layouts
    is not counted.

    Args:
      text: ``compiled.as_text()`` of a value_and_grad.
    """
    computations, entry = parse(text)
    program = computations[entry]
    owner: dict[str, tuple[str, ...]] = {}  # name -> instructions whose memory it refers to
    made: dict[str, tuple[int, int]] = {}  # of the forward pass: when, bytes
    forward: dict[str, bool] = {}
    last: dict[str, int] = {}
    for time, (name, types, operation, rest) in enumerate(program):
        operands = [o for o in OPERAND.findall(rest.split("), ")[0]) if o in owner]
        for used in operands:
            last |= dict.fromkeys(owner[used], time)
        if operation in ALIASES:
            owner[name] = tuple({o for used in operands for o in owner[used]})
            continue
        owner[name] = (name,)
        source = _SOURCE.search(rest)
        if source:
            forward[name] = "jvp" in source[1] and "transpose(" not in source[1]
        else:  # a copy of what it takes
            forward[name] = any(forward.get(o, False) for used in operands for o in owner[used])
        if forward[name]:
            made[name] = time, size_in_bytes(re.sub(r"\w+\[[\d,]*\]\{[^}]*S\([^}]*\}", "", types))
    change = Counter()
    for name, (time, bytes_) in made.items():
        change[time] += bytes_
        change[last.get(name, time) + 1] -= bytes_
    return max(itertools.accumulate(change[time] for time in sorted(change)), default=0)


def parse(text: str) -> tuple[dict[str, list[Instruction]], str]:
    """The instructions of every computation in the order they run, and the entry's name."""
    computations, entry, current = {}, "", []
    for line in text.splitlines():
        if not line.startswith((" ", "}")) and (header := _COMPUTATION.match(line)):
            current = computations.setdefault(header[2], [])
            entry = header[2] if header[1] else entry
        elif found := _INSTRUCTION.match(line):
            current.append(Instruction(*found.groups()))
    return computations, entry


def trip_count(rest: str, computations: dict[str, list[Instruction]]) -> int:
    """How often a loop runs: as XLA notes, else the bound that jax's counter from 0 stays below."""
    if noted := _TRIPS.search(rest):
        return int(noted[1])
    condition = computations.get(re.search(r"condition=%?([\w.\-]+)", rest)[1], [])
    bounds = {i.name: i.rest.split(")")[0] for i in condition if i.operation == "constant"}
    if condition and "direction=LT" in condition[-1].rest:
        right = OPERAND.findall(condition[-1].rest.split(")")[0])[-1]
        return int(bounds.get(right, 1))
    return 1


def callees(rest: str) -> list[str]:
    branches = _BRANCHES.search(rest)
    names = branches[1].replace("%", "").split(",") if branches else []
    return [*_CALLED.findall(rest), *(name.strip() for name in names)]


def size_in_bytes(types: str) -> int:
    """Bytes of all arrays of a type: ``f32[8,128]`` or ``(bf16[4], f32[])``."""
    total = 0
    for dtype, shape in ARRAY.findall(types):
        bits = 8 if dtype == "pred" else int((re.search(r"\d+", dtype) or ["0"])[0])
        total += math.ceil(bits * math.prod(int(n) for n in shape.split(",") if n) / 8)
    return total


def _whole(kind: str, types: str, group: int, start: bool) -> int:
    """Bytes of the whole array; a start's type also lists the operands (not an all-reduce's)."""
    if start and kind == "collective_permute":
        types = re.sub(r"\b[us]32\[\]", "", types)  # its semaphores
    total = size_in_bytes(types)
    if start and kind in ("all_gather", "reduce_scatter"):
        return total * group // (group + 1)  # an n-th and the whole
    if start and kind in ("all_to_all", "collective_permute"):
        return total // 2
    return total * group if kind == "reduce_scatter" else total


def _group(rest: str, devices: int) -> int:
    """How many devices take part together."""
    if found := re.search(r"replica_groups=\[\d+,(\d+)\]", rest):
        return int(found[1])
    found = re.search(r"replica_groups=\{\{([\d,]+)\}", rest)
    return len(found[1].split(",")) if found else devices
