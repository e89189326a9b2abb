"""The input pipeline beside a torch DataLoader with torchvision's transforms, on the same images.

    pip install -e '.[benchmarks]'
    python benchmarks/bench_input.py                     # both workloads, about five minutes
    python benchmarks/bench_input.py --only arrays --seconds 4 --rounds 5

Two workloads: JPEG photographs of 500x375 to two 224 views by the recipe `barlow`, and arrays of
32x32 to two 32 views by `cifar_barlow`. For each, the whole pipeline, and with device augmentation
only the host's part of it (both against torchvision's whole: that is what it replaces). The two
sides run in turns, so that what else the machine does falls on both; the ratio is the median over
the rounds. An image is both of its views.

Prints JSON lines: images per second, and CPU milliseconds per image over all threads and worker
processes, of pipelines that end after a stage; then the ratios, by rate and by CPU time. On a
machine that others use as well, the ratio by CPU time is the steadier.
"""

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import pathlib
import statistics
import tempfile
import time

with contextlib.suppress(ImportError):  # of torch's CUDA builds; it dies if TensorFlow came first
    import triton._C.libtriton  # noqa: F401

import numpy as np
import tensorflow as tf
import torch
from PIL import Image, ImageFilter, ImageOps

from jax_bt import augment, data
from jax_bt.data.decode import pixels
from jax_bt.data.options import pipeline_options, worker_count

BATCH = 64
PHOTOGRAPHS = 256
ARRAYS = 4096


def photograph(seed: int) -> np.ndarray:
    """(375, 500, 3) uint8 with the 1/f spectrum of photographs: 117 kB at quality 90."""
    random = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(375)[:, None], np.fft.rfftfreq(500)[None]
    fall = 1 / np.maximum(np.hypot(fy, fx), 1 / 500)
    noise = random.normal(size=(3, *fall.shape)) + 1j * random.normal(size=(3, *fall.shape))
    grey, *color = np.fft.irfft2(noise * fall, s=(375, 500))
    planes = np.stack([grey + 0.3 * color[0], grey, grey + 0.3 * color[1]], -1)
    planes = (planes - planes.mean()) / planes.std()
    return np.clip(128 + 55 * planes, 0, 255).astype(np.uint8)


def torchvision_transforms():
    """torchvision's transforms, also from a wheel whose compiled operators do not load.

    PyPI's wheel is built for CUDA; beside a torch for CPUs the package refuses to be imported
    because its detection operators do not exist. No transform uses them, so declaring them helps.
    """
    try:
        from torchvision import transforms
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        pooling = ("roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d")
        for name in ("nms", "qnms", *pooling, *(f"_{p}_backward" for p in pooling)):
            library.define(f"{name}(Tensor x) -> Tensor")
        from torchvision import transforms
    return transforms


class Blur:
    """The blur of facebookresearch/barlowtwins."""

    def __call__(self, image):
        return image.filter(ImageFilter.GaussianBlur(np.random.uniform(0.1, 2.0)))


