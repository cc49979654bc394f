"""Hard vote: each member votes for its most probable class; the heaviest class wins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from glulam.hookspecs import VotingStrategy, hookimpl
from glulam.program import OnnxFragment


class Hard(VotingStrategy):
    """Weighted majority, ties to the lowest class, as scikit-learn's VotingClassifier(voting="hard").

    Scores are each class's share of the weights. A member whose classes tie votes for the lowest.
    """

    name = "hard"
    tasks = ("binary", "multiclass")

    def combine(self, votes: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return each class's share of the weights."""
        ballots = np.eye(votes.shape[2])[votes.argmax(axis=2)]
        return np.asarray((ballots * weights[:, None]).sum(axis=1) / weights.sum())

    def fragment(self, weights: npt.NDArray[np.float64], n_classes: int) -> OnnxFragment:
        """Return the same: a row of the identity matrix for each ballot, weighed and added."""
        # Dividing after the sum keeps ties of whole-number weights exact, as in `combine`.
        return OnnxFragment(
            text="hard (votes, ballot, weight, members, total) => (scores) {"
            " choice = ArgMax <axis = 2, keepdims = 0> (votes)"
            " ballots = Gather <axis = 0> (ballot, choice)"
            " weighted = Mul (ballots, weight)"
            " sums = ReduceSum <keepdims = 0> (weighted, members)"
            " scores = Div (sums, total) }",
            reference=lambda votes: self.combine(votes, weights),
            constants={
                "ballot": np.eye(n_classes),
                "weight": weights[:, None].astype(np.float64),
                "members": np.array([1]),
                "total": np.array([weights.sum()], dtype=np.float64),
            },
        )


@hookimpl
def glulam_voting() -> type[VotingStrategy]:
    """Offer the hard vote."""
    return Hard
