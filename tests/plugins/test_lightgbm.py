"""LightGBM members: rules of prediction that only show on odd values, and what is refused."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest

from glulam.errors import ArtifactError, ConfigError, UnsupportedModelError
from glulam.interpreter import member_leaves, member_vote
from glulam.schema import FeatureSchema
from glulam_plugins.models._lightgbm_text import as_compared, read
from glulam_plugins.models.lightgbm import LightGBM

PLUGIN = LightGBM()
TINY = np.float32(1e-35)
CODES = {"min_data_per_group": 1, "cat_smooth": 0.1, "max_cat_to_onehot": 1, "min_data_in_bin": 1}


def fit(X, y, made=lightgbm.LGBMClassifier, categorical_feature="auto", init_model=None, **params):
    """Fit a small model and return it."""
    settings = {"n_estimators": 3, "min_child_samples": 1, "verbose": -1, "n_jobs": 1} | params
    return made(**settings).fit(X, y, categorical_feature=categorical_feature, init_model=init_model)


def agree(model, rows, task):
    """Check that the lowered model votes as LightGBM does, for rows of either type."""
    member = PLUGIN.lower(model, FeatureSchema.learn(np.zeros_like(rows)))
    for each in (rows.astype(np.float32), rows.astype(np.float64)):
        np.testing.assert_allclose(member_vote(member, each), PLUGIN.votes(model, each, task), atol=1e-14, rtol=1e-12)
        leaves = PLUGIN.leaves(model, each)
        if leaves is not None:
            np.testing.assert_array_equal(member_leaves(member, each), leaves)
    return member


def edited(model, **lines):
    """Return a Booster of a model's text in which some lines of its trees hold something else."""
    text = model.booster_.model_to_string()
    kept = [f"{line.partition('=')[0]}={lines.get(line.partition('=')[0])}" if line.partition("=")[0] in lines else line
            for line in text.split("\n")]  # fmt: skip
    return lightgbm.Booster(model_str="\n".join(line for line in kept if not line.startswith("tree_sizes")))


def test_three_rows_give_a_literal_stump():
    """A model of three rows becomes the tree that a reader would draw."""
    X = np.float32([[1], [2], [3]])
    model = fit(
        X, [0.0, 0.0, 9.0], lightgbm.LGBMRegressor, n_estimators=1, learning_rate=1.0, num_leaves=2, min_data_in_bin=1
    )
    forest = PLUGIN.lower(model, FeatureSchema.learn(X)).body
    assert (forest.feature.tolist(), forest.left.tolist(), forest.right.tolist()) == ([0], [-1], [-2])
    assert forest.threshold[0] == pytest.approx(2.5, abs=1e-15)
    np.testing.assert_allclose(forest.leaf_value.ravel(), [0.0, 9.0], atol=1e-6)


@pytest.mark.parametrize(
    "threshold", [0.0, 1e-35, -1e-35, 1e-36, -1e-36, 1e-300, -1e-300, float(TINY), -float(TINY), 1.0]
)
def test_thresholds_around_zero_decide_as_lightgbm_reads_the_values(threshold):
    """Values of at most 1e-35 in size count as 0, on whichever side of the threshold they are."""
    for zero in (TINY, np.float64(TINY)):
        below, above = np.nextafter(zero, type(zero)(0)), np.nextafter(zero, type(zero)(1))
        for x in [*np.array([0.0, -0.0, 1e-45, -1e-45], type(zero)), below, -below, zero, -zero, above, -above]:
            seen = 0.0 if abs(x) <= TINY else float(x)
            assert (float(x) <= as_compared(np.array([threshold]))[0]) == (seen <= threshold), x


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
    assert type(restored) is lightgbm.Booster
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


