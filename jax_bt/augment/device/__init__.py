"""Augmentation in JAX inside the compiled step: the parts after the host's crop."""

from jax_bt.augment.device.view import apply as apply
from jax_bt.augment.device.view import jitter as jitter
from jax_bt.augment.device.view import view as view
from jax_bt.augment.device.view import views as views
