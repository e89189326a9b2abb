"""Self-supervised image pretraining by redundancy reduction in JAX."""

from jax_bt import losses as losses
