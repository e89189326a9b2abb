"""Each method is a file here: its heads, its loss call, what it keeps beside the parameters."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jax_bt.devices.mesh import ROWS
from jax_bt.errors import UsageError
from jax_bt.methods._context import Context as Context
from jax_bt.methods._networks import Networks as Networks
from jax_bt.methods._networks import Outputs as Outputs
from jax_bt.methods._networks import Variables as Variables
from jax_bt.methods._options import check_options, interval_words, options_of

PyTree = Any
DROP_PATH = 0x64726F70  # keeps the encoder's draws apart from the method's own


def names() -> list[str]:
    """The methods: the files of this folder without a leading underscore."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def load(name: str) -> ModuleType:
    """The module of a method.

    Raises:
      UsageError: there is no such method.
    """
    if name not in names():
        raise UsageError(f"no method {name!r}: choose one of {', '.join(names())}")
    return importlib.import_module(f"{__name__}.{name}")


@dataclasses.dataclass(frozen=True)
class Method:
    """A method with its options bound, as a training step uses it.

    Attributes:
      module: from ``load``.
      loss_options: keywords of the module's ``loss``.
      target_options: keywords of the functions that keep something (``target_functions``), each of
        which takes those that it declares.

    Raises:
      UsageError: the method has no such option, or its value is out of range.
    """

    module: ModuleType
    loss_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    target_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_options(self.name, "loss", self.loss_options, self.module.loss)
        check_options(self.name, "target", self.target_options, *target_functions(self.module))

    @property
    def name(self) -> str:
        """The name of the method's file."""
        return self.module.__name__.rpartition(".")[2]

    @property
    def least_scale(self) -> float | None:
        """Least healthy deviation of the embeddings; None for losses that ignore their length."""
        if self.loss_options.get("normalize", "none") != "none":
            return None
        return getattr(self.module, "LEAST_SCALE", None)

    @property
    def places(self) -> bool:
        """Whether the loss asks where each view lies in its image (``context.places``)."""
        return getattr(self.module, "PLACES", False)

    def check_views(self, count: int, modalities: Collection[str] = ()) -> None:
        """Raises UsageError for a number or a modality of views that the method does not take."""
        only = getattr(self.module, "VIEWS", count)
        if count != only:
            raise UsageError(
                f"{self.name} compares {only} views and the recipe has {count}: "
                f"use --config.data.views={only}"
            )
        others = [kind for kind in modalities if kind != "image"]
        if self.places and others:
            raise UsageError(
                f"{self.name} asks where each view lies in its image, and the recipe has a view of "
                f"modality {others[0]!r}, which lies in none"
            )

    def loss(
        self,
        networks: Networks,
        variables: Variables,
        target: PyTree,
        views: tuple[Array, ...],
        context: Context,
    ) -> tuple[Array, Outputs]:
        """Computes the loss of a step, and the record of what else the step yields."""
        networks = networks._replace(key=jax.random.fold_in(context.key, DROP_PATH))
        return self.module.loss(networks, variables, target, views, context, **self.loss_options)

    def init_target(self, networks: Networks, variables: Variables, context: Context) -> PyTree:
        """Makes what the method keeps beside the parameters; () for most methods."""
        function = getattr(self.module, "init_target", None)
        if function is None:
            return ()
        return function(networks, variables, context, **self._declared(function))

    def update_target(
        self, target: PyTree, params: PyTree, outputs: Outputs, context: Context
    ) -> PyTree:
        """Moves what the method keeps, after the optimiser's step."""
        function = getattr(self.module, "update_target", None)
        if function is None:
            return target
        return function(target, params, outputs, context, **self._declared(function))

    def init_bank(self, networks: Networks, examples: int, context: Context) -> PyTree:
        """Makes what the method keeps of every example; () for most methods.

        Rows beyond the examples, zeros, fill the last device's part.
        """
        function = getattr(self.module, "init_bank", None)
        if function is None:
            return ()
        bank = function(networks, examples, context, **self._declared(function))
        return jax.tree.map(
            lambda x: jnp.pad(x, [(0, -len(x) % ROWS)] + [(0, 0)] * (x.ndim - 1)), bank
        )

    def update_bank(self, bank: PyTree, outputs: Outputs, context: Context) -> PyTree:
        """Writes what the step yields into the rows of ``context.index``."""
        function = getattr(self.module, "update_bank", None)
        return bank if function is None else function(bank, outputs, context)

    @property
    def starts_epochs(self) -> bool:
        """Whether the method does something between epochs."""
        return hasattr(self.module, "start_epoch")

    def start_epoch(
        self, target: PyTree, bank: PyTree, params: PyTree, context: Context
    ) -> tuple[PyTree, PyTree]:
        """Makes target and bank for the epoch that begins, such as new cluster assignments."""
        function = self.module.start_epoch
        return function(target, bank, params, context, **self._declared(function))

    def constrain(self, params: PyTree) -> PyTree:
        """Moves parameters back to where they belong (SwAV: prototypes of unit length)."""
        function = getattr(self.module, "constrain", None)
        return params if function is None else function(params)

    def _declared(self, function: Any) -> dict[str, Any]:
        declared = options_of(function)
        return {name: value for name, value in self.target_options.items() if name in declared}


