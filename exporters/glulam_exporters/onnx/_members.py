"""From lowered members to their votes, and from these to scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from glulam.forest import Forest
from glulam.program import EnsembleProgram, LoweredMember, OnnxFragment, Steps
from glulam_exporters.onnx._forest import emit_forest
from glulam_exporters.onnx._graph import Graph

Float64 = npt.NDArray[np.float64]


def emit_votes(program: EnsembleProgram, graph: Graph) -> tuple[str, dict[str, str]]:
    """Emit all members; return the name of their votes, and the only member's other values by name.

    Votes are [n, n_members, width], or [n, width] of a single member without a vote. Each member
    gives some columns, and an affine map turns these into one column a class: for a sigmoid
    ``[1 - s, s]``, for a complement ``[divisor - sum, sums]``, for others the identity.
    """
    width = program.vote_width
    parts, maps, offsets, divisors = [], [], [], []
    values: dict[str, str] = {}
    for name, member in zip(program.names, program.members, strict=True):
        part, values = _emit_body(member, graph, name)
        if member.by_sums and program.vote is None:
            values = values | {"choice": graph.add("ArgMax", [part], "largest_sum", axis=1, keepdims=1)}
        part, matrix, offset, divisor = _linked(member, graph, part, name, width)
        parts.append(part)
        maps.append(matrix)
        offsets.append(offset)
        divisors.append(divisor)
    together = parts[0] if len(parts) == 1 else graph.add("Concat", parts, "members", axis=1)
    if any(not np.array_equal(matrix, np.eye(width)) for matrix in maps):
        weights, bias = graph.constant(_block_diagonal(maps), "to_classes"), np.concatenate(offsets)
        together = graph.add("Gemm", [together, weights, graph.constant(bias, "rest")], "by_class")
    alone = program.vote is None
    votes = together
    if not alone:
        shape = graph.constant(np.array([-1, len(parts), width]), "votes_shape")
        votes = graph.add("Reshape", [together, shape], "ballots")
    if any(divisor != 1 for divisor in divisors):
        by = np.array(divisors)[:, None]
        votes = graph.add("Div", [votes, graph.constant(by, "divisors")], "mean")
    return votes, values if alone else {}


def emit_vote(vote: OnnxFragment | Steps, graph: Graph, votes: str) -> str:
    """Emit the vote on votes [n, n_members, width]; return the name of its scores [n, width]."""
    if isinstance(vote, OnnxFragment):
        return graph.fragment(vote, [votes], "vote")
    values = {"features": votes}
    for step in vote.steps:
        if isinstance(step.rule, OnnxFragment):  # a program has no other steps in its vote
            sources = [values[each] for each in step.inputs]
            values[step.name] = graph.fragment(step.rule, sources, f"vote.{step.name}")
    return values[vote.steps[-1].name]


def _emit_body(member: LoweredMember, graph: Graph, name: str) -> tuple[str, dict[str, str]]:
    """Emit what a member computes before its link; return its name, and its choice and extras by name."""
    body = member.body
    if isinstance(body, Forest):
        return emit_forest(body, graph, "features", name, member.arithmetic), {}
    if not isinstance(body, Steps):
        return graph.fragment(body, [graph.cast("features", graph.dtype)], name), {}
    values = {"features": "features"}
    for step in body.steps:
        sources = [values[each] for each in step.inputs]
        label = f"{name}.{step.name}"
        if isinstance(step.rule, Forest):
            made = emit_forest(step.rule, graph, sources[0], label, member.arithmetic)
            if step is not body.steps[-1] and step.rule.divisor != 1:
                made = graph.add(
                    "Div", [made, graph.constant(np.array([[step.rule.divisor]]), "divisor")], f"{label}.mean"
                )
        else:
            made = graph.fragment(step.rule, [graph.cast(source, graph.dtype) for source in sources], label)
        values[step.name] = made
    others = {key: values[step] for key, step in body.extras.items()}
    if body.choice:
        others["choice"] = values[body.choice]
    return values[body.steps[-1].name], others


def _linked(
    member: LoweredMember, graph: Graph, raw: str, name: str, width: int
) -> tuple[str, Float64, Float64, float]:
    """Emit a member's link: its columns, the affine map to classes, and what to divide by after it."""
    identity, nothing = np.eye(width), np.zeros(width)
    if not isinstance(member.last, Forest):
        return raw, identity, nothing, 1.0
    divisor = member.last.divisor
    if member.link == "identity":
        return raw, identity, nothing, divisor
    if member.link == "softmax":
        return graph.add("Softmax", [raw], f"{name}.softmax", axis=1), identity, nothing, 1.0
    # One column fewer than classes: the first class has what the others leave.
    matrix = np.column_stack([-np.ones(width - 1), np.eye(width - 1)])
    rest = nothing.copy()
    if member.link == "sigmoid":
        rest[0] = 1.0
        return graph.add("Sigmoid", [raw], f"{name}.sigmoid"), matrix, rest, 1.0
    rest[0] = divisor
    return raw, matrix, rest, divisor


def _block_diagonal(blocks: Sequence[Float64]) -> Float64:
    out = np.zeros((sum(len(block) for block in blocks), sum(block.shape[1] for block in blocks)))
    row = column = 0
    for block in blocks:
        out[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return out
