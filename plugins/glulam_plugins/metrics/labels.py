"""Metrics of chosen labels: they do not look at scores."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.hookspecs import hookimpl
from glulam.trainspecs import Metric, Scorer
from glulam_plugins.metrics._weighted import Weighted, ratio

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]


class Counted(Weighted):
    """A metric of three counts by class: rows that are of it and were said to be, rows of it, rows said to be of it."""

    reads_scores = False

    def _prepared(self, y: Array, scores: Float64, labels: Array) -> Scorer:
        positions = np.arange(scores.shape[1])
        actual, chosen = np.asarray(y)[:, None] == positions, np.asarray(labels)[:, None] == positions
        columns = np.concatenate([actual & chosen, actual, chosen], axis=1).astype(np.float64)

        def counted(weights: Float64) -> Float64:
            return self._of(*np.split(weights @ columns, 3, axis=1))

        return counted

    @abstractmethod
    def _of(self, hits: Float64, actual: Float64, chosen: Float64) -> Float64:
        """Return the metric of each draw from counts [n_draws, n_classes]."""


class Accuracy(Counted):
    """Share of rows whose label is right."""

    name = "accuracy"
    title = "accuracy"

    def _of(self, hits: Float64, actual: Float64, chosen: Float64) -> Float64:
        return ratio(hits.sum(axis=1), actual.sum(axis=1))


class BalancedAccuracy(Counted):
    """Mean over classes of the share of its rows that were found; classes without rows are left out."""

    name = "balanced_accuracy"
    title = "balanced accuracy"

    def _of(self, hits: Float64, actual: Float64, chosen: Float64) -> Float64:
        found = np.where(actual > 0, ratio(hits, actual), 0.0).sum(axis=1)
        return ratio(found, np.count_nonzero(actual, axis=1))


class ByClass(Counted):
    """A metric of one class.

    Two classes: of the second one; undefined where its denominator is 0. More: the plain mean over the classes that
    occur in y or among the labels, where one whose own denominator is 0 counts as 0 (scikit-learn's
    ``average="macro"``).
    """

    def _of(self, hits: Float64, actual: Float64, chosen: Float64) -> Float64:
        values = self._each(hits, actual, chosen)
        if values.shape[1] == 2:
            return values[:, 1]
        occurs = actual + chosen > 0
        return ratio(np.where(occurs, np.nan_to_num(values), 0.0).sum(axis=1), np.count_nonzero(occurs, axis=1))

    @abstractmethod
    def _each(self, hits: Float64, actual: Float64, chosen: Float64) -> Float64:
        """Return the metric of each class."""


class F1(ByClass):
    """Harmonic mean of precision and recall. Always saying yes can have a high one without knowing anything."""

    name = "f1"
    title = "F1"

    def _each(self, hits: Float64, actual: Float64, chosen: Float64) -> Float64:
        return ratio(2 * hits, actual + chosen)


class Precision(ByClass):
    """Share of the rows said to be of a class that are of it."""

    name = "precision"
    title = "precision"

    def _each(self, hits: Float64, actual: Float64, chosen: Float64) -> Float64:
        return ratio(hits, chosen)


class Recall(ByClass):
    """Share of the rows of a class that were found."""

    name = "recall"
    title = "recall"

    def _each(self, hits: Float64, actual: Float64, chosen: Float64) -> Float64:
        return ratio(hits, actual)


@hookimpl
def glulam_metric() -> list[type[Metric]]:
    """Offer the metrics of labels."""
    return [Accuracy, BalancedAccuracy, F1, Precision, Recall]
