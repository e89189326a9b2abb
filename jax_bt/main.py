"""Self-supervised pretraining by redundancy reduction.

python -m jax_bt.main --config=configs/barlow_digits.py              trains, evaluates, reports
python -m jax_bt.main views --config=... --output=views.png          draws what the encoder is fed
python -m jax_bt.main plan --config=... --topology=v5e:4x8           memory, time and cost on TPUs

--config.FIELD=VALUE overrides a value of the config; jax_bt/config.py explains every field.
"""

import pathlib
import signal
import sys
import warnings

from absl import app, flags
from ml_collections import ConfigDict, config_flags

from jax_bt import errors, mistakes, processes

config_flags.DEFINE_config_file(
    "config", help_string="The run: FILE or FILE:smoke, e.g. configs/barlow_digits.py."
)
flags.DEFINE_string("workdir", None, "Folder of the run; runs/<config name> by default.")
flags.DEFINE_bool("allow_config_change", False, "Go on though the folder has another config.")
flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0; SLURM and TPU pods tell it.")
flags.DEFINE_integer("num_processes", None, "Processes of the run; 1: this one by itself.")
flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.")
flags.DEFINE_float("lost_after", 60.0, "Seconds of silence after which a process counts as lost.")
flags.DEFINE_string("output", None, "The file that `views` or `plan` writes.")
flags.DEFINE_string("topology", None, "plan: the TPU slice, e.g. v5e:4x8.")
flags.DEFINE_integer("train_size", None, "plan: training examples, where the data set is absent.")
flags.DEFINE_string("effort", "low", "plan: low compiles fast, normal as training does.")
flags.DEFINE_string("backend", "auto", "plan: tpu (needs libtpu), cpu (simulated) or auto.")
FLAGS = flags.FLAGS


# Commands import what they need when called: --help need not wait for TensorFlow.


def train(config: ConfigDict) -> None:
    """Trains, evaluates and reports."""
    processes.start(
        FLAGS.coordinator, FLAGS.num_processes, FLAGS.process_id, lost_after=FLAGS.lost_after
    )
    from jax_bt.train import train

    train(config, workdir(), allow_config_change=FLAGS.allow_config_change)


def views(config: ConfigDict) -> None:
    """Writes a picture of augmented views and prints the rate of the pipeline alone."""
    from jax_bt import views

    views.write(config, FLAGS.output or "views.png")


def plan(config: ConfigDict) -> None:
    """Compiles the run for a TPU slice that need not be there and says what it takes."""
    if FLAGS.topology is None:
        raise errors.UsageError("no slice to plan for: pass --topology, e.g. --topology=v5e:4x8")
    from jax_bt import plan

    if FLAGS.output:
        plan.check_output(FLAGS.output)
    # The compiler works for minutes without returning to Python, which would answer Ctrl-C only
    # then; there is nothing to save.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        made = plan.plan(
            config,
            FLAGS.topology,
            train_size=FLAGS.train_size,
            effort=FLAGS.effort,
            backend=FLAGS.backend,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    if FLAGS.output:
        plan.write(made, FLAGS.output)
    print(plan.text(made))


COMMANDS = {"train": train, "views": views, "plan": plan}


def workdir() -> pathlib.Path:
    """--workdir, or runs/<config name>, where a smoke run has its own."""
    if FLAGS.workdir:
        return pathlib.Path(FLAGS.workdir)
    path, _, arg = config_flags.get_config_filename(FLAGS["config"]).partition(":")
    return pathlib.Path("runs") / "_".join(filter(None, [pathlib.Path(path).stem, arg]))


def parse(argv: list[str]) -> list[str]:
    """Parses the flags and returns the other words.

    Raises:
      UsageError: a wrong flag, in one line.
    """
    app.define_help_flags()
    # ml_collections wants the config before its overrides; people need not care.
    argv[1:] = sorted(argv[1:], key=lambda word: not word.lstrip("-").startswith("config="))
    try:
        words = FLAGS(argv)[1:]
        if FLAGS.config is not None:
            FLAGS.config.lock()  # a file that failed to load only says so when it is touched
        return words
    except Exception as error:  # absl and ml_collections raise many kinds
        raise errors.UsageError(mistakes.explain(argv, error)) from error


def run(argv: list[str]) -> int:
    """Runs one command and returns the exit code."""
    try:
        words = parse(argv) or ["train"]
        if len(words) > 1 or words[0] not in COMMANDS:
            raise errors.UsageError(
                f"unknown command {' '.join(words)!r}: use one of {', '.join(COMMANDS)}"
            )
        if FLAGS.config is None:
            raise errors.UsageError("no config: pass --config=FILE, e.g. configs/barlow_digits.py")
        COMMANDS[words[0]](FLAGS.config)
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
    code = run(argv)
    processes.finish(code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv))
