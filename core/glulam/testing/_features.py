"""What a feature generator must do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError, GlulamError
from glulam.hookspecs import FeatureGenerator
from glulam.testing._shared import (
    Float64,
    at,
    compare,
    instance_of,
    require,
    rows_with,
)

__all__ = ["check_feature_generator"]


def check_feature_generator(
    generator_class: type[FeatureGenerator], table: Any, params: Mapping[str, Any] | None = None
) -> None:
    """Check a feature generator on a raw table in time order, of some hundred rows.

    table
        a mapping of columns, or a pandas, polars or pyarrow table
    params
        what one is made with; nothing by default

    The rules: ``generate`` returns float64 [n, n_columns] without NaN and the int64 row of each,
    rising, from row ``warm_up`` on; of ``warm_up`` rows or fewer it makes none, or raises a
    GlulamError. Features of a row are the same, whether later rows exist or not.
    """
    generator = instance_of(generator_class, FeatureGenerator, params)
    who = f"features {generator.name!r}"
    columns, warm_up = getattr(generator, "columns", None), getattr(generator, "warm_up", None)
    require(
        isinstance(columns, tuple) and bool(columns) and len(set(columns)) == len(columns)
        and all(isinstance(name, str) for name in columns),
        f"{who}: columns: expected a tuple of distinct names, got {columns!r}",
    )  # fmt: skip
    require(
        isinstance(warm_up, int) and warm_up >= 0,
        f"{who}: warm_up: expected a number of rows, at least 0, got {warm_up!r}",
    )
    n_rows = len(next(iter(table.values()))) if isinstance(table, Mapping) else len(table)
    if n_rows < generator.warm_up + 50:
        raise ConfigError(
            f"check_feature_generator: expected a table of at least {generator.warm_up + 50} rows, got {n_rows}"
        )
    features, index = _generated(generator, who, table, n_rows)
    cuts = np.linspace(generator.warm_up + 1, n_rows - 1, 25).astype(int)
    for rows in np.unique(np.concatenate([cuts, np.arange(n_rows - 4, n_rows)])).tolist():
        known, at = _generated(generator, who, _head(table, rows), rows)
        before = np.count_nonzero(index < rows)
        require(
            np.array_equal(at, index[:before]),
            f"{who}: generate: lookahead: of the first {rows} rows alone it makes {len(at)} feature rows, of all rows "
            f"{before} before row {rows}; which rows it returns must not depend on later ones",
        )
        where = (
            f"{who}: generate: lookahead: features {list(columns or ())} change when rows from {rows} on are missing"
        )
        compare(where, features[:before], known, at, 1e-9)
    try:
        left = len(generator.generate(_head(table, generator.warm_up))[1]) if generator.warm_up else 0
    except GlulamError:
        left = 0
    require(left == 0, f"{who}: generate: expected no features of {generator.warm_up} rows (warm_up), got {left}")


def _generated(generator: FeatureGenerator, who: str, table: Any, n_rows: int) -> tuple[Float64, npt.NDArray[np.int64]]:
    """Generate, and check shapes and rows."""
    features, index = generator.generate(table)
    width = len(generator.columns)
    require(
        isinstance(features, np.ndarray) and features.dtype == np.float64 and features.ndim == 2
        and features.shape[1] == width,
        f"{who}: generate: expected float64 features with {width} columns, got "
        f"{getattr(features, 'dtype', type(features).__name__)} {np.shape(features)}",
    )  # fmt: skip
    require(
        isinstance(index, np.ndarray) and index.dtype == np.int64 and index.shape == (len(features),),
        f"{who}: generate: expected {len(features)} int64 row numbers, got "
        f"{getattr(index, 'dtype', type(index).__name__)} {np.shape(index)}",
    )
    require(
        bool((np.diff(index) > 0).all()) and (not len(index) or index[-1] < n_rows),
        f"{who}: generate: expected rising row numbers below {n_rows}, got {index[:8]} ... {index[-2:]}",
    )
    require(
        len(index) > 0 and index[0] == generator.warm_up,
        f"{who}: warm_up: expected row {generator.warm_up} of {n_rows} to be the first with features, got {index[:1]}",
    )
    odd = rows_with(np.isnan(features))
    require(
        not odd.any(),
        f"{who}: generate: expected complete rows{at(features, index, odd)}; drop such rows, or lengthen warm_up",
    )
    return features, index


def _head(table: Any, rows: int) -> Any:
    """Return the first rows of a table of any library."""
    if isinstance(table, Mapping):
        return {name: column[:rows] for name, column in table.items()}
    return table.slice(0, rows) if hasattr(table, "column_names") else table.head(rows)
