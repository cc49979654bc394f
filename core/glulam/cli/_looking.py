"""Looking at the first rows of somebody's data: which columns there are, and what they hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute
import typer

from glulam._reading import holds_numbers, numbers
from glulam.errors import FeatureError, GlulamError

__all__ = ["Column", "look_at"]

_ROWS = 2_000
_LEAST_COUNTED = 10
"""Fewer rows may be evenly spaced by chance."""
_ID = re.compile(r"(^|[_\W])(id|ID|Id|index)$|[a-z]I[dD]$")
_TIMES = ("timestamp", "time", "datetime", "date", "ts")


@dataclass(frozen=True, slots=True)
class Column:
    """A column by what its first rows hold.

    kind
        number (truth values as well), text, or other: dates, lists, nothing at all
    distinct
        number of distinct values among the rows looked at
    is_time, naive
        whether it tells the time of a row, and whether in no known zone
    numbers_rows
        whether it has a whole number of its own for each row, and counts or is called an id
    """

    name: str
    kind: Literal["number", "text", "other"]
    distinct: int
    is_time: bool = False
    naive: bool = False
    numbers_rows: bool = False

    @property
    def named_as_time(self) -> bool:
        """Whether the column is called like a time."""
        return self.name.lower() in _TIMES


def look_at(path: Path, query: str | None) -> list[Column]:
    """Return the columns of a file, or of a query of a database.

    Raises ArtifactError, ConfigError or FeatureError for what cannot be read; a query without a database, or the
    other way round, is wrong usage.
    """
    table = _first_rows(path, query)
    return [_looked_at(name, table.column(name).combine_chunks()) for name in table.column_names]


def _first_rows(path: Path, query: str | None) -> Any:
    from glulam.cli._data import Source
    from glulam.training._sources import is_database, run_query

    if is_database(path) != (query is not None):
        what = f"{path} is a database: give the SQL that gives the rows" if query is None else f"{path} is no database"
        raise typer.BadParameter(what, param_hint="--query")
    if query is not None:
        table = run_query(path, query)
    else:
        source = Source.open(path)
        table = next((rows for _, rows in source.chunks(source.names, _ROWS)), None)
    if table is None or not table.num_rows:
        raise FeatureError(f"{path}: no rows, only column names; give data with rows")
    return table.slice(0, _ROWS)


def _looked_at(name: str, values: Any) -> Column:
    """Return what a column holds; the text of a CSV is read as what it spells."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    values = _parsed(values.drop_null())
    distinct = len(values.unique()) if not pa.types.is_nested(values.type) else 0
    if not len(values):
        return Column(name, "other", 0)
    if holds_numbers(values.type) or pa.types.is_boolean(values.type):
        is_time = name.lower() in _TIMES and _reads_as_time(values, name, "")
        return Column(name, "number", distinct, is_time, numbers_rows=not is_time and _numbers_rows(values, name))
    zoned = _reads_as_time(values, name, "")
    naive = not zoned and _reads_as_time(values, name, "UTC")
    text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    return Column(name, "text" if text else "other", distinct, zoned or naive, naive)


def _numbers_rows(values: Any, name: str) -> bool:
    """Tell whether whole numbers are those of rows: each another one, evenly spaced or under the name of an id."""
    if not holds_numbers(values.type) or pa.types.is_decimal(values.type):
        return False
    found = numbers(pa.chunked_array([values]))
    if len(found) < _LEAST_COUNTED or (found != np.floor(found)).any() or len(np.unique(found)) < len(found):
        return False
    return len(np.unique(np.diff(found))) == 1 or bool(_ID.search(name))


def _parsed(values: Any) -> Any:
    """Return text as numbers or truth values where all of it spells such."""
    if pa.types.is_string(values.type):
        for kind in (pa.float64(), pa.bool_()):
            try:
                return pa.compute.cast(pa.compute.utf8_trim_whitespace(values), kind)
            except pa.lib.ArrowInvalid:
                continue
    return values


def _reads_as_time(values: Any, name: str, timezone: str) -> bool:
    from glulam.training.times import read_times

    try:
        read_times(values, name, timezone)
    except GlulamError:
        return False
    return True
