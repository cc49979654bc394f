"""What trading an ensemble's signals would have given, after fees and slippage, beside buying and holding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.dataset import Dataset
from glulam.training.bootstrap import summary
from glulam.training.config import BacktestConfig
from glulam.training.results import Backtest, Interval, OutOfFold

__all__ = ["YEAR_SECONDS", "backtest", "positions", "simulate"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

YEAR_SECONDS = 365.25 * 24 * 3600
_UP = ("up", "1", "1.0", "true", "long", "buy")
_DOWN = ("down", "-1", "-1.0", "short", "sell")


def backtest(
    data: Dataset, answers: OutOfFold, config: BacktestConfig, *, counts: npt.NDArray[np.integer[Any]]
) -> Backtest | None:
    """Return what the out-of-fold signals would have earned; None where there is nothing to trade.

    A signal of the row at t is known when its bar closes. The position is taken at that close and held until the close
    of the next bar, where the next signal decides anew, whatever the label's horizon; over bars that have no signal,
    such as those without features, it is held until there is one. Fee and slippage are paid on the value traded: a
    change from out to long pays once, from long to short twice. A short position is brought back to the whole value at
    each close, free of charge; one that loses more than everything is ruined for good. Nothing is reinvested in
    fractions of a bar, nothing is borrowed, and no interest is paid on money that waits.

    counts
        [n_draws, n_bars] how often each bar counts in each draw of a block bootstrap of the tested bars, for the
        interval of Sharpe ratio and return
    """
    tradable = _tradable(data, answers)
    if tradable is None:
        return None
    order, now, following, held, time = tradable
    close = np.asarray(data.raw.columns["close"], dtype=np.float64)
    target = positions(np.asarray(data.classes)[answers.labels[order]], short=config.short)
    target = target[held]
    returns = close[following] / close[now] - 1.0
    return simulate(time[following], returns, target, config, _bars_a_year(time), counts[:, held])


def _tradable(data: Dataset, answers: OutOfFold) -> tuple[Int64, Int64, Int64, npt.NDArray[np.bool_], Int64] | None:
    """Return tested rows in time order, the raw bars they close and the next ones, which have a next, and the time."""
    columns, time = data.raw.columns, data.raw.time
    if data.task == "regression" or "close" not in columns or time is None:
        return None
    if _position_of(data.classes, short=False) is None:
        return None
    order = np.argsort(data.rows[answers.rows], kind="stable")
    now = data.rows[answers.rows][order]
    # A bar without a signal is held through, not skipped: its rise or fall is the position's, and the holder's.
    following = np.append(now[1:], now[-1:] + 1)
    held = following < len(data.raw)
    return order.astype(np.int64), now[held], following[held], held, time


def positions(labels: Array, *, short: bool) -> Float64:
    """Return 1 for labels that say up, -1 or 0 for those that say down, 0 for any other."""
    known = {label: _direction(label, short) for label in dict.fromkeys(labels.tolist())}
    return np.array([known[label] for label in labels.tolist()], dtype=np.float64)


def _position_of(classes: Array, *, short: bool) -> list[float] | None:
    """Return each class's position; None where no class says up."""
    found = [_direction(label, short) for label in classes.tolist()]
    return found if 1.0 in found else None


def _direction(label: object, short: bool) -> float:
    text = str(label).lower()
    if text in _UP:
        return 1.0
    return -1.0 if short and text in (*_DOWN, "0", "false") else 0.0


def _bars_a_year(time: Int64) -> float:
    """Return how many bars a year has, by the most common distance of bars."""
    steps, found = np.unique(np.diff(time), return_counts=True)
    return YEAR_SECONDS / (float(steps[np.argmax(found)]) / 1e6)


