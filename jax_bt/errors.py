"""Expected errors: reported in one line with an exit code, without a traceback.

Whoever refuses what a user asked for raises one of these. Every other exception is a bug and keeps
its traceback.
"""


class Expected(Exception):
    """An error whose message says what is wrong, where, and what to do.

    Attributes:
      exit_code: the exit code of the program that the error ends.
      everywhere: True where all processes of a run raise it at the same step, so that no process
        has to tell the others.
    """

    exit_code = 2
    everywhere = False


class UsageError(Expected, ValueError):
    """An argument, a flag or a field of the config has a value that cannot be used."""


class DataError(Expected, ValueError):
    """A data set, split, file or image cannot be used."""


class WorkdirError(Expected):
    """The run's folder cannot serve this run."""


class CheckpointError(Expected):
    """A checkpoint cannot be written or read."""


class Diverged(Expected):
    """A loss or gradient norm is not finite; no such state has been saved."""

    exit_code = 3
    everywhere = True


class Stopped(Expected):
    """SIGINT or SIGTERM arrived; the state is saved and the same command continues from there."""

    everywhere = True
    exit_code = 75  # "try again later", EX_TEMPFAIL of sysexits.h


class ProcessLost(Expected):
    """Another process of the run ended or went silent; the last checkpoint remains."""

    exit_code = 69  # EX_UNAVAILABLE


class WeightsError(Expected, ValueError):
    """A file of weights, or a dict of them, is not what its reader or writer can take."""
