"""Golden files of weights: written by torch 2.13, safetensors and MoCo's converter."""

import pathlib

import pytest
from helpers.golden import arrays

FILES = pathlib.Path(__file__).parent.parent / "golden" / "weights"


@pytest.fixture(scope="session")
def expected():
    """Loads what a golden file holds: {name: array}, bfloat16 widened to float32; its dtypes."""

    def load(name):
        data = arrays(FILES / f"{name}_expected.npz")
        named = {str(key): data[f"a/{key}"] for key in data["keys"]}
        dtypes = data["dtypes"] if "dtypes" in data else [a.dtype for a in named.values()]
        return named, dict(zip(named, map(str, dtypes), strict=True))

    return load
