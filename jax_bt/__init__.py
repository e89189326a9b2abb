"""Self-supervised image pretraining by redundancy reduction in JAX.

The losses are here at once; what needs more than jax is imported when it is first used.
"""

from typing import TYPE_CHECKING, Any

from jax_bt import losses as losses

if TYPE_CHECKING:
    from jax_bt.devices.audit import audit as audit
    from jax_bt.train.encoder import load as load
    from jax_bt.train.pretrain import pretrain as pretrain

_LAZY = {
    "pretrain": "jax_bt.train.pretrain",
    "load": "jax_bt.train.encoder",
    "audit": "jax_bt.devices.audit",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _LAZY:
        raise AttributeError(f"module 'jax_bt' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
