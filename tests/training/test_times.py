"""Times of rows: every way to write one gives the same moment, and what could be two moments is refused."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glulam.errors import ConfigError, FeatureError
from glulam.training.times import read_moment, read_times, time_text

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEW_YEAR = datetime(2018, 1, 1, 4, tzinfo=UTC)
MOMENT = 1_514_779_200_000_000
"""2018-01-01T04:00:00Z."""


def micros(moment):
    """Return a datetime as microseconds since 1970, by the datetime module."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def read(values, timezone="", kind=None):
    """Read a list of values as a column."""
    return read_times(pa.array(values, kind), "when", timezone).tolist()


@pytest.mark.parametrize(
    "value",
    [
        "2018-01-01T04:00:00Z", "2018-01-01 04:00:00+00:00", " 2018-01-01 04:00:00 UTC ", "2018-01-01T05:00+0100",
        "2018-01-01T04:00:00.000000999z", "2017-12-31 23:00:00-05", "2018-01-01T09:30:00.000+05:30", NEW_YEAR,
        1_514_779_200, 1_514_779_200_000, MOMENT, MOMENT * 1000, 1_514_779_200.0, "1514779200", "1514779200000.0",
    ],
)  # fmt: skip
def test_one_moment_in_many_ways(value):
    """Zoned text, datetimes and whole numbers of any unit are the same moment."""
    assert read([value]) == [MOMENT]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_datetimes_of_any_unit(unit):
    """Columns of Parquet and DuckDB keep their moment, with a zone or, told which, without."""
    stamp = np.array(["2018-01-01T04:00"], dtype=f"M8[{unit}]")
    assert read_times(pa.array(stamp), "when", "UTC").tolist() == [MOMENT]
    zoned = pa.array(stamp).cast(pa.timestamp(unit, "Asia/Tokyo"))
    assert read_times(zoned, "when").tolist() == [MOMENT]


def test_dates_and_pieces():
    """A date is its midnight; chunks and dictionaries of text are read as what they hold."""
    assert read([date(2018, 1, 1)], "UTC") == [MOMENT - 4 * 3_600_000_000]
    assert read(["2018-01-01"], "Europe/Berlin") == [MOMENT - 5 * 3_600_000_000]
    chunks = pa.chunked_array([["2018-01-01T04:00Z"], ["2018-01-01T05:00Z"]])
    assert read_times(chunks.dictionary_encode(), "when").tolist() == [MOMENT, MOMENT + 3_600_000_000]


