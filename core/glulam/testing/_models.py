"""What a model plugin must do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from glulam import plugins
from glulam._native import ask
from glulam._rows import families
from glulam.decision import Decision
from glulam.errors import GlulamError
from glulam.forest import Forest
from glulam.hookspecs import ModelPlugin
from glulam.interpreter import member_leaves, member_vote
from glulam.program import EnsembleProgram, LoweredMember, OnnxFragment, Task
from glulam.proof import TOLERANCE
from glulam.schema import FeatureSchema
from glulam.testing._search_space import drawn_params
from glulam.testing._shared import (
    PRECISIONS,
    ROWS,
    TASKS,
    Array,
    ContractError,
    Float32,
    Float64,
    at,
    check_probabilities,
    compare,
    instance_of,
    mean_vote,
    prove_graph,
    require,
    rows_with,
)

__all__ = ["check_model_plugin"]


@dataclass(frozen=True, slots=True)
class _Case:
    """A model plugin at one task: what to call it in messages, and what to fit it to."""

    plugin: ModelPlugin
    who: str
    task: Task
    params: Mapping[str, Any]
    X: Float32
    y: Array
    given: Any = None

    @property
    def schema(self) -> FeatureSchema:
        return FeatureSchema.learn(self.X)

    @property
    def width(self) -> int:
        return 1 if self.task == "regression" else len(np.unique(self.y))

    def made(self, **more: Any) -> Any:
        if self.given is not None:
            from sklearn.base import clone

            return clone(self.given)
        return self.plugin.make(self.task, {**self.params, **more}, self.schema)

    def fitted(self, X: Float32, y: Array, *more: Any) -> Any:
        model = self.plugin.fit(self.made(), X, y, *more)
        require(
            self.plugin.accepts(model),
            f"{self.who}: accepts: expected True for what fit returned, got False; fit must return the model",
        )
        return model

    def votes(self, model: Any, rows: Float32) -> Float64:
        """Return the plugin's votes, checked for what holds of all votes."""
        votes = np.asarray(self.plugin.votes(model, rows, self.task))
        require(
            votes.shape == (len(rows), self.width),
            f"{self.who}: votes: expected shape {(len(rows), self.width)}, one column a class (one in all for "
            f"regression), got {votes.shape}; reshape the library's answer",
        )
        return votes


def check_model_plugin(
    plugin_class: type[ModelPlugin],
    params: Mapping[str, Any] | None = None,
    estimators: Mapping[Task, Any] | None = None,
) -> None:
    """Check a kind of member, at every task it serves, on scikit-learn's small data sets.

    params
        settings for every estimator, such as fewer trees, so that the check is quick
    estimators
        for a plugin of estimators that are not made from a name: an unfitted one for each task

    The rules: ``name`` and ``distributions`` are set. ``make`` takes parameters and gives what
    ``accepts`` takes, or refuses a task by a GlulamError with the plugin's name. ``fit`` takes rows
    with NaN or refuses them by ValueError, heeds ``sample_weight``, takes an ``eval_set``. Votes are
    finite and of the right shape; probabilities sum to 1. ``lower`` gives the same votes, for
    training rows and every family of the proof, and survives export. A dumped and restored model
    votes and lowers as before. ``leaves`` and ``importance`` are None, or right. What ``search_space``
    draws is plain, the same for one seed, and makes a model that can be fitted and lowered.
    """
    plugin = instance_of(plugin_class, ModelPlugin)
    who = f"model {plugin.name!r}"
    require("__" not in plugin.name, f"{who}: name: '__' separates parameters of members; leave it out")
    distributions = getattr(plugin, "distributions", ())
    require(
        isinstance(distributions, tuple) and distributions and all(isinstance(each, str) for each in distributions),
        f"{who}: distributions: expected a tuple of at least one distribution name, got {distributions!r}; name the "
        "distribution of the model's library, as pip knows it",
    )
    require(
        not plugin.accepts(object()),
        f"{who}: accepts: expected False for an object of unknown type; accept this plugin's estimators only",
    )
    given = dict(estimators or {})
    for task, estimator in given.items():
        require(plugin.accepts(estimator), f"{who}, {task}: accepts: expected True for {estimator!r}, got False")
    served = list(given) or [task for task in TASKS if _serves(plugin, who, task, params or {})]
    require(bool(served), f"{who}: make: expected an estimator for at least one of {TASKS}, all were refused")
    for task in served:
        X, y = _data(task)
        case = _Case(plugin, f"{who}, {task}", task, params or {}, X, y, given.get(task))
        if case.given is None:
            _check_params(case)
            _check_search_space(case)
        _check_sample_weight(case)
        _check_fitted(case)
        holes = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.float32(np.nan), X)
        _check_fitted(replace(case, who=f"{case.who}, rows with NaN", X=holes), may_refuse=True)


