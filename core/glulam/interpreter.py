"""The reference interpreter: what an `EnsembleProgram` means, in numpy, slow and obvious.

It is one of the three oracles (native library, interpreter, onnxruntime) and never runs in
production. All arithmetic is float64; comparisons with thresholds are float32.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glulam.forest import Forest
from glulam.program import EnsembleProgram, LoweredMember

__all__ = ["Outputs", "decide", "interpret", "member_vote"]

Float64 = npt.NDArray[np.float64]


class Outputs(NamedTuple):
    """What a program, an exported file or the native libraries answer for some rows.

    label : [n], the predicted class; for regression the value, float64 [n]
    scores : float64 [n, n_classes] probabilities; [n, 1] for regression
    votes : float64 [n, n_members, n_classes]
    valid : bool [n], rows that pass all guards
    """

    label: npt.NDArray[Any]
    scores: Float64
    votes: Float64
    valid: npt.NDArray[np.bool_]


def member_vote(member: LoweredMember, rows: npt.NDArray[np.float32]) -> Float64:
    """Return one member's vote: probabilities [n, n_classes], or values [n, 1]."""
    if not isinstance(member.body, Forest):
        return np.asarray(member.body.reference(rows), dtype=np.float64)
    raw, divisor = member.body.raw(rows), member.body.divisor
    if member.link == "identity":
        return raw / divisor
    if member.link == "complement":
        return np.column_stack([divisor - raw.sum(axis=1), raw]) / divisor
    if member.link == "sigmoid":
        # exp(-|x|) never overflows; both forms are 1 / (1 + exp(-x)).
        small = np.exp(-np.abs(raw))
        chance = np.where(raw >= 0, 1.0, small) / (1.0 + small)
        return np.column_stack([1.0 - chance, chance])
    powers = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def decide(program: EnsembleProgram, votes: Float64) -> tuple[npt.NDArray[Any], Float64]:
    """Return label and scores for votes [n, n_members, n_classes]."""
    scores = np.asarray(program.vote.reference(votes), dtype=np.float64)
    if program.task == "regression":
        return scores[:, 0], scores
    return program.decision.label_table(program.classes)[program.decision.choose(scores)], scores


def interpret(program: EnsembleProgram, rows: npt.NDArray[np.float32]) -> Outputs:
    """Run a program on float32 rows [n, n_features]."""
    votes = np.stack([member_vote(member, rows) for member in program.members], axis=1)
    label, scores = decide(program, votes)
    valid = np.ones(len(rows), dtype=bool)
    for guard in program.guards:
        valid &= guard.rule.reference(rows)
    return Outputs(label, scores, votes, valid)