def test_the_bits_of_a_set_are_the_codes_that_go_left():
    """A literal tree with two sets: word 0 holds codes 0 to 31, word 1 those from 32 on."""
    text = (
        "tree\nmax_feature_idx=1\nnum_tree_per_iteration=1\n\nTree=0\nnum_leaves=3\nnum_cat=2\nsplit_feature=1 0\n"
        "threshold=1 0\ndecision_type=1 1\nleft_child=1 -1\nright_child=-2 -3\nleaf_value=1 2 3\n"
        "cat_boundaries=0 1 3\ncat_threshold=5 1 2147483649\n\nend of trees\n"
    )
    model = read(text)
    (tree,) = model.trees()
    assert {node: codes.tolist() for node, codes in tree.sets.items()} == {0: [0, 32, 63], 1: [0, 2]}
    assert (model.n_features, model.objective, tree.reading.tolist()) == (2, "", [2, 2])


@pytest.fixture(scope="module")
def categorical():
    """Return a regressor that splits on codes 0 to 39, in a column beside a number."""
    random = np.random.default_rng(5)
    X = np.column_stack([random.integers(0, 40, 600), random.normal(size=600)]).astype(np.float32)
    y = np.where(X[:, 0] % 3 == 0, 5.0, 0.0) + (X[:, 0] == 0) * 9.0 + X[:, 1]
    return fit(X, y, lightgbm.LGBMRegressor, categorical_feature=[0], n_estimators=5, **CODES)


def test_codes_are_truncated_toward_zero_and_unknown_ones_go_right(categorical):
    """-0.5 is category 0; negative codes, NaN, infinities, huge and unseen codes are in no set."""
    odd = [0, -0.0, -0.5, -0.999, -1, -1.5, -5, 0.5, 0.999, 3, 3.7, 40, 41, 1e3, 2.0**24, 2.0**31, 2.0**32 + 3, 1e30]
    rows = np.array([*([code, 0.1] for code in odd), [np.nan, 0.1], [np.inf, 0.1], [-np.inf, 0.1], [3.0, np.nan]])
    agree(categorical, rows, "regression")
    answers = PLUGIN.votes(categorical, rows, "regression").ravel()
    assert answers[0] == answers[2] == answers[3] != answers[4]  # the library's own, which the rule is taken from


def test_an_empty_set_sends_every_row_right(categorical):
    """A node of an empty bitset is no set of a forest, but a threshold below all codes."""
    words = next(
        line for line in categorical.booster_.model_to_string().split("\n") if line.startswith("cat_threshold=")
    )
    count = len(words.partition("=")[2].split())
    model = edited(fit_like(categorical), cat_threshold=" ".join(["0"] * count))
    rows = np.array([[code, 0.1] for code in (*range(-3, 45), -np.inf, np.inf, np.nan)])
    member = agree(model, rows, "regression")
    assert not any(step.rule.category_set.size for step in member.body.steps if hasattr(step.rule, "category_set"))


def fit_like(model):
    """Return the first tree of a model as an estimator-like thing that `edited` takes."""
    text = model.booster_.model_to_string(num_iteration=1)
    return type("One", (), {"booster_": lightgbm.Booster(model_str=text)})


def test_zero_as_missing_goes_with_nan():
    """0, everything of at most 1e-35 in size, and NaN go the default way."""
    random = np.random.default_rng(1)
    values = np.float32([0, np.nan, -1, 1, 1e-36, -1e-36, TINY, -TINY, 1.1e-35, -1.1e-35, 2])
    X = random.choice(values, (500, 2))
    y = (np.abs(np.nan_to_num(X)).sum(axis=1) > 1e-35).astype(int) ^ (np.nan_to_num(X[:, 0], nan=1.0) > 0)
    model = fit(X, y, n_estimators=10, zero_as_missing=True)
    assert any((tree.reading == 1).any() for tree in read(model.booster_.model_to_string()).trees())
    agree(model, X, "binary")


def test_a_column_that_is_read_in_two_ways_becomes_two():
    """A model continued with other settings reads a column as a number in some trees, as a category in others."""
    random = np.random.default_rng(2)
    X = np.column_stack([random.integers(0, 9, 500), random.normal(size=500)]).astype(np.float32)
    y = (X[:, 0] % 3 == 0).astype(int) ^ (X[:, 1] > 1)
    first = fit(X, y)
    model = fit(X, y, init_model=first, categorical_feature=[0], zero_as_missing=True, **CODES)
    rows = np.array([[code, number] for code in (0, 3, -0.5, 2.5, -1, np.nan, 77) for number in (0, 1e-36, np.nan, 2)])
    member = agree(model, rows, "binary")
    assert member.last.n_features == 4


