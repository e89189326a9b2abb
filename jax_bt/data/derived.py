"""Makes the arrays that the views of a run need of a data set's own, such as word numbers."""

from collections.abc import Sequence

import numpy as np

from jax_bt.augment import Frames, Tokens, View
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
      The same data set, with a column of word numbers where a view is of captions, and one of
      sequences where a view is of a spectrogram's frames. Its ``facts`` hold the number of "words",
      and ``kept`` the vocabulary as a text file.

    Raises:
      DataError: no such column, or one that holds no text, or an example without a caption; for
        frames, images that are no arrays of one channel.
    """
    for recipe in recipes:
        if isinstance(recipe, Tokens):
            source = _with_tokens(source, recipe, split)
        elif isinstance(recipe, Frames):
            source = source.with_column(recipe.array, None, _sequences, facts={}, kept={})
            source.column(split, recipe.array)  # what cannot be made is told now
    return source


def _sequences(images: np.ndarray) -> np.ndarray:
    """(N, T, bands) of spectrograms (N, bands, T, 1)."""
    if images.shape[-1] != 1:
        raise DataError(
            "frames are made of spectrograms of one channel, and the images have "
            f"{images.shape[-1]}"
        )
    return np.ascontiguousarray(images[..., 0].transpose(0, 2, 1))


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
