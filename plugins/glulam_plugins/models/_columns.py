"""Which columns a table of scikit-learn's transformers makes of which: read off the fitted transformers.

A `Column` says of one column of a transformed table which single column of the row it depends on,
if it is one, and how. The rest of a pipeline's lowering goes by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn import compose, feature_selection, impute, pipeline, preprocessing

from glulam.errors import UnsupportedModelError

__all__ = ["Column", "Walk", "branches", "is_identity", "kept_by_imputer"]

_ELEMENTWISE = (
    preprocessing.StandardScaler, preprocessing.MinMaxScaler, preprocessing.MaxAbsScaler, preprocessing.RobustScaler,
    preprocessing.Binarizer, preprocessing.QuantileTransformer, preprocessing.PowerTransformer,
)  # fmt: skip
_ENCODERS = (preprocessing.OneHotEncoder, preprocessing.OrdinalEncoder, preprocessing.TargetEncoder)
_SELECTORS = (
    feature_selection.VarianceThreshold, feature_selection.SelectKBest, feature_selection.SelectPercentile,
    feature_selection.SelectFpr, feature_selection.SelectFdr, feature_selection.SelectFwe,
    feature_selection.GenericUnivariateSelect, feature_selection.SelectFromModel, feature_selection.RFE,
    feature_selection.RFECV, feature_selection.SequentialFeatureSelector,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    source
        the one column of the row it depends on; None if there are several, or that is not known
    plain
        it is that column as it is, but for missing values
    coded
        it depends on which of the column's categories it is; else it is monotone in the number
    """

    source: int | None
    plain: bool = False
    coded: bool = False


MIXED = Column(None)


class Walk:
    """Follows a row's columns through fitted transformers; ``categories`` are those it meets, by column."""

    def __init__(self, n_features: int) -> None:
        self.categories: dict[int, np.ndarray[Any, Any]] = {}
        self.row = [Column(index, plain=True) for index in range(n_features)]

    def through(self, transformer: Any, columns: Sequence[Column]) -> list[Column]:
        """Return the columns that a transformer makes of some."""
        kind = type(transformer)
        if is_identity(transformer):
            return list(columns)
        if transformer == "drop":
            return []
        if kind is pipeline.Pipeline:
            for _, step in transformer.steps:
                columns = self.through(step, columns)
            return list(columns)
        if kind is compose.ColumnTransformer:
            parts = [self.through(part, [columns[i] for i in taken]) for part, taken in branches(transformer)]
            return [column for part in parts for column in part]
        if kind is pipeline.FeatureUnion:
            return [c for _, part in transformer.transformer_list for c in self.through(part, columns)]
        if kind in _ELEMENTWISE or (kind is preprocessing.KBinsDiscretizer and transformer.encode == "ordinal"):
            return [replace(column, plain=False) for column in columns]
        if kind in _SELECTORS:
            return [columns[index] for index in transformer.get_support(indices=True)]
        if kind is impute.SimpleImputer:
            return self._imputed(transformer, columns, columns)
        if kind is impute.KNNImputer or kind.__name__ == "IterativeImputer":
            return self._imputed(transformer, columns, [MIXED] * len(columns))
        if kind is impute.MissingIndicator:
            return [replace(columns[index], plain=False) for index in transformer.features_]
        if kind in _ENCODERS:
            return self._encoded(transformer, columns)
        if kind is preprocessing.PolynomialFeatures:
            return [columns[int(powers.argmax())] if powers.sum() == 1 else MIXED for powers in transformer.powers_]
        if kind is preprocessing.FunctionTransformer:
            raise UnsupportedModelError(
                f"pipeline: FunctionTransformer({getattr(transformer.func, '__name__', transformer.func)!r}) is code "
                "that a file cannot hold; apply it to the table before the pipeline"
            )
        if not kind.__module__.startswith("sklearn.") or not hasattr(transformer, "get_feature_names_out"):
            raise UnsupportedModelError(
                f"pipeline: {kind.__module__}.{kind.__qualname__} is no transformer of scikit-learn that is known; "
                "apply it to the table before the pipeline"
            )
        return [MIXED] * len(transformer.get_feature_names_out())

    def _imputed(self, transformer: Any, columns: Sequence[Column], filled: Sequence[Column]) -> list[Column]:
        found = [filled[index] for index in kept_by_imputer(transformer)]
        if transformer.add_indicator:
            found += [replace(columns[index], plain=False) for index in transformer.indicator_.features_]
        return found

    def _encoded(self, transformer: Any, columns: Sequence[Column]) -> list[Column]:
        if type(transformer) is preprocessing.OneHotEncoder:
            widths = list(transformer._n_features_outs)
        else:
            widths = [1] * len(columns)
            if getattr(transformer, "target_type_", "") == "multiclass":
                widths = [len(transformer.classes_)] * len(columns)
        found: list[Column] = []
        for column, categories, width in zip(columns, transformer.categories_, widths, strict=True):
            usable = column.source is not None and (column.plain or column.coded)
            if usable and not column.coded:
                self._meet(int(column.source or 0), np.asarray(categories))
            found += [Column(column.source, coded=True) if usable else MIXED] * width
        return found

    def _meet(self, source: int, categories: np.ndarray[Any, Any]) -> None:
        before = self.categories.get(source)
        if before is not None and list(map(repr, before)) != list(map(repr, categories)):
            raise UnsupportedModelError(
                f"pipeline: two encoders know different categories of column {source}; fit both on the same rows"
            )
        self.categories[source] = categories


def branches(transformer: Any) -> list[tuple[Any, list[int]]]:
    """Return the fitted transformers of a ColumnTransformer with the positions of their columns."""
    taken = transformer._transformer_to_input_indices
    return [(part, list(taken[name])) for name, part, _ in transformer.transformers_]


def kept_by_imputer(transformer: Any) -> np.ndarray[Any, Any]:
    """Return the positions of the columns that an imputer does not drop for having no value at all."""
    count = transformer.n_features_in_
    if getattr(transformer, "keep_empty_features", False):
        return np.arange(count)
    if isinstance(transformer, impute.SimpleImputer):
        values = np.asarray(transformer.statistics_, dtype=object)
        return np.flatnonzero([value is not None and value == value for value in values])
    if isinstance(transformer, impute.KNNImputer):
        return np.flatnonzero(transformer._valid_mask)
    return np.arange(count)


def is_identity(transformer: Any) -> bool:
    """Tell whether a step leaves its table as it is."""
    if type(transformer) is preprocessing.FunctionTransformer:
        return transformer.func is None
    return transformer is None or transformer == "passthrough"
