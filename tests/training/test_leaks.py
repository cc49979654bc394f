"""Ten planted leaks are found by the checks that are meant for them; sets without a leak give none."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit
from training import leaky

from glulam import plugins
from glulam.errors import ConfigError, FeatureError, GlulamError
from glulam.training.leaks import find_leaks, look_for_leaks
from glulam.trainspecs import LeakCase, Suspicion

ORDER = (
    "future_in_features", "future_in_columns", "label_in_feature", "label_overlap", "duplicate_rows", "row_order",
    "permuted_labels", "shifted_labels", "shuffled_gap", "implausible_score", "in_sample_scores",
)  # fmt: skip
PLANTED = {
    "centred_rolling_mean": ({"future_in_features"}, ("smooth",)),
    "label_off_by_one": ({"label_in_feature"}, ("returns_1",)),
    "scaled_on_all": ({"future_in_features"}, leaky.TECHNICAL.columns),
    "target_encoded_on_all": ({"label_in_feature"}, ("time_code",)),
    "future_close": ({"future_in_features"}, ("close_lagged",)),
    "duplicated_rows": ({"duplicate_rows"}, ()),
    "overlapping_horizons": ({"label_overlap", "shifted_labels", "shuffled_gap"}, ()),
    "in_sample_scoring": ({"in_sample_scores"}, ()),
    "resampled_bars": ({"future_in_features"}, ("daily_close",)),
    "label_with_noise": ({"label_in_feature", "implausible_score"}, ("sentiment",)),
}


@cache
def found_in(name: str) -> tuple[tuple[Suspicion, ...], tuple[str, ...]]:
    """Return what is found in one of the sets, and which checks looked."""
    return look_for_leaks(getattr(leaky, name)())


CLEAN = (
    "candles_next_direction", "candles_return_above", "breast_cancer", "iris", "wine", "diabetes", "higgs",
    "autoregression",
)  # fmt: skip


def find(check: str, case: LeakCase) -> list[Suspicion]:
    """Return what one check finds."""
    return plugins.leak_check(check).find(case)


# -- the ten, and none -----------------------------------------------------------------------


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_leak_is_found(name):
    """Each is found by the checks meant for it, which name the features; what is said fits a line."""
    expected, features = PLANTED[name]
    found, _ = found_in(name)
    assert expected <= {suspicion.check for suspicion in found}
    by_meant = [suspicion for suspicion in found if suspicion.check in expected]
    assert by_meant[0].features == features
    for suspicion in found:
        assert re.fullmatch(r"suspected leak \([a-z_]+\): .*\d.*; .+", str(suspicion))
        assert suspicion.evidence


@pytest.mark.parametrize("name", PLANTED)
def test_nothing_but_the_planted_leak_is_named(name):
    """No suspicion is about a feature that is not the planted one."""
    _, features = PLANTED[name]
    found, _ = found_in(name)
    assert {feature for suspicion in found for feature in suspicion.features} <= set(features)


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_set_is_not_suspected(name):
    """Nothing is found in sets without a leak, strong honest features or not."""
    found, ran = found_in(name)
    assert found == ()
    assert len(ran) >= 5


def test_a_missing_gap_is_found():
    """Walk-forward without a gap lets labels of six bars reach into the rows to test on: six rows a fold."""
    (suspicion,), _ = look_for_leaks(leaky.unpurged_horizons(), skip=["permuted_labels"])
    assert suspicion.check == "label_overlap"
    assert suspicion.evidence["rows"] == [6] * 5
    assert str(suspicion).endswith("leave a gap of 6 rows between them (purge), and keep the rows in their order")


# -- the future ------------------------------------------------------------------------------


@pytest.mark.parametrize("half", [1, 3, 20])
def test_the_reach_of_a_centred_window_is_told(half):
    """As many rows before the end change as the window reaches ahead."""
    (suspicion,) = find("future_in_features", leaky.centred_rolling_mean(half, n_bars=1_500))
    assert suspicion.evidence["rows_before_cut"] == {"smooth": half}


def test_a_changed_value_is_measured():
    """A feature that stays finite says by how many standard deviations it changed."""
    (suspicion,) = find("future_in_features", leaky.scaled_on_all(n_bars=1_500))
    assert re.search(r"12 features change when later rows are removed, \w+ most: by [\d.]+ standard", suspicion.what)


def test_rows_that_wait_for_the_future_are_found():
    """A generator that gives its last rows only once later ones are there is found."""
    case = leaky.candles_next_direction(n_bars=1_000)

    def generate(table):
        X, rows = leaky.technical(table)
        return (X, rows) if len(table) == 1_000 else (X[:-3], rows[:-3])

    (suspicion,) = find("future_in_features", replace(case, generate=generate))
    assert "the last 3 rows before the end of the history get no features until later rows are there" in str(suspicion)


def test_features_that_are_not_the_generated_ones_are_found():
    """What was done to the features after they were generated cannot be vouched for, and is named."""
    case = leaky.candles_next_direction(n_bars=1_000)
    X = case.data.X.copy()
    X[:, 3] -= X[:, 3].mean()
    (suspicion,) = find("future_in_features", replace(case, data=replace(case.data, X=X)))
    assert (
        "what generate returns is not in the rows: rsi_14 differs in 950 of 950 rows, 0 other features somewhere"
        in str(suspicion)
    )


def test_a_history_too_short_to_cut_is_an_error():
    """Where no shorter history gives features, the check says so instead of passing."""
    case = leaky.candles_next_direction(n_bars=300)

    def generate(table):
        if len(table) < 300:
            raise FeatureError("too short")
        return leaky.technical(table)

    with pytest.raises(
        FeatureError,
        match=r"leak check 'future_in_features': the features of 300 rows could not be recomputed on any shorter history; give more rows, or skip the check",
    ):
        find("future_in_features", replace(case, generate=generate))


@given(lag=st.integers(0, 5), ahead=st.integers(0, 5), seed=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_exactly_what_reads_ahead_changes(lag, ahead, seed):
    """Of a lagged and a leading copy of noise, the leading one is named, and only if it leads."""
    noise = np.random.default_rng(seed).normal(size=400)

    def generate(table):
        padded = np.concatenate([np.zeros(5), table["x"], np.zeros(5)])
        at = np.arange(len(table["x"])) + 5
        return np.column_stack([padded[at - lag], padded[at + ahead]])

    X = generate({"x": noise})
    found = find_leaks(
        {"lagged": X[:, 0], "leading": X[:, 1]}, noise > 0.1, time=np.arange(400), raw={"x": noise}, generate=generate,
        skip=[name for name in plugins.known("leak_check") if name != "future_in_features"],
    )  # fmt: skip
    assert [suspicion.features for suspicion in found] == [("leading",)] * (ahead > 0)


def test_later_prices_in_a_column_are_found():
    """Where nobody can recompute, later values of the price that the label follows are recognised."""
    for make in (leaky.future_close, leaky.resampled_bars):
        (suspicion,) = find("future_in_columns", replace(make(), generate=None))
        assert re.search(r"holds, in \d+% of the rows, the value that close has up to [15] rows later", suspicion.what)


def test_a_column_scaled_over_all_rows_is_found():
    """Columns with a mean of 0 and a standard deviation of 1 over all rows are named, where rows have an order."""
    case = leaky.scaled_on_all(recomputed=False)
    found = find("future_in_columns", case)
    assert [suspicion.features for suspicion in found] == [(name,) for name in leaky.TECHNICAL.columns]
    assert "close has a mean of 0 and a standard deviation of 1 over all 3950 rows" in str(found[0])


def test_a_lagged_column_is_no_future():
    """A price beside its own lags: each is the other moved, and nothing is reported."""
    close = leaky.candles().columns["close"]
    X = {"close": close[2:-1], "before": close[1:-2], "two_before": close[:-3]}
    assert find_leaks(X, close[3:] > close[2:-1], time=np.arange(len(close) - 3), horizon=1) == ()


# -- the label -------------------------------------------------------------------------------


def test_a_copy_of_the_label_is_found():
    """Numbers that stand for the labels one by one are a copy, for two classes and for more."""
    for case in (leaky.breast_cancer(), leaky.wine()):
        copy = np.array([7.0, 3.0, 5.0])[case.data.y].astype(np.float32)
        X = case.data.X.copy()
        X[:, 2] = copy
        (suspicion,) = find("label_in_feature", replace(case, data=replace(case.data, X=X)))
        assert suspicion.features == (case.data.schema.names[2],)
        assert "values of x2 tell the label in 100.00% of the rows" in str(suspicion)


def test_a_value_in_other_units_is_found():
    """A feature that orders the rows as their values do is the value in other units."""
    case = leaky.diabetes()
    X = case.data.X.copy()
    X[:, 0] = np.log(case.data.y)
    (suspicion,) = find("label_in_feature", replace(case, data=replace(case.data, X=X)))
    assert "x0 orders the rows as the label does (rank correlation 1.00000)" in str(suspicion)


def test_two_features_that_give_the_label_are_found():
    """The close and the next one say the label by their difference."""
    close = leaky.candles().columns["close"]
    X = {"now": close[:-1], "other": close[1:], "noise": np.random.default_rng(0).normal(size=len(close) - 1)}
    found = find_leaks(X, close[1:] > close[:-1], folds=list(KFold(3, shuffle=True, random_state=0).split(close[1:])))
    assert [(suspicion.check, suspicion.features) for suspicion in found] == [("label_in_feature", ("now", "other"))]


@pytest.mark.parametrize("smoothing", [0.0, 25.0])
def test_target_encoding_is_found_with_and_without_smoothing(smoothing):
    """Mean labels over all rows are recognised, drawn towards the overall mean or not."""
    (suspicion,) = find("label_in_feature", leaky.target_encoded_on_all(12, smoothing))
    assert suspicion.evidence["smoothing"] == pytest.approx(smoothing, abs=0.5)


def test_target_encoding_of_earlier_rows_is_not_suspected():
    """Target encoding that reads earlier rows only is honest."""
    random = np.random.default_rng(0)
    key = random.integers(0, 10, 1_500)
    y = random.random(1_500) < np.linspace(0.1, 0.9, 10)[key]
    code = [y[:row][key[:row] == key[row]].mean() if (key[:row] == key[row]).any() else 0.5 for row in range(1_500)]
    assert find_leaks({"code": code, "noise": random.normal(size=1_500)}, y, time=np.arange(1_500)) == ()


def test_classes_far_apart_are_no_rule():
    """One of the irises is told from the others by one feature without error, honestly: there is a gap between."""
    case = leaky.iris()
    data = replace(case.data, y=(case.data.y == 0).astype(int), classes=np.array([0, 1]), task="binary")
    assert find("label_in_feature", replace(case, data=data)) == []


# -- rows and folds --------------------------------------------------------------------------


def test_rows_fitted_and_tested_on_are_found():
    """Folds whose rows to test on are among those to fit on show by counting, and by permuted labels."""
    case = leaky.candles_next_direction(n_bars=1_500)
    everything = np.arange(len(case.data))
    case = replace(case, folds=[(everything, everything[::2])], scores=None)
    (suspicion,) = find("label_overlap", replace(case, data=replace(case.data, label_end=case.data.rows)))[:1]
    assert "725 of 725 rows to test on are among the rows that were fitted on" in str(suspicion)
    (permuted,) = find("permuted_labels", case)
    assert np.mean(permuted.evidence["permuted"]) > 0.8
    assert "labels dealt out at random are foretold with a skill of 0." in str(permuted)


def test_torn_groups_are_found():
    """Groups on both sides of a split are counted; whole ones are not suspected."""
    X, y = load_breast_cancer(return_X_y=True)
    groups = np.arange(len(y)) // 4
    (suspicion,) = find_leaks(X, y, groups=groups, splitter=KFold(5, shuffle=True, random_state=0))
    assert re.search(r"\d+ of 569 rows to test on belong to a group that was fitted on too", str(suspicion))
    assert find_leaks(X, y, groups=groups, splitter=GroupKFold(5)) == ()


@given(data=st.data(), n_rows=st.integers(6, 30))
@settings(max_examples=100, deadline=None)
def test_overlaps_are_counted_as_by_definition(data, n_rows):
    """As many rows to fit on are counted as have a span that meets that of any row to test on."""
    reach = np.array(data.draw(st.lists(st.integers(0, 6), min_size=n_rows, max_size=n_rows)))
    tested = np.array(data.draw(st.lists(st.booleans(), min_size=n_rows, max_size=n_rows)))
    if tested.all() or not tested.any():
        return
    train, test = np.flatnonzero(~tested), np.flatnonzero(tested)
    case = leaky.unordered(np.arange(n_rows * 2).reshape(n_rows, 2), np.arange(n_rows) / 7.5)
    at = np.arange(n_rows)
    data_ = replace(case.data, label_end=at + reach, horizon=6)
    found = find("label_overlap", replace(case, data=data_, folds=[(train, test)]))
    meets = [any(i <= j + reach[j] and j <= i + reach[i] for j in test) for i in train]
    assert (found[0].evidence["rows"][0] if found else 0) == sum(meets)


def test_honest_repeats_are_not_copies():
    """Rows of a few possible values repeat by chance; that is not reported."""
    random = np.random.default_rng(0)
    X = random.integers(0, 3, (2_000, 5))
    assert find_leaks(X, (X.sum(axis=1) + random.normal(size=2_000) > 5).astype(int)) == ()


def test_copies_of_missing_values_are_copies():
    """Rows with missing values are compared too."""
    random = np.random.default_rng(0)
    X, y = random.normal(size=(500, 4)), random.integers(0, 2, 500)
    X[::3, 1] = np.nan
    found = find_leaks(np.vstack([X, X[::5]]), np.append(y, y[::5]))
    assert [suspicion.check for suspicion in found] == ["duplicate_rows"]
    assert found[0].evidence["same_label"] == 1


@pytest.mark.parametrize("noise", [1e-4, 1e-2])
def test_copies_with_a_little_noise_are_found(noise):
    """Rows that repeat others with small changes are copies; a curve through many dimensions has none."""
    random = np.random.default_rng(0)
    X, y = unrelated(1_500)
    again = random.permutation(1_500)[:300]
    near = X[again] + noise * random.normal(size=(300, 6))
    mixed = random.permutation(1_800)
    X, y = np.vstack([X, near])[mixed], np.append(y, y[again])[mixed]
    (found,) = find("duplicate_rows", leaky.unordered(X, y, scored=False))
    assert "of the rows to test on have a fitted row that is ten times as near as any other" in str(found)
    place = random.random(1_500)
    curve = np.column_stack([place, np.sin(3 * place), place**2, np.exp(place)])
    assert find("duplicate_rows", leaky.unordered(curve, (place > 0.5).astype(int), scored=False)) == []


def test_a_number_of_the_row_is_found_where_the_file_is_sorted():
    """A row number foretells the label of a sorted file; in a shuffled one it does not, and is left alone."""
    X, y = load_breast_cancer(return_X_y=True)
    order = np.argsort(y, kind="stable")
    numbered = np.column_stack([X[order], 1_000 + 2 * np.arange(len(y))])
    found = find_leaks(numbered, y[order], skip=["label_in_feature"])
    assert [(suspicion.check, suspicion.features) for suspicion in found] == [("row_order", ("x30",))]
    assert "x30 numbers the rows (correlation with their place in the file 1.00000)" in str(found[0])
    mixed = np.random.default_rng(0).permutation(len(y))
    assert find_leaks(np.column_stack([X[mixed], np.arange(len(y))]), y[mixed]) == ()


# -- figures ---------------------------------------------------------------------------------


def test_independent_rows_with_a_time_may_be_shuffled():
    """Rows that do not depend on each other lose nothing by shuffled folds, which is not reported."""
    case = leaky.higgs(2_000)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    assert find_leaks(case.data.X, case.data.y, time=np.arange(2_000), splitter=folds) == ()


def test_scores_that_no_fold_can_have_given_are_found():
    """Scores of rows that no fold tests are counted."""
    case = leaky.candles_next_direction(n_bars=1_500)
    scores = np.where(np.isnan(case.scores), 0.5, case.scores)
    (suspicion,) = find("in_sample_scores", replace(case, scores=scores))
    assert re.search(r"\d+ of 1450 rows have scores though no fold tests them", str(suspicion))


def test_in_sample_scores_are_found_with_the_estimator_given():
    """The estimator that the caller gives is fitted in the repetition as well."""
    case = leaky.in_sample_scoring(n_bars=1_500)
    case = replace(case, make=lambda: HistGradientBoostingClassifier(max_iter=5))
    (suspicion,) = find("in_sample_scores", case)
    assert suspicion.evidence["reported"] > 0.9
    assert suspicion.evidence["repeated"] < 0.65


def test_a_given_estimator_that_lacks_a_class_is_taken():
    """Scores are put where the estimator's own classes say."""
    case = leaky.wine()
    case = replace(case, make=lambda: LogisticRegression(max_iter=5_000), folds=[(np.arange(130), np.arange(130, 178))])
    assert find("permuted_labels", case) == []


