"""Matthews correlation: how well chosen labels of two classes go with the true ones.

1 is right throughout, -1 wrong throughout, and 0 is what any answer has that does not look at its rows: always saying
yes, which may have a high F1, has no correlation with anything (Matthews, 1975).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.hookspecs import hookimpl
from glulam.trainspecs import Metric

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]


class Matthews(Metric):
    """Correlation of chosen labels with true ones, of two classes; 0 where all rows have one label."""

    name = "matthews"
    title = "Matthews correlation"
    tasks = ("binary",)

    def score(self, y: Array, scores: Float64, labels: Array, sample_weight: Float64 | None = None) -> float:
        """Return the correlation; nan where there is nothing to score."""
        weights = np.ones(len(y)) if sample_weight is None else sample_weight
        total = weights.sum()
        if not total > 0:
            return float("nan")
        # Weights say how often a row counts, which is how bootstrap intervals are drawn.
        true, chosen, both = ((weights * part).sum() / total for part in (y, labels, y * labels))
        spread = np.sqrt(true * (1 - true) * chosen * (1 - chosen))
        return float((both - true * chosen) / spread) if spread > 0 else 0.0


@hookimpl
def glulam_metric() -> type[Metric]:
    """Offer the correlation."""
    return Matthews
