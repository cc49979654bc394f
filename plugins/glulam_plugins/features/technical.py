"""The ``technical`` feature generator: twelve indicators of OHLCV candles."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import talib

from glulam.errors import FeatureError
from glulam.hookspecs import FeatureGenerator, hookimpl
from glulam_plugins.features._candles import OHLCV, read_bars
from glulam_plugins.features._technical import COLUMNS, WARM_UP, WINDOW
from glulam_plugins.features.candles import CandleReport, check_candles

__all__ = ["Technical"]

Float64 = npt.NDArray[np.float64]

_REPAIR = "glulam_plugins.features.candles.check_candles(table, drop=True) finds and drops such rows"


class Technical(FeatureGenerator):
    """Twelve indicators of candles: ``open``, ``high``, ``low``, ``close``, ``volume``, oldest first.

    With t the row, and SMA20 and sd20 the mean and the population standard deviation of the 20
    closes t-19..t; the last column is how many rows at the start have no value:

    ============ ================================================================= ==
    close        close[t], in the quote currency                                    0
    volume       volume[t], in the table's unit                                     0
    returns_1    close[t] / close[t-1] - 1                                          1
    rsi_14       100 * up / (up + down): Wilder means, period 14, of rises and     14
                 falls of close; 0 while close has never moved
    macd         EMA12 - EMA26 of close, in the quote currency                     33
    macd_signal  EMA9 of macd                                                      33
    atr_14       Wilder mean, period 14, of the true range                         14
                 max(high, close[t-1]) - min(low, close[t-1])
    bb_position  (close - lower) / (upper - lower), lower and upper SMA20 -+ 2     19
                 sd20 (Bollinger); 0.5 in a flat window
    ema_20       EMA of close, period 20                                           19
    ema_50       EMA of close, period 50                                           49
    zscore       (close - SMA20) / sd20; 0 in a flat window                        19
    volume_ratio volume / mean of the 20 volumes t-19..t; 1 where all are 0        19
    ============ ================================================================= ==

    EMA of period p is e[t] = e[t-1] + 2/(p+1) * (x[t] - e[t-1]), a Wilder mean of period p
    w[t] = w[t-1] + (x[t] - w[t-1]) / p; both start from the plain mean of the first p values (EMA12
    of macd starts with EMA26, at row 25). These recursive ones are TA-Lib's. The windows are summed
    here, one by one: a running sum, as in TA-Lib, keeps the rounding of all that has left it, so
    that the mean of a flat window would not be its price. bb_position is 0.5 + zscore / 4, by its definition.

    No value at t reads a row after t. The recursive ones read all rows before it: feed a served
    model at least 1,000 earlier bars, after which their start no longer shows. Gaps in time are
    not seen: the bar after a gap follows the one before it as if it were the next.

    `glulam_plugins.features.technical_stream.TechnicalStream` gives the same candle by candle.
    """

    name = "technical"
    distributions = ("TA-Lib",)
    columns = COLUMNS
    warm_up = WARM_UP

    def check(self, table: Any, *, drop: bool = False) -> tuple[Any, CandleReport]:
        """Return the candles in time order, each once, and what `check_candles` found in them."""
        return check_candles(table, drop=drop)

    def generate(self, table: Any) -> tuple[Float64, npt.NDArray[np.int64]]:
        """Return float64 [n_rows - 49, 12] and the int64 row of the table that each belongs to.

        ``table`` is pandas, polars, pyarrow or a mapping of columns; columns other than the five
        are ignored. Raises `FeatureError` if columns are missing, there are 49 rows or fewer, a
        value is nan or infinite, or a feature becomes so; `FeatureTypeError` for what is no table
        or no numbers.
        """
        bars = read_bars(table, self.name)
        if len(bars) <= self.warm_up:
            raise FeatureError(
                f"technical: expected more than {self.warm_up} rows (the first {self.warm_up} have no "
                f"ema_50 yet), got {len(bars)}; give a longer history"
            )
        _require_finite(bars)
        _require_default_talib()
        features = _compute(*np.ascontiguousarray(bars.T))[self.warm_up :]
        rows = np.arange(self.warm_up, len(bars), dtype=np.int64)
        _require_computed(features, rows)
        return features, rows


def _compute(opening: Float64, high: Float64, low: Float64, close: Float64, volume: Float64) -> Float64:
    """Return all features of all rows [n_rows, 12], nan where there is none yet."""
    # Zero prices and overflow give inf or nan, which the caller refuses by feature and row.
    with np.errstate(all="ignore"):
        returns = np.append(np.nan, close[1:] / close[:-1] - 1)
        macd, macd_signal, _ = talib.MACD(close, fastperiod=12, slowperiod=26, signalperiod=9)
        zscore = _zscore(close)
        return np.column_stack(
            [
                close,
                volume,
                returns,
                talib.RSI(close, timeperiod=14),
                macd,
                macd_signal,
                talib.ATR(high, low, close, timeperiod=14),
                0.5 + zscore / 4,
                talib.EMA(close, timeperiod=20),
                talib.EMA(close, timeperiod=50),
                zscore,
                _ratio_to_mean(volume),
            ]
        )


def _windows(values: Float64) -> Float64:
    """Return the window that ends at each row, as lags [20, n_rows - 19]: last value first."""
    windows: Float64 = np.lib.stride_tricks.sliding_window_view(values, WINDOW).T[::-1]
    return windows


def _zscore(close: Float64) -> Float64:
    # Measured from the last value, so that a flat window is exactly 0 and has no rounding to divide by.
    distance = _windows(close) - close[WINDOW - 1 :]
    mean = distance.mean(axis=0)
    deviation = np.sqrt(((distance - mean) ** 2).mean(axis=0))
    flat = deviation == 0
    score = np.where(flat, 0.0, -mean / np.where(flat, 1.0, deviation))
    return np.concatenate([np.full(WINDOW - 1, np.nan), score])


def _ratio_to_mean(volume: Float64) -> Float64:
    mean = _windows(volume).mean(axis=0)
    ratio = np.where(mean == 0, 1.0, volume[WINDOW - 1 :] / np.where(mean == 0, 1.0, mean))
    return np.concatenate([np.full(WINDOW - 1, np.nan), ratio])


def _require_finite(bars: Float64) -> None:
    bad = ~np.isfinite(bars)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise FeatureError(
            f"technical: column {OHLCV[column]!r}, row {row}: expected a finite number, got "
            f"{bars[row, column]} ({int(bad.any(axis=1).sum())} such rows); the recursive averages "
            f"would never recover; {_REPAIR}"
        )


def _require_computed(features: Float64, rows: npt.NDArray[np.int64]) -> None:
    bad = ~np.isfinite(features)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise FeatureError(
            f"technical: feature {Technical.columns[column]!r}, row {rows[row]}: expected a finite number, "
            f"got {features[row, column]}; a price of 0 or near float64's limit does this; {_REPAIR}"
        )


def _require_default_talib() -> None:
    # A setting of the whole process: it lengthens the warm-up, and macd_signal starts elsewhere.
    unstable = {name: talib.get_unstable_period(name) for name in ("EMA", "RSI", "ATR")}
    if any(unstable.values()):
        raise FeatureError(
            f"technical: expected TA-Lib's default unstable periods of 0, got {unstable}; "
            "call talib.set_unstable_period(name, 0)"
        )


@hookimpl
def glulam_features() -> type[FeatureGenerator]:
    """Return the feature generator of this file."""
    return Technical
