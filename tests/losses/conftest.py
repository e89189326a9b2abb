"""Settings the tests of the losses share."""

import jax
import pytest


@pytest.fixture(scope="module")
def quick_compilation():
    """Hundreds of small programs run once each: plain machine code halves the time they take."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
