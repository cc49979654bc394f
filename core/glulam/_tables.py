"""Reading tables of any library by what they offer, without importing one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import FeatureError, FeatureTypeError

__all__ = ["Table", "as_table", "is_array", "shorten"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A table seen as columns. ``names`` is None where the source has none (arrays)."""

    names: list[str] | None
    n_rows: int
    n_columns: int
    column: Callable[[int], Array]
    categories: Callable[[int], list[Any] | None]


def is_array(table: Any) -> bool:
    """Tell whether a table is a plain array of numbers, which has no names."""
    return isinstance(table, np.ndarray) and table.dtype.kind in "fiub"


def shorten(items: list[Any], most: int = 12) -> str:
    """Return a list as text, with the tail counted instead of shown if it is long."""
    if len(items) <= most:
        return str(items)
    return f"[{', '.join(map(repr, items[:most]))}, ... {len(items) - most} more]"


def as_table(table: Any, owner: str = "glulam") -> Table:
    """Read an array, a pandas, polars or pyarrow table, or a mapping of columns.

    Raises FeatureTypeError for anything else, FeatureError for a table of the wrong shape.
    """
    library = type(table).__module__.partition(".")[0]
    if library == "pandas" and hasattr(table, "iloc") and hasattr(table, "columns"):
        return _from_pandas(table, owner)
    if library == "polars" and (hasattr(table, "get_columns") or hasattr(table, "collect")):
        return _from_polars(table, owner)
    if library == "pyarrow" and hasattr(table, "column_names"):
        return _from_pyarrow(table, owner)
    if hasattr(table, "toarray") and hasattr(table, "nnz"):
        raise FeatureTypeError(f"{owner}: Sparse data was passed, but dense data is required; use .toarray()")
    if isinstance(table, Mapping):
        return _from_mapping(table, owner)
    return _from_array(table, owner)


def _checked(names: list[Any] | None, n_rows: int, n_columns: int, owner: str) -> list[str] | None:
    """Check names and size; names that are not all strings count as none, as in scikit-learn."""
    if n_columns == 0:
        raise FeatureError(
            f"{owner}: 0 feature(s) (shape=({n_rows}, 0)) while a minimum of 1 is required; give at least one column"
        )
    if n_rows == 0:
        raise FeatureError(
            f"{owner}: the table is empty: 0 sample(s) (shape=(0, {n_columns})) while a minimum of 1 is required"
        )
    if names is None:
        return None
    kinds = {isinstance(name, str) for name in names}
    if kinds == {True, False}:
        raise FeatureTypeError(
            f"{owner}: Feature names are only supported if all input features have string names; "
            f"got {shorten(names)}; rename the columns, for example by X.columns = X.columns.astype(str)"
        )
    if kinds == {False}:
        return None
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise FeatureError(f"{owner}: column names must be unique; {shorten(twice)} come more than once")
    return list(names)


def _from_pandas(table: Any, owner: str) -> Table:
    names = _checked(list(table.columns), len(table), table.shape[1], owner)

    def column(index: int) -> Array:
        series = table.iloc[:, index]
        if getattr(series.dtype, "kind", "O") in "fiubc" and isinstance(series.dtype, np.dtype):
            return np.asarray(series.to_numpy())
        if hasattr(series, "cat"):
            return np.asarray(series.astype(object).to_numpy(dtype=object))
        # Nullable and Arrow dtypes: NA becomes None, so that a number column stays one.
        return np.asarray(series.astype(object).where(series.notna(), None).to_numpy(dtype=object))

    def categories(index: int) -> list[Any] | None:
        dtype = table.iloc[:, index].dtype
        return dtype.categories.tolist() if hasattr(dtype, "categories") else None

    return Table(names, len(table), table.shape[1], column, categories)


def _from_polars(table: Any, owner: str) -> Table:
    if hasattr(table, "collect"):
        raise FeatureTypeError(f"{owner}: a polars LazyFrame has no rows yet; call .collect() first")
    names = _checked(list(table.columns), table.height, table.width, owner)

    def column(index: int) -> Array:
        series = table.to_series(index)
        if series.null_count() == 0 and (series.dtype.is_numeric() or str(series.dtype) == "Boolean"):
            return np.asarray(series.to_numpy())
        return np.array(series.to_list(), dtype=object)

    def categories(index: int) -> list[Any] | None:
        series = table.to_series(index)
        if type(series.dtype).__name__ not in {"Categorical", "Enum"}:
            return None
        if type(series.dtype).__name__ == "Enum":
            return list(series.dtype.categories.to_list())
        return sorted(value for value in series.unique().to_list() if value is not None)

    return Table(names, table.height, table.width, column, categories)


def _from_pyarrow(table: Any, owner: str) -> Table:
    names = _checked(list(table.column_names), table.num_rows, table.num_columns, owner)

    def column(index: int) -> Array:
        values = table.column(index)
        if values.null_count or "dictionary" in str(values.type):
            return np.array(values.to_pylist(), dtype=object)
        return np.asarray(values)

    def categories(index: int) -> list[Any] | None:
        values = table.column(index)
        if "dictionary" not in str(values.type):
            return None
        return sorted(value for value in values.unique().to_pylist() if value is not None)

    return Table(names, table.num_rows, table.num_columns, column, categories)


def _from_mapping(table: Mapping[Any, Any], owner: str) -> Table:
    columns: dict[Any, Array] = {}
    for name, values in table.items():
        array = _array_of_list(values) if isinstance(values, list) else _unmasked(np.asanyarray(values))
        if array.ndim != 1:
            raise FeatureError(f"{owner}: column {name!r}: expected one value a row (1-d), got shape {array.shape}")
        columns[name] = array
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise FeatureError(f"{owner}: columns of a mapping must be of one length; got {lengths}")
    n_rows = next(iter(lengths.values()), 0)
    names = _checked(list(columns), n_rows, len(columns), owner)
    arrays = list(columns.values())
    return Table(names, n_rows, len(arrays), lambda index: arrays[index], lambda index: None)


def _unmasked(array: Array) -> Array:
    """Return a plain array; what a masked one hides is missing."""
    if isinstance(array, np.ma.MaskedArray) and array.dtype.kind not in "biuf":
        plain = np.ma.getdata(array).astype(object)
        plain[np.ma.getmaskarray(array)] = None
        return np.asarray(plain)
    if isinstance(array, np.ma.MaskedArray):
        return np.ma.filled(np.ma.asarray(array, dtype=np.float64), np.nan)
    return np.asarray(array)


def _array_of_list(values: list[Any]) -> Array:
    """Return a list as an array without numpy turning mixed values into text."""
    mixed = any(isinstance(value, (str, bytes)) or value is None for value in values)
    return np.array(values, dtype=object) if mixed else np.asarray(values)


def _from_array(table: Any, owner: str) -> Table:
    if isinstance(table, (str, bytes)) or table is None:
        raise FeatureTypeError(f"{owner}: expected a table of features, got {type(table).__name__}")
    try:
        array = _unmasked(np.asanyarray(table))
    except ValueError as error:
        raise FeatureError(f"{owner}: rows of different lengths make no table: {error}") from error
    if array.ndim != 2:
        advice = (
            "Reshape your data: array.reshape(1, -1) if it is a single row, array.reshape(-1, 1) if a single feature"
            if array.ndim < 2
            else "give one row a sample and one column a feature"
        )
        raise FeatureError(f"{owner}: Expected 2D array, got {array.ndim}D array instead. {advice}")
    _checked(None, array.shape[0], array.shape[1], owner)
    return Table(None, array.shape[0], array.shape[1], lambda index: array[:, index], lambda index: None)
