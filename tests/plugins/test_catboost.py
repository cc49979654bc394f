"""CatBoost members: trees, sums and their links, NaN, categories, storage, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import catboost
import numpy as np
import pandas as pd
import pytest

from glulam.errors import ArtifactError, ConfigError, UnsupportedModelError
from glulam.forest import Forest
from glulam.interpreter import member_vote
from glulam.schema import Feature, FeatureSchema
from glulam_plugins.models import _catboost_categories as categories
from glulam_plugins.models import _catboost_document as document
from glulam_plugins.models._catboost_statistics import statistics
from glulam_plugins.models.catboost import CatBoost, name_categories

PLUGIN = CatBoost()
QUIET = {"iterations": 8, "depth": 3, "thread_count": 1, "verbose": 0, "allow_writing_files": False}


def agree(model, rows):
    """Check that the lowered model votes as CatBoost does, in every leaf."""
    signature = PLUGIN.signature(model)
    member = PLUGIN.lower(model, signature.schema)
    votes = PLUGIN.votes(model, rows, signature.task)
    np.testing.assert_allclose(member_vote(member, rows), votes, atol=1e-12, rtol=1e-12)
    np.testing.assert_array_equal(member.forests[0].leaves(rows), PLUGIN.leaves(model, rows))
    return member


def test_three_rows_give_a_literal_stump():
    """A model of three rows becomes the tree that a reader would draw; its mean is the base."""
    X = np.float32([[1], [2], [3]])
    plain = {"l2_leaf_reg": 0, "random_strength": 0, "bootstrap_type": "No"}
    model = catboost.CatBoostRegressor(**QUIET | {"iterations": 1, "depth": 1, "learning_rate": 1.0}, **plain)
    forest = PLUGIN.lower(model.fit(X, [0.0, 0.0, 9.0]), FeatureSchema.learn(X)).body
    assert (forest.feature.tolist(), forest.left.tolist(), forest.right.tolist()) == ([0], [-1], [-2])
    assert forest.threshold.tolist() == [2.5]
    assert forest.base.tolist() == [3.0]
    assert forest.leaf_value.ravel().tolist() == [-3.0, 6.0]


def test_symmetric_tree_keeps_catboosts_leaf_numbers():
    """Split i is bit i of the leaf's number, so the last split is at the root."""
    splits = [
        {"split_type": "FloatFeature", "float_feature_index": 0, "border": 1.5},
        {"split_type": "FloatFeature", "float_feature_index": 1, "border": 2.5},
    ]
    numbers = [
        {"feature_index": 0, "flat_feature_index": 0, "nan_value_treatment": "AsTrue"},
        {"feature_index": 1, "flat_feature_index": 2, "nan_value_treatment": "AsFalse"},
    ]
    tree = {"splits": splits, "leaf_values": [0, 1, 2, 3]}
    model = {"features_info": {"float_features": numbers}, "scale_and_bias": [2, [0]], "oblivious_trees": [tree]}
    forest = Forest.from_trees(document.lower_trees(model, {}, []), n_features=3)
    assert forest.feature.tolist() == [2, 0, 0]
    assert forest.nan_left.tolist() == [True, False, False]
    rows = np.float32([[1, 0, 2], [2, 0, 2], [1, 0, 3], [2, 0, 3], [np.nan, 0, np.nan], [1.5, 0, 2.5]])
    assert forest.leaves(rows).ravel().tolist() == [0, 1, 2, 3, 1, 0]
    assert forest.leaf_value.ravel().tolist() == [0.0, 2.0, 4.0, 6.0]


def test_a_leaf_beside_a_node_is_numbered_as_in_catboost():
    """CatBoost keeps such a leaf in its parent, before all leaves below; a Forest from left to right."""
    steps = [(1, 0), (1, 2), (0, 0), (0, 0)]
    model = SimpleNamespace(
        _get_tree_step_nodes=lambda tree: steps, _get_tree_node_to_leaf=lambda tree: [0, 2**32 - 1, 1, 2]
    )
    assert document.leaf_ranks(model, 0).tolist() == [2, 0, 1]


