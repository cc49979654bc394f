"""What a scikit-learn-style estimator says of itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from glulam.errors import UnsupportedModelError
from glulam.hookspecs import Signature
from glulam.program import Scores
from glulam.schema import Feature, FeatureSchema

__all__ = ["numeric_schema", "sklearn_signature"]


def numeric_schema(n_features: int, names: Any = None) -> FeatureSchema:
    """Return a schema of numbers, any of which may be missing; without names x0, x1, ..."""
    given = [f"x{index}" for index in range(n_features)] if names is None else [str(name) for name in names]
    return FeatureSchema(tuple(Feature(name, missing="allow") for name in given), named=names is not None)


def sklearn_signature(model: Any) -> Signature:
    """Read ``n_features_in_``, ``feature_names_in_``, ``classes_`` and what methods there are.

    Raises UnsupportedModelError for an estimator that is not fitted, or does not keep these.
    """
    kind = type(model).__qualname__
    count = getattr(model, "n_features_in_", None)
    if count is None:
        raise UnsupportedModelError(
            f"{kind}: expected a fitted estimator of rows [n, n_features_in_]; fit it first, or export the model of "
            "rows that it is a part of"
        )
    schema = numeric_schema(int(count), getattr(model, "feature_names_in_", None))
    classes = getattr(model, "classes_", None)
    if classes is None:
        return Signature(schema, "regression", n_targets=_targets(model))
    if isinstance(classes, list):
        blocks = tuple(len(each) for each in classes)
        return Signature(schema, "multioutput", np.concatenate(classes), blocks)
    known = np.asarray(classes)
    if len(known) < 2:
        raise UnsupportedModelError(f"{kind}: expected at least two classes, it was fitted on {known.tolist()} alone")
    scores: Scores = "probabilities" if hasattr(model, "predict_proba") else "decision_function"
    return Signature(schema, "binary" if len(known) == 2 else "multiclass", known, scores=scores)


def _targets(model: Any) -> int:
    """Return how many values a regressor gives a row."""
    count = getattr(model, "n_outputs_", None)
    return 1 if count is None else int(count)