@pytest.fixture(scope="module")
def linear():
    """Return a linear regressor, and rows on which its leaves have no, some and only missing features."""
    random = np.random.default_rng(3)
    X = random.normal(size=(400, 3)).astype(np.float32)
    X[random.random(X.shape) < 0.1] = np.nan
    y = np.nan_to_num(X[:, 0]) * 3 + np.nan_to_num(X[:, 1]) ** 2 + 1
    model = fit(X, y, lightgbm.LGBMRegressor, linear_tree=True, n_estimators=8, num_leaves=6)
    terms = [tree.linear.feature for tree in read(model.booster_.model_to_string()).trees()]
    assert sum(map(len, terms)) > 20
    return model, X


def test_linear_leaves_fall_back_to_their_value_where_a_feature_is_missing(linear):
    """Every pattern of missing features is exact."""
    model, X = linear
    patterns = np.array([[bits >> column & 1 for column in range(3)] for bits in range(8)], dtype=bool)
    rows = np.concatenate([np.where(pattern, np.nan, X) for pattern in patterns])
    agree(model, rows, "regression")
    assert PLUGIN.leaves(model, X) is None


def test_linear_leaves_multiply_infinity_as_lightgbm_does(linear):
    """Infinite features give infinities of the coefficients' signs, and NaN where they meet."""
    model, X = linear
    values = [np.inf, -np.inf, 3e38, -3e38, 1e-36, 0.0, -0.0, np.nan, 1.0]
    rows = np.array([[a, b, c] for a in values for b in values for c in values])
    member = PLUGIN.lower(model, FeatureSchema.learn(X[~np.isnan(X).any(axis=1)]))
    expected = PLUGIN.votes(model, rows, "regression")
    assert np.isnan(expected).any()
    assert np.isinf(expected).any()
    np.testing.assert_allclose(member_vote(member, rows), expected, rtol=1e-12)


@pytest.mark.parametrize("threshold", [0.0, -1e-36, 1e-36, -1.0])
def test_a_nan_that_counts_as_zero_is_compared_as_zero(threshold):
    """Missing type None: NaN is 0, which is left of 0 and right of anything below."""
    model = fit(np.float32([[-1], [1]] * 10), [0.0, 1.0] * 10, lightgbm.LGBMRegressor, n_estimators=1, num_leaves=2)
    stump = edited(model, threshold=repr(threshold), decision_type="2")
    agree(stump, np.float32([[np.nan], [0], [-0.0], [1e-36], [-1e-36], [-2], [2]]), "regression")


@pytest.mark.parametrize("objective", ["binary", "regression", "poisson"])
def test_random_forests_divide_by_their_iterations(objective):
    """Boosting rf averages, before the rule of its objective."""
    X = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    made = lightgbm.LGBMClassifier if objective == "binary" else lightgbm.LGBMRegressor
    model = fit(X, X[:, 0] > 0, made, objective=objective, boosting_type="rf", bagging_freq=1, bagging_fraction=0.5)
    agree(model, X, "binary" if objective == "binary" else "regression")


@pytest.mark.parametrize(
    ("objective", "rule"),
    [("regression", np.positive), ("poisson", np.exp), ("cross_entropy", lambda x: 1 / (1 + np.exp(-x))),
     ("cross_entropy_lambda", lambda x: np.log1p(np.exp(x)))],
)  # fmt: skip
def test_regressors_answer_by_the_rule_of_their_objective(objective, rule):
    """The value is one number a row, by a rule that is written out here."""
    X = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    model = fit(X, (X[:, 0] > 0) * 0.5 + 0.25, lightgbm.LGBMRegressor, objective=objective)
    assert (PLUGIN.signature(model).task, PLUGIN.signature(model).n_targets) == ("regression", 1)
    member = agree(model, X, "regression")
    raw = model.booster_.predict(X, raw_score=True)
    np.testing.assert_allclose(member_vote(member, X).ravel(), rule(raw), rtol=1e-12)


