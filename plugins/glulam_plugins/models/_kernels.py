"""Support vector machines and kernel ridge of scikit-learn: sums over kernels with kept rows.

Rules as in ``sklearn/svm/_base.py`` and libsvm's ``svm_predict_values``: between classes i < j the
decision is ``sum of dual coefficients * kernel + intercept``, and ``predict`` counts who wins.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import kernel_ridge, svm
from sklearn.base import is_regressor

from glulam.decision import Decision
from glulam.errors import UnsupportedModelError
from glulam.fragments import Recipe, affine
from glulam.program import LoweredMember, OnnxFragment
from glulam_plugins.models._fragments import largest
from glulam_plugins.models._sklearn_base import dense

__all__ = ["is_kernel_machine", "lower_kernel_machine", "one_against_one", "pair_wins"]

Float64 = npt.NDArray[np.float64]
_MACHINES = (svm.SVC, svm.NuSVC, svm.SVR, svm.NuSVR, svm.OneClassSVM, kernel_ridge.KernelRidge)
_KERNELS = ("linear", "poly", "rbf", "sigmoid")


def is_kernel_machine(model: Any) -> bool:
    """Tell whether `lower_kernel_machine` knows the rule of this model, whose type must be just that."""
    return type(model) in _MACHINES


def lower_kernel_machine(model: Any) -> LoweredMember:
    """Lower a kernel machine. Refuses kernels and options whose rule is another."""
    recipe = Recipe()
    if type(model) is kernel_ridge.KernelRidge:
        gamma = 1.0 / model.X_fit_.shape[1] if model.gamma is None else model.gamma
        kept = recipe.add(_kernel(model, model.X_fit_, gamma))
        duals = np.asarray(model.dual_coef_, dtype=np.float64).reshape(len(model.X_fit_), -1)
        recipe.add(affine(duals, np.zeros(duals.shape[1])), kept)
        return recipe.lowered()
    if hasattr(model, "predict_proba"):
        raise UnsupportedModelError(
            f"sklearn: {type(model).__name__}(probability=True) has no exact form: libsvm stops its coupling of pairs "
            "early; use CalibratedClassifierCV, or probability=False for the decision function"
        )
    kept = recipe.add(_kernel(model, dense(model.support_vectors_), model._gamma))
    if is_regressor(model) or type(model) is svm.OneClassSVM or len(model.classes_) == 2:
        recipe.add(affine(dense(model.dual_coef_).T, model.intercept_), kept)
        return recipe.lowered(decision=Decision(threshold=0.0))
    if model.decision_function_shape == "ovo":
        raise UnsupportedModelError(
            f"sklearn: {type(model).__name__}(decision_function_shape='ovo') answers a score a pair of classes; "
            "use decision_function_shape='ovr', whose predict is the same"
        )
    pairs = recipe.add(affine(_by_pair(model), model.intercept_), kept)
    count = len(model.classes_)
    # libsvm counts a decision of 0 for the second class of the pair, the decision function for the first.
    choice = recipe.add(largest(), recipe.add(pair_wins(count), pairs))
    recipe.add(one_against_one(count), recipe.add(pair_wins(count, inclusive=True), pairs), pairs)
    return recipe.lowered(choice="" if model.break_ties else choice)


def _by_pair(model: Any) -> Float64:
    """Return the weight of each support vector in each pair's decision, [n_vectors, n_pairs]."""
    bounds = np.cumsum([0, *model.n_support_])
    pairs = list(combinations(range(len(model.classes_)), 2))
    weight = np.zeros((bounds[-1], len(pairs)))
    duals = dense(model.dual_coef_)
    for column, (first, second) in enumerate(pairs):
        own, other = slice(bounds[first], bounds[first + 1]), slice(bounds[second], bounds[second + 1])
        weight[own, column] = duals[second - 1, own]
        weight[other, column] = duals[first, other]
    return weight


def _sides(count: int) -> tuple[Float64, Float64]:
    """Return which class is the first of each pair and which the second, as matrices [n_pairs, count]."""
    pairs = np.array(list(combinations(range(count), 2)))
    return np.eye(count)[pairs[:, 0]], np.eye(count)[pairs[:, 1]]


def pair_wins(count: int, threshold: float = 0.0, *, inclusive: bool = False, for_second: bool = False) -> OnnxFragment:
    """Return how many pairs each class wins.

    Where a pair's score is above the threshold (``inclusive``: or on it) its first class does, or the
    second if scores speak ``for_second``.
    """
    other, own = _sides(count) if for_second else _sides(count)[::-1]
    change, start = own - other, other.sum(axis=0)
    operator = "GreaterOrEqual" if inclusive else "Greater"

    def reference(x: Float64) -> Float64:
        won = x >= threshold if inclusive else x > threshold
        return np.asarray(won.astype(np.float64) @ change + start)

    return OnnxFragment(
        text=f"pair_wins (x, threshold, zero, one, change, start) => (y) {{ won = {operator}(x, threshold)"
        " on = Where(won, one, zero) moved = MatMul(on, change) y = Add(moved, start) }",
        reference=reference,
        constants={
            "threshold": np.array(threshold), "zero": np.array(0.0), "one": np.array(1.0), "change": change,
            "start": start,
        },
    )  # fmt: skip


