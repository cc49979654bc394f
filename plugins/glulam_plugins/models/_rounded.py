"""Transformers whose arithmetic is scikit-learn's but for the last bits of its own type.

Rules as in ``sklearn/preprocessing/_data.py`` (`normalize`, `PowerTransformer`, `QuantileTransformer`)
and scipy's ``yeojohnson`` and ``boxcox``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import preprocessing

from glulam.program import OnnxFragment
from glulam_plugins.models._scaling import fragment, own_rule

__all__ = ["rounded"]

Array = npt.NDArray[Any]


def rounded(transformer: Any, dtype: np.dtype[Any]) -> OnnxFragment | None:
    """Return a transformer of tables of this type, or None for one that has no rule here."""
    if dtype not in (np.float32, np.float64):
        return None
    if type(transformer) is preprocessing.Normalizer:
        return _normalised(transformer, dtype)
    if type(transformer) is preprocessing.PowerTransformer:
        return _power(transformer)
    return None


def _normalised(transformer: Any, dtype: np.dtype[Any]) -> OnnxFragment:
    """Return rows divided by their norm, computed in their own type: squares overflow there as they do in numpy."""
    size = {
        "l1": "size = Abs(v) norm = ReduceSum <keepdims = 1> (size, axis)",
        "l2": "size = Mul(v, v) sum = ReduceSum <keepdims = 1> (size, axis) norm = Sqrt(sum)",
        "max": "size = Abs(v) norm = ReduceMax <keepdims = 1> (size, axis)",
    }[transformer.norm]
    constants = {"axis": np.array([1]), "zero": np.zeros((), dtype), "one": np.ones((), dtype)}
    body = f"{size} empty = Equal(norm, zero) safe = Where(empty, one, norm) r = Div(v, safe)"
    return fragment(body, constants, transformer.n_features_in_, dtype, own_rule(transformer))


def _power(transformer: Any) -> OnnxFragment:
    """Return the power of each column, then its standardisation."""
    power = np.asarray(transformer.lambdas_, dtype=np.float64)
    flat, other = np.abs(power) < np.spacing(1.0), np.abs(power - 2) < np.spacing(1.0)
    constants: dict[str, Array] = {
        "one": np.array(1.0), "zero": np.array(0.0), "flat": flat, "power": np.where(flat, 1.0, power),
    }  # fmt: skip
    rise = "log = Log(base) raised = Pow(base, power) less = Sub(raised, one) ratio = Div(less, power)"
    if transformer.method == "box-cox":
        body = f"base = Cast <to = 11> (v) {rise} done = Where(flat, log, ratio)"
    else:
        constants |= {"other": other, "rest": np.where(other, 1.0, 2.0 - power)}
        body = (
            f"wide = Cast <to = 11> (v) up = Max(wide, zero) base = Add(up, one) {rise} above = Where(flat, log, ratio)"
            " down = Min(wide, zero) minus = Neg(down) base2 = Add(minus, one) log2 = Log(base2)"
            " raised2 = Pow(base2, rest) less2 = Sub(raised2, one) ratio2 = Div(less2, rest)"
            " below = Where(other, log2, ratio2) is_up = GreaterOrEqual(wide, zero) under = Neg(below)"
            " signed = Where(is_up, above, under) lost = IsNaN(wide) done = Where(lost, wide, signed)"
        )
    if transformer.standardize:
        scaler = transformer._scaler
        constants |= {"mean": np.asarray(scaler.mean_), "scale": np.asarray(scaler.scale_)}
        body += " moved = Sub(done, mean) r = Div(moved, scale)"
    else:
        body += " r = Identity(done)"
    return fragment(body, constants, power.size, np.dtype(np.float64), own_rule(transformer))
