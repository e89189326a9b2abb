"""Lists the numbers of fine-tuning on a part of the labels, of papers and their code."""

import dataclasses
from typing import Any

from jax_bt.errors import UsageError
from jax_bt.evaluate._presets import Preset
from jax_bt.evaluate.linear_sgd import cosine

IMAGES_PER_GPU = 32  # the papers': 256 images on 8 GPUs without synchronised batch norm


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuning(Preset):
    """Numbers of the protocol.

    Attributes:
      subset: the list of the labelled examples, by its name in google-research/simclr.
      encoder_rate: learning rate of the encoder.
      head_rate: learning rate of the classifier.
      epochs: passes over the labelled images.
      drops: epochs at which both rates fall; () for the cosine by epoch.
      drop_factor: of each drop.
      batch_size: global.
      weight_decay: of everything.
      nesterov: of SGD, whose momentum is 0.9.
      norm_group: consecutive images that share batch statistics; None for the whole batch.
      crop: least and most area of the training crop; a flip follows it.
    """

    subset: str = "1percent"
    encoder_rate: float = 0.005
    head_rate: float = 0.5
    epochs: int = 20
    drops: tuple[int, ...] = ()
    drop_factor: float = 0.2
    batch_size: int = 256
    weight_decay: float = 0.0
    nesterov: bool = False
    norm_group: int | None = IMAGES_PER_GPU
    crop: tuple[float, float] = (0.08, 1.0)

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UsageError(f"epochs={self.epochs} must be at least 1")
        if not (self.encoder_rate >= 0 and self.head_rate > 0):
            raise UsageError(
                f"encoder_rate={self.encoder_rate} and head_rate={self.head_rate} must be positive"
            )

    def factor(self, epoch: int) -> float:
        """What both rates are multiplied by in an epoch, counted from 0."""
        if self.drops:
            return self.drop_factor ** sum(epoch >= drop for drop in self.drops)
        return cosine(1.0, self.epochs, epoch)


def _both(
    name: str,
    title: str,
    source: str,
    published: dict[str, dict[str, float]],
    one: dict[str, Any],
    ten: dict[str, Any],
    **numbers: Any,
) -> dict[str, FineTuning]:
    """The presets of 1 % and of 10 % of the labels."""
    made = {}
    for percent, own in (("1", one), ("10", ten)):
        scores = {
            who: {key: s[f"{key}_{percent}"] for key in ("top1", "top5") if f"{key}_{percent}" in s}
            for who, s in published.items()
        }
        made[f"{percent}pct_{name}"] = FineTuning(
            title=f"{percent} % of the labels, {title}",
            source=source,
            published=scores,
            subset=f"{percent}percent",
            **(numbers | own),
        )
    return made


def _scores(*values: float) -> dict[str, float]:
    return dict(zip(("top1_1", "top1_10", "top5_1", "top5_10"), values, strict=True))


_BARLOW_TWINS = {"Barlow Twins": _scores(55.0, 69.7, 79.2, 89.3)}
PRESETS = {
    **_both(
        "barlow_twins",
        "Barlow Twins",
        "facebookresearch/barlowtwins README and evaluate.py; paper, table 2; best epoch",
        _BARLOW_TWINS,
        {},
        {},
    ),
    **_both(
        "barlow_twins_paper",
        "Barlow Twins' paper",
        "Barlow Twins, appendix C; table 2",
        _BARLOW_TWINS,
        {},
        {},
        encoder_rate=0.002,
        drops=(12, 16),
    ),
    **_both(
        "vicreg",
        "VICReg",
        "VICReg, appendix and README; table 1",
        {"VICReg": _scores(54.8, 69.5, 79.4, 89.5)},
        {"encoder_rate": 0.03, "head_rate": 0.08},
        {"encoder_rate": 0.01, "head_rate": 0.1},
    ),
    **_both(
        "swav",
        "SwAV",
        "facebookresearch/swav eval_semisup.py and README",
        {"SwAV": _scores(53.9, 70.2, 78.5, 89.9)},
        {"encoder_rate": 0.02, "head_rate": 5.0},
        {"encoder_rate": 0.01, "head_rate": 0.2},
        drops=(12, 16),
        norm_group=None,
    ),
    **_both(
        "obow",
        "OBoW",
        "valeoai/obow, 200 epochs",
        {"OBoW": {"top5_1": 82.9, "top5_10": 90.7}},
        {"epochs": 40, "drops": (24, 32)},
        {"epochs": 20, "drops": (12, 16)},
        encoder_rate=2e-4,
        norm_group=None,
    ),
    **_both(
        "byol",
        "BYOL",
        "BYOL, appendix; table 2; rate (0.01, 0.02, 0.05, 0.1 or 0.005) and epochs (30 or 50) are "
        "chosen on images held out of training, here the middle ones stand",
        {"BYOL": _scores(53.2, 68.8, 78.4, 89.0)},
        {},
        {},
        encoder_rate=0.02,
        head_rate=0.02,
        epochs=30,
        batch_size=1024,
        nesterov=True,
        norm_group=None,
    ),
}
PRESETS = {"": PRESETS["1pct_barlow_twins"], **PRESETS}
