"""The estimators: members, weights, votes, decisions, refitting without fitting, and what they refuse."""

from __future__ import annotations

import io
import sys

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

from glulam import EnsembleClassifier, EnsembleRegressor, Feature, FeatureSchema
from glulam.errors import ConfigError, FeatureError, FeatureTypeError, PluginError, UnsupportedModelError

SMALL = {"n_estimators": 5}
MEMBERS = [("lightgbm", SMALL), ("xgboost", SMALL), ("random_forest", SMALL)]


@pytest.fixture(scope="module")
def fitted(binary):
    """Return an ensemble of three small members on real rows."""
    X, y = binary
    return EnsembleClassifier(MEMBERS, weights=[0.4, 0.4, 0.2]).fit(X, y)


def trees(**more):
    """Return two scikit-learn members."""
    return [
        ("shallow", DecisionTreeClassifier(max_depth=2, random_state=0)),
        ("deep", DecisionTreeClassifier(random_state=1)),
    ]


# -- members ------------------------------------------------------------------------------------


def test_defaults_are_three_members_by_soft_vote():
    """With no arguments: LightGBM 0.4, XGBoost 0.4, random forest 0.2, with the documented settings."""
    X, y = load_iris(return_X_y=True)
    ensemble = EnsembleClassifier().fit(X[:100], y[:100])
    assert list(ensemble.members_) == ["lightgbm", "xgboost", "random_forest"]
    assert ensemble.weights_.tolist() == [0.4, 0.4, 0.2]
    settings = {name: model.get_params() for name, model in ensemble.members_.items()}
    for name, expected in {
        "lightgbm": {
            "n_estimators": 200,
            "learning_rate": 0.1,
            "max_depth": 8,
            "num_leaves": 31,
            "random_state": 42,
            "n_jobs": -1,
        },
        "xgboost": {"n_estimators": 200, "learning_rate": 0.1, "max_depth": 8, "random_state": 42, "n_jobs": -1},
        "random_forest": {"n_estimators": 200, "max_depth": 12, "random_state": 42, "n_jobs": -1},
    }.items():
        assert expected.items() <= settings[name].items()


def test_soft_vote_is_scikit_learns(binary):
    """Members, weights and ties give what VotingClassifier gives on the same float32 rows."""
    X, y = binary
    for voting in ("soft", "hard"):
        ours = EnsembleClassifier(trees(), weights=[1, 2], voting=voting).fit(X, y)
        theirs = VotingClassifier(trees(), weights=[1, 2], voting=voting).fit(X, y)
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
        if voting == "soft":
            np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-15)


@pytest.mark.parametrize("kind", ["int", "negative", "str", "bool", "float"])
def test_labels_of_every_kind_come_back(kind):
    """Integers, strings, booleans and floats are predicted as they were given."""
    X, y = load_iris(return_X_y=True)
    X, y = X[50:], y[50:] - 1
    labels = {
        "int": np.array([3, 7]), "negative": np.array([-2, 5]), "str": np.array(["down", "up"]),
        "bool": np.array([False, True]), "float": np.array([0.0, 1.0]),
    }[kind][y]  # fmt: skip
    ensemble = EnsembleClassifier(trees(), validators=["finite"]).fit(X, labels)
    assert ensemble.classes_.tolist() == sorted(set(labels.tolist()))
    predicted = ensemble.predict(X)
    assert predicted.dtype == labels.dtype
    assert (predicted == labels).mean() > 0.9


def test_prefit_members_are_used_as_they_are(binary):
    """prefit=True takes fitted estimators, of encoded or of the same labels, and does not fit them."""
    X, y = binary
    labels = np.array(["down", "up"])[y]
    forest = RandomForestClassifier(5, random_state=0).fit(X, labels)
    tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, y)
    ensemble = EnsembleClassifier([("forest", forest), ("tree", tree)], prefit=True).fit(X, labels)
    assert ensemble.members_["forest"] is forest
    np.testing.assert_allclose(
        ensemble.predict_proba(X), (forest.predict_proba(X) + tree.predict_proba(X)) / 2, atol=1e-15
    )


