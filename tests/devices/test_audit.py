"""The audit finds planted faults, names each, and passes losses that are right."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jax_bt import losses, stats
from jax_bt.devices.audit import audit, named, text
from jax_bt.errors import UsageError

OWN_MEAN = "each device's own, their mean is right"
OWN_SUM = "each device's own, their sum is right"


def squares(z_a, z_b):
    return jnp.mean(jnp.square(z_a - z_b))


def correlation_loss(z_a, z_b, *, standardize, reduce):
    """Barlow Twins' sum of squared errors of the correlation matrix."""
    a, b = standardize(z_a), standardize(z_b)
    c = reduce(a.T @ b / len(a))
    return jnp.sum(jnp.square(c - jnp.eye(len(c))))


def together(z, axis_name="data"):
    return stats.standardize(z, axis_name=axis_name)


def mean(x):
    return lax.pmean(x, "data")


def mean_without_gradient(x):
    """torch's all_reduce: the sum's gradient reaches the device's own share alone."""
    return lax.stop_gradient(mean(x) - x / lax.axis_size("data")) + x / lax.axis_size("data")


def gathered(z, held):
    """All rows, and where the gradient stops at the others' (torch's all_gather), one's own."""
    rows = lax.all_gather(lax.stop_gradient(z) if held else z, "data", tiled=True)
    if held:
        rows = lax.dynamic_update_slice(rows, z, (lax.axis_index("data") * len(z), 0))
    return rows


def likeness(z_a, z_b, *, held):
    a, b = gathered(z_a, held), gathered(z_b, held)
    return -jnp.mean(jnp.diag(jax.nn.log_softmax(a @ b.T / 4)))


right = functools.partial(correlation_loss, standardize=together, reduce=mean)
# Name: the loss, then what shard_map and pmap say of value and gradient on four devices.
PLANTED = {
    "right": (right, ("right", "right"), ("right", "right")),
    "mean of each device": (squares, (OWN_MEAN, "right"), (OWN_MEAN, "right")),
    "share of a sum": (
        lambda a, b: squares(a, b) / lax.axis_size("data"),
        (OWN_SUM, "1/W"),
        (OWN_SUM, "1/W"),
    ),
    "sum for a mean": (
        lambda a, b: lax.psum(squares(a, b), "data"),
        ("W times", "W times"),
        ("W times", "W times"),
    ),
    "gradient stopped in the reduction": (
        functools.partial(
            correlation_loss,
            standardize=lambda z: z / 10,
            reduce=mean_without_gradient,
        ),
        ("right, but not marked as replicated: end in a pmean", "1/W"),
        ("right", "1/W"),
    ),
    "statistics of each device": (
        functools.partial(
            correlation_loss, standardize=functools.partial(together, axis_name=None), reduce=mean
        ),
        (" times", "another direction"),
        (" times", "another direction"),
    ),
    "correlations of each device": (
        functools.partial(correlation_loss, standardize=together, reduce=lambda c: c),
        ("each device's own, their mean is off by", "another direction"),
        ("each device's own, their mean is off by", "another direction"),
    ),
    "all_gather that holds the others": (
        functools.partial(likeness, held=True),
        ("right, but not marked", "1/W"),
        ("right", "1/W"),
    ),
    "all_gather without a mean": (
        functools.partial(likeness, held=False),
        ("right, but not marked as replicated: end in a pmean", "right"),
        ("right", "right"),
    ),
}


def of(records, check, devices=1):
    (found,) = [r for r in records if (r["check"], r["devices"]) == (check, devices)]
    return found


@pytest.mark.parametrize("name", PLANTED)
def test_planted_faults_are_named(name):
    loss, *expected = PLANTED[name]
    records = audit(loss, n=16, d=5, devices=(1, 4))
    for way, (value, gradient) in zip(("shard_map", "pmap"), expected, strict=True):
        found = of(records, way, 4)
        assert value in found["value"] and gradient in found["gradient"], found
        fine = gradient == "right" and (value == OWN_MEAN or value.startswith("right"))
        assert found["right"] is fine
        one = of(records, way, 1)
        assert (one["value"], one["gradient"], one["right"]) == ("right", "right", True)


