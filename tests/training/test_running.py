"""Whole runs: what they leave, that they can be repeated and resumed, and what keeps a file from its place."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from training.made import CANDLES, candles_dataset

import glulam
from glulam.errors import ArtifactError, ArtifactExistsError, ConfigError
from glulam.training.champion import unseen_rows
from glulam.training.loading import load_config
from glulam.training.running import train

SMALL = """
[data]
path = "candles.csv"
time = "timestamp"
[features]
generators = ["technical"]
[label]
name = "next_direction"
[members.lightgbm]
weight = 0.6
params = {n_estimators = 12, num_leaves = 7}
[members.forest]
plugin = "random_forest"
weight = 0.4
params = {n_estimators = 12, max_depth = 4}
[evaluation]
folds = 3
bootstrap = 200
"""


@pytest.fixture(scope="session")
def candles(tmp_path_factory) -> Path:
    """Return a CSV of 1,200 real candles."""
    path = tmp_path_factory.mktemp("candles") / "candles.csv"
    pa.csv.write_csv(pa.csv.read_csv(CANDLES).slice(0, 1_200), path)
    return path


@pytest.fixture
def place(tmp_path, candles) -> Path:
    """Return a directory with the candles and a small config."""
    (tmp_path / "candles.csv").write_bytes(candles.read_bytes())
    (tmp_path / "glulam.toml").write_text(SMALL)
    return tmp_path


def run(place, *overrides, **options):
    """Train by the config of a directory."""
    config = load_config(place / "glulam.toml", overrides=overrides, environ={})
    return train(config, base=place, **options)


def digests(folder) -> dict[str, str]:
    """Return the sha256 of every file below a directory."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_run_leaves_all_that_it_found(place):
    """The exported file is in place and answers; the run's folder has config, facts, figures, report and card."""
    said = []
    finished = run(place, say=said.append)
    assert {path.name for path in finished.folder.iterdir()} == {
        ".lock", "config.toml", "manifest.json", "metrics.json", "folds", "ensemble.onnx", "ensemble.trained", "report.html",
        "MODEL_CARD.md",
    }  # fmt: skip
    manifest = json.loads((finished.folder / "manifest.json").read_text())
    assert manifest["state"] == "done"
    assert manifest["seed"] == 42
    assert {"glulam", "numpy", "lightgbm", "scikit-learn", "TA-Lib"} <= set(manifest["versions"])
    assert manifest["data"]["sha256"] == hashlib.sha256((place / "candles.csv").read_bytes()).hexdigest()
    metrics = json.loads((finished.folder / "metrics.json").read_text())
    assert 0.4 < metrics["metrics"]["auc"]["ensemble"]["low"] < 0.6
    assert {"majority", "always_positive", "previous_label", "logistic"} == set(metrics["metrics"]["auc"]["baselines"])
    model = glulam.load(place / "ensemble.onnx")
    training = model.info()["training"]
    assert load_config(finished.folder / "config.toml", environ={}).members.keys() == {"lightgbm", "forest"}
    assert training["config"] == (finished.folder / "config.toml").read_text()
    assert training["data"]["sha256"] == manifest["data"]["sha256"]
    card = (finished.folder / "MODEL_CARD.md").read_text()
    assert f"| glulam | {glulam.__version__} |" in card
    assert manifest["config_sha256"] in card
    trained = glulam.EnsembleClassifier.load(place / "ensemble.trained")
    rows = finished.result.data.X[-50:]
    np.testing.assert_allclose(model.predict_proba(rows), trained.predict_proba(rows), atol=1e-6)
    assert any(line.startswith("leaks: ") for line in said)


def test_the_results_that_reports_are_tested_with_have_no_facts_of_their_own(place):
    """A report that reads what no run writes would show a dash, and its tests would not notice."""
    from training.made_result import made

    facts = run(place, dry_run=True).result.facts
    assert set(made().facts) <= {*facts, "warnings"}
    assert set(made().facts["data"]) == set(facts["data"])


