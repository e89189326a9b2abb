"""Barlow Twins on CIFAR-10 by the lightly package, with the recipe of its own CIFAR-10 benchmark.

    python benchmarks/peer_cifar10.py --data_dir ~/tensorflow_datasets --epochs 20

What experiments/cifar10 trains with jax_bt, by the best-known PyTorch package: a ResNet-18 with the
stem for 32 pixels, lightly's views, head of two layers, loss, SGD and cosine schedule (lightly's
docs/source/getting_started/benchmarks/cifar10_benchmark.py), as many images per step and epochs.
On a GPU it computes in bfloat16 (autocast, channels_last). The features are evaluated by
jax_bt.evaluate with the protocols of our runs. Prints one JSON line: seconds of training, views
per second of the median epoch, top-1 of kNN after each epoch and of the linear probe.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

READ = """
import sys, numpy as np, tensorflow_datasets as tfds
arrays = {}
for split in ("train", "test"):
    data = tfds.load("cifar10", split=split, data_dir=sys.argv[1], download=False, batch_size=-1)
    arrays[f"{split}_x"], arrays[f"{split}_y"] = data["image"].numpy(), data["label"].numpy()
np.savez(sys.argv[2], **arrays)
"""


def cifar10(data_dir):
    """The arrays, read by another process: TensorFlow and forked workers do not go together."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "cifar10.npz")
        subprocess.run([sys.executable, "-c", READ, data_dir, path], check=True)
        return dict(np.load(path))


def pairs(images, batch_size, workers):
    """Batches of two views by lightly's transform; the last, incomplete one is left out."""
    import torch
    from lightly.transforms import SimCLRTransform
    from PIL import Image

    class Pairs(torch.utils.data.Dataset):
        transform = SimCLRTransform(input_size=32, cj_strength=0.5, gaussian_blur=0.0)

        def __len__(self):
            return len(images)

        def __getitem__(self, index):
            return self.transform(Image.fromarray(images[index]))

    return torch.utils.data.DataLoader(
        Pairs(),
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=True,
        pin_memory=True,
    )


def model():
    """The encoder without its classifier, and the head of lightly's CIFAR-10 benchmark."""
    from lightly.models import ResNetGenerator
    from lightly.models.modules.heads import ProjectionHead
    from torch import nn

    resnet = ResNetGenerator("resnet-18")
    encoder = nn.Sequential(*list(resnet.children())[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten())
    head = ProjectionHead([(512, 2048, nn.BatchNorm1d(2048), nn.ReLU()), (2048, 2048, None, None)])
    return encoder, head


def evaluated(encoder, data, device):
    """Features and labels of both splits, as jax_bt.evaluate takes them."""
    return [
        array
        for split in ("train", "test")
        for array in (features(encoder, data[f"{split}_x"], device), data[f"{split}_y"])
    ]


def features(encoder, images, device):
    """(N, 512) float32 of images as they are, normalised as lightly's views."""
    import torch
    from lightly.transforms.utils import IMAGENET_NORMALIZE

    mean, std = (
        torch.tensor(IMAGENET_NORMALIZE[name], device=device)[:, None, None]
        for name in ("mean", "std")
    )
    encoder.eval()
    found = []
    with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        for start in range(0, len(images), 1000):
            x = torch.from_numpy(images[start : start + 1000]).to(device).permute(0, 3, 1, 2)
            found.append(encoder((x / 255 - mean) / std).float().cpu().numpy())
    encoder.train()
    return np.concatenate(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--images", type=int, default=50_000, help="of the training split")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    data = cifar10(args.data_dir)
    data["train_x"], data["train_y"] = (data[f"train_{n}"][: args.images] for n in "xy")

    import torch
    from lightly.loss import BarlowTwinsLoss

    from jax_bt import evaluate

    torch.manual_seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batches = pairs(data["train_x"], args.batch_size, args.workers)
    encoder, head = (m.to(device, memory_format=torch.channels_last) for m in model())
    loss_of = BarlowTwinsLoss()
    parameters = [*encoder.parameters(), *head.parameters()]
    rate = 6e-2 * args.batch_size / 128
    optimizer = torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    seconds, top1 = [], []
    for _ in range(args.epochs):
        start = time.perf_counter()
        for views in batches:
            views = [
                v.to(device, non_blocking=True, memory_format=torch.channels_last) for v in views
            ]
            with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                z = [head(encoder(v)) for v in views]
            loss = loss_of(*(v.float() for v in z))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        last = float(loss)  # waits for the device
        seconds.append(time.perf_counter() - start)
        arrays = evaluated(encoder, data, device)
        top1.append(round(evaluate.knn(*arrays)["top1"], 2))
        print(f"epoch {len(top1)}: loss {last:.1f}, kNN {top1[-1]}", file=sys.stderr, flush=True)
    rate = 2 * len(batches) * args.batch_size / statistics.median(seconds[1:] or seconds)
    figures = {
        "seconds": round(sum(seconds), 1),
        "views_per_second": round(rate),
        "knn": top1,
        "linear": round(evaluate.linear_probe(*arrays)["top1"], 2),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
    }
    print(json.dumps({**vars(args), **figures}))


if __name__ == "__main__":
    main()
