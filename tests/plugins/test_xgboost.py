"""XGBoost members: base scores, early stopping, pruned trees, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost

from glulam.errors import ConfigError, UnsupportedModelError
from glulam.interpreter import member_vote
from glulam.schema import FeatureSchema
from glulam_plugins.models.xgboost import XGBoost

PLUGIN = XGBoost()


def agree(model, rows, task):
    """Check that the lowered model votes as XGBoost does."""
    member = PLUGIN.lower(model, FeatureSchema.learn(rows))
    np.testing.assert_allclose(member_vote(member, rows), PLUGIN.votes(model, rows, task), atol=1e-6, rtol=1e-6)
    np.testing.assert_array_equal(member.body.leaves(rows), PLUGIN.leaves(model, rows))


def test_three_rows_give_a_literal_stump():
    """A model of three rows becomes the tree that a reader would draw, its threshold one float32 lower."""
    X = np.float32([[1], [2], [3]])
    model = xgboost.XGBRegressor(
        n_estimators=1, max_depth=1, learning_rate=1.0, reg_lambda=0, base_score=0, tree_method="exact"
    ).fit(X, [0.0, 0.0, 9.0])
    forest = PLUGIN.lower(model, FeatureSchema.learn(X)).body
    assert (forest.feature.tolist(), forest.left.tolist(), forest.right.tolist()) == ([0], [-1], [-2])
    assert forest.threshold[0] == np.nextafter(np.float32(2.5), np.float32(0))
    assert forest.leaf_value.ravel().tolist() == [0.0, 9.0]


@pytest.mark.parametrize("base_score", [None, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_base_score_is_the_objectives(binary, task, base_score):
    """A base score, given or estimated, is a probability for logistic and a value for squared error."""
    X, y = binary
    made = xgboost.XGBClassifier if task == "binary" else xgboost.XGBRegressor
    agree(made(n_estimators=5, base_score=base_score).fit(X, y), X, task)


@pytest.mark.parametrize("tree_method", ["hist", "exact", "approx"])
def test_tree_methods_and_pruning(binary, tree_method):
    """Trees that were grown and pruned back are exact."""
    X, y = binary
    agree(xgboost.XGBClassifier(n_estimators=8, gamma=3.0, tree_method=tree_method).fit(X, y), X, "binary")


def test_multiclass_with_classes_of_unequal_share(binary):
    """Each class has its own sum and its own base."""
    X, y = binary
    y = y + (X[:, 0] > 1) * (y > 0)
    agree(xgboost.XGBClassifier(n_estimators=5).fit(X, y), X, "multiclass")


def test_early_stopping_exports_the_trees_that_predict_uses(binary):
    """With early stopping only trees up to the best iteration count, also after save and load."""
    X, y = binary
    model = PLUGIN.make("binary", {"n_estimators": 60, "early_stopping_rounds": 3, "learning_rate": 0.8}, None)
    PLUGIN.fit(model, X[:1000], y[:1000], None, (X[1000:], y[1000:]))
    assert PLUGIN.lower(model, FeatureSchema.learn(X)).body.n_trees == model.best_iteration + 1 < 60
    agree(model, X, "binary")
    np.testing.assert_array_equal(PLUGIN.votes(model, X, "binary"), model.predict_proba(X))
    restored = PLUGIN.restore(PLUGIN.dump(model))
    np.testing.assert_array_equal(PLUGIN.votes(restored, X, "binary"), PLUGIN.votes(model, X, "binary"))


def test_early_stopping_without_rows_to_stop_on_is_an_error(binary):
    """The error names eval_set."""
    X, y = binary
    model = PLUGIN.make("binary", {"early_stopping_rounds": 3}, None)
    with pytest.raises(ConfigError, match="xgboost: early_stopping_rounds needs rows to stop on"):
        PLUGIN.fit(model, X, y)


@pytest.mark.parametrize(
    ("made", "params", "message"),
    [
        (
            "XGBRegressor",
            {"objective": "count:poisson"},
            "objective 'count:poisson' is not supported yet; supported are",
        ),
        ("XGBClassifier", {"booster": "dart"}, "booster='dart' is not supported yet; use 'gbtree'"),
        ("XGBClassifier", {"booster": "gblinear"}, "booster='gblinear' is not supported yet"),
        ("XGBClassifier", {"missing": 0.0}, r"missing=0.0 is not supported yet; train with NaN"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(binary, made, params, message):
    """Options that would not be exact are refused with their name."""
    X, y = binary
    model = getattr(xgboost, made)(n_estimators=2, **params).fit(X, y)
    with pytest.raises(UnsupportedModelError, match=message):
        PLUGIN.lower(model, FeatureSchema.learn(X))


def test_native_categorical_splits_are_refused_by_name():
    """A model with category splits is refused, not exported as if the codes were numbers."""
    codes = np.random.default_rng(0).integers(0, 9, (300, 1)).astype(np.float32)
    model = xgboost.XGBClassifier(n_estimators=2, enable_categorical=True, feature_types=["c"])
    model.fit(codes, (codes[:, 0] % 3 == 1).astype(int))
    with pytest.raises(UnsupportedModelError, match="enable_categorical=True is not supported yet"):
        PLUGIN.lower(model, FeatureSchema.learn(codes))


def test_several_outputs_are_refused_by_name(binary):
    """A model with two targets is refused."""
    X, y = binary
    model = xgboost.XGBRegressor(n_estimators=2).fit(X, np.column_stack([y, 1 - y]))
    with pytest.raises(UnsupportedModelError, match="multi-output models are not supported yet"):
        PLUGIN.lower(model, FeatureSchema.learn(X))


def test_multi_softmax_votes_with_probabilities(binary):
    """multi:softmax predicts labels; its votes are XGBClassifier's probabilities, from a Booster as well."""
    X, y = binary
    y = y + (X[:, 0] > 1) * (y > 0)
    model = xgboost.XGBClassifier(n_estimators=5, objective="multi:softmax").fit(X, y)
    agree(model, X, "multiclass")
    np.testing.assert_allclose(PLUGIN.votes(model, X, "multiclass"), model.predict_proba(X), atol=1e-7)
    booster = PLUGIN.restore(PLUGIN.dump(model))
    np.testing.assert_allclose(PLUGIN.votes(booster, X, "multiclass"), model.predict_proba(X), atol=1e-7)


def test_another_missing_value_votes_as_it_does_and_is_neither_exported_nor_saved(binary):
    """missing=0 is heeded when asked, and refused where it would be lost."""
    X, y = binary
    X = np.where(np.abs(X) < 0.3, 0, X).astype(np.float32)
    model = xgboost.XGBClassifier(n_estimators=5, missing=0.0).fit(X, y)
    np.testing.assert_allclose(PLUGIN.votes(model, X, "binary"), model.predict_proba(X), atol=1e-7)
    for refused in (lambda: PLUGIN.lower(model, FeatureSchema.learn(X)), lambda: PLUGIN.dump(model)):
        with pytest.raises(UnsupportedModelError, match="missing=0.0 is not supported yet"):
            refused()


def test_vector_leaves_are_refused_by_name(binary):
    """Trees whose leaves hold several outputs are refused."""
    X, y = binary
    y = y + (X[:, 0] > 1) * (y > 0)
    model = xgboost.XGBClassifier(n_estimators=2, multi_strategy="multi_output_tree", tree_method="hist").fit(X, y)
    with pytest.raises(UnsupportedModelError, match="multi_strategy='multi_output_tree' is not supported yet"):
        PLUGIN.lower(model, FeatureSchema.learn(X))
