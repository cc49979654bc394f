"""scikit-learn's own estimators but for its trees: linear models, kernel machines, networks, neighbours and others.

Linear models, kernel machines and estimators made of others are lowered by their rules; the rest is
converted by skl2onnx. All of it is held to the estimator's own answers when it is exported.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import covariance, dummy, gaussian_process, neural_network
from sklearn.base import is_classifier, is_outlier_detector, is_regressor

from glulam import plugins
from glulam.decision import Decision
from glulam.errors import PluginError, UnsupportedModelError
from glulam.fragments import Recipe, affine
from glulam.hookspecs import ModelPlugin, Signature, hookimpl
from glulam.program import LoweredMember, OnnxFragment, Task
from glulam.schema import FeatureSchema
from glulam_plugins.models._kernels import is_kernel_machine, lower_kernel_machine
from glulam_plugins.models._linear import is_linear, lower_linear
from glulam_plugins.models._network import lower_network
from glulam_plugins.models._several import delegate_of, is_made_of_others, lower_several, plugin_of, several_signature
from glulam_plugins.models._skl2onnx import answer_type, converted
from glulam_plugins.models._sklearn_base import SklearnModel, answered

__all__ = ["Sklearn", "glulam_model"]

Float64 = npt.NDArray[np.float64]
_TIES = "which of equally near neighbours count hangs on the last bits of its distances; use a tree model"
_REFUSED = {
    "KNeighborsClassifier": _TIES,
    "KNeighborsRegressor": _TIES,
    "RadiusNeighborsRegressor": _TIES,
    "LocalOutlierFactor": _TIES,
    "RadiusNeighborsClassifier": _TIES,
    "OutputCodeClassifier": "it gives neither probabilities nor a decision function",
}


class Sklearn(SklearnModel):
    """An estimator of scikit-learn that no other plugin knows; stored by skops."""

    name = "sklearn"
    fits_wide = True
    generic = True

    def make(self, task: Task, params: Mapping[str, Any], schema: FeatureSchema | None) -> Any:
        """Never called: there is nothing to make from a name."""
        raise PluginError(
            "an estimator of scikit-learn is given as (name, estimator), for example ('lr', LogisticRegression())"
        )

    def accepts(self, model: Any) -> bool:
        """Tell whether this is a classifier, regressor or outlier detector of scikit-learn's own, not a subclass."""
        if not type(model).__module__.startswith("sklearn."):
            return False
        delegate = delegate_of(model)
        if delegate is not None:
            return plugins.model_of(delegate) is not None
        return bool(is_classifier(model) or is_regressor(model) or is_outlier_detector(model))

    def signature(self, model: Any) -> Signature:
        """Return what scikit-learn's attributes say, and for outlier detectors labels -1 and 1."""
        delegate = delegate_of(model)
        if delegate is not None:
            return plugin_of(delegate).signature(delegate)
        if is_outlier_detector(model):
            schema = super().signature(model).schema
            return Signature(schema, "outlier", np.array([-1, 1]), scores="decision_function")
        if is_made_of_others(model):
            return several_signature(model, super().signature(model))
        signature = super().signature(model)
        if type(model) is neural_network.MLPClassifier and model._label_binarizer.y_type_ == "multilabel-indicator":
            count = len(model.classes_)
            return Signature(signature.schema, "multioutput", np.tile([0, 1], count), (1,) * count)
        if signature.task == "regression":
            return Signature(signature.schema, "regression", n_targets=_targets(model))
        return signature

    def check(self, model: Any, task: Task) -> None:
        """Refuse classifiers without probabilities, which an ensemble votes with."""
        delegate = delegate_of(model)
        if delegate is not None:
            plugin_of(delegate).check(delegate, task)
        if task in ("binary", "multiclass") and not hasattr(model, "predict_proba"):
            raise UnsupportedModelError(
                f"sklearn: {type(model).__name__} gives no probabilities, which classifiers vote with; wrap it in "
                "CalibratedClassifierCV"
            )

    def votes(self, model: Any, X: npt.NDArray[Any], task: Task) -> Float64:
        """Return scikit-learn's own probabilities, decision function or values. It refuses NaN by ValueError."""
        delegate = delegate_of(model)
        if delegate is not None:
            return plugin_of(delegate).votes(delegate, X, task)
        return super().votes(model, X, task)

    def labels(self, model: Any, X: npt.NDArray[np.floating[Any]]) -> npt.NDArray[Any] | None:
        """Return what ``predict`` says of a classifier or outlier detector."""
        delegate = delegate_of(model)
        if delegate is not None:
            return plugin_of(delegate).labels(delegate, X)
        return super().labels(model, X)

    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower by the model's rule, or by skl2onnx's; refuse what neither does exactly."""
        delegate = delegate_of(model)
        if delegate is not None:
            return plugin_of(delegate).lower(delegate, schema)
        if is_linear(model):
            return lower_linear(model)
        if is_kernel_machine(model):
            return lower_kernel_machine(model)
        if is_made_of_others(model):
            return lower_several(model, schema)
        if type(model) in (neural_network.MLPClassifier, neural_network.MLPRegressor):
            return lower_network(model)
        if type(model) in (dummy.DummyClassifier, dummy.DummyRegressor):
            return _lower_dummy(model)
        if type(model) is covariance.EllipticEnvelope:
            return _lower_envelope(model)
        reason = _REFUSED.get(type(model).__name__)
        if reason:
            raise UnsupportedModelError(f"sklearn: {type(model).__name__} has no exact form: {reason}")
        return _lower_converted(model)

    def lower_wide(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Lower for rows of float64: the same, but for a pipeline that a search has found."""
        delegate = delegate_of(model)
        return self.lower(model, schema) if delegate is None else plugin_of(delegate).lower_wide(delegate, schema)

    def importance(self, model: Any) -> Float64 | None:
        """Return feature_importances_, or the sizes of a linear model's coefficients."""
        delegate = delegate_of(model)
        if delegate is not None:
            return plugin_of(delegate).importance(delegate)
        found = super().importance(model)
        if found is None and is_linear(model) and hasattr(model, "coef_"):
            found = np.abs(np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))).sum(axis=0)
        return found


