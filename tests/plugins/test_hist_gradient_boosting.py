"""Histogram boosting: sets of categories, what is unknown, and stored models that point outside."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from glulam.errors import ArtifactError, UnsupportedModelError
from glulam.interpreter import member_vote
from glulam.schema import Feature, FeatureSchema
from glulam_plugins.models.hist_gradient_boosting import HistGradientBoosting

PLUGIN = HistGradientBoosting()
ODD = np.array([[-1.0], [-0.5], [-0.0], [0.5], [2.5], [99.0], [1e9], [1e30], [np.nan]], dtype=np.float32)
SMALL = {"max_iter": 3, "min_samples_leaf": 2}


def model_of(values, missing_high: bool | None = None, **params):
    """Return a model of one column of categories, whose targets tell every other one apart."""
    column = np.repeat(np.asarray(values, dtype=np.float64), 10)
    y = np.repeat(np.arange(len(values)) % 2, 10).astype(float)
    if missing_high is not None:
        column, y = np.append(column, [np.nan] * 10), np.append(y, [1.0 * missing_high] * 10)
    settings = SMALL | {"categorical_features": [0]} | params
    return HistGradientBoostingRegressor(**settings).fit(column.reshape(-1, 1), y)


@pytest.mark.parametrize("missing_high", [None, False, True])
@pytest.mark.parametrize("values", [[0, 1, 2, 3], [2, 3, 5, 8], [-3, -1, 0, 2], [0.5, 1, 2.5, 1e30], range(200)])
def test_categories_are_found_by_equality(values, missing_high):
    """Any numbers may be categories; whatever is none goes the way of the missing ones, on either side."""
    model = model_of(values, missing_high)
    rows = np.concatenate([ODD, np.array(values, dtype=np.float32).reshape(-1, 1)])
    lowered = PLUGIN.lower(model, None)
    assert sum(forest.category_set.size > 0 for forest in lowered.forests_of(1)) <= 1
    np.testing.assert_array_equal(member_vote(lowered, rows)[:, 0], model.predict(rows))


def test_a_category_that_float32_rounds_is_met_by_float64_alone():
    """A row of float32 holds the number beside it, which is no category: the graph must not round it there."""
    model = model_of([0.1, 0.2, 0.3, 0.4])
    fragment = PLUGIN.lower(model, None).body.steps[0].rule
    assert not fragment.constants["narrow"].any()
    for dtype in (np.float32, np.float64):
        rows = np.array([[0.1], [0.4]], dtype=dtype)
        np.testing.assert_array_equal(member_vote(PLUGIN.lower(model, None), rows)[:, 0], model.predict(rows))


def framed(categories, **params):
    """Return a model of a DataFrame with categories by name, and the frame."""
    names = pandas.Categorical(np.resize(["oak", "ash", "yew", "elm"], 60), categories=categories)
    frame = pandas.DataFrame({"size": np.linspace(0, 1, 60), "wood": names})
    y = np.asarray(frame.wood.isin(["oak", "yew"]) * 2.0 + frame["size"])
    return HistGradientBoostingRegressor(**(SMALL | params)).fit(frame, y), frame


@pytest.mark.parametrize("categories", [["oak", "ash", "yew", "elm"], ["yew", "oak", "elm", "fir", "ash"]])
def test_categories_by_name_are_positions_in_the_schema(categories):
    """The encoder sorts what it met; a frame's own order of categories is of no consequence."""
    model, frame = framed(categories)
    schema = PLUGIN.signature(model).schema
    assert schema.features[1] == Feature("wood", "categorical", ("ash", "elm", "oak", "yew"), "allow", "missing")
    frame["size"] = frame["size"].astype(np.float32)
    frame.loc[3, "wood"] = None
    votes = PLUGIN.votes(model, schema.encode(frame), "regression")
    np.testing.assert_array_equal(votes[:, 0], model.predict(frame))
    np.testing.assert_array_equal(member_vote(PLUGIN.lower(model, schema), schema.encode(frame)), votes)


def test_categories_by_name_are_refused_in_an_ensemble():
    """An ensemble's own schema would number them otherwise."""
    model, _ = framed(["oak", "ash", "yew", "elm"])
    with pytest.raises(
        UnsupportedModelError, match="fitted on categories by name, which an ensemble numbers its own way"
    ):
        PLUGIN.check(model, "regression")


def test_none_as_a_category_is_refused():
    """scikit-learn takes None for a category of its own, which a row of numbers does not have."""
    column = np.resize(np.array(["oak", None, "yew"], dtype=object), 30).reshape(-1, 1)
    model = HistGradientBoostingRegressor(categorical_features=[0], **SMALL).fit(column, np.arange(30.0))
    with pytest.raises(UnsupportedModelError, match="column 0 has None .* for a category; expected strings or numbers"):
        PLUGIN.lower(model, None)


def test_an_ensembles_categories_are_given_to_the_library():
    """Features that the schema declares categorical are so for the library; too many for it are numbers."""
    schema = FeatureSchema(
        (Feature("a"), Feature("b", "categorical", (1, 2)), Feature("c", "categorical", (*range(300),)))
    )
    assert PLUGIN.make("binary", {}, schema).categorical_features == [1]
    assert PLUGIN.make("binary", {}, None).categorical_features is None


def test_poisson_is_an_exponential():
    """The log link ends in exp of the sum."""
    X, y = np.arange(40.0, dtype=np.float32).reshape(-1, 1), np.arange(40.0) ** 2
    model = HistGradientBoostingRegressor(loss="poisson", **SMALL).fit(X, y)
    np.testing.assert_allclose(member_vote(PLUGIN.lower(model, None), X)[:, 0], model.predict(X), rtol=1e-14)


def test_a_loss_of_ones_own_is_refused():
    """A loss object may link its sums in any way."""
    X, y = np.arange(40.0).reshape(-1, 1), np.arange(40) % 2
    model = HistGradientBoostingClassifier(**SMALL).fit(X, y)
    model._loss.link = object()
    with pytest.raises(UnsupportedModelError, match="hist_gradient_boosting: loss='log_loss' is not supported"):
        PLUGIN.lower(model, None)


def test_a_stored_model_that_points_outside_is_refused():
    """scikit-learn would follow such a node, column or set into foreign memory; it is found before."""
    model = model_of(range(6))
    assert PLUGIN.restore(PLUGIN.dump(model)).n_features_in_ == 1

    def node(field, value):
        return lambda m: m._predictors[1][0].nodes[field].__setitem__(0, value)

    for change in (
        node("left", 10**6), node("right", 0), node("feature_idx", 7), node("feature_idx", -1), node("bitset_idx", 99),
        lambda m: setattr(m._bin_mapper, "is_categorical_", m._bin_mapper.is_categorical_[:0]),
        lambda m: setattr(m._bin_mapper, "is_categorical_", np.array([0], dtype=np.uint8)),
    ):  # fmt: skip
        broken = PLUGIN.restore(PLUGIN.dump(model))
        change(broken)
        with pytest.raises(ArtifactError, match="damaged: node numbers point outside the tree"):
            PLUGIN.restore(skops.io.dumps(broken))
