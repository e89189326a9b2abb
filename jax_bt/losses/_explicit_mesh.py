"""Lets losses run under meshes with explicit axes, the default of ``jax.make_mesh``."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, PartitionSpec, auto_axes, use_abstract_mesh


def on_any_mesh(loss: Callable) -> Callable:
    """Lets a loss take global arrays that are sharded over explicit axes, under ``jit``.

    With explicit axes every product must state the sharding of its result, and Z^T Z over a sharded
    batch is an error. A loss states only that its result is the same everywhere. The compiler
    decides the rest, as it does for automatic axes.

    Args:
      loss: function of arrays and options whose results are replicated.

    Returns:
      The same function for any mesh; inside ``shard_map`` and ``pmap`` nothing changes.
    """

    @functools.wraps(loss)
    def anywhere(*arguments, **options):
        leaves, tree = jax.tree.flatten((arguments, options))
        arrays = [leaf for leaf in leaves if isinstance(leaf, jax.Array)]
        meshes = {jax.typeof(array).sharding.mesh for array in arrays}
        meshes = [mesh for mesh in meshes if _explicit_axes(mesh)]
        if len(meshes) != 1:
            return loss(*arguments, **options)

        def of_arrays(*values):
            given = iter(values)
            filled = [next(given) if isinstance(leaf, jax.Array) else leaf for leaf in leaves]
            positional, named = jax.tree.unflatten(tree, filled)
            return loss(*positional, **named)

        [mesh] = meshes
        axes = _explicit_axes(mesh)
        with use_abstract_mesh(mesh):
            return auto_axes(of_arrays, axes=axes, out_sharding=PartitionSpec())(*arrays)

    return anywhere


def _explicit_axes(mesh: Any) -> tuple[str, ...]:
    kinds = zip(mesh.axis_names, mesh.axis_types, strict=True)
    return tuple(name for name, kind in kinds if kind == AxisType.Explicit)
