"""Purged k-fold: every row is tested once, by models fitted on both sides of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from glulam.errors import ConfigError
from glulam.hookspecs import hookimpl
from glulam.trainspecs import Fold, Splitter
from glulam_plugins.splitters._checking import Base, n_rows_of


class PurgedKFold(Base):
    """K-fold over contiguous blocks, with purge and embargo.

    The rule is that of Lopez de Prado, Advances in Financial Machine Learning (2018), chapter 7. Rows to fit on lie
    before and after the test block. Left out are those whose label reads a row that a label of the test block reads
    too: ``horizon`` rows before it and ``horizon`` rows after it; and after those ``embargo`` rows more, whose
    features may still remember the block.

    As models are fitted on rows later than those they are tested on, this says less about the future than
    walk-forward, and more about how much the result hangs on a period. Groups are not looked at.
    """

    name = "purged_k_fold"
    ordered = False

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Fold]:
        """Return the folds in time's order. Raises ConfigError where there are too few rows for them."""
        n_rows = n_rows_of(X)
        if n_rows < self.n_splits:
            raise ConfigError(
                f"{self.name}: {n_rows} rows are too few for {self.n_splits} folds; give more rows or fewer folds"
            )
        self._check_fold(n_rows, n_rows // self.n_splits)
        positions = np.arange(n_rows, dtype=np.int64)
        return iter([self._fold(positions, test) for test in np.array_split(positions, self.n_splits)])

    def _fold(self, positions: Any, test: Any) -> Fold:
        """Return the fold with a test block. Raises ConfigError where nothing is left to fit on."""
        before = positions + self.horizon < test[0]
        after = positions > test[-1] + self.horizon + self.embargo
        train = positions[before | after]
        if not len(train):
            raise ConfigError(
                f"{self.name}: of {len(positions)} rows none is left to fit on beside the test rows {test[0]} to "
                f"{test[-1]}, with horizon {self.horizon} and embargo {self.embargo}; give more rows or a shorter "
                "embargo"
            )
        return train, test


@hookimpl
def glulam_splitter() -> type[Splitter]:
    """Offer purged k-fold."""
    return PurgedKFold
