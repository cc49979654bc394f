"""The fused form: one node that the kernel runs as a whole, that any onnxruntime runs, and that is the standard graph."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

import glulam
from glulam import EnsembleClassifier, Feature, FeatureSchema, exporting, kernel
from glulam.decision import Decision
from glulam.errors import ConfigError, ProofError
from glulam.exporting import Run, subject_of
from glulam.forest import Forest, Tree
from glulam.program import EnsembleProgram, LoweredMember, OnnxFragment, Step, Steps
from glulam.proof import prove
from glulam_exporters.onnx import OnnxExporter
from glulam_plugins.validators.finite import Finite
from glulam_plugins.validators.range import Range
from glulam_plugins.voting.hard import Hard
from glulam_plugins.voting.log_pool import LogPool
from glulam_plugins.voting.soft import Soft

by_kernel = pytest.mark.skipif(not kernel.available(), reason=f"no kernel here: {kernel.reason()}")

WIDTH = 6
SCHEMA = FeatureSchema(tuple(Feature(f"x{index}") for index in range(WIDTH)))
VOTES = {"soft": Soft, "hard": Hard, "log_pool": LogPool}
RANDOM = np.random.default_rng(0)


def tree(output: int = 0, width: int = 1, depth: int = 3, sets: bool = False) -> Tree:
    """Return a full tree of some depth with random splits, and ``width`` values a leaf."""
    inner = 2**depth - 1
    children = np.arange(1, 2 * inner + 1)
    pointers = np.where(children < inner, children, -1 - (children - inner))
    members = {0: [0, 2, 3]} if sets else {}
    feature = RANDOM.integers(1, WIDTH, inner)
    feature[0] = 0 if sets else feature[0]
    values = RANDOM.normal(size=(inner + 1, width)).astype(np.float32)
    return Tree(
        feature.tolist(), RANDOM.integers(-4, 5, inner) / 4, pointers[::2].tolist(), pointers[1::2].tolist(),
        (RANDOM.random(inner) < 0.5).tolist(), (values if width > 1 else values[:, 0]).tolist(), output, sets=members,
    )  # fmt: skip


def forest(trees, base, **more) -> Forest:
    """Return a forest of all the features."""
    return Forest.from_trees(trees, n_features=WIDTH, base=base, **more)


def shares(trees: int, width: int) -> Forest:
    """Return a forest whose leaves have a share for each of some classes, less than 1 in all."""
    made = forest([tree(width=width) for _ in range(trees)], [0] * width, divisor=trees)
    value = np.abs(made.leaf_value)
    return dataclasses.replace(made, leaf_value=value / (value.sum(axis=1, keepdims=True) + 1))


SIGMOID = LoweredMember(forest([tree() for _ in range(5)], [0.25]), "sigmoid", "float32")
SETS = LoweredMember(forest([tree(sets=True), tree()], [0.5]), "sigmoid", "float32")
BINARY = {"sigmoid": SIGMOID, "sets": SETS, "share": LoweredMember(shares(4, 1), "complement")}
SEVERAL = {
    "softmax": LoweredMember(forest([tree(index % 3) for index in range(9)], [0.1, 0.2, 0.3]), "softmax", "float32"),
    "sets": LoweredMember(forest([tree(index % 3, sets=True) for index in range(6)], [0] * 3), "softmax"),
    "shares": LoweredMember(shares(4, 2), "complement"),
}
VALUES = {
    "boosted": LoweredMember(forest([tree() for _ in range(5)], [3.0])),
    "mean": LoweredMember(forest([tree() for _ in range(4)], [0.0], divisor=4)),
}


def program(members, classes, vote="soft", precision="float32", **more) -> EnsembleProgram:
    """Return a program with the guards of files, and weights that are no powers of two."""
    weights = np.arange(1.0, len(members) + 1)
    task = {0: "regression", 2: "binary", 3: "multiclass"}[len(classes)]
    rows = np.linspace(-3, 3, 20 * WIDTH).reshape(20, WIDTH).astype(np.float32)
    guards = []
    for validator in (Finite(), Range()):
        validator.learn(rows, SCHEMA)
        guards.append(validator.guard(SCHEMA))
    return EnsembleProgram(
        SCHEMA, task, np.array(classes), tuple(members), tuple(members.values()), weights, vote,
        VOTES[vote]().fragment(weights, max(1, len(classes))), guards=tuple(guards), **{"decision": Decision()} | more,
    )  # fmt: skip


def rows_of(count: int) -> np.ndarray:
    """Return rows that often stand on a threshold, some with NaN and infinity."""
    rows = (RANDOM.integers(-8, 9, (count, WIDTH)) / 4).astype(np.float32)
    rows[RANDOM.random(rows.shape) < 0.02] = np.nan
    rows[RANDOM.random(rows.shape) < 0.01] = np.inf
    return rows


def answers(
    data: bytes, rows: np.ndarray, *, fast: bool = False, threads: int = 1, names=None
) -> dict[str, np.ndarray]:
    """Return the outputs, by glulam's kernel or without it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    if fast:
        kernel.register(options)
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = names or [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"features": rows}), strict=True))


