"""What a voting strategy must do."""

from __future__ import annotations

import json

import numpy as np

from glulam import plugins
from glulam.decision import Decision
from glulam.hookspecs import VotingStrategy
from glulam.interpreter import combine
from glulam.program import EnsembleProgram, OnnxFragment, Steps, Task
from glulam.proof import TOLERANCE
from glulam.schema import Feature, FeatureSchema
from glulam.testing._shared import (
    PRECISIONS,
    TASKS,
    Array,
    Float64,
    at,
    check_probabilities,
    compare,
    instance_of,
    one_column,
    require,
    run_graph,
)

__all__ = ["check_voting_strategy"]

_WEIGHTS = ([1.0], [1.0, 1.0], [0.4, 0.4, 0.2], [3.0, 1.0, 2.0, 0.0, 1.0])


def check_voting_strategy(strategy_class: type[VotingStrategy]) -> None:
    """Check a voting strategy, at every task it names.

    The rules: scores are [n, n_classes], finite, and probabilities for classifiers. A row's score
    depends on that row alone. Only the proportion of weights counts; a member of weight 0 has no
    say; members may come in any order. A single member is followed: its most probable class, its
    value. ``fragment`` gives the scores of ``combine``, in float32 (but for the last digits, if the strategy is
    ``wide``) and float64, for any number of rows.
    A strategy that ``needs_fit`` gives the same scores for the same rows to learn from, learns from
    ``sample_weight`` as from repeated rows, and is restored from JSON; weights are no matter to it, or
    given to ``fit``.
    """
    strategy = instance_of(strategy_class, VotingStrategy)
    who = f"voting {strategy.name!r}"
    require(
        bool(strategy.tasks) and set(strategy.tasks) <= set(TASKS),
        f"{who}: tasks: expected some of {TASKS}, got {strategy.tasks!r}",
    )
    for task in strategy.tasks:
        for weights in map(np.array, _WEIGHTS):
            votes = _ballots(task, len(weights))
            where = f"{who}, {task}, weights {weights.tolist()}"
            if strategy.needs_fit:
                strategy = _check_fit(strategy_class, where, task, votes, weights)
            else:
                _check_combine(strategy, where, task, votes, weights)
            for precision in PRECISIONS:
                _check_fragment(strategy, f"{where}: fragment, {precision}", task, votes, weights, precision)


def _ballots(task: Task, members: int) -> Float64:
    """Return votes [n, members, classes] that float32 holds: of all kinds, unanimous, tied, certain."""
    random = np.random.default_rng(members)
    if task == "regression":
        values = random.normal(0, 100, (60, members, 1))
        values[20:30] = values[20:30, :1]
        values[30:40] = np.round(values[30:40] / 100)
        values[40:50] *= 1e6
        return values.astype(np.float32).astype(np.float64)
    width = 2 if task == "binary" else 3
    # Multiples of 1/4096 are exact in float32, and so are their sums.
    votes = random.multinomial(4096, random.dirichlet(np.ones(width), (60, members))) / 4096
    votes[20:30] = votes[20:30, :1]
    votes[30:40] = np.eye(width)[random.integers(0, width, (10, members))]
    votes[40:45, :, :2], votes[40:45, :, 2:] = 0.5, 0.0
    votes[45:50] = votes[45:50, :, ::-1][:, ::-1]
    return np.asarray(votes)


def _check_combine(strategy: VotingStrategy, who: str, task: Task, votes: Float64, weights: Float64) -> None:
    """Check the numpy rule."""
    scores = _check_scores(strategy, who, task, votes, weights)
    members = votes.shape[1]
    against = np.concatenate([votes, votes[::-1, :1]], axis=1)
    backwards = np.arange(members)[::-1]
    for rule, other in (
        ("only the proportion of weights counts (all were multiplied by 7)", strategy.combine(votes, weights * 7)),
        ("a member of weight 0 has no say", strategy.combine(against, np.append(weights, 0.0))),
        ("members may come in any order", strategy.combine(votes[:, backwards], weights[backwards])),
    ):
        compare(f"{who}: combine: {rule}", scores, np.asarray(other), votes, 1e-9)
    if members > 1:
        return
    if task == "regression":
        compare(f"{who}: combine: a single member's value is the score", votes[:, 0], scores, votes, 1e-9)
        return
    clear = np.sort(votes[:, 0], axis=1)
    clear_row = clear[:, -1] > clear[:, -2]
    follows = scores.argmax(axis=1) == votes[:, 0].argmax(axis=1)
    require(
        bool(follows[clear_row].all()),
        f"{who}: combine: a single member's most probable class must win{at(scores, votes, clear_row & ~follows)}",
    )


