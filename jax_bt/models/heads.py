"""Defines the heads trained beside the encoder: projectors, predictors and prototypes."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax import Array

from jax_bt import stats
from jax_bt.errors import UsageError
from jax_bt.models._batch_norm import BatchNorm
from jax_bt.models._gelu import gelu
from jax_bt.models._init import linear_uniform
from jax_bt.models._iter_norm import IterNorm

OUTPUT_NORMS = ("none", "affine", "scale", "plain", "iterative")
ACTIVATIONS = {"relu": nn.relu, "gelu": gelu}


class Linear(nn.Module):
    """y = x @ kernel + bias, initialised as torch.nn.Linear: U(+-1/sqrt(fan_in)) for both.

    Attributes:
      features: width of the result.
      use_bias: learn a bias.
      dtype: of the computation; None takes the wider of input and parameters.
      param_dtype: of the parameters.
    """

    features: int
    use_bias: bool = True
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """(..., D) -> (..., features); training makes no difference."""
        draw = linear_uniform(x.shape[-1])
        kernel = self.param("kernel", draw, (x.shape[-1], self.features), self.param_dtype)
        bias = (
            self.param("bias", draw, (self.features,), self.param_dtype) if self.use_bias else None
        )
        x, kernel, bias = promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = x @ kernel
        return y if bias is None else y + bias


class Linears(nn.Module):
    """Several linear maps of the same input, without bias: the scores of several prototypes.

    Attributes:
      widths: of the results, one for each map.
      dtype: of the computation; None takes the wider of input and parameters.
      param_dtype: of the parameters.
    """

    widths: tuple[int, ...]
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, ...]:
        """(..., D) -> (..., width) for each; training makes no difference."""
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        return tuple(
            Linear(width, use_bias=False, name=f"linear_{i}", **types)(x)
            for i, width in enumerate(self.widths)
        )


class Identity(nn.Module):
    """No head: the embedding is the representation.

    Attributes:
      width_out: width of the input and the result.
    """

    width_out: int

    def __call__(self, x: Array, train: bool = False) -> Array:
        """(N, D) -> the same."""
        return x


class MLP(nn.Module):
    """A projector or predictor: (Linear - BatchNorm - activation) repeated, then Linear.

    Attributes:
      widths: of every layer, the last being the result's; (8192, 8192, 8192) for Barlow Twins.
      hidden_bias: bias on all Linear but the last (its batch norm makes it redundant).
      output_bias: bias on the last Linear.
      output_norm: after the last Linear: "none", or batch norm, "affine", with "scale" only (as
        SimCLR has it), or "plain", without scale and shift, or "iterative": ``IterNorm``.
      output_groups: groups of dimensions which "iterative" whitens, each by itself.
      norm: batch norm after all Linear but the last; "layer" for layer norm there.
      activation: "relu" or "gelu" (exact, as torch's).
      unit_input: scale the rows of the input to unit length first, as VSE++ does.
      reads: name of the encoder's maps that are the input, each position a row; None for what the
        network before the head makes.
      axis_name: mapped axis whose shards share batch statistics, or None.
      norm_group: consecutive shards that share batch statistics; None for all.
      dtype: of the computation; None takes the wider of input and parameters.
      param_dtype: of parameters and running statistics.
    """

    widths: tuple[int, ...]
    hidden_bias: bool = False
    output_bias: bool = False
    output_norm: str = "none"
    output_groups: int = 64
    norm: bool | str = True
    activation: str = "relu"
    unit_input: bool = False
    reads: str | None = None
    axis_name: str | None = None
    norm_group: int | None = None
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @property
    def width_out(self) -> int:
        """Width of the result."""
        return self.widths[-1]

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """(N, ..., D) -> (N, ..., widths[-1]); ``train`` as in BatchNorm."""
        if self.output_norm not in OUTPUT_NORMS:
            raise ValueError(
                f"output_norm={self.output_norm!r} is not one of {', '.join(OUTPUT_NORMS)}"
            )
        if self.activation not in ACTIVATIONS:
            raise UsageError(f"activation={self.activation!r}: use {' or '.join(ACTIVATIONS)}")
        if not self.widths:
            raise ValueError("widths is empty: an MLP has at least one layer")
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        over = {"axis_name": self.axis_name, "group_size": self.norm_group}
        x = stats.l2_normalize(x) if self.unit_input else x
        *hidden, out = self.widths
        for i, width in enumerate(hidden):
            x = Linear(width, use_bias=self.hidden_bias, name=f"linear_{i}", **types)(x)
            if self.norm == "layer":
                spread = {"epsilon": 1e-5, "use_fast_variance": False}  # as torch's
                x = nn.LayerNorm(name=f"ln_{i}", **spread, **types)(x)
            elif self.norm:
                x = BatchNorm(name=f"bn_{i}", **over, **types)(x, train)
            x = ACTIVATIONS[self.activation](x)
        last = len(hidden)
        x = Linear(out, use_bias=self.output_bias, name=f"linear_{last}", **types)(x)
        if self.output_norm == "iterative":
            x = IterNorm(self.output_groups, name=f"bn_{last}", **over, **types)(x, train)
        elif self.output_norm != "none":
            learned = {
                "use_scale": self.output_norm != "plain",
                "use_bias": self.output_norm == "affine",
            }
            x = BatchNorm(name=f"bn_{last}", **learned, **over, **types)(x, train)
        return x
