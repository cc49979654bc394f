"""The technical features candle by candle: those of the whole table, TA-Lib's handles, restarts, refusals."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from talib import stream as handles

from glulam.errors import ArtifactError, FeatureError, FeatureTypeError
from glulam_plugins.features.technical import Technical
from glulam_plugins.features.technical_stream import TechnicalStream

DATA = Path(__file__).parents[2] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
OHLCV = ("open", "high", "low", "close", "volume")
IN_CURRENCY = [Technical.columns.index(name) for name in ("close", "macd", "macd_signal", "atr_14", "ema_20", "ema_50")]


@pytest.fixture(scope="module")
def bitcoin():
    """Return the shipped candles."""
    return pd.read_csv(DATA)


@pytest.fixture(scope="module")
def bars(bitcoin):
    """Return the shipped candles as rows of five floats."""
    return bitcoin[list(OHLCV)].to_numpy().tolist()


@st.composite
def histories(draw):
    """Draw 50 to 150 candles of any size of prices: random moves, often 0, so that flat windows come up."""
    n_rows = draw(st.integers(50, 150))
    moves = draw(hnp.arrays(np.float64, n_rows, elements=st.floats(-0.5, 0.5), fill=st.just(0.0)))
    volume = draw(hnp.arrays(np.float64, n_rows, elements=st.floats(0, 1e9), fill=st.just(0.0)))
    close = 10.0 ** draw(st.integers(-12, 12)) * np.exp(np.cumsum(moves))
    opening = np.append(close[:1], close[:-1])
    wide = draw(st.floats(0, 0.5))
    high, low = np.maximum(opening, close) * (1 + wide), np.minimum(opening, close) * (1 - wide)
    return dict(zip(OHLCV, (opening, high, low, close, volume), strict=True))


def rows_of(table):
    """Return a mapping's candles as rows of five floats."""
    return np.column_stack([table[name] for name in OHLCV]).tolist()


def fed(stream, bars):
    """Return the features of all candles that have some."""
    return np.array([features for bar in bars if (features := stream.update(*bar)) is not None]).reshape(-1, 12)


def require_equal(found, expected):
    """Compare to 1e-9, of the price where a feature is in the quote currency and is a difference of prices."""
    scale = np.maximum(np.abs(expected), 1.0)
    scale[:, IN_CURRENCY] = np.maximum.accumulate(expected[:, [0]], axis=0)
    assert found.shape == expected.shape
    assert (np.abs(found - expected) / scale).max() <= 1e-9


def test_real_candles(bitcoin, bars):
    """All shipped candles one by one give what the table gives, to 1e-9 relative and absolute."""
    stream = TechnicalStream()
    assert [stream.update(*bar) for bar in bars[:49]] == [None] * 49
    found = fed(stream, bars[49:])
    expected, _ = Technical().generate(bitcoin)
    assert (stream.rows, stream.columns, stream.warm_up) == (13_130, Technical.columns, Technical.warm_up)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=100)
@given(table=histories())
def test_drawn_candles(table):
    """Flat windows, no volume, tiny and huge prices: all as the table has it."""
    require_equal(fed(TechnicalStream(), rows_of(table)), Technical().generate(table)[0])


def test_flat_windows_after_a_wild_past_are_exact(bars):
    """A flat window gives exactly 0.5, 0 and 1, as in the table."""
    stream = TechnicalStream()
    fed(stream, bars[:100])
    last = dict(zip(stream.columns, fed(stream, [[0.1, 0.1, 0.1, 0.1, 0.0]] * 20)[-1], strict=True))
    assert (last["bb_position"], last["zscore"], last["volume_ratio"]) == (0.5, 0.0, 1.0)


def test_a_price_that_never_moves():
    """Without any movement RSI is 0, as TA-Lib has it."""
    last = dict(zip(Technical.columns, fed(TechnicalStream(), [[5.0, 5.0, 5.0, 5.0, 1.0]] * 60)[-1], strict=True))
    assert (last["rsi_14"], last["macd"], last["atr_14"]) == (0.0, 0.0, 0.0)


