"""Linear members: logistic regression, or ridge regression, on features held to their training range.

The estimator is a scikit-learn pipeline of three steps: each feature is scaled to [0, 1] and held
there, what is missing becomes the feature's mean, and a linear model takes the result. A row outside
the training range thus gets the answer of its border, as from trees; without that, one wild value
would outvote everything, and could not be answered in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import skops.io
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler

from glulam.errors import ArtifactError, UnsupportedModelError
from glulam.hookspecs import ModelPlugin, hookimpl
from glulam.program import LoweredMember, OnnxFragment, Task
from glulam.schema import FeatureSchema

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


class Linear(ModelPlugin):
    """scikit-learn's LogisticRegression or Ridge behind MinMaxScaler(clip=True) and SimpleImputer.

    Parameters are the pipeline's: ``("linear", {"model__C": 0.1})``, ``{"model__alpha": 10}``.
    """

    name = "linear"
    distributions = ("scikit-learn",)

    def make(self, task: Task, params: Mapping[str, Any], schema: FeatureSchema | None) -> Pipeline:
        """Return the pipeline, with scikit-learn's defaults."""
        model = Ridge() if task == "regression" else LogisticRegression(max_iter=1000)
        steps = [("range", MinMaxScaler(clip=True)), ("missing", SimpleImputer()), ("model", model)]
        return Pipeline(steps).set_params(**params)

    def search_space(self, trial: Any, task: Task, n_rows: int) -> dict[str, Any]:
        """Return the strength of the penalty, which is the one thing that a linear model is tuned by."""
        name = "model__alpha" if task == "regression" else "model__C"
        return {name: trial.suggest_float(name, 1e-3, 1e3, log=True)}

    def accepts(self, model: Any) -> bool:
        """Tell whether this is a pipeline of just these steps."""
        kinds = [type(step) for _, step in model.steps] if isinstance(model, Pipeline) else []
        return kinds[:-1] == [MinMaxScaler, SimpleImputer] and kinds[-1] in (LogisticRegression, Ridge)

    def fit(
        self,
        model: Pipeline,
        X: Float32,
        y: npt.NDArray[Any],
        sample_weight: Float64 | None = None,
        eval_set: tuple[Float32, npt.NDArray[Any]] | None = None,
    ) -> Pipeline:
        """Fit in float64; a pipeline takes weights by the name of the step. There is no early stopping."""
        weights = {} if sample_weight is None else {"model__sample_weight": sample_weight}
        return model.fit(X.astype(np.float64), y, **weights)

    def votes(self, model: Pipeline, X: Float32, task: Task) -> Float64:
        """Return scikit-learn's own answer. It refuses infinities by ValueError."""
        wide = X.astype(np.float64)
        # scikit-learn adds up all values to find infinities; those of both signs would warn.
        with np.errstate(invalid="ignore"):
            answer = model.predict(wide) if task == "regression" else model.predict_proba(wide)
        return np.asarray(answer, dtype=np.float64).reshape(len(X), -1)

    def lower(self, model: Pipeline, schema: FeatureSchema) -> LoweredMember:
        """Return the pipeline as one ONNX function, and the same in numpy."""
        scaler, imputer, linear = (step for _, step in model.steps)
        _refuse_unsupported(scaler, imputer)
        classifies = isinstance(linear, LogisticRegression)
        coef, intercept = np.atleast_2d(linear.coef_).T, np.atleast_1d(linear.intercept_)
        if classifies and coef.shape[1] == 1:
            # Two classes share one margin: 1 / (1 + exp(-margin)) is the softmax of 0 and margin.
            coef, intercept = np.insert(coef, 0, 0.0, axis=1), np.insert(intercept, 0, 0.0)
        low, high = np.array(scaler.feature_range, dtype=np.float64)
        constants = {
            "scale": scaler.scale_, "shift": scaler.min_, "mean": imputer.statistics_, "low": low,
            "high": high, "coef": coef, "intercept": intercept,
        }  # fmt: skip

        def reference(X: Float32) -> Float64:
            scaled = X.astype(np.float64) * scaler.scale_ + scaler.min_
            held = np.clip(np.where(np.isnan(scaled), imputer.statistics_, scaled), low, high)
            margins = held @ coef + intercept
            if not classifies:
                return np.asarray(margins)
            powers = np.exp(margins - margins.max(axis=1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=1, keepdims=True))

        text = (
            "linear (features, scale, shift, mean, low, high, coef, intercept) => (vote) {"
            " product = Mul (features, scale)"
            " scaled = Add (product, shift)"
            " missing = IsNaN (scaled)"
            " present = Where (missing, mean, scaled)"
            " held = Clip (present, low, high)"
            " margins = Gemm (held, coef, intercept)"
            f" vote = {'Softmax <axis = 1>' if classifies else 'Identity'} (margins) }}"
        )
        return LoweredMember(OnnxFragment(text, reference, constants))

    def dump(self, model: Pipeline) -> bytes:
        """Return the skops form."""
        return bytes(skops.io.dumps(model))

    def restore(self, data: bytes) -> Pipeline:
        """Return the pipeline; skops builds scikit-learn's own types and runs no code of the file."""
        # The imputer keeps the dtype that it was fitted on; skops leaves that type to its callers.
        model = skops.io.loads(data, trusted=["numpy.dtype"])
        if not self.accepts(model):
            raise ArtifactError(f"linear: expected a saved linear member, got {type(model).__name__}")
        return model

    def importance(self, model: Pipeline) -> Float64:
        """Return the mean size of each feature's coefficients, which are for features scaled to [0, 1]."""
        return np.asarray(np.abs(np.atleast_2d(model[-1].coef_)).mean(axis=0))


def _refuse_unsupported(scaler: MinMaxScaler, imputer: SimpleImputer) -> None:
    """Refuse by name what the lowering does not do: never a silently different answer."""
    if not scaler.clip:
        raise UnsupportedModelError("linear: range__clip=False leaves answers unbounded; use range__clip=True")
    if imputer.add_indicator or not np.isnan(imputer.missing_values):
        raise UnsupportedModelError(
            "linear: missing__add_indicator and other missing_values than NaN are not supported"
        )
    if np.isnan(imputer.statistics_).any():
        raise UnsupportedModelError("linear: a feature has no value in any training row; leave it out")


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer linear members."""
    return Linear