def target_functions(module: ModuleType) -> tuple[Any, ...]:
    """The functions that declare the options of a method's target; None where it has none."""
    names = ("init_target", "update_target", "init_bank", "start_epoch")
    return tuple(getattr(module, name, None) for name in names)


def table() -> str:
    """The options of all methods as a Markdown table: method, field, default, values."""
    lines = ["| method | field | default | values |", "|---|---|---|---|"]
    for name in names():
        module = load(name)
        groups = {
            "heads": (module.heads,),
            "loss": (module.loss,),
            "target": target_functions(module),
        }
        for group, functions in groups.items():
            for field, (default, kind, interval) in options_of(*functions).items():
                values = interval_words(interval) if interval else kind.__name__
                values = f"each {values}" if kind is tuple and interval else values
                lines.append(f"| {name} | `{group}.{field}` | `{default!r}` | {values} |")
    return "\n".join(lines) + "\n"


def make_networks(
    module: ModuleType,
    encoder: Any,
    heads: Mapping[str, Any],
    *,
    encoder_b: Any = None,
    inputs: tuple[int, ...],
    inputs_b: tuple[int, ...] | None = None,
    micro_batches: int = 1,
) -> Networks:
    """Joins an encoder with the heads of a method.

    Args:
      module: from ``load``.
      encoder: a Flax module with ``width_out``, such as ``models.make`` gives.
      heads: keywords of the method's ``heads``.
      encoder_b: the encoder of the second branch, which then has heads of its own; None for
        branches that share weights.
      inputs: shape of one view, such as (H, W, C) or (words,).
      inputs_b: the same of the second branch; None where it takes the same.
      micro_batches: number of sequential parts in which the encoder processes a batch.

    Raises:
      UsageError: an unknown option or one out of range, or separate branches for a method that
        has none.
    """
    name = module.__name__.rpartition(".")[2]
    check_options(name, "heads", heads, module.heads)
    made = _branch(module, name, encoder, heads)
    if encoder_b is not None:
        if getattr(module, "SHARED_ONLY", False):
            raise UsageError(f'{name} has no separate branches: use branches="shared"')
        second = _branch(module, name, encoder_b, heads)
        made |= {f"{role}_b": network for role, network in second.items()}
    return Networks(made, inputs, micro_batches, inputs_b)


def _branch(module: ModuleType, name: str, encoder: Any, heads: Mapping[str, Any]) -> dict:
    made = module.heads(encoder.width_out, **heads)
    for role, head in made.items():
        if getattr(head, "widths", None) == ():
            raise UsageError(f"heads.{role}=(): {name} needs at least one layer there")
    # What a head leaves open (None) it has from the encoder: dtype, mesh axis, groups of norms.
    like = {field: getattr(encoder, field, None) for field in ("dtype", "axis_name", "norm_group")}
    for role, head in made.items():
        unset = {f: x for f, x in like.items() if getattr(head, f, "absent") is None}
        made[role] = head.clone(**unset)
    return {"encoder": encoder, **made}
