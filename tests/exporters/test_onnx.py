"""The ONNX exporter on programs written by hand: forests, links, fragments, guards, names."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest

from glulam import Feature, FeatureSchema
from glulam.decision import Decision
from glulam.errors import ConfigError, PluginError
from glulam.exporting import Run
from glulam.forest import Forest, Tree
from glulam.interpreter import interpret
from glulam.program import EnsembleProgram, Guard, LoweredMember, OnnxFragment
from glulam_exporters.onnx import OnnxExporter
from glulam_plugins.voting.soft import Soft

SCHEMA = FeatureSchema((Feature("a"), Feature("b")))
ROWS = np.float32([[0, 0], [1, 0], [0, 1], [1, 1], [np.nan, 0], [0.5, np.nan], [np.inf, -np.inf]])


def stump(feature: int, values, output: int = 0) -> Tree:
    """Return a tree with one split at 0.5; NaN goes left on feature 0, right on feature 1."""
    return Tree([feature], [0.5], [-1], [-2], [feature == 0], values, output)


def program(*members: LoweredMember, classes=(0, 1), **more) -> EnsembleProgram:
    """Return a program with equal weights and a soft vote."""
    weights = np.ones(len(members))
    task = "regression" if not classes else "binary" if len(classes) == 2 else "multiclass"
    return EnsembleProgram(
        SCHEMA, task, np.array(classes), tuple(f"m{i}" for i in range(len(members))), members, weights, "soft",
        Soft().fragment(weights, max(1, len(classes))), Decision(), **more,
    )  # fmt: skip


BINARY = LoweredMember(Forest.from_trees([stump(0, [-1, 1]), stump(1, [-2, 2])], n_features=2, base=[0.25]), "sigmoid")
SHARE = LoweredMember(
    Forest.from_trees([stump(0, [0.0, 1.0]), stump(1, [0.25, 0.5])], n_features=2, divisor=2), "complement"
)
SOFTMAX = LoweredMember(
    Forest.from_trees([stump(0, [0, 1], 0), stump(1, [1, 2], 2)], n_features=2, base=[0.1, 0.2, 0.3]), "softmax"
)
SHARES = LoweredMember(
    Forest.from_trees(
        [stump(0, [[0.5, 0.25], [0, 0]]), stump(1, [[0, 1], [1, 0]])], n_features=2, base=[0, 0], divisor=2
    ),
    "complement",
)
VALUE = LoweredMember(Forest.from_trees([stump(0, [3.0, 5.0])], n_features=2, base=[100.0], divisor=4), "identity")
CONSTANT = LoweredMember(Forest.from_trees([Tree([], [], [], [], [], [0.75])], n_features=2, base=[0.5]), "sigmoid")
RULE = LoweredMember(
    OnnxFragment(
        "rule (features, column, half, both) => (vote) {"
        " first = Gather <axis = 1> (features, column)"
        " bounded = Clip (first)"
        " above = Greater (bounded, half)"
        " index = Cast <to = 7> (above)"
        " vote = Gather <axis = 0> (both, index) }",
        lambda X: np.where(X[:, :1] > 0.5, [0.125, 0.875], [0.625, 0.375]),
        {"column": np.array(0), "half": np.array(0.5), "both": np.array([[0.625, 0.375], [0.125, 0.875]])},
    )
)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    "made",
    [
        program(BINARY), program(BINARY, SHARE), program(SHARE, CONSTANT, BINARY), program(CONSTANT), program(RULE, SHARE),
        program(SOFTMAX, classes=(5, 7, 9)), program(SOFTMAX, SHARES, classes=("x", "y", "z")),
        program(VALUE, classes=()), program(VALUE, VALUE, classes=()),
    ],
    ids=["sigmoid", "two", "three", "constant", "fragment", "softmax", "shares", "value", "values"],
)  # fmt: skip
def test_onnxruntime_means_what_the_interpreter_means(made, precision):
    """Every kind of member, alone and with others, gives the interpreter's outputs."""
    got, expected = Run(OnnxExporter().export(made, precision=precision))(ROWS), interpret(made, ROWS)
    tolerance = 1e-6 if precision == "float32" else 1e-14
    np.testing.assert_allclose(got.votes, expected.votes, atol=tolerance, rtol=tolerance)
    np.testing.assert_allclose(got.scores, expected.scores, atol=tolerance, rtol=tolerance)
    if made.task != "regression":
        np.testing.assert_array_equal(got.label, expected.label)


