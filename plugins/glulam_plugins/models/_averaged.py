"""What random forests and extra trees of scikit-learn share: an average of trees.

Leaves hold class fractions, or means; the forest's answer is their mean (``sklearn/ensemble/_forest.py``).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import is_regressor

from glulam.errors import UnsupportedModelError
from glulam.forest import Forest, leaf_ranks
from glulam.program import LoweredMember, Task
from glulam.schema import FeatureSchema
from glulam_plugins.models._sklearn_base import SklearnModel
from glulam_plugins.models._sklearn_trees import fractions, lowered_tree

__all__ = ["AveragedTrees", "class_counts"]


class AveragedTrees(SklearnModel):
    """Base of the scikit-learn forests."""

    defaults: ClassVar = {"n_estimators": 200, "max_depth": 12, "n_jobs": -1}

    def search_space(self, trial: Any, task: Task, n_rows: int) -> dict[str, Any]:
        """Return the number and size of trees, and how many columns a split may choose from."""
        return {
            "n_estimators": trial.suggest_int("n_estimators", 100, 400, step=50),
            "max_depth": trial.suggest_int("max_depth", 3, 20),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, max(20, n_rows // 50), log=True),
            "max_features": trial.suggest_float("max_features", 0.1, 1.0),
        }

    def trees(self, model: Any) -> list[Any]:
        """Return the fitted ``tree_`` of each tree."""
        return [estimator.tree_ for estimator in model.estimators_]

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower the forest."""
        trees = self.trees(model)
        if is_regressor(model):
            values = [tree.value[:, :, 0] for tree in trees]
            return self._summed(model, values, "identity")
        counts = class_counts(self.name, model)
        values = [fractions(tree, counts) for tree in trees]
        if len(counts) > 1:
            return self._summed(model, values, "identity")
        # All classes but the first: what is left of the sum is the first's.
        return self._summed(model, [value[:, 1:] for value in values], "complement")

    def _summed(self, model: Any, values: list[npt.NDArray[np.float64]], link: Any) -> LoweredMember:
        trees = self.trees(model)
        forest = Forest.from_trees(
            (lowered_tree(tree, value) for tree, value in zip(trees, values, strict=True)),
            n_features=model.n_features_in_,
            base=np.zeros(values[0].shape[1]),
            divisor=len(trees),
            reads="float32",
        )
        return LoweredMember(forest, link)

    def leaves(self, model: Any, X: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
        """Return the leaves that scikit-learn's trees say each row reaches."""
        trees = self.trees(model)
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(X, dtype=np.float32)
        nodes = np.empty((len(X), len(trees)), dtype=np.int64)
        first = 0
        for column, tree in enumerate(trees):
            rank = leaf_ranks(tree.children_left, tree.children_right)
            nodes[:, column] = first + rank[tree.apply(rows)]
            first += int(rank.max()) + 1
        return nodes


def class_counts(who: str, model: Any) -> npt.NDArray[np.int64]:
    """Return the number of classes of each output, or refuse an output that has but one."""
    counts = np.atleast_1d(model.n_classes_)
    if counts.min() < 2:
        raise UnsupportedModelError(
            f"{who}: output {int(counts.argmin())} was fitted on one class alone; leave it out, its answer is known"
        )
    return counts
