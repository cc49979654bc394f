"""Median vote: the weighted median of the members' probabilities, or values.

One member that is far off moves a mean; it does not move a median. Sort the members by what they
say and add up their shares of the weight: the median is what the member says at whom the sum
passes one half. Where it meets one half exactly, it is midway between that member and the next
one, so that two members with one weight give their mean, and the probabilities of two classes sum
to 1. For three classes they would not (three members, certain of a class each, have the median 0
throughout), hence the two tasks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from glulam.hookspecs import VotingStrategy, hookimpl
from glulam.program import OnnxFragment

Float64 = npt.NDArray[np.float64]

_SLACK = 1e-5
"""Sums of shares this close to one half meet it: 0.1 + 0.2 against 0.3 is a tie, in float32 as well."""


class Median(VotingStrategy):
    """Weighted median, midway between the two middle members where there are two."""

    name = "median"
    tasks = ("binary", "regression")

    def combine(self, votes: Float64, weights: Float64) -> Float64:
        """Return the weighted median over members."""
        order = votes.argsort(axis=1)
        reached = (weights / weights.sum())[order].cumsum(axis=1)
        first = (reached < 0.5 - _SLACK).sum(axis=1, keepdims=True)
        last = (reached < 0.5 + _SLACK).sum(axis=1, keepdims=True)
        middle = np.take_along_axis(order, np.concatenate([first, last], axis=1), axis=1)
        return np.asarray(np.take_along_axis(votes, middle, axis=1).mean(axis=1))

    def fragment(self, weights: Float64, n_classes: int) -> OnnxFragment:
        """Return the same rule as a graph, node for line."""
        text = (
            "median (votes, share, members, axis, axes, below, above) => (scores) {"
            " ranked, order = TopK <axis = 1, largest = 0> (votes, members)"
            " ordered = Gather (share, order)"
            " reached = CumSum (ordered, axis)"
            " before = Less (reached, below)"
            " upto = Less (reached, above)"
            " before_each = Cast <to = 7> (before)"  # 7 is int64
            " upto_each = Cast <to = 7> (upto)"
            " first = ReduceSum (before_each, axes)"
            " last = ReduceSum (upto_each, axes)"
            " both = Concat <axis = 1> (first, last)"
            " middle = GatherElements <axis = 1> (ranked, both)"
            " scores = ReduceMean <keepdims = 0> (middle, axes) }"
        )
        constants = {
            "share": weights / weights.sum(), "members": np.array([len(weights)]), "axis": np.array(1),
            "axes": np.array([1]), "below": np.array(0.5 - _SLACK), "above": np.array(0.5 + _SLACK),
        }  # fmt: skip
        return OnnxFragment(text, lambda votes: self.combine(votes, weights), constants)


@hookimpl
def glulam_voting() -> type[VotingStrategy]:
    """Offer the median vote."""
    return Median
