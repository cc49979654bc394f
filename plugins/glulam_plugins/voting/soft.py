"""Soft vote: the weighted mean of the members' probabilities, or values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from glulam.hookspecs import VotingStrategy, hookimpl
from glulam.program import OnnxFragment
from glulam_plugins.voting._weights import simple_weights


class Soft(VotingStrategy):
    """Weighted mean, as scikit-learn's VotingClassifier(voting="soft") and VotingRegressor."""

    name = "soft"

    def combine(self, votes: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the weighted mean over members."""
        weight = _weights(weights, votes.shape[2])
        return np.asarray((votes * weight[:, None]).sum(axis=1) / weight.sum())

    def fragment(self, weights: npt.NDArray[np.float64], n_classes: int) -> OnnxFragment:
        """Return the weighted mean as three nodes, in the order of `combine`: ties stay ties in float64."""
        weight = _weights(weights, n_classes)
        return OnnxFragment(
            text="soft (votes, weight, members, total) => (scores) {"
            " weighted = Mul (votes, weight)"
            " sums = ReduceSum <keepdims = 0> (weighted, members)"
            " scores = Div (sums, total) }",
            reference=lambda votes: self.combine(votes, weights),
            constants={"weight": weight[:, None], "members": np.array([1]), "total": np.array([weight.sum()])},
        )


def _weights(weights: npt.NDArray[np.float64], n_classes: int) -> npt.NDArray[np.float64]:
    """Return whole numbers for probabilities, which tie; shares for values, which could overflow."""
    simple = simple_weights(weights)
    return np.asarray(simple / simple.sum()) if n_classes == 1 else simple


@hookimpl
def glulam_voting() -> type[VotingStrategy]:
    """Offer the soft vote."""
    return Soft