def test_a_small_factor_is_a_factor():
    """Over n - 1 of each device's n: 8 / 7 beside 16 / 15."""
    records = audit(
        lambda a, b: mean(jnp.sum(jnp.square(a - b)) / (a.size - a.shape[1])), devices=(2,)
    )
    for way in ("shard_map", "pmap"):
        assert [of(records, way, 2)[key] for key in ("value", "gradient")] == ["1.07 times"] * 2


def test_a_loss_of_the_project_passes_with_its_axis_passed_on():
    records = audit(losses.vicreg, axis_name="rows", n=8, d=4, devices=(1, 2, 8))
    assert [r["devices"] for r in records[:6]] == [1, 2, 8] * 2
    assert all(r["right"] is not False for r in records), text(records)
    assert of(records, "slope")["gradient"] == "the value's slope"
    rows = text(records)
    assert len(rows) == 1 + len(records) and {len(row) for row in rows} == {5}
    assert rows[1] == ["shard_map", "1", "right", "right", "ok"]


def checked(loss):
    return audit(loss, n=8, d=4, devices=(1,))


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: squares(a, lax.stop_gradient(b)),
        lambda a, b: squares(lax.stop_gradient(a), b),
        lambda a, b: squares(a - lax.stop_gradient(a.mean(0)), b),
        functools.partial(losses.visreg, key=jax.random.key(0)),  # by design: of the deviations
    ],
)
def test_a_stopped_gradient_is_not_the_slope(loss):
    """Deliberate in some losses: it informs and does not fail."""
    found = of(audit(loss, devices=(1,)), "slope")
    assert found["gradient"].startswith("not the value's slope") and found["right"] is None


def test_the_order_of_the_examples():
    found = of(checked(lambda a, b: squares(a, b) + jnp.sum(jnp.square(a[0]))), "order")
    assert found["right"] is False and "times" in found["value"]


def test_short_floats():
    short = checked(squares)
    assert of(short, "bfloat16")["value"] == "computed in bfloat16"
    assert of(short, "float16")["value"].startswith("computed in float16")
    cast_late = checked(lambda a, b: squares(a, b).astype(jnp.float32))
    assert of(cast_late, "bfloat16")["value"].startswith("off by")
    sums = checked(lambda a, b: jnp.sum(a * a).astype(jnp.float32) + jnp.sum(b))
    assert "not finite at deviation 100" in of(sums, "float16")["value"]
    wide = checked(lambda a, b: squares(stats.wide(a), stats.wide(b)))
    assert all(of(wide, d)["right"] for d in ("bfloat16", "float16"))


def test_collapse_that_ends_in_nan():
    def no_eps(z_a, z_b):
        a, b = ((z - z.mean(0)) / z.std(0) for z in (z_a, z_b))
        return squares(a, b)

    records = checked(no_eps)
    assert [of(records, c)["right"] for c in ("constant rows", "zeros")] == [False, False]
    assert of(records, "zeros")["value"] == "not finite"
    # The norm has no slope at 0: the value is fine and the gradient is not.
    found = of(checked(lambda a, b: jnp.linalg.norm(a - b)), "equal views")
    assert (found["value"], found["gradient"]) == ("finite", "not finite")


@pytest.mark.parametrize("give", [tuple, lambda v: {"loss": v[0]}, lambda v: v[0]])
def test_a_loss_may_return_more_than_the_value(give):
    loss = lambda a, b: give((squares(a, b), a))  # noqa: E731
    assert of(checked(loss), "order")["right"]


def test_what_cannot_be_audited_is_refused():
    with pytest.raises(UsageError, match="devices=64 but there are 8: start with JAX_PLATFORMS=cp"):
        audit(squares, n=64, devices=(64,))
    with pytest.raises(UsageError, match="n=10 does not divide over 4 devices"):
        audit(squares, n=10, devices=(4,))
    with pytest.raises(UsageError, match=r"the loss has shape \(8,\): it must be a scalar"):
        checked(lambda a, b: jnp.mean(a * b, axis=1))


def test_a_loss_by_its_name():
    assert named("jax_bt.losses:frossl") is losses.frossl
    assert named("numpy:mean") is np.mean
    for name, words in {
        "frossl": "which loss. write module:function",
        "no_such.module:loss": "there is no module 'no_such' on Python's path",
        "jax_bt.losses:lossy": "jax_bt.losses has no function 'lossy'",
    }.items():
        with pytest.raises(UsageError, match=words):
            named(name)
