"""Pipelines: folding by literal trees, text columns, and what is refused by name."""

from __future__ import annotations

import numpy as np
import pandas
import pytest
from lightgbm import LGBMClassifier
from sklearn import preprocessing as pre
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.tree import DecisionTreeClassifier

import glulam
from glulam.errors import FeatureError, UnsupportedModelError
from glulam.forest import Forest, Tree
from glulam.interpreter import member_vote
from glulam_plugins.models._columns import Column
from glulam_plugins.models._folding import Oracle, fold
from glulam_plugins.models.pipeline import PipelinePlugin

PLUGIN = PipelinePlugin()


def stump(threshold, *, nan_left=False, sets=None, reads="float64"):
    """Return a forest of one node on column 0: 1.0 on the left, 2.0 on the right."""
    tree = Tree([0], [threshold], [-1], [-2], [nan_left], [1.0, 2.0], sets=sets or {})
    return Forest.from_trees([tree], n_features=1, reads=reads)


def folded(forest, rule, *, dtype=np.float32, codes=None, column=None):
    """Fold a forest through a rule of one column."""
    start = np.zeros((1, 1), dtype=dtype)

    def transform(rows):
        with np.errstate(over="ignore"):
            return np.asarray(rule(rows), dtype=np.float64)

    oracle = Oracle(transform, start, codes or {})
    return fold(forest, [column or Column(0, coded=bool(codes))], oracle, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [0.1, -0.1, 3.0])
def test_threshold_is_moved_to_the_last_number_that_goes_left(scale, dtype):
    """On the numbers around it, a folded threshold decides as the transformed one; falling rules turn it round."""
    factor = dtype(scale)
    forest = stump(0.7)
    moved = folded(forest, lambda rows: rows * factor, dtype=dtype)
    turn = dtype(0.7 / scale)
    near = [turn]
    for side in (dtype(-np.inf), dtype(np.inf)):
        value = turn
        for _ in range(20):
            value = np.nextafter(value, side)
            near.append(value)
    rows = np.array([*near, 0.0, -0.0, np.finfo(dtype).max / 8, -np.finfo(dtype).max / 8], dtype=dtype)[:, None]
    np.testing.assert_array_equal(moved.raw(rows), forest.raw((rows * factor).astype(np.float64)))


def test_nothing_and_everything_goes_left():
    """A rule that never reaches the threshold, or never leaves it, gives one side for all numbers."""
    rows = np.array([[-1e38], [0.0], [1e38]], dtype=np.float32)
    low = folded(stump(0.5), lambda rows: np.clip(rows, -0.25, 0.25))
    high = folded(stump(-0.5), lambda rows: np.clip(rows, -0.25, 0.25))
    assert low.raw(rows).ravel().tolist() == [1.0, 1.0, 1.0]
    assert high.raw(rows).ravel().tolist() == [2.0, 2.0, 2.0]


def test_missing_values_go_where_what_is_filled_in_goes():
    """A filled NaN is compared as the number; one that stays NaN goes where the model sends it."""
    missing = np.array([[np.nan]], dtype=np.float32)
    filled = folded(stump(0.5), lambda rows: np.where(np.isnan(rows), 0.25, rows))
    kept = folded(stump(0.5, nan_left=True), lambda rows: rows * np.float32(-2))
    assert filled.raw(missing)[0, 0] == 1.0
    assert kept.raw(missing)[0, 0] == 1.0


def test_category_becomes_a_set_of_codes():
    """A one-hot column is 1 for one code; every other one, seen or not, goes with 0."""
    codes = {0: np.arange(3.0)}
    moved = folded(stump(0.5), lambda rows: rows == 1, codes=codes)
    rows = np.array([[0], [1], [2], [3], [1.5], [-1], [np.nan], [np.inf]], dtype=np.float32)
    assert moved.raw(rows).ravel().tolist() == [1, 2, 1, 1, 1, 1, 1, 1]
    assert [each.tolist() for each in moved.category_sets()] == [[1.0]]


