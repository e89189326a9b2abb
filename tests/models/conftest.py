"""The weight recipe of the golden encoders: nothing is stored but a seed."""

import numpy as np
import pytest


def _uniform(seed, position, size):
    """``size`` draws from [0, 1) of the SplitMix64 finaliser, for the state dict's key number k."""
    offset = (position * 2**32 + seed * 2**48 + 0x9E3779B97F4A7C15) % 2**64
    x = np.arange(size, dtype=np.uint64) + np.uint64(offset)  # array arithmetic is modulo 2^64
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(40)).astype(np.float64) / 2**24


def _tensor(key, shape, seed, position):
    u = _uniform(seed, position, int(np.prod(shape))).reshape(shape)
    if key.endswith("running_mean"):
        w = 0.4 * (u - 0.5)
    elif key.endswith("running_var"):
        w = 0.5 + u
    elif len(shape) >= 3 and key.endswith("weight"):
        w = (u - 0.5) * np.sqrt(12) * np.sqrt(2 / np.prod(shape[1:]))
    elif len(shape) == 2:
        w = (u - 0.5) * 2 / np.sqrt(shape[1])
    elif key == "fc.bias":
        w = 0.2 * (u - 0.5)
    elif key.endswith("weight"):
        w = 0.4 + 0.6 * u
    else:
        w = 0.4 * (u - 0.5)
    return w.astype(np.float32)


@pytest.fixture(scope="session")
def recipe_weights():
    """Regenerates the state dict of a golden encoder file and checks its first values."""

    def regenerate(data):
        seed, state_dict = int(data["weight_seed"]), {}
        for position, (key, shape) in enumerate(zip(data["keys"], data["shapes"], strict=True)):
            if key.endswith("num_batches_tracked"):
                continue
            tensor = _tensor(key, tuple(int(n) for n in shape if n), seed, position)
            first = tensor.ravel()[:3]
            np.testing.assert_array_equal(first, data["first3"][position, : first.size])
            state_dict[str(key)] = tensor
        return state_dict

    return regenerate
