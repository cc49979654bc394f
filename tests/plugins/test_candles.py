"""The checks of candles: each kind of finding on planted rows, real data, timestamps, properties."""

import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glulam.errors import ConfigError, FeatureError, FeatureTypeError
from glulam_plugins.features.candles import check_candles
from glulam_plugins.features.technical import Technical

DATA = Path(__file__).parents[2] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
PRICES = ["open", "high", "low", "close"]


@pytest.fixture(scope="module")
def real():
    """Return the shipped candles."""
    return pd.read_csv(DATA)


@pytest.fixture
def bitcoin(real):
    """Return the July 2018 stretch of the shipped candles, which has no gap, to plant errors in."""
    july = (real.timestamp >= "2018-07-05") & (real.timestamp < "2018-07-20")
    return real[july].reset_index(drop=True)


def bars(close, volume=1.0):
    """Return hourly candles around closes, with integer timestamps."""
    close = np.asarray(close, dtype=np.float64)
    times = 1_600_000_000 + 3600 * np.arange(len(close))
    table = {"timestamp": times, "open": close, "high": 1.01 * close, "low": 0.99 * close, "close": close}
    return pd.DataFrame({**table, "volume": volume})


def found(report):
    """Return the counts of a report by kind."""
    return {finding.kind: finding.count for finding in report.findings}


def test_real_data_has_gaps_only(real):
    """The shipped candles are clean but for eight gaps of sixteen bars; March 2020 is no spike."""
    columns, report = check_candles(real)
    assert found(report) == {"gap": 8}
    assert (report.rows, report.kept, report.dropped, report.missing_bars) == (13130, 13130, 0, 16)
    assert (report.start, report.end) == ("2018-01-01T00:00:00Z", "2023-12-31T20:00:00Z")
    assert report.step_seconds == 4 * 3600
    gap = report.findings[0]
    assert gap.severity == "note"
    assert gap.first == ("2018-02-08T04:00:00Z", "2018-06-26T04:00:00Z", "2018-07-04T04:00:00Z")
    for name in [*PRICES, "volume"]:
        np.testing.assert_array_equal(columns[name], real[name])


def test_clean_candles_feed_the_generator(real):
    """The returned columns are a table that the generator takes, with the same features."""
    columns, _ = check_candles(real)
    assert columns["timestamp"].dtype == np.dtype("datetime64[us]")
    assert columns["timestamp"][1] == np.datetime64("2018-01-01T04:00")
    np.testing.assert_array_equal(columns["row"], np.arange(len(real)))
    np.testing.assert_array_equal(Technical().generate(columns)[0], Technical().generate(real)[0])


def test_the_real_spike(bitcoin):
    """The two bars near 108,000 of 2018-07-06, among neighbours near 6,600, are refused or dropped."""
    rows = bitcoin.index[bitcoin.timestamp.isin(["2018-07-06T04:00:00Z", "2018-07-06T08:00:00Z"])]
    bitcoin.loc[rows, PRICES] = [[107_900.0, 108_300.0, 107_500.0, 108_000.0]] * 2
    message = (
        r"check_candles: 90 rows hold spike: 2 \(2018-07-06T04:00:00Z, 2018-07-06T08:00:00Z\): high or low "
        r"is more than 3 times away.*Expected .* or pass drop=True"
    )
    with pytest.raises(FeatureError, match=message):
        check_candles(bitcoin)
    columns, report = check_candles(bitcoin, drop=True)
    assert found(report) == {"spike": 2, "gap": 1}
    assert (report.dropped, report.missing_bars) == (2, 2)
    assert columns["high"].max() < 10_000
    np.testing.assert_array_equal(columns["row"], np.delete(np.arange(90), rows))


