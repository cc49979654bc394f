"""The technical feature generator: formulas, no lookahead, tables of every library, refusals."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from glulam.errors import FeatureError, FeatureTypeError
from glulam.hookspecs import FeatureGenerator
from glulam_plugins.features.technical import Technical, glulam_features

DATA = Path(__file__).parents[2] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
OHLCV = ("open", "high", "low", "close", "volume")
COLUMNS = (
    "close",
    "volume",
    "returns_1",
    "rsi_14",
    "macd",
    "macd_signal",
    "atr_14",
    "bb_position",
    "ema_20",
    "ema_50",
    "zscore",
    "volume_ratio",
)


@pytest.fixture(scope="module")
def bitcoin():
    """Return the shipped candles."""
    return pd.read_csv(DATA)


@pytest.fixture(scope="module")
def generated(bitcoin):
    """Return the features of the shipped candles as a frame, indexed by raw row."""
    features, rows = Technical().generate(bitcoin)
    return pd.DataFrame(features, columns=Technical.columns, index=rows)


def candles(close, volume=None):
    """Return a mapping of consistent candles around closes."""
    close = np.asarray(close, dtype=np.float64)
    opening = np.append(close[:1], close[:-1])
    high, low = 1.01 * np.maximum(opening, close), 0.99 * np.minimum(opening, close)
    volume = np.ones_like(close) if volume is None else volume
    return {"open": opening, "high": high, "low": low, "close": close, "volume": volume}


@st.composite
def histories(draw):
    """Draw candles of 50 to 120 bars: random moves, often 0, so that flat windows come up."""
    n_rows = draw(st.integers(50, 120))
    moves = draw(hnp.arrays(np.float64, n_rows, elements=st.floats(-0.3, 0.3), fill=st.just(0.0)))
    volume = draw(hnp.arrays(np.float64, n_rows, elements=st.floats(0, 1e6), fill=st.just(0.0)))
    start = draw(st.floats(1e-6, 1e6))
    return candles(start * np.exp(np.cumsum(moves)), volume)


def seeded_mean(values, period, step):
    """Return the recursive mean of the step, from the plain mean of the first values; nan before."""
    first = int(np.flatnonzero(~np.isnan(values))[0]) + period - 1
    result = np.full(len(values), np.nan)
    result[first] = values[first - period + 1 : first + 1].mean()
    for row in range(first + 1, len(values)):
        result[row] = result[row - 1] + step * (values[row] - result[row - 1])
    return result


def ema(values, period):
    """Return the exponential mean by its textbook recursion."""
    return seeded_mean(np.asarray(values, dtype=float), period, 2 / (period + 1))


def expected_features(table):
    """Return all twelve features by pandas and plain loops, without TA-Lib."""
    frame = pd.DataFrame({name: np.asarray(table[name]) for name in OHLCV})
    close, volume = frame.close, frame.volume
    moves = close.diff()
    up = seeded_mean(moves.clip(lower=0).to_numpy(), 14, 1 / 14)
    down = seeded_mean(-moves.clip(upper=0).to_numpy(), 14, 1 / 14)
    true_range = np.maximum(frame.high, close.shift()) - np.minimum(frame.low, close.shift())
    fast = np.append(np.full(14, np.nan), ema(close[14:], 12))
    macd = fast - ema(close, 26)
    signal = ema(macd, 9)
    mean, deviation = close.rolling(20).mean(), close.rolling(20).std(ddof=0)
    lower, upper = mean - 2 * deviation, mean + 2 * deviation
    return pd.DataFrame(
        {
            "close": close,
            "volume": volume,
            "returns_1": close / close.shift() - 1,
            "rsi_14": 100 * up / (up + down),
            "macd": macd,
            "macd_signal": signal,
            "atr_14": seeded_mean(true_range.where(close.shift().notna()).to_numpy(), 14, 1 / 14),
            "bb_position": (close - lower) / (upper - lower),
            "ema_20": ema(close, 20),
            "ema_50": ema(close, 50),
            "zscore": (close - mean) / deviation,
            "volume_ratio": volume / volume.rolling(20).mean(),
        }
    )


def test_names_and_order():
    """The generator is registered under its name, with the twelve features in their fixed order."""
    assert glulam_features() is Technical
    assert issubclass(Technical, FeatureGenerator)
    assert (Technical.name, Technical.columns) == ("technical", COLUMNS)


def test_shape_and_rows(bitcoin):
    """Exactly the warm-up is dropped, and every other row comes once, in order and complete."""
    features, rows = Technical().generate(bitcoin)
    assert features.shape == (len(bitcoin) - 49, 12)
    assert (features.dtype, rows.dtype) == (np.float64, np.int64)
    np.testing.assert_array_equal(rows, np.arange(49, len(bitcoin)))
    assert np.isfinite(features).all()


def test_the_warm_up_is_not_longer_than_needed(bitcoin):
    """The first returned row is the first at which every independently computed feature exists."""
    complete = expected_features(bitcoin.head(120)).notna().all(axis=1)
    assert int(np.argmax(complete)) == Technical.warm_up
    assert Technical().generate(bitcoin.head(50))[0].shape == (1, 12)


@pytest.mark.parametrize("name", COLUMNS)
def test_formulas_on_real_candles(bitcoin, generated, name):
    """Each feature is that of its formula, computed without TA-Lib."""
    expected = expected_features(bitcoin)[name].to_numpy()[generated.index]
    np.testing.assert_allclose(generated[name], expected, rtol=1e-8, atol=1e-7)


def test_bollinger_agrees_with_talib(bitcoin, generated):
    """The position in the band is that of TA-Lib's own bands."""
    upper, _, lower = talib.BBANDS(bitcoin.close.to_numpy(), 20, 2.0, 2.0)
    expected = ((bitcoin.close - lower) / (upper - lower)).to_numpy()[generated.index]
    np.testing.assert_allclose(generated.bb_position, expected, rtol=1e-9, atol=1e-9)


