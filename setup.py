"""The packages of the wheel: jax_bt, and in it the configs that stand beside it in a clone."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["jax_bt*"]), "jax_bt.configs"],
    package_dir={"jax_bt.configs": "configs"},
)