def test_out_of_fold_answers_are_of_models_that_never_saw_their_rows(place):
    """Fitting each fold again by hand, without the rows whose labels reach into it, gives the reported votes."""
    from sklearn.ensemble import RandomForestClassifier

    finished = run(place, dry_run=True)
    data, answers = finished.result.data, finished.result.evaluation.out_of_fold
    for number, (known, tested) in enumerate(finished.result.evaluation.folds):
        assert known.max() + data.horizon < tested.min()
        forest = RandomForestClassifier(12, max_depth=4, random_state=42).fit(data.X[known], data.y[known])
        own = answers.fold == number
        np.testing.assert_allclose(answers.votes[own, 1], forest.predict_proba(data.X[tested]), atol=1e-12)
        assert (answers.rows[own] == tested).all()


MEMBERS = {
    "lightgbm": {"n_estimators": 8}, "xgboost": {"n_estimators": 8}, "random_forest": {"n_estimators": 8},
    "extra_trees": {"n_estimators": 8}, "catboost": {"iterations": 8}, "hist_gradient_boosting": {"max_iter": 8},
    "gradient_boosting": {"n_estimators": 8}, "adaboost": {"n_estimators": 8}, "bagging": {"n_estimators": 8},
    "decision_tree": {"max_depth": 4},
}  # fmt: skip


def test_the_same_config_and_data_give_the_same_bytes(place):
    """Two runs, the second in another process: file and trained ensemble are equal byte for byte, CatBoost's own aside.

    CatBoost writes a date and a random id into its files; what it answers is the same.
    """
    tables = "\n".join(
        f"[members.{name}]\nparams = {{{', '.join(f'{key} = {value}' for key, value in params.items())}}}"
        for name, params in MEMBERS.items()
    )
    head, _, rest = SMALL.partition("[members.lightgbm]")
    (place / "glulam.toml").write_text(head + tables + "\n[evaluation]" + rest.partition("[evaluation]")[2])
    first = run(place)
    before = digests(place / "ensemble.trained") | {"onnx": digests(first.folder)["ensemble.onnx"]}
    code = "import sys; from glulam.cli import main; sys.exit(main(['train', '--force', '--quiet']))"
    subprocess.run([sys.executable, "-c", code], cwd=place, check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    again = digests(place / "ensemble.trained")
    again |= {"onnx": hashlib.sha256((place / "ensemble.onnx").read_bytes()).hexdigest()}
    dated = f"member-{list(MEMBERS).index('catboost')}"
    listed = {dated, "manifest.json", "manifest.json.sha256"}  # the manifest has the sums of the others
    assert {name for name in before if again[name] != before[name]} <= listed
    assert first.result.facts["exceptions"] == [
        "ensemble.trained: CatBoost writes a date and a random id into its own files; what they answer is the same"
    ]


def test_a_dry_run_writes_nothing(place):
    """All of it runs on the last rows, and no file is there afterwards that was not before."""
    before = digests(place)
    finished = run(place, dry_run=True)
    assert digests(place) == before
    assert finished.folder is None
    assert finished.out is None
    assert finished.result.ensemble["parity"]["rows"] > 1_000


def test_what_is_there_is_not_replaced_unasked(place):
    """An ensemble in place is refused before any work, unless overwriting is asked for, by option or config."""
    (place / "ensemble.onnx").write_text("precious")
    with pytest.raises(ArtifactExistsError, match=r"ensemble\.onnx exists; choose another name, or overwrite it"):
        run(place)
    assert (place / "ensemble.onnx").read_text() == "precious"
    assert not (place / "runs").exists()


def test_a_failed_gate_keeps_the_file_from_its_place(place):
    """The run ends as refused, its folder keeps report and file, and what was in place stays as it was."""
    (place / "ensemble.onnx").write_text("precious")
    finished = run(place, "gates.min_f1=0.99", overwrite=True)
    (gate,) = finished.result.gates
    assert not gate.passed
    assert not finished.result.passed
    assert finished.out is None
    assert (place / "ensemble.onnx").read_text() == "precious"
    assert json.loads((finished.folder / "manifest.json").read_text())["state"] == "refused"
    assert (finished.folder / "report.html").is_file()


def test_a_suspected_leak_keeps_the_file_from_its_place(place):
    """A column that is the label itself: the run says so and puts nothing in place, unless that is allowed."""
    table = pa.csv.read_csv(place / "candles.csv")
    close = table.column("close").to_numpy()
    up = np.append(close[1:] > close[:-1], False).astype(int)
    (place / "rows.csv").write_bytes(b"")
    pa.csv.write_csv(
        table.append_column("up", pa.array(up)).append_column("seen", pa.array(up * 1.0)), place / "rows.csv"
    )
    plain = ["data.path=rows.csv", "features.generators=[]", "label={name='column', column='up', horizon=1}"]
    finished = run(place, *plain)
    assert finished.out is None
    assert any("seen" in suspicion.features for suspicion in finished.result.suspicions)
    assert str(finished.result.suspicions[0]).startswith("suspected leak (")
    assert run(place, *plain, "leaks.allow=true").out == place / "ensemble.onnx"


def test_an_interrupted_run_is_resumed(place):
    """Killed after the first fold, it goes on with the second, and gives the bytes of an undisturbed run."""
    whole = run(place)
    expected = (whole.folder / "ensemble.onnx").read_bytes()
    code = "import sys; from glulam.cli import main; sys.exit(main(['train', '--force']))"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=place, stdout=subprocess.DEVNULL)
    first = None
    deadline = time.monotonic() + 60
    while first is None:
        folders = [path for path in (place / "runs").iterdir() if path != whole.folder]
        first = next((path for path in folders if (path / "folds" / "fold-0.npz").exists()), None)
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = (first / "folds" / "fold-0.npz").stat().st_mtime_ns
    said = []
    resumed = run(place, resume=True, overwrite=True, say=said.append)
    assert resumed.folder == first
    assert "  fold 1 of 3: kept from the interrupted run" in said
    assert (first / "folds" / "fold-0.npz").stat().st_mtime_ns == kept
    assert (place / "ensemble.onnx").read_bytes() == expected


