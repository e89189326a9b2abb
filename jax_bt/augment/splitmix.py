"""SplitMix64: mixes 64-bit words, written once for NumPy and TensorFlow arrays.

Reference:
  Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
"""

from typing import Any

import numpy as np

# The generator's increment: 2**64 divided by the golden ratio, made odd.
GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mix(word: Any) -> Any:
    """The generator's finaliser, a bijection of 64-bit words that scatters every input bit.

    Args:
      word: uint64 array of NumPy (not a scalar, whose overflow would warn) or TensorFlow.

    Returns:
      uint64 array of the same kind and shape.
    """
    # TensorFlow has no shift operator: word >> n is word // 2**n.
    word = (word ^ word // np.uint64(2**30)) * _FIRST
    word = (word ^ word // np.uint64(2**27)) * _SECOND
    return word ^ word // np.uint64(2**31)
