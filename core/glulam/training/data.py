"""Reading the rows to learn from: a table in the order of its time, each row once, or an error that says why not."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from glulam._reading import flat, holds_numbers, numbers, objects, require_unique, rows_of
from glulam.dataset import RawTable
from glulam.errors import ConfigError, FeatureError, FeatureTypeError
from glulam.training._sources import find_source, is_database, read_file, run_query
from glulam.training.config import DataConfig
from glulam.training.times import read_moment, read_times, time_text

__all__ = ["in_window", "read_raw"]

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_DAY = 86_400_000_000
_SHOWN = 3


def read_raw(config: DataConfig, base: Path, *, needs_time: bool) -> RawTable:
    """Return the rows that a config names, in the order of their time where they have one.

    base
        the directory that ``config.path`` is relative to
    needs_time
        whether rows must have a time: its column is then ``timestamp`` if the config names none

    The time column is not among the table's columns. Rows of a query are hashed as they came: without ORDER BY
    a database may give them in another order the next time.

    Raises ArtifactError for a file or database that cannot be read, ConfigError for what the config should say
    otherwise, and FeatureError for the rows themselves, naming the row in the file, counted from 1.
    """
    path = find_source(config.path, config.query, base)
    time_name = config.time or ("timestamp" if needs_time else "")
    _check_windows(config, time_name)
    if is_database(path):
        table, digest = run_query(path, config.query), ""
    else:
        table, digest = read_file(path, (time_name,) if time_name else ())
    names = table.column_names
    require_unique(names, path)
    _check_names(config, time_name, names, path)
    if not table.num_rows:
        what = "the query gives no rows" if is_database(path) else "no rows, only column names; give a file with data"
        raise FeatureError(f"{path}: {what}")
    with rows_of(path):
        time = read_times(table.column(time_name), time_name, config.timezone) if time_name else None
        columns = _columns(table, time_name, config)
    raw = RawTable(columns, time, np.arange(table.num_rows), str(path), digest or _digest(columns, time))
    return raw if time is None else _in_order(_within(raw, config), time_name, config)


# -- columns ---------------------------------------------------------------------------------


def _check_windows(config: DataConfig, time_name: str) -> None:
    """Refuse to choose rows by a time that they do not have."""
    asked = [key for key in ("since", "until", "days") if getattr(config, key)]
    if asked and not time_name:
        raise ConfigError(f"data.{asked[0]} needs to know the time of each row; name its column by data.time")


def _check_names(config: DataConfig, time_name: str, names: list[str], path: Path) -> None:
    """Refuse columns that the table has not."""
    asked = {"time": (time_name,), "group": (config.group,), "drop": config.drop, "categorical": config.categorical}
    for key, wanted in asked.items():
        for name in wanted:
            if not name or name in names:
                continue
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            if key == "time" and not config.time:
                hint += "rows need a time here: name its column by data.time; "
            raise FeatureError(f"{path}: data.{key}: no column {name!r}; {hint}the table has {names}")


def _columns(table: Any, time_name: str, config: DataConfig) -> dict[str, Array]:
    """Return the columns but the time's; dropped ones only if they can be had."""
    found = {}
    for name in table.column_names:
        if time_name and name == time_name:
            continue
        values = _values(table.column(name), name)
        if values is not None:
            found[name] = values
        elif name not in config.drop:
            raise FeatureTypeError(
                f"column {name!r}: holds {table.column(name).type}; expected numbers, true/false or text: convert it, "
                "or leave it out by data.drop"
            )
    return found


def _values(column: Any, name: str) -> Array | None:
    """Return a column as float64, int64, bool or text, None for what is none of them."""
    values = flat(column)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if pa.types.is_boolean(kind) or _is_text(kind):
        whole = pa.types.is_boolean(kind) and not values.null_count
        return np.array(values.to_pylist(), dtype=bool) if whole else objects(values)
    if pa.types.is_null(kind):
        return np.full(len(values), np.nan)
    if pa.types.is_integer(kind) and not values.null_count:
        try:
            return np.array(pc.cast(values, pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)
        except pa.lib.ArrowInvalid:  # beyond int64
            return numbers(values)
    if holds_numbers(kind):
        return numbers(values)
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind):
        return objects(pc.cast(values, pa.string()))
    return None


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _digest(columns: Mapping[str, Array], time: Int64 | None) -> str:
    """Return the sha256 of rows that come from no file of their own."""
    found = hashlib.sha256()
    for name, values in (*columns.items(), ("", time)) if time is not None else columns.items():
        found.update(json.dumps([name, values.dtype.str, len(values)]).encode())
        found.update(json.dumps(values.tolist()).encode() if values.dtype == object else values.tobytes())
    return found.hexdigest()


# -- time ------------------------------------------------------------------------------------


