"""Compares runs: reads their folders, puts repetitions together, and writes one page."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from jax_bt.errors import UsageError
from jax_bt.report import comparison
from jax_bt.report.comparison import Entry, Group
from jax_bt.train import collapse, history, workdir

SEED = "seed"  # configs that differ in it alone are repetitions of one experiment


def compare(folders: Sequence[str], output: str) -> list[Group]:
    """Writes ``<output>/index.html``, which puts the runs beside each other.

    Args:
      folders: of runs, finished or not; those that differ in the seed alone are put together.
        "NAME=FOLDER" gives a group its name.
      output: folder of the page.

    Returns:
      The groups of repetitions, in the order in which their first run was given.

    Raises:
      UsageError: fewer than two runs, one given twice, or a folder that holds no run.
      WorkdirError: a damaged record.
    """
    names, given = zip(*map(_named, folders), strict=True) if folders else ((), ())
    paths = [workdir.path(folder) for folder in given]
    if len({str(path.absolute()) for path in paths}) < max(2, len(paths)):
        raise UsageError("compare takes the folders of two runs or more, each once")
    named = {str(path): name for path, name in zip(paths, names, strict=True) if name}
    groups = [
        dataclasses.replace(group, name=named.get(group.entries[0].folder, group.name))
        for group in grouped([read(path) for path in paths])
    ]
    comparison.write(output, groups)
    return groups


def _named(given: str) -> tuple[str, str]:
    """The name and the folder of "NAME=FOLDER"; no name where a folder is called so."""
    name, equals, folder = given.rpartition("=")
    return (name, folder) if equals and not workdir.path(given).exists() else ("", given)


def read(folder: epath.Path) -> Entry:
    """What a run's folder tells of it.

    Raises:
      UsageError: it holds no run.
      WorkdirError: a damaged record.
    """
    record = workdir.record(folder)
    if record is None:
        raise UsageError(f"{folder} holds no run: it has no {workdir.CONFIG}")
    lines, summary = history.read(folder), workdir.summary(folder)
    results = (summary or {}).get("results", ())
    return Entry(
        folder=str(folder),
        fields=workdir.flat(record),
        history=lines,
        results={r["protocol"]: r for r in results if r["features"] == "trained"},
        finished=summary is not None,
        seconds=history.total_seconds(lines),
        images_per_second=history.rate(lines),
        collapse=summary["collapse"] if summary else collapse.last_verdict(lines, None),
    )


def grouped(entries: Sequence[Entry]) -> list[Group]:
    """Puts repetitions together and names the groups by what tells them apart."""
    repetitions: dict[str, list[Entry]] = {}
    for entry in entries:
        same = {name: value for name, value in entry.fields.items() if name != SEED}
        repetitions.setdefault(repr(sorted(same.items())), []).append(entry)
    members = list(repetitions.values())
    names = dict.fromkeys(name for first, *_ in members for name in first.fields if name != SEED)
    columns = {name: [first.fields.get(name) for first, *_ in members] for name in names}
    differing = {
        name: values for name, values in columns.items() if len(set(map(repr, values))) > 1
    }
    return [
        Group(title, entries, {name: values[i] for name, values in differing.items()})
        for i, (title, entries) in enumerate(zip(_titles(members, differing), members, strict=True))
    ]


def _titles(members: Sequence[Sequence[Entry]], differing: Mapping[str, list[Any]]) -> list[str]:
    """The method, or the one field that differs, or else the folder of the first run."""
    if len(set(differing.get("method", ()))) == len(members):
        return [str(value) for value in differing["method"]]
    if len(differing) == 1:
        ((field, values),) = differing.items()
        return [f"{field}={value}" for value in values]
    short = [first.folder.rstrip("/").rpartition("/")[2] for first, *_ in members]
    return short if len(set(short)) == len(short) else [first.folder for first, *_ in members]
