"""EnsembleClassifier and EnsembleRegressor: scikit-learn estimators whose members vote."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_consistent_length

from glulam._base import Ensemble
from glulam._targets import class_target, value_target
from glulam.decision import Decision
from glulam.program import Task
from glulam.schema import FeatureSchema

__all__ = ["EnsembleClassifier", "EnsembleRegressor"]


class EnsembleClassifier(ClassifierMixin, Ensemble):  # type: ignore[misc]  # scikit-learn has no types
    """A voting ensemble of classifiers that can be exported whole.

    Parameters
    ----------
    members : list, optional
        Plugin names (``"lightgbm"``), ``(plugin name, params)`` or ``(name, estimator)``. By
        default LightGBM 0.4, XGBoost 0.4, random forest 0.2.
    weights : sequence or mapping, optional
        One non-negative number a member. Equal by default.
    voting : str
        Name of the voting strategy, or ``(name, params)``: ``soft``, ``hard``, ``log_pool``, ``stacking``,
        ``calibrated`` (another one, with calibration), or a plugin's.
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
        if getattr(X, "ndim", None) == 2 and y is not None:  # before anything is said of the classes
            check_consistent_length(X, y)
        target = class_target(y, type(self).__name__)
        Decision.checked(target.classes, self.threshold, self.min_confidence, self.abstain_label)
        self._fit(X, target, sample_weight, eval_set)
        return self

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


class EnsembleRegressor(RegressorMixin, Ensemble):  # type: ignore[misc]  # scikit-learn has no types
    """A voting ensemble of regressors that can be exported whole: the weighted mean of its members.

    Parameters and attributes are `EnsembleClassifier`'s, without those of labels. Of the voting
    strategies only those for regression serve (``soft``).
    """

    _task: Task = "regression"

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, eval_set: tuple[Any, Any] | None = None
    ) -> EnsembleRegressor:
        """Fit the members to numbers y [n_rows]. See `EnsembleClassifier.fit`."""
        self._fit(X, value_target(y, type(self).__name__), sample_weight, eval_set)
        return self

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """Return the value of each row, float64 [n_rows]."""
        return self._scores(X)[:, 0]
