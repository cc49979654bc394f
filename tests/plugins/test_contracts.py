"""Every built-in plugin keeps the contract of its kind."""

import inspect
from importlib.metadata import entry_points
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor, VotingClassifier, VotingRegressor
from sklearn.linear_model import LinearRegression, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from glulam import plugins, testing
from glulam.training.config import DataConfig
from glulam.training.data import read_raw

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

LABELS = {
    "column": {"column": "close", "horizon": 2},
    "return_above": {"bars": 6, "threshold": 0.01},
    "triple_barrier": {"bars": 12, "up": 0.02},
}
"""Parameters of labels that need some."""

TRIED = set()
"""The kinds of which every plugin is tried here."""


def built_in(kind):
    """Return the plugins of a kind that this distribution brings."""
    ours = {entry.name for entry in entry_points(group="glulam") if entry.value.startswith("glulam_")}
    return [name for name in plugins.known(kind) if f"{kind}.{name}" in ours]


def every(kind, *, but=()):
    """Run a test for each built-in plugin of a kind."""
    TRIED.add(kind)
    return pytest.mark.parametrize("name", [name for name in built_in(kind) if name not in but])


def test_no_kind_is_forgotten():
    """Each kind has one contract check, of its interface, and it is run here over every built-in plugin."""
    assert set(get_args(plugins.Kind)) == set(plugins._HOOKS) == TRIED
    checks = [getattr(testing, name) for name in testing.__all__ if name.startswith("check_")]
    checked = [next(iter(inspect.signature(check).parameters.values())).annotation for check in checks]
    assert sorted(checked) == sorted(f"type[{interface.__name__}]" for _, interface in plugins._HOOKS.values())
    assert all(built_in(kind) for kind in get_args(plugins.Kind))


@every("model", but=["isolation_forest"])
def test_models(name):
    """A model votes, lowers, exports and is stored as its interface says, at every task."""
    testing.check_model_plugin(type(plugins.model(name)), OWN_SMALL.get(name, SMALL), GIVEN.get(name))


def test_an_outlier_detector_is_no_member():
    """The isolation forest is exported by itself; it refuses every task of a vote by its name."""
    with pytest.raises(
        testing.ContractError, match="make: expected an estimator for at least one of .* all were refused"
    ):
        testing.check_model_plugin(type(plugins.model("isolation_forest")))


@every("voting")
def test_voting_strategies(name):
    """A vote's numpy rule is sound, and its graph gives the same scores."""
    testing.check_voting_strategy(type(plugins.voting(name)))


@every("validator")
def test_validators(name):
    """A validator's check, guard and stored state agree on all rows."""
    testing.check_feature_validator(type(plugins.validator(name)))


@pytest.mark.parametrize("margin", [0.0, 2.5])
def test_a_validator_with_arguments(margin):
    """Arguments of a validator are part of its state."""
    testing.check_feature_validator(type(plugins.validator("range")), {"margin": margin})


@every("features")
def test_feature_generators(name):
    """A feature generator gives complete rows, and reads nothing later than its row."""
    params = GENERATORS.get(name, {})
    testing.check_feature_generator(type(plugins.features(name, **params)), pd.read_csv(CANDLES, nrows=300), params)


@pytest.fixture(scope="module")
def candles():
    """Return the first shipped candles as a training run reads them."""
    return read_raw(DataConfig(path=CANDLES.name), CANDLES.parent, needs_time=True).head(400)


@every("label")
def test_labels(name, candles):
    """A label is known when the row it ends at is there, and never changes after that."""
    params = LABELS.get(name, {})
    testing.check_label(type(plugins.label(name, **params)), candles, params)


@every("splitter")
def test_splitters(name):
    """A splitter keeps labels of rows to fit on away from rows to test on, or refuses labels that reach others."""
    testing.check_splitter(type(plugins.splitter(name)))


@every("metric")
def test_metrics(name):
    """A metric weights rows as if they were repeated, and is nan where it is undefined."""
    testing.check_metric(type(plugins.metric(name)))


@every("calibrator")
def test_calibrators(name):
    """A method of calibration gives probabilities, and its graph gives the same ones."""
    testing.check_calibrator(type(plugins.calibrator(name)))


@every("leak_check")
def test_leak_checks(name):
    """A leak check finds nothing where there is no leak, and leaves what it looks at as it is."""
    testing.check_leak_check(type(plugins.leak_check(name)))


@every("selector")
def test_selectors(name):
    """A feature selector finds what the label follows from, in rows of the folds alone."""
    testing.check_selector(type(plugins.selector(name)))


@every("exporter")
def test_exporters(name):
    """An exporter's files give the interpreter's answers."""
    testing.check_exporter(type(plugins.exporter(name)))