def assert_same(want, got) -> None:
    """Hold all outputs to the same bits."""
    assert list(want) == list(got)
    for name, values in want.items():
        assert got[name].dtype == values.dtype
        np.testing.assert_array_equal(got[name], values, err_msg=name)


CASES = {
    **{f"binary, {vote}": (BINARY, (0, 1), vote) for vote in VOTES},
    **{f"three classes, {vote}": (SEVERAL, (0, 1, 2), vote) for vote in VOTES},
    **{f"{name} alone": ({name: member}, (0, 1), "soft") for name, member in BINARY.items()},
    **{f"{name} of three alone": ({name: member}, (0, 1, 2), "soft") for name, member in SEVERAL.items()},
    "labels of text": (BINARY, ("no", "yes"), "soft"),
    "other whole numbers": (BINARY, (3, 7), "soft"),
    "values": (VALUES, (), "soft"),
}
EXACT = ("share alone", "shares of three alone", "values")
"""Those without a function that onnxruntime approximates."""


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_all_three_ways_answer_alike(case, precision):
    """Standard and fused are the same bits without the kernel; with it all but what onnxruntime approximates."""
    members, classes, vote = CASES[case]
    made = program(members, classes, vote)
    standard = OnnxExporter().export(made, precision=precision, standard=True)
    fused = OnnxExporter().export(made, precision=precision)
    assert (OnnxExporter().form(standard), OnnxExporter().form(fused)) == ("standard", "fused")
    rows = rows_of(3000)
    want = answers(standard, rows)
    assert_same(want, answers(fused, rows))
    if not kernel.available():
        return
    got = answers(fused, rows, fast=True)
    if case in EXACT:
        assert_same(want, got)
    eps = np.finfo(precision).eps
    for name, values in want.items():
        if values.dtype.kind != "f":
            continue
        if vote == "log_pool" and name == "probabilities":  # logarithms of small votes magnify the last digit
            np.testing.assert_allclose(got[name], values, atol=1e3 * eps)
        elif vote == "hard" and name == "probabilities":
            np.testing.assert_array_equal(got[name], values)
        else:
            np.testing.assert_allclose(got[name], values, rtol=2 * eps, atol=2 * eps)
    scores = want.get("probabilities")
    if scores is not None:
        best = np.sort(scores, axis=1)
        sure = best[:, -1] - best[:, -2] > 1e4 * eps
        sure |= vote != "log_pool"
        np.testing.assert_array_equal(got["label"][sure], want["label"][sure])
    np.testing.assert_array_equal(got["valid"], want["valid"])