def test_talib_handles_agree(bitcoin, bars):
    """TA-Lib's own stream handles, opened on the first 100 candles, give the same to 1e-9."""
    high, low, close = (bitcoin[name].to_numpy() for name in ("high", "low", "close"))
    past = slice(0, 100)
    opened = {
        "rsi_14": handles.RSI(close[past], timeperiod=14),
        "ema_20": handles.EMA(close[past], timeperiod=20),
        "ema_50": handles.EMA(close[past], timeperiod=50),
        "macd": handles.MACD(close[past]),
        "atr_14": handles.ATR(high[past], low[past], close[past], timeperiod=14),
    }
    stream = TechnicalStream()
    fed(stream, bars[past])
    for row in range(100, 1_000):
        found = dict(zip(stream.columns, stream.update(*bars[row]), strict=True))
        expected = {
            name: handle.update(*((high[row], low[row], close[row]) if name == "atr_14" else (close[row],)))
            for name, handle in opened.items()
        }
        expected["macd"], expected["macd_signal"], _ = expected["macd"]
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("kept", [*range(0, 60, 3), 500])
def test_a_restart_keeps_every_bit(bars, kept):
    """A state goes through JSON after any number of candles, and the stream goes on as if nothing had been."""
    whole, first = TechnicalStream(), TechnicalStream()
    expected = [whole.update(*bar) for bar in bars[:600]]
    for bar in bars[:kept]:
        first.update(*bar)
    second = TechnicalStream.restore(json.loads(json.dumps(first.state())))
    assert second.state() == first.state()
    for row in range(kept, 600):
        features = second.update(*bars[row])
        assert (features is None) == (expected[row] is None)
        assert features is None or features.tobytes() == expected[row].tobytes()
    assert second.state() == whole.state()


@pytest.mark.parametrize("library", [pl.from_pandas, lambda frame: frame.to_dict("list"), lambda frame: frame])
def test_from_history_is_candle_by_candle(bitcoin, bars, library):
    """A stream of a table knows what one knows that was fed its rows, and the time of the last."""
    stream = TechnicalStream()
    fed(stream, bars[:300])
    known = TechnicalStream.from_history(library(bitcoin.head(300))).state()
    last = datetime.fromisoformat(bitcoin.timestamp[299])
    assert known == {**stream.state(), "time": int(last.timestamp()) * 1_000_000}
    assert TechnicalStream.from_history(library(bitcoin[list(OHLCV)].head(300))).state() == stream.state()


def test_a_candle_is_taken_by_name(bitcoin, bars):
    """A candle may be a mapping with numbers of any library, and the features belong to the caller."""
    stream, other = (TechnicalStream.from_history(bitcoin.head(100)) for _ in range(2))
    first = stream.update(**bitcoin.iloc[100].to_dict())
    kept = first.copy()
    first[:] = 0.0
    assert stream.update(*map(np.float64, bars[101])).shape == (12,)
    np.testing.assert_array_equal(other.update(*bars[100]), kept)
    assert TechnicalStream().update(open=1, high=2, low=1, close=1, volume=0) is None


@pytest.mark.parametrize(
    ("candle", "message"),
    [
        ((1.0, float("nan"), 1.0, 1.0, 1.0), "a value is not finite: expected a possible candle, got open 1, high nan"),
        ((1.0, 2.0, 1.0, 1.0, float("inf")), "a value is not finite"),
        ((0.0, 1.0, 0.0, 1.0, 1.0), "a price is zero or negative"),
        ((1.0, 1.0, 2.0, 1.0, 1.0), "high is below low: .* the stream is unchanged: mend the candle at its source"),
        ((3.0, 2.0, 1.0, 1.0, 1.0), r"open or close is outside \[low, high\]"),
        ((1.0, 2.0, 1.0, 0.5, 1.0), r"open or close is outside \[low, high\]"),
        ((1.0, 2.0, 1.0, 1.0, -1.0), "the volume is negative"),
        ((1e308, 1.7e308, 1.0, 1e308, 1.0), "feature '[a-z_0-9]+': expected a finite number, got -?(inf|nan)"),
    ],
)
def test_refuses_what_is_no_candle(bars, candle, message):
    """An impossible candle is refused with its reason, and the stream goes on as if it had not come."""
    stream = TechnicalStream()
    fed(stream, bars[:60])
    before = stream.state()
    with pytest.raises(FeatureError, match=message):
        stream.update(*candle)
    assert stream.state() == before


