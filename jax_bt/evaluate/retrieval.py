"""Finds the captions of an image among all, and the images of a caption: recall at 1, 5, 10."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from jax_bt.evaluate._presets import Preset

TITLE = "retrieval"
NEEDS = "pairs"
LABELS = "none"
AT = (1, 5, 10)
ROWS = 1024  # queries compared at a time


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pairs(Preset):
    """Numbers of the protocol.

    Attributes:
      unique: equal captions are one query, which any of their images answers.
    """

    unique: bool = False


PRESETS = {
    "": Pairs(
        title=TITLE,
        source="VSE++'s evaluation.py; VICReg, table 3: MS-COCO, 5,000 images, 25,000 captions",
        published={
            "VSE++": {"text_r1": 30.3, "text_r5": 59.4, "text_r10": 72.4,
                      "image_r1": 41.3, "image_r5": 71.1, "image_r10": 81.2},
            "Barlow Twins": {"text_r1": 31.4, "text_r5": 60.4, "text_r10": 75.1,
                             "image_r1": 42.9, "image_r5": 74.0, "image_r10": 83.5},
            "VICReg": {"text_r1": 33.6, "text_r5": 62.7, "text_r10": 77.9,
                       "image_r1": 45.2, "image_r5": 76.1, "image_r10": 84.2},
        },
    ),
    "unique": Pairs(
        title="retrieval of unique captions", source="captions that many images share", unique=True
    ),
}  # fmt: skip


def run(
    images: ArrayLike, captions: ArrayLike, owner: ArrayLike, texts: ArrayLike, preset: Pairs
) -> dict[str, float]:
    """The protocol on the embeddings of images and captions; see ``retrieval``.

    Args:
      images: (N, D).
      captions: (M, D).
      owner: (M,) the image of each caption.
      texts: (M,) integers that tell captions apart: equal ones are the same text.
      preset: with ``unique`` equal texts are one caption.
    """
    owner = np.asarray(owner)
    if not preset.unique:
        return retrieval(images, captions, image_of=owner, caption_of=np.arange(len(owner)))
    _, first, number = np.unique(np.asarray(texts), return_index=True, return_inverse=True)
    return retrieval(images, np.asarray(captions)[first], image_of=owner, caption_of=number)


def retrieval(
    images: ArrayLike, captions: ArrayLike, *, image_of: ArrayLike, caption_of: ArrayLike
) -> dict[str, float]:
    """Recall in both directions, by cosine similarity, named by the QUERY.

    The rank of a query is that of the best of what belongs to it: for an image of its captions, for
    a caption of its images. Of items exactly as near as it, half count as nearer, so that
    embeddings that are all one point get the recall of chance.

    Args:
      images: (N, D) embeddings, any length.
      captions: (M, D).
      image_of: (P,) the image of each pair that belongs together.
      caption_of: (P,) its caption.

    Returns:
      "image_r1", "image_r5", "image_r10": percent of the images one of whose captions is among the
      first 1, 5, 10 of all captions; "image_median" and "image_mean": rank, from 1; the same of
      "text_...", whose queries are captions; "rsum": the sum of the six recalls. The median is
      VSE++'s, floor(median of the ranks from 0) + 1. Queries to which nothing belongs are left out.

    Raises:
      ValueError: shapes that do not fit, or an embedding that is not finite.

    Reference:
      Faghri et al. 2018, https://arxiv.org/abs/1707.05612; ``i2t`` and ``t2i`` of its code's
      evaluation.py. In the table of VICReg's paper the headings of the directions are swapped.
    """
    a, b = _unit("images", images), _unit("captions", captions)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"images have {a.shape[1]} dimensions and captions {b.shape[1]}")
    first, second = np.asarray(image_of), np.asarray(caption_of)
    found: dict[str, float] = {}
    for name, ranks in (
        ("image", _ranks(a, b, first, second)),
        ("text", _ranks(b, a, second, first)),
    ):
        for k in AT:
            found[f"{name}_r{k}"] = 100.0 * float(np.mean(ranks < k))
        found[f"{name}_median"] = float(np.floor(np.median(ranks)) + 1)
        found[f"{name}_mean"] = float(np.mean(ranks) + 1)
    found["rsum"] = sum(found[f"{name}_r{k}"] for name in ("image", "text") for k in AT)
    return found


def chance(owner: ArrayLike, texts: ArrayLike, preset: Pairs) -> dict[str, float]:
    """The recalls that are expected of embeddings without meaning, named as by ``retrieval``.

    Args:
      owner, texts, preset: as of ``run``.
    """
    owner = np.asarray(owner)
    number = np.asarray(texts) if preset.unique else np.arange(len(owner))
    pairs = np.unique(np.stack([owner, number], axis=1), axis=0)
    found: dict[str, float] = {}
    for name, query, item in (("image", 0, 1), ("text", 1, 0)):
        each = np.unique(pairs[:, query], return_counts=True)[1]
        items = len(np.unique(pairs[:, item]))
        for k in AT:
            # None of the first K is one of a query's answers.
            missed = np.ones(len(each))
            for i in range(min(k, items)):
                missed *= np.maximum(items - each - i, 0) / (items - i)
            found[f"{name}_r{k}"] = 100.0 * float(np.mean(1 - missed))
    return found | {"rsum": sum(found.values())}


def _unit(name: str, x: ArrayLike) -> np.ndarray:
    x = np.asarray(x)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"{name} must be (examples, features), got shape {x.shape}")
    x = x.astype(np.promote_types(x.dtype, np.float32), copy=False)
    if not np.isfinite(x).all():
        raise ValueError(f"{name} are not finite; the encoder diverged")
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _ranks(queries: np.ndarray, items: np.ndarray, of: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The rank, from 0, of the best item that belongs to each query that has any."""
    ranks = []
    for start in range(0, len(queries), ROWS):
        block = queries[start : start + ROWS] @ items.T
        here = (of >= start) & (of < start + ROWS)
        belongs = np.zeros(block.shape, bool)
        belongs[of[here] - start, own[here]] = True
        asked = belongs.any(axis=1)
        block, belongs = block[asked], belongs[asked]
        best = np.where(belongs, block, -np.inf).max(axis=1, keepdims=True)
        nearer = np.count_nonzero(~belongs & (block > best), axis=1)
        as_near = np.count_nonzero(~belongs & (block == best), axis=1)
        ranks.append(nearer + as_near / 2)
    return np.concatenate(ranks)