# -- all of them, and plain tables -----------------------------------------------------------


def test_checks_run_in_a_fixed_order():
    """Every check that has something to look at runs, in order; skipped ones are not among those that ran."""
    case = leaky.overlapping_horizons(n_bars=1_000)
    case = replace(case, scores=np.full((len(case.data), 2), 0.5))
    _, ran = look_for_leaks(case)
    assert ran == tuple(name for name in ORDER if name != "future_in_columns")
    _, fewer = look_for_leaks(case, skip=ORDER[2:])
    assert fewer == ("future_in_features",)
    assert plugins.known("leak_check") == sorted(ORDER)


def test_an_unknown_check_to_skip_is_refused():
    """A misspelt name is not silently ignored."""
    with pytest.raises(
        ConfigError, match=r"leaks: skip: \['future'\] are no leak checks; known are \['duplicate_rows', "
    ):
        look_for_leaks(leaky.iris(), skip=["future"])


@pytest.mark.parametrize("library", [dict, pd.DataFrame, pl.DataFrame, pa.table])
def test_tables_of_every_library_can_be_cut(library):
    """find_leaks hands the generator the head of the table that it was given."""
    candles = leaky.candles(n_bars=600)
    raw = library(candles.columns)
    time = candles.time.astype("datetime64[us]")

    def generate(table):
        assert isinstance(table, type(raw))
        return leaky.TECHNICAL.generate(table)

    X, rows = generate(raw)
    y = leaky.direction(candles)[rows][:-1]
    found = find_leaks(
        dict(zip(leaky.TECHNICAL.columns, X[:-1].T, strict=True)), y,
        time=time[rows[:-1]], raw=raw, rows=rows[:-1], generate=generate, horizon=1,
    )  # fmt: skip
    assert found == ()


