"""Measuring: the same rows and draws for everything, and who is better than whom."""

from __future__ import annotations

import gzip
import math
from dataclasses import replace

import numpy as np
import pytest

from glulam import plugins
from glulam.dataset import Dataset, RawTable
from glulam.errors import ConfigError
from glulam.schema import FeatureSchema
from glulam.training.baselines import predict_baselines
from glulam.training.bootstrap import draw_counts
from glulam.training.measuring import compare, default_metrics, measure, metrics_named
from glulam.training.results import OutOfFold
from glulam.trainspecs import Metric

N_FOLDS = 3


def dataset(X, y, task, n_classes, *, time):
    """Return rows with labels that read their own row only."""
    rows = np.arange(len(y))
    raw = RawTable({}, rows * 1_000_000 if time else None, rows, "test", "")
    X = np.asarray(X, dtype=np.float32)
    classes = np.arange(n_classes) if n_classes else np.empty(0)
    return Dataset(X, y, FeatureSchema.learn(X), task, classes, 0, rows, rows, raw)


def answered(data, scores, members, splitter=None):
    """Return folds, and out-of-fold answers with the given scores and members' votes for every row of the dataset."""
    folds = tuple(plugins.splitter(splitter or "walk_forward", n_splits=N_FOLDS).split(data.X, data.y))
    rows = np.concatenate([test for _, test in folds])
    found = [predict_baselines(data, *fold) for fold in folds]
    names = found[0][0]
    labels = scores[rows].argmax(axis=1) if data.task != "regression" else scores[rows][:, 0]
    return folds, OutOfFold(
        rows=rows,
        fold=np.concatenate([np.full(len(test), number) for number, (_, test) in enumerate(folds)]),
        votes=np.stack([member[rows] for member in members], axis=1),
        scores=scores[rows],
        labels=labels,
        baselines={name: np.concatenate([each[name] for each, _ in found]) for name in names},
        baseline_labels={name: np.concatenate([each[name] for _, each in found]) for name in names},
    )


def binary_case(strength=1.0, n_rows=400, *, time=True):
    """Return random rows, a good member, a poor one, and an ensemble that is the good one."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, n_rows)
    chance = 1 / (1 + np.exp(-random.normal(size=n_rows) - strength * (2 * y - 1)))
    good, poor = (np.column_stack([1 - each, each]) for each in (chance, random.random(n_rows)))
    data = dataset(random.normal(size=(n_rows, 2)), y, "binary", 2, time=time)
    return data, good, [good, poor]


def measured(data, folds, answers, names=(), n_draws=200, ordered=True):
    """Measure by the names of metrics."""
    metrics = metrics_named(names, data.task)
    return measure(data, folds, answers, metrics, ["good", "poor"], ordered=ordered, n_draws=n_draws, seed=0)


def test_every_metric_of_everyone():
    """The numbers are the metric's own on the tested rows, and on those of each fold."""
    data, scores, members = binary_case()
    folds, answers = answered(data, scores, members)
    results, _, _ = measured(data, folds, answers)
    assert tuple(each.name for each in results) == default_metrics("binary")
    y = data.y[answers.rows]
    for found in results:
        metric = plugins.metric(found.name)
        assert (found.title, found.greater_is_better) == (metric.title, metric.greater_is_better)
        assert found.ensemble.value == pytest.approx(metric.score(y, answers.scores, answers.labels))
        assert found.ensemble.low <= found.ensemble.value <= found.ensemble.high
        assert found.ensemble == found.members["good"]
        poor = metric.score(y, answers.votes[:, 1], answers.votes[:, 1].argmax(axis=1))
        assert found.members["poor"].value == pytest.approx(poor)
        assert found.by_fold.shape == (N_FOLDS,)
        part = answers.fold == 1
        expected = metric.score(y[part], answers.scores[part], answers.labels[part])
        assert found.by_fold[1] == pytest.approx(expected)
        assert list(found.baselines) == list(found.baselines_by_fold) == list(answers.baselines)
        for name, interval in found.baselines.items():
            scores, labels = answers.baselines[name], answers.baseline_labels[name]
            assert interval.value == pytest.approx(metric.score(y, scores, labels), nan_ok=True)
            expected = metric.score(y[part], scores[part], labels[part])
            assert found.baselines_by_fold[name][1] == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("first", ["auc", "log_loss"])
