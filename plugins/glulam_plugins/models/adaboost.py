"""AdaBoost members, by scikit-learn.

Rules of prediction as in ``sklearn/ensemble/_weight_boosting.py``: a classifier adds, for each
part, its weight to the class that it predicts and ``-weight / (n_classes - 1)`` to the others; a
regressor answers the weighted median of its parts.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import is_regressor
from sklearn.ensemble import AdaBoostClassifier, AdaBoostRegressor

from glulam.errors import UnsupportedModelError
from glulam.forest import Forest
from glulam.fragments import Recipe, concat, sigmoid, softmax, two_classes
from glulam.hookspecs import ModelPlugin, hookimpl
from glulam.program import LoweredMember, OnnxFragment, Task
from glulam.schema import FeatureSchema
from glulam_plugins.models._sklearn_base import SklearnModel
from glulam_plugins.models._sklearn_parts import ballot, lowered_part, narrowest, total
from glulam_plugins.models._sklearn_trees import TREES, fractions, lowered_tree

Float64 = npt.NDArray[np.float64]


class AdaBoost(SklearnModel):
    """scikit-learn's AdaBoostClassifier (SAMME) and AdaBoostRegressor (R2), of any base estimator."""

    name = "adaboost"
    fits_wide = True
    kinds = (AdaBoostClassifier, AdaBoostRegressor)
    defaults: ClassVar = {"n_estimators": 50}

    def search_space(self, trial: Any, task: Task, n_rows: int) -> dict[str, Any]:
        """Return the number of parts, and the rate."""
        return {
            "n_estimators": trial.suggest_int("n_estimators", 25, 300, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 2.0, log=True),
        }

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower the parts, trees as one forest, and what is made of their answers."""
        return _lowered_regressor(model) if is_regressor(model) else _lowered_classifier(model)


def _lowered_classifier(model: Any) -> LoweredMember:
    if len(model.classes_) < 2:
        raise UnsupportedModelError("adaboost: it was fitted on one class alone; fit it on at least two")
    tables = _tables(model)
    outputs = tables[0].shape[1]
    if all(type(part) in TREES for part in model.estimators_):
        forest = Forest.from_trees(
            (
                lowered_tree(part.tree_, table[fractions(part.tree_, np.atleast_1d(part.n_classes_)).argmax(axis=1)])
                for part, table in zip(model.estimators_, tables, strict=True)
            ),
            n_features=model.n_features_in_,
            base=np.zeros(outputs),
            reads="float32",
        )
        return LoweredMember(forest, "sigmoid" if outputs == 1 else "softmax")
    recipe = Recipe()
    parts = [lowered_part("adaboost", part, model.n_features_in_) for part in model.estimators_]
    ballots = [
        ballot(recipe, part, each, "features", table)
        for part, each, table in zip(model.estimators_, parts, tables, strict=True)
    ]
    sums = recipe.add(total(len(ballots)), *ballots)
    if outputs == 1:
        recipe.add(two_classes(), recipe.add(sigmoid(), sums))
    else:
        recipe.add(softmax(), sums)
    return recipe.lowered(arithmetic=narrowest(parts))


def _tables(model: Any) -> list[Float64]:
    """Return for each part what the classes it may predict add to the margins, [its classes, outputs].

    The sums are divided by all weights and by ``n_classes - 1`` before the softmax; of two classes
    the softmax of ``[-d / 2, d / 2]`` is the sigmoid of d, which is twice the second class's sum.
    """
    n_classes = len(model.classes_)
    everything = model.estimator_weights_.sum()
    tables = []
    for part, weight in zip(model.estimators_, model.estimator_weights_, strict=False):
        hit = part.classes_[:, None] == model.classes_[None, :]
        table = np.where(hit, weight, -1 / (n_classes - 1) * weight) / everything
        tables.append(2 * table[:, 1:] if n_classes == 2 else table / (n_classes - 1))
    return tables


def _lowered_regressor(model: Any) -> LoweredMember:
    recipe, parts = Recipe(), model.estimators_
    lowered: list[LoweredMember] = []
    if all(type(part) in TREES for part in parts):
        trees = [
            lowered_tree(part.tree_, part.tree_.value[:, 0, 0], output=output) for output, part in enumerate(parts)
        ]
        answers = recipe.add(
            Forest.from_trees(trees, n_features=model.n_features_in_, base=np.zeros(len(parts)), reads="float32")
        )
    else:
        lowered = [lowered_part("adaboost", part, model.n_features_in_) for part in parts]
        answers = recipe.add(concat(len(parts)), *(recipe.member(each) for each in lowered))
    recipe.add(_median(model.estimator_weights_[: len(parts)]), answers)
    return recipe.lowered(arithmetic=narrowest(lowered))


def _median(weights: Float64) -> OnnxFragment:
    """Return the weighted median of each row [n, k]: the first value at which half of the weights are reached.

    The weights are added up in float64, in a graph of float32 as well: the median jumps where they tie.
    """

    def reference(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        order = np.argsort(x, axis=1, kind="stable")
        reached = np.cumsum(weights[order], axis=1)
        first = (reached >= 0.5 * reached[:, -1:]).argmax(axis=1)
        rows = np.arange(len(x))
        return np.asarray(x[rows, order[rows, first]].reshape(-1, 1))

    literal = ", ".join(repr(float(weight)) for weight in weights)
    return OnnxFragment(
        text="median (x, count, axis, last) => (y) {"
        f" weights = Constant <value = double[{len(weights)}] {{{literal}}}> ()"
        " half = Constant <value = double[1] {0.5}> ()"
        " ascending, order = TopK <axis = 1, largest = 0, sorted = 1> (x, count)"
        " ordered = Gather <axis = 0> (weights, order)"
        " reached = CumSum(ordered, axis)"
        " everything = Gather <axis = 1> (reached, last)"
        " bound = Mul(everything, half)"
        " above = GreaterOrEqual(reached, bound)"
        " marks = Cast <to = 6> (above)"
        " first = ArgMax <axis = 1, keepdims = 1> (marks)"
        " y = GatherElements <axis = 1> (ascending, first) }",
        reference=reference,
        constants={
            "count": np.array([len(weights)]),
            "axis": np.array(1),
            "last": np.array([len(weights) - 1]),
        },
    )


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer AdaBoost."""
    return AdaBoost
