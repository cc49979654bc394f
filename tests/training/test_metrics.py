"""Metrics: against scikit-learn, against rows that are repeated, and where they are undefined."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from glulam import plugins
from glulam.testing import ContractError, check_metric
from glulam.trainspecs import Metric

OF_CLASSES = [
    "auc",
    "log_loss",
    "brier",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "precision",
    "recall",
    "calibration_error",
]
OF_VALUES = ["rmse", "mae", "r2"]


def answers(seed, n_rows=60, n_classes=2, decimals=2):
    """Return random classes, probabilities with ties, labels, and weights of whole numbers."""
    random = np.random.default_rng(seed)
    scores = random.dirichlet(np.ones(n_classes), n_rows).round(decimals) + 1e-3
    scores /= scores.sum(axis=1, keepdims=True)
    return random.integers(0, n_classes, n_rows), scores, scores.argmax(axis=1), random.integers(0, 4, n_rows)


def scikit_learn(name, y, scores, labels, weights):
    """Return scikit-learn's value of a metric."""
    binary = scores.shape[1] == 2
    positions = list(range(scores.shape[1]))
    average = {"average": "binary" if binary else "macro", "sample_weight": weights, "zero_division": 0}
    match name:
        case "auc" if binary:
            return reference.roc_auc_score(y, scores[:, 1], sample_weight=weights)
        case "auc":
            return reference.roc_auc_score(y, scores, sample_weight=weights, multi_class="ovr", average="macro")
        case "log_loss":
            return reference.log_loss(y, scores, sample_weight=weights, labels=positions)
        case "brier":
            return reference.brier_score_loss(
                y, scores[:, 1] if binary else scores, sample_weight=weights, labels=positions
            )
        case "accuracy":
            return reference.accuracy_score(y, labels, sample_weight=weights)
        case "balanced_accuracy":
            return reference.balanced_accuracy_score(y, labels, sample_weight=weights)
        case "f1":
            return reference.f1_score(y, labels, **average)
        case "precision":
            return reference.precision_score(y, labels, **average)
        case "recall":
            return reference.recall_score(y, labels, **average)
        case "rmse":
            return reference.root_mean_squared_error(y, scores[:, 0], sample_weight=weights)
        case "mae":
            return reference.mean_absolute_error(y, scores[:, 0], sample_weight=weights)
        case "r2":
            return reference.r2_score(y, scores[:, 0], sample_weight=weights)


@pytest.mark.parametrize("name", OF_CLASSES + OF_VALUES)
def test_contract(name):
    """Each metric passes the check that plugin authors run."""
    check_metric(type(plugins.metric(name)))


def test_all_metrics_are_offered():
    """The names of the entry points are those tested here."""
    assert set(OF_CLASSES + OF_VALUES) <= set(plugins.known("metric"))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("name", OF_CLASSES[:-1])
def test_metrics_of_classes_are_scikit_learns(name, n_classes, weighted):
    """With and without weights, with ties, for two classes and for more."""
    for seed in range(5):
        y, scores, labels, weights = answers(seed, n_classes=n_classes)
        given = weights.astype(float) if weighted else None
        expected = scikit_learn(name, y, scores, labels, given)
        assert plugins.metric(name).score(y, scores, labels, given) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", OF_VALUES)
def test_metrics_of_values_are_scikit_learns(name, weighted):
    """With and without weights."""
    random = np.random.default_rng(0)
    y, values = random.normal(5, 2, 80), random.normal(5, 2, (80, 1))
    weights = random.integers(0, 4, 80).astype(float) if weighted else None
    expected = scikit_learn(name, y, values, values[:, 0], weights)
    assert plugins.metric(name).score(y, values, values[:, 0], weights) == pytest.approx(expected, rel=1e-12)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 25), st.integers(2, 4), st.integers(0, 2))
def test_whole_weights_are_repeated_rows(seed, n_rows, n_classes, decimals):
    """Every metric of classes: a row with weight 3 is three rows; few rows, so that most are undefined somewhere."""
    y, scores, labels, weights = answers(seed, n_rows, n_classes, decimals)
    again = np.repeat(np.arange(n_rows), weights)
    for name in OF_CLASSES:
        metric = plugins.metric(name)
        expected = metric.score(y[again], scores[again], labels[again])
        assert metric.score(y, scores, labels, weights) == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 25), st.sampled_from([0, 1, 6]))