def test_nothing_to_resume(place):
    """Without an interrupted run of this config and these data, that is said; what to do, too."""
    with pytest.raises(ArtifactError, match=r"no interrupted run of this config and these data; leave out --resume"):
        run(place, resume=True)


def test_a_run_of_another_config_is_not_resumed(place):
    """An interrupted run with another seed is named, not mixed in."""
    folder = place / "runs" / "20260101T000000Z-aaaaaaaa"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "state": "running", "key": "other"}))
    with pytest.raises(ArtifactError, match=r"\(1 unfinished of another config, other data or other versions\)"):
        run(place, resume=True)


def test_damaged_votes_are_not_taken(place):
    """Half a fold's file is an error that says what to do."""
    run(place)
    (folder,) = (place / "runs").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "state": "running"}))
    (folder / "folds" / "fold-1.npz").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(ArtifactError, match=r"fold-1\.npz: damaged: .*; delete it, and --resume fits this fold again"):
        run(place, resume=True, overwrite=True)


def test_two_processes_do_not_share_a_run(place):
    """A run that another process is at is locked."""
    import fcntl

    run(place)
    (folder,) = (place / "runs").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "state": "running"}))
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(
            ArtifactError, match="locked by another process, which is at this run; wait for it, or end it"
        ):
            run(place, resume=True, overwrite=True)


def test_the_champion_is_asked_about_rows_that_it_does_not_know(place):
    """The new ensemble is compared with the one in place on later rows only; too few of them are said."""
    run(place, "data.until='2018-05-01'")
    gate = run(place, "gates.not_worse_than='ensemble.onnx'", overwrite=True).result.gates[0]
    assert gate.name == "champion"
    assert "rows later than the champion's training data" in gate.what
    again = run(place, "gates.not_worse_than='ensemble.onnx'", overwrite=True).result.gates[0]
    assert again.passed
    assert again.what == "not compared: only 0 tested rows are later than the champion's training data"


