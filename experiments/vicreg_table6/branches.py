"""Compares the branches of finished runs: the spectrogram's, that of its frames, and both together.

python experiments/vicreg_table6/branches.py --data_dir=DIR RUN [RUN ...]

The paper does not say which branch it probes. A line is a run: accuracy of linear_folds, of the
encoders as they were at step 0 and as they are at the end.
"""

import argparse
import functools

import jax
import numpy as np
from etils import epath

from jax_bt import data, evaluate
from jax_bt.report import table
from jax_bt.train import checkpoint, encoder


def features(run, source, variables) -> list[np.ndarray]:
    """(N, F) of the first branch on whole squeezed images, of the second on whole sequences."""
    apply = [jax.jit(functools.partial(run.networks.represent, branch=i)) for i in (0, 1)]
    (image, frames), split = run.data.recipes, run.data.probe
    batches = data.examples(source, split, recipe=image.evaluation())
    first, *_ = evaluate.extract(functools.partial(apply[0], variables), batches)
    sequences = source.column(split, frames.array)
    scale = np.float32(1 / np.iinfo(sequences.dtype).max)
    parts = np.array_split(sequences, 4)
    return [first, np.concatenate([apply[1](variables, part * scale) for part in parts])]


def scores(folder: epath.Path, data_dir: str) -> list[float]:
    """Of the untrained and the trained encoders: first branch, second, both."""
    run = encoder.run_of(folder)
    source = data.load(run.data.name, data_dir)
    source, split = data.prepared(source, run.data.recipes, run.data.train), run.data.probe
    end = checkpoint.read(folder / "checkpoints", jax.eval_shape(run.init_state)).variables
    found = []
    for variables in (run.init_state().variables, end):
        first, second = features(run, source, variables)
        for x in (first, second, np.concatenate([first, second], axis=1)):
            top1 = evaluate.linear_folds(x, source.labels(split), source.folds(split))["top1"]
            found.append(top1)
    return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("runs", nargs="+", type=epath.Path)
    args = parser.parse_args()
    stages, parts = ("untrained", "trained"), ("spectrogram", "frames", "both")
    lines = [["run", *(f"{stage}, {part}" for stage in stages for part in parts)]]
    for folder in args.runs:
        found = scores(folder, args.data_dir)
        lines.append([folder.name, *(f"{top1:.1f}" for top1 in found)])
    print(table.markdown(lines))


if __name__ == "__main__":
    main()