def test_whole_weights_are_repeated_rows_of_values(seed, n_rows, decimals):
    """Every metric of values, also where all y of a draw are the same."""
    random = np.random.default_rng(seed)
    y, values = random.normal(0, 0.6, n_rows).round(decimals) + 1e6, random.normal(0, 1, (n_rows, 1)) + 1e6
    weights = random.integers(0, 3, n_rows)
    again = np.repeat(np.arange(n_rows), weights)
    for name in OF_VALUES:
        metric = plugins.metric(name)
        expected = metric.score(y[again], values[again], values[again, 0])
        assert metric.score(y, values, values[:, 0], weights) == pytest.approx(
            expected, rel=1e-6, abs=1e-9, nan_ok=True
        )


@pytest.mark.parametrize("name", OF_CLASSES + OF_VALUES)
def test_scorer_is_score_of_each_draw(name):
    """Many draws at once give what one after another gives, and what the interface's own scorer gives."""
    y, scores, labels, _ = answers(3)
    if name in OF_VALUES:
        y, scores, labels = y + 0.5, scores[:, 1:], scores[:, 1]
    weights = np.random.default_rng(0).poisson(1.0, (40, len(y))).astype(float)
    metric = plugins.metric(name)
    expected = [metric.score(y, scores, labels, each) for each in weights]
    np.testing.assert_allclose(metric.scorer(y, scores, labels)(weights), expected, rtol=1e-12)
    np.testing.assert_allclose(Metric.scorer(metric, y, scores, labels)(weights), expected, rtol=1e-12)


def calibration_error(y, chance):
    """Return the expected calibration error by its rule, row by row: ten bins by the middle rank of ties."""
    n_rows = len(y)
    bins = [
        (10 * (2 * sum(chance < value) + sum(chance == value))) // (2 * n_rows)  # exact: whole numbers
        for value in chance
    ]
    far = [abs(sum(y[i] - chance[i] for i in range(n_rows) if bins[i] == number)) for number in range(10)]
    return sum(far) / n_rows


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(0, 3))
def test_calibration_error_by_its_rule(seed, n_rows, decimals):
    """The slow way over rows gives the same, with many ties and with none."""
    y, scores, labels, _ = answers(seed, n_rows, 2, decimals)
    found = plugins.metric("calibration_error").score(y, scores, labels)
    assert found == pytest.approx(calibration_error(y, scores[:, 1]), rel=1e-9, abs=1e-12)


def test_calibration_error_of_two_probabilities():
    """0.3 that comes half of the time and 0.8 that always comes: (0.2 + 0.2) / 2; of three classes the top label's."""
    chance = np.repeat([0.3, 0.8], 10)
    y = np.array([0, 1] * 5 + [1] * 10)
    scores = np.column_stack([1 - chance, chance])
    metric = plugins.metric("calibration_error")
    assert metric.score(y, scores, y) == pytest.approx(0.2)
    three = np.tile([0.1, 0.7, 0.2], (10, 1))
    assert metric.score(np.array([1] * 5 + [2] * 5), three, np.ones(10)) == pytest.approx(0.2)


def test_calibration_error_of_true_probabilities_is_small():
    """Outcomes drawn by the probabilities themselves: near 0; the same ones squeezed towards a half are found out."""
    random = np.random.default_rng(0)
    chance = random.random(20_000)
    y = (random.random(20_000) < chance).astype(int)
    metric = plugins.metric("calibration_error")
    assert metric.score(y, np.column_stack([1 - chance, chance]), y) < 0.015
    squeezed = 0.25 + chance / 2
    assert metric.score(y, np.column_stack([1 - squeezed, squeezed]), y) == pytest.approx(0.125, abs=0.01)


@pytest.mark.parametrize(
    ("name", "y", "labels", "expected"),
    [
        ("auc", [1, 1], [1, 0], math.nan),  # no row of the other class
        ("precision", [0, 1], [0, 0], math.nan),  # nothing was said to be positive
        ("recall", [0, 0], [0, 1], math.nan),  # nothing is positive
        ("f1", [0, 0], [0, 0], math.nan),  # neither
        ("f1", [0, 1], [0, 0], 0.0),  # there was something to be found
        ("balanced_accuracy", [1, 1], [1, 0], 0.5),  # of the classes that there are
        ("log_loss", [1, 1], [1, 1], -math.log(0.75)),
    ],
)
def test_what_is_undefined_is_nan(name, y, labels, expected):
    """And what only looks so is a number."""
    scores = np.tile([0.25, 0.75], (2, 1))
    found = plugins.metric(name).score(np.array(y), scores, np.array(labels))
    assert found == pytest.approx(expected, nan_ok=True)


def test_auc_of_more_classes_needs_a_row_of_each():
    """One against the rest is undefined for a class without rows, and so the mean."""
    y, scores, labels, _ = answers(0, n_classes=3)
    assert math.isnan(plugins.metric("auc").score(y % 2, scores, labels))