def test_prefit_members_must_fit_the_table(binary):
    """Other classes, another number of features, or no fit at all are errors that name the member."""
    X, y = binary
    members = [("tree", DecisionTreeClassifier().fit(X[:, :3], y))]
    with pytest.raises(ConfigError, match="member 'tree': fitted on 3 features, the table has 28"):
        EnsembleClassifier(members, prefit=True).fit(X, y)
    members = [("tree", DecisionTreeClassifier().fit(X, y + 5))]
    with pytest.raises(ConfigError, match=r"member 'tree': fitted on classes \[5, 6\], y has \[0, 1\]"):
        EnsembleClassifier(members, prefit=True).fit(X, y)
    with pytest.raises(ValueError, match="not fitted yet"):
        EnsembleClassifier([("tree", DecisionTreeClassifier())], prefit=True).fit(X, y)
    with pytest.raises(ConfigError, match="prefit=True takes fitted estimators"):
        EnsembleClassifier(["lightgbm"], prefit=True).fit(X, y)


def test_one_plugin_may_come_twice(binary):
    """Two members of one kind get names of their own."""
    X, y = binary
    ensemble = EnsembleClassifier([("lightgbm", SMALL), ("lightgbm", SMALL | {"random_state": 1})]).fit(X, y)
    assert list(ensemble.members_) == ["lightgbm", "lightgbm_2"]


@pytest.mark.parametrize(
    ("members", "error", "message"),
    [
        (["lightgbn"], PluginError, "unknown model 'lightgbn': did you mean 'lightgbm'"),
        ("lightgbm", ConfigError, "members: expected a list of plugin names"),
        ([], ConfigError, "members: expected a list of plugin names"),
        ([("a", 1, 2)], ConfigError, r"expected a plugin name, \(name, params\) or \(name, estimator\), got \('a', 1, 2\)"),
        ([("a", DecisionTreeClassifier)], ConfigError, "member 'a': expected an estimator instance with fit and predict"),
        ([("a__b", DecisionTreeClassifier())], ConfigError, "names must not contain '__'"),
        ([("weights", DecisionTreeClassifier())], ConfigError, "'weights' is the name of a parameter"),
        ([("a", DecisionTreeClassifier()), ("a", DecisionTreeClassifier())], ConfigError, "the name 'a' comes twice"),
        ([("a", __import__("sklearn.linear_model").linear_model.Ridge())], ConfigError, "expected a classifier, got Ridge"),
        ([("a", SVC())], ConfigError, "SVC has no predict_proba; members vote with probabilities"),
        ([("random_forest", {"n_estimator": 5})], ConfigError, "member 'random_forest': .*n_estimator"),
        ([("xgboost", {"learning_rat": 5})], ConfigError, "unknown parameter 'learning_rat'; did you mean 'learning_rate'"),
    ],
)  # fmt: skip
def test_members_that_will_not_do_are_named(binary, members, error, message):
    """Every wrong entry of the members list is an error that names it."""
    with pytest.raises(error, match=message):
        EnsembleClassifier(members).fit(*binary)


# -- weights, voting, decision ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], r"weights: expected 3 numbers, one for each of \['lightgbm', 'xgboost', 'random_forest'\], got \[1, 2\]"),
        ([1, -1, 1], "weights: expected finite numbers of at least 0"),
        ([1, np.nan, 1], "weights: expected finite numbers of at least 0"),
        ([0, 0, 0], "weights: all are 0, so that no member has a vote"),
        (["a", "b", "c"], "weights: expected numbers"),
        ({"lightgbm": 1, "xgboost": 1}, "weights: expected one for each of"),
    ],
)  # fmt: skip
def test_weights_that_will_not_do_are_refused(fitted, weights, message):
    """Weights of the wrong length, negative, all zero or no numbers are errors."""
    with pytest.raises(ConfigError, match=message):
        clone(fitted).set_params(weights=weights).fit(np.zeros((100, 2)), np.arange(100) % 2)
    with pytest.raises(ConfigError, match=message):
        fitted.update_weights(weights)


