"""Backtests: what positions earn on known returns, what they cost, and that no bar is known before it has come."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training.made import candles_dataset, perfect_answers

from glulam.training.backtest import backtest, positions, simulate
from glulam.training.config import BacktestConfig

FREE = BacktestConfig(fee=0.0, slippage=0.0)
COSTLY = BacktestConfig(fee=0.001, slippage=0.0005)
ONCE = np.ones((1, 4), dtype=np.int64)
TIME = np.arange(4, dtype=np.int64) * 3_600_000_000


def test_a_known_course():
    """In the market for the first and third bar only, without costs."""
    returns = np.array([0.10, -0.50, 0.20, -0.10])
    found = simulate(TIME, returns, np.array([1.0, 0.0, 1.0, 0.0]), FREE, 8766.0, ONCE)
    np.testing.assert_allclose(found.equity, [1.1, 1.1, 1.32, 1.32])
    np.testing.assert_allclose(found.hold_equity, [1.1, 0.55, 0.66, 0.594])
    assert found.strategy["total_return"].value == pytest.approx(0.32)
    assert found.hold["max_drawdown"].value == pytest.approx(-0.5)
    assert found.strategy["max_drawdown"].value == 0
    assert found.strategy["trades"].value == 4
    assert found.strategy["exposure"].value == 0.5
    assert found.strategy["turnover"].value == 8766  # four trades of the whole value in four hours of a year of 8,766
    assert found.hold["turnover"].value == 8766 / 4


def test_every_trade_costs():
    """Four trades of the whole value cost four times fee and slippage; holding costs two."""
    flat = np.zeros(4)
    found = simulate(TIME, flat, np.array([1.0, 0.0, 1.0, 0.0]), COSTLY, 8766.0, ONCE)
    assert found.equity[-1] == pytest.approx((1 - 0.0015) ** 4)
    assert found.strategy["costs"].value == pytest.approx(1 - (1 - 0.0015) ** 4)
    assert found.hold_equity[-1] == pytest.approx((1 - 0.0015) ** 2)


def test_turning_from_long_to_short_costs_twice():
    """A position that changes its sign trades twice its value."""
    short = COSTLY.model_copy(update={"short": True})
    found = simulate(TIME, np.zeros(4), np.array([1.0, -1.0, -1.0, 0.0]), short, 8766.0, ONCE)
    assert found.equity[-1] == pytest.approx((1 - 0.0015) * (1 - 0.003) * (1 - 0.0015))


@given(st.lists(st.floats(-0.2, 0.2), min_size=2, max_size=30), st.integers(0, 2**30))
def test_costs_never_pay(returns, seed):
    """With costs there is never more than without, and the drawdown is never above 0."""
    n = len(returns)
    held = np.random.default_rng(seed).integers(0, 2, n).astype(float)
    time, once = np.arange(n, dtype=np.int64), np.ones((1, n), dtype=np.int64)
    free = simulate(time, np.array(returns), held, FREE, 365.0, once)
    costly = simulate(time, np.array(returns), held, COSTLY, 365.0, once)
    assert costly.equity[-1] <= free.equity[-1] + 1e-12
    assert (costly.drawdown <= 0).all()


def test_labels_that_mean_up():
    """Up is long, anything else is out of the market, and down is short only where that is asked for."""
    labels = np.array(["up", "down", "time_out"])
    assert positions(labels, short=False).tolist() == [1, 0, 0]
    assert positions(labels, short=True).tolist() == [1, -1, 0]
    assert positions(np.array([1, 0]), short=True).tolist() == [1, -1]
    assert positions(np.array([True, False]), short=False).tolist() == [1, 0]


def test_the_real_candles():
    """Answers that knew the next bar earn every rise; answers a bar late do not: nothing is traded before its time."""
    data = candles_dataset(2_000)
    answers = perfect_answers(data)
    counts = np.ones((20, len(answers.rows)), dtype=np.int64)
    found = backtest(data, answers, FREE, counts=counts)
    close = data.raw.columns["close"]
    rises = np.maximum(close[data.rows + 1] / close[data.rows], 1.0)
    assert found.equity[-1] == pytest.approx(np.prod(rises), rel=1e-9)
    late = perfect_answers(data, late=1)
    assert backtest(data, late, FREE, counts=counts).equity[-1] < 5 < found.equity[-1]
    assert found.settings["bars_per_year"] == pytest.approx(365.25 * 6)


@pytest.mark.parametrize("short", [False, True])
def test_bars_without_a_signal_are_held_through(short):
    """By an independent account of cash and units: what happens in left-out bars is neither skipped nor free."""
    data = candles_dataset(2_000)
    random = np.random.default_rng(0)
    data = data.take(np.flatnonzero(random.random(len(data)) < 0.8))
    answers = perfect_answers(data)
    answers = replace(answers, labels=random.integers(0, 2, len(data)))
    config = COSTLY.model_copy(update={"short": short})
    found = backtest(data, answers, config, counts=np.ones((2, len(data)), dtype=np.int64))
    close = data.raw.columns["close"]
    expected, holder = [], (1 - 0.0015) * close / close[data.rows[0]]
    cash, units, position = 1.0, 0.0, 0.0
    for number, row in enumerate(data.rows):
        later = data.rows[number + 1] if number + 1 < len(data) else row + 1
        worth = cash + units * close[row]
        wanted = 1.0 if answers.labels[number] else -1.0 * short
        worth *= 1 - 0.0015 * abs(wanted - position)
        units, position = wanted * worth / close[row], wanted
        cash = worth - units * close[row]
        expected.append(cash + units * close[later])
    expected[-1] *= 1 - 0.0015 * abs(position)
    np.testing.assert_allclose(found.equity, expected, rtol=1e-9)
    assert found.hold_equity[-1] == pytest.approx(holder[data.rows[-1] + 1] * (1 - 0.0015), rel=1e-9)


def test_a_ruined_short_stays_ruined():
    """A price that more than doubles in a bar takes all of a short position, and no later fall brings it back."""
    short = FREE.model_copy(update={"short": True})
    found = simulate(TIME, np.array([0.1, 1.5, 1.5, -0.5]), np.full(4, -1.0), short, 8766.0, ONCE)
    np.testing.assert_allclose(found.equity, [0.9, 0.0, 0.0, 0.0])
    assert found.strategy["total_return"].value == pytest.approx(-1.0)
    assert found.strategy["max_drawdown"].value == pytest.approx(-1.0)


def test_a_year_of_a_good_minute_is_no_number():
    """What a few bars would make in a year may be beyond any number, and is no error."""
    counts = np.random.default_rng(0).multinomial(4, np.full(4, 0.25), size=20)
    found = simulate(TIME, np.full(4, 0.01), np.ones(4), FREE, 525_960.0, counts)
    assert found.strategy["annual_return"].value == np.inf
    assert found.strategy["total_return"].value == pytest.approx(1.01**4 - 1)


def test_nothing_to_trade():
    """Without prices, or with labels that say nothing of up, there is no backtest."""
    data = candles_dataset(500)
    answers = perfect_answers(data)
    counts = np.ones((2, len(answers.rows)), dtype=np.int64)
    no_prices = replace(data, raw=replace(data.raw, columns={}))
    assert backtest(no_prices, answers, FREE, counts=counts) is None
    assert backtest(replace(data, classes=np.array(["cat", "dog"])), answers, FREE, counts=counts) is None


def test_sharpe_and_its_interval():
    """The Sharpe ratio is the mean over the standard deviation of a bar's return, by the year; the draws surround it."""
    rng = np.random.default_rng(0)
    returns = rng.normal(0.001, 0.01, 2_000)
    counts = rng.multinomial(2_000, np.full(2_000, 1 / 2_000), size=400)
    found = simulate(np.arange(2_000), returns, np.ones(2_000), FREE, 252.0, counts).strategy["sharpe"]
    assert found.value == pytest.approx(returns.mean() / returns.std() * 252**0.5, rel=1e-6)
    assert found.low < found.value < found.high
