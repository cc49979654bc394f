"""Range: values outside what training saw, by more than a margin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError, FeatureError
from glulam.hookspecs import FeatureValidator, hookimpl
from glulam.program import Guard, OnnxFragment
from glulam.schema import FeatureSchema


class Range(FeatureValidator):
    """Refuses values further outside the training range than ``margin`` times its width.

    NaN is not its business (see `finite`). A feature that training saw no value of has no range.
    """

    name = "range"

    def __init__(self, margin: float = 0.1) -> None:
        if not 0 <= margin < np.inf:
            raise ConfigError(f"range: margin: expected a number of at least 0, got {margin!r}")
        self.margin = float(margin)
        self.low = self.high = np.empty(0, dtype=np.float32)

    def learn(self, X: npt.NDArray[np.float32], schema: FeatureSchema) -> None:
        """Take the limits from the finite training values."""
        finite = np.isfinite(X)
        low = np.where(finite, X, np.inf).min(axis=0).astype(np.float64)
        high = np.where(finite, X, -np.inf).max(axis=0).astype(np.float64)
        seen = low <= high
        with np.errstate(over="ignore", invalid="ignore"):
            slack = self.margin * (high - low)
            self.low = np.where(seen, low - slack, -np.inf).astype(np.float32)
            self.high = np.where(seen, high + slack, np.inf).astype(np.float32)

    def check_fit(self, X: npt.NDArray[np.float32], schema: FeatureSchema) -> None:
        """Training rows are inside the training range."""

    def check(self, X: npt.NDArray[np.float32], schema: FeatureSchema) -> None:
        """Raise FeatureError naming the first row, column and value outside, and the limits."""
        outside = (X < self.low) | (X > self.high)
        if not outside.any():
            return
        row, column = (int(index[0]) for index in np.nonzero(outside))
        raise FeatureError(
            f"range: column {schema.names[column]!r}, row {row}: expected {self.low[column]} to "
            f"{self.high[column]} (the training range and a margin of {self.margin:g} of its width), got "
            f"{X[row, column]}; {np.count_nonzero(outside)} such values in all; check the data, retrain, "
            "or widen the margin"
        )

    def guard(self, schema: FeatureSchema) -> Guard:
        """Return the check as nodes: comparisons, and a count that must be the number of features."""
        low, high = self.low.copy(), self.high.copy()
        text = (
            "range (features, low, high, ones, nothing) => (valid) {"
            " below = Less (features, low)"
            " above = Greater (features, high)"
            " outside = Or (below, above)"
            " counted = Where (outside, ones, nothing)"
            " count = MatMul (counted, ones)"
            " valid = Equal (count, nothing) }"
        )
        constants = {
            "low": low, "high": high, "ones": np.ones(len(schema), dtype=np.float32),
            "nothing": np.zeros((), dtype=np.float32),
        }  # fmt: skip
        return Guard(
            "range", OnnxFragment(text, lambda X: np.asarray(~((X < low) | (X > high)).any(axis=1)), constants)
        )

    def state(self) -> dict[str, Any]:
        """Return margin and limits."""
        # JSON has no infinities: None stands for a feature without limits.
        limits = [[float(v) if np.isfinite(v) else None for v in side] for side in (self.low, self.high)]
        return {"margin": self.margin, "low": limits[0], "high": limits[1]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back margin and limits."""
        self.margin = float(state["margin"])
        self.low = np.array([-np.inf if v is None else v for v in state["low"]], dtype=np.float32)
        self.high = np.array([np.inf if v is None else v for v in state["high"]], dtype=np.float32)


@hookimpl
def glulam_feature_validator() -> type[FeatureValidator]:
    """Offer the range check."""
    return Range
