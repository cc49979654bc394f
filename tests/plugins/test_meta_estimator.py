"""scikit-learn's meta-estimators: every rule at its odd values, and refusals that name the part."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

import glulam
from glulam import EnsembleClassifier, plugins
from glulam.errors import ConfigError, PluginError, UnsupportedModelError
from glulam.interpreter import member_vote, run_steps
from glulam.program import Steps
from glulam_plugins.models._fragments import normalised
from glulam_plugins.models._meta_calibration import _isotonic
from glulam_plugins.models.meta_estimator import MetaEstimator

PLUGIN = MetaEstimator()
IRIS = load_iris(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)


def tree(**params):
    """Return a small tree."""
    return DecisionTreeClassifier(**({"max_depth": 3, "random_state": 0} | params))


def forest():
    """Return a small forest."""
    return RandomForestClassifier(5, max_depth=3, random_state=0)


def lowered(model):
    """Return a fitted model in library-free form."""
    return PLUGIN.lower(model, PLUGIN.signature(model).schema)


def choice(member, rows):
    """Return the index that a lowered model chooses for each row."""
    assert isinstance(member.body, Steps)
    return run_steps(member.body, rows)[member.body.choice][:, 0]


class Constant(DummyClassifier):
    """Says one class, whatever the row: for ballots of any kind."""


@pytest.mark.parametrize(
    ("ballots", "weights", "winner"),
    [
        ([1, 0], None, 0),  # ties go to the lowest class
        ([2, 1, 0], None, 0),
        ([2, 2, 1], None, 2),
        ([0, 1, 1], [3, 1, 2], 0),  # 3 against 1 + 2
        ([1, 1, 0], [0.1, 0.2, 0.3], 1),  # in float64 0.1 + 0.2 is more than 0.3
        ([1, 0], [0.3, 0.1 + 0.2], 0),
        ([1, 2], [0, 0.5], 2),
    ],
)
def test_hard_votes_are_counted_as_bincount_does(ballots, weights, winner, tmp_path):
    """Sums of float64 weights in the members' order; the file ties where scikit-learn does."""
    X, y = IRIS
    members = [(f"m{i}", DummyClassifier(strategy="constant", constant=each)) for i, each in enumerate(ballots)]
    model = VotingClassifier(members, weights=weights).fit(X, y)
    assert (model.predict(X) == winner).all()
    assert (choice(lowered(model), X) == winner).all()
    glulam.export(model, tmp_path / "m.onnx", X.astype(np.float32), proof_rows=1_000)
    file = glulam.load(tmp_path / "m.onnx")
    assert (file.predict(X) == winner).all()
    counts = np.bincount(ballots, weights=weights, minlength=3)
    np.testing.assert_allclose(file.predict_proba(X)[0], counts / counts.sum(), atol=1e-7)


def test_isotonic_calibration_is_the_calibrators_own_line():
    """At, between and beyond its points, and for a calibrator of a single point."""
    calibrator = IsotonicRegression(out_of_bounds="clip").fit([0.0, 0.1, 0.4, 0.5, 1.0], [0, 0, 1, 1, 1])
    at = np.concatenate([[-5.0, 5.0, 0.25], *(np.nextafter(t, [-9, t, 9]) for t in calibrator.X_thresholds_)])
    np.testing.assert_allclose(_isotonic(calibrator).reference(at[:, None])[:, 0], calibrator.predict(at), rtol=1e-14)
    flat = IsotonicRegression(out_of_bounds="clip").fit([0.5, 0.5], [0, 1])
    np.testing.assert_array_equal(_isotonic(flat).reference(np.array([[0.1], [0.9]])), [[0.5], [0.5]])