def in_window(raw: RawTable, config: DataConfig) -> Mask:
    """Return which rows are of the time that counts, bool [n_rows].

    Raises FeatureError where none is, ConfigError for a window of rows without a time.
    """
    if raw.time is None:
        _check_windows(config, "")
        return np.ones(len(raw), dtype=bool)
    time = raw.time
    keep = np.ones(len(raw), dtype=bool)
    if config.since:
        keep &= time >= read_moment(config.since, "since", config.timezone)
    if config.until:
        keep &= time < read_moment(config.until, "until", config.timezone)
    if config.days and keep.any():
        keep &= time > time[keep].max() - config.days * _DAY
    if not keep.any():
        raise FeatureError(
            f"{raw.source}: no row is left by {_window(config)}; the table has {time_text(time.min())} to "
            f"{time_text(time.max())}"
        )
    return np.asarray(keep)


def _within(raw: RawTable, config: DataConfig) -> RawTable:
    """Return the rows of the time that counts."""
    keep = in_window(raw, config)
    if keep.all():
        return raw
    return _noting(raw.take(keep), f"{int((~keep).sum()):,} of {len(raw):,} rows left out by {_window(config)}")


def _window(config: DataConfig) -> str:
    return ", ".join(
        f"data.{key} = {getattr(config, key)!r}" for key in ("since", "until", "days") if getattr(config, key)
    )


def _in_order(raw: RawTable, name: str, config: DataConfig) -> RawTable:
    """Return the rows sorted by time, each once; without ``drop_bad`` they must be so already."""
    time = _time(raw)
    earlier = np.flatnonzero(np.diff(time) < 0) + 1
    if len(earlier) and not config.drop_bad:
        first = int(earlier[0])
        raise FeatureError(
            f"{raw.source}, row {raw.file_rows[first] + 1}, column {name!r}: {time_text(time[first])} is earlier than "
            f"the row before ({len(earlier)} such rows); sort the rows by time, or set data.drop_bad = true, which "
            "sorts them"
        )
    if len(earlier):
        raw = _noting(
            raw.take(np.argsort(time, kind="stable")), f"sorted: {len(earlier)} rows were earlier than the row before"
        )
    return _each_once(raw, name, config)


def _each_once(raw: RawTable, name: str, config: DataConfig) -> RawTable:
    """Leave out what ``drop_bad`` may: rows that repeat an earlier one wholly. In groups each may have its own row."""
    time = _time(raw)
    groups = _codes(raw.columns[config.group]) if config.group else np.zeros(len(raw), dtype=np.int64)
    order = np.lexsort((groups, time))  # stable, so that the first of equals stays first
    again = np.append(False, (np.diff(time[order]) == 0) & (np.diff(groups[order]) == 0))
    if not again.any():
        return raw
    # Of each run of equal times the first: repeats are compared with it.
    starts = np.maximum.accumulate(np.where(again, 0, np.arange(len(raw))))
    repeats, firsts = order[again], order[starts[again]]
    differ = ~_same(raw, repeats, firsts)
    shown = _first_times(time[repeats])
    what = f"{raw.source}: column {name!r}: {len(repeats)} rows have the time of an earlier row ({shown})"
    if differ.any():
        where = f"the first in row {raw.file_rows[repeats[differ].min()] + 1}"
        advice = "" if config.group else ", or name the column of the series that they belong to by data.group"
        raise FeatureError(
            f"{what}, and {int(differ.sum())} of them other values ({where}), so that nobody can tell which are right; "
            f"leave out the wrong ones{advice}"
        )
    if not config.drop_bad:
        raise FeatureError(f"{what}, with the same values; leave them out, or set data.drop_bad = true, which does so")
    keep = np.ones(len(raw), dtype=bool)
    keep[repeats] = False
    return _noting(raw.take(keep), f"{len(repeats)} rows left out that repeat an earlier one ({shown})")


def _same(raw: RawTable, rows: Int64, others: Int64) -> Mask:
    """Tell which rows have the values of the others in every column."""
    found = np.ones(len(rows), dtype=bool)
    for values in raw.columns.values():
        left, right = values[rows], values[others]
        equal = np.asarray(left == right, dtype=bool)
        found &= equal | (np.isnan(left) & np.isnan(right)) if values.dtype.kind == "f" else equal
    return found


def _codes(values: Array) -> Int64:
    """Return a number for each distinct value."""
    return np.unique(np.array([str(value) for value in values.tolist()]), return_inverse=True)[1].astype(np.int64)


def _first_times(times: Int64) -> str:
    distinct = np.unique(times)
    return ", ".join(time_text(time) for time in distinct[:_SHOWN]) + (", ..." if len(distinct) > _SHOWN else "")


def _noting(raw: RawTable, finding: str) -> RawTable:
    return replace(raw, findings=(*raw.findings, finding))


def _time(raw: RawTable) -> Int64:
    return np.empty(0, dtype=np.int64) if raw.time is None else raw.time
