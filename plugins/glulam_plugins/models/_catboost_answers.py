"""What CatBoost's ``predict`` and ``predict_proba`` make of a model's sums.

Rules as in CatBoost's ``python-package/catboost/core.py`` and ``catboost/libs/model/eval_processing.h``.
"""

from __future__ import annotations

from typing import Any

import catboost
import numpy as np
import numpy.typing as npt

from glulam.decision import Decision
from glulam.errors import UnsupportedModelError
from glulam.forest import Forest
from glulam.fragments import Recipe, affine, concat, exponential, select, sigmoid
from glulam.program import LoweredMember
from glulam_plugins.models._fragments import largest

__all__ = ["classes", "classified", "is_classifier", "is_multi_label", "loss", "outputs", "prediction", "valued"]

_MULTI_LABEL = ("MultiLogloss", "MultiCrossEntropy")


def is_classifier(model: Any) -> bool:
    """Tell whether a model predicts labels; of CatBoost's classes only one does, whatever the loss."""
    return type(model) is catboost.CatBoostClassifier


def is_multi_label(model: Any) -> bool:
    """Tell whether each sum of a model is one yes or no."""
    return loss(model) in _MULTI_LABEL


def loss(model: Any) -> str:
    """Return the name of the loss that a model was fitted to, without its settings; nothing if it does not tell."""
    try:
        return str(model.get_all_params().get("loss_function", "")).partition(":")[0]
    except catboost.CatBoostError:  # a sum of models has no parameters
        return ""


def prediction(model: Any) -> str:
    """Return what ``predict`` (``predict_proba`` of a classifier) makes of the sums."""
    if is_classifier(model):
        return "Probability"
    # As CatBoostRegressor itself looks it up, which is not always the loss that the model was fitted to.
    params = model.get_params()
    asked = params.get("objective", params.get("loss_function"))
    if type(model) is not catboost.CatBoostRegressor or not isinstance(asked, str):
        return "RawFormulaVal"
    if asked.startswith(("Poisson", "Tweedie")):
        return "Exponent"
    return "RMSEWithUncertainty" if asked == "RMSEWithUncertainty" else "RawFormulaVal"


def classes(model: Any) -> npt.NDArray[Any]:
    """Return the labels of a classifier, in the order of its probabilities."""
    known = np.asarray(model.classes_.tolist())
    if len(known) < 2:
        raise UnsupportedModelError(
            f"catboost: this CatBoostClassifier knows no classes (its loss is {loss(model)!r}); load a model of "
            "values as CatBoostRegressor, and fit classifiers with Logloss or MultiClass"
        )
    return known


def outputs(model: Any) -> int:
    """Return how many sums a model has."""
    return int(len(model.get_leaf_values()) // np.sum(model.get_tree_leaf_counts()))


def classified(model: Any, forest: Forest) -> LoweredMember:
    """Return a classifier: what predict_proba makes of the sums, and how predict chooses."""
    threshold = float(model.get_probability_threshold())
    fitted_to = loss(model)
    if fitted_to in _MULTI_LABEL:
        if threshold != 0.5:
            raise UnsupportedModelError(
                f"catboost: a probability threshold of {threshold} for several labels is not supported; call "
                "set_probability_threshold(None) and compare the probabilities yourself"
            )
        recipe = Recipe()
        recipe.add(sigmoid(), recipe.add(forest))
        return recipe.lowered()
    if forest.n_outputs == 1 and len(classes(model)) == 2:
        return LoweredMember(forest, "sigmoid", decision=Decision(threshold=threshold))
    if fitted_to == "MultiClass":
        return LoweredMember(forest, "softmax", by_sums=True)
    if fitted_to == "MultiClassOneVsAll":
        recipe = Recipe()
        sums = recipe.add(forest)
        # CatBoost chooses among the sums: chances of two classes may both be 1.
        choice = recipe.add(largest(), sums)
        recipe.add(sigmoid(), sums)
        return recipe.lowered(choice=choice)
    raise UnsupportedModelError(
        f"catboost: a classifier of {forest.n_outputs} sums with loss {fitted_to!r} is not supported; fit it with "
        "Logloss, CrossEntropy, MultiClass, MultiClassOneVsAll or MultiLogloss"
    )


def valued(model: Any, forest: Forest) -> LoweredMember:
    """Return a regressor or ranker: what predict makes of the sums."""
    kind = prediction(model)
    if kind == "RawFormulaVal":
        return LoweredMember(forest)
    recipe = Recipe()
    sums = recipe.add(forest)
    if kind == "Exponent":
        recipe.add(exponential(), sums)
        return recipe.lowered()
    # The mean, and the logarithm of the standard deviation: predict gives the variance.
    variance = recipe.add(exponential(), recipe.add(affine([[0.0], [2.0]], [0.0]), sums))
    recipe.add(concat(2), recipe.add(select([0]), sums), variance)
    return recipe.lowered()
