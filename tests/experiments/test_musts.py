"""What must show in the tables that are here: read from their results.json, nothing is trained."""

import collections
import statistics

import pytest
from suite import command, writer

METRIC = "linear_5"
RUNS = writer.read(command.EXPERIMENTS / "methods" / "digits")
BY_ROW = collections.defaultdict(list)
for run in RUNS:
    BY_ROW[run["row"]].append(run)
UNTRAINED = [run["scores"]["untrained"][METRIC] for run in RUNS if "untrained" in run["scores"]]


def scores(row):
    return [run["scores"]["trained"][METRIC] for run in BY_ROW[row]]


@pytest.mark.parametrize("row", BY_ROW)
def test_every_method_beats_the_untrained_encoder(row):
    """By three deviations on each side, and none collapses.

    Ten points hold for most, but without this margin for FroSSL and MoCo v2: not asserted.
    """
    trained = scores(row)
    assert len(trained) == len(UNTRAINED) == 3
    least = statistics.fmean(trained) - 3 * statistics.stdev(trained)
    most = statistics.fmean(UNTRAINED) + 3 * statistics.stdev(UNTRAINED)
    assert least > most
    assert {run["collapse"] for run in BY_ROW[row]} == {"none"}


def test_lejepa_is_ten_points_above_it():
    least = statistics.fmean(scores("LeJEPA")) - 3 * statistics.stdev(scores("LeJEPA"))
    assert least > statistics.fmean(UNTRAINED) + 10