def one_against_one(count: int) -> OnnxFragment:
    """Return scikit-learn's decision function of votes [n, count] and decisions for the first class [n, n_pairs].

    ``sklearn/utils/multiclass.py``, `_ovr_decision_function`: sums of confidences, squeezed to -1/3..1/3,
    break ties of the votes.
    """
    first, second = _sides(count)
    change = first - second

    def reference(votes: Float64, pairs: Float64) -> Float64:
        total = pairs @ change
        return np.asarray(votes + total / (3 * (np.abs(total) + 1)))

    return OnnxFragment(
        text="one_against_one (votes, pairs, change, one, three) => (y) { total = MatMul(pairs, change)"
        " size = Abs(total) more = Add(size, one) bound = Mul(more, three) part = Div(total, bound)"
        " y = Add(votes, part) }",
        reference=reference,
        constants={"change": change, "one": np.array(1.0), "three": np.array(3.0)},
    )


def _kernel(model: Any, rows: Any, gamma: float) -> OnnxFragment:
    """Return the kernel of each row with the kept ones, [n, n_kept]."""
    kernel = "poly" if model.kernel == "polynomial" else model.kernel
    if kernel not in _KERNELS:
        raise UnsupportedModelError(
            f"sklearn: {type(model).__name__} with kernel={model.kernel!r} has no exact form; use one "
            f"of {list(_KERNELS)}"
        )
    kept = np.asarray(rows, dtype=np.float64)
    if kernel == "linear":
        return OnnxFragment("linear (x, kept) => (y) { y = MatMul(x, kept) }", lambda x: x @ kept.T, {"kept": kept.T})
    if kernel == "rbf":
        return _gaussian(kept, float(gamma))
    # Not a MatMul and then a Mul: onnxruntime makes one operator of the two, whose factor is float32.
    constants = {"kept": float(gamma) * kept.T, "start": np.array(float(model.coef0))}
    begin = "dots = MatMul(x, kept) moved = Add(dots, start)"
    if kernel == "sigmoid":
        return OnnxFragment(
            f"sigmoid_kernel (x, kept, start) => (y) {{ {begin} y = Tanh(moved) }}",
            lambda x: np.tanh(gamma * (x @ kept.T) + model.coef0), constants,
        )  # fmt: skip
    if model.degree != int(model.degree) or model.degree < 1:
        raise UnsupportedModelError(
            f"sklearn: {type(model).__name__}(degree={model.degree}) has no exact form; use a whole number from 1"
        )
    power = "p1 = Identity(moved) " + " ".join(f"p{n} = Mul(p{n - 1}, moved)" for n in range(2, int(model.degree) + 1))
    return OnnxFragment(
        f"polynomial (x, kept, start) => (y) {{ {begin} {power} y = Identity(p{int(model.degree)}) }}",
        lambda x: (gamma * (x @ kept.T) + model.coef0) ** model.degree, constants,
    )  # fmt: skip


def _gaussian(kept: Float64, gamma: float) -> OnnxFragment:
    """Return exp(-gamma * squared distance), from dot products around the middle of the kept rows."""
    middle = kept.mean(axis=0)
    around = kept - middle

    def reference(x: Float64) -> Float64:
        moved = x.astype(np.float64) - middle
        squares = (moved**2).sum(axis=1, keepdims=True) - 2 * moved @ around.T + (around**2).sum(axis=1)
        return np.asarray(np.exp(-gamma * np.maximum(squares, 0)))

    return OnnxFragment(
        text="gaussian (x, middle, kept, sizes, axis, two, zero, factor) => (y) { moved = Sub(x, middle)"
        " square = Mul(moved, moved) size = ReduceSum <keepdims = 1> (square, axis) dots = MatMul(moved, kept)"
        " twice = Mul(dots, two) both = Add(size, sizes) apart = Sub(both, twice) distance = Max(apart, zero)"
        " power = Mul(distance, factor) y = Exp(power) }",
        reference=reference,
        constants={
            "middle": middle, "kept": around.T, "sizes": (around**2).sum(axis=1), "axis": np.array([1]),
            "two": np.array(2.0), "zero": np.array(0.0), "factor": np.array(-gamma),
        },
    )  # fmt: skip
