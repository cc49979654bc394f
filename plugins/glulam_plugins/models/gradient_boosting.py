"""GradientBoosting members, by scikit-learn.

Rules of prediction as in ``sklearn/ensemble/_gb.py``: where the sums begin (a constant, nothing, or
the answer of ``init`` through the loss's link), plus each tree's leaves times the learning rate;
rows are float32, and NaN is refused. Two classes are told apart at a sum of 0, which counts as the second.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

from glulam.decision import Decision
from glulam.errors import UnsupportedModelError
from glulam.forest import Forest
from glulam.fragments import Recipe, sigmoid, softmax, two_classes
from glulam.hookspecs import ModelPlugin, hookimpl
from glulam.program import Link, LoweredMember, OnnxFragment, Task
from glulam.schema import FeatureSchema
from glulam_plugins.models._fragments import largest
from glulam_plugins.models._sklearn_base import SklearnModel
from glulam_plugins.models._sklearn_parts import lowered_part, total
from glulam_plugins.models._sklearn_trees import lowered_tree

Array = npt.NDArray[Any]


class GradientBoosting(SklearnModel):
    """scikit-learn's GradientBoostingClassifier and GradientBoostingRegressor."""

    name = "gradient_boosting"
    kinds = (GradientBoostingClassifier, GradientBoostingRegressor)
    defaults: ClassVar = {"n_estimators": 200}

    def search_space(self, trial: Any, task: Task, n_rows: int) -> dict[str, Any]:
        """Return trees and rate, the size of trees, and rows and columns a tree sees."""
        return {
            "n_estimators": trial.suggest_int("n_estimators", 50, 400, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "max_depth": trial.suggest_int("max_depth", 2, 8),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, max(50, n_rows // 50), log=True),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "max_features": trial.suggest_float("max_features", 0.3, 1.0),
        }

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower the trees; an ``init`` of one's own is lowered by its plugin, as a step before them."""
        outputs = model.estimators_.shape[1]
        # The exponential loss has half the logit for its margin: p = 1 / (1 + exp(-2 margin)).
        factor = 2.0 if model.loss == "exponential" else 1.0
        base = _base(model, outputs)
        forest = Forest.from_trees(
            (
                lowered_tree(part.tree_, factor * (model.learning_rate * part.tree_.value[:, 0, 0]), output=output)
                for stage in model.estimators_
                for output, part in enumerate(stage)
            ),
            n_features=model.n_features_in_,
            base=np.zeros(outputs) if base is None else factor * base,
            reads="float32",
        )
        link: Link = "identity"
        if is_classifier(model):
            link = "sigmoid" if outputs == 1 else "softmax"
        decision = Decision(threshold=0.5, inclusive=True) if link == "sigmoid" else Decision()
        if base is not None:
            return LoweredMember(forest, link, decision=decision, by_sums=link == "softmax")
        return self._after_init(model, forest, link, decision)

    def _after_init(self, model: Any, forest: Forest, link: Link, decision: Decision) -> LoweredMember:
        """Return the trees' sums added to what the user's ``init`` answers."""
        recipe, source = Recipe(), "features"
        lowered = lowered_part(self.name, model.init_, model.n_features_in_)
        if isinstance(lowered.body, Forest):
            lowered = replace(lowered, body=replace(lowered.body, reads="float32"))
        else:
            source = recipe.add(_float32())
        start = recipe.member(lowered, source)
        if link != "identity":
            start = recipe.add(_margins(link), start)
        sums = recipe.add(total(2), start, recipe.add(forest))
        choice = ""
        if link == "softmax":
            # predict chooses among the sums: chances of two classes may be equal where these are not.
            choice = recipe.add(largest(), sums)
            recipe.add(softmax(), sums)
        elif link == "sigmoid":
            recipe.add(two_classes(), recipe.add(sigmoid(), sums))
        made = recipe.lowered(arithmetic=lowered.arithmetic, decision=decision, choice=choice)
        if lowered.arithmetic == "float64":
            return made
        what = type(model.init_).__name__
        return replace(
            made, float32_only=f"init={what} is given rows of float32 and computes in it, whatever the rows are"
        )


def _base(model: Any, outputs: int) -> npt.NDArray[np.float64] | None:
    """Return where the sums begin, or None if that depends on the row."""
    if isinstance(model.init_, str):  # "zero"
        return np.zeros(outputs)
    if type(model.init_) not in (DummyClassifier, DummyRegressor):
        return None
    if model.init_.strategy in ("stratified", "uniform"):
        raise UnsupportedModelError(
            f"gradient_boosting: init={model.init_!r} answers at random; use strategy='prior', or leave init out"
        )
    nothing = np.zeros((1, model.n_features_in_), dtype=np.float32)
    return np.asarray(model._raw_predict_init(nothing)[0], dtype=np.float64)


def _float32() -> OnnxFragment:
    """Return the row in float32: ``init`` is asked with what the trees read."""

    def reference(x: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.asarray(x.astype(np.float32).astype(np.float64))

    return OnnxFragment(
        text="float32 (x) => (y) { narrow = Cast <to = 1> (x) y = CastLike(narrow, x) }", reference=reference
    )


def _margins(link: Link) -> OnnxFragment:
    """Return the margins of an ``init``'s probabilities, away from 0 and 1 by float64's epsilon.

    As in ``_init_raw_predictions`` and ``sklearn/_loss/link.py``. What is near 1 is told by its
    distance from 1, so that float32 does not round the epsilon away.
    """
    least = float(np.finfo(np.float64).eps)
    if link == "sigmoid":

        def logit(p: Array) -> Array:
            second = p[:, 1:].astype(np.float64)
            return np.asarray(np.log(np.maximum(second, least)) - np.log(np.maximum(1.0 - second, least)))

        return OnnxFragment(
            text="logit (p, column, one, least) => (y) {"
            " second = Gather <axis = 1> (p, column)"
            " first = Sub(one, second)"
            " high = Max(second, least)"
            " low = Max(first, least)"
            " a = Log(high)"
            " b = Log(low)"
            " y = Sub(a, b) }",
            reference=logit,
            constants={"column": np.array([1]), "one": np.array(1.0), "least": np.array(least)},
        )

    def centred(p: Array) -> Array:
        logs = np.log(np.maximum(p.astype(np.float64), least))
        return np.asarray(logs - logs.mean(axis=1, keepdims=True))

    return OnnxFragment(
        text="centred (p, least, axis) => (y) {"
        " bounded = Max(p, least)"
        " logs = Log(bounded)"
        " middle = ReduceMean <keepdims = 1> (logs, axis)"
        " y = Sub(logs, middle) }",
        reference=centred,
        constants={"least": np.array(least), "axis": np.array([1])},
    )


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer GradientBoosting."""
    return GradientBoosting
