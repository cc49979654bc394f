"""The calibrated vote: learnt out of fold, exported whole, and exactly what its parts say."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.model_selection import StratifiedKFold, TimeSeriesSplit
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

import glulam
from glulam import EnsembleClassifier, EnsembleRegressor, plugins, testing
from glulam.errors import ConfigError, ProofError
from glulam.hookspecs import VotingStrategy
from glulam.interpreter import interpret
from glulam.program import Step, Steps
from glulam_plugins.voting.calibrated import Calibrated
from glulam_plugins.voting.soft import Soft
from glulam_plugins.voting.stacking import Stacking

CANDLES = Path(__file__).parents[2] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
SMALL = {"n_estimators": 8, "n_jobs": 1}
MEMBERS = [("lightgbm", SMALL), ("xgboost", SMALL), ("random_forest", SMALL)]
WEIGHTS = [0.4, 0.4, 0.2]
METHODS = ["sigmoid", "isotonic", "temperature"]


def trees():
    """Return two different trees."""
    return [(f"depth{depth}", DecisionTreeClassifier(max_depth=depth, random_state=0)) for depth in (2, 4)]


def real(name):
    """Return bundled data: two classes, three, or candles, whose next direction is hardly to be foreseen."""
    if name == "candles":
        table, rows = plugins.features("technical").generate(pd.read_csv(CANDLES, nrows=1_500))
        close = pd.read_csv(CANDLES, nrows=1_501)["close"].to_numpy()
        return table.astype(np.float32), (close[rows + 1] > close[rows]).astype(int)
    X, y = {"binary": load_breast_cancer, "multiclass": load_wine}[name](return_X_y=True)
    return X[:, :8].astype(np.float32), y


def held_out(ensemble, X, y):
    """Return members' votes on rows that they were not fitted on, and what came true there."""
    votes, rows = [], []
    for train, test in StratifiedKFold(3).split(X, y):
        votes.append(clone(ensemble).set_params(voting="soft").fit(X[train], y[train]).votes(X[test]))
        rows.append(test)
    return np.concatenate(votes), y[np.concatenate(rows)]


@pytest.mark.parametrize("on", ["vote", "members"])
@pytest.mark.parametrize(
    ("data", "method"),
    [("binary", "isotonic"), *((data, method) for data in ("multiclass", "candles") for method in METHODS)],
)
def test_exported_saved_and_loaded(data, method, on, tmp_path):
    """File, with and without the kernel's form, interpreter and restored ensemble give the fitted one's answers."""
    X, y = real(data)
    voting = ("calibrated", {"method": method, "on": on, "cv": 3})
    ensemble = EnsembleClassifier(MEMBERS, weights=WEIGHTS, voting=voting).fit(X, y)
    expected = ensemble.predict_proba(X)
    np.testing.assert_allclose(expected.sum(axis=1), 1)
    for standard in (False, True):
        ensemble.export(tmp_path / "e.onnx", proof_rows=1_000, overwrite=True, standard=standard)
        file = glulam.load(tmp_path / "e.onnx")
        info = file.info()
        form = "standard" if standard else "fused"
        assert (info["voting"], info["precision"], info["form"]) == ("calibrated", "float64", form)
        np.testing.assert_allclose(file.predict_proba(X), expected, atol=2e-6)
        np.testing.assert_allclose(file.votes(X), ensemble.votes(X), atol=1e-6)
        # Of the file's own votes, it makes what numpy makes of them.
        own = ensemble.voting_.combine(np.asarray(file.votes(X), dtype=np.float64), ensemble.weights_)
        np.testing.assert_allclose(file.predict_proba(X), own, atol=1e-12)
        sure = np.abs(np.diff(np.sort(expected, axis=1)[:, -2:], axis=1)[:, 0]) > 1e-5
        assert np.array_equal(file.predict(X)[sure], ensemble.predict(X)[sure])
    np.testing.assert_allclose(interpret(ensemble.program(), X).scores, expected, atol=2e-6)
    ensemble.save(tmp_path / "saved")
    back = EnsembleClassifier.load(tmp_path / "saved")
    assert back.predict_proba(X).tobytes() == expected.tobytes()
    assert (back.voting, back.weights) == (voting, WEIGHTS)
    if on == "members":
        back.export(tmp_path / "again.onnx", proof_rows=1_000)
        again = glulam.load(tmp_path / "again.onnx")
        np.testing.assert_allclose(again.predict_proba(X), file.predict_proba(X), atol=1e-12)


