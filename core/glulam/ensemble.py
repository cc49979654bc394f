"""EnsembleClassifier and EnsembleRegressor: scikit-learn estimators whose members vote."""

from __future__ import annotations

import datetime
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.utils import Bunch, get_tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
)

from glulam import plugins
from glulam._fitting import fit_members
from glulam.decision import Decision
from glulam.errors import ConfigError, FeatureError
from glulam.hookspecs import FeatureValidator, VotingStrategy
from glulam.members import DEFAULT_WEIGHTS, Member, checked_weights, resolve
from glulam.program import EnsembleProgram, Guard, Task
from glulam.proof import ParityReport
from glulam.schema import FeatureSchema

__all__ = ["EnsembleClassifier", "EnsembleRegressor"]

DEFAULT_VALIDATORS = ("columns", "finite", "minimum_samples")
PROOF_ROWS_KEPT = 2_000
"""Training rows that a fitted ensemble keeps, evenly spaced, for the proof at export."""


class _Ensemble(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What classifier and regressor share. See `EnsembleClassifier` for the parameters."""

    def __init__(
        self,
        members: Any = None,
        *,
        weights: Any = None,
        voting: str = "soft",
        validators: Any = None,
        schema: FeatureSchema | None = None,
        reorder: bool = False,
        prefit: bool = False,
        n_jobs: int | None = None,
        progress: bool | None = None,
    ) -> None:
        self.members = members
        self.weights = weights
        self.voting = voting
        self.validators = validators
        self.schema = schema
        self.reorder = reorder
        self.prefit = prefit
        self.n_jobs = n_jobs
        self.progress = progress

    # -- scikit-learn plumbing --------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; with ``deep`` also the named estimators and their parameters."""
        params: dict[str, Any] = dict(super().get_params(deep=False))
        if deep:
            for name, estimator in self._named_estimators().items():
                params[name] = estimator
                for key, value in estimator.get_params(deep=True).items():
                    params[f"{name}__{key}"] = value
        return params

    def set_params(self, **params: Any) -> _Ensemble:
        """Set parameters, those of named estimators as ``name__parameter``; ``name=estimator`` replaces one."""
        own = super().get_params(deep=False)
        if "members" in params:
            self.members = params.pop("members")
        named = self._named_estimators()
        replaced = {name: params.pop(name) for name in list(params) if name in named and name not in own}
        if replaced:
            self.members = [
                (entry[0], replaced.get(entry[0], entry[1])) if not isinstance(entry, str) else entry
                for entry in self.members
            ]
            named |= replaced
        nested: dict[str, dict[str, Any]] = {}
        for key, value in params.items():
            name, separator, rest = key.partition("__")
            if separator and name in named:
                nested.setdefault(name, {})[rest] = value
            elif key in own:
                setattr(self, key, value)
            else:
                raise ValueError(
                    f"Invalid parameter {key!r} for estimator {type(self).__name__}. "
                    f"Valid parameters are: {sorted([*own, *named])}."
                )
        for name, settings in nested.items():
            named[name].set_params(**settings)
        return self

    def _named_estimators(self) -> dict[str, Any]:
        if not isinstance(self.members, (list, tuple)):
            return {}
        pairs = [entry for entry in self.members if isinstance(entry, (list, tuple)) and len(entry) == 2]
        return {name: what for name, what in pairs if hasattr(what, "get_params") and not isinstance(what, type)}

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what the members can do."""
        tags = super().__sklearn_tags__()
        named = list(self._named_estimators().values())
        by_name = not isinstance(self.members, (list, tuple)) or len(named) < len(self.members)
        tags.input_tags.allow_nan = by_name or all(get_tags(each).input_tags.allow_nan for each in named)
        tags.input_tags.sparse = False
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _sk_visual_block_(self) -> Any:
        """Show the members side by side in the HTML representation."""
        from sklearn.utils._repr_html.estimator import _VisualBlock

        entries = self.members if isinstance(self.members, (list, tuple)) else ()
        named = self._named_estimators()
        names = [entry if isinstance(entry, str) else str(entry[0]) for entry in entries]
        shown = [named.get(name, name) for name in names]
        return _VisualBlock("parallel", shown or ["lightgbm", "xgboost", "random_forest"], names=names or None)

    # -- fitting ----------------------------------------------------------------------------

    def _fit(
        self,
        X: Any,
        y: npt.NDArray[Any],
        sample_weight: Any,
        encode_target: Callable[[Any], npt.NDArray[Any]],
        eval_set: tuple[Any, Any] | None,
    ) -> None:
        """Learn schema and validators, fit the members, take weights and vote. ``y`` is encoded."""
        owner = type(self).__name__
        schema = self.schema if self.schema is not None else FeatureSchema.learn(X)
        if not isinstance(schema, FeatureSchema):
            raise ConfigError(f"schema: expected a FeatureSchema, got {type(schema).__name__}")
        rows = schema.encode(X, reorder=self.reorder, owner=owner)
        check_consistent_length(rows, y)
        validators = _make_validators(self.validators)
        for validator in validators:
            validator.learn(rows, schema)
            validator.check_fit(rows, schema)
        voting = _checked_voting(self.voting, self._task)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, rows, dtype=np.float64)
        members = resolve(self.members, self._task, schema, prefit=self.prefit)
        names = [member.name for member in members]
        default = self.members is None and self.weights is None
        weights = checked_weights(DEFAULT_WEIGHTS if default else self.weights, names)
        if self.prefit:
            self._check_prefit(members, schema)
            fitted = [member.estimator for member in members]
        else:
            stop_on = None
            if eval_set is not None:
                stop_rows = schema.encode(eval_set[0], reorder=self.reorder, owner=f"{owner} (eval_set)")
                stop_on = (stop_rows, encode_target(eval_set[1]))
            fitted = fit_members(members, rows, y, sample_weight, stop_on, n_jobs=self.n_jobs, progress=self.progress)
        self.schema_ = schema
        self.n_features_in_ = len(schema)
        if schema.named:
            self.feature_names_in_ = np.array(schema.names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.members_ = Bunch(**dict(zip(names, fitted, strict=True)))
        self.plugins_ = [member.plugin for member in members]
        self.validators_ = validators
        self.weights_ = weights
        self.voting_ = voting
        self.proof_rows_ = rows[np.unique(np.linspace(0, len(rows) - 1, PROOF_ROWS_KEPT).astype(int))]
        self.training_ = {
            "rows": len(rows),
            "sha256": hashlib.sha256(rows.tobytes() + np.ascontiguousarray(y).tobytes()).hexdigest(),
            "fitted": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }

    _task: Task

    def _check_prefit(self, members: list[Member], schema: FeatureSchema) -> None:
        """Refuse members that are not fitted, or on other features."""
        for member in members:
            if not _is_library_booster(member.estimator):
                check_is_fitted(member.estimator)
            count = getattr(member.estimator, "n_features_in_", len(schema))
            if count != len(schema):
                raise ConfigError(
                    f"member {member.name!r}: fitted on {count} features, the table has {len(schema)}; "
                    "fit all members on the same features"
                )

    def update_weights(self, weights: Any) -> _Ensemble:
        """Change the members' weights without fitting again.

        weights: one number a member, or a mapping of all names. Returns the ensemble.
        """
        check_is_fitted(self, "members_")
        self.weights_ = checked_weights(weights, list(self.members_))
        self.weights = weights
        return self

    def set_voting(self, voting: str) -> _Ensemble:
        """Change the voting strategy without fitting again. Returns the ensemble."""
        check_is_fitted(self, "members_")
        self.voting_ = _checked_voting(voting, self._task)
        self.voting = voting
        return self

    # -- answering --------------------------------------------------------------------------

    def _rows(self, X: Any) -> npt.NDArray[np.float32]:
        """Encode and validate a table for prediction."""
        check_is_fitted(self, "members_")
        rows = self.schema_.encode(X, reorder=self.reorder, owner=type(self).__name__)
        for validator in self.validators_:
            validator.check(rows, self.schema_)
        return rows

    def _member_votes(self, index: int, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return one member's own answer [n_rows, n_classes]."""
        model = list(self.members_.values())[index]
        return self.plugins_[index].votes(model, rows, self._task)

    def votes(self, X: Any) -> npt.NDArray[np.float64]:
        """Return each member's vote, float64 [n_rows, n_members, n_classes] (n_classes is 1 for regression)."""
        rows = self._rows(X)
        return np.stack([self._member_votes(index, rows) for index in range(len(self.plugins_))], axis=1)

    def transform(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the votes side by side, [n_rows, n_members * n_classes], as features for stacking."""
        votes = self.votes(X)
        return votes.reshape(len(votes), -1)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """Return the names of `transform`'s columns."""
        check_is_fitted(self, "members_")
        prefix = type(self).__name__.lower()
        if self._task == "regression":
            return np.array([f"{prefix}_{name}" for name in self.members_], dtype=object)
        count = len(self.classes_)
        return np.array([f"{prefix}_{name}{i}" for name in self.members_ for i in range(count)], dtype=object)

    def _scores(self, X: Any) -> npt.NDArray[np.float64]:
        votes = self.votes(X)
        return np.asarray(self.voting_.combine(votes, self.weights_))

    def feature_importance(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return importances float64 [n_features] by member name, and of the whole as ``ensemble``.

        Each sums to 1 (or is 0 throughout, for a member without splits). ``ensemble`` is their
        mean by the voting weights over the members that know theirs.
        """
        check_is_fitted(self, "members_")
        found: dict[str, npt.NDArray[np.float64]] = {}
        for (name, model), plugin in zip(self.members_.items(), self.plugins_, strict=True):
            values = plugin.importance(model)
            if values is not None:
                found[name] = values / values.sum() if values.sum() > 0 else values
        weight = {name: w for name, w in zip(self.members_, self.weights_, strict=True) if name in found}
        total = sum(weight.values())
        if total > 0:
            found["ensemble"] = np.asarray(sum(weight[name] * found[name] for name in weight) / total)
        return found

    # -- leaving the training libraries -----------------------------------------------------

    def program(self) -> EnsembleProgram:
        """Return the fitted ensemble in library-free form.

        Raises UnsupportedModelError naming the member and the option that cannot be exact.
        """
        check_is_fitted(self, "members_")
        from glulam.export import lower_members

        guards = [validator.guard(self.schema_) for validator in self.validators_]
        classes = getattr(self, "classes_", np.empty(0))
        return EnsembleProgram(
            schema=self.schema_,
            task=self._task,
            classes=classes,
            names=tuple(self.members_),
            members=lower_members(self),
            weights=self.weights_,
            voting=self.voting_.name,
            vote=self.voting_.fragment(self.weights_, max(1, len(classes))),
            decision=self._decision(),
            guards=tuple(guard for guard in guards if isinstance(guard, Guard)),
        )

    def _decision(self) -> Decision:
        return Decision()

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        exporter: str = "onnx",
        overwrite: bool = False,
        precision: str = "auto",
        proof_rows: int = 20_000,
        **options: Any,
    ) -> ParityReport:
        """Write the whole ensemble as one file, after proving that it gives the members' own answers.

        path
            file to write; its directory must exist
        exporter
            name of the exporter plugin
        overwrite
            whether an existing file is replaced (in one step: readers see the old or the new one)
        precision
            ``float32``; ``float64``; or ``auto``: float32, and float64 if float32 cannot keep
            the promised 1e-6
        proof_rows
            about how many rows the proof tries
        options
            of the exporter: for ``onnx`` outputs, guards, opset

        Returns the proof's report, which is in the file's metadata too. Raises ProofError,
        UnsupportedModelError, ConfigError or ArtifactError; then nothing is written.
        """
        from glulam.export import export

        return export(
            self, Path(path), exporter=exporter, overwrite=overwrite, precision=precision,
            proof_rows=proof_rows, options=options,
        )  # fmt: skip

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Save the trained ensemble as a directory, without pickle.

        It holds each member in its library's own format, the learnt state as JSON, and the sha256
        of every file. Raises ArtifactExistsError if ``path`` is there and ``overwrite`` is not.
        """
        from glulam.saved import save

        save(self, Path(path), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Any:
        """Open a directory that `save` wrote. Raises ArtifactError if a byte of it has changed."""
        from glulam.saved import load

        return load(cls, Path(path))


def _is_library_booster(model: Any) -> bool:
    """Tell whether this is a raw Booster, which has no scikit-learn attributes."""
    return not hasattr(model, "get_params")


def _checked_voting(name: Any, task: Task) -> VotingStrategy:
    """Return a voting strategy that serves the task."""
    if not isinstance(name, str):
        raise ConfigError(f"voting: expected the name of a strategy, got {name!r}")
    strategy = plugins.voting(name)
    if task not in strategy.tasks:
        raise ConfigError(
            f"voting {name!r} is for {' and '.join(strategy.tasks)}, not for {task}; use voting='soft'"
        )
    return strategy


def _make_validators(given: Any) -> list[FeatureValidator]:
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


class EnsembleClassifier(ClassifierMixin, _Ensemble):  # type: ignore[misc]  # scikit-learn has no types
    """A voting ensemble of classifiers that can be exported whole.

    Parameters
    ----------
    members : list, optional
        Plugin names (``"lightgbm"``), ``(plugin name, params)`` or ``(name, estimator)``. By
        default LightGBM 0.4, XGBoost 0.4, random forest 0.2.
    weights : sequence or mapping, optional
        One non-negative number a member. Equal by default.
    voting : str
        Name of the voting strategy: ``soft``, ``hard``, ``log_pool``, or a plugin's.
    validators : list, optional
        Names or ``(name, params)`` of feature validators: by default columns, finite,
        minimum_samples.
    schema : FeatureSchema, optional
        Learnt from the training table if not given.
    reorder : bool
        Take named columns in any order, and ignore further ones.
    threshold : float
        Binary: the second class is predicted when its probability is above this.
    min_confidence : float, optional
        Rows whose largest probability is below it get ``abstain_label``.
    abstain_label : optional
        -1 for integer classes; for others it must be given.
    prefit : bool
        Members are fitted already; `fit` learns schema, classes and validators only.
    n_jobs : int, optional
        Members fitted at once (by threads). Each uses all cores by default, so 1 is no loss.
    progress : bool, optional
        Show a progress bar; by default only on a terminal.

    Attributes
    ----------
    classes_ : array [n_classes]
    n_features_in_ : int
    feature_names_in_ : array of str, only if the training table had names
    schema_ : FeatureSchema
    members_ : Bunch of fitted members by name
    weights_ : float64 [n_members]
    """

    def __init__(
        self,
        members: Any = None,
        *,
        weights: Any = None,
        voting: str = "soft",
        validators: Any = None,
        schema: FeatureSchema | None = None,
        reorder: bool = False,
        threshold: float = 0.5,
        min_confidence: float | None = None,
        abstain_label: Any = None,
        prefit: bool = False,
        n_jobs: int | None = None,
        progress: bool | None = None,
    ) -> None:
        super().__init__(
            members, weights=weights, voting=voting, validators=validators, schema=schema, reorder=reorder,
            prefit=prefit, n_jobs=n_jobs, progress=progress,
        )  # fmt: skip
        self.threshold = threshold
        self.min_confidence = min_confidence
        self.abstain_label = abstain_label

    @property
    def _task(self) -> Task:  # type: ignore[override]
        return "binary" if len(self.classes_) == 2 else "multiclass"

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, eval_set: tuple[Any, Any] | None = None
    ) -> EnsembleClassifier:
        """Fit the members.

        X
            table [n_rows, n_features]; see `FeatureSchema.encode`
        y
            labels [n_rows]: integers, strings or booleans; at least two classes
        sample_weight
            [n_rows], handed to every member
        eval_set
            ``(X, y)`` for members with early stopping

        Raises FeatureError, ConfigError or PluginError saying what to change.
        """
        labels = _labels(y, type(self).__name__)
        classes = np.unique(labels)
        if len(classes) < 2:
            raise FeatureError(
                f"y: expected at least two classes, got one class only: {classes.tolist()}; a classifier has "
                "nothing to tell apart"
            )
        self.classes_ = classes
        self._decision()

        def encode(values: Any) -> npt.NDArray[Any]:
            found = _labels(values, type(self).__name__)
            unknown = np.setdiff1d(found, classes)
            if unknown.size:
                raise FeatureError(f"eval_set: y has classes that training has not: {unknown.tolist()}")
            return np.searchsorted(classes, found)

        self._fit(X, encode(labels), sample_weight, encode, eval_set)
        return self

    def _check_prefit(self, members: list[Member], schema: FeatureSchema) -> None:
        super()._check_prefit(members, schema)
        positions = np.arange(len(self.classes_))
        for member in members:
            known = getattr(member.estimator, "classes_", None)
            if known is not None and not (
                np.array_equal(known, self.classes_) or np.array_equal(known, positions)
            ):
                raise ConfigError(
                    f"member {member.name!r}: fitted on classes {np.asarray(known).tolist()}, y has "
                    f"{self.classes_.tolist()}; fit all members on the same labels"
                )

    def _decision(self) -> Decision:
        return Decision.checked(self.classes_, self.threshold, self.min_confidence, self.abstain_label)

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the vote's probability of each class, float64 [n_rows, n_classes].

        Under the hard vote it is each class's share of the weights.
        """
        return self._scores(X)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the label of each row [n_rows]; ``abstain_label`` where confidence is too low."""
        scores = self._scores(X)
        decision = self._decision()
        return decision.label_table(self.classes_)[decision.choose(scores)]


class EnsembleRegressor(RegressorMixin, _Ensemble):  # type: ignore[misc]  # scikit-learn has no types
    """A voting ensemble of regressors that can be exported whole: the weighted mean of its members.

    Parameters and attributes are `EnsembleClassifier`'s, without those of labels. Of the voting
    strategies only those for regression serve (``soft``).
    """

    _task: Task = "regression"

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, eval_set: tuple[Any, Any] | None = None
    ) -> EnsembleRegressor:
        """Fit the members to numbers y [n_rows]. See `EnsembleClassifier.fit`."""
        self._fit(X, _values(y, type(self).__name__), sample_weight, lambda v: _values(v, "eval_set"), eval_set)
        return self

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the value of each row, float64 [n_rows]."""
        return self._scores(X)[:, 0]


def _labels(y: Any, owner: str) -> npt.NDArray[Any]:
    """Return labels as a 1-d array of integers, strings, booleans or floats."""
    if y is None:
        raise FeatureError(f"{owner}: fit requires y to be passed, but the target y is None")
    labels = column_or_1d(y, warn=True)
    if labels.dtype.kind in "fO":
        missing = labels != labels  # NaN is the one value unequal to itself
        if labels.dtype.kind == "O":
            missing = missing | np.array([value is None for value in labels], dtype=bool)
        if missing.any():
            raise FeatureError(
                f"{owner}: y contains NaN or None (first in row {int(np.flatnonzero(missing)[0])}); "
                "Input y contains NaN: drop such rows"
            )
    check_classification_targets(labels)
    if labels.dtype.kind == "O":
        kinds = {type(value) for value in labels.tolist()}
        if not (kinds <= {str} or kinds <= {int} or kinds <= {bool} or kinds <= {int, float}):
            raise FeatureError(
                f"{owner}: labels of mixed types {sorted(kind.__name__ for kind in kinds)}; make them all strings or all integers"
            )
        labels = np.array(labels.tolist())
    if labels.dtype.kind not in "iubfU":
        raise FeatureError(f"{owner}: labels of type {labels.dtype} are not supported; use integers, strings or booleans")
    return labels


def _values(y: Any, owner: str) -> npt.NDArray[np.float64]:
    """Return targets as finite float64 [n_rows]."""
    if y is None:
        raise FeatureError(f"{owner}: fit requires y to be passed, but the target y is None")
    raw = column_or_1d(y, warn=True)
    if raw.dtype.kind == "c":
        raise FeatureError(f"{owner}: Complex data not supported in y")
    try:
        values = raw.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise FeatureError(f"{owner}: y: expected numbers, got {raw.dtype}: {error}") from error
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise FeatureError(
            f"{owner}: y, row {row}: expected a finite number, got {values[row]}; Input y contains NaN or infinity: "
            "drop such rows"
        )
    return values