@pytest.mark.parametrize(("column", "factor"), [("high", 16), ("low", 1 / 16), ("high", 3.2), ("low", 1 / 3.2)])
def test_a_wick_is_a_spike(bitcoin, column, factor):
    """A high or a low far away is a spike, though open and close are right."""
    bitcoin.loc[40, column] *= factor
    with pytest.raises(FeatureError, match=rf"spike: 1 \({bitcoin.timestamp[40]}\)"):
        check_candles(bitcoin)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("factor", [16, 1 / 16])
def test_runs_of_spikes(length, factor):
    """A run of up to five bars that goes away and comes back is found whole."""
    close = np.full(40, 100.0)
    close[20 : 20 + length] *= factor
    _, report = check_candles(bars(close), drop=True)
    assert found(report) == {"spike": length, "gap": 1}


@pytest.mark.parametrize(
    "close",
    [
        np.repeat([100.0, 5.0], 30),
        np.repeat([5.0, 100.0, 5.0], [20, 6, 20]),
        100 * 1.3 ** np.arange(40),
        100 * 0.7 ** np.arange(40),
        np.append(np.full(30, 100.0), 900.0),
        np.append(900.0, np.full(30, 100.0)),
        100 - 60 * np.exp(-((np.arange(40) - 20.0) ** 2) / 50),
    ],
    ids=["split", "six bars", "rally", "collapse", "last bar", "first bar", "crash and recovery"],
)
def test_moves_are_no_spikes(close):
    """Splits, trends, moves that stay, and bars with one side only are not spikes."""
    assert found(check_candles(bars(close))[1]) == {}


def test_spikes_next_to_the_ends():
    """A bar beside the first or the last has two sides, if short ones, and is judged."""
    close = np.full(12, 100.0)
    close[[1, -2]] = 1600.0
    _, report = check_candles(bars(close), drop=True)
    assert found(report) == {"spike": 2, "gap": 2}


def test_the_factor_can_be_chosen(bitcoin):
    """A larger factor lets a bar pass, infinity lets all pass."""
    bitcoin.loc[40, "high"] *= 16
    assert found(check_candles(bitcoin, spike=20)[1]) == {}
    assert found(check_candles(bitcoin, spike=math.inf)[1]) == {}


@pytest.mark.parametrize("spike", [1, 0.5, -3, math.nan])
def test_refuses_a_useless_factor(bitcoin, spike):
    """A factor that would refuse every bar is an error of the argument."""
    with pytest.raises(ConfigError, match=r"spike=.*expected a factor above 1, such as 3\.0"):
        check_candles(bitcoin, spike=spike)


IMPOSSIBLE = {
    "non_finite": ({"close": np.nan}, "missing, nan or infinite"),
    "non_positive_price": ({"low": 0.0}, "a price is zero or negative"),
    "high_below_low": ({"high": 6000.0, "low": 6500.0}, "high is below low"),
    "outside_range": ({"close": 7000.0}, r"open or close is outside \[low, high\]"),
    "negative_volume": ({"volume": -1.0}, "the volume is negative"),
}


@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_impossible_rows(bitcoin, kind):
    """Each impossible row is one kind of error with its count and first three times, or dropped."""
    values, text = IMPOSSIBLE[kind]
    rows = [7, 20, 33, 60]
    for name, value in values.items():
        bitcoin.loc[rows, name] = value
    first = ", ".join(bitcoin.timestamp[rows[:3]])
    with pytest.raises(FeatureError, match=rf"hold {kind}: 4 \({first}, \.\.\.\): .*{text}"):
        check_candles(bitcoin)
    columns, report = check_candles(bitcoin, drop=True)
    assert found(report) == {kind: 4, "gap": 4}
    assert report.dropped == 4
    np.testing.assert_array_equal(columns["row"], np.delete(np.arange(90), rows))


