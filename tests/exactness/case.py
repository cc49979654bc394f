"""One configuration that people really have: how to fit it, and what its library answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Answers = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Fitted:
    """A fitted model as its owner has it.

    model
        what is given to `glulam.export` (an estimator, or a library's raw Booster)
    rows
        float32 [n, n_features] as the library takes them (category codes where it has categories);
        at least 100 of them, some with NaN if the library takes NaN
    predict
        the library's own public answers for such rows, by the names of the file's outputs: ``label`` and
        ``probabilities`` (or ``decision_function``), or ``value``; further ones if the file has them
    options
        for `glulam.export`
    table
        the same rows as their owner has them, if that is no array; else export is given ``rows``
    """

    model: Any
    rows: np.ndarray
    predict: Callable[[np.ndarray], Answers]
    options: Mapping[str, Any] = field(default_factory=dict)
    table: Any = None


@dataclass(frozen=True)
class Case:
    """A configuration: ``library`` and ``name`` are how the table in the documents calls it.

    refused
        part of the message by which export refuses it; empty if it exports exactly
    reason
        for a refused one: why, in a few words for the table
    stock
        how the stock converters would be called on the same model: ``lightgbm``, ``xgboost``,
        ``sklearn`` or ``catboost``
    threshold
        of the library's own decision on its last score, where that is no argmax
    float32_only
        whether rows of float64 are refused
    """

    library: str
    name: str
    fit: Callable[[], Fitted]
    refused: str = ""
    reason: str = ""
    stock: str = ""
    threshold: float = 0.0
    float32_only: bool = False

    def __str__(self) -> str:
        """Return the id that pytest shows."""
        return f"{self.library}: {self.name}"


def classifier(model: Any) -> Callable[[np.ndarray], Answers]:
    """Return the public answers of a classifier with scikit-learn's methods."""
    return lambda rows: {
        "label": np.asarray(model.predict(rows)),
        "probabilities": np.asarray(model.predict_proba(rows)),
    }


def regressor(model: Any) -> Callable[[np.ndarray], Answers]:
    """Return the public answers of a regressor with scikit-learn's methods."""
    return lambda rows: {"value": np.asarray(model.predict(rows), dtype=np.float64)}
