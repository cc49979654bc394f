"""What generators with parameters share: their parameters, the columns they read, and feature-engine's frames."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError, FeatureError
from glulam_plugins.features._candles import column_names, numbers

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["counts", "names", "one_of", "read_columns", "require_new", "require_results", "transformed"]

Float64 = npt.NDArray[np.float64]


def names(owner: str, what: str, given: Any) -> tuple[str, ...]:
    """Return column names given as one or several. Raises ConfigError for none, for others, and for repeated ones."""
    found = (given,) if isinstance(given, str) else _several(given)
    if not found or not all(isinstance(name, str) and name for name in found):
        raise ConfigError(f"{owner}: {what}: expected names of columns, got {given!r}; for example {what}=['close']")
    _require_distinct(owner, what, found)
    return found


def counts(owner: str, what: str, given: Any, least: int) -> tuple[int, ...]:
    """Return numbers of rows given as one or several. Raises ConfigError for others than whole ones from ``least``."""
    found = (given,) if isinstance(given, int) else _several(given)
    if not found or not all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= least for n in found):
        raise ConfigError(
            f"{owner}: {what}: expected numbers of rows, at least {least}, got {given!r}; for example {what}=[5, 20]"
        )
    _require_distinct(owner, what, found)
    return tuple(map(int, found))


def one_of(owner: str, what: str, given: Any, known: Iterable[str]) -> tuple[str, ...]:
    """Return some of the known names. Raises ConfigError for others."""
    found = (given,) if isinstance(given, str) else _several(given)
    if unknown := [name for name in found if name not in known]:
        raise ConfigError(f"{owner}: {what}: unknown {unknown}; expected some of {list(known)}")
    if not found:
        raise ConfigError(f"{owner}: {what}: expected some of {list(known)}, got none")
    _require_distinct(owner, what, found)
    return found


def require_new(owner: str, made: Sequence[str], read: Sequence[str]) -> None:
    """Raise ConfigError where a feature would have the name of another, or of a column that is read."""
    taken = [name for name in dict.fromkeys(made) if name in read or list(made).count(name) > 1]
    if taken:
        raise ConfigError(
            f"{owner}: features {taken} would have the name of a column or of another one; rename columns"
        )


def _several(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, Sequence | np.ndarray) and not isinstance(given, str) else ()


def _require_distinct(owner: str, what: str, found: tuple[Any, ...]) -> None:
    if len(set(found)) < len(found):
        twice = [name for name in dict.fromkeys(found) if found.count(name) > 1]
        raise ConfigError(f"{owner}: {what}: {twice} come more than once; name each once")


def read_columns(table: Any, columns: Sequence[str], owner: str, warm_up: int = 0) -> dict[str, Float64]:
    """Return columns as finite float64.

    Raises `FeatureError` for missing columns, too few rows, and values that are missing or not finite;
    `FeatureTypeError` for what is no table or no numbers.
    """
    there = column_names(table, owner)
    if missing := [name for name in columns if name not in there]:
        raise FeatureError(f"{owner}: columns {missing} are missing: got {there}; names are matched exactly")
    found = {name: numbers(table[name], name, owner) for name in columns}
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        raise FeatureError(f"{owner}: columns must be of one length, got {lengths}")
    n_rows = next(iter(lengths.values()))
    if not n_rows:
        raise FeatureError(f"{owner}: the table has no rows; give at least one")
    if n_rows <= warm_up:
        raise FeatureError(
            f"{owner}: expected more than {warm_up} rows (the first {warm_up} have no complete features), got "
            f"{n_rows}; give a longer history"
        )
    advice = "fill such values, or drop their rows, first"
    for name, values in found.items():
        _require_finite(values, f"column {name!r}", owner, advice)
    return found


def _require_finite(values: Float64, what: str, owner: str, advice: str, first: int = 0) -> None:
    """Raise FeatureError for the first value that is nan or infinite; ``first`` is the row of the first one."""
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.argmax(bad))
        raise FeatureError(
            f"{owner}: {what}, row {row + first}: expected a finite number, got {values[row]} "
            f"({int(bad.sum())} such rows); {advice}"
        )


def require_results(features: Float64, columns: Sequence[str], owner: str, first: int = 0) -> None:
    """Raise FeatureError for the first feature [n_rows, n_columns] that overflowed, in rows from ``first`` on."""
    for index, name in enumerate(columns):
        _require_finite(features[:, index], f"feature {name!r}", owner, "values near float64's limit do this", first)


def transformed(transformer: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """Return what a transformer of feature-engine makes of a frame."""
    with warnings.catch_warnings():
        # feature-engine 1.9 calls what pandas is about to drop: its concern, not that of whoever asks for features.
        for category in (DeprecationWarning, FutureWarning):
            warnings.filterwarnings("ignore", category=category, module=r"feature_engine\.")
        made: pd.DataFrame = transformer.fit_transform(frame)
    return made
