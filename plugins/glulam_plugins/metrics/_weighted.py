"""What metrics share: many weights at once, so that intervals by bootstrap cost little."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.trainspecs import Metric, Scorer

__all__ = ["Weighted", "ratio"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]


class Weighted(Metric):
    """A metric whose `scorer` takes weights [n_draws, n_rows] in one go; `score` is it with one draw."""

    reads_scores = True
    """Whether scores count, and not labels alone; where one is no finite number the metric is undefined."""

    def score(self, y: Array, scores: Float64, labels: Array, sample_weight: Float64 | None = None) -> float:
        """Return the metric; nan where it is undefined."""
        weights = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        return float(self.scorer(y, scores, labels)(weights[None, :])[0])

    def scorer(self, y: Array, scores: Float64, labels: Array) -> Scorer:
        """Return the metric of these rows as a function of weights [n_draws, n_rows]."""
        if not len(y) or (self.reads_scores and not np.isfinite(scores).all()):
            return lambda weights: np.full(len(weights), np.nan)
        with np.errstate(all="ignore"):  # squares of huge values overflow, and infinity says so
            prepared = self._prepared(y, scores, labels)

        def scored(weights: Float64) -> Float64:
            with np.errstate(all="ignore"):
                return prepared(weights)

        return scored

    @abstractmethod
    def _prepared(self, y: Array, scores: Float64, labels: Array) -> Scorer:
        """Return the scorer of one row at least and finite scores, after all work that weights do not change."""


def ratio(numerator: Array, denominator: Array) -> Float64:
    """Divide; nan where the denominator is 0."""
    known = denominator > 0
    return np.where(known, numerator / np.where(known, denominator, 1.0), np.nan)
