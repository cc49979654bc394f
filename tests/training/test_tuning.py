"""Tuning: what the search sees, what it finds, what is kept of it, and what is refused."""

import shutil
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, load_iris

from glulam import plugins
from glulam.dataset import Dataset, RawTable
from glulam.errors import ArtifactError, ConfigError, PluginError
from glulam.hookspecs import hookimpl
from glulam.schema import FeatureSchema
from glulam.training._holdout import split_holdout
from glulam.training.config import Config
from glulam.training.results import Comparison, Interval
from glulam.training.tuning import MemberTuning, TuneResult, tune
from glulam_plugins.models.decision_tree import DecisionTree

TREE = {"tree": {"plugin": "decision_tree"}}


def dataset(X, y, task="binary", *, timed=True, horizon=0, groups=None, rows=None):
    """Return a dataset of these rows; ``rows`` are those of a raw table with gaps."""
    rows = np.arange(len(X)) if rows is None else rows
    n_raw = int(rows[-1]) + 1
    raw = RawTable({}, np.arange(n_raw) if timed else None, np.arange(n_raw), "rows", "0" * 64)
    classes = np.empty(0) if task == "regression" else np.unique(y)
    end = np.minimum(rows + horizon, n_raw - 1)
    return Dataset(X, y, FeatureSchema.learn(X), task, classes, horizon, rows, end, raw, groups)


def config(members=None, **tune_settings):
    """Return a config; its data and label are never read here."""
    given = {"trials": 4, **tune_settings}
    return Config.model_validate(
        {"data": {"path": "x"}, "label": {"name": "column"}, "members": members or TREE, "tune": given,
         "evaluation": {"bootstrap": 100}}
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(binary):
    """Return 600 real rows with a time, whose labels reach one row ahead."""
    X, y = binary
    return dataset(X[:600, 20:], y[:600].astype(np.int64), horizon=1)


def search(data, settings, base, **options):
    """Tune without a bar."""
    return tune(data, settings, base=base, progress=False, **options)


def trials(base, study="glulam-tree"):
    """Return the trials of a study, read by optuna itself."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{base / 'tuning.sqlite3'}")
    try:
        return optuna.load_study(study_name=study, storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()


@pytest.fixture(scope="module")
def tuned(data, tmp_path_factory):
    """Return what 14 trials of a decision tree found, enough for pruning and for TPE's own draws, and where."""
    base = tmp_path_factory.mktemp("tuned")
    return search(data, config(trials=14), base), base


def test_what_is_found_is_better_on_the_inner_folds(tuned):
    """The best trial is better than the untuned parameters, and its parameters are the plugin's own."""
    found, base = tuned
    member = found.members["tree"]
    best = min((trial for trial in trials(base) if trial.state.name == "COMPLETE"), key=lambda trial: trial.value)
    assert member.tuned == best.value < member.untuned
    assert member.params == best.params == found.params["tree"]
    assert set(member.params) == {"max_depth", "min_samples_leaf", "max_features"}
    assert found.complete
    assert found.metric == "log_loss"
    assert found.holdout == "the last 150 of 600 rows, walk-forward in 3 folds, horizon 1, embargo 0"


def test_hopeless_trials_are_pruned(tuned):
    """Some trials end after their first folds; all are counted."""
    found, base = tuned
    pruned = [trial for trial in trials(base) if trial.state.name == "PRUNED"]
    assert pruned
    assert all(len(trial.intermediate_values) < 3 for trial in pruned)
    assert found.trials == {"done": 14 - len(pruned), "pruned": len(pruned), "failed": 0}


def test_scores_are_those_of_scikit_learn(data, tuned):
    """The untuned score is the log loss of scikit-learn's own tree on a walk-forward of the first rows."""
    from sklearn.metrics import log_loss
    from sklearn.model_selection import TimeSeriesSplit
    from sklearn.tree import DecisionTreeClassifier

    X, y = data.X[:449], data.y[:449]  # without the row whose label reaches into the holdout
    answers, truth = [], []
    for train, test in TimeSeriesSplit(3, gap=1).split(X):
        model = DecisionTreeClassifier(random_state=42).fit(X[train], y[train])
        answers.append(model.predict_proba(X[test]))
        truth.append(y[test])
    assert tuned[0].members["tree"].untuned == pytest.approx(log_loss(np.concatenate(truth), np.concatenate(answers)))


def test_the_same_twice(data, tuned, tmp_path):
    """With one worker a search draws and finds the same again."""
    again = search(data, config(trials=14), tmp_path)
    assert replace(again, seconds=0) == replace(tuned[0], seconds=0)
    assert [trial.params for trial in trials(tmp_path)] == [trial.params for trial in trials(tuned[1])]


def test_taken_up_again_it_goes_on_as_if_never_stopped(data, tuned, tmp_path):
    """Trials done before count; what a dead process left running is failed and tried again, with the same draw."""
    search(data, config(trials=5), tmp_path)
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'tuning.sqlite3'}")
    optuna.load_study(study_name="glulam-tree", storage=storage).ask()  # and dies
    storage.remove_session()
    storage.engine.dispose()
    found = search(data, config(trials=14), tmp_path)
    assert replace(found, seconds=0) == replace(tuned[0], seconds=0)
    states = [trial.state.name for trial in trials(tmp_path)]
    assert states.pop(5) == "FAIL"
    assert states == [trial.state.name for trial in trials(tuned[1])]


