"""Schedules against the reference code's tables."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt import schedules

# columns 4, 5, 6 of the table: Barlow Twins weights and biases, VICReg with base rate 0.2
BASES = {4: 0.2, 5: 0.0048, 6: 0.2}


@pytest.mark.parametrize("column", BASES)
# The reference's own 1 + cos cancels near the end: float64 leaves it 2e-14 there
@pytest.mark.parametrize(("x64", "rtol"), [(True, 1e-13), (False, 1e-6)])
def test_warmup_cosine_is_the_reference_table(golden, column, x64, rtol):
    table = golden("lr_schedule_table")["table"]
    configurations = np.unique(table[:, :3], axis=0)
    assert len(configurations) == 3
    with jax.enable_x64(x64):
        for batch, epochs, length in configurations:
            rows = table[(table[:, :3] == (batch, epochs, length)).all(axis=1)]
            peak = BASES[column] * batch / 256
            schedule = schedules.warmup_cosine(
                peak, int(10 * length), int(epochs * length), peak * 1e-3
            )
            rates = jax.jit(schedule)(rows[:, 3].astype(np.int32))
            np.testing.assert_allclose(rates, rows[:, column], rtol=rtol)


def test_warmup_starts_at_exactly_zero_and_the_end_is_held():
    schedule = schedules.warmup_cosine(3.0, 10, 100, 0.25)
    assert schedule(0) == 0.0
    assert schedule(5) == 1.5
    assert schedule(10) == 3.0
    assert schedule(100) == schedule(101) == schedule(1000) == 0.25


def test_no_warmup_starts_at_the_peak():
    schedule = schedules.warmup_cosine(3.0, 0, 100)
    np.testing.assert_allclose(schedule(np.array([0, 50, 100])), [3.0, 1.5, 0.0], atol=1e-6)


def test_warmup_to_the_very_end():
    schedule = schedules.warmup_cosine(2.0, 4, 4, 0.25)
    np.testing.assert_allclose(schedule(np.arange(6)), [0.0, 0.5, 1.0, 1.5, 0.25, 0.25])


@pytest.mark.parametrize(("warmup", "total"), [(11, 10), (-1, 10)])
def test_impossible_warmup_is_refused(warmup, total):
    with pytest.raises(ValueError, match="warmup_steps=.* between 0 and total_steps=10"):
        schedules.warmup_cosine(1.0, warmup, total)


@pytest.mark.parametrize(("x64", "atol"), [(True, 1e-15), (False, 1e-7)])
def test_cosine_ema_is_the_reference_schedule(golden, x64, atol):
    tau = golden("byol_tau_schedule")["tau"]
    with jax.enable_x64(x64):
        ours = jax.jit(schedules.cosine_ema(0.99, 200))(jnp.arange(201))
        np.testing.assert_allclose(ours, tau, rtol=0, atol=atol)
        assert schedules.cosine_ema(0.99, 200)(500) == 1.0


def test_cosine_ema_without_steps_is_refused():
    with pytest.raises(ValueError, match="total_steps=0"):
        schedules.cosine_ema(0.99, 0)


def test_warmup_may_start_above_zero():
    schedule = schedules.warmup_cosine(3.0, 10, 100, start_value=1.0)
    np.testing.assert_allclose(schedule(np.array([0, 5, 10, 100])), [1.0, 2.0, 3.0, 0.0], atol=1e-6)


def test_drops_multiply():
    schedule = schedules.warmup_drops(2.0, 4, (10, 20), 0.2)
    steps = np.array([0, 2, 4, 9, 10, 19, 20, 99])
    np.testing.assert_allclose(schedule(steps), [0, 1, 2, 2, 0.4, 0.4, 0.08, 0.08], rtol=1e-6)


def test_once_an_epoch():
    schedule = schedules.every(5, schedules.warmup_cosine(3.0, 0, 20))
    values = schedule(np.arange(20)).reshape(4, 5)
    np.testing.assert_array_equal(values, values[:, :1].repeat(5, axis=1))
    np.testing.assert_allclose(
        values[:, 0], schedules.warmup_cosine(3.0, 0, 20)(np.arange(0, 20, 5))
    )