def test_known_values():
    """On a straight line of closes the features are what one computes by hand."""
    table = candles(np.arange(100.0, 160.0), np.tile([1.0, 3.0], 30))
    last = dict(zip(COLUMNS, Technical().generate(table)[0][-1], strict=True))
    deviation = np.sqrt((20**2 - 1) / 12)
    assert last["close"] == 159.0
    assert last["volume"] == 3.0
    assert last["returns_1"] == 159 / 158 - 1
    assert last["rsi_14"] == 100.0
    assert last["macd"] == pytest.approx(7.0)
    assert last["macd_signal"] == pytest.approx(7.0)
    assert last["ema_20"] == pytest.approx(159 - 9.5)
    assert last["ema_50"] == pytest.approx(159 - 24.5)
    assert last["zscore"] == pytest.approx(9.5 / deviation)
    assert last["bb_position"] == pytest.approx((9.5 + 2 * deviation) / (4 * deviation))
    assert last["volume_ratio"] == 1.5


def test_flat_windows_are_exact():
    """A flat window after a wild past gives exactly 0.5, 0 and 1, not the rounding of the past."""
    past = 6000 + 100 * np.sin(np.arange(100.0) ** 2)
    table = candles(np.append(past, np.full(20, 0.1)), np.append(past * 1e9, np.zeros(20)))
    last = dict(zip(COLUMNS, Technical().generate(table)[0][-1], strict=True))
    assert (last["bb_position"], last["zscore"], last["volume_ratio"]) == (0.5, 0.0, 1.0)


def test_a_price_that_never_moves():
    """Candles without any movement have an RSI of 0, no range beyond their own, and no macd."""
    last = dict(zip(COLUMNS, Technical().generate(candles(np.full(60, 5.0)))[0][-1], strict=True))
    assert (last["rsi_14"], last["macd"], last["returns_1"]) == (0.0, 0.0, 0.0)
    assert last["atr_14"] == pytest.approx(0.1)


@settings(deadline=None, max_examples=60)
@given(past=histories(), future=histories(), data=st.data())
def test_no_lookahead(past, future, data):
    """Whatever comes after row t, up to the end of the table, features up to t keep every bit."""
    n_rows = len(past["close"])
    now = data.draw(st.integers(Technical.warm_up, n_rows - 1))
    other = {name: np.append(past[name][: now + 1], 1e3 * future[name]) for name in OHLCV}
    before, rows = Technical().generate(past)
    after, _ = Technical().generate(other)
    truncated, _ = Technical().generate({name: past[name][: now + 1] for name in OHLCV})
    known = int((rows <= now).sum())
    assert before[:known].tobytes() == after[:known].tobytes() == truncated.tobytes()


