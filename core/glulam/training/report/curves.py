"""The points of curves: of ranking, of calibration, and of long series thinned out for a page."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["precision_recall", "rank_agreement", "reliability", "roc", "thin", "thin_series"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

POINTS = 400
"""Of a curve: more than a screen has pixels for it."""


def roc(y: Array, scores: Float64) -> tuple[Float64, Float64]:
    """Return the shares of false and of true positives at falling thresholds, from (0, 0) to (1, 1).

    y
        bool [n]; both classes must be there
    """
    true, all_ = _counts(y, scores)
    positives = max(1, int(true[-1]))
    false = all_ - true
    negatives = max(1, int(false[-1]))
    keep = thin(len(true), POINTS)
    return np.append(0.0, false[keep] / negatives), np.append(0.0, true[keep] / positives)


def precision_recall(y: Array, scores: Float64) -> tuple[Float64, Float64]:
    """Return recall and precision at falling thresholds."""
    true, all_ = _counts(y, scores)
    # The first points stand on a handful of rows; a point for every step there is noise, but an honest one.
    keep = thin(len(true), POINTS)
    return true[keep] / max(1, int(true[-1])), true[keep] / all_[keep]


def _counts(y: Array, scores: Float64) -> tuple[Float64, Float64]:
    """Return true positives and all positives at each distinct threshold, falling; equal scores move together."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true: Float64 = np.cumsum(y[order], dtype=np.float64)[last]
    return true, (last + 1).astype(np.float64)


def reliability(correct: Array, stated: Float64, bins: int = 10) -> dict[str, Float64]:
    """Return what was stated and what happened, by bins of as many rows.

    stated (mean of a bin), happened, low, high (95 %, Wilson's interval), rows; equal values share a bin.
    """
    edges = np.unique(np.quantile(stated, np.linspace(0, 1, bins + 1)[1:-1]))
    which = np.searchsorted(edges, stated, side="right")
    rows = np.bincount(which, minlength=len(edges) + 1).astype(np.float64)
    some = rows > 0
    mean = np.bincount(which, stated, len(rows))[some] / rows[some]
    share = np.bincount(which, correct, len(rows))[some] / rows[some]
    n, z = rows[some], 1.959964
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return {"stated": mean, "happened": share, "low": middle - half, "high": middle + half, "rows": n}


def rank_agreement(rows: Float64) -> float:
    """Return the mean rank correlation (Spearman) of all pairs of rows; nan for fewer than two rows or columns."""
    if rows.shape[0] < 2 or rows.shape[1] < 2:
        return float("nan")
    ranks = np.array([_ranks(row) for row in rows])
    if (ranks.std(axis=1) == 0).any():
        return float("nan")
    pairs = np.corrcoef(ranks)[np.triu_indices(len(rows), 1)]
    return float(pairs.mean())


def _ranks(values: Float64) -> Float64:
    """Return ranks, the mean one for equal values."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[which], dtype=np.float64)


def thin(n: int, limit: int) -> Int64:
    """Return at most ``limit`` positions of n, evenly spaced, with the first and the last."""
    return np.unique(np.linspace(0, n - 1, min(n, limit)).round().astype(np.int64)) if n else np.empty(0, np.int64)


def thin_series(series: list[Float64], limit: int = 1_500) -> Int64:
    """Return positions that keep the ends and every series' highest and lowest value in each stretch of time."""
    n = len(series[0])
    if n <= limit:
        return np.arange(n, dtype=np.int64)
    bounds = np.linspace(0, n, max(2, limit // (2 * len(series))) + 1).astype(np.int64)
    kept = {0, n - 1}
    for start, stop in pairwise(bounds.tolist()):
        for values in series:
            kept |= {int(start + values[start:stop].argmin()), int(start + values[start:stop].argmax())}
    return np.array(sorted(kept), dtype=np.int64)
