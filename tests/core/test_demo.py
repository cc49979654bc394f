"""`glulam demo`: its results on a short history, what it prints, and what it refuses."""

import gzip
import io
import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from sklearn.ensemble import RandomForestClassifier

import glulam
from glulam import _memory
from glulam.cli import _demo_screen as screen
from glulam.cli import _demo_serving, _demo_speed, _demo_stages, _shipped
from glulam.cli.demo import run
from glulam.errors import ArtifactError, ArtifactExistsError, FeatureError, GlulamError, ProofError
from glulam.members import DEFAULT_MEMBERS, DEFAULT_WEIGHTS
from glulam.training.running import prepare

CANDLES = 1_500
# One thread: on a busy machine OpenMP's threads wait for each other far longer than they work.
SMALL = [(name, {"n_estimators": 10, "n_jobs": 1}) for name in ("lightgbm", "xgboost", "random_forest")]


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Return the path of the first 1,500 real candles."""
    source = Path(__file__).parents[2] / "examples" / "data" / _shipped.CANDLES
    with gzip.open(source, "rt") as lines:
        text = "".join(line for line, _ in zip(lines, range(1 + CANDLES), strict=False))
    path = tmp_path_factory.mktemp("history") / "candles.csv"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def shown(history, tmp_path_factory):
    """Run the demo once; return its results, the screen, and the directory it wrote."""
    out = tmp_path_factory.mktemp("demo") / "new" / "[bold]out"
    console = Console(file=io.StringIO(), width=110)
    return run(console, out=out, data=history, members=SMALL), console.file.getvalue(), out


def test_results_are_json_with_the_documented_keys(shown):
    """Every stage's results are there, and are plain finite JSON."""
    results, _, _ = shown
    stages = ["candles", "features", "evaluation", "export", "serving", "timing", "seconds"]
    assert list(results) == stages
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    for key in (*stages, *(inner for stage in stages[:-1] for inner in results[stage])):
        assert key in run.__doc__


def test_rows_are_all_accounted_for(shown):
    """Candles less the warm-up and the one without a next bar are the labelled rows."""
    results, _, _ = shown
    candles, features = results["candles"], results["features"]
    assert candles["rows"] == candles["kept"] == CANDLES
    assert (candles["gaps"], candles["missing_bars"]) == (3, 10)
    assert (features["warm_up"], features["unlabelled"]) == (49, 1)
    assert features["rows"] == CANDLES - 49 - 1
    assert len(features["columns"]) == 12


def test_label_is_the_next_close(history):
    """Row i's label compares the close after row i with row i's own, of the candle the features are of."""
    data = prepare(_demo_stages.make_config(history, history.parent, None), history.parent, lambda line: None)
    close = data.raw.columns["close"][49:]
    np.testing.assert_array_equal(data.X[:, 0], close[:-1].astype(np.float32))
    assert data.y.tolist() == [int(later > now) for now, later in itertools.pairwise(close)]


def test_evaluation_is_walk_forward_and_no_better_than_honest(shown):
    """Folds expand, leave a gap, and score what is possible without a leak; baselines are exact."""
    results, _, _ = shown
    evaluation, rows = results["evaluation"], results["features"]["rows"]
    folds = evaluation["folds"]
    assert [fold["train"] for fold in folds] == [rows - 241 * (6 - n) - 1 for n in range(1, 6)]
    assert [fold["test"] for fold in folds] == [241] * 5
    low, high = evaluation["auc_interval"]
    assert 0.4 < low < evaluation["all"]["ensemble"]["auc"] < high < 0.6
    assert evaluation["suspicions"] == []
    assert "future_in_features" in evaluation["checked_for"]
    for fold in folds:
        share = fold["always_up"]["accuracy"]
        assert fold["always_up"]["f1"] == pytest.approx(2 * share / (1 + share))
        assert fold["majority"]["accuracy"] in (pytest.approx(share), pytest.approx(1 - share))