def test_times_of_any_kind_are_read():
    """Times with a zone, without one and as text are all an order; those out of order are refused."""
    close = leaky.candles(n_bars=300).columns["close"]
    X, y = np.diff(close)[:-1, None], close[2:] > close[1:-1]
    naive = pd.date_range("2024-03-30", periods=len(y), freq="h")
    for time in (naive, naive.tz_localize("UTC").tz_convert("Europe/Berlin"), naive.astype(str), naive.to_numpy()):
        assert find_leaks(X, y, time=pd.Series(time), horizon=1, skip=ORDER[6:]) == ()
        with pytest.raises(FeatureError, match=r"find_leaks: time: row 1 is earlier than the row before it"):
            find_leaks(X, y, time=pd.Series(time[::-1]), horizon=1)


def test_values_and_scores_of_plain_arrays_are_read():
    """Values are told from labels; scores may be one a row; folds may be masks."""
    X, y = load_breast_cancer(return_X_y=True)
    test = np.arange(len(y)) % 2 == 0
    scores = np.where(test, y + 0.0, np.nan)
    (suspicion,) = find_leaks(X[:, 9:10], y, folds=[(~test, test)], scores=scores)
    assert suspicion.check == "in_sample_scores"
    values = X[:, 0] + 0.1
    assert [each.features for each in find_leaks(X[:, :3], values, scores=values, skip=["in_sample_scores"])] == [
        ("x0",)
    ]


