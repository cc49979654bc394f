"""What the leak checks measure with: one scale of skill for all tasks, a quick estimator, and folds of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.dataset import Dataset
from glulam.trainspecs import Fold, LeakCase

__all__ = [
    "auc", "evaluate", "fold_order", "in_order", "one_thread", "own_folds", "price_behind", "ranks", "rows_tested",
    "single_skill", "skill", "standard_error", "without_empty",
]  # fmt: skip

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_MOST_ROWS = 8_000  # a fold's, to fit on and to test on: more would make nothing clearer, only slower
_MOST_FOLDS = 3


def ranks(values: Array) -> Float64:
    """Return the ranks from 1, float64 [n]; equal values share their mean rank, nan comes first."""
    filled = np.where(np.isnan(values), -np.inf, values)
    _, position, counts = np.unique(filled, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[position])


def auc(positive: npt.NDArray[np.bool_], scores: Array) -> float:
    """Return the area under the ROC curve, equal scores counted half; nan where a class is missing."""
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    return float((ranks(scores)[positive].sum() - n_positive * (n_positive + 1) / 2) / n_positive / n_negative)


def skill(y: Array, scores: Float64, classes: int) -> float:
    """Return how well scores [n, n_outputs] order the rows: 0.5 is chance, 1 is perfect.

    The AUC for two classes, the mean of each class against the others for more, and for values
    (1 + Spearman's correlation) / 2.
    """
    if classes == 0:
        return (1 + _correlation(ranks(y), ranks(scores[:, 0]))) / 2
    if classes == 2:
        return auc(y == 1, scores[:, -1])
    each = [auc(y == position, scores[:, position]) for position in range(classes)]
    found = [value for value in each if value == value]
    return float(np.mean(found)) if found else float("nan")


def single_skill(y: Array, feature: Array, classes: int) -> float:
    """Return the skill of one feature by itself, whichever way round it points."""
    if classes == 0:
        return (1 + abs(_correlation(ranks(y), ranks(feature)))) / 2
    labels = [1] if classes == 2 else range(classes)
    each = [abs(auc(y == position, feature) - 0.5) for position in labels]
    found = [value for value in each if value == value]
    return 0.5 + (float(np.mean(found)) if found else 0.0)


def _correlation(a: Float64, b: Float64) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else 0.0


def standard_error(y: Array, data: Dataset) -> float:
    """Return the standard error that a skill on these rows has where there is nothing to find.

    Labels that reach over the same rows are not independent: they count as one.
    """
    n_rows = len(y)
    if n_rows < 2:
        return float("inf")
    dependent = float(np.sqrt(1 + data.horizon))
    if len(data.classes) == 0:
        return dependent * 0.5 / float(np.sqrt(n_rows - 1))
    counts = np.bincount(y.astype(np.int64), minlength=2)
    fewest = max(1, int(counts[counts > 0].min()))
    return dependent * float(np.sqrt((n_rows + 1) / (12 * fewest * max(1, n_rows - fewest))))


def in_order(case: LeakCase) -> bool:
    """Tell whether the order of the rows means something: they have a time, or labels that reach into later rows."""
    return case.data.time is not None or case.data.horizon > 0


def fold_order(folds: Iterable[Fold]) -> bool:
    """Tell whether in every fold all rows to fit on come before those to test on."""
    return all(len(train) and len(test) and train.max() < test.min() for train, test in folds)


def own_folds(case: LeakCase, *, seed: int | None = None) -> list[Fold]:
    """Return folds that do not leak whatever the evaluation used: walk-forward with a gap, else stratified."""
    from sklearn.model_selection import KFold, StratifiedKFold, TimeSeriesSplit

    n_rows = len(case.data)
    if in_order(case):
        splitter: Any = TimeSeriesSplit(_MOST_FOLDS, gap=min(case.data.horizon, n_rows // 10))
        return list(splitter.split(np.empty(n_rows)))
    seed = case.seed if seed is None else seed
    counts = np.bincount(case.data.y.astype(np.int64)) if len(case.data.classes) else np.zeros(1)
    if len(case.data.classes) and counts[counts > 0].min() >= _MOST_FOLDS:
        splitter = StratifiedKFold(_MOST_FOLDS, shuffle=True, random_state=seed)
        return list(splitter.split(np.empty(n_rows), case.data.y))
    return list(KFold(_MOST_FOLDS, shuffle=True, random_state=seed).split(np.empty(n_rows)))


def rows_tested(folds: Sequence[Fold]) -> Int64:
    """Return the positions that any fold tests, each once."""
    return np.unique(np.concatenate([test for _, test in folds])) if folds else np.empty(0, np.int64)


def evaluate(case: LeakCase, X: Array, y: Array, folds: Sequence[Fold], *, linear: bool = False) -> float:
    """Return the mean skill of a quick estimator over at most three of the folds; nan where none can be had."""
    if linear:  # by ranks, so that neither outliers, units nor missing values stop it
        X = np.column_stack([ranks(column) / len(column) - 0.5 for column in X.T])
    most = np.unique(np.linspace(0, len(folds) - 1, min(_MOST_FOLDS, len(folds))).round().astype(int))
    random = np.random.default_rng(case.seed)
    found = []
    for index in most:
        train, test = (_thinned(part, random) for part in folds[index])
        if len(test) < 2 or len(train) < 2 or (len(case.data.classes) and len(np.unique(y[train])) < 2):
            continue
        value = skill(y[test], _answers(case, X[train], y[train], X[test], linear), len(case.data.classes))
        if value == value:
            found.append(value)
    return float(np.mean(found)) if found else float("nan")


def _thinned(rows: Int64, random: np.random.Generator) -> Int64:
    return rows if len(rows) <= _MOST_ROWS else np.sort(random.choice(rows, _MOST_ROWS, replace=False))


def _answers(case: LeakCase, X: Array, y: Array, X_test: Array, linear: bool) -> Float64:
    """Fit the case's quick estimator, or one of our own, and return its scores [n, n_outputs]."""
    classes = len(case.data.classes)
    model = case.make() if case.make is not None and not linear else _quick(classes, case.seed, linear)
    X, X_test = without_empty(X, X_test)
    with one_thread():
        model.fit(X, y)
        answers = np.asarray(model.predict_proba(X_test) if classes else model.predict(X_test), dtype=np.float64)
    if not classes:
        return answers.reshape(len(X_test), -1)
    seen = np.asarray(getattr(model, "classes_", np.arange(classes))).astype(np.int64)
    scores = np.zeros((len(X_test), classes))
    scores[:, seen] = answers
    return scores


def without_empty(X: Array, X_test: Array) -> tuple[Array, Array]:
    """Return rows to fit on and to test on without the columns of which none to fit on has a value.

    Nothing can be learnt of such a column, and not every estimator takes it. One is kept, of zeros, if all are so.
    """
    known = ~np.isnan(X).all(axis=0)
    if known.all():
        return X, X_test
    if not known.any():
        return np.zeros((len(X), 1), X.dtype), np.zeros((len(X_test), 1), X.dtype)
    return X[:, known], X_test[:, known]


def _quick(classes: int, seed: int, linear: bool) -> Any:
    """Return a small boosting model, or a linear one, which some tables suit better."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    if linear:
        return LogisticRegression(max_iter=1_000, tol=1e-3) if classes else Ridge()
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    rounds = 40 if classes <= 2 else max(10, 120 // classes)  # each has a tree for each class
    return kind(max_iter=rounds, learning_rate=0.15, min_samples_leaf=5, early_stopping=False, random_state=seed)


def one_thread() -> Any:
    """Return a context in which estimators use one thread: fits are small, and a second one only waits."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(1)


def price_behind(case: LeakCase) -> tuple[str, Float64] | None:
    """Return the raw column whose change over the horizon the label follows, and its values; None if there is none."""
    data = case.data
    if data.horizon < 1 or len(data.classes) > 2:
        return None
    end = np.minimum(data.rows + data.horizon, len(data.raw) - 1)
    best, found = 0.9, None
    for name, values in data.raw.columns.items():
        if values.dtype.kind not in "fiu" or not len(values):
            continue
        course = values.astype(np.float64)
        if not np.isfinite(course).all():
            continue
        start = course[data.rows]
        change = (course[end] - start) / np.where(start == 0, 1.0, np.abs(start))
        follows = skill(data.y, np.column_stack([-change, change])[:, -max(1, len(data.classes)) :], len(data.classes))
        if follows > best:
            best, found = follows, (name, course)
    return found