@pytest.mark.parametrize("grow_policy", ["SymmetricTree", "Lossguide", "Depthwise"])
@pytest.mark.parametrize("nan_mode", ["Min", "Max"])
def test_grow_policies_and_nan_modes(binary, grow_policy, nan_mode):
    """Trees of every shape send NaN, infinities and neighbours of borders where CatBoost sends them."""
    X, y = binary
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.float32(np.nan), X)
    made = catboost.CatBoostClassifier(**QUIET | {"depth": 6}, grow_policy=grow_policy, nan_mode=nan_mode)
    member = agree(made.fit(X, y), X)
    rows = X[:400].copy()
    borders = member.body.threshold[:60].astype(np.float32)
    lower, upper = (np.nextafter(borders[1:], np.float32(end)) for end in (-1e9, 1e9))
    for column in range(X.shape[1]):
        odd = np.concatenate([borders, lower, upper, np.float32([np.inf, -np.inf, 0, -0.0, 1e-45, 3.4e38, -3.4e38])])
        rows[: len(odd), column] = odd
        agree(made, rows)
    agree(made, rows.astype(np.float64) * (1 + 1e-9))


def test_predict_follows_the_class_and_the_loss(binary):
    """Only a CatBoostRegressor exponentiates; the lowered form follows, and so does a stored model."""
    X, y = binary
    fitted = catboost.CatBoostRegressor(**QUIET, loss_function="Poisson").fit(X, y + 1)
    raw = fitted.predict(X, prediction_type="RawFormulaVal")
    np.testing.assert_allclose(PLUGIN.votes(fitted, X, "regression").ravel(), np.exp(raw))
    bare = catboost.CatBoostRegressor().load_model(blob=document.model_bytes(fitted, "cbm"))
    np.testing.assert_array_equal(PLUGIN.votes(bare, X, "regression").ravel(), raw)
    for model in (fitted, bare):
        agree(model, X)
        restored = PLUGIN.restore(PLUGIN.dump(model))
        np.testing.assert_array_equal(PLUGIN.votes(restored, X, "regression"), PLUGIN.votes(model, X, "regression"))
        agree(restored, X)


def test_uncertainty_is_mean_and_variance(binary):
    """RMSEWithUncertainty gives two values, the second of them exp(2 log sigma)."""
    X, y = binary
    model = catboost.CatBoostRegressor(**QUIET, loss_function="RMSEWithUncertainty").fit(X, y)
    assert PLUGIN.signature(model).n_targets == 2
    agree(model, X)


def test_one_against_all_chooses_among_sums(binary):
    """Chances may all be 1; CatBoost still chooses the largest sum."""
    X, y = binary
    model = catboost.CatBoostClassifier(**QUIET, loss_function="MultiClassOneVsAll").fit(X, y + (X[:, 0] > 1))
    model.set_scale_and_bias(1e4, [500.0, 500.0, 501.0])
    member = agree(model, X)
    assert member.body.choice
    assert (PLUGIN.votes(model, X, "multiclass") == 1.0).sum(axis=1).max() > 1
    sums = next(iter(member.forests)).raw(X)
    np.testing.assert_array_equal(PLUGIN.labels(model, X), sums.argmax(axis=1))


def test_labels_are_flat_and_of_their_own_type(binary):
    """Labels of several classes come as a column from CatBoost, and as objects where they are text."""
    X, y = binary
    model = catboost.CatBoostClassifier(**QUIET).fit(X, np.array(["a", "b", "c"])[y + (X[:, 0] > 1)])
    labels = PLUGIN.labels(model, X)
    assert (labels.shape, labels.dtype.kind) == ((len(X),), "U")
    assert PLUGIN.signature(model).classes.tolist() == ["a", "b", "c"]


def test_several_labels_are_outputs_of_their_own(binary):
    """MultiLogloss is one yes or no an output."""
    X, y = binary
    model = catboost.CatBoostClassifier(**QUIET, loss_function="MultiLogloss").fit(X, np.column_stack([y, 1 - y]))
    signature = PLUGIN.signature(model)
    assert (signature.task, signature.blocks, signature.classes.tolist()) == ("multioutput", (1, 1), [0, 1, 0, 1])
    agree(model, X)
    assert PLUGIN.labels(model, X).shape == (len(X), 2)


