"""Splitters: their folds against scikit-learn's, and what must hold of any of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import model_selection
from sklearn.tree import DecisionTreeClassifier

from glulam import plugins
from glulam.errors import ConfigError
from glulam.testing import ContractError, check_splitter
from glulam.trainspecs import Splitter
from glulam_plugins.splitters.group_k_fold import GroupKFold
from glulam_plugins.splitters.purged_k_fold import PurgedKFold
from glulam_plugins.splitters.stratified_k_fold import StratifiedKFold
from glulam_plugins.splitters.walk_forward import WalkForward

ALL = ["walk_forward", "purged_k_fold", "stratified_k_fold", "group_k_fold"]

parameters = st.fixed_dictionaries(
    {"n_splits": st.integers(2, 6), "horizon": st.integers(0, 12), "embargo": st.integers(0, 9)}
)


def folds_of(splitter, n_rows):
    """Return the folds of some rows, unless they are too few."""
    try:
        return list(splitter.split(np.zeros((n_rows, 1))))
    except ConfigError:
        assume(False)


def same(found, expected):
    """Say whether two lists of folds are the same."""
    pairs = zip(found, expected, strict=True)
    return all(np.array_equal(a, c) and np.array_equal(b, d) for (a, b), (c, d) in pairs)


@pytest.mark.parametrize("name", ALL)
def test_contract(name):
    """Each splitter passes the check that plugin authors run."""
    check_splitter(type(plugins.splitter(name)))


def test_contract_of_a_rolling_window():
    """It also holds with further parameters."""
    check_splitter(WalkForward, {"window": 40, "test_size": 30, "min_train": 20})


@settings(deadline=None)
@given(st.integers(20, 300), parameters, st.none() | st.integers(1, 50))
def test_walk_forward_is_time_series_split_with_a_gap(n_rows, given, window):
    """Folds are scikit-learn's TimeSeriesSplit with gap = horizon + embargo."""
    found = folds_of(WalkForward(**given, window=window), n_rows)
    reference = model_selection.TimeSeriesSplit(
        given["n_splits"], gap=given["horizon"] + given["embargo"], max_train_size=window
    )
    assert same(found, reference.split(np.zeros(n_rows)))


@settings(deadline=None)
@given(st.integers(10, 300), parameters, st.none() | st.integers(1, 40), st.none() | st.integers(1, 50))
def test_walk_forward_fits_on_the_past_alone(n_rows, given, test_size, window):
    """Labels of rows to fit on, and the embargo after them, end before the test block; blocks follow each other."""
    splitter = WalkForward(**given, test_size=test_size, window=window)
    folds = folds_of(splitter, n_rows)
    assert len(folds) == splitter.get_n_splits() == given["n_splits"]
    for train, test in folds:
        assert train.max() + given["horizon"] + given["embargo"] < test.min()
        assert np.array_equal(train, np.arange(train[0], train[-1] + 1))
        assert len(train) <= (window or n_rows)
        assert test_size is None or len(test) == test_size
    tested = np.concatenate([test for _, test in folds])
    assert np.array_equal(tested, np.arange(tested[0], n_rows))


def test_walk_forward_by_hand():
    """12 rows, two blocks of 3, a horizon of 1 and an embargo of 1; a window of 2 keeps the latest."""
    (train, test), (later, last) = WalkForward(2, horizon=1, embargo=1, test_size=3).split(np.zeros(12))
    assert (train.tolist(), test.tolist()) == ([0, 1, 2, 3], [6, 7, 8])
    assert (later.tolist(), last.tolist()) == ([0, 1, 2, 3, 4, 5, 6], [9, 10, 11])
    rolling = [
        train.tolist() for train, _ in WalkForward(2, horizon=1, embargo=1, test_size=3, window=2).split("x" * 12)
    ]
    assert rolling == [[2, 3], [5, 6]]


