"""Bootstrap: what draws are made of, and whether intervals hold what they promise on simulated data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glulam.errors import ConfigError
from glulam.training.bootstrap import (
    block_length,
    draw_counts,
    draw_group_counts,
    drawn,
    interval,
    paired,
    summary,
)
from glulam.training.results import Interval


def mean_of(values):
    """Return the scorer of a mean."""
    return lambda weights: weights @ values / weights.sum(axis=1)


def autoregressive(random, n_series, n_rows, memory):
    """Return AR(1) series of variance 1: each value remembers so much of the one before."""
    noise = random.normal(size=(n_series, n_rows))
    series = noise.copy()
    for row in range(1, n_rows):
        series[:, row] = memory * series[:, row - 1] + math.sqrt(1 - memory**2) * noise[:, row]
    return series


def coverage(series, counts):
    """Return how often the interval of a series' mean holds the true mean, 0."""
    found = [interval(mean_of(each), counts) for each in series]
    return np.mean([each.low <= 0 <= each.high for each in found])


@settings(deadline=None)
@given(st.integers(4, 200), st.integers(1, 50), st.integers(0, 3))
def test_draws_have_as_many_rows_as_there_are(n_rows, block, seed):
    """Each draw counts n_rows rows; there are none where the rows do not make four blocks; the seed decides."""
    counts = draw_counts(n_rows, block=block, n_draws=20, seed=seed)
    assert counts.dtype == np.uint16
    if n_rows < 4 * block:
        assert counts.shape == (0, n_rows)
        return
    assert counts.shape == (20, n_rows)
    assert (counts.sum(axis=1) == n_rows).all()
    assert np.array_equal(counts, draw_counts(n_rows, block=block, n_draws=20, seed=seed))
    assert not np.array_equal(counts, draw_counts(n_rows, block=block, n_draws=20, seed=seed + 1))


@pytest.mark.parametrize("block", [1, 3, 7])
def test_draws_are_the_blocks_that_numpy_draws(block):
    """The slow way, row by row: blocks that wrap around the end, the last one cut."""
    random, expected = np.random.default_rng(5), np.zeros((4, 30), dtype=int)
    for draw in expected:
        starts = random.integers(0, 30, math.ceil(30 / block))
        rows = [(start + step) % 30 for start in starts for step in range(block)][:30]
        np.add.at(draw, rows, 1)
    assert np.array_equal(draw_counts(30, block=block, n_draws=4, seed=5), expected)


def test_each_row_is_as_likely_as_any_other():
    """Those at the ends as well, since blocks wrap around."""
    counts = draw_counts(50, block=7, n_draws=20_000, seed=0)
    np.testing.assert_allclose(counts.mean(axis=0), 1.0, atol=0.05)


def test_ordinary_bootstrap_of_a_mean_is_the_normal_theory():
    """The interval of a mean of independent rows is 1.96 standard errors either side."""
    values = np.random.default_rng(0).normal(3, 2, 2_000)
    found = interval(mean_of(values), draw_counts(2_000, block=1, n_draws=4_000, seed=0))
    error = values.std() / math.sqrt(2_000)
    assert found.value == pytest.approx(values.mean())
    assert (found.low - found.value) / error == pytest.approx(-1.96, abs=0.1)
    assert (found.high - found.value) / error == pytest.approx(1.96, abs=0.1)


def test_intervals_of_independent_rows_cover():
    """95 % intervals hold the truth about 95 times in 100, as those of the normal theory do on the same series."""
    series = np.random.default_rng(2).normal(size=(400, 300))
    theory = np.mean(np.abs(series.mean(axis=1)) < 1.96 * series.std(axis=1) / math.sqrt(300))
    found = coverage(series, draw_counts(300, block=1, n_draws=1_000, seed=0))
    assert 0.92 < found < 0.98
    assert found == pytest.approx(theory, abs=0.015)


def test_blocks_cover_where_neighbours_resemble_each_other():
    """AR(1) with half a memory: single rows promise far too much, blocks nearly what they hold; they are wider."""
    series = autoregressive(np.random.default_rng(2), 400, 1_000, 0.5)
    block = block_length(1_000, 0, ordered=True)
    singles, blocks = (draw_counts(1_000, block=length, n_draws=400, seed=0) for length in (1, block))
    assert coverage(series, singles) < 0.80
    assert coverage(series, blocks) > 0.90
    narrow, wide = (interval(mean_of(series[0]), counts) for counts in (singles, blocks))
    assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)


def test_blocks_cover_where_labels_overlap():
    """A label that sums eight steps shares seven of them with its neighbour; the block follows from the horizon."""
    steps = np.random.default_rng(3).normal(size=(400, 1_207))
    series = np.lib.stride_tricks.sliding_window_view(steps, 8, axis=1).sum(axis=2)
    counts = draw_counts(1_200, block=block_length(1_200, 7, ordered=True), n_draws=400, seed=0)
    assert coverage(series, counts) > 0.90
    assert coverage(series, draw_counts(1_200, block=1, n_draws=400, seed=0)) < 0.65


