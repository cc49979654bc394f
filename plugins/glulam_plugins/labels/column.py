"""The ``column`` label: what a column of the table says."""

from __future__ import annotations

import numpy as np

from glulam.dataset import Labels, RawTable
from glulam.errors import ConfigError, FeatureError
from glulam.hookspecs import hookimpl
from glulam.trainspecs import Label
from glulam_plugins.labels._prices import require_rows

__all__ = ["Column"]


class Column(Label):
    """Labels that were made elsewhere, one a row.

    column
        its name
    horizon
        how many rows beyond its own a label was made from, which only who made it knows: 0 says that it was known
        at its row. A horizon that is too short lets rows to test on leak into those to fit on

    A label that is missing is an error, but at the end of the table, where it may not be known yet.
    """

    name = "column"

    def __init__(self, column: str, horizon: int = 0) -> None:
        if not isinstance(column, str) or not column:
            raise ConfigError(f"label 'column': column: expected the name of a column, got {column!r}")
        self._column = column
        self._horizon = require_rows(self.name, "horizon", horizon, 0)

    @property
    def horizon(self) -> int:
        """As it was given."""
        return self._horizon

    @property
    def target(self) -> str:
        """The column."""
        return self._column

    def make(self, raw: RawTable) -> Labels:
        """Return the column's values."""
        if self._column not in raw.columns:
            raise FeatureError(f"label 'column': no column {self._column!r}; the table has {list(raw.columns)}")
        values = raw.columns[self._column]
        if values.dtype == object:
            known = np.array([value is not None for value in values.tolist()], dtype=bool)
        else:
            known = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(len(values), dtype=bool)
        last = int(np.flatnonzero(known)[-1]) if known.any() else -1
        if not known[: last + 1].all():
            row = int(np.argmin(known))
            raise FeatureError(
                f"column {self._column!r}, row {row}: the label is missing ({int((~known[: last + 1]).sum())} such "
                "rows before the last label); leave such rows out, or fill them in"
            )
        if values.dtype.kind == "f" and np.isinf(values).any():
            row = int(np.argmax(np.isinf(values)))
            raise FeatureError(
                f"column {self._column!r}, row {row}: the label is {values[row]}; expected a finite number"
            )
        rows = np.arange(len(raw))
        return Labels(values, known, np.minimum(rows + self._horizon, len(raw) - 1))


@hookimpl
def glulam_label() -> type[Label]:
    """Return the label of this file."""
    return Column
