"""The ``rolling`` feature generator: statistics of the last rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.hookspecs import FeatureGenerator, hookimpl
from glulam_plugins.features._generating import counts, names, one_of, read_columns, require_results

__all__ = ["Rolling"]

Float64 = npt.NDArray[np.float64]

_CHUNK = 2**20
"""Values of windows that are laid out side by side at once, about: 8 MB."""


class Rolling(FeatureGenerator):
    """Statistics of windows of the last rows, the row itself included.

    columns
        what to look at
    windows
        how many rows, at least 2
    statistics
        some of mean, std (of the sample, as pandas has it), min, max, median

    ``close_rolling_20_mean`` is the mean of ``close`` in rows t-19..t; gaps in time are not seen. A
    value that is missing or infinite is refused.

    Windows are computed one by one, so that a served model that sees the last rows alone gets what
    training got: feature-engine's windows end at the row before, and pandas' running sums keep the
    rounding of all that has left them (a standard deviation was seen 1e10 times too large after a
    fall of prices by orders of magnitude).
    """

    name = "rolling"

    def __init__(
        self,
        columns: str | Sequence[str],
        windows: int | Sequence[int] = (5, 20),
        statistics: str | Sequence[str] = ("mean", "std"),
    ) -> None:
        self._of = names("rolling", "columns", columns)
        self._windows = counts("rolling", "windows", windows, 2)
        self._statistics = one_of("rolling", "statistics", statistics, _STATISTICS)
        self.columns = tuple(
            f"{column}_rolling_{window}_{statistic}"
            for column in self._of for window in self._windows for statistic in self._statistics
        )  # fmt: skip
        self.warm_up = max(self._windows) - 1

    def generate(self, table: Any) -> tuple[Float64, npt.NDArray[np.int64]]:
        """Return float64 [n_rows - warm_up, n_columns] and the int64 row of each. Raises `FeatureError`."""
        found = read_columns(table, self._of, self.name, self.warm_up)
        n_rows = len(found[self._of[0]])
        features = np.empty((n_rows - self.warm_up, len(self.columns)))
        column = 0
        with np.errstate(all="ignore"):  # overflow is refused by feature and row
            for name in self._of:
                for window in self._windows:
                    values = found[name][self.warm_up - window + 1 :]
                    _fill(features[:, column : column + len(self._statistics)], values, window, self._statistics)
                    column += len(self._statistics)
        require_results(features, self.columns, self.name, self.warm_up)
        return features, np.arange(self.warm_up, n_rows, dtype=np.int64)


def _fill(features: Float64, values: Float64, window: int, statistics: Sequence[str]) -> None:
    """Write the statistics of all windows of values, a chunk of rows at a time, for windows take memory."""
    step = max(1, _CHUNK // window)
    for start in range(0, len(features), step):
        part = values[start : start + step + window - 1]
        # Lag by lag, as `technical` adds them: the window that ends at each row is a column.
        windows = np.lib.stride_tricks.sliding_window_view(part, window).T[::-1]
        for index, statistic in enumerate(statistics):
            features[start : start + step, index] = _STATISTICS[statistic](windows)


def _mean(windows: Float64) -> Float64:
    # Measured from the last value, so that the mean of a flat window is its value.
    mean: Float64 = windows[0] + (windows - windows[0]).mean(axis=0)
    return mean


def _std(windows: Float64) -> Float64:
    distance = windows - windows[0]
    deviation: Float64 = np.sqrt(((distance - distance.mean(axis=0)) ** 2).sum(axis=0) / (len(windows) - 1))
    return deviation


def _median(windows: Float64) -> Float64:
    return np.asarray(np.median(windows, axis=0))


_STATISTICS: dict[str, Callable[[Float64], Float64]] = {
    "mean": _mean,
    "std": _std,
    "min": lambda windows: np.asarray(windows.min(axis=0)),
    "max": lambda windows: np.asarray(windows.max(axis=0)),
    "median": _median,
}


@hookimpl
def glulam_features() -> type[FeatureGenerator]:
    """Return the feature generator of this file."""
    return Rolling
