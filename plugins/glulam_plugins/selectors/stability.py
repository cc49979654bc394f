"""The ``stability`` selector: features that matter on unseen rows, again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.dataset import Dataset
from glulam.errors import ConfigError
from glulam.hookspecs import hookimpl
from glulam.trainspecs import FeatureSelector, Fold, Selection

__all__ = ["Stability"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_DEVIATIONS = 2.0
"""How many standard deviations of its repeats an importance must lie above 0 to be more than noise."""


class Stability(FeatureSelector):
    """Stability selection (Meinshausen and Buehlmann, 2010) by permutation importance (Breiman, 2001).

    A round fits the estimator on a random half of a fold's rows to fit on (of each class), and asks on
    the rows to test on by how much the loss rises when one feature is shuffled. The feature is chosen in
    that round if the rise, over ``n_repeats`` shuffles, is above 0 by more than two of its standard
    deviations. Kept is what is chosen in at least ``threshold`` of all rounds. The loss is the log loss,
    or the mean squared error of values.

    Where nothing reaches the threshold the one feature that was chosen most often is kept (of several the one
    with the greatest mean importance), so that there is always something to fit on. Features that say the
    same share their importance: of two copies both may be dropped. Whether a choice pays is judged
    elsewhere, on rows that it did not see.

    threshold
        share of rounds, above 0 and up to 1
    n_repeats
        shuffles of each feature, at least 2
    subsamples
        halves of each fold: rounds are folds times subsamples
    max_features
        how many features to keep at most; those chosen most often stay
    seed
        of halves and shuffles
    """

    name = "stability"

    def __init__(
        self,
        threshold: float = 0.6,
        n_repeats: int = 5,
        subsamples: int = 3,
        max_features: int | None = None,
        seed: int = 42,
    ) -> None:
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
            raise ConfigError(
                f"stability: threshold: expected a share above 0 and up to 1, got {threshold!r}; the default is 0.6"
            )
        self.threshold = threshold
        self.n_repeats = _whole("n_repeats", n_repeats, 2)
        self.subsamples = _whole("subsamples", subsamples, 1)
        self.max_features = None if max_features is None else _whole("max_features", max_features, 1)
        self.seed = _whole("seed", seed, 0)

    def select(self, data: Dataset, folds: Sequence[Fold], make: Callable[[Dataset], Any]) -> Selection:
        """Return the features that keep their importance. Raises `ConfigError` where there are no folds."""
        if not folds:
            raise ConfigError("stability: expected at least one fold, got none; give the folds of a splitter")
        random = np.random.default_rng(self.seed)
        rounds = [self._round(data, train, test, make, random) for train, test in self._halves(data, folds, random)]
        repeats = np.stack(rounds, axis=1)  # [n_features, n_rounds, n_repeats]
        importance = repeats.mean(axis=2)
        chosen = importance - _DEVIATIONS * repeats.std(axis=2, ddof=1) > 0
        frequency = chosen.mean(axis=1)
        # Most frequent first, then most important; what is left is decided by the schema's order.
        order = np.lexsort((-importance.mean(axis=1), -frequency))
        kept = [index for index in order if frequency[index] >= self.threshold] or [order[0]]
        names = data.schema.names
        return Selection(
            kept=tuple(names[index] for index in sorted(kept[: self.max_features])),
            importance=importance,
            frequency=frequency,
        )

    def _halves(self, data: Dataset, folds: Sequence[Fold], random: np.random.Generator) -> Iterator[Fold]:
        """Yield each fold with halves of its rows to fit on, which keep their order."""
        for train, test in folds:
            strata = np.zeros(len(train)) if data.task == "regression" else data.y[train]
            groups = [train[strata == each] for each in np.unique(strata)]
            for _ in range(self.subsamples):
                half = [random.choice(rows, (len(rows) + 1) // 2, replace=False) for rows in groups]
                yield np.sort(np.concatenate(half)), test

    def _round(
        self, data: Dataset, train: Int64, test: Int64, make: Callable[[Dataset], Any], random: np.random.Generator
    ) -> Float64:
        """Return by how much the loss on unseen rows rises at each shuffle, [n_features, n_repeats]."""
        from sklearn.inspection import permutation_importance

        rows = data.take(train)
        model = make(rows).fit(rows.X, rows.y)
        score = _negative_squared_error if data.task == "regression" else _negative_log_loss
        found = permutation_importance(
            model, data.X[test], data.y[test], scoring=score, n_repeats=self.n_repeats,
            random_state=int(random.integers(2**31)), n_jobs=1,
        )  # fmt: skip
        repeats: Float64 = np.asarray(found.importances, dtype=np.float64)
        return repeats


def _negative_log_loss(model: Any, X: npt.NDArray[np.float32], y: Int64) -> float:
    """Return the mean logarithm of the probability of the row's own class, 0 for one that the model has not seen."""
    given = np.asarray(model.predict_proba(X), dtype=np.float64)
    probability = np.zeros(len(y))
    for column, each in enumerate(model.classes_):
        own = y == each
        probability[own] = given[own, column]
    return float(np.log(np.clip(probability, np.finfo(np.float64).eps, 1.0)).mean())


def _negative_squared_error(model: Any, X: npt.NDArray[np.float32], y: Float64) -> float:
    return float(-np.square(np.asarray(model.predict(X), dtype=np.float64).ravel() - y).mean())


def _whole(what: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"stability: {what}: expected a whole number, at least {least}, got {value!r}")
    return value


@hookimpl
def glulam_selector() -> type[FeatureSelector]:
    """Offer stability selection."""
    return Stability
