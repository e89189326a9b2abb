"""Prepares a TFDS data set: python -m jax_bt.data.prepare cifar10 --data_dir=DIR

It does what `tfds build` does, without the packages that command needs beside TFDS, and stores
ArrayRecord, which training reads in any order. Data sets that have to be downloaded by hand
(ImageNet) are taken from DIR/downloads/manual.
"""

import argparse
import sys

from jax_bt.data.sources.tfds_files import prepare
from jax_bt.errors import DataError


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m jax_bt.data.prepare")
    parser.add_argument("name", help="as TFDS knows it: cifar10, stl10, imagenet2012, ...")
    parser.add_argument("--data_dir", help="default: $TFDS_DATA_DIR or ~/tensorflow_datasets")
    parser.add_argument(
        "--file_format", default="array_record", choices=("array_record", "tfrecord")
    )
    options = parser.parse_args(arguments)
    try:
        builder = prepare(options.name, options.data_dir, options.file_format)
    except DataError as error:
        print(error, file=sys.stderr)
        return 1
    sizes = ", ".join(f"{name} {info.num_examples}" for name, info in builder.info.splits.items())
    print(f"{options.name}: {sizes} examples in {builder.data_dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
