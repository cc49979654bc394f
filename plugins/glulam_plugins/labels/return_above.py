"""The ``return_above`` label: whether the price some rows ahead is higher by more than a share."""

from __future__ import annotations

import numpy as np

from glulam.dataset import Labels, RawTable
from glulam.errors import ConfigError
from glulam.hookspecs import hookimpl
from glulam.trainspecs import Label
from glulam_plugins.labels._prices import prices, require_rows, require_share

__all__ = ["ReturnAbove"]


class ReturnAbove(Label):
    """1 where price[t + bars] / price[t] - 1 is above ``threshold``, else 0.

    bars
        rows ahead; rows are counted, not hours, whether there is a gap between them or not
    threshold
        share of the price, such as 0.01 for 1 %
    price
        column of the price
    """

    name = "return_above"
    task = "classification"

    def __init__(self, bars: int, threshold: float, price: str = "close") -> None:
        self._bars = require_rows(self.name, "bars", bars)
        self._threshold = require_share(self.name, "threshold", threshold)
        if not isinstance(price, str) or not price:
            raise ConfigError(f"label 'return_above': price: expected the name of a column, got {price!r}")
        self._price = price

    @property
    def horizon(self) -> int:
        """The rows ahead."""
        return self._bars

    def make(self, raw: RawTable) -> Labels:
        """Return 0 and 1, int64; those of the last ``bars`` rows are not known."""
        price = prices(raw, self._price, self.name)
        rows = np.arange(len(price))
        end = np.minimum(rows + self._bars, len(price) - 1)
        return Labels((price[end] / price - 1 > self._threshold).astype(np.int64), end - rows == self._bars, end)


@hookimpl
def glulam_label() -> type[Label]:
    """Return the label of this file."""
    return ReturnAbove
