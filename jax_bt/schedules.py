"""The schedules under their former name; they live in ``jax_bt/optim/schedules.py``."""

from jax_bt.optim.schedules import *  # noqa: F403
