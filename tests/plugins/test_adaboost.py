"""AdaBoost: weights of classes, and the weighted median."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import AdaBoostClassifier, AdaBoostRegressor
from sklearn.linear_model import LogisticRegression

from glulam.errors import UnsupportedModelError
from glulam.interpreter import member_vote
from glulam_plugins.models.adaboost import AdaBoost, _median

PLUGIN = AdaBoost()


def test_a_stump_adds_its_weight_to_its_class():
    """One perfect stump: a margin of 2 for the one class, of -2 for the other."""
    X = np.array([[1.0], [2.0]], dtype=np.float32)
    lowered = PLUGIN.lower(AdaBoostClassifier(n_estimators=3).fit(X, ["a", "b"]), None)
    assert (lowered.link, lowered.body.leaf_value.ravel().tolist()) == ("sigmoid", [-2.0, 2.0])


@pytest.mark.parametrize("base", [None, LogisticRegression()])
@pytest.mark.parametrize("classes", [2, 3])
def test_any_base_votes_with_its_label(base, classes, binary):
    """Trees are one forest of their choices; other parts choose rows of a table of weights."""
    X, y = binary
    y = y + (X[:, 0] > 1) * (y > 0) if classes == 3 else y
    model = AdaBoostClassifier(base, n_estimators=4, random_state=0).fit(X[:300], y[:300])
    vote = member_vote(PLUGIN.lower(model, None), X)
    np.testing.assert_allclose(vote, model.predict_proba(X), atol=1e-14)
    np.testing.assert_array_equal(vote.argmax(axis=1), model.predict(X))


@pytest.mark.parametrize(
    ("weights", "middle"),
    [
        ([1.0, 1.0, 1.0], 2.0),
        ([5.0, 1.0, 1.0], 3.0),
        ([1.0, 1.0, 2.0], 1.0),
        ([1.0, 0.0, 1.0], 1.0),
        ([0.1, 0.2, 0.3], 1.0),
    ],
)
def test_the_median_is_where_half_of_the_weights_are_reached(weights, middle):
    """As scikit-learn adds them up: on a tie the lower value."""
    model = AdaBoostRegressor(n_estimators=3).fit(np.zeros((9, 1)), np.arange(9.0))
    values = np.array([[3.0, 2.0, 1.0]])
    model.estimators_ = [Constant(value) for value in values[0]]
    model.estimator_weights_ = np.array(weights)
    assert model._get_median_predict(np.zeros((1, 1)), 3).tolist() == [middle]
    assert _median(model.estimator_weights_).reference(values).tolist() == [[middle]]


class Constant:
    """Answers one value."""

    def __init__(self, value):
        self.value = value

    def predict(self, X):
        """Return it for each row."""
        return np.full(len(X), self.value)


def test_one_class_is_refused():
    """There is nothing to tell apart."""
    model = AdaBoostClassifier(n_estimators=2).fit(np.zeros((4, 1)), [1, 1, 1, 1])
    with pytest.raises(UnsupportedModelError, match="adaboost: it was fitted on one class alone"):
        PLUGIN.lower(model, None)