@settings(deadline=None, max_examples=60)
@given(table=histories())
def test_bounds(table):
    """Drawn candles, flat ones among them, give complete features within their natural bounds."""
    features, rows = Technical().generate(table)
    frame = pd.DataFrame(features, columns=COLUMNS)
    assert np.isfinite(features).all()
    assert frame.rsi_14.between(0, 100 + 1e-9).all()
    assert (frame.atr_14 >= 0).all()
    assert frame.zscore.abs().max() <= np.sqrt(19) + 1e-9
    assert frame.volume_ratio.between(0, 20 + 1e-9).all()
    np.testing.assert_array_equal(frame.close, table["close"][rows])


def test_a_later_start_fades(bitcoin, generated):
    """After 1,000 bars nothing shows where the table began; windows never depend on it."""
    features, rows = Technical().generate(bitcoin.iloc[5000:].reset_index(drop=True))
    later = pd.DataFrame(features, columns=COLUMNS, index=rows + 5000)
    windowed = ["close", "volume", "returns_1", "bb_position", "zscore", "volume_ratio"]
    pd.testing.assert_frame_equal(later[windowed], generated.loc[later.index, windowed], check_exact=True)
    settled = later.loc[6000:]
    np.testing.assert_allclose(settled, generated.loc[settled.index], rtol=1e-9, atol=1e-9)


def test_gaps_are_stepped_over(bitcoin):
    """Timestamps do not matter: bars on both sides of a gap count as adjacent."""
    table = bitcoin.head(200).drop(index=range(80, 90))
    with_times = Technical().generate(table)
    without = Technical().generate(table[list(OHLCV)].reset_index(drop=True))
    np.testing.assert_array_equal(with_times[0], without[0])
    close = table.close.to_numpy()
    assert with_times[0][80 - 49, 2] == close[80] / close[79] - 1


def read_only(values):
    """Return a copy that cannot be written to."""
    values = values.copy()
    values.flags.writeable = False
    return values


TABLES = {
    "polars": pl.from_pandas,
    "pyarrow": pa.Table.from_pandas,
    "pyarrow batch": pa.RecordBatch.from_pandas,
    "lists": lambda frame: frame.to_dict("list"),
    "arrays": lambda frame: {name: frame[name].to_numpy() for name in frame},
    "nullable": lambda frame: frame.convert_dtypes(),
    "another index": lambda frame: frame.set_index(np.arange(len(frame))[::-1]),
    "another order": lambda frame: frame[frame.columns[::-1]],
    "read only": lambda frame: {name: read_only(frame[name].to_numpy()) for name in frame},
    "strided": lambda frame: {name: np.repeat(frame[name].to_numpy(), 2)[::2] for name in frame},
    "objects": lambda frame: frame.astype(object),
    "decimal text": lambda frame: frame.astype(str),
}


@pytest.mark.parametrize("library", TABLES)
def test_tables_of_every_library(bitcoin, library):
    """Every kind of table gives the same bits, and is not changed."""
    frame = bitcoin.head(300)
    expected, _ = Technical().generate(frame)
    table = TABLES[library](frame)
    assert Technical().generate(table)[0].tobytes() == expected.tobytes()
    pd.testing.assert_frame_equal(frame, pd.read_csv(DATA, nrows=300))


