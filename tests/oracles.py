"""Helpers for tests that hold native library, reference interpreter and onnxruntime together."""

from __future__ import annotations

import dataclasses

import hypothesis.extra.numpy as hnp
import numpy as np
import onnx
import onnxruntime
from hypothesis import strategies as st
from onnx import helper

from glulam._rows import thresholds
from glulam.forest import Forest
from glulam_exporters.onnx import IR_VERSION
from glulam_exporters.onnx._forest import emit_forest
from glulam_exporters.onnx._graph import Graph

SPECIAL = np.array(
    [0.0, -0.0, 1e-45, -1e-45, 1e-36, -1e-36, 1e-35, -1e-35, 1.1e-35, -1.1e-35, 3.4028235e38, -3.4028235e38],
    dtype=np.float32,
)


def codes(n_rows: int, n_features: int):
    """Return a strategy of integers that `rows_of` turns into rows: what kind of value, and which."""
    return hnp.arrays(np.int64, (n_rows, n_features, 2), elements=st.integers(0, 2**31))


def rows_of(code: np.ndarray, forests: list[Forest], training: np.ndarray, *, infinite: bool = False) -> np.ndarray:
    """Return float32 rows of thresholds and their neighbours, NaN, special and training values."""
    kind, which = code[..., 0] % (8 if infinite else 7), code[..., 1]
    rows = np.empty(kind.shape, dtype=np.float32)
    for feature in range(rows.shape[1]):
        known = thresholds(forests, feature)
        on = known[which[:, feature] % known.size] if known.size else np.zeros(len(rows), dtype=np.float32)
        rows[:, feature] = np.select(
            [kind[:, feature] == number for number in range(7)],
            [
                on,
                np.nextafter(on, np.float32(-np.inf)),
                np.nextafter(on, np.float32(np.inf)),
                np.full(len(rows), np.nan, dtype=np.float32),
                training[which[:, feature] % len(training), feature],
                SPECIAL[which[:, feature] % SPECIAL.size],
                on,
            ],
            default=np.where(which[:, feature] % 2, np.inf, -np.inf),
        )
    return rows


def onnxruntime_leaves(forest: Forest) -> onnxruntime.InferenceSession:
    """Return a session whose output is the leaf of each row in each tree, float32 [n, n_trees].

    The same tables are exported with one target a tree and leaf numbers as leaf values: so
    onnxruntime itself tells which leaf it took.
    """
    numbered = dataclasses.replace(
        forest,
        leaf_value=np.arange(len(forest.leaf_value), dtype=np.float64)[:, None],
        tree_output=np.arange(forest.n_trees, dtype=np.int32),
        base=np.zeros(forest.n_trees),
    )
    graph = Graph(np.dtype(np.float32), 18)
    name = emit_forest(numbered, graph, "features", "leaves")
    model = graph.model(
        [helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["n", forest.n_features])],
        [helper.make_tensor_value_info("leaves", onnx.TensorProto.FLOAT, ["n", forest.n_trees])],
        {"leaves": name},
        IR_VERSION,
    )
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
