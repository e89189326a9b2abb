"""Every loss a pure function: arrays in, a small tuple out whose first field is ``loss``."""

from jax_bt.losses.barlow_twins import BarlowTwins as BarlowTwins
from jax_bt.losses.barlow_twins import barlow_twins as barlow_twins
from jax_bt.losses.vicreg import VICReg as VICReg
from jax_bt.losses.vicreg import vicreg as vicreg