@pytest.mark.parametrize("value", ["up", None, True])
def test_refuses_what_is_no_number(value):
    """Text, nothing and truth values are type errors."""
    with pytest.raises(FeatureTypeError, match="technical stream: 'high': expected a number, got .*; cast it to float"):
        TechnicalStream().update(1.0, value, 1.0, 1.0, 1.0)


def test_time_goes_on(bars):
    """Times of any kind must rise where they are given; a candle without one is not asked."""
    stream = TechnicalStream()
    start = datetime(2024, 1, 1, tzinfo=UTC)
    stream.update(*bars[0], timestamp=start)
    stream.update(*bars[1], timestamp="2024-01-01T04:00:00Z")
    stream.update(*bars[2], timestamp=pd.Timestamp(start + timedelta(hours=8)))
    stream.update(*bars[3], timestamp=np.datetime64("2024-01-01T12:00:00"))
    stream.update(*bars[4], timestamp=int(start.timestamp()) + 16 * 3600)
    stream.update(*bars[5], timestamp=np.int64(start.timestamp() + 20 * 3600) * 1_000)
    stream.update(*bars[6])
    before = stream.state()
    assert before["time"] == int(start.timestamp() + 20 * 3600) * 1_000_000
    message = "expected a timestamp after 2024-01-01T20:00:00Z, the last candle's, got 2024-01-0[1-9]T[0-9:]+Z; .* once"
    for time in (start, start + timedelta(hours=20)):
        with pytest.raises(FeatureError, match=message):
            stream.update(*bars[7], timestamp=time)
    with pytest.raises(FeatureError, match="technical stream: timestamp: soon is no timestamp; give a datetime"):
        stream.update(*bars[7], timestamp="soon")
    with pytest.raises(FeatureError, match="timestamp: NaT is no timestamp"):
        stream.update(*bars[7], timestamp=pd.NaT)
    assert stream.state() == before


def test_a_bad_row_of_a_history_is_named(bitcoin):
    """The row is told, with the advice of the candle."""
    table = bitcoin.head(100).copy()
    table.loc[60, "low"] = -1.0
    with pytest.raises(FeatureError, match=r"a price is zero or negative: .* \(row 60 of the history\)"):
        TechnicalStream.from_history(table)
    with pytest.raises(FeatureError, match=r"expected a timestamp after .* \(row 1 of the history\)"):
        TechnicalStream.from_history(bitcoin.head(100)[::-1])
    with pytest.raises(FeatureError, match="technical stream: columns \\['volume'\\] are missing"):
        TechnicalStream.from_history(bitcoin.drop(columns="volume"))
    with pytest.raises(FeatureError, match="'timestamp' has 3 rows, the prices have 100"):
        TechnicalStream.from_history({**bitcoin.head(100).to_dict("list"), "timestamp": [1, 2, 3]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "expected a state of format 1, got 2; save it anew by TechnicalStream.state, or start by"),
        ({"more": 1}, r"the state lacks or has too much: \['more'\]"),
        ({"rows": -1}, "state 'rows': expected a number of candles, got -1"),
        ({"time": "today"}, "state 'time': expected microseconds or none, got 'today'"),
        ({"closes": [1.0]}, "state 'closes': expected a list of 20 numbers, got 1"),
        ({"volumes": None}, "state 'volumes': expected a list of 20 numbers, got NoneType"),
        ({"volumes": [0.0] * 19 + ["1"]}, "state 'volumes': expected a finite number, got '1'"),
        ({"slow": float("nan")}, "state 'slow': expected a finite number, got nan"),
    ],
)
def test_refuses_a_damaged_state(bars, change, message):
    """What cannot be a stream's state is refused by the key."""
    stream = TechnicalStream()
    fed(stream, bars[:60])
    with pytest.raises(ArtifactError, match=message):
        TechnicalStream.restore({**stream.state(), **change})
    with pytest.raises(ArtifactError, match="expected a state of format 1, got 'list'"):
        TechnicalStream.restore([])


def test_serving_needs_no_talib():
    """The stream works where neither TA-Lib nor a table library can be imported."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['talib', 'pandas', 'polars', 'pyarrow'])); "
        "from glulam_plugins.features.technical_stream import TechnicalStream; "
        "stream = TechnicalStream(); "
        "print([stream.update(1, 2, 1, 1 + i % 2, 1) is None for i in range(50)][-2:])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout == "[True, False]\n", found.stderr
