"""Stacking: a linear model on out-of-fold votes, as scikit-learn's, exported as a few nodes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier, StackingClassifier, StackingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, ShuffleSplit, TimeSeriesSplit
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

import glulam
from glulam import EnsembleClassifier, EnsembleRegressor
from glulam.errors import ConfigError
from glulam_plugins.voting.stacking import Stacking

SMALL = {"n_estimators": 5, "n_jobs": 1}
VALIDATORS = ["columns", "finite"]


def trees(kind=DecisionTreeClassifier):
    """Return two different trees."""
    return [("shallow", kind(max_depth=2, random_state=0)), ("deep", kind(max_depth=5, random_state=1))]


def narrow(load):
    """Return bundled data in float32, which members are trained on."""
    X, y = load(return_X_y=True)
    return X.astype(np.float32), y


@pytest.mark.parametrize("load", [load_breast_cancer, load_iris])
@pytest.mark.parametrize("cv", [3, KFold(4, shuffle=True, random_state=0)], ids=str)
def test_classes_as_scikit_learn_stacks_them(load, cv):
    """Folds, votes and the model on top are StackingClassifier's."""
    X, y = narrow(load)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    ours = EnsembleClassifier(trees(), voting=("stacking", {"cv": cv, "C": 0.5})).fit(X, y, weight)
    final = LogisticRegression(C=0.5, max_iter=1_000)
    theirs = StackingClassifier(trees(), final, cv=cv).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)


def test_values_as_scikit_learn_stacks_them():
    """Ridge on the members' values; alpha is in units of y's variance."""
    X, y = narrow(load_diabetes)
    ours = EnsembleRegressor(trees(DecisionTreeRegressor), voting=("stacking", {"alpha": 0.5})).fit(X, y)
    theirs = StackingRegressor(trees(DecisionTreeRegressor), Ridge(0.5 * y.var())).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9)
    # The same model of y in other units.
    small = EnsembleRegressor(trees(DecisionTreeRegressor), voting=("stacking", {"alpha": 0.5})).fit(X, y / 2**20)
    np.testing.assert_allclose(small.predict(X) * 2**20, ours.predict(X), rtol=1e-5)


def test_fitted_members_vote_on_the_given_rows():
    """prefit=True is scikit-learn's cv="prefit"."""
    X, y = narrow(load_breast_cancer)
    fitted = [(name, each.fit(X[:300], y[:300])) for name, each in trees()]
    ours = EnsembleClassifier(fitted, voting="stacking", prefit=True).fit(X[300:], y[300:])
    theirs = StackingClassifier(fitted, LogisticRegression(max_iter=1_000), cv="prefit").fit(X[300:], y[300:])
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-12)


def test_rows_without_a_vote_are_not_learnt_from():
    """A TimeSeriesSplit never votes on the first rows; the model on top learns from the rest."""
    X, y = narrow(load_breast_cancer)
    split = TimeSeriesSplit(4)
    ours = EnsembleClassifier(trees(), voting=("stacking", {"cv": split})).fit(X, y)
    votes, rows = [], []
    for train, test in split.split(X):
        parts = [each.fit(X[train], y[train]).predict_proba(X[test])[:, 1] for _, each in trees()]
        votes.append(np.column_stack(parts))
        rows.append(test)
    rows = np.concatenate(rows)
    assert len(rows) < len(y)
    linear = LogisticRegression(max_iter=1_000).fit(np.concatenate(votes), y[rows])
    on_all = np.column_stack([each.fit(X, y).predict_proba(X)[:, 1] for _, each in trees()])
    np.testing.assert_allclose(ours.predict_proba(X), linear.predict_proba(on_all), atol=1e-6)


@pytest.mark.parametrize(
    ("task", "precision"), [("binary", "float32"), ("multiclass", "float64"), ("regression", "auto")]
)
def test_exported_saved_and_loaded(task, precision, tmp_path):
    """The file and the restored ensemble give the fitted one's answers; early stopping works inside folds."""
    load = {"binary": load_breast_cancer, "multiclass": load_iris, "regression": load_diabetes}[task]
    X, y = narrow(load)
    kind = EnsembleRegressor if task == "regression" else EnsembleClassifier
    members = [("lightgbm", SMALL | {"early_stopping_rounds": 2, "verbose": -1}), ("random_forest", SMALL)]
    ensemble = kind(members, voting=("stacking", {"cv": 3})).fit(X, y, eval_set=(X, y))
    ensemble.export(tmp_path / "e.onnx", proof_rows=1_000, precision=precision)
    file = glulam.load(tmp_path / "e.onnx")
    assert file.info()["voting"] == "stacking"
    ask = "predict" if task == "regression" else "predict_proba"
    expected = getattr(ensemble, ask)(X)
    np.testing.assert_allclose(getattr(file, ask)(X), expected, rtol=1e-5, atol=1e-6)

    ensemble.save(tmp_path / "saved")
    back = kind.load(tmp_path / "saved")
    np.testing.assert_allclose(getattr(back, ask)(X), expected, rtol=1e-12)
    assert back.voting == ("stacking", {"cv": 3})
    assert back.fit(X, y).voting_.cv == 3
    manifest = json.loads((tmp_path / "saved" / "manifest.json").read_text())
    assert set(manifest["voting_state"]) == {"cv", "C", "alpha", "coef", "intercept"}