@given(st.datetimes(datetime(1974, 1, 1), datetime(2030, 1, 1)), st.sampled_from(["Europe/Berlin", "America/New_York"]))
@settings(deadline=None)
def test_local_times_are_those_of_the_clock(moment, zone):
    """A local time gives the moment that Python's zoneinfo gives, or is refused where that has two or none."""
    first, second = (moment.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        with pytest.raises(FeatureError, match="(comes twice|does not exist)"):
            read([moment.isoformat()], zone)
    else:
        assert read([moment.isoformat()], zone) == [micros(first)]


@given(st.datetimes(datetime(1974, 1, 1), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))
@settings(deadline=None)
def test_text_with_an_offset(moment, minutes):
    """An offset is taken off, whatever it is."""
    sign, size = "-" if minutes < 0 else "+", abs(minutes)
    text = f"{moment.isoformat()}{sign}{size // 60:02d}:{size % 60:02d}"
    assert read([text]) == [micros(moment.replace(tzinfo=UTC)) - minutes * 60_000_000]


def test_offsets_of_one_place():
    """Offsets that change with the clock of one place are taken if the config says which place it is."""
    texts = ["2018-10-28T02:30:00+02:00", "2018-10-28T02:30:00+01:00"]
    first, second = read(texts, "Europe/Berlin")
    assert second - first == 3_600_000_000
    with pytest.raises(FeatureError, match=r"different offsets from UTC \(\+01:00, \+02:00\); write .* data.timezone"):
        read(texts)
    with pytest.raises(FeatureError, match=r"row 0: the offset \+02:00 is not that of data.timezone 'UTC' at 2018"):
        read(texts, "UTC")
    with pytest.raises(FeatureError, match=r"row 1: the offset \+05:00 is not that of data.timezone 'Europe/Berlin'"):
        read([texts[0], "2018-10-28T02:30:00+05:00"], "Europe/Berlin")


@pytest.mark.parametrize(
    ("values", "timezone", "text"),
    [
        (["2018-01-01 04:00"], "", r'^column .when.: times name no zone; set data.timezone = "UTC" if .* "Europe/Berlin"$'),
        ([datetime(2018, 1, 1)], "", "times name no zone"),
        ([date(2018, 1, 1)], "", "times name no zone"),
        (["2018-01-01T04:00Z", "2018-01-01T08:00"], "UTC", r"row 1: '2018-01-01T08:00' names no zone, but 1 of 2 times do; write all of them in one way"),
        (["2018-01-01T04:00Z", None, ""], "", r"row 1: the time is missing \(2 such rows\); leave such rows out"),
        (["2018-01-01T04:00", "01/02/2018"], "UTC", "row 1: '01/02/2018' is no time; expected ISO 8601 text such as 2018"),
        (["2018-02-30T04:00Z"], "", "row 0: '2018-02-30T04:00Z' is no time"),
        (["2018-01-01T04:00Z", "1514779200"], "", "row 1: '1514779200' is a whole number, but 1 of 2 times are other text; write all of them in one way"),
        ([1_514_779_200, 20_180_101], "", "row 1: 20180101 is no time: as seconds since 1970 it would be 1970-08-22T13:35:01Z; write dates as 2018-01-01"),
        (["20180101"], "", "row 0: 20180101 is no time"),
        ([-(2**63)], "", "row 0: -9223372036854775808 is no time: .* beyond any date"),
        (["+1514779200", "99999999999999999999"], "", "row 1: 99999999999999999999 is no time; expected"),
        ([1.5e9, 1.5e9 + 0.5], "", "row 1: 1500000000.5 is no time; expected"),
        ([float("nan")], "", "row 0: nan is no time"),
        ([True], "", "holds bool, no times; expected"),
        (["2018-10-28T02:30:00"], "Europe/Berlin", r"row 0: 2018-10-28T02:30:00 comes twice, as the clock is put back in Europe/Berlin \(1 such rows\); write times in UTC"),
        (["2018-03-25T02:30:00"], "Europe/Berlin", "row 0: 2018-03-25T02:30:00 does not exist, as the clock is put forward in Europe/Berlin"),
    ],
)  # fmt: skip
def test_what_is_refused(values, timezone, text):
    """What is no time, or could be two, is an error that names the first row."""
    with pytest.raises(FeatureError, match=text):
        read(values, timezone)


def test_an_unknown_zone():
    """A zone that nobody knows is the config's mistake."""
    with pytest.raises(
        ConfigError, match=r"data.timezone: unknown zone 'Europa/Berlin' .*; expected a name such as UTC"
    ):
        read(["2018-01-01"], "Europa/Berlin")
    with pytest.raises(ConfigError, match="unknown zone 'Mars'"):
        read(["2018-01-01T00:00+01:00", "2018-01-01T00:00+02:00"], "Mars")


def test_moments_of_the_config():
    """A moment of the config is UTC unless it or the config names a zone."""
    assert read_moment("2018-01-01T04:00", "since") == MOMENT
    assert read_moment("2018-01-01T05:00", "since", "Europe/Berlin") == MOMENT
    assert read_moment("2018-01-01T05:00+01:00", "since", "Asia/Tokyo") == MOMENT
    with pytest.raises(ConfigError, match=r"data.until: 'yesterday' is no moment \(.*\); expected such as 2018-01-01"):
        read_moment("yesterday", "until")


def test_times_as_text():
    """Text of a time is short, and read back the same."""
    assert time_text(MOMENT) == "2018-01-01T04:00:00Z"
    assert read([time_text(MOMENT + 1)]) == [MOMENT + 1]