def test_a_used_up_budget_tries_nothing(data, tuned, tmp_path):
    """A finished study is only compared again, whatever the budget says now."""
    shutil.copy(tuned[1] / "tuning.sqlite3", tmp_path)
    found = search(data, config(trials=3), tmp_path)
    assert (found.members, found.comparison) == (tuned[0].members, tuned[0].comparison)


def test_the_search_never_sees_the_holdout(data, tuned, tmp_path):
    """Other features and labels in the last rows change the comparison, and nothing that the search does."""
    X, y = data.X.copy(), data.y.copy()
    X[450:], y[450:] = X[450:][::-1], 1 - y[450:]
    other = search(replace(data, X=X, y=y), config(trials=14), tmp_path)
    assert other.members == tuned[0].members
    assert other.comparison != tuned[0].comparison


@settings(deadline=None, max_examples=100)
@given(
    n_rows=st.integers(20, 300), folds=st.integers(2, 5), share=st.floats(0.1, 0.6), horizon=st.integers(0, 5),
    embargo=st.integers(0, 4), step=st.integers(1, 3),
)  # fmt: skip
def test_nothing_reaches_into_what_is_tested(n_rows, folds, share, horizon, embargo, step):
    """No label of a row that is fitted on reads a row that is tested or a later one, whatever rows are missing."""
    X = np.arange(n_rows, dtype=np.float32)[:, None]
    data = dataset(X, np.arange(n_rows) % 2, horizon=horizon, rows=np.arange(n_rows) * step)
    made = config(folds=folds, holdout=share)
    made = made.model_copy(update={"evaluation": made.evaluation.model_copy(update={"embargo": embargo})})
    first = round(n_rows * (1 - share))
    if min(first, n_rows - first) < 2 * folds:
        with pytest.raises(ConfigError, match=f"^tune.holdout: .* but {folds} folds need at least {2 * folds} each"):
            split_holdout(made, data, ordered=True)
        return
    holdout = split_holdout(made, data, ordered=True)
    np.testing.assert_array_equal(np.concatenate([test for _, test in holdout.folds]), np.arange(first, n_rows))
    for train, test in holdout.folds:
        assert set(holdout.search) <= set(train)
        assert (data.label_end[train] < data.rows[test[0]]).all()
        reached = int(np.count_nonzero(data.label_end[: test[0]] >= data.rows[test[0]]))
        assert len(train) == max(0, test[0] - reached - embargo)


