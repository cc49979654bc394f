"""What a label must do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glulam.dataset import Labels, RawTable
from glulam.errors import ConfigError, GlulamError
from glulam.testing._shared import instance_of, require
from glulam.trainspecs import Label

__all__ = ["check_label"]

_LEAST = 50


def check_label(label_class: type[Label], raw: RawTable, params: Mapping[str, Any] | None = None) -> None:
    """Check a label on a raw table in time order, of some hundred rows, with the given parameters.

    The rules: ``make`` returns a label of every row, bool ``known`` and int64 ``end``, which is from the row itself to
    ``horizon`` rows beyond it. Labels are unknown at the table's ends only. A label says the same, and ends at the
    same row, when more rows have come, and it is known as soon as the row it ends at is there: purge rests on it.
    """
    label = instance_of(label_class, Label, params)
    who = f"label {label.name!r}"
    require(
        label.task in (None, "classification", "regression"),
        f"{who}: task: expected 'classification', 'regression' or None, got {label.task!r}",
    )
    require(
        isinstance(label.horizon, int) and not isinstance(label.horizon, bool) and label.horizon >= 0,
        f"{who}: horizon: expected a number of rows, at least 0, got {label.horizon!r}",
    )
    require(isinstance(label.target, str), f"{who}: target: expected a column's name or '', got {label.target!r}")
    n_rows = len(raw)
    if n_rows < _LEAST + label.horizon:
        raise ConfigError(f"check_label: expected a table of at least {_LEAST + label.horizon} rows, got {n_rows}")
    whole = _made(label, who, raw)
    require(whole.known.any(), f"{who}: make: expected labels of {n_rows} rows, got none that is known")
    cuts = np.linspace(label.horizon + 1, n_rows - 1, 25).astype(int)
    for rows in np.unique(np.concatenate([cuts, np.arange(n_rows - 4, n_rows)])).tolist():
        try:
            early = _made(label, who, raw.head(rows))
        except GlulamError as error:
            require(rows < n_rows // 2, f"{who}: make: expected labels of the first {rows} rows, got an error: {error}")
            continue
        _check_earlier(who, early, whole, rows)


def _made(label: Label, who: str, raw: RawTable) -> Labels:
    """Make labels, and check their shapes and what they read."""
    labels, n_rows = label.make(raw), len(raw)
    for what, values, kinds in (("y", labels.y, "ifbUO"), ("known", labels.known, "b"), ("end", labels.end, "i")):
        require(
            isinstance(values, np.ndarray) and values.shape == (n_rows,) and values.dtype.kind in kinds,
            f"{who}: make: {what}: expected an array of {n_rows} rows, got "
            f"{getattr(values, 'dtype', type(values).__name__)} {np.shape(values)}",
        )
    require(labels.end.dtype == np.int64, f"{who}: make: end: expected int64, got {labels.end.dtype}")
    rows = np.arange(n_rows)
    odd = (labels.end < rows) | (labels.end - rows > label.horizon) | (labels.end >= n_rows)
    row = int(np.argmax(odd))
    require(
        not odd.any(),
        f"{who}: make: end: expected from the row itself to {label.horizon} rows (horizon) beyond it, and below "
        f"{n_rows}, got {labels.end[row]} in row {row}",
    )
    if labels.known.any():
        first, last = np.flatnonzero(labels.known)[[0, -1]]
        gap = ~labels.known & (rows > first) & (rows < min(last, n_rows - label.horizon))
        require(
            not gap.any(),
            f"{who}: make: known: expected unknown labels at the table's ends only, got one in row "
            f"{int(np.argmax(gap))} of {n_rows}",
        )
    missing = np.array([value is None or value != value for value in labels.y[labels.known].tolist()], dtype=bool)
    require(not missing.any(), f"{who}: make: y: expected a value where the label is known, got a missing one")
    return labels


def _check_earlier(who: str, early: Labels, whole: Labels, rows: int) -> None:
    """Compare labels of the first rows with those of all rows."""
    known = early.known
    # A label that the table itself tells may be known before the rows that it was made from are there.
    same = (early.y == whole.y[:rows]) & whole.known[:rows] & (early.end == np.minimum(whole.end[:rows], rows - 1))
    row = int(np.argmax(known & ~same))
    require(
        bool(same[known].all()),
        f"{who}: make: the label of row {row} changes when rows from {rows} on are there: {early.y[row]} to row "
        f"{early.end[row]} becomes {whole.y[row]} to row {whole.end[row]}; a known label must not depend on rows after "
        "its end",
    )
    due = whole.known[:rows] & (whole.end[:rows] < rows) & ~known
    row = int(np.argmax(due))
    require(
        not due.any(),
        f"{who}: make: the label of row {row} ends at row {whole.end[row]}, but is not known of the first {rows} rows; "
        "end must be the last row that it reads",
    )
