"""XGBoost members: base scores, early stopping, pruned trees, how rows are read, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pandas
import pytest
import xgboost

import glulam
from glulam.errors import ArtifactError, ConfigError, UnsupportedModelError
from glulam.interpreter import member_leaves, member_vote
from glulam.schema import FeatureSchema
from glulam_plugins.models._fragments import largest
from glulam_plugins.models._xgboost_rows import as_read, linear
from glulam_plugins.models._xgboost_ubjson import read_ubjson
from glulam_plugins.models.xgboost import XGBoost

PLUGIN = XGBoost()


def agree(model, rows, task):
    """Check that the lowered model votes as XGBoost does."""
    member = PLUGIN.lower(model, FeatureSchema.learn(rows))
    np.testing.assert_allclose(member_vote(member, rows), PLUGIN.votes(model, rows, task), atol=1e-6, rtol=1e-6)
    np.testing.assert_array_equal(member_leaves(member, rows), PLUGIN.leaves(model, rows))


def edited(booster, change):
    """Return the Booster with its JSON changed in place: trees that no training gives at will."""
    document = json.loads(booster.save_raw("json"))
    change(document["learner"]["gradient_booster"]["model"]["trees"][0])
    return xgboost.Booster(model_file=bytearray(json.dumps(document).encode()))


def stump(feature_types=None, rows=((1.0,), (2.0,), (3.0,))):
    """Return a Booster of one split of one feature."""
    data = xgboost.DMatrix(np.float32(rows), label=[0.0, 0.0, 9.0], feature_types=feature_types)
    return xgboost.train({"max_depth": 1, "eta": 1.0, "lambda": 0, "base_score": 0, "nthread": 1}, data, 1)


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


def test_dart_rounds_as_xgboost_does():
    """The base score goes on and off each tree of DART, so that the sums are the library's to the bit."""
    X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    params = {"booster": "dart", "rate_drop": 0.5, "max_depth": 3, "nthread": 1}
    booster = xgboost.train(params, xgboost.DMatrix(X, label=1e6 + X[:, 0]), 5)
    forest = PLUGIN.lower(booster, FeatureSchema.learn(X)).body
    leaves = forest.leaf_value[:, 0].astype(np.float32)[forest.leaves(X)]
    sums = np.full(len(X), np.float32(forest.base[0]))
    for tree in leaves.T:
        sums += tree
    np.testing.assert_array_equal(sums, booster.inplace_predict(X))


def test_a_split_at_infinity_sends_all_numbers_left_but_infinity(tmp_path):
    """All that is finite is below infinity, in the file as well."""
    model = edited(stump(), lambda tree: tree["split_conditions"].__setitem__(0, np.inf))
    rows = np.float32([[-np.inf], [-3e38], [0], [np.finfo(np.float32).max], [np.inf], [np.nan]])
    assert len(set(model.inplace_predict(rows)[3:5])) == 2
    assert PLUGIN.leaves(model, rows) is None
    glulam.export(model, tmp_path / "model.onnx", rows[1:3], proof_rows=1_000)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    np.testing.assert_array_equal(session.run(["value"], {"features": rows})[0].ravel(), model.inplace_predict(rows))


