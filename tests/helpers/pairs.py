"""Images beside captions, and beside sounds, that small networks tell apart; configs for them."""

import numpy as np

from jax_bt import config, data

COLORS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200), "grey": (90,) * 3}
SIDES = ("left", "right")
LENGTH = 5
SAMPLES = 64


def arrays(count, seed=0):
    """Halves of a colour on noise, and one or two captions of each."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 60, (count, 8, 8, 3)).astype(np.uint8)
    captions = []
    for i in range(count):
        color, side = list(COLORS)[i % 4], SIDES[i // 4 % 2]
        half = slice(0, 4) if side == "left" else slice(4, 8)
        images[i, :, half] += np.array(COLORS[color], np.uint8) // 2
        captions.append([f"{color} on the {side}", f"{side} {color}" if i % 3 else ""])
    return images, np.array(captions)


def source(train=64, test=16):
    """A data set of them in memory."""
    made = {"train": arrays(train), "test": arrays(test, seed=1)}
    columns = {"captions": {split: captions for split, (_, captions) in made.items()}}
    return data.from_arrays({s: images for s, (images, _) in made.items()}, columns=columns)


def of_pairs(method="vicreg"):
    """A small ResNet beside a small GRU."""
    c = config.base(method)
    c.batch_size, c.steps = 16, 4
    c.data.image_size = 8
    text = {"modality": "tokens", "length": LENGTH}
    c.data.built = ({"base": "digits", "affine": None}, text)
    c.branches = "separate"
    c.encoder.name, c.encoder.stem, c.encoder.features = "resnet_toy", "cifar", 8
    c.encoder_b.name, c.encoder_b.embedding, c.encoder_b.features = "gru_text", 8, 24
    c.heads.projector = (16, 8)
    c.optimizer.name, c.optimizer.learning_rate = "adam", 0.04  # at a batch of 256
    c.optimizer.weight_decay, c.optimizer.warmup_epochs = 0.0, 0.0
    c.log_every, c.diagnostics_every = 1, 2
    c.checkpoint.every_steps = 2
    c.evaluate.protocols = ("retrieval",)
    c.evaluate.baselines = True
    return c


def source_of_sounds(count=64):
    """The images, each beside a tone as high as its colour's place in the list."""
    images, _ = arrays(count)
    time, random = np.arange(3 * SAMPLES), np.random.default_rng(2)
    tones = 8000 * np.sin(time * (0.2 + 0.3 * (np.arange(count) % 4)[:, None]))
    waves = np.round(tones + 500 * random.normal(size=tones.shape)).astype(np.int16)
    return data.from_arrays({"train": images}, columns={"waveform": {"train": waves}})


def of_sounds(method="vicreg"):
    """A small ResNet beside one in one dimension."""
    c = of_pairs(method)
    c.data.built = (c.data.built[0], {"modality": "waveform", "length": SAMPLES})
    c.encoder_b.name, c.encoder_b.embedding, c.encoder_b.features = "resnet_toy", None, 8
    c.evaluate.protocols = ()
    return c
