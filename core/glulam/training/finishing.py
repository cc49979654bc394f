"""What is learnt from out-of-fold votes (weights, vote, calibration, threshold), and applied to later ones only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam._checking import checked_voting
from glulam.decision import Decision
from glulam.errors import ConfigError
from glulam.hookspecs import VotingStrategy
from glulam.program import Task
from glulam.training.config import EnsembleConfig
from glulam.training.threshold import choose_threshold
from glulam.training.weights import fit_weights

__all__ = ["LEAST_ROWS", "Contrast", "Finishing", "comparisons", "finish", "finish_by_fold", "plain", "voting_spec"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Answers = tuple[Float64, Array]
Contrast = tuple[str, npt.NDArray[np.bool_], Answers, Answers]
"""What is compared, which of the rows it is about, and the answers to these: scores and labels, of each way."""

LEAST_ROWS = 30
"""Fewer out-of-fold rows than this teach nothing."""
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Finishing:
    """What makes scores and labels of votes.

    weights
        float64 [n_members]
    voting
        ready to combine votes with these weights
    threshold
        of two classes: the second one's probability must be above it
    rows
        which of the rows that it was offered it was learnt from
    why_plain
        why nothing was learnt although the config asks for it; else empty
    centred
        whether a vote that learns was taught with each fold's votes around one mean
    """

    weights: Float64
    voting: VotingStrategy
    threshold: float = _HALF
    rows: Int64 = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    why_plain: str = ""
    centred: bool = False

    def scores(self, votes: Float64) -> Float64:
        """Return scores [n, n_outputs] of votes [n, n_members, n_outputs]."""
        return np.asarray(self.voting.combine(votes, self.weights), dtype=np.float64)

    def labels(self, scores: Float64) -> Array:
        """Return the chosen class positions [n] of scores, or the values, as an exported file chooses them."""
        if scores.shape[1] == 1:
            return scores[:, 0]
        threshold = self.threshold if scores.shape[1] == 2 else _HALF
        return Decision(threshold=threshold).choose(scores)


def finish(
    config: EnsembleConfig,
    given_weights: Float64,
    votes: Float64,
    y: Array,
    task: Task,
    n_outputs: int,
    *,
    fold: Int64 | None = None,
) -> Finishing:
    """Return what all these rows teach; plain, and why, where they teach too little.

    votes
        [n, n_members, n_outputs], of members that were not fitted on these rows
    y
        class positions [n], or values
    fold
        which fold each row was tested in, where folds do not follow each other in time (see `finish_by_fold`)

    The threshold is chosen by the scores of the rows that vote and calibration are learnt from: of a few numbers, on
    rows that no member has seen.
    """
    return _learnt(config, given_weights, votes, y, np.arange(len(y)), task, n_outputs, fold)


def finish_by_fold(
    config: EnsembleConfig,
    given_weights: Float64,
    votes: Float64,
    y: Array,
    fold: Int64,
    rows: Int64,
    *,
    horizon: int,
    ordered: bool,
    task: Task,
    n_outputs: int,
) -> tuple[Float64, Array, list[Finishing]]:
    """Return scores [n, n_outputs] and labels [n] of each fold by what other folds teach, and the finishing of each.

    fold
        which fold each row was tested in
    rows
        positions of the rows in the dataset
    horizon
        rows that a label reads beyond its own
    ordered
        whether folds follow each other in time: then each learns from earlier ones only

    Rows whose label reads what a label of the fold reads too are not learnt from. The first of ordered folds has
    nothing to learn from, and is plain.

    Folds that are not ordered fit on each other's labels: the more often a class is in one, the less often it is in the
    rows that its members were fitted on, and the more in those of all others. A vote that learns would learn that
    high votes mean fewer of the class, and so tell a fold's share of it from its own labels. It is taught with the
    votes of each fold around one mean.
    """
    scores = np.empty((len(y), n_outputs))
    labels = np.empty(len(y), dtype=np.float64 if task == "regression" else np.int64)
    found = []
    for number in np.unique(fold):
        own = fold == number
        known = _known(own, fold < number if ordered else ~own, rows, horizon, ordered=ordered)
        apart = None if ordered else fold
        finishing = _learnt(config, given_weights, votes, y, known, task, n_outputs, apart)
        scores[own] = finishing.scores(votes[own])
        labels[own] = finishing.labels(scores[own])
        found.append(finishing)
    return scores, labels, found


def plain(config: EnsembleConfig, given_weights: Float64, task: Task, *, why: str = "") -> Finishing:
    """Return what needs no learning: given or equal weights, no calibration, a fixed threshold or 0.5.

    A vote that learns gives way to the soft one.
    """
    voting = checked_voting(config.voting, task)
    if voting.needs_fit:
        voting = checked_voting("soft", task)
    threshold = _HALF if isinstance(config.threshold, str) else float(config.threshold)
    equal = np.ones(len(given_weights))
    return Finishing(given_weights if config.weights == "given" else equal, voting, threshold, why_plain=why)


def comparisons(
    config: EnsembleConfig,
    given_weights: Float64,
    votes: Float64,
    y: Array,
    fold: Int64,
    by_fold: Sequence[Finishing],
    *,
    task: Task,
) -> list[Contrast]:
    """Return what each thing that was learnt is to be compared with, on the folds that learnt it.

    by_fold
        of `finish_by_fold`, for the same config, votes and folds. The other ways learn from the same rows, all else
        being as in the config
    """
    numbers = np.unique(fold)
    kept = np.isin(fold, [number for number, each in zip(numbers, by_fold, strict=True) if len(each.rows)])
    if not kept.any():
        return []
    n_outputs = votes.shape[2]

    def answers(config: EnsembleConfig, weights: Float64) -> Answers:
        made = [
            _learnt(config, weights, votes, y, each.rows, task, n_outputs, fold if each.centred else None)
            if len(each.rows)
            else each
            for each in by_fold
        ]
        return _answers(made, votes, fold, kept)

    ours = _answers(by_fold, votes, fold, kept)
    others: dict[str, Answers] = {}
    if config.weights == "auto" and not checked_voting(config.voting, task).learns_weights:
        others["weights: auto against equal"] = answers(config.model_copy(update={"weights": "equal"}), given_weights)
        if np.ptp(given_weights) > 0:
            given = config.model_copy(update={"weights": "given"})
            others["weights: auto against given"] = answers(given, given_weights)
    if config.calibration:
        without = config.model_copy(update={"calibration": ""})
        others[f"calibration: {config.calibration} against none"] = answers(without, given_weights)
    if isinstance(config.threshold, str) and n_outputs == 2:
        scores = ours[0]
        others[f"threshold: {config.threshold} against 0.5"] = scores, Decision().choose(scores)
    return [(what, kept, ours, other) for what, other in others.items()]


def _answers(by_fold: Sequence[Finishing], votes: Float64, fold: Int64, kept: npt.NDArray[np.bool_]) -> Answers:
    """Return scores and labels of the kept rows, each by the finishing of its fold."""
    scores = np.empty((len(votes), votes.shape[2]))
    labels = np.empty(len(votes), dtype=np.float64 if votes.shape[2] == 1 else np.int64)
    for number, finishing in zip(np.unique(fold), by_fold, strict=True):
        own = fold == number
        scores[own] = finishing.scores(votes[own])
        labels[own] = finishing.labels(scores[own])
    return scores[kept], labels[kept]


def _known(
    own: npt.NDArray[np.bool_], others: npt.NDArray[np.bool_], rows: Int64, horizon: int, *, ordered: bool
) -> Int64:
    """Return which of the other rows are known when the fold's own begin, by position."""
    tested = np.sort(rows[own])
    if ordered:
        return np.flatnonzero(others & (rows + horizon < tested[0]))
    # The nearest tested rows before and after each: labels overlap up to a horizon apart.
    after = np.searchsorted(tested, rows)
    to_next = tested[np.minimum(after, len(tested) - 1)] - rows
    to_last = rows - tested[np.maximum(after - 1, 0)]
    near = (np.abs(to_next) <= horizon) | (np.abs(to_last) <= horizon)
    return np.flatnonzero(others & ~near)


