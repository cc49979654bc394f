"""What calibration of one chance at a time shares: a curve for each class against the rest, then normalised."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError
from glulam.program import OnnxFragment
from glulam.trainspecs import Calibrator

__all__ = ["OneVsRest", "checked_rows", "steepest"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


class OneVsRest(Calibrator):
    """A curve from a class's score to its chance; of two classes only for the second one's.

    The chances of more than two are divided by their sum, as scikit-learn's CalibratedClassifierCV does.
    """

    def fit(self, scores: Float64, y: Int64, sample_weight: Float64 | None = None) -> None:
        """Learn a curve for each class; rows of weight 0 are not there."""
        scores, y, weight = checked_rows(self, scores, y, sample_weight)
        width = scores.shape[1]
        self._learn([(scores[:, each], y == each, weight) for each in ([1] if width == 2 else range(width))])

    def apply(self, scores: Float64) -> Float64:
        """Return the chances of the curves: rows sum to 1."""
        if scores.shape[1] == 2:
            chance = self._chances(scores[:, 1:])
            return np.concatenate([1.0 - chance, chance], axis=1)
        chances = self._chances(scores)
        return np.asarray(chances / chances.sum(axis=1, keepdims=True))

    def fragment(self) -> OnnxFragment:
        """Return the same: the second column or all of them, their curves, and what makes rows sum to 1."""
        curves = self._count()
        rule, constants = self._rule()
        if curves == 1:
            first, last = "picked = Gather <axis = 1> (x, second)", "rest = Sub (one, chance)"
            last += " y = Concat <axis = 1> (rest, chance)"
            constants |= {"second": np.array([1]), "one": np.array([[1.0]])}
        else:
            first, last = "picked = Identity (x)", "total = ReduceSum <keepdims = 1> (chance, across)"
            last += " y = Div (chance, total)"
            constants |= {"across": np.array([1])}
        return OnnxFragment(
            text=f"{self.name} (x, {', '.join(constants)}) => (y) {{ {first} {rule} {last} }}",
            reference=lambda x: self.apply(x.astype(np.float64)),
            constants=constants,
        )

    @abstractmethod
    def _learn(self, parts: list[tuple[Float64, npt.NDArray[np.bool_], Float64]]) -> None:
        """Learn each curve from scores [n], whether rows are of its class, and their weights."""

    @abstractmethod
    def _count(self) -> int:
        """Return the number of curves, or raise ConfigError where none is learnt yet."""

    @abstractmethod
    def _chances(self, scores: Float64) -> Float64:
        """Return each column's chances by its curve, [n, n_curves]."""

    @abstractmethod
    def _rule(self) -> tuple[str, dict[str, npt.NDArray[Any]]]:
        """Return the same as ONNX text from ``picked`` to ``chance``, and its constants."""


def checked_rows(
    calibrator: Calibrator, scores: Float64, y: Int64, sample_weight: Float64 | None
) -> tuple[Float64, Int64, Float64]:
    """Return scores, classes and weights of the rows that count.

    Raises ConfigError for scores that are no numbers, and where a class has no row.
    """
    who = f"calibrator {calibrator.name!r}"
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    scores, y, weight = scores[weight > 0], y[weight > 0], weight[weight > 0]
    if not np.isfinite(scores).all():
        raise ConfigError(f"{who}: expected finite scores to learn from, got {scores[~np.isfinite(scores)][0]}")
    lacking = np.setdiff1d(np.arange(scores.shape[1]), y)
    if lacking.size:
        raise ConfigError(
            f"{who}: expected rows of {scores.shape[1]} classes to learn from, got none of class {lacking[0]} among "
            f"{len(y)}; give more rows, or leave calibration out"
        )
    return scores, y, weight


def steepest(scores: Float64) -> float:
    """Return how fast a curve may rise over these scores: 20, or more where they lie close together, but 1,000.

    A rise of 20 makes a difference of 1e-7 between two votes 2e-6. More than 1,000 would magnify what float64
    itself rounds beyond the promise of a file.
    """
    low, high = np.quantile(scores, [0.05, 0.95])
    return float(np.clip(4.0 / max(high - low, 1e-9), 20.0, 1_000.0))
