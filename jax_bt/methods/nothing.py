"""What most methods keep beside the parameters: nothing."""

from typing import Any

from jax_bt.methods.networks import Networks, Outputs, Variables


def init_target(networks: Networks, variables: Variables) -> tuple[()]:
    """Keeps nothing."""
    return ()


def update_target(target: tuple[()], params: Any, outputs: Outputs) -> tuple[()]:
    """Moves nothing."""
    return target
