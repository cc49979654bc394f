"""Metrics of values, for regression."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.hookspecs import hookimpl
from glulam.program import Task
from glulam.trainspecs import Metric, Scorer
from glulam_plugins.metrics._weighted import Weighted, ratio

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
REGRESSION: tuple[Task, ...] = ("regression",)


class Rmse(Weighted):
    """Root of the mean squared error, in the units of y."""

    name = "rmse"
    title = "RMSE"
    tasks = REGRESSION
    greater_is_better = False

    def _prepared(self, y: Array, scores: Float64, labels: Array) -> Scorer:
        squared = (y - scores[:, 0]) ** 2
        return lambda weights: np.sqrt(ratio(weights @ squared, weights.sum(axis=1)))


class Mae(Weighted):
    """Mean absolute error, in the units of y."""

    name = "mae"
    title = "MAE"
    tasks = REGRESSION
    greater_is_better = False

    def _prepared(self, y: Array, scores: Float64, labels: Array) -> Scorer:
        absolute = np.abs(y - scores[:, 0])
        return lambda weights: ratio(weights @ absolute, weights.sum(axis=1))


class R2(Weighted):
    """Coefficient of determination: the share of the variance of y that is explained, below 0 if worse than its mean.

    Undefined where all y are the same.
    """

    name = "r2"
    title = "R\N{SUPERSCRIPT TWO}"
    tasks = REGRESSION

    def _prepared(self, y: Array, scores: Float64, labels: Array) -> Scorer:
        squared = (y - scores[:, 0]) ** 2

        def explained(weights: Float64) -> Float64:
            # Measured from a y of the draw itself: equal ones then have a variance of exactly 0.
            distance = y - y[np.argmax(weights > 0, axis=1)][:, None]
            mean = ratio(np.einsum("ij,ij->i", weights, distance), weights.sum(axis=1))
            spread = np.einsum("ij,ij->i", weights, (distance - mean[:, None]) ** 2)
            return 1 - ratio(weights @ squared, spread)

        return explained


@hookimpl
def glulam_metric() -> list[type[Metric]]:
    """Offer the metrics of values."""
    return [Rmse, Mae, R2]