def test_weights_and_voting_change_without_refitting(binary):
    """update_weights and set_voting change the vote and leave the members alone."""
    X, y = binary
    ensemble = EnsembleClassifier(MEMBERS).fit(X, y)
    before = dict(ensemble.members_)
    assert ensemble.update_weights({"random_forest": 1, "xgboost": 0, "lightgbm": 0}) is ensemble
    np.testing.assert_allclose(ensemble.predict_proba(X), ensemble.votes(X)[:, 2], atol=1e-15)
    assert ensemble.set_voting("hard") is ensemble
    assert set(np.unique(ensemble.predict_proba(X))) == {0.0, 1.0}
    assert dict(ensemble.members_) == before
    assert clone(ensemble).voting == "hard"


def test_unknown_voting_names_the_nearest():
    """A misspelt strategy is an error with the nearest name; a strategy for other tasks says so."""
    X, y = load_diabetes(return_X_y=True)
    with pytest.raises(
        PluginError,
        match=r"unknown voting 'sft': did you mean 'soft'\? known are \['calibrated', 'hard', 'log_pool', 'soft'",
    ):
        EnsembleRegressor(voting="sft").fit(X, y)
    with pytest.raises(
        ConfigError, match="voting 'hard' is for binary and multiclass, not for regression; use voting='soft'"
    ):
        EnsembleRegressor(voting="hard").fit(X, y)
    with pytest.raises(ConfigError, match="voting: expected the name of a strategy, got 3"):
        EnsembleRegressor(voting=3).fit(X, y)


def test_unknown_validator_names_the_nearest(binary):
    """A misspelt validator is an error with the nearest name, and so is a wrong argument of one."""
    with pytest.raises(PluginError, match="unknown validator 'finit': did you mean 'finite'"):
        EnsembleClassifier(trees(), validators=["finit"]).fit(*binary)
    with pytest.raises(ConfigError, match="validator 'range': .*unexpected keyword argument 'margn'"):
        EnsembleClassifier(trees(), validators=[("range", {"margn": 1})]).fit(*binary)
    with pytest.raises(ConfigError, match="validators: expected a list"):
        EnsembleClassifier(trees(), validators="finite").fit(*binary)


def test_threshold_and_abstention(binary):
    """The second class needs more than the threshold; rows of low confidence get the abstain label."""
    X, y = binary
    ensemble = EnsembleClassifier(MEMBERS, threshold=0.6, min_confidence=0.65).fit(X, y)
    chance = ensemble.predict_proba(X)
    expected = np.where(chance.max(axis=1) < 0.65, -1, chance[:, 1] > 0.6)
    np.testing.assert_array_equal(ensemble.predict(X), expected)
    assert set(expected) == {-1, 0, 1}


@pytest.mark.parametrize(
    ("labels", "settings", "message"),
    [
        ([0, 1], {"min_confidence": 0.35}, "min_confidence: 0.35 can never trigger: with 2 classes .* at least 0.5"),
        ([0, 1], {"min_confidence": 0.5}, "can never trigger"),
        ([0, 1, 2], {"min_confidence": 0.33}, "can never trigger: with 3 classes .* at least 0.3333"),
        ([0, 1], {"min_confidence": 1.5}, "expected a number above 0.5 and at most 1, got 1.5"),
        ([0, 1], {"threshold": 1.5}, "threshold: expected a number between 0 and 1, got 1.5"),
        ([0, 1, 2], {"threshold": 0.6}, "threshold: 0.6 was given, but there are 3 classes"),
        (["a", "b"], {"min_confidence": 0.6}, "abstain_label: the classes are .*; only integer classes have a default"),
        (["a", "b"], {"min_confidence": 0.6, "abstain_label": -1}, "abstain_label: -1 does not fit classes of type"),
        ([False, True], {"min_confidence": 0.6, "abstain_label": -1}, "does not fit classes of type bool; encode y as integers"),
        ([-1, 1], {"min_confidence": 0.6}, "abstain_label: -1 is one of the classes; choose another"),
    ],
)  # fmt: skip
def test_decisions_that_can_not_work_are_refused(labels, settings, message):
    """A threshold or an abstention that can never work is an error before anything is fitted."""
    X, y = load_iris(return_X_y=True)
    y = np.array(labels)[y % len(labels)]
    with pytest.raises(ConfigError, match=message):
        EnsembleClassifier(trees(), **settings).fit(X, y)


