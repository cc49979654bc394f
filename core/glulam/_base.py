"""What classifier and regressor share: fitting, voting, and leaving the training libraries."""

from __future__ import annotations

import copy
import datetime
import hashlib
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import TransformerMixin
from sklearn.utils import Bunch
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted

from glulam._checking import (
    check_learnt,
    check_prefit,
    check_votes,
    checked_folds,
    checked_voting,
    make_validators,
    spec_of,
)
from glulam._fitting import fit_members, native_votes, out_of_fold_votes
from glulam._params import MembersAsParameters
from glulam._targets import Target
from glulam.decision import Decision
from glulam.errors import ConfigError
from glulam.hookspecs import VotingStrategy
from glulam.members import DEFAULT_WEIGHTS, checked_weights, resolve
from glulam.program import EnsembleProgram, Guard, Task
from glulam.proof import ParityReport
from glulam.schema import FeatureSchema

__all__ = ["Ensemble"]

PROOF_ROWS_KEPT = 2_000
"""Training rows that a fitted ensemble keeps, evenly spaced, for the proof at export."""


class Ensemble(TransformerMixin, MembersAsParameters):  # type: ignore[misc]  # scikit-learn has no types
    """What classifier and regressor share. See `EnsembleClassifier` for the parameters."""

    def __init__(
        self,
        members: Any = None,
        *,
        weights: Any = None,
        voting: Any = "soft",
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

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that votes are float64, whatever the table's type."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    # -- fitting ----------------------------------------------------------------------------

    def _fit(self, X: Any, target: Target, sample_weight: Any, eval_set: tuple[Any, Any] | None) -> None:
        """Learn schema and validators, fit the members, take weights and vote.

        Attributes are set at the end: a fit that fails leaves the ensemble as it was.
        """
        owner = type(self).__name__
        schema = self.schema if self.schema is not None else FeatureSchema.learn(X)
        if not isinstance(schema, FeatureSchema):
            raise ConfigError(f"schema: expected a FeatureSchema, got {type(schema).__name__}")
        rows = schema.encode(X, reorder=self.reorder, owner=owner)
        check_consistent_length(rows, target.y)
        validators = make_validators(self.validators)
        for validator in validators:
            validator.learn(rows, schema)
            validator.check_fit(rows, schema)
        voting = checked_voting(self.voting, target.task)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, rows, dtype=np.float64)
        members = resolve(self.members, target.task, schema, prefit=self.prefit)
        names = [member.name for member in members]
        taken = sorted(set(names) & set(self.get_params(deep=False)))
        if taken:
            raise ConfigError(f"members: {taken[0]!r} is the name of a parameter of {owner}; give the member another")
        if voting.learns_weights and self.weights is not None:
            raise ConfigError(f"weights: voting {voting.name!r} learns what each member is worth; leave weights out")
        default = self.members is None and self.weights is None and not voting.learns_weights
        weights = checked_weights(DEFAULT_WEIGHTS if default else self.weights, names)
        folds = checked_folds(voting, target) if voting.needs_fit and not self.prefit else None
        stop_on = None
        if self.prefit:
            check_prefit(members, schema, target.classes)
            fitted = [member.estimator for member in members]
        else:
            if eval_set is not None:
                stop_rows = schema.encode(eval_set[0], reorder=self.reorder, owner=f"{owner} (eval_set)")
                stop_on = (stop_rows, target.encode(eval_set[1]))
            fitted = fit_members(
                members, rows, target.y, sample_weight, stop_on, n_jobs=self.n_jobs, progress=self.progress
            )
        check_votes(members, fitted, rows[:16], target)
        if voting.needs_fit:
            if folds is None:
                votes, used = native_votes(members, fitted, rows, target.task), np.arange(len(rows))
            else:
                refit = partial(fit_members, eval_set=stop_on, n_jobs=self.n_jobs, progress=self.progress)
                votes, used = out_of_fold_votes(members, refit, folds, rows, target, sample_weight)
            known = None if sample_weight is None else sample_weight[used]
            if voting.learns_weights:
                voting.fit(votes, target.y[used], target.task, known)
            else:
                voting.fit(votes, target.y[used], target.task, known, weights)
        if len(target.classes):
            self.classes_ = target.classes
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
            "sha256": _digest(rows, target.y),
            "fitted": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }

    _task: Task

    def update_weights(self, weights: Any) -> Ensemble:
        """Change the members' weights without fitting again.

        weights: one number a member, or a mapping of all names. Returns the ensemble.
        """
        check_is_fitted(self, "members_")
        if self.voting_.needs_fit:
            learnt = "what each member is worth" if self.voting_.learns_weights else "for the weights that it has"
            raise ConfigError(
                f"weights: voting {self.voting_.name!r} has learnt {learnt}; choose another vote "
                "with set_voting first, or fit again"
            )
        self.weights_ = checked_weights(weights, list(self.members_))
        self.weights = weights
        return self

    def set_voting(self, voting: Any, *, weights: Any = None) -> Ensemble:
        """Change the voting strategy without fitting again. Returns the ensemble.

        voting
            a name, ``(name, params)``, or a `VotingStrategy` that has learnt already, from votes of such
            members on rows that they were not fitted on; the ensemble takes a copy
        weights
            as for `update_weights`; those of before if None

        Raises ConfigError for a strategy that has yet to learn, or has learnt from other votes or weights.
        """
        check_is_fitted(self, "members_")
        strategy = copy.deepcopy(voting) if isinstance(voting, VotingStrategy) else checked_voting(voting, self._task)
        if weights is not None and strategy.learns_weights:
            raise ConfigError(f"weights: voting {strategy.name!r} learns what each member is worth; leave weights out")
        chosen = self.weights_ if weights is None else checked_weights(weights, list(self.members_))
        if isinstance(voting, VotingStrategy):
            some = self.proof_rows_[:16]
            votes = np.stack([self._member_votes(index, some) for index in range(len(self.plugins_))], axis=1)
            check_learnt(strategy, votes, chosen, self._task)
        elif strategy.needs_fit:
            raise ConfigError(
                f"voting {strategy.name!r} learns from votes on rows that members were not fitted on; "
                f"set_params(voting={voting!r}) and fit again"
            )
        self.voting_, self.weights_ = strategy, chosen
        self.voting = spec_of(strategy) if isinstance(voting, VotingStrategy) else voting
        if weights is not None or strategy.learns_weights:  # what was given before would not go with this vote
            self.weights = weights
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
        from glulam.exporting import lower_members

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
            wide_vote=self.voting_.wide,
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
            of the exporter: for ``onnx`` outputs, guards, opset, standard

        Returns the proof's report, which is in the file's metadata too. Raises ProofError,
        UnsupportedModelError, ConfigError or ArtifactError; then nothing is written.
        """
        from glulam.exporting import export

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


def _digest(rows: npt.NDArray[np.float32], y: npt.NDArray[Any]) -> str:
    """Return the sha256 of the training rows and targets, as members get them."""
    digest = hashlib.sha256(np.ascontiguousarray(rows).data)
    digest.update(np.ascontiguousarray(y).data)
    return digest.hexdigest()
