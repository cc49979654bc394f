"""Models of scikit-learn whose scores are ``x @ coefficients + intercept``.

Rules as in ``sklearn/linear_model/_base.py`` (`LinearClassifierMixin`), ``_logistic.py``,
``_stochastic_gradient.py``, ``_glm/glm.py``, ``discriminant_analysis.py``, ``naive_bayes.py`` and
``cross_decomposition/_pls.py``. A classifier's ``predict`` goes by its scores, not by its
probabilities: these are equal where scores are too large, or too near, to tell apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import cross_decomposition, discriminant_analysis, linear_model, naive_bayes, svm
from sklearn.base import is_regressor
from sklearn.linear_model import _glm

from glulam.decision import Decision
from glulam.errors import UnsupportedModelError
from glulam.fragments import Recipe, affine, exponential, softmax, two_classes
from glulam.program import LoweredMember, OnnxFragment, Width
from glulam_plugins.models._fragments import above_zero, largest, normalised

__all__ = ["is_linear", "lower_linear", "scores_of"]

Float64 = npt.NDArray[np.float64]

_LINEAR = (
    *(getattr(linear_model, name) for name in (
        "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "GammaRegressor", "HuberRegressor", "Lars",
        "LarsCV", "Lasso", "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC", "LinearRegression",
        "LogisticRegression", "LogisticRegressionCV", "MultiTaskElasticNet", "MultiTaskElasticNetCV",
        "MultiTaskLasso", "MultiTaskLassoCV", "OrthogonalMatchingPursuit", "OrthogonalMatchingPursuitCV",
        "PassiveAggressiveClassifier", "PassiveAggressiveRegressor", "Perceptron", "PoissonRegressor",
        "QuantileRegressor", "Ridge", "RidgeCV", "RidgeClassifier", "RidgeClassifierCV", "SGDClassifier",
        "SGDOneClassSVM", "SGDRegressor", "TheilSenRegressor", "TweedieRegressor",
    ) if hasattr(linear_model, name)),
    svm.LinearSVC, svm.LinearSVR,
    cross_decomposition.CCA, cross_decomposition.PLSCanonical, cross_decomposition.PLSRegression,
    discriminant_analysis.LinearDiscriminantAnalysis,
    naive_bayes.BernoulliNB, naive_bayes.ComplementNB, naive_bayes.MultinomialNB,
)  # fmt: skip
_BAYES = (naive_bayes.BernoulliNB, naive_bayes.ComplementNB, naive_bayes.MultinomialNB)
_PLS = (cross_decomposition.CCA, cross_decomposition.PLSCanonical, cross_decomposition.PLSRegression)


def is_linear(model: Any) -> bool:
    """Tell whether `lower_linear` knows the rule of this model, whose type must be just that."""
    return type(model) in _LINEAR


def scores_of(model: Any) -> OnnxFragment:
    """Return the scores [n, 1] or [n, n_classes], or values [n, n_targets], before any link."""
    if type(model) in _BAYES:
        return _bayes_scores(model)
    if type(model) in _PLS:
        # (x - mean) @ coef.T + intercept
        return affine(model.coef_.T, model.intercept_ - model._x_mean @ model.coef_.T)
    coefficients = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
    offset = -model.offset_ if type(model) is linear_model.SGDOneClassSVM else model.intercept_
    return affine(coefficients.T, np.broadcast_to(np.ravel(offset), len(coefficients)))


def _bayes_scores(model: Any) -> OnnxFragment:
    """Return the joint log-likelihood of each class."""
    logs = model.feature_log_prob_
    if type(model) is naive_bayes.ComplementNB:
        return affine(logs.T, np.zeros(len(logs)))
    if type(model) is naive_bayes.MultinomialNB:
        return affine(logs.T, model.class_log_prior_)
    rest = np.log(1 - np.exp(logs))
    matrix, bias = (logs - rest).T, model.class_log_prior_ + rest.sum(axis=1)
    if model.binarize is None:
        return affine(matrix, bias)
    limit = float(model.binarize)
    return OnnxFragment(
        text="bernoulli (x, limit, one, zero, weight, bias) => (y) { above = Greater(x, limit)"
        " on = Where(above, one, zero) product = MatMul(on, weight) y = Add(product, bias) }",
        reference=lambda x: (x > limit) @ matrix + bias,
        constants={
            "limit": np.array(limit), "one": np.array(1.0), "zero": np.array(0.0), "weight": matrix, "bias": bias,
        },
    )  # fmt: skip


def lower_linear(model: Any) -> LoweredMember:
    """Lower a linear model. Refuses options whose rule is another."""
    width: Width = "float32" if np.asarray(getattr(model, "coef_", 0.0)).dtype == np.float32 else "float64"
    if type(model) in _PLS:
        width = "float32"  # it centres rows of float32 in float32
    recipe = Recipe()
    scores = recipe.add(scores_of(model))
    if type(model) is linear_model.SGDOneClassSVM:
        return recipe.lowered(arithmetic=width, decision=Decision(threshold=0.0, inclusive=True))
    if is_regressor(model):
        if _log_link(model):
            recipe.add(exponential(), scores)
        return recipe.lowered(arithmetic=width)
    if not hasattr(model, "predict_proba"):
        return recipe.lowered(arithmetic=width, decision=Decision(threshold=0.0))
    binary = len(model.classes_) == 2 and type(model) not in _BAYES
    choice = recipe.add(above_zero() if binary else largest(), scores)
    huber = getattr(model, "loss", "") == "modified_huber"
    if binary or huber or _one_against_rest(model):
        chances = recipe.add(_clipped() if huber else _logistic(), scores)
        recipe.add(two_classes() if binary else normalised(1 / len(model.classes_)), chances)
    else:
        recipe.add(softmax(), scores)
    return recipe.lowered(arithmetic=width, choice=choice)


def _log_link(model: Any) -> bool:
    """Tell whether a generalised linear model's link is the logarithm. Refuses links that are unknown."""
    if not isinstance(model, _glm.glm._GeneralizedLinearRegressor):
        return False
    link = type(model._base_loss.link).__name__
    if link not in ("LogLink", "IdentityLink"):
        raise UnsupportedModelError(
            f"sklearn: {type(model).__name__} with {link} has no exact form yet; use link='log'"
        )
    return link == "LogLink"


