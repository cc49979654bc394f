"""Voting strategies: their numpy rules, against scikit-learn and by hand."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glulam_plugins.voting._weights import simple_weights
from glulam_plugins.voting.hard import Hard
from glulam_plugins.voting.log_pool import FLOOR, LogPool
from glulam_plugins.voting.soft import Soft

WEIGHTS = np.array([0.4, 0.4, 0.2])
VOTES = np.array([[[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]])

votes = hnp.arrays(np.float64, (5, 3, 4), elements=st.floats(0, 1)).map(
    lambda raw: (raw + 1e-3) / (raw + 1e-3).sum(axis=2, keepdims=True)
)


def test_soft_is_the_weighted_mean():
    """0.4 * 0.1 + 0.4 * 0.6 + 0.2 * 0.8."""
    np.testing.assert_allclose(Soft().combine(VOTES, WEIGHTS), [[0.56, 0.44]])


def test_hard_is_the_weighted_majority():
    """One member for the first class, two for the second."""
    np.testing.assert_allclose(Hard().combine(VOTES, WEIGHTS), [[0.4, 0.6]])


@pytest.mark.parametrize(
    ("ballots", "weights", "winner"),
    [
        ([[0.5, 0.5]], [1], 0),  # a member whose classes tie votes for the lowest
        ([[0.1, 0.9], [0.9, 0.1]], [1, 1], 0),  # equal weights on both sides: the lowest class
        ([[0.1, 0.9], [0.2, 0.8], [0.9, 0.1]], [1, 2, 3], 0),  # 1 + 2 against 3
        ([[0.1, 0.9], [0.2, 0.8], [0.9, 0.1]], [1, 2, 2.9], 1),
        ([[0, 0.5, 0.5], [0.3, 0.3, 0.4]], [1, 1], 1),  # classes 1 and 2 tie
    ],
)
def test_hard_ties_go_to_the_lowest_class(ballots, weights, winner):
    """Ties of members and of sums are resolved as numpy's argmax and scikit-learn do."""
    scores = Hard().combine(np.array([ballots]), np.array(weights, dtype=float))
    assert scores.argmax(axis=1) == [winner]


def test_log_pool_is_the_normalised_geometric_mean():
    """By hand: products of powers, divided by their sum."""
    powers = np.prod(VOTES[0] ** WEIGHTS[:, None], axis=0)
    np.testing.assert_allclose(LogPool().combine(VOTES, WEIGHTS)[0], powers / powers.sum())


def test_log_pool_outlives_a_probability_of_zero():
    """A member that is certain weighs much, but two others outvote it."""
    certain = np.array([[[1.0, 0.0], [0.0001, 0.9999], [0.0001, 0.9999]]])
    scores = LogPool().combine(certain, np.array([1.0, 1.0, 1.0]))
    expected = np.array([1e-4 ** (2 / 3), (FLOOR * 0.9999**2) ** (1 / 3)])
    np.testing.assert_allclose(scores[0], expected / expected.sum())


@pytest.mark.parametrize("strategy", [Soft(), Hard(), LogPool()], ids=lambda s: s.name)
@given(votes=votes, scale=st.floats(0.01, 100))
def test_scores_are_probabilities_whatever_the_weights_add_up_to(strategy, votes, scale):
    """Rows sum to 1, nothing is negative, and only the ratio of weights counts."""
    scores = strategy.combine(votes, WEIGHTS)
    assert (scores >= 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    np.testing.assert_allclose(strategy.combine(votes, WEIGHTS * scale), scores, atol=1e-12)


@pytest.mark.parametrize("strategy", [Soft(), Hard(), LogPool()], ids=lambda s: s.name)
@given(votes=votes)
def test_a_member_of_weight_zero_has_no_vote(strategy, votes):
    """Weight 0 is as if the member were not there."""
    np.testing.assert_allclose(
        strategy.combine(votes, np.array([2.0, 1.0, 0.0])), strategy.combine(votes[:, :2], np.array([2.0, 1.0]))
    )


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([0.4, 0.4, 0.2], [2, 2, 1]),
        ([0.6, 0.4, 0.2], [3, 2, 1]),
        ([1 / 3, 1 / 3, 2 / 3], [1, 1, 2]),
        ([1e308, 1e308], [1, 1]),
        ([1e-320, 2e-320], [1, 2]),
        ([0, 5], [0, 1]),
    ],
)
def test_simple_weights_are_the_numbers_that_were_written(weights, expected):
    """Decimals and fractions become whole numbers of the same proportion, whatever their size."""
    assert simple_weights(np.array(weights, dtype=float)).tolist() == expected


def test_a_tie_of_decimal_weights_is_a_tie():
    """0.4 and 0.2 against 0.6 goes to the lowest class, though 0.4 + 0.2 is more in floating point."""
    certain = np.array([[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
    assert Hard().combine(certain, np.array([0.6, 0.4, 0.2])).tolist() == [[0.5, 0.5]]
