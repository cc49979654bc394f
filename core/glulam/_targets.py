"""Checking what is to be learnt: labels and values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from glulam.errors import FeatureError
from glulam.program import Task

__all__ = ["Target", "class_target", "value_target"]


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be learnt.

    task
        binary, multiclass or regression
    classes
        the labels in order; empty for regression
    y
        class positions, int64 [n_rows], or values, float64 [n_rows]
    encode
        the same encoding, for further rows
    """

    task: Task
    classes: npt.NDArray[Any]
    y: npt.NDArray[Any]
    encode: Callable[[Any], npt.NDArray[Any]]


def class_target(y: Any, owner: str) -> Target:
    """Return labels as a target. Raises FeatureError for labels that will not do, or of one class only."""
    labels = as_labels(y, owner)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise FeatureError(
            f"y: expected at least two classes, got one class only: {classes.tolist()}; a classifier has "
            "nothing to tell apart"
        )

    def encode(values: Any) -> npt.NDArray[Any]:
        found = as_labels(values, owner)
        unknown = np.setdiff1d(found, classes)
        if unknown.size:
            raise FeatureError(f"eval_set: y has classes that training has not: {unknown.tolist()}")
        return np.searchsorted(classes, found)

    return Target("binary" if len(classes) == 2 else "multiclass", classes, np.searchsorted(classes, labels), encode)


def value_target(y: Any, owner: str) -> Target:
    """Return numbers as a target. Raises FeatureError for what is no finite number."""
    return Target("regression", np.empty(0), as_values(y, owner), lambda values: as_values(values, "eval_set"))


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
    if labels.dtype.kind == "u" and labels.size and labels.max() > np.iinfo(np.int64).max:
        raise FeatureError(f"{owner}: label {labels.max()} is beyond int64, which files have; use smaller integers")
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
