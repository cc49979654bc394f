"""Single trees: a literal one, and fractions that only float64 tells apart."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from glulam.interpreter import member_vote, run_steps
from glulam.program import Steps
from glulam_plugins.models.decision_tree import DecisionTree

PLUGIN = DecisionTree()


def test_a_tree_of_three_rows_is_as_it_was_grown():
    """Threshold and leaves are scikit-learn's own numbers, and NaN goes where it learnt."""
    X = np.array([[1.0], [2.0], [np.nan]], dtype=np.float32)
    model = DecisionTreeRegressor(random_state=0).fit(X, [5.0, 7.0, 7.0])
    forest = PLUGIN.lower(model, None).body
    assert (forest.feature.tolist(), forest.threshold.tolist(), forest.reads) == ([0], [1.5], "float32")
    assert forest.leaf_value.ravel().tolist() == [5.0, 7.0]
    assert forest.nan_left.tolist() == [False]
    assert forest.raw(np.array([[1.5], [1.5000001], [np.nan]])).ravel().tolist() == [5.0, 7.0, 7.0]


def test_rows_are_rounded_to_float32_first():
    """A float64 just above a threshold that float32 cannot tell from it goes left, as scikit-learn sends it."""
    model = DecisionTreeRegressor().fit(np.array([[1.0], [2.0]]), [5.0, 7.0])
    rows = np.array([[1.5 + 1e-12], [1.5 - 1e-12]])
    assert PLUGIN.votes(model, rows, "regression").ravel().tolist() == [5.0, 5.0]
    assert member_vote(PLUGIN.lower(model, None), rows).ravel().tolist() == [5.0, 5.0]


def tied(weight: float) -> DecisionTreeClassifier:
    """Return a tree of one leaf, whose second class weighs a little more than its first."""
    X, y = np.zeros((2, 1), dtype=np.float32), np.array([0, 1])
    return DecisionTreeClassifier().fit(X, y, sample_weight=[1.0, weight])


def test_fractions_that_float32_does_not_tell_apart_keep_their_label():
    """Where float32 would tie, the label is a number of its own; elsewhere the tree is a plain forest."""
    rows = np.zeros((1, 1), dtype=np.float32)
    near = PLUGIN.lower(tied(1 + 1e-12), None)
    assert isinstance(near.body, Steps)
    assert run_steps(near.body, rows)[near.body.choice].tolist() == [[1.0]]
    assert PLUGIN.labels(tied(1 + 1e-12), rows).tolist() == [1]
    assert member_vote(near, rows).tolist() == PLUGIN.votes(tied(1 + 1e-12), rows, "binary").tolist()
    assert not isinstance(PLUGIN.lower(tied(1.0), None).body, Steps)


@pytest.mark.parametrize("labels", [[0, 1, 2, 2, 1], [0, 0, 1, 1, 2]])
def test_equal_fractions_tie_as_in_scikit_learn(labels):
    """The first of the largest fractions wins: those of all classes are kept, none is what others leave."""
    X = np.zeros((5, 1), dtype=np.float32)
    model = DecisionTreeClassifier().fit(X, labels)
    vote = member_vote(PLUGIN.lower(model, None), X)
    np.testing.assert_array_equal(vote, model.predict_proba(X))
    np.testing.assert_array_equal(vote.argmax(axis=1), model.predict(X))