@pytest.mark.parametrize("voting", ["hard", "log_pool", ("stacking", {"C": 0.5})])
@pytest.mark.parametrize("on", ["vote", "members"])
def test_any_vote_is_calibrated(voting, on, tmp_path):
    """Each vote is wrapped, those that learn and those with parameters too."""
    X, y = real("multiclass")
    given = ("calibrated", {"voting": voting, "on": on, "method": "sigmoid", "cv": 3})
    ensemble = EnsembleClassifier(trees(), voting=given).fit(X, y)
    report = ensemble.export(tmp_path / "e.onnx", proof_rows=1_000)
    assert report.rows > 500
    ensemble.save(tmp_path / "saved")
    back = EnsembleClassifier.load(tmp_path / "saved")
    assert back.predict_proba(X).tobytes() == ensemble.predict_proba(X).tobytes()
    assert clone(ensemble).fit(X, y).predict_proba(X).tobytes() == ensemble.predict_proba(X).tobytes()


@pytest.mark.parametrize("on", ["vote", "members"])
@pytest.mark.parametrize("method", METHODS)
def test_it_is_its_parts(method, on):
    """Calibrators learn from the out-of-fold votes, or from their weighted mean, and from nothing else."""
    X, y = real("binary")
    voting = ("calibrated", {"method": method, "on": on, "cv": StratifiedKFold(3)})
    ensemble = EnsembleClassifier(trees(), weights=[3, 1], voting=voting).fit(X, y)
    votes, known = held_out(ensemble, X, y)
    now, weights = ensemble.votes(X), np.array([3.0, 1.0])
    if on == "vote":
        calibrator = plugins.calibrator(method)
        calibrator.fit(Soft().combine(votes, weights), known)
        expected = calibrator.apply(Soft().combine(now, weights))
    else:
        made = []
        for member in range(2):
            calibrator = plugins.calibrator(method)
            calibrator.fit(votes[:, member], known)
            made.append(calibrator.apply(now[:, member]))
        expected = Soft().combine(np.stack(made, axis=1), weights)
    np.testing.assert_allclose(ensemble.predict_proba(X), expected, atol=1e-9)


def test_labels_are_chosen_by_calibrated_scores(tmp_path):
    """Threshold and abstention look at the calibrated probabilities, in the file as before it."""
    X, y = real("candles")
    ensemble = EnsembleClassifier(
        MEMBERS, voting=("calibrated", {"method": "sigmoid", "cv": 3}), threshold=0.48, min_confidence=0.505
    ).fit(X, y)
    scores = ensemble.predict_proba(X)
    expected = np.where(scores.max(axis=1) < 0.505, -1, scores[:, 1] > 0.48)
    assert np.array_equal(ensemble.predict(X), expected)
    assert len(set(expected.tolist())) > 1
    ensemble.export(tmp_path / "e.onnx", proof_rows=1_000)
    sure = (np.abs(scores.max(axis=1) - 0.505) > 1e-5) & (np.abs(scores[:, 1] - 0.48) > 1e-5)
    assert np.array_equal(glulam.load(tmp_path / "e.onnx").predict(X)[sure], expected[sure])


