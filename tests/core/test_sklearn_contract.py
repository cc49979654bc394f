"""The estimators are scikit-learn estimators, by scikit-learn's own checks."""

from __future__ import annotations

import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from glulam import EnsembleClassifier, EnsembleRegressor

# The checks fit on a handful of rows, which minimum_samples refuses on purpose.
VALIDATORS = ["columns", "finite"]

CLASSIFIER = EnsembleClassifier(
    [
        ("tree", DecisionTreeClassifier(max_depth=3, random_state=0)),
        ("linear", LogisticRegression()),
    ],
    weights=[0.6, 0.4],
    validators=VALIDATORS,
)
FORESTS = EnsembleClassifier(
    [("forest", RandomForestClassifier(5, random_state=0))], validators=VALIDATORS, voting="log_pool"
)
REGRESSOR = EnsembleRegressor(
    [("tree", DecisionTreeRegressor(max_depth=3, random_state=0)), ("linear", Ridge())], validators=VALIDATORS
)
FOREST_REGRESSOR = EnsembleRegressor([("forest", RandomForestRegressor(5, random_state=0))], validators=VALIDATORS)


TREES = EnsembleClassifier(
    [("a", DecisionTreeClassifier(max_depth=3, random_state=0)), ("b", DecisionTreeClassifier(random_state=1))],
    validators=VALIDATORS,
    voting="hard",
)


def expected_failures(estimator: object) -> dict[str, str]:
    """Return the checks that fail, each with its reason; TREES shows that the ensemble itself passes."""
    reasons = {
        "forest": "bootstrap draws rows, not weights: scikit-learn's own forests fail this check as well",
    }
    for name, _ in estimator.members:
        if name in reasons:
            return {"check_sample_weight_equivalence_on_dense_data": reasons[name]}
    return {}


@pytest.mark.filterwarnings("ignore")  # the checks provoke warnings of scikit-learn's own on purpose
@parametrize_with_checks(
    [CLASSIFIER, TREES, FORESTS, REGRESSOR, FOREST_REGRESSOR], expected_failed_checks=expected_failures
)
def test_scikit_learn_check(estimator, check):
    """Every check of scikit-learn's estimator contract passes."""
    check(estimator)
