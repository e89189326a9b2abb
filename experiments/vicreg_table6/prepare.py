"""Makes the small data set of sounds of this table: ESC-10's log-mel spectrograms, by fold.

python experiments/vicreg_table6/prepare.py --from=DATA --data_dir=DIR

DATA holds esc10_logmel.npz: logmel_db (N, bands, frames) in decibels, labels, folds and
class_names. DIR gets esc10.npz, with one split per fold and images of one channel: decibels from
-80 to 0 as 0 to 1, in 16 bits.
"""

import argparse
import pathlib
import sys

import numpy as np

from jax_bt.data.spectrogram import FLOOR
from jax_bt.errors import DataError

GIVEN, MADE = "esc10_logmel.npz", "esc10.npz"
NEEDED = ("logmel_db", "labels", "folds", "class_names")


def prepared(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of esc10.npz.

    Raises:
      DataError: an array that is missing, not finite, or of another shape.
    """
    for name in NEEDED:
        if name not in given:
            raise DataError(f"{GIVEN} has no {name!r}: it needs {', '.join(NEEDED)}")
    decibels, labels, folds = (given[name] for name in NEEDED[:3])
    if decibels.ndim != 3 or not np.isfinite(decibels).all():
        raise DataError(
            f"logmel_db of {GIVEN} must be finite and (N, bands, frames), got {decibels.shape}"
        )
    for name, column in (("labels", labels), ("folds", folds)):
        if column.shape != decibels.shape[:1] or column.dtype.kind not in "iu":
            raise DataError(
                f"{name} of {GIVEN} must be {len(decibels)} integers, one per spectrogram, got "
                f"{column.dtype} of shape {column.shape}"
            )
    unit = np.clip((decibels.astype(np.float32) - FLOOR) / -FLOOR, 0, 1)
    images = np.round(unit * 65535).astype(np.uint16)[..., None]
    made = {"class_names": given["class_names"]}
    for fold in np.unique(folds):
        made[f"fold{fold}_images"] = images[folds == fold]
        made[f"fold{fold}_labels"] = labels[folds == fold]
    return made


def main() -> None:
    """Writes esc10.npz; a file that will not do ends in one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="found", type=pathlib.Path, required=True)
    parser.add_argument("--data_dir", type=pathlib.Path, required=True)
    args = parser.parse_args()
    try:
        try:
            with np.load(args.found / GIVEN, allow_pickle=False) as file:
                given = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{args.found / GIVEN} cannot be read: {error}") from error
        made = prepared(given)
    except DataError as error:
        print(f"prepare.py: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    args.data_dir.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(args.data_dir / MADE, **made)
    print(args.data_dir / MADE)


if __name__ == "__main__":
    main()