@pytest.mark.parametrize("voting", [Calibrated(method="isotonic"), Calibrated(on="members"), Stacking(), Soft()])
def test_a_vote_that_was_learnt_elsewhere(voting, tmp_path):
    """A strategy that has learnt is taken as it is, with its weights; it is exported, saved and loaded like any other."""
    X, y = real("binary")
    ensemble = EnsembleClassifier(trees()).fit(X, y)
    votes, known = held_out(ensemble, X, y)
    weights = np.array([0.7, 0.3])
    learns = voting.learns_weights
    if learns:
        voting.fit(votes, known, "binary")
    elif voting.needs_fit:
        voting.fit(votes, known, "binary", None, weights)
    ensemble.set_voting(voting, weights=None if learns else weights)
    expected = voting.combine(ensemble.votes(X), np.ones(2) if learns else weights)
    assert np.array_equal(ensemble.predict_proba(X), expected)
    assert ensemble.weights_.tolist() == ([1, 1] if learns else [0.7, 0.3])
    ensemble.export(tmp_path / "e.onnx", proof_rows=1_000)
    np.testing.assert_allclose(glulam.load(tmp_path / "e.onnx").predict_proba(X), expected, atol=1e-6)
    ensemble.save(tmp_path / "saved")
    assert np.array_equal(EnsembleClassifier.load(tmp_path / "saved").predict_proba(X), expected)
    # What it was made with is a parameter as any other, and what it does later is no matter.
    fresh = clone(ensemble)
    assert (fresh.voting if isinstance(fresh.voting, str) else fresh.voting[0]) == voting.name
    assert fresh.fit(X, y).voting_.name == voting.name
    if voting.needs_fit:
        voting.fit(votes[::-1], known, *(["binary"] if learns else ["binary", None, np.ones(2)]))
        assert np.array_equal(ensemble.predict_proba(X), expected)


def test_a_vote_that_does_not_fit_changes_nothing():
    """What was not learnt, or from other members, classes or weights, is refused, and the ensemble votes as before."""
    X, y = real("binary")
    ensemble = EnsembleClassifier(trees(), weights=[2, 1]).fit(X, y)
    before = ensemble.predict_proba(X)
    votes, known = held_out(ensemble, X, y)
    learnt = Calibrated(method="sigmoid")
    learnt.fit(votes, known, "binary", None, np.array([2.0, 1.0]))
    stacked = Stacking()
    stacked.fit(votes[:, :1], known, "binary")
    other = Calibrated()
    other.fit(votes[:, :1], known, "binary")
    own = Stacking()
    own.fit(votes, known, "binary")
    for voting, weights, message in (
        (
            Calibrated(),
            None,
            "voting 'calibrated': has not learnt yet; fit the ensemble again with voting='calibrated'",
        ),
        (
            other,
            None,
            "learnt from votes of 1 members on 2 classes, got 2 members and 2 classes; fit the ensemble again",
        ),
        (learnt, [1, 1], r"learnt for the weights \[0.6667, 0.3333\], got \[0.5, 0.5\]; fit again with these"),
        (stacked, None, "voting 'stacking': learnt from 2 columns of votes, got 4"),
        (own, [1, 2], "weights: voting 'stacking' learns what each member is worth; leave weights out"),
    ):
        with pytest.raises(ConfigError, match=message):
            ensemble.set_voting(voting, weights=weights)
        assert np.array_equal(ensemble.predict_proba(X), before)
        assert ensemble.voting == "soft"
    ensemble.set_voting(learnt)
    with pytest.raises(
        ConfigError, match="voting 'calibrated' has learnt for the weights that it has; choose another vote"
    ):
        ensemble.update_weights([1, 1])
    ensemble.set_voting("soft", weights={"depth2": 1, "depth4": 3})
    assert ensemble.weights_.tolist() == [1, 3]
    assert ensemble.weights == {"depth2": 1, "depth4": 3}
    with pytest.raises(
        ConfigError, match=r"learns from votes on rows .* set_params\(voting='calibrated'\) and fit again"
    ):
        ensemble.set_voting("calibrated")


