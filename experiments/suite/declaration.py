"""Declares a table: its rows, their configs at each scale, and what the paper published."""

import dataclasses
import hashlib
import json
import pathlib
import runpy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from jax_bt import config

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
Changes = Mapping[str, Any]  # config fields by their dotted names


@dataclasses.dataclass(frozen=True)
class Scale:
    """A size at which tables are run.

    Attributes:
      suffix: of the configs' names.
      metrics: protocols whose top-1 a table shows.
      train_size: number of training examples.
      changes: of every config.
      written: only the configs are written, for a pod.
    """

    suffix: str
    metrics: tuple[str, ...]
    train_size: int
    changes: Changes
    written: bool = False


RECALLS = tuple(f"{query} query R@{k}" for query in ("caption", "image") for k in (1, 5, 10))
SMALL = {"evaluate.checkpoints": False, "checkpoint.every_steps": 100}
SCALES = {
    "digits": Scale(
        "digits",
        ("knn_20", "linear", "linear_5"),
        1_297,
        {**SMALL, "evaluate.protocols": ("knn_20", "linear", "linear_5")},
    ),
    # Encoder, heads and rates of the digits configs on 10,000 images of CIFAR-10 at 16 pixels.
    "cifar": Scale(
        "digits",
        ("knn_20", "linear"),
        10_000,
        {
            **SMALL,
            "data.name": "cifar10",
            "data.image_size": 16,
            "data.train": "train[:10000]",
            "data.test": "test[:2000]",
            "optimizer.warmup_epochs": 1.25,  # 50 steps, as on the digits
            "evaluate.protocols": ("knn_20", "linear"),
        },
    ),
    # The CIFAR-10 configs themselves, for 20 epochs: minutes on a GPU, a day on two cores.
    "resnet18": Scale(
        "cifar10",
        ("knn", "linear"),
        50_000,
        {
            "epochs": 20,
            "optimizer.warmup_epochs": 1,
            "encoder.dtype": "bfloat16",
            "evaluate.every": 1,
            "evaluate.checkpoints": False,
        },
    ),
    "imagenet": Scale("r50", (), 1_281_167, {}, written=True),
    # Images beside captions: vicreg_table3/prepare.py makes the data.
    "emoji": Scale("emoji", RECALLS, 1_529, {}),
    "terms": Scale(
        "emoji",
        RECALLS,
        10_000,
        {
            "data.name": "terms.npz",
            "optimizer.warmup_epochs": 0.5,
            "evaluate.protocols": ("retrieval_unique",),
        },
    ),
    "coco": Scale("coco", (), 113_287, {}, written=True),
    # Sounds: vicreg_table6/prepare.py makes the data of the small one.
    "esc10": Scale("esc10", ("linear_folds",), 400, {}),
    "esc50": Scale("esc50", (), 1_600, {}, written=True),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table.

    Attributes:
      name: as the paper calls it.
      config: the configs that it starts from, without their scale: "barlow" for barlow_digits,
        barlow_cifar10 and barlow_r50.
      changes: fields that differ from them, at every scale.
      digits, cifar, resnet18, imagenet, emoji, terms, coco, esc10, esc50: fields that differ at one
        scale; None where it has no such row.
      computed: a function of the config to scores by protocol, in place of a run: of a row that is
        no pretraining.
      baselines: whether its runs evaluate raw pixels and the untrained encoder too, at the small
        scales; one row of a table is enough.
      published: the paper's numbers by the table's ``published``.
      series, x: the line and the place of the row in the table's plot.
    """

    name: str
    config: str = "barlow"
    changes: Changes = dataclasses.field(default_factory=dict)
    digits: Changes | None = dataclasses.field(default_factory=dict)
    cifar: Changes | None = dataclasses.field(default_factory=dict)
    resnet18: Changes | None = None
    imagenet: Changes | None = dataclasses.field(default_factory=dict)
    emoji: Changes | None = None
    terms: Changes | None = None
    coco: Changes | None = None
    esc10: Changes | None = None
    esc50: Changes | None = None
    computed: Callable[[ConfigDict], dict[str, float]] | None = None
    baselines: bool = False
    published: Sequence[str | float] = ()
    series: str = ""
    x: float | None = None


@dataclasses.dataclass(frozen=True)
class Plot:
    """A figure: a metric over the rows' ``x``, one line per series.

    Attributes:
      label: of the x axis; None: the figure has the curves of every row alone.
      metric: a protocol's top-1; of several rows at one place the figure has the best.
      log: whether the x axis is logarithmic.
      curves: metrics of the log, with their titles, drawn over the steps below: of each series the
        rows with the largest ``x``.
    """

    label: str | None = None
    metric: str = "linear_5"
    log: bool = False
    curves: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """One table or figure.

    Attributes:
      name: its folder in experiments/.
      title: with paper and number.
      setting: of the published numbers.
      published: headings of the published numbers.
      rows: of the table.
      plot: the figure, if there is one.
    """

    name: str
    title: str
    setting: str = ""
    published: tuple[str, ...] = ()
    rows: Sequence[Row]
    plot: Plot | None = None

    @property
    def scales(self) -> list[str]:
        """The scales at which there are rows."""
        return [scale for scale in SCALES if self.at(scale)]

    def at(self, scale: str) -> list[Row]:
        """The rows that there are at a scale."""
        return [row for row in self.rows if getattr(row, scale) is not None]


def config_of(row: Row, scale: str, seed: int = 0, data_dir: str | None = None) -> ConfigDict:
    """The config of one run of a row.

    Raises:
      UsageError: a change names no field.
    """
    c = _named(f"{row.config}_{SCALES[scale].suffix}")
    if scale == "cifar":  # views of the method's own CIFAR-10 config
        for field in ("recipe", "built"):
            c.data[field] = _named(f"{row.config}_cifar10").data[field]
    for changes in (SCALES[scale].changes, row.changes, getattr(row, scale)):
        for field, value in changes.items():
            config.set_field(c, field, value)
    if not SCALES[scale].written:
        c.evaluate.baselines = row.baselines
    c.seed = seed
    if data_dir is not None:
        c.data.data_dir = data_dir
    return c


def identity(c: ConfigDict) -> str:
    """16 hexadecimal digits of what a config changes of the defaults, without seed and place.

    Rows of several tables with the same config share their runs. A field that a release adds
    changes no identity while it stays at its default.
    """
    mine, default = (json.loads(x.to_json_best_effort()) for x in (c, config.base(c.method)))
    for record in (mine, default):
        record.pop("seed")
        record["data"].pop("data_dir")
    changed = dict(_differences(mine, default))
    return hashlib.sha256(json.dumps([c.method, changed], sort_keys=True).encode()).hexdigest()[:16]


def _differences(mine: Mapping[str, Any], default: Mapping[str, Any], prefix: str = ""):
    for name, value in mine.items():
        if isinstance(value, dict):
            yield from _differences(value, default[name], f"{prefix}{name}.")
        elif value != default[name]:
            yield prefix + name, value


def _named(name: str) -> ConfigDict:
    return runpy.run_path(str(CONFIGS / f"{name}.py"))["get_config"]()