def test_a_row_of_zeros_is_calibrated_to_all_classes_alike():
    """As in scikit-learn, no division by zero."""
    found = normalised(1 / 3).reference(np.array([[0.0, 0.0, 0.0], [0.2, 0.2, 0.4]]))
    np.testing.assert_allclose(found, [[1 / 3] * 3, [0.25, 0.25, 0.5]])


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize(
    "base",
    [
        tree(),
        LinearSVC(random_state=0),
        LogisticRegression(max_iter=5_000),
        HistGradientBoostingClassifier(max_iter=4),
        GradientBoostingClassifier(n_estimators=4, random_state=0),
        RandomForestClassifier(5, max_depth=3, random_state=0),
    ],
    ids=lambda each: type(each).__name__,
)
@pytest.mark.parametrize("data", [IRIS, CANCER], ids=["three", "two"])
def test_calibrators_take_the_decision_function_where_there_is_one(base, method, data):
    """The lowered rule, in float64, is scikit-learn's to its last digits."""
    X, y = data
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = CalibratedClassifierCV(base, method=method, cv=3).fit(X, y)
    if method == "isotonic" and len(model.classes_) > 2 and "C" not in base.get_params():
        with pytest.raises(UnsupportedModelError, match="on the feet of isotonic rises, where the last digit decides"):
            lowered(model)
        return
    np.testing.assert_allclose(member_vote(lowered(model), X), model.predict_proba(X), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("base", "params"),
    [
        (tree(), {"threshold": 0.3}),
        (tree(), {"threshold": 0.3, "pos_label": "bad"}),
        (LinearSVC(random_state=0), {}),
        (LinearSVC(random_state=0), {"threshold": 0.25, "pos_label": "bad"}),
        (LogisticRegression(), {"threshold": 1.0, "response_method": "decision_function"}),
        (LogisticRegression(), {"threshold": 0.9}),
    ],
)
def test_a_score_on_the_threshold_counts_as_reached(base, params):
    """``>=``, for either label and either kind of score; here the threshold is a score that occurs."""
    X, y = CANCER
    X, y = (X - X.mean(axis=0)) / X.std(axis=0), np.array(["bad", "good"])[y]
    model = FixedThresholdClassifier(base, **params).fit(X, y)
    member = lowered(model)
    inner = model.estimator_
    by_chance = hasattr(inner, "predict_proba") and params.get("response_method") != "decision_function"
    column = 0 if params.get("pos_label") == "bad" else 1
    scores = inner.predict_proba(X)[:, column] if by_chance else inner.decision_function(X) * (1 if column else -1)
    model.threshold = float(scores[7])
    member = lowered(model)
    if isinstance(member.body, Steps) and member.body.choice:
        index = choice(member, X)
    else:
        assert member.decision.inclusive
        index = member.decision.choose(member_vote(member, X))
    expected = model.predict(X)
    clear = np.abs(scores - model.threshold) > 1e-12
    np.testing.assert_array_equal(np.array(["bad", "good"])[index.astype(int)][clear], expected[clear])
    assert expected[7] == (params.get("pos_label") or "good")


def test_a_frozen_estimator_is_what_it_freezes():
    """Wherever it stands."""
    X, y = IRIS
    frozen = FrozenEstimator(tree().fit(X, y))
    assert plugins.required_model_of(frozen).name == "meta_estimator"
    np.testing.assert_array_equal(member_vote(lowered(frozen), X), frozen.predict_proba(X))
    assert not PLUGIN.accepts(FrozenEstimator(object()))
    np.testing.assert_array_equal(PLUGIN.labels(frozen, X), frozen.predict(X))