def test_a_champion_that_cannot_be_asked(place):
    """A missing champion, or one of other features, is said before any work."""
    with pytest.raises(ConfigError, match=r"gates.not_worse_than: no file .*champion\.onnx; name the present"):
        run(place, "gates.not_worse_than='champion.onnx'")
    X = np.random.default_rng(0).normal(size=(200, 2))
    other = glulam.EnsembleClassifier([("random_forest", {"n_estimators": 4})])
    other.fit({"a": X[:, 0], "b": X[:, 1]}, X[:, 0] > 0).export(place / "other.onnx")
    with pytest.raises(ConfigError, match=r"reads the features \['a', 'b'\], which these data do not have"):
        run(place, "gates.not_worse_than='other.onnx'")


def test_shuffled_folds_are_refused_for_rows_in_time(place):
    """A splitter that tests on the past is an error, unless it is forced; then the leak checks say what it is."""
    with pytest.raises(ConfigError, match=r"'stratified_k_fold' tests rows with models that were fitted on later ones"):
        run(place, "evaluation.splitter='stratified_k_fold'")


def test_calibrated_auto_weighted_and_thresholded(place):
    """What is learnt out of fold is compared, exported and in the file."""
    finished = run(
        place, "ensemble.weights='auto'", "ensemble.calibration='sigmoid'", "ensemble.threshold='expected_value'",
        "ensemble.loss=0.5",
    )  # fmt: skip
    compared = [each.what for each in finished.result.evaluation.comparisons]
    assert compared == [
        "weights: auto against equal", "weights: auto against given", "calibration: sigmoid against none",
        "threshold: expected_value against 0.5",
    ]  # fmt: skip
    info = glulam.load(finished.out).info()
    assert info["voting"] == "calibrated"
    assert 0 < info["decision"]["threshold"] < 0.5  # an answer is worth trying at odds of one to three
    assert sum(finished.result.facts["weights"]["used"].values()) == pytest.approx(1, abs=1e-4)


def test_selected_features_only_if_they_pay(place):
    """The choice is reported with what it brings on folds that it did not see, and taken only if that is something."""
    finished = run(place, "features.select='stability'", dry_run=True)
    (found,) = [each for each in finished.result.evaluation.comparisons if each.what.startswith("features")]
    taken = finished.result.evaluation.selection is not None
    assert taken == (found.difference.value > 0)
    assert len(finished.result.data.schema) == (len(finished.result.evaluation.selection.kept) if taken else 12)
    assert finished.result.importance.shape == (3, len(finished.result.data.schema))


def test_several_classes_and_values(place):
    """Triple barriers have three classes, and a column of numbers has values; both run through to the file."""
    three = run(place, "label={name='triple_barrier', bars=4, up=0.03}", dry_run=True).result
    assert three.data.task == "multiclass"
    assert three.evaluation.metrics[0].name == "auc"
    values = run(
        place, "features.generators=[]", "label={name='column', column='volume'}", "ensemble.task='regression'",
        dry_run=True,
    ).result  # fmt: skip
    assert values.evaluation.metrics[0].name == "rmse"
    assert values.evaluation.backtest is None


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["evaluation.folds=700"], r"1,150 rows have features and a label; expected at least 2,103 for 700 folds"),
        (["data.until='2018-01-12'"], r"expected at least 100 rows to fit, got 16; give more data, or "),
        (["label={name='return_above', bars=1, threshold=0.3}"], r"all 1,150 labels are 0; there is nothing to learn"),
    ],
)
def test_too_little_to_learn_or_measure(place, overrides, said):
    """Too few rows for the folds, and labels that are all equal, are errors of one line."""
    with pytest.raises((ConfigError, glulam.GlulamError), match=said) as raised:
        run(place, *overrides)
    assert "\n" not in str(raised.value)


TUNED = (
    "tune.enabled=true", "tune.trials=3", "tune.holdout=0.4",
    "members={random_forest={params={n_estimators=5}}}",
)  # fmt: skip


