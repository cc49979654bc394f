"""The threshold between two classes: chosen by a metric or by what answers are worth, and what others would give."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam.errors import ConfigError
from glulam.trainspecs import Metric, Scorer

__all__ = ["EXPECTED_VALUE", "ExpectedValue", "choose_threshold", "threshold_table"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]

EXPECTED_VALUE = "expected_value"
_HALF = 0.5


class ExpectedValue(Metric):
    """What an answer is worth on average: ``gain`` where the second class is rightly chosen, minus ``loss`` if not."""

    name = EXPECTED_VALUE
    title = "expected value"
    tasks = ("binary",)

    def __init__(self, gain: float, loss: float) -> None:
        self.gain, self.loss = gain, loss

    def score(self, y: Array, scores: Float64, labels: Array, sample_weight: Float64 | None = None) -> float:
        """Return the mean worth of an answer; nan without rows."""
        weights = np.ones(len(y)) if sample_weight is None else sample_weight
        return float(self.scorer(y, scores, labels)(weights[None, :])[0])

    def scorer(self, y: Array, scores: Float64, labels: Array) -> Scorer:
        """Return the mean worth as a function of weights [n_draws, n_rows]."""
        worth = np.where(labels == 1, np.where(y == 1, self.gain, -self.loss), 0.0)

        def scored(weights: Float64) -> Float64:
            total = weights.sum(axis=1)
            return np.where(total > 0, weights @ worth / np.maximum(total, 1e-300), np.nan)

        return scored


def choose_threshold(scores: Float64, y: Array, rule: str, *, gain: float = 1.0, loss: float = 1.0) -> float:
    """Return the threshold, between 0 and 1, that is best by a rule on these rows.

    scores
        probabilities [n, 2], out of fold; the second class is chosen where its own is above the threshold
    rule
        name of a metric; or ``expected_value``: ``gain`` for each row of the second class that is chosen, less
        ``loss`` for each of the first one

    Tried are 0.5, the middle between any two neighbouring scores, and a threshold above and below all. Of equally
    good ones the nearest to 0.5 is taken. Raises ConfigError for a metric that no threshold changes.
    """
    if scores.ndim != 2 or scores.shape[1] != 2:
        raise ConfigError(
            f"threshold = {rule!r}: expected probabilities of two classes, got scores of shape {scores.shape}; a "
            "threshold decides between two classes only, so leave it out"
        )
    chance = scores[:, 1]
    if not len(chance) or not np.isfinite(chance).all():
        raise ConfigError(f"threshold = {rule!r}: expected finite scores to choose by, got {len(chance)} rows")
    tried = _candidates(chance)
    hits, false = _chosen(chance, y, tried)
    if rule == EXPECTED_VALUE:
        worth = gain * hits - loss * false
    else:
        metric = plugins.metric(rule)
        worth = _by_metric(metric, scores, y, tried, hits, false)
        worth = worth if metric.greater_is_better else -worth
    worth = np.where(np.isnan(worth), -np.inf, worth)
    best = worth >= worth.max() - 1e-12 * max(1.0, abs(float(worth.max())))
    near = np.where(best, np.abs(tried - _HALF), np.inf)
    return float(tried[near.argmin()])


def threshold_table(
    scores: Float64, y: Array, *, gain: float = 1.0, loss: float = 1.0, points: int = 101
) -> dict[str, Float64]:
    """Return what each threshold would give on these rows, as columns [points] by name.

    share is that of the rows for which the second class is chosen; expected_value is the mean of a row. The
    precision of a threshold that chooses none is nan.
    """
    tried = np.linspace(0.0, 1.0, points)
    hits, false = _chosen(scores[:, 1], y, tried)
    n_rows, positive = len(y), np.count_nonzero(y == 1)
    chosen = hits + false
    with np.errstate(invalid="ignore"):
        return {
            "threshold": tried,
            "precision": hits / chosen,
            "recall": hits / np.float64(positive),
            "f1": 2.0 * hits / (chosen + np.float64(positive)),
            "accuracy": (hits + (n_rows - positive) - false) / np.float64(n_rows),
            EXPECTED_VALUE: (gain * hits - loss * false) / np.float64(n_rows),
            "share": chosen / np.float64(n_rows),
        }


def _candidates(chance: Float64) -> Float64:
    """Return the thresholds to try, in order: between 0 and 1, and no two that choose the same rows but for 0.5."""
    known = np.unique(chance)
    middles = known[:-1] + np.diff(known) / 2.0
    ends = np.array([known[0] / 2.0, (known[-1] + 1.0) / 2.0, _HALF])
    tried = np.unique(np.concatenate([middles, ends]))
    return np.asarray(tried[(tried > 0.0) & (tried < 1.0)])


def _chosen(chance: Float64, y: Array, tried: Float64) -> tuple[Float64, Float64]:
    """Return how many rows of the second class, and of the first, are above each threshold."""
    counts = []
    for each in (1, 0):
        known = np.sort(chance[y == each])
        counts.append((len(known) - np.searchsorted(known, tried, side="right")).astype(np.float64))
    return counts[0], counts[1]


def _by_metric(metric: Metric, scores: Float64, y: Array, tried: Float64, hits: Float64, false: Float64) -> Float64:
    """Return a metric at each threshold.

    A metric of labels depends on four counts alone, so that four rows stand for all, each as often as it occurs.
    """
    if "binary" not in metric.tasks:
        raise ConfigError(
            f"threshold = {metric.name!r}: is a metric for {' and '.join(metric.tasks)}; a threshold decides between "
            "two classes: choose one such as 'f1', or 'expected_value'"
        )
    actual, answer = np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0])
    positive = np.count_nonzero(y == 1)
    counts = np.column_stack([hits, positive - hits, false, len(y) - positive - false])
    of_counts = metric.scorer(actual, np.full((4, 2), _HALF), answer)
    right, wrong = of_counts(np.array([[5.0, 0.0, 0.0, 5.0], [0.0, 5.0, 5.0, 0.0]]))
    if right == wrong or (np.isnan(right) and np.isnan(wrong)):
        raise ConfigError(
            f"threshold = {metric.name!r}: does not depend on the threshold; choose a metric of labels, such as 'f1' "
            "or 'balanced_accuracy', or 'expected_value'"
        )
    values = np.asarray(of_counts(counts), dtype=np.float64)
    some = np.unique(np.linspace(0, len(tried) - 1, 9).astype(int))
    whole = np.array([_whole(metric, scores, y, tried[each]) for each in some])
    if np.allclose(values[some], whole, rtol=1e-9, atol=1e-12, equal_nan=True):
        return values
    return np.array([_whole(metric, scores, y, each) for each in tried])  # it reads scores as well


def _whole(metric: Metric, scores: Float64, y: Array, threshold: float) -> float:
    """Return a metric of all rows at one threshold."""
    return metric.score(y, scores, (scores[:, 1] > threshold).astype(np.int64))
