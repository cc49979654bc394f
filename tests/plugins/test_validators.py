"""Feature validators: what each refuses, in which words, and what it says in the graph."""

from __future__ import annotations

import numpy as np
import pytest

from glulam import Feature, FeatureSchema
from glulam.errors import ConfigError, FeatureError
from glulam_plugins.validators.columns import Columns
from glulam_plugins.validators.finite import Finite
from glulam_plugins.validators.minimum_samples import MinimumSamples
from glulam_plugins.validators.range import Range

SCHEMA = FeatureSchema((Feature("price"), Feature("volume", missing="allow")))
ROWS = np.float32([[1, 10], [2, 20], [3, np.nan]])


def test_columns_refuses_another_width():
    """The error shows the expected names and the shape that came."""
    Columns().check(ROWS, SCHEMA)
    with pytest.raises(FeatureError, match=r"columns: expected 2 columns \['price', 'volume'\], got shape \(3, 1\)"):
        Columns().check(ROWS[:, :1], SCHEMA)


def test_finite_takes_nan_only_where_the_schema_allows_it():
    """NaN passes in a feature that may be missing and is refused elsewhere; infinities always are."""
    check = Finite()
    check.check(ROWS, SCHEMA)
    with pytest.raises(
        FeatureError,
        match=r"finite: column 'price', row 1: expected a finite number, got NaN .*; 1 such values in all; impute",
    ):
        check.check(np.float32([[1, 1], [np.nan, 1]]), SCHEMA)
    with pytest.raises(
        FeatureError, match=r"finite: column 'volume', row 0: .* got inf \(infinity\); 2 such values in all; replace"
    ):
        check.check(np.float32([[1, np.inf], [-np.inf, 1]]), SCHEMA)


def test_range_refuses_beyond_the_margin():
    """Values within the margin pass; beyond it they are named with the limits."""
    check = Range(margin=0.5)
    check.learn(ROWS, SCHEMA)
    check.check(np.float32([[0, 5], [4, 25], [2, np.nan]]), SCHEMA)
    with pytest.raises(
        FeatureError,
        match=r"range: column 'price', row 0: expected 0.0 to 4.0 \(the training range and a margin of 0.5",
    ):
        check.check(np.float32([[4.5, 10]]), SCHEMA)
    with pytest.raises(FeatureError, match="range: column 'volume', row 1: expected 5.0 to 25.0"):
        check.check(np.float32([[1, 10], [1, 4]]), SCHEMA)


def test_range_knows_nothing_of_a_feature_it_never_saw():
    """A feature that was always missing in training has no limits, also after a round trip through JSON."""
    check = Range()
    check.learn(np.float32([[1, np.nan], [2, np.nan]]), SCHEMA)
    state = check.state()
    assert state["low"][1] is None
    back = Range()
    back.restore(state)
    back.check(np.float32([[1, 1e9], [2, -1e9]]), SCHEMA)
    with pytest.raises(FeatureError, match="column 'price'"):
        back.check(np.float32([[9, 0]]), SCHEMA)


def test_range_of_constant_features_is_that_value():
    """A feature of one value allows that value only, with no width to take a margin of."""
    check = Range()
    check.learn(np.float32([[1, 5], [2, 5]]), SCHEMA)
    check.check(np.float32([[1, 5]]), SCHEMA)
    with pytest.raises(FeatureError, match="column 'volume', row 0: expected 5.0 to 5.0"):
        check.check(np.float32([[1, 5.1]]), SCHEMA)


def test_minimum_samples_speaks_at_fit_only():
    """99 rows are too few to fit; one row may be predicted."""
    check = MinimumSamples()
    check.check(ROWS, SCHEMA)
    check.check_fit(np.zeros((100, 2), np.float32), SCHEMA)
    with pytest.raises(
        FeatureError, match="minimum_samples: expected at least 100 rows to fit, got 99; give more data"
    ):
        check.check_fit(np.zeros((99, 2), np.float32), SCHEMA)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Range(margin=-1), "range: margin: expected a number of at least 0, got -1"),
        (lambda: Range(margin=np.nan), "range: margin: expected a number of at least 0, got nan"),
        (lambda: MinimumSamples(rows=0), "minimum_samples: rows: expected at least 1, got 0"),
    ],
)
def test_settings_that_can_not_work_are_refused(make, message):
    """Wrong settings of a validator are errors when it is made."""
    with pytest.raises(ConfigError, match=message):
        make()