BAD = [
    ({"y": np.zeros(99)}, r"y: expected at least two classes, got one class only: \[0\.0\]"),
    ({"y": np.arange(99) % 2}, "find_leaks: X has 100 rows and y has 99; give a label for each row"),
    ({"task": "ranking"}, "find_leaks: task: expected 'auto', 'classification' or 'regression', got 'ranking'"),
    ({"time": np.arange(100)[::-1]}, "find_leaks: time: row 1 is earlier than the row before it; sort the rows by time first"),
    ({"time": ["soon"] * 100}, "find_leaks: time: expected datetimes or numbers: "),
    ({"horizon": -1}, "find_leaks: horizon: expected 0 rows or more, got -1"),
    ({"label_end": np.zeros(100)}, "find_leaks: label_end: row 1: expected 1 or later, got 0"),
    ({"groups": [1, 2]}, r"find_leaks: groups: expected one value for each of 100 rows, got shape \(2,\)"),
    ({"raw": {"x": np.arange(120)}}, "find_leaks: X has 100 rows and raw has 120; give rows=, the row of raw that each row of X belongs to"),
    ({"raw": {"x": np.arange(120)}, "rows": np.arange(100) + 30}, "find_leaks: rows: expected numbers from 0 to 119, got 30 to 129"),
    ({"generate": lambda table: table}, "find_leaks: generate needs raw, the table that it makes features of; give raw="),
    ({"folds": [(np.arange(5), np.arange(99, 105))]}, "find_leaks: fold 0: expected positions from 0 to 99"),
    ({"folds": [(np.arange(5), np.array([]))]}, "find_leaks: fold 0: expected positions to fit on and positions to test on"),
    ({"folds": []}, "find_leaks: folds: expected at least one fold, got none"),
    ({"folds": [], "splitter": TimeSeriesSplit()}, "find_leaks: folds and splitter are both given; give one of them"),
    ({"scores": np.zeros((100, 3))}, r"find_leaks: scores: expected shape \(100, 2\), got \(100, 3\); nan for rows without a score"),
    ({"raw": np.zeros((100, 2)), "generate": lambda table: table[:-1]}, r"generate: returned 99 rows for 100; return as many, nan where there is no feature yet, or \(features, rows\)"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_arguments_that_cannot_be_are_refused(arguments, message):
    """Every mistake is named, with what was found and what to do."""
    X = np.random.default_rng(0).normal(size=(100, 2))
    with pytest.raises(GlulamError, match=message):
        find_leaks(X, **({"y": np.arange(100) % 2} | arguments))


def test_a_check_that_looks_nowhere_is_refused():
    """How far ahead columns are compared must be a row at least, and a skill is never above 1."""
    with pytest.raises(ConfigError, match=r"leak check 'future_in_columns': furthest: expected at least 1 row, got 0"):
        plugins.leak_check("future_in_columns", furthest=0)
    with pytest.raises(
        ConfigError, match=r"leak check 'implausible_score': most: expected a skill from 0.5 to 1, got 62"
    ):
        plugins.leak_check("implausible_score", most=62)


# -- what others tried -----------------------------------------------------------------------


def unrelated(n_rows: int = 2_000, n_features: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features, the first two of which say a little of a label of two classes."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n_rows, n_features))
    return X, (X[:, 0] + X[:, 1] + 2 * random.normal(size=n_rows) > 0).astype(int)


@pytest.mark.parametrize("time", [None, np.arange(800)], ids=["shuffled", "in time"])
def test_columns_without_a_value_are_no_error(time):
    """A column that is empty, or begins after the first fold, is looked at like any other."""
    X, y = unrelated(800)
    empty, late = np.full(800, np.nan), np.append(np.full(600, np.nan), np.random.default_rng(1).normal(size=200))
    assert find_leaks(np.column_stack([X, empty, late]), y, time=time) == ()


def test_a_table_of_empty_columns_is_no_error():
    """Where no feature has a value nothing is found, and nothing breaks."""
    assert find_leaks(np.full((300, 2), np.nan), unrelated(300)[1]) == ()


def test_a_sorted_sweep_is_not_the_number_of_the_row():
    """Evenly spaced settings in a sorted file are honest; whole numbers from 0 on are not told from an index."""
    random = np.random.default_rng(0)
    dose = np.linspace(0, 10, 1_000)
    y = (random.random(1_000) < 1 / (1 + np.exp(5 - dose))).astype(int)
    other = random.normal(size=1_000)
    assert find_leaks(np.column_stack([dose, other]), y) == ()
    (found,) = find_leaks(np.column_stack([np.arange(1_000), other]), y)
    assert found.check == "row_order"


def test_two_plain_features_of_a_rare_class_are_not_suspected():
    """Of a rare class a linear model knows more than boosting: the stronger of two honest features stands not alone."""
    random = np.random.default_rng(0)
    X = random.normal(size=(8_000, 8))
    y = (random.random(8_000) < 1 / (1 + np.exp(6 - 1.5 * X[:, 0] - X[:, 1]))).astype(int)
    assert find("label_in_feature", leaky.unordered(X, y, scored=False)) == []


@pytest.mark.parametrize("inverted", [False, True])
def test_a_feature_that_is_there_for_one_label_only_is_found(inverted):
    """A field that is filled in once the outcome is known tells it by being there, whatever its value."""
    X, y = unrelated()
    field = np.random.default_rng(1).normal(size=len(y))
    there = (y == 1) & (np.random.default_rng(2).random(len(y)) < 0.9)
    X = np.column_stack([X, np.where(there ^ inverted, field, np.nan)])
    (found,) = find_leaks(X, y, skip=["in_sample_scores"])
    how = "is missing" if inverted else "has a value"
    assert f"x6 {how} in {there.sum()} rows, all of which have the label '1'" in str(found)
    rare = np.where(there & (np.arange(len(y)) % 3 == 0), field, np.nan)  # in a third of the label's rows
    assert find_leaks(np.column_stack([X[:, :6], rare]), y) == ()


def test_a_sum_that_is_the_label_is_found():
    """Two features whose sum is the value to foretell are named; in a series, the value before is none."""
    random = np.random.default_rng(0)
    paid, owed, other = random.gamma(2, 10, (3, 1_000))
    (found,) = find_leaks(np.column_stack([paid, other, owed]), np.round(paid + owed, 2) + 0.001)
    assert found.features == ("x0", "x2")
    assert "x0 + x2 orders the rows as the label does" in str(found)


def test_the_last_value_of_a_slow_series_is_no_copy():
    """Tomorrow's level of a random walk has nearly the order of today's; from row to row it has not."""
    level = 1_000 + np.cumsum(np.random.default_rng(3).normal(size=60_000))
    X = np.column_stack([level[:-1], np.random.default_rng(4).normal(size=59_999)])
    skipped = [name for name in ORDER if name != "label_in_feature"]
    arguments = {"horizon": 1, "time": np.arange(59_999), "skip": skipped}
    assert find_leaks(X, level[1:], **arguments) == ()
    (found,) = find_leaks(np.column_stack([X, level[1:] * 2.2]), level[1:], **arguments)
    assert found.features == ("x2",)


@pytest.mark.parametrize(("name", "function"), [("high", np.max), ("low", np.min)])
def test_the_next_extreme_of_a_price_is_found(name, function):
    """The highest or lowest price of the next three bars is the high or low of a later row."""
    windows = lambda values: np.lib.stride_tricks.sliding_window_view(values[1:], 3)  # noqa: E731

    def extra(table):
        found = function(windows(table.columns[name]), axis=1)
        return np.append(found, np.full(len(table) - len(found), np.nan))

    (found,) = find("future_in_columns", leaky.with_feature("ahead", extra, recomputed=False))
    assert re.search(rf"ahead holds, in \d+% of the rows, the value that {name} has up to 3 rows later", str(found))


def test_columns_that_are_stretched_to_0_and_1_over_all_rows_are_found():
    """The least value of all rows is at 0 and the greatest at 1; an oscillator that is often at its ends is honest."""

    def stretched(table):
        close = table.columns["close"]
        return (close - close.min()) / (close.max() - close.min())

    def oscillator(table):
        windows = np.lib.stride_tricks.sliding_window_view(table.columns["close"], 14)
        low, high = windows.min(axis=1), windows.max(axis=1)
        return np.append(np.full(13, np.nan), (windows[:, -1] - low) / (high - low))

    # In these bars neither extreme is in a row that has no features yet, or no label.
    (found,) = find("future_in_columns", leaky.with_feature("level", stretched, recomputed=False, start=500))
    assert "level has its least value at 0 and its greatest at 1, each in one row, over all" in str(found)
    assert find("future_in_columns", leaky.with_feature("k", oscillator, recomputed=False)) == []