@pytest.mark.parametrize(
    ("column", "value"),
    [("open", np.inf), ("volume", np.nan), ("high", None), ("volume", -np.inf), ("low", -np.inf)],
)
def test_values_that_are_not_finite(bitcoin, column, value):
    """Missing and infinite values in any column are one kind of error and no other."""
    bitcoin.loc[5, column] = value
    assert found(check_candles(bitcoin, drop=True)[1]) == {"non_finite": 1, "gap": 1}


def test_negative_prices(bitcoin):
    """A negative price is impossible even in a consistent bar."""
    bitcoin.loc[5, PRICES] *= -1
    bitcoin.loc[5, ["high", "low"]] = bitcoin.loc[5, ["low", "high"]].to_numpy()
    assert found(check_candles(bitcoin, drop=True)[1]) == {"non_positive_price": 1, "gap": 1}


def test_duplicates(bitcoin):
    """A timestamp that repeats is an error that tells conflicting rows; drop keeps the first."""
    other = bitcoin.iloc[[50]].assign(close=bitcoin.low[50])
    table = pd.concat([bitcoin[:30], bitcoin[29:51], other, bitcoin[51:]], ignore_index=True)
    message = r"duplicate: 2 \(2018-07-09T20:00:00Z, .*\): .* \(1 with other values\); drop=True keeps"
    with pytest.raises(FeatureError, match=message):
        check_candles(table)
    columns, report = check_candles(table, drop=True)
    assert found(report) == {"duplicate": 2}
    np.testing.assert_array_equal(columns["close"], bitcoin.close)


def test_an_impossible_first_duplicate_gives_way(bitcoin):
    """Of duplicates the first possible row stays, not a broken one before it."""
    broken = bitcoin.iloc[[30]].assign(close=np.nan)
    table = pd.concat([bitcoin[:30], broken, bitcoin[30:]], ignore_index=True)
    columns, report = check_candles(table, drop=True)
    assert found(report) == {"duplicate": 1, "non_finite": 1}
    assert report.dropped == 1
    np.testing.assert_array_equal(columns["row"], np.delete(np.arange(91), 30))


def test_the_first_duplicate_stays_in_long_tables():
    """Sorting keeps the order of equal timestamps, however many rows there are."""
    once = bars(np.linspace(100, 200, 500))
    table = pd.concat([once, once.assign(volume=2.0), once.assign(volume=3.0)], ignore_index=True)
    columns, report = check_candles(table, drop=True)
    assert found(report) == {"duplicate": 1000, "disorder": 2}
    np.testing.assert_array_equal(columns["row"], np.arange(500))


def test_disorder(bitcoin):
    """Timestamps that go back are an error; drop=True sorts and drops nothing."""
    with pytest.raises(FeatureError, match=r"disorder: 89 \(.*drop=True sorts by timestamp"):
        check_candles(bitcoin[::-1])
    columns, report = check_candles(bitcoin[::-1], drop=True)
    assert (found(report), report.dropped) == ({"disorder": 89}, 0)
    np.testing.assert_array_equal(columns["close"], bitcoin.close)
    np.testing.assert_array_equal(columns["row"], np.arange(90)[::-1])


def test_gaps(bitcoin):
    """Gaps are notes that count missing bars and name the first missing one of each."""
    _, report = check_candles(bitcoin.drop(index=[10, 11, 12, 40]))
    assert found(report) == {"gap": 2}
    assert report.missing_bars == 4
    assert report.findings[0].first == (bitcoin.timestamp[10], bitcoin.timestamp[40])
    assert "4 bars are missing, counted in steps of 4:00:00" in str(report)


def test_uneven_steps(bitcoin):
    """A bar off the grid is a note, for example an hourly bar among four-hourly ones."""
    between = bitcoin.iloc[[20]].assign(timestamp="2018-07-08T09:00:00Z")
    _, report = check_candles(pd.concat([bitcoin[:21], between, bitcoin[21:]]))
    assert found(report) == {"uneven": 2}
    assert report.findings[0].first == ("2018-07-08T08:00:00Z", "2018-07-08T09:00:00Z")