def test_strings_abstain_with_a_string():
    """An abstain label longer than any class is not cut."""
    X, y = load_iris(return_X_y=True)
    ensemble = EnsembleClassifier([("random_forest", SMALL)], min_confidence=0.9, abstain_label="none of them").fit(
        X, np.array(["a", "b", "c"])[y]
    )
    assert set(ensemble.predict(X)) == {"a", "b", "c", "none of them"}


# -- scikit-learn manners -----------------------------------------------------------------------


def test_nested_parameters_and_clone():
    """Parameters of named estimators are read and set through the ensemble; clones share nothing."""
    ensemble = EnsembleClassifier([*trees(), "lightgbm"])
    assert ensemble.get_params()["shallow__max_depth"] == 2
    ensemble.set_params(shallow__max_depth=5, voting="hard", deep=LogisticRegression())
    copy = clone(ensemble)
    assert copy.get_params()["shallow__max_depth"] == 5
    assert isinstance(copy.get_params()["deep"], LogisticRegression)
    assert copy.get_params()["shallow"] is not ensemble.get_params()["shallow"]
    with pytest.raises(ValueError, match="Invalid parameter 'votting' for estimator EnsembleClassifier"):
        ensemble.set_params(votting="soft")


def test_votes_are_features_for_stacking(binary):
    """Transform gives the votes side by side, named, also as a DataFrame when set_output asks."""
    X, y = binary
    ensemble = EnsembleClassifier(MEMBERS[:2]).fit(X, y).set_output(transform="pandas")
    frame = ensemble.transform(X[:5])
    assert list(frame.columns) == [f"ensembleclassifier_{m}{i}" for m in ("lightgbm", "xgboost") for i in (0, 1)]
    np.testing.assert_array_equal(frame.to_numpy(), ensemble.votes(X[:5]).reshape(5, 4))


def test_html_representation_shows_the_members():
    """A notebook shows the members side by side."""
    html = EnsembleClassifier([*trees(), "lightgbm"])._repr_html_()
    assert "shallow" in html
    assert "lightgbm" in html
    assert "random_forest" in EnsembleClassifier()._repr_html_()


def test_feature_importance_by_member_and_ensemble(binary):
    """Importances sum to 1; the ensemble's are the members' by weight; they find the real feature."""
    random = np.random.default_rng(0)
    X = random.normal(size=(500, 4)).astype(np.float32)
    ensemble = EnsembleClassifier(MEMBERS, weights=[3, 1, 0]).fit(X, (X[:, 2] > 0).astype(int))
    found = ensemble.feature_importance()
    assert list(found) == ["lightgbm", "xgboost", "random_forest", "ensemble"]
    for values in found.values():
        assert values.shape == (4,)
        assert values.sum() == pytest.approx(1)
        assert values.argmax() == 2
    np.testing.assert_allclose(found["ensemble"], (3 * found["lightgbm"] + found["xgboost"]) / 4)


def test_sample_weight_reaches_every_member(binary):
    """Rows of weight nearly zero change nothing much; a wrong length is an error."""
    X, y = binary
    weight = np.where(np.arange(len(y)) < 700, 1.0, 1e-9)
    flipped = np.where(np.arange(len(y)) < 700, y, 1 - y)
    ensemble = EnsembleClassifier(MEMBERS, validators=["finite"])
    weighted = ensemble.fit(X, flipped, sample_weight=weight).votes(X[:700])
    alone = ensemble.fit(X, flipped).votes(X[:700])
    truth = y[:700, None] == weighted.argmax(axis=2)
    assert (truth.mean(axis=0) > (y[:700, None] == alone.argmax(axis=2)).mean(axis=0)).all()
    with pytest.raises(ValueError, match="sample_weight.shape"):
        ensemble.fit(X, y, sample_weight=[1.0, 2.0])


