"""Losses under meshes with explicit axes, the default of ``jax.make_mesh``."""

import functools
from collections.abc import Callable

import jax
from jax.sharding import AxisType, PartitionSpec, auto_axes, use_abstract_mesh


def on_any_mesh(loss: Callable) -> Callable:
    """Lets a loss take global arrays that are sharded over explicit axes, under ``jit``.

    With explicit axes every product states the sharding of its result, and Z^T Z over a sharded
    batch is an error. A loss has nothing to state but that its result is the same everywhere, so
    the compiler decides the rest, as it does for automatic axes.

    Args:
      loss: function of arrays and options whose results are replicated.

    Returns:
      The same function for any mesh; inside ``shard_map`` and ``pmap`` nothing changes.
    """

    @functools.wraps(loss)
    def anywhere(*arguments, **options):
        leaves, tree = jax.tree.flatten((arguments, options))
        arrays = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)}
        meshes = {jax.typeof(leaf).sharding.mesh for leaf in arrays.values()}
        explicit = {
            mesh: tuple(
                name
                for name, kind in zip(mesh.axis_names, mesh.axis_types, strict=True)
                if kind == AxisType.Explicit
            )
            for mesh in meshes
        }
        explicit = {mesh: names for mesh, names in explicit.items() if names}
        if len(explicit) != 1:
            return loss(*arguments, **options)
        [(mesh, names)] = explicit.items()

        def of_arrays(*values):
            filled = [
                values[list(arrays).index(i)] if i in arrays else x for i, x in enumerate(leaves)
            ]
            arguments, options = jax.tree.unflatten(tree, filled)
            return loss(*arguments, **options)

        with use_abstract_mesh(mesh):
            return auto_axes(of_arrays, axes=names, out_sharding=PartitionSpec())(*arrays.values())

    return anywhere
