"""Soft vote: the weighted mean of the members' probabilities, or values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from glulam.hookspecs import VotingStrategy, hookimpl
from glulam.program import OnnxFragment


class Soft(VotingStrategy):
    """Weighted mean, as scikit-learn's VotingClassifier(voting="soft") and VotingRegressor."""

    name = "soft"

    def combine(self, votes: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the weighted mean over members."""
        return np.asarray(np.average(votes, axis=1, weights=weights))

    def fragment(self, weights: npt.NDArray[np.float64], n_classes: int) -> OnnxFragment:
        """Return the weighted mean as two nodes."""
        return OnnxFragment(
            text="soft (votes, share, members) => (scores) {"
            " weighted = Mul (votes, share)"
            " scores = ReduceSum <keepdims = 0> (weighted, members) }",
            reference=lambda votes: self.combine(votes, weights),
            constants={"share": (weights / weights.sum())[:, None], "members": np.array([1])},
        )


@hookimpl
def glulam_voting() -> type[VotingStrategy]:
    """Offer the soft vote."""
    return Soft
