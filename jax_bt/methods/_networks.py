"""Bundles the networks of a run as pure functions, and records what a step yields."""

import functools
import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.errors import UsageError

PyTree = Any
Variables = dict[str, PyTree]  # {"params": {network: ...}, "batch_stats": {network: ...}}


class Outputs(NamedTuple):
    """What a step yields beside the loss, for metrics and diagnostics.

    Attributes:
      terms: scalars to log, global values.
      batch_stats: running statistics after the step, the same on every device.
      representations: encoder outputs of the views, (local batch, features) each; behind them what
        else of each example ``update_target`` needs, such as OBoW's new words.
      embeddings: projector outputs of the views, (local batch, D) each.
      kept: what ``update_target`` needs and every device holds alike, such as the target
        network's statistics.
    """

    terms: dict[str, Array]
    batch_stats: PyTree
    representations: tuple[Array, ...]
    embeddings: tuple[Array, ...]
    kept: PyTree = ()


class Networks(NamedTuple):
    """Encoder and heads, in the order of the forward pass: encoder, projector, predictor, ...

    Attributes:
      modules: Flax modules by name. A name ending in ``_b`` is the second branch's own network;
        without one both branches share weights. A module that has ``reads``, the name of maps that
        the encoder shows ("intermediates"), takes these, not what the one before it makes.
      inputs: shape of one view, such as (H, W, C), from which parameters get their shapes.
      inputs_b: the same of the second branch; None where it takes the same.
      micro_batches: number of sequential parts in which the encoder processes a batch
        (``in_parts``).
      key: of what the encoder draws in this step (drop path), the same on every device; None for
        nothing drawn.
    """

    modules: dict[str, Any]
    inputs: tuple[int, ...]
    micro_batches: int = 1
    inputs_b: tuple[int, ...] | None = None
    key: Array | None = None

    def chain(
        self, branch: int = 0, after: str | None = None, until: str | None = None
    ) -> list[tuple[str, Any]]:
        """Lists the names and modules that a view of this branch goes through, in order.

        Args:
          branch: 0 or 1.
          after: start behind this network (named without ``_b``); None for the encoder.
          until: end with this network; None for the last.
        """
        roles = [name for name in self.modules if not name.endswith("_b")]
        first = roles.index(after) + 1 if after else 0
        last = roles.index(until) + 1 if until else len(roles)
        own = (f"{role}_b" if branch else role for role in roles[first:last])
        names = (name if name in self.modules else name.removesuffix("_b") for name in own)
        return [(name, self.modules[name]) for name in names]

    @property
    def read(self) -> tuple[str, ...]:
        """Names of the encoder's maps that other networks take."""
        names = (getattr(module, "reads", None) for module in self.modules.values())
        return tuple(sorted({name for name in names if name}))

    def init(self, key: Array) -> Variables:
        """Draws the variables of every network.

        Raises:
          UsageError: a network takes maps that the encoder does not have.
        """
        variables: Variables = {"params": {}, "batch_stats": {}}
        for branch in (0, 1):
            x = jnp.zeros((1, *(self.inputs_b if branch and self.inputs_b else self.inputs)))
            maps: dict[str | None, Array] = {}
            for name, module in self.chain(branch):
                x = maps.get(getattr(module, "reads", None), x)
                if name in variables["params"]:  # a network of both branches
                    x = module.apply(_of(variables, name), x, train=False)
                    continue
                # The name, not the position, picks the key: adding a head changes no other.
                own_key = jax.random.fold_in(key, zlib.crc32(name.encode()))
                x, made = module.init_with_output(own_key, x, train=False, mutable=True)
                if name.removesuffix("_b") == "encoder":
                    maps = _maps(made, self.read)
                variables["params"][name] = made.get("params", {})
                variables["batch_stats"][name] = made.get("batch_stats", {})
            if not any(name.endswith("_b") for name in self.modules):
                break
        return variables

    def __call__(
        self,
        variables: Variables,
        x: Array,
        *,
        branch: int = 0,
        after: str | None = None,
        until: str | None = None,
        view: int | None = None,
    ) -> tuple[dict[str, Array], Variables]:
        """Runs one view through the branch's networks in training mode.

        Args:
          variables: parameters and running statistics of these networks.
          x: a view (local batch, ...), such as images (n, H, W, 3), or what the network ``after``
            made of it.
          branch: 0 or 1; they differ only where the run has separate weights.
          after: see ``chain``.
          until: see ``chain``.
          view: its number: each view draws its own; None for a pass that draws nothing, such as
            that of a momentum encoder.

        Returns:
          Outputs by network name without ``_b``, beside them the maps that a network ``reads``, by
          their names; and the variables with new running statistics.
        """
        outputs, running = {}, dict(variables["batch_stats"])
        maps: dict[str | None, Array] = {}
        for name, module in self.chain(branch, after, until):
            role, own = name.removesuffix("_b"), _of(variables, name)
            if role == "encoder":  # where the memory goes; heads see the whole batch
                draws = self.key is not None and view is not None
                key = jax.random.fold_in(self.key, view) if draws else None
                x, new, maps = in_parts(module, own, x, self.micro_batches, key, self.read)
                outputs |= maps
            else:
                x = maps.get(getattr(module, "reads", None), x)
                x, new, _ = in_parts(module, own, x, 1)
            outputs[role], running[name] = x, new
        return outputs, {"params": variables["params"], "batch_stats": running}

    def represent(self, variables: Variables, x: Array, branch: int = 0) -> Array:
        """Encodes a view with a branch's running statistics: (N, features)."""
        return self._frozen(variables, x, branch, "encoder")

    def embed(self, variables: Variables, x: Array, branch: int = 0) -> Array:
        """Projects a view with a branch's running statistics: (N, D)."""
        return self._frozen(variables, x, branch, "projector")

    def _frozen(self, variables: Variables, x: Array, branch: int, until: str) -> Array:
        for name, module in self.chain(branch, until=until):
            x = module.apply(_of(variables, name), x, train=False)
        return x