def test_features_of_a_loaded_model(binary, tmp_path):
    """A loaded model says that it has 0 features; its names tell how many. Columns without names are called by number."""
    X, y = binary
    path = str(tmp_path / "model.cbm")
    catboost.CatBoostClassifier(**QUIET, ignored_features=[0]).fit(X, y).save_model(path)
    signature = PLUGIN.signature(catboost.CatBoostClassifier().load_model(path))
    assert signature.schema.names == [str(index) for index in range(X.shape[1])]


@pytest.mark.parametrize("kind", ["cbm", "json"])
def test_files_of_catboosts_own(binary, tmp_path, kind):
    """A file with classes opens as a classifier, one without as a regressor; others' files are left alone."""
    X, y = binary
    path = tmp_path / f"model.{kind}"
    for made in (catboost.CatBoostClassifier(**QUIET), catboost.CatBoostRegressor(**QUIET, loss_function="Poisson")):
        made.fit(X, y).save_model(str(path), format=kind)
        model = PLUGIN.read(path)
        assert type(model) is type(made)
        np.testing.assert_allclose(PLUGIN.votes(model, X, ""), PLUGIN.votes(made, X, ""), rtol=1e-15)
    path.write_text('{"learner": {}}')
    assert PLUGIN.read(path) is None


@pytest.mark.parametrize(
    ("name", "data"), [("m.json", b'{"features_info": {}, "scale_and_bias": '), ("m.cbm", b"CBM1\0\0\0\0")]
)
def test_a_damaged_file_is_an_error(tmp_path, name, data):
    """The message names the file."""
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=rf"{name}: a damaged CatBoost model: .*; save it again"):
        PLUGIN.read(path)


def test_early_stopping(binary):
    """With rows to stop on, the trees up to the best are left; without them it is an error."""
    X, y = binary
    model = PLUGIN.make("binary", QUIET | {"iterations": 60, "early_stopping_rounds": 3, "learning_rate": 0.9}, None)
    with pytest.raises(ConfigError, match="catboost: early_stopping_rounds needs rows to stop on"):
        PLUGIN.fit(model, X, y)
    PLUGIN.fit(model, X[:1000], y[:1000], None, (X[1000:], y[1000:]))
    assert agree(model, X).body.n_trees == model.best_iteration_ + 1 < 60


@pytest.mark.parametrize(
    "params", [{"n_estimators": 3}, {"eta": 0.2}, {"max_depth": 2}, {"random_state": 1}, {"silent": True}]
)
def test_synonyms_replace_defaults(binary, params):
    """CatBoost refuses a parameter and its synonym together, so a synonym takes the default's place."""
    X, y = binary
    model = PLUGIN.make("binary", {"iterations": 2} | params if "n_estimators" not in params else params, None)
    assert PLUGIN.fit(model, X[:100], y[:100]).is_fitted()


def test_nothing_is_written_beside_the_model(binary, tmp_path, monkeypatch):
    """Neither fit nor lowering leaves a file."""
    monkeypatch.chdir(tmp_path)
    X, y = binary
    model = PLUGIN.fit(PLUGIN.make("binary", {"iterations": 2}, None), X, y)
    PLUGIN.restore(PLUGIN.dump(model))
    agree(model, X)
    assert not list(tmp_path.iterdir())


# -- categories --------------------------------------------------------------------------------


