"""HistGradientBoosting members, by scikit-learn.

Rules of prediction as in ``sklearn/ensemble/_hist_gradient_boosting/_predictor.pyx``: rows are
float64; a row goes left when ``x <= threshold``, or when its category is in the node's set; NaN and
unknown categories go where ``missing_go_to_left`` says. Categories are found by equality first
(an OrdinalEncoder, with the categorical columns before all others).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from glulam.errors import UnsupportedModelError
from glulam.forest import Forest, Tree
from glulam.fragments import Recipe, exponential
from glulam.hookspecs import ModelPlugin, Signature, hookimpl
from glulam.program import Link, LoweredMember, Task
from glulam.schema import Feature, FeatureSchema
from glulam_plugins.models._sklearn_base import SklearnModel
from glulam_plugins.models._sklearn_categories import Categories, categories_of, with_numbers

_LINKS: dict[str, Link] = {"LogitLink": "sigmoid", "MultinomialLogit": "softmax", "IdentityLink": "identity"}


class HistGradientBoosting(SklearnModel):
    """scikit-learn's HistGradientBoostingClassifier and HistGradientBoostingRegressor."""

    name = "hist_gradient_boosting"
    kinds = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
    defaults: ClassVar = {"max_iter": 200}

    def make(self, task: Task, params: Mapping[str, Any], schema: FeatureSchema | None) -> Any:
        """Return the classifier or regressor, whose categories are the schema's."""
        bins = params.get("max_bins", 255)
        features = () if schema is None else schema.features
        native = [index for index, each in enumerate(features) if 0 < len(each.categories) <= bins]
        return super().make(task, {"categorical_features": native or None} | dict(params), schema)

    def search_space(self, trial: Any, task: Task, n_rows: int) -> dict[str, Any]:
        """Return trees and rate, the size of trees, how many columns a split may choose from, and a penalty."""
        return {
            "max_iter": trial.suggest_int("max_iter", 50, 600, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 4, 128, log=True),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, max(50, n_rows // 50), log=True),
            "max_features": trial.suggest_float("max_features", 0.3, 1.0),
            "l2_regularization": trial.suggest_float("l2_regularization", 1e-8, 10.0, log=True),
        }

    def signature(self, model: Any) -> Signature:
        """Return scikit-learn's, with the categories that columns are told by name."""
        found = super().signature(model)
        features = list(found.schema.features)
        for column, each in categories_of(model).items():
            if each.by_name:
                values = tuple(each.values.tolist())
                features[column] = Feature(features[column].name, "categorical", values, "allow", "missing")
        return replace(found, schema=replace(found.schema, features=tuple(features)))

    def fed(self, model: Any, X: npt.NDArray[np.floating[Any]]) -> npt.NDArray[Any]:
        """Return rows with categories by name in the place of their positions; unknown ones are missing."""
        named = {column: each for column, each in categories_of(model).items() if each.by_name}
        if not named:
            return X
        table = X.astype(np.float64).astype(object)
        for column, each in named.items():
            table[:, column] = each.at(X[:, column])
        return table

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower the trees of all rounds, their sets in the numbers that a row has."""
        link = type(model._loss.link).__name__
        if link not in (*_LINKS, "LogLink"):
            raise UnsupportedModelError(
                f"hist_gradient_boosting: loss={model.loss!r} is not supported; use one of scikit-learn's by its name"
            )
        recipe, categories = Recipe(), categories_of(model)
        source, columns = with_numbers(recipe, categories, model.n_features_in_)
        forest = Forest.from_trees(
            (
                _lowered_tree(predictor, _order(model), columns, categories, output)
                for each in model._predictors
                for output, predictor in enumerate(each)
            ),
            n_features=model.n_features_in_ + sum(each.encoded for each in categories.values()),
            base=np.ravel(model._baseline_prediction),
        )
        if link == "LogLink":
            recipe.add(exponential(), recipe.add(forest, source))
            return recipe.lowered()
        several = _LINKS[link] == "softmax"
        if source == "features":
            return LoweredMember(forest, _LINKS[link], by_sums=several)
        recipe.add(forest, source)
        return recipe.lowered(link=_LINKS[link], by_sums=several)


def _order(model: Any) -> npt.NDArray[np.int64]:
    """Return which column of the row each column that the trees know is: categorical ones come first."""
    if model.is_categorical_ is None:
        return np.arange(model.n_features_in_)
    return np.argsort(~model.is_categorical_, kind="stable")


def _lowered_tree(
    predictor: Any,
    order: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    categories: Mapping[int, Categories],
    output: int,
) -> Tree:
    nodes = predictor.nodes
    leaf, missing_left = nodes["is_leaf"] != 0, nodes["missing_go_to_left"] != 0
    categorical = ~leaf & (nodes["is_categorical"] != 0)
    feature = order[np.where(leaf, 0, nodes["feature_idx"])]
    bits = np.unpackbits(predictor.raw_left_cat_bitsets.astype("<u4").view(np.uint8), axis=1, bitorder="little")
    sets = {}
    for node in np.flatnonzero(categorical):
        each = categories[int(feature[node])]
        goes_left = bits[nodes["bitset_idx"][node], : len(each.numbers)] != 0
        # Values in no set go right here, but the way of the missing ones there: swap sides for those.
        sets[int(node)] = each.numbers[goes_left != missing_left[node]]
    swapped = categorical & missing_left
    left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    return Tree.from_nodes(
        left=np.where(leaf, -1, np.where(swapped, right, left)),
        right=np.where(leaf, -1, np.where(swapped, left, right)),
        feature=columns[feature],
        threshold=np.where(categorical, 0.0, nodes["num_threshold"]),
        nan_left=missing_left & ~categorical,
        value=nodes["value"],
        output=output,
        sets=sets,
    )


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer HistGradientBoosting."""
    return HistGradientBoosting