def simulate(
    time: Int64,
    returns: Float64,
    target: Float64,
    config: BacktestConfig,
    bars_per_year: float,
    counts: npt.NDArray[np.integer[Any]],
) -> Backtest:
    """Return the course of holding ``target`` over bars with these returns, all [n_bars].

    The first position is bought from nothing, and the last one sold at the end, so that costs are complete.
    """
    cost_rate = config.fee + config.slippage
    traded = np.abs(np.diff(target, prepend=0.0))
    growth = np.maximum(1.0 + target * returns, 0.0) * (1.0 - cost_rate * traded)
    hold_growth = 1.0 + returns
    hold_traded = np.zeros_like(traded)
    hold_traded[:1] = 1.0
    hold_growth = hold_growth * (1.0 - cost_rate * hold_traded)
    growth[-1:] *= 1.0 - cost_rate * np.abs(target[-1:])
    hold_growth[-1:] *= 1.0 - cost_rate
    costs = 1.0 - np.prod(1.0 - cost_rate * traded) * (1.0 - cost_rate * abs(float(target[-1])) if len(target) else 1.0)
    equity, hold_equity = _grown(growth), _grown(hold_growth)
    return Backtest(
        time=time,
        equity=equity,
        drawdown=_drawdown(equity),
        hold_equity=hold_equity,
        hold_drawdown=_drawdown(hold_equity),
        position=target,
        strategy=_figures(growth, target, traded, float(costs), bars_per_year, counts),
        hold=_figures(hold_growth, np.ones_like(target), hold_traded, 1 - (1 - cost_rate) ** 2, bars_per_year, counts),
        settings={
            "fee": config.fee, "slippage": config.slippage, "short": config.short, "bars_per_year": bars_per_year,
            "rule": "long where the label says up, "
            + ("short where it says down" if config.short else "out of the market otherwise")
            + "; decided at each close, held to the next",
        },
    )  # fmt: skip


def _grown(growth: Float64) -> Float64:
    """Return what 1 has become after each bar."""
    return np.asarray(np.cumprod(growth), dtype=np.float64)


def _drawdown(equity: Float64) -> Float64:
    """Return how far equity is below its highest so far, the start included; 0 or negative."""
    highest = np.maximum.accumulate(np.maximum(equity, 1.0))
    return np.asarray(equity / highest - 1.0)


def _figures(
    growth: Float64,
    target: Float64,
    traded: Float64,
    costs: float,
    bars_per_year: float,
    counts: npt.NDArray[np.integer[Any]],
) -> Mapping[str, Interval]:
    """Return the figures people compare by; Sharpe and returns with their bootstrap interval."""
    equity = _grown(growth)
    years = len(growth) / bars_per_year
    logs = np.log(np.maximum(growth, 1e-12))
    drawn = counts.astype(np.float64)
    totals = np.exp(drawn @ logs) - 1.0
    total = float(np.exp(logs.sum()) - 1.0)
    with np.errstate(over="ignore"):  # a few bars of a good minute are more than any number in a year
        per_year = np.exp((drawn @ logs) / years) - 1.0
        annual = float(np.exp(logs.sum() / years) - 1.0) if equity[-1] > 0 else -1.0
    return {
        "total_return": summary(total, totals),
        "annual_return": summary(annual, per_year),
        "max_drawdown": Interval(float(_drawdown(equity).min(initial=0.0))),
        "sharpe": summary(_sharpe(growth, np.ones((1, len(growth))), bars_per_year)[0],
                            _sharpe(growth, drawn, bars_per_year)),
        "turnover": Interval(float(traded.sum() / years)),
        "exposure": Interval(float(np.abs(target).mean())),
        "trades": Interval(float(np.count_nonzero(traded))),
        "costs": Interval(costs),
    }  # fmt: skip


def _sharpe(growth: Float64, drawn: Float64, bars_per_year: float) -> Float64:
    """Return the annualised Sharpe ratio (mean over standard deviation of a bar's return) of each draw; 0 if flat."""
    returns = growth - 1.0
    number = drawn.sum(axis=1)
    mean = drawn @ returns / number
    variance = np.maximum(drawn @ returns**2 / number - mean**2, 0.0)
    deviation = np.sqrt(variance)
    flat = deviation < 1e-12
    return np.asarray(np.where(flat, 0.0, mean / np.where(flat, 1.0, deviation)) * np.sqrt(bars_per_year))
