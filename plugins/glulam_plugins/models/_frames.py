"""Rows of a file and rows as a fitted pipeline takes them: text columns are codes in the one, values in the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam._signature import numeric_schema
from glulam.errors import UnsupportedModelError
from glulam.schema import Feature, FeatureSchema

__all__ = ["Frames"]

Rows = npt.NDArray[np.floating[Any]]
UNSEEN = "\x00 a category that was never seen"


@dataclass(frozen=True)
class Frames:
    """Turns codes back into what a pipeline was fitted on.

    names
        its columns' names, None if it was fitted on arrays
    text
        the categories of each column that holds no numbers, without missing ones
    missing
        what stands for a missing value in these columns
    """

    n_features: int
    names: tuple[str, ...] | None
    text: dict[int, tuple[Any, ...]]
    missing: dict[int, float | None]

    @classmethod
    def of(cls, n_features: int, names: Any, categories: dict[int, npt.NDArray[Any]]) -> Frames:
        """Take what the encoders of a pipeline know. Raises UnsupportedModelError for categories that are no values."""
        text: dict[int, tuple[Any, ...]] = {}
        missing: dict[int, float | None] = {}
        for source, values in categories.items():
            if values.dtype.kind in "fiu":
                continue
            known = tuple(value for value in values.tolist() if value is not None and value == value)
            if any(not isinstance(value, (str, bool, int, float)) for value in known) or not known:
                raise UnsupportedModelError(
                    f"pipeline: column {source}: expected categories of text, numbers or booleans, got {known[:3]}"
                )
            text[source] = known
            missing[source] = None if any(value is None for value in values.tolist()) else np.nan
        return cls(n_features, None if names is None else tuple(map(str, names)), text, missing)

    def native(self, rows: Rows) -> Any:
        """Return rows as the pipeline takes them: a DataFrame if it was fitted on names, else an array."""
        if self.names is None and not self.text:
            return rows
        columns = [self._column(index, rows[:, index]) for index in range(self.n_features)]
        if self.names is None:
            table = np.empty(rows.shape, dtype=object)
            for index, column in enumerate(columns):
                table[:, index] = column
            return table
        import pandas as pd

        return pd.DataFrame(dict(zip(self.names, columns, strict=True)))

    def _column(self, index: int, values: Rows) -> npt.NDArray[Any]:
        """Return one column; codes that are none stand for a category that was never seen, NaN for a missing one."""
        if index not in self.text:
            return np.ascontiguousarray(values)
        known = self.text[index]
        is_code = (values == np.floor(values)) & (values >= 0) & (values < len(known))
        codes = np.where(is_code, values, len(known)).astype(np.int64)
        table = np.empty(len(known) + 2, dtype=object)
        table[:-2] = known
        table[-2], table[-1] = UNSEEN, self.missing[index]
        codes[np.isnan(values)] = len(known) + 1
        return np.asarray(table[codes])

    def schema(self, transform: Callable[[Any], Any]) -> FeatureSchema:
        """Return the file's schema; how missing and unseen categories are taken is asked of the transformer."""
        features = []
        plain = numeric_schema(self.n_features, self.names)
        for index, feature in enumerate(plain.features):
            if index not in self.text:
                features.append(feature)
                continue
            missing, unseen = (self._answer(transform, index, code) for code in (np.nan, len(self.text[index])))
            same = missing is not None and unseen is not None and np.array_equal(missing, unseen, equal_nan=True)
            features.append(
                Feature(
                    feature.name, "categorical", self.text[index],
                    missing="error" if missing is None else "allow", unseen="missing" if same else "error",
                )
            )  # fmt: skip
        return FeatureSchema(tuple(features), named=plain.named)

    def _answer(self, transform: Callable[[Any], Any], index: int, code: float) -> Rows | None:
        """Return what becomes of a row with this code, None if it is refused."""
        row = self.start(transform)
        row[:, index] = code
        try:
            return np.asarray(transform(self.native(row)), dtype=np.float64)
        except ValueError:
            return None

    def start(self, transform: Callable[[Any], Any], dtype: npt.DTypeLike = np.float32) -> Rows:
        """Return one row that the transformer takes."""
        for value in (1.0, 0.0, 0.5, 2.0):
            row = np.full((1, self.n_features), value, dtype=dtype)
            for index in self.text:
                row[:, index] = 0.0
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    transform(self.native(row))
            except ValueError:
                continue
            return row
        raise UnsupportedModelError("pipeline: found no row of ones, zeros or halves that its transformers take")
