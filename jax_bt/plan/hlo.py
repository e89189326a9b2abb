"""What a compiled program sends between devices, read from its HLO text."""

import math
import re
from collections import Counter
from typing import NamedTuple

KINDS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "collective_permute")
# Bytes a device sends for each byte of the whole array, on a ring of n: an all-reduce is a
# reduce-scatter and an all-gather, each of (n - 1) / n.
RING = {"all_reduce": 2.0, "all_gather": 1.0, "reduce_scatter": 1.0, "all_to_all": 1.0}

_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%?[\w.\-]+ = (.*?) ([a-z][a-z0-9\-]*)\((.*)$")
_ARRAY = re.compile(r"\b([a-z]+\d*[a-z0-9]*)\[([\d,]*)\]")
_CALLED = re.compile(r"(?:calls|body|condition|to_apply)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


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

    An asynchronous pair of start and done counts once, and the body of a loop as often as the
    compiler knows it to run.

    Args:
      text: ``compiled.as_text()``.
      devices: of the program.
    """
    computations, entry = _computations(text)
    size, count, sent = Counter(), Counter(), 0.0

    def visit(name: str, times: int, scattered: bool) -> None:
        nonlocal sent
        for types, operation, rest in computations.get(name, ()):
            kind = operation.removesuffix("-start").replace("-", "_")
            kind = {"ragged_all_to_all": "all_to_all"}.get(kind, kind)
            if kind in KINDS:
                group = _group(rest, devices)
                if scattered and kind == "all_reduce":
                    kind = "reduce_scatter"
                    bytes_ = _bytes(types)
                else:
                    bytes_ = _whole(kind, types, group, operation.endswith("-start"))
                size[kind] += times * bytes_
                count[kind] += times
                ring = RING.get(kind)
                sent += times * bytes_ * (1.0 if ring is None else ring * (group - 1) / group)
            elif not operation.endswith(("-done", "-update")):
                trips = _TRIPS.search(rest)
                inner = times * int(trips[1]) if trips and operation == "while" else times
                for called in _called(rest):
                    # TPU: a fusion of an all-reduce and a slice of its result.
                    visit(called, inner, called.startswith("all-reduce-scatter"))

    visit(entry, 1, False)
    return Traffic({k: size[k] for k in KINDS}, {k: count[k] for k in KINDS}, sent)


def _computations(text: str) -> tuple[dict[str, list[tuple[str, str, str]]], str]:
    """The instructions (type, operation, rest) of every computation, and the entry's name."""
    computations, entry, current = {}, "", []
    for line in text.splitlines():
        if not line.startswith((" ", "}")) and (header := _COMPUTATION.match(line)):
            current = computations.setdefault(header[2], [])
            entry = header[2] if header[1] else entry
        elif found := _INSTRUCTION.match(line):
            current.append(found.groups())
    return computations, entry


def _called(rest: str) -> list[str]:
    branches = _BRANCHES.search(rest)
    names = branches[1].replace("%", "").split(",") if branches else []
    return [*_CALLED.findall(rest), *(name.strip() for name in names)]


def _bytes(types: str) -> int:
    """Bytes of all arrays of a type: ``f32[8,128]`` or ``(bf16[4], f32[])``."""
    total = 0
    for dtype, shape in _ARRAY.findall(types):
        bits = 8 if dtype == "pred" else int((re.search(r"\d+", dtype) or ["0"])[0])
        total += math.ceil(bits * math.prod(int(n) for n in shape.split(",") if n) / 8)
    return total


def _whole(kind: str, types: str, group: int, start: bool) -> int:
    """Bytes of the whole array; a start's type also lists the operands (not an all-reduce's)."""
    if start and kind == "collective_permute":
        types = re.sub(r"\b[us]32\[\]", "", types)  # its semaphores
    total = _bytes(types)
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