def test_zero_volume(bitcoin):
    """A bar without volume is a note and stays."""
    bitcoin.loc[[3, 4], "volume"] = 0.0
    columns, report = check_candles(bitcoin)
    assert found(report) == {"zero_volume": 2}
    assert (len(columns["close"]), report.findings[0].severity) == (90, "note")


def test_all_kinds_are_named_at_once(bitcoin):
    """One error lists every kind that was found, so that nobody mends them one by one."""
    bitcoin.loc[5, "volume"] = -1.0
    bitcoin.loc[9, "high"] = 108_000.0
    bitcoin.loc[30, "timestamp"] = bitcoin.timestamp[29]
    with pytest.raises(FeatureError, match=r"duplicate: 1 .*; negative_volume: 1 .*; spike: 1 "):
        check_candles(bitcoin)


def test_nothing_left():
    """Dropping every row is an error even with drop=True."""
    with pytest.raises(FeatureError, match="none of 3 rows is a possible bar; non_finite: 3"):
        check_candles(bars([np.nan] * 3), drop=True)


def test_report_as_text_and_json(bitcoin):
    """The report reads as lines of text, and its dictionary survives JSON unchanged."""
    bitcoin.loc[5, "volume"] = -1.0
    bitcoin.loc[50, "volume"] = 0.0
    _, report = check_candles(bitcoin, drop=True)
    lines = str(report).splitlines()
    assert lines[0] == (
        "candles 2018-07-05T00:00:00Z to 2018-07-19T20:00:00Z, every 4:00:00: 90 rows, 89 kept, 1 dropped"
    )
    assert lines[1].startswith("  error negative_volume: 1 (2018-07-05T20:00:00Z): ")
    assert [line.split()[:2] for line in lines[2:]] == [["note", "gap:"], ["note", "zero_volume:"]]
    values = report.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert values["dropped"] == 1
    assert values["findings"][0]["first"] == ["2018-07-05T20:00:00Z"]


def test_report_of_one_clean_bar():
    """A single bar has no step, and a clean report says so."""
    _, report = check_candles(bars([5.0]))
    assert report.step_seconds is None
    assert str(report).endswith("no step: 1 rows, 1 kept, 0 dropped\n  nothing to report")


MOMENTS = [datetime(2018, 1, 1, 4, tzinfo=UTC) + timedelta(hours=hour) for hour in range(6)]
SECONDS = np.array([int(moment.timestamp()) for moment in MOMENTS])
EAST = timezone(timedelta(hours=2))
TIMES = {
    "datetime64[ns]": SECONDS.astype("datetime64[s]").astype("datetime64[ns]"),
    "datetime64[s]": SECONDS.astype("datetime64[s]"),
    "text with Z": [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in MOMENTS],
    "text with offset": [moment.astimezone(EAST).isoformat() for moment in MOMENTS],
    "text without zone": [f"{moment:%Y-%m-%d %H:%M}" for moment in MOMENTS],
    "datetimes": MOMENTS,
    "datetimes without zone": [moment.replace(tzinfo=None) for moment in MOMENTS],
    "datetimes elsewhere": [moment.astimezone(EAST) for moment in MOMENTS],
    "mixed": [MOMENTS[0], *[moment.isoformat() for moment in MOMENTS[1:]]],
    "seconds": SECONDS,
    "float seconds": SECONDS.astype(float),
    "milliseconds": SECONDS * 1000,
    "microseconds": SECONDS * 10**6,
    "nanoseconds": SECONDS * 10**9,
    "milliseconds, then microseconds": np.append(SECONDS[:3] * 10**3, SECONDS[3:] * 10**6),
    "python numbers": pd.Series(SECONDS.tolist(), dtype=object),
    "pandas": pd.Series(MOMENTS),
    "pandas elsewhere": pd.Series(MOMENTS).dt.tz_convert("Europe/Berlin"),
    "pandas text": pd.Series([moment.isoformat() for moment in MOMENTS]),
    "pandas arrow": pd.Series(MOMENTS).astype(pd.ArrowDtype(pa.timestamp("ms", "UTC"))),
    "polars": pl.Series(MOMENTS),
    "polars elsewhere": pl.Series(MOMENTS).dt.convert_time_zone("Asia/Tokyo"),
    "pyarrow": pa.chunked_array([pa.array(MOMENTS[:3]), pa.array(MOMENTS[3:])]),
    "pyarrow text": pa.array([moment.isoformat() for moment in MOMENTS]),
}


