"""The `onnx` exporter: a whole ensemble as one ONNX file that any onnxruntime runs.

The graph it writes, for a binary ensemble of LightGBM, XGBoost and a random forest (soft vote)::

    features [n, f] --TreeEnsemble--> margin  [n, 1] --Sigmoid--> chance [n, 1] --.
                    --TreeEnsemble--> margin  [n, 1] --Sigmoid--> chance [n, 1] --+--Concat [n, 3]
                    --TreeEnsemble--> sum     [n, 1] -----------------------------'
        --Gemm--> a column a class [n, 6] --Reshape, Div--> votes [n, 3, 2]
        --vote--> probabilities [n, 2] --ArgMax--> label [n]
    features --guards--> valid [n]

One TreeEnsemble a sum, not one for all: onnxruntime adds up a single target faster than several.

Where `_fused` can, all of it becomes the body of one node, which glulam's kernel runs as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from glulam.errors import ConfigError, PluginError
from glulam.hookspecs import Exporter, hookimpl
from glulam.program import EnsembleProgram
from glulam_exporters.onnx._answers import answer_names, answer_types, emit_answers
from glulam_exporters.onnx._fused import fuse, is_fused
from glulam_exporters.onnx._graph import Graph
from glulam_exporters.onnx._members import emit_vote, emit_votes

__all__ = ["OnnxExporter", "glulam_exporter"]

OLDEST_OPSET, DEFAULT_OPSET = 18, 18
IR_VERSION = 10
IR_VERSION_OF_SETS = 11
"""onnxruntime before 1.23 answers wrongly where trees test for sets; it refuses this version."""


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
        standard: bool = False,
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
        standard
            nodes of ONNX's own domains only. By default all that can be is one node that is defined in
            the file by these, so that any onnxruntime runs it, and glulam's kernel runs it faster

        Raises ConfigError for options that are unknown or do not go together, and for a model that
        one file cannot hold.
        """
        if unknown:
            raise ConfigError(
                f"onnx: unknown options {sorted(unknown)}; known are outputs, guards, precision, opset, standard"
            )
        if precision not in ("float32", "float64"):
            raise ConfigError(f"onnx: precision: expected 'float32' or 'float64', got {precision!r}")
        if program.rows == "float64" and precision != "float64":
            raise ConfigError("onnx: precision: rows of float64 need precision='float64'")
        newest = onnx.defs.onnx_opset_version()
        if not isinstance(standard, bool):
            raise ConfigError(f"onnx: standard: expected True or False, got {standard!r}")
        if not isinstance(opset, int) or not OLDEST_OPSET <= opset <= newest:
            raise ConfigError(f"onnx: opset: expected {OLDEST_OPSET} to {newest}, got {opset!r}")
        wanted = _checked_outputs(program, outputs, guards)
        graph = Graph(np.dtype(precision), opset, np.dtype(program.rows))
        votes, others = emit_votes(program, graph)
        scores = votes if program.vote is None else emit_vote(program.vote, graph, votes)
        made = emit_answers(program, graph, scores, others)
        if program.vote is not None:
            made["votes"] = votes
        if "valid" in wanted:
            made["valid"] = _emit_guards(program, graph)
        model = _model(program, graph, {name: made[name] for name in wanted})
        if not standard:
            fuse(model)
        return bytes(model.SerializeToString())

    def form(self, data: bytes) -> str:
        """Return ``fused`` where the file has one node of glulam's own that is defined in it, else ``standard``."""
        return "fused" if is_fused(onnx.load_from_string(data)) else "standard"

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
    possible = answer_names(program)
    possible += ["votes"] if program.vote is not None else []
    possible += ["valid"] if guards and program.guards else []
    if outputs is None:
        return possible
    wanted = [outputs] if isinstance(outputs, str) else list(outputs)
    unknown = [name for name in wanted if name not in possible]
    if unknown or not wanted:
        raise ConfigError(f"onnx: outputs: expected some of {possible}, got {wanted}")
    return [name for name in possible if name in wanted]


def _emit_guards(program: EnsembleProgram, graph: Graph) -> str:
    """Emit the guards; return the name of valid [n]."""
    valid = ""
    for guard in program.guards:
        passed = graph.fragment(guard.rule, ["features"], f"guard.{guard.name}", graph.rows)
        valid = graph.add("And", [valid, passed], "valid") if valid else passed
    return valid


def _model(program: EnsembleProgram, graph: Graph, outputs: Mapping[str, str]) -> onnx.ModelProto:
    """Put the graph together, inline the fragments, name the outputs, check everything."""
    types = answer_types(program, graph)
    types["votes"] = (types["votes"][0], ["n", len(program.members), program.vote_width])
    types["valid"] = (TensorProto.BOOL, ["n"])
    row = helper.np_dtype_to_tensor_dtype(graph.rows)
    model = graph.model(
        [helper.make_tensor_value_info("features", row, ["n", len(program.schema)])],
        [helper.make_tensor_value_info(name, *types[name]) for name in outputs],
        outputs,
        IR_VERSION_OF_SETS if graph.has_sets else IR_VERSION,
    )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise PluginError(
            f"the graph is no valid ONNX model; look at the fragments {graph.fragments}: {' '.join(str(error).split())}"
        ) from error
    return model


@hookimpl
def glulam_exporter() -> type[Exporter]:
    """Offer the ONNX exporter."""
    return OnnxExporter
