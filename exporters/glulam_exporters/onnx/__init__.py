"""The `onnx` exporter: a whole ensemble as one standard ONNX file.

The graph it writes, for a binary ensemble of LightGBM, XGBoost and a random forest (soft vote)::

    features [n, f] --TreeEnsemble--> margin  [n, 1] --Sigmoid--> chance [n, 1] --.
                    --TreeEnsemble--> margin  [n, 1] --Sigmoid--> chance [n, 1] --+--Concat [n, 3]
                    --TreeEnsemble--> sum     [n, 1] -----------------------------'
        --Gemm--> a column a class [n, 6] --Reshape, Div--> votes [n, 3, 2]
        --vote--> probabilities [n, 2] --ArgMax--> label [n]
    features --guards--> valid [n]

One TreeEnsemble a sum, not one for all: onnxruntime adds up a single target faster than several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from glulam.errors import ConfigError, PluginError
from glulam.forest import Forest
from glulam.hookspecs import Exporter, hookimpl
from glulam.program import EnsembleProgram, LoweredMember
from glulam_exporters.onnx._forest import emit_forest
from glulam_exporters.onnx._graph import Graph

__all__ = ["OnnxExporter", "glulam_exporter"]

OLDEST_OPSET, DEFAULT_OPSET = 18, 18
IR_VERSION = 10


class OnnxExporter(Exporter):
    """Writes ai.onnx.ml 5 TreeEnsemble nodes, links, vote, decision and guards."""

    name = "onnx"

    def export(
        self,
        program: EnsembleProgram,
        *,
        outputs: Sequence[str] | None = None,
        guards: bool = True,
        precision: str = "float32",
        opset: int = DEFAULT_OPSET,
        **unknown: Any,
    ) -> bytes:
        """Return the serialised model.

        outputs
            which of ``label``, ``probabilities``, ``votes``, ``valid`` (for regression ``value``,
            ``votes``, ``valid``) the file has; all of them by default
        guards
            whether the validators' checks are in the file; ``valid`` is their result
        precision
            type in which leaves are added and the vote is taken: ``float32`` or ``float64``
        opset
            of the default operator domain, 18 or newer

        Raises ConfigError for options that are unknown or do not go together.
        """
        if unknown:
            raise ConfigError(f"onnx: unknown options {sorted(unknown)}; known are outputs, guards, precision, opset")
        if precision not in ("float32", "float64"):
            raise ConfigError(f"onnx: precision: expected 'float32' or 'float64', got {precision!r}")
        newest = onnx.defs.onnx_opset_version()
        if not isinstance(opset, int) or not OLDEST_OPSET <= opset <= newest:
            raise ConfigError(f"onnx: opset: expected {OLDEST_OPSET} to {newest}, got {opset!r}")
        wanted = _checked_outputs(program, outputs, guards)
        graph = Graph(np.dtype(precision), opset)
        features = "features"
        values = features
        if precision == "float64":
            values = graph.add("Cast", [features], "features64", to=TensorProto.DOUBLE)
        votes = _emit_votes(program, graph, values)
        scores = graph.fragment(program.vote, votes, "vote")
        made = {"votes": votes}
        if program.task == "regression":
            made["value"] = graph.add("Reshape", [scores, graph.constant(np.array([-1]), "flat")], "value")
        else:
            made["probabilities"] = scores
            if "label" in wanted:
                made["label"] = _emit_label(program, graph, scores)
        if "valid" in wanted:
            made["valid"] = _emit_guards(program, graph, features)
        return bytes(_model(program, graph, {name: made[name] for name in wanted}).SerializeToString())

    def attach(self, data: bytes, metadata: Mapping[str, str]) -> bytes:
        """Return the model with metadata_props added.

        Appended messages merge in protobuf: a list field grows, all else stays byte for byte.
        """
        extra = onnx.ModelProto()
        for key, value in metadata.items():
            entry = extra.metadata_props.add()
            entry.key, entry.value = key, value
        return data + bytes(extra.SerializeToString())


def _checked_outputs(program: EnsembleProgram, outputs: Sequence[str] | None, guards: bool) -> list[str]:
    """Return the outputs to write, in the file's order."""
    answers = ["value"] if program.task == "regression" else ["label", "probabilities"]
    possible = [*answers, "votes", *(["valid"] if guards and program.guards else [])]
    if outputs is None:
        return possible
    wanted = [outputs] if isinstance(outputs, str) else list(outputs)
    unknown = [name for name in wanted if name not in possible]
    if unknown or not wanted:
        raise ConfigError(f"onnx: outputs: expected some of {possible}, got {wanted}")
    return [name for name in possible if name in wanted]


