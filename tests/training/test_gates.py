"""Quality gates: each demand with what passes it and what does not."""

import numpy as np
import pytest

from glulam.training.config import GatesConfig
from glulam.training.gates import judge, needs
from glulam.training.results import Comparison, Evaluation, Interval, MetricResult

COST = {"p50": 9e-6, "memory_bytes": 90e6, "file_bytes": 3.1e6}


def metric(name, value, low=float("nan"), **baselines):
    """Return a result of a metric."""
    return MetricResult(
        name, name, name != "calibration_error", Interval(value, low), np.array([value]),
        {key: Interval(each) for key, each in baselines.items()}, {}, {},
    )  # fmt: skip


EVALUATION = Evaluation(
    splitter="", ordered=True, folds=(), out_of_fold=None, best_baseline="logistic", against_best=None,
    metrics=(
        metric("auc", 0.53, 0.51),
        metric("calibration_error", 0.04),
        metric("f1", 0.46, majority=0.0, always_positive=0.678, logistic=0.5),
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("gates", "passed", "what"),
    [
        ({"min_auc_low": 0.5}, True, "lower end of the AUC's interval: 0.51, demanded >= 0.5"),
        ({"min_auc_low": 0.52}, False, "lower end of the AUC's interval: 0.51, demanded >= 0.52"),
        ({"max_calibration_error": 0.05}, True, "calibration error: 0.04, demanded <= 0.05"),
        ({"max_calibration_error": 0.03}, False, "calibration error: 0.04, demanded <= 0.03"),
        (
            {"min_f1": 0.85},
            False,
            "F1: 0.46, demanded >= 0.85; the baseline always_positive has 0.678 without knowing anything",
        ),
        ({"max_size_mb": 3.0}, False, "size in MB: 3.1, demanded <= 3"),
        ({"max_latency_us": 10}, True, "latency in us for one row, p50: 9, demanded <= 10"),
        ({"max_memory_mb": 80}, False, "memory in MB: 90, demanded <= 80"),
    ],
)
def test_a_gate(gates, passed, what):
    """A gate says what was found and what was demanded."""
    (gate,) = judge(GatesConfig(**gates), EVALUATION, COST)
    assert (gate.passed, gate.what) == (passed, what)


def test_no_gate_unless_asked_for():
    """By default nothing is demanded."""
    assert judge(GatesConfig(), EVALUATION, COST) == ()


@pytest.mark.parametrize(
    ("low", "high", "passed"), [(-0.02, -0.01, False), (-0.02, 0.01, True), (0.01, 0.02, True), (-0.02, 0.0, True)]
)
def test_the_champion_is_kept_only_against_what_is_worse_beyond_doubt(low, high, passed):
    """The whole interval of the difference must be below 0."""
    found = Comparison("champion", "log_loss", Interval((low + high) / 2, low, high))
    (gate,) = judge(GatesConfig(), EVALUATION, COST, (found, "on 900 rows"))
    assert gate.passed is passed
    assert gate.what.endswith("on 900 rows; demanded: not worse beyond doubt")


def test_a_champion_that_cannot_be_compared():
    """Too few rows that it does not know: said, not judged."""
    (gate,) = judge(GatesConfig(), EVALUATION, COST, (None, "only 3 tested rows are later"))
    assert gate.passed
    assert gate.what == "not compared: only 3 tested rows are later"


def test_what_is_not_a_number_never_passes():
    """An interval that could not be had is no proof of quality."""
    unknown = Evaluation(
        splitter="", ordered=True, folds=(), out_of_fold=None, best_baseline="", against_best=None,
        metrics=(metric("auc", 0.9),),
    )  # fmt: skip
    (gate,) = judge(GatesConfig(min_auc_low=0.1), unknown, COST)
    assert not gate.passed


def test_metrics_that_gates_need():
    """A gate's metric is measured even if the config lists others."""
    assert needs(GatesConfig(min_auc_low=0.5, min_f1=0.8)) == {"min_auc_low": "auc", "min_f1": "f1"}
