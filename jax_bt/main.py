"""Self-supervised pretraining by redundancy reduction.

python -m jax_bt.main --config=barlow_digits                      trains, evaluates, reports
python -m jax_bt.main views --config=... --output=views.png       draws what the encoder is fed
python -m jax_bt.main plan --config=... --topology=v5e:4x8        memory, time and cost on TPUs
python -m jax_bt.main features --workdir=... --split=test --output=DIR     features of a split
python -m jax_bt.main evaluate --workdir=... --protocols=knn,linear_sgd     what it is worth
python -m jax_bt.main audit MODULE:FUNCTION     is a loss right on 1, 2, 4 and 8 devices?
python -m jax_bt.main compare RUN RUN ... --output=DIR     runs beside each other, on one page
python -m jax_bt.main export --workdir=... --format=torchvision --output=encoder.pth

--config is a file, or the name of a config that comes with the package; NAME:smoke is the same at
toy size. --config.FIELD=VALUE overrides a field and --config.FIELD=None unsets it; docs/config.md
explains every field.
"""

import gc
import os
import pathlib
import signal
import sys
import warnings
from typing import Any, NamedTuple

from absl import flags
from ml_collections import ConfigDict, config_flags

from jax_bt import errors, flag_errors
from jax_bt.devices import cache, processes

TEXT, WHOLE, NUMBER = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_float
FLAGS = {
    "workdir": (TEXT, None, "Folder of the run; runs/<config name> by default."),
    "allow_config_change": (flags.DEFINE_bool, False, "Go on though the config has changed."),
    "profile": (flags.DEFINE_bool, False, "Trace a few steps, for TensorBoard."),
    "cache": (flags.DEFINE_bool, True, "Keep compiled programs; --nocache compiles anew."),
    "coordinator": (TEXT, None, "HOST:PORT of process 0; SLURM and TPU pods tell it."),
    "num_processes": (WHOLE, None, "Number of processes of the run; 1: this one by itself."),
    "process_id": (WHOLE, None, "Number of this process, from 0."),
    "lost_after": (NUMBER, 60.0, "Seconds of silence after which a process counts as lost."),
    "output": (TEXT, None, "The file or folder that a command writes."),
    "weights": (TEXT, None, "A file of weights, in place of --workdir."),
    "step": (WHOLE, None, "The checkpoint of this step of --workdir, not the end; 0: newest."),
    "data": (TEXT, None, "evaluate, features: data set, folder or file; the run's by default."),
    "data_dir": (TEXT, None, "evaluate, features: where TFDS data sets are prepared."),
    "split": (TEXT, "train", "features: such as test or train[:10%]."),
    "protocols": (TEXT, "knn", "evaluate: names of docs/evaluation.md, with commas between."),
    "train": (TEXT, "train", "evaluate: the split whose labels are learned from."),
    "test": (TEXT, "test", "evaluate: the split to test on."),
    "subset": (TEXT, None, "evaluate: a list of names that restricts the training split."),
    "epochs": (WHOLE, None, "evaluate: in place of a protocol's own number."),
    "layer": (TEXT, "pooled", "features: pooled, layer1 to layer4, or embedding (with --step)."),
    "format": (TEXT, "torchvision", "export: torchvision, timm, safetensors, npz, onnx, ..."),
    "topology": (TEXT, None, "plan: the TPU slice, e.g. v5e:4x8."),
    "train_size": (WHOLE, None, "plan: number of training examples, without the data set."),
    "effort": (TEXT, "low", "plan: low compiles fast, normal as training does."),
    "backend": (TEXT, "auto", "plan: tpu (needs libtpu), cpu (simulated) or auto."),
}


class Asked(NamedTuple):
    """A command line that was read."""

    command: str
    words: list[str]
    config: ConfigDict | None
    name: str
    flags: flags.FlagValues


# Commands import what they need when called: --help need not wait for TensorFlow.


