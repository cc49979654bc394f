"""Multi-layer perceptrons of scikit-learn; rules as in ``sklearn/neural_network/_multilayer_perceptron.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import neural_network

from glulam.errors import UnsupportedModelError
from glulam.fragments import Recipe, affine, sigmoid, softmax, two_classes
from glulam.program import LoweredMember, OnnxFragment, Width

__all__ = ["lower_network"]


def _activation(name: str) -> OnnxFragment | None:
    """Return an activation; None for the identity."""
    if name == "identity":
        return None
    if name == "relu":
        return OnnxFragment("relu (x) => (y) { y = Relu(x) }", lambda x: np.maximum(x, 0))
    if name == "tanh":
        return OnnxFragment("tanh (x) => (y) { y = Tanh(x) }", np.tanh)
    if name == "exp":
        return OnnxFragment("exponential (x) => (y) { y = Exp(x) }", np.exp)
    rules = {"logistic": sigmoid, "softmax": softmax}
    if name not in rules:
        raise UnsupportedModelError(f"sklearn: a network with activation {name!r} has no exact form; use 'relu'")
    return rules[name]()


def lower_network(model: Any) -> LoweredMember:
    """Lower a fitted MLPClassifier or MLPRegressor, layer by layer."""
    recipe = Recipe()
    value = "features"
    last = len(model.coefs_) - 1
    for layer, (matrix, offset) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        value = recipe.add(affine(matrix, offset), value)
        rule = _activation(model.out_activation_ if layer == last else model.activation)
        value = value if rule is None else recipe.add(rule, value)
    if isinstance(model, neural_network.MLPClassifier) and model._label_binarizer.y_type_ == "binary":
        recipe.add(two_classes(), value)
    width: Width = "float32" if model.coefs_[0].dtype == np.float32 else "float64"
    return recipe.lowered(arithmetic=width)
