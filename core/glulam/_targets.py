"""Checking what is to be learnt: labels and values."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from glulam.errors import FeatureError

__all__ = ["as_labels", "as_values"]


def as_labels(y: Any, owner: str) -> npt.NDArray[Any]:
    """Return labels as a 1-d array of integers, strings, booleans or floats."""
    if y is None:
        raise FeatureError(f"{owner}: fit requires y to be passed, but the target y is None")
    labels = column_or_1d(y, warn=True)
    if labels.dtype.kind in "fO":
        missing = np.array([value is None or value != value for value in labels.tolist()], dtype=bool)
        if missing.any():
            raise FeatureError(
                f"{owner}: y contains NaN or None (first in row {int(np.flatnonzero(missing)[0])}); "
                "Input y contains NaN: drop such rows"
            )
    if labels.dtype.kind == "O":
        kinds = {type(value) for value in labels.tolist()}
        if not (kinds <= {str} or kinds <= {int} or kinds <= {bool} or kinds <= {int, float}):
            raise FeatureError(
                f"{owner}: labels of mixed types {sorted(kind.__name__ for kind in kinds)}; "
                "make them all strings or all integers"
            )
        labels = np.array(labels.tolist())
    check_classification_targets(labels)
    if labels.dtype.kind not in "iubfU":
        raise FeatureError(
            f"{owner}: labels of type {labels.dtype} are not supported; use integers, strings or booleans"
        )
    return np.asarray(labels)


def as_values(y: Any, owner: str) -> npt.NDArray[np.float64]:
    """Return targets as finite float64 [n_rows]."""
    if y is None:
        raise FeatureError(f"{owner}: fit requires y to be passed, but the target y is None")
    raw = column_or_1d(y, warn=True)
    try:
        values = raw.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise FeatureError(f"{owner}: y: expected numbers, got {raw.dtype}: {error}") from error
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise FeatureError(
            f"{owner}: y, row {row}: expected a finite number, got {values[row]}; Input y contains NaN or infinity: "
            "drop such rows"
        )
    return np.asarray(values)
