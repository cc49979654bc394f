"""Isotonic calibration: a curve of straight pieces that never falls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError
from glulam.hookspecs import hookimpl
from glulam.trainspecs import Calibrator
from glulam_plugins.calibrators._one_vs_rest import OneVsRest, steepest

Float64 = npt.NDArray[np.float64]


class Isotonic(OneVsRest):
    """Centered isotonic regression (Oron and Flournoy, 2017): lines through the middles of isotonic regression's steps.

    scikit-learn's method="isotonic" joins the ends of neighbouring steps, by lines so steep that the last digit of a
    score decides. Through the middles the curve rises where the rows rise, and scores keep their order. Neighbours
    that would still rise by more than `steepest` are one point, at their mean. No chance is surer than the rows
    allow: of n rows, not nearer to 0 and 1 than 1 / (n + 2).
    """

    name = "isotonic"

    def __init__(self) -> None:
        self._curves: list[tuple[Float64, Float64]] = []

    def _learn(self, parts: list[tuple[Float64, npt.NDArray[np.bool_], Float64]]) -> None:
        self._curves = [_centered(*part) for part in parts]

    def _count(self) -> int:
        if not self._curves:
            raise ConfigError("calibrator 'isotonic': has not learnt yet; call fit first")
        return len(self._curves)

    def _chances(self, scores: Float64) -> Float64:
        self._count()
        columns = []
        for column, (at, height) in enumerate(self._curves):
            inside = np.clip(scores[:, column], at[0], at[-1])
            index = np.searchsorted(at, inside, side="right") - 1
            columns.append(_slopes(at, height)[index] * (inside - at[index]) + height[index])
        return np.column_stack(columns)

    def _rule(self) -> tuple[str, dict[str, npt.NDArray[Any]]]:
        """Return the rule: how many points of its curve a score has reached tells which line it is on."""
        most = max(len(at) for at, _ in self._curves)
        # Curves of fewer points are filled up with points that no score reaches.
        points = np.array([np.append(at, np.full(most - len(at), np.inf)) for at, _ in self._curves])
        start = np.array([np.append(at, np.full(most - len(at), at[-1])) for at, _ in self._curves])
        height = np.array([np.append(each, np.full(most - len(each), each[-1])) for _, each in self._curves])
        slope = np.array([np.append(_slopes(*curve), np.zeros(most - len(curve[0]))) for curve in self._curves])
        rule = (
            "above = Max (picked, low)"
            " inside = Min (above, high)"
            " apart = Unsqueeze (inside, last)"
            " reached = GreaterOrEqual (apart, points)"
            " steps = Cast <to = 7> (reached)"
            " count = ReduceSum <keepdims = 0> (steps, last)"
            " index = Add (count, before)"
            " begin = Gather (start, index)"
            " first = Gather (height, index)"
            " rise = Gather (slope, index)"
            " way = Sub (inside, begin)"
            " climb = Mul (rise, way)"
            " chance = Add (climb, first)"
        )
        return rule, {
            "low": start[:, 0][None, :],
            "high": start[:, -1][None, :],
            "last": np.array([2]),
            "points": points[None],
            "before": np.arange(len(points))[None, :] * most - 1,
            "start": start.ravel(),
            "height": height.ravel(),
            "slope": slope.ravel(),
        }

    def state(self) -> dict[str, Any]:
        """Return the points of each curve, of which JSON keeps every bit."""
        return {"curves": [{"at": at.tolist(), "height": height.tolist()} for at, height in self._curves]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned."""
        self._curves = [(np.array(each["at"]), np.array(each["height"])) for each in state["curves"]]


def _slopes(at: Float64, height: Float64) -> Float64:
    """Return the rise of the line from each point to the next; the last goes on flat."""
    return np.append(np.diff(height) / np.diff(at), 0.0)


def _centered(scores: Float64, hit: npt.NDArray[np.bool_], weight: Float64) -> tuple[Float64, Float64]:
    """Return the points of the curve: scores that rise, and their chances."""
    from sklearn.isotonic import isotonic_regression

    values, where = np.unique(scores, return_inverse=True)
    weights = np.bincount(where, weight)
    shares = np.bincount(where, weight * hit) / weights
    least = 1.0 / (weights.sum() + 2.0)
    fitted = isotonic_regression(shares, sample_weight=weights, y_min=least, y_max=1.0 - least)
    step = np.append(0, np.cumsum(np.diff(fitted) != 0))
    mass = np.bincount(step, weights).astype(np.float64)
    at = np.bincount(step, weights * values) / mass
    height = fitted[np.append(0, np.flatnonzero(np.diff(fitted)) + 1)]
    return _pooled(at, height, mass, steepest(scores))


def _pooled(at: Float64, height: Float64, mass: Float64, limit: float) -> tuple[Float64, Float64]:
    """Return points no two neighbours of which rise by more than the limit; those that would are pooled."""
    while len(at) > 1:
        rise = np.diff(height) / np.maximum(np.diff(at), 1e-300)
        first = int(rise.argmax())
        if rise[first] <= limit:
            break
        pair = slice(first, first + 2)
        share = mass[pair] / mass[pair].sum()
        at[first], height[first], mass[first] = share @ at[pair], share @ height[pair], mass[pair].sum()
        at, height, mass = (np.delete(each, first + 1) for each in (at, height, mass))
    return at, height


@hookimpl
def glulam_calibrator() -> type[Calibrator]:
    """Offer isotonic calibration."""
    return Isotonic
