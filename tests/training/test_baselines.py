"""Baselines: what they answer, and that they know neither rows to test on nor the future."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from glulam.dataset import Dataset, RawTable
from glulam.schema import Feature, FeatureSchema
from glulam.training.baselines import known_before, predict_baselines


def dataset(X, y, *, horizon=0, label_end=None, rows=None, time=True, task=None, schema=None, n_classes=None):
    """Return a dataset of features and labels; its raw table reaches as far as the labels do."""
    X, y = np.asarray(X, dtype=np.float32), np.asarray(y)
    rows = np.arange(len(y)) if rows is None else np.asarray(rows)
    label_end = rows + horizon if label_end is None else np.asarray(label_end)
    n_raw = int(max(rows.max(), label_end.max())) + 1
    raw = RawTable({}, np.arange(n_raw) * 1_000_000 if time else None, np.arange(n_raw), "test", "")
    n_classes = n_classes or int(y.max()) + 1
    task = task or ("binary" if n_classes == 2 else "multiclass")
    return Dataset(
        X=X, y=y, schema=schema or FeatureSchema(tuple(Feature(f"x{i}", missing="allow") for i in range(X.shape[1]))),
        task=task, classes=np.empty(0) if task == "regression" else np.arange(n_classes), horizon=horizon,
        rows=rows, label_end=label_end, raw=raw,
    )  # fmt: skip


def halves(data):
    """Return the first and the second half of the rows."""
    positions = np.arange(len(data))
    return positions[: len(data) // 2], positions[len(data) // 2 :]


def random_data(n_rows=80, n_classes=2, **given):
    """Return a dataset in which the first feature says something about the class."""
    random = np.random.default_rng(0)
    y = np.append(np.arange(n_classes), random.integers(0, n_classes, n_rows - n_classes))
    X = random.normal(size=(n_rows, 3)) + np.column_stack([y, y * 0, y * 0])
    return dataset(X, y, n_classes=n_classes, **given)


def test_which_baselines_there_are():
    """By task, and by whether rows have a time."""

    def names(data):
        scores, labels = predict_baselines(data, *halves(data))
        assert list(scores) == list(labels)
        return list(scores)

    assert names(random_data()) == ["majority", "always_positive", "previous_label", "logistic"]
    assert names(random_data(time=False)) == ["majority", "always_positive", "logistic"]
    assert names(random_data(n_classes=3)) == ["majority", "previous_label", "logistic"]
    values = dataset(np.zeros((20, 1)), np.arange(20.0), task="regression")
    assert names(values) == ["mean", "previous_value", "ridge"]
    assert names(dataset(np.zeros((20, 1)), np.arange(20.0), task="regression", time=False)) == ["mean", "ridge"]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_shapes_and_probabilities(n_classes):
    """Scores are float64 [n_test, n_outputs] whose rows sum to 1; labels are class positions."""
    data = random_data(n_classes=n_classes)
    train, test = halves(data)
    scores, labels = predict_baselines(data, train, test)
    for name, each in scores.items():
        assert each.shape == (len(test), n_classes)
        assert each.dtype == np.float64
        np.testing.assert_allclose(each.sum(axis=1), 1.0)
        assert labels[name].shape == (len(test),)
        assert labels[name].dtype == np.int64


def test_majority_is_the_share_of_the_rows_to_fit_on():
    """Three of four are of class 0 there, whatever comes later."""
    data = dataset(np.zeros((8, 1)), [0, 0, 1, 0, 1, 1, 1, 1])
    scores, labels = predict_baselines(data, np.arange(4), np.arange(4, 8))
    np.testing.assert_allclose(scores["majority"], np.tile([0.75, 0.25], (4, 1)))
    assert labels["majority"].tolist() == [0, 0, 0, 0]
    assert scores["always_positive"].tolist() == [[0.0, 1.0]] * 4
    assert labels["always_positive"].tolist() == [1, 1, 1, 1]


def test_previous_label_by_hand():
    """A horizon of 2: at row 6 the label of row 4 is known, of row 5 it is not."""
    y = [0, 1, 1, 0, 1, 0, 0, 1]
    data = dataset(np.zeros((8, 1)), y, horizon=2)
    assert known_before(data).tolist() == [-1, -1, 0, 1, 2, 3, 4, 5]
    scores, labels = predict_baselines(data, np.arange(4), np.arange(6, 8))
    # Of the rows to fit on, row 2 (a 1) knew the 0 of row 0, and row 3 (a 0) the 1 of row 1.
    np.testing.assert_allclose(scores["previous_label"], [[2 / 3, 1 / 3], [1 / 3, 2 / 3]])
    assert labels["previous_label"].tolist() == [1 - y[4], 1 - y[5]]


def test_previous_label_gives_the_frequencies_of_the_rows_to_fit_on():
    """After a 0 came 0 once and 1 twice, after a 1 came 0 once: each with one more."""
    data = dataset(np.zeros((7, 1)), [0, 0, 1, 0, 1, 0, 1])
    scores, _ = predict_baselines(data, np.arange(5), np.arange(5, 7))
    np.testing.assert_allclose(scores["previous_label"], [[2 / 3, 1 / 3], [2 / 5, 3 / 5]])


def test_a_label_of_its_own_row_is_not_known_at_it():
    """A label without a horizon is what is to be predicted: the row before counts."""
    assert known_before(dataset(np.zeros((4, 1)), [0, 1, 0, 1])).tolist() == [-1, 0, 1, 2]


def test_rows_left_out_in_between_make_no_difference():
    """Rows 3 to 5 of the table are not in the dataset; at row 6 the label of row 1 ended long ago, that of 2 as well."""
    data = dataset(np.zeros((5, 1)), [0, 1, 0, 1, 1], horizon=2, rows=[0, 1, 2, 6, 7])
    assert known_before(data).tolist() == [-1, -1, 0, 2, 2]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9)), min_size=1, max_size=40))
def test_no_label_is_used_before_it_is_known(steps):
    """Of rows with gaps and labels that end anywhere: it is the last one of those that ended by then."""
    rows = np.cumsum([step for step, _ in steps])
    ends = rows + [reach for _, reach in steps]
    data = dataset(np.zeros((len(rows), 1)), np.zeros(len(rows), dtype=int), rows=rows, label_end=ends, n_classes=2)
    for row, found in enumerate(known_before(data)):
        known = [other for other in range(row) if ends[other] <= rows[row]]
        assert found == (known[-1] if known else -1)


@pytest.mark.parametrize("n_classes", [1, 2, 3])
def test_later_labels_change_nothing(n_classes):
    """Labels that are not known yet at a row, and labels of rows to test on, do not reach its answers."""
    task = "regression" if n_classes == 1 else None
    data = random_data(n_classes=max(2, n_classes), horizon=3)
    y = data.y + 0.5 if task else data.y
    train = np.arange(40)
    for row in (45, 60, 79):
        other = y.copy()
        other[row - 2 :] = y.max() - other[row - 2 :]
        first, second = (
            predict_baselines(
                dataset(data.X, each, horizon=3, task=task, n_classes=max(2, n_classes)), train, np.array([row])
            )
            for each in (y, other)
        )
        for name, scores in first[0].items():
            assert np.array_equal(scores, second[0][name]), name
            assert np.array_equal(first[1][name], second[1][name]), name


def test_frequencies_do_not_know_labels_of_rows_to_test_on():
    """With rows to fit on after those to test on, what came before the first of them is not counted."""
    y = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    train, test = np.array([0, 1, 6, 7]), np.array([3])
    other = y.copy()
    other[5] = 0
    first, second = (predict_baselines(dataset(np.zeros((8, 1)), each), train, test)[0] for each in (y, other))
    assert np.array_equal(first["previous_label"], second["previous_label"])


def test_logistic_is_scikit_learns(binary):
    """A LogisticRegression behind a StandardScaler, fitted on the rows to fit on."""
    data = dataset(binary[0][:400], binary[1][:400], time=False)
    train, test = halves(data)
    X = data.X.astype(np.float64)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000)).fit(X[train], data.y[train])
    scores, labels = predict_baselines(data, train, test)
    np.testing.assert_allclose(scores["logistic"], model.predict_proba(X[test]), atol=1e-6)
    assert np.array_equal(labels["logistic"], scores["logistic"].argmax(axis=1))


def test_linear_models_take_what_real_tables_have():
    """Missing values, infinities, huge and constant columns, whole columns of nothing, and categories not seen before."""
    random = np.random.default_rng(0)
    X = random.normal(size=(120, 6))
    X[:, 1] *= 1e30
    X[:, 2], X[:, 3] = 7.0, np.nan
    X[::5, 0], X[7, 0] = np.nan, np.inf
    X[:, 5] = random.integers(0, 3, 120)
    X[::9, 5], X[100:, 5] = np.nan, 3
    schema = FeatureSchema(
        (
            *(Feature(f"x{i}", missing="allow") for i in range(5)),
            Feature("c", "categorical", ("a", "b", "c", "d"), "allow"),
        )
    )
    y = (X[:, 4] > 0).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = dataset(X, y, schema=schema)
        scores, labels = predict_baselines(data, *halves(data))
        values, _ = predict_baselines(dataset(X, X[:, 4], schema=schema, task="regression"), *halves(data))
    assert (labels["logistic"] == y[60:]).mean() > 0.9
    assert np.corrcoef(values["ridge"][:, 0], X[60:, 4])[0, 1] > 0.9
    assert np.isfinite(scores["logistic"]).all()
    assert np.isfinite(values["ridge"]).all()


def test_categories_are_no_numbers():
    """The middle one of three categories is the positive one, which no slope can tell."""
    code = np.arange(90) % 3
    schema = FeatureSchema((Feature("c", "categorical", ("a", "b", "c")),))
    data = dataset(code[:, None], (code == 1).astype(int), schema=schema)
    _, labels = predict_baselines(data, *halves(data))
    assert np.array_equal(labels["logistic"], data.y[45:])


def test_one_class_to_fit_on():
    """There is nothing to learn: logistic answers what majority does; previous_label keeps a chance for the other."""
    data = dataset(np.arange(12.0)[:, None], [0] * 6 + [1] * 6)
    scores, _ = predict_baselines(data, *halves(data))
    assert np.array_equal(scores["logistic"], scores["majority"])
    assert (scores["previous_label"] > 0).all()


def test_a_class_that_comes_later_has_a_column():
    """Of three classes two are there to fit on: the third has probability 0, and the others their own columns."""
    data = dataset(np.array([[0.0], [1.0]] * 10), [0, 2] * 5 + [1] * 10, n_classes=3)
    scores, labels = predict_baselines(data, *halves(data))
    assert (scores["logistic"][:, 1] == 0).all()
    assert set(labels["logistic"]) == {0, 2}


def test_values():
    """The mean of the rows to fit on, the last known value, and a Ridge that finds a line."""
    y = np.arange(40.0) * 2
    data = dataset(np.arange(40.0)[:, None], y, horizon=1, task="regression")
    scores, labels = predict_baselines(data, np.arange(30), np.arange(31, 40))
    assert (scores["mean"] == y[:30].mean()).all()
    assert labels["previous_value"].tolist() == y[30:39].tolist()
    np.testing.assert_allclose(labels["ridge"], y[31:], rtol=0.1)
    assert all(each.shape == (9, 1) for each in scores.values())
