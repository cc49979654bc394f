"""Automatic weights: least loss of the out-of-fold vote, drawn towards equal weights."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glulam.errors import ConfigError
from glulam.training.weights import fit_weights, weights_loss


def ballots(seed, members, task="binary", rows=300):
    """Return votes of members that know different things, and what came true."""
    random = np.random.default_rng(seed)
    if task == "regression":
        y = random.normal(3, 10, rows)
        return (y[:, None] + random.normal(size=(rows, members)) * random.uniform(1, 20, members))[:, :, None], y
    width = 2 if task == "binary" else 3
    truth = random.dirichlet(np.ones(width), rows)
    y = np.array([random.choice(width, p=each) for each in truth])
    noise = random.dirichlet(np.ones(width), (rows, members))
    share = random.uniform(0, 1, (1, members, 1))
    return share * truth[:, None] + (1 - share) * noise, y


def grid(members, steps=50):
    """Return weights all over the simplex."""
    points = itertools.product(range(steps + 1), repeat=members - 1)
    return [np.array([*point, steps - sum(point)]) / steps for point in points if sum(point) <= steps]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000), st.integers(2, 3), st.sampled_from(["binary", "multiclass", "regression"]),
    st.sampled_from([0.0, 0.01, 1.0]),
)  # fmt: skip
def test_no_weights_of_a_grid_are_better(seed, members, task, penalty):
    """The loss of the weights found is as small as that of any on a fine grid, but for their rounding."""
    votes, y = ballots(seed, members, task)
    loss = weights_loss(votes, y, task, penalty=penalty)
    found = fit_weights(votes, y, task, penalty=penalty)
    assert found.min() >= 0
    assert abs(found.sum() - 1) < 1e-3
    best = min(loss(each)[0] for each in grid(members))
    assert loss(found / found.sum())[0] <= best + 1e-6 * max(1.0, abs(best))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_gradient_is_that_of_the_loss(task):
    """Finite differences of the loss along each weight give its gradient."""
    votes, y = ballots(1, 4, task)
    loss = weights_loss(votes, y, task, penalty=0.3)
    at = np.array([0.4, 0.3, 0.2, 0.1])
    steps = np.eye(4) * 1e-6
    slopes = [(loss(at + step)[0] - loss(at - step)[0]) / 2e-6 for step in steps]
    np.testing.assert_allclose(loss(at)[1], slopes, rtol=1e-5, atol=1e-7)


def test_a_strong_penalty_gives_equal_weights():
    """Without a penalty the member that knows more has the larger weight; with a very strong one all are equal."""
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 500)
    good = np.clip(0.5 + (y - 0.5) * 0.6 + random.normal(0, 0.1, 500), 0.01, 0.99)
    poor = random.uniform(0.3, 0.7, 500)
    votes = np.stack([np.column_stack([1 - each, each]) for each in (good, poor, poor[::-1])], axis=1)
    free, drawn, equal = (fit_weights(votes, y, "binary", penalty=each) for each in (0.0, 0.5, 1e6))
    assert free[0] > drawn[0] > 0.34
    assert equal.tolist() == [0.3333] * 3


def test_values_in_other_units_have_the_same_weights():
    """The loss of values is in units of the variance of y, so that the penalty means the same whatever y measures."""
    votes, y = ballots(3, 3, "regression")
    ours = fit_weights(votes, y, "regression", penalty=0.01)
    assert fit_weights(votes * 2**20, y * 2**20, "regression", penalty=0.01).tolist() == ours.tolist()


def test_members_that_are_alike_have_equal_weights():
    """Two copies of a member share its weight to the last decimal that is kept; the same rows give the same bits."""
    votes, y = ballots(4, 2)
    twice = votes[:, [0, 1, 0]]
    found = fit_weights(twice, y, "binary", penalty=0.01)
    assert found[0] == found[2]
    assert fit_weights(twice, y, "binary", penalty=0.01).tobytes() == found.tobytes()
    assert (np.round(found, 4) == found).all()


def test_a_row_that_all_are_wrong_about_is_not_infinite():
    """Votes of 0 for what came true count as next to nothing; a single member has weight 1."""
    votes, y = ballots(5, 2)
    votes[0] = np.eye(2)[1 - y[0]]
    assert np.isfinite(fit_weights(votes, y, "binary", penalty=0.0)).all()
    assert fit_weights(votes[:, :1], y, "binary", penalty=0.0).tolist() == [1.0]


def test_no_votes_are_refused():
    """Without a row, or with votes that are no numbers, there is nothing to learn."""
    with pytest.raises(
        ConfigError, match="weights = 'auto': expected finite out-of-fold votes to learn from, got 0 rows"
    ):
        fit_weights(np.empty((0, 2, 2)), np.empty(0, dtype=int), "binary", penalty=0.0)
    with pytest.raises(ConfigError, match="expected finite out-of-fold votes"):
        fit_weights(np.full((3, 2, 2), np.nan), np.zeros(3, dtype=int), "binary", penalty=0.0)
