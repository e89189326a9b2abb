"""The networks of a run as pure apply functions, and the record of what a step yields."""

import zlib
from typing import Any, NamedTuple

import jax
from jax import Array

PyTree = Any
Variables = dict[str, PyTree]  # {"params": {network: ...}, "batch_stats": {network: ...}}


class Outputs(NamedTuple):
    """What a step yields beside the loss; metrics and diagnostics read it.

    Attributes:
      terms: scalars to log, global values.
      batch_stats: running statistics after the step, the same on every device.
      representations: encoder outputs of the views, (local batch, features) each.
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
    """Encoder and heads in the order of the forward pass: encoder, projector, predictor, ...

    Attributes:
      modules: Flax modules by name. A name ending in ``_b`` is the second branch's own network;
        without one both branches share weights.
    """

    modules: dict[str, Any]

    def chain(
        self, branch: int = 0, after: str | None = None, until: str | None = None
    ) -> list[tuple[str, Any]]:
        """Names and modules that a view of this branch goes through, in order.

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

    def init(self, key: Array, images: Array) -> Variables:
        """Initialises every network; ``images`` (1, H, W, 3) gives the shapes."""
        variables: Variables = {"params": {}, "batch_stats": {}}
        for branch in (0, 1):
            x = images
            for name, module in self.chain(branch):
                if name in variables["params"]:  # a network of both branches
                    x = module.apply(_of(variables, name), x, train=False)
                    continue
                # The name, not the position, picks the key: adding a head changes no other.
                own_key = jax.random.fold_in(key, zlib.crc32(name.encode()))
                x, made = module.init_with_output(own_key, x, train=False)
                variables["params"][name] = made["params"]
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
    ) -> tuple[dict[str, Array], Variables]:
        """Runs one view through the branch's networks in training mode.

        Args:
          variables: parameters and running statistics of these networks.
          x: images (local batch, H, W, 3), or what the network ``after`` made of them.
          branch: 0 or 1; they differ only where the run has separate weights.
          after: see ``chain``.
          until: see ``chain``.

        Returns:
          Outputs by network name without ``_b``, and the variables with new running statistics.
        """
        outputs, stats = {}, dict(variables["batch_stats"])
        for name, module in self.chain(branch, after, until):
            x, new = module.apply(_of(variables, name), x, train=True, mutable=["batch_stats"])
            stats[name] = new.get("batch_stats", {})
            outputs[name.removesuffix("_b")] = x
        return outputs, {"params": variables["params"], "batch_stats": stats}

    def represent(self, variables: Variables, images: Array) -> Array:
        """The first branch's representation (N, features), with running statistics."""
        return self.modules["encoder"].apply(_of(variables, "encoder"), images, train=False)

    def embed(self, variables: Variables, images: Array) -> Array:
        """The first branch's projector output (N, D), with running statistics."""
        x = self.represent(variables, images)
        return self.modules["projector"].apply(_of(variables, "projector"), x, train=False)


def _of(variables: Variables, name: str) -> Variables:
    stats = variables["batch_stats"].get(name, {})
    return {"params": variables["params"][name], **({"batch_stats": stats} if stats else {})}
