"""Members: from what the user writes to named estimators with the plugin that knows them."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import skops.io
from sklearn.base import clone

from glulam import plugins
from glulam._skops import dumps
from glulam.errors import ConfigError, PluginError, UnsupportedModelError
from glulam.hookspecs import ModelPlugin
from glulam.program import LoweredMember, Task
from glulam.schema import FeatureSchema

__all__ = ["DEFAULT_MEMBERS", "DEFAULT_WEIGHTS", "AnyEstimator", "Member", "checked_weights", "resolve"]

DEFAULT_MEMBERS = ("lightgbm", "xgboost", "random_forest")
DEFAULT_WEIGHTS = (0.4, 0.4, 0.2)


@dataclass(frozen=True, slots=True)
class Member:
    """A member's name in the ensemble, the plugin that knows it, and its estimator."""

    name: str
    plugin: ModelPlugin
    estimator: Any


class AnyEstimator(ModelPlugin):
    """Stands in for estimators that no plugin accepts: they vote, but cannot be exported."""

    name = "estimator"
    distributions = ("scikit-learn",)

    def make(self, task: Task, params: Mapping[str, Any], schema: FeatureSchema | None) -> Any:
        """Never called: there is nothing to make from a name."""
        raise PluginError("an estimator of unknown kind is given as (name, estimator)")

    def accepts(self, model: Any) -> bool:
        """Accept whatever predicts."""
        return hasattr(model, "predict")

    def votes(self, model: Any, X: npt.NDArray[np.float32], task: Task) -> npt.NDArray[np.float64]:
        """Return its predict_proba, or predict for regression."""
        answer = model.predict(X) if task == "regression" else model.predict_proba(X)
        return np.asarray(answer, dtype=np.float64).reshape(len(X), -1)

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Refuse, by name."""
        raise UnsupportedModelError(
            f"no plugin can lower {type(model).__module__}.{type(model).__qualname__} exactly, so an ensemble with it "
            f"cannot be exported; model plugins are {plugins.known('model')}"
        )

    def dump(self, model: Any) -> bytes:
        """Return the skops form; refuse what skops would not load again."""
        data = dumps(model)
        unknown = skops.io.get_untrusted_types(data=data)
        if unknown:
            raise UnsupportedModelError(
                f"{type(model).__qualname__} cannot be saved: skops does not trust {unknown}; no plugin knows this "
                "kind of estimator, so keep it yourself and pass it fitted, by prefit=True"
            )
        return data

    def restore(self, data: bytes) -> Any:
        """Return the estimator; skops builds only types that it trusts."""
        return skops.io.loads(data, trusted=[])


def resolve(members: Any, task: Task, schema: FeatureSchema, *, prefit: bool) -> list[Member]:
    """Return the members with unfitted estimators of their own (the fitted ones as they are if ``prefit``).

    members
        a sequence of plugin names, ``(plugin name, params)`` and ``(name, estimator)``; None for
        the default three

    Raises ConfigError or PluginError naming the entry that will not do.
    """
    if members is None:
        members = DEFAULT_MEMBERS
    if isinstance(members, (str, bytes)) or not isinstance(members, Sequence) or not members:
        raise ConfigError(
            f"members: expected a list of plugin names, (name, params) or (name, estimator), got {members!r}"
        )
    resolved: list[Member] = []
    for entry in members:
        member = _resolve_one(entry, task, schema, prefit)
        taken = {other.name for other in resolved}
        if member.name in taken:
            if not isinstance(entry, str) and not isinstance(entry[1], Mapping):
                raise ConfigError(f"members: the name {member.name!r} comes twice; names must be unique")
            number = next(n for n in range(2, len(taken) + 3) if f"{member.name}_{n}" not in taken)
            member = Member(f"{member.name}_{number}", member.plugin, member.estimator)
        resolved.append(member)
    return resolved


def _resolve_one(entry: Any, task: Task, schema: FeatureSchema, prefit: bool) -> Member:
    """Resolve one entry of the members list."""
    if isinstance(entry, str):
        entry = (entry, {})
    if not (isinstance(entry, (tuple, list)) and len(entry) == 2 and isinstance(entry[0], str) and entry[0]):
        raise ConfigError(f"members: expected a plugin name, (name, params) or (name, estimator), got {entry!r}")
    name, what = entry
    if "__" in name:
        raise ConfigError(f"members: {name!r}: names must not contain '__', which separates parameters")
    if isinstance(what, Mapping):
        if prefit:
            raise ConfigError(f"member {name!r}: prefit=True takes fitted estimators: (name, estimator)")
        plugin = plugins.model(name)
        try:
            estimator = plugin.make(task, what, schema)
        except (TypeError, ValueError) as error:  # how scikit-learn and the libraries refuse a parameter
            raise ConfigError(f"member {name!r}: {error}") from error
        _check_known_params(name, plugin.make(task, {}, schema), what)
        return Member(name, plugin, estimator)
    # An unfitted StackingClassifier has no predict yet; a Booster has no fit.
    if isinstance(what, type) or not (hasattr(what, "fit") or hasattr(what, "predict")):
        raise ConfigError(f"member {name!r}: expected an estimator instance with fit and predict, got {what!r}")
    if hasattr(what, "get_params"):  # a library's raw Booster does not tell what it is for
        _check_task(name, what, task)
    return Member(name, plugins.model_of(what) or AnyEstimator(), what if prefit else _copy(what))


def _copy(estimator: Any) -> Any:
    """Return an unfitted copy. CatBoost changes lists among its parameters, which scikit-learn's clone refuses."""
    try:
        return clone(estimator)
    except RuntimeError:
        return copy.deepcopy(estimator)