def _learnt(
    config: EnsembleConfig,
    given_weights: Float64,
    votes: Float64,
    y: Array,
    known: Int64,
    task: Task,
    n_outputs: int,
    fold: Int64 | None = None,
) -> Finishing:
    """Return what some of the rows teach, or plain where that is too little or nothing is asked for."""
    voting = checked_voting(voting_spec(config, task, n_outputs), task)
    weighs = config.weights == "auto" and not voting.learns_weights
    if not (weighs or voting.needs_fit or isinstance(config.threshold, str)):
        return replace(plain(config, given_weights, task), rows=known)
    why = _too_little(y[known], task, n_outputs)
    if why:
        return plain(config, given_weights, task, why=why)
    votes, y = votes[known], y[known]
    centred = fold is not None and voting.learns_weights
    if fold is not None and centred:
        votes = _around_one_mean(votes, fold[known])
    weights = given_weights if config.weights == "given" else np.ones(len(given_weights))
    if weighs:
        weights = fit_weights(votes, y, task, penalty=config.weights_penalty)
    if voting.learns_weights:
        voting.fit(votes, y, task)
    elif voting.needs_fit:
        voting.fit(votes, y, task, None, weights)
    if not isinstance(config.threshold, str):
        return Finishing(weights, voting, float(config.threshold), known, centred=centred)
    scores = np.asarray(voting.combine(votes, weights), dtype=np.float64)
    threshold = choose_threshold(scores, y, config.threshold, gain=config.gain, loss=config.loss)
    return Finishing(weights, voting, threshold, known, centred=centred)


def _around_one_mean(votes: Float64, fold: Int64) -> Float64:
    """Return votes of which each fold's have the mean of all."""
    moved = votes.copy()
    for number in np.unique(fold):
        own = fold == number
        moved[own] += votes.mean(axis=0) - votes[own].mean(axis=0)
    return moved


def voting_spec(config: EnsembleConfig, task: Task, n_outputs: int) -> Any:
    """Return the vote that the config asks for; raise ConfigError for what the task has not."""
    if isinstance(config.threshold, str) and n_outputs != 2:
        raise ConfigError(
            f"ensemble.threshold: {config.threshold!r} was given, but a threshold decides between two classes, and "
            f"this is {task}; leave it out"
        )
    if not config.calibration:
        return config.voting
    if task == "regression":
        raise ConfigError(
            f"ensemble.calibration: {config.calibration!r} was given, but calibration is of probabilities, and this is "
            "regression; leave it out"
        )
    return "calibrated", {"voting": config.voting, "method": config.calibration, "on": config.calibrate}


def _too_little(y: Array, task: Task, n_outputs: int) -> str:
    """Say why rows teach too little; nothing where they do not."""
    if not len(y):
        return "there are no out-of-fold votes yet"
    if len(y) < LEAST_ROWS:
        return f"{len(y)} rows of out-of-fold votes are too few, of at least {LEAST_ROWS}"
    if task == "regression":
        return "" if np.ptp(y) > 0 else "all values are equal in the out-of-fold votes"
    lacking = np.setdiff1d(np.arange(n_outputs), y)
    return f"class {lacking[0]} is not among the {len(y)} rows of out-of-fold votes" if lacking.size else ""
