"""From Forest tables to an ai.onnx.ml 5 TreeEnsemble node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from glulam.forest import Forest, float32_at_or_below
from glulam_exporters.onnx._graph import Graph

_LEQ, _MEMBER, _SUM, _NO_TRANSFORM = 0, 6, 1, 0


def emit_forest(forest: Forest, graph: Graph, source: str, name: str, arithmetic: str = "float64") -> str:
    """Emit a forest on a matrix of its features; return the name of its undivided sums [n, n_outputs].

    One node an output: onnxruntime adds up a single target in a faster way than several, and a
    leaf cannot add to several targets anyway. A library whose own ``arithmetic`` is float32 is
    followed in that, also where the graph computes in float64.
    """
    dtype = _summed(forest, graph, source, arithmetic)
    values, narrow = _compared(forest, graph, source, dtype)
    if forest.category_set.size:
        forest, values = _emit_whole(forest, graph, values, dtype)
        graph.has_sets = True
    outputs = range(forest.n_outputs)
    names = [name] if forest.n_outputs == 1 else [f"{name}.{index}" for index in outputs]
    parts = [_emit(forest.output(index), graph, values, dtype, narrow, names[index]) for index in outputs]
    sums = parts[0] if len(parts) == 1 else graph.add("Concat", parts, f"{name}.sums", axis=1)
    return graph.cast(sums, graph.dtype, dtype)


def _summed(forest: Forest, graph: Graph, source: str, arithmetic: str) -> np.dtype[Any]:
    """Return the type that leaves are added in."""
    float32 = np.dtype(np.float32)
    reads = graph.type_of(source) == float32 or forest.reads == "float32"
    own = arithmetic == "float32" and reads and np.array_equal(forest.leaf_value.astype(float32), forest.leaf_value)
    return float32 if own else graph.dtype


def _compared(forest: Forest, graph: Graph, source: str, dtype: np.dtype[Any]) -> tuple[str, bool]:
    """Return the matrix as the library reads it, in a type, and whether it holds float32 numbers only."""
    float32 = np.dtype(np.float32)
    if graph.type_of(source) == float32:
        return graph.cast(source, dtype), True
    if forest.reads == "float64":
        return graph.cast(source, dtype), False
    rounded = graph.cast(source, float32)
    return graph.cast(rounded, dtype, float32), True


def _emit_whole(forest: Forest, graph: Graph, values: str, dtype: np.dtype[Any]) -> tuple[Forest, str]:
    """Emit categorical columns with fractions made -1, which is in no set; return forest and matrix to go on with.

    onnxruntime keeps sets of small numbers as bits, and takes 2.5 for the 2 among them. Columns that
    thresholds are compared with as well come a second time.
    """
    columns = np.zeros((1, forest.n_features), dtype=bool)
    columns[0, forest.feature[forest.is_categorical]] = True

    def make() -> str:
        fraction = graph.add("Sub", [values, graph.add("Floor", [values], "floor")], "fraction")
        odd = graph.add("Greater", [fraction, graph.constant(np.array(0.0), "zero", dtype=dtype)], "fractional")
        odd = graph.add("And", [odd, graph.constant(columns, "categorical")], "odd")
        return graph.add("Where", [odd, graph.constant(np.array(-1.0), "nowhere", dtype=dtype), values], "codes")

    codes = graph.once((values, columns.tobytes().hex()), make)
    if not columns[0, forest.feature[~forest.is_categorical]].any():
        return forest, codes
    feature = np.where(forest.is_categorical, forest.feature + forest.n_features, forest.feature).astype(np.int32)
    both = graph.once((codes, "both"), lambda: graph.add("Concat", [values, codes], "both", axis=1))
    return replace(forest, feature=feature, n_features=2 * forest.n_features), both


def _emit(forest: Forest, graph: Graph, values: str, dtype: np.dtype[Any], narrow: bool, name: str) -> str:
    """Emit one TreeEnsemble node for a forest of one output, on values of a type; it adds up in the same."""
    weight = _with_base(forest)
    left, right, roots = forest.left, forest.right, forest.roots.copy()
    feature, nan_left = forest.feature, forest.nan_left
    # Values of float32 need not be told apart by more: the float32 that decides like the library's threshold.
    threshold = float32_at_or_below(forest.threshold) if narrow else forest.threshold
    mode = np.where(forest.is_categorical, _MEMBER, _LEQ).astype(np.uint8)
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
        mode = np.append(mode, np.full(single.size, _LEQ, dtype=np.uint8))
        roots[single] = forest.feature.size + np.arange(single.size)
    left, right, weight = _with_distinct_numbers(left, right, weight)
    graph.reserve(_size(left, right, feature, weight.nbytes + threshold.size * dtype.itemsize))
    node = onnx.NodeProto(op_type="TreeEnsemble", domain="ai.onnx.ml", input=[values])
    node.attribute.extend(
        [
            helper.make_attribute("n_targets", 1),
            helper.make_attribute("aggregate_function", _SUM),
            helper.make_attribute("post_transform", _NO_TRANSFORM),
            _tensor("nodes_splits", threshold.astype(dtype)),
            _tensor("nodes_modes", mode),
            _tensor("leaf_weights", weight.astype(dtype)),
        ]
    )
    if (mode == _MEMBER).any():
        node.attribute.append(_tensor("membership_values", _member_values(forest).astype(dtype)))
    for attribute, numbers in (
        ("tree_roots", roots),
        ("nodes_featureids", feature),
        ("nodes_truenodeids", np.where(left < 0, ~left, left)),
        ("nodes_falsenodeids", np.where(right < 0, ~right, right)),
        ("nodes_trueleafs", left < 0),
        ("nodes_falseleafs", right < 0),
        ("nodes_missing_value_tracks_true", nan_left),
        ("leaf_targetids", np.zeros(len(weight))),
    ):
        node.attribute.append(_integers(attribute, numbers))
    return graph.add_node(node, name)


def _size(left: npt.NDArray[Any], right: npt.NDArray[Any], feature: npt.NDArray[Any], n_bytes: int) -> int:
    """Return about how many bytes a forest takes: numbers as protobuf writes them, seven bits a byte."""
    ids = sum(int(np.ceil(np.log2(np.maximum(np.abs(each), 1) + 1) / 7).sum()) for each in (left, right, feature))
    return ids + 5 * feature.size + n_bytes


def _member_values(forest: Forest) -> npt.NDArray[np.float64]:
    """Return the sets of all categorical nodes in turn, a NaN after each."""
    sets = forest.category_sets()
    used = forest.category_set[forest.is_categorical]
    return np.concatenate([part for number in used for part in (sets[number], [np.nan])])


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