@pytest.mark.parametrize("kind", TIMES)
def test_timestamps_of_every_kind(kind):
    """Every kind of timestamp is read as the same moments in UTC."""
    prices = bars(np.full(6, 5.0)).drop(columns="timestamp").to_dict("list")
    columns, report = check_candles({"timestamp": TIMES[kind], **prices})
    np.testing.assert_array_equal(columns["timestamp"], SECONDS.astype("datetime64[s]"))
    assert (report.step_seconds, report.findings) == (3600.0, ())


def test_dates_and_fractions():
    """Dates are midnights, and fractions of a second are kept and shown."""
    table = bars(np.full(3, 5.0)).drop(columns="timestamp").to_dict("list")
    _, report = check_candles({"timestamp": [date(2018, 1, day) for day in (1, 2, 3)], **table})
    assert (report.start, report.step_seconds) == ("2018-01-01T00:00:00Z", 86400.0)
    _, report = check_candles({"timestamp": [f"2018-01-01T00:00:00.{i}" for i in (25, 50, 75)], **table})
    assert (report.start, report.step_seconds) == ("2018-01-01T00:00:00.250000Z", 0.25)


@pytest.mark.parametrize(
    ("number", "start"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (10**11 - 1, "5138-11-16T09:46:39Z"),
        (10**11, "1973-03-03T09:46:40Z"),
        (10**14 - 1, "5138-11-16T09:46:39.999000Z"),
        (10**14, "1973-03-03T09:46:40Z"),
        (10**17 - 1, "5138-11-16T09:46:39.999999Z"),
        (10**17, "1973-03-03T09:46:40Z"),
        (-86400, "1969-12-31T00:00:00Z"),
    ],
)
def test_units_of_numbers(number, start):
    """The size of a number tells seconds, milli-, micro- and nanoseconds apart, as documented."""
    assert check_candles(bars([5.0]).assign(timestamp=number))[1].start == start


BAD_TIMES = {
    "text": ["2018-01-01", "yesterday", ""],
    "none": ["2018-01-01", None, None],
    "null number": pd.Series([1_600_000_000, None, None], dtype="Int64"),
    "NaT": np.array(["2018-01-01", "NaT", "NaT"], dtype="datetime64[s]"),
    "pandas NaT": pd.Series([pd.Timestamp("2018-01-01", tz="UTC"), pd.NaT, pd.NaT]),
    "object NaT": pd.Series([pd.Timestamp("2018-01-01"), pd.NaT, pd.NaT], dtype=object),
    "nan": [1.6e9, math.nan, math.inf],
    "fraction": [1.6e9, 1.6e9 + 0.5, 1e300],
    "large number": pd.Series([1_600_000_000, 10**30, 10**30], dtype=object),
}


@pytest.mark.parametrize("kind", BAD_TIMES)
def test_refuses_timestamps_that_cannot_be_read(kind):
    """A timestamp that is none is refused by column, row and number of such rows."""
    table = {**bars(np.full(3, 5.0)).to_dict("list"), "timestamp": BAD_TIMES[kind]}
    message = r"'timestamp', row 1: .* is no timestamp \(2 such rows\); give datetimes, ISO 8601"
    with pytest.raises(FeatureError, match=message):
        check_candles(table)


