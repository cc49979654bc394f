"""The contract check of search spaces: it goes red on a space that breaks just one rule, and says so."""

import itertools

import numpy as np
import optuna
import pytest

from glulam import plugins
from glulam.testing import ContractError, check_model_plugin
from glulam_plugins.models.decision_tree import DecisionTree
from glulam_plugins.models.lightgbm import LightGBM

TUNED = (
    "lightgbm", "xgboost", "catboost", "random_forest", "extra_trees", "decision_tree", "gradient_boosting",
    "hist_gradient_boosting", "adaboost", "bagging",
)  # fmt: skip
counter = itertools.count()


def few_rows_fail(self, trial, task, n_rows):
    """Draw between ends that cross where rows are few."""
    return {"min_samples_leaf": trial.suggest_int("leaf", 5, n_rows // 10)}


def only_high_ends_fail(self, trial, task, n_rows):
    """Draw a share of which all is too much."""
    return {"max_features": trial.suggest_float("max_features", 0.5, 1.2)}


@pytest.mark.parametrize("name", TUNED)
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_built_in_spaces_scale_with_the_rows(name, task):
    """Every built-in space draws for a hundred rows and for ten million, and leaves grow with them."""
    trials = [optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask() for _ in range(2)]
    few, many = (
        plugins.model(name).search_space(trial, task, rows) for trial, rows in zip(trials, (100, 10**7), strict=True)
    )
    assert few.keys() == many.keys()
    assert len(few) >= 2
    for leaf in {"min_child_samples", "min_samples_leaf", "min_child_weight"} & few.keys():
        assert trials[1].distributions[leaf].high > 100 * trials[0].distributions[leaf].high


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (lambda self, *a: None, "search_space: expected a dict of parameters by name, got None"),
        (lambda self, *a: {"max_depth": None}, "got {'max_depth': None}; leave out what is None, and turn numpy's"),
        (lambda self, *a: {"max_depth": np.int64(3)}, "search_space: expected numbers, texts, truth values or lists"),
        (lambda self, *a: {"max_depth": 1 + next(counter)}, "expected the same for one seed of the trial, got"),
        (lambda self, *a: {"max_dept": 3}, "search_space: between of what it draws, .*does not serve: .*max_dept"),
        (only_high_ends_fail, "search_space: highest of what it draws, .*'max_features': 1.2.*, does not serve: Inv"),
    ],
)
def test_a_space_that_breaks_a_rule_is_told(space, message):
    """A space that is random, unplain or draws what cannot be fitted is refused, by plugin, task and rule."""
    broken = type("Broken", (DecisionTree,), {"search_space": space})
    with pytest.raises(ContractError, match=f"^model 'decision_tree', binary: .*{message}"):
        check_model_plugin(broken)


def test_a_space_of_what_cannot_be_exported_is_told():
    """A tuned model that lower refuses would fail after hours: the check finds it first."""
    broken = type("Broken", (LightGBM,), {"search_space": lambda self, *a: {"objective": "huber"}})
    with pytest.raises(ContractError, match="search_space: between of what it draws, {'objective': 'huber'}"):
        check_model_plugin(broken, {"n_estimators": 5, "n_jobs": 1})


def test_a_space_that_has_nothing_for_few_rows_is_told():
    """Ends that cross where rows are few fail in the plugin itself, with optuna's own words."""
    broken = type("Broken", (DecisionTree,), {"search_space": few_rows_fail})
    with pytest.raises(ValueError, match="low"):
        check_model_plugin(broken)