def in_parts(
    module: Any,
    variables: Variables,
    x: Array,
    parts: int,
    key: Array | None = None,
    shown: tuple[str, ...] = (),
) -> tuple[Array, PyTree, dict[str | None, Array]]:
    """Applies a network in training mode to a batch in parts, one after the other.

    The outputs of all parts are gathered before the loss is computed. The backward pass runs each
    part forward once more and adds its share to the gradient. So the gradient is exactly that of
    the whole batch, with the activations of one part in memory at a time. Only batch norm differs:
    its statistics are those of one part (of all devices), and the running ones move once, by the
    mean over the parts.

    Args:
      module: takes (x, train=True); its ``axis_name``, if it has one, is the mapped axis.
      variables: of the module.
      x: (n, ...) local batch.
      parts: number of parts; 1 for the batch as a whole.
      key: of what the network draws ("drop_path"), each part its own; None for nothing drawn.
      shown: names of maps that the network shows.

    Returns:
      The outputs (n, ...) in the batch's order, the new running statistics, and the maps by name,
      (n, ...) too.

    Raises:
      UsageError: ``parts`` does not divide n.
    """

    def apply(params: PyTree, given: tuple[Array, Array | int]) -> tuple[PyTree, PyTree]:
        x, part = given
        rngs = None if key is None else {"drop_path": jax.random.fold_in(key, part)}
        own = {**variables, "params": params}
        mutable = ["batch_stats", *["intermediates"] * bool(shown)]
        y, new = module.apply(own, x, train=True, mutable=mutable, rngs=rngs)
        return (y, _maps(new, shown)), new.get("batch_stats", {})

    params = variables["params"]
    if parts == 1:
        (y, maps), new = apply(params, (x, 0))
        return y, new, maps
    if len(x) % parts:
        raise UsageError(f"{len(x)} examples of a device do not divide into {parts} micro-batches")
    # One sum of the gradient over the devices behind the loop, not one for each part in it.
    params = stats.vary(params, getattr(module, "axis_name", None))
    # Every parts-th example: the parts are then the same examples on any number of devices.
    split = x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1)
    one = jax.checkpoint(functools.partial(apply, params), prevent_cse=False)
    made, new = lax.map(one, (split, jnp.arange(parts)))
    y, maps = jax.tree.map(lambda y: y.swapaxes(0, 1).reshape(len(x), *y.shape[2:]), made)
    return y, jax.tree.map(lambda running: jnp.mean(running, axis=0), new), maps


def _maps(made: PyTree, names: tuple[str, ...]) -> dict[str | None, Array]:
    """Those of these names among the maps that a network showed.

    Raises:
      UsageError: there is none of a name.
    """
    there = made.get("intermediates", {})
    for name in names:
        if name not in there:
            raise UsageError(f"the method takes the encoder's {name!r}, which it does not show")
    return {name: there[name][0] for name in names}


def _of(variables: Variables, name: str) -> Variables:
    """The variables of one network, as Flax wants them: no statistics where it has none."""
    running = variables["batch_stats"].get(name)
    return {"params": variables["params"][name]} | ({"batch_stats": running} if running else {})