@settings(deadline=None)
@given(st.integers(4, 200), parameters)
def test_purged_k_fold_shares_no_row_between_labels(n_rows, given):
    """No label of a row to fit on reads a row that a label of a row to test on reads; the embargo comes after."""
    folds = folds_of(PurgedKFold(**given), n_rows)
    horizon = given["horizon"]
    assert len(folds) == given["n_splits"]
    assert np.array_equal(np.concatenate([test for _, test in folds]), np.arange(n_rows))
    for train, test in folds:
        read = np.unique(test[:, None] + np.arange(horizon + 1))
        assert not np.isin(train[:, None] + np.arange(horizon + 1), read).any()
        # All others are there: nothing is left out without a reason.
        kept = [row for row in range(n_rows) if row + horizon < test[0] or row > test[-1] + horizon + given["embargo"]]
        assert train.tolist() == kept


def test_purged_k_fold_by_hand():
    """12 rows in 3 folds, a horizon of 1 and an embargo of 2: around rows 4 to 7 go row 3, row 8, and rows 9 and 10."""
    folds = list(PurgedKFold(3, horizon=1, embargo=2).split(np.zeros((12, 2))))
    assert folds[1][1].tolist() == [4, 5, 6, 7]
    assert folds[1][0].tolist() == [0, 1, 2, 11]


@settings(deadline=None)
@given(st.integers(2, 6), st.integers(0, 3), st.lists(st.integers(0, 2), min_size=12, max_size=80))
def test_stratified_k_fold_is_scikit_learns(n_splits, seed, y):
    """Folds are scikit-learn's, shuffled by the seed; each row is tested once."""
    y = np.array(y)
    assume(np.unique(y, return_counts=True)[1].min() >= n_splits)
    folds = list(StratifiedKFold(n_splits, seed=seed).split(y, y))
    reference = model_selection.StratifiedKFold(n_splits, shuffle=True, random_state=seed)
    assert same(folds, reference.split(y, y))
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(y)))
    assert all(len(np.intersect1d(*fold)) == 0 and len(fold[0]) + len(fold[1]) == len(y) for fold in folds)


def test_stratified_k_fold_spreads_values():
    """The values of a regression are in each fold alike: means of folds are close, unlike those of plain thirds."""
    y = np.linspace(0, 1, 90) ** 2
    means = [y[test].mean() for _, test in StratifiedKFold(3).split(y, y)]
    assert np.ptp(means) < 0.05
    assert len(np.unique(np.concatenate([test for _, test in StratifiedKFold(3).split(y, y)]))) == 90


def test_stratified_k_fold_keeps_groups_whole():
    """Where groups are given no group is in both parts."""
    y, groups = np.arange(60) % 2, np.arange(60) // 4
    for train, test in StratifiedKFold(3).split(y, y, groups):
        assert not np.isin(groups[test], groups[train]).any()


@settings(deadline=None)
@given(st.integers(2, 5), st.lists(st.integers(0, 9), min_size=10, max_size=60))
def test_group_k_fold_is_scikit_learns(n_splits, groups):
    """No group is torn apart, and each row is tested once."""
    assume(len(set(groups)) >= n_splits)
    folds = list(GroupKFold(n_splits).split(np.zeros(len(groups)), groups=groups))
    assert same(folds, model_selection.GroupKFold(n_splits).split(np.zeros(len(groups)), groups=groups))
    for train, test in folds:
        assert not set(np.array(groups)[train]) & set(np.array(groups)[test])
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(groups)))


@pytest.mark.parametrize(
    "splitter", [WalkForward(3, horizon=2), PurgedKFold(3, horizon=2), StratifiedKFold(3), GroupKFold(3)]
)
def test_scikit_learn_takes_them(splitter, binary):
    """They work as cv of cross_val_score and of GridSearchCV, which clones what it is given."""
    X, y = binary[0][:200], binary[1][:200]
    groups = np.arange(200) // 10
    model = DecisionTreeClassifier(random_state=0)
    scores = model_selection.cross_val_score(model, X, y, cv=splitter, groups=groups)
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()
    search = model_selection.GridSearchCV(model, {"max_depth": [1, 2]}, cv=splitter)
    assert search.fit(X, y, groups=groups).n_splits_ == 3


