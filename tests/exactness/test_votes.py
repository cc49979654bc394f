"""Votes over any mix of members: the exported ensemble answers as the trained one, and as it does when saved and loaded."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeClassifier

import glulam
from glulam import EnsembleClassifier, EnsembleRegressor
from glulam._rows import families

FEW = {"n_estimators": 8, "n_jobs": 1}
CLASSIFIERS = {
    "boosters": [
        ("lightgbm", FEW), ("xgboost", FEW), ("catboost", {"iterations": 8, "thread_count": 1}),
        ("hist_gradient_boosting", {"max_iter": 8}),
    ],
    "trees": [
        ("random_forest", FEW), ("extra_trees", FEW), ("gradient_boosting", {"n_estimators": 8}),
        ("adaboost", {"n_estimators": 8}), ("bagged", BaggingClassifier(DecisionTreeClassifier(max_depth=4), 5)),
    ],
    "others": [
        ("lightgbm", FEW),
        ("scaled", make_pipeline(StandardScaler(), LogisticRegression())),
        ("scaled_trees", make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=5, random_state=0))),
        ("network", make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=60, random_state=0))),
        ("calibrated", CalibratedClassifierCV(DecisionTreeClassifier(max_depth=3, random_state=0), cv=3)),
    ],
}  # fmt: skip
REGRESSORS = [
    ("lightgbm", FEW), ("xgboost", FEW), ("catboost", {"iterations": 8, "thread_count": 1}),
    ("hist_gradient_boosting", {"max_iter": 8}), ("random_forest", FEW), ("ridge", make_pipeline(StandardScaler(), Ridge())),
    ("kernel", make_pipeline(StandardScaler(), SVR())),
    ("network", make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(8,), max_iter=60, random_state=0))),
]  # fmt: skip


@functools.cache
def data(task: str):
    """Return real rows and a target."""
    load = {"binary": load_breast_cancer, "multiclass": load_wine, "regression": load_diabetes}[task]
    X, y = load(return_X_y=True)
    return X[:, :8], y if task == "regression" else np.array(["a", "b", "c"])[y]


def check(ensemble, X, tmp_path) -> None:
    """Hold the exported file, and the ensemble saved and loaded, to the trained ensemble's own answers."""
    report = ensemble.export(tmp_path / "e.onnx", proof_rows=1_000)
    file = glulam.load(tmp_path / "e.onnx", invalid="ignore")
    program = ensemble.program()
    forests = [forest for member in program.members for forest in member.forests_of(X.shape[1])]
    found = families(ensemble.schema_, forests, ensemble.proof_rows_, rows=1_000, seed=7)
    rows = np.concatenate([each.rows for each in found if each.name in ("random", "threshold", "joint thresholds")])
    ensemble.save(tmp_path / "saved")
    again = type(ensemble).load(tmp_path / "saved")
    if hasattr(ensemble, "classes_"):
        want = ensemble.predict_proba(rows)
        np.testing.assert_allclose(again.predict_proba(rows), want, atol=1e-12)
        tolerance = 1e-4 if ensemble.voting == "log_pool" else 4e-6
        sure = np.ones(len(rows), dtype=bool)
        if ensemble.voting == "hard":  # a ballot on the edge may fall either way
            votes = np.sort(ensemble.votes(rows), axis=2)
            sure = (votes[..., -1] - votes[..., -2] > 1e-5).all(axis=1)
        np.testing.assert_allclose(file.predict_proba(rows)[sure], want[sure], atol=tolerance)
        best = np.sort(want, axis=1)
        sure &= best[:, -1] - best[:, -2] > 2 * tolerance
        np.testing.assert_array_equal(file.predict(rows)[sure], ensemble.predict(rows)[sure])
    else:
        want = ensemble.predict(rows)
        np.testing.assert_allclose(again.predict(rows), want, rtol=1e-12)
        np.testing.assert_allclose(file.predict(rows), want, rtol=4e-6, atol=4e-6 * want.std())
    assert report.rows > 500


@pytest.mark.parametrize("voting", ["soft", "hard", "log_pool", ("stacking", {"cv": 2})], ids=lambda v: str(v))
@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("mix", CLASSIFIERS)
def test_classifiers_of_all_kinds_vote(mix, task, voting, tmp_path):
    """Boosters, trees, linear models, networks, pipelines and calibrated ones vote together, weighted or stacked."""
    X, y = data(task)
    members = CLASSIFIERS[mix]
    weights = None if isinstance(voting, tuple) else np.arange(1, len(members) + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence
        ensemble = EnsembleClassifier(members, weights=weights, voting=voting).fit(X, y)
    check(ensemble, X, tmp_path)


@pytest.mark.parametrize("voting", ["soft", ("stacking", {"cv": 2})], ids=lambda v: str(v))
def test_regressors_of_all_kinds_vote(voting, tmp_path):
    """Boosters, forests, a linear model, a kernel machine and a network: their mean, or a ridge of them."""
    X, y = data("regression")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ensemble = EnsembleRegressor(REGRESSORS, voting=voting).fit(X, y)
    check(ensemble, X, tmp_path)