def _one_against_rest(model: Any) -> bool:
    """Tell whether the classes' chances are those of one against the rest, normalised."""
    if type(model) is linear_model.SGDClassifier:
        return True
    if type(model) not in (linear_model.LogisticRegression, linear_model.LogisticRegressionCV):
        return False
    # scikit-learn before 1.8 had the parameter multi_class.
    return getattr(model, "multi_class", "auto") == "ovr" or model.solver == "liblinear"


def _logistic() -> OnnxFragment:
    """Return 1 / (1 + exp(-x)) to the last bit of small chances, which onnxruntime's Sigmoid makes 0."""

    def reference(x: Float64) -> Float64:
        small = np.exp(-np.abs(x.astype(np.float64)))
        return np.asarray(np.where(x >= 0, 1.0, small) / (1.0 + small))

    return OnnxFragment(
        text="logistic (x, zero, one) => (y) { size = Abs(x) minus = Neg(size) small = Exp(minus)"
        " more = Add(small, one) up = GreaterOrEqual(x, zero) part = Where(up, one, small) y = Div(part, more) }",
        reference=reference,
        constants={"zero": np.array(0.0), "one": np.array(1.0)},
    )


def _clipped() -> OnnxFragment:
    """Return scores cut to -1..1 and moved to 0..1: SGDClassifier's chances under modified_huber."""
    return OnnxFragment(
        text="clipped (x, low, one, two) => (y) { bounded = Clip(x, low, one) moved = Add(bounded, one)"
        " y = Div(moved, two) }",
        reference=lambda x: (np.clip(x.astype(np.float64), -1, 1) + 1) / 2,
        constants={"low": np.array(-1.0), "one": np.array(1.0), "two": np.array(2.0)},
    )
