"""Native library, reference interpreter and onnxruntime agree: on every leaf, vote and decision."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from oracles import codes, onnxruntime_leaves, rows_of
from sklearn.datasets import load_diabetes, load_wine

from glulam import EnsembleClassifier, EnsembleRegressor, plugins
from glulam.exporting import Run
from glulam.interpreter import interpret, member_vote
from glulam.schema import FeatureSchema

MEMBERS = ("lightgbm", "xgboost", "random_forest", "extra_trees")
TASKS = ("binary", "multiclass", "regression")
VOTINGS = {"binary": ("soft", "hard", "log_pool"), "multiclass": ("soft", "hard", "log_pool"), "regression": ("soft",)}
ROWS = 24
FEATURES = 8


@functools.cache
def table(task: str, missing: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return real rows, float32 [n, 8], some NaN if ``missing``, and a target for the task."""
    if task == "regression":
        X, y = load_diabetes(return_X_y=True)
    else:
        X, y = load_wine(return_X_y=True)
        y = (y == 1).astype(int) if task == "binary" else y
    X = X[:, :FEATURES].astype(np.float32)
    random = np.random.default_rng(0)
    # Zeros and values that LightGBM reads as zero, beside thresholds around them.
    X[:, 1] = np.where(random.random(len(X)) < 0.5, 0, X[:, 1] - X[:, 1].mean())
    X[:, 2] = random.choice(np.float32([0, 1e-36, -1e-36, 2e-35, -2e-35, 1]), len(X))
    if missing:
        X[random.random(X.shape) < 0.1] = np.nan
    return X, y


def small(name: str) -> dict[str, object]:
    """Return parameters that keep a member small."""
    few = {"n_estimators": 7}
    return few | ({"min_child_samples": 5} if name == "lightgbm" else {"n_jobs": 1})


@functools.cache
def fitted(name: str, task: str, missing: bool):
    """Return a plugin, its fitted model, the lowered member and onnxruntime's view of its leaves."""
    X, y = table(task, missing)
    plugin = plugins.model(name)
    model = plugin.make(task, small(name), None)
    plugin.fit(model, X, y)
    member = plugin.lower(model, FeatureSchema.learn(X))
    return plugin, model, member, onnxruntime_leaves(member.body)


@functools.cache
def ensemble(task: str, voting: str, precision: str):
    """Return a fitted ensemble of all four members, its program, and its exported graph."""
    X, y = table(task, True)
    made = EnsembleRegressor if task == "regression" else EnsembleClassifier
    members = [(name, small(name)) for name in MEMBERS]
    estimator = made(members, weights=[0.4, 0.3, 0.2, 0.1], voting=voting).fit(X, y)
    program = estimator.program()
    return estimator, program, Run(plugins.exporter("onnx").export(program, precision=precision))


no_deadline = settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", MEMBERS)
@no_deadline
@given(code=codes(ROWS, FEATURES))
def test_no_leaf_decision_differs(name, task, missing, code):
    """Each row reaches the same leaf of each tree in the library, the interpreter and onnxruntime."""
    plugin, model, member, session = fitted(name, task, missing)
    rows = rows_of(code, [member.body], table(task, missing)[0])
    native = plugin.leaves(model, rows)
    np.testing.assert_array_equal(member.body.leaves(rows), native)
    np.testing.assert_array_equal(session.run(None, {"features": rows})[0].astype(np.int64), native)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", MEMBERS)
@no_deadline
@given(code=codes(ROWS, FEATURES))
def test_interpreter_gives_the_library_vote(name, task, code):
    """The interpreter's vote is the library's, to the digits that the library computes."""
    plugin, model, member, _ = fitted(name, task, True)
    rows = rows_of(code, [member.body], table(task, True)[0])
    native = plugin.votes(model, rows, task)
    tolerance = 1e-6 if member.arithmetic == "float32" else 1e-13
    np.testing.assert_allclose(member_vote(member, rows), native, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("task", "voting"), [(task, voting) for task in TASKS for voting in VOTINGS[task]])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@no_deadline
@given(code=codes(ROWS, FEATURES))
def test_exported_ensemble_gives_native_votes_and_labels(task, voting, precision, code):
    """Votes are native within 1e-6, scores are the strategy's, labels differ only at native ties."""
    estimator, program, run = ensemble(task, voting, precision)
    X, _ = table(task, True)
    rows = rows_of(code, [member.body for member in program.members], X)
    got, reference = run(rows), interpret(program, rows)
    native = np.stack([estimator._member_votes(index, rows) for index in range(4)], axis=1)
    scale = np.abs(native).mean() if task == "regression" else 1.0
    np.testing.assert_allclose(got.votes, native, atol=1e-6 * scale, rtol=1e-6)
    np.testing.assert_allclose(got.votes, reference.votes, atol=1e-6 * scale, rtol=1e-6)
    if precision == "float64":
        for index, member in enumerate(program.members):  # XGBoost's own sums are of float32, in any file
            allowed = 1e-6 if member.arithmetic == "float32" else 1e-12
            difference = np.abs(got.votes - reference.votes)[:, index]
            assert (difference <= allowed * np.maximum(scale, np.abs(reference.votes[:, index]))).all()
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    expected = estimator.voting_.combine(got.votes, weights)
    np.testing.assert_allclose(got.scores, expected, atol=2e-6, rtol=1e-6)
    np.testing.assert_array_equal(got.valid, reference.valid)
    if task != "regression":
        native_scores = estimator.voting_.combine(native, weights)
        if voting == "hard":  # ballots are clear or not; sums of weights are exact, ties (0.4 + 0.1, 0.3 + 0.2) too
            best = np.sort(native, axis=2)
            clear = (best[..., -1] - best[..., -2] > 1e-6).all(axis=1)
        else:
            top = np.sort(native_scores, axis=1)
            clear = top[:, -1] - top[:, -2] > 1e-6
        np.testing.assert_array_equal(got.label[clear], estimator.classes_[native_scores.argmax(axis=1)][clear])


@pytest.mark.parametrize("task", TASKS)
@no_deadline
@given(code=codes(ROWS, FEATURES))
def test_infinities_take_the_same_way_in_interpreter_and_onnxruntime(task, code):
    """Rows with infinities, which scikit-learn refuses, are answered as the trees define them."""
    _, program, run = ensemble(task, "soft", "float32")
    rows = rows_of(code, [member.body for member in program.members], table(task, True)[0], infinite=True)
    got, reference = run(rows), interpret(program, rows)
    scale = np.abs(reference.votes).mean() if task == "regression" else 1.0
    np.testing.assert_allclose(got.votes, reference.votes, atol=1e-6 * scale, rtol=1e-6)
    np.testing.assert_array_equal(got.valid, reference.valid)
