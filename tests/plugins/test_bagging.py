"""Bagging: parts of some columns, of some classes, without probabilities; stored parts."""

from __future__ import annotations

import numpy as np
import pytest
import skops.io
from lightgbm import LGBMClassifier
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import BaggingClassifier, BaggingRegressor, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from glulam.errors import ArtifactError, UnsupportedModelError
from glulam.forest import Forest
from glulam.interpreter import member_vote
from glulam_plugins.models.bagging import Bagging

PLUGIN = Bagging()


@pytest.fixture
def three(binary):
    """Return 300 rows of three classes, the last of them rare; float64, in which linear parts compute then."""
    X, y = binary
    return X[:300].astype(np.float64), np.where(np.arange(300) % 100 == 0, 2, y[:300])


@pytest.mark.parametrize(
    "base",
    [DecisionTreeClassifier(max_depth=3), LinearDiscriminantAnalysis(), make_pipeline(RidgeClassifier())],
    ids=["tree", "other", "without probabilities"],
)
def test_parts_of_some_columns_and_some_classes(base, three):
    """A part's columns are found in the row, its classes among all."""
    X, y = three
    model = BaggingClassifier(base, n_estimators=5, max_samples=40, max_features=9, random_state=1).fit(X, y)
    # Rows are drawn by weights of 0 where a part takes weights: then it is told of all classes.
    assert {len(part.classes_) for part in model.estimators_} == ({3} if hasattr(base, "max_depth") else {2, 3})
    lowered = PLUGIN.lower(model, None)
    assert isinstance(lowered.body, Forest) == isinstance(base, DecisionTreeClassifier)
    np.testing.assert_allclose(member_vote(lowered, X), model.predict_proba(X), atol=1e-14)


def test_a_part_that_met_one_class_is_refused_by_its_own_name(three):
    """It has no answer to tell classes apart by."""
    X, y = three
    one = np.where(np.arange(len(y)) == 0, 1, 0)
    base = make_pipeline(DecisionTreeClassifier())
    model = BaggingClassifier(base, n_estimators=2, max_samples=3, random_state=1).fit(X, one)
    with pytest.raises(UnsupportedModelError, match="expected at least two classes"):
        PLUGIN.lower(model, None)


def test_several_targets_are_counted_by_the_parts(binary):
    """Bagging does not keep how many targets it has."""
    X, y = binary
    model = BaggingRegressor(n_estimators=2, random_state=0).fit(X[:200], np.column_stack([y, X[:, 0]])[:200])
    assert PLUGIN.signature(model).n_targets == 2
    np.testing.assert_allclose(member_vote(PLUGIN.lower(model, None), X), model.predict(X), atol=1e-14)


def test_a_changed_number_of_parts_is_refused(three):
    """scikit-learn divides by the parameter, whatever was fitted."""
    model = BaggingClassifier(n_estimators=3).fit(*three).set_params(n_estimators=5)
    with pytest.raises(UnsupportedModelError, match="bagging: n_estimators=5 was set after 3 parts were fitted"):
        PLUGIN.lower(model, None)


def test_a_part_that_reads_names_is_refused(three):
    """Categories by name reach a part as numbers in the file."""
    X, y = three
    table = X[:, :3].astype(object)
    table[:, 1] = np.where(X[:, 1] > 0, "high", "low")
    base = HistGradientBoostingClassifier(max_iter=2, categorical_features=[1])
    model = BaggingClassifier(base, n_estimators=2).fit(table, y > 0)
    with pytest.raises(UnsupportedModelError, match="a HistGradientBoostingClassifier in it reads categories by name"):
        PLUGIN.lower(model, None)


def test_stored_parts_that_point_outside_are_refused(three):
    """Trees inside a part, and columns that a part's trees do not have, are looked at as well."""
    X, y = three
    base = RandomForestClassifier(2, max_depth=3)
    for model, change in (
        (BaggingClassifier(base, n_estimators=2).fit(X, y), lambda m: m.estimators_[1].estimators_[0].tree_.feature.__setitem__(0, 999)),
        (BaggingClassifier(n_estimators=2, max_features=5).fit(X, y), lambda m: m.estimators_features_.__setitem__(0, np.arange(2))),
    ):  # fmt: skip
        broken = PLUGIN.restore(PLUGIN.dump(model))
        change(broken)
        with pytest.raises(ArtifactError, match="damaged: node numbers point outside the tree"):
            PLUGIN.restore(skops.io.dumps(broken))


def test_parts_that_skops_does_not_build_are_not_saved(three):
    """A booster of another library has its own format."""
    X, y = three
    model = BaggingClassifier(LGBMClassifier(n_estimators=2, verbose=-1), n_estimators=2).fit(X, y > 0)
    with pytest.raises(UnsupportedModelError, match="bagging: cannot be saved: skops does not trust"):
        PLUGIN.dump(model)
