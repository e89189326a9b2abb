"""Makes the arrays that the views of a run need of a data set's own, such as word numbers."""

from collections.abc import Sequence

import numpy as np

from jax_bt.augment import Tokens, View
from jax_bt.data.captions import Vocabulary
from jax_bt.data.sources.base import Source
from jax_bt.errors import DataError

VOCABULARY = "vocabulary.txt"


def prepared(source: Source, recipes: Sequence[View], split: str) -> Source:
    """The data set with every array that the views are made of.

    Args:
      source: the data set.
      recipes: one per view.
      split: the training split, whose captions are the vocabulary.

    Returns:
      The same data set, with a column of word numbers where a view is of captions. Its ``facts``
      hold the number of "words", and ``kept`` the vocabulary as a text file.

    Raises:
      DataError: no such column, or one that holds no text, or an example without a caption.
    """
    for recipe in recipes:
        if isinstance(recipe, Tokens):
            source = _with_tokens(source, recipe, split)
    return source


def _with_tokens(source: Source, recipe: Tokens, split: str) -> Source:
    captions = source.column(split, recipe.column)
    if captions.dtype.kind not in "UO" or captions.ndim != 2:
        raise DataError(
            f"{recipe.column} of {source.name} must be texts, (N,) or (N, captions): got "
            f"{captions.dtype} of shape {captions.shape}"
        )
    if len(without := np.flatnonzero((captions == "").all(axis=1))):
        raise DataError(
            f"{len(without)} examples of {source.name} {split} have no {recipe.column}, such as "
            f"number {without[0]}: leave them out"
        )
    vocabulary = Vocabulary.of(captions.ravel().tolist(), recipe.least_count)
    return source.with_column(
        recipe.array,
        recipe.column,
        lambda texts: vocabulary.encode(texts, recipe.length),
        facts={"words": len(vocabulary)},
        kept={VOCABULARY: vocabulary.to_text()},
    )
