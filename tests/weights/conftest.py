"""Golden files of weights: written by torch 2.13, safetensors and MoCo's converter."""

import pathlib

import numpy as np
import pytest

FILES = pathlib.Path(__file__).parent.parent / "golden" / "weights"


@pytest.fixture(scope="session")
def expected():
    """Loads what a golden file holds: {name: array}, bfloat16 widened to float32; its dtypes."""

    def load(name):
        with np.load(FILES / f"{name}_expected.npz") as file:  # left open, it warns in a later test
            data = dict(file)
        arrays = {str(key): data[f"a/{key}"] for key in data["keys"]}
        dtypes = data["dtypes"] if "dtypes" in data else [a.dtype for a in arrays.values()]
        return arrays, dict(zip(arrays, map(str, dtypes), strict=True))

    return load
