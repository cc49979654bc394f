"""The standard operators as the library serves them: to the bit what onnxruntime's own kernels answer on one thread."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel import op_models
from kernel.op_models import node_of, same, session
from onnx import TensorProto

from glulam import kernel

LIBRARY = str(kernel.path())

# One tree of one split for each operator: columns 0, 10 where it is at most 0.5, else 20.
SPLIT_5: dict[str, Any] = {
    "n_targets": 1,
    "nodes_modes": np.array([0], np.uint8),
    "nodes_splits": np.array([0.5], np.float32),
    "nodes_featureids": [0],
    "nodes_truenodeids": [0],
    "nodes_trueleafs": [1],
    "nodes_falsenodeids": [1],
    "nodes_falseleafs": [1],
    "leaf_targetids": [0, 0],
    "leaf_weights": np.array([10, 20], np.float32),
    "tree_roots": [0],
}
NODES_3: dict[str, Any] = {
    "nodes_treeids": [0, 0, 0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_featureids": [0, 0, 0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
    "nodes_values": [0.5, 0.0, 0.0],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
}
REGRESSOR: dict[str, Any] = NODES_3 | {
    "n_targets": 1,
    "target_treeids": [0, 0],
    "target_nodeids": [1, 2],
    "target_ids": [0, 0],
    "target_weights": [10.0, 20.0],
}
CLASSIFIER: dict[str, Any] = NODES_3 | {
    "classlabels_int64s": [7, 8],
    "class_treeids": [0, 0],
    "class_nodeids": [1, 2],
    "class_ids": [0, 0],
    "class_weights": [-10.0, 20.0],
}
BASES = {"TreeEnsemble": SPLIT_5, "TreeEnsembleRegressor": REGRESSOR, "TreeEnsembleClassifier": CLASSIFIER}


def changed(operator: str, **changes: Any) -> bytes:
    """Return the tree of one split with some attributes put in place of others; None takes one away."""
    attributes = {k: v for k, v in (BASES[operator] | changes).items() if v is not None}
    return node_of(operator, attributes, double=False)


def ask(content: bytes, rows: np.ndarray, library: str | None = LIBRARY, threads: int = 1) -> list[np.ndarray]:
    """Return the answers of a new session."""
    answers: list[np.ndarray] = session(content, library, threads).run(None, {"rows": rows})
    return answers


def loaded() -> ctypes.CDLL:
    """Return the library for calls of its own functions."""
    library = ctypes.CDLL(LIBRARY)
    library.glulam_kernels.restype = ctypes.c_int64
    return library


@settings(max_examples=250, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_answers_are_onnxruntimes_own(seed: int) -> None:
    """Any model of any of the operators: the same bits as without the library, on one thread."""
    model = op_models.random_model(seed)
    before = loaded().glulam_kernels()
    ours = ask(model.content, model.rows)
    assert loaded().glulam_kernels() == before + 1
    assert same(ours, ask(model.content, model.rows, library=None))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_row_has_one_answer(seed: int) -> None:
    """Alone, in any batch, and on any number of threads a row gets the same bits."""
    model = op_models.random_model(seed)
    rows = np.tile(model.rows, (12, 1))
    whole = ask(model.content, rows)
    assert same(whole, ask(model.content, rows, threads=2))
    alone = session(model.content, LIBRARY)
    for i in range(0, 40, 3):
        one = alone.run(None, {"rows": rows[i : i + 1]})
        assert same([out[i : i + 1] for out in whole], one)
    assert same([out[7:100] for out in whole], alone.run(None, {"rows": rows[7:100]}))


@pytest.mark.parametrize("double", [False, True])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_members_are_the_standards(double: bool, data: st.DataObject) -> None:
    """Sets hold exactly their values, fractions and negative ones as well, where onnxruntime's own take 2.5 for 2."""
    dtype = np.float64 if double else np.float32
    number = st.one_of(st.integers(-70, 70).map(float), st.floats(-1e6, 1e6, width=32), st.just(math.inf))
    members = np.array(data.draw(st.lists(number, min_size=1, max_size=80)), dtype)
    beside = [np.nextafter(m, dtype(d)) for m in members[:5] for d in (-np.inf, np.inf)]
    asked = [*members, *(members + dtype(0.5)), *beside, 0.0, -0.0, np.nan, -np.inf, *data.draw(st.lists(number))]
    rows = np.array(asked, dtype)[:, None]
    nan_true = data.draw(st.integers(0, 1))
    content = node_of(
        "TreeEnsemble",
        SPLIT_5
        | {
            "nodes_modes": np.array([op_models.MEMBER], np.uint8),
            "nodes_splits": np.zeros(1, dtype),
            "membership_values": members,
            "nodes_missing_value_tracks_true": [nan_true],
            "leaf_weights": np.array([10, 20], dtype),
        },
        double,
    )
    held = {float(m) for m in members}
    expected = [10 if (float(x) in held or (math.isnan(x) and nan_true)) else 20 for x in rows[:, 0]]
    assert ask(content, rows)[0][:, 0].tolist() == expected


