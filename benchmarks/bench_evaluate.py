"""What evaluation costs: `features`, kNN at the size of ImageNet, and a sweep of learning rates.

    python benchmarks/bench_evaluate.py                      # six minutes on two cores
    python benchmarks/bench_evaluate.py --only knn --share 0.05

- features: images per second of the command (JPEG files to features.npy) against the rate of its
  ResNet-50 alone, on batches that lie ready; the two in turns, the ratio is the median of the
  rounds. Compilation does not count.
- knn: a share of ImageNet's 1,281,167 x 50,000 features of 2048 in each direction, k = 20 and 200,
  extrapolated; beside it the time of the bare products, without a search.
- linear_sgd: an epoch with eight learning rates against one with a single rate, ResNet-50 and 1000
  classes; epochs in turns, the first of each left out.

Prints JSON lines. Other work on the machine slows all of them: take such figures for rough.
"""

import argparse
import functools
import json
import pathlib
import statistics
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jax_bt import data, evaluate, models
from jax_bt.train import features as features_command
from jax_bt.train.encoder import Encoder
from jax_bt.weights import Card

TRAIN, TEST, WIDTH, CLASSES = 1_281_167, 50_000, 2048, 1000  # ImageNet, ResNet-50


def encoder(name: str, size: int) -> Encoder:
    """An untrained encoder: what it computes takes the same time."""
    module = models.make(name)
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, size, size, 3)))
    return Encoder(module, variables, Card(image_size=size))


def seconds(function) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def photographs(folder: pathlib.Path, number: int) -> None:
    """JPEG files of 500 x 375 pixels: smooth shapes and a little noise."""
    rng = np.random.default_rng(0)
    for i in range(number):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        pixels = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC), np.int16)
        pixels = np.clip(pixels + rng.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:04}.jpg", quality=90)


def bench_features(name: str, size: int, images: int, batch: int, rounds: int) -> dict:
    live = encoder(name, size)
    live.apply = functools.cache(live.apply)  # the command compiles once per call otherwise
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "photographs"
        folder.mkdir()
        photographs(folder, images)
        source = data.load(str(folder))
        recipe, apply = live.card.evaluation, live.apply("pooled")
        ready = [b["image"] for b in data.examples(source, "train", recipe=recipe, batch=batch)]
        jax.block_until_ready(apply(ready[0]))

        def alone():
            for pixels in ready:
                apply(pixels).block_until_ready()

        pairs = []
        for turn in range(rounds):
            output = pathlib.Path(scratch) / str(turn)
            write = functools.partial(features_command.write, live, source, "train", output)
            pairs.append((seconds(alone), seconds(functools.partial(write, batch=batch))))
    return {
        "what": f"features, {name} at {size}",
        "encoder_images_per_second": round(images / statistics.median(a for a, _ in pairs), 2),
        "command_images_per_second": round(images / statistics.median(b for _, b in pairs), 2),
        "of_the_encoder": round(statistics.median(a / b for a, b in pairs), 3),
        "ratios": [round(a / b, 3) for a, b in pairs],
    }


def bench_knn(share: float, width: int = WIDTH) -> dict:
    rng = np.random.default_rng(0)
    n, m = int(TRAIN * share), int(TEST * share)
    bank, queries = (rng.normal(size=(k, width)).astype(np.float32) for k in (n, m))
    labels, wanted = (rng.integers(0, CLASSES, k) for k in (n, m))
    evaluate.knn_several(bank, labels, queries[:1024], wanted[:1024])  # compiles
    whole = seconds(lambda: evaluate.knn_several(bank, labels, queries, wanted))
    product = jax.jit(functools.partial(jnp.matmul, precision="highest"))
    parts = [bank[i : i + 16384].T for i in range(0, n - 16384, 16384)] or [bank.T]
    product(queries, parts[0]).block_until_ready()
    bare = seconds(lambda: [product(queries, part).block_until_ready() for part in parts])
    bare *= n / sum(part.shape[1] for part in parts)
    return {
        "what": f"kNN, k = 20 and 200, {n:,} x {m:,} features of {width}",
        "seconds": round(whole, 1),
        "bare_products": round(bare, 1),
        "whole_over_bare": round(whole / bare, 2),
        "imagenet_minutes_extrapolated": round(whole / share**2 / 60, 1),
    }


def bench_linear_sgd(
    name: str, size: int, batch: int, batches: int, rounds: int, rates: tuple[float, ...]
) -> dict:
    live = encoder(name, size)
    rng = np.random.default_rng(0)
    views = [
        {
            "image": rng.normal(size=(batch, size, size, 3)).astype(np.float32),
            "label": rng.integers(0, CLASSES, batch),
        }
        for _ in range(batches)
    ]
    linear_sgd = evaluate.find("linear_sgd").module
    times = {1: [], len(rates): []}
    for _ in range(rounds):
        for count, found in times.items():
            preset = linear_sgd.Sgd(
                title="", source="", learning_rates=rates[:count], epochs=3, size=size
            )
            ends = []
            linear_sgd.run(
                live.encode,
                live.variables,
                lambda epoch: views,
                views[:1],
                preset,
                classes=CLASSES,
                on_epoch=lambda state, ends=ends: ends.append(time.perf_counter()),
            )
            found += np.diff(ends).tolist()
    one, several = (statistics.median(found) for found in times.values())
    return {
        "what": f"an epoch of linear_sgd, {name} at {size}, batch {batch}",
        "seconds_one_rate": round(one, 2),
        f"seconds_{len(rates)}_rates": round(several, 2),
        "several_over_one": round(several / one, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=["features", "knn", "linear_sgd"])
    parser.add_argument("--encoder", default="resnet50")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.1, help="of ImageNet, for kNN")
    parser.add_argument("--width", type=int, default=WIDTH, help="of kNN's features")
    args = parser.parse_args()
    rates = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
    made = {
        "features": lambda: bench_features(
            args.encoder, args.size, args.images, args.batch, args.rounds
        ),
        "knn": lambda: bench_knn(args.share, args.width),
        "linear_sgd": lambda: bench_linear_sgd(
            args.encoder, args.size, args.batch, 4, args.rounds, rates
        ),
    }
    for name in args.only:
        print(json.dumps(made[name]()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
