"""XGBoost's own small rules as graph fragments: how it reads a row, and what it makes of its sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import UnsupportedModelError
from glulam.fragments import exponential, sigmoid, softmax, two_classes
from glulam.program import Link, OnnxFragment, Scores
from glulam_plugins.models._fragments import above_zero, largest
from glulam_plugins.models._xgboost_saved import EXPONENTIAL, HINGE, IDENTITY, LOGISTIC, MULTI, Saved

__all__ = ["AS_RULES", "as_read", "linear", "link_of"]

Array = npt.NDArray[Any]
Rule = Callable[[], OnnxFragment]
AS_RULES: dict[Link, Sequence[Rule]] = {"identity": (), "sigmoid": (sigmoid, two_classes), "softmax": (softmax,)}
"""What a link is where its sums are no forest's."""


def as_read(missing: float, codes: npt.NDArray[np.bool_]) -> OnnxFragment:
    """Return the rows as trees read them: float32, ``missing`` as NaN, the columns ``codes`` as whole numbers.

    XGBoost cuts codes toward zero and sends negative ones where unknown ones go; rounded down they are
    negative still, and unknown.
    """
    with np.errstate(over="ignore"):
        wanted = np.float32(missing)

    def reference(x: Array) -> Array:
        with np.errstate(over="ignore"):
            low = x.astype(np.float32)
        low = np.where(low == wanted, np.float32(np.nan), low)
        return np.where(codes, np.floor(low), low).astype(x.dtype)

    return OnnxFragment(
        text="as_read (x, missing, nothing, codes) => (y) {"
        " low = Cast <to = 1> (x) wanted = Cast <to = 1> (missing) void = Cast <to = 1> (nothing)"
        " found = Equal(low, wanted) kept = Where(found, void, low)"
        " whole = Floor(kept) read = Where(codes, whole, kept) y = CastLike(read, x) }",
        reference=reference,
        constants={"missing": np.array(wanted), "nothing": np.array(np.nan), "codes": codes[np.newaxis]},
    )


def linear(weights: npt.NDArray[np.float32], begin: npt.NDArray[np.float32]) -> OnnxFragment:
    """Return gblinear's sums: ``begin`` [n_outputs], then each feature by its weights [n_features, n_outputs].

    Features without a value (NaN) are left out. It adds in float32, one after the other (``src/gbm/gblinear.cc``),
    and so does this: sums of large numbers overflow at the same feature.
    """

    def reference(x: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            low = x.astype(np.float32)
            parts = np.where(np.isnan(low), np.float32(0), low)[:, :, np.newaxis] * weights
            first = np.broadcast_to(begin, (len(x), 1, begin.size))
            return np.asarray(np.concatenate([first, parts], axis=1).cumsum(axis=1, dtype=np.float32)[:, -1])

    return OnnxFragment(
        text="linear (x, weights, begin, zero, outputs, inner, outer, last) => (y) {"
        " low = Cast <to = 1> (x) none = Cast <to = 1> (zero) gap = IsNaN(low) known = Where(gap, none, low)"
        " factor = Cast <to = 1> (weights) wide = Unsqueeze(known, outer) parts = Mul(wide, factor)"
        " start = Cast <to = 1> (begin) rows = Shape <start = 0, end = 1> (x) shape = Concat <axis = 0> (rows, outputs)"
        " first = Expand(start, shape) all = Concat <axis = 1> (first, parts)"
        " sums = CumSum(all, inner) total = Gather <axis = 1> (sums, last) y = CastLike(total, x) }",
        reference=reference,
        constants={
            "weights": weights[np.newaxis],
            "begin": begin[np.newaxis, np.newaxis],
            "zero": np.array(0.0),
            "outputs": np.array([1, begin.size]),
            "inner": np.array(1),
            "outer": np.array([2]),
            "last": np.array(len(weights)),
        },
    )


def link_of(saved: Saved, answer: Scores) -> tuple[Link, Sequence[Rule]]:
    """Return the link of the sums and the rules after it that make the answer; refuse what is not known."""
    objective, single = saved.objective, saved.n_outputs == 1
    if objective in MULTI:
        return ("identity", (largest,)) if (answer, objective) == ("value", "multi:softmax") else ("softmax", ())
    if objective in LOGISTIC:
        return ("sigmoid", ()) if answer == "probabilities" and single else ("identity", (sigmoid,))
    if objective in HINGE:
        return "identity", (above_zero, two_classes) if answer == "probabilities" and single else (above_zero,)
    if objective in EXPONENTIAL:
        return "identity", (exponential,)
    if objective in IDENTITY:
        return "identity", ()
    known = sorted((*LOGISTIC, *MULTI, *HINGE, *EXPONENTIAL, *IDENTITY))
    raise UnsupportedModelError(f"xgboost: objective {objective!r} is not supported; supported are {known}")
