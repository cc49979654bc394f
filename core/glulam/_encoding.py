"""From one column's values to float32: what is missing, what is no number, what float32 cannot hold."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import FeatureError, FeatureTypeError

__all__ = ["Float32CollisionWarning", "is_missing", "narrow", "to_float64", "warn_of_collisions"]


class Float32CollisionWarning(UserWarning):
    """Distinct float64 values of a feature become the same float32, more often than by chance."""


def is_missing(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell which values are NaN, None or NA, bool [n_rows]."""
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values))
    if values.dtype == object:
        # NaN is the one value unequal to itself; pandas' NA answers neither yes nor no.
        return np.array([v is None or type(v).__name__ in {"NAType", "NaTType"} or v != v for v in values], dtype=bool)
    return np.zeros(len(values), dtype=bool)


def to_float64(values: npt.NDArray[Any], name: str, owner: str) -> npt.NDArray[np.float64]:
    """Return the column as float64, or say which value is no number."""
    kind = values.dtype.kind
    if kind in "fiub":
        return values.astype(np.float64, copy=False)
    if kind == "c":
        raise FeatureTypeError(f"{owner}: Complex data not supported: column {name!r} is {values.dtype}")
    if kind != "O":
        what = "text" if kind in "US" else str(values.dtype)
        first = repr(values[0].item()) if len(values) else ""
        raise FeatureTypeError(
            f"{owner}: column {name!r}: expected numbers, got {what} {first}; "
            "cast it, or declare it categorical in FeatureSchema"
        )
    numbers = np.empty(len(values))
    missing = is_missing(values)
    for row, value in enumerate(values):
        if missing[row]:
            numbers[row] = np.nan
            continue
        if isinstance(value, (str, bytes)):
            raise FeatureTypeError(
                f"{owner}: column {name!r}, row {row}: expected float32, got text {value!r}; "
                "cast it, or declare it categorical in FeatureSchema"
            )
        if isinstance(value, complex):
            raise FeatureTypeError(f"{owner}: Complex data not supported: column {name!r}, row {row}: {value!r}")
        try:
            numbers[row] = float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise FeatureTypeError(
                f"{owner}: column {name!r}, row {row}: expected a number, got {type(value).__name__}: {error}"
            ) from error
    return numbers


def narrow(
    matrix: npt.NDArray[Any], names: Sequence[str], owner: str, dtype: npt.DTypeLike = np.float32
) -> npt.NDArray[Any]:
    """Return float32 (or another ``dtype``), C-contiguous; a finite number beyond float32's range is an error."""
    if dtype != np.float32:
        return np.ascontiguousarray(matrix, dtype=dtype)
    if matrix.dtype == np.float32:
        return np.ascontiguousarray(matrix)
    if matrix.dtype.kind in "iu" and matrix.dtype.itemsize == 8:
        matrix = matrix.astype(np.float64)  # as in every other table: one rounding for all
    with np.errstate(over="ignore"):
        small = np.ascontiguousarray(matrix, dtype=np.float32)
    if matrix.dtype == np.float64:
        lost = np.isinf(small) & np.isfinite(matrix)
        if lost.any():
            row, column = (int(i[0]) for i in np.nonzero(lost))
            raise FeatureError(
                f"{owner}: column {names[column]!r}, row {row}: {matrix[row, column].item()!r} is beyond "
                "float32's range (about 3.4e38); scale the feature (a value too large for dtype('float32'))"
            )
    return small


def warn_of_collisions(name: str, numbers: npt.NDArray[np.float64]) -> None:
    """Warn where float32 cannot tell apart values that float64 could.

    Among n values spread over one binade (2**23 floats) about n**2 / 2**24 pairs meet by chance;
    that harms nobody, so four times as many, and at least one, is what we speak of.
    """
    with np.errstate(over="ignore"):
        small = numbers.astype(np.float32)
    if np.array_equal(small.astype(np.float64), numbers, equal_nan=True):
        return
    distinct = np.unique(numbers[np.isfinite(numbers)])
    lost = distinct.size - np.unique(distinct.astype(np.float32)).size if distinct.size else 0
    if lost > distinct.size**2 / 2**22:
        warnings.warn(
            f"column {name!r}: {lost} of {distinct.size} distinct float64 values become equal in float32, in which "
            "members are trained and served; subtract an offset or rescale the feature to keep them apart",
            Float32CollisionWarning,
            stacklevel=5,
        )
