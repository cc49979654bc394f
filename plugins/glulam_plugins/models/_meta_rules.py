"""What scikit-learn's meta-estimators make of their parts' answers: votes, stacks and thresholds.

Rules as in ``sklearn/ensemble/_voting.py``, ``sklearn/ensemble/_stacking.py`` and
``sklearn/model_selection/_classification_threshold.py``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier
from sklearn.model_selection import FixedThresholdClassifier

from glulam._signature import numeric_schema
from glulam.decision import Decision
from glulam.errors import UnsupportedModelError
from glulam.fragments import concat, mean, select
from glulam.program import LoweredMember, OnnxFragment, Steps
from glulam.schema import FeatureSchema
from glulam_plugins.models._fragments import same
from glulam_plugins.models._meta_parts import Composition, Part

__all__ = ["lower_hard_vote", "lower_mean", "lower_stack", "lower_threshold", "shares"]

Array = npt.NDArray[Any]


def lower_mean(model: Any, schema: FeatureSchema) -> LoweredMember:
    """Lower a soft vote, or a VotingRegressor: the weighted mean, as ``numpy.average`` adds it up."""
    recipe = Composition(model)
    parts = [recipe.part(part, f"estimator {name!r}", schema) for name, part in _named(model)]
    votes = [part.probabilities() if is_classifier(model) else part.vote() for part in parts]
    recipe.add(mean(len(votes), model._weights_not_none), *votes)
    return recipe.finish()


def lower_hard_vote(model: Any, schema: FeatureSchema) -> LoweredMember:
    """Lower a hard vote: each class's share of the weights, and the class of the first largest sum."""
    weights = _ballot_weights(model)
    recipe = Composition(model)
    chosen = [recipe.part(part, f"estimator {name!r}", schema).chosen() for name, part in _named(model)]
    ballots = recipe.add(concat(len(chosen)), *chosen)
    choice = recipe.add(_ballots(weights, len(model.classes_), "winner"), ballots)
    recipe.add(_ballots(weights, len(model.classes_), "share"), ballots)
    return recipe.finish(choice=choice)


def shares(model: Any, ballots: Array) -> npt.NDArray[np.float64]:
    """Return each class's share of the weights, for the class indices [n, n_estimators] that parts predict."""
    weights = _ballot_weights(model)
    sums = _counted(ballots, weights, len(model.classes_))
    return np.asarray(sums / weights.sum())


def lower_stack(model: Any, schema: FeatureSchema) -> LoweredMember:
    """Lower a stack: the parts' answers side by side, then the row if it is passed through, then the final model."""
    recipe = Composition(model)
    two = len(getattr(model, "classes_", ())) == 2
    answers: list[str] = []
    rounded: list[int] = []
    width = 0
    for (name, estimator), method in zip(_named(model), model.stack_method_, strict=True):
        part = recipe.part(estimator, f"estimator {name!r}", schema)
        answer = part.answer(method)
        columns = _columns(part, method)
        if two and method == "predict_proba":  # the first column says nothing new
            answer, columns = recipe.add(select([1]), answer), 1
        if not (method == "predict" and part.classes.size):  # labels are the same numbers on any machine
            rounded += range(width, width + columns)
        answers.append(answer)
        width += columns
    if model.passthrough:
        answers.append("features")
        width += len(schema)
    source = recipe.add(concat(len(answers)), *answers)
    final = recipe.part(
        model.final_estimator_, "final_estimator", numeric_schema(width), source=source, rounded=rounded
    )
    choice = final.choice
    recipe.add(same(), final.vote())
    return recipe.finish(decision=final.lowered.decision, choice=choice)


def lower_threshold(model: Any, schema: FeatureSchema) -> LoweredMember:
    """Lower a classifier that says ``pos_label`` where its score is at least a threshold."""
    recipe = Composition(model)
    part = recipe.part(getattr(model, "estimator_", model.estimator), "estimator", schema)
    method = model.response_method
    if method == "auto":
        method = "predict_proba" if hasattr(part.model, "predict_proba") else "decision_function"
    positive, threshold = _threshold(model, method)
    decision = Decision(threshold=threshold, inclusive=True)
    if positive == 1 and (method == "predict_proba" or not hasattr(part.model, "predict_proba")):
        if not isinstance(part.lowered.body, Steps):
            return replace(part.lowered, decision=decision)
        recipe.add(same(), part.vote())
        return recipe.finish(decision=decision)
    choice = recipe.add(_reached(threshold, positive, method), part.answer(method))
    recipe.add(same(), part.vote())
    return recipe.finish(choice=choice)


