"""Rows that a search never sees, and what two sets of parameters are worth on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam.dataset import Dataset
from glulam.errors import ConfigError
from glulam.hookspecs import VotingStrategy
from glulam.training.bootstrap import counts_for
from glulam.training.config import Config
from glulam.training.ensembles import fit_fold, given_weights
from glulam.training.measuring import compare
from glulam.training.results import Comparison
from glulam.trainspecs import Fold

__all__ = ["WHAT", "Holdout", "compare_on_holdout", "labels_of", "split_holdout"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

WHAT = "parameters: tuned against untuned"


@dataclass(frozen=True, slots=True)
class Holdout:
    """How rows are parted before a search.

    search
        int64, positions of the rows that the search sees
    folds
        of the others: rows to fit on, of both parts, and rows to test on, of the holdout
    what
        in words
    """

    search: Int64
    folds: tuple[Fold, ...]
    what: str


def split_holdout(config: Config, data: Dataset, *, ordered: bool) -> Holdout:
    """Part the rows: the last share of them where they have an order, else one drawn by the seed.

    Rows whose labels reach into rows that are tested, and those of the embargo, are fitted on by neither way.
    Raises ConfigError where a part would be too small.
    """
    share, parts = config.tune.holdout, config.tune.folds
    first = round(len(data) * (1.0 - share))
    # Twice as many rows as folds is the least that anything can be learnt from.
    if min(first, len(data) - first) < parts * 2:
        raise ConfigError(
            f"tune.holdout: {share:g} of {len(data):,} rows leaves {first:,} to search on and {len(data) - first:,} to "
            f"compare on, but {parts} folds need at least {parts * 2} each; change tune.holdout, or take more rows"
        )
    if not ordered:
        return _drawn(config, data, share)
    blocks = np.array_split(np.arange(first, len(data)), parts)
    folds = tuple((_before(config, data, int(block[0])), block) for block in blocks)
    what = (
        f"the last {len(data) - first:,} of {len(data):,} rows, walk-forward in {parts} folds, "
        f"horizon {data.horizon}, embargo {config.evaluation.embargo}"
    )
    return Holdout(folds[0][0], folds, what)


def _before(config: Config, data: Dataset, first: int) -> Int64:
    """Return the rows before one, without those whose labels reach it, and without as many more as the embargo."""
    known = np.flatnonzero(data.label_end[:first] < data.rows[first])
    return known[: max(0, len(known) - config.evaluation.embargo)]


def _drawn(config: Config, data: Dataset, share: float) -> Holdout:
    """Return a share drawn by the seed: whole groups where rows have some, else stratified by class."""
    from sklearn.model_selection import GroupShuffleSplit, train_test_split

    rows = np.arange(len(data))
    try:
        if data.groups is not None:
            by_groups = GroupShuffleSplit(1, test_size=share, random_state=config.seed)
            search, tested = next(by_groups.split(rows, groups=data.groups))
        else:
            classes = None if data.task == "regression" else data.y
            search, tested = train_test_split(rows, test_size=share, random_state=config.seed, stratify=classes)
    except ValueError as error:  # a class of one row, or one group
        raise ConfigError(f"tune.holdout: {share:g} of the rows cannot be drawn: {error}") from error
    search, tested = np.sort(search), np.sort(tested)
    how = "whole groups" if data.groups is not None else "rows"
    return Holdout(search, ((search, tested),), f"{len(tested):,} of {len(data):,} rows, {how} drawn by the seed")


def compare_on_holdout(
    config: Config, tuned: Config, data: Dataset, holdout: Holdout, metric: str, inner: tuple[Fold, ...]
) -> Comparison:
    """Return how much better the tuned ensemble is than the untuned one on rows that the search never saw.

    inner
        folds of the rows of the search, by position in them: what a vote that learns is taught on
    """
    rows = np.concatenate([test for _, test in holdout.folds])
    answers = [_answers(each, data, holdout, inner) for each in (tuned, config)]
    ordered = len(holdout.folds) > 1
    counts = counts_for(data, rows, ordered=ordered, n_draws=config.evaluation.bootstrap, seed=config.seed)
    return compare(WHAT, plugins.metric(metric), data.y[rows], first=answers[0], second=answers[1], counts=counts)


def _answers(config: Config, data: Dataset, holdout: Holdout, inner: tuple[Fold, ...]) -> tuple[Float64, Array]:
    """Return scores and labels of the ensemble, fitted anew for each fold, on the rows of the holdout."""
    voting, weights = plugins.voting(config.ensemble.voting), given_weights(config)
    if voting.needs_fit:
        _teach(voting, config, data.take(holdout.search), inner)
    votes = [
        fit_fold(config, data, train, test, where=f"fold {number} of the holdout").votes
        for number, (train, test) in enumerate(holdout.folds, 1)
    ]
    scores = voting.combine(np.concatenate(votes), weights)
    return scores, labels_of(scores)


def _teach(voting: VotingStrategy, config: Config, search: Dataset, inner: tuple[Fold, ...]) -> None:
    """Let a vote learn what members are worth, on rows of the search that they were not fitted on."""
    votes = [
        fit_fold(config, search, train, test, where=f"inner fold {number}").votes
        for number, (train, test) in enumerate(inner, 1)
    ]
    tested = np.concatenate([test for _, test in inner])
    weights = None if voting.learns_weights else given_weights(config)
    voting.fit(np.concatenate(votes), search.y[tested], search.task, None, weights)


def labels_of(scores: Float64) -> Array:
    """Return the likeliest class of each row, or the values."""
    return scores[:, 0] if scores.shape[1] == 1 else scores.argmax(axis=1)
