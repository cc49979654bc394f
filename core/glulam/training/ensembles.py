"""From a config to ensembles: on the rows of a fold, and on all rows."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam._checking import checked_voting, make_validators
from glulam._fitting import fit_members, native_votes
from glulam._reading import rows_of
from glulam._tables import shorten
from glulam.dataset import Dataset
from glulam.decision import Decision
from glulam.errors import ConfigError, FeatureError, GlulamError
from glulam.members import Member, resolve
from glulam.program import Task
from glulam.schema import FeatureSchema
from glulam.training.config import Config
from glulam.training.finishing import Finishing, voting_spec

__all__ = ["FoldFit", "check_settings", "final_ensemble", "fit_fold", "given_weights", "make_members", "unfitted"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]

_THREADS = ("n_jobs", "thread_count")
"""What libraries call the number of threads. One each: members are fitted side by side, and sums of one thread are
always added in one order."""
_SEEDS = ("random_state", "random_seed")
_WORDS = (
    (r"^(abstain_label|min_confidence|threshold): ", r"ensemble.\1: "),
    (r"use voting='soft'", 'use ensemble.voting = "soft"'),
    (
        r"set validators=\['columns', 'finite', \('minimum_samples', \{'rows': \.\.\.\}\)\]",
        'set ensemble.validators = ["columns", "finite", { name = "minimum_samples", rows = 50 }]',
    ),
    (r"\w+\.__init__\(\) ", ""),
)
"""What errors of an ensemble advise to write in Python, and what a config has for it."""


@dataclass(frozen=True, slots=True)
class FoldFit:
    """Members that were fitted on the rows of a fold, and what they answered to those that it tests.

    votes
        float64 [n_test, n_members, n_outputs]
    importance
        float64 [n_features], the mean of the members' by their given weights, sum 1; 0 where none tells
    """

    votes: Float64
    importance: Float64


def check_settings(config: Config, data: Dataset) -> None:
    """Refuse before any fit what the last one would: vote, validators, threshold and abstention that do not do.

    Raises ConfigError, and FeatureError for rows that a validator does not let pass, naming the row in the file.
    """
    settings = config.ensemble
    with _in_words_of_the_config():
        checked_voting(voting_spec(settings, data.task, data.n_outputs), data.task)
        if data.task == "regression":
            for key, usual in (("threshold", 0.5), ("min_confidence", None), ("abstain_label", None)):
                if getattr(settings, key) != usual:
                    raise ConfigError(
                        f"ensemble.{key}: {getattr(settings, key)!r} was given, but it is for classes, and this is "
                        "regression; leave it out"
                    )
        else:
            threshold = 0.5 if isinstance(settings.threshold, str) else settings.threshold
            Decision.checked(data.classes, threshold, settings.min_confidence, settings.abstain_label)
        with rows_of(data.raw.source, data.raw.file_rows[data.rows].tolist()):
            for validator in make_validators(_validators(config)):
                validator.learn(data.X, data.schema)
                validator.check_fit(data.X, data.schema)


@contextlib.contextmanager
def _in_words_of_the_config() -> Iterator[None]:
    """Raise errors with advice that a config can follow."""
    try:
        yield
    except (ConfigError, FeatureError) as error:
        text = str(error)
        for pattern, word in _WORDS:
            text = re.sub(pattern, word, text)
        raise type(error)(text) from error


def make_members(config: Config, task: Task, schema: FeatureSchema) -> list[Member]:
    """Return unfitted members under the config's names, with its seed and one thread each."""
    made = []
    for name, given in config.members.items():
        plugin = given.plugin or name
        try:
            member = resolve([(plugin, given.params)], task, schema, prefit=False)[0]
        except ConfigError as error:  # it knows the plugin's name, the user another
            raise ConfigError(str(error).replace(f"member {plugin!r}", f"member {name!r}", 1)) from error
        settings = _settings(member.estimator, given.params, config.seed)
        if settings:
            member.estimator.set_params(**settings)
        made.append(Member(name, member.plugin, member.estimator))
    return made