def test_early_stopping_by_eval_set(binary):
    """Members with early stopping stop on eval_set; others ignore it; unknown labels are refused."""
    X, y = binary
    stopping = {"n_estimators": 200, "learning_rate": 0.5, "early_stopping_rounds": 2}
    ensemble = EnsembleClassifier([("lightgbm", stopping), ("xgboost", stopping), ("random_forest", SMALL)])
    labels = np.array(["down", "up"])[y]
    ensemble.fit(X[:1000], labels[:1000], eval_set=(X[1000:], labels[1000:]))
    assert ensemble.members_["lightgbm"].best_iteration_ < 100
    assert ensemble.members_["xgboost"].best_iteration < 100
    with pytest.raises(FeatureError, match=r"eval_set: y has classes that training has not: \['sideways'\]"):
        ensemble.fit(X[:1000], labels[:1000], eval_set=(X[1000:], ["sideways"] * 500))


def test_members_fit_in_parallel_alike(binary):
    """n_jobs changes the time, not the answer."""
    X, y = binary
    one, two = (EnsembleClassifier(MEMBERS, n_jobs=n).fit(X, y) for n in (1, 2))
    assert list(one.members_) == list(two.members_)
    np.testing.assert_allclose(one.predict_proba(X), two.predict_proba(X), atol=1e-15)


def test_progress_bar_only_where_somebody_looks(binary, monkeypatch):
    """Standard error stays empty when it is no terminal; progress=True shows the members."""
    X, y = binary
    quiet, loud = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", quiet)
    EnsembleClassifier(MEMBERS).fit(X, y)
    assert quiet.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", loud)
    monkeypatch.setenv("FORCE_COLOR", "1")
    EnsembleClassifier(MEMBERS, progress=True).fit(X, y)
    assert "fitt" in loud.getvalue()


# -- tables -------------------------------------------------------------------------------------


