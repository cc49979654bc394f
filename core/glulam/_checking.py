"""What a fit asks of its parts: votes, validators, and members that answer as members should."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from glulam import plugins
from glulam._tables import shorten
from glulam._targets import Target
from glulam.errors import ConfigError, UnsupportedModelError
from glulam.hookspecs import FeatureValidator, VotingStrategy
from glulam.members import Member
from glulam.program import Task
from glulam.schema import FeatureSchema

__all__ = ["check_prefit", "check_votes", "checked_voting", "make_validators"]

DEFAULT_VALIDATORS = ("columns", "finite", "minimum_samples")


def checked_voting(name: Any, task: Task) -> VotingStrategy:
    """Return a voting strategy that serves the task."""
    if not isinstance(name, str):
        raise ConfigError(f"voting: expected the name of a strategy, got {name!r}")
    strategy = plugins.voting(name)
    if task not in strategy.tasks:
        raise ConfigError(f"voting {name!r} is for {' and '.join(strategy.tasks)}, not for {task}; use voting='soft'")
    return strategy


def make_validators(given: Any) -> list[FeatureValidator]:
    """Return validators from names and ``(name, params)``; None for the defaults."""
    entries = DEFAULT_VALIDATORS if given is None else given
    if isinstance(entries, str) or not isinstance(entries, (list, tuple)):
        raise ConfigError(f"validators: expected a list of names or (name, params), got {given!r}")
    made = []
    for entry in entries:
        name, params = (entry, {}) if isinstance(entry, str) else entry
        if not isinstance(params, Mapping):
            raise ConfigError(f"validators: expected (name, params), got {entry!r}")
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
