"""Dataset: rows to learn from with their labels, and what is known of where both came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.program import Task
from glulam.schema import FeatureSchema

__all__ = ["Dataset", "Labels", "RawTable"]

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RawTable:
    """A table as it was read and checked, in the order of its time where it has one.

    columns
        arrays [n_rows] by name: float64, int64, bool, or text (object, None where missing)
    time
        int64 [n_rows], microseconds since 1970 in UTC; None where the rows have no time
    file_rows
        int64 [n_rows], which row of the source each is, counted from 0
    source
        what errors and reports call it
    sha256
        of the rows as they were read
    findings
        what the checks of the table noted, a line each
    """

    columns: Mapping[str, Array]
    time: Int64 | None
    file_rows: Int64
    source: str
    sha256: str
    findings: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.file_rows)

    def take(self, rows: Array) -> RawTable:
        """Return some of the rows, by position or mask."""
        return replace(
            self,
            columns={name: values[rows] for name, values in self.columns.items()},
            time=None if self.time is None else self.time[rows],
            file_rows=self.file_rows[rows],
        )

    def head(self, n_rows: int) -> RawTable:
        """Return the first rows, as if the later ones had not happened yet."""
        return replace(
            self,
            columns={name: values[:n_rows] for name, values in self.columns.items()},
            time=None if self.time is None else self.time[:n_rows],
            file_rows=self.file_rows[:n_rows],
        )


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of the rows of a raw table.

    y
        [n_rows], labels or values; what it holds where ``known`` is false means nothing
    known
        bool [n_rows]; false where the table ends before the label is known, or where it begins too late for it
    end
        int64 [n_rows], the last row that the label reads: the row itself, or a later one
    """

    y: Array
    known: npt.NDArray[np.bool_]
    end: Int64


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows to learn from, in the order of their time where they have one.

    X
        float32 [n_rows, n_features], as ``schema`` encodes them
    y
        class positions, int64 [n_rows], or values, float64 [n_rows]
    classes
        the labels by position; empty for regression
    horizon
        rows that a label reaches beyond its own row at most, 0 where it reads no later row. Rows left
        out of the raw table make it an upper bound, never too short
    rows, label_end
        int64 [n_rows], the row of ``raw`` that each belongs to, and the last one that its label reads
    groups
        [n_rows], what belongs together and must not be torn apart; None where nothing does
    generators
        the feature generators that made X, as ``(name, params)``; empty where columns are the features
    label
        the label, as ``(name, params)``
    """

    X: npt.NDArray[np.float32]
    y: Array
    schema: FeatureSchema
    task: Task
    classes: Array
    horizon: int
    rows: Int64
    label_end: Int64
    raw: RawTable
    groups: Array | None = None
    generators: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    label: tuple[str, Mapping[str, Any]] = ("column", {})

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.X)

    @property
    def time(self) -> Int64 | None:
        """Microseconds since 1970 of each row, int64 [n_rows]; None where rows have no time."""
        return None if self.raw.time is None else self.raw.time[self.rows]

    @property
    def n_outputs(self) -> int:
        """Columns of a vote: the number of classes, 1 for values."""
        return max(1, len(self.classes))

    def take(self, index: Array) -> Dataset:
        """Return some of the rows, by position or mask."""
        return replace(
            self,
            X=self.X[index], y=self.y[index], rows=self.rows[index], label_end=self.label_end[index],
            groups=None if self.groups is None else self.groups[index],
        )  # fmt: skip