@pytest.mark.parametrize("case", ["binary, soft", "three classes, soft", "values"])
def test_the_file_is_one_node_and_passes_every_check(case):
    """Onnx's full check passes; the graph is one node whose function has standard nodes only, and nothing twice."""
    members, classes, vote = CASES[case]
    data = OnnxExporter().export(program(members, classes, vote))
    standard = OnnxExporter().export(program(members, classes, vote), standard=True)
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 18, "ai.onnx.ml": 5, "ai.glulam": 1}
    assert [node.domain for node in model.graph.node] == ["ai.glulam"]
    assert not model.graph.initializer
    (function,) = model.functions
    assert {node.domain for node in function.node} == {"", "ai.onnx.ml"}
    assert {attribute.name for attribute in model.graph.node[0].attribute} == set(function.attribute)
    trees = sum(node.op_type == "TreeEnsemble" for node in function.node)
    assert len(data) < len(standard) + 2_000 * trees + 2_000  # names, and the plan


def test_a_file_is_the_same_each_time():
    """Two exports of one program are the same bytes."""
    made = program(BINARY, (0, 1))
    assert OnnxExporter().export(made) == OnnxExporter().export(made)


@by_kernel
@pytest.mark.parametrize("threads", [1, 2])
def test_rows_alone_and_in_any_batch_have_the_same_bits(threads):
    """One row, some, thousands, none; one thread and two."""
    data = OnnxExporter().export(program(BINARY | {"more": SIGMOID}, (0, 1)))
    rows = rows_of(5000)
    whole = answers(data, rows, fast=True)
    assert_same(whole, answers(data, rows, fast=True, threads=threads))
    for count in (0, 1, 2, 255, 2048, 2049):
        assert_same(
            {name: values[:count] for name, values in whole.items()},
            answers(data, rows[:count], fast=True, threads=threads),
        )
    for row in range(20):
        assert_same(
            {name: values[row : row + 1] for name, values in whole.items()},
            answers(data, rows[row : row + 1], fast=True, threads=threads),
        )


@by_kernel
def test_any_of_the_outputs_can_be_asked():
    """Each subset of the outputs has the bits of all."""
    data = OnnxExporter().export(program(BINARY, (0, 1)))
    rows = rows_of(10)
    whole = answers(data, rows, fast=True)
    for count in (1, 2, 3):
        for names in itertools.combinations(whole, count):
            assert_same({name: whole[name] for name in names}, answers(data, rows, fast=True, names=list(names)))
    for count in (1, 2):
        for names in itertools.combinations(whole, count):
            some = OnnxExporter().export(program(BINARY, (0, 1)), outputs=list(names))
            assert_same({name: whole[name] for name in names}, answers(some, rows, fast=True))


def test_what_has_no_instruction_stays_beside_the_node():
    """A vote with an operator that plans do not have comes after the node; trees after such a step keep all standard."""
    text = "f (votes, axis, axes) => (scores) { sums = CumSum (votes, axis) scores = ReduceMean <keepdims = 0> (sums, axes) }"
    constants = {"axis": np.array(1), "axes": np.array([1])}
    vote = OnnxFragment(text, lambda votes: votes.cumsum(axis=1).mean(axis=1), constants)
    made = dataclasses.replace(program(VALUES, ()), vote=vote)
    data = OnnxExporter().export(made)
    assert OnnxExporter().form(data) == "fused"
    kinds = [node.op_type for node in onnx.load_from_string(data).graph.node]
    assert kinds == ["EnsembleFloatValidFloat", "CumSum", "ReduceMean", "Reshape"]
    rows = rows_of(50)
    assert_same(answers(OnnxExporter().export(made, standard=True), rows), answers(data, rows))

    softer = OnnxFragment("g (features) => (y) { y = Softplus (features) }", lambda X: np.log1p(np.exp(X)))
    steps = Steps((Step("soft", softer), Step("sum", VALUES["boosted"].body, ("soft",))))
    made = program({"a": LoweredMember(steps)}, ())
    data = OnnxExporter().export(made)
    assert OnnxExporter().form(data) == "standard"
    assert data == OnnxExporter().export(made, standard=True)


