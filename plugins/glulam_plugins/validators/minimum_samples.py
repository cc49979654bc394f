"""Minimum samples: too few training rows make an ensemble that has learnt noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError, FeatureError
from glulam.hookspecs import FeatureValidator, hookimpl
from glulam.schema import FeatureSchema


class MinimumSamples(FeatureValidator):
    """Refuses to fit on fewer rows than ``rows`` (100). Says nothing at predict."""

    name = "minimum_samples"

    def __init__(self, rows: int = 100) -> None:
        if rows < 1:
            raise ConfigError(f"minimum_samples: rows: expected at least 1, got {rows!r}")
        self.rows = int(rows)

    def check_fit(self, X: npt.NDArray[np.float32], schema: FeatureSchema) -> None:
        """Raise FeatureError for too few rows."""
        if len(X) < self.rows:
            raise FeatureError(
                f"minimum_samples: expected at least {self.rows} rows to fit, got {len(X)}; give more data, or set "
                "validators=['columns', 'finite', ('minimum_samples', {'rows': ...})]"
            )

    def check(self, X: npt.NDArray[np.float32], schema: FeatureSchema) -> None:
        """Any number of rows may be predicted."""

    def state(self) -> dict[str, Any]:
        """Return the limit."""
        return {"rows": self.rows}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back the limit."""
        self.rows = int(state["rows"])


@hookimpl
def glulam_feature_validator() -> type[FeatureValidator]:
    """Offer the minimum."""
    return MinimumSamples
