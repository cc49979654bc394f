"""The ``next_direction`` label: whether the next close is higher."""

from __future__ import annotations

import numpy as np

from glulam.dataset import Labels, RawTable
from glulam.hookspecs import hookimpl
from glulam.trainspecs import Label
from glulam_plugins.labels._prices import prices

__all__ = ["NextDirection"]


class NextDirection(Label):
    """1 where the next row's ``close`` is above this row's, else 0: a close that stays the same is 0.

    Rows are counted, not hours: before a gap the next row is the first one after it.
    """

    name = "next_direction"
    task = "classification"

    @property
    def horizon(self) -> int:
        """One row."""
        return 1

    def make(self, raw: RawTable) -> Labels:
        """Return 0 and 1, int64; the last row's is not known."""
        close = prices(raw, "close", self.name)
        rows = np.arange(len(close))
        end = np.minimum(rows + 1, len(close) - 1)
        return Labels((close[end] > close).astype(np.int64), end > rows, end)


@hookimpl
def glulam_label() -> type[Label]:
    """Return the label of this file."""
    return NextDirection