def _data(task: Task) -> tuple[Float32, Array]:
    """Return real rows and targets as members get them."""
    from sklearn import datasets

    load = {
        "binary": datasets.load_breast_cancer,
        "multiclass": datasets.load_iris,
        "regression": datasets.load_diabetes,
    }[task]
    X, y = load(return_X_y=True)
    return X.astype(np.float32), y.astype(np.float64 if task == "regression" else np.int64)


def _serves(plugin: ModelPlugin, who: str, task: Task, params: Mapping[str, Any]) -> bool:
    """Tell whether the plugin makes an estimator for the task; it must refuse by its name else."""
    try:
        model = plugin.make(task, params, None)
    except GlulamError as error:
        require(
            plugin.name in str(error),
            f"{who}: make: a task that is not served must be refused by the plugin's name; for {task!r} it said: "
            f"{error}",
        )
        return False
    require(
        plugin.accepts(model),
        f"{who}, {task}: accepts: expected True for what make returned, a {type(model).__name__}, got False",
    )
    return True


def _check_params(case: _Case) -> None:
    """Check that every number among the estimator's parameters can be set through make."""
    model = case.made()
    require(
        hasattr(model, "get_params"),
        f"{case.who}: make: expected an estimator with get_params, as scikit-learn has it, got {type(model).__name__}",
    )
    settings = model.get_params()
    numbers = {key: value for key, value in settings.items() if type(value) in (int, float) and np.isfinite(value)}
    for key, value in numbers.items():
        other = value + 1 if isinstance(value, int) else value / 2 + 0.01
        try:
            taken = case.made(**{key: other}).get_params().get(key)
        except GlulamError:
            continue  # it was read, and refused
        require(
            taken == other,
            f"{case.who}: make: the parameter {key}={other!r} was given, the estimator has {key}={taken!r}; let "
            "params override the plugin's defaults",
        )


def _check_search_space(case: _Case) -> None:
    """Check that what a search may draw, at its ends and between, makes models that votes and lower know."""
    some = np.unique(np.linspace(0, len(case.y) - 1, 120).astype(int))
    X, y = case.X[some], case.y[some]
    for end, drawn in drawn_params(case.plugin, case.who, case.task, len(X)):
        try:
            model = case.plugin.fit(case.made(**{**drawn, **case.params}), X, y)
            case.votes(model, X)
            case.plugin.lower(model, case.schema)
        except ContractError:
            raise
        except Exception as error:  # libraries raise types of their own
            raise ContractError(
                f"{case.who}: search_space: {end} of what it draws, {drawn}, does not serve: {type(error).__name__}: "
                f"{error}; draw what make, fit and lower take"
            ) from error


def _check_sample_weight(case: _Case) -> None:
    """Check that rows which contradict each other are settled by their weights; give an eval_set as well."""
    some = np.unique(np.linspace(0, len(case.y) - 1, 120).astype(int))
    X, y = case.X[some], case.y[some]
    other = -y if case.task == "regression" else np.zeros_like(y)
    X2, y2 = np.concatenate([X, X]), np.concatenate([y, other])
    first = np.repeat([1.0, 0.01], len(X))
    votes: list[Float64] = []
    for weight in (first, first[::-1].copy()):
        try:
            model = case.fitted(X2, y2, weight, (X, y))
        except GlulamError as error:
            require(
                case.plugin.name in str(error),
                f"{case.who}: fit: a model that takes no sample_weight must say so by its name, it said: {error}",
            )
            return
        votes.append(case.votes(model, X))
    require(
        not np.allclose(votes[0], votes[1], rtol=1e-6, atol=1e-6),
        f"{case.who}: fit: contradictory rows with weights 1 and 0.01, and then the other way round, gave the same "
        "model; hand sample_weight to the library, or refuse it by a GlulamError with the plugin's name",
    )


def _check_fitted(case: _Case, *, may_refuse: bool = False) -> None:
    """Fit, and check votes, lowering, export, storage, leaves and importance."""
    try:
        model = case.fitted(case.X, case.y)
    except ValueError:
        if may_refuse:
            return
        raise
    votes = case.votes(model, case.X)
    check_probabilities(f"{case.who}: votes", votes, case.task, 1e-6)
    lowered = _lowered(case, model)
    _check_lowered(case, model, lowered)
    _check_exported(case, lowered)
    _check_restored(case, model, votes, lowered)
    importance = case.plugin.importance(model)
    count = case.X.shape[1]
    require(
        importance is None or (np.shape(importance) == (count,) and bool((np.asarray(importance) >= 0).all())),
        f"{case.who}: importance: expected None or {count} numbers of at least 0, one a feature, got {importance!r}",
    )


