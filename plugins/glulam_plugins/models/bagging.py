"""Bagging members, by scikit-learn.

Rules of prediction as in ``sklearn/ensemble/_bagging.py``: the mean of what the parts answer on
their own columns; parts of a classifier that give no probabilities vote with their label.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import is_regressor
from sklearn.ensemble import BaggingClassifier, BaggingRegressor

from glulam import plugins
from glulam.errors import UnsupportedModelError
from glulam.forest import Forest
from glulam.fragments import Recipe, affine, mean
from glulam.hookspecs import ModelPlugin, Signature, hookimpl
from glulam.program import LoweredMember, Task
from glulam.schema import FeatureSchema
from glulam_plugins.models._sklearn_base import SklearnModel
from glulam_plugins.models._sklearn_parts import ballot, lowered_part, narrowest, source_of
from glulam_plugins.models._sklearn_trees import TREES, lowered_tree


class Bagging(SklearnModel):
    """scikit-learn's BaggingClassifier and BaggingRegressor, of any base estimator."""

    name = "bagging"
    fits_wide = True
    kinds = (BaggingClassifier, BaggingRegressor)
    defaults: ClassVar = {"n_estimators": 50}

    def search_space(self, trial: Any, task: Task, n_rows: int) -> dict[str, Any]:
        """Return the number of parts, and how many rows and columns each sees."""
        return {
            "n_estimators": trial.suggest_int("n_estimators", 10, 100, log=True),
            "max_samples": trial.suggest_float("max_samples", 0.3, 1.0),
            "max_features": trial.suggest_float("max_features", 0.3, 1.0),
        }

    def signature(self, model: Any) -> Signature:
        """Return scikit-learn's, with the number of targets, which only the parts know."""
        found = super().signature(model)
        if found.task != "regression":
            return found
        part = model.estimators_[0]
        return replace(found, n_targets=plugins.required_model_of(part).signature(part).n_targets)

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower the parts: trees as one forest, which tests their columns of the row itself."""
        if model.n_estimators != len(model.estimators_):
            raise UnsupportedModelError(
                f"bagging: n_estimators={model.n_estimators} was set after {len(model.estimators_)} parts were fitted; "
                "fit again, or set it back"
            )
        if not is_regressor(model) and model.n_classes_ < 2:
            raise UnsupportedModelError("bagging: it was fitted on one class alone; fit it on at least two")
        if all(type(part) in TREES for part in model.estimators_):
            return _as_forest(model)
        return _as_steps(model)


def _as_forest(model: Any) -> LoweredMember:
    trees = []
    for part, columns in zip(model.estimators_, model.estimators_features_, strict=True):
        if is_regressor(model):
            value = part.tree_.value[:, :, 0]
        else:
            value = (part.tree_.value[:, 0, : part.n_classes_] @ _spread(model, part))[:, 1:]
        trees.append(lowered_tree(part.tree_, value, columns=columns))
    forest = Forest.from_trees(
        trees,
        n_features=model.n_features_in_,
        base=np.zeros(value.shape[1]),
        divisor=len(trees),
        reads="float32",
    )
    return LoweredMember(forest, "identity" if is_regressor(model) else "complement")


def _as_steps(model: Any) -> LoweredMember:
    recipe, answers, parts = Recipe(), [], []
    sources: dict[tuple[int, ...], str] = {}
    for part, columns in zip(model.estimators_, model.estimators_features_, strict=True):
        key = tuple(int(column) for column in columns)
        if key not in sources:
            sources[key] = source_of(recipe, key, model.n_features_in_)
        lowered = lowered_part("bagging", part, len(key))
        parts.append(lowered)
        if is_regressor(model):
            answers.append(recipe.member(lowered, sources[key]))
        elif hasattr(part, "predict_proba"):
            answer, spread = recipe.member(lowered, sources[key]), _spread(model, part)
            whole = np.array_equal(spread, np.eye(model.n_classes_))
            answers.append(answer if whole else recipe.add(affine(spread, np.zeros(model.n_classes_)), answer))
        else:
            answers.append(ballot(recipe, part, lowered, sources[key], _spread(model, part)))
    recipe.add(mean(len(answers)), *answers)
    return recipe.lowered(arithmetic=narrowest(parts))


def _spread(model: Any, part: Any) -> npt.NDArray[np.float64]:
    """Return which of the ensemble's classes each class of a part is, as 0 and 1 [its classes, n_classes].

    Parts know the classes by their numbers. A part whose rows were drawn may have met some only.
    """
    return np.eye(model.n_classes_)[np.asarray(part.classes_, dtype=np.int64)]


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer Bagging."""
    return Bagging
