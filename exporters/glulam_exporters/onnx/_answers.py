"""From scores to what the file answers: labels, probabilities, values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from glulam.program import EnsembleProgram, Steps
from glulam_exporters.onnx._graph import Graph

Shape = list[str | int | None]


def _extras(program: EnsembleProgram) -> list[str]:
    """Return the names of further values that the only member offers."""
    body = program.members[0].body
    return list(body.extras) if program.vote is None and isinstance(body, Steps) else []


def answer_names(program: EnsembleProgram) -> list[str]:
    """Return the outputs that answer a program's task, in the file's order."""
    answers = ["value"] if program.task == "regression" else ["label", program.scores]
    return [*answers, *_extras(program)]


def answer_types(program: EnsembleProgram, graph: Graph) -> dict[str, tuple[int, Shape]]:
    """Return element type and shape of each answer."""
    number = helper.np_dtype_to_tensor_dtype(graph.dtype)
    width = program.vote_width
    flat: Shape = ["n"]
    wide: Shape = ["n", width]
    several: Shape = ["n", len(program.blocks)]
    return {
        "label": (_label_type(_label_table(program)), several if program.task == "multioutput" else flat),
        "probabilities": (number, wide),
        "decision_function": (number, flat if width == 1 else wide),
        "value": (number, flat if width == 1 else wide),
        "votes": (number, wide),
        **dict.fromkeys(_extras(program), (number, flat)),
    }


def emit_answers(program: EnsembleProgram, graph: Graph, scores: str, others: Mapping[str, str]) -> dict[str, str]:
    """Emit the answers to a program's task; return the names of their values.

    scores
        value [n, width]
    others
        the only member's further values [n, 1], its ``choice`` of a class among them
    """
    flat = graph.constant(np.array([-1]), "flat")

    def column(value: str, name: str) -> str:
        return graph.add("Reshape", [value, flat], name)

    made = {name: column(others[name], name) for name in _extras(program)}
    narrow = program.vote_width == 1 and program.scores == "decision_function"
    if program.task == "regression":
        return made | {"value": column(scores, "value") if program.n_targets == 1 else scores}
    made[program.scores] = column(scores, program.scores) if narrow else scores
    if program.task == "multioutput":
        return made | {"label": _emit_labels(program, graph, scores)}
    if "choice" in others:
        index = graph.add("Cast", [column(others["choice"], "choice")], "chosen", to=TensorProto.INT64)
        return made | {"label": _of_table(program, graph, index)}
    return made | {"label": _of_table(program, graph, _emit_choice(program, graph, scores))}


def _label_table(program: EnsembleProgram) -> npt.NDArray[Any]:
    if program.task == "regression":
        return np.empty(0)
    return program.decision.label_table(program.classes)


def _label_type(labels: npt.NDArray[Any]) -> int:
    if labels.dtype.kind == "U":
        return int(TensorProto.STRING)
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(np.int64) if labels.dtype.kind in "iu" else labels.dtype))


def _emit_choice(program: EnsembleProgram, graph: Graph, scores: str) -> str:
    """Emit the decision; return the name of the index into the label table [n]."""
    decision, width = program.decision, program.vote_width
    if decision.by_largest(width):
        index = graph.add("ArgMax", [scores], "choice", axis=1, keepdims=0)
    else:
        last = graph.add("Gather", [scores, graph.constant(np.array(width - 1), "last")], "score", axis=1)
        compare = "GreaterOrEqual" if decision.inclusive else "Greater"
        above = graph.add(compare, [last, graph.constant(np.array(decision.threshold), "threshold")], "above")
        index = graph.add("Cast", [above], "choice", to=TensorProto.INT64)
    if decision.min_confidence is not None:
        axis = graph.constant(np.array([1]), "axis")
        most = graph.add("ReduceMax", [scores, axis], "confidence", keepdims=0)
        least = graph.constant(np.array(decision.min_confidence), "min_confidence")
        unsure = graph.add("Less", [most, least], "unsure")
        abstain = graph.constant(np.array(len(program.classes)), "abstain")
        index = graph.add("Where", [unsure, abstain, index], "decided")
    return index


def _of_table(program: EnsembleProgram, graph: Graph, index: str) -> str:
    """Emit the look-up of labels; return the name of label [n]."""
    table = _label_table(program)
    if table.dtype.kind in "iu" and np.array_equal(table, np.arange(len(table))):
        return index
    return graph.add("Gather", [graph.constant(table, "classes", exact=True), index], "label", axis=0)


def _emit_labels(program: EnsembleProgram, graph: Graph, scores: str) -> str:
    """Emit the labels of several outputs; return the name of label [n, n_outputs]."""
    table = graph.constant(program.classes, "classes", exact=True)
    one, half = graph.constant(np.array([1]), "axis"), graph.constant(np.array(0.5), "half")
    columns, start, first = [], 0, 0
    for width in program.blocks:
        bounds = [graph.constant(np.array([at]), "bound") for at in (start, start + width)]
        block = graph.add("Slice", [scores, *bounds, one], "block")
        if width == 1:  # the probability of a yes
            index = graph.add("Cast", [graph.add("Greater", [block, half], "yes")], "choice", to=TensorProto.INT64)
        else:
            index = graph.add("ArgMax", [block], "choice", axis=1, keepdims=1)
        index = graph.add("Add", [index, graph.constant(np.array(first), "first")], "chosen")
        columns.append(graph.add("Gather", [table, index], "answer", axis=0))
        start, first = start + width, first + max(2, width)
    return graph.add("Concat", columns, "label", axis=1)