def _lowered(case: _Case, model: Any) -> LoweredMember:
    lowered = case.plugin.lower(model, case.schema)
    require(
        isinstance(lowered, LoweredMember),
        f"{case.who}: lower: expected a glulam.program.LoweredMember, got {type(lowered).__name__}",
    )
    body = lowered.body
    require(
        not isinstance(body, Forest) or body.n_features == case.X.shape[1],
        f"{case.who}: lower: expected a forest of {case.X.shape[1]} features, those that no tree tests among them",
    )
    try:
        lowered.check(case.task, case.width)
    except ValueError as error:
        raise ContractError(f"{case.who}: lower: {error}; choose the link by the sums that the trees give") from error
    return lowered


def _check_lowered(case: _Case, model: Any, lowered: LoweredMember) -> None:
    """Check that the lowered model gives the library's votes and leaves, wherever the library answers."""
    forests = lowered.forests_of(case.X.shape[1])
    allowed = TOLERANCE[lowered.arithmetic]
    scale = float(np.abs(case.votes(model, case.X)).mean()) if case.task == "regression" else 1.0
    for family in families(case.schema, forests, case.X, rows=ROWS, seed=0):
        where = f"{case.who}: lower, family {family.name!r}"
        expected, answered = ask(partial(case.votes, model), family.rows)
        answered &= ~np.isnan(expected).any(axis=1) & lowered.within_reach(family.rows)
        rows = family.rows[answered]  # the proof judges the others by the interpreter, or leaves them out
        if not len(rows):
            continue
        got = np.asarray(member_vote(lowered, rows))
        require(
            got.shape == (len(rows), case.width),
            f"{where}: expected votes of shape {(len(rows), case.width)}, got {got.shape}",
        )
        odd = rows_with(~np.isfinite(got))
        require(
            not odd.any(),
            f"{where}: expected finite votes for all rows that the library answers{at(got, rows, odd)}; "
            "bound the inputs, and replace NaN and infinity",
        )
        compare(where, expected[answered], got, rows, allowed, scale)
        _check_leaves(case, model, lowered, rows, where)


def _check_leaves(case: _Case, model: Any, lowered: LoweredMember, rows: Float32, where: str) -> None:
    try:
        leaves = case.plugin.leaves(model, rows)
    except ValueError:
        return  # what answers votes may refuse leaves: XGBoost's DMatrix takes no infinities
    if leaves is None:
        return
    own = member_leaves(lowered, rows)
    require(
        own is not None,
        f"{case.who}: leaves: expected None for a member that is lowered to anything but one forest",
    )
    if own is not None:
        compare(f"{where}: leaves", np.asarray(leaves), own, rows, 0.0)


def _check_exported(case: _Case, lowered: LoweredMember) -> None:
    """Check that the member's graph gives the votes of its numpy form."""
    classes = np.arange(0 if case.task == "regression" else case.width)
    program = EnsembleProgram(
        case.schema, case.task, classes, (case.plugin.name,), (lowered,), np.ones(1), "mean", mean_vote(1), Decision()
    )
    # Forests are written by the exporter, which has its own check; a fragment is the plugin's own text.
    for precision in PRECISIONS if isinstance(lowered.body, OnnxFragment) else ("float64",):
        prove_graph(f"{case.who}: lower, exported in {precision}", program, plugins.exporter("onnx"), precision, case.X)


def _check_restored(case: _Case, model: Any, votes: Float64, lowered: LoweredMember) -> None:
    """Check that what was dumped and restored votes and lowers as before."""
    data = case.plugin.dump(model)
    require(
        isinstance(data, bytes) and bool(data),
        f"{case.who}: dump: expected bytes, got {type(data).__name__}",
    )
    require(
        not (data[:1] == b"\x80" and data[-1:] == b"."),
        f"{case.who}: dump: expected the library's own safe format, got a pickle, which runs code when it is read",
    )
    restored = case.plugin.restore(data)
    again = case.votes(restored, case.X)
    # Libraries may add trees up in threads, in any order.
    compare(f"{case.who}: restore, votes of the restored model", votes, again, case.X, 1e-15)
    first, second = member_vote(lowered, case.X), member_vote(_lowered(case, restored), case.X)
    compare(f"{case.who}: restore, votes of the restored model, lowered", first, second, case.X, 1e-15)
