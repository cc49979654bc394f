"""CalibratedClassifierCV: what turns a classifier's scores into probabilities.

Rules as in ``sklearn/calibration.py`` (`_CalibratedClassifier.predict_proba` and its calibrators) and
``sklearn/isotonic.py``, whose interpolation is ``numpy.interp`` by way of scipy's interp1d.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import UnsupportedModelError
from glulam.fragments import concat, mean, select, sigmoid, softmax, two_classes
from glulam.program import LoweredMember, OnnxFragment
from glulam.schema import FeatureSchema
from glulam_plugins.models._fragments import normalised
from glulam_plugins.models._meta_parts import Composition, Part

__all__ = ["lower_calibrated"]

Array = npt.NDArray[Any]


def lower_calibrated(model: Any, schema: FeatureSchema) -> LoweredMember:
    """Lower the mean of the calibrated classifiers."""
    recipe = Composition(model)
    names = [_calibrated(recipe, each, index, schema) for index, each in enumerate(model.calibrated_classifiers_)]
    if len(names) > 1:
        recipe.add(mean(len(names)), *names)
    return recipe.finish()


def _calibrated(recipe: Composition, pair: Any, index: int, schema: FeatureSchema) -> str:
    """Add one classifier and its calibrators; return the name of its probabilities."""
    where = f"calibrated classifier {index}"
    part = recipe.part(pair.estimator, where, schema)
    if not np.array_equal(part.classes, pair.classes):
        raise UnsupportedModelError(
            f"{recipe.owner}: {where}: its fold has the classes {part.classes.tolist()} only, of "
            f"{pair.classes.tolist()}; use fewer folds, or ensemble=False"
        )
    binary = len(pair.classes) == 2
    # As _get_response_values: the decision function where there is one.
    scored = hasattr(part.model, "decision_function")
    scores = part.scores() if scored else part.with_all_classes().probabilities()
    if pair.method == "temperature":
        if not scored:
            scores = recipe.add(_logarithms(), scores)
        elif binary:
            scores = recipe.add(_opposites(), scores)
        return recipe.add(softmax(), recipe.add(_scaled(pair.calibrators[0].beta_), scores))
    if pair.method not in ("sigmoid", "isotonic"):
        raise UnsupportedModelError(f"{recipe.owner}: method={pair.method!r} has no exact form; use 'sigmoid'")
    if pair.method == "isotonic" and not binary and part.lowered.forests:
        # All classes' chances may be 0, which is alike; a last digit more of one makes that one certain.
        raise part.refusal(
            "gives scores that lie on the feet of isotonic rises, where the last digit decides between none and one "
            "when there are more than two; use method='sigmoid'"
        )
    if binary and not scored:
        scores = recipe.add(select([1]), scores)
    if pair.method == "sigmoid":
        chances = recipe.add(sigmoid(), recipe.add(_platt(pair.calibrators), scores))
    else:
        _refuse_steep(part, pair.calibrators)
        recipe.widen()
        columns = [
            recipe.add(_isotonic(each), recipe.add(select([column]), scores))
            for column, each in enumerate(pair.calibrators)
        ]
        chances = recipe.add(concat(len(columns)), *columns)
    # A score on the foot of an isotonic rise is 0 in scikit-learn; a last digit beside it is next to nothing here.
    residue = 1e-12 if pair.method == "isotonic" else 0.0
    return recipe.add(two_classes() if binary else normalised(1 / len(pair.classes), residue), chances)


def _refuse_steep(part: Part, calibrators: Any) -> None:
    """Refuse lines that magnify the last digit of the scores beyond what a file promises.

    Scores that rounding alone tells apart are points of their own to isotonic regression.
    """
    digit = 2.0**-24 if part.lowered.arithmetic == "float32" else 2.0**-51
    for each in calibrators:
        at, height = (np.asarray(values, dtype=np.float64) for values in (each.X_thresholds_, each.y_thresholds_))
        steepest = float((np.diff(height) / np.diff(at)).max(initial=0.0))
        if steepest * float(np.abs(at).max()) * digit > 1e-6:
            raise part.refusal(
                f"computes in {part.lowered.arithmetic}, and isotonic calibration that rises by {steepest:.3g} "
                "magnifies its last digit beyond 1e-6; use method='sigmoid'"
            )


def _platt(calibrators: Any) -> OnnxFragment:
    """Return ``-(a x + b)`` of each column, of which the sigmoid is taken."""
    slope = np.array([[-each.a_ for each in calibrators]], dtype=np.float64)
    offset = np.array([[-each.b_ for each in calibrators]], dtype=np.float64)
    return OnnxFragment(
        text="platt (x, slope, offset) => (y) { scaled = Mul(x, slope) y = Add(scaled, offset) }",
        reference=lambda x: x * slope + offset,
        constants={"slope": slope, "offset": offset},
    )


def _isotonic(calibrator: Any) -> OnnxFragment:
    """Return the line through the calibrator's points at x [n, 1], and beyond them the first or last."""
    at, height = (np.asarray(each, dtype=np.float64) for each in (calibrator.X_thresholds_, calibrator.y_thresholds_))
    # The last point goes on flat.
    slope = np.append(np.diff(height) / np.diff(at), 0.0)
    low, high = at[0], at[-1]

    def reference(x: Array) -> Array:
        inside = np.clip(x[:, 0].astype(np.float64), low, high)
        index = np.searchsorted(at, inside, side="right") - 1
        return np.asarray(slope[index] * (inside - at[index]) + height[index])[:, None]

    return OnnxFragment(
        text="isotonic (x, at, height, slope, low, high, axis, one) => (y) {"
        " above = Max(x, low)"
        " inside = Min(above, high)"
        " reached = GreaterOrEqual(inside, at)"
        " steps = Cast <to = 7> (reached)"
        " count = ReduceSum <keepdims = 1> (steps, axis)"
        " index = Sub(count, one)"
        " start = Gather(at, index)"
        " first = Gather(height, index)"
        " rise = Gather(slope, index)"
        " way = Sub(inside, start)"
        " climb = Mul(rise, way)"
        " y = Add(climb, first) }",
        reference=reference,
        constants={
            "at": at, "height": height, "slope": slope, "low": np.array(low), "high": np.array(high),
            "axis": np.array([1]), "one": np.array([1]),
        },
    )  # fmt: skip


def _opposites() -> OnnxFragment:
    """Return the logits ``[-x, x]`` of a decision function [n, 1]."""
    return OnnxFragment(
        text="opposites (x) => (y) { minus = Neg(x) y = Concat <axis = 1> (minus, x) }",
        reference=lambda x: np.column_stack([-x, x]),
    )


def _logarithms() -> OnnxFragment:
    """Return the logits of probabilities, ``log(x + 1e-12)``."""
    return OnnxFragment(
        text="logarithms (x, least) => (y) { some = Add(x, least) y = Log(some) }",
        reference=lambda x: np.log(x.astype(np.float64) + 1e-12),
        constants={"least": np.array(1e-12)},
    )


def _scaled(factor: Any) -> OnnxFragment:
    """Return ``x`` times the inverse temperature."""
    beta = float(factor)
    return OnnxFragment(
        text="scaled (x, beta) => (y) { y = Mul(x, beta) }",
        reference=lambda x: x.astype(np.float64) * beta,
        # Not a scalar: onnxruntime would join it with a matrix product before it, and round it to float32.
        constants={"beta": np.array([[beta]])},
    )
