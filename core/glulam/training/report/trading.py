"""The section on what trading the signals would have given."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.training.report import figures
from glulam.training.report.curves import thin_series
from glulam.training.report.page import Section, facts, join, note, paragraph, reading, table, tag
from glulam.training.report.text import UNKNOWN, day, interval, interval_percent, number, percent
from glulam.training.results import Backtest, Interval, RunResult

__all__ = ["backtest"]

_SHARES = ("return", "drawdown", "exposure", "costs", "volatility")
"""Parts of names of what is shown in percent."""


def backtest(result: RunResult) -> Section:
    """Return equity with drawdown against buying and holding, and their numbers."""
    found = result.evaluation.backtest
    if found is None:
        text = "No backtest was made: it needs candles and a label of two or three classes."
        return Section("backtest", "Backtest", paragraph(text))
    names = list(dict.fromkeys([*found.strategy, *found.hold]))
    rows = [(_said(name), _value(name, found.strategy), _value(name, found.hold)) for name in names]
    period = f"{day(found.time[0])} to {day(found.time[-1])}"
    settings = [(_said(name), _setting(name, value)) for name, value in found.settings.items()]
    parts = [
        paragraph(f"What trading the out-of-fold signals would have given from {period}, after fees and slippage."),
        *_charts(found, period),
        table(("", "signals", "buy and hold"), rows, caption="In parentheses is the 95 % bootstrap interval"),
        tag("h3", "Settings"),
        facts(settings),
        note("A backtest knows nothing of liquidity, of outages and of what others do because of your orders."),
    ]
    return Section("backtest", "Backtest", join(parts))


def _charts(found: Backtest, period: str) -> list[Any]:
    keep = thin_series([found.equity, found.hold_equity, found.drawdown, found.hold_drawdown])
    x = figures.times(found.time[keep])
    positive = bool(min(found.equity.min(), found.hold_equity.min()) > 0)
    title = f"time (UTC), {period}"
    equity = [
        figures.line(x, found.equity[keep], "signals", 0),
        figures.line(x, found.hold_equity[keep], "buy and hold", 1),
    ]
    scale = _logarithmic(np.concatenate([found.equity, found.hold_equity])) if positive else {}
    word = "multiple of the start, logarithmic" if positive else "multiple of the start"
    top = {"xaxis": figures.axis(title, type="date"), "yaxis": figures.axis(word, **scale)}
    drawdown = [
        figures.line(x, 100 * found.drawdown[keep], "signals", 0, fill="tozeroy", fillcolor="rgba(0,114,178,0.12)"),
        figures.line(x, 100 * found.hold_drawdown[keep], "buy and hold", 1),
    ]
    low = {"xaxis": figures.axis(title, type="date"), "yaxis": figures.axis("below the last peak (%)")}
    return [
        figures.figure("Equity", equity, top, height=360),
        reading(
            "Equal distances upwards are equal gains in percent. Both start from 1 at the first tested bar."
            if positive
            else "Both start from 1 at the first tested bar."
        ),
        figures.figure("Drawdown", drawdown, low, height=260),
        reading("How far the account is below its highest value so far: the deepest point is the loss to sit through."),
    ]


def _value(name: str, found: Any) -> str:
    each = found.get(name)
    if not isinstance(each, Interval):
        return UNKNOWN if each is None else number(each)
    if any(part in name for part in _SHARES):
        return interval_percent(each)
    if float(each.value).is_integer() and not np.isfinite(each.low):
        return number(int(each.value))
    return interval(each)


def _setting(name: str, value: Any) -> str:
    return (
        percent(float(value), 3) if name in ("fee", "slippage") and isinstance(value, (int, float)) else number(value)
    )


def _logarithmic(values: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return a logarithmic axis with ticks at 1, 2 and 5, or at powers of ten where these are too many."""
    powers = range(math.floor(math.log10(values.min())), math.ceil(math.log10(values.max())) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    inside = [tick for tick in ticks if values.min() * 0.9 <= tick <= values.max() * 1.1]
    if len(inside) > 8:
        inside = [10.0**power for power in powers]
    return {"type": "log", "tickvals": inside, "ticktext": [f"{tick:,g}" for tick in inside]}


def _said(name: str) -> str:
    return str(name).replace("_", " ")
