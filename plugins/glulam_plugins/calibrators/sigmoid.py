"""Sigmoid calibration: Platt's logistic curve of the score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError
from glulam.fragments import sigmoid
from glulam.hookspecs import hookimpl
from glulam.trainspecs import Calibrator
from glulam_plugins.calibrators._one_vs_rest import OneVsRest, steepest

Float64 = npt.NDArray[np.float64]


class Sigmoid(OneVsRest):
    """``1 / (1 + exp(-(slope * score + offset)))`` (Platt, 1999), as scikit-learn's method="sigmoid".

    The curve never falls: scores that say nothing become the class's share. It rises by no more than `steepest`.
    """

    name = "sigmoid"

    def __init__(self) -> None:
        self._slope: Float64 = np.empty(0)
        self._offset: Float64 = np.empty(0)

    def _learn(self, parts: list[tuple[Float64, npt.NDArray[np.bool_], Float64]]) -> None:
        curves = [_platt(*part) for part in parts]
        self._slope, self._offset = (np.array(each) for each in zip(*curves, strict=True))

    def _count(self) -> int:
        if not len(self._slope):
            raise ConfigError("calibrator 'sigmoid': has not learnt yet; call fit first")
        return len(self._slope)

    def _chances(self, scores: Float64) -> Float64:
        self._count()
        return np.asarray(sigmoid().reference(scores * self._slope + self._offset))

    def _rule(self) -> tuple[str, dict[str, npt.NDArray[Any]]]:
        rule = "scaled = Mul (picked, slope) moved = Add (scaled, offset) chance = Sigmoid (moved)"
        # Matrices: a mere number beside a product onnxruntime takes in float32.
        return rule, {"slope": self._slope[None, :], "offset": self._offset[None, :]}

    def state(self) -> dict[str, Any]:
        """Return slopes and offsets, of which JSON keeps every bit."""
        return {"slope": self._slope.tolist(), "offset": self._offset.tolist()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned."""
        self._slope = np.array(state["slope"], dtype=np.float64)
        self._offset = np.array(state["offset"], dtype=np.float64)


def _platt(scores: Float64, hit: npt.NDArray[np.bool_], weight: Float64) -> tuple[float, float]:
    """Return slope and offset of least log loss, for Platt's targets, which stay off 0 and 1."""
    from scipy.optimize import minimize
    from scipy.special import expit

    hits, misses = weight[hit].sum(), weight[~hit].sum()
    target = np.where(hit, (hits + 1) / (hits + 2), 1 / (misses + 2))
    total = weight.sum()
    middle = float(np.average(scores, weights=weight))
    # In units of their spread, scores of any size are as easy to fit.
    unit = float(np.sqrt(np.average((scores - middle) ** 2, weights=weight)))
    share = float(np.average(target, weights=weight))
    start = np.log(share / (1 - share))
    if unit < 1e-12:
        return 0.0, float(start)
    x = (scores - middle) / unit

    def loss(point: Float64) -> tuple[float, Float64]:
        sums = point[0] * x + point[1]
        # log(1 + exp(s)) - t s is the log loss of a target t.
        value = np.sum(weight * (np.logaddexp(0.0, sums) - target * sums)) / total
        off = weight * (expit(sums) - target) / total
        return float(value), np.array([np.sum(off * x), np.sum(off)])

    # A logistic curve rises by a quarter of its slope at most.
    bounds = [(0.0, 4.0 * steepest(scores) * unit), (None, None)]
    found = minimize(
        loss, np.array([0.0, start]), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1_000},
    )  # fmt: skip
    slope = found.x[0] / unit
    return float(slope), float(found.x[1] - slope * middle)


@hookimpl
def glulam_calibrator() -> type[Calibrator]:
    """Offer sigmoid calibration."""
    return Sigmoid
