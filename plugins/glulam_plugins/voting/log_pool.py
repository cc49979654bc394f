"""Logarithmic opinion pool: the weighted geometric mean of probabilities, normalised."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from glulam.hookspecs import VotingStrategy, hookimpl
from glulam.program import OnnxFragment

FLOOR = float(np.finfo(np.float32).eps)
"""Probabilities below this (1.2e-7) count as this, so that one member's 0 is no veto for ever."""


class LogPool(VotingStrategy):
    """Normalised exponent of the weighted mean of log-probabilities (Genest and Zidek, 1986)."""

    name = "log_pool"
    tasks = ("binary", "multiclass")

    def combine(self, votes: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the pooled probabilities."""
        logs = np.average(np.log(np.maximum(votes, FLOOR)), axis=1, weights=weights)
        pooled = np.exp(logs - logs.max(axis=1, keepdims=True))
        return np.asarray(pooled / pooled.sum(axis=1, keepdims=True))

    def fragment(self, weights: npt.NDArray[np.float64], n_classes: int) -> OnnxFragment:
        """Return the same: Softmax of the mean logarithm is the normalised exponent."""
        return OnnxFragment(
            text="log_pool (votes, floor, share, members) => (scores) {"
            " bounded = Max (votes, floor)"
            " logs = Log (bounded)"
            " weighted = Mul (logs, share)"
            " pooled = ReduceSum <keepdims = 0> (weighted, members)"
            " scores = Softmax <axis = 1> (pooled) }",
            reference=lambda votes: self.combine(votes, weights),
            constants={
                "floor": np.array([FLOOR]),
                "share": (weights / weights.sum())[:, None],
                "members": np.array([1]),
            },
        )


@hookimpl
def glulam_voting() -> type[VotingStrategy]:
    """Offer the logarithmic pool."""
    return LogPool
