"""The threshold between two classes: the best on the rows given, found among all that differ."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from glulam import plugins
from glulam.errors import ConfigError
from glulam.training.threshold import ExpectedValue, choose_threshold, threshold_table
from glulam.trainspecs import Metric


def two(chance):
    """Return probabilities of both classes."""
    return np.column_stack([1 - np.asarray(chance), chance])


def worth_of(rule, scores, y, threshold, gain, loss):
    """Return what a threshold is worth, row by row."""
    labels = (scores[:, 1] > threshold).astype(int)
    if rule == "expected_value":
        return gain * np.sum(labels * (y == 1)) - loss * np.sum(labels * (y == 0))
    metric = plugins.metric(rule)
    value = metric.score(y, scores, labels)
    return -np.inf if np.isnan(value) else value if metric.greater_is_better else -value


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.float64, st.integers(2, 30), elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5 + 1e-9, 0.9, 1.0])),
    st.integers(0, 1_000),
    st.sampled_from(["expected_value", "f1", "accuracy", "balanced_accuracy", "precision", "recall"]),
    st.floats(0.1, 10),
)
def test_no_threshold_is_better(chance, seed, rule, loss):
    """No threshold of a fine grid, nor any beside a score, is worth more than the one chosen."""
    scores, y = two(chance), np.random.default_rng(seed).integers(0, 2, len(chance))
    chosen = choose_threshold(scores, y, rule, gain=1.0, loss=loss)
    assert 0 < chosen < 1
    beside = np.concatenate([chance - 1e-10, chance, chance + 1e-10])
    tried = [each for each in np.concatenate([np.linspace(0.01, 0.99, 50), beside]) if 0 < each < 1]
    best = max(worth_of(rule, scores, y, each, 1.0, loss) for each in tried)
    assert worth_of(rule, scores, y, chosen, 1.0, loss) >= best - 1e-9


def test_of_equal_thresholds_the_nearest_to_half():
    """Where every threshold in a range is as good, 0.5 stays if it is in it; else the middle of the nearest gap is taken."""
    assert choose_threshold(two([0.1, 0.2, 0.8]), np.array([0, 0, 1]), "accuracy") == 0.5
    assert choose_threshold(two([0.6, 0.7, 0.9]), np.array([0, 0, 1]), "accuracy") == pytest.approx(0.8)
    assert choose_threshold(two([0.1, 0.2, 0.3]), np.array([0, 1, 1]), "accuracy") == pytest.approx(0.15)


def test_what_answers_are_worth_moves_the_threshold():
    """A false positive that costs more than a true positive brings asks for surer answers."""
    random = np.random.default_rng(0)
    chance = random.uniform(size=20_000)
    y = (random.uniform(size=20_000) < chance).astype(int)
    for gain, loss in ((1.0, 1.0), (1.0, 3.0), (4.0, 1.0)):
        # Of probabilities that mean what they say, worth taking are those above loss / (gain + loss).
        assert choose_threshold(two(chance), y, "expected_value", gain=gain, loss=loss) == pytest.approx(
            loss / (gain + loss), abs=0.04
        )


class Half(Metric):
    """Accuracy plus how sure the first row is: a metric that reads labels and scores."""

    name = "half"
    title = "half"

    def score(self, y, scores, labels, sample_weight=None):
        """Return the mean of both."""
        return float(np.average(y == labels, weights=sample_weight) + scores[0].max())


class Offer:
    """A plugin of that metric."""

    def __init__(self):
        from glulam.hookspecs import hookimpl

        self.glulam_metric = hookimpl(lambda: Half)


def test_a_metric_that_reads_scores_as_well():
    """What four counts do not tell is measured on all rows."""
    scores, y = two([0.1, 0.6, 0.7, 0.9]), np.array([0, 0, 1, 1])
    plugin = Offer()
    plugins.register(plugin)
    try:
        assert choose_threshold(scores, y, "half") == pytest.approx(0.65)
    finally:
        plugins.unregister(plugin)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("auc", "threshold = 'auc': does not depend on the threshold; choose a metric of labels, such as 'f1'"),
        ("log_loss", "threshold = 'log_loss': does not depend on the threshold"),
        ("rmse", "threshold = 'rmse': is a metric for regression; a threshold decides between two classes"),
    ],
)
def test_a_metric_that_no_threshold_changes_is_refused(rule, message):
    """Metrics of scores, and of values, choose nothing."""
    with pytest.raises(ConfigError, match=message):
        choose_threshold(two([0.1, 0.6, 0.7]), np.array([0, 1, 1]), rule)


def test_other_scores_are_refused():
    """Three classes, and scores that are no numbers."""
    with pytest.raises(
        ConfigError, match=r"got scores of shape \(4, 3\); a threshold decides between two classes only"
    ):
        choose_threshold(np.full((4, 3), 1 / 3), np.zeros(4, dtype=int), "f1")
    with pytest.raises(ConfigError, match="threshold = 'f1': expected finite scores to choose by, got 2 rows"):
        choose_threshold(two([np.nan, 0.5]), np.array([0, 1]), "f1")


def test_the_table_is_what_the_metrics_say():
    """Every column is its metric's own value at each threshold; beyond all scores precision is undefined."""
    random = np.random.default_rng(1)
    scores, y = two(random.uniform(0.1, 0.9, 200)), random.integers(0, 2, 200)
    table = threshold_table(scores, y, gain=2.0, loss=1.0, points=21)
    assert list(table) == ["threshold", "precision", "recall", "f1", "accuracy", "expected_value", "share"]
    for row, at in enumerate(table["threshold"]):
        labels = (scores[:, 1] > at).astype(int)
        for name in ("precision", "recall", "f1", "accuracy"):
            assert table[name][row] == pytest.approx(plugins.metric(name).score(y, scores, labels), nan_ok=True)
        assert table["expected_value"][row] == pytest.approx(worth_of("expected_value", scores, y, at, 2.0, 1.0) / 200)
        assert table["share"][row] == pytest.approx(labels.mean())
    assert np.isnan(table["precision"][-1])


def test_the_worth_of_answers():
    """Rightly chosen rows bring the gain, wrongly chosen ones cost the loss, and the others nothing; weights count rows."""
    metric = ExpectedValue(2.0, 0.5)
    y, chosen = np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0])
    scores = np.full((4, 2), 0.5)
    assert metric.score(y, scores, chosen) == pytest.approx((2.0 - 0.5) / 4)
    assert metric.score(y, scores, chosen, np.array([3.0, 0.0, 1.0, 0.0])) == pytest.approx((6.0 - 0.5) / 4)
    assert np.isnan(metric.score(y, scores, chosen, np.zeros(4)))
