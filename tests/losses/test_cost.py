"""The cost model of the forms says what the products cost, and auto takes the cheaper."""

import jax
import numpy as np
import pytest

from jax_bt import losses
from jax_bt.losses import _cost

PAIRS = {"barlow_twins": {"cross": 1, "own": 0}, "vicreg": {"cross": 0, "own": 2}}


def cost(form, loss, n, d, axis_size=1):
    return _cost.cost(form, n, d, axis_size=axis_size, views=2, **PAIRS[loss])


@pytest.mark.parametrize("form", ["cross_correlation", "gram"])
@pytest.mark.parametrize("loss", PAIRS)
def test_operations_are_those_the_compiler_counts(loss, form):
    n, d = 96, 256
    shape = jax.ShapeDtypeStruct((n, d), np.float32)
    step = jax.grad(lambda a, b: getattr(losses, loss)(a, b, form=form).loss, argnums=(0, 1))
    counted = jax.jit(step).lower(shape, shape).compile().cost_analysis()["flops"]
    # Beside the products there are some thirty elementwise operations an entry.
    model = cost(form, loss, n, d).flops
    assert model < counted < 1.05 * model + 60 * n * d


@pytest.mark.parametrize("loss", PAIRS)
def test_small_batches_of_wide_embeddings_take_gram_matrices(loss):
    for axis_size in (1, 8, 32):
        assert losses.chosen_form(256, 8192, loss=loss, axis_size=axis_size) == "gram"
        assert losses.chosen_form(2048, 8192, loss=loss, axis_size=axis_size) == "gram"
        wide = losses.chosen_form(4096, 512, loss=loss, axis_size=axis_size)
        assert wide == "cross_correlation"


@pytest.mark.parametrize("axis_size", [1, 8])
@pytest.mark.parametrize("loss", PAIRS)
def test_the_choice_turns_once_as_the_batch_grows(loss, axis_size):
    sizes = range(8, 2048, 8)
    chosen = [losses.chosen_form(n, 512, loss=loss, axis_size=axis_size) for n in sizes]
    turn = chosen.index("cross_correlation")
    assert set(chosen[:turn]) == {"gram"} and set(chosen[turn:]) == {"cross_correlation"}
    # Operations alone would put it at 3/4 D for Barlow Twins and at D for VICReg.
    assert 512 / 2 < sizes[turn] < 512 * 2


def test_more_views_favour_gram_matrices():
    # Six pairs of four views share four Gram matrices.
    assert losses.chosen_form(512, 512, views=2) == "cross_correlation"
    assert losses.chosen_form(512, 512, views=4) == "gram"


@pytest.mark.parametrize("n, d", [(12, 40), (40, 12)])
@pytest.mark.parametrize("loss", PAIRS)
def test_auto_traces_the_chosen_form(loss, n, d):
    shape = jax.ShapeDtypeStruct((n, d), np.float32)

    def traced(form):
        step = jax.grad(lambda a, b: getattr(losses, loss)(a, b, form=form).loss)
        return str(jax.make_jaxpr(step)(shape, shape))

    chosen = losses.chosen_form(n, d, loss=loss)
    other = {"gram": "cross_correlation", "cross_correlation": "gram"}[chosen]
    assert traced("auto") == traced(chosen) != traced(other)
    assert chosen == ("gram" if n < d else "cross_correlation")


def test_wire_and_memory_of_each_form():
    gram, square = (
        cost(form, "barlow_twins", 2048, 8192, axis_size=32)
        for form in ("gram", "cross_correlation")
    )
    embeddings = 2 * 4 * 2048 * 8192
    np.testing.assert_allclose(gram.wire, embeddings * 31 / 32)
    np.testing.assert_allclose(gram.intermediate, embeddings + 2 * 4 * 64 * 2048)
    np.testing.assert_allclose(square.wire, 2 * 4 * 8192**2 * 31 / 32)
    np.testing.assert_allclose(square.intermediate, 4 * 8192**2 * (1 + 1 / 32))


def test_rows_are_scattered_where_they_divide_and_matter():
    assert _cost.scattered(8192, 8)
    assert not _cost.scattered(8192, 1)
    assert not _cost.scattered(8190, 8)
    assert not _cost.scattered(64, 8)


@pytest.mark.parametrize(
    "options", [{"loss": "byol"}, {"views": 1}, {"axis_size": 0}, {"n": 0}], ids=str
)
def test_senseless_questions_are_refused(options):
    with pytest.raises(ValueError, match="byol|at least"):
        losses.chosen_form(**({"n": 8, "d": 8} | options))


def test_memory_of_the_gram_form_is_that_of_the_embeddings():
    n, d = 32, 2048
    shape = jax.ShapeDtypeStruct((n, d), np.float32)

    def temporary(form):
        step = jax.grad(lambda a, b: losses.barlow_twins(a, b, form=form).loss, argnums=(0, 1))
        analysis = jax.jit(step).lower(shape, shape).compile().memory_analysis()
        return analysis.temp_size_in_bytes

    assert temporary("gram") < 8 * 4 * n * d
    assert temporary("cross_correlation") > 4 * d * d
