"""Makes the two small data sets of images and captions of this table.

python experiments/vicreg_table3/prepare.py --from=DATA --data_dir=DIR

DATA holds emoji48.npz (1,911 emoji of 48 pixels with names and keywords), and for the second
cifar10_terms.npz (the term that each image of CIFAR-10 was found by) and CIFAR-10 in tfds/. DIR
gets emoji.npz and terms.npz.
"""

import argparse
import pathlib

import numpy as np

from jax_bt import data

TERMS_TRAIN, TERMS_TEST = 10_000, 2_000


def emoji(found: pathlib.Path) -> dict[str, np.ndarray]:
    """Noto's drawings; two captions each: the name, and all keywords."""
    given = np.load(found / "emoji48.npz")
    captions = np.stack([given["names"], given["keywords"]], axis=1)
    captions = np.char.replace(np.char.replace(captions, ";", ""), "_", " ")
    made = {}
    for split, chosen in (("train", ~given["is_test"]), ("test", given["is_test"])):
        made[f"{split}_images"] = given["noto_images"][chosen]
        made[f"{split}_captions"] = captions[chosen]
    return made


def terms(found: pathlib.Path) -> dict[str, np.ndarray]:
    """CIFAR-10 with the term of each image; of the test split only terms that training has."""
    given, source = np.load(found / "cifar10_terms.npz"), data.load("cifar10", found / "tfds")
    made, known = {}, given["train_term_index"][:TERMS_TRAIN]
    for split, count in (("train", TERMS_TRAIN), ("test", TERMS_TEST)):
        index = given[f"{split}_term_index"]
        (chosen,) = np.isin(index, known).nonzero()
        chosen = chosen[:count]
        made[f"{split}_images"] = source.records(split).fetch(chosen)[0]
        made[f"{split}_captions"] = given["terms"][index[chosen]]
    return made


def main() -> None:
    """Writes what can be made of the files that are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="found", type=pathlib.Path, required=True)
    parser.add_argument("--data_dir", type=pathlib.Path, required=True)
    args = parser.parse_args()
    args.data_dir.mkdir(parents=True, exist_ok=True)
    made = {"emoji48.npz": ("emoji.npz", emoji), "cifar10_terms.npz": ("terms.npz", terms)}
    for needed, (name, make) in made.items():
        if (args.found / needed).exists():
            np.savez_compressed(args.data_dir / name, **make(args.found))
            print(args.data_dir / name)


if __name__ == "__main__":
    main()