def _check_scores(strategy: VotingStrategy, who: str, task: Task, votes: Float64, weights: Float64) -> Float64:
    """Check what holds for scores of every strategy, and return them."""
    given = votes.copy()
    scores = np.asarray(strategy.combine(votes, weights))
    n, _, width = votes.shape
    require(scores.shape == (n, width), f"{who}: combine: expected scores of shape {(n, width)}, got {scores.shape}")
    require(np.array_equal(given, votes), f"{who}: combine: it changed the votes it was given; work on a copy")
    check_probabilities(f"{who}: combine", scores, task, 1e-9)
    alone = _each(strategy, votes, weights)
    compare(f"{who}: combine: one row alone scores as it does among others", scores, alone, votes, 1e-9)
    return scores


def _check_fit(
    strategy_class: type[VotingStrategy], who: str, task: Task, votes: Float64, weights: Float64
) -> VotingStrategy:
    """Check a strategy that learns, and return it fitted."""
    random = np.random.default_rng(0)
    width = votes.shape[2]
    y = (
        votes.mean(axis=(1, 2)) + random.normal(size=len(votes))
        if task == "regression"
        else np.arange(len(votes)) % width
    )
    strategy = _learnt(strategy_class, votes, y, task, None, weights)
    scores = _check_scores(strategy, who, task, votes, weights)
    again = _learnt(strategy_class, votes, y, task, None, weights).combine(votes, weights)
    compare(f"{who}: fit: the same rows are learnt alike", scores, np.asarray(again), votes, 1e-9)
    heavy = _learnt(strategy_class, votes, y, task, np.where(np.arange(len(y)) < 20, 2.0, 1.0), weights)
    twice = np.concatenate([np.arange(len(y)), np.arange(20)])
    repeated = _learnt(strategy_class, votes[twice], y[twice], task, None, weights)
    # What is found by iteration is found to some digits only.
    expected, got = heavy.combine(votes, weights), repeated.combine(votes, weights)
    compare(
        f"{who}: fit: sample_weight 2 is as the row twice", expected, got, votes, 1e-2, scale=float(np.abs(y).max())
    )
    other = instance_of(strategy_class, VotingStrategy)
    other.restore(json.loads(json.dumps(strategy.state(), allow_nan=False)))
    restored = np.asarray(other.combine(votes, weights))
    compare(f"{who}: restore: what state returned, by way of JSON, gives the same scores", scores, restored, votes, 0.0)
    return strategy


def _learnt(
    strategy_class: type[VotingStrategy],
    votes: Float64,
    y: Array,
    task: Task,
    sample_weight: Float64 | None,
    weights: Float64,
) -> VotingStrategy:
    strategy = instance_of(strategy_class, VotingStrategy)
    if strategy.learns_weights:
        strategy.fit(votes, y, task, sample_weight)
    else:
        strategy.fit(votes, y, task, sample_weight, weights)
    return strategy


def _each(strategy: VotingStrategy, votes: Float64, weights: Float64) -> Array:
    return np.concatenate([strategy.combine(votes[row : row + 1], weights) for row in range(len(votes))])


def _check_fragment(
    strategy: VotingStrategy, who: str, task: Task, votes: Float64, weights: Float64, precision: str
) -> None:
    """Check the exported rule against the numpy one, on members that repeat what they are fed."""
    n, members, width = votes.shape
    fragment = strategy.fragment(weights, width)
    require(
        isinstance(fragment, (OnnxFragment, Steps)), f"{who}: expected a glulam.program.OnnxFragment, got {fragment!r}"
    )
    expected = np.asarray(strategy.combine(votes, weights))
    compare(f"{who}: its reference", expected, combine(fragment, votes), votes, 1e-12)
    schema = FeatureSchema(tuple(Feature(f"x{index}") for index in range(members * width)))
    program = EnsembleProgram(
        schema=schema,
        task=task,
        classes=np.arange(0 if task == "regression" else width),
        names=tuple(f"m{index}" for index in range(members)),
        members=tuple(one_column(np.arange(index * width, (index + 1) * width)) for index in range(members)),
        weights=weights,
        voting=strategy.name,
        vote=fragment,
        decision=Decision(),
    )
    run = run_graph(who, plugins.exporter("onnx"), program, precision)
    rows = votes.reshape(n, -1).astype(np.float32)
    # A wide vote magnifies what float32 rounds: its files are float64 unless the user says otherwise.
    allowed = 1e-3 if strategy.wide and precision == "float32" else TOLERANCE[precision]
    for part in (rows, rows[:1]):
        compare(who, expected[: len(part)], run(part).scores, votes, allowed)
