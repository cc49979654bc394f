"""Every built-in plugin keeps the contract of its kind."""

from importlib.metadata import entry_points
from pathlib import Path

import pandas as pd
import pytest

from glulam import plugins, testing

CANDLES = Path(__file__).parents[2] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
SMALL = {"n_estimators": 8, "n_jobs": 1}


def built_in(kind):
    """Return the plugins of a kind that this distribution brings."""
    ours = {entry.name for entry in entry_points(group="glulam") if entry.value.startswith("glulam_")}
    return [name for name in plugins.known(kind) if f"{kind}.{name}" in ours]


@pytest.mark.parametrize("name", built_in("model"))
def test_models(name):
    """A model votes, lowers, exports and is stored as its interface says, at every task."""
    testing.check_model_plugin(type(plugins.model(name)), SMALL)


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
    testing.check_feature_generator(type(plugins.features(name)), pd.read_csv(CANDLES, nrows=300))


@pytest.mark.parametrize("name", built_in("exporter"))
def test_exporters(name):
    """An exporter's files give the interpreter's answers."""
    testing.check_exporter(type(plugins.exporter(name)))
