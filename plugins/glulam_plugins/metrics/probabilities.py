"""Metrics of probabilities: whether they mean what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.hookspecs import hookimpl
from glulam.trainspecs import Metric, Scorer
from glulam_plugins.metrics._weighted import Weighted, ratio

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]

BINS = 10
"""Of the calibration error."""


class LogLoss(Weighted):
    """Mean negative logarithm of the probability given to the row's own class, as scikit-learn's log_loss.

    Probabilities are clipped to 2.2e-16 from 0 and from 1.
    """

    name = "log_loss"
    title = "log loss"
    greater_is_better = False

    def _prepared(self, y: Array, scores: Float64, labels: Array) -> Scorer:
        least = np.finfo(np.float64).eps
        return _mean(-np.log(np.clip(_of_own_class(y, scores), least, 1 - least)))


class Brier(Weighted):
    """Mean squared distance of the probabilities from what was the case, as scikit-learn's brier_score_loss.

    Two classes: of the second one's probability, so from 0 to 1. More: summed over the classes, from 0 to 2.
    """

    name = "brier"
    title = "Brier score"
    greater_is_better = False

    def _prepared(self, y: Array, scores: Float64, labels: Array) -> Scorer:
        squared = (scores - (np.asarray(y)[:, None] == np.arange(scores.shape[1]))) ** 2
        return _mean(squared[:, 1] if scores.shape[1] == 2 else squared.sum(axis=1))


class CalibrationError(Weighted):
    """Expected calibration error: how far probabilities are from frequencies, over bins of equally many rows.

    Two classes: of the second one's probability and how often it came. More: of the greatest probability and how often
    its class came. Rows are sorted by probability and cut into 10 bins of equal weight; rows of the same probability
    go to one bin together, that in which their middle lies. In each bin the mean probability is compared with the
    frequency; the result is the mean absolute difference, weighted by bins (Naeini, Cooper and Hauskrecht, 2015).
    It is never 0 for finitely many rows, however good the probabilities: 10 bins of 100 rows give about 0.04.
    """

    name = "calibration_error"
    title = "calibration error"
    greater_is_better = False

    def _prepared(self, y: Array, scores: Float64, labels: Array) -> Scorer:
        top = np.ones(len(y), dtype=np.int64) if scores.shape[1] == 2 else scores.argmax(axis=1)
        chance = np.take_along_axis(scores, top[:, None], axis=1)[:, 0]
        order = np.argsort(chance, kind="stable")
        ranked = chance[order]
        excess = (np.asarray(y) == top)[order] - ranked
        starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
        tied = len(starts) < len(ranked)

        def error(weights: Float64) -> Float64:
            counts = np.take(weights, order, axis=1)
            sums = counts * excess
            if tied:
                counts, sums = np.add.reduceat(counts, starts, axis=1), np.add.reduceat(sums, starts, axis=1)
            upto = np.cumsum(counts, axis=1)
            total = upto[:, -1].copy()
            # Twice the rank of the middle of each group, so that whole weights stay whole: limits are then exact.
            upto *= 2
            upto -= counts
            limits = 2 * np.outer(total, np.arange(1, BINS))
            upto *= BINS
            cuts = [np.searchsorted(middle, limit) for middle, limit in zip(upto, limits, strict=True)]
            far = [_sum_of_absolute(each, cut) for each, cut in zip(sums, cuts, strict=True)]
            return ratio(np.array(far), total)

        return error


def _sum_of_absolute(values: Float64, cuts: npt.NDArray[np.int64]) -> float:
    """Return the sum over bins, which begin at 0 and at the cuts, of the absolute value of the bin's sum."""
    starts = np.unique(np.concatenate([[0], cuts[cuts < len(values)]]))
    return float(np.abs(np.add.reduceat(values, starts)).sum())


def _of_own_class(y: Array, scores: Float64) -> Float64:
    """Return each row's probability of its own class."""
    return np.asarray(np.take_along_axis(scores, np.asarray(y, dtype=np.int64)[:, None], axis=1)[:, 0])


def _mean(losses: Float64) -> Scorer:
    """Return the scorer of a plain mean over rows."""
    return lambda weights: ratio(weights @ losses, weights.sum(axis=1))


@hookimpl
def glulam_metric() -> list[type[Metric]]:
    """Offer the metrics of probabilities."""
    return [LogLoss, Brier, CalibrationError]
