"""Single trees, by scikit-learn: DecisionTree and ExtraTree, classifiers and regressors."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import is_regressor

from glulam.forest import Forest
from glulam.fragments import Recipe, select
from glulam.hookspecs import ModelPlugin, hookimpl
from glulam.program import LoweredMember, Task
from glulam.schema import FeatureSchema
from glulam_plugins.models._averaged import AveragedTrees, class_counts
from glulam_plugins.models._sklearn_trees import TREES, fractions, lowered_tree


class DecisionTree(AveragedTrees):
    """A forest of one tree; ``predict`` takes the first of the largest fractions (``sklearn/tree/_classes.py``)."""

    name = "decision_tree"
    kinds = TREES
    defaults: ClassVar = {"max_depth": 12}

    def search_space(self, trial: Any, task: Task, n_rows: int) -> dict[str, Any]:
        """Return the size of the tree, and how many columns a split may choose from."""
        return {
            "max_depth": trial.suggest_int("max_depth", 2, 16),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, max(20, n_rows // 20), log=True),
            "max_features": trial.suggest_float("max_features", 0.3, 1.0),
        }

    def trees(self, model: Any) -> list[Any]:
        """Return the one ``tree_``."""
        return [model.tree_]

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower the tree with the fractions of all classes, so that equal ones tie as they do in the tree."""
        if is_regressor(model):
            return super().lower(model, schema)
        counts = class_counts(self.name, model)
        value = fractions(model.tree_, counts)
        chosen = value.argmax(axis=1)
        told = (value.astype(np.float32).argmax(axis=1) == chosen)[model.tree_.children_left < 0]
        if len(counts) > 1 or told.all():
            return self._summed(model, [value], "identity")
        # Weights can make fractions differ that are one in float32: the choice is a number of its own.
        both = Forest.from_trees(
            [lowered_tree(model.tree_, np.column_stack([value, chosen]))],
            n_features=model.n_features_in_,
            base=np.zeros(value.shape[1] + 1),
            reads="float32",
        )
        recipe = Recipe()
        leaf = recipe.add(both)
        choice = recipe.add(select([value.shape[1]]), leaf)
        recipe.add(select(range(value.shape[1])), leaf)
        return recipe.lowered(choice=choice)


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer DecisionTree."""
    return DecisionTree
