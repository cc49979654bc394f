"""Hard vote: each member votes for its most probable class; the heaviest class wins."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from glulam.hookspecs import VotingStrategy, hookimpl
from glulam.program import OnnxFragment
from glulam_plugins.voting._weights import EXACT, simple_weights

Float64 = npt.NDArray[np.float64]


class Hard(VotingStrategy):
    """Weighted majority, ties to the lowest class, as scikit-learn's VotingClassifier(voting="hard").

    Scores are each class's share of the weights. A member whose classes tie votes for the lowest.
    Weights count as the decimal numbers that they are written as (see `simple_weights`).
    """

    name = "hard"
    tasks = ("binary", "multiclass")

    def combine(self, votes: Float64, weights: Float64) -> Float64:
        """Return each class's share of the weights."""
        whole = _whole(weights)
        ballots = np.eye(votes.shape[2])[votes.argmax(axis=2)]
        return np.asarray((ballots * whole[:, None]).sum(axis=1) / whole.sum())

    def fragment(self, weights: Float64, n_classes: int) -> OnnxFragment:
        """Return the same: a row of the identity matrix for each ballot, weighed and added."""
        whole = _whole(weights)
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
                "weight": whole[:, None],
                "members": np.array([1]),
                "total": np.array([whole.sum()]),
            },
        )


def _whole(weights: Float64) -> Float64:
    """Return whole numbers; weights that are no simple fractions are rounded to a millionth of the largest."""
    simple = simple_weights(weights)
    if (simple == np.rint(simple)).all():
        return simple
    return np.asarray(np.rint(simple * (EXACT // 16 // len(simple))))


@hookimpl
def glulam_voting() -> type[VotingStrategy]:
    """Offer the hard vote."""
    return Hard