def _settings(estimator: Any, given: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return seed and threads by the library's names for them, as far as the user does not give them."""
    taken = set(estimator.get_params()) if hasattr(estimator, "get_params") else set()
    settings: dict[str, Any] = {}
    for names, value in ((_SEEDS, seed), (_THREADS, 1)):
        known = [name for name in names if name in taken]
        if known and not any(name in given for name in names):
            settings[known[0]] = value
    return settings


def given_weights(config: Config) -> Float64:
    """Return the members' own weights [n_members], or equal ones where the config asks for them."""
    if config.ensemble.weights == "equal":
        return np.ones(len(config.members))
    return np.array([member.weight for member in config.members.values()], dtype=np.float64)


def fit_fold(config: Config, data: Dataset, train: Array, test: Array, *, where: str) -> FoldFit:
    """Fit the members on some rows and ask them about others."""
    members = make_members(config, data.task, data.schema)
    try:
        fitted = _fitted(members, data.X[train], data.y[train], data, where)
    except (GlulamError, MemoryError):
        raise
    except Exception as error:  # each library has its own for parameters that it does not take
        params = {name: given.params for name, given in config.members.items() if given.params}
        empty = [
            name for name, column in zip(data.schema.names, data.X[train].T, strict=True) if np.isnan(column).any()
        ]
        if empty and "nan" in str(error).lower():
            # scikit-learn's second line names the estimator; a guide to imputing follows.
            said = str(error).partition("\n")[2] or str(error)
            raise ConfigError(
                f"{where}: {said.partition('. ')[0].rstrip('.')}, and values are missing in {shorten(empty)}; fill them"
                " in, drop these columns, or take members that accept them, such as lightgbm, xgboost, random_forest or"
                " hist_gradient_boosting"
            ) from error
        raise ConfigError(
            f"{where}: a member could not be fitted: {str(error).rstrip('. ')}; correct its params, if it is one of "
            f"them; they are {params}"
        ) from error
    votes = native_votes(members, fitted, data.X[test], data.task)
    total = np.zeros(len(data.schema))
    for member, model, weight in zip(members, fitted, given_weights(config), strict=True):
        importance = member.plugin.importance(model)
        if importance is not None and importance.sum() > 0:
            total += weight * importance / importance.sum()
    return FoldFit(votes, total / total.sum() if total.sum() > 0 else total)


def _fitted(members: list[Member], X: npt.NDArray[np.float32], y: Array, data: Dataset, where: str) -> list[Any]:
    """Fit members; refuse rows that lack a class, of which a member would know nothing."""
    lacking = np.setdiff1d(np.arange(len(data.classes)), y) if data.task != "regression" else np.empty(0, np.int64)
    if lacking.size:
        names = data.classes[lacking].tolist()
        found = data.classes[np.unique(y)].tolist()
        raise ConfigError(
            f"{where}: its {len(y):,} rows to fit on have the labels {list(map(str, found))} only, none is "
            f"{' or '.join(map(repr, map(str, names)))}; use fewer folds, more data, or another label"
        )
    return fit_members(members, X, y, None, None, n_jobs=_side_by_side(members), progress=False)


def unfitted(config: Config, data: Dataset, *, threshold: float = 0.5) -> Any:
    """Return the ensemble of a config for the features and the task of some rows, with its given weights."""
    import glulam

    members = make_members(config, data.task, data.schema)
    settings = config.ensemble
    options: dict[str, Any] = {
        "members": [(member.name, member.estimator) for member in members],
        "weights": given_weights(config).tolist(),
        "validators": _validators(config),
        "schema": data.schema,
        "n_jobs": _side_by_side(members),
        "progress": False,
    }
    if data.task == "regression":
        return glulam.EnsembleRegressor(**options)
    return glulam.EnsembleClassifier(
        **options, threshold=threshold, min_confidence=settings.min_confidence, abstain_label=settings.abstain_label
    )


def final_ensemble(config: Config, data: Dataset, finishing: Finishing) -> Any:
    """Return the ensemble, fitted on all rows, with weights, vote and threshold that were learnt out of fold."""
    labels = data.y if data.task == "regression" else data.classes[data.y]
    ensemble = unfitted(config, data, threshold=finishing.threshold).fit(data.schema.decode(data.X), labels)
    weights = None if finishing.voting.learns_weights else finishing.weights.tolist()
    return ensemble.set_voting(finishing.voting, weights=weights)


def _side_by_side(members: Sequence[Member]) -> int:
    """Return how many members are fitted at once, each by a thread."""
    return min(len(members), os.cpu_count() or 1)


def _validators(config: Config) -> list[Any] | None:
    """Return the validators as an ensemble takes them; None for the usual ones."""
    given = config.ensemble.validators
    return None if given is None else [_named(each) for each in given]


def _named(given: str | dict[str, Any]) -> Any:
    """Return a validator's name, or its name and parameters, as an ensemble takes them."""
    if isinstance(given, str):
        return given
    return given["name"], {key: value for key, value in given.items() if key != "name"}