@pytest.mark.parametrize("nan_true", [0, 1])
@pytest.mark.parametrize("values", [[1.0, 2.0, 4.0], [3.0, 100.0], [-1.0, 5.0, 7.0, 30.0]])
def test_equal_tests_in_a_chain_share_a_node(values: list[float], nan_true: int) -> None:
    """Where tests for equality lead to one node, as converters write sets, the model is served."""
    n = len(values)
    content = changed(
        "TreeEnsembleRegressor",
        nodes_treeids=[0] * (n + 4),
        nodes_nodeids=list(range(n + 4)),
        nodes_featureids=[0] * n + [1] * 4,
        nodes_modes=["BRANCH_EQ"] * n + ["BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
        nodes_values=[*values, 0.5, 0.0, 0.0, 0.0],
        nodes_truenodeids=[n] * n + [n + 1, 0, 0, 0],
        nodes_falsenodeids=[*range(1, n), n + 3, n + 2, 0, 0, 0],
        nodes_missing_value_tracks_true=[nan_true] * n + [0] * 4,
        target_treeids=[0] * 3,
        target_nodeids=[n + 1, n + 2, n + 3],
        target_ids=[0] * 3,
        target_weights=[1.0, 2.0, 3.0],
    )
    rows = np.array([(x, y) for x in (*range(-3, 9), 30, 100, 101, np.nan) for y in (0, 1)], np.float32)
    assert same(ask(content, rows), ask(content, rows, library=None))


@pytest.mark.parametrize("post", ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"])
@pytest.mark.parametrize("base", [None, [0.25], [0.25, -0.125]])
@pytest.mark.parametrize("classes", [[0, 0], [1, 1], [0, 1]])
def test_two_classes(classes: list[int], base: list[float] | None, post: str) -> None:
    """Each way to write two classes, with the labels that onnxruntime gives them."""
    if classes == [0, 1] and base == [0.25]:
        return  # refused: see REFUSED
    content = changed("TreeEnsembleClassifier", class_ids=classes, base_values=base, post_transform=post)
    rows = np.array([[0], [1], [np.nan]], np.float32)
    assert same(ask(content, rows), ask(content, rows, library=None))


@pytest.mark.parametrize(
    ("type_number", "dtype"),
    [
        (TensorProto.FLOAT, np.float32),
        (TensorProto.DOUBLE, np.float64),
        (TensorProto.INT64, np.int64),
        (TensorProto.INT32, np.int32),
    ],
)
def test_classifier_rows_of_any_type(type_number: int, dtype: Any) -> None:
    """A classifier takes all four types, and large whole numbers as onnxruntime compares them."""
    content = node_of("TreeEnsembleClassifier", CLASSIFIER | {"nodes_values": [2.0**24, 0, 0]}, False, type_number)
    rows = np.array([[0], [2**24], [2**24 + 1], [2**24 + 2], [-(2**30)]]).astype(dtype)
    ours = ask(content, rows)
    assert same(ours, ask(content, rows, library=None))
    assert set(ours[0].tolist()) == {7, 8}


def test_labels_that_are_texts() -> None:
    """Where a session is shown the operators for texts, such labels are served as well."""
    attributes = CLASSIFIER | {"classlabels_int64s": None, "classlabels_strings": ["näh", "far"]}
    content = changed("TreeEnsembleClassifier", **attributes)
    rows = np.array([[0], [1]], np.float32)
    library = loaded()
    library.glulam_show(2)
    try:
        made = session(content, LIBRARY)
        with pytest.raises(Exception, match="classlabels_strings: none, but texts were asked for|Type Error"):
            session(changed("TreeEnsembleClassifier"), LIBRARY)
    finally:
        library.glulam_show(0)
    assert made.run(None, {"rows": rows})[0].tolist() == ["näh", "far"]
    assert same(made.run(None, {"rows": rows}), ask(content, rows, library=None))


def test_operators_show_where_they_are_asked_for() -> None:
    """What is registered as an offer serves sessions that ask for it; hidden, nothing is served."""
    library, content = loaded(), changed("TreeEnsemble")
    served = {}
    for registered in (0, 1):
        options = onnxruntime.SessionOptions()
        library.glulam_show(registered)
        try:
            options.register_custom_ops_library(LIBRARY)
            for shown in (-1, 0, 1):
                library.glulam_show(shown)
                before = library.glulam_kernels()
                onnxruntime.InferenceSession(content, options)
                served[registered, shown] = library.glulam_kernels() - before
        finally:
            library.glulam_show(0)
    assert served == {(0, -1): 0, (0, 0): 1, (0, 1): 1, (1, -1): 0, (1, 0): 0, (1, 1): 1}


@pytest.mark.parametrize("operator", list(BASES))
def test_shapes_of_rows(operator: str) -> None:
    """No rows, one row, a vector of one column, and more columns than are read."""
    content = changed(operator)
    for shape in [(0, 1), (0, 3), (1, 1), (4, 9), (1,)]:
        rows = np.ones(shape, np.float32)
        assert same(ask(content, rows), ask(content, rows, library=None))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((2, 2)), "glulam: TreeEnsemble: input has 2 columns, but the model reads 4"),
        (np.ones((0, 2)), "glulam: TreeEnsemble: input has 2 columns, but the model reads 4"),
        (np.ones(9), "glulam: TreeEnsemble: input has one dimension, but the model reads 4 columns; expected rows x"),
        (np.ones((2, 2, 2)), "glulam: TreeEnsemble: input has 3 dimensions; expected rows x columns"),
        (np.ones(()), "glulam: TreeEnsemble: input has 0 dimensions; expected rows x columns"),
    ],
)
def test_rows_that_cannot_be_asked(rows: np.ndarray, message: str) -> None:
    """An error says what came and what is needed, and onnxruntime's own kernel refuses the same rows."""
    content = changed("TreeEnsemble", nodes_featureids=[3])
    for library, text in ((LIBRARY, message), (None, None)):
        made = session(content, library)
        with pytest.raises(Exception, match=text):
            made.run(None, {"rows": rows.astype(np.float32)})
        assert made.run(None, {"rows": np.ones((1, 4), np.float32)})[0].tolist() == [[20]]


