"""Ends of a run that are not bugs: one line on standard error, an exit code, no traceback."""


class Expected(Exception):
    """Something whose message says what is wrong, where, and what to do.

    Attributes:
      exit_code: of the program that it ends.
      everywhere: whether all processes of a run meet it at the same step, so that none has to
        tell the others.
    """

    exit_code = 2
    everywhere = False


class UsageError(Expected, ValueError):
    """The command line or the config cannot be used as given."""


class WorkdirError(Expected):
    """The run's folder cannot serve this run."""


class CheckpointError(Expected):
    """A checkpoint cannot be written or read."""


class Diverged(Expected):
    """A loss or gradient norm is not finite; nothing of it has been saved."""

    exit_code = 3
    everywhere = True


class Stopped(Expected):
    """SIGINT or SIGTERM arrived; the state is saved and the same command goes on from there."""

    everywhere = True
    exit_code = 75  # "try again later", EX_TEMPFAIL of sysexits.h


class ProcessLost(Expected):
    """Another process of the run died or went silent; the last checkpoint is what remains."""

    exit_code = 69  # EX_UNAVAILABLE


class WeightsError(Expected, ValueError):
    """A file of weights, or a dict of them, is not what its reader or writer can take."""