def _check_known_params(name: str, default: Any, params: Mapping[str, Any]) -> None:
    """Refuse a misspelt parameter, which LightGBM and XGBoost would ignore.

    They also take aliases that they do not list, so only a near miss of a listed one is refused.
    """
    listed = list(default.get_params()) if hasattr(default, "get_params") else []
    for key in params:
        near = difflib.get_close_matches(key, listed, n=1, cutoff=0.85)
        if near and key not in listed:
            raise ConfigError(f"member {name!r}: unknown parameter {key!r}; did you mean {near[0]!r}?")


def _check_task(name: str, estimator: Any, task: Task) -> None:
    """Refuse a regressor among classifiers and the other way round."""
    from sklearn.base import is_classifier, is_regressor

    wanted, test = ("regressor", is_regressor) if task == "regression" else ("classifier", is_classifier)
    if not test(estimator):
        raise ConfigError(f"member {name!r}: expected a {wanted}, got {type(estimator).__name__}")
    if wanted == "classifier" and not hasattr(estimator, "predict_proba"):
        raise ConfigError(
            f"member {name!r}: {type(estimator).__name__} has no predict_proba; members vote with probabilities "
            "(wrap it in CalibratedClassifierCV)"
        )


def checked_weights(weights: Any, names: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return weights [n_members] in the order of names, or raise ConfigError.

    weights
        a sequence, one number a member; a mapping of all names; or None for equal ones
    """
    if weights is None:
        return np.ones(len(names))
    if isinstance(weights, Mapping):
        if set(weights) != set(names):
            raise ConfigError(f"weights: expected one for each of {list(names)}, got {list(weights)}")
        weights = [weights[name] for name in names]
    try:
        values = np.array(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"weights: expected numbers, got {weights!r}") from error
    if values.shape != (len(names),):
        raise ConfigError(f"weights: expected {len(names)} numbers, one for each of {list(names)}, got {weights!r}")
    if not np.isfinite(values).all() or (values < 0).any():
        raise ConfigError(f"weights: expected finite numbers of at least 0, got {values.tolist()}")
    if not values.any():
        raise ConfigError("weights: all are 0, so that no member has a vote; make at least one positive")
    return values