def test_weights_are_learnt_not_given():
    """Weights given at fit or later are refused, and say what to do."""
    X, y = narrow(load_iris)
    with pytest.raises(ConfigError, match="weights: voting 'stacking' learns what each member is worth; leave weights"):
        EnsembleClassifier(trees(), weights=[1, 2], voting="stacking").fit(X, y)
    ensemble = EnsembleClassifier(trees(), voting="stacking").fit(X, y)
    with pytest.raises(
        ConfigError, match="voting 'stacking' has learnt what each member is worth; choose another vote"
    ):
        ensemble.update_weights([1, 2])
    ensemble.set_voting("soft").update_weights([1, 2])
    np.testing.assert_allclose(ensemble.weights_, [1, 2])


def test_stacking_cannot_be_chosen_after_the_fit():
    """Votes of members on rows that they know say nothing of their worth."""
    X, y = narrow(load_iris)
    ensemble = EnsembleClassifier(trees()).fit(X, y)
    message = r"voting 'stacking' learns from votes on rows .*set_params\(voting='stacking'\) and fit again"
    with pytest.raises(ConfigError, match=message):
        ensemble.set_voting("stacking")
    assert ensemble.voting_.name == "soft"
    with pytest.raises(ConfigError, match="learnt from 0 columns of votes, got 6; fit the ensemble again"):
        Stacking().combine(ensemble.votes(X), np.ones(2))


@pytest.mark.parametrize(
    ("voting", "rows", "message"),
    [
        (("stacking", {"folds": 3}), slice(None), "voting 'stacking': .*unexpected keyword argument 'folds'"),
        (("stacking", 3), slice(None), r"expected the name of a strategy, got \('stacking', 3\); give a name or"),
        (("stacking", {"cv": 1}), slice(None), "voting 'stacking': cannot split 150 rows into folds: k-fold"),
        (
            "stacking",
            slice(49, None),
            r"class .*0.* has 1 rows, and none of them among the rows that fold 1 of 5 fits on",
        ),
        (("stacking", {"cv": TimeSeriesSplit(3)}), slice(None), "none of them among the rows that fold 1 of 3 fits on"),
        (("stacking", {"cv": ShuffleSplit(3, random_state=0)}), slice(None), "votes on a row more than once"),
    ],
)
def test_what_cannot_be_folded_is_refused(voting, rows, message):
    """Every refusal says what is wrong with strategy, folds or rows."""
    X, y = narrow(load_iris)
    with pytest.raises(ConfigError, match=message):
        EnsembleClassifier(trees(), voting=voting, validators=VALIDATORS).fit(X[rows], y[rows])


def test_parameters_are_cloned_with_the_ensemble():
    """(name, params) is a parameter like any other."""
    ensemble = EnsembleClassifier(trees(), voting=("stacking", {"C": 2.0}))
    assert clone(ensemble).voting == ("stacking", {"C": 2.0})
    X, y = narrow(load_iris)
    assert ensemble.fit(X, y).voting_.C == 2.0


STACKED = EnsembleClassifier(trees(), voting=("stacking", {"cv": 2}), validators=VALIDATORS)
STACKED_VALUES = EnsembleRegressor(trees(DecisionTreeRegressor), voting=("stacking", {"cv": 2}), validators=VALIDATORS)
REASON = "leaving a row out is no weight of 0: it moves the folds; scikit-learn's own stacks fail this check as well"


@pytest.mark.filterwarnings("ignore")  # the checks provoke warnings of scikit-learn's own on purpose
@parametrize_with_checks(
    [STACKED, STACKED_VALUES],
    expected_failed_checks=lambda _: {"check_sample_weight_equivalence_on_dense_data": REASON},
)
def test_scikit_learn_check(estimator, check):
    """Every check of scikit-learn's estimator contract passes."""
    check(estimator)


def test_a_forest_is_stacked_by_name():
    """Plugins' names and estimators stack alike, and importance needs no weights."""
    X, y = narrow(load_iris)
    forest = ("forest", RandomForestClassifier(5, random_state=0))
    ensemble = EnsembleClassifier([("random_forest", SMALL), forest], voting="stacking").fit(X, y)
    assert set(ensemble.feature_importance()) == {"random_forest", "forest", "ensemble"}
