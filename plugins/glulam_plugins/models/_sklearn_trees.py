"""From one of scikit-learn's trees to a `Tree`.

Rules of prediction as in ``sklearn/tree/_tree.pyx``: the row is float32, the threshold float64, a
row goes left when ``x <= threshold``; NaN goes where ``missing_go_to_left`` says, also in trees
that saw none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from glulam.forest import Tree

__all__ = ["TREES", "fractions", "lowered_tree"]

TREES = (DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor)


def lowered_tree(
    tree: Any, value: npt.NDArray[np.float64], *, columns: npt.NDArray[Any] | None = None, output: int = 0
) -> Tree:
    """Return a fitted ``tree_`` with these values [n_nodes] or [n_nodes, width] in place of its own.

    ``columns`` are those of the row that the tree's features are.
    """
    feature = np.maximum(tree.feature, 0)
    return Tree.from_nodes(
        left=tree.children_left,
        right=tree.children_right,
        feature=feature if columns is None else np.asarray(columns)[feature],
        threshold=tree.threshold,
        nan_left=tree.missing_go_to_left.astype(bool),
        value=value,
        output=output,
    )


def fractions(tree: Any, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the class fractions of every node, the outputs' side by side: [n_nodes, sum of counts]."""
    return np.concatenate([tree.value[:, output, :count] for output, count in enumerate(counts)], axis=1)
