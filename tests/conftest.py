"""Eight simulated devices and one compilation cache for the whole suite."""

import gc
import importlib.util
import mmap
import os
import pathlib
import tempfile


def known(flag: str) -> bool:
    """Whether the installed XLA has a flag: at one that it does not know it ends the process."""
    library = pathlib.Path(importlib.util.find_spec("jaxlib").origin).parent / "libjax_common.so"
    if not library.is_file():
        return False
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        # A flag that was taken out stays in the library as a reserved name of its message.
        return text.find(b"\0" + flag.encode() + b"\0") >= 0


FLAGS = {
    # Most of the time is XLA's. Its older emitters of loops compile in half of the time, and
    # programs that run once gain nothing from the newer ones.
    "xla_cpu_use_fusion_emitters": "false",
    # One program's code is made on one thread, a fifth faster: the workers keep the cores busy.
    "xla_cpu_parallel_codegen_split_count": "1",
    # Eight devices share two cores: one may wait for the others for longer than the usual 40 s,
    # after which XLA ends the process.
    "xla_cpu_collective_call_terminate_timeout_seconds": "600",
}
# Set XLA_FLAGS="" to test with the defaults.
flags = " ".join(f"--{flag}={value}" for flag, value in FLAGS.items() if known(flag))
os.environ.setdefault("XLA_FLAGS", flags)

# Hundreds of small programs run once each: plain machine code takes half of the time to make.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # libtpu, where installed, is noisy otherwise
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # as main.py: without Keras, sooner there
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")
# Workers and child processes (command-line and multi-process tests) share it: they inherit the
# environment.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", os.path.join(tempfile.gettempdir(), "jax_bt_test_cache")
)
# Small programs too: the modules of the suite and its child processes compile many of the same.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import jax  # noqa: E402
import pytest  # noqa: E402
from helpers.golden import GOLDEN, arrays  # noqa: E402

# Tracing makes millions of objects that die young; looking through the libraries' for cycles each
# time takes 5 % of the suite.
gc.freeze()
gc.set_threshold(100_000, 50, 50)


@pytest.fixture(scope="session")
def golden():
    """Loads a golden file by name: ``golden("barlow_loss_8x16")["z_a"]``."""
    return lambda name: arrays(GOLDEN / f"{name}.npz")


def pytest_collection_modifyitems(items):
    """The longest files first, so that both workers end together."""
    first = ("tests/whole_runs/", "tests/train/", "tests/notebooks/")
    items.sort(key=lambda item: not item.nodeid.startswith(first))


@pytest.fixture(scope="module", autouse=True)
def forget_programs():
    """Compiled programs take gigabytes by the end of the suite: a module leaves none behind."""
    yield
    jax.clear_caches()