@pytest.fixture
def table():
    """Return 300 rows with categories of every type, and two classes."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "number": rng.normal(size=300),
        "text": rng.choice(["red", "green", "blue", "été", ""], 300),
        "integer": rng.choice([1, 2, 30, -7], 300),
        "boolean": rng.random(300) < 0.5,
    })  # fmt: skip
    y = ((frame.text == "red") | (frame.integer == 30)).astype(int) ^ (frame.boolean & (frame.number > 0))
    return frame, y.to_numpy().astype(int)


COLUMNS = ["text", "integer", "boolean"]


def fitted(table, **params):
    """Return a classifier of native categories."""
    X, y = table
    return catboost.CatBoostClassifier(**QUIET, cat_features=COLUMNS, **{"one_hot_max_size": 9} | params).fit(X, y)


@pytest.mark.parametrize("grow_policy", ["SymmetricTree", "Lossguide"])
def test_one_hot_categories(table, grow_policy):
    """Rows of codes get the answers of the categories they stand for; any other number counts as unseen."""
    X, _ = table
    model = fitted(table, grow_policy=grow_policy)
    name_categories(model, X)
    schema = PLUGIN.signature(model).schema
    assert schema.features[2].categories == (-7, 1, 2, 30, "-7", "1", "2", "30")
    assert schema.features[3] == Feature("boolean", "boolean", missing="allow")
    rows = schema.encode(X)
    np.testing.assert_array_equal(PLUGIN.votes(model, rows, "binary"), model.predict_proba(X))
    member = agree(model, rows)
    assert member.body.is_categorical.any()
    for odd in (np.nan, np.inf, -np.inf, -1, -0.5, 0.5, 7, 1e9, 1e30):
        rows[:, 1:] = odd
        agree(model, rows)
    as_text = X.assign(integer=X["integer"].astype(str))
    np.testing.assert_array_equal(PLUGIN.votes(model, schema.encode(as_text), "binary"), model.predict_proba(as_text))


def test_names_of_categories_are_stored_with_the_model(table):
    """They are part of CatBoost's own metadata."""
    model = fitted(table)
    name_categories(model, table[0])
    restored = PLUGIN.restore(PLUGIN.dump(model))
    assert PLUGIN.signature(restored).schema == PLUGIN.signature(model).schema


def test_categories_without_names_are_refused(table):
    """The model has hashes only; the message says whom to call."""
    model = fitted(table)
    with pytest.raises(UnsupportedModelError, match=r"hashes, not by name.*name_categories\(model, training_table\)"):
        PLUGIN.signature(model)
    with pytest.raises(UnsupportedModelError, match="hashes, not by name"):
        PLUGIN.lower(model, FeatureSchema.learn(table[0][["number"]]))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda X: X[["number", "text"]], "expected the 4 columns that the model was trained on, got 2"),
        (lambda X: X.assign(integer=X.integer + 0.5), "column 'integer': CatBoost takes integers and strings"),
    ],
)
def test_name_categories_checks_its_table(table, other, message):
    """A table that cannot be the training table is an error."""
    with pytest.raises(ConfigError, match=message):
        name_categories(fitted(table), other(table[0]))


def test_a_category_that_splits_needs_a_name(table):
    """Part of the training table may lack it."""
    model = fitted(table)
    name_categories(model, table[0].assign(text="grey"))
    with pytest.raises(
        UnsupportedModelError, match="column 'text' is split by .* categories that are not among its names"
    ):
        PLUGIN.lower(model, PLUGIN.signature(model).schema)


def test_an_ensembles_codes_are_not_native_categories(table):
    """A schema with other codes than the model's is refused."""
    model = fitted(table)
    name_categories(model, table[0])
    with pytest.raises(UnsupportedModelError, match="feature 'x1' was trained on native categories"):
        PLUGIN.lower(model, FeatureSchema.learn(np.zeros((3, 4), np.float32)))