def test_several_workers_do_the_budget_between_them(data, tmp_path):
    """Two workers do just as many trials as were asked for, and untuned parameters score as with one."""
    found = search(data, config(trials=9, workers=2), tmp_path)
    assert sum(found.trials.values()) == len(trials(tmp_path)) == 9
    assert found.members["tree"].tuned <= found.members["tree"].untuned
    assert found.complete


def test_time_runs_out(data, tmp_path):
    """A search without time keeps what it has, says that it is not complete, and goes on when it is run again."""
    found = search(data, config(timeout=1e-9), tmp_path)
    assert not found.complete
    assert found.trials == {"done": 0, "pruned": 0, "failed": 0}
    assert not found.adopted
    assert found.verdict == "the search found nothing better on its own folds; the parameters stay as they are"
    assert search(data, config(), tmp_path).complete


def test_what_the_user_sets_is_not_tuned(data, tmp_path):
    """Parameters of the config stay as they are, and are no part of what was found."""
    members = {"tree": {"plugin": "decision_tree", "params": {"max_depth": 2}}}
    found = search(data, config(members), tmp_path)
    assert "max_depth" not in found.params["tree"]
    assert found.config.members["tree"].params["max_depth"] == 2
    every = {"max_depth": 2, "min_samples_leaf": 3, "max_features": 0.5}
    fixed = config({"tree": {"plugin": "decision_tree", "params": every}}, study="every")
    with pytest.raises(ConfigError, match="none of the members .'tree'. has parameters to search: .*sets them all"):
        search(data, fixed, tmp_path)


def test_each_member_has_a_study_of_its_own(data, tmp_path):
    """Members are tuned one by one; what one draws does not depend on the others."""
    members = {**TREE, "second": {"plugin": "decision_tree", "params": {"criterion": "entropy"}}}
    found = search(data, config(members), tmp_path)
    alone = search(data, config(), tmp_path)
    assert found.members["tree"] == alone.members["tree"]
    assert found.trials["done"] + found.trials["pruned"] == 8
    assert {trial.number for trial in trials(tmp_path, "glulam-second")} == {0, 1, 2, 3}


# -- other kinds of rows --------------------------------------------------------------------


def test_values_in_no_order(tmp_path):
    """A regression without time is searched by rmse, and compared on rows drawn by the seed."""
    X, y = load_diabetes(return_X_y=True)
    data = dataset(X.astype(np.float32), y, "regression", timed=False)
    found = search(data, config(), tmp_path)
    assert found.metric == found.comparison.metric == "rmse"
    assert found.holdout == "111 of 442 rows, rows drawn by the seed"
    assert found.members["tree"].tuned < found.members["tree"].untuned


def test_groups_stay_together(tmp_path):
    """Rows of one group are all searched on, or all compared on."""
    X, y = load_iris(return_X_y=True)
    groups = np.arange(150) // 5
    data = dataset(X.astype(np.float32), y.astype(np.int64), "multiclass", timed=False, groups=groups)
    holdout = split_holdout(config(), data, ordered=False)
    (train, test), *_ = holdout.folds
    assert not set(groups[train]) & set(groups[test])
    assert len(train) + len(test) == 150
    assert "whole groups drawn by the seed" in holdout.what
    assert search(data, config(metric="accuracy"), tmp_path).metric == "accuracy"


def test_a_metric_of_which_more_is_better(data, tmp_path):
    """The study maximises it; what was found is not below the untuned."""
    found = search(data, config(metric="auc"), tmp_path).members["tree"]
    assert found.tuned == max(found.untuned, *(trial.value or 0 for trial in trials(tmp_path)))


