"""Trees that test for sets: onnxruntime takes the way that the interpreter takes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glulam._signature import numeric_schema
from glulam.decision import Decision
from glulam.exporting import Run
from glulam.forest import Forest, Tree
from glulam.interpreter import member_vote
from glulam.program import EnsembleProgram, LoweredMember
from glulam_exporters.onnx import OnnxExporter

ODD = np.array([-1, -2, -0.5, 0.5, 1.5, 2.25, np.nan, np.inf, -np.inf, 1e30, 2**24, 2**24 + 2, 32, 33, 64, 65, 1e9])


def program(forest: Forest, rows: str = "float32") -> EnsembleProgram:
    """Return a regression of one forest."""
    return EnsembleProgram(
        numeric_schema(forest.n_features), "regression", np.empty(0), ("f",), (LoweredMember(forest),), np.ones(1),
        "", None, Decision(), rows=rows,
    )  # fmt: skip


@st.composite
def trees(draw) -> Tree:
    """Return a tree of three nodes on two features, each with a set or a threshold, leaves told apart by value."""
    sets = {}
    for node in range(3):
        if draw(st.booleans()):
            sets[node] = draw(
                st.sets(st.integers(0, draw(st.sampled_from([3, 33, 70, 3000]))), min_size=1, max_size=40)
            )
    values = [draw(st.integers(0, 2**16)) for _ in range(4)]
    return Tree(
        draw(st.lists(st.integers(0, 1), min_size=3, max_size=3)),
        draw(st.lists(st.sampled_from([-0.5, 0.5, 1.0, 2.0, 32.5]), min_size=3, max_size=3)),
        [1, -1, -3], [2, -2, -4], draw(st.lists(st.booleans(), min_size=3, max_size=3)), values,
        sets={node: sorted(found) for node, found in sets.items()},
    )  # fmt: skip


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(made=st.lists(trees(), min_size=1, max_size=4), codes=st.lists(st.integers(0, 80), min_size=30, max_size=30))
def test_every_code_goes_its_way(made, codes):
    """Seen, unseen, negative, fractional, missing and huge codes, in float32 and in float64."""
    forest = Forest.from_trees(made, n_features=2)
    values = np.concatenate([codes, ODD])
    rows = np.column_stack([values, np.roll(values, 3)]).astype(np.float32)
    want = member_vote(LoweredMember(forest), rows)
    for precision, kind in (("float32", "float32"), ("float64", "float32"), ("float64", "float64")):
        run = Run(OnnxExporter().export(program(forest, kind), precision=precision))
        np.testing.assert_array_equal(run(rows.astype(kind)).scores, want)


def test_thousands_of_categories_stay_one_node_and_one_version_later():
    """A set of 5,000 is one node; the file has the version that onnxruntime refuses where it would answer wrongly."""
    forest = Forest.from_trees(
        [Tree([0], [0], [-1], [-2], [False], [1, 2], sets={0: range(0, 10_000, 2)})], n_features=1
    )
    data = OnnxExporter().export(program(forest), standard=True)
    model = onnx.load_from_string(data)
    assert model.ir_version == 11
    node = next(node for node in model.graph.node if node.op_type == "TreeEnsemble")
    assert {a.name: len(a.ints) for a in node.attribute}["nodes_featureids"] == 1
    rows = np.arange(10_010, dtype=np.float32)[:, None]
    got = onnxruntime.InferenceSession(data).run(None, {"features": rows})[0]
    np.testing.assert_array_equal(got, np.where((rows[:, 0] % 2 == 0) & (rows[:, 0] < 10_000), 1, 2))


@pytest.mark.parametrize("reads", ["float32", "float64"])
@given(offset=st.integers(-3, 3), threshold=st.floats(-1e30, 1e30))
@settings(deadline=None, max_examples=30)
def test_rows_of_float64_are_compared_as_the_library_compares(reads, offset, threshold):
    """Beside a threshold, float64 rows go as in a library that reads them whole, or rounds them first."""
    forest = Forest.from_trees([Tree([0], [threshold], [-1], [-2], [True], [1, 2])], n_features=1, reads=reads)
    row = np.array([[threshold]])
    for _ in range(abs(offset)):
        row = np.nextafter(row, np.sign(offset) * np.inf)
    want = forest.raw(row)
    run = Run(OnnxExporter().export(program(forest, "float64"), precision="float64"))
    np.testing.assert_array_equal(run(row).scores, want)
