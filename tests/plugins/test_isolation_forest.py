"""Isolation forests: path lengths, the offset, and no place in a vote."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest as Native

from glulam.errors import PluginError, UnsupportedModelError
from glulam.interpreter import member_vote, run_steps
from glulam_plugins.models.isolation_forest import IsolationForest

PLUGIN = IsolationForest()


@pytest.mark.parametrize(
    "params",
    [{}, {"contamination": 0.2}, {"max_features": 3}, {"max_samples": 1}, {"max_samples": 2, "bootstrap": True}],
    ids=str,
)
def test_scores_decision_and_labels_are_the_librarys(params, binary):
    """NaN and infinity as well, which isolation forests take."""
    X = binary[0][:300].copy()
    X[::7, 2], X[::11, 3] = np.nan, np.inf
    model = Native(n_estimators=5, random_state=0, **params).fit(np.nan_to_num(X, posinf=0))
    lowered = PLUGIN.lower(model, None)
    decision = member_vote(lowered, X)
    np.testing.assert_allclose(decision[:, 0], model.decision_function(X), atol=1e-15)
    scores = run_steps(lowered.body, X)[lowered.body.extras["score_samples"]]
    np.testing.assert_allclose(scores[:, 0], PLUGIN.extras(model, X)["score_samples"], atol=1e-15)
    chosen = PLUGIN.signature(model).classes[lowered.decision.choose(decision)]
    np.testing.assert_array_equal(chosen, PLUGIN.labels(model, X))


def test_the_offset_itself_is_an_inlier():
    """A decision function of 0 is no outlier: all rows alike, and the offset their own score."""
    X = np.zeros((20, 1), dtype=np.float32)
    model = Native(n_estimators=3, contamination=0.1).fit(X)
    lowered = PLUGIN.lower(model, None)
    assert member_vote(lowered, X).tolist() == [[0.0]] * 20
    assert model.predict(X).tolist() == [1] * 20
    assert lowered.decision.choose(member_vote(lowered, X)).tolist() == [1] * 20


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_it_is_no_member_of_a_vote(task):
    """It is made for finding outliers alone."""
    with pytest.raises(PluginError, match=f"isolation_forest: finds outliers and has no answer to a {task} task"):
        PLUGIN.make(task, {}, None)
    with pytest.raises(UnsupportedModelError, match="isolation_forest: finds outliers, which members do not vote on"):
        PLUGIN.check(PLUGIN.make("outlier", {"n_estimators": 2}, None).fit(np.eye(4)), task)