def test_a_given_schema_is_used(binary):
    """A given schema decides kinds and policies; its categories reach the members as codes."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=300), "city": random.choice(["Bern", "Ulm", "Rom"], 300)})
    y = (frame.city == "Ulm").astype(int)
    schema = FeatureSchema((Feature("x"), Feature("city", "categorical", ("Bern", "Rom", "Ulm"), "allow", "missing")))
    ensemble = EnsembleClassifier(MEMBERS, schema=schema).fit(frame, y)
    assert ensemble.feature_names_in_.tolist() == ["x", "city"]
    assert (ensemble.predict(frame) == y).mean() > 0.95
    assert ensemble.predict_proba(frame.assign(city="Oslo")).shape == (300, 2)
    with pytest.raises(ConfigError, match="schema: expected a FeatureSchema, got dict"):
        EnsembleClassifier(MEMBERS, schema={}).fit(frame, y)


def test_reorder_takes_columns_in_any_order(binary):
    """reorder=True predicts the same from shuffled columns with strangers among them."""
    X, y = binary
    frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(28)])
    ensemble = EnsembleClassifier(MEMBERS, reorder=True).fit(frame, y)
    shuffled = frame[frame.columns[::-1]].assign(extra=1.0)
    np.testing.assert_array_equal(ensemble.predict(shuffled), ensemble.predict(frame))
    with pytest.raises(FeatureError, match="must be in the same order"):
        ensemble.set_params(reorder=False).predict(frame[frame.columns[::-1]])


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (np.zeros(200, int), FeatureError, r"y: expected at least two classes, got one class only: \[0\]"),
        (None, FeatureError, "fit requires y to be passed, but the target y is None"),
        (np.r_[np.nan, np.ones(199)], FeatureError, r"y contains NaN or None \(first in row 0\)"),
        (np.array([None, "a"] * 100, dtype=object), FeatureError, "y contains NaN or None"),
        (np.array([1, "a"] * 100, dtype=object), FeatureError, "labels of mixed types"),
        (np.linspace(0, 1, 200), ValueError, "Unknown label type: continuous"),
        (np.arange(199) % 2, ValueError, "inconsistent numbers of samples"),
        (np.array(["2020-01-01", "2020-01-02"] * 100, dtype="datetime64[D]"), FeatureError, "labels of type datetime64"),
    ],
)  # fmt: skip
def test_labels_that_will_not_do(y, error, message):
    """One class, missing, mixed, continuous or too few labels are errors."""
    with pytest.raises(error, match=message):
        EnsembleClassifier(trees()).fit(np.zeros((200, 2)) + np.arange(200)[:, None], y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.r_[np.inf, np.ones(199)], "y, row 0: expected a finite number, got inf"),
        (np.array(["a"] * 200), "y: expected numbers, got <U1"),
        (None, "the target y is None"),
    ],
)
def test_values_that_will_not_do(y, message):
    """Targets that are no finite numbers are errors."""
    with pytest.raises(FeatureError, match=message):
        EnsembleRegressor(["random_forest"]).fit(np.arange(200.0)[:, None], y)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda X: X[:, :5], FeatureError, "X has 5 features, but EnsembleClassifier is expecting 28 features as input"),
        (lambda X: np.where(np.arange(28) == 3, np.nan, X), FeatureError, r"finite: column 'x3', row 0: .* got NaN \(a missing"),
        (lambda X: np.where(np.arange(28) == 3, -np.inf, X), FeatureError, "column 'x3', row 0: .* got -inf .* 10 such values"),
        (lambda X: X.astype(str), FeatureTypeError, "EnsembleClassifier: column 'x0': expected numbers, got text"),
        (lambda X: X.astype(object) + 1j, FeatureTypeError, "Complex data not supported"),
        (lambda X: X[0], FeatureError, "Expected 2D array, got 1D array instead"),
        (lambda X: X[None], FeatureError, "Expected 2D array, got 3D array instead"),
        (lambda X: X[:0], FeatureError, "the table is empty"),
        (lambda X: [[1, 2], [3]], FeatureError, "rows of different lengths make no table"),
    ],
)  # fmt: skip
def test_tables_that_will_not_do_at_predict(binary, fitted, change, error, message):
    """Each kind of wrong table is an error that says what, where and what to do."""
    with pytest.raises(error, match=message):
        fitted.predict(change(binary[0][:10]))


def test_fewer_than_a_hundred_rows_are_refused(binary):
    """minimum_samples refuses by default and says how to allow it."""
    X, y = binary
    with pytest.raises(
        FeatureError, match="minimum_samples: expected at least 100 rows to fit, got 99; give more data"
    ):
        EnsembleClassifier(trees()).fit(X[:99], y[:99])
    validators = ["columns", "finite", ("minimum_samples", {"rows": 50})]
    EnsembleClassifier(trees(), validators=validators).fit(X[:99], y[:99])


def test_infinite_training_rows_are_refused(binary):
    """Infinities are refused at fit; NaN teaches the schema that it may be missing."""
    X, y = binary
    X = X.copy()
    X[5, 2] = np.nan
    ensemble = EnsembleClassifier([("lightgbm", SMALL)]).fit(X, y)
    assert ensemble.schema_.allows_missing.tolist() == [i == 2 for i in range(28)]
    X[5, 2] = np.inf
    with pytest.raises(FeatureError, match="finite: column 'x2', row 5: expected a finite number, got inf"):
        ensemble.fit(X, y)


def test_regression_is_the_weighted_mean():
    """A regressor predicts the weighted mean of its members' values."""
    X, y = load_diabetes(return_X_y=True)
    ensemble = EnsembleRegressor(MEMBERS, weights=[1, 2, 3]).fit(X, y)
    votes = ensemble.votes(X)
    assert votes.shape == (442, 3, 1)
    np.testing.assert_allclose(ensemble.predict(X), (votes[:, :, 0] * [1, 2, 3]).sum(axis=1) / 6)
    assert ensemble.score(X, y) > 0.3
    assert ensemble.get_feature_names_out().tolist() == [f"ensembleregressor_{name}" for name, _ in MEMBERS]