class Odd(VotingStrategy):
    """A vote that loses a column, or trips over its own arithmetic."""

    name = "odd"
    tasks = ("binary",)

    def __init__(self, trips: bool = False) -> None:
        self.trips = trips

    def combine(self, votes, weights):
        """Return one column too few."""
        if self.trips:
            raise ValueError("operands could not be broadcast")
        return votes[:, 0, :1]

    def fragment(self, weights, n_classes):
        """Return the soft vote's."""
        return Soft().fragment(weights, n_classes)


def test_a_vote_that_breaks_is_refused():
    """Scores of another shape, an error of its own, and another task are named."""
    X, y = real("binary")
    ensemble = EnsembleClassifier(trees()).fit(X, y)
    with pytest.raises(
        ConfigError, match=r"voting 'odd': expected finite scores of shape \(16, 2\) .* got shape \(16, 1\)"
    ):
        ensemble.set_voting(Odd())
    with pytest.raises(
        ConfigError, match="voting 'odd': cannot combine votes of 2 members on 2 classes: operands could"
    ):
        ensemble.set_voting(Odd(trips=True))
    X, y = real("multiclass")
    with pytest.raises(ConfigError, match="voting 'odd' is for binary, not for multiclass; use voting='soft'"):
        EnsembleClassifier(trees()).fit(X, y).set_voting(Odd())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"on": "votes"}, "voting 'calibrated': on: expected 'vote' or 'members', got 'votes'"),
        ({"voting": 3}, r"voting 'calibrated': voting: expected a name or \(name, params\), got 3"),
        (
            {"voting": "calibrated"},
            "voting: 'calibrated' is calibrated already; give the vote that is to be calibrated",
        ),
        (
            {"voting": ("stacking", {"c": 1})},
            "voting 'calibrated': voting 'stacking': .*unexpected keyword argument 'c'",
        ),
        ({"method": "isotone"}, "unknown calibrator 'isotone': did you mean 'isotonic'"),
        ({"methods": "isotonic"}, "voting 'calibrated': .*unexpected keyword argument 'methods'"),
        ({"cv": 1}, "voting 'calibrated': cannot split 178 rows into folds"),
        ({"cv": TimeSeriesSplit(3)}, "none of them among the rows that fold 1 of 3 fits on"),
    ],
)
def test_what_cannot_be_is_refused(params, message):
    """Every refusal names the argument and what to give."""
    X, y = real("multiclass")
    with pytest.raises(glulam.GlulamError, match=message):
        EnsembleClassifier(trees(), voting=("calibrated", params)).fit(X, y)


def test_values_are_not_calibrated():
    """Calibration is of probabilities."""
    X, y = load_diabetes(return_X_y=True)
    with pytest.raises(ConfigError, match="voting 'calibrated' is for binary and multiclass, not for regression"):
        EnsembleRegressor(["random_forest"], voting="calibrated").fit(X, y)
    calibrated = Calibrated()
    with pytest.raises(ConfigError, match="'soft' with calibration is for binary and multiclass, not for regression"):
        calibrated.fit(np.zeros((4, 1, 1)), y[:4], "regression")


def test_weights_belong_to_calibration():
    """Weights are given unless the vote within learns them; the default members keep their default weights."""
    X, y = real("binary")
    with pytest.raises(
        ConfigError, match="weights: voting 'calibrated' learns what each member is worth; leave weights out"
    ):
        EnsembleClassifier(trees(), weights=[1, 2], voting=("calibrated", {"voting": "stacking"})).fit(X, y)
    ensemble = EnsembleClassifier(trees(), voting=("calibrated", {"voting": "stacking", "cv": 3})).fit(X, y)
    with pytest.raises(ConfigError, match="voting 'calibrated' has learnt what each member is worth"):
        ensemble.update_weights([1, 2])
    assert clone(ensemble).get_params()["voting"] == ("calibrated", {"voting": "stacking", "cv": 3})


