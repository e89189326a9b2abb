"""Every loss behind a linear map, so that it has parameters shared by all devices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from .discovery import SIZES, Case, cases

CASES = cases()
DEFAULT = [case for case in CASES if "-" not in case.name]

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_loss = pytest.mark.parametrize("case", DEFAULT, ids=lambda case: case.name)


def model(case: Case, axis_name: str | None = None):
    """A loss of (parameters, inputs): every batch argument through a linear map."""

    def value(w, x):
        mapped = {k: v @ w[k] if k in w else v for k, v in x.items()}
        return case.loss(mapped, axis_name)

    return value


@functools.cache
def step(case: Case):
    """Value and gradients of the whole batch, one trace a dtype; the tests share it."""
    return jax.jit(jax.value_and_grad(model(case), argnums=(0, 1)))


def parameters(case: Case, noise: float = 0.1, dtype: str = "float64") -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    sizes = SIZES | dict(case.sizes)
    widths = {
        name: sizes[letters.split()[-1]]
        for name, letters in case.axes
        if case.batch_axis(name) is not None
    }
    w = {k: np.eye(d) + noise * random.normal(size=(d, d)) for k, d in widths.items()}
    return cast(w, dtype)


def cast(arrays, dtype):
    return {name: np.asarray(array, jnp.dtype(dtype)) for name, array in arrays.items()}