def test_files_are_kept_and_proven(shown):
    """Exported file, saved ensemble and run are in ``out``, nothing else, and the proof found no difference."""
    results, _, out = shown
    export = results["export"]
    assert sorted(path.name for path in out.iterdir()) == ["ensemble.onnx", "ensemble.trained", "runs"]
    assert Path(export["report"]).read_text().startswith("<!DOCTYPE html>")
    assert export["file"] == str(out / "ensemble.onnx")
    assert export["file_bytes"] == (out / "ensemble.onnx").stat().st_size
    assert export["members"] == {"lightgbm": 1.0, "xgboost": 1.0, "random_forest": 1.0}
    assert Path(export["trained"]).is_dir()
    assert export["parity"]["label_differences"] == 0
    assert export["parity"] == glulam.load(out / "ensemble.onnx").info()["parity"]


def test_serving_process_imports_numpy_and_onnxruntime_only(shown):
    """The separate process answers with the same bits, and none of the blocked packages is in it."""
    results, _, _ = shown
    serving = results["serving"]
    assert serving["packages"] == ["glulam", "numpy", "onnxruntime"]
    assert serving["blocked_imported"] == []
    assert {"lightgbm", "xgboost", "sklearn", "onnx", "pyarrow"} <= set(serving["blocked"])
    assert serving["bitwise_equal"] is True
    assert serving["largest_difference"] <= serving["tolerance"] == 1e-6
    assert serving["labels_equal"] == serving["rows"] == 1_000
    assert 0 < serving["seconds_to_first"] < 60
    assert 1e7 < serving["memory_bytes"] < 1e9


def test_timing_counts_every_call(shown):
    """All calls were timed, p50 is not above p99, and the ratio is that of the p50s."""
    results, _, _ = shown
    timing = results["timing"]
    for part, calls in (("single", (150, 3_000)), ("batch", (7, 7))):
        native, ours = timing[part]["native"], timing[part]["glulam"]
        assert (native["calls"], ours["calls"]) == calls
        assert 0 < native["p50"] <= native["p99"]
        assert 0 < ours["p50"] <= ours["p99"]
        assert timing[part]["ratio"] == native["p50"] / ours["p50"]
        assert timing[part].get("builtin", ours)["calls"] == ours["calls"]
        assert ("builtin" in timing[part]) is glulam.kernel.available()
    assert timing["batch"]["rows"] == 5_000


def test_screen_is_one_screen(shown):
    """What is printed fits 60 lines of 110 characters, holds all stages, and takes a path literally."""
    results, text, out = shown
    lines = text.splitlines()
    assert len(lines) <= 60
    body = lines[:-2]  # the end tells seconds, and names a directory of any length
    assert max(map(len, body)) <= 110
    assert [line[0] for line in body if line[:1].isdigit()] == ["1", "2", "3", "4", "5"]
    assert f"are in {out}; read {results['export']['report']}" in lines[-1]
    for words in ("1,500 rows", "always up", "largest difference", "bit for bit", "one row, p99"):
        assert words in text


def test_the_screen_says_which_kernel_walked_the_trees(shown):
    """Glulam's, and what that is worth; or onnxruntime's own, and why."""
    results, _, _ = shown
    timed = {"native": {"p50": 2.0, "p99": 2.0}, "glulam": {"p50": 1e-5, "p99": 1e-5}, "builtin": {"p50": 5e-5}}
    for walked_by, words in (
        (
            {"kernel": "glulam"},
            "With onnxruntime's own, the same file takes 50.0 us for one row and 50.0 us for 5,000: 5.0 x and 5.0 x as long.",
        ),
        (
            {"kernel": "onnxruntime", "kernel_reason": "no library"},
            "onnxruntime's own kernel walked the trees: no library.",
        ),
    ):
        console = Console(file=io.StringIO(), width=500)
        timing = {**walked_by, "single": timed, "batch": timed | {"rows": 5_000}}
        screen.show_timing(console, timing, results["serving"], results["export"])
        assert words in console.file.getvalue()


def test_tables_are_whole_on_a_narrow_terminal(shown):
    """At 80 columns no line is longer and nothing in a table is cut or broken."""
    results, _, _ = shown
    console = Console(file=io.StringIO(), width=80)
    screen.show_candles(console, results["candles"], results["features"])
    screen.show_evaluation(console, results["evaluation"])
    screen.show_export(console, results["export"])
    screen.show_serving(console, results["serving"])
    screen.show_timing(console, results["timing"], results["serving"], results["export"])
    text = console.file.getvalue()
    lines = text.splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    header = next(line.split() for line in lines if "AUC" in line)
    assert header == ["fold", "train", "test", "AUC", *["accuracy", "F1"] * 3]


