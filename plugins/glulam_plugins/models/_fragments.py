"""Rules that several lowerings share, beside those of `glulam.fragments`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.decision import Decision
from glulam.program import OnnxFragment

__all__ = ["above_zero", "by_decision", "by_index", "largest", "normalised", "same"]

Array = npt.NDArray[Any]


def same() -> OnnxFragment:
    """Return what came: the vote must be the last step."""
    return OnnxFragment(text="same (x) => (y) { y = Identity(x) }", reference=lambda x: x)


def above_zero() -> OnnxFragment:
    """Return 1 where ``x > 0``, else 0."""
    return OnnxFragment(
        text="above_zero (x, zero) => (y) { above = Greater(x, zero) y = CastLike(above, x) }",
        reference=lambda x: (x > 0).astype(np.float64),
        constants={"zero": np.array(0.0)},
    )


def largest() -> OnnxFragment:
    """Return the number of the largest column, [n, 1]; the first of equal ones. NaN is not larger than any."""

    def reference(x: Array) -> Array:
        known = np.where(np.isnan(x), -np.inf, x)
        known[np.isnan(x[:, 0]), 0] = np.inf  # and no other is larger than a NaN that comes first
        return np.asarray(known.argmax(axis=1)[:, np.newaxis], dtype=np.float64)

    return OnnxFragment(
        text="largest (x) => (y) { which = ArgMax <axis = 1, keepdims = 1> (x) y = CastLike(which, x) }",
        reference=reference,
    )


def normalised(otherwise: float, residue: float = 0.0) -> OnnxFragment:
    """Return each row, of no negative number, divided by its sum; ``otherwise`` where that is at most ``residue``."""

    def reference(x: Array) -> Array:
        total = x.sum(axis=1, keepdims=True)
        empty = total <= residue
        return np.asarray(np.where(empty, otherwise, x / np.where(empty, 1.0, total)))

    return OnnxFragment(
        text="normalised (x, axis, residue, one, otherwise) => (y) {"
        " total = ReduceSum <keepdims = 1> (x, axis)"
        " empty = LessOrEqual(total, residue)"
        " safe = Where(empty, one, total)"
        " parts = Div(x, safe)"
        " y = Where(empty, otherwise, parts) }",
        reference=reference,
        constants={
            "axis": np.array([1]), "residue": np.array(residue), "one": np.array(1.0), "otherwise": np.array(otherwise),
        },
    )  # fmt: skip


def by_index(table: npt.NDArray[np.float64]) -> OnnxFragment:
    """Return the row of ``table`` [n_classes, k] for the index of a class."""
    return OnnxFragment(
        text="by_index (choice, table, flat) => (y) {"
        " column = Reshape(choice, flat)"
        " index = Cast <to = 7> (column)"
        " y = Gather <axis = 0> (table, index) }",
        reference=lambda choice: table[np.asarray(choice).reshape(-1).astype(np.int64)],
        constants={"table": table, "flat": np.array([-1])},
    )


def by_decision(decision: Decision, width: int, table: npt.NDArray[np.float64]) -> OnnxFragment:
    """Return the row of ``table`` [n_classes, k] for the class that a vote [n, width] is for."""

    def reference(vote: Array) -> Array:
        return np.asarray(table[decision.choose(vote)])

    if decision.by_largest(width):
        return OnnxFragment(
            text="by_largest (vote, table) => (y) {"
            " index = ArgMax <axis = 1, keepdims = 0> (vote)"
            " y = Gather <axis = 0> (table, index) }",
            reference=reference,
            constants={"table": table},
        )
    compare = "GreaterOrEqual" if decision.inclusive else "Greater"
    return OnnxFragment(
        text="by_threshold (vote, table, last, threshold) => (y) {"
        " score = Gather <axis = 1> (vote, last)"
        f" above = {compare}(score, threshold)"
        " index = Cast <to = 7> (above)"
        " y = Gather <axis = 0> (table, index) }",
        reference=reference,
        constants={"table": table, "last": np.array(-1), "threshold": np.array(decision.threshold)},
    )
