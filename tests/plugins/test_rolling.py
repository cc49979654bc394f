"""The rolling generator: pandas' statistics, window by window."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from glulam import plugins
from glulam.errors import ConfigError, FeatureError
from glulam_plugins.features import rolling
from glulam_plugins.features.rolling import Rolling

DATA = Path(__file__).parents[2] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
ALL = ["mean", "std", "min", "max", "median"]


def test_names_and_warm_up():
    """Names say column, window and statistic; the longest window is the warm-up, the row itself included."""
    made = plugins.features("rolling", columns=["close"], windows=[3, 20], statistics=["max", "mean"])
    assert made.columns == (
        "close_rolling_3_max", "close_rolling_3_mean", "close_rolling_20_max", "close_rolling_20_mean",
    )  # fmt: skip
    assert made.warm_up == 19


@pytest.mark.parametrize("chunk", [2**20, 64])
def test_statistics_are_those_of_pandas(chunk, monkeypatch):
    """On real candles each is what pandas computes over the same rows, however many rows at a time."""
    monkeypatch.setattr(rolling, "_CHUNK", chunk)
    frame = pd.read_csv(DATA, nrows=600)
    made = Rolling(["close", "volume"], [2, 21], ALL)
    features, rows = made.generate(frame)
    np.testing.assert_array_equal(rows, np.arange(20, 600))
    for index, (name, window, statistic) in enumerate(
        (name, window, statistic) for name in ("close", "volume") for window in (2, 21) for statistic in ALL
    ):
        expected = getattr(frame[name].rolling(window), statistic)().to_numpy()[rows]
        np.testing.assert_allclose(features[:, index], expected, rtol=1e-9, err_msg=made.columns[index])


@settings(deadline=None)
@given(values=hnp.arrays(np.float64, st.integers(6, 60), elements=st.floats(-1e9, 1e9)), window=st.integers(2, 6))
def test_a_window_knows_its_rows_only(values, window):
    """The last rows alone give what the whole history gives."""
    made = Rolling("x", window, ALL)
    whole, _ = made.generate({"x": values})
    last, _ = made.generate({"x": values[-window:]})
    np.testing.assert_allclose(last[0], whole[-1], rtol=1e-12, atol=1e-12 * np.abs(values[-window:]).max())


def test_flat_windows_are_exact_after_a_wild_past():
    """The mean of a flat window is its value and it has no deviation, whatever was before."""
    past = 1e12 * np.sin(np.arange(50.0) ** 2)
    features, _ = Rolling("x", 20, ["mean", "std", "median"]).generate({"x": np.append(past, np.full(20, 0.1))})
    assert features[-1].tolist() == [0.1, 0.0, 0.1]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"columns": "x", "windows": [1]}, r"rolling: windows: expected numbers of rows, at least 2, got \[1\]"),
        (
            {"columns": "x", "statistics": ["mode"]},
            r"rolling: statistics: unknown \['mode'\]; expected some of \['mean'",
        ),
        ({"columns": "x", "statistics": []}, r"rolling: statistics: expected some of .*, got none"),
        ({"columns": "x", "statistics": ["min", "min"]}, r"statistics: \['min'\] come more than once"),
        ({"columns": None}, "rolling: columns: expected names of columns, got None"),
    ],
)
def test_refuses_parameters(params, message):
    """What cannot be is refused by name."""
    with pytest.raises(ConfigError, match=message):
        Rolling(**params)


def test_refuses_a_window_longer_than_the_data():
    """As many rows as the longest window are needed."""
    assert Rolling("x", 5).generate({"x": [1.0] * 5})[0].shape == (1, 2)
    with pytest.raises(FeatureError, match="rolling: expected more than 4 rows .*, got 4; give a longer history"):
        Rolling("x", 5).generate({"x": [1.0] * 4})


def test_refuses_what_overflows():
    """A statistic beyond float64 is refused by feature and row."""
    with pytest.raises(FeatureError, match=r"rolling: feature 'x_rolling_2_std', row 2: .* got inf .*float64's limit"):
        Rolling("x", 2).generate({"x": [1.0, 1.0, 1e308]})
