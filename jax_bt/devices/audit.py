"""Audits a loss of two views: are value and gradient those of the global batch on any number of
devices, and does it bear what a run brings: short floats, another order, collapsed embeddings?

A loss of sharded embeddings is easily wrong without an error: statistics of one device, a sum for a
mean, a reduction that stops the gradient. Trained on one device it looks right.
"""

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P

from jax_bt.devices._audit_words import OWN, RIGHT, of_gradient, of_values
from jax_bt.errors import UsageError

Record = dict[str, Any]
Value = Callable[[Array, Array], Array]  # (2, D, D) weights and (2, n, D) inputs to a scalar
HEADINGS = ["check", "devices", "value", "gradient", ""]


def audit(
    loss: Callable[..., Any],
    *,
    axis_name: str = "data",
    n: int = 16,
    d: int = 24,
    devices: Sequence[int] = (1, 2, 4, 8),
) -> list[Record]:
    """Runs a loss on 1, 2, ... devices and says what its value and gradient are there.

    The embeddings are z = x w of random x, and the gradient is that of the weights w, as data
    parallel training has it. The reference is the whole batch on one device. "shard_map" takes the
    gradient of the mean of the devices' values, outside of the map. "pmap" takes the mean of the
    devices' gradients, each of the device's own value.

    Args:
      loss: ``loss(z_a, z_b)`` of two local shards (n / devices, d); it may take ``axis_name``, None
        for the whole batch. Returns a scalar, or a tuple, mapping or object with the loss first or
        by the name ``loss``.
      axis_name: of the mapped axis: passed on if the loss takes it, else the name that it uses.
      n: examples of the global batch.
      d: width of the embeddings.
      devices: numbers of devices W, each of which divides n.

    Returns:
      A record per check: "check", "devices", "value" and "gradient" in words ("right", "1/W", "W
      times", "each device's own, ..."), and "right": whether it passes, or None where it only
      informs. The checks are "shard_map" and "pmap" for each W; "slope", whether the gradient is
      the value's slope (not so with ``stop_gradient``); "order" of the examples; "bfloat16" and
      "float16" against float32 of the same numbers; and what stays finite: "equal views",
      "constant rows", "zeros", "duplicated columns".

    Raises:
      UsageError: too few devices, a batch that does not divide, or a loss that is not a scalar.
    """
    found = jax.device_count()
    for count in devices:
        if count > found:
            raise UsageError(
                f"devices={count} but there are {found}: start with JAX_PLATFORMS=cpu and "
                f"JAX_NUM_CPU_DEVICES={count} to simulate them"
            )
        if n % count:
            raise UsageError(f"n={n} does not divide over {count} devices")
    case = _Case(loss, axis_name, n, d)
    records = [case.mapped(way, count) for way in ("shard_map", "pmap") for count in devices]
    records += [case.slope(), case.order()]
    records += [case.short(dtype) for dtype in (jnp.bfloat16, jnp.float16)]
    return records + case.collapsed()