def test_set_on_encoded_categories():
    """A set of ordinal numbers becomes the set of the codes behind them."""
    codes = {0: np.arange(4.0)}
    moved = folded(stump(0.0, sets={0: [0, 1]}), lambda rows: np.where(rows <= 3, 3 - rows, -1), codes=codes)
    rows = np.array([[0], [1], [2], [3], [4]], dtype=np.float32)
    assert moved.raw(rows).ravel().tolist() == [2, 2, 1, 1, 2]


def test_rule_that_turns_back_is_refused():
    """A column that rises and falls has no single threshold."""
    with pytest.raises(UnsupportedModelError, match="neither rises nor falls all the way"):
        folded(stump(0.5), np.square)


def test_step_back_right_at_the_threshold_is_refused():
    """A rule that is not monotone in the last bits is found out where it matters."""
    odd = np.float32(0.5) + 3 * np.spacing(np.float32(0.5))

    def rule(rows):
        return np.where(rows == odd, 0.25, rows)

    with pytest.raises(UnsupportedModelError, match="neither rises nor falls"):
        folded(stump(0.5), rule)


def people(seed=0, count=200):
    """Return a table with numbers, text and missing values, and labels."""
    random = np.random.default_rng(seed)
    table = pandas.DataFrame(
        {
            "age": random.normal(40, 10, count).astype(np.float32),
            "city": random.choice(["Oslo", "Rome", "Bern"], count),
        }
    )
    label = ((table.age > 40) ^ (table.city == "Rome")).astype(int).to_numpy()
    table.loc[::9, "city"] = np.nan
    table.loc[::7, "age"] = np.nan
    return table, label


def pipeline_of(encoder, last=None):
    """Return a pipeline of imputed, scaled ages and encoded cities."""
    numbers = make_pipeline(SimpleImputer(), pre.StandardScaler())
    columns = ColumnTransformer([("age", numbers, ["age"]), ("city", encoder, ["city"])])
    return make_pipeline(columns, last or DecisionTreeClassifier(max_depth=4, random_state=0))


@pytest.mark.parametrize("last", [DecisionTreeClassifier(max_depth=4, random_state=0), LogisticRegression()])
@pytest.mark.parametrize(
    "encoder",
    [
        pre.OneHotEncoder(handle_unknown="ignore"),
        make_pipeline(SimpleImputer(strategy="most_frequent"), pre.OneHotEncoder(handle_unknown="ignore")),
        pre.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    ],
    ids=["one-hot", "imputed", "ordinal"],
)
def test_table_with_text_is_answered_by_the_file(encoder, last, tmp_path):
    """A file takes the DataFrame that the pipeline takes, and answers alike."""
    table, label = people()
    model = pipeline_of(encoder, last).fit(table, label)
    glulam.export(model, tmp_path / "model.onnx", table, proof_rows=1_000)
    file = glulam.load(tmp_path / "model.onnx")
    fresh, _ = people(seed=1)
    np.testing.assert_allclose(file.predict_proba(fresh), model.predict_proba(fresh), atol=2e-6)
    assert file.predict(fresh).tolist() == model.predict(fresh).tolist()


def test_missing_and_unseen_that_differ_are_told_apart(tmp_path):
    """Where a missing city is a category of its own, one never seen is refused, not taken for missing."""
    table, label = people()
    model = pipeline_of(pre.OneHotEncoder(handle_unknown="ignore")).fit(table, label)
    glulam.export(model, tmp_path / "model.onnx", table, proof_rows=1_000)
    file = glulam.load(tmp_path / "model.onnx")
    with pytest.raises(FeatureError, match="category 'Lima' was not seen in training"):
        file.predict(pandas.DataFrame({"age": [40.0], "city": ["Lima"]}))


