"""Categories of scikit-learn's histogram boosting: which numbers of a row they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import UnsupportedModelError
from glulam.fragments import Recipe, concat
from glulam.program import OnnxFragment

__all__ = ["Categories", "categories_of", "with_numbers"]

_WHOLE = 2**24


@dataclass(frozen=True, slots=True)
class Categories:
    """The categories of one column, in the order of their codes.

    by_name
        the column holds names, and a row of the graph their positions; else it holds these numbers
    encoded
        the numbers are none that a `Forest` tests for: 0, 1, ... stand in for them, from 1 on
    """

    values: npt.NDArray[Any]
    by_name: bool
    encoded: bool

    @property
    def numbers(self) -> npt.NDArray[np.float64]:
        """What the forest reads for each category."""
        if self.by_name or self.encoded:
            return np.arange(len(self.values), dtype=np.float64) + self.encoded
        return np.asarray(self.values, dtype=np.float64)

    def at(self, positions: npt.NDArray[np.floating[Any]]) -> npt.NDArray[Any]:
        """Return the names at some positions; NaN for what is no position."""
        found = np.full(len(positions), np.nan, dtype=object)
        known = np.isin(positions, np.arange(len(self.values)))
        found[known] = self.values.astype(object)[positions[known].astype(np.int64)]
        return found


def categories_of(model: Any) -> dict[int, Categories]:
    """Return the categories of a fitted model's categorical columns, by column of the row."""
    if model.is_categorical_ is None:
        return {}
    known = model._preprocessor.named_transformers_["encoder"].categories_
    return {
        int(column): _categories(int(column), values)
        for column, values in zip(np.flatnonzero(model.is_categorical_), known, strict=True)
    }


def _categories(column: int, values: npt.NDArray[Any]) -> Categories:
    # NaN, if there is one, is the last; it is no category.
    values = values[:-1] if len(values) and values[-1] != values[-1] else values
    if values.dtype.kind in "biuf":
        numbers = values.astype(np.float64)
        whole = (numbers == np.rint(numbers)) & (numbers >= 0) & (numbers <= _WHOLE)
        return Categories(numbers, by_name=False, encoded=not whole.all())
    odd = [value for value in values.tolist() if not isinstance(value, (str, int, float))]
    if odd:
        raise UnsupportedModelError(
            f"hist_gradient_boosting: column {column} has {odd[0]!r} ({type(odd[0]).__name__}) for a category; "
            "expected strings or numbers (and NaN where it is missing); convert the column before fit"
        )
    return Categories(values, by_name=True, encoded=False)


def with_numbers(
    recipe: Recipe, categories: Mapping[int, Categories], n_features: int
) -> tuple[str, npt.NDArray[np.int64]]:
    """Add a column to the row for each that is encoded; return the name, and where each feature is found in it."""
    columns = np.arange(n_features)
    encoded = {column: each for column, each in categories.items() if each.encoded}
    if not encoded:
        return "features", columns
    columns[list(encoded)] = n_features + np.arange(len(encoded))
    return recipe.add(concat(2), "features", recipe.add(_encoder(encoded))), columns


def _encoder(encoded: Mapping[int, Categories]) -> OnnxFragment:
    """Return the position of each value among its column's categories, counted from 1; 0 if it is none of them.

    Values are found by equality. A category that float32 cannot hold is never met by a row of
    float32, nor must it be rounded to a neighbour: it counts only where the graph holds it exactly.
    """
    values = np.concatenate([each.values for each in encoded.values()])
    sizes = [len(each.values) for each in encoded.values()]
    source = np.repeat(list(encoded), sizes)
    codes = np.zeros((len(values), len(encoded)))
    codes[np.arange(len(values)), np.repeat(np.arange(len(encoded)), sizes)] = np.concatenate(
        [np.arange(1, size + 1) for size in sizes]
    )
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32) == values

    def reference(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray((x[:, source].astype(np.float64) == values) @ codes)

    return OnnxFragment(
        text="positions (x, source, values, narrow, fine, one, codes) => (y) {"
        " taken = Gather <axis = 1> (x, source)"
        " same = Equal(taken, values)"
        " wide = Greater(fine, one)"
        " exact = Or(narrow, wide)"
        " found = And(same, exact)"
        " marks = CastLike(found, x)"
        " y = MatMul(marks, codes) }",
        reference=reference,
        constants={
            "source": source, "values": values, "narrow": narrow, "codes": codes,
            # Above 1 in float64 alone.
            "fine": np.array(1.0 + 2.0**-40), "one": np.array(1.0),
        },
    )  # fmt: skip