def test_no_table_library_is_needed():
    """The generator works where pandas, polars and pyarrow cannot be imported."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['pandas', 'polars', 'pyarrow'])); "
        "from glulam_plugins.features.technical import Technical; "
        "x = [float(i % 7 + 1) for i in range(60)]; "
        "table = {'open': x, 'high': x, 'low': x, 'close': x, 'volume': x}; "
        "print(Technical().generate(table)[0].shape)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout == "(11, 12)\n", found.stderr


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", OHLCV)
def test_refuses_values_that_are_not_finite(bitcoin, name, value):
    """A nan or infinity, even in the warm-up, is refused by column and row."""
    table = bitcoin.head(100).copy()
    table.loc[[17, 80], name] = value
    message = rf"column '{name}', row 17: expected a finite number, got {value} \(2 such rows\).*check_candles"
    with pytest.raises(FeatureError, match=message):
        Technical().generate(table)


def test_refuses_null():
    """A null of another library counts as nan."""
    table = pl.DataFrame({**candles(np.full(60, 5.0)), "close": [5.0] * 59 + [None]})
    with pytest.raises(FeatureError, match="column 'close', row 59: expected a finite number, got nan"):
        Technical().generate(table)


def test_refuses_missing_columns(bitcoin):
    """Missing columns are named, with what was expected and what there is."""
    table = bitcoin.rename(columns={"close": "Close", "volume": "vol"})
    message = r"columns \['close', 'volume'\] are missing: expected \['open', .*got \['timestamp', .*; rename"
    with pytest.raises(FeatureError, match=message):
        Technical().generate(table)


@pytest.mark.parametrize("n_rows", [1, 49])
def test_refuses_too_few_rows(bitcoin, n_rows):
    """A table no longer than the warm-up is refused with both numbers."""
    with pytest.raises(FeatureError, match=f"expected more than 49 rows.*got {n_rows}; give a longer"):
        Technical().generate(bitcoin.head(n_rows))


def test_refuses_an_empty_table(bitcoin):
    """A table without rows is refused as such."""
    with pytest.raises(FeatureError, match="the table has no rows"):
        Technical().generate(bitcoin.head(0))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.zeros((60, 5)), "expected a pandas, polars or pyarrow table.*got ndarray; name the columns"),
        (None, "got NoneType"),
        (pl.LazyFrame({"close": [1.0]}), r"a lazy table has no rows yet; call \.collect\(\)"),
        ({**candles(np.ones(60)), "close": ["up"] * 60}, "column 'close': expected numbers.*cast it to"),
        ({**candles(np.ones(60)), "low": [True] * 60}, "column 'low': expected numbers.*it holds bool"),
        ({**candles(np.ones(60)), "low": [[1.0], [1.0, 2.0]]}, "column 'low': expected numbers"),
        (
            {**candles(np.ones(60)), "volume": np.zeros(60, dtype="datetime64[s]")},
            r"column 'volume': expected numbers.*it holds datetime64\[s\]",
        ),
    ],
)
def test_refuses_what_is_no_table_of_numbers(table, message):
    """Things without named columns, and columns without numbers, are type errors."""
    with pytest.raises(FeatureTypeError, match=message):
        Technical().generate(table)


def test_refuses_columns_of_different_lengths():
    """The columns of a mapping must be of one length."""
    table = {**candles(np.ones(60)), "volume": np.ones(59)}
    with pytest.raises(FeatureError, match=r"columns must be of one length, got .*'volume': 59"):
        Technical().generate(table)


def test_refuses_a_name_given_twice(bitcoin):
    """Two columns of one name are no column."""
    table = pd.concat([bitcoin.head(60), bitcoin[["close"]].head(60)], axis=1)
    with pytest.raises(FeatureError, match=r"column 'close': expected one value a row, got shape \(60, 2\)"):
        Technical().generate(table)


@pytest.mark.parametrize(("close", "feature"), [(0.0, "returns_1"), (1e308, "atr_14")])
def test_refuses_features_that_overflow(close, feature):
    """A price that makes a feature infinite is refused by feature and row, without a warning."""
    table = candles(np.ones(70))
    for name in ("high", "low", "close"):
        table[name][60] = close
    if close:
        table["low"][60] = -close
    with pytest.raises(FeatureError, match=rf"feature '{feature}', row 6[01]: expected a finite number"):
        Technical().generate(table)


@pytest.mark.parametrize("name", ["EMA", "RSI", "ATR"])
def test_refuses_changed_talib_settings(bitcoin, name):
    """TA-Lib's process-wide unstable periods change the warm-up and macd_signal, and are refused."""
    talib.set_unstable_period(name, 7)
    try:
        with pytest.raises(FeatureError, match=rf"default unstable periods of 0, got .*'{name}': 7.*; call"):
            Technical().generate(bitcoin)
    finally:
        talib.set_unstable_period(name, 0)


def test_check_is_the_candle_check(candles):
    """The generator checks its own raw table: the shipped candles have eight gaps and no error."""
    import pyarrow.csv

    table, report = Technical().check(pyarrow.csv.read_csv(candles))
    assert len(table["close"]) == report.kept == 13_130
    assert [(finding.kind, finding.count) for finding in report.findings] == [("gap", 8)]