def test_a_fit_that_fails_leaves_the_ensemble_as_it_was(binary):
    """After a failed refit on other classes the old members answer with the old classes."""
    X, y = binary
    ensemble = EnsembleClassifier(MEMBERS).fit(X, y)
    before = ensemble.predict(X)
    with pytest.raises(ConfigError, match="weights: expected 3 numbers"):
        ensemble.set_params(weights=[1]).fit(X[:, :5], np.array(["a", "b", "c"] * 500))
    np.testing.assert_array_equal(ensemble.predict(X), before)
    assert ensemble.classes_.tolist() == [0, 1]


def test_prefit_members_of_other_columns_are_refused(binary):
    """A model fitted on the same columns in another order would be asked by position: it is refused."""
    X, y = binary
    numbered = pd.DataFrame(X[:, :3], columns=["f1", "f0", "f2"])
    for made in (RandomForestClassifier(3), LGBMClassifier(n_estimators=2, verbose=-1), XGBClassifier(n_estimators=2)):
        with pytest.raises(ConfigError, match=r"member 'm': fitted on the columns \['f1', 'f0', 'f2'\], the table has"):
            EnsembleClassifier([("m", made.fit(numbered, y))], prefit=True).fit(numbered[["f0", "f1", "f2"]], y)
        without = clone(made).fit(X[:, :3], y)
        EnsembleClassifier([("m", without)], prefit=True).fit(numbered, y)
    frame = pd.DataFrame(X[:, :3], columns=["a", "b", "c d"])
    for made in (RandomForestClassifier(3), LGBMClassifier(n_estimators=2, verbose=-1), XGBClassifier(n_estimators=2)):
        swapped = made.fit(frame[["c d", "b", "a"]], y)
        with pytest.raises(ConfigError, match=r"member 'm': fitted on the columns \['c_d', 'b', 'a'\], the table has"):
            EnsembleClassifier([("m", swapped)], prefit=True).fit(frame, y)
        right = clone(made).fit(frame, y)
        ensemble = EnsembleClassifier([("m", right)], prefit=True).fit(frame, y)
        np.testing.assert_array_equal(ensemble.predict(frame), right.predict(frame))


def test_prefit_members_of_other_labels_are_refused(binary):
    """Positions stand for strings, not for other integers."""
    X, y = binary
    tree = DecisionTreeClassifier(max_depth=2).fit(X, y)
    EnsembleClassifier([("m", tree)], prefit=True).fit(X, np.array(["no", "yes"])[y])
    with pytest.raises(ConfigError, match=r"fitted on classes \[0, 1\], y has \[0, 2\]"):
        EnsembleClassifier([("m", tree)], prefit=True).fit(X, 2 * y)
    with pytest.raises(ConfigError, match=r"fitted on classes \[0, 1\], y has \[-1.0, 0.0\]"):
        EnsembleClassifier([("m", tree)], prefit=True).fit(X, y - 1.0)


@pytest.mark.parametrize(
    ("member", "error", "message"),
    [
        (lambda X, y: LGBMClassifier(n_estimators=2, verbose=-1, objective=margin).fit(X, y), UnsupportedModelError, "objective .* gives no probabilities"),
        (lambda X, y: LGBMRegressor(n_estimators=2, verbose=-1).fit(X, y).booster_, UnsupportedModelError, "objective 'regression' gives no probabilities"),
        (lambda X, y: XGBClassifier(n_estimators=2, objective="binary:logitraw").fit(X, y), UnsupportedModelError, "objective 'binary:logitraw' gives no probabilities"),
        (lambda X, y: LGBMRegressor(n_estimators=2, verbose=-1).fit(X, y), ConfigError, "expected a classifier, got LGBMRegressor"),
        (lambda X, y: LGBMClassifier(n_estimators=2, verbose=-1).fit(X, y + (X[:, 0] > 1)).booster_, ConfigError, r"expected votes of shape \(16, 2\), got \(16, 3\)"),
        (lambda X, y: LGBMClassifier(n_estimators=2, verbose=-1).fit(X[:, :3], y).booster_, ConfigError, "cannot answer the training rows"),
        (lambda X, y: LGBMClassifier(n_estimators=2, verbose=-1, pred_early_stop=True).fit(X, y), UnsupportedModelError, "pred_early_stop=True leaves trees out"),
    ],
)  # fmt: skip
def test_members_whose_votes_are_not_the_ensembles_are_refused(binary, member, error, message):
    """Margins, values, other classes, other features and cut-off predictions do not vote."""
    X, y = binary
    with pytest.raises(error, match=rf"member 'm': .*({message})"):
        EnsembleClassifier([("m", member(X, y))], prefit=True).fit(X, y)