# -- target statistics -------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["Logloss", "MultiClassOneVsAll"])
def test_target_statistics_of_combinations(table, loss):
    """Statistics of categories, alone and with each other, with numbers and with one-hot categories, are looked up."""
    frame, y = table
    frame = frame.assign(number=frame["number"].where(frame["number"] < 1))
    model = catboost.CatBoostClassifier(
        **QUIET | {"iterations": 20, "depth": 4}, cat_features=COLUMNS, one_hot_max_size=2, max_ctr_complexity=3,
        model_size_reg=0, nan_mode="Max", loss_function=loss,
    ).fit(frame, y)  # fmt: skip
    name_categories(model, frame)
    info = document.document_of(model)["features_info"]
    kinds = {each["combination_element"] for ctr in info["ctrs"] for each in ctr["elements"]}
    assert kinds == {"cat_feature_value", "cat_feature_exact_value", "float_feature"}
    schema = PLUGIN.signature(model).schema
    rows = schema.encode(frame)
    np.testing.assert_array_equal(PLUGIN.votes(model, rows, "binary"), model.predict_proba(frame))
    member = PLUGIN.lower(model, schema)
    assert bool(member.body.choice) is (loss == "MultiClassOneVsAll")
    for odd in (None, np.nan, np.inf, -np.inf, -1, -0.5, 0.5, 99, 1e9, 1e30):
        for columns in ([0], [1], [2, 3], [1, 2, 3]):
            tried = rows.copy()
            tried[::2, columns] = rows[::2, columns] if odd is None else odd
            for each in (tried, tried.astype(np.float64) * (1 + 1e-9)):
                votes = PLUGIN.votes(model, each, "binary")
                np.testing.assert_allclose(member_vote(member, each), votes, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "counts", "expected", "unseen"),
    [
        ("Borders", [1, 2, 4], 4.5 / 8, 0.5),
        ("Buckets", [1, 2, 4], 2.5 / 8, 0.5),
        ("BinarizedTargetMeanValue", [5.0, 7], 5.5 / 8, 0.5),
        ("Counter", [3], 3.5 / 8, 0.5 / 8),
    ],
)
def test_a_literal_statistic(kind, counts, expected, unseen):
    """The share of what is above target border 1, with a prior; an unseen category has the prior alone."""
    key = 0x4906BA494954CB65**2 * 7 % 2**64
    ctr = {
        "ctr_type": kind, "identifier": "one", "target_border_idx": 1, "prior_numerator": 0.5, "prior_denomerator": 1,
        "shift": 0.25, "scale": 4, "elements": [{"combination_element": "cat_feature_value", "cat_feature_index": 0}],
    }  # fmt: skip
    table = {
        "hash_map": [2**64 - 1, *counts, str(key), *counts],
        "hash_stride": 1 + len(counts),
        "counter_denominator": 7,
    }
    info = {"categorical_features": [{"feature_index": 0, "flat_feature_index": 1}], "ctrs": [ctr]}
    model = {"features_info": info, "ctr_data": {"one": table}}
    rules, order = statistics(model, {1: np.array([7], dtype=np.uint32)})
    values = rules[0].reference(np.float32([[9, 0], [9, 1], [9, np.nan]]))
    assert order == [0]
    assert ((values.ravel() / 4) - 0.25).tolist() == [expected, unseen, unseen]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: model["features_info"]["ctrs"][0].update(ctr_type="Odd"), "catboost: statistics of type 'Odd'"),
        (
            lambda model: model["features_info"]["ctrs"][0]["elements"][0].update(combination_element="odd"),
            "catboost: statistics of 'odd' are not supported",
        ),
        (
            lambda model: model["features_info"]["ctrs"][0].update(
                elements=model["features_info"]["ctrs"][0]["elements"] * 12
            ),
            "catboost: a combination of 12 categories has .* values, too many",
        ),
    ],
)
def test_statistics_that_are_refused(table, change, message):
    """What has no rule here, or no place in a file, is named."""
    model = fitted(table, one_hot_max_size=2)
    name_categories(model, table[0])
    names = categories.known_categories(model)
    found = document.document_of(model, categories.hash_pool(model, names))
    change(found)
    with pytest.raises(UnsupportedModelError, match=message):
        statistics(found, categories.hashes_of_codes(found, names))


def test_statistics_of_nameless_categories_are_refused(table):
    """A part of the training table may lack a category that has statistics."""
    model = fitted(table, one_hot_max_size=2)
    name_categories(model, table[0].assign(text="red"))
    with pytest.raises(UnsupportedModelError, match="statistics of categories that are not among the names"):
        PLUGIN.lower(model, PLUGIN.signature(model).schema)


# -- refusals ----------------------------------------------------------------------------------


