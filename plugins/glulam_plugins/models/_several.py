"""Estimators of scikit-learn that are made of others, each lowered by whichever plugin knows it.

Rules as in ``sklearn/multiclass.py``, ``multioutput.py``, ``compose/_target.py``,
``linear_model/_ransac.py`` and ``semi_supervised/_self_training.py``.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from sklearn import compose, linear_model, multiclass, multioutput, preprocessing, semi_supervised
from sklearn.base import is_classifier, is_regressor

from glulam import plugins
from glulam._signature import numeric_schema
from glulam.decision import Decision
from glulam.errors import UnsupportedModelError
from glulam.fragments import Recipe, affine, concat, exponential, select, two_classes
from glulam.hookspecs import ModelPlugin, Signature
from glulam.program import LoweredMember, OnnxFragment
from glulam.schema import FeatureSchema
from glulam_plugins.models._fragments import above_zero, largest, normalised, same
from glulam_plugins.models._kernels import one_against_one, pair_wins
from glulam_plugins.models._linear import is_linear, scores_of
from glulam_plugins.models._sklearn_parts import narrowest

__all__ = ["delegate_of", "is_made_of_others", "lower_several", "plugin_of", "several_signature"]

_MADE_OF_OTHERS = (
    multiclass.OneVsRestClassifier, multiclass.OneVsOneClassifier, multioutput.MultiOutputClassifier,
    multioutput.MultiOutputRegressor, multioutput.ClassifierChain, multioutput.RegressorChain,
    compose.TransformedTargetRegressor,
)  # fmt: skip
_SEARCHES = ("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV")


_known: WeakKeyDictionary[Any, ModelPlugin] = WeakKeyDictionary()


def plugin_of(model: Any) -> ModelPlugin:
    """Return the plugin of a part, asked for once: proofs ask a model hundreds of times."""
    try:
        if model not in _known:
            _known[model] = plugins.required_model_of(model)
        return _known[model]
    except TypeError:  # CatBoost's models cannot be hashed
        return plugins.required_model_of(model)


def is_made_of_others(model: Any) -> bool:
    """Tell whether `lower_several` knows the rule of this model, whose type must be just that."""
    return type(model) in _MADE_OF_OTHERS


def delegate_of(model: Any) -> Any:
    """Return the fitted estimator that answers for this one (a search's best, ...), or None."""
    if type(model).__module__.startswith("sklearn.") and type(model).__name__ in _SEARCHES:
        return getattr(model, "best_estimator_", None)
    if type(model) in (linear_model.RANSACRegressor, semi_supervised.SelfTrainingClassifier):
        return getattr(model, "estimator_", None)
    return None


def several_signature(model: Any, signature: Signature) -> Signature:
    """Return the signature with what scikit-learn's attributes do not say of these models."""
    schema = signature.schema
    if isinstance(model, (multioutput.MultiOutputRegressor, multioutput.RegressorChain)):
        return Signature(schema, "regression", n_targets=len(model.estimators_))
    if type(model) is compose.TransformedTargetRegressor:
        inner = plugin_of(model.regressor_).signature(model.regressor_)
        return Signature(schema, "regression", n_targets=inner.n_targets)
    multilabel = type(model) is multioutput.ClassifierChain or getattr(model, "multilabel_", False)
    if multilabel:
        classes = model.classes_ if isinstance(model.classes_, list) else [np.array([0, 1])] * len(model.estimators_)
        return Signature(schema, "multioutput", np.concatenate(classes), (1,) * len(model.estimators_))
    return signature


def lower_several(model: Any, schema: FeatureSchema) -> LoweredMember:
    """Lower a model made of others. Refuses parts and options whose rule is another."""
    if type(model) is compose.TransformedTargetRegressor:
        return _lower_target(model, schema)
    if type(model) in (multioutput.ClassifierChain, multioutput.RegressorChain):
        return _lower_chain(model, schema)
    if type(model) is multiclass.OneVsOneClassifier:
        return _lower_pairs(model, schema)
    if type(model) is multiclass.OneVsRestClassifier:
        return _lower_one_against_rest(model, schema)
    recipe, parts = Recipe(), [_lowered(part, schema, model) for part in model.estimators_]
    recipe.add(concat(len(parts)), *[recipe.member(part) for part in parts])
    return recipe.lowered(arithmetic=narrowest(parts))


def _lowered(part: Any, schema: FeatureSchema, owner: Any) -> LoweredMember:
    """Lower a part with its own plugin; a part that cannot be is refused with its owner's name."""
    if type(part).__name__ == "_ConstantPredictor":
        raise UnsupportedModelError(
            f"sklearn: {type(owner).__name__}: a class was seen in all rows or in none; leave it out"
        )
    try:
        return plugin_of(part).lower(part, schema)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"sklearn: {type(owner).__name__}: {error}") from error


