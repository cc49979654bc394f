"""One member in a search: what it is drawn from, how it is scored, and what its study depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from glulam import plugins
from glulam.dataset import Dataset
from glulam.errors import PluginError
from glulam.hookspecs import ModelPlugin
from glulam.training._holdout import labels_of
from glulam.training._study import required_optuna, storage_errors
from glulam.training.config import Config
from glulam.training.ensembles import fit_fold
from glulam.trainspecs import Fold

__all__ = ["MemberSearch", "with_params"]


@dataclass(frozen=True, slots=True)
class MemberSearch:
    """A member, and the rows and folds that its trials are scored on.

    search
        the rows that the search sees
    folds
        of these rows
    metric
        name of what trials are compared by
    """

    name: str
    config: Config
    search: Dataset
    folds: tuple[Fold, ...]
    metric: str

    @property
    def plugin(self) -> ModelPlugin:
        """The member's plugin."""
        return plugins.model(self.config.members[self.name].plugin or self.name)

    def draw(self, trial: Any) -> dict[str, Any]:
        """Return parameters from the plugin's search space, without those that the user has set."""
        try:
            drawn = dict(self.plugin.search_space(trial, self.search.task, len(self.search)))
            json.dumps(drawn, allow_nan=False)
            if None in drawn.values():
                raise ValueError(f"None cannot be written in a config, got {drawn}")
        except storage_errors():
            raise
        except Exception as error:  # whatever another author's code raises
            raise PluginError(
                f"member {self.name!r}: search_space of model {self.plugin.name!r} failed: {type(error).__name__}: "
                f"{error}; correct the plugin, glulam.testing.check_model_plugin shows how"
            ) from error
        return {key: value for key, value in drawn.items() if key not in self.config.members[self.name].params}

    def space(self) -> dict[str, str]:
        """Return what the plugin draws, by name, as one draw has it; empty where nothing is tuned."""
        optuna = required_optuna()
        trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
        drawn = self.draw(trial)
        return {name: repr(kind) for name, kind in sorted(trial.distributions.items())} if drawn else {}

    def scores(self, params: Mapping[str, Any]) -> Iterator[float]:
        """Yield the metric on all rows tested so far, after each fold."""
        alone = self.config.model_copy(update={"members": {self.name: self.config.members[self.name]}})
        config, metric = with_params(alone, {self.name: params}), plugins.metric(self.metric)
        votes: list[Any] = []
        rows: list[Any] = []
        for number, (train, test) in enumerate(self.folds, 1):
            where = f"member {self.name!r}, inner fold {number}"
            votes.append(fit_fold(config, self.search, train, test, where=where).votes[:, 0])
            rows.append(self.search.y[test])
            scores = np.concatenate(votes)
            yield float(metric.score(np.concatenate(rows), scores, labels_of(scores)))

    def facts(self) -> dict[str, Any]:
        """Return what the scores depend on, by what an error calls it."""
        return {
            "data": _digest(self.search),
            "plugin": self.plugin.name,
            "parameters of the member": self.config.members[self.name].params,
            "metric": self.metric,
            "folds": self.config.tune.folds,
            "embargo": self.config.evaluation.embargo,
            "seed": self.config.seed,
            "versions of libraries": plugins.versions(self.plugin),
            "search space": self.space(),
        }


def with_params(config: Config, params: Mapping[str, Mapping[str, Any]]) -> Config:
    """Return the config with parameters of its members added; those that it sets itself stay as they are."""
    members = {
        name: member.model_copy(update={"params": {**params.get(name, {}), **member.params}})
        for name, member in config.members.items()
    }
    return config.model_copy(update={"members": members})


def _digest(search: Dataset) -> str:
    """Return a hash of the rows that the search sees, in their order, and of what they are told to be."""
    digest = hashlib.sha256()
    for values in (search.X, search.y, search.label_end):
        digest.update(np.ascontiguousarray(values).tobytes())
    groups = None if search.groups is None else search.groups.tolist()
    told = [search.schema.to_json(), search.task, search.classes.tolist(), search.horizon, groups]
    digest.update(json.dumps(told, default=str).encode())
    return digest.hexdigest()