def test_thresholds_of_float64_rows():
    """scikit-learn's scalers keep the rows' type, so a file for float64 rows turns at other numbers."""
    X = np.random.default_rng(0).normal(1e3, 1.0, (300, 3))
    y = (X[:, 0] > X[:, 1]).astype(int)
    model = make_pipeline(pre.StandardScaler(), LGBMClassifier(n_estimators=4, verbose=-1, n_jobs=1)).fit(X, y)
    schema = PLUGIN.signature(model).schema
    narrow, wide = PLUGIN.lower(model, schema), PLUGIN.lower_wide(model, schema)
    assert not np.array_equal(narrow.body.threshold, wide.body.threshold)
    turns = wide.body.threshold[np.isfinite(wide.body.threshold)]
    rows = X[np.arange(3 * turns.size) % 300].copy()
    rows[np.arange(len(rows)), np.tile(wide.body.feature[np.isfinite(wide.body.threshold)], 3)] = np.concatenate(
        [turns, np.nextafter(turns, -np.inf), np.nextafter(turns, np.inf)]
    )
    np.testing.assert_allclose(member_vote(wide, rows), PLUGIN.votes(model, rows, "binary"), atol=1e-14)
    assert not np.array_equal(narrow.body.threshold, wide.body.threshold)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([PCA(2), LGBMClassifier(n_estimators=2, verbose=-1, n_jobs=1)], "may go the other way"),
        ([pre.Normalizer(), RandomForestClassifier(2)], "may go the other way"),
        ([pre.FunctionTransformer(np.log1p), RandomForestClassifier(2)], "FunctionTransformer('log1p') is code"),
        (
            [
                FeatureUnion([("a", pre.StandardScaler()), ("b", PCA(1))], transformer_weights={"a": 2.0}),
                LogisticRegression(),
            ],
            "FeatureUnion(transformer_weights=...)",
        ),
    ],
    ids=["sums", "norms", "code", "weights"],
)
def test_refused_transformers(steps, message):
    """What would not be exact is refused by name."""
    X = np.abs(np.random.default_rng(0).normal(size=(60, 3)))
    model = make_pipeline(*steps).fit(X, X[:, 0] > X[:, 1])
    with pytest.raises(UnsupportedModelError) as refusal:
        PLUGIN.lower(model, None)
    assert message in str(refusal.value)


def test_unfitted_pipeline_is_refused():
    """A pipeline that was not fitted has no columns to speak of."""
    with pytest.raises(UnsupportedModelError, match="fit it first"):
        PLUGIN.signature(make_pipeline(pre.StandardScaler(), LogisticRegression()))


def test_what_is_accepted():
    """A Pipeline that ends in a known model is; one that ends in a transformer, or a subclass, is not."""
    assert PLUGIN.accepts(make_pipeline(pre.StandardScaler(), LogisticRegression()))
    assert not PLUGIN.accepts(make_pipeline(pre.StandardScaler(), PCA()))
    assert not PLUGIN.accepts(LogisticRegression())


def test_saved_and_restored():
    """A restored pipeline answers alike."""
    X = np.random.default_rng(0).normal(size=(60, 3))
    model = make_pipeline(pre.StandardScaler(), LogisticRegression()).fit(X, X[:, 0] > 0)
    again = PLUGIN.restore(PLUGIN.dump(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_text_columns_are_no_member():
    """A pipeline that decodes text its own way is refused as a member: an ensemble numbers categories its own way."""
    frame = pandas.DataFrame({"city": ["b", "a"] * 60, "x": np.arange(120.0)})
    columns = ColumnTransformer([("city", pre.OneHotEncoder(), ["city"])], remainder="passthrough")
    model = make_pipeline(columns, DecisionTreeClassifier(max_depth=2)).fit(frame, frame.x > 60)
    with pytest.raises(
        UnsupportedModelError, match="fitted on categories by name, which an ensemble numbers its own way"
    ):
        PLUGIN.check(model, "binary")


def test_members_are_fitted_in_float64():
    """scikit-learn multiplies in the type of the fit, so that a member's answers have the digits of float64."""
    X = (1e5 + np.random.default_rng(0).normal(size=(200, 3))).astype(np.float32)
    model = PLUGIN.fit(make_pipeline(pre.StandardScaler(), LogisticRegression()), X, (X[:, 0] > 1e5).astype(int))
    assert model[-1].coef_.dtype == np.float64