def test_fitted_members_are_calibrated_on_the_given_rows(tmp_path):
    """prefit=True calibrates on rows that the user holds out, once for each; sample weights count."""
    X, y = real("binary")
    fitted = [(name, each.fit(X[:300], y[:300])) for name, each in trees()]
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y) - 300)
    ensemble = EnsembleClassifier(fitted, voting="calibrated", prefit=True).fit(X[300:], y[300:], weight)
    expected = Calibrated()
    expected.fit(ensemble.votes(X[300:]), y[300:], "binary", weight, np.ones(2))
    assert np.array_equal(ensemble.predict_proba(X), expected.combine(ensemble.votes(X), np.ones(2)))


def test_float32_is_refused_where_it_is_too_narrow(tmp_path):
    """A curve that magnifies float32's last digit beyond the promise is no file in float32; by default it is float64."""
    X, y = real("binary")
    slow = SMALL | {"learning_rate": 0.001}
    ensemble = EnsembleClassifier([("lightgbm", slow), ("xgboost", slow)], voting=("calibrated", {"cv": 3})).fit(X, y)
    with pytest.raises(ProofError, match="The vote magnifies the last digit: export with precision='float64'"):
        ensemble.export(tmp_path / "e.onnx", proof_rows=1_000, precision="float32")
    assert ensemble.export(tmp_path / "e.onnx", proof_rows=1_000).precision == "float64"


@pytest.mark.parametrize(
    ("method", "on", "voting"), [("isotonic", "members", "log_pool"), ("temperature", "vote", "hard")]
)
def test_contract(method, on, voting):
    """Other ways to calibrate keep the contract of a vote as well (the default one is checked with all plugins)."""
    made = type("Made", (Calibrated,), {"__init__": lambda self: Calibrated.__init__(self, voting, method, on)})
    testing.check_voting_strategy(made)


def test_steps_of_a_vote_within_are_renamed():
    """A vote within that is of several steps itself keeps their order and meaning."""
    votes, y = np.random.default_rng(0).dirichlet([1, 1], (60, 2)), np.arange(60) % 2
    strategy = Calibrated()
    strategy.fit(votes, y, "binary")
    steps = strategy.fragment(np.ones(2), 2)
    assert isinstance(steps, Steps)
    assert [step.name for step in steps.steps] == ["vote", "calibrated"]
    from glulam_plugins.voting.calibrated import _steps

    renamed = _steps(steps, "inner", "votes")
    assert [(step.name, step.inputs) for step in renamed] == [
        ("inner.vote", ("votes",)),
        ("inner.calibrated", ("inner.vote",)),
    ]
    assert set(json.loads(json.dumps(strategy.state()))) == {
        "cv", "method", "on", "voting", "voting_state", "calibrators", "weights", "n_classes",
    }  # fmt: skip


def test_no_forest_votes_on_votes():
    """A program's vote is of fragments; a forest among its steps is refused."""
    X, y = real("binary")
    program = EnsembleClassifier(trees()).fit(X, y).program()
    forest = program.members[0].forests[0]
    with pytest.raises(
        ConfigError, match="voting 'soft': expected a vote of OnnxFragments, got a forest among its steps"
    ):
        dataclasses.replace(program, vote=Steps((Step("forest", forest),)))


CALIBRATED = EnsembleClassifier(trees(), voting=("calibrated", {"cv": 2}), validators=["columns", "finite"])
REASON = "leaving a row out is no weight of 0: it moves the folds; scikit-learn's own calibration fails it as well"


@pytest.mark.filterwarnings("ignore")  # the checks provoke warnings of scikit-learn's own on purpose
@parametrize_with_checks(
    [CALIBRATED], expected_failed_checks=lambda _: {"check_sample_weight_equivalence_on_dense_data": REASON}
)
def test_scikit_learn_check(estimator, check):
    """Every check of scikit-learn's estimator contract passes."""
    check(estimator)