def test_a_vote_that_learns_is_taught_on_the_search(data, tmp_path):
    """A stacking vote is compared as well: it learns from rows of the search that its members did not see."""
    made = config({**TREE, "other": {"plugin": "decision_tree", "params": {"max_depth": 3}}})
    made = made.model_copy(update={"ensemble": made.ensemble.model_copy(update={"voting": "stacking"})})
    assert np.isfinite(search(data, made, tmp_path).comparison.difference.value)


# -- whether it pays ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("difference", "adopted", "verdict"),
    [
        (Interval(0.02, 0.01, 0.03), True, "tuned is better on rows that the search never saw (+0.02, 95 % interval from +0.01 to +0.03); adopted"),
        (Interval(0.02, -0.01, 0.03), True, "tuned is +0.02 better on rows that the search never saw, which cannot be told from no difference (95 % interval from -0.01 to +0.03); adopted"),
        (Interval(0.02), True, "tuned is +0.02 better on rows that the search never saw, which cannot be told from no difference (too few rows for an interval); adopted"),
        (Interval(-0.02, -0.04, 0.01), False, "tuned is not better on rows that the search never saw (-0.02, 95 % interval from -0.04 to +0.01); not adopted"),
    ],
)  # fmt: skip
def test_the_verdict_in_words(difference, adopted, verdict):
    """The verdict says what was found, its interval, and whether that is more than chance."""
    member = MemberTuning({"max_depth": 3}, 0.7, 0.6, {"done": 1, "pruned": 0, "failed": 0})
    found = TuneResult(
        {"tree": member}, "log_loss", Comparison("", "log_loss", difference), "", adopted, config(), True, 1.0
    )
    assert found.verdict == verdict


def test_tuned_is_adopted_only_where_it_is_better_on_the_holdout(data, tuned, tmp_path):
    """The config to go on with has the best parameters if they hold on unseen rows, else it is as it was given."""
    found = tuned[0]
    assert found.comparison.difference.value > 0
    assert found.adopted
    assert found.config.members["tree"].params == found.params["tree"]
    # Answers that the search made bolder are worse where all labels are the other way round.
    y = data.y.copy()
    y[450:] = 1 - y[450:]
    other = search(replace(data, y=y), config(trials=14), tmp_path)
    assert other.adopted == (other.comparison.difference.value > 0)
    assert other.config.members["tree"].params == (other.params["tree"] if other.adopted else {})


# -- plugins of others ----------------------------------------------------------------------


class Own(DecisionTree):
    """A third party's model, whose space each test sets."""

    name = "own"


@pytest.fixture
def own(monkeypatch):
    """Register a third party's model; give a function that sets what its search space is."""

    class Plugin:
        @hookimpl
        def glulam_model(self):
            return Own

    plugin = Plugin()
    plugins.register(plugin)
    yield lambda space: monkeypatch.setattr(Own, "search_space", space)
    plugins.unregister(plugin)


def test_a_model_of_a_third_party_is_tuned(data, own, tmp_path):
    """A plugin's own space is searched, with what it makes of its draws."""
    own(lambda self, trial, task, n_rows: {"max_depth": 2 ** trial.suggest_int("log2_depth", 0, 2)})
    found = search(data, config({"own": {}}), tmp_path)
    assert found.params["own"]["max_depth"] in (1, 2, 4)


def test_what_a_library_refuses_is_a_failed_trial(data, own, tmp_path):
    """Trials that fail are counted, with what the library said; the others are chosen from."""
    own(lambda self, trial, task, n_rows: {"max_depth": trial.suggest_int("max_depth", -1, 2)})
    found = search(data, config({"own": {}}, trials=8), tmp_path)
    assert found.params["own"]["max_depth"] in (1, 2)
    assert found.trials["failed"] > 0
    assert "max_depth" in found.members["own"].error
    assert found.trials == search(data, config({"own": {}}, trials=8), tmp_path).trials