def _targets(model: Any) -> int:
    """Return how many values a regressor gives a row."""
    if type(model).__name__ in ("SVR", "NuSVR"):  # whose tables are of support vectors
        return 1
    coefficients = np.asarray(getattr(model, "coef_", 0.0))
    if coefficients.ndim == 2:
        return len(coefficients)
    outputs = getattr(model, "n_outputs_", None)
    if outputs is not None:
        return int(outputs)
    for attribute in ("dual_coef_", "_y", "y_train_"):
        values = np.asarray(getattr(model, attribute, 0.0))
        if values.ndim == 2:
            return int(values.shape[1])
    return 1


def _lower_dummy(model: Any) -> LoweredMember:
    """Lower a constant answer."""
    if getattr(model, "strategy", "") in ("stratified", "uniform"):
        raise UnsupportedModelError(
            f"sklearn: {type(model).__name__}(strategy={model.strategy!r}) predicts at random; use strategy='prior'"
        )
    row = np.zeros((1, model.n_features_in_))
    value = answered(model, row, "binary" if isinstance(model, dummy.DummyClassifier) else "regression")[0]
    width = len(value)
    recipe = Recipe()
    recipe.add(
        OnnxFragment(
            text="constant (x, first, length, value) => (y) { shape = Shape(x) rows = Gather <axis = 0> (shape, first)"
            " wanted = Concat <axis = 0> (rows, length) y = Expand(value, wanted) }",
            reference=lambda x: np.tile(value, (len(x), 1)),
            constants={"first": np.array([0]), "length": np.array([width]), "value": value[None, :]},
        )
    )
    return recipe.lowered()


def _lower_envelope(model: Any) -> LoweredMember:
    """Lower a robust covariance: minus the squared Mahalanobis distance, less the offset."""
    place, precision = np.asarray(model.location_), np.asarray(model.precision_)
    offset = float(model.offset_)

    def reference(x: npt.NDArray[Any]) -> Float64:
        moved = x - place
        return np.asarray(-((moved @ precision) * moved).sum(axis=1, keepdims=True) - offset)

    fragment = OnnxFragment(
        text="envelope (x, place, precision, axis, offset) => (y) { moved = Sub(x, place)"
        " turned = MatMul(moved, precision) product = Mul(turned, moved)"
        " distance = ReduceSum <keepdims = 1> (product, axis) minus = Neg(distance) y = Sub(minus, offset) }",
        reference=reference,
        constants={
            "place": place, "precision": precision, "axis": np.array([1]), "offset": np.array(offset),
        },
    )  # fmt: skip
    return LoweredMember(fragment, decision=Decision(threshold=0.0, inclusive=True))


def _lower_process(model: Any) -> LoweredMember:
    """Lower a Gaussian process: its mean by skl2onnx, which would round the target's scale to float32, then that."""
    plain = copy.copy(model)
    shape = np.ravel(model._y_train_mean).shape
    plain._y_train_mean, plain._y_train_std = np.zeros(shape), np.ones(shape)
    recipe = Recipe()
    mean = recipe.add(converted(plain, model.n_features_in_, lambda rows: answered(plain, rows, "regression")))
    scale = np.ravel(np.asarray(model._y_train_std, dtype=np.float64))
    recipe.add(affine(np.diag(scale), np.ravel(model._y_train_mean)), mean)
    return recipe.lowered()


def _lower_converted(model: Any) -> LoweredMember:
    """Lower by skl2onnx: its values or probabilities."""
    task: Task = "regression" if is_regressor(model) else "binary"
    if task == "binary" and not hasattr(model, "predict_proba"):
        raise UnsupportedModelError(
            f"sklearn: {type(model).__name__} without predict_proba has no exact form; wrap it in "
            "CalibratedClassifierCV"
        )
    if isinstance(getattr(model, "classes_", None), list):
        raise UnsupportedModelError(
            f"sklearn: {type(model).__name__} on several labels has no exact form; use MultiOutputClassifier"
        )
    if type(model) is gaussian_process.GaussianProcessRegressor:
        return _lower_process(model)
    method = model.predict if task == "regression" else model.predict_proba
    fragment = converted(
        model,
        model.n_features_in_,
        lambda rows: answered(model, rows, task),
        output=0 if task == "regression" else 1,
        options=None if task == "regression" else {"zipmap": False},
    )
    narrow = answer_type(method, model.n_features_in_) == np.float32
    return LoweredMember(fragment, arithmetic="float32" if narrow else "float64")


@hookimpl
def glulam_model() -> type[ModelPlugin]:
    """Offer scikit-learn's estimators."""
    return Sklearn