def _probability(recipe: Recipe, lowered: LoweredMember, source: str = "features") -> str:
    """Add a binary classifier's chance of its second class."""
    return recipe.add(select([1]), recipe.member(lowered, source))


def _score(part: Any, lowered: LoweredMember, owner: Any, recipe: Recipe) -> tuple[str, float]:
    """Add what ``sklearn.multiclass._predict_binary`` reads off a part, and what it is compared with."""
    if is_regressor(part):
        return recipe.member(lowered), 0.5
    if not hasattr(part, "decision_function"):
        return _probability(recipe, lowered), 0.5
    if not hasattr(part, "predict_proba"):
        return recipe.member(lowered), 0.0
    if is_linear(part):
        return recipe.add(scores_of(part)), 0.0
    raise UnsupportedModelError(
        f"sklearn: {type(owner).__name__} decides by the decision function of {type(part).__name__}, which is lowered "
        "by its probabilities; use a linear model, or one without decision_function"
    )


def _scores(model: Any, parts: list[LoweredMember], recipe: Recipe) -> tuple[str, float]:
    """Add the scores of all parts side by side, and what they are compared with."""
    found = [_score(part, each, model, recipe) for part, each in zip(model.estimators_, parts, strict=True)]
    return recipe.add(concat(len(found)), *(name for name, _ in found)), found[0][1]


def _lower_one_against_rest(model: Any, schema: FeatureSchema) -> LoweredMember:
    many = len(model.estimators_) > 1
    recipe, parts = Recipe(), [_lowered(part, schema, model) for part in model.estimators_]
    width = narrowest(parts)
    if not hasattr(model, "predict_proba"):
        if model.multilabel_:
            raise UnsupportedModelError(
                "sklearn: OneVsRestClassifier on several labels gives no probabilities; use parts with predict_proba"
            )
        _, threshold = _scores(model, parts, recipe)
        return recipe.lowered(arithmetic=width, decision=Decision(threshold=threshold))
    choice = ""
    if not model.multilabel_ and all(not hasattr(p, "decision_function") or is_linear(p) for p in model.estimators_):
        scores, threshold = _scores(model, parts, recipe)
        if many or threshold == 0.0:
            choice = recipe.add(largest() if many else above_zero(), scores)
    together = recipe.add(concat(len(parts)), *[_probability(recipe, part) for part in parts])
    if not model.multilabel_:
        recipe.add(normalised(0.0) if many else two_classes(), together)
    return recipe.lowered(arithmetic=width, choice=choice)


def _lower_pairs(model: Any, schema: FeatureSchema) -> LoweredMember:
    """Lower `OneVsOneClassifier`: votes of pairs, ties broken by the sums of their scores."""
    if model.pairwise_indices_ is not None:
        raise UnsupportedModelError("sklearn: OneVsOneClassifier on precomputed kernels has no exact form")
    count = len(model.classes_)
    if count == 2:
        raise UnsupportedModelError(
            "sklearn: OneVsOneClassifier on two classes is its only estimator; export estimators_[0]"
        )
    if not all(is_classifier(part) for part in model.estimators_):
        raise UnsupportedModelError("sklearn: OneVsOneClassifier of regressors has no exact form; use classifiers")
    recipe, parts = Recipe(), [_lowered(part, schema, model) for part in model.estimators_]
    scores, threshold = _scores(model, parts, recipe)
    votes = recipe.add(pair_wins(count, threshold, for_second=True), scores)
    recipe.add(one_against_one(count), votes, recipe.add(affine(-np.eye(len(parts)), np.zeros(len(parts))), scores))
    return recipe.lowered(arithmetic=narrowest(parts))