def named(name: str) -> Callable[..., Any]:
    """Imports a loss by its name, "module:function".

    Raises:
      UsageError: no such module or function.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise UsageError(f"which loss? write module:function, such as my_losses:loss, not {name!r}")
    try:
        function = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise UsageError(f"{name}: there is no module {error.name!r} on Python's path") from error
    if not callable(function):
        raise UsageError(f"{name}: {module} has no function {attribute!r}")
    return function


def text(records: Sequence[Record]) -> list[list[str]]:
    """Rows for ``report.table``: the headings, then a row per record."""
    marks = {True: "ok", False: "WRONG", None: ""}
    return [HEADINGS] + [
        [r["check"], str(r["devices"]), r["value"], r["gradient"], marks[r["right"]]]
        for r in records
    ]


class _Case:
    """A loss with its inputs and its reference: the whole batch on one device."""

    def __init__(self, loss: Callable[..., Any], axis_name: str, n: int, d: int):
        self.loss, self.axis = loss, axis_name
        random = np.random.default_rng(0)
        # Half signal, half noise, away from zero: views of one batch that no loss finds special.
        self.x = random.normal(size=(1, n, d)) + 0.7 * random.normal(size=(2, n, d)) + 0.3
        self.w = np.eye(d) + 0.3 * random.normal(size=(2, d, d)) / np.sqrt(d)
        parameter = inspect.signature(loss).parameters.get("axis_name")
        self.takes_axis = parameter is not None
        self.plain = parameter is not None and parameter.default is None
        self.value, self.gradient = self.whole(self.w, self.x)
        # Far above float32's rounding, far below what another batch or another factor makes.
        self.tolerance = 1e-3

    def scalar(self, z_a: Array, z_b: Array, *, mapped: bool) -> Array:
        """The loss of embeddings."""
        options = {"axis_name": self.axis if mapped else None} if self.takes_axis else {}
        out = self.loss(z_a, z_b, **options)
        if hasattr(out, "loss"):
            out = out.loss
        elif isinstance(out, Mapping):
            out = out["loss"]
        elif isinstance(out, tuple | list):
            out = out[0]
        if jnp.shape(out) != ():
            raise UsageError(f"the loss has shape {jnp.shape(out)}: it must be a scalar")
        return jnp.asarray(out)

    def of_weights(self, w: Array, x: Array, *, mapped: bool) -> Array:
        """The loss of the embeddings x w."""
        return self.scalar(x[0] @ w[0], x[1] @ w[1], mapped=mapped)

    @functools.cached_property
    def whole(self) -> Callable[[Any, Any], tuple[np.ndarray, np.ndarray]]:
        """(w, x) -> value and gradient of the weights, of the whole batch on one device."""
        function = jax.value_and_grad(functools.partial(self.of_weights, mapped=not self.plain))
        return _numpy(jax.jit(function) if self.plain else self.alone(function))

    def alone(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function under a mapped axis of one device, for a loss that cannot do without."""
        mapped = jax.pmap(function, self.axis, devices=jax.devices()[:1])
        return lambda *arrays: jax.tree.map(lambda y: y[0], mapped(*(x[None] for x in arrays)))

    def mapped(self, way: str, devices: int) -> Record:
        """Value and gradient on so many devices, beside the reference."""
        run = self.by_shard_map if way == "shard_map" else self.by_pmap
        values, gradient, varies = run(devices)
        value = of_values(values, self.value, devices, self.tolerance)
        slope = of_gradient(gradient, self.gradient, devices, self.tolerance)
        if value == RIGHT and varies:
            value = "right, but not marked as replicated: end in a pmean"
        # Data parallel training takes the mean of the gradients: then own values may be fine too.
        right = slope == RIGHT and (value.startswith(RIGHT) or value == OWN.format("mean"))
        return _record(way, devices, value, slope, right)

    def by_shard_map(self, devices: int) -> tuple[np.ndarray, np.ndarray, bool]:
        """Every device's value, the gradient of their mean, and whether they may differ."""
        mesh = Mesh(np.array(jax.devices()[:devices]), (self.axis,), axis_types=(AxisType.Auto,))

        def over_devices(function: Callable[..., Array], out: P) -> Callable[..., Array]:
            specs = (P(), P(None, self.axis))
            return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=out)

        own = functools.partial(self.of_weights, mapped=True)
        mapped = over_devices(lambda w, x: own(w, x)[None], P(self.axis))

        def mean(w: Array, x: Array) -> tuple[Array, Array]:
            values = mapped(w, x)
            return jnp.mean(values), values

        (_, values), gradient = jax.jit(jax.value_and_grad(mean, has_aux=True))(self.w, self.x)
        try:
            jax.eval_shape(over_devices(own, P()), self.w, self.x)
            varies = False
        except ValueError as error:
            if "out_specs" not in str(error):
                raise
            varies = devices > 1
        return np.asarray(values), np.asarray(gradient), varies

    def by_pmap(self, devices: int) -> tuple[np.ndarray, np.ndarray, bool]:
        """Every device's value, and the mean of their gradients."""
        function = jax.value_and_grad(functools.partial(self.of_weights, mapped=True))
        mapped = jax.pmap(function, self.axis, in_axes=(None, 1), devices=jax.devices()[:devices])
        views, n, d = self.x.shape
        values, gradients = mapped(self.w, self.x.reshape(views, devices, n // devices, d))
        return np.asarray(values), np.mean(np.asarray(gradients), axis=0), False

    def slope(self) -> Record:
        """Whether the gradient is the slope of the value: no part of it is stopped."""
        random, step = np.random.default_rng(1), 0.02
        slopes, along = [], []
        for view in (0, 0, 0, 1, 1, 1):  # a few of each view: one may be held
            direction = np.zeros_like(self.w)
            direction[view] = random.normal(size=self.w[view].shape) / np.sqrt(len(self.w[view]))
            ahead, behind = (self.whole(self.w + s * step * direction, self.x)[0] for s in (1, -1))
            slopes.append((float(ahead) - float(behind)) / (2 * step))
            along.append(float(np.sum(self.gradient * direction)))
        rounding = 1e-6 * abs(float(self.value)) / step
        # The step's curvature and float32's rounding make about a hundredth, a held view a half.
        off = np.linalg.norm(np.subtract(slopes, along)) - rounding
        same = off <= 0.1 * np.linalg.norm(slopes)
        words = "the value's slope" if same else "not the value's slope: a part is stopped"
        return _record("slope", 1, "", words, None)

    def order(self) -> Record:
        """The same examples in another order."""
        order = np.random.default_rng(2).permutation(self.x.shape[1])
        value, gradient = self.whole(self.w, self.x[:, order])
        words = of_values(value[None], self.value, 1, self.tolerance)
        slope = of_gradient(gradient, self.gradient, 1, self.tolerance)
        return _record("order", 1, words, slope, words == slope == RIGHT)

    @functools.cached_property
    def of_embeddings(self) -> Callable[[Any], tuple[np.ndarray, np.ndarray]]:
        """z -> value and gradient of the embeddings themselves."""

        def value(z: Array) -> Array:
            return self.scalar(z[0], z[1], mapped=not self.plain)

        function = jax.value_and_grad(value)
        return _numpy(jax.jit(function) if self.plain else self.alone(function))

    def short(self, dtype: Any) -> Record:
        """Short floats beside float32 of the same numbers, small and large."""
        name, words, right = jnp.dtype(dtype).name, [], True
        for scale in (1, 100):  # squares of 100 add up beyond the largest float16
            z = jnp.asarray(scale * self.x, dtype)
            value, gradient = self.of_embeddings(z)
            expected, slope = self.of_embeddings(z.astype(jnp.float32))
            if not np.isfinite(expected) or not np.isfinite(slope).all():
                continue  # nothing to compare with
            fits = np.abs(slope).max() < float(jnp.finfo(dtype).max)  # the gradient has that dtype
            if not np.isfinite(value) or fits and not np.isfinite(gradient).all():
                words.append(f"not finite at deviation {scale}")
            elif value.dtype.itemsize < 4:
                words.append(f"computed in {value.dtype.name}")
            # float32 inside differs by nothing; short floats by a thousandth and more.
            elif abs(value - expected) > 1e-4 * abs(expected):
                off = float(abs(value - expected) / abs(expected))
                words.append(f"off by {off:.0e} at deviation {scale}")
        right = not words
        return _record(name, 1, "; ".join(dict.fromkeys(words)) or "as float32", "", right)

    def collapsed(self) -> list[Record]:
        """Embeddings as collapse makes them: value and gradient stay finite."""
        constant = np.broadcast_to(self.x[:, :1], self.x.shape)
        inputs = {
            "equal views": np.stack([self.x[0]] * 2),
            "constant rows": constant,
            "zeros": np.zeros_like(self.x),
            "duplicated columns": np.concatenate([self.x[..., :1], self.x[..., :-1]], axis=2),
        }
        records = []
        for name, z in inputs.items():
            value, gradient = self.of_embeddings(jnp.asarray(z, jnp.float32))
            finite = bool(np.isfinite(value)), bool(np.isfinite(gradient).all())
            first, second = ("finite" if f else "not finite" for f in finite)
            records.append(_record(name, 1, first, second, all(finite)))
        return records


def _numpy(function: Callable[..., Any]) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    def run(*arrays: Any) -> tuple[np.ndarray, np.ndarray]:
        value, gradient = function(*(jnp.asarray(x) for x in arrays))
        return np.asarray(value), np.asarray(gradient)

    return run


def _record(check: str, devices: int, value: str, gradient: str, right: bool | None) -> Record:
    found = {"check": check, "devices": devices, "value": value, "gradient": gradient}
    return {**found, "right": right}
