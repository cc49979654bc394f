"""What splitters share: the check of their parameters, of the number of rows, and how they show themselves."""

from __future__ import annotations

import inspect
import numbers
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError
from glulam.trainspecs import Fold, Splitter

__all__ = ["Base", "Shuffled", "n_rows_of"]

Array = npt.NDArray[Any]


class Base(Splitter):
    """A splitter whose parameters are whole numbers, kept under their own names as scikit-learn's are."""

    fewest = 2
    """Folds at least."""

    def __init__(self, n_splits: int = 5, *, horizon: int = 0, embargo: int = 0) -> None:
        self.n_splits = self._whole("n_splits", n_splits, self.fewest)
        self.horizon = self._whole("horizon", horizon, 0)
        self.embargo = self._whole("embargo", embargo, 0)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds."""
        return self.n_splits

    def __repr__(self) -> str:
        """Show the class and those parameters that are not the default."""
        parameters = inspect.signature(type(self)).parameters
        given = [
            f"{name}={getattr(self, name)!r}"
            for name, parameter in parameters.items()
            if name == "n_splits" or getattr(self, name) != parameter.default
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def _whole(self, parameter: str, value: Any, least: int) -> int:
        """Return a parameter as an int. Raises ConfigError for what is no whole number, or too small."""
        if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
            raise ConfigError(
                f"{self.name}: {parameter}: expected a whole number of at least {least}, got {value!r}; correct it"
            )
        return int(value)

    def _check_fold(self, n_rows: int, fold: int) -> None:
        """Raise ConfigError where a label reaches beyond the rows of a fold: nothing could be told from it."""
        if self.horizon > fold:
            raise ConfigError(
                f"{self.name}: labels reach {self.horizon} rows ahead (horizon), but of {n_rows} rows a fold of "
                f"{self.n_splits} has only {fold}; give more rows, fewer folds, or a shorter horizon"
            )


class Shuffled(Base):
    """A splitter that tears rows out of their order, so that no label may reach further rows."""

    shuffles = True
    ordered = False

    def __init__(self, n_splits: int = 5, *, horizon: int = 0, embargo: int = 0) -> None:
        super().__init__(n_splits, horizon=horizon, embargo=embargo)
        for parameter, value in (("horizon", self.horizon), ("embargo", self.embargo)):
            if value:
                raise ConfigError(
                    f"{self.name}: {parameter}: expected 0, got {value}; rows torn out of their order cannot be kept "
                    "apart from labels that reach further rows: take walk_forward or purged_k_fold"
                )

    def _check_parts(self, what: str, count: int) -> None:
        """Raise ConfigError where there are fewer rows, groups or the like than folds."""
        if count < self.n_splits:
            raise ConfigError(
                f"{self.name}: {self.n_splits} folds need at least {self.n_splits} {what}, got {count}; "
                "give more rows or fewer folds"
            )

    def _groups(self, groups: Any, n_rows: int) -> Array:
        """Return the group of each row by number. Raises ConfigError for rows without one, or fewer than folds."""
        groups = np.asarray(groups)
        if len(groups) != n_rows:
            raise ConfigError(
                f"{self.name}: expected a group for each of {n_rows} rows, got {len(groups)}; give as many"
            )
        missing = np.flatnonzero([group is None or group != group for group in groups.tolist()])
        if len(missing):
            raise ConfigError(
                f"{self.name}: row {missing[0]} has no group, {len(missing)} in all have none; fill the column, or "
                "leave those rows out"
            )
        if groups.dtype.kind == "O":  # of text and numbers together, which cannot be sorted
            order: dict[Any, int] = {}
            groups = np.array([order.setdefault(group, len(order)) for group in groups.tolist()])
        known, position = np.unique(groups, return_inverse=True)
        self._check_parts("groups", len(known))
        return np.asarray(position)

    def _as_fold(self, train: Any, test: Any) -> Fold:
        """Return a fold as int64 positions. Raises ConfigError where scikit-learn found no rows for it."""
        if not len(train) or not len(test):
            raise ConfigError(
                f"{self.name}: a fold of {self.n_splits} is left without rows, because some groups are as large as "
                "several folds; take fewer folds"
            )
        return np.asarray(train, dtype=np.int64), np.asarray(test, dtype=np.int64)


def n_rows_of(X: Any) -> int:
    """Return the number of rows of an array, a table or a sequence."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)