def _threshold(model: Any, method: str) -> tuple[int, float]:
    """Return the index of the positive class, and the threshold of its score."""
    if type(model) is FixedThresholdClassifier:
        label, threshold = model.pos_label, model.threshold
        if isinstance(threshold, str):  # "auto"
            threshold = 0.5 if method == "predict_proba" else 0.0
    else:
        label, threshold = model._curve_scorer._get_pos_label(), model.best_threshold_
    positive = 1 if label is None else int(np.flatnonzero(np.asarray(model.classes_) == label)[0])
    return positive, float(threshold)


def _named(model: Any) -> list[tuple[str, Any]]:
    """Return the fitted estimators by name; dropped ones have none."""
    names = [name for name, estimator in model.estimators if not (isinstance(estimator, str) and estimator == "drop")]
    return list(zip(names, model.estimators_, strict=True))


def _columns(part: Part, method: str) -> int:
    """Return how many columns an answer of a part has."""
    if method == "predict" or not part.classes.size:
        return 1
    return 1 if method == "decision_function" and len(part.classes) == 2 else len(part.classes)


def _ballot_weights(model: Any) -> npt.NDArray[np.float64]:
    weights = model._weights_not_none
    found = np.ones(len(model.estimators_)) if weights is None else np.asarray(weights, dtype=np.float64)
    if found.min() < 0 or not found.sum() > 0:
        raise UnsupportedModelError(
            f"VotingClassifier: weights={found.tolist()} with voting='hard' have no shares; expected numbers of at "
            "least 0, one of them above it"
        )
    return found


def _counted(ballots: Array, weights: npt.NDArray[np.float64], classes: int) -> npt.NDArray[np.float64]:
    """Return each class's sum of weights, added up in the parts' order as ``numpy.bincount`` does."""
    sums = np.zeros((len(ballots), classes))
    for column, weight in enumerate(weights):
        sums += np.where(ballots[:, column, None] == np.arange(classes), weight, 0.0)
    return sums


def _ballots(weights: npt.NDArray[np.float64], classes: int, what: Literal["share", "winner"]) -> OnnxFragment:
    """Return what class indices [n, n_estimators] come to: each class's ``share``, or the ``winner``.

    The sums are float64 in any file, so that weights tie just where they do in scikit-learn.
    """

    def doubles(values: npt.NDArray[np.float64]) -> str:
        return f"Constant <value = double[{len(values)}] {{{', '.join(repr(float(each)) for each in values)}}}> ()"

    lines = ["zero = Constant <value = double[1] {0.0}> ()", f"total = {doubles(weights.sum(keepdims=True))}"]
    for index, weight in enumerate(weights):
        lines += [
            f"w{index} = {doubles(np.array([weight]))}",
            f"b{index} = Gather <axis = 1> (x, i{index})",
            f"e{index} = Equal(b{index}, classes)",
            f"v{index} = Where(e{index}, w{index}, zero)",
            f"s{index} = Add(s{index - 1}, v{index})" if index else "s0 = Identity(v0)",
        ]
    sums = f"s{len(weights) - 1}"
    lines.append(f"share = Div({sums}, total)" if what == "share" else f"winner = ArgMax <axis = 1> ({sums})")
    constants = {f"i{index}": np.array([index]) for index in range(len(weights))}
    names = ", ".join(["x", "classes", *constants])

    def reference(x: Array) -> Array:
        counted = _counted(x, weights, classes)
        if what == "share":
            return np.asarray(counted / weights.sum())
        return np.asarray(counted.argmax(axis=1)[:, None], dtype=np.float64)

    return OnnxFragment(
        text=f"ballots ({names}) => (y) {{ {' '.join(lines)} y = CastLike({what}, x) }}",
        reference=reference,
        constants={"classes": np.arange(classes, dtype=np.float64)[None, :]} | constants,
    )


def _reached(threshold: float, positive: int, method: str) -> OnnxFragment:
    """Return the class's index [n, 1]: ``positive`` where its score is at least the threshold."""
    column = positive if method == "predict_proba" else 0
    # A decision function speaks for the second class.
    sign = -1.0 if method == "decision_function" and positive == 0 else 1.0

    def reference(x: Array) -> Array:
        reached = sign * x[:, column].astype(np.float64) >= threshold
        return np.where(reached, positive, 1 - positive)[:, None].astype(np.float64)

    return OnnxFragment(
        text="reached (x, column, sign, threshold, yes, no) => (y) {"
        " score = Gather <axis = 1> (x, column)"
        " signed = Mul(score, sign)"
        " above = GreaterOrEqual(signed, threshold)"
        " y = Where(above, yes, no) }",
        reference=reference,
        constants={
            "column": np.array([column]), "sign": np.array(sign), "threshold": np.array(threshold),
            "yes": np.array(float(positive)), "no": np.array(float(1 - positive)),
        },
    )  # fmt: skip