@pytest.mark.parametrize(
    ("splitter", "shown"),
    [
        (WalkForward(), "WalkForward(n_splits=5)"),
        (WalkForward(3, horizon=6, window=500), "WalkForward(n_splits=3, horizon=6, window=500)"),
        (PurgedKFold(4, horizon=1, embargo=2), "PurgedKFold(n_splits=4, horizon=1, embargo=2)"),
        (StratifiedKFold(seed=1), "StratifiedKFold(n_splits=5, seed=1)"),
        (GroupKFold(2), "GroupKFold(n_splits=2)"),
    ],
)
def test_repr_shows_what_was_given(splitter, shown):
    """The class, the folds, and what is not the default."""
    assert repr(splitter) == shown


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WalkForward(0), "walk_forward: n_splits: expected a whole number of at least 1, got 0; correct it"),
        (lambda: PurgedKFold(1), "purged_k_fold: n_splits: expected a whole number of at least 2, got 1; correct it"),
        (lambda: WalkForward(2.5), "walk_forward: n_splits: expected a whole number of at least 1, got 2.5; correct it"),
        (lambda: WalkForward(True), "walk_forward: n_splits: expected a whole number of at least 1, got True; correct it"),
        (lambda: PurgedKFold(horizon=-1), "purged_k_fold: horizon: expected a whole number of at least 0, got -1; correct it"),
        (lambda: WalkForward(embargo="1"), "walk_forward: embargo: expected a whole number of at least 0, got '1'; correct it"),
        (lambda: WalkForward(window=0), "walk_forward: window: expected a whole number of at least 1, got 0; correct it"),
        (lambda: WalkForward(window=10, min_train=20), "walk_forward: window: expected at least the 20 rows of min_train, got 10; widen the window or ask for fewer rows"),
        (lambda: StratifiedKFold(horizon=6), "stratified_k_fold: horizon: expected 0, got 6; rows torn out of their order cannot be kept apart from labels that reach further rows: take walk_forward or purged_k_fold"),
        (lambda: GroupKFold(embargo=1), "group_k_fold: embargo: expected 0, got 1; rows torn out of their order cannot be kept apart from labels that reach further rows: take walk_forward or purged_k_fold"),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused(make, message):
    """Each says which parameter, what was expected, and what came."""
    with pytest.raises(ConfigError) as raised:
        make()
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("splitter", "split", "message"),
    [
        (WalkForward(5), (np.zeros(5),), "walk_forward: 5 rows are too few for 5 test blocks of 1 rows, with a gap of 0 and at least 1 to fit on before the first; give more rows or fewer folds"),
        (WalkForward(5, min_train=40), (np.zeros(100),), "walk_forward: 100 rows are too few for 5 test blocks of 16 rows, with a gap of 0 and at least 40 to fit on before the first; take a test_size of 12 or less"),
        (WalkForward(5, horizon=17, test_size=10), (np.zeros(100),), "walk_forward: labels reach 17 rows ahead (horizon), but of 100 rows a fold of 5 has only 10; give more rows, fewer folds, or a shorter horizon"),
        (PurgedKFold(5, horizon=21), (np.zeros(100),), "purged_k_fold: labels reach 21 rows ahead (horizon), but of 100 rows a fold of 5 has only 20; give more rows, fewer folds, or a shorter horizon"),
        (PurgedKFold(5), (np.zeros(4),), "purged_k_fold: 4 rows are too few for 5 folds; give more rows or fewer folds"),
        (PurgedKFold(2, embargo=5), (np.zeros(10),), "purged_k_fold: of 10 rows none is left to fit on beside the test rows 0 to 4, with horizon 0 and embargo 5; give more rows or a shorter embargo"),
        (StratifiedKFold(5), (np.zeros(9),), "stratified_k_fold: expected y, got None; call split(X, y), or take group_k_fold"),
        (StratifiedKFold(5), (np.zeros(3), np.zeros(3)), "stratified_k_fold: 5 folds need at least 5 rows, got 3; give more rows or fewer folds"),
        (StratifiedKFold(5), (np.zeros(9), np.array(["no"] * 7 + ["yes"] * 2)), "stratified_k_fold: 5 folds need at least 5 rows of each class, got 2 of class 'yes'; take fewer folds, or leave that class out"),
        (StratifiedKFold(3), (np.zeros(9), np.arange(9) % 2, np.arange(9) // 5), "stratified_k_fold: 3 folds need at least 3 groups, got 2; give more rows or fewer folds"),
        (GroupKFold(3), (np.zeros(9),), "group_k_fold: expected groups, got None; name their column as group in [data], or call split(X, y, groups)"),
        (GroupKFold(3), (np.zeros(9), None, np.arange(8)), "group_k_fold: expected a group for each of 9 rows, got 8; give as many"),
        (GroupKFold(2), (np.zeros(4), None, np.array(["a", None, "b", None], dtype=object)), "group_k_fold: row 1 has no group, 2 in all have none; fill the column, or leave those rows out"),
        (GroupKFold(2), (np.zeros(3), None, [1.0, 2.0, np.nan]), "group_k_fold: row 2 has no group, 1 in all have none; fill the column, or leave those rows out"),
        (GroupKFold(3), (np.zeros(9), None, np.arange(9) // 5), "group_k_fold: 3 folds need at least 3 groups, got 2; give more rows or fewer folds"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused(splitter, split, message):
    """At the call of split, not when the first fold is asked for; in one line, with what to do."""
    with pytest.raises(ConfigError) as raised:
        splitter.split(*split)
    assert str(raised.value) == message


def test_an_unknown_parameter_is_refused():
    """Made by name, as from a config, an unknown parameter names those that there are."""
    with pytest.raises(
        ConfigError,
        match=r"splitter 'walk_forward': got an unexpected keyword argument 'windw'; its parameters are \['n_splits', 'horizon', 'embargo', 'window', 'test_size', 'min_train'\]",
    ):
        plugins.splitter("walk_forward", windw=3)


class Unpurged(Splitter):
    """A splitter that each test below breaks in one way: it takes a horizon, and forgets it."""

    name = "unpurged"
    ordered = True

    def __init__(self, n_splits=5, *, horizon=0, embargo=0):
        self.n_splits = n_splits

    def split(self, X, y=None, groups=None):
        """Return scikit-learn's folds as they are."""
        if len(X) <= self.n_splits:
            raise ConfigError("unpurged: too few rows")
        return model_selection.TimeSeriesSplit(self.n_splits).split(X)

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of folds."""
        return self.n_splits


class Again(Unpurged):
    """Folds that differ from call to call."""

    calls = 0

    def split(self, X, y=None, groups=None):
        """Return folds with another gap each time."""
        self.calls += 1
        return model_selection.TimeSeriesSplit(self.n_splits, gap=self.calls).split(X)


class Forward(Unpurged):
    """Claims to be ordered, and is not."""

    def split(self, X, y=None, groups=None):
        """Return those of k-fold."""
        return model_selection.KFold(self.n_splits).split(X)


class Torn(Unpurged):
    """Tests what it fits on."""

    def split(self, X, y=None, groups=None):
        """Return folds that overlap."""
        return ((test, test) for _, test in model_selection.KFold(self.n_splits).split(X))


class Careless(Unpurged):
    """Lets scikit-learn's error through."""

    def split(self, X, y=None, groups=None):
        """Return folds with a gap that suits every horizon tried."""
        return model_selection.TimeSeriesSplit(self.n_splits, gap=20).split(X)


class Forgetful(PurgedKFold):
    """Purges, and forgets the embargo."""

    def __init__(self, n_splits=5, *, horizon=0, embargo=0):
        super().__init__(n_splits, horizon=horizon)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            Unpurged,
            "splitter 'unpurged', horizon=1, embargo=0, fold 0: purge: the label of row [74], which is fitted on",
        ),
        (Again, "split gives other folds when called again"),
        (Forward, "ordered: expected all rows to fit on before row 0, the first tested one, got row 299"),
        (Torn, "row [0] is fitted on and tested on"),
        (Forgetful, "embargo: row [107] is fitted on, within 5 rows after the labels of tested rows; leave it out"),
        (Careless, "split: expected ConfigError for 1 row in 3 folds, got ValueError"),
    ],
)
def test_the_contract_check_finds_what_is_broken(broken, message):
    """A splitter that breaks a rule is told which."""
    with pytest.raises(ContractError) as raised:
        check_splitter(broken)
    assert message in str(raised.value)
