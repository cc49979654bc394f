"""Reading candles: OHLCV columns and timestamps of any library's table, without importing one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import FeatureError, FeatureTypeError

__all__ = ["OHLCV", "column_names", "numbers", "read_bars", "read_time", "read_times"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

OHLCV = ("open", "high", "low", "close", "volume")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNITS = ((10**11, 1_000_000, 1), (10**14, 1_000, 1), (10**17, 1, 1))
"""Of whole numbers below a size: factor and divisor that make microseconds. Beyond are nanoseconds."""


def read_bars(table: Any, owner: str, also: tuple[str, ...] = ()) -> Float64:
    """Return the OHLCV columns of a table as float64 [n_rows, 5]; missing values become nan.

    Raises `FeatureError` if columns (those in ``also`` too) are missing, empty or of different
    lengths, `FeatureTypeError` for what is no table or no numbers.
    """
    names = column_names(table, owner)
    expected = (*also, *OHLCV)
    missing = [name for name in expected if name not in names]
    if missing:
        raise FeatureError(
            f"{owner}: columns {missing} are missing: expected {list(expected)}, got {names}; "
            "rename the columns (names are matched exactly; an index must become a column)"
        )
    columns = [numbers(table[name], name, owner) for name in OHLCV]
    lengths = {name: len(column) for name, column in zip(OHLCV, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        raise FeatureError(f"{owner}: columns must be of one length, got {lengths}")
    if lengths["close"] == 0:
        raise FeatureError(f"{owner}: the table has no rows; give at least one bar")
    return np.column_stack(columns)


def column_names(table: Any, owner: str) -> list[Any]:
    """Return the names of a table's columns. Raises `FeatureTypeError` for what is no table."""
    if hasattr(table, "collect_schema") and hasattr(table, "collect"):
        raise FeatureTypeError(f"{owner}: a lazy table has no rows yet; call .collect() first")
    if isinstance(table, Mapping):
        return list(table)
    # pyarrow's `columns` are the arrays themselves, so its names come first.
    names = getattr(table, "column_names", getattr(table, "columns", None))
    if names is None:
        raise FeatureTypeError(
            f"{owner}: expected a pandas, polars or pyarrow table or a mapping of columns, "
            f"got {type(table).__name__}; name the columns, for example {{'close': [...], ...}}"
        )
    return list(names)


def numbers(column: Any, name: str, owner: str) -> Float64:
    """Return a column as float64; None and null become nan, dates and truth values are refused."""
    try:
        values = np.asarray(column)
        if values.dtype.kind in "bcmM":
            raise TypeError(f"it holds {values.dtype}")
        values = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FeatureTypeError(
            f"{owner}: column {name!r}: expected numbers, got other values ({error}); cast it to float64"
        ) from error
    _require_1d(values, name, owner)
    return values


def _require_1d(values: npt.NDArray[Any], name: str, owner: str) -> None:
    if values.ndim != 1:
        raise FeatureError(
            f"{owner}: column {name!r}: expected one value a row, got shape {values.shape}; "
            "a name must belong to one column"
        )


def read_times(column: Any, name: str, owner: str) -> Int64:
    """Return timestamps as int64 microseconds since 1970, UTC.

    Raises `FeatureError` naming the first row that holds none.
    """
    # numpy alone makes a slow array of objects from pandas' zoned column; asked for datetime64, UTC.
    zoned = getattr(getattr(column, "dtype", None), "tz", None) is not None
    values = np.asarray(column, dtype="datetime64[us]") if zoned else np.asarray(column)
    _require_1d(values, name, owner)
    if values.dtype.kind == "O":
        values = np.asarray(values.tolist())
    if values.dtype.kind == "M":
        _refuse_times(np.isnat(values), values, name, owner)
        return values.astype("datetime64[us]").view(np.int64)
    if values.dtype.kind == "f":
        # nan is not below anything, so it is refused too.
        _refuse_times(~(np.abs(values) < 2.0**63) | (values != np.trunc(values)), values, name, owner)
    if values.dtype.kind in "iuf":
        return _from_epoch(values.astype(np.int64))
    instants = [_instant(value) for value in values.tolist()]
    _refuse_times(np.array([instant is None for instant in instants]), values, name, owner)
    return np.array(instants, dtype=np.int64)


def read_time(value: Any, owner: str) -> int:
    """Return one timestamp as `read_times` does, without the time that an array takes."""
    if isinstance(value, np.generic):
        value = (value.astype("datetime64[us]") if isinstance(value, np.datetime64) else value).item()
    instant = _instant(int(value) if type(value) is float and value.is_integer() else value)
    if instant is None:
        raise FeatureError(
            f"{owner}: timestamp: {value!s} is no timestamp; give a datetime, ISO 8601 text such as "
            "2018-01-01T04:00:00Z, or a whole number since 1970"
        )
    return instant


def _from_epoch(values: Int64) -> Int64:
    size = np.abs(values)
    return np.select([size < limit for limit, *_ in _UNITS], [values * up for _, up, _ in _UNITS], values // 1_000)


def _instant(value: Any) -> int | None:
    """Return one text, date, datetime or number as microseconds since 1970, or None if it is none."""
    try:
        if type(value) is int:
            size = abs(value)
            up, down = next((unit for limit, *unit in _UNITS if size < limit), (1, 1_000))
            return value * up // down if size < 2**63 else None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, date) and not isinstance(moment, datetime):
            moment = datetime.combine(moment, time())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int((moment - _EPOCH) // _MICROSECOND)
    except (AttributeError, OverflowError, TypeError, ValueError):
        # pandas' NaT comes through as a datetime and fails only at int().
        return None


def _refuse_times(bad: Mask, values: npt.NDArray[Any], name: str, owner: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise FeatureError(
            f"{owner}: column {name!r}, row {row}: {values[row]!s} is no timestamp ({int(bad.sum())} such "
            "rows); give datetimes, ISO 8601 text such as 2018-01-01T04:00:00Z, or whole numbers since 1970"
        )