def test_the_best_baseline_by_the_first_metric(first):
    """Whether more is better or less; a good ensemble beats it, and the difference is positive either way."""
    data, scores, members = binary_case()
    folds, answers = answered(data, scores, members)
    results, best, against = measured(data, folds, answers, [first])
    values = {name: found.value for name, found in results[0].baselines.items()}
    assert values[best] == (max if first == "auc" else min)(values.values())
    assert against.what == f"ensemble against {best}"
    assert against.metric == first
    assert against.difference.value == pytest.approx(abs(results[0].ensemble.value - values[best]))
    assert against.better


def test_an_ensemble_that_knows_nothing_is_not_better():
    """Its difference to the best baseline has an interval around 0, or below."""
    data, _, members = binary_case(strength=0.0)
    folds, answers = answered(data, members[1], members)
    _, _, against = measured(data, folds, answers)
    assert not against.better


def test_a_baseline_that_is_undefined_is_not_the_best():
    """Always saying no has no precision; what has one is taken."""
    data, scores, members = binary_case()
    folds, answers = answered(data, scores, members)
    answers.baselines["majority"][:] = [1.0, 0.0]
    answers.baseline_labels["majority"][:] = 0
    results, best, _ = measured(data, folds, answers, ["precision"])
    assert math.isnan(results[0].baselines["majority"].value)
    assert best != "majority"


def test_more_classes_and_values():
    """All metrics of the other tasks have a number and an interval for the ensemble and its members."""
    random = np.random.default_rng(1)
    y = random.integers(0, 3, 300)
    scores = random.dirichlet(np.ones(3), 300) + np.eye(3)[y]
    scores /= scores.sum(axis=1, keepdims=True)
    noise, values = random.normal(size=(300, 2)), random.normal(size=300)
    cases = (
        (dataset(noise, y, "multiclass", 3, time=False), scores, [scores, scores[:, ::-1]]),
        (
            dataset(noise, values, "regression", 0, time=True),
            values[:, None] + 0.1,
            [values[:, None], values[:, None] * 2],
        ),
    )
    for data, given, members in cases:
        folds, answers = answered(data, given, members)
        results, best, against = measured(data, folds, answers)
        assert tuple(each.name for each in results) == default_metrics(data.task)
        for found in results:
            everyone = [found.ensemble, *found.members.values()]
            assert all(np.isfinite([each.value, each.low, each.high]).all() for each in everyone)
        assert against.better
        assert best in answers.baselines


def test_rows_in_time_are_drawn_in_blocks():
    """Also where a splitter that is not ordered has tested them, and in whatever order their folds are."""
    data, scores, members = binary_case(time=True)
    y = data.y.copy()
    y[:] = np.arange(len(y)) // 50 % 2  # whole periods of one class: neighbours are alike
    cases = []
    for time in (True, False):
        each = dataset(data.X, y, "binary", 2, time=time)
        folds, answers = answered(each, scores, members, splitter="stratified_k_fold")
        found = measured(each, folds, answers, ["accuracy"], ordered=False)[0][0].baselines["always_positive"]
        cases.append(found.high - found.low)
    assert cases[0] > 2 * cases[1]


def test_rows_of_groups_are_drawn_by_group():
    """Rows of a group share their label: the interval is that of twenty groups, not of 400 rows."""
    data, scores, members = binary_case(time=False)
    groups = np.arange(400) // 20
    y = groups % 2
    widths = []
    for given in (groups, None):
        each = replace(dataset(data.X, y, "binary", 2, time=False), groups=given)
        folds, answers = answered(each, scores, members, splitter="stratified_k_fold")
        found = measured(each, folds, answers, ["accuracy"], ordered=False)[0][0].baselines["always_positive"]
        widths.append(found.high - found.low)
    assert widths[0] > 3 * widths[1]


def test_the_order_of_folds_makes_no_difference():
    """Rows are put in the order of time first, so that blocks are of neighbours: the same answers, the same intervals."""
    data, scores, members = binary_case()
    folds, answers = answered(data, scores, members)
    order = np.random.default_rng(0).permutation(len(answers.rows))
    mixed = OutOfFold(
        answers.rows[order], answers.fold[order], answers.votes[order], answers.scores[order], answers.labels[order],
        {name: each[order] for name, each in answers.baselines.items()},
        {name: each[order] for name, each in answers.baseline_labels.items()},
    )  # fmt: skip
    first, second = (measured(data, folds, each, ["auc", "brier"]) for each in (answers, mixed))
    for one, other in zip(first[0], second[0], strict=True):
        found = [(each.ensemble, each.baselines, each.members) for each in (one, other)]
        assert repr(found[0]) == repr(found[1])
        np.testing.assert_allclose(one.by_fold, other.by_fold)
    assert first[1:] == second[1:]


