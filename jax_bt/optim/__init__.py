"""Makes optimisers with rates and rules by parameter path; no other package imports optax."""

from jax_bt.optim import groups, schedules
from jax_bt.optim._parts import OptimizerState
from jax_bt.optim.apply import ema, update
from jax_bt.optim.by_name import OPTIMIZERS, make, options
from jax_bt.optim.optimizers import (
    GradientTransformation,
    adam,
    adamw,
    larc,
    lars,
    lars_inside,
    lars_popular,
    sgd,
)

__all__ = [
    "OPTIMIZERS",
    "GradientTransformation",
    "OptimizerState",
    "adam",
    "adamw",
    "ema",
    "groups",
    "larc",
    "lars",
    "lars_inside",
    "lars_popular",
    "make",
    "options",
    "schedules",
    "sgd",
    "update",
]