def margin(y, score):
    """Gradient and hessian of squared error, an objective of somebody's own."""
    return score - y, np.ones_like(y, dtype=float)


def test_subclasses_vote_by_their_own_rules_and_are_not_exported(binary, tmp_path):
    """A subclass may predict by other rules: it votes as it says, and export refuses it by name."""
    X, y = binary
    ensemble = EnsembleClassifier([("mine", Reversed(n_estimators=2, verbose=-1))]).fit(X, y)
    np.testing.assert_array_equal(ensemble.predict_proba(X), ensemble.members_["mine"].predict_proba(X))
    with pytest.raises(UnsupportedModelError, match="member 'mine': no plugin can lower .*Reversed exactly"):
        ensemble.export(tmp_path / "e.onnx")


class Reversed(LGBMClassifier):
    """LightGBM that says the opposite."""

    def predict_proba(self, X, *args, **kwargs):
        """Return the probabilities the other way round."""
        return super().predict_proba(X, *args, **kwargs)[:, ::-1]


def test_weights_belong_to_the_ensemble(binary):
    """Changing the array that weights came from changes nothing."""
    weights = np.array([1.0, 2.0, 3.0])
    ensemble = EnsembleClassifier(MEMBERS, weights=weights).fit(*binary)
    weights[0] = 99
    assert ensemble.weights_.tolist() == [1, 2, 3]


def test_what_a_masked_array_hides_is_missing(binary):
    """The value under a mask is not used."""
    X, y = binary
    masked = np.ma.masked_array(X, mask=np.zeros_like(X, dtype=bool))
    masked[3, 2] = np.ma.masked
    ensemble = EnsembleClassifier([("lightgbm", SMALL)]).fit(masked, y)
    assert ensemble.schema_.allows_missing.tolist() == [i == 2 for i in range(28)]
    words = np.ma.masked_array(["x", "y"] * 2, mask=[False, True, False, False])
    schema = FeatureSchema((Feature("w", "categorical", ("x", "y"), "allow"),))
    np.testing.assert_array_equal(schema.encode({"w": words})[:, 0], np.float32([0, np.nan, 0, 1]))


def test_labels_beyond_int64_are_refused():
    """Files have int64 labels; larger ones are an error, not a wrapped number."""
    y = np.array([0, 2**63], dtype=np.uint64)[np.arange(200) % 2]
    with pytest.raises(FeatureError, match="label 9223372036854775808 is beyond int64"):
        EnsembleClassifier(trees()).fit(np.arange(200.0)[:, None], y)


@pytest.mark.parametrize("label", [np.int64(-5), -5])
def test_abstain_labels_of_numpy_are_numbers(label, binary, tmp_path):
    """A numpy scalar is as good as its number; one that int64 cannot hold is refused."""
    X, y = binary
    ensemble = EnsembleClassifier([("random_forest", SMALL)], min_confidence=0.9, abstain_label=label).fit(X, y)
    ensemble.export(tmp_path / "e.onnx", proof_rows=1_000)
    assert -5 in ensemble.predict(X)
    with pytest.raises(ConfigError, match="abstain_label: .* does not fit"):
        EnsembleClassifier([("random_forest", SMALL)], min_confidence=0.9, abstain_label=2**70).fit(X, y)
