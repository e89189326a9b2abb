"""A text tower: word embeddings and torch's GRU, the state at the last real word."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

from jax_bt import stats
from jax_bt.models._init import linear_uniform, uniform

PADDING = 0


class GRU(nn.Module):
    """torch.nn.GRU over a batch of sequences: h = (1 - z) n + z h, gates in the order r, z, n.

    Flax's GRUCell has one bias per gate where torch has two, and multiplies the words one by one;
    here all words meet the input's matrix at once, and a file of torch's weights fits as it is.

    Attributes:
      features: width of the state.
      layers: number of layers, each on the states of the one before.
      dtype: of the matrix products; the state is at least float32.
      param_dtype: of parameters.
    """

    features: int
    layers: int
    dtype: Any
    param_dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Words (N, L, D) -> the last layer's states (N, L, features)."""
        draw, gates = linear_uniform(self.features), 3 * self.features
        for layer in range(self.layers):
            parameters = [
                self.param(f"{kind}_l{layer}", draw, shape, self.param_dtype)
                for kind, shape in (
                    ("weight_ih", (gates, x.shape[-1])),
                    ("weight_hh", (gates, self.features)),
                    ("bias_ih", (gates,)),
                    ("bias_hh", (gates,)),
                )
            ]
            w_in, w_hidden, b_in, b_hidden = (p.astype(self.dtype) for p in parameters)

            def step(h: Array, given: Array, w: Array = w_hidden, b: Array = b_hidden) -> tuple:
                r_in, z_in, n_in = jnp.split(given, 3, axis=-1)
                hidden = stats.wide(h.astype(w.dtype) @ w.T + b)
                r_hidden, z_hidden, n_hidden = jnp.split(hidden, 3, axis=-1)
                r, z = jax.nn.sigmoid(r_in + r_hidden), jax.nn.sigmoid(z_in + z_hidden)
                h = (1 - z) * jnp.tanh(n_in + r * n_hidden) + z * h
                return h, h

            words = stats.wide(x.astype(self.dtype) @ w_in.T + b_in).swapaxes(0, 1)
            start = jnp.zeros_like(words[0, :, : self.features])
            x = lax.scan(step, start, words)[1].swapaxes(0, 1)
        return x


class TextGRU(nn.Module):
    """From word numbers to one vector per sentence: the GRU's state at the last real word.

    Attributes:
      vocabulary: number of words; 0 is the padding behind a sentence.
      embedding: width of a word's vector.
      features: width of the state.
      layers: of the GRU.
      unit_norm: divide the state by its length, as VSE++ does.
      dtype: of the matrix products; state and result are at least float32.
      param_dtype: of parameters.
      axis_name: of no use here; the heads behind the tower take it over.

    Reference: Faghri et al. 2017 (VSE++), https://arxiv.org/abs/1707.05612
    """

    vocabulary: int = 10_000
    embedding: int = 300
    features: int = 1024
    layers: int = 1
    unit_norm: bool = False
    dtype: Any = jnp.float32
    param_dtype: Any = jnp.float32
    axis_name: str | None = None

    modalities = ("tokens",)  # of the views that it takes

    @property
    def width_out(self) -> int:
        """Width of a sentence's vector."""
        return self.features

    @nn.compact
    def __call__(self, tokens: Array, train: bool = False) -> Array:
        """Encodes sentences; training makes no difference.

        Args:
          tokens: (N, L) word numbers below ``vocabulary``, behind the last word 0; floats of such
            values will do.
          train: as of the other encoders.

        Returns:
          (N, width_out), float32 or wider. The states after every word (N, L, features) are sown
          as "states" in "intermediates"; those behind the last word mean nothing.
        """
        tokens = tokens.astype(jnp.int32)
        words = nn.Embed(self.vocabulary, self.embedding, embedding_init=uniform(0.1), name="embed",
                         dtype=self.dtype, param_dtype=self.param_dtype)(tokens)  # fmt: skip
        states = GRU(self.features, self.layers, self.dtype, self.param_dtype, name="rnn")(words)
        self.sow("intermediates", "states", states)
        last = jnp.maximum(jnp.sum(tokens != PADDING, axis=1) - 1, 0)
        vector = jnp.take_along_axis(states, last[:, None, None], axis=1)[:, 0]
        return stats.l2_normalize(vector) if self.unit_norm else vector
