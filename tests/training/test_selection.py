"""Feature selection: noise is dropped, what matters stays, and a choice is taken only where it pays unseen."""

from dataclasses import replace

import lightgbm
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from training.made import candles_dataset

from glulam import EnsembleClassifier, EnsembleRegressor, Feature, FeatureSchema, plugins
from glulam.dataset import Dataset, RawTable
from glulam.errors import ConfigError
from glulam.testing import ContractError, check_selector
from glulam.training.bootstrap import block_length, draw_counts
from glulam.training.measuring import compare
from glulam.training.selection import choose_features, select_by_fold, with_features
from glulam.trainspecs import FeatureSelector, Selection

INFORMATIVE = ["up", "down", "step", "square"]
NOISE = [f"noise_{index}" for index in range(20)]


def dataset(X, y, names, task="binary", time=None, classes=(0, 1)):
    """Return rows as a dataset, with or without a time."""
    rows = np.arange(len(X), dtype=np.int64)
    return Dataset(
        X=X.astype(np.float32),
        y=y,
        schema=FeatureSchema(tuple(map(Feature, names))),
        task=task,
        classes=np.array(classes if task != "regression" else []),
        horizon=0 if time is None else 1,
        rows=rows,
        label_end=rows + (time is not None),
        raw=RawTable({}, time, rows, "rows", "0" * 64),
    )


def planted(n_rows=2_400, noise=8, task="binary", seed=0, timed=True):
    """Return rows whose label follows from four features; the other ones are noise."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n_rows, 4 + noise))
    score = X[:, 0] - X[:, 1] + 2.0 * (X[:, 2] > 0) + X[:, 3] ** 2 - 2.0 + 0.3 * random.normal(size=n_rows)
    y = score if task == "regression" else (score > 0).astype(np.int64)
    order = random.permutation(4 + noise)  # noise and signal in no order
    names = [[*INFORMATIVE, *NOISE[:noise]][index] for index in order]
    return dataset(X[:, order], y, names, task, np.arange(n_rows) * 3_600_000_000 if timed else None)


def boosted(rows):
    """Return a small LightGBM estimator, which noise can mislead."""
    kind = lightgbm.LGBMRegressor if rows.task == "regression" else lightgbm.LGBMClassifier
    return kind(n_estimators=40, num_leaves=15, min_child_samples=10, n_jobs=1, random_state=0, verbose=-1)


def ensemble(rows):
    """Return a small voting ensemble that knows what its columns are."""
    kind = EnsembleRegressor if rows.task == "regression" else EnsembleClassifier
    members = [("lightgbm", {"n_estimators": 10, "n_jobs": 1}), ("decision_tree", {"max_depth": 3})]
    return kind(members, schema=rows.schema, progress=False)


def linear(rows):
    """Return a linear estimator, which a pure noise feature hurts but little."""
    return LinearRegression() if rows.task == "regression" else LogisticRegression()


def folds_of(data, n_splits=3):
    """Return the folds of a walk-forward."""
    return tuple(plugins.splitter("walk_forward", n_splits=n_splits, horizon=data.horizon).split(data.X))


class Recording(FeatureSelector):
    """Chooses what it is told, and keeps what it was shown."""

    name = "recording"

    def __init__(self, *kept):
        self.kept, self.seen = kept, []

    def select(self, data, folds, make):
        """Return the given names."""
        self.seen.append((data, folds))
        width = len(data.schema)
        return Selection(self.kept, np.zeros((width, 1)), np.ones(width))


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_planted_noise_is_dropped_and_it_pays(task):
    """Of rows with twenty noise features the four that matter are kept, by each fold and by all rows."""
    data = planted(noise=20, task=task)
    metric = plugins.metric("rmse" if task == "regression" else "log_loss")
    selector = plugins.selector("stability", n_repeats=4, subsamples=2)
    folds = folds_of(data)
    selection, comparison, adopted, _ = choose_features(data, folds, selector, boosted, metric, n_draws=200)
    assert set(selection.kept) == set(INFORMATIVE)
    assert list(selection.kept) == [name for name in data.schema.names if name in INFORMATIVE]
    assert selection.importance.shape == (24, 6)
    matters = np.isin(data.schema.names, INFORMATIVE)
    assert selection.frequency[matters].min() >= 0.8
    assert selection.frequency[~matters].max() <= 0.5
    assert selection.importance[matters].mean(axis=1).min() > np.abs(selection.importance[~matters].mean(axis=1)).max()
    assert adopted is True
    assert comparison.metric == metric.name
    assert 0 < comparison.difference.low <= comparison.difference.value <= comparison.difference.high
    by_fold = select_by_fold(data, folds, selector, boosted)
    assert [set(each.kept) for each in by_fold] == [set(INFORMATIVE)] * 3


def test_nothing_is_lost_where_all_matter():
    """Where every feature matters every one is kept, so that there is no difference and nothing to take."""
    data = planted(noise=0)
    selector = plugins.selector("stability", n_repeats=4, subsamples=2)
    selection, comparison, adopted, _ = choose_features(
        data, folds_of(data), selector, boosted, plugins.metric("log_loss"), n_draws=100
    )
    assert selection.kept == tuple(data.schema.names)
    assert (comparison.difference.value, comparison.better, adopted) == (0.0, False, False)


def test_a_choice_that_does_not_pay_is_not_taken():
    """Chosen features that do worse on unseen rows are reported with their loss, and not taken."""
    data = planted()
    selection, comparison, adopted, _ = choose_features(
        data, folds_of(data), Recording(*NOISE[:8]), linear, plugins.metric("auc"), n_draws=100
    )
    assert (selection.kept, adopted) == (tuple(NOISE[:8]), False)
    assert comparison.what == "features: selected against all"
    assert comparison.difference.high < 0


def test_the_selector_sees_the_rows_to_fit_on_alone():
    """Each fold's choice is made of its rows to fit on, by walk-forward folds within them; the last one of all."""
    data, selector = planted(n_rows=400), Recording(*INFORMATIVE)
    folds = folds_of(data)
    choose_features(data, folds, selector, linear, plugins.metric("log_loss"), n_draws=100)
    assert len(selector.seen) == len(folds) + 1
    for (rows, inner), (train, _) in zip(selector.seen, folds, strict=False):
        np.testing.assert_array_equal(rows.rows, train)
        assert len(inner) == 3
        assert inner[0][1][0] == pytest.approx(len(train) / 2, abs=3)
        for fit, test in inner:
            assert fit.max() + data.horizon < test.min()
            assert test.max() < len(train)
    last, given = selector.seen[-1]
    assert last is data
    assert given is folds


