"""The ratios generator: columns divided by others, and denominators of 0."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from glulam import plugins
from glulam.errors import ConfigError, FeatureError
from glulam_plugins.features.ratios import Ratios

DATA = Path(__file__).parents[2] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"


def test_names_and_values():
    """Every numerator is divided by every denominator but itself; every row counts."""
    frame = pd.read_csv(DATA, nrows=100)
    ratios = plugins.features("ratios", numerators=["high", "close"], denominators=["close", "open"])
    assert ratios.columns == ("high_div_close", "high_div_open", "close_div_open")
    assert ratios.warm_up == 0
    features, rows = ratios.generate(frame)
    expected = [frame.high / frame.close, frame.high / frame.open, frame.close / frame.open]
    np.testing.assert_array_equal(features, np.column_stack(expected))
    np.testing.assert_array_equal(rows, np.arange(100))


def test_a_denominator_of_zero_is_refused_unless_it_is_said_what_it_gives():
    """By default the row is named; with zero=... the ratio is that, 0 / 0 too."""
    table = {"a": [1.0, 2.0, 0.0], "b": [2.0, -0.0, 0.0]}
    with pytest.raises(
        FeatureError,
        match=r"ratios: column 'b', row 1: expected a denominator that is not 0, got 0 \(2 such rows\); .* zero=0.0",
    ):
        Ratios("a", "b").generate(table)
    assert Ratios("a", "b", zero=-1.0).generate(table)[0].tolist() == [[0.5], [-1.0], [-1.0]]
    assert Ratios("a", "b", zero=0).generate(table)[0].tolist() == [[0.5], [0.0], [0.0]]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"numerators": "a", "denominators": "a"}, "ratios: 'a' divided by itself is 1; name another denominator"),
        ({"numerators": "a", "denominators": []}, r"ratios: denominators: expected names of columns, got \[\]"),
        (
            {"numerators": ["a", "a_div_b"], "denominators": ["c", "b_div_c"]},
            r"ratios: features \['a_div_b_div_c'\] would have the name of a column or of another one; rename columns",
        ),
        (
            {"numerators": ["a", "a_div_b"], "denominators": ["b"]},
            r"features \['a_div_b'\] would have the name of a column",
        ),
        (
            {"numerators": "a", "denominators": "b", "zero": float("nan")},
            "ratios: zero: expected a finite number or None",
        ),
        ({"numerators": "a", "denominators": "b", "zero": "0"}, "got '0'; for example zero=0.0"),
    ],
)
def test_refuses_parameters(params, message):
    """What cannot be is refused by name."""
    with pytest.raises(ConfigError, match=message):
        Ratios(**params)


def test_refuses_values_and_results_that_are_not_finite():
    """A missing value is named by its column, an overflow by the feature."""
    with pytest.raises(FeatureError, match="ratios: column 'b', row 0: expected a finite number, got nan"):
        Ratios("a", "b").generate({"a": [1.0], "b": [None]})
    with pytest.raises(FeatureError, match=r"ratios: feature 'a_div_b', row 1: .*got inf .*float64's limit"):
        Ratios("a", "b").generate({"a": [1.0, 1e300], "b": [1.0, 1e-300]})
