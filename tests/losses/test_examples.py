"""The example in the docstring of every public loss runs and shows what it says."""

import doctest
import inspect

import pytest

from jax_bt import losses

LOSSES = {
    name: value
    for name, value in vars(losses).items()
    if inspect.isfunction(value)
    and "loss" in getattr(value.__annotations__["return"], "_fields", ())
}


def test_there_are_losses():
    assert {"barlow_twins", "vicreg", "info_nce", "info_nce_in_batch", "swav"} <= set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_example_runs(name):
    examples = doctest.DocTestParser().get_doctest(LOSSES[name].__doc__, {}, name, None, 0)
    said = []
    result = doctest.DocTestRunner().run(examples, out=said.append)
    assert result.attempted >= 3, f"{name} has no Example in its docstring"
    assert result.failed == 0, "".join(said)