def test_where_every_trial_fails(data, own, tmp_path):
    """A space of which nothing can be fitted is an error with the library's reason, not an empty result."""
    own(lambda self, trial, task, n_rows: {"max_depth": trial.suggest_int("max_depth", -3, -1)})
    with pytest.raises(ConfigError, match="^member 'own': all 4 trials failed, the last one by .*max_depth.*--restart"):
        search(data, config({"own": {}}), tmp_path)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (lambda self, trial, task, n_rows: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda self, trial, task, n_rows: None, "'NoneType' object is not iterable"),
        (lambda self, trial, task, n_rows: {"max_depth": np.int64(3)}, "not JSON serializable"),
        (lambda self, trial, task, n_rows: {"max_depth": None}, "ValueError: None cannot be written in a config"),
    ],
)
def test_a_broken_space_is_its_plugins_fault(data, own, space, message, tmp_path):
    """A space that fails, or draws what no file can hold, is a PluginError with the member and the reason."""
    own(space)
    with pytest.raises(PluginError, match=f"^member 'own': search_space of model 'own' failed: .*{message}"):
        search(data, config({"own": {}}), tmp_path)


def test_members_that_tune_nothing(data, own, tmp_path):
    """A member without a space stays as it is beside others; alone it is an error."""
    own(lambda self, trial, task, n_rows: {})
    found = search(data, config({"own": {}, **TREE}), tmp_path)
    assert found.members["own"] == MemberTuning({}, None, None, {})
    assert found.complete
    with pytest.raises(ConfigError, match="^tune: none of the members .'own'. has parameters to search"):
        search(data, config({"own": {}}), tmp_path)


# -- what is refused ------------------------------------------------------------------------


def test_a_study_of_other_data(data, tuned, tmp_path):
    """A study that was made with other rows is refused; begun anew it is forgotten."""
    shutil.copy(tuned[1] / "tuning.sqlite3", tmp_path)
    y = data.y.copy()
    y[0] = 1 - y[0]
    other = replace(data, y=y)
    with pytest.raises(
        ArtifactError, match=r"tuning.sqlite3: study 'glulam-tree' was made with different data; choose another"
    ):
        search(other, config(), tmp_path)
    found = search(other, config(), tmp_path, resume=False)
    assert sum(found.trials.values()) == len(trials(tmp_path)) == 4


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"folds": 2}, "folds"),
        ({"metric": "brier"}, "metric"),
        ({"members": {"tree": {"plugin": "decision_tree", "params": {"criterion": "entropy"}}}}, "parameters of the member"),
        ({"members": {"tree": {"plugin": "extra_trees"}}}, "plugin"),
    ],
)  # fmt: skip
def test_a_study_of_other_settings(data, tuned, tmp_path, settings, what):
    """A study that was made with other settings is refused by what differs."""
    shutil.copy(tuned[1] / "tuning.sqlite3", tmp_path)
    with pytest.raises(ArtifactError, match=f"study 'glulam-tree' was made with different {what}; .*tune.study"):
        search(data, config(**settings), tmp_path)


def test_a_study_of_another_program(data, tmp_path):
    """A study with trials that glulam did not make is left alone."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'tuning.sqlite3'}")
    optuna.create_study(storage=storage, study_name="glulam-tree").ask()
    storage.remove_session()
    storage.engine.dispose()
    with pytest.raises(ArtifactError, match="study 'glulam-tree' was not made by glulam; choose another tune.study"):
        search(data, config(), tmp_path)


def a_text(path):
    """Make the file a text."""
    path.write_text("a,b\n1,2\n" * 100)


def a_directory(path):
    """Make it a directory."""
    path.mkdir()


def another_database(path):
    """Make it somebody's database."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE candles (close REAL)")
    connection.close()


def damage(path):
    """Overwrite pages in the middle of a file of studies."""
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : 2 * len(content) // 3] = b"\xff" * (2 * len(content) // 3 - len(content) // 3)
    path.write_bytes(content)