def test_small_chances_of_cross_entropy_lambda_keep_their_digits():
    """log(1 + exp(x)) of x far below 0 is exp(x), where 1 + exp(x) is 1."""
    X = np.float32([[1], [2], [3]] * 10)
    model = fit(X, [0.0, 1.0, 1.0] * 10, lightgbm.LGBMRegressor, objective="cross_entropy_lambda", min_data_in_bin=1)
    low = edited(model, leaf_value="-40 2")
    agree(low, X, "regression")
    assert PLUGIN.votes(low, X[:1], "regression")[0, 0] < 1e-15


def test_a_regressor_of_a_classifiers_objective_is_restored_as_one():
    """Its text alone would be that of a classifier."""
    X = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    model = fit(X, (X[:, 0] > 0) * 1.0, lightgbm.LGBMRegressor, objective="binary")
    restored = PLUGIN.restore(PLUGIN.dump(model))
    assert PLUGIN.accepts(restored)
    for each in (model, restored, PLUGIN.restore(PLUGIN.dump(restored))):
        member = agree(each, X, "regression")
        assert member_vote(member, X).shape == (200, 1)
    assert PLUGIN.signature(model.booster_).task == "binary"


def test_signatures_say_what_is_answered():
    """Classes of an estimator are its own, those of a Booster numbers; an objective of one's own has none."""
    X = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
    y = np.arange(90) % 3
    named = fit(X, np.array(["a", "b", "c"])[y])
    assert PLUGIN.signature(named).classes.tolist() == ["a", "b", "c"]
    assert PLUGIN.signature(named.booster_).classes.tolist() == [0, 1, 2]
    assert PLUGIN.signature(named).task == "multiclass"
    assert (PLUGIN.signature(named).schema.names, PLUGIN.signature(named).schema.named) == (["x0", "x1"], False)
    assert PLUGIN.labels(named, X).tolist() == named.predict(X).tolist()
    assert PLUGIN.labels(named.booster_, X) is None
    own = fit(X, y == 1, objective=lambda y, raw: (raw - y, np.ones_like(raw)))
    assert (PLUGIN.signature(own).task, PLUGIN.labels(own, X)) == ("regression", None)


def test_codes_of_a_dataframe_are_its_categories_positions():
    """LightGBM answers a matrix of positions as the DataFrame, missing and unseen categories among them."""
    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(4)
    codes = random.integers(0, 4, 400)
    table = pandas.DataFrame(
        {"size": random.normal(size=400), "town": pandas.Categorical.from_codes(codes, ["Ulm", "Bonn", "Jena", "Kiel"]),
         "grade": pandas.Categorical.from_codes(codes % 3, [10, 20, 30], ordered=True)}
    )  # fmt: skip
    y = (codes % 2).astype(float) + table["size"].to_numpy() + 2.0 * (codes % 3)
    model = fit(table, y, lightgbm.LGBMRegressor, n_estimators=10, **CODES)
    schema = PLUGIN.signature(model).schema
    assert [feature.categories for feature in schema.features] == [(), ("Ulm", "Bonn", "Jena", "Kiel"), (10, 20, 30)]
    odd = table.assign(
        town=pandas.Categorical(["Ulm", "Trier", None, "Kiel"] * 100),
        grade=pandas.Categorical([30, 40, None, 10] * 100, ordered=True),
    )
    for each in (table, odd):
        rows = schema.encode(each)
        np.testing.assert_array_equal(model.booster_.predict(rows), model.predict(each.astype({"size": np.float32})))
        agree(model, rows, "regression")


