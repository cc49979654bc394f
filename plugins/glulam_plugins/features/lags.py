"""The ``lags`` feature generator: what columns were some rows ago."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from feature_engine.timeseries.forecasting import LagFeatures

from glulam.hookspecs import FeatureGenerator, hookimpl
from glulam_plugins.features._generating import counts, names, read_columns, require_new, transformed

__all__ = ["Lags"]


class Lags(FeatureGenerator):
    """Values of earlier rows, by feature-engine's LagFeatures.

    columns
        what to look back at
    lags
        how many rows back, at least 1

    ``close_lag_2`` is what ``close`` was two rows ago; gaps in time are not seen. A value that is
    missing or infinite is refused.
    """

    name = "lags"
    distributions = ("feature-engine", "pandas")

    def __init__(self, columns: str | Sequence[str], lags: int | Sequence[int] = (1, 2, 3)) -> None:
        self._of = names("lags", "columns", columns)
        self._lags = counts("lags", "lags", lags, 1)
        self.columns = tuple(f"{column}_lag_{lag}" for column in self._of for lag in self._lags)
        self.warm_up = max(self._lags)
        require_new(self.name, self.columns, self._of)

    def generate(self, table: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Return float64 [n_rows - warm_up, n_columns] and the int64 row of each. Raises `FeatureError`."""
        frame = pd.DataFrame(read_columns(table, self._of, self.name, self.warm_up))
        maker = LagFeatures(variables=list(self._of), periods=list(self._lags))
        features = transformed(maker, frame)[list(self.columns)].to_numpy(dtype=np.float64)
        return features[self.warm_up :], np.arange(self.warm_up, len(frame), dtype=np.int64)


@hookimpl
def glulam_features() -> type[FeatureGenerator]:
    """Return the feature generator of this file."""
    return Lags
