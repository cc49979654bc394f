"""Technical features of one candle: the stream, TA-Lib's own stream handles, and computing them anew."""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import describe
from benchmarks.tables import TINY, duration, table
from benchmarks.timing import quiet

__all__ = ["LIMIT", "main", "markdown", "measure"]

Float64 = npt.NDArray[np.float64]
LIMIT = 20e-6
"""Seconds that the median candle may take."""
HISTORY = 1_000
"""Candles that are known before; computing anew takes as many."""
OHLCV = ("open", "high", "low", "close", "volume")
CANDLES = Path(__file__).parents[1] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
LABELS = {
    "stream": "TechnicalStream.update, all twelve features",
    "stream_timed": "... with a timestamp to check",
    "stream_text": "... with its state saved as JSON after each candle",
    "handles": "TA-Lib's stream handles: RSI, MACD, ATR, EMA 20 and 50 alone",
    "anew": f"Technical.generate on the last {HISTORY:,} candles",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 if the median candle takes 20 us, or a feature is off by more than 1e-9."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks stream", description=__doc__)
    parser.add_argument("--candles", type=int, default=10_000, help="candles that are timed")
    chosen = parser.parse_args(arguments)
    found = measure(chosen.candles)
    machine = describe()
    print(f"{machine['cpu']}, load {machine['load']} at the end; Python {machine['python']}\n")
    print(markdown(found), end="")
    return int(found["ways"]["stream"]["p50"] >= LIMIT or found["difference"] > 1e-9)


def measure(candles: int) -> dict[str, Any]:
    """Return p50 and p99 of a candle in seconds by way, and the largest difference to the features of the table."""
    from glulam_plugins.features.technical import Technical
    from glulam_plugins.features.technical_stream import TechnicalStream

    bars = _bars()[: HISTORY + candles]
    columns = dict(zip(OHLCV, np.ascontiguousarray(bars.T), strict=True))
    past = {name: values[:HISTORY] for name, values in columns.items()}
    rows = bars[HISTORY:].tolist()
    plain, timed, saved = (TechnicalStream.from_history(past) for _ in range(3))
    technical = Technical()
    ways: dict[str, Callable[[int], Any]] = {
        "stream": lambda row: plain.update(*rows[row]),
        "stream_timed": lambda row: timed.update(*rows[row], timestamp=1_514_764_800_000_000 + row),
        "stream_text": lambda row: (saved.update(*rows[row]), json.dumps(saved.state()))[0],
        "handles": _handles(past, rows),
        "anew": lambda row: technical.generate({name: values[row : row + HISTORY] for name, values in columns.items()}),
    }
    taken = {name: np.empty(len(rows)) for name in ways}
    features = np.empty((len(rows), len(plain.columns)))
    with quiet():
        for row in range(len(rows)):
            for name, way in ways.items():
                begun = time.perf_counter()
                answer = way(row)
                taken[name][row] = time.perf_counter() - begun
                if name == "stream":
                    features[row] = answer
    expected = technical.generate(columns)[0][-len(rows) :]
    difference = np.abs(features - expected) / np.maximum(np.abs(expected), 1.0)
    figures = {name: np.quantile(seconds, [0.5, 0.99]).tolist() for name, seconds in taken.items()}
    return {
        "ways": {name: {"p50": p50, "p99": p99} for name, (p50, p99) in figures.items()},
        "difference": float(difference.max()),
        "candles": len(rows),
    }


def markdown(found: dict[str, Any]) -> str:
    """Return the figures as a table and a verdict."""
    rows = [[LABELS[name], duration(each["p50"]), duration(each["p99"])] for name, each in found["ways"].items()]
    p50, difference = found["ways"]["stream"]["p50"], found["difference"]
    made = table([f"one of {found['candles']:,} candles", "p50", "p99"], rows)
    verdict = "pass" if p50 < LIMIT and difference <= 1e-9 else "FAIL"
    return (
        f"{made}\n\n- {verdict}: a candle takes less than {duration(LIMIT)} ({duration(p50)}), and its features are "
        f"those of the table to 1e-9 ({TINY(difference)})\n"
    )


def _bars() -> Float64:
    """Return the shipped candles [n_rows, 5]."""
    with gzip.open(CANDLES, "rt") as file:
        return np.array([[float(row[name]) for name in OHLCV] for row in csv.DictReader(file)])


def _handles(past: dict[str, Float64], rows: list[list[float]]) -> Callable[[int], Any]:
    """Return what updates TA-Lib's handles of the recursive features: no windows, no checks, and no saved state."""
    from talib import stream

    high, low, close = past["high"], past["low"], past["close"]
    rsi, macd = stream.RSI(close, timeperiod=14), stream.MACD(close)
    ema_20, ema_50 = stream.EMA(close, timeperiod=20), stream.EMA(close, timeperiod=50)
    atr = stream.ATR(high, low, close, timeperiod=14)

    def update(row: int) -> Any:
        _, high, low, close, _ = rows[row]
        strength, trend, spread = rsi.update(close), macd.update(close), atr.update(high, low, close)
        return strength, trend, spread, ema_20.update(close), ema_50.update(close)

    return update
