"""Walk-forward: fit on the past, test on what came next, again and again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from glulam.errors import ConfigError
from glulam.hookspecs import hookimpl
from glulam.trainspecs import Fold, Splitter
from glulam_plugins.splitters._checking import Base, n_rows_of


class WalkForward(Base):
    """Test blocks follow each other up to the last row; rows to fit on all come before them.

    Between the two lies a gap of ``horizon + embargo`` rows: labels of the rows to fit on are known before the first
    row to test on. Folds are those of scikit-learn's TimeSeriesSplit with that gap.

    n_splits
        number of test blocks
    horizon
        how many rows beyond its own a label reads
    embargo
        rows more to leave out before a test block
    window
        rows to fit on at most, the latest ones (rolling); None takes all there are (expanding)
    test_size
        rows of a test block; None takes n_rows // (n_splits + 1)
    min_train
        rows that the first fold must have to fit on

    Groups are not looked at.
    """

    name = "walk_forward"
    ordered = True
    fewest = 1

    def __init__(
        self,
        n_splits: int = 5,
        *,
        horizon: int = 0,
        embargo: int = 0,
        window: int | None = None,
        test_size: int | None = None,
        min_train: int | None = None,
    ) -> None:
        super().__init__(n_splits, horizon=horizon, embargo=embargo)
        self.window = None if window is None else self._whole("window", window, 1)
        self.test_size = None if test_size is None else self._whole("test_size", test_size, 1)
        self.min_train = None if min_train is None else self._whole("min_train", min_train, 1)
        if self.window is not None and self.window < (self.min_train or 1):
            raise ConfigError(
                f"{self.name}: window: expected at least the {self.min_train} rows of min_train, got {self.window}; "
                "widen the window or ask for fewer rows"
            )

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Fold]:
        """Return the folds in time's order. Raises ConfigError where there are too few rows for them."""
        n_rows = n_rows_of(X)
        test_size = self.test_size or n_rows // (self.n_splits + 1)
        gap, first = self.horizon + self.embargo, n_rows - self.n_splits * test_size
        least = self.min_train or 1
        if test_size < 1 or first - gap < least:
            self._refuse(n_rows, gap, least)
        self._check_fold(n_rows, test_size)
        return iter([self._fold(start, gap, test_size) for start in range(first, n_rows, test_size)])

    def _fold(self, start: int, gap: int, test_size: int) -> Fold:
        """Return the fold whose test block begins at a row."""
        end = start - gap
        oldest = 0 if self.window is None else max(0, end - self.window)
        return np.arange(oldest, end, dtype=np.int64), np.arange(start, start + test_size, dtype=np.int64)

    def _refuse(self, n_rows: int, gap: int, least: int) -> None:
        """Raise ConfigError with what would fit."""
        largest = (n_rows - gap - least) // self.n_splits
        advice = (
            f"take a test_size of {largest} or less"
            if largest >= max(1, self.horizon)
            else "give more rows or fewer folds"
        )
        raise ConfigError(
            f"{self.name}: {n_rows} rows are too few for {self.n_splits} test blocks of "
            f"{self.test_size or max(1, n_rows // (self.n_splits + 1))} rows, with a gap of {gap} and at least {least} "
            f"to fit on before the first; {advice}"
        )


@hookimpl
def glulam_splitter() -> type[Splitter]:
    """Offer walk-forward."""
    return WalkForward
