"""The ``technical`` features candle by candle: what a live feed needs, in microseconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn, Self

import numpy as np
import numpy.typing as npt

from glulam.errors import ArtifactError, FeatureError, FeatureTypeError
from glulam_plugins.features._candles import OHLCV, column_names, read_bars, read_time, read_times
from glulam_plugins.features._technical import COLUMNS, WARM_UP, WINDOW

__all__ = ["TechnicalStream"]

Float64 = npt.NDArray[np.float64]

_OWNER = "technical stream"
_FORMAT = 1
_INF = math.inf


class _Held(NamedTuple):
    """All that a stream knows: how many candles came, the last windows, and the recursive means.

    ``closes`` and ``volumes`` are the last 20, newest first. A mean holds the sum of its values until
    it has as many as its period.
    """

    rows: int = 0
    time: int | None = None
    closes: tuple[float, ...] = ()
    volumes: tuple[float, ...] = ()
    rise: float = 0.0
    fall: float = 0.0
    true_range: float = 0.0
    fast: float = 0.0
    slow: float = 0.0
    signal: float = 0.0
    ema_20: float = 0.0
    ema_50: float = 0.0


class TechnicalStream:
    """The twelve features of `glulam_plugins.features.technical.Technical`, one candle at a time.

    ::

        stream = TechnicalStream.from_history(candles)
        features = stream.update(**candle)

    Features equal those of `Technical.generate` on all candles since the first, to 1e-9 (relative to
    the prices where they are in the quote currency), in constant time and memory. `state` and
    `restore` carry a stream over a restart without a bit changed. TA-Lib is not needed.

    Feed closed candles only: there is no way back. What is no candle is refused and changes nothing.
    """

    columns = COLUMNS
    warm_up = WARM_UP

    def __init__(self) -> None:
        self._held = _Held()

    @property
    def rows(self) -> int:
        """How many candles have come."""
        return self._held.rows

    @classmethod
    def from_history(cls, table: Any) -> Self:
        """Return a stream that has seen a table's candles, oldest first, as `update` takes them.

        ``table`` is what `Technical.generate` takes; a column ``timestamp`` is read where there is one.
        Raises `FeatureError` naming the row for what `update` refuses.
        """
        timed = "timestamp" in column_names(table, _OWNER)
        bars = read_bars(table, _OWNER).tolist()
        times = read_times(table["timestamp"], "timestamp", _OWNER).tolist() if timed else [None] * len(bars)
        if len(times) != len(bars):
            raise FeatureError(f"{_OWNER}: 'timestamp' has {len(times)} rows, the prices have {len(bars)}")
        stream = cls()
        for row, (bar, time) in enumerate(zip(bars, times, strict=True)):
            try:
                stream._held, _ = _after(stream._held, (*bar,), time)
            except FeatureError as error:
                raise FeatureError(f"{error} (row {row} of the history)") from error
        return stream

    def update(
        self, open: float, high: float, low: float, close: float, volume: float, timestamp: Any = None
    ) -> Float64 | None:
        """Take the next candle; return its features float64 [12] in a fresh array, or None for the first 49.

        ``timestamp`` (a datetime, ISO 8601 text, or a whole number since 1970) is for its check alone:
        it must be later than the last one that was given. Gaps are not seen, as in `Technical`.

        Raises `FeatureError` for a candle that cannot be, for one that is not later, and where a
        feature overflows; `FeatureTypeError` for what is no number. The stream is then as it was.
        """
        bar: tuple[float, ...] = (open, high, low, close, volume)
        if not all([type(value) is float for value in bar]):  # noqa: C419  twice as fast as a generator
            bar = tuple(map(_number, bar, OHLCV))
        time = None if timestamp is None else read_time(timestamp, _OWNER)
        held, features = _after(self._held, bar, time)
        self._held = held
        return None if features is None else np.array(features)

    def state(self) -> dict[str, Any]:
        """Return all that the stream knows as JSON values, of which JSON keeps every bit."""
        held = self._held._asdict()
        return {"format": _FORMAT, **held, "closes": list(held["closes"]), "volumes": list(held["volumes"])}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """Return the stream that `state` was of. Raises `ArtifactError` for what is no such state."""
        stream = cls()
        stream._held = _read(state)
        return stream


def _after(held: _Held, bar: tuple[float, ...], time: int | None) -> tuple[_Held, list[float] | None]:
    """Return what is known after a candle, and its features; or refuse it. Nothing is changed in place."""
    opening, high, low, close, volume = bar
    # One chain of comparisons, false for nan too; which of them failed is asked only then.
    if not (0.0 < low <= opening <= high < _INF and low <= close <= high and 0.0 <= volume < _INF):
        _refuse(bar)
    if time is not None and held.time is not None and time <= held.time:
        _refuse_time(time, held.time)
    row = held.rows
    last = held.closes[0] if row else close
    closes = (close, *held.closes[: WINDOW - 1])
    volumes = (volume, *held.volumes[: WINDOW - 1])
    move = close - last
    rise = _wilder(held.rise, max(move, 0.0), row - 1)
    fall = _wilder(held.fall, max(-move, 0.0), row - 1)
    true_range = _wilder(held.true_range, max(high, last) - min(low, last), row - 1)
    fast = _ema(held.fast, close, row - 14, 12)  # starts late, so that it ends its first mean with the slow one
    slow = _ema(held.slow, close, row, 26)
    signal = _ema(held.signal, fast - slow, row - 25, 9)
    ema_20, ema_50 = _ema(held.ema_20, close, row, 20), _ema(held.ema_50, close, row, 50)
    time = held.time if time is None else time
    new = _Held(row + 1, time, closes, volumes, rise, fall, true_range, fast, slow, signal, ema_20, ema_50)
    means = (rise, fall, true_range, fast, slow, signal, ema_20, ema_50)
    if not math.isfinite(sum(means)):
        _refuse_overflow(new)
    if row < WARM_UP:
        return new, None
    moved, zscore, mean_volume = rise + fall, _zscore(closes), _mean(volumes)
    features = [
        close,
        volume,
        close / last - 1,
        100 * (rise / moved) if moved else 0.0,
        fast - slow,
        signal,
        true_range,
        0.5 + zscore / 4,
        ema_20,
        ema_50,
        zscore,
        volume / mean_volume if mean_volume else 1.0,
    ]
    if not math.isfinite(sum(features)):
        _refuse_overflow(new, features)
    return new, features


def _ema(mean: float, value: float, age: int, period: int) -> float:
    """Return an exponential mean after its value number ``age``, counted from 0; negative ones do not count."""
    if age >= period:
        return mean + 2 / (period + 1) * (value - mean)
    return _first_mean(mean, value, age, period)


def _wilder(mean: float, value: float, age: int) -> float:
    """Return a Wilder mean of period 14, likewise."""
    if age >= 14:
        return mean + (value - mean) / 14
    return _first_mean(mean, value, age, 14)


def _first_mean(total: float, value: float, age: int, period: int) -> float:
    if age < 0:
        return 0.0
    return (total + value) / period if age == period - 1 else total + value


def _mean(values: tuple[float, ...] | list[float]) -> float:
    # Not `sum`, which rounds in another way from Python 3.12 on than before, and than numpy.
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


def _zscore(closes: tuple[float, ...]) -> float:
    # As in `technical`: measured from the last value, a flat window is exactly 0.
    last = closes[0]
    distance = [value - last for value in closes]
    mean = _mean(distance)
    deviation = math.sqrt(_mean([(value - mean) * (value - mean) for value in distance]))
    return -mean / deviation if deviation else 0.0


def _number(value: Any, name: str) -> float:
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError("a truth value")
        return float(value)
    except (TypeError, ValueError) as error:
        raise FeatureTypeError(f"{_OWNER}: {name!r}: expected a number, got {value!r}; cast it to float") from error


def _refuse(bar: tuple[float, ...]) -> NoReturn:
    """Raise FeatureError for the first thing that is wrong with a candle."""
    opening, high, low, close, volume = bar
    shown = ", ".join(f"{name} {value:g}" for name, value in zip(OHLCV, bar, strict=True))
    reasons = {
        "a value is not finite": not all(map(math.isfinite, bar)),
        "a price is zero or negative": min(bar[:4]) <= 0,
        "high is below low": high < low,
        "open or close is outside [low, high]": not low <= min(opening, close) <= max(opening, close) <= high,
        "the volume is negative": volume < 0,
    }
    reason = next(reason for reason, holds in reasons.items() if holds)
    raise FeatureError(
        f"{_OWNER}: {reason}: expected a possible candle, got {shown}; the stream is unchanged: mend the candle at its "
        "source, or leave it out"
    )


def _refuse_time(time: int, last: int) -> NoReturn:
    shown, before = (f"{np.datetime64(each, 'us')}Z".replace(".000000", "") for each in (time, last))
    raise FeatureError(
        f"{_OWNER}: expected a timestamp after {before}, the last candle's, got {shown}; the stream is unchanged: feed "
        "each closed candle once, in time order"
    )


def _refuse_overflow(new: _Held, features: list[float] | None = None) -> None:
    """Raise FeatureError for what is not finite; that only a sum of finite numbers overflows is nothing."""
    named = new._asdict() if features is None else dict(zip(COLUMNS, features, strict=True))
    bad = [name for name, value in named.items() if isinstance(value, float) and not math.isfinite(value)]
    if bad:
        raise FeatureError(
            f"{_OWNER}: feature {bad[0]!r}: expected a finite number, got {named[bad[0]]}; a price near float64's "
            "limit does this; the stream is unchanged"
        )


def _read(state: Mapping[str, Any]) -> _Held:
    """Return what a state holds. Raises ArtifactError where it cannot be a stream's."""
    if not isinstance(state, Mapping) or state.get("format") != _FORMAT:
        found = state.get("format") if isinstance(state, Mapping) else type(state).__name__
        raise ArtifactError(f"{_OWNER}: expected a state of format {_FORMAT}, got {found!r}; {_START}")
    if set(state) != {"format", *_Held._fields}:
        odd = sorted(map(str, set(state) ^ {"format", *_Held._fields}))
        raise ArtifactError(f"{_OWNER}: the state lacks or has too much: {odd}; {_START}")
    rows, time = state["rows"], state["time"]
    if type(rows) is not int or rows < 0:
        raise ArtifactError(f"{_OWNER}: state 'rows': expected a number of candles, got {rows!r}; {_START}")
    if time is not None and type(time) is not int:
        raise ArtifactError(f"{_OWNER}: state 'time': expected microseconds or none, got {time!r}; {_START}")
    closes, volumes = (_window(state, name, min(rows, WINDOW)) for name in ("closes", "volumes"))
    means = [_finite(state[name], name) for name in _Held._fields[4:]]
    return _Held(rows, time, closes, volumes, *means)


_START = "save it anew by TechnicalStream.state, or start by TechnicalStream.from_history"


def _window(state: Mapping[str, Any], name: str, size: int) -> tuple[float, ...]:
    values = state[name]
    if not isinstance(values, list | tuple) or len(values) != size:
        found = len(values) if isinstance(values, list | tuple) else type(values).__name__
        raise ArtifactError(f"{_OWNER}: state {name!r}: expected a list of {size} numbers, got {found}; {_START}")
    return tuple(_finite(value, name) for value in values)


def _finite(value: Any, name: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ArtifactError(f"{_OWNER}: state {name!r}: expected a finite number, got {value!r}; {_START}")
    return float(value)
