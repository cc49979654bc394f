"""Columns between pyarrow and numpy, and from a file's text to what a feature holds.

Only buffers are exchanged: pyarrow's own conversions import pandas where it is installed, which
a prediction has no use for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute

from glulam._reading import flat, holds_numbers, numbers, objects
from glulam.errors import FeatureTypeError
from glulam.schema import Category, Feature

__all__ = ["feature_values", "holds_numbers", "numbers", "objects", "to_arrow"]

Array = npt.NDArray[Any]


def feature_values(column: Any, feature: Feature, *, parse: bool) -> Array:
    """Return a pyarrow column as `FeatureSchema.encode` takes it for a feature.

    With ``parse`` text is read as what the feature holds. Raises FeatureTypeError, with the row in
    the column counted from 0.
    """
    if feature.kind == "categorical":
        return _categories(flat(column), feature.categories) if parse else objects(column)
    values = flat(column)
    if pa.types.is_null(values.type):
        return np.full(len(values), np.nan)
    if parse and pa.types.is_string(values.type):
        values = _parsed(values, feature)
    if not (holds_numbers(values.type) or pa.types.is_boolean(values.type)):
        raise _no_number(feature, 0, values[0].as_py(), f"; the column's type is {values.type}")
    return numbers(values)


def _parsed(values: Any, feature: Feature) -> Any:
    """Return text as numbers or truth values; what is neither is an error that gives its row."""
    wanted = pa.bool_() if feature.kind == "boolean" else pa.float64()
    for attempt in (values, pa.compute.utf8_trim_whitespace(values)):
        try:
            return pa.compute.cast(attempt, wanted)
        except pa.lib.ArrowInvalid:
            values = attempt
    low, high = 0, len(values)  # values[low:high] has the first bad one
    while high - low > 1:
        middle = (low + high) // 2
        try:
            pa.compute.cast(values[low:middle], wanted)
            low = middle
        except pa.lib.ArrowInvalid:
            high = middle
    raise _no_number(feature, low, values[low].as_py(), "")


def _no_number(feature: Feature, row: int, value: object, why: str) -> FeatureTypeError:
    what = "true or false" if feature.kind == "boolean" else "a number"
    return FeatureTypeError(
        f"column {feature.name!r}, row {row}: expected {what}, got {value!r}{why}; correct the file, or leave the "
        "field empty where missing values are allowed"
    )


def _categories(values: Any, categories: Sequence[Category]) -> Array:
    """Return text as the categories it spells; the rest stays text, for the schema to judge."""
    spelt: dict[str, Category] = {
        _number_text(repr(category)) if isinstance(category, float) else str(category): category
        for category in categories
    }
    coded = values.dictionary_encode()
    meant = np.array([*(_category(text, spelt) for text in coded.dictionary.to_pylist()), None], dtype=object)
    return meant[[-1 if code is None else code for code in coded.indices.to_pylist()]]


def _category(text: str, spelt: Mapping[str, Category]) -> Category:
    """Return the category that a CSV field spells: itself, or the number or truth value that it is."""
    if text in spelt:
        return spelt[text]
    for reading in (text.strip().capitalize(), _number_text(text)):
        if reading in spelt and not isinstance(spelt[reading], str):
            return spelt[reading]
    return text


def _number_text(text: str) -> str:
    """Return how Python writes the number that a text is, as a whole number where it is one."""
    try:
        value = float(text)
    except ValueError:
        return text
    return str(int(value)) if value.is_integer() else str(value)


def to_arrow(values: Array) -> Any:
    """Return numbers, truth values or strings [n_rows] as a pyarrow array."""
    if values.ndim != 1:
        raise ValueError(f"expected one value a row, got shape {values.shape}")
    if values.dtype.kind == "b":
        bits = np.packbits(values, bitorder="little")
        return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(bits)])
    if values.dtype.kind in "iuf":
        kind = {"i": pa.int64(), "u": pa.uint64(), "f": pa.float64()}[values.dtype.kind]
        if values.dtype == np.float32:
            kind = pa.float32()
        else:
            values = values.astype(f"{values.dtype.kind}8")
        return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
    pieces = [str(value).encode() for value in values.tolist()]
    ends = np.cumsum([0, *map(len, pieces)]).astype(np.int32)
    return pa.Array.from_buffers(pa.string(), len(pieces), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(pieces))])
