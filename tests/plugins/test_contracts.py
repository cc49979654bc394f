"""Every built-in plugin keeps the contract of its kind."""

from importlib.metadata import entry_points
from pathlib import Path

import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor, VotingClassifier, VotingRegressor
from sklearn.linear_model import LinearRegression, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from glulam import plugins, testing

CANDLES = Path(__file__).parents[2] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
SMALL = {"n_estimators": 8, "n_jobs": 1}
OWN_SMALL = {
    "catboost": {"iterations": 8, "depth": 4, "thread_count": 1},
    "decision_tree": {},
    "hist_gradient_boosting": {"max_iter": 8},
    "gradient_boosting": {"n_estimators": 8},
    "adaboost": {"n_estimators": 8},
}
FOREST = RandomForestClassifier(4, random_state=0)
VALUES = RandomForestRegressor(4, random_state=0)
GIVEN = {
    "meta_estimator": {
        "binary": FixedThresholdClassifier(FOREST, threshold=0.3),
        "multiclass": VotingClassifier([("a", FOREST), ("b", FOREST)], voting="soft"),
        "regression": VotingRegressor([("a", VALUES), ("b", VALUES)]),
    },
    "pipeline": {
        "binary": make_pipeline(StandardScaler(), FOREST),
        "regression": make_pipeline(MinMaxScaler(), VALUES),
    },
    "sklearn": {
        "binary": SGDClassifier(loss="log_loss", random_state=0),
        "multiclass": GaussianNB(),
        "regression": LinearRegression(),
    },
}
"""Plugins of estimators that are not made from a name, and some of these."""


GENERATORS = {
    "lags": {"columns": ["close", "volume"], "lags": [1, 2, 5]},
    "rolling": {"columns": ["close"], "windows": [5, 20], "statistics": ["mean", "std", "min", "max", "median"]},
    "ratios": {"numerators": ["high", "close"], "denominators": ["low", "close"]},
    "calendar": {"parts": ["hour", "day_of_week", "year"], "cyclic": True, "timezone": "America/New_York"},
}
"""Parameters of feature generators that need some."""


def built_in(kind):
    """Return the plugins of a kind that this distribution brings."""
    ours = {entry.name for entry in entry_points(group="glulam") if entry.value.startswith("glulam_")}
    return [name for name in plugins.known(kind) if f"{kind}.{name}" in ours]


@pytest.mark.parametrize("name", [name for name in built_in("model") if name != "isolation_forest"])
def test_models(name):
    """A model votes, lowers, exports and is stored as its interface says, at every task."""
    testing.check_model_plugin(type(plugins.model(name)), OWN_SMALL.get(name, SMALL), GIVEN.get(name))


def test_an_outlier_detector_is_no_member():
    """The isolation forest is exported by itself; it refuses every task of a vote by its name."""
    with pytest.raises(
        testing.ContractError, match="make: expected an estimator for at least one of .* all were refused"
    ):
        testing.check_model_plugin(type(plugins.model("isolation_forest")))


@pytest.mark.parametrize("name", built_in("voting"))
def test_voting_strategies(name):
    """A vote's numpy rule is sound, and its graph gives the same scores."""
    testing.check_voting_strategy(type(plugins.voting(name)))


@pytest.mark.parametrize("name", built_in("validator"))
def test_validators(name):
    """A validator's check, guard and stored state agree on all rows."""
    testing.check_feature_validator(type(plugins.validator(name)))


@pytest.mark.parametrize("margin", [0.0, 2.5])
def test_a_validator_with_arguments(margin):
    """Arguments of a validator are part of its state."""
    testing.check_feature_validator(type(plugins.validator("range")), {"margin": margin})


@pytest.mark.parametrize("name", built_in("features"))
def test_feature_generators(name):
    """A feature generator gives complete rows, and reads nothing later than its row."""
    params = GENERATORS.get(name, {})
    testing.check_feature_generator(type(plugins.features(name, **params)), pd.read_csv(CANDLES, nrows=300), params)


@pytest.mark.parametrize("name", built_in("selector"))
def test_selectors(name):
    """A feature selector finds what the label follows from, in rows of the folds alone."""
    testing.check_selector(type(plugins.selector(name)))


@pytest.mark.parametrize("name", built_in("exporter"))
def test_exporters(name):
    """An exporter's files give the interpreter's answers."""
    testing.check_exporter(type(plugins.exporter(name)))