def test_a_vote_by_hand():
    """One row, worked out by hand: margins 0.25 + 1 - 2, share of the second class (1 + 0.25) / 2."""
    got = Run(OnnxExporter().export(program(BINARY, SHARE), precision="float64"))(np.float32([[1, 0]]))
    sigmoid, share = 1 / (1 + np.exp(0.75)), 0.625
    np.testing.assert_allclose(got.votes, [[[1 - sigmoid, sigmoid], [1 - share, share]]])
    np.testing.assert_allclose(got.scores[0, 1], (sigmoid + share) / 2)


def test_whole_number_sums_of_a_forest_keep_their_ties():
    """Half of 200 pure leaves is a probability of exactly 0.5 in float32 too: the tie goes to the first class."""
    trees = [stump(0, [float(i % 2), 1.0]) for i in range(200)]
    made = program(LoweredMember(Forest.from_trees(trees, n_features=2, divisor=200), "complement"))
    got = Run(OnnxExporter().export(made))(ROWS[:2])
    assert got.scores[0].tolist() == [0.5, 0.5]
    assert got.label.tolist() == [0, 1]


def test_guards_are_one_output():
    """Several guards are joined; rows must pass all."""
    low = OnnxFragment(
        "low (features, column, one) => (valid) { first = Gather <axis = 1> (features, column) valid = Less (first, one) }",
        lambda X: X[:, 0] < 1, {"column": np.array(0), "one": np.array(1.0)},
    )  # fmt: skip
    other = dataclasses.replace(low, reference=lambda X: X[:, 1] < 1, constants=low.constants | {"column": np.array(1)})
    made = program(BINARY, guards=(Guard("low", low), Guard("other", other)))
    for precision in ("float32", "float64"):
        got = Run(OnnxExporter().export(made, precision=precision))(ROWS)
        np.testing.assert_array_equal(got.valid, interpret(made, ROWS).valid)
        assert got.valid.tolist() == [True, False, False, False, False, False, False]


@pytest.mark.parametrize("name", ["features", "votes", "label", "probabilities", "valid", "vote", "a b/c.0", "ü"])
def test_member_names_never_collide_with_names_in_the_graph(name):
    """A member may be called like an output, like the input, or anything."""
    made = dataclasses.replace(program(BINARY, SHARE), names=(name, "votes.inner"))
    data = OnnxExporter().export(made)
    np.testing.assert_allclose(Run(data)(ROWS).votes, interpret(made, ROWS).votes, atol=1e-6)
    fewer = OnnxExporter().export(made, outputs=["probabilities"])
    np.testing.assert_allclose(Run(fewer).raw(ROWS)["probabilities"], interpret(made, ROWS).scores, atol=1e-6)


def test_metadata_is_added_without_touching_the_graph():
    """Attach appends entries; the model before and after is the same but for them."""
    data = OnnxExporter().export(program(BINARY))
    more = OnnxExporter().attach(data, {"glulam.format": "1", "note": "grüezi"})
    assert more.startswith(data)
    model = onnx.load_from_string(more)
    assert {entry.key: entry.value for entry in model.metadata_props} == {"glulam.format": "1", "note": "grüezi"}
    assert onnxruntime.InferenceSession(more).get_modelmeta().custom_metadata_map["note"] == "grüezi"
    del model.metadata_props[:]
    assert model == onnx.load_from_string(data)


@pytest.mark.parametrize(
    ("text", "constants", "message"),
    [
        ("nonsense", {}, "fragment 'vote': the ONNX text does not parse"),
        ("f (votes, w) => (s) { s = Mul (votes, w) }", {}, r"expected inputs \['votes'\] and one output, got inputs \['votes', 'w'\]"),
        ("f (votes) => (s, t) { s = Abs (votes) t = Neg (votes) }", {}, r"and outputs \['s', 't'\]"),
        ("f (votes, w) => (s) { s = Mul (votes, w) }", {"v": np.ones(1)}, "name every constant, and nothing else"),
    ],
)  # fmt: skip
def test_fragments_that_are_no_functions_are_refused(text, constants, message):
    """A plugin's ONNX text that does not parse, or whose inputs are not as declared, is named."""
    made = dataclasses.replace(program(BINARY), vote=OnnxFragment(text, lambda v: v, constants))
    with pytest.raises(PluginError, match=message):
        OnnxExporter().export(made)


