"""Augmentation in JAX inside the compiled step: the parts after the host's crop."""

from jax_bt.augment.device.view import placed as placed
from jax_bt.augment.device.view import views as views