def of_5(**changes: Any) -> tuple[str, dict[str, Any]]:
    """Return a change of the operator's tree of one split."""
    return "TreeEnsemble", changes


def of_3(**changes: Any) -> tuple[str, dict[str, Any]]:
    """Return a change of the operator's tree of one split."""
    return "TreeEnsembleRegressor", changes


def of_classes(**changes: Any) -> tuple[str, dict[str, Any]]:
    """Return a change of the operator's tree of one split."""
    return "TreeEnsembleClassifier", changes


def floats(*values: float) -> np.ndarray:
    """Return a tensor of floats."""
    return np.array(values, np.float32)


TWO_SPLITS = {
    "nodes_modes": np.array([0, 0], np.uint8),
    "nodes_splits": floats(0, 1),
    "nodes_featureids": [0, 0],
    "nodes_falseleafs": [1, 1],
    "nodes_falsenodeids": [0, 1],
}
REFUSED = [
    (of_5(n_targets=0), "n_targets: 0"),
    (of_5(n_targets=None), "n_targets: 0"),
    (of_5(n_targets=2**40), "n_targets: 1099511627776"),
    (of_5(aggregate_function=4), "aggregate_function: 4"),
    (of_5(post_transform=-1), "post_transform: -1, must be 0 to 4"),
    (of_5(nodes_modes=np.array([7], np.uint8)), "nodes_modes: 7 at 0, must be 0 to 6"),
    (of_5(nodes_modes=np.array([0], np.int64)), "nodes_modes: element type 7, needed is 2"),
    (of_5(nodes_splits=np.array([[0.5]], np.float32)), "nodes_splits: a tensor of rank 1 is needed, not 2"),
    (of_5(nodes_splits=np.array([0.5])), "nodes_splits: element type 11, needed is 1"),
    (of_5(nodes_splits=floats(1, 2)), "nodes_splits: 2 values, but nodes_modes has 1"),
    (of_5(nodes_featureids=None), "nodes_featureids: 0 values, but nodes_modes has 1"),
    (of_5(nodes_featureids=[-1]), "nodes_featureids: -1"),
    (of_5(nodes_featureids=[2**31]), "nodes_featureids: 2147483648"),
    (of_5(nodes_truenodeids=[2]), "nodes_truenodeids: 2 at 0, the model has 2 leaves"),
    (of_5(nodes_falsenodeids=[-1]), "nodes_falsenodeids: -1 at 0, the model has 2 leaves"),
    (of_5(nodes_trueleafs=[2]), "nodes_trueleafs: 2 at 0, must be 0 or 1"),
    (of_5(nodes_falseleafs=[1, 1]), "nodes_falseleafs: 2 values, but nodes_modes has 1"),
    (of_5(nodes_missing_value_tracks_true=[1, 1]), "nodes_missing_value_tracks_true: 2 values, but nodes_modes has 1"),
    (of_5(leaf_targetids=[0, 1]), "leaf_targetids: 1, the model has 1 targets"),
    (of_5(leaf_targetids=[0]), "leaf_targetids: 1 values, but leaf_weights has 2"),
    (of_5(leaf_weights=floats()), "leaf_targetids: 2 values, but leaf_weights has 0"),
    (of_5(tree_roots=None), "tree_roots: no tree"),
    (of_5(tree_roots=[1]), "tree_roots: 1, the model has 1 nodes"),
    (of_5(nodes_modes=np.array([6], np.uint8)), "membership_values: 0 values, but the model's member tests has 1"),
    (of_5(**TWO_SPLITS, nodes_trueleafs=[0, 0], nodes_truenodeids=[1, 0]), "reached twice"),
    (of_5(**TWO_SPLITS, nodes_trueleafs=[0, 0], nodes_truenodeids=[1, 1]), "reached twice"),
    (of_3(n_targets=0), "the number of targets or classes: 0"),
    (of_3(aggregate_function="MEAN"), "aggregate_function: unknown: MEAN"),
    (of_3(post_transform="TANH"), "post_transform: unknown: TANH"),
    (of_3(nodes_modes=["BRANCH_MEMBER", "LEAF", "LEAF"]), "nodes_modes: unknown: BRANCH_MEMBER"),
    (of_3(nodes_modes=["LEAF"]), "nodes_modes: 1 values, but nodes_nodeids has 3"),
    (of_3(nodes_nodeids=None), "nodes_treeids: 3 values, but nodes_nodeids has 0"),
    (of_3(nodes_nodeids=[0, 1, 1]), "nodes_nodeids: node 1 is twice in tree 0"),
    (of_3(nodes_treeids=[0, 1, 0]), "nodes_treeids: the nodes of tree 0 are not listed together"),
    (of_3(nodes_truenodeids=[3, 0, 0]), "nodes_truenodeids: no node 3 in tree 0"),
    (of_3(nodes_falsenodeids=[0, 0, 0]), "reached twice"),
    (of_3(nodes_featureids=[-7, 0, 0]), "nodes_featureids: -7"),
    (of_3(nodes_values=None), "nodes_values: 0 values, but nodes_nodeids has 3"),
    (of_3(nodes_values_as_tensor=floats(1, 2, 3)), "nodes_values: both as floats and as a tensor"),
    (of_3(target_treeids=[0, 5]), "target_treeids: no tree 5"),
    (of_3(target_nodeids=[1, 9]), "target_nodeids: no node 9 in tree 0"),
    (of_3(target_ids=[0, 1]), "target_ids: 1, the model has 1 targets"),
    (of_3(target_weights=[1.0]), "target_weights: 1 values, but target_ids has 2"),
    (of_3(target_nodeids=[1, 0]), "target_nodeids: a leaf has no value"),
    (of_3(base_values=[1.0, 2.0]), "base_values: 2 values, but n_targets has 1"),
    (of_3(nodes_modes=["BRANCH_LEQ"] * 3), "nodes_modes: no leaf"),
    (of_3(nodes_treeids=None, nodes_nodeids=None), "nodes_nodeids: no node"),
    (of_classes(classlabels_int64s=None), "classlabels_int64s: no label"),
    (of_classes(class_ids=[0, 2]), "class_ids: 2, the model has 2 classes"),
    (of_classes(class_nodeids=[1, 1]), "class_nodeids: a leaf has no value, so a row may have no class"),
    (of_classes(base_values=[1.0, 2.0, 3.0]), "base_values: 3 values for 2 classes"),
    (of_classes(class_ids=[0, 1], base_values=[1.0]), "base_values: one value for two classes with values each"),
    (of_classes(post_transform="PROBIT"), "post_transform: PROBIT of two classes"),
    (
        of_classes(post_transform="LOGISTIC", class_weights=[1.0, 2.0]),
        "post_transform: LOGISTIC of two classes where no leaf is negative",
    ),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_refusals(change: tuple[str, dict[str, Any]], message: str) -> None:
    """What the library does not take fails with a text that names the operator, the attribute and what is wrong."""
    operator, changes = change
    with pytest.raises(Exception, match="glulam: ") as error:
        session(changed(operator, **changes), LIBRARY)
    assert f"glulam: {operator}: " in str(error.value)
    assert message in str(error.value)


def test_registration_refuses_old_runtimes() -> None:
    """With a runtime that it does not know, the library says so and registers nothing."""
    told: list[tuple[int, bytes]] = []
    create_type = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)
    create = create_type(lambda code, text: told.append((code, text)) or 1)
    table = (ctypes.c_void_p * 1)(ctypes.cast(create, ctypes.c_void_p))
    get_api = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)(lambda _: ctypes.addressof(table))
    for version in (b"1.20.1", b"2.0.0", b"unheard of"):
        get_version = ctypes.CFUNCTYPE(ctypes.c_void_p)(lambda v=version: ctypes.cast(v, ctypes.c_void_p).value)
        base = (ctypes.c_void_p * 2)(ctypes.cast(get_api, ctypes.c_void_p), ctypes.cast(get_version, ctypes.c_void_p))
        register = loaded().RegisterCustomOps
        register.restype = ctypes.c_void_p
        assert register(None, ctypes.byref(base)) == 1
        assert told.pop() == (
            9,
            b"glulam: onnxruntime "
            + version
            + b" is not supported; the library needs 1.21 or newer of major version 1",
        )