def changed(data: bytes, change) -> bytes:
    """Return a fused file with another plan."""
    model = onnx.load_from_string(data)
    (plan,) = (each for each in model.graph.node[0].attribute if each.name == "plan")
    numbers = list(plan.ints)
    change(numbers)
    del plan.ints[:]
    plan.ints.extend(numbers)
    return model.SerializeToString()


@by_kernel
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plan: plan.__setitem__(0, 2), "plan: version 2"),
        (lambda plan: plan.clear(), "plan: ends before version"),
        (lambda plan: plan.pop(), "plan: ends within an instruction"),
        (lambda plan: plan.append(99), "plan: operation 99"),
        (lambda plan: plan.__setitem__(4, 1), "plan: "),
        (lambda plan: plan.__setitem__(3, 3), "plan: trees that no instruction takes"),
        (lambda plan: plan.extend([3, 4, 1, 0, 0, 1]), "plan: a look-up"),
        (lambda plan: plan.extend([1, 3, 1, 0, WIDTH]), f"plan: column {WIDTH}"),
        (lambda plan: plan.extend([6, 2, 1, 0]), "plan: ends before operand"),
        (lambda plan: plan.extend([6, 4, 1, 0, 0, 0]), "plan: a choice"),
        (lambda plan: plan.extend([7, 3, 1, 0, 0]), "plan: an instruction is too long"),
        (lambda plan: plan.extend([5, 4, 1, 0, 0, 1]), "plan: widths that differ"),
        (lambda plan: plan.extend([11, 4, 1, 0, 1, 5]), "plan: an axis"),
        (lambda plan: plan.extend([7, 2, 2, 0]), "plan: type 2"),
        (lambda plan: plan.extend([1, 3, 11, 0, 0]), "plan: columns of another type"),
        (lambda plan: plan.extend([2, 2, 11, 0]), "plan: parts that do not go together"),
        (lambda plan: plan.extend([4, 3, 1, 99, 0]), "plan: function 99"),
        (lambda plan: plan.extend([4, 3, 9, 11, 0]), "plan: a function of another type"),
        (lambda plan: plan.extend([4, 3, 11, 0, 0]), "plan: a function's type"),
        (lambda plan: plan.extend([5, 4, 9, 11, 0, 0]), "plan: a comparison"),
        (lambda plan: plan.extend([5, 4, 11, 0, 0, 0]), "plan: a sum"),
        (lambda plan: plan.extend([8, 6, 1, 0, 0, 0, 1, 1]), "plan: a product"),
        (lambda plan: plan.extend([9, 6, 11, 0, 0, 1, WIDTH, 1]), "plan: a reduction's type"),
        (lambda plan: plan.extend([10, 5, 1, 0, 1, WIDTH, 1]), "plan: types"),
        (lambda plan: plan.extend([2, 500_001, 1, *[0] * 500_000]), "plan: a row takes too much memory"),
    ],
)  # fmt: skip
def test_plans_that_make_no_sense_are_refused(change, message, caplog):
    """The kernel says what is wrong with a plan; the loader then opens the file without it, and logs that."""
    data = changed(OnnxExporter().export(program(VALUES, ())), change)
    options = onnxruntime.SessionOptions()
    kernel.register(options)
    with pytest.raises(Exception, match=f"glulam: EnsembleFloatValidFloat: {message}"):
        onnxruntime.InferenceSession(data, options)
    rows = rows_of(10)
    got = kernel.fast_session(data).run(None, {"features": rows})
    for values, want in zip(got, answers(data, rows).values(), strict=True):
        np.testing.assert_array_equal(values, want)
    assert f"the kernel refused the file: EnsembleFloatValidFloat: {message}" in caplog.text


@by_kernel
def test_rows_of_another_width_are_refused():
    """Where the graph leaves the width open, the kernel checks it."""
    model = onnx.load_from_string(OnnxExporter().export(program(VALUES, ())))
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "width"
    for width, message in (
        (WIDTH - 1, "the model reads"),
        (WIDTH + 1, f"input has {WIDTH + 1} columns, but the model takes {WIDTH}"),
    ):
        with pytest.raises(Exception, match=f"EnsembleFloatValidFloat: .*{message}"):
            answers(model.SerializeToString(), np.zeros((2, width), np.float32), fast=True)