def test_fragments_with_operators_that_do_not_exist_are_refused():
    """An unknown operator is found before anything is written."""
    made = dataclasses.replace(
        program(BINARY), vote=OnnxFragment("f (votes) => (s) { s = Nonsense (votes) }", lambda v: v)
    )
    with pytest.raises(PluginError, match=r"no valid ONNX model; look at the fragments \['vote'\]: .*Nonsense"):
        OnnxExporter().export(made)
    wrong = dataclasses.replace(made, vote=OnnxFragment("f (votes) => (s) { s = Not (votes) }", lambda v: v))
    with pytest.raises(PluginError, match=r"no valid ONNX model; look at the fragments \['vote'\]: .*Not"):
        OnnxExporter().export(wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ("a", "b")}, "an ensemble program has at least one member, each with a name and a weight"),
        ({"members": (SOFTMAX,)}, "member 'm0': link 'softmax' and 2 columns of votes does not fit 3 sums"),
        ({"schema": FeatureSchema((Feature("a"),))}, "member 'm0': lowered for 2 features; the schema has 1"),
    ],
)
def test_programs_whose_parts_do_not_fit_are_refused(change, message):
    """Members, links, names and schema must go together."""
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(program(BINARY), **change)


def test_trees_of_one_leaf_have_two_leaves_in_the_file():
    """No node has the same leaf on both sides, which onnxruntime before 1.30 misreads beside other trees."""
    trees = [stump(0, [1.0, 2.0]), Tree([], [], [], [], [], [5.0]), stump(1, [3.0, 4.0])]
    made = program(LoweredMember(Forest.from_trees(trees, n_features=2)), classes=())
    data = OnnxExporter().export(made, standard=True)
    np.testing.assert_allclose(Run(data)(ROWS).scores, interpret(made, ROWS).scores)
    node = onnx.load_from_string(data).graph.node[0]
    sides = {entry.name: list(entry.ints) for entry in node.attribute if entry.ints}
    both_leaves = np.array(sides["nodes_trueleafs"], bool) & np.array(sides["nodes_falseleafs"], bool)
    same = np.array(sides["nodes_truenodeids"]) == np.array(sides["nodes_falsenodeids"])
    assert both_leaves.all()
    assert not (both_leaves & same).any()


def test_no_node_has_an_inner_child_and_a_leaf_of_one_number():
    """Onnxruntime before 1.25 takes such a node for a tree of one leaf; leaves are numbered around it."""
    deep = Tree([0, 1], [0.5, 0.5], [1, -1], [-2, -3], [True, True], [1.0, 2.0, 3.0])  # node 1 and leaf 1
    made = program(LoweredMember(Forest.from_trees([deep, deep, stump(0, [5.0, 6.0])], n_features=2)), classes=())
    data = OnnxExporter().export(made, standard=True)
    np.testing.assert_allclose(Run(data)(ROWS).scores, interpret(made, ROWS).scores)
    sides = {entry.name: np.array(entry.ints) for entry in onnx.load_from_string(data).graph.node[0].attribute}
    mixed = sides["nodes_trueleafs"] != sides["nodes_falseleafs"]
    assert mixed.any()
    assert (sides["nodes_truenodeids"] != sides["nodes_falsenodeids"])[mixed].all()


def test_a_model_beyond_protobuf_is_refused_before_it_is_written(monkeypatch):
    """What no file can hold is refused by its size, while it is counted; the count is about the file's size."""
    from glulam_exporters.onnx import _graph

    forest = Forest.from_trees([stump(0, [1.0, 2.0])] * 5_000, n_features=2)
    large = program(LoweredMember(forest, "sigmoid"))
    size = len(OnnxExporter().export(large))
    counted = []
    reserve = _graph.Graph.reserve
    monkeypatch.setattr(_graph.Graph, "reserve", lambda self, n: (counted.append(n), reserve(self, n)))
    OnnxExporter().export(large)
    assert 0.8 * size < sum(counted) < 1.2 * size
    monkeypatch.setattr(_graph, "LARGEST", sum(counted) - 1)
    with pytest.raises(
        ConfigError, match="protobuf, which ONNX files are, ends at 2 GB. Export fewer or smaller trees"
    ):
        OnnxExporter().export(large)