def train(asked: Asked) -> None:
    """Trains, evaluates and reports."""
    given = asked.flags
    _start(given)
    _check_name(asked.config)
    from jax_bt.train.loop import train

    folder = given.workdir or pathlib.Path("runs") / asked.name
    train(
        asked.config,
        folder,
        allow_config_change=given.allow_config_change,
        profile=given.profile,
    )


def views(asked: Asked) -> None:
    """Writes a picture of augmented views and prints the rate of the pipeline alone."""
    _check_name(asked.config)
    from jax_bt.train import build, preview

    preview.write(build.read_data(asked.config), asked.flags.output or "views.png")


def plan(asked: Asked) -> None:
    """Compiles the run for a TPU slice that need not be there and says what it takes."""
    given = asked.flags
    if given.topology is None:
        raise errors.UsageError("no slice to plan for: pass --topology, e.g. --topology=v5e:4x8")
    from jax_bt import plan

    if given.output:
        plan.check_output(given.output)
    # The compiler works for minutes without returning to Python, which would answer Ctrl-C only
    # then; there is nothing to save.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        made = plan.plan(
            asked.config,
            given.topology,
            train_size=given.train_size,
            effort=given.effort,
            backend=given.backend,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    if given.output:
        plan.write(made, given.output)
    print(plan.text(made))


def features(asked: Asked) -> None:
    """Writes the features of a split to disk."""
    given = asked.flags
    if given.output is None:
        raise errors.UsageError("no folder to write to: pass --output=DIR")
    _start(given)
    from jax_bt.train import features

    encoder = _encoder(given)
    source = _source(given, encoder)
    features.write(encoder, source, given.split, given.output, layer=given.layer)


def evaluate(asked: Asked) -> None:
    """Evaluates a trained encoder under named protocols."""
    given = asked.flags
    _start(given)
    from jax_bt.train import protocols

    encoder = _encoder(given)
    task = protocols.Task(
        encoder,
        _source(given, encoder),
        train=given.train,
        test=given.test,
        subset=given.subset,
        epochs=given.epochs,
    )
    beside = given.workdir or pathlib.Path(given.weights).parent
    folder = given.output or pathlib.Path(beside) / "evaluations"
    records = protocols.run(task, [name.strip() for name in given.protocols.split(",")], folder)
    if processes.is_first():
        print(protocols.text(records))
        print(f"results: {folder}")


def export(asked: Asked) -> None:
    """Writes a trained encoder for other programs."""
    given = asked.flags
    if given.output is None:
        raise errors.UsageError("no file to write to: pass --output=FILE")
    from jax_bt.train import export

    export.check_output(given.format, given.output)
    print(f"{given.format}: {export.export(_encoder(given), given.format, given.output)}")


def compare(asked: Asked) -> None:
    """Puts runs beside each other: a table here, and a page with their curves."""
    from jax_bt.report import comparison, table
    from jax_bt.train.compare import compare

    folder = asked.flags.output or "comparison"
    print(table.text(comparison.rows(compare(asked.words, folder))))
    print(f"page: {pathlib.Path(folder) / 'index.html'}")


def audit(asked: Asked) -> None:
    """Says whether value and gradient of a loss are the global batch's on several devices."""
    if len(asked.words) != 1:
        raise errors.UsageError("which loss? e.g. jax_bt.main audit jax_bt.losses:vicreg")
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 8)  # simulated
    from jax_bt.devices import audit
    from jax_bt.report import table

    sys.path.insert(0, os.getcwd())  # a loss beside which the command is typed
    records = audit.audit(audit.named(asked.words[0]))
    print(table.text(audit.text(records)))
    wrong = [record for record in records if record["right"] is False]
    if wrong:
        raise errors.UsageError(f"{asked.words[0]} is wrong in {len(wrong)} of the checks above")


def _start(given: flags.FlagValues) -> None:
    if given.cache:
        cache.keep_programs()
    processes.start(
        given.coordinator, given.num_processes, given.process_id, lost_after=given.lost_after
    )


