"""LightGBM members: rules of prediction that only show on odd values, and what is refused."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest

from glulam.errors import ConfigError, UnsupportedModelError
from glulam.interpreter import member_vote
from glulam.schema import FeatureSchema
from glulam_plugins.models.lightgbm import LightGBM, _as_compared

PLUGIN = LightGBM()
TINY = np.float32(1e-35)


def fit(X, y, made=lightgbm.LGBMClassifier, **params):
    """Fit a small model and return it."""
    settings = {"n_estimators": 3, "min_child_samples": 1, "verbose": -1, "n_jobs": 1} | params
    return made(**settings).fit(X, y)


def agree(model, rows, task):
    """Check that the lowered model votes as LightGBM does."""
    member = PLUGIN.lower(model, FeatureSchema.learn(rows))
    np.testing.assert_allclose(member_vote(member, rows), PLUGIN.votes(model, rows, task), atol=1e-14, rtol=1e-12)
    np.testing.assert_array_equal(member.body.leaves(rows), PLUGIN.leaves(model, rows))


def test_three_rows_give_a_literal_stump():
    """A model of three rows becomes the tree that a reader would draw."""
    X = np.float32([[1], [2], [3]])
    model = fit(
        X, [0.0, 0.0, 9.0], lightgbm.LGBMRegressor, n_estimators=1, learning_rate=1.0, num_leaves=2, min_data_in_bin=1
    )
    forest = PLUGIN.lower(model, FeatureSchema.learn(X)).body
    assert (forest.feature.tolist(), forest.left.tolist(), forest.right.tolist()) == ([0], [-1], [-2])
    assert forest.threshold[0] == np.float32(2.5)
    np.testing.assert_allclose(forest.leaf_value.ravel(), [0.0, 9.0], atol=1e-6)


@pytest.mark.parametrize(
    "threshold", [0.0, 1e-35, -1e-35, 1e-36, -1e-36, 1e-300, -1e-300, float(TINY), -float(TINY), 1.0]
)
def test_thresholds_around_zero_decide_as_lightgbm_reads_the_values(threshold):
    """Values of at most 1e-35 in size count as 0, on whichever side of the threshold they are."""
    below, above = np.nextafter(TINY, np.float32(0)), np.nextafter(TINY, np.float32(1))
    for x in np.float32([0.0, -0.0, 1e-45, -1e-45, below, -below, TINY, -TINY, above, -above, 1, -1]):
        read = 0.0 if abs(x) <= TINY else float(x)
        assert (x <= _as_compared(np.array([threshold]))[0]) == (read <= threshold), x


def test_zeros_and_tiny_values_are_exact():
    """A feature split around zero is exact for values that LightGBM reads as zero."""
    random = np.random.default_rng(1)
    X = random.choice(np.float32([0, -1, 1, 1e-36, -1e-36, 2e-35, -2e-35, 1e-34, -1e-34]), (400, 2))
    y = (np.abs(X).sum(axis=1) > 1e-35).astype(int) ^ (X[:, 0] > 0)
    agree(fit(X, y, n_estimators=10), np.concatenate([X, X * np.float32(0.5)]), "binary")


@pytest.mark.parametrize("use_missing", [True, False])
def test_nan_where_training_had_none_and_where_it_had_some(use_missing):
    """Missing type None reads NaN as 0, missing type NaN sends it the default way."""
    random = np.random.default_rng(2)
    X = random.normal(size=(300, 3)).astype(np.float32)
    X[random.random(300) < 0.3, 1] = np.nan
    y = (np.nan_to_num(X).sum(axis=1) > 0).astype(int)
    rows = X.copy()
    rows[::3] = np.nan
    agree(fit(X, y, use_missing=use_missing, n_estimators=10), rows, "binary")


def test_early_stopping_exports_the_trees_that_predict_uses(binary):
    """With early stopping only trees up to the best iteration are lowered."""
    X, y = binary
    model = PLUGIN.make("binary", {"n_estimators": 60, "early_stopping_rounds": 3, "learning_rate": 0.5}, None)
    PLUGIN.fit(model, X[:1000], y[:1000], None, (X[1000:], y[1000:]))
    assert 0 < model.best_iteration_ < 60
    assert PLUGIN.lower(model, FeatureSchema.learn(X)).body.n_trees == model.best_iteration_
    agree(model, X, "binary")
    restored = PLUGIN.restore(PLUGIN.dump(model))
    np.testing.assert_array_equal(PLUGIN.votes(restored, X, "binary"), PLUGIN.votes(model, X, "binary"))


def test_early_stopping_without_rows_to_stop_on_is_an_error(binary):
    """The error names eval_set."""
    X, y = binary
    model = PLUGIN.make("binary", {"early_stopping_rounds": 3}, None)
    with pytest.raises(
        ConfigError, match=r"lightgbm: early_stopping_rounds needs rows to stop on; give fit\(X, y, eval_set"
    ):
        PLUGIN.fit(model, X, y)


def test_sigmoid_coefficient_and_weights_are_exact(binary):
    """`sigmoid` other than 1, sample weights and unbalanced classes change numbers, not exactness."""
    X, y = binary
    model = fit(X, y, sigmoid=0.7, is_unbalance=True, n_estimators=10)
    agree(model, X, "binary")


def test_trees_that_found_no_split_are_single_leaves():
    """A constant target leaves trees of one leaf."""
    X = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    model = fit(X, np.full(200, 3.5), lightgbm.LGBMRegressor)
    agree(model, X, "regression")


@pytest.mark.parametrize(
    ("made", "params", "message"),
    [
        ("LGBMRegressor", {"linear_tree": True}, "lightgbm: linear_tree=True is not supported yet"),
        (
            "LGBMClassifier",
            {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
            "boosting='rf' is not supported yet",
        ),
        ("LGBMRegressor", {"objective": "poisson"}, "objective 'poisson' is not supported yet; supported are"),
        ("LGBMRegressor", {"reg_sqrt": True}, "regression with reg_sqrt"),
        ("LGBMClassifier", {"zero_as_missing": True}, "zero_as_missing=True .* is not supported yet"),
        ("LGBMRegressor", {"objective": lambda y, p: (p - y, np.ones_like(y))}, "objective 'custom' is not supported"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(binary, made, params, message):
    """Options that would not be exact are refused with their name."""
    X, y = binary
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.2, 0, X).astype(np.float32)
    model = fit(X, y, getattr(lightgbm, made), **params)
    with pytest.raises(UnsupportedModelError, match=message):
        PLUGIN.lower(model, FeatureSchema.learn(X))


def test_native_categorical_splits_are_refused_by_name(binary):
    """A model with category splits is refused, not exported as if the codes were numbers."""
    X, y = binary
    codes = np.random.default_rng(0).integers(0, 30, len(X)).astype(np.float32)
    X = np.column_stack([codes, X])
    labels = (codes % 7 < 3).astype(int) ^ (y & (codes % 2 == 0))
    made = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1, n_jobs=1)
    model = made.fit(X, labels, categorical_feature=[0])
    with pytest.raises(UnsupportedModelError, match="native categorical feature, which is not supported yet"):
        PLUGIN.lower(model, FeatureSchema.learn(X))
