"""The reference interpreter: what an `EnsembleProgram` means, in numpy, slow and obvious.

It is one of the three oracles (native library, interpreter, onnxruntime) and never runs in
production. All arithmetic is float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.forest import Forest
from glulam.fragments import sigmoid, softmax, two_classes
from glulam.program import EnsembleProgram, LoweredMember, OnnxFragment, Steps

__all__ = ["Outputs", "combine", "decide", "interpret", "labels", "member_leaves", "member_vote", "run_steps"]

Float64 = npt.NDArray[np.float64]
Rows = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a program, an exported file or the native libraries answer for some rows.

    label : [n], the predicted class ([n, n_outputs] for several outputs); for regression the values
    scores : float64 [n, width], probabilities, values or decision function
    votes : float64 [n, n_members, width]
    valid : bool [n], rows that pass all guards
    extras : further values by name, float64 [n] or [n, k]
    """

    label: npt.NDArray[Any]
    scores: Float64
    votes: Float64
    valid: npt.NDArray[np.bool_]
    extras: Mapping[str, Float64] = field(default_factory=dict)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Outputs:
        """Return the answers to some of the rows."""
        extras = {name: values[chosen] for name, values in self.extras.items()}
        return Outputs(self.label[chosen], self.scores[chosen], self.votes[chosen], self.valid[chosen], extras)


def run_steps(body: Steps, rows: Rows) -> dict[str, Float64]:
    """Return the value of every step by name; the last forest's sums are undivided, for its link."""
    values: dict[str, Any] = {"features": rows}
    for step in body.steps:
        inputs = [values[name] for name in step.inputs]
        if isinstance(step.rule, Forest):
            last = step is body.steps[-1]
            values[step.name] = step.rule.raw(inputs[0]) / (1.0 if last else step.rule.divisor)
        else:
            values[step.name] = np.asarray(step.rule.reference(*inputs), dtype=np.float64)
    return values


def member_leaves(member: LoweredMember, rows: Rows) -> npt.NDArray[np.int32] | None:
    """Return the leaf that each row reaches in each tree of a member's only forest; None if it has not just one."""
    body = member.body
    if isinstance(body, Forest):
        return body.leaves(rows)
    if not isinstance(body, Steps):
        return None
    forests = [(step.rule, step.inputs[0]) for step in body.steps if isinstance(step.rule, Forest)]
    if len(forests) != 1:
        return None
    forest, source = forests[0]
    return forest.leaves(rows if source == "features" else run_steps(body, rows)[source])


def _raw(member: LoweredMember, rows: Rows) -> Float64:
    """Return what a member computes before its link."""
    body = member.body
    if isinstance(body, Steps):
        return run_steps(body, rows)[body.steps[-1].name]
    if isinstance(body, Forest):
        return body.raw(rows)
    return np.asarray(body.reference(rows), dtype=np.float64)


def member_vote(member: LoweredMember, rows: Rows) -> Float64:
    """Return one member's vote: probabilities [n, n_classes], or values [n, n_targets]."""
    raw = _raw(member, rows)
    if isinstance(member.last, OnnxFragment):
        return raw
    divisor = member.last.divisor
    if member.link == "identity":
        return raw / divisor
    if member.link == "complement":
        return np.column_stack([divisor - raw.sum(axis=1), raw]) / divisor
    if member.link == "sigmoid":
        return two_classes().reference(sigmoid().reference(raw))
    return softmax().reference(raw)


def labels(program: EnsembleProgram, scores: Rows, choice: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
    """Return the labels of scores [n, width], or of class indices where the model chooses by another rule."""
    if program.task == "regression":
        return scores[:, 0] if program.n_targets == 1 else scores
    if choice is not None:
        return np.asarray(program.classes[np.asarray(choice).reshape(len(scores)).astype(np.int64)])
    if program.task != "multioutput":
        return program.decision.label_table(program.classes)[program.decision.choose(scores)]
    columns, start, first = [], 0, 0
    for width in program.blocks:
        block = scores[:, start : start + width]
        # A block of one column is the probability of a yes.
        index = (block[:, 0] > 0.5).astype(np.int64) if width == 1 else block.argmax(axis=1)
        columns.append(program.classes[first + index])
        start, first = start + width, first + max(2, width)
    return np.column_stack(columns)


def combine(vote: OnnxFragment | Steps, votes: Float64) -> Float64:
    """Return what a vote makes of votes [n, n_members, width]: scores [n, width]."""
    if isinstance(vote, Steps):
        return run_steps(vote, votes)[vote.steps[-1].name]
    return np.asarray(vote.reference(votes), dtype=np.float64)


def decide(program: EnsembleProgram, votes: Float64) -> tuple[npt.NDArray[Any], Float64]:
    """Return label and scores for votes [n, n_members, width]."""
    scores = votes[:, 0] if program.vote is None else combine(program.vote, votes)
    return labels(program, scores), scores


def interpret(program: EnsembleProgram, rows: Rows) -> Outputs:
    """Run a program on rows [n, n_features]."""
    votes = np.stack([member_vote(member, rows) for member in program.members], axis=1)
    label, scores = decide(program, votes)
    valid = np.ones(len(rows), dtype=bool)
    for guard in program.guards:
        valid &= guard.rule.reference(rows)
    member = program.members[0]
    body = member.body
    if program.vote is None and member.by_sums:
        label = labels(program, scores, _raw(member, rows).argmax(axis=1))
    extras = {}
    if program.vote is None and isinstance(body, Steps):
        values = run_steps(body, rows)
        if body.choice:
            label = labels(program, scores, values[body.choice])
        extras = {name: values[step] for name, step in body.extras.items()}
    return Outputs(label, scores, votes, valid, extras)
