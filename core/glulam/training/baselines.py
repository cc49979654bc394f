"""Baselines: answers that need no ensemble. One that does not beat them has learnt nothing worth serving.

They are fitted on the rows to fit on alone, as the ensemble is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.dataset import Dataset

__all__ = ["known_before", "predict_baselines"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


def predict_baselines(data: Dataset, train: Int64, test: Int64) -> tuple[dict[str, Float64], dict[str, Array]]:
    """Return scores [n_test, n_outputs] and labels [n_test] of each baseline, by name.

    For classes ``majority`` (the shares of classes, the most frequent one), ``always_positive`` (of two classes the
    second), ``previous_label`` (where rows have a time: what most often followed the last label known by then) and
    ``logistic``; for values ``mean``, ``previous_value`` and ``ridge``.
    """
    if data.task == "regression":
        scores = _of_values(data, train, test)
        return scores, {name: values[:, 0] for name, values in scores.items()}
    shares = _shares(data.y[train], data.n_outputs)
    scores = {"majority": np.tile(shares, (len(test), 1))}
    labels: dict[str, Array] = {"majority": np.full(len(test), int(shares.argmax()))}
    if data.task == "binary":
        scores["always_positive"] = np.tile([0.0, 1.0], (len(test), 1))
        labels["always_positive"] = np.ones(len(test), dtype=np.int64)
    if data.time is not None:
        scores["previous_label"] = _previous_label(data, train, test, shares)
        labels["previous_label"] = scores["previous_label"].argmax(axis=1)
    scores["logistic"] = _logistic(data, train, test, shares)
    labels["logistic"] = scores["logistic"].argmax(axis=1)
    return scores, labels


def known_before(data: Dataset) -> Int64:
    """Return, for each row, the position of the last row whose label is known by then; -1 where there is none.

    A label is known at a row that is not before the last one that it reads, and never at its own row. Both are rows
    of the raw table, so that rows left out of the dataset in between make no difference.
    """
    known_at = np.maximum(data.label_end, data.rows + 1)
    order = np.argsort(known_at, kind="stable")
    # Barriers are hit at different times: of the labels known, the one that began last is not the one that ended last.
    latest = np.maximum.accumulate(order)
    known = np.searchsorted(known_at[order], data.rows, side="right")
    return np.where(known > 0, latest[known - 1], -1).astype(np.int64)


def _previous_label(data: Dataset, train: Int64, test: Int64, shares: Float64) -> Float64:
    """Return how often each class followed the last known one, counted on the rows to fit on.

    One is added to each count, so that no class is impossible. Rows before the first known label get the shares.
    """
    before = known_before(data)
    # What came before a row to fit on may be a row to test on, which the frequencies must not know.
    pairs = train[np.isin(before[train], train)]
    follows = np.ones((data.n_outputs, data.n_outputs))
    np.add.at(follows, (data.y[before[pairs]], data.y[pairs]), 1.0)
    follows /= follows.sum(axis=1, keepdims=True)
    there = before[test] >= 0
    return np.where(there[:, None], follows[data.y[before[test]]], shares)


def _logistic(data: Dataset, train: Int64, test: Int64, shares: Float64) -> Float64:
    """Return a logistic regression's probabilities; the shares where there is but one class to learn from."""
    from sklearn.linear_model import LogisticRegression

    if np.count_nonzero(shares) < 2:
        return np.tile(shares, (len(test), 1))
    X = _numbers(data)
    model = _scaled(data, LogisticRegression(max_iter=10_000)).fit(X[train], data.y[train])
    scores = np.zeros((len(test), data.n_outputs))
    scores[:, model.classes_] = model.predict_proba(X[test])
    return scores


def _of_values(data: Dataset, train: Int64, test: Int64) -> dict[str, Float64]:
    """Return the baselines of a regression, [n_test, 1] by name."""
    from sklearn.linear_model import Ridge

    mean = float(data.y[train].mean())
    values = {"mean": np.full(len(test), mean)}
    if data.time is not None:
        before = known_before(data)[test]
        values["previous_value"] = np.where(before >= 0, data.y[before], mean)
    X = _numbers(data)
    values["ridge"] = _scaled(data, Ridge()).fit(X[train], data.y[train]).predict(X[test])
    return {name: np.asarray(each, dtype=np.float64)[:, None] for name, each in values.items()}


def _scaled(data: Dataset, model: Any) -> Any:
    """Return a linear model behind what it needs: no missing values, one scale, a column for each category."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    categories = [index for index, feature in enumerate(data.schema.features) if feature.kind == "categorical"]
    others = [index for index in range(data.X.shape[1]) if index not in set(categories)]
    numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10)
    return make_pipeline(make_column_transformer((numbers, others), (encoder, categories)), model)


def _numbers(data: Dataset) -> Float64:
    """Return the features in float64, infinities as missing: a mean has no use for them."""
    X = data.X.astype(np.float64)
    X[~np.isfinite(X)] = np.nan
    return X


def _shares(y: Int64, n_classes: int) -> Float64:
    """Return how frequent each class is."""
    return np.asarray(np.bincount(y, minlength=n_classes) / len(y), dtype=np.float64)
