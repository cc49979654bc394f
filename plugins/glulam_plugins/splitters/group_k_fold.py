"""Group k-fold: rows of one group are never torn apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from glulam.errors import ConfigError
from glulam.hookspecs import hookimpl
from glulam.trainspecs import Fold, Splitter
from glulam_plugins.splitters._checking import Shuffled, n_rows_of


class GroupKFold(Shuffled):
    """Scikit-learn's GroupKFold: each group is tested as a whole, by a model that saw none of it.

    Groups are dealt out, the largest first, so that folds are about equally large.
    """

    name = "group_k_fold"

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Fold]:
        """Return the folds. Raises ConfigError without groups, or where there are fewer of them than folds."""
        from sklearn import model_selection

        if groups is None:
            raise ConfigError(
                f"{self.name}: expected groups, got None; name their column as group in [data], or call "
                "split(X, y, groups)"
            )
        n_rows = n_rows_of(X)
        numbers = self._groups(groups, n_rows)
        found = model_selection.GroupKFold(self.n_splits).split(np.zeros(n_rows), groups=numbers)
        return iter([self._as_fold(train, test) for train, test in found])


@hookimpl
def glulam_splitter() -> type[Splitter]:
    """Offer group k-fold."""
    return GroupKFold