def test_a_forest_that_reads_labels_is_exact():
    """Labels of other models are whole numbers, on which no last digit hangs."""
    X, y = IRIS
    model = StackingClassifier([("a", tree()), ("b", forest())], forest(), cv=3, stack_method="predict").fit(X, y)
    np.testing.assert_allclose(member_vote(lowered(model), X), model.predict_proba(X), atol=1e-15)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            StackingClassifier([("a", tree())], forest(), cv=3),
            "StackingClassifier: final_estimator: RandomForestClassifier splits on other models' answers, whose last "
            "digit may send a row the other way; use a linear model there",
        ),
        (
            CalibratedClassifierCV(AdaBoostClassifier(n_estimators=3), cv=2),
            "CalibratedClassifierCV: calibrated classifier 0: AdaBoostClassifier is asked for its decision function",
        ),
        (
            CalibratedClassifierCV(XGBClassifier(n_estimators=4, n_jobs=1), method="isotonic", cv=2),
            "XGBClassifier computes in float32, and isotonic calibration that rises by .* use method='sigmoid'",
        ),
        (
            VotingClassifier([("inner", VotingClassifier([("odd", Constant())], voting="soft"))], voting="soft"),
            "VotingClassifier: estimator 'inner': VotingClassifier: estimator 'odd': no plugin can lower .*Constant",
        ),
        (
            VotingClassifier([("a", tree()), ("b", tree())], weights=[1, -1]),
            r"VotingClassifier: weights=\[1.0, -1.0\] with voting='hard' have no shares",
        ),
    ],
    ids=["tree on votes", "decision function", "steep", "nested", "weights"],
)
def test_refusals_name_the_part(model, message):
    """Who, where inside, why, and what to use instead."""
    X, y = CANCER
    with pytest.raises(UnsupportedModelError, match=message):
        lowered(model.fit(X, y))


def test_a_fold_without_a_class_is_refused():
    """Its calibrated classifier speaks for fewer classes than the others."""
    X, y = IRIS
    model = CalibratedClassifierCV(tree(), cv=2).fit(X, y)
    part = model.calibrated_classifiers_[1]
    part.estimator = tree().fit(X[:100], y[:100])
    with pytest.raises(UnsupportedModelError, match=r"calibrated classifier 1: its fold has the classes \[0, 1\] only"):
        lowered(model)


def test_members_of_an_ensemble_need_probabilities():
    """A hard vote has none; a calibrated model is a member like any other, and is saved without pickle."""
    X, y = IRIS
    hard = VotingClassifier([("a", tree()), ("b", forest())])
    with pytest.raises(ConfigError, match="has no predict_proba"):
        EnsembleClassifier([("hard", hard)]).fit(X, y)
    with pytest.raises(UnsupportedModelError, match="gives no probabilities, which classifiers vote with"):
        PLUGIN.check(hard.fit(X, y), "multiclass")
    with pytest.raises(PluginError, match=r"a meta-estimator is given as \(name, estimator\)"):
        EnsembleClassifier(["meta_estimator"]).fit(X, y)


def test_a_calibrated_member_is_exported_and_saved(tmp_path):
    """As a member beside others, and from its own stored form."""
    X, y = IRIS
    X = X.astype(np.float32)
    members = [("calibrated", CalibratedClassifierCV(forest(), cv=2)), ("tree", tree())]
    ensemble = EnsembleClassifier(members).fit(X, y)
    ensemble.export(tmp_path / "e.onnx", proof_rows=1_000)
    ensemble.save(tmp_path / "saved")
    back = EnsembleClassifier.load(tmp_path / "saved")
    np.testing.assert_array_equal(back.predict_proba(X), ensemble.predict_proba(X))
    np.testing.assert_allclose(glulam.load(tmp_path / "e.onnx").predict_proba(X), ensemble.predict_proba(X), atol=1e-6)


def test_a_regressor_of_regressors_averages_with_weights():
    """The weighted mean, by hand."""
    X, y = IRIS
    model = VotingRegressor([("a", LinearRegression()), ("b", LinearRegression(fit_intercept=False))], weights=[1, 3])
    model.fit(X, y)
    by_hand = (model.estimators_[0].predict(X) + 3 * model.estimators_[1].predict(X)) / 4
    np.testing.assert_allclose(member_vote(lowered(model), X)[:, 0], by_hand, rtol=1e-12)
