"""From a config to ensembles: on the rows of a fold, and on all rows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam._fitting import fit_members, native_votes
from glulam.dataset import Dataset
from glulam.errors import ConfigError, GlulamError
from glulam.members import Member, resolve
from glulam.program import Task
from glulam.schema import FeatureSchema
from glulam.training.config import Config
from glulam.training.finishing import Finishing

__all__ = ["FoldFit", "final_ensemble", "fit_fold", "given_weights", "make_members", "unfitted"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]

_THREADS = ("n_jobs", "thread_count")
"""What libraries call the number of threads. One each: members are fitted side by side, and sums of one thread are
always added in one order."""
_SEEDS = ("random_state", "random_seed")


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
        "validators": None if settings.validators is None else [_named(each) for each in settings.validators],
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


def _named(given: str | dict[str, Any]) -> Any:
    """Return a validator's name, or its name and parameters, as an ensemble takes them."""
    if isinstance(given, str):
        return given
    return given["name"], {key: value for key, value in given.items() if key != "name"}
