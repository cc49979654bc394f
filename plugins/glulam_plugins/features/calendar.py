"""The ``calendar`` feature generator: the hour, the day of the week and other parts of a row's time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pandas as pd
from feature_engine.creation import CyclicalFeatures
from feature_engine.datetime import DatetimeFeatures

from glulam.errors import ConfigError, FeatureError
from glulam.hookspecs import FeatureGenerator, hookimpl
from glulam_plugins.features._candles import column_names, read_times
from glulam_plugins.features._generating import one_of, transformed

__all__ = ["Calendar"]

_CYCLES = {
    "second": 60, "minute": 60, "hour": 24, "day_of_week": 7, "day_of_month": 31, "day_of_year": 366, "week": 53,
    "month": 12, "quarter": 4, "semester": 2,
}  # fmt: skip
_MARKS = (
    "year", "weekend", "month_start", "month_end", "quarter_start", "quarter_end", "year_start", "year_end",
)  # fmt: skip
"""Parts that have no cycle: they stay as they are."""


class Calendar(FeatureGenerator):
    """Parts of the time of a row, by feature-engine's DatetimeFeatures and CyclicalFeatures.

    time
        column of times: datetimes, ISO 8601 text, or whole numbers since 1970
    parts
        some of second, minute, hour, day_of_week (Monday is 0), day_of_month, day_of_year, week, month,
        quarter, semester, year, weekend, month_start, month_end, quarter_start, quarter_end, year_start,
        year_end (these from weekend on are 0 or 1)
    cyclic
        give sine and cosine of a part instead of its number, so that hour 23 is next to hour 0
    timezone
        where the clock hangs, such as ``Europe/Berlin``; times without a zone count as UTC

    Features are ``timestamp_hour``, or ``timestamp_hour_sin`` and ``timestamp_hour_cos``.
    """

    name = "calendar"
    distributions = ("feature-engine", "pandas")
    warm_up = 0

    def __init__(
        self,
        time: str = "timestamp",
        parts: str | Sequence[str] = ("hour", "day_of_week"),
        cyclic: bool = False,
        timezone: str = "UTC",
    ) -> None:
        if not isinstance(time, str) or not time:
            raise ConfigError(f"calendar: time: expected the name of a column, got {time!r}; such as 'timestamp'")
        if not isinstance(cyclic, bool):
            raise ConfigError(f"calendar: cyclic: expected true or false, got {cyclic!r}")
        self._time, self._parts = time, one_of("calendar", "parts", parts, (*_CYCLES, *_MARKS))
        self._zone = _zone(timezone)
        self._cycles = {f"{time}_{part}": _CYCLES[part] for part in self._parts if cyclic and part in _CYCLES}
        plain = [f"{time}_{part}" for part in self._parts]
        self.columns = tuple(
            column for name in plain for column in ((f"{name}_sin", f"{name}_cos") if name in self._cycles else (name,))
        )

    def generate(self, table: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Return float64 [n_rows, n_columns] and the int64 row of each. Raises `FeatureError`."""
        there = column_names(table, self.name)
        if self._time not in there:
            raise FeatureError(
                f"calendar: column {self._time!r} is missing: got {there}; name the column of times: time=..."
            )
        instants = read_times(table[self._time], self._time, self.name)
        if not len(instants):
            raise FeatureError("calendar: the table has no rows; give at least one")
        clock = pd.Series(instants.view("datetime64[us]")).dt.tz_localize("UTC").dt.tz_convert(self._zone)
        maker = DatetimeFeatures(variables=[self._time], features_to_extract=list(self._parts))
        frame = transformed(maker, pd.DataFrame({self._time: clock}))
        if self._cycles:
            maker = CyclicalFeatures(variables=list(self._cycles), max_values=self._cycles)
            frame = transformed(maker, frame.astype(np.float64))
        features = frame[list(self.columns)].to_numpy(dtype=np.float64)
        return features, np.arange(len(instants), dtype=np.int64)


def _zone(timezone: Any) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (KeyError, OSError, TypeError, ValueError, AttributeError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise ConfigError(
            f"calendar: timezone: expected a name such as 'UTC' or 'Europe/Berlin', got {timezone!r}"
        ) from error


@hookimpl
def glulam_features() -> type[FeatureGenerator]:
    """Return the feature generator of this file."""
    return Calendar