def test_groups_cover_where_their_rows_resemble_each_other():
    """Forty groups of ten rows, each with a level of its own: single rows promise too much, groups do not."""
    random = np.random.default_rng(4)
    groups = np.repeat(np.arange(40), 10)
    series = random.normal(size=(400, 40))[:, groups] + random.normal(size=(400, 400))
    assert coverage(series, draw_counts(400, block=1, n_draws=400, seed=0)) < 0.80
    assert coverage(series, draw_group_counts(groups, n_draws=400, seed=0)) > 0.91


def test_groups_are_drawn_whole():
    """All rows of a group count alike, wherever they are; of too few groups there are no draws."""
    groups = np.array(["a", 2, "c", "a", "d", 2, "a"], dtype=object)
    counts = draw_group_counts(groups, n_draws=50, seed=0)
    assert counts.shape == (50, 7)
    assert (counts[:, 0] == counts[:, 3]).all()
    assert (counts[:, 1] == counts[:, 5]).all()
    assert (counts[:, [0, 1, 2, 4]].sum(axis=1) == 4).all()
    assert draw_group_counts(groups[:4], n_draws=50, seed=0).shape == (0, 4)


@pytest.mark.parametrize(
    ("n_rows", "horizon", "ordered", "expected"),
    [
        (10_900, 6, False, 1),
        (1_000, 0, True, 20),  # twice the cube root
        (10_900, 1, True, 45),
        (10_900, 20, True, 63),  # three times the reach of a label
        (100, 12, True, 25),  # at most a quarter of the rows
        (40, 12, True, 13),  # but never shorter than a label reaches
        (3, 0, True, 1),
    ],
)
def test_block_length(n_rows, horizon, ordered, expected):
    """The rule, by hand."""
    assert block_length(n_rows, horizon, ordered) == expected


def test_paired_differences_are_narrower_than_the_ways_themselves():
    """Two ways that err on the same rows: their difference is known far better than either."""
    random = np.random.default_rng(0)
    first = random.normal(size=500)
    second = first + 0.1 + random.normal(0, 0.1, 500)
    counts = draw_counts(500, block=1, n_draws=500, seed=0)
    alone = interval(mean_of(first), counts)
    worse = paired(mean_of(first), mean_of(second), counts)
    assert worse.high - worse.low < 0.2 * (alone.high - alone.low)
    assert worse.value == pytest.approx((first - second).mean())
    assert worse.low < worse.value < worse.high < 0
    better = paired(mean_of(first), mean_of(second), counts, greater_is_better=False)
    assert (better.value, better.low, better.high) == pytest.approx((-worse.value, -worse.high, -worse.low))


def test_a_way_against_itself_is_no_difference():
    """Not even by rounding: both are measured on the same draws."""
    values = np.random.default_rng(0).normal(size=100)
    counts = draw_counts(100, block=5, n_draws=200, seed=0)
    assert paired(mean_of(values), mean_of(values), counts) == Interval(0.0, 0.0, 0.0)


def test_draws_that_are_undefined_are_left_out():
    """A few do no harm; where they are more than half, or there are no draws at all, there are no ends."""
    draws = np.linspace(0, 1, 101)
    assert summary(0.5, np.append(draws, [math.nan] * 20)) == summary(0.5, draws) == Interval(0.5, 0.025, 0.975)
    for undefined in (np.append(draws, [math.nan] * 102), np.empty(0), np.array([math.nan])):
        found = summary(0.5, undefined)
        assert found.value == 0.5
        assert math.isnan(found.low)
        assert math.isnan(found.high)
    nothing = summary(math.nan, draws)
    assert math.isnan(nothing.value)
    assert math.isnan(nothing.low)


def test_an_interval_holds_its_value():
    """Also where every draw is worse than the rows themselves, as with a calibration error."""
    assert summary(0.01, np.linspace(0.02, 0.03, 101)) == Interval(0.01, 0.01, pytest.approx(0.02975))


def test_too_few_rows_have_no_interval():
    """The value is told, the ends are not."""
    values = np.arange(10.0)
    found = interval(mean_of(values), draw_counts(10, block=5, n_draws=100, seed=0))
    assert found.value == 4.5
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_several_at_once_are_as_one_by_one():
    """More draws than are measured at once; each scorer gets the same."""
    values = np.random.default_rng(0).normal(size=(3, 20_000))
    counts = draw_counts(20_000, block=4, n_draws=120, seed=0)
    alone, draws = drawn([mean_of(each) for each in values], counts)
    np.testing.assert_allclose(alone, values.mean(axis=1))
    np.testing.assert_allclose(draws, values @ counts.T.astype(float) / 20_000)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"block": 0, "n_draws": 10}, "bootstrap: block: expected at least 1, got 0; correct it"),
        ({"block": 1, "n_draws": 0}, "bootstrap: n_draws: expected at least 1, got 0; correct it"),
    ],
)
def test_bad_parameters_are_refused(given, message):
    """Each says which, what was expected, and what came."""
    with pytest.raises(ConfigError) as raised:
        draw_counts(10, **given, seed=0)
    assert str(raised.value) == message