def test_codes_are_cut_and_matched_ones_go_right():
    """The literal tree of a category split: its set is what XGBoost sends right, all else goes the other way."""
    random = np.random.default_rng(0)
    codes = random.integers(0, 9, (300, 1)).astype(np.float32)
    model = xgboost.XGBClassifier(n_estimators=2, enable_categorical=True, feature_types=["c"], max_cat_to_onehot=1)
    model.fit(codes, (codes[:, 0] % 3 == 1).astype(int))
    member = PLUGIN.lower(model, FeatureSchema.learn(codes))
    forest = member.body.steps[1].rule
    tree = json.loads(model.get_booster().save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"][0]
    assert forest.category_sets()[0].tolist() == tree["categories"] == [0, 2, 3, 5, 6, 8]
    assert (tree["left_children"][0], tree["right_children"][0]) == (1, 2)
    assert (forest.left[0], forest.right[0]) == (~1, ~0)
    odd = np.float32([[-1], [-0.5], [-0.0], [0.5], [1.999], [8.5], [9], [40], [2**24 - 1], [2**24], [1e9], [1e30]])
    agree(model, np.concatenate([codes, odd, np.float32([[np.nan]])]), "binary")
    infinite = np.float32([[np.inf], [-np.inf]])
    np.testing.assert_allclose(member_vote(member, infinite), PLUGIN.votes(model, infinite, "binary"), atol=1e-7)


def test_rows_of_float64_are_read_as_float32():
    """Missing values and codes are looked for in float32, in rows of float64 as well."""
    rule = as_read(0.1, np.array([False, True]))
    rows = np.array([[0.1, 2.9999999999], [np.float32(0.1), -0.5], [0.2, 0.1]])
    assert str(rule.reference(rows).tolist()) == str([[np.nan, 3.0], [np.nan, -1.0], [float(np.float32(0.2)), np.nan]])


def test_missing_value_counts_beside_nan_and_is_kept(binary):
    """missing=0 is heeded in the lowering, in the votes, and after save and load."""
    X, y = binary
    X = np.where(np.abs(X) < 0.3, 0, X).astype(np.float32)
    model = xgboost.XGBClassifier(n_estimators=5, missing=0.0).fit(X, y)
    X[::7, 3] = np.nan
    agree(model, X, "binary")
    restored = PLUGIN.restore(PLUGIN.dump(model))
    np.testing.assert_array_equal(PLUGIN.votes(restored, X, "binary"), PLUGIN.votes(model, X, "binary"))
    agree(restored, X, "binary")


def test_multi_softmax_votes_with_probabilities(binary):
    """multi:softmax predicts labels; its votes are XGBClassifier's probabilities, from a Booster as well."""
    X, y = binary
    y = y + (X[:, 0] > 1) * (y > 0)
    model = xgboost.XGBClassifier(n_estimators=5, objective="multi:softmax").fit(X, y)
    agree(model, X, "multiclass")
    np.testing.assert_allclose(PLUGIN.votes(model, X, "multiclass"), model.predict_proba(X), atol=1e-7)
    booster = PLUGIN.restore(PLUGIN.dump(model))
    np.testing.assert_allclose(PLUGIN.votes(booster, X, "multiclass"), model.predict_proba(X), atol=1e-7)
    for each in (model, booster):
        np.testing.assert_array_equal(PLUGIN.labels(each, X), model.predict(X))


def test_vector_leaves_and_several_targets(binary):
    """Trees whose leaves hold all outputs, and trees for each output, are one forest of several outputs."""
    X, y = binary
    targets = np.column_stack([y, 1 - y, X[:, 0]])
    for strategy, width in (("multi_output_tree", 3), ("one_output_per_tree", 1)):
        model = xgboost.XGBRegressor(n_estimators=4, multi_strategy=strategy, tree_method="hist").fit(X, targets)
        forest = PLUGIN.lower(model, FeatureSchema.learn(X)).body
        assert (forest.n_outputs, forest.leaf_width) == (3, width)
        agree(model, X, "regression")
        assert PLUGIN.signature(model).n_targets == 3


def test_a_constant_label_begins_one_millionth_above_0(binary):
    """XGBoost keeps the base score of a logistic objective 1e-6 from 0 and 1."""
    X, y = binary
    model = xgboost.XGBClassifier(n_estimators=2).fit(X, np.column_stack([y, np.zeros_like(y)]))
    member = PLUGIN.lower(model, FeatureSchema.learn(X))
    assert member.body.steps[0].rule.base[1] == np.float32(-13.81551)
    np.testing.assert_allclose(member_vote(member, X), model.predict_proba(X), atol=1e-7)


def test_signatures_say_what_predict_answers(binary):
    """Task, classes and kind of score follow the estimator, or a Booster's objective."""
    X, y = binary

    def signature(made, params, target=y):
        model = made(n_estimators=2, max_depth=2, **params).fit(X, target)
        found, booster = PLUGIN.signature(model), PLUGIN.signature(model.get_booster())
        assert found.schema.names[:2] == ["x0", "x1"]
        return [(each.task, each.scores, each.classes.tolist(), each.blocks) for each in (found, booster)]

    classifier, regressor = xgboost.XGBClassifier, xgboost.XGBRegressor
    both = ("binary", "probabilities", [0, 1], ())
    value = ("regression", "probabilities", [], ())
    labels = ("multioutput", "probabilities", [0, 1, 0, 1], (1, 1))
    assert signature(classifier, {}) == [both, both]
    assert signature(classifier, {"objective": "binary:hinge"}) == [both, both]
    assert signature(classifier, {"objective": "reg:logistic"}) == [both, value]
    assert signature(classifier, {"objective": "binary:logitraw"}) == [
        ("binary", "decision_function", [0, 1], ()),
        value,
    ]
    assert signature(classifier, {}, np.column_stack([y, 1 - y])) == [labels, labels]
    # XGBClassifier.predict answers this with a yes or no for either class.
    assert signature(classifier, {"objective": "multi:softprob", "num_class": 2}) == [labels, both]
    assert signature(regressor, {"objective": "binary:logistic"}) == [value, both]


def test_a_stored_regressor_stays_one(binary):
    """A regressor of probabilities is stored as one: its Booster alone would be a classifier."""
    X, y = binary
    model = xgboost.XGBRegressor(n_estimators=2, objective="binary:logistic").fit(X, y)
    restored = PLUGIN.restore(PLUGIN.dump(model))
    assert PLUGIN.signature(restored).task == "regression"
    np.testing.assert_array_equal(PLUGIN.votes(restored, X, "regression")[:, 0], model.predict(X))
    assert model.get_booster().attributes() == {}


def test_files_are_read_by_what_saved_them(binary, tmp_path):
    """A file of an estimator is that estimator, best iteration included; of a Booster, a Booster; others are not read."""
    X, y = binary
    model = xgboost.XGBClassifier(n_estimators=40, early_stopping_rounds=3, learning_rate=0.8)
    model.fit(X[:1000], y[:1000], eval_set=[(X[1000:], y[1000:])], verbose=False)
    for suffix in ("json", "ubj"):
        path = tmp_path / f"model.{suffix}"
        model.save_model(path)
        read = PLUGIN.read(path)
        assert type(read) is xgboost.XGBClassifier
        np.testing.assert_array_equal(read.predict_proba(X), model.predict_proba(X))
        stump().save_model(path)
        assert type(PLUGIN.read(path)) is xgboost.Booster
    other = tmp_path / "other.json"
    other.write_text('{"oblivious_trees": []}')
    assert PLUGIN.read(other) is None
    other.write_text('{"learner": {"attributes": {}}}')
    with pytest.raises(ArtifactError, match="other.json: not a model that XGBoost can read"):
        PLUGIN.read(other)


def test_categories_of_a_data_frame_are_in_the_schema():
    """The schema encodes a table's categories as XGBoost does; as there, one that is new is refused."""
    words = np.array(["c", "a", "b"])[np.arange(60) % 3]
    table = pandas.DataFrame({"x": np.arange(60.0), "word": pandas.Categorical(words, categories=["c", "b", "a"])})
    table.loc[7, "word"] = None
    model = xgboost.XGBRegressor(n_estimators=3, enable_categorical=True).fit(table, np.arange(60) % 3)
    schema = PLUGIN.signature(model).schema
    assert schema.features[1].categories == ("c", "b", "a")
    rows = schema.encode(table.assign(word=table["word"].cat.reorder_categories(["a", "b", "c"])))
    np.testing.assert_array_equal(PLUGIN.votes(model, rows, "regression")[:, 0], model.predict(table))
    agree(model, rows, "regression")
    with pytest.raises(glulam.errors.FeatureError, match="category 'z' was not seen in training"):
        schema.encode(table.assign(word="z"))
    with pytest.raises(UnsupportedModelError, match="fitted on the named categories of a DataFrame"):
        PLUGIN.check(model, "regression")


def test_gblinear_adds_up_in_its_own_order():
    """Sums of gblinear overflow where XGBoost's do; no value counts as 0."""
    rule = linear(np.float32([[2], [2], [1]]), np.float32([0.5]))
    big = np.finfo(np.float32).max
    rows = np.float32([[1, 2, 3], [big, -big, 1], [np.nan, 1, np.nan]])
    assert str(rule.reference(rows).ravel().tolist()) == "[9.5, nan, 2.5]"
    assert largest().reference(np.array([[np.nan, 1.0], [1.0, np.nan], [1.0, 2.0], [2.0, 2.0]])).ravel().tolist() == [
        0, 0, 1, 0,
    ]  # fmt: skip


def test_gblinear_begins_at_the_first_base_score(binary):
    """Three classes have three base scores, of which gblinear uses the first for all; the file as well."""
    X, y = binary
    X, y = X / 10, y + (X[:, 0] > 1) * (y > 0)
    model = xgboost.XGBClassifier(booster="gblinear", n_estimators=3, updater="coord_descent").fit(X, y)
    assert len(set(model.intercept_)) == 3
    member = PLUGIN.lower(model, FeatureSchema.learn(X))
    np.testing.assert_allclose(member_vote(member, X), model.predict_proba(X, validate_features=False), atol=1e-6)


def test_gblinear_refuses_float64_rows_and_has_no_leaves(binary):
    """Numbers beyond float32 are refused by gblinear, so its file takes float32 alone."""
    X, y = binary
    model = xgboost.XGBClassifier(booster="gblinear", n_estimators=2).fit(X, y)
    assert (
        PLUGIN.lower(model, FeatureSchema.learn(X)).float32_only == "XGBoost's gblinear refuses numbers beyond float32"
    )
    assert PLUGIN.leaves(model, X) is None
    assert PLUGIN.importance(model) is None


def test_ubjson_is_read_as_json_is(binary):
    """The reader of UBJSON finds what XGBoost writes as JSON; an unknown marker is an error."""
    X, y = binary
    booster = xgboost.XGBClassifier(n_estimators=3, max_depth=3).fit(X, y).get_booster()

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        if isinstance(value, list):
            return [plain(each) for each in value]
        return value.tolist() if isinstance(value, np.ndarray) else value

    def rounded(value):
        return json.loads(json.dumps(value), parse_float=lambda text: float(np.float32(text)))

    assert rounded(plain(read_ubjson(bytes(booster.save_raw("ubj"))))) == rounded(json.loads(booster.save_raw("json")))
    assert read_ubjson(b"[TFZ[$U#U\x02\x05\x06]")[:3] == [True, False, None]
    with pytest.raises(ValueError, match="UBJSON: byte 0: marker 'x' is not known"):
        read_ubjson(b"x")


def always_zero(X, y):
    """Return a model of counts that saw none."""
    return xgboost.XGBRegressor(n_estimators=2, objective="count:poisson").fit(X, 0 * y)


def not_ascii(X, y):
    """Return a model of towns of which one is no ASCII."""
    table = pandas.DataFrame({"town": pandas.Categorical(np.array(["Köln", "Bonn"])[y])})
    return xgboost.XGBRegressor(n_estimators=2, enable_categorical=True).fit(table, y)


def both_kinds(X, y):
    """Return a model whose trees do not agree on whether a feature is a number."""
    kinds = {"max_depth": 1, "nthread": 1, "max_cat_to_onehot": 1}
    codes = (np.arange(len(y)) % 5).astype(np.float32).reshape(-1, 1)
    data = xgboost.DMatrix(codes, label=codes[:, 0] % 2, feature_types=["c"])
    document = json.loads(xgboost.train(kinds, data, 2).save_raw("json"))
    tree = document["learner"]["gradient_booster"]["model"]["trees"][1]
    tree |= {"split_type": [0, 0, 0], "split_conditions": [2.5, 0.0, 1.0]}
    tree |= {key: [] for key in tree if key.startswith("categories")}
    return xgboost.Booster(model_file=bytearray(json.dumps(document).encode()))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (always_zero, "xgboost: the base score of objective 'count:poisson' has no finite margin"),
        (not_ascii, "xgboost: feature 0 has categories that are not ASCII, which XGBoost cuts in pieces"),
        (both_kinds, "xgboost: feature 0 is split as a number in some trees and by category in others"),
        (lambda X, y: xgboost.train({}, xgboost.DMatrix(X, label=y), 0), "xgboost: the model has no trees; fit it"),
        (lambda X, y: edited(stump(), lambda tree: tree["split_conditions"].__setitem__(1, np.inf)), "xgboost: a leaf value is infinite or NaN"),
        (lambda X, y: edited(stump(), lambda tree: tree["split_conditions"].__setitem__(0, -np.inf)), "xgboost: a split at -infinity or NaN"),
        (lambda X, y: xgboost.XGBClassifier(), "xgboost: expected a fitted XGBClassifier; fit it first"),
    ],
)  # fmt: skip
def test_what_cannot_be_exact_is_refused_by_name(binary, made, message):
    """Models that would not be exact are refused with their option."""
    X, y = binary
    model = made(X, y)
    with pytest.raises(UnsupportedModelError, match=message):
        PLUGIN.lower(model, FeatureSchema.learn(X))


