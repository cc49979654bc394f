"""What reading data files has in common: pyarrow's complaints as errors of glulam, and its columns as numpy's.

Only buffers are exchanged: pyarrow's own conversions import pandas where it is installed, which
a prediction has no use for.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from glulam.errors import ArtifactError, FeatureError, GlulamError

__all__ = [
    "flat", "holds_numbers", "not_utf8", "numbers", "objects", "read_csv", "read_parquet", "reading", "require_unique",
    "rows_of",
]  # fmt: skip

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]

_PLACE = re.compile(
    r"""^(?:\w+:\ )?                                              # who found it
        (?:(?P<column>column\ (?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|y),\ )?
        row\ (?P<row>\d+):\ (?P<rest>.*)$""",
    re.VERBOSE | re.DOTALL,
)


def read_csv(source: Any, text: Iterable[str] = ()) -> Any:
    """Return a whole CSV as a pyarrow table; types are inferred but those of the columns ``text``."""
    return pa.csv.read_csv(
        source,
        # Without threads pyarrow knows the row of an error.
        read_options=pa.csv.ReadOptions(use_threads=False),
        convert_options=pa.csv.ConvertOptions(strings_can_be_null=True, column_types=dict.fromkeys(text, pa.string())),
    )


def read_parquet(source: Any) -> Any:
    """Return a whole Parquet file as a pyarrow table."""
    return pa.parquet.read_table(source)


def require_unique(names: Sequence[str], source: object) -> None:
    """Refuse column names that come more than once."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FeatureError(f"{source}: column names must be unique; {twice} come more than once")


def not_utf8(what: object) -> ArtifactError:
    """Return the error of a file, or a column of one, whose text is in another encoding."""
    return ArtifactError(f"{what} is not UTF-8; save it as UTF-8")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise ArtifactError for what pyarrow and the system say of a file that cannot be read."""
    try:
        yield
    except pa.lib.ArrowCancelled:
        raise KeyboardInterrupt from None
    except UnicodeDecodeError as error:  # of column names
        raise not_utf8(path) from error
    except (pa.lib.ArrowException, OSError) as error:
        if isinstance(error, GlulamError):
            raise
        if "invalid UTF8 data" in str(error):
            raise not_utf8(path) from error
        # pyarrow counts the header as row 1.
        detail = re.sub(r"Row #(\d+)", lambda found: f"row {int(found[1]) - 1}", str(error))
        raise ArtifactError(f"{path}: cannot be read: {detail}; write the file again") from error


@contextlib.contextmanager
def rows_of(path: Path | str, rows: Sequence[int] | None = None) -> Iterator[None]:
    """Say file and row in the file in every FeatureError of a table.

    ``rows`` tells for each row of the table which of the file it is, counted from 0; None if all are.
    """
    try:
        yield
    except FeatureError as error:
        found = _PLACE.match(str(error))
        if found is None:
            raise type(error)(f"{path}: {error}") from error
        row = int(found["row"])
        where = f"{path}, row {(row if rows is None else int(rows[row])) + 1}"
        column = f", {found['column']}" if found["column"] else ""
        raise type(error)(f"{where}{column}: {found['rest']}") from error


def holds_numbers(kind: Any) -> bool:
    """Tell whether a pyarrow type is of numbers (no booleans, dates or text)."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def numbers(column: Any) -> Float64:
    """Return a pyarrow column of numbers or booleans as float64 [n_rows], NaN where it is missing."""
    values = flat(column)
    if pa.types.is_boolean(values.type):
        values = pa.compute.cast(values, pa.uint8())
    values = pa.compute.cast(values, pa.float64(), safe=False)
    found = np.frombuffer(values.buffers()[1], dtype=np.float64)[values.offset :][: len(values)].copy()
    if values.null_count:
        missing = pa.compute.cast(values.is_null(), pa.uint8())
        found[np.frombuffer(missing.buffers()[1], dtype=np.uint8)[missing.offset :][: len(missing)] == 1] = np.nan
    return found


def objects(column: Any) -> Array:
    """Return a pyarrow column as Python objects [n_rows], None where it is missing."""
    found = np.empty(len(column), dtype=object)
    found[:] = column.to_pylist()
    return found


def flat(column: Any) -> Any:
    """Return a column in one piece."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
