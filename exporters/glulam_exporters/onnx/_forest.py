"""From Forest tables to an ai.onnx.ml 5 TreeEnsemble node."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from glulam.forest import Forest
from glulam_exporters.onnx._graph import Graph

_LEQ, _SUM, _NO_TRANSFORM = 0, 1, 0


def emit_forest(forest: Forest, graph: Graph, features: str, name: str) -> str:
    """Emit a forest; return the name of its undivided sums [n, n_outputs].

    One node an output: onnxruntime adds up a single target in a faster way than several, and a
    leaf cannot add to several targets anyway.
    """
    if forest.n_outputs == 1:
        return _emit(forest.output(0), graph, features, name)
    parts = [_emit(forest.output(index), graph, features, f"{name}.{index}") for index in range(forest.n_outputs)]
    return graph.add("Concat", parts, f"{name}.sums", axis=1)


def _emit(forest: Forest, graph: Graph, features: str, name: str) -> str:
    """Emit one TreeEnsemble node for a forest of one output."""
    weight = _with_base(forest)
    left, right, roots = forest.left, forest.right, forest.roots.copy()
    feature, threshold, nan_left = forest.feature, forest.threshold, forest.nan_left
    # A root must be a node: a tree of one leaf becomes a node with that leaf on one side and its
    # twin on the other (onnxruntime before 1.30 misreads a node with the same leaf on both).
    single = np.flatnonzero(roots < 0)
    if single.size:
        twins = ~(len(weight) + np.arange(single.size))
        left, right = np.append(left, roots[single]), np.append(right, twins)
        weight = np.append(weight, weight[~roots[single]])
        feature = np.append(feature, np.zeros(single.size, dtype=feature.dtype))
        threshold = np.append(threshold, np.zeros(single.size, dtype=threshold.dtype))
        nan_left = np.append(nan_left, np.zeros(single.size, dtype=bool))
        roots[single] = forest.feature.size + np.arange(single.size)
    left, right, weight = _with_distinct_numbers(left, right, weight)
    node = onnx.NodeProto(op_type="TreeEnsemble", domain="ai.onnx.ml", input=[features])
    node.attribute.extend(
        [
            helper.make_attribute("n_targets", 1),
            helper.make_attribute("aggregate_function", _SUM),
            helper.make_attribute("post_transform", _NO_TRANSFORM),
            _tensor("nodes_splits", threshold.astype(graph.dtype)),
            _tensor("nodes_modes", np.full(feature.size, _LEQ, dtype=np.uint8)),
            _tensor("leaf_weights", weight.astype(graph.dtype)),
        ]
    )
    for attribute, values in (
        ("tree_roots", roots),
        ("nodes_featureids", feature),
        ("nodes_truenodeids", np.where(left < 0, ~left, left)),
        ("nodes_falsenodeids", np.where(right < 0, ~right, right)),
        ("nodes_trueleafs", left < 0),
        ("nodes_falseleafs", right < 0),
        ("nodes_missing_value_tracks_true", nan_left),
        ("leaf_targetids", np.zeros(len(weight))),
    ):
        node.attribute.append(_integers(attribute, values))
    return graph.add_node(node, name)


def _with_base(forest: Forest) -> npt.NDArray[np.float64]:
    """Return leaf values with the base added to the first tree.

    That is one node fewer than an Add, and the library's own order: it starts from the base and
    adds tree after tree. Rounded to float32, the sum of two float32 numbers is theirs in float32.
    """
    value = forest.leaf_value[:, 0].copy()
    value[forest.leaf_trees() == 0] += forest.base[0]
    return value


def _with_distinct_numbers(
    left: npt.NDArray[Any], right: npt.NDArray[Any], weight: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Return the tables with leaves numbered so that no node has an inner child and a leaf of one number.

    onnxruntime before 1.25 takes such a node for a tree of one leaf: it compares the two numbers
    without asking what they number. Turning all leaf numbers on by some places avoids it. Each node
    forbids one number of places, and there are more leaves than nodes, so one is always free.
    """
    count = len(weight)
    mixed = (left < 0) != (right < 0)
    inner, leaf = np.maximum(left, right)[mixed], ~np.minimum(left, right)[mixed]
    free = np.ones(count, dtype=bool)
    free[(inner - leaf) % count] = False
    turn = int(np.argmax(free))

    def turned(pointer: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.where(pointer < 0, ~((~pointer + turn) % count), pointer)

    return turned(left), turned(right), np.roll(weight, turn)


def _integers(name: str, values: npt.NDArray[Any]) -> onnx.AttributeProto:
    """Return an INTS attribute; `helper.make_attribute` would look at each number several times."""
    attribute = onnx.AttributeProto(name=name, type=onnx.AttributeProto.INTS)
    attribute.ints.extend(values.astype(np.int64).tolist())
    return attribute


def _tensor(name: str, values: npt.NDArray[Any]) -> onnx.AttributeProto:
    return helper.make_attribute(name, numpy_helper.from_array(values))