def test_unfitted_and_shrunk_models_are_refused():
    """The message says to fit."""
    with pytest.raises(UnsupportedModelError, match="catboost: CatBoostRegressor has no trees; fit it first"):
        PLUGIN.signature(catboost.CatBoostRegressor())


@pytest.mark.parametrize(
    ("kind", "column"),
    [("text", ["good day", "bad night", "day and night"]), ("embedding", [[0.0, 1.0], [1.0, 1.0], [2.0, 0.0]])],
)
def test_text_and_embedding_features_are_refused(kind, column):
    """They become numbers inside of CatBoost."""
    X = pd.DataFrame({"number": np.arange(60.0), "other": column * 20})
    model = catboost.CatBoostRegressor(**QUIET, **{f"{kind}_features": ["other"]}).fit(X, np.arange(60.0))
    with pytest.raises(UnsupportedModelError, match=rf"catboost: {kind} features \(columns \[1\]\)"):
        PLUGIN.lower(model, PLUGIN.signature(model).schema)


def test_unknown_splits_and_infinite_leaves_are_refused():
    """Whatever a later CatBoost may write is named."""
    model = {"features_info": {}, "scale_and_bias": [1, [0]]}
    tree = {"splits": [{"split_type": "Quantum"}], "leaf_values": [0, 1]}
    with pytest.raises(UnsupportedModelError, match="catboost: splits of type 'Quantum'"):
        list(document.lower_trees(model | {"oblivious_trees": [tree]}, {}, []))
    with pytest.raises(UnsupportedModelError, match="catboost: a leaf value is not finite"):
        list(document.lower_trees(model | {"trees": [{"value": np.inf}]}, {}, []))


def test_too_deep_trees_are_refused(monkeypatch, binary):
    """JSON that cannot be read because of its depth is named."""

    def too_deep(data):
        raise RecursionError

    X, y = binary
    model = catboost.CatBoostClassifier(**QUIET).fit(X, y)
    monkeypatch.setattr(document.json, "loads", too_deep)
    with pytest.raises(UnsupportedModelError, match="catboost: a tree is too deep"):
        document.document_of(model)


def test_values_are_no_probabilities(binary):
    """Members of a classifier must give probabilities."""
    X, y = binary
    for model, message in (
        (
            catboost.CatBoost(QUIET | {"loss_function": "Logloss"}).fit(X, y),
            "CatBoost with loss 'Logloss' gives raw values",
        ),
        (
            catboost.CatBoostClassifier(**QUIET, loss_function="MultiLogloss").fit(X, np.column_stack([y, 1 - y])),
            "CatBoostClassifier with loss 'MultiLogloss' gives probabilities of several labels",
        ),
    ):
        with pytest.raises(UnsupportedModelError, match=f"catboost: {message}"):
            PLUGIN.check(model, "binary")


def test_a_threshold_for_several_labels_is_refused(binary):
    """The file has one rule for all labels: above one half."""
    X, y = binary
    model = catboost.CatBoostClassifier(**QUIET, loss_function="MultiLogloss").fit(X, np.column_stack([y, 1 - y]))
    model.set_probability_threshold(0.2)
    with pytest.raises(UnsupportedModelError, match="catboost: a probability threshold of 0.2 for several labels"):
        PLUGIN.lower(model, PLUGIN.signature(model).schema)


def test_a_classifier_without_classes_is_refused(binary, tmp_path):
    """A model of values that was loaded as a classifier cannot predict even in CatBoost."""
    X, y = binary
    path = str(tmp_path / "model.cbm")
    catboost.CatBoostRegressor(**QUIET).fit(X, y).save_model(path)
    model = catboost.CatBoostClassifier().load_model(path)
    with pytest.raises(UnsupportedModelError, match=r"knows no classes \(its loss is 'RMSE'\)"):
        PLUGIN.signature(model)


def test_subclasses_are_not_accepted():
    """A subclass may predict by other rules."""

    class Own(catboost.CatBoostClassifier):
        pass

    assert PLUGIN.accepts(catboost.CatBoostRanker())
    assert not PLUGIN.accepts(Own())