def test_a_tuned_run_is_tested_on_rows_that_the_search_never_saw(place):
    """Single leaves fit noise, and any search finds better: what it finds is in the file, and later rows are tested."""
    finished = run(place, *TUNED)
    evaluation, data = finished.result.evaluation, finished.result.data
    tuned = finished.result.facts["tuned"]
    (found,) = [each for each in evaluation.comparisons if each.what == "parameters: tuned against untuned"]
    assert tuned["adopted"] is True
    assert found.difference.value > 0
    first = min(int(test.min()) for _, test in evaluation.folds)
    assert first >= round(len(data) * 0.6)
    chosen = finished.ensemble.members_["random_forest"].get_params()
    assert tuned["params"]["random_forest"].items() <= chosen.items()
    training = glulam.load(finished.out).info()["training"]
    assert training["config"] == (finished.folder / "tuned.toml").read_text()
    assert (
        load_config(finished.folder / "tuned.toml", environ={}).members["random_forest"].params.items()
        <= chosen.items()
    )


def test_a_tuned_run_that_is_resumed_searches_no_more(place):
    """What the search found is kept with the run, so that later folds are fitted as the first ones were."""
    whole = run(place, *TUNED)
    manifest = json.loads((whole.folder / "manifest.json").read_text())
    (whole.folder / "manifest.json").write_text(json.dumps({**manifest, "state": "running"}))
    (whole.folder / "folds" / "fold-2.npz").unlink()
    said = []
    resumed = run(place, *TUNED, resume=True, overwrite=True, say=said.append)
    assert "tuning" not in said
    assert "  fold 2 of 3: kept from the interrupted run" in said
    assert (resumed.folder / "ensemble.onnx").read_bytes() == (whole.folder / "ensemble.onnx").read_bytes()


def test_tuned_runs_on_growing_data_and_dry_ones(place):
    """Each run has a study of its own, so that more data are no obstacle; that of a dry run is gone afterwards."""
    before = digests(place)
    run(place, *TUNED, dry_run=True)
    assert digests(place) == before
    run(place, *TUNED, "data.until='2018-06-01'")
    assert run(place, *TUNED, overwrite=True).out == place / "ensemble.onnx"


def test_champions_of_rows_without_a_time():
    """The very data that it was fitted on say nothing; of others nobody knows which it has seen, and that is said."""
    data = candles_dataset(300)
    untimed = replace(data, raw=replace(data.raw, time=None))
    rows = np.arange(len(data))

    def champion(training):
        return SimpleNamespace(info=lambda: {"training": training})

    taken, words = unseen_rows(champion({"data": {"sha256": data.raw.sha256}}), untimed, rows)
    assert (taken.any(), words) == (False, "the champion was fitted on these very data")
    taken, words = unseen_rows(champion({"data": {"sha256": "other"}}), untimed, rows)
    assert (taken.all(), words) == (True, f"on {len(data)} rows, some of which the champion may have been fitted on")


def test_a_run_that_is_stopped_while_it_searches_goes_on_with_its_trials(place):
    """Ctrl-C in a search leaves the study in the run's folder, and --resume adds to its trials instead of beginning anew."""
    code = (
        "import sys; from glulam.cli import main; sys.exit(main(['train', '--set', 'tune.enabled=true', '--set', "
        "'tune.trials=400', '--set', 'members={random_forest={params={n_estimators=5}}}', *sys.argv[1:]]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not (studies := list((place / "runs").glob("*/tuning.sqlite3"))) or done(studies[0]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130
    assert "go on with the same command and --resume" in said
    before = done(studies[0])
    again = subprocess.Popen(
        [sys.executable, "-c", code, "--resume"], cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while done(studies[0]) <= before:
        assert again.poll() is None
        assert time.monotonic() < deadline + 60
        time.sleep(0.05)
    again.kill()
    again.wait()
    assert len(list((place / "runs").iterdir())) == 1


def done(study: Path) -> int:
    """Return how many trials of a study have ended well."""
    import sqlite3

    try:
        with contextlib.closing(sqlite3.connect(f"file:{study}?mode=ro", uri=True)) as database:
            return database.execute("select count(*) from trials where state = 'COMPLETE'").fetchone()[0]
    except sqlite3.OperationalError:  # its tables are still being made, or it is written to
        return 0