def _source(given: flags.FlagValues, encoder: Any) -> Any:
    """The data set of --data, or the one that the encoder was trained on."""
    from jax_bt.data import names

    name = given.data or encoder.card.dataset
    if not name:
        raise errors.UsageError("no data: pass --data=NAME, a folder or a .npz file")
    names.check(name, given.data_dir)
    from jax_bt import data

    return data.load(name, data_dir=given.data_dir)


def _encoder(given: flags.FlagValues) -> Any:
    """The encoder of --workdir or --weights."""
    if (given.workdir is None) == (given.weights is None):
        raise errors.UsageError("which encoder? pass --workdir=RUN or --weights=FILE")
    from jax_bt.train.encoder import load

    return load(given.workdir or given.weights, step=given.step)


def _check_name(c: ConfigDict) -> None:
    """Answers a mistyped data set before TensorFlow is imported, which takes seconds."""
    from jax_bt.data import names

    names.check(c.data.name, c.data.data_dir)


NEED_CONFIG = {"train": train, "views": views, "plan": plan}
COMMANDS = {
    **NEED_CONFIG,
    "evaluate": evaluate,
    "features": features,
    "export": export,
    "compare": compare,
    "audit": audit,
}
TAKE_WORDS = ("audit", "compare")


def parse(argv: list[str]) -> Asked | None:
    """Reads a command line; None where it asks for help, which has then been printed.

    Raises:
      UsageError: what cannot be understood, in one line.
    """
    line = flag_errors.CommandLine(argv)
    values = flags.FlagValues()
    config_flags.DEFINE_config_file(
        "config",
        help_string="The run: FILE or NAME, with :smoke for toy size; e.g. barlow_digits.",
        flag_values=values,
        sys_argv=line.argv,
    )
    for name, (define, default, text) in FLAGS.items():
        define(name, default, text, flag_values=values)
    if line.wants_help:
        print(__doc__ + "\nFlags:\n" + values.get_help())
        return None
    try:
        words = values(line.argv)[1:] or ["train"]
        c = values.config
        if c is not None:
            c.lock()  # a file that failed to load only says so when it is touched
    except Exception as error:  # absl and ml_collections raise many kinds
        raise errors.UsageError(flag_errors.explain(line, error)) from error
    if words[0] not in COMMANDS or (len(words) > 1 and words[0] not in TAKE_WORDS):
        raise errors.UsageError(
            f"unknown command {' '.join(words)!r}: use one of {', '.join(COMMANDS)}"
        )
    if words[0] not in NEED_CONFIG:
        return Asked(words[0], words[1:], None, "", values)
    if c is None:
        raise errors.UsageError("no config: pass --config=NAME, e.g. --config=barlow_digits")
    from jax_bt.config import override

    override(c, line.overrides)
    return Asked(words[0], words[1:], c, line.run_name, values)


def run(argv: list[str]) -> int:
    """Runs one command and returns the exit code."""
    try:
        asked = parse(argv)
        if asked is not None:
            COMMANDS[asked.command](asked)
    except errors.Expected as error:
        if processes.several() and not error.everywhere:
            processes.fail(str(error), error.exit_code)
        print(f"jax_bt: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:  # outside the training loop, which answers it by saving
        message = "interrupted; run the same command to go on"
        if processes.several():
            processes.fail(message, errors.Stopped.exit_code)
        print(f"jax_bt: {message}", file=sys.stderr)
        return errors.Stopped.exit_code
    except Exception as error:
        if not processes.several():
            raise
        processes.fail(error)
    return 0


def main(argv: list[str]) -> int:
    """Runs one command as one of the run's processes and returns the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as SIGINT: KeyboardInterrupt
    warnings.formatwarning = lambda message, *_, **__: f"jax_bt: {message}\n"
    # TensorFlow only decodes and augments: its notices say nothing to our users, and its errors
    # arrive as exceptions. JAX sets this to 1 when it is imported.
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1":
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    # Keras, a third of the time of its import, is then not imported with it.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    # Imports and tracing make millions of objects that stay: looking through them for cycles as
    # often as Python does takes half a second of a start.
    gc.set_threshold(100_000, 50, 50)
    code = run(argv)
    processes.finish(code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv))