def test_an_unknown_objective_is_refused_by_name(monkeypatch):
    """An objective of a later XGBoost is not guessed at."""
    monkeypatch.setattr("glulam_plugins.models._xgboost_rows.IDENTITY", ())
    with pytest.raises(
        UnsupportedModelError, match="xgboost: objective 'reg:squarederror' is not supported; supported"
    ):
        PLUGIN.lower(stump(), FeatureSchema.learn(np.zeros((1, 1))))


def test_classes_of_one_kind_alone_are_refused(binary):
    """Labels of which only one value was seen have no second class to vote for."""
    X, y = binary
    model = xgboost.XGBClassifier(n_estimators=2).fit(X, np.zeros((len(y), 2), dtype=int))
    with pytest.raises(UnsupportedModelError, match="xgboost: expected at least two classes in y"):
        PLUGIN.signature(model)


def test_members_vote_with_probabilities_or_one_value(binary):
    """An ensemble takes no margins, no yes or no, and no several values."""
    X, y = binary
    hinge = xgboost.XGBClassifier(n_estimators=2, objective="binary:hinge").fit(X, y)
    with pytest.raises(UnsupportedModelError, match="objective 'binary:hinge' gives no probabilities"):
        PLUGIN.check(hinge, "binary")
    several = xgboost.XGBRegressor(n_estimators=2).fit(X, np.column_stack([y, y]))
    with pytest.raises(UnsupportedModelError, match="the model gives 2 values a row, and members vote with one"):
        PLUGIN.check(several, "regression")
    PLUGIN.check(xgboost.XGBClassifier(n_estimators=2).fit(X, y), "binary")
