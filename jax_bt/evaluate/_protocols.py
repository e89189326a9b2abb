"""Finds protocols by name: the files of this folder without a leading underscore.

A name is that of a file, or of a file and one of its presets: "knn", "knn_20", "linear_5",
"linear_sgd_vicreg". A file has

    TITLE    what people read
    NEEDS    what it runs on: "features" of every example; "images" in batches and a frozen encoder
             to features; "maps", the same to the maps of its last stage; "encoder", images in
             batches and an encoder that is trained; "pairs", embeddings of both branches of a run;
             "folds", features of one split with the number of the fold that each example is of
    LABELS   "class" (one integer per example), "several" (present or absent, by class) or "none";
             "class" where it is missing
    PRESETS  records by name; "" is what the file's name alone stands for
    run      the protocol itself, which takes a preset; its arguments follow from NEEDS

and may have

    preset(name)             the record of a family of names, such as any "<k>", or None
    check(protocol, ...)     refuses before any long work what ``run`` would refuse after it
"""

import functools
import importlib
import pkgutil
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from jax_bt.errors import UsageError
from jax_bt.evaluate._presets import Preset

PACKAGE = __name__.rpartition(".")[0]
OF_FEATURES = ("features", "folds")


class Protocol(NamedTuple):
    """A protocol with the numbers that its name stands for.

    Attributes:
      name: as it is typed.
      module: its file.
      preset: its numbers.
    """

    name: str
    module: ModuleType
    preset: Preset

    @property
    def labels(self) -> str:
        """What an example's label is: "class", "several" or "none"."""
        return getattr(self.module, "LABELS", "class")

    def check(
        self,
        *,
        examples: int,
        counts: np.ndarray | None = None,
        where: str = "",
        folds: int = 1,
    ) -> None:
        """Raises UsageError if the protocol cannot take such a labelled data set.

        Args:
          examples: number of labelled examples.
          counts: (classes,) examples of each class; None where unknown.
          where: the data set and split, for the message.
          folds: parts of the split; looked at by protocols that need folds.
        """
        check = getattr(self.module, "check", None)
        if check is not None:
            check(self, examples=examples, counts=counts, where=where, folds=folds)


@functools.cache
def names() -> tuple[str, ...]:
    """The files of this folder without a leading underscore."""
    path = importlib.import_module(PACKAGE).__path__
    return tuple(sorted(m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_")))


def load(name: str) -> ModuleType:
    """The module of a file's name."""
    return importlib.import_module(f"{PACKAGE}.{name}")


def presets(name: str) -> tuple[str, ...]:
    """The named presets of a file, as they are typed."""
    return tuple("_".join(filter(None, (name, preset))) for preset in load(name).PRESETS)


def find(name: Any) -> Protocol:
    """The protocol of a name.

    Raises:
      UsageError: there is none; the message lists what there is.
    """
    text = str(name)
    files = [file for file in names() if text == file or text.startswith(f"{file}_")]
    for file in sorted(files, key=len, reverse=True):  # "linear_sgd" before "linear"
        module, rest = load(file), text[len(file) + 1 :]
        preset = module.PRESETS.get(rest)
        if preset is None and hasattr(module, "preset"):
            preset = module.preset(rest)
        if preset is not None:
            return Protocol(text, module, preset)
    if files:
        valid = ", ".join(presets(max(files, key=len)))
        raise UsageError(f"no protocol {name!r}: choose from {valid}")
    raise UsageError(f"no protocol {name!r}: choose from {', '.join(names())}")


def check_protocol(name: Any) -> None:
    """Raises UsageError unless a run can end with the protocol of that name.

    Those on features with one class per example, over folds or not, and those on pairs of its
    branches.
    """
    try:
        protocol = find(name)
    except UsageError as error:
        raise UsageError(f"evaluate.protocols: {error}") from None
    if protocol.module.NEEDS == "pairs":
        return
    if protocol.module.NEEDS not in OF_FEATURES or protocol.labels != "class":
        what = {"several": "several labels per example", "none": "no labels: it is no accuracy"}
        raise UsageError(
            f"evaluate.protocols: {name!r} needs {what.get(protocol.labels, protocol.module.NEEDS)}"
            f"; choose from those on features of one class each: {', '.join(_of_features())}"
        )


def _of_features() -> list[str]:
    modules = [load(name) for name in names()]
    return [
        name
        for name, module in zip(names(), modules, strict=True)
        if module.NEEDS in OF_FEATURES and getattr(module, "LABELS", "class") == "class"
    ]
