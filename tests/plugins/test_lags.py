"""The lags generator: values of earlier rows, and what all generators with parameters refuse."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glulam import plugins
from glulam.errors import ConfigError, FeatureError, FeatureTypeError
from glulam_plugins.features.lags import Lags

DATA = Path(__file__).parents[2] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
VALUES = st.lists(st.floats(-1e300, 1e300), min_size=8, max_size=40)


@pytest.fixture(scope="module")
def bitcoin():
    """Return some of the shipped candles."""
    return pd.read_csv(DATA, nrows=400)


def test_names_and_warm_up():
    """Names say column and lag, by column; the longest lag is the warm-up."""
    lags = plugins.features("lags", columns=["close", "volume"], lags=[1, 5])
    assert lags.columns == ("close_lag_1", "close_lag_5", "volume_lag_1", "volume_lag_5")
    assert lags.warm_up == 5
    assert plugins.features("lags", columns="close").columns == ("close_lag_1", "close_lag_2", "close_lag_3")
    assert plugins.features("lags", columns="close", lags=2).columns == ("close_lag_2",)


@given(values=VALUES, lag=st.integers(1, 7))
def test_values_are_those_of_earlier_rows(values, lag):
    """A lag is the value so many rows ago, to the bit."""
    features, rows = Lags(["x"], [1, lag] if lag > 1 else [1]).generate({"x": values})
    np.testing.assert_array_equal(rows, np.arange(lag, len(values)))
    np.testing.assert_array_equal(features[:, 0], np.array(values)[rows - 1])
    np.testing.assert_array_equal(features[:, -1], np.array(values)[rows - lag])


def test_tables_of_every_library(bitcoin):
    """Every kind of table and any index gives the same; the table is not changed."""
    lags = Lags(["volume", "close"])
    expected, _ = lags.generate(bitcoin)
    for table in (pl.from_pandas(bitcoin), bitcoin.to_dict("list"), bitcoin.set_index(np.arange(400)[::-1])):
        np.testing.assert_array_equal(lags.generate(table)[0], expected)
    pd.testing.assert_frame_equal(bitcoin, pd.read_csv(DATA, nrows=400))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"columns": []}, r"lags: columns: expected names of columns, got \[\]; for example columns=\['close'\]"),
        ({"columns": [1]}, r"lags: columns: expected names of columns, got \[1\]"),
        ({"columns": ["a", "a"]}, r"lags: columns: \['a'\] come more than once; name each once"),
        ({"columns": "a", "lags": [0]}, r"lags: lags: expected numbers of rows, at least 1, got \[0\]; for example"),
        ({"columns": "a", "lags": [1.5]}, r"got \[1.5\]"),
        ({"columns": "a", "lags": True}, r"got True"),
        ({"columns": "a", "lags": [2, 2]}, r"lags: lags: \[2\] come more than once"),
        ({"columns": ["a", "a_lag_1"], "lags": [1]}, r"features \['a_lag_1'\] would have the name of a column"),
        ({"column": "a"}, r"features 'lags': .*; its parameters are \['columns', 'lags'\]"),
        ({}, r"features 'lags': missing a required argument: 'columns'; its parameters are"),
    ],
)
def test_refuses_parameters(params, message):
    """What cannot be is refused by name, before any table is there."""
    with pytest.raises(ConfigError, match=message):
        plugins.features("lags", **params)


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ({"y": [1.0] * 9}, FeatureError, r"lags: columns \['x'\] are missing: got \['y'\]; names are matched exactly"),
        ({"x": []}, FeatureError, "lags: the table has no rows; give at least one"),
        ({"x": [1.0] * 3}, FeatureError, r"lags: expected more than 3 rows .*, got 3; give a longer history"),
        (
            {"x": [1.0, np.nan] * 9},
            FeatureError,
            r"lags: column 'x', row 1: expected a finite number, got nan \(9 such rows\); fill",
        ),
        ({"x": [1.0, -np.inf] * 9}, FeatureError, "row 1: expected a finite number, got -inf"),
        ({"x": ["up"] * 9}, FeatureTypeError, "lags: column 'x': expected numbers"),
        (np.zeros((9, 1)), FeatureTypeError, "lags: expected a pandas, polars or pyarrow table"),
    ],
)
def test_refuses_tables(table, error, message):
    """Missing columns and values, too few rows and things that are no numbers are refused."""
    with pytest.raises(error, match=message):
        Lags("x").generate(table)


def test_columns_must_be_of_one_length():
    """The columns of a mapping that are read have as many rows each."""
    with pytest.raises(FeatureError, match=r"lags: columns must be of one length, got \{'x': 9, 'y': 8\}"):
        Lags(["x", "y"]).generate({"x": [1.0] * 9, "y": [1.0] * 8})


@pytest.mark.parametrize("name", ["lags", "ratios", "calendar"])
def test_without_feature_engine_the_extra_is_named(name):
    """Where feature-engine is missing, the error says which extra brings it."""
    code = (
        "import sys; sys.modules['feature_engine'] = None; from glulam import plugins; "
        f"print([each.why_not for each in plugins.available('features') if each.name == {name!r}][0])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout.strip().endswith("; install it with: pip install 'glulam[feature-engine]'"), found.stdout
