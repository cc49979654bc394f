"""What a fit asks of its parts: votes, validators, and members that answer as members should."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import check_cv
from sklearn.utils.validation import check_is_fitted

from glulam import plugins
from glulam._tables import shorten
from glulam._targets import Target
from glulam.errors import ConfigError, UnsupportedModelError
from glulam.hookspecs import FeatureValidator, VotingStrategy
from glulam.members import Member
from glulam.program import Task
from glulam.schema import FeatureSchema

__all__ = [
    "check_learnt", "check_prefit", "check_votes", "checked_folds", "checked_voting", "make_validators", "named_params",
    "spec_of",
]  # fmt: skip

Indices = npt.NDArray[np.integer[Any]]
DEFAULT_VALIDATORS = ("columns", "finite", "minimum_samples")


def checked_voting(given: Any, task: Task) -> VotingStrategy:
    """Return a voting strategy that serves the task, from its name or ``(name, params)``."""
    name, params = named_params(given, "voting: expected the name of a strategy")
    strategy = plugins.voting(name)
    if params:
        try:
            strategy = type(strategy)(**params)
        except TypeError as error:
            raise ConfigError(f"voting {name!r}: {error}") from error
    if task not in strategy.tasks:
        raise ConfigError(f"voting {name!r} is for {' and '.join(strategy.tasks)}, not for {task}; use voting='soft'")
    return strategy


def check_learnt(strategy: VotingStrategy, votes: npt.NDArray[np.float64], weights: Any, task: Task) -> None:
    """Refuse a strategy that cannot combine such votes [n, n_members, n_classes], by what it has learnt."""
    who = f"voting {strategy.name!r}"
    if task not in strategy.tasks:
        raise ConfigError(f"{who} is for {' and '.join(strategy.tasks)}, not for {task}; use voting='soft'")
    n_rows, n_members, width = votes.shape
    try:
        scores = np.asarray(strategy.combine(votes, weights))
        strategy.fragment(weights, width)
    except (IndexError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"{who}: cannot combine votes of {n_members} members on {width} classes: {error}; fit it on votes of the "
            "same members"
        ) from error
    if scores.shape != (n_rows, width) or not np.isfinite(scores).all():
        raise ConfigError(
            f"{who}: expected finite scores of shape {(n_rows, width)} for votes of these members, got shape "
            f"{scores.shape}; fit it on votes of the same members"
        )


def spec_of(strategy: VotingStrategy) -> Any:
    """Return the name of a strategy, or ``(name, params)``: arguments are attributes, as scikit-learn has it."""
    taken = inspect.signature(type(strategy)).parameters
    params = {name: getattr(strategy, name) for name in taken if hasattr(strategy, name)}
    return (strategy.name, params) if params else strategy.name


def checked_folds(voting: VotingStrategy, target: Target) -> list[tuple[Indices, Indices]]:
    """Return rows to fit on and rows to vote on, for a strategy that learns from the votes.

    As in scikit-learn's StackingClassifier: stratified folds for classes, in the rows' order. Rows that
    no fold votes on (the first ones of a TimeSeriesSplit) are not learnt from.
    """
    who = f"voting {voting.name!r}"
    try:
        splitter = check_cv(voting.cv, target.y, classifier=target.task != "regression")
        with warnings.catch_warnings():
            # A class of fewer rows than folds is only told of; one that a fold lacks is refused below.
            warnings.filterwarnings("ignore", message="The least populated class")
            folds = [(np.asarray(train), np.asarray(test)) for train, test in splitter.split(target.y, target.y)]
    except ValueError as error:
        raise ConfigError(f"{who}: cannot split {len(target.y)} rows into folds: {error}") from error
    tested = np.concatenate([test for _, test in folds])
    if len(np.unique(tested)) < len(tested):
        raise ConfigError(f"{who}: cv: {splitter} votes on a row more than once; give a splitter that does not repeat")
    parts = [
        (f"the rows that fold {number} of {len(folds)} fits on", train) for number, (train, _) in enumerate(folds, 1)
    ]
    for what, rows in [*parts, ("the rows that are voted on", tested)]:
        lacking = np.setdiff1d(np.arange(len(target.classes)), target.y[rows])
        if lacking.size:
            label = target.classes[lacking[0]]
            count = np.count_nonzero(target.y == lacking[0])
            raise ConfigError(
                f"{who}: class {label!r} has {count} rows, and none of them among {what}; give more rows of it, "
                f"or other folds: voting=({voting.name!r}, {{'cv': ...}})"
            )
    return folds


def named_params(given: Any, expected: str) -> tuple[str, Mapping[str, Any]]:
    """Return the name and the parameters of what is given as ``name`` or ``(name, params)``."""
    pair = (given, {}) if isinstance(given, str) else given
    if not (isinstance(pair, (tuple, list)) and len(pair) == 2):
        raise ConfigError(f"{expected}, got {given!r}; give a name or (name, params)")
    name, params = pair
    if not isinstance(name, str) or not isinstance(params, Mapping):
        raise ConfigError(f"{expected}, got {given!r}; give a name or (name, params)")
    return name, params


def make_validators(given: Any) -> list[FeatureValidator]:
    """Return validators from names and ``(name, params)``; None for the defaults."""
    entries = DEFAULT_VALIDATORS if given is None else given
    if isinstance(entries, str) or not isinstance(entries, (list, tuple)):
        raise ConfigError(f"validators: expected a list of names or (name, params), got {given!r}")
    made = []
    for entry in entries:
        name, params = named_params(entry, "validators: expected the name of a validator")
        try:
            made.append(plugins.validator(name, **params))
        except TypeError as error:
            raise ConfigError(f"validator {name!r}: {error}") from error
    return made


def check_prefit(members: list[Member], schema: FeatureSchema, classes: npt.NDArray[Any]) -> None:
    """Refuse members that are not fitted, or on other features or classes."""
    for member in members:
        if hasattr(member.estimator, "get_params"):  # a library's raw Booster has none, and is always fitted
            check_is_fitted(member.estimator)
        count = getattr(member.estimator, "n_features_in_", len(schema))
        if count != len(schema):
            raise ConfigError(
                f"member {member.name!r}: fitted on {count} features, the table has {len(schema)}; "
                "fit all members on the same features"
            )
        names = _fitted_names(member.estimator)
        if schema.named and names is not None and names != [name.replace(" ", "_") for name in schema.names]:
            raise ConfigError(
                f"member {member.name!r}: fitted on the columns {shorten(names)}, the table has "
                f"{shorten(schema.names)}; give the table in the member's order"
            )
        known = getattr(member.estimator, "classes_", None)
        # Positions stand for labels only where the labels are no numbers themselves.
        positions = np.arange(len(classes)) if classes.dtype.kind not in "iuf" else classes
        if known is not None and not any(np.array_equal(known, each) for each in (classes, positions)):
            raise ConfigError(
                f"member {member.name!r}: fitted on classes {np.asarray(known).tolist()}, y has {classes.tolist()}; "
                "fit all members on the same labels"
            )


def _fitted_names(model: Any) -> list[str] | None:
    """Return the column names that a model was fitted on, blanks as underscores; None if it had none."""
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        names = model.feature_name() if hasattr(model, "feature_name") else getattr(model, "feature_names", None)
    # Only LightGBM invents names where there are none.
    if names is None or list(names) == [f"Column_{index}" for index in range(len(names))]:
        return None
    return [str(name).replace(" ", "_") for name in names]


def check_votes(members: list[Member], fitted: list[Any], rows: npt.NDArray[np.float32], target: Target) -> None:
    """Refuse members whose votes are no probabilities of these classes (custom objectives, foreign boosters)."""
    shape = (len(rows), max(1, len(target.classes)))
    for member, model in zip(members, fitted, strict=True):
        try:
            member.plugin.check(model, target.task)
            votes = member.plugin.votes(model, rows, target.task)
        except UnsupportedModelError as error:
            raise UnsupportedModelError(f"member {member.name!r}: {error}") from error
        except Exception as error:  # each library has its own for rows that do not fit a model
            raise ConfigError(f"member {member.name!r}: cannot answer the training rows: {error}") from error
        if votes.shape != shape:
            raise ConfigError(
                f"member {member.name!r}: expected votes of shape {shape}, got {votes.shape}; "
                "fit it on the same classes, for the same task"
            )
        if target.task != "regression" and not (np.isfinite(votes).all() and votes.min() >= 0 and votes.max() <= 1):
            raise ConfigError(
                f"member {member.name!r}: expected probabilities from 0 to 1, got {votes[0].tolist()}; an objective "
                "of one's own gives margins, which do not vote"
            )
