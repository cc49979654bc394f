"""The ``triple_barrier`` label: which of two prices is reached first, if any in time."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from glulam.dataset import Labels, RawTable
from glulam.errors import FeatureError
from glulam.hookspecs import hookimpl
from glulam.trainspecs import Label
from glulam_plugins.labels._prices import prices, require_rows, require_share

__all__ = ["TripleBarrier"]

Float64 = npt.NDArray[np.float64]


class TripleBarrier(Label):
    """``up``, ``down`` or ``time_out``: what happens first within ``bars`` rows (López de Prado 2018, chapter 3).

    bars
        rows after which time is out; rows are counted, not hours
    up, down
        how far above and below close[t] the barriers are, as shares of it; ``down`` is ``up`` if it is not given
    volatility
        if not 0, barriers are ``up`` and ``down`` times the standard deviation of the last so many one-row
        returns, up to row t

    A later row touches the upper barrier if its high reaches it, the lower if its low does. A row that touches both
    is ``down``: the order within a row is not known, and the worse is assumed.

    A label ends at the row that touched a barrier, or ``bars`` rows ahead. In the last ``bars`` rows of a table it is
    known only where a barrier was touched already, so that ``time_out`` is missing among them; with ``volatility`` the
    first so many rows have no label.
    """

    name = "triple_barrier"
    task = "classification"

    def __init__(self, bars: int, up: float, down: float | None = None, volatility: int = 0) -> None:
        self._bars = require_rows(self.name, "bars", bars)
        self._volatility = require_rows(self.name, "volatility", volatility, 0)
        if self._volatility:
            # Of one return there is no deviation.
            require_rows(self.name, "volatility", volatility, 2)
        self._up = require_share(self.name, "up", up, 0)
        lowest = math.inf if self._volatility else 1
        self._down = require_share(self.name, "down", self._up if down is None else down, 0, lowest)

    @property
    def horizon(self) -> int:
        """The rows until time is out."""
        return self._bars

    def make(self, raw: RawTable) -> Labels:
        """Return text, [n_rows]."""
        close, high, low = (prices(raw, name, self.name) for name in ("close", "high", "low"))
        n_rows, width = len(close), self._widths(close)
        # Without a width no price reaches the barrier, as nan compares false.
        above, below = close * (1 + self._up * width), close * (1 - self._down * width)
        rows = np.arange(n_rows)
        end = np.minimum(rows + self._bars, n_rows - 1)
        y = np.full(n_rows, "time_out")
        open_rows = rows
        for step in range(1, min(self._bars, n_rows - 1) + 1):
            open_rows = open_rows[open_rows + step < n_rows]
            later = open_rows + step
            down, up = low[later] <= below[open_rows], high[later] >= above[open_rows]
            touched = open_rows[down | up]
            y[touched] = np.where(down, "down", "up")[down | up]
            end[touched] = touched + step
            open_rows = open_rows[~(down | up)]
        known = (y != "time_out") | (end - rows == self._bars)
        return Labels(y, known & ~np.isnan(width), end)

    def _widths(self, close: Float64) -> Float64:
        """Return what shares are multiplied with [n_rows], nan where it is not known yet."""
        window = self._volatility
        widths = np.full(len(close), np.nan) if window else np.ones(len(close))
        if window and len(close) > window:
            returns = close[1:] / close[:-1] - 1
            widths[window:] = np.lib.stride_tricks.sliding_window_view(returns, window).std(axis=1)
        flat = widths == 0
        if flat.any():
            row = int(np.argmax(flat))
            raise FeatureError(
                f"column 'close', row {row}: label 'triple_barrier': the price has not moved for {window} rows, so "
                "that barriers have no width; use a longer volatility, or 0 for barriers of fixed width"
            )
        return widths


@hookimpl
def glulam_label() -> type[Label]:
    """Return the label of this file."""
    return TripleBarrier
