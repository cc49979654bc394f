"""Logarithmic opinion pool: the weighted geometric mean of probabilities, normalised."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from glulam.hookspecs import VotingStrategy, hookimpl
from glulam.program import OnnxFragment
from glulam_plugins.voting._weights import simple_weights

FLOOR = float(np.finfo(np.float32).eps)
"""Probabilities below this (1.2e-7) count as this, so that one member's 0 is no veto for ever."""


class LogPool(VotingStrategy):
    """Normalised exponent of the weighted mean of log-probabilities (Genest and Zidek, 1986)."""

    name = "log_pool"
    tasks = ("binary", "multiclass")

    def combine(self, votes: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the pooled probabilities."""
        logs = (np.log(np.maximum(votes, FLOOR)) * _share(weights)).sum(axis=1)
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
                "share": _share(weights),
                "members": np.array([1]),
            },
        )


def _share(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    whole = simple_weights(weights)
    return np.asarray((whole / whole.sum())[:, None])


@hookimpl
def glulam_voting() -> type[VotingStrategy]:
    """Offer the logarithmic pool."""
    return LogPool