def test_categories_of_unknown_columns_are_refused():
    """LightGBM keeps the categories in order, not their columns: two that would do are one too many."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"grade": pandas.Categorical([0, 1, 2] * 40, ordered=True), "count": [0, 1, 2, 1] * 30})
    model = fit(table, np.arange(120) % 3, lightgbm.LGBMRegressor)
    with pytest.raises(
        UnsupportedModelError, match=r"1 columns of categories, and it does not keep which they are; \[\] are certain"
    ):
        PLUGIN.signature(model)


def test_categories_of_other_types_are_refused():
    """A file has text, numbers and booleans."""
    model = fit(np.float32([[0], [1]] * 20), [0, 1] * 20, categorical_feature=[0])
    model.booster_.pandas_categorical = [[(1, 2), (3, 4)]]
    with pytest.raises(UnsupportedModelError, match=r"column 'Column_0' has categories like \(1, 2\) \(tuple\)"):
        PLUGIN.signature(model)


def test_a_model_file_is_opened_by_its_content(tmp_path, categorical):
    """`save_model` writes what `read` reads; another text is none, half of one is damaged."""
    path = tmp_path / "model.txt"
    categorical.booster_.save_model(path)
    rows = np.float32([[3, 0.5], [4, np.nan]])
    np.testing.assert_array_equal(PLUGIN.read(path).predict(rows), categorical.predict(rows))
    text = path.read_text()
    path.write_text(text[: len(text) // 3])
    with pytest.raises(ArtifactError, match="a damaged LightGBM model: it ends before its trees do; save it again"):
        PLUGIN.read(path)
    path.write_text("a shopping list")
    assert PLUGIN.read(path) is None


def test_what_cannot_be_exact_is_refused_by_name(binary, categorical):
    """Each refusal says what it is about, and what to do."""
    X, y = binary
    X, y = X[:300, :3], y[:300]
    schema = FeatureSchema.learn(X)
    large = np.where(X[:, :1] > 1, np.float32(2**24 + 2), np.float32(0))
    for model, message in (
        (fit(X, y, pred_early_stop=True), "pred_early_stop=True leaves trees out; use pred_early_stop=False"),
        (fit(X, y, objective="multiclass", num_class=3), "num_class=3, but it was fitted on 2 classes"),
        (lightgbm.LGBMClassifier(), "this LGBMClassifier is not fitted; fit it first"),
        (
            edited(fit(X, y, lightgbm.LGBMRegressor, n_estimators=1, num_leaves=2), leaf_value="inf 1"),
            "a leaf is infinite",
        ),
        (
            fit(large, X[:, 0] > 1, categorical_feature=[0], n_estimators=1, **CODES),
            "has the code 16777218; codes above 16,777,216 are not all float32 numbers. Number the categories from 0",
        ),
    ):
        with pytest.raises(UnsupportedModelError, match=message):
            PLUGIN.lower(model, schema)
    with pytest.raises(UnsupportedModelError, match=r"at least two classes, it was fitted on \[1\] alone"):
        PLUGIN.signature(fit(X, np.ones(300, dtype=int)))


def test_an_ensemble_refuses_members_without_probabilities(binary):
    """`check` names the objective, and categories that the ensemble's schema does not know."""
    X, y = binary
    for params, message in (
        ({"objective": "poisson"}, "objective 'poisson' gives no probabilities"),
        (
            {"objective": lambda y, raw: (raw - y, np.ones_like(raw))},
            'objective "of one\'s own" gives no probabilities',
        ),
    ):
        with pytest.raises(UnsupportedModelError, match=message):
            PLUGIN.check(fit(X, y, **params), "binary")
    model = fit(X, y)
    PLUGIN.check(model, "binary")
    model.booster_.pandas_categorical = [["a", "b"]]
    with pytest.raises(UnsupportedModelError, match="fitted on native categories of a DataFrame, which an ensemble"):
        PLUGIN.check(model, "binary")


def test_an_objective_that_is_not_known_is_refused():
    """A later version's objective may have a rule of its own."""
    from glulam_plugins.models._lightgbm_forest import lower_trees
    from glulam_plugins.models._lightgbm_rules import lower_answer

    model = read("tree\nmax_feature_idx=0\nnum_tree_per_iteration=1\nobjective=gumbel\n\nend of trees\n")
    with pytest.raises(UnsupportedModelError, match="objective 'gumbel' is not known; known are"):
        lower_answer(model, lower_trees(model, 1.0), pair=False)
