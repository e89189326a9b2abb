"""Schedules against the reference code's tables, on the host and in a traced step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_bt.errors import UsageError
from jax_bt.optim import schedules

# columns 4, 5, 6 of the table: Barlow Twins weights and biases, VICReg with base rate 0.2
BASES = {4: 0.2, 5: 0.0048, 6: 0.2}
# name -> how a schedule is evaluated at int32 steps, and its precision. The reference's own 1 + cos
# cancels near the end: float64 leaves it 2e-14 there. Its steps are Python ints and float64.
PLACES = {
    "host": (lambda schedule, steps: np.array([schedule(int(s)) for s in steps]), 1e-13),
    "host array": (lambda schedule, steps: schedule(steps), 1e-13),
    "traced": (lambda schedule, steps: jax.jit(schedule)(steps), 1e-6),
}


@pytest.mark.parametrize("column", BASES)
@pytest.mark.parametrize("place", PLACES)
def test_warmup_cosine_is_the_reference_table(golden, column, place):
    table = golden("lr_schedule_table")["table"]
    configurations = np.unique(table[:, :3], axis=0)
    assert len(configurations) == 3
    evaluate, rtol = PLACES[place]
    for batch, epochs, length in configurations:
        rows = table[(table[:, :3] == (batch, epochs, length)).all(axis=1)]
        peak = BASES[column] * batch / 256
        schedule = schedules.warmup_cosine(
            peak, int(10 * length), int(epochs * length), peak * 1e-3
        )
        rates = evaluate(schedule, rows[:, 3].astype(np.int32))
        np.testing.assert_allclose(rates, rows[:, column], rtol=rtol)


@pytest.mark.parametrize("place", PLACES)
def test_cosine_ema_is_the_reference_schedule(golden, place):
    tau = golden("byol_tau_schedule")["tau"]
    evaluate, rtol = PLACES[place]
    ours = evaluate(schedules.cosine_ema(0.99, 200), np.arange(201, dtype=np.int32))
    np.testing.assert_allclose(ours, tau, rtol=rtol / 10)  # 1 - tau is what cancels, not tau
    assert schedules.cosine_ema(0.99, 200)(500) == 1.0


SCHEDULES = {
    "warmup_cosine": schedules.warmup_cosine(1.6, 6250, 625000, 1.6e-3),
    "warmup_cosine from a sixteenth": schedules.warmup_cosine(4.8, 10, 625000, 0, 0.3),
    "no warm-up": schedules.warmup_cosine(1.6, 0, 625000, 1.6e-3),
    "warmup_drops": schedules.warmup_drops(0.003, 500, (300000, 600000), 0.2),
    "drops alone": schedules.warmup_drops(0.003, 0, (300000,), 0.2),
    "cosine_ema": schedules.cosine_ema(0.996, 625000),
    "every": schedules.every(625, schedules.warmup_cosine(1.6, 0, 625000)),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_host_and_the_step_agree_and_only_the_step_is_jax(name):
    schedule = SCHEDULES[name]
    steps = np.concatenate([np.arange(0, 625001, 1237), np.arange(624990, 625010)]).astype(np.int32)
    traced, host = jax.jit(schedule)(steps), schedule(steps)
    assert traced.dtype == jnp.float32 and isinstance(host, np.ndarray)
    # sin(x)^2 of a float32 x: six roundings of 6e-8, twice for the square
    np.testing.assert_allclose(traced, host, rtol=1e-6)
    for step in (0, 3, np.int64(312345), 625000):
        value = schedule(step)
        assert isinstance(value, float)
        np.testing.assert_allclose(value, schedule(np.array([step]))[0], rtol=1e-15)


def test_warmup_starts_at_exactly_zero_and_the_end_is_held():
    schedule = schedules.warmup_cosine(3.0, 10, 100, 0.25)
    assert schedule(0) == 0.0
    assert schedule(5) == 1.5
    assert schedule(10) == 3.0
    assert schedule(100) == schedule(101) == schedule(1000) == 0.25


def test_no_warmup_starts_at_the_peak():
    schedule = schedules.warmup_cosine(3.0, 0, 100)
    np.testing.assert_allclose(schedule(np.array([0, 50, 100])), [3.0, 1.5, 0.0], rtol=1e-15)


def test_warmup_to_the_very_end():
    schedule = schedules.warmup_cosine(2.0, 4, 4, 0.25)
    np.testing.assert_allclose(schedule(np.arange(6)), [0.0, 0.5, 1.0, 1.5, 0.25, 0.25])


@pytest.mark.parametrize(("warmup", "total"), [(11, 10), (-1, 10)])
def test_impossible_warmup_is_refused(warmup, total):
    with pytest.raises(UsageError, match="warmup_steps=.* between 0 and total_steps=10"):
        schedules.warmup_cosine(1.0, warmup, total)


def test_cosine_ema_without_steps_is_refused():
    with pytest.raises(UsageError, match="total_steps=0"):
        schedules.cosine_ema(0.99, 0)


def test_warmup_may_start_above_zero():
    schedule = schedules.warmup_cosine(3.0, 10, 100, start_value=1.0)
    np.testing.assert_allclose(schedule(np.array([0, 5, 10, 100])), [1.0, 2.0, 3.0, 0.0])


def test_drops_multiply():
    schedule = schedules.warmup_drops(2.0, 4, (10, 20), 0.2)
    steps = np.array([0, 2, 4, 9, 10, 19, 20, 99])
    np.testing.assert_allclose(schedule(steps), [0, 1, 2, 2, 0.4, 0.4, 0.08, 0.08], rtol=1e-14)


def test_once_an_epoch():
    schedule = schedules.every(5, schedules.warmup_cosine(3.0, 0, 20))
    values = schedule(np.arange(20)).reshape(4, 5)
    np.testing.assert_array_equal(values, values[:, :1].repeat(5, axis=1))
    half = [3.0, 1.5 + 0.75 * 2**0.5, 1.5, 1.5 - 0.75 * 2**0.5]  # 1.5 (1 + cos(pi k / 4))
    np.testing.assert_allclose(values[:, 0], half, rtol=1e-14)
