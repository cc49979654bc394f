"""From LightGBM's sums to what its ``predict`` answers: ``ConvertOutput`` of each objective in ``src/objective``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import UnsupportedModelError
from glulam.fragments import Recipe, exponential, sigmoid, softmax, two_classes
from glulam.program import Link, LoweredMember, OnnxFragment
from glulam_plugins.models._lightgbm_forest import LoweredTrees
from glulam_plugins.models._lightgbm_text import ModelText

__all__ = ["PROBABILITIES", "lower_answer", "margin_factor"]

PROBABILITIES = ("binary", "cross_entropy", "multiclass", "multiclassova")
"""Objectives whose answers are chances of classes."""


def margin_factor(model: ModelText) -> float:
    """Return what multiplies the sums first: ``sigmoid``, for the objectives that apply it."""
    return float(model.options.get("sigmoid", 1.0)) if model.objective in ("binary", "multiclassova") else 1.0


def lower_answer(model: ModelText, trees: LoweredTrees, *, pair: bool) -> LoweredMember:
    """Return the trees and the objective's rule; ``pair`` if its one answer is the chance of the second class."""
    rule = _rule(model)
    links: dict[tuple[str, bool], Link] = {
        ("identity", False): "identity", ("softmax", False): "softmax", ("sigmoid", True): "sigmoid",
    }  # fmt: skip
    link = links.get((rule, pair))
    if link and trees.bare:
        return LoweredMember(trees.forest, link)
    recipe = Recipe()
    value = trees.add_to(recipe)
    if link and not trees.linear.size:
        return recipe.lowered(link=link)
    if rule in _FRAGMENTS:
        value = recipe.add(_FRAGMENTS[rule](), value)
    if pair:
        recipe.add(two_classes(), value)
    return recipe.lowered()


def _rule(model: ModelText) -> str:
    """Return the name of the objective's rule, or refuse one that is not known."""
    if model.objective not in _RULE_OF:
        raise UnsupportedModelError(
            f"lightgbm: objective {model.objective!r} is not known; known are {sorted(filter(None, _RULE_OF))}"
        )
    rule = _RULE_OF[model.objective]
    return "signed_square" if rule == "identity" and "sqrt" in model.options else rule


def _signed_square() -> OnnxFragment:
    """Return ``sign(x) * x**2``, which takes back the square root of ``reg_sqrt``."""

    def reference(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        wide = x.astype(np.float64)
        return np.asarray(wide * np.abs(wide))

    return OnnxFragment(
        text="signed_square (x) => (y) { size = Abs(x) y = Mul(x, size) }",
        reference=reference,
    )


def _log1p_exp() -> OnnxFragment:
    """Return ``log(1 + exp(x))``, by ``log1p(z) = log(u) * z / (u - 1)`` for ``u = 1 + z`` (Goldberg, 1991).

    ONNX has no Log1p, and its Softplus is not offered in float64 by onnxruntime.
    """

    def reference(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(np.logaddexp(0.0, x.astype(np.float64)))

    return OnnxFragment(
        text="log1p_exp (x, one, zero) => (y) {"
        " size = Abs(x) below = Neg(size) z = Exp(below) u = Add(one, z) rest = Sub(u, one) none = Equal(rest, zero)"
        " divisor = Where(none, one, rest) log = Log(u) product = Mul(log, z) exact = Div(product, divisor)"
        " small = Where(none, z, exact) large = Max(x, zero) y = Add(large, small) }",
        reference=reference,
        constants={"one": np.array(1.0), "zero": np.array(0.0)},
    )


_FRAGMENTS = {
    "sigmoid": sigmoid, "softmax": softmax, "exp": exponential, "signed_square": _signed_square,
    "log1p_exp": _log1p_exp,
}  # fmt: skip
_RULE_OF = {
    # "" is the user's own objective
    **dict.fromkeys(
        ("", "regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg"),
        "identity",
    ),
    **dict.fromkeys(("binary", "cross_entropy", "multiclassova"), "sigmoid"),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), "exp"),
    "multiclass": "softmax",
    "cross_entropy_lambda": "log1p_exp",
}
