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

    A TreeEnsemble leaf adds to one target. A forest whose leaves hold several columns is written
    once a column, each without the subtrees that make no difference to it.
    """
    if forest.leaf_width == 1:
        return _emit(forest, graph, features, name)
    parts = [_emit(forest.column(index), graph, features, f"{name}.{index}") for index in range(forest.leaf_width)]
    return graph.add("Concat", parts, f"{name}.sums", axis=1)


def _emit(forest: Forest, graph: Graph, features: str, name: str) -> str:
    """Emit one TreeEnsemble node for leaves of one column."""
    target = forest.tree_output[forest.leaf_trees()]
    weight = _with_base(forest)
    left, right, roots = forest.left, forest.right, forest.roots.copy()
    feature, threshold, nan_left = forest.feature, forest.threshold, forest.nan_left
    # A sum that no tree adds to is a tree of one leaf, its base.
    for output in np.setdiff1d(np.arange(forest.n_outputs), forest.tree_output):
        roots = np.append(roots, ~np.int32(len(weight)))
        weight = np.append(weight, forest.base[output])
        target = np.append(target, output)
    # A root must be a node: a tree of one leaf becomes a node with that leaf on one side and its
    # twin on the other (onnxruntime before 1.30 misreads a node with the same leaf on both).
    single = np.flatnonzero(roots < 0)
    if single.size:
        twins = ~(len(weight) + np.arange(single.size))
        left, right = np.append(left, roots[single]), np.append(right, twins)
        weight, target = np.append(weight, weight[~roots[single]]), np.append(target, target[~roots[single]])
        feature = np.append(feature, np.zeros(single.size, dtype=feature.dtype))
        threshold = np.append(threshold, np.zeros(single.size, dtype=threshold.dtype))
        nan_left = np.append(nan_left, np.zeros(single.size, dtype=bool))
        roots[single] = forest.feature.size + np.arange(single.size)
    node = onnx.NodeProto(op_type="TreeEnsemble", domain="ai.onnx.ml", input=[features])
    node.attribute.extend(
        [
            helper.make_attribute("n_targets", forest.n_outputs),
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
        ("leaf_targetids", target),
    ):
        node.attribute.append(_integers(attribute, values))
    return graph.add_node(node, name)


def _with_base(forest: Forest) -> npt.NDArray[np.float64]:
    """Return leaf values with each base added to the first tree of its output.

    That is one node fewer than an Add, and the library's own order: it starts from the base and
    adds tree after tree. Rounded to float32, the sum of two float32 numbers is theirs in float32.
    """
    value = forest.leaf_value[:, 0].copy()
    trees = forest.leaf_trees()
    for output, base in enumerate(forest.base):
        first = np.flatnonzero(forest.tree_output == output)[:1]
        if base and first.size:
            here = trees == first[0]
            value[here] += base
    return value


def _integers(name: str, values: npt.NDArray[Any]) -> onnx.AttributeProto:
    """Return an INTS attribute; `helper.make_attribute` would look at each number several times."""
    attribute = onnx.AttributeProto(name=name, type=onnx.AttributeProto.INTS)
    attribute.ints.extend(values.astype(np.int64).tolist())
    return attribute


def _tensor(name: str, values: npt.NDArray[Any]) -> onnx.AttributeProto:
    return helper.make_attribute(name, numpy_helper.from_array(values))
