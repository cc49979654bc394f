"""The calendar generator: parts of times, cycles, zones."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glulam import plugins
from glulam.errors import ConfigError, FeatureError
from glulam_plugins.features.calendar import Calendar

PARTS = {
    "second": lambda time: time.second,
    "minute": lambda time: time.minute,
    "hour": lambda time: time.hour,
    "day_of_week": lambda time: time.weekday(),
    "day_of_month": lambda time: time.day,
    "day_of_year": lambda time: time.timetuple().tm_yday,
    "week": lambda time: time.isocalendar().week,
    "month": lambda time: time.month,
    "quarter": lambda time: (time.month + 2) // 3,
    "semester": lambda time: 1 + (time.month > 6),
    "year": lambda time: time.year,
    "weekend": lambda time: time.weekday() >= 5,
    "month_start": lambda time: time.day == 1,
    "month_end": lambda time: (time + timedelta(days=1)).day == 1,
}


@settings(deadline=None)
@given(times=st.lists(st.datetimes(datetime(1980, 1, 1), datetime(2060, 1, 1)), min_size=1, max_size=8))
def test_parts_are_those_of_the_standard_library(times):
    """Every part is what datetime has, row by row."""
    calendar = Calendar(parts=list(PARTS))
    assert calendar.columns == tuple(f"timestamp_{part}" for part in PARTS)
    features, rows = calendar.generate({"timestamp": times})
    assert rows.tolist() == list(range(len(times)))
    assert features.tolist() == [[float(part(time)) for part in PARTS.values()] for time in times]


def test_cycles():
    """Sine and cosine take the place of what goes round; midnight is next to the hour before."""
    calendar = plugins.features("calendar", parts=["hour", "year", "month"], cyclic=True)
    assert calendar.columns == (
        "timestamp_hour_sin", "timestamp_hour_cos", "timestamp_year", "timestamp_month_sin", "timestamp_month_cos",
    )  # fmt: skip
    times = [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in range(24)]
    features, _ = calendar.generate({"timestamp": times})
    angle = 2 * np.pi * np.arange(24) / 24
    np.testing.assert_allclose(features[:, :2], np.column_stack([np.sin(angle), np.cos(angle)]), atol=1e-12)
    np.testing.assert_allclose(features[0, 2:], [2024, np.sin(np.pi / 6), np.cos(np.pi / 6)], atol=1e-12)


def test_a_clock_hangs_in_a_zone():
    """Parts are those of the zone's clock, summer time included."""
    times = ["2024-03-31T00:30:00Z", "2024-03-31T01:30:00Z", "2024-12-31T23:30:00Z"]
    features, _ = Calendar(parts=["hour", "year"], timezone="Europe/Berlin").generate({"timestamp": times})
    assert features.tolist() == [[1.0, 2024.0], [3.0, 2024.0], [0.0, 2025.0]]


def test_times_of_every_kind():
    """Text, numbers, datetimes and pandas' zoned column mean the same moment."""
    moment = pd.Timestamp("2024-02-03T04:05:06Z")
    kinds = [
        ["2024-02-03T04:05:06Z"], ["2024-02-03T04:05:06"], [moment], [moment.to_pydatetime()],
        np.array(["2024-02-03T04:05:06"], dtype="datetime64[s]"), np.array([moment.value // 1_000]),
        pd.Series([moment.tz_convert("Asia/Tokyo")]),
    ]  # fmt: skip
    for times in kinds:
        assert Calendar("at", ["hour", "minute"]).generate({"at": times})[0].tolist() == [[4.0, 5.0]]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"parts": ["hours"]}, r"calendar: parts: unknown \['hours'\]; expected some of \['second', 'minute', 'hour'"),
        ({"time": ""}, "calendar: time: expected the name of a column, got ''"),
        ({"cyclic": 1}, "calendar: cyclic: expected true or false, got 1"),
        ({"timezone": "Mars/Olympus"}, "calendar: timezone: expected a name such as 'UTC' .*, got 'Mars/Olympus'"),
        ({"timezone": 3}, "calendar: timezone: expected a name such as 'UTC' .*, got 3"),
        ({"timezone": "../etc/passwd"}, "calendar: timezone: expected a name"),
    ],
)
def test_refuses_parameters(params, message):
    """What cannot be is refused by name."""
    with pytest.raises(ConfigError, match=message):
        Calendar(**params)


def test_refuses_tables_without_times():
    """A missing column and a time that is none are named."""
    with pytest.raises(FeatureError, match=r"calendar: column 'timestamp' is missing: got \['time'\]; name the column"):
        Calendar().generate({"time": ["2024-01-01"]})
    with pytest.raises(FeatureError, match="calendar: column 'timestamp', row 1: soon is no timestamp"):
        Calendar().generate({"timestamp": ["2024-01-01", "soon"]})
    with pytest.raises(FeatureError, match="calendar: the table has no rows"):
        Calendar().generate({"timestamp": np.array([], dtype="datetime64[us]")})
