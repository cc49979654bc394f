"""Forests of any shape, exported and answered by the reference interpreter, onnxruntime's own kernel and this one."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper
from oracles import SPECIAL, codes, rows_of

from glulam import kernel
from glulam.forest import Forest, Tree
from glulam.interpreter import member_vote
from glulam.program import LoweredMember
from glulam_exporters.onnx import IR_VERSION
from glulam_exporters.onnx._forest import emit_forest
from glulam_exporters.onnx._graph import Graph

pytestmark = pytest.mark.skipif(not kernel.available(), reason=f"no kernel here: {kernel.reason()}")

FEATURES = 5
ROWS = 40
SUFFIXES = {"float32": onnx.TensorProto.FLOAT, "float64": onnx.TensorProto.DOUBLE}

finite = st.floats(-100, 100, width=32)
thresholds = st.one_of(
    finite,
    st.integers(-3, 12).map(float),
    st.sampled_from([float(value) for value in SPECIAL] + [float("inf"), float("-inf")]),
    st.floats(-2, 2),  # of float64: the exporter has to round them for rows of float32
)
sets = st.one_of(
    st.lists(st.integers(0, 40), min_size=1, max_size=8), st.lists(st.integers(0, 2000), min_size=25, max_size=60)
)


@st.composite
def trees(draw: st.DrawFn, width: int, output: int) -> Tree:
    """Return a tree grown by turning leaves into nodes, one after another: a chain, a bush, or a leaf alone."""
    left, right, feature, threshold, nan_left, members = [-1], [-1], [0], [0.0], [False], {}
    leaves = [0]
    for which in draw(st.lists(st.integers(0, 30), max_size=draw(st.sampled_from([0, 3, 12, 60])))):
        node = leaves.pop(which % len(leaves))
        feature[node] = draw(st.integers(0, FEATURES - 1))
        # A column is of numbers or of categories.
        if feature[node] == FEATURES - 1:
            members[node] = draw(sets)
        else:
            threshold[node] = draw(thresholds)
        nan_left[node] = draw(st.booleans())
        left[node], right[node] = len(left), len(left) + 1
        leaves += [len(left), len(left) + 1]
        for table, value in ((left, -1), (right, -1), (feature, 0), (threshold, 0.0), (nan_left, False)):
            table += [value, value]
    value = np.array(draw(st.lists(finite, min_size=8, max_size=8)))
    values = value[np.arange(len(left) * width) % 8].reshape(len(left), width) + np.arange(len(left))[:, None] / 8
    return Tree.from_nodes(left, right, feature, threshold, nan_left, values, output, members)


@st.composite
def forests(draw: st.DrawFn) -> Forest:
    """Return a forest whose trees add to one output each, or whose leaves add to all."""
    outputs = draw(st.integers(1, 4))
    wide = draw(st.booleans())
    n_trees = draw(st.integers(1, 7))
    made = [draw(trees(outputs if wide else 1, 0 if wide else tree % outputs)) for tree in range(n_trees)]
    base = draw(st.lists(finite, min_size=outputs, max_size=outputs))
    return Forest.from_trees(made, n_features=FEATURES, base=base)


def exported(forest: Forest, precision: str) -> bytes:
    """Return a file of the forest's sums, for rows of a precision."""
    dtype = np.dtype(precision)
    graph = Graph(dtype, 18)
    name = emit_forest(forest, graph, "features", "sums")
    model = graph.model(
        [helper.make_tensor_value_info("features", SUFFIXES[precision], ["n", forest.n_features])],
        [helper.make_tensor_value_info("sums", SUFFIXES[precision], ["n", forest.n_outputs])],
        {"sums": name},
        IR_VERSION + 1,  # sets need it
    )
    return model.SerializeToString()


def nasty(code: np.ndarray, forest: Forest) -> np.ndarray:
    """Return float32 rows at thresholds and next to them, with infinities, NaN and special values."""
    with np.errstate(over="ignore"):  # next to the largest number is infinity
        return rows_of(code, [forest], SPECIAL[:, None].repeat(FEATURES, axis=1), infinite=True)


def options() -> onnxruntime.SessionOptions:
    """Return options of one thread, on which onnxruntime's own kernel adds leaves in the order of the trees."""
    made = onnxruntime.SessionOptions()
    made.intra_op_num_threads = 1
    return made


def answers(file: bytes, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what onnxruntime's own kernel answers, and what this one does, which must not have refused the file."""
    builtin = onnxruntime.InferenceSession(file, options(), providers=["CPUExecutionProvider"])
    ours, why = kernel.open_session(file, options(), providers=["CPUExecutionProvider"])
    assert why is None
    alone = np.concatenate([ours.run(None, {"features": row[None]})[0] for row in rows])
    batch = ours.run(None, {"features": rows})[0]
    np.testing.assert_array_equal(alone, batch)
    return builtin.run(None, {"features": rows})[0], batch


examples = settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@examples
@given(forest=forests(), code=codes(ROWS, FEATURES))
def test_sums_are_the_bits_of_the_built_in_kernel_and_the_interpreters_numbers(forest, precision, code):
    """Sums have the built-in kernel's bits, and differ from the interpreter's by rounding alone."""
    rows = nasty(code, forest).astype(precision)
    builtin, ours = answers(exported(forest, precision), rows)
    np.testing.assert_array_equal(ours, builtin)
    want = member_vote(LoweredMember(forest), rows)
    eps = np.finfo(precision).eps
    size = np.abs(forest.base).max() + np.abs(forest.leaf_value).max() * forest.n_trees
    np.testing.assert_allclose(ours, want, rtol=0, atol=eps * size * (forest.n_trees + 2))


@pytest.mark.parametrize("precision", ["float32", "float64"])
@examples
@given(forest=forests(), code=codes(ROWS, FEATURES))
def test_every_leaf_is_the_interpreters(forest, precision, code):
    """With the leaves' numbers as their values, each tree tells which leaf it came to: the same for all three."""
    rows = nasty(code, forest).astype(precision)
    numbered = dataclasses.replace(
        forest,
        leaf_value=np.arange(len(forest.leaf_value), dtype=np.float64)[:, None],
        tree_output=np.arange(forest.n_trees, dtype=np.int32),
        base=np.zeros(forest.n_trees),
    )
    builtin, ours = answers(exported(numbered, precision), rows)
    np.testing.assert_array_equal(ours.astype(np.int64), forest.leaves(rows))
    np.testing.assert_array_equal(ours, builtin)