def test_the_difference_is_the_paired_one_of_fits_by_hand():
    """It is what comparing the two fits on the tested rows gives; earlier choices by fold are taken as given."""
    data = planted(n_rows=500, timed=False)
    folds = tuple(plugins.splitter("stratified_k_fold", n_splits=3).split(data.X, data.y))
    selector, metric = Recording(*INFORMATIVE), plugins.metric("brier")
    by_fold = select_by_fold(data, folds, selector, linear)
    selector.seen.clear()
    _, found, _, _ = choose_features(
        data, folds, selector, linear, metric, ordered=False, n_draws=150, seed=3, by_fold=by_fold
    )
    assert len(selector.seen) == 1
    scores = np.empty((2, 500, 2))
    few = with_features(data, INFORMATIVE)
    for train, test in folds:
        scores[0, test] = linear(few).fit(few.X[train], data.y[train]).predict_proba(few.X[test])
        scores[1, test] = linear(data).fit(data.X[train], data.y[train]).predict_proba(data.X[test])
    counts = draw_counts(500, block=block_length(500, 0, False), n_draws=150, seed=3)
    answers = [(each, each.argmax(axis=1)) for each in scores]
    assert found == compare(found.what, metric, data.y, *answers, counts)


def test_a_class_that_is_not_among_the_rows_to_fit_on_has_no_chance():
    """Its column of scores is 0, and the others keep their places."""
    data = planted(n_rows=300)
    y = np.where(np.arange(300) < 280, data.y * 2, 1)
    data = replace(data, y=y, task="multiclass", classes=np.array(["a", "b", "c"]))
    folds = [(np.arange(200), np.arange(201, 300))]
    _, found, _, _ = choose_features(
        data, folds, Recording(*data.schema.names), linear, plugins.metric("log_loss"), n_draws=100,
        by_fold=[Selection(tuple(data.schema.names), np.zeros((12, 1)), np.ones(12))],
    )  # fmt: skip
    assert found.difference.value == 0


def test_honest_candles_have_little_to_select():
    """On the shipped candles an ensemble's choice is made and judged; whatever it is, it holds a feature."""
    data = candles_dataset(600)
    selector = plugins.selector("stability", n_repeats=2, subsamples=1)
    selection, comparison, adopted, _ = choose_features(
        data, folds_of(data, 2), selector, ensemble, plugins.metric("log_loss"), n_draws=100
    )
    assert 1 <= len(selection.kept) <= 12
    assert adopted is (comparison.difference.value > 0)


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("categories", [("low", "high", "middle"), (1, 2, 0)])
def test_categories_of_an_ensemble_keep_their_meaning(categories, task):
    """An ensemble reads a category by its name, not by its code, in which other categories would be seen."""
    random = np.random.default_rng(0)
    codes = random.integers(0, 3, 600)
    y = codes == 1 if task == "binary" else 2.0 * codes
    data = dataset(
        np.column_stack([random.normal(size=600), codes]), y.astype(int if task == "binary" else float), "ab", task
    )
    schema = FeatureSchema((Feature("a"), Feature("b", "categorical", categories, "allow", "missing")))
    data = replace(data, schema=schema)
    folds = tuple(plugins.splitter("stratified_k_fold", n_splits=2).split(data.X, data.y))
    kind = EnsembleRegressor if task == "regression" else EnsembleClassifier

    def make(rows):
        return kind([("lightgbm", {"n_estimators": 20, "n_jobs": 1})], schema=rows.schema, progress=False)

    selector = plugins.selector("stability", n_repeats=2, subsamples=1)
    selection, _, _, _ = choose_features(
        data, folds, selector, make, plugins.metric("rmse" if task == "regression" else "log_loss"), n_draws=100
    )
    assert selection.kept == ("b",)
    assert selection.frequency.tolist() == [0.0, 1.0]


