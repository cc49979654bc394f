"""What differences of answers are measured by."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Scale", "difference"]

Float64 = npt.NDArray[np.float64]


def difference(want: Float64, have: Float64) -> Float64:
    """Return how far apart numbers are: 0 where both are the same infinity, or both NaN."""
    same = (want == have) | (np.isnan(want) & np.isnan(have))
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(same, 0.0, np.abs(want - have))


@dataclass(frozen=True, slots=True)
class Scale:
    """What a difference is measured by: 1 for probabilities; for values the distance from the usual one.

    Measured by the value itself, a file could lose all that a model says of a target around 1e7.
    """

    center: Float64 = field(default_factory=lambda: np.zeros(1))
    spread: Float64 = field(default_factory=lambda: np.ones(1))
    relative: bool = False

    @classmethod
    def of_values(cls, values: Float64) -> Scale:
        """Take each column's median, and the median distance from it (for a few outliers the standard deviation)."""
        found = [cls._of_column(column) for column in values.T]
        return cls(np.array([center for center, _ in found]), np.array([spread for _, spread in found]), relative=True)

    @staticmethod
    def _of_column(values: Float64) -> tuple[float, float]:
        known = values[np.isfinite(values)]
        if not known.size:
            return 0.0, 1.0
        center = float(np.median(known))
        least = 1e-12 * abs(center)  # less than this is the rounding of a constant
        with np.errstate(over="ignore"):
            spreads = (float(np.median(np.abs(known - center))), float(known.std()), abs(center), 1.0)
        return center, next(each for each in spreads if np.isfinite(each) and each > least)

    def size(self, values: Float64) -> Float64:
        """Return what to divide differences from these values by."""
        if not self.relative:
            return np.ones_like(values)
        with np.errstate(invalid="ignore"):
            away = np.abs(values - self.center)
        return np.maximum(np.where(np.isfinite(away), away, 0.0), self.spread)
