"""scikit-learn's estimators that vote, stack, calibrate or decide over others, each lowered by its own plugin.

Rules of prediction as in ``sklearn/ensemble/_voting.py``, ``sklearn/ensemble/_stacking.py``,
``sklearn/calibration.py``, ``sklearn/model_selection/_classification_threshold.py`` and ``sklearn/frozen``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier, VotingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV

from glulam import plugins
from glulam.errors import PluginError, UnsupportedModelError
from glulam.hookspecs import ModelPlugin, Signature, hookimpl
from glulam.program import LoweredMember, Task
from glulam.schema import FeatureSchema
from glulam_plugins.models._meta_calibration import lower_calibrated
from glulam_plugins.models._meta_parts import Scored
from glulam_plugins.models._meta_rules import lower_hard_vote, lower_mean, lower_stack, lower_threshold, shares
from glulam_plugins.models._sklearn_base import TRUSTED, SklearnModel, asked

Rows = npt.NDArray[np.floating[Any]]
_LOWERINGS: Mapping[type, Callable[[Any, FeatureSchema], LoweredMember]] = {
    VotingClassifier: lower_mean,
    VotingRegressor: lower_mean,
    StackingClassifier: lower_stack,
    StackingRegressor: lower_stack,
    CalibratedClassifierCV: lower_calibrated,
    FixedThresholdClassifier: lower_threshold,
    TunedThresholdClassifierCV: lower_threshold,
}


class MetaEstimator(SklearnModel):
    """Voting, stacking, calibration and thresholds of scikit-learn, over estimators that any plugin knows."""

    name = "meta_estimator"
    fits_wide = True
    kinds = (*_LOWERINGS, FrozenEstimator)
    trusted = (
        *TRUSTED, "sklearn.utils._bunch.Bunch", "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration", "sklearn.calibration._TemperatureScaling",
    )  # fmt: skip

    def make(self, task: Task, params: Mapping[str, Any], schema: FeatureSchema | None) -> Any:
        """Never called with success: there is nothing to make without estimators."""
        raise PluginError(
            "a meta-estimator is given as (name, estimator), for example "
            "('calibrated', CalibratedClassifierCV(RandomForestClassifier()))"
        )

    def accepts(self, model: Any) -> bool:
        """Tell whether this is one of the estimators themselves; a frozen one is what it freezes."""
        if type(model) is FrozenEstimator:
            return plugins.model_of(model.estimator) is not None
        return type(model) is Scored or super().accepts(model)

    def check(self, model: Any, task: Task) -> None:
        """Refuse what has no probabilities to vote with."""
        if task in ("binary", "multiclass") and not hasattr(model, "predict_proba"):
            raise UnsupportedModelError(
                f"meta_estimator: {type(model).__name__} gives no probabilities, which classifiers vote with; "
                "use voting='soft', or a final estimator with predict_proba"
            )

    def signature(self, model: Any) -> Signature:
        """Return what scikit-learn's attributes say; a hard vote's scores are shares of the votes."""
        if type(model) is FrozenEstimator:
            return plugins.required_model_of(model.estimator).signature(model.estimator)
        if isinstance(getattr(model, "_label_encoder", None), list):
            raise UnsupportedModelError(
                "meta_estimator: StackingClassifier on several labels has no exact form; fit one a label"
            )
        signature = super().signature(model)
        return replace(signature, scores="probabilities") if _is_hard(model) else signature

    def votes(self, model: Any, X: Rows, task: Task) -> npt.NDArray[np.float64]:
        """Return scikit-learn's own probabilities, decision function or values; of a hard vote the shares."""
        plugin = _frozen_plugin(model)
        if plugin is not None:
            return plugin.votes(model.estimator, X, task)
        if _is_hard(model):
            return shares(model, asked(model.transform, X))
        return super().votes(model, X, task)

    def labels(self, model: Any, X: Rows) -> npt.NDArray[Any] | None:
        """Return scikit-learn's own ``predict`` of a classifier."""
        plugin = _frozen_plugin(model)
        return super().labels(model, X) if plugin is None else plugin.labels(model.estimator, X)

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower the parts and what is made of their answers. A part that cannot be lowered is named."""
        if type(model) is Scored:
            return model.lower(schema)
        plugin = _frozen_plugin(model)
        if plugin is not None:
            return plugin.lower(model.estimator, schema)
        return lower_hard_vote(model, schema) if _is_hard(model) else _LOWERINGS[type(model)](model, schema)


def _is_hard(model: Any) -> bool:
    return type(model) is VotingClassifier and model.voting == "hard"


def _frozen_plugin(model: Any) -> ModelPlugin | None:
    """Return the plugin that answers for a FrozenEstimator; None for any other model."""
    return plugins.required_model_of(model.estimator) if type(model) is FrozenEstimator else None


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer scikit-learn's meta-estimators."""
    return MetaEstimator
