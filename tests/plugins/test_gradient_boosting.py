"""Gradient boosting: where sums begin, the tie of two classes, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier

from glulam.errors import UnsupportedModelError
from glulam.interpreter import member_vote
from glulam_plugins.models.gradient_boosting import GradientBoosting

PLUGIN = GradientBoosting()
X = np.array([[0.0], [1.0], [2.0], [3.0]], dtype=np.float32)


def test_leaves_are_values_times_the_rate():
    """Sums begin at the mean of the targets; each tree adds its leaves times the learning rate."""
    model = GradientBoostingRegressor(n_estimators=1, learning_rate=0.5, max_depth=1).fit(X, [0.0, 0.0, 4.0, 4.0])
    forest = PLUGIN.lower(model, None).body
    assert (forest.base.tolist(), forest.threshold.tolist()) == ([2.0], [1.5])
    assert forest.leaf_value.ravel().tolist() == [-1.0, 1.0]


def test_a_sum_of_zero_is_the_second_class():
    """scikit-learn's predict takes sums of at least 0; other classifiers take those above."""
    model = GradientBoostingClassifier(n_estimators=2, init="zero").fit(np.zeros((4, 1)), [0, 1, 0, 1])
    lowered = PLUGIN.lower(model, None)
    vote = member_vote(lowered, X)
    assert vote.tolist() == [[0.5, 0.5]] * 4
    assert model.predict(X).tolist() == [1] * 4 == lowered.decision.choose(vote).tolist()


@pytest.mark.parametrize("loss", ["log_loss", "exponential"])
@pytest.mark.parametrize("sure", [False, True])
def test_an_init_of_ones_own_is_a_step_before(loss, sure, binary):
    """Its probabilities go through the loss's link; those of 0 and 1 are moved by float64's epsilon."""
    rows, y = binary
    init = DecisionTreeClassifier(max_depth=8) if sure else RandomForestClassifier(3, max_depth=3)
    model = GradientBoostingClassifier(n_estimators=3, loss=loss, init=init).fit(rows, y)
    assert (model.init_.predict_proba(rows).max() == 1) == sure
    np.testing.assert_allclose(member_vote(PLUGIN.lower(model, None), rows), model.predict_proba(rows), atol=1e-14)


def test_an_init_is_asked_with_rows_of_float32(binary):
    """In float64 as well: an init that reads float64 elsewhere is given what the trees read."""
    rows, y = binary
    init = RandomForestClassifier(3, max_depth=3, random_state=0)
    model = GradientBoostingClassifier(n_estimators=3, init=init).fit(rows, y)
    wide = rows.astype(np.float64) * (1 + 1e-9)
    np.testing.assert_allclose(member_vote(PLUGIN.lower(model, None), wide), model.predict_proba(wide), atol=1e-14)


def test_an_init_that_computes_in_float32_takes_float32_alone(binary):
    """A linear init that scikit-learn fits on float32 has no float64 digits to hold a file to."""
    rows, y = binary
    model = GradientBoostingRegressor(n_estimators=2, init=LinearRegression()).fit(rows, y)
    lowered = PLUGIN.lower(model, None)
    assert lowered.arithmetic == "float32"
    assert lowered.float32_only.startswith("init=LinearRegression is given rows of float32")


def test_an_init_that_draws_its_answers_is_refused():
    """Nothing exact can be said of it."""
    model = GradientBoostingClassifier(n_estimators=2, init=DummyClassifier(strategy="stratified")).fit(X, [0, 1, 0, 1])
    with pytest.raises(
        UnsupportedModelError, match="gradient_boosting: init=.* answers at random; use strategy='prior'"
    ):
        PLUGIN.lower(model, None)


def test_missing_values_are_refused_by_the_library():
    """scikit-learn's gradient boosting takes no NaN; the votes keep that."""
    model = GradientBoostingClassifier(n_estimators=2).fit(X, [0, 1, 0, 1])
    with pytest.raises(ValueError, match="contains NaN"):
        PLUGIN.votes(model, np.array([[np.nan]], dtype=np.float32), "binary")