def _lower_chain(model: Any, schema: FeatureSchema) -> LoweredMember:
    """Lower a chain: each part takes the row and what the parts before it said."""
    recipe = Recipe()
    method = getattr(model, "chain_method_", "predict")
    regression = type(model) is multioutput.RegressorChain
    parts: list[LoweredMember] = []
    said: list[str] = []
    outputs: list[str] = []
    for number, part in enumerate(model.estimators_):
        source = recipe.add(concat(1 + len(said)), "features", *said) if said else "features"
        parts.append(_lowered(part, numeric_schema(len(schema) + number), model))
        if regression:
            outputs.append(recipe.member(parts[-1], source))
            said.append(outputs[-1])
            continue
        if list(part.classes_) != [0, 1] or not hasattr(model, "predict_proba"):
            raise UnsupportedModelError(
                "sklearn: ClassifierChain: expected labels 0 and 1 and parts with predict_proba, as scikit-learn "
                "chains them; encode the labels"
            )
        outputs.append(_probability(recipe, parts[-1], source))
        if method == "predict_proba":
            said.append(outputs[-1])
        elif is_linear(part):
            score = recipe.add(scores_of(part), source)
            said.append(score if method == "decision_function" else recipe.add(above_zero(), score))
        elif method == "predict" and not hasattr(part, "decision_function"):
            shifted = recipe.add(affine([[1.0]], [-0.5]), outputs[-1])
            said.append(recipe.add(above_zero(), shifted))
        else:
            raise UnsupportedModelError(
                f"sklearn: ClassifierChain of {type(part).__name__} chained by {method} has no exact form; use "
                "chain_method='predict_proba'"
            )
    order = np.argsort(np.asarray(model.order_))
    recipe.add(select(order), recipe.add(concat(len(outputs)), *outputs))
    return recipe.lowered(arithmetic=narrowest(parts))


def _lower_target(model: Any, schema: FeatureSchema) -> LoweredMember:
    """Lower `TransformedTargetRegressor`: the regressor, then the inverse of what its target went through."""
    recipe = Recipe()
    inner = _lowered(model.regressor_, schema, model)
    value = recipe.member(inner)
    back = model.transformer_
    kind = type(back)
    if kind is preprocessing.FunctionTransformer:
        function = back.inverse_func
        if function is None:
            recipe.add(same(), value)
        elif function is np.exp:
            recipe.add(exponential(), value)
        elif function is np.expm1:
            recipe.add(affine([[1.0]], [-1.0]), recipe.add(exponential(), value))
        elif function is np.square:
            recipe.add(OnnxFragment("square (x) => (y) { y = Mul(x, x) }", np.square), value)
        else:
            raise UnsupportedModelError(
                f"sklearn: TransformedTargetRegressor(inverse_func={getattr(function, '__name__', function)!r}) is "
                "code that a file cannot hold; use numpy.expm1, numpy.exp, numpy.square, or a scaler as transformer"
            )
    elif kind in (preprocessing.StandardScaler, preprocessing.MinMaxScaler, preprocessing.MaxAbsScaler,
                  preprocessing.RobustScaler) and not getattr(back, "clip", False):  # fmt: skip
        zero = back.inverse_transform(np.zeros((1, back.n_features_in_)))[0]
        one = back.inverse_transform(np.ones((1, back.n_features_in_)))[0]
        recipe.add(affine(np.diag(one - zero), zero), value)
    else:
        raise UnsupportedModelError(
            f"sklearn: TransformedTargetRegressor with {kind.__name__} has no exact form; use a scaler, "
            "or func=numpy.log1p"
        )
    return recipe.lowered(arithmetic=inner.arithmetic)