def test_a_class_that_is_never_chosen_counts_against_macro_precision():
    """It counts as 0, as in scikit-learn, so that ignoring a class does not pay."""
    scores = np.tile([0.6, 0.3, 0.1], (3, 1))
    assert plugins.metric("precision").score(np.array([0, 1, 2]), scores, np.zeros(3, dtype=int)) == pytest.approx(
        1 / 9
    )


@pytest.mark.parametrize(("name", "expected"), [("precision", 2 / 3), ("recall", 1 / 2), ("f1", 5 / 9)])
def test_a_class_that_is_chosen_without_being_there_counts(name, expected):
    """Class 2 has no rows but was chosen once: as in scikit-learn it is one of three, with 0."""
    y, labels, scores = np.array([0, 0, 1]), np.array([0, 2, 1]), np.full((3, 3), 1 / 3)
    assert scikit_learn(name, y, scores, labels, None) == pytest.approx(expected)
    assert plugins.metric(name).score(y, scores, labels) == pytest.approx(expected)


@pytest.mark.parametrize("name", OF_CLASSES + OF_VALUES)
@pytest.mark.parametrize("odd", [math.nan, math.inf, 1e300])
def test_odd_scores_raise_nothing(name, odd):
    """Scores that are no finite numbers make what reads them undefined; huge ones overflow without a warning."""
    y, scores, labels, _ = answers(1)
    scores[7] = odd
    if name in OF_VALUES:
        y, scores, labels = y + 0.5, scores[:, :1], scores[:, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = plugins.metric(name).score(y, scores, labels)
    reads = name in ("auc", "log_loss", "brier", "calibration_error", *OF_VALUES)
    assert math.isnan(found) == (reads and not math.isfinite(odd))


def test_r2_of_one_value_is_nan():
    """There is no variance to explain, whatever rounding makes of the mean of equal numbers."""
    metric = plugins.metric("r2")
    for n_rows in range(1, 40):
        y = np.append(np.full(n_rows, 0.1), 7.7)
        weights = np.append(np.ones(n_rows), 0)
        assert math.isnan(metric.score(y, y[:, None] + 1, y + 1, weights))


def test_log_loss_is_clipped():
    """A class that was said to be impossible costs 36, not infinity."""
    scores = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert plugins.metric("log_loss").score(np.array([1, 1]), scores, np.array([0, 1])) == pytest.approx(
        18.02, abs=0.01
    )


class Broken(Metric):
    """A metric that each test below breaks in one way."""

    name = "broken"
    title = "broken"
    tasks = ("binary",)

    def score(self, y, scores, labels, sample_weight=None):
        """Return the accuracy."""
        return float(np.average(y == labels, weights=sample_weight)) if self.some(y, sample_weight) else math.nan

    def some(self, y, sample_weight):
        """Say whether there is any row."""
        return len(y) > 0 and (sample_weight is None or sample_weight.sum() > 0)


class Unweighted(Broken):
    """Forgets the weights."""

    def score(self, y, scores, labels, sample_weight=None):
        """Return the accuracy of all rows."""
        return float(np.mean(y == labels)) if self.some(y, sample_weight) else math.nan


class Reversed(Broken):
    """Says that less is better."""

    greater_is_better = False


class Raising(Broken):
    """Raises where it is undefined."""

    def some(self, y, sample_weight):
        """Look at the rows alone."""
        return len(y) > 0


class Noisy(Broken):
    """Warns where it is undefined."""

    def score(self, y, scores, labels, sample_weight=None):
        """Return the mean of nothing with numpy's warning."""
        return float(np.mean(y == labels)) if not len(y) else super().score(y, scores, labels, sample_weight)


class Whole(Broken):
    """Returns no float."""

    def score(self, y, scores, labels, sample_weight=None):
        """Return a count."""
        return int(np.sum(y == labels))


class Sorting(Broken):
    """Sorts what it was given."""

    def score(self, y, scores, labels, sample_weight=None):
        """Return a number after disorder."""
        scores.sort(axis=0)
        return 0.5


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            Unweighted,
            "metric 'broken', binary: rows with whole weights, against rows that are repeated as often: expected",
        ),
        (Reversed, "greater_is_better is False, but right answers score 1.0, random ones"),
        (Raising, "expected nan of rows whose weights are all 0, got ZeroDivisionError"),
        (Noisy, "metric 'broken': expected no warning, got RuntimeWarning: Mean of empty slice"),
        (Whole, "score: expected a float, got 110 (int)"),
        (Sorting, "score: changes the arrays that it is given; copy them first"),
    ],
)
def test_the_contract_check_finds_what_is_broken(broken, message):
    """A metric that breaks a rule is told which."""
    with pytest.raises(ContractError) as raised:
        check_metric(broken)
    assert message in str(raised.value)
