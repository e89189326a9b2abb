"""What must show in the tables that are here: read from their results.json, nothing is trained.

A difference shows where it is above three standard deviations of a difference of two runs.
"""

import functools
import math
import statistics

import pytest
from suite import command, writer

METRIC = "linear_5"


@functools.cache
def runs(table, scale="digits"):
    return writer.read(command.EXPERIMENTS / table / scale)


def rows(table, scale="digits"):
    return list(dict.fromkeys(run["row"] for run in runs(table, scale)))


def scores(table, row, metric=METRIC, features="trained", scale="digits"):
    """Of the row's runs; those of untrained encoders are with one row of a table."""
    return [
        run["scores"][features][metric]
        for run in runs(table, scale)
        if run["row"] == row and features in run["scores"]
    ]


def collapse(table, row):
    return {run["collapse"] for run in runs(table) if run["row"] == row}


def check_above(high, low, by=0.0):
    assert len(high) == len(low) == 3
    deviation = math.hypot(statistics.stdev(high), statistics.stdev(low))
    assert statistics.fmean(high) - statistics.fmean(low) - by > 3 * deviation


@pytest.mark.parametrize("row", rows("methods"))
def test_every_method_beats_the_untrained_encoder(row):
    """And none collapses. Ten points hold for most, not for FroSSL and MoCo v2: not asserted."""
    untrained = scores("methods", "Barlow Twins", features="untrained")
    check_above(scores("methods", row), untrained)
    assert collapse("methods", row) == {"none"}


def test_lejepa_is_ten_points_above_it():
    untrained = scores("methods", "Barlow Twins", features="untrained")
    check_above(scores("methods", "LeJEPA"), untrained, by=10)


@pytest.mark.parametrize(
    "row",
    [
        "Barlow Twins",
        "VICReg",
        "VICRegL",
        "SimCLR",
        "DirectCLR",
        "MMCR",
        "TCR",
        "VIbCReg",
        "HSIC Barlow Twins",
    ],
)
def test_on_cifar10_they_beat_it_too(row):
    """The linear probe. docs/methods.md names those that do not."""
    of = functools.partial(scores, "methods", metric="linear", scale="cifar")
    check_above(of(row), of("Barlow Twins", features="untrained"))


def test_barlow_twins_needs_both_terms():
    """With 5 labels per class the invariance alone is 10 points below, at deviations of 3."""
    baseline = functools.partial(scores, "bt_table5", "baseline")
    invariance = scores("bt_table5", "only the invariance term (on-diagonal)", "linear")
    check_above(baseline("linear"), invariance)
    redundancy = scores("bt_table5", "only the redundancy term (off-diagonal)")
    check_above(baseline(), redundancy, by=5)


def test_lambda_matters_little():
    """Between 0.002 and 0.02 the linear probe's means lie within 3 points."""
    each = [scores("bt_figure5", row, "linear") for row in rows("bt_figure5")]
    means = {statistics.fmean(found): found for found in each}
    best, worst = means[max(means)], means[min(means)]
    check_above([x + 3 for x in worst], best)


def test_larger_heads_bring_byol_little():
    """Less than 5 points of the linear probe above the smallest (the largest vary by 1.5)."""
    smallest, *larger = rows("bt_table7")
    limit = [x + 5 for x in scores("bt_table7", smallest, "linear")]
    for row in larger:
        check_above(limit, scores("bt_table7", row, "linear"))


@pytest.mark.parametrize(("narrow", "wide"), [("8", "128"), ("16", "512")])
def test_vicreg_gains_from_a_wide_expander(narrow, wide):
    check_above(scores("vicreg_table12", wide), scores("vicreg_table12", narrow))


def test_barlow_twins_gains_from_a_wide_projector():
    of = functools.partial(scores, "bt_figure4")
    check_above(of("Barlow Twins, 128"), of("Barlow Twins, 8"))


@pytest.mark.parametrize("metric", ["knn_20", METRIC])
def test_a_frozen_random_target_teaches(metric):
    frozen = functools.partial(scores, "byol_table5", "frozen random target, τ = 1", metric)
    check_above(frozen(), frozen(features="untrained"))


def test_vicreg_collapses_without_its_variance_term():
    for row in ("(1, 0, 0)", "(25, 0, 1)"):
        assert collapse("vicreg_table7", row) == {"complete"}
    assert collapse("vicreg_table7", "(25, 25, 1)") == {"none"}


def test_sounds_teach_vicregs_encoder():
    """Barlow Twins is above the untrained encoder too, with too much between its seeds for this."""
    of = functools.partial(scores, "vicreg_table6", metric="linear_folds", scale="esc10")
    check_above(of("VICReg"), of("Barlow Twins", features="untrained"))


TABLE3 = [(scale, run) for scale in ("emoji", "terms") for run in runs("vicreg_table3", scale)]


@pytest.mark.parametrize(
    "run", [run for _, run in TABLE3], ids=[f"{s}, {r['row']}, {r['seed']}" for s, r in TABLE3]
)
def test_images_and_captions_find_each_other_three_times_as_often_as_by_chance(run):
    """Recall at 10 in both directions, of every run."""
    for query in ("caption", "image"):
        key = f"{query} query R@10"
        assert run["scores"]["trained"][key] >= 3 * run["scores"]["chance"][key]
