"""The smallest whole run: 96 handwritten digits, a ResNet of two blocks, seconds on one core.

python -m jax_bt.main --config=tests/whole_runs/tiny.py
"""

from jax_bt import config


def get_config(arg: str = ""):
    c = config.digits()
    c.steps = 12  # two epochs
    c.batch_size = 16
    c.data.train, c.data.test = "train[:96]", "test[:32]"
    c.encoder.name = "resnet_toy"
    c.heads.projector = (8, 8, 8)
    # Gentle: what differs by rounding is to stay small over the run.
    c.optimizer.learning_rate, c.optimizer.bias_learning_rate = 0.1, 0.002
    c.optimizer.warmup_epochs = 0.0
    c.log_every = 1
    c.checkpoint.every_steps = 3
    c.evaluate.protocols = ("knn",)
    c.evaluate.baselines = False
    c.evaluate.batch_size = 32
    return c
