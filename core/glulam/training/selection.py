"""Feature selection that is believed only where it pays on rows that it did not see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from glulam.dataset import Dataset
from glulam.ensemble import EnsembleClassifier, EnsembleRegressor
from glulam.errors import ConfigError
from glulam.schema import FeatureSchema
from glulam.training.bootstrap import counts_for
from glulam.training.config import EvaluationConfig
from glulam.training.folds import make_folds
from glulam.training.measuring import compare
from glulam.training.results import Comparison
from glulam.trainspecs import FeatureSelector, Fold, Metric, Selection

__all__ = ["Choice", "choose_features", "select_by_fold", "with_features"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Make = Callable[[Dataset], Any]
"""Returns an unfitted estimator for the given rows, with fit, predict and, for classes, predict_proba: one of glulam's
ensembles, or one that takes the encoded matrix."""

INNER_FOLDS = 3


def with_features(data: Dataset, names: Sequence[str]) -> Dataset:
    """Return the rows with some of the features, in the schema's order.

    Raises ConfigError for names that there are not, and where no feature is left.
    """
    known = data.schema.names
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"features: unknown {unknown}; expected some of {known}")
    kept = [index for index, name in enumerate(known) if name in set(names)]
    if not kept:
        raise ConfigError(f"features: expected at least one to keep, got none; there are {known}")
    schema = FeatureSchema(tuple(data.schema.features[index] for index in kept), data.schema.named)
    return replace(data, X=np.ascontiguousarray(data.X[:, kept]), schema=schema)


class Choice(NamedTuple):
    """What choosing features came to.

    selection
        made on all rows
    comparison
        the chosen features of each fold against all of them, on the rows that folds test
    adopted
        whether to take the choice for what comes after these rows
    adopted_by_fold
        whether to take each fold's own choice there, by other folds: earlier ones where these are ordered
    """

    selection: Selection
    comparison: Comparison
    adopted: bool
    adopted_by_fold: tuple[bool, ...]


def select_by_fold(
    data: Dataset, folds: Sequence[Fold], selector: FeatureSelector, make: Make
) -> tuple[Selection, ...]:
    """Return what a selector chooses for each fold from the fold's rows to fit on alone, by folds within these.

    An evaluation that is to be believed fits each fold on its own choice: one made on all rows has seen
    the rows that it is tested on.
    """
    made = partial(_encoded, make)
    return tuple(
        _select(data.take(train), selector, made, f"fold {number} of {len(folds)}")
        for number, (train, _) in enumerate(folds, 1)
    )


def choose_features(
    data: Dataset,
    folds: Sequence[Fold],
    selector: FeatureSelector,
    make: Make,
    metric: Metric,
    *,
    ordered: bool = True,
    n_draws: int = 1_000,
    seed: int = 42,
    by_fold: Sequence[Selection] | None = None,
) -> Choice:
    """Return the features chosen on all rows, what choosing brings on unseen rows, and whether to take the choice.

    For each fold the selector chooses from the rows to fit on alone; an estimator of all features and one of the
    chosen ones are fitted on these rows and compared on the rows to test on, by the metric, paired over all folds.
    The choice is taken if the chosen features are better there, however little: fewer features at no loss would be
    worth having too, but an equal result is no evidence, and mostly means that nothing was dropped. An evaluation takes
    or leaves it fold by fold, by what it brought on other folds: the rows that are tested then have no say.

    metric
        in whose units the difference is reported, with its interval over block bootstrap draws
    ordered
        whether rows follow each other in time, so that they are drawn in blocks
    by_fold
        what `select_by_fold` returned, if it was called before
    """
    chosen = select_by_fold(data, folds, selector, make) if by_fold is None else by_fold
    made = partial(_encoded, make)
    tested = np.concatenate([test for _, test in folds])
    everything, some = [], []
    for (train, test), selection in zip(folds, chosen, strict=True):
        everything.append(_scores(data, train, test, made))
        same = len(selection.kept) == len(data.schema)
        some.append(everything[-1] if same else _scores(with_features(data, selection.kept), train, test, made))
    decided = tuple(
        _pays(metric, data, [each for each in range(len(folds)) if (each < fold if ordered else each != fold)],
              folds, some, everything)
        for fold in range(len(folds))
    )  # fmt: skip
    order = np.argsort(tested, kind="stable")  # neighbours in time are neighbours in blocks
    first, second = (np.concatenate(scores)[order] for scores in (some, everything))
    counts = counts_for(data, tested[order], ordered=ordered, n_draws=n_draws, seed=seed)
    comparison = compare(
        "features: selected against all", metric, data.y[tested[order]], _answers(first), _answers(second), counts
    )
    return Choice(selector.select(data, folds, made), comparison, comparison.difference.value > 0, decided)


def _pays(
    metric: Metric,
    data: Dataset,
    among: list[int],
    folds: Sequence[Fold],
    some: list[Float64],
    everything: list[Float64],
) -> bool:
    """Tell whether the chosen features are better than all on some of the folds; where there are none, not."""
    if not among:
        return False
    y = data.y[np.concatenate([folds[each][1] for each in among])]
    first, second = (np.concatenate([scores[each] for each in among]) for scores in (some, everything))
    better = metric.score(y, *_answers(first)) - metric.score(y, *_answers(second))
    return (better if metric.greater_is_better else -better) > 0


class _OnEncoded:
    """One of glulam's ensembles that takes the encoded matrix and class positions, as a selector gives them.

    A plain array would be read as what a user has, in which a category is not its position. Checks of the
    data at fit, such as a least number of rows, are those of the final fit and left out.
    """

    def __init__(self, ensemble: Any, rows: Dataset) -> None:
        self._ensemble, self._rows = ensemble.set_params(validators=[]), rows

    def fit(self, X: Array, y: Array) -> Self:
        self._ensemble.fit(self._rows.schema.decode(X), y)
        return self

    def predict(self, X: Array) -> Array:
        return np.asarray(self._ensemble.predict(self._rows.schema.decode(X)))

    def predict_proba(self, X: Array) -> Array:
        return np.asarray(self._ensemble.predict_proba(self._rows.schema.decode(X)))

    @property
    def classes_(self) -> Array:
        return np.asarray(self._ensemble.classes_)


def _encoded(make: Make, rows: Dataset) -> Any:
    """Return an estimator for rows that takes the encoded matrix."""
    made = make(rows)
    return _OnEncoded(made, rows) if isinstance(made, EnsembleClassifier | EnsembleRegressor) else made


def _select(rows: Dataset, selector: FeatureSelector, make: Make, where: str) -> Selection:
    """Return a selector's choice by folds within some rows; in time, they test the later half."""
    ordered = rows.time is not None or rows.horizon > 0
    params = {"test_size": max(1, len(rows) // (2 * INNER_FOLDS))} if ordered else {}
    splitter = "walk_forward" if ordered else "auto"
    try:
        _, inner = make_folds(EvaluationConfig(splitter=splitter, folds=INNER_FOLDS, params=params), rows)
    except ConfigError as error:
        raise ConfigError(f"feature selection, within the rows to fit on of {where}: {error}") from error
    return selector.select(rows, inner, make)


def _scores(data: Dataset, train: Array, test: Array, make: Make) -> Float64:
    """Fit on some rows and return the scores [n_test, n_outputs] of others; 0 for a class that was not there."""
    rows = data.take(train)
    model = make(rows).fit(rows.X, rows.y)
    if data.task == "regression":
        return np.asarray(model.predict(data.X[test]), dtype=np.float64).reshape(len(test), 1)
    scores = np.zeros((len(test), data.n_outputs))
    scores[:, np.asarray(model.classes_, dtype=np.int64)] = model.predict_proba(data.X[test])
    return scores


def _answers(scores: Float64) -> tuple[Float64, Array]:
    """Return scores, and labels as a plain vote has them."""
    return scores, scores[:, 0] if scores.shape[1] == 1 else scores.argmax(axis=1)
