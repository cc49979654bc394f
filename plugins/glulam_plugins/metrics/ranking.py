"""Metrics of ranking: they look at the order of scores, not at their size."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.hookspecs import hookimpl
from glulam.trainspecs import Metric, Scorer
from glulam_plugins.metrics._weighted import Weighted, ratio

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]


class Auc(Weighted):
    """Area under the ROC curve: how often a row of the class scores above a row of another, ties counting half.

    Two classes: of the second one. More: each class against the rest, the plain mean (scikit-learn's roc_auc_score
    with ``multi_class="ovr"``). Undefined where a class has no rows.
    """

    name = "auc"
    title = "AUC"

    def _prepared(self, y: Array, scores: Float64, labels: Array) -> Scorer:
        classes = [1] if scores.shape[1] == 2 else range(scores.shape[1])
        each = [_area(y == position, scores[:, position]) for position in classes]
        return lambda weights: np.asarray(np.mean([area(weights) for area in each], axis=0))


def _area(positive: npt.NDArray[np.bool_], scores: Float64) -> Scorer:
    """Return the scorer of one class; rows are sorted once for all draws.

    It is the Mann-Whitney statistic. With whole weights every sum is exact.
    """
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    tied = len(starts) < len(ranked)
    chosen = positive[order].astype(np.float64)

    def area(weights: Float64) -> Float64:
        above = np.take(weights, order, axis=1)
        below = above * (1.0 - chosen)
        above *= chosen
        if tied:
            above, below = np.add.reduceat(above, starts, axis=1), np.add.reduceat(below, starts, axis=1)
        lower = np.cumsum(below, axis=1)
        total = lower[:, -1].copy()
        lower -= below / 2
        return ratio(np.einsum("ij,ij->i", above, lower), above.sum(axis=1) * total)

    return area


@hookimpl
def glulam_metric() -> list[type[Metric]]:
    """Offer the metrics of ranking."""
    return [Auc]
