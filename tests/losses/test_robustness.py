"""Every loss of ``jax_bt.losses`` survives degenerate batches and refuses what it cannot use."""

import numpy as np
import pytest
from helpers.conformance import DEFAULT, cast, check_degenerate, each_case, each_loss


def constant_column(x):
    return np.concatenate([np.full_like(x[..., :1], 3.1), x[..., 1:]], axis=-1)


def repeated_column(x):
    return np.concatenate([x[..., 1:2], x[..., 1:]], axis=-1)


def one_point(x):
    return np.full_like(x, 0.7)


@pytest.mark.parametrize("degenerate", [constant_column, repeated_column, one_point, np.zeros_like])
@each_case
def test_degenerate_batches_have_finite_gradients(case, degenerate):
    check_degenerate(case, degenerate)


@each_loss
def test_integers_are_refused(case):
    for name, _ in case.axes:
        x = cast(case.inputs(), "float32")
        x[name] = x[name].astype(np.int32)
        with pytest.raises(ValueError, match=f"{name}.*float"):
            case.loss(x)


@each_loss
def test_a_missing_axis_is_refused(case):
    for name, _ in case.axes:
        x = cast(case.inputs(), "float32")
        x[name] = x[name][0]
        with pytest.raises(ValueError, match=name):
            case.loss(x)


@pytest.mark.parametrize(
    "case",
    [c for c in DEFAULT if sum(c.batch_axis(name) is not None for name, _ in c.axes) > 1],
    ids=lambda case: case.name,
)
def test_views_of_different_batches_are_refused(case):
    for name, _ in case.axes:
        axis = case.batch_axis(name)
        if axis is not None:
            x = cast(case.inputs(), "float32")
            x[name] = np.delete(x[name], 0, axis)
            with pytest.raises(ValueError, match="shape"):
                case.loss(x)
