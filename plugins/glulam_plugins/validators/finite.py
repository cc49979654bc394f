"""Finite values: no infinities, and NaN only where the schema allows missing values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from glulam.errors import FeatureError
from glulam.hookspecs import FeatureValidator, hookimpl
from glulam.program import Guard, OnnxFragment
from glulam.schema import FeatureSchema


class Finite(FeatureValidator):
    """Refuses infinities, and NaN in features that may not be missing."""

    name = "finite"

    def check(self, X: npt.NDArray[np.float32], schema: FeatureSchema) -> None:
        """Raise FeatureError naming the first such row, column and value, and how many there are."""
        bad = _bad(X, schema.allows_missing)
        if not bad.any():
            return
        row, column = (int(index[0]) for index in np.nonzero(bad))
        value = X[row, column]
        if np.isnan(value):
            what = "NaN (a missing value)"
            advice = "impute it, or allow it by Feature(..., missing='allow') or by training on rows that have some"
        else:
            what = f"{value} (infinity)"
            advice = "replace infinities, for example by NaN where missing values are allowed"
        raise FeatureError(
            f"finite: column {schema.names[column]!r}, row {row}: expected a finite number, got {what}; "
            f"{np.count_nonzero(bad)} such values in all; {advice}"
        )

    def guard(self, schema: FeatureSchema) -> Guard:
        """Return the check as nodes: 0 times a value is 0 just for finite values, and NaN else."""
        allowed = schema.allows_missing
        if allowed.any():
            text = (
                "finite (features, allowed, zeros, nothing) => (valid) {"
                " missing = IsNaN (features)"
                " excused = And (missing, allowed)"
                " present = Where (excused, nothing, features)"
                " sums = MatMul (present, zeros)"
                " valid = Equal (sums, nothing) }"
            )
        else:
            text = (
                "finite (features, zeros, nothing) => (valid) {"
                " sums = MatMul (features, zeros)"
                " valid = Equal (sums, nothing) }"
            )
        constants = {
            "allowed": allowed,
            "zeros": np.zeros(len(schema), dtype=np.float32),
            "nothing": np.zeros((), dtype=np.float32),
        }
        if not allowed.any():
            del constants["allowed"]
        return Guard("finite", OnnxFragment(text, lambda X: np.asarray(~_bad(X, allowed).any(axis=1)), constants))


def _bad(X: npt.NDArray[np.float32], allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    bad: npt.NDArray[np.bool_] = ~np.isfinite(X)
    if allowed.any():
        bad &= ~(np.isnan(X) & allowed)
    return bad


@hookimpl
def glulam_feature_validator() -> type[FeatureValidator]:
    """Offer the check for finite values."""
    return Finite