def test_the_same_seed_gives_the_same_intervals():
    """Another one gives others, about as wide."""
    data, scores, members = binary_case()
    folds, answers = answered(data, scores, members)

    def auc(seed):
        metrics = metrics_named(["auc"], "binary")
        return measure(data, folds, answers, metrics, ["good", "poor"], ordered=True, n_draws=100, seed=seed)[0][
            0
        ].ensemble

    assert auc(1) == auc(1) != auc(2)


@pytest.mark.parametrize("name", ["auc", "brier"])
def test_compare_is_positive_where_the_first_is_better(name):
    """Turned around it is the same with the other sign."""
    data, _, members = binary_case()
    good, poor = ((each, each.argmax(axis=1)) for each in members)
    counts = draw_counts(len(data), block=5, n_draws=200, seed=0)
    metric = plugins.metric(name)
    found = compare("good against poor", metric, data.y, good, poor, counts)
    assert found.better
    assert found.difference.low > 0
    turned = compare("poor against good", metric, data.y, poor, good, counts)
    assert not turned.better
    assert turned.difference.value == pytest.approx(-found.difference.value)
    assert turned.difference.high == pytest.approx(-found.difference.low)


def test_real_candles_have_no_easy_answer(candles):
    """Next-bar direction of real candles: baselines have an AUC near a half, and their intervals say so."""
    with gzip.open(candles, "rt") as lines:
        close = np.loadtxt(lines, delimiter=",", skiprows=1, usecols=4, max_rows=3_000)
    change = np.diff(np.log(close))
    X = np.column_stack([change[:-1], np.abs(change[:-1])])
    data = dataset(X, (change[1:] > 0).astype(np.int64), "binary", 2, time=True)
    scores = np.tile([0.5, 0.5], (len(data), 1))
    folds, answers = answered(data, scores, [scores, scores])
    results, _, against = measured(data, folds, answers)
    auc = results[0]
    assert auc.ensemble == auc.baselines["always_positive"]
    assert auc.ensemble.value == 0.5
    assert 0.45 < auc.baselines["logistic"].value < 0.58
    assert auc.baselines["logistic"].high - auc.baselines["logistic"].low > 0.03
    assert not against.better
    # Always saying up has the best F1 and knows nothing.
    f1 = next(each for each in results if each.name == "f1")
    assert f1.baselines["always_positive"].value > 0.6


@pytest.mark.parametrize(
    ("names", "task", "message"),
    [
        (["auk"], "binary", r"metrics: unknown metric 'auk'; known for binary are \['accuracy', 'auc', .*'recall'\]$"),
        (["rmse"], "binary", r"metrics: 'rmse' is for regression, the task is binary; known for it are \['accuracy', .*\]$"),
        (["auc"], "regression", r"metrics: 'auc' is for binary and multiclass, the task is regression; known for it are \['mae', 'r2', 'rmse'\]"),
        (["auc", "f1", "auc"], "binary", r"metrics: expected each name once, got \['auc', 'f1', 'auc'\]; leave out the repeated one"),
    ],
)  # fmt: skip
def test_metrics_that_cannot_be_are_refused(names, task, message):
    """With those that are known for the task."""
    with pytest.raises(ConfigError, match=message):
        metrics_named(names, task)


def test_metrics_by_name():
    """In the order that was asked for; those of the task by default."""
    assert [each.name for each in metrics_named(["f1", "auc"], "binary")] == ["f1", "auc"]
    assert [each.name for each in metrics_named([], "regression")] == ["rmse", "mae", "r2"]
    assert all(isinstance(each, Metric) for each in metrics_named((), "multiclass"))


def test_nothing_to_measure_is_refused():
    """No metric, one of another task, and no baseline."""
    data, scores, members = binary_case()
    folds, answers = answered(data, scores, members)
    with pytest.raises(
        ConfigError, match=r"metrics: expected at least one, got none; known for binary are \['accuracy'"
    ):
        measure(data, folds, answers, [], ["good", "poor"], ordered=True, n_draws=100, seed=0)
    with pytest.raises(ConfigError, match="metrics: 'mae' is for regression, the task is binary"):
        measure(data, folds, answers, [plugins.metric("mae")], ["good", "poor"], ordered=True, n_draws=100, seed=0)
    answers.baselines.clear()
    with pytest.raises(ConfigError, match="metrics: expected at least one baseline to measure against, got none"):
        measured(data, folds, answers)
