"""The command line: ``python -m jax_bt.main [command] --config=configs/barlow_digits.py``."""

import pathlib
import sys

from absl import flags
from ml_collections import ConfigDict, config_flags

from jax_bt import errors, mistakes

COMMANDS = {
    "train": "trains, evaluates and reports (the default)",
    "views": "writes a picture of augmented views to --output",
}
config_flags.DEFINE_config_file(
    "config", help_string="The run: FILE or FILE:smoke, e.g. configs/barlow_digits.py."
)
flags.DEFINE_string("workdir", None, "Folder of the run; runs/<config name> by default.")
flags.DEFINE_bool("allow_config_change", False, "Go on though the folder has another config.")
flags.DEFINE_string("output", None, "The file that `views` writes.")
FLAGS = flags.FLAGS


def train(config: ConfigDict) -> None:
    """Trains, evaluates and reports."""
    from jax_bt import train as training

    training.train(config, workdir(), allow_config_change=FLAGS.allow_config_change)


def workdir() -> pathlib.Path:
    """--workdir, or runs/<config name>, where a smoke run has its own."""
    if FLAGS.workdir:
        return pathlib.Path(FLAGS.workdir)
    path, _, arg = config_flags.get_config_filename(FLAGS["config"]).partition(":")
    return pathlib.Path("runs") / "_".join(filter(None, [pathlib.Path(path).stem, arg]))


def parse(argv: list[str]) -> list[str]:
    """Parses the flags; raises ValueError with one clear line for those that are wrong."""
    try:
        return FLAGS(argv)
    except Exception as error:  # absl and ml_collections raise many kinds
        raise errors.UsageError(mistakes.explain(argv, error)) from error


def views(config: ConfigDict) -> None:
    """Writes a picture of augmented views and prints the rate of the pipeline alone."""
    from jax_bt import contact_sheet

    contact_sheet.main(config, FLAGS.output or "views.png")


def run(argv: list[str]) -> int:
    """Runs one command and returns the exit code."""
    try:
        _, *words = parse(argv)
        command = words[0] if words else "train"
        if command not in COMMANDS or len(words) > 1:
            raise errors.UsageError(
                f"unknown command {' '.join(words)!r}: use one of {', '.join(COMMANDS)}"
            )
        if FLAGS.config is None:
            raise errors.UsageError("no config: pass --config=FILE, e.g. configs/barlow_digits.py")
        globals()[command](FLAGS.config)
    except errors.Expected as error:
        print(f"jax_bt: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv))