def of_a_newer_optuna(path):
    """Give the file a schema that this optuna does not know."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
        connection.execute("UPDATE version_info SET library_version = '99.0.0'")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (a_text, "expected a file of studies .SQLite., got another; choose another tune.storage"),
        (a_directory, "is a directory; give the name of a file as tune.storage"),
        (another_database, "a database with other tables .candles.; choose another tune.storage"),
        (damage, "malformed.*; it is damaged; delete it to start anew, or choose another tune.storage"),
        (of_a_newer_optuna, "made by another version of optuna .*99.0.0.*install that version, or choose another"),
    ],
)
def test_a_file_that_cannot_be_used(data, tuned, tmp_path, spoil, message):
    """A file that is damaged, another program's or of a newer optuna is refused in one line, and left as it is."""
    path = tmp_path / "tuning.sqlite3"
    if spoil in (damage, of_a_newer_optuna):
        shutil.copy(tuned[1] / path.name, path)
    spoil(path)
    before = None if path.is_dir() else path.read_bytes()
    with pytest.raises(ArtifactError, match=message) as caught:
        search(data, config(), tmp_path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert before is None or path.read_bytes() == before


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("nowhere/tuning.sqlite3", "the directory .*nowhere does not exist; create it, or change tune.storage"),
        ("/proc/tuning.sqlite3", "cannot be locked: .*; change permissions, or choose another tune.storage"),
    ],
)
def test_a_place_that_cannot_be_written(data, tmp_path, storage, message):
    """A directory that is not there or takes no files is said in one line."""
    if storage.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("this system has no /proc, where nobody can write")
    with pytest.raises(ArtifactError, match=message):
        search(data, config(storage=storage), tmp_path)


def test_names_that_mean_something_in_a_url(data, tmp_path):
    """A file may be called as the system lets it be called."""
    name = "a ?#%41&.sqlite3"
    search(data, config(storage=name), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"{name}.lock"]


def test_a_search_beside_another_in_this_process(data, own, tmp_path):
    """The lock holds within a process as well, and is let go of when the search is over."""
    begun, go_on = threading.Event(), threading.Event()

    def space(self, trial, task, n_rows):
        begun.set()
        go_on.wait(20)
        return {"max_depth": trial.suggest_int("max_depth", 2, 3)}

    own(space)
    first = threading.Thread(target=lambda: search(data, config({"own": {}}, trials=1), tmp_path))
    first.start()
    begun.wait(20)
    try:
        with pytest.raises(ArtifactError, match=r"locked by another process \(pid \d+\), which is tuning; wait for it"):
            search(data, config(), tmp_path)
    finally:
        go_on.set()
        first.join()
    assert search(data, config(), tmp_path).complete


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metric": "rmse"}, "tune.metric: 'rmse' measures .'regression'., but the task is binary; choose another"),
        ({"holdout": 0.0}, "tune.holdout: 0 of 600 rows leaves 600 to search on and 0 to compare on, but 3 folds"),
        ({"holdout": 1.0}, "tune.holdout: 1 of 600 rows leaves 0 to search on"),
    ],
)
def test_settings_that_cannot_work(data, tmp_path, settings, message):
    """Settings that do not suit the data are refused before anything is tried."""
    with pytest.raises(ConfigError, match=message):
        search(data, config(**settings), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_metric_that_is_undefined(data, tmp_path):
    """A metric that has no value for the untuned parameters is refused, not searched by."""
    y = data.y.copy()
    y[100:450] = 0  # the inner folds test on one class alone
    with pytest.raises(
        ConfigError,
        match="^tune.metric: 'auc' of member 'tree' is nan on the inner folds; choose|all .* rows to test on have the label",
    ):
        search(replace(data, y=y), config(metric="auc"), tmp_path)


def test_optuna_is_left_as_it_was(data, tmp_path):
    """What optuna says to others is not silenced for good."""
    before = optuna.logging.get_verbosity()
    search(data, config(trials=1), tmp_path)
    assert optuna.logging.get_verbosity() == before
