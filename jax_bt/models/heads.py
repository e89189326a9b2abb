"""What is trained beside the encoder: projectors, predictors, prototypes and linear probes."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import Initializer

from jax_bt.models._batch_norm import BatchNorm
from jax_bt.models._init import linear_uniform

OUTPUT_NORMS = ("none", "affine", "scale", "plain")


class Linear(nn.Module):
    """y = x @ kernel + bias, initialised as torch.nn.Linear: U(+-1/sqrt(fan_in)) for both.

    Attributes:
      features: width of the result.
      use_bias: learn a bias.
      kernel_init: initialiser of the kernel; None for torch's.
      bias_init: initialiser of the bias; None for torch's.
      dtype: of the computation; None takes the wider of input and parameters.
      param_dtype: of the parameters.
    """

    features: int
    use_bias: bool = True
    kernel_init: Initializer | None = None
    bias_init: Initializer | None = None
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """(..., D) -> (..., features)."""
        fan_in = x.shape[-1]
        kernel_init = self.kernel_init or linear_uniform(fan_in)
        kernel = self.param("kernel", kernel_init, (fan_in, self.features), self.param_dtype)
        bias = None
        if self.use_bias:
            bias_init = self.bias_init or linear_uniform(fan_in)
            bias = self.param("bias", bias_init, (self.features,), self.param_dtype)
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        y = x @ kernel
        return y if bias is None else y + bias


class MLP(nn.Module):
    """A projector or predictor: (Linear - BatchNorm - ReLU) repeated, then Linear.

    Attributes:
      widths: of every layer, the last being the result's; (8192, 8192, 8192) for Barlow Twins.
      hidden_bias: bias on all Linear but the last (its batch norm makes it redundant).
      output_bias: bias on the last Linear.
      output_norm: after the last Linear: "none", or batch norm, "affine", with "scale" only (as
        SimCLR has it), or "plain", without scale and shift.
      norm: batch norm after all Linear but the last.
      axis_name: mapped axis whose shards share batch statistics, or None.
      norm_group: consecutive shards that share batch statistics; None for all.
      dtype: of the computation; None takes the wider of input and parameters.
      param_dtype: of parameters and running statistics.
    """

    widths: tuple[int, ...]
    hidden_bias: bool = False
    output_bias: bool = False
    output_norm: str = "none"
    norm: bool = True
    axis_name: str | None = None
    norm_group: int | None = None
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """(N, D) -> (N, widths[-1]); ``train`` as in BatchNorm."""
        if self.output_norm not in OUTPUT_NORMS:
            raise ValueError(
                f"output_norm={self.output_norm!r} is not one of {', '.join(OUTPUT_NORMS)}"
            )
        if not self.widths:
            raise ValueError("widths is empty: an MLP has at least one layer")
        types = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        over = {"axis_name": self.axis_name, "group_size": self.norm_group}
        *hidden, out = self.widths
        for i, width in enumerate(hidden):
            x = Linear(width, use_bias=self.hidden_bias, name=f"linear_{i}", **types)(x)
            if self.norm:
                x = BatchNorm(name=f"bn_{i}", **over, **types)(x, train)
            x = nn.relu(x)
        last = len(hidden)
        x = Linear(out, use_bias=self.output_bias, name=f"linear_{last}", **types)(x)
        if self.output_norm != "none":
            learned = {
                "use_scale": self.output_norm != "plain",
                "use_bias": self.output_norm == "affine",
            }
            x = BatchNorm(name=f"bn_{last}", **learned, **over, **types)(x, train)
        return x


class Prototypes(nn.Module):
    """Scores of embeddings against K learned prototypes: x @ kernel, kernel (D, K).

    The caller l2-normalises both: the rows of x at each call, the kernel's columns at each step.

    Attributes:
      count: number of prototypes K.
      dtype: of the computation; None takes the wider of input and parameters.
      param_dtype: of the kernel.

    Reference: Caron et al. 2020 (SwAV), https://arxiv.org/abs/2006.09882
    """

    count: int
    dtype: Any = None
    param_dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """(N, D) -> (N, K); training makes no difference."""
        fan_in = x.shape[-1]
        shape = (fan_in, self.count)
        kernel = self.param("kernel", linear_uniform(fan_in), shape, self.param_dtype)
        x, kernel = nn.dtypes.promote_dtype(x, kernel, dtype=self.dtype)
        return x @ kernel