def test_quiet_console_prints_nothing_and_files_are_thrown_away(history, capfd):
    """Without ``out`` and with a quiet console nothing is left, neither files nor text."""
    results = run(Console(quiet=True), data=history, members=SMALL[:1])
    assert results["export"]["file"] is results["export"]["trained"] is None
    assert capfd.readouterr() == ("", "")


def test_a_relative_directory_is_the_callers(history, tmp_path, monkeypatch):
    """``--out`` counts from where the demo is called, not from where the candles are."""
    monkeypatch.chdir(tmp_path)
    results = run(Console(quiet=True), data=history, members=SMALL[:1], out=Path("kept"))
    assert (tmp_path / "kept" / "ensemble.onnx").is_file()
    assert Path(results["export"]["report"]).is_file()


def test_the_last_line_tells_how_to_keep_the_files():
    """Where nothing was kept, the last line says so and how to keep it; otherwise it says where it is."""
    console = Console(file=io.StringIO(), width=60)
    screen.show_end(console, 3.2, None, None)
    kept = "nothing was kept; glulam demo --out DIR keeps ensemble.onnx, the trained ensemble and the report"
    assert console.file.getvalue() == f"\n3 s in all\n  {kept}\n"
    screen.show_end(console, 3.2, Path("d"), Path("d/report.html"))
    assert console.file.getvalue().splitlines()[-1].endswith("are in d; read d/report.html")


def test_the_verdict_on_the_scores(shown):
    """The honest range is told beside what was found, and a majority that always says down has its F1 explained."""
    results, _, _ = shown
    for f1, explained in ((0.0, True), (0.6, False)):
        majority = {"accuracy": 0.5, "f1": f1}
        folds = [fold | {"majority": majority} for fold in results["evaluation"]["folds"]]
        console = Console(file=io.StringIO(), width=500)
        screen.show_evaluation(console, results["evaluation"] | {"folds": folds})
        text = console.file.getvalue()
        assert "About 0.51 to 0.53 is what honest looks like" in text
        assert "; the best baseline, " in text
        assert "Leak checks: " in text
        assert ("The majority's F1 is 0 where it always says down." in text) is explained


def test_threads_are_given_back():
    """The libraries are timed with one thread and have their own number again afterwards."""
    models = [RandomForestClassifier(n_jobs=number) for number in (None, 1, -1)]
    with _demo_speed._one_thread(models):
        assert [model.n_jobs for model in models] == [1, 1, 1]
    assert [model.n_jobs for model in models] == [None, 1, -1]


def test_missing_candles_are_named(tmp_path):
    """A missing file is named, with what to give instead, before anything is made."""
    with pytest.raises(ArtifactError, match=r"no candles at .*none\.csv; give a CSV file with timestamp, open"):
        run(Console(quiet=True), data=tmp_path / "none.csv", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"a,b\n1\n", b"\x1f\x8b broken"])
def test_unreadable_candles_are_named(tmp_path, content):
    """A file that is no CSV, or cut off, is refused with its name."""
    path = tmp_path / "candles.csv.gz"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"candles\.csv\.gz cannot be read as CSV"):
        run(Console(quiet=True), data=path)


def test_candles_in_another_encoding_are_named(tmp_path):
    """Column names in Latin-1 are told with what to do."""
    path = tmp_path / "candles.csv"
    path.write_bytes("größe,close\n1,2\n".encode("latin-1"))
    with pytest.raises(ArtifactError, match=r"candles\.csv is not UTF-8; save it as UTF-8"):
        run(Console(quiet=True), data=path)


def test_short_history_is_refused(history, tmp_path):
    """Fewer candles than five folds need are refused with both numbers."""
    path = tmp_path / "short.csv"
    path.write_text("".join(history.read_text().splitlines(keepends=True)[:101]))
    with pytest.raises(FeatureError, match="expected at least 500 candles, got 100"):
        run(Console(quiet=True), data=path)


def test_existing_files_are_not_overwritten(history, tmp_path):
    """A directory that holds an exported file is refused before any work, and the file stays."""
    (tmp_path / "ensemble.onnx").write_text("mine")
    with pytest.raises(ArtifactExistsError, match=r"ensemble\.onnx exists; choose another directory with --out$"):
        run(Console(quiet=True), data=history, out=tmp_path)
    assert (tmp_path / "ensemble.onnx").read_text() == "mine"


