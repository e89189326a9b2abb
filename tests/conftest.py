"""Eight simulated devices and one compilation cache for the whole suite."""

import os
import tempfile

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # libtpu, where installed, is noisy otherwise
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
# Workers and child processes (command-line and multi-process tests) share it: they inherit the
# environment.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), "jax_bt_test_cache")
)
# Small programs too: the modules of the suite and its child processes compile many of the same.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from helpers.golden import GOLDEN  # noqa: E402


@pytest.fixture(scope="session")
def golden():
    """Loads a golden file by name: ``golden("barlow_loss_8x16")["z_a"]``."""
    return lambda name: np.load(GOLDEN / f"{name}.npz")


@pytest.fixture(scope="module")
def quick_compilation():
    """Hundreds of small programs run once each: plain machine code halves the time they take."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Compiled programs take gigabytes by the end of the suite: a module leaves none behind."""
    yield
    jax.clear_caches()