@pytest.mark.parametrize("times", [[True] * 3, np.zeros(3, dtype="timedelta64[s]")])
def test_refuses_timestamps_of_another_type(times):
    """Truth values and durations are no timestamps."""
    with pytest.raises(FeatureError, match=r"row 0: .* is no timestamp \(3 such rows\)"):
        check_candles({**bars(np.full(3, 5.0)).to_dict("list"), "timestamp": times})


def test_the_timestamp_column_can_be_named(bitcoin):
    """Another name of the time column is an argument; a missing one is named in the error."""
    renamed = bitcoin.rename(columns={"timestamp": "date"})
    assert check_candles(renamed, timestamp="date")[1] == check_candles(bitcoin)[1]
    with pytest.raises(FeatureError, match=r"columns \['timestamp'\] are missing.*an index must become"):
        check_candles(renamed)


def test_refuses_columns_that_do_not_fit():
    """Timestamps of another length or shape, and prices that are text, are refused by name."""
    table = bars(np.full(3, 5.0)).to_dict("list")
    with pytest.raises(FeatureError, match="'timestamp' has 2 rows, the prices have 3"):
        check_candles({**table, "timestamp": [1, 2]})
    with pytest.raises(FeatureError, match=r"'timestamp': expected one value a row, got shape \(3, 1\)"):
        check_candles({**table, "timestamp": np.zeros((3, 1))})
    with pytest.raises(FeatureTypeError, match="check_candles: column 'open': expected numbers"):
        check_candles({**table, "open": ["a", "b", "c"]})


@st.composite
def broken(draw):
    """Draw candles with any of the errors, among them sorted and unsorted repeats."""
    n_rows = draw(st.integers(3, 40))
    close = np.array(draw(st.lists(st.floats(90, 110), min_size=n_rows, max_size=n_rows)))
    table = bars(close)
    for row in draw(st.lists(st.integers(0, n_rows - 1), max_size=6)):
        name = draw(st.sampled_from(["timestamp", *PRICES, "volume"]))
        if name == "timestamp":
            table.loc[row, name] = table.timestamp[draw(st.integers(0, n_rows - 1))]
        else:
            table.loc[row, name] = draw(st.sampled_from([np.nan, np.inf, 0.0, -1.0, 1600.0, 6.0, 1e308]))
    return table


@settings(deadline=None, max_examples=150)
@given(table=broken())
def test_dropping_leaves_good_bars_in_order(table):
    """What is returned is a subset of the rows, unchanged, ordered, each time once, all possible."""
    try:
        columns, report = check_candles(table, drop=True)
    except FeatureError as error:
        assert "rows is a possible bar" in str(error)  # noqa: PT017
        return
    assert report.kept == len(columns["row"]) == len(set(columns["row"].tolist()))
    assert (np.diff(columns["timestamp"]) > np.timedelta64(0)).all()
    for name in [*PRICES, "volume"]:
        np.testing.assert_array_equal(columns[name], table[name].to_numpy()[columns["row"]])
    low, high = columns["low"], columns["high"]
    assert (low > 0).all()
    assert np.isfinite(high).all()
    assert ((low <= columns["open"]) & (columns["close"] <= high)).all()
    dropped_kinds = {finding.kind for finding in report.findings if finding.severity == "error"}
    assert (report.dropped > 0) == bool(dropped_kinds - {"disorder"})


def outcome(table, drop):
    """Return the rows that the check returns, or None where it refuses."""
    try:
        return check_candles(table, drop=drop)[0]["row"].tolist()
    except FeatureError:
        return None


@settings(deadline=None, max_examples=150)
@given(table=broken())
def test_refused_exactly_if_dropping_changes_something(table):
    """Without drop the check passes exactly where dropping and sorting would change nothing."""
    unchanged = list(range(len(table)))
    assert outcome(table, drop=False) == (unchanged if outcome(table, drop=True) == unchanged else None)