def torch_views(size: int, blur: bool, stage: str):
    """The two transforms of facebookresearch/barlowtwins main.py, up to a stage."""
    t = torchvision_transforms()
    if stage == "decode":
        return (torch.tensor,)

    def view(blur_p, solarize_p):
        crop = t.RandomResizedCrop(size, interpolation=t.InterpolationMode.BICUBIC)
        if stage == "crop":
            return t.Compose([crop, t.PILToTensor()])
        colors = [
            t.RandomHorizontalFlip(0.5),
            t.RandomApply([t.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
            t.RandomGrayscale(0.2),
            *([t.RandomApply([Blur()], p=blur_p)] if blur else []),
            t.RandomApply([ImageOps.solarize], p=solarize_p),
        ]
        normalize = t.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        return t.Compose([crop, *colors, t.ToTensor(), normalize])

    return view(1.0, 0.0), view(0.1, 0.2)


class TorchImages(torch.utils.data.Dataset):
    """Image files or arrays, and the views of each."""

    def __init__(self, items, views):
        self.items, self.views = items, views

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        item = self.items[index]
        image = Image.open(item).convert("RGB") if isinstance(item, str) else Image.fromarray(item)
        if self.views == (torch.tensor,):
            return image.size
        return tuple(view(image) for view in self.views)


def torch_batches(items, views, workers: int):
    """Endless shuffled batches."""
    loader = torch.utils.data.DataLoader(
        TorchImages(items, views),
        BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return itertools.chain.from_iterable(itertools.repeat(loader))


def our_batches(source, recipes, stage: str):
    """Endless batches, up to a stage."""
    if stage == "decode":
        records = source.records("train")
        paths = tf.data.Dataset.from_tensor_slices(records.fetch(np.arange(records.size))[0])
        images = paths.repeat().map(lambda p: tf.shape(pixels(p, "path")), worker_count())
        images = images.batch(BATCH).prefetch(2).with_options(pipeline_options(worker_count()))
        return images.as_numpy_iterator()
    return data.batches(
        source,
        "train",
        global_batch=BATCH,
        seed=0,
        recipes=recipes,
        host_only=stage == "crop",
    )


def cpu_seconds() -> float:
    """CPU time so far of this process and its DataLoader workers (Linux)."""
    spent = time.process_time()
    for worker in multiprocessing.active_children():
        fields = pathlib.Path(f"/proc/{worker.pid}/stat").read_text().rsplit(")", 1)[1].split()
        spent += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def measure(batches, seconds: float) -> tuple[float, float]:
    """Images per second and CPU milliseconds per image, once what is prepared ahead is used up."""
    for _ in range(4):
        next(batches)
    start, cpu, count = time.perf_counter(), cpu_seconds(), 0
    while (spent := time.perf_counter() - start) < seconds:
        next(batches)
        count += BATCH
    return count / spent, 1000 * (cpu_seconds() - cpu) / count


def say(**record) -> None:
    print(json.dumps(record), flush=True)


def compare(workload: str, source, items, recipes, blur: bool, options) -> None:
    """Prints rate and CPU time of both sides up to each stage, then the two ratios of interest."""
    stages = ("decode", "crop", "all") if workload == "jpeg" else ("crop", "all")
    measured = {side: {stage: [] for stage in stages} for side in ("jax_bt", "torchvision")}
    for _ in range(options.rounds):
        for stage in stages:
            ours = our_batches(source, recipes, stage)
            measured["jax_bt"][stage].append(measure(ours, options.seconds))
            views = torch_views(recipes[0].size, blur, stage)
            theirs = torch_batches(items, views, options.workers)
            measured["torchvision"][stage].append(measure(theirs, options.seconds))
            del ours, theirs  # and with them their threads and processes
    for side, by_stage in measured.items():
        for stage, found in by_stage.items():
            rate, cpu = (round(statistics.median(column), 3) for column in zip(*found, strict=True))
            say(workload=workload, up_to=stage, side=side, images_per_second=rate, cpu_ms=cpu)
    for part, stage in (("all on the host", "all"), ("host part of device augmentation", "crop")):
        pairs = zip(measured["jax_bt"][stage], measured["torchvision"]["all"], strict=True)
        ratios = [(ours[0] / theirs[0], theirs[1] / ours[1]) for ours, theirs in pairs]
        rates, cpus = zip(*ratios, strict=True)
        say(
            workload=workload,
            part=part,
            times_as_fast=round(statistics.median(rates), 2),
            by_cpu_time=round(statistics.median(cpus), 2),
            rounds=[round(r, 2) for r in rates],
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="of the DataLoader")
    parser.add_argument("--only", choices=("jpeg", "arrays"))
    options = parser.parse_args()
    torch.set_num_threads(1)

    if options.only != "arrays":
        with tempfile.TemporaryDirectory() as folder:
            for i in range(PHOTOGRAPHS):
                path = pathlib.Path(folder) / f"{i:04d}.jpg"
                Image.fromarray(photograph(i)).save(path, quality=90)
            files = sorted(str(p) for p in pathlib.Path(folder).iterdir())
            recipes = augment.recipes("barlow", size=224)
            compare("jpeg", data.load(folder), files, recipes, True, options)
    if options.only != "jpeg":
        small = [np.array(Image.fromarray(photograph(i)).resize((32, 32))) for i in range(64)]
        images = np.tile(np.stack(small), (ARRAYS // 64, 1, 1, 1))
        source = data.from_arrays({"train": images})
        compare("arrays", source, images, augment.recipes("cifar_barlow", 32), False, options)


if __name__ == "__main__":
    main()
