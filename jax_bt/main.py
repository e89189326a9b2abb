"""Self-supervised pretraining by redundancy reduction.

python -m jax_bt.main --config=configs/barlow_digits.py              trains, evaluates, reports
python -m jax_bt.main views --config=... --output=views.png          draws what the encoder is fed

--config.FIELD=VALUE overrides a value of the config; jax_bt/config.py explains every field.
"""

import pathlib
import sys

from absl import app, flags
from ml_collections import ConfigDict, config_flags

from jax_bt import errors, mistakes

config_flags.DEFINE_config_file(
    "config", help_string="The run: FILE or FILE:smoke, e.g. configs/barlow_digits.py."
)
flags.DEFINE_string("workdir", None, "Folder of the run; runs/<config name> by default.")
flags.DEFINE_bool("allow_config_change", False, "Go on though the folder has another config.")
flags.DEFINE_string("output", None, "The file that `views` writes.")
FLAGS = flags.FLAGS


# Commands import what they need when called: --help need not wait for TensorFlow.


def train(config: ConfigDict) -> None:
    """Trains, evaluates and reports."""
    from jax_bt.train import train

    train(config, workdir(), allow_config_change=FLAGS.allow_config_change)


def views(config: ConfigDict) -> None:
    """Writes a picture of augmented views and prints the rate of the pipeline alone."""
    from jax_bt import views

    views.write(config, FLAGS.output or "views.png")


COMMANDS = {"train": train, "views": views}


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
    try:
        words = FLAGS(argv)[1:]
        if FLAGS.config is not None:
            FLAGS.config.lock()  # a file that failed to load only says so when it is touched
        return words
    except Exception as error:  # absl and ml_collections raise many kinds
        raise errors.UsageError(mistakes.explain(argv, error)) from error


def main(argv: list[str]) -> int:
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
        print(f"jax_bt: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:  # outside the training loop, which answers it by saving
        print("jax_bt: interrupted; run the same command to go on", file=sys.stderr)
        return errors.Stopped.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
