"""Stratified k-fold: shuffled rows, with every class in the same share in each fold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError
from glulam.hookspecs import hookimpl
from glulam.trainspecs import Fold, Splitter
from glulam_plugins.splitters._checking import Shuffled, n_rows_of


class StratifiedKFold(Shuffled):
    """Scikit-learn's StratifiedKFold with shuffling; StratifiedGroupKFold where groups are given.

    Floating-point y in which some value occurs in fewer rows than there are folds are values of a regression: they
    are spread evenly by their rank, in tenths.

    seed
        of the shuffling
    """

    name = "stratified_k_fold"

    def __init__(self, n_splits: int = 5, *, horizon: int = 0, embargo: int = 0, seed: int = 42) -> None:
        super().__init__(n_splits, horizon=horizon, embargo=embargo)
        self.seed = self._whole("seed", seed, 0)

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Fold]:
        """Return the folds. Raises ConfigError without y, or where a class has too few rows for them."""
        from sklearn import model_selection

        if y is None:
            raise ConfigError(f"{self.name}: expected y, got None; call split(X, y), or take group_k_fold")
        n_rows = n_rows_of(X)
        self._check_parts("rows", n_rows)
        strata = self._strata(np.asarray(y))
        splits: Any = model_selection.StratifiedKFold
        if groups is not None:
            groups = self._groups(groups, n_rows)
            splits = model_selection.StratifiedGroupKFold
        splitter = splits(self.n_splits, shuffle=True, random_state=self.seed)
        found = splitter.split(np.zeros(n_rows), strata, groups)
        return iter([self._as_fold(train, test) for train, test in found])

    def _strata(self, y: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return what is to be in each fold in the same share. Raises ConfigError for a class that is too rare."""
        classes, position, counts = np.unique(y, return_inverse=True, return_counts=True)
        rarest = int(counts.argmin())
        if counts[rarest] >= self.n_splits:
            return np.asarray(position)
        if y.dtype.kind == "f":
            rank = np.argsort(np.argsort(y, kind="stable"), kind="stable")
            return np.asarray(rank * min(10, len(y) // self.n_splits) // len(y))
        raise ConfigError(
            f"{self.name}: {self.n_splits} folds need at least {self.n_splits} rows of each class, got "
            f"{counts[rarest]} of class {classes.tolist()[rarest]!r}; take fewer folds, or leave that class out"
        )


@hookimpl
def glulam_splitter() -> type[Splitter]:
    """Offer stratified k-fold."""
    return StratifiedKFold
