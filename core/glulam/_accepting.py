"""What a fitted model takes, learnt by asking it: missing values, infinities, numbers of any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError, UnsupportedModelError
from glulam.program import Guard, OnnxFragment
from glulam.schema import FeatureSchema

__all__ = ["accepted"]

Rows = npt.NDArray[np.floating[Any]]
Answers = Callable[[Rows], bool]
_TO_FLOAT32 = float(np.nextafter(2.0**128 - 2.0**103, 0))
"""The largest float64 that float32 does not round to infinity."""
_PROBED_ALONE = 64
"""Features up to which each is asked by itself whether it may be missing."""


def accepted(
    votes: Callable[[Rows], npt.NDArray[np.float64]], start: Rows, schema: FeatureSchema, kind: str
) -> tuple[Rows, FeatureSchema, tuple[Guard, ...]]:
    """Learn by trying what the library refuses: rows, missing values a feature, infinities.

    Returns the starting rows that it answers, the schema with its missing values, and a guard for
    what it refuses.
    """

    def answers(rows: Rows) -> bool:
        try:
            votes(rows)
        except ValueError:
            return False
        except Exception as error:  # a model that was changed by hand may fail in any way
            raise UnsupportedModelError(
                f"{kind}: does not answer rows: {type(error).__name__}: {' '.join(str(error).split())[:200]}; "
                "fit it again"
            ) from error
        return True

    if not answers(start):
        kept = [row for row in range(len(start)) if answers(start[row : row + 1])]
        if not kept:
            raise ConfigError(
                f"{kind}: its library refuses all rows that the proof could start from; give some that it takes: "
                "glulam.export(model, path, X)"
            )
        start = start[kept]
    row = start[np.isfinite(start).all(axis=1)][:1] if np.isfinite(start).all(axis=1).any() else start[:1]
    missing = _refused(answers, row, np.nan)
    infinite = _refused(answers, row, np.inf)
    limit = _limits(answers, row, infinite)
    features = tuple(
        replace(feature, missing="error" if refused else "allow")
        if feature.unseen != "missing" or not refused
        else replace(feature, missing="error", unseen="error")
        for feature, refused in zip(schema.features, missing, strict=True)
    )
    known = FeatureSchema(features, named=schema.named)
    if not missing.any() and not infinite.any():
        return start, known, ()
    return start, known, (_guard(missing, infinite, limit),)


def _refused(answers: Answers, row: Rows, value: float) -> npt.NDArray[np.bool_]:
    """Tell which features must not hold a value, bool [n_features]."""
    count = row.shape[1]
    if answers(np.full_like(row, value)):
        return np.zeros(count, dtype=bool)
    if count > _PROBED_ALONE:
        return np.ones(count, dtype=bool)
    refused = np.empty(count, dtype=bool)
    for feature in range(count):
        tried = row.copy()
        tried[0, feature] = value
        refused[feature] = not answers(tried)
    # Each alone is taken, all together are not: nothing simple, so nothing is promised.
    return refused if refused.any() else np.ones(count, dtype=bool)


def _limits(answers: Answers, row: Rows, infinite: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the size up to which each feature's numbers are answered, float64 [n_features].

    Most libraries answer all finite numbers. One that reads float32 refuses what is beyond it; a
    scaler makes large ones infinite, which the model behind it refuses.
    """
    most = float(np.finfo(row.dtype).max)
    limits = np.full(len(infinite), most)
    if not infinite.any() or answers(np.full_like(row, most)):
        return limits

    def taken(feature: int, value: float) -> bool:
        tried = np.repeat(row, 2, axis=0)
        tried[:, feature] = value, -value
        return all(answers(tried[one : one + 1]) for one in range(2))

    if row.dtype == np.float64 and answers(np.full_like(row, _TO_FLOAT32)):
        return np.full(len(infinite), _TO_FLOAT32)
    for feature in np.flatnonzero(infinite)[:_PROBED_ALONE]:
        if taken(feature, most):
            continue
        low, high = 0.0, float(np.log2(most))
        if row.dtype == np.float64 and taken(feature, _TO_FLOAT32):
            limits[feature] = _TO_FLOAT32
            continue
        while high - low > 0.5:  # a little less than the library takes, never more
            middle = (low + high) / 2
            low, high = (middle, high) if taken(feature, 2.0**middle) else (low, middle)
        limits[feature] = 2.0**low
    return limits


def _guard(missing: npt.NDArray[np.bool_], infinite: npt.NDArray[np.bool_], limit: npt.NDArray[np.float64]) -> Guard:
    """Return the check that no feature holds a NaN, or a number beyond the limit, that the library refuses."""

    def reference(rows: Rows) -> npt.NDArray[np.bool_]:
        return np.asarray(~((np.isnan(rows) & missing) | ((np.abs(rows) > limit) & infinite)).any(axis=1))

    text = (
        "finite (features, missing, infinite, limit, axis) => (valid) {"
        " lacks = IsNaN(features) lacking = And(lacks, missing)"
        " size = Abs(features) large = Greater(size, limit) beyond = And(large, infinite)"
        " odd = Or(lacking, beyond) number = Cast <to = 6> (odd)"
        " most = ReduceMax <keepdims = 0> (number, axis)"
        " refused = Cast <to = 9> (most) valid = Not(refused) }"
    )
    constants = {"missing": missing, "infinite": infinite, "limit": limit, "axis": np.array([1])}
    return Guard("finite", OnnxFragment(text, reference, constants))
