"""Isolation forests, by scikit-learn: models that find outliers, to be exported by themselves.

Rules of prediction as in ``sklearn/ensemble/_iforest.py``: a leaf counts the nodes on the way to
it and the mean path length below it, had the tree been grown on; the score of a row is
``-2 ** -(sum / (n_trees * c))``; rows are inliers where score minus offset is at least 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import IsolationForest as NativeIsolationForest
from sklearn.ensemble._iforest import _average_path_length

from glulam._signature import numeric_schema
from glulam.decision import Decision
from glulam.errors import PluginError
from glulam.forest import Forest
from glulam.fragments import Recipe, affine
from glulam.hookspecs import ModelPlugin, Signature, hookimpl
from glulam.program import LoweredMember, OnnxFragment, Task
from glulam.schema import FeatureSchema
from glulam_plugins.models._sklearn_base import SklearnModel, asked
from glulam_plugins.models._sklearn_trees import lowered_tree

Rows = npt.NDArray[np.floating[Any]]


class IsolationForest(SklearnModel):
    """scikit-learn's IsolationForest: label 1 or -1, ``decision_function``, ``score_samples``."""

    name = "isolation_forest"
    kinds = (NativeIsolationForest,)

    def make(self, task: Task, params: Mapping[str, Any], schema: FeatureSchema | None) -> Any:
        """Return one for finding outliers: 100 trees, seed 42. It is no member of a vote."""
        if task != "outlier":
            raise PluginError(
                f"isolation_forest: finds outliers and has no answer to a {task} task, which members vote on; "
                "fit it by itself and export it with glulam.export"
            )
        return NativeIsolationForest(**({"n_estimators": 100, "random_state": 42} | dict(params)))

    def signature(self, model: Any) -> Signature:
        """Return the task of finding outliers: -1 is one, 1 is none."""
        schema = numeric_schema(model.n_features_in_, getattr(model, "feature_names_in_", None))
        return Signature(schema, "outlier", np.array([-1, 1]), scores="decision_function")

    def extras(self, model: Any, X: Rows) -> dict[str, npt.NDArray[np.float64]]:
        """Return scikit-learn's own scores."""
        return {"score_samples": np.asarray(asked(model.score_samples, X), dtype=np.float64)}

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower the trees with path lengths for leaves; the score and its distance from the offset are steps."""
        denominator = len(model.estimators_) * float(_average_path_length([model._max_samples])[0])
        # Trees of a single row have no paths; scikit-learn sets the exponent to 1 then.
        alone = denominator == 0
        own = zip(model._decision_path_lengths, model._average_path_length_per_tree, strict=True)
        forest = Forest.from_trees(
            (
                lowered_tree(part.tree_, 0.0 * depth if alone else depth + below - 1.0, columns=columns)
                for part, columns, (depth, below) in zip(
                    model.estimators_, model.estimators_features_, own, strict=True
                )
            ),
            n_features=model.n_features_in_,
            base=[1.0 if alone else 0.0],
            divisor=1.0 if alone else denominator,
            reads="float32",
        )
        recipe = Recipe()
        score = recipe.add(_score(), recipe.add(forest))
        recipe.add(affine([[1.0]], [-model.offset_]), score)
        return recipe.lowered(decision=Decision(threshold=0.0, inclusive=True), extras={"score_samples": score})


def _score() -> OnnxFragment:
    return OnnxFragment(
        text="score (x, two) => (y) { exponent = Neg(x) power = Pow(two, exponent) y = Neg(power) }",
        reference=lambda x: -(2.0 ** -x.astype(np.float64)),
        constants={"two": np.array([2.0])},
    )


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer IsolationForest."""
    return IsolationForest