def test_out_must_be_a_directory(history, tmp_path):
    """A file in the place of ``out`` is refused by name."""
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(ArtifactError, match="file: cannot be made a directory"):
        run(Console(quiet=True), data=history, out=path)


def test_packaged_candles_come_first(tmp_path, monkeypatch):
    """The installed package's candles are taken where they are, the checkout's otherwise."""
    assert _shipped.shipped().is_file()
    monkeypatch.setattr(_shipped.resources, "files", lambda package: tmp_path)
    (tmp_path / "data").mkdir()
    packaged = tmp_path / "data" / _shipped.CANDLES
    packaged.touch()
    assert _shipped.shipped() == packaged


def test_blocked_package_is_missing_and_remembered():
    """The blocker raises the error of a package that is not installed, for its modules too."""
    blocker = _demo_serving.Blocker(["sklearn"])
    with pytest.raises(ModuleNotFoundError, match="sklearn is blocked") as caught:
        blocker.find_spec("sklearn.metrics")
    assert caught.value.name == "sklearn.metrics"
    assert blocker.find_spec("onnxruntime") is None
    assert blocker.refused == {"sklearn"}


def test_memory_without_proc_is_the_peak(monkeypatch, tmp_path):
    """Where there is no /proc, the resource module's peak is what is known."""
    now = _memory.resident_bytes()
    monkeypatch.setattr(_memory, "Path", lambda path: tmp_path / "none")
    assert _memory.resident_bytes() >= now * 0.9


def test_failing_process_is_told_with_its_words(tmp_path):
    """When the separate process fails, its own error is in the message."""
    np.save(tmp_path / "rows.npy", np.zeros((1, 2), dtype=np.float32))
    with pytest.raises(GlulamError, match=r"(?s)serves none\.onnx ended with code 1.*no such file"):
        _demo_stages._ask_process("file", tmp_path / "none.onnx", tmp_path / "rows.npy", ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda served: served["probabilities"][3].reverse(), "different bits"),
        (lambda served: served.update(dtype="float64"), "different bits"),
        (lambda served: served["labels"].reverse(), "label differs"),
    ],
)
def test_any_other_answer_is_an_error(shown, history, change, message):
    """Served answers that differ in a bit, a type or a label are no result but a ProofError."""
    _, _, out = shown
    data = prepare(_demo_stages.make_config(history, out, None), history.parent, lambda line: None)
    file, rows = out / "ensemble.onnx", data.X[:50]
    trained = glulam.EnsembleClassifier.load(out / "ensemble.trained")
    here = glulam.load(file)
    probabilities = here.predict_proba(rows)
    served = {
        "probabilities": probabilities.tolist(),
        "dtype": probabilities.dtype.name,
        "labels": here.predict(rows).tolist(),
    }
    assert _demo_stages._compare(trained, file, rows, served)["labels_equal"] == 50
    change(served)
    with pytest.raises(ProofError, match=message):
        _demo_stages._compare(trained, file, rows, served)


def test_probabilities_off_the_native_ones_are_an_error(shown, history):
    """A file that answers steadily, but further from the libraries than the proof allows, is a ProofError."""
    _, _, out = shown
    data = prepare(_demo_stages.make_config(history, out, None), history.parent, lambda line: None)
    here, rows = glulam.load(out / "ensemble.onnx"), data.X[:5]
    served = {
        "probabilities": here.predict_proba(rows).tolist(),
        "dtype": "float32",
        "labels": here.predict(rows).tolist(),
    }
    off = SimpleNamespace(predict_proba=lambda X: here.predict_proba(X) + np.float32(1e-5), predict=here.predict)
    with pytest.raises(ProofError, match=r"e-05 from the native ones, more than 1e-06"):
        _demo_stages._compare(off, out / "ensemble.onnx", rows, served)


def test_default_members_are_the_ensembles_own():
    """Without members the demo's ensemble is the default one in name and weight."""
    config = _demo_stages.make_config(Path("candles.csv"), Path("out"), None)
    assert tuple(config.members) == DEFAULT_MEMBERS
    assert tuple(member.weight for member in config.members.values()) == DEFAULT_WEIGHTS
