"""Weights of the members, learnt from out-of-fold votes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError
from glulam.program import Task

__all__ = ["fit_weights", "weights_loss"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]

_LEAST = 1e-6
"""A vote counts as at least this, so that one row that every member is wrong about does not decide alone."""
_DIGITS = 4


def fit_weights(votes: Float64, y: Array, task: Task, *, penalty: float) -> Float64:
    """Return the weights [n_members] of the soft vote that has the least loss, drawn towards equal ones.

    votes
        [n, n_members, n_outputs], of members that were not fitted on these rows
    penalty
        added to the loss: times ``n_members * sum((weights - 1 / n_members) ** 2)``

    They are not negative and rounded to four decimals, so that members that are alike have equal ones; their sum is
    1 but for the rounding. Raises ConfigError where there is nothing to learn from.
    """
    from scipy.optimize import minimize

    n_rows, n_members, _ = votes.shape
    if not n_rows or not np.isfinite(votes).all():
        raise ConfigError(f"weights = 'auto': expected finite out-of-fold votes to learn from, got {n_rows} rows")
    equal = np.full(n_members, 1.0 / n_members)
    if n_members == 1:
        return equal
    loss = weights_loss(votes, y, task, penalty=penalty)
    # By the loss of equal weights, so that the tolerance means the same for any penalty and unit.
    unit = max(1.0, abs(loss(equal)[0]), penalty)
    # Convex, and begun where members that are alike have equal weights, which they keep.
    found = minimize(
        lambda weights: tuple(part / unit for part in loss(weights)), equal, jac=True, method="SLSQP",
        bounds=[(0.0, 1.0)] * n_members,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1.0, "jac": np.ones_like},
        options={"ftol": 1e-14, "maxiter": 1_000},
    )  # fmt: skip
    weights = np.clip(found.x, 0.0, 1.0)
    best = weights / weights.sum()
    if not np.isfinite(best).all() or loss(best)[0] > loss(equal)[0]:
        return np.round(equal, _DIGITS)
    return np.asarray(np.round(best, _DIGITS))


def weights_loss(votes: Float64, y: Array, task: Task, *, penalty: float) -> Any:
    """Return the function from weights that sum to 1 to their loss and its gradient [n_members].

    The mean log loss of the soft vote; for values its mean squared error in units of the variance of y.
    """
    n_rows, n_members, _ = votes.shape
    if task == "regression":
        values, spread = votes[:, :, 0], float(np.var(y)) or 1.0

        def of_answers(weights: Float64) -> tuple[float, Float64]:
            off = values @ weights - y
            return float(np.mean(off**2) / spread), 2.0 * (off @ values) / (n_rows * spread)
    else:
        right = np.maximum(votes[np.arange(n_rows), :, y], _LEAST)

        def of_answers(weights: Float64) -> tuple[float, Float64]:
            # A step of the search may leave the simplex by its last digits.
            chance = np.maximum(right @ weights, _LEAST / 2)
            return float(-np.mean(np.log(chance))), -((1.0 / chance) @ right) / n_rows

    def loss(weights: Float64) -> tuple[float, Float64]:
        away = weights - 1.0 / n_members
        value, slope = of_answers(weights)
        return value + penalty * n_members * float(away @ away), slope + 2.0 * penalty * n_members * away

    return loss