@by_kernel
def test_an_index_outside_its_table_is_an_error():
    """A table that is shorter than the indices into it ends the call, not the process."""
    model = onnx.load_from_string(OnnxExporter().export(program(BINARY, (3, 7))))
    call = model.graph.node[0]
    (table,) = (
        each
        for each in call.attribute
        if each.type == each.TENSOR
        and each.t.data_type == 7
        and each.t.dims == [2]
        and sorted(numpy_helper.to_array(each.t)) == [3, 7]
    )
    table.t.CopyFrom(numpy_helper.from_array(np.array([3])))
    with pytest.raises(Exception, match="glulam: EnsembleFloatLabelValidFloat: an index is outside its table"):
        answers(model.SerializeToString(), rows_of(3000), fast=True)


@pytest.fixture(scope="module")
def fitted(binary):
    """Return a small fitted ensemble."""
    return EnsembleClassifier([("lightgbm", {"n_estimators": 5}), ("random_forest", {"n_estimators": 5})]).fit(*binary)


def test_a_file_says_its_form(fitted, tmp_path):
    """By default an export is fused; with standard=True it is not, and an odd value is refused."""
    fitted.export(tmp_path / "fused.onnx", proof_rows=1_000)
    report = fitted.export(tmp_path / "standard.onnx", proof_rows=1_000, standard=True)
    assert glulam.load(tmp_path / "fused.onnx").info()["form"] == "fused"
    info = glulam.load(tmp_path / "standard.onnx").info()
    assert info["form"] == "standard"
    assert (report.kernel_difference is not None) == kernel.available()
    assert info["parity"]["kernel_difference"] == report.kernel_difference
    with pytest.raises(ConfigError, match="onnx: standard: expected True or False, got 'no'"):
        fitted.export(tmp_path / "e.onnx", standard="no")
    assert not (tmp_path / "e.onnx").exists()


@by_kernel
def test_the_proof_holds_the_kernel_to_the_libraries(fitted):
    """What the kernel answers is compared with the libraries too; a difference says that it is the kernel's."""
    subject = subject_of(fitted)
    data = OnnxExporter().export(subject.program)
    fast = Run(data, by_kernel=True)
    assert fast.uses_kernel
    report = prove(subject.program, Run(data), subject.native, subject.rows, rows=1_000, by_kernel=fast)
    assert report.kernel_difference <= 1e-6
    assert report.kernel_label_differences == 0
    assert f"by the kernel{report.rows:>13,}" in str(report)

    def wrong(rows):
        found = fast(rows)
        return dataclasses.replace(found, votes=found.votes + 1e-3)

    with pytest.raises(
        ProofError, match="by glulam's kernel: member 'lightgbm': the exported graph does not give the library's answer"
    ):
        prove(subject.program, Run(data), subject.native, subject.rows, rows=1_000, by_kernel=wrong)


@by_kernel
def test_a_file_that_the_kernel_runs_is_proven_by_the_kernel_or_refused(tmp_path, monkeypatch):
    """Fewer outputs are proven by the file with all of them: if the kernel does not run that one, nothing is."""
    X = RANDOM.normal(size=(200, WIDTH)).astype(np.float32)
    ensemble = EnsembleClassifier([("random_forest", {"n_estimators": 3})]).fit(X, X[:, 0] > 0)
    kernel_run = exporting._kernel_run
    runs = iter([kernel_run, lambda data: None])
    monkeypatch.setattr(exporting, "_kernel_run", lambda data: next(runs)(data))
    with pytest.raises(ProofError, match="the tree kernel runs the file asked for, but not the one with all outputs"):
        ensemble.export(tmp_path / "e.onnx", outputs=["probabilities"], precision="float32", proof_rows=1_000)
    assert not list(tmp_path.iterdir())