def _emit_votes(program: EnsembleProgram, graph: Graph, features: str) -> str:
    """Emit all members; return the name of votes [n, n_members, n_classes].

    Each member gives some columns, and an affine map turns these into one column a class: for a
    sigmoid ``[1 - s, s]``, for a complement ``[divisor - sum, sums]``, for others the identity.
    """
    width = program.vote_width
    parts, maps, offsets, divisors = [], [], [], []
    for name, member in zip(program.names, program.members, strict=True):
        part, matrix, offset, divisor = _emit_member(member, graph, features, name, width)
        parts.append(part)
        maps.append(matrix)
        offsets.append(offset)
        divisors.append(divisor)
    together = parts[0] if len(parts) == 1 else graph.add("Concat", parts, "members", axis=1)
    if any(not np.array_equal(matrix, np.eye(width)) for matrix in maps):
        weights, bias = graph.constant(_block_diagonal(maps), "to_classes"), np.concatenate(offsets)
        together = graph.add("Gemm", [together, weights, graph.constant(bias, "rest")], "by_class")
    shape = graph.constant(np.array([-1, len(parts), width]), "votes_shape")
    votes = graph.add("Reshape", [together, shape], "ballots")
    if any(divisor != 1 for divisor in divisors):
        votes = graph.add("Div", [votes, graph.constant(np.array(divisors)[:, None], "divisors")], "votes")
    return votes


def _emit_member(
    member: LoweredMember, graph: Graph, features: str, name: str, width: int
) -> tuple[str, npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """Emit one member: its columns, the affine map to classes, and what to divide by after it."""
    identity, nothing = np.eye(width), np.zeros(width)
    if not isinstance(member.body, Forest):
        return graph.fragment(member.body, features, name), identity, nothing, 1.0
    raw = emit_forest(member.body, graph, features, name)
    divisor = member.body.divisor
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


def _block_diagonal(blocks: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    out = np.zeros((sum(len(block) for block in blocks), sum(block.shape[1] for block in blocks)))
    row = column = 0
    for block in blocks:
        out[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return out


def _emit_label(program: EnsembleProgram, graph: Graph, scores: str) -> str:
    """Emit the decision; return the name of label [n]."""
    decision, classes = program.decision, program.classes
    if decision.threshold == 0.5:
        index = graph.add("ArgMax", [scores], "choice", axis=1, keepdims=0)
    else:
        second = graph.add("Gather", [scores, graph.constant(np.array(1), "second")], "score", axis=1)
        above = graph.add("Greater", [second, graph.constant(np.array(decision.threshold), "threshold")], "above")
        index = graph.add("Cast", [above], "choice", to=TensorProto.INT64)
    if decision.min_confidence is not None:
        axis = graph.constant(np.array([1]), "axis")
        most = graph.add("ReduceMax", [scores, axis], "confidence", keepdims=0)
        least = graph.constant(np.array(decision.min_confidence), "min_confidence")
        unsure = graph.add("Less", [most, least], "unsure")
        index = graph.add("Where", [unsure, graph.constant(np.array(len(classes)), "abstain"), index], "decided")
    table = decision.label_table(classes)
    if table.dtype.kind in "iu" and np.array_equal(table, np.arange(len(table))):
        return index
    return graph.add("Gather", [graph.constant(table, "classes", exact=True), index], "label", axis=0)


def _emit_guards(program: EnsembleProgram, graph: Graph, features: str) -> str:
    """Emit the guards; return the name of valid [n]."""
    valid = ""
    for guard in program.guards:
        passed = graph.fragment(guard.rule, features, f"guard.{guard.name}", np.dtype(np.float32))
        valid = graph.add("And", [valid, passed], "valid") if valid else passed
    return valid


def _model(program: EnsembleProgram, graph: Graph, outputs: Mapping[str, str]) -> onnx.ModelProto:
    """Put the graph together, inline the fragments, name the outputs, check everything."""
    width = program.vote_width
    float_type = helper.np_dtype_to_tensor_dtype(graph.dtype)
    labels = program.decision.label_table(program.classes) if program.task != "regression" else np.empty(0)
    label_type = (
        TensorProto.STRING if labels.dtype.kind == "U" else helper.np_dtype_to_tensor_dtype(_label_dtype(labels))
    )
    types: dict[str, tuple[int, list[str | int | None]]] = {
        "label": (label_type, ["n"]),
        "probabilities": (float_type, ["n", width]),
        "value": (float_type, ["n"]),
        "votes": (float_type, ["n", len(program.members), width]),
        "valid": (TensorProto.BOOL, ["n"]),
    }
    model = graph.model(
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(program.schema)])],
        [helper.make_tensor_value_info(name, *types[name]) for name in outputs],
        outputs,
        IR_VERSION,
    )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise PluginError(
            f"the graph is no valid ONNX model; look at the fragments {graph.fragments}: {' '.join(str(error).split())}"
        ) from error
    return model


def _label_dtype(labels: npt.NDArray[Any]) -> np.dtype[Any]:
    return np.dtype(np.int64) if labels.dtype.kind in "iu" else labels.dtype


@hookimpl
def glulam_exporter() -> type[Exporter]:
    """Offer the ONNX exporter."""
    return OnnxExporter