def test_with_features_keeps_the_order_of_the_schema():
    """Columns and schema are those of the names; all else stays."""
    data = planted(n_rows=50)
    names = data.schema.names
    few = with_features(data, [names[7], names[2]])
    assert few.schema.names == [names[2], names[7]]
    np.testing.assert_array_equal(few.X, data.X[:, [2, 7]])
    assert (few.y is data.y, few.raw is data.raw, len(data.schema)) == (True, True, 12)


def test_with_features_refuses():
    """Unknown names and no names are refused."""
    data = planted(n_rows=50)
    with pytest.raises(ConfigError, match=r"features: unknown \['magic'\]; expected some of \["):
        with_features(data, ["magic", "up"])
    with pytest.raises(ConfigError, match=r"features: expected at least one to keep, got none; there are \["):
        with_features(data, [])


def test_too_few_rows_within_a_fold_are_told():
    """The error says which fold's rows to fit on were too few to choose from."""
    data = planted(n_rows=40)
    folds = [(np.arange(3), np.arange(20, 40))]
    with pytest.raises(
        ConfigError, match="feature selection, within the rows to fit on of fold 1 of 1: walk_forward: .* too few"
    ):
        select_by_fold(data, folds, Recording("up"), linear)


def test_something_is_always_kept():
    """Of noise alone the one that was chosen most often is kept; max_features keeps the best."""
    data = with_features(planted(n_rows=400), NOISE[:8])
    folds = folds_of(data)
    strict = plugins.selector("stability", threshold=1.0, n_repeats=3, subsamples=2).select(data, folds, boosted)
    assert len(strict.kept) == 1
    assert strict.frequency[data.schema.names.index(strict.kept[0])] == strict.frequency.max()
    data = planted(n_rows=800)
    best = plugins.selector("stability", n_repeats=3, subsamples=2, max_features=2).select(
        data, folds_of(data), boosted
    )
    assert set(best.kept) < set(INFORMATIVE)
    assert len(best.kept) == 2


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"threshold": 0}, "stability: threshold: expected a share above 0 and up to 1, got 0; the default is 0.6"),
        ({"threshold": True}, "got True"),
        ({"n_repeats": 1}, "stability: n_repeats: expected a whole number, at least 2, got 1"),
        ({"subsamples": 0}, "stability: subsamples: expected a whole number, at least 1, got 0"),
        ({"max_features": 0.5}, "stability: max_features: expected a whole number, at least 1, got 0.5"),
        ({"seed": -1}, "stability: seed: expected a whole number, at least 0, got -1"),
        ({"rounds": 5}, "selector 'stability': .*; its parameters are"),
    ],
)
def test_refuses_parameters(params, message):
    """What cannot be is refused by name."""
    with pytest.raises(ConfigError, match=message):
        plugins.selector("stability", **params)


def test_refuses_no_folds():
    """Without folds there are no unseen rows to judge by."""
    with pytest.raises(ConfigError, match="stability: expected at least one fold, got none; give the folds"):
        plugins.selector("stability").select(planted(n_rows=50), [], linear)


def broken(change):
    """Return a selector whose result is changed on its way out."""

    class Broken(FeatureSelector):
        name = "broken"

        def select(self, data, folds, make):
            found = plugins.selector("stability", subsamples=1).select(data, folds, make)
            return change(data, found)

    return Broken


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data, found: found.kept, "select: expected a Selection, got tuple"),
        (lambda data, found: replace(found, kept=()), r"select: kept: expected a tuple of some of \["),
        (lambda data, found: replace(found, kept=("signal", "noise_0")), "each once and in that order"),
        (lambda data, found: replace(found, kept=("noise_0",)), "select: expected 'signal', which the label follows"),
        (lambda data, found: replace(found, importance=found.importance[:2]), r"importance: expected float64 \[6, n_r"),
        (lambda data, found: replace(found, frequency=found.frequency * 2), r"frequency: expected float64 \[6\] from"),
        (
            lambda data, found: replace(found, frequency=np.random.default_rng().random(6)),
            "select: expected the same choice of the same rows; draw from a generator",
        ),
        (
            lambda data, found: replace(found, frequency=np.full(6, 1 / (2 + abs(float(data.X.mean()))))),
            "select: the choice changes with rows that are in no fold",
        ),
        (
            lambda data, found: (data.X.__setitem__((0, 0), 9.0), found)[1],
            "select: expected the rows to stay as they are; work on a copy",
        ),
    ],
)
def test_the_contract_check_finds_what_is_broken(change, message):
    """Each rule of the check is broken once, and named."""
    with pytest.raises(ContractError, match=message):
        check_selector(broken(change))
