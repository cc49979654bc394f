"""Looking for leaks: every check in turn, for a training run or for plain tables in a notebook."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam._tables import as_table
from glulam._targets import class_target, value_target
from glulam.dataset import Dataset, RawTable
from glulam.errors import ConfigError, FeatureError
from glulam.schema import FeatureSchema, Float32CollisionWarning
from glulam.trainspecs import Fold, LeakCase, Suspicion

__all__ = ["find_leaks", "look_for_leaks"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_FIRST = (
    "future_in_features", "future_in_columns", "label_in_feature", "label_overlap", "duplicate_rows", "row_order",
    "permuted_labels", "shifted_labels", "shuffled_gap", "implausible_score", "in_sample_scores",
)  # fmt: skip
"""The order of the checks: what is proof, before what is likely. Those of other plugins follow by name."""


def look_for_leaks(case: LeakCase, *, skip: Sequence[str] = ()) -> tuple[tuple[Suspicion, ...], tuple[str, ...]]:
    """Return what smells of a leak, and the names of the checks that looked.

    Every check that is known runs but those in ``skip`` and those that the case has nothing for. Raises ConfigError for
    a name in ``skip`` that is no check.
    """
    known = plugins.known("leak_check")
    unknown = [name for name in skip if name not in known]
    if unknown:
        raise ConfigError(f"leaks: skip: {unknown} are no leak checks; known are {known}")
    found: list[Suspicion] = []
    ran = []
    for name in sorted(known, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)):
        check = plugins.leak_check(name) if name not in skip else None
        if check is not None and check.applies(case):
            found.extend(check.find(case))
            ran.append(name)
    return tuple(found), tuple(ran)


def find_leaks(
    X: Any,
    y: Any,
    *,
    folds: Sequence[Fold] | None = None,
    splitter: Any = None,
    time: Any = None,
    scores: Any = None,
    generate: Callable[[Any], Any] | None = None,
    raw: Any = None,
    rows: Any = None,
    horizon: int = 0,
    label_end: Any = None,
    groups: Any = None,
    task: str = "auto",
    categorical: Sequence[str] = (),
    make: Callable[[], Any] | None = None,
    skip: Sequence[str] = (),
    seed: int = 42,
) -> tuple[Suspicion, ...]:
    """Return what smells of a leak in rows, labels and their evaluation; print each to read it.

    X, y
        features, as an array, a pandas, polars or pyarrow table or a mapping of columns, and labels or values; in the
        order of time where there is one
    folds, splitter
        how the evaluation splits: pairs of positions to fit and test on, or a splitter of scikit-learn's. By default
        five folds: walk-forward with a gap as long as the horizon for rows with an order, else stratified
    time
        when each row was (datetimes, or numbers that rise); says that the rows have an order
    scores
        what the evaluation reported for each row: probabilities of the second class [n], [n, n_classes], or values;
        nan where none
    raw, generate, rows
        the table that the features are made of, the function that makes them (returns a table or array with a row for
        each row that it got, nan where there is none yet, or with those rows' numbers: ``(features, rows)``), and the
        row of ``raw`` that each row of X belongs to, where it has other rows than X
    horizon, label_end
        how many rows ahead a label reads; or for each row the last row of ``raw`` that its label reads
    groups
        what belongs together
    task
        classification, regression, or auto: numbers with a fractional part or more than 20 of them are values
    make
        returns an unfitted, quick estimator to try things with; by default small boosting and linear models
    skip
        names of checks to leave out
    """
    with warnings.catch_warnings():  # nothing is served here
        warnings.simplefilter("ignore", Float32CollisionWarning)
        schema = FeatureSchema.learn(X, categorical=categorical)
    matrix = schema.encode(X)
    target = value_target(y, "find_leaks") if _is_values(y, task) else class_target(y, "find_leaks")
    if len(target.y) != len(matrix):
        raise FeatureError(f"find_leaks: X has {len(matrix)} rows and y has {len(target.y)}; give a label for each row")
    table = _raw_table(X if raw is None else raw, time, rows)
    at = _rows(rows, len(matrix), len(table))
    data = Dataset(
        X=matrix, y=target.y, schema=schema, task=target.task, classes=target.classes, horizon=0, rows=at,
        label_end=at, raw=table, groups=None if groups is None else _column(groups, "groups", len(matrix)),
    )  # fmt: skip
    data = _with_horizon(data, horizon, label_end)
    used = _folds(data, folds, splitter)
    if generate is not None and raw is None:
        raise ConfigError("find_leaks: generate needs raw, the table that it makes features of; give raw=")
    case = LeakCase(
        data,
        used,
        scores=None if scores is None else _scores(scores, data),
        generate=None if generate is None else _generator(generate, raw),
        make=make,
        seed=seed,
    )
    return look_for_leaks(case, skip=skip)[0]


def _is_values(y: Any, task: str) -> bool:
    """Tell whether y holds values and not labels."""
    if task not in ("auto", "classification", "regression"):
        raise ConfigError(f"find_leaks: task: expected 'auto', 'classification' or 'regression', got {task!r}")
    values = np.asarray(y)
    if task != "auto" or values.dtype.kind not in "fiu":
        return task == "regression"
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return False  # which is refused as labels, by a clear message
    return bool((values != np.floor(values)).any() or len(np.unique(values)) > 20)


def _column(values: Any, name: str, n_rows: int) -> Array:
    """Return one value a row as an array. Raises FeatureError for another number of them."""
    column = np.asarray(values)
    if column.shape != (n_rows,):
        raise FeatureError(
            f"find_leaks: {name}: expected one value for each of {n_rows} rows, got shape {column.shape}"
        )
    return column


def _raw_table(table: Any, time: Any, rows: Any) -> RawTable:
    """Return a table as it was given as the raw one; with the time of its rows where that is given."""
    source = as_table(table, "find_leaks")
    names = source.names or [f"x{index}" for index in range(source.n_columns)]
    columns = {name: np.asarray(source.column(index)) for index, name in enumerate(names)}
    moments = None
    if time is not None:
        given = _moments(time)
        if len(given) == source.n_rows:
            moments = given
        else:  # of the rows of X; those between have none, and only their order counts
            at = _rows(rows, len(given), source.n_rows)
            moments = np.interp(np.arange(source.n_rows), at, given).astype(np.int64)
    return RawTable(columns, moments, np.arange(source.n_rows, dtype=np.int64), "find_leaks", "")


def _moments(time: Any) -> Int64:
    """Return times as int64 that rise. Raises FeatureError where they fall or are missing."""
    values = np.asarray(time)
    if values.dtype.kind not in "iufM":
        try:
            values = np.array([_moment(value) for value in values.tolist()])
        except (TypeError, ValueError) as error:
            raise FeatureError(f"find_leaks: time: expected datetimes or numbers: {error}") from error
    if values.dtype.kind == "M":
        values = values.astype("datetime64[us]").astype(np.int64)
    falls = np.flatnonzero(~(np.diff(values) >= 0))
    if len(falls):
        raise FeatureError(
            f"find_leaks: time: row {int(falls[0]) + 1} is earlier than the row before it; sort the rows by time first"
        )
    return values.astype(np.int64)


def _moment(value: Any) -> np.datetime64:
    """Return a datetime, with a zone or without one, or its text, as microseconds in UTC."""
    if getattr(value, "tzinfo", None) is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(value, "us")


def _rows(rows: Any, n_rows: int, n_raw: int) -> Int64:
    """Return which row of the raw table each row of X belongs to."""
    if rows is None:
        if n_rows != n_raw:
            raise ConfigError(
                f"find_leaks: X has {n_rows} rows and raw has {n_raw}; give rows=, the row of raw that each row of X "
                "belongs to"
            )
        return np.arange(n_rows, dtype=np.int64)
    at = _column(rows, "rows", n_rows).astype(np.int64)
    if len(at) and (at.min() < 0 or at.max() >= n_raw):
        raise ConfigError(
            f"find_leaks: rows: expected numbers from 0 to {n_raw - 1}, got {int(at.min())} to {int(at.max())}"
        )
    return at


def _with_horizon(data: Dataset, horizon: int, label_end: Any) -> Dataset:
    """Return the data with what is said of how far labels reach."""
    if horizon < 0:
        raise ConfigError(f"find_leaks: horizon: expected 0 rows or more, got {horizon}")
    end = data.rows + horizon if label_end is None else _column(label_end, "label_end", len(data)).astype(np.int64)
    if (end < data.rows).any():
        row = int(np.flatnonzero(end < data.rows)[0])
        raise ConfigError(
            f"find_leaks: label_end: row {row}: expected {int(data.rows[row])} or later, got {int(end[row])}"
        )
    return replace(data, label_end=end, horizon=int((end - data.rows).max(initial=horizon)))


def _folds(data: Dataset, folds: Sequence[Fold] | None, splitter: Any) -> list[Fold]:
    """Return the folds as pairs of positions, checked."""
    from sklearn.model_selection import KFold, StratifiedKFold, TimeSeriesSplit

    if folds is not None and splitter is not None:
        raise ConfigError("find_leaks: folds and splitter are both given; give one of them")
    if folds is None:
        if splitter is None:
            if data.time is not None or data.horizon > 0:
                splitter = TimeSeriesSplit(5, gap=data.horizon)
            elif len(data.classes) and np.bincount(data.y).min() >= 5:
                splitter = StratifiedKFold(5, shuffle=True, random_state=0)
            else:
                splitter = KFold(5, shuffle=True, random_state=0)
        with warnings.catch_warnings():  # that groups are torn is found by a check
            warnings.filterwarnings("ignore", "The groups parameter is ignored", UserWarning)
            folds = list(splitter.split(data.X, data.y, data.groups))
    checked = []
    for number, fold in enumerate(folds):
        pair = tuple(np.flatnonzero(part) if np.asarray(part).dtype == bool else np.asarray(part) for part in fold)
        if len(pair) != 2 or any(part.ndim != 1 or part.dtype.kind not in "iu" or not len(part) for part in pair):
            raise ConfigError(f"find_leaks: fold {number}: expected positions to fit on and positions to test on")
        if max(part.max() for part in pair) >= len(data) or min(part.min() for part in pair) < 0:
            raise ConfigError(f"find_leaks: fold {number}: expected positions from 0 to {len(data) - 1}")
        checked.append((pair[0].astype(np.int64), pair[1].astype(np.int64)))
    if not checked:
        raise ConfigError("find_leaks: folds: expected at least one fold, got none")
    return checked


def _scores(scores: Any, data: Dataset) -> Float64:
    """Return scores as float64 [n_rows, n_outputs]."""
    values = np.asarray(scores, dtype=np.float64)
    if values.shape == (len(data),) and len(data.classes) == 2:
        return np.column_stack([1 - values, values])
    if values.shape == (len(data),) and data.n_outputs == 1:
        return values[:, None]
    if values.shape != (len(data), data.n_outputs):
        raise FeatureError(
            f"find_leaks: scores: expected shape {(len(data), data.n_outputs)}, got {values.shape}; nan for rows "
            "without a score"
        )
    return values


def _generator(generate: Callable[[Any], Any], raw: Any) -> Callable[[RawTable], tuple[Float64, Int64]]:
    """Return the user's function as one of raw tables: it is given the head of the user's own table."""

    def generated(table: RawTable) -> tuple[Float64, Int64]:
        made = generate(_head(raw, len(table)))
        rows = None
        if isinstance(made, tuple) and len(made) == 2:
            made, rows = made
        source = as_table(made, "generate")
        values = np.column_stack([np.asarray(source.column(i), dtype=np.float64) for i in range(source.n_columns)])
        if rows is None and len(values) != len(table):
            raise ConfigError(
                f"generate: returned {len(values)} rows for {len(table)}; return as many, nan where there is no "
                "feature yet, or (features, rows)"
            )
        return values, np.arange(len(table)) if rows is None else np.asarray(rows, dtype=np.int64)

    return generated


def _head(table: Any, n_rows: int) -> Any:
    """Return the first rows of a table of any library."""
    if isinstance(table, Mapping):
        return {name: values[:n_rows] for name, values in table.items()}
    if hasattr(table, "slice"):  # polars, pyarrow
        return table.slice(0, n_rows)
    return table.iloc[:n_rows] if hasattr(table, "iloc") else table[:n_rows]
