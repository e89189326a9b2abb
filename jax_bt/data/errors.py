"""The one error this package raises for data that is missing or unusable."""

from jax_bt.errors import Expected


class DataError(Expected, ValueError):
    """A data set, split, file or image that cannot be used: one line, what, where, what to do."""
