"""``glulam train`` by a config: what it prints and refuses, and what is left when it is stopped."""

import contextlib
import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest

import glulam as library

CANDLES = Path(__file__).parents[3] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
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
params = {n_estimators = 8, num_leaves = 7}
[members.forest]
plugin = "random_forest"
weight = 0.4
params = {n_estimators = 8, max_depth = 4}
[evaluation]
folds = 3
bootstrap = 200
metrics = ["auc", "f1", "precision", "calibration_error"]
"""


@pytest.fixture(scope="module")
def candles(tmp_path_factory) -> str:
    """Return a CSV of 1,200 real candles."""
    path = tmp_path_factory.mktemp("candles") / "candles.csv"
    pa.csv.write_csv(pa.csv.read_csv(CANDLES).slice(0, 1_200), path)
    return path.read_text()


def prepared(place: Path, candles: str) -> Path:
    """Put candles and config into a directory, and return it."""
    (place / "candles.csv").write_text(candles)
    (place / "glulam.toml").write_text(SMALL)
    return place


@pytest.fixture
def place(tmp_path, monkeypatch, candles) -> Path:
    """Return a directory with candles and config, which is the present one."""
    monkeypatch.chdir(tmp_path)
    return prepared(tmp_path, candles)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, candles) -> Path:
    """Return a directory in which an undisturbed run has ended; ``out`` is what it printed."""
    place = prepared(tmp_path_factory.mktemp("whole"), candles)
    environment = os.environ | {"COLUMNS": "80"}
    done = subprocess.run(command(), cwd=place, capture_output=True, text=True, check=True, env=environment)
    assert done.stderr == ""
    (place / "out").write_text(done.stdout)
    return place


def command(*arguments: str) -> list[str]:
    """Return what trains in a process of its own."""
    return [sys.executable, "-m", "glulam.cli", "train", *arguments]


def listing(place: Path) -> dict[str, int]:
    """Return every file and directory with its time of change."""
    return {str(path.relative_to(place)): path.stat().st_mtime_ns for path in sorted(place.rglob("*"))}


def sets(overrides) -> list[str]:
    """Return overrides as options."""
    return [part for each in overrides for part in ("--set", each)]


def test_what_a_run_prints(whole):
    """Stages, tables in 80 columns without a broken word, and where the results are."""
    out = (whole / "out").read_text()
    stages = (
        "data: candles.csv: 1,200 rows", "evaluation: ", "looking for leaks", "leaks: ", "final fit on 1,150 rows",
        "exported and pro",
    )  # fmt: skip
    assert all(line.startswith(stage) for line, stage in zip(out.splitlines(), stages, strict=False))
    titles = (
        "Out of fold: answers to rows that the models had not seen",
        "Compared on the same rows",
        "Backtest of these",
    )
    assert all(title in out for title in titles)
    tables = [line for line in out.splitlines() if line[:1] in "┏┃┡│└"]
    assert max(map(len, tables)) <= 80
    row = next(line for line in tables if line.startswith("│ precision"))
    assert row.count("│") == 7
    assert " nan " not in out
    for word in ("calibration ", "always ", "positive ", "previous ", "%", "nothing suspicious in", "report.html"):
        assert word in out
    assert f"written  ensemble.onnx ({(whole / 'ensemble.onnx').stat().st_size:,} bytes)" in out
    assert "[" not in out.splitlines()[0]  # only --verbose says when
    assert sorted(path.name for path in whole.iterdir()) == [
        "candles.csv", "ensemble.onnx", "ensemble.trained", "glulam.toml", "out", "runs"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["ensemble.votting=hard"], "ensemble.votting (set by --set ensemble.votting): unknown key; did you mean 'vot"),
        (["evaluation.folds=five"], "evaluation.folds: expected a whole number of at least 2, got 'five'"),
        (["evaluation.folds"], "--set 'evaluation.folds': expected KEY=VALUE, such as evaluation.folds=5"),
        (["members.xgbost.weight=1"], "unknown model plugin 'xgbost'; did you mean 'xgboost'?"),
        (["evaluation.metrics=['aucc']"], "evaluation.metrics[0]: unknown metric 'aucc'; did you mean 'auc'?"),
        (["label=next_dirction"], "label.name: unknown label 'next_dirction'; did you mean 'next_direction'?"),
        (["label={name='column', column='up'}"], "candles.csv: label 'column': no column 'up'; the table has ['open'"),
        (["evaluation.folds=700"], "expected at least 2,103 for 700 folds and a label that reaches 1 rows ahead; give"),
        (["label={name='return_above', bars=1, threshold=0.3}"], "all 1,150 labels are 0; there is nothing to learn"),
        (
            ["label={name='return_above', bars=1, threshold=0.12}"],
            "fold 2 of 3: all 287 rows to test on have the label '0'; use fewer folds, more data, or a label that is",
        ),
        (["members.lightgbm.params.n_estimatorz=3"], "member 'lightgbm': unknown parameter 'n_estimatorz'; did you"),
        (["members.forest.params.trees=3"], "member 'forest': RandomForestClassifier.__init__() got an unexpected"),
        (
            ["members.lightgbm.params.n_estimators=-3"],
            "fold 1 of 3: a member could not be fitted: Number of boosting rounds must be greater than 0. Got -3; corr",
        ),
        (["data.since=2019-01-01"], "no row is left by data.since = '2019-01-01'; the table has 2018-01-01T00:00:00Z to"),
        (["gates.not_worse_than=candles.csv"], "candles.csv: not an ONNX model that onnxruntime"),
        (["output.path=candles.csv", "output.overwrite=true"], "candles.csv is data.path, which is not written over"),
        (["output.path=candles.csv"], "output.path: candles.csv is data.path, which is not written over; choose anoth"),
        (["output.path=tuning.sqlite3"], "output.path: tuning.sqlite3 is tune.storage, which is not written over"),
        (["output.path=nowhere/e.onnx"], "nowhere/e.onnx: the directory nowhere does not exist; create it first"),
        (["output.path=e.trained"], "e.trained is where the trained ensemble goes; choose another ending, such as .on"),
        (["output.path=''"], "output.path: '' has no file name; expected one such as ensemble.onnx"),
        (["output.path=."], "output.path: '.' has no file name; expected one such as ensemble.onnx"),
        (["output.path=runs"], "output.runs: 'runs' is no directory of its own; choose another"),
        (["output.runs=''"], "output.runs: '' is no directory of its own; choose another, such as 'runs'"),
        (["output.runs=ensemble.trained"], "output.runs: 'ensemble.trained' is no directory of its own"),
        (["output.runs=candles.csv"], "candles.csv: no folder for the run can be made: File exists; choose another pl"),
        (["evaluation.splitter=stratified_k_fold"], "'stratified_k_fold' tests rows with models that were fitted on la"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(glulam, place, overrides, message):
    """A config that cannot work is refused with code 1 in one line that says what to do, and nothing stays of it."""
    done = glulam("train", *sets(overrides))
    assert done.code == 1
    assert message in done.err.replace(f" (set by --set {overrides[0].partition('=')[0]})", "") or message in done.err
    assert done.err.startswith("glulam: error: ")
    assert done.err.count("\n") == 1
    assert "--debug" not in done.err  # which would be a bug's, not the user's
    assert not [path for path in place.rglob("*") if path.is_file() and path.name not in ("candles.csv", "glulam.toml")]


HEAD = "timestamp,open,high,low,close,volume"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [rows[1], rows[0], *rows[2:]], "row 2, column 'timestamp': 2018-01-01T00:00:00Z is earlier than"),
        (lambda rows: [rows[0], *rows], "1 rows have the time of an earlier row (2018-01-01T00:00:00Z), with the same"),
        (
            lambda rows: [rows[0], rows[0].replace(",13715.65", ",13715.66"), *rows[1:]],
            "so that nobody can tell which are right; leave out the wrong ones",
        ),
        (
            lambda rows: [row.replace("Z", "") for row in rows],
            "column 'timestamp': times name no zone; set data.timezone = \"UTC\" if that is what they are",
        ),
        (
            lambda rows: [row.replace("Z", "") if index == 7 else row for index, row in enumerate(rows)],
            "names no zone, but 1199 of 1200 times do; write all of them in one way",
        ),
        (lambda rows: [row.replace("Z", "+01:00") if row == rows[7] else row for row in rows], "different offsets from"),
        (lambda rows: rows[:3], "technical: expected more than 49 rows"),
        (lambda rows: [], "candles.csv: no rows, only column names; give a file with data"),
    ],
)  # fmt: skip
def test_rows_that_will_not_do(glulam, place, candles, change, message):
    """Unsorted, repeated or too few rows, times without a zone or of several: one line, with the row, and no folder."""
    rows = [row.replace(" ", "T") for row in candles.splitlines()[1:]]
    (place / "candles.csv").write_text("\n".join([HEAD, *change(rows)]) + "\n")
    done = glulam("train")
    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert sorted(path.name for path in place.iterdir()) == ["candles.csv", "glulam.toml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "nope.toml"], "--config: nope.toml: no such file; write one with: glulam init"),
        (["--set", "data.path=nope.csv"], "data.path: nope.csv: no such file; correct data.path, which is relative to"),
        (
            ["--set", "gates.not_worse_than=nope.onnx"],
            "gates.not_worse_than: nope.onnx: no such file; name the present ensemble.onnx, or leave the gate out for",
        ),
        (["--set", "output.path=glulam.toml", "--force"], "output.path: glulam.toml is the config; choose another"),
        (["--days", "0"], "'--days'"),
        (["--days", "9", "--since", "2018-02-01"], "--days: it counts back from the end; leave out --since and --unt"),
        (["--resume", "--dry-run"], "--resume: a dry run writes nothing that could be resumed"),
        (["--quiet", "--verbose"], "--verbose: with --quiet nothing is printed; choose one of them"),
        (["--member", "lightgbm"], "--member: belongs to DATA; name a file, or say it in the config (--set KEY=VALUE)"),
        (["--out", "x.onnx"], "--out: belongs to DATA"),
        (["--target", "close", "--features", "technical"], "--target, --features: belongs to DATA"),
        (["candles.csv"], "--target: which column of DATA is to be predicted? Name it; or leave DATA out, and let glu"),
        (
            ["candles.csv", "--target", "close", "--set", "seed=1", "--dry-run"],
            "--set, --dry-run: belongs to a run by a config; leave DATA out, or the option",
        ),
        (["nope.csv", "--target", "y"], "'nope.csv' does not exist"),
    ],
)  # fmt: skip
def test_wrong_usage_is_code_2(glulam, place, arguments, message):
    """Options of the other way to train, contradictions and files that are not there are wrong usage."""
    before = listing(place)
    done = glulam("train", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.endswith("; see glulam train --help\n")
    assert done.err.count("\n") == 1
    assert listing(place) == before


def test_a_directory_of_somebody_elses_stays(glulam, place):
    """What bears the name of the trained ensemble, but is none, is not replaced even with --force."""
    (place / "ensemble.trained").mkdir()
    (place / "ensemble.trained" / "mine").write_text("precious")
    done = glulam("train", "--force")
    assert done.code == 1
    assert "ensemble.trained exists and is no trained ensemble, so that it is not replaced" in done.err
    assert (place / "ensemble.trained" / "mine").read_text() == "precious"
    (place / "ensemble.onnx").mkdir()
    assert "output.path: ensemble.onnx is a directory; give the name of a file in it" in glulam("train", "--force").err


def test_a_dry_run_writes_nothing(glulam, place):
    """Everything is done on the last rows, said with the time of each step, and no file is there that was not."""
    before = listing(place)
    done = glulam("train", "--dry-run", "--verbose", "--days", "120")
    assert (done.code, done.err) == (0, "")
    assert listing(place) == before
    assert "rows left out by data.days = 120" in done.out
    assert "dry run: the last 667 rows, nothing is written" in done.out
    assert "fold 3 of 3: fitted on" in done.out
    assert done.out.splitlines()[0].startswith("[ ")
    assert done.out.endswith("dry run  nothing was written\n")


def test_a_failed_gate_is_one_document_and_code_1(glulam, place):
    """With --json stdout is one document that says what stands against the file; stderr has the line."""
    (place / "ensemble.onnx").write_text("precious")
    done = glulam("train", "--json", "--force", *sets(["gates.min_f1=0.99", "backtest.enabled=false"]))
    document = json.loads(done.out)
    assert done.code == 1
    assert document["out"] is None
    assert not document["passed"]
    (reason,) = document["refused"]
    assert reason.startswith("gate f1: F1: ")
    assert done.err == f"glulam: error: not put in place: {reason}; see {document['report']}\n"
    assert (place / document["report"]).is_file()
    assert document["metrics"]["precision"]["baselines"]["majority"]["value"] is None  # it never says yes
    assert document["backtest"] is None
    assert (place / "ensemble.onnx").read_text() == "precious"


def test_options_of_a_run(glulam, place):
    """--set, --since and --until choose; with --quiet nothing is printed, and the file is there."""
    window = ["--since", "2018-02-01", "--until", "2018-07-01T00:00:00Z"]
    done = glulam("train", "--quiet", *window, *sets(["seed=7", "output.path=e.onnx", "evaluation.folds=2"]))
    assert (done.code, done.out, done.err) == (0, "", "")
    (folder,) = (place / "runs").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["seed"] == 7
    assert manifest["data"]["since"] == "2018-02-01T00:00:00Z"
    assert manifest["data"]["until"] == "2018-06-30T20:00:00Z"
    assert len(json.loads((folder / "metrics.json").read_text())["metrics"]["auc"]["by_fold"]) == 2
    assert library.load(place / "e.onnx").info()["training"]["seed"] == 7
    assert (place / "e.trained" / "manifest.json").is_file()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_goes_on(glulam, place, whole, number, code):
    """Ctrl-C and SIGTERM among the folds: code, how to go on, nothing half-written; resumed, the very same bytes."""
    running = subprocess.Popen(command("--quiet"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(place.glob("runs/*/folds/fold-0.npz")):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (code, "")
    (folder,) = (place / "runs").iterdir()
    kept = f"glulam: what is done is kept in runs/{folder.name}; go on with the same command and --resume\n"
    assert err == kept + "glulam: interrupted\n" * (number == signal.SIGINT)
    assert sorted(path.name for path in place.iterdir()) == ["candles.csv", "glulam.toml", "runs"]
    assert not list(place.rglob("*.part"))
    assert json.loads((folder / "manifest.json").read_text())["state"] == "running"
    done = glulam("train", "--resume", "--verbose")
    assert done.code == 0, done.err
    assert "fold 1 of 3: kept from the interrupted run" in done.out
    assert (place / "ensemble.onnx").read_bytes() == (whole / "ensemble.onnx").read_bytes()
    assert list((place / "runs").iterdir()) == [folder]


@pytest.mark.parametrize(("size", "what"), [(3_000, "fold-0.npz"), (12_000, "ensemble.onnx")])
def test_a_full_disk(place, size, what):
    """Where a file cannot grow, one line names it; what was in place stays, and no half of a file is left."""
    (place / "ensemble.onnx").write_text("precious")
    done = subprocess.run(
        command("--force", "--quiet"), capture_output=True, text=True, check=False, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{what}: could not be written: File too large; nothing was left" in done.stderr
    assert done.stderr.count("\n") == 1
    assert ("; go on with the same command and --resume" in done.stderr) == (what != "fold-0.npz")
    assert (place / "ensemble.onnx").read_text() == "precious"
    assert not list(place.rglob("*.part"))
    assert not (place / "ensemble.trained").exists()
    assert bool(list(place.glob("runs/*"))) == (what != "fold-0.npz")  # a run that came to nothing leaves no folder


def test_a_directory_that_may_not_be_written(candles):
    """Where no folder of a run can be made, that is said before anything is fitted."""
    # Not pytest's own folder, which only the user who runs it may enter.
    with tempfile.TemporaryDirectory() as name:
        place = prepared(Path(name), candles)
        place.chmod(0o777)
        (place / "runs").mkdir(mode=0o555)
        # Refused at the same step, so that all is imported by then: another user may not read the libraries.
        code = "import os, sys; from glulam.cli import main; main(['train', '--set', 'output.runs=candles.csv']); "
        code += "os.geteuid() or os.setuid(65534); sys.exit(main(['train']))"  # root may write anywhere
        done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.splitlines(keepends=True)[1] == (
            "glulam: error: runs: no folder for the run can be made: Permission denied; choose another place with "
            "output.runs\n"
        )
        assert not (place / "ensemble.onnx").exists()


@contextlib.contextmanager
def locked(path: Path):
    """Hold the lock of another process."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_a_study_that_another_process_has(glulam, place):
    """A run that is to tune says who has the file of trials, and what to do; no folder is left."""
    with locked(place / "tuning.sqlite3.lock"):
        storage = f"tune.storage='{place / 'tuning.sqlite3'}'"
        done = glulam("train", "--quiet", *sets(["tune.enabled=true", "tune.trials=1", storage]))
    assert done.code == 1
    assert "tuning.sqlite3: locked by another process" in done.err
    assert "which is tuning; wait for it, or choose another tune.storage" in done.err
    assert done.err.count("\n") == 1
    assert not list((place / "runs").iterdir())


def test_a_run_that_another_process_is_at(glulam, place, whole):
    """The same run is not resumed twice at once; the message says so."""
    shutil.copytree(whole / "runs", place / "runs")
    (folder,) = (place / "runs").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text()) | {"state": "running"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    before = {name: when for name, when in listing(folder).items() if name != ".lock"}
    with locked(folder / ".lock"):
        done = glulam("train", "--resume", "--quiet")
        (folder / ".lock").unlink()
    assert done.code == 1
    assert done.err.endswith("which is at this run; wait for it, or end it\n")
    assert {name: when for name, when in listing(folder).items() if name != ".lock"} == before


def test_nothing_to_resume(glulam, place):
    """Without an interrupted run --resume is refused, and says what to leave out."""
    done = glulam("train", "--resume", "--quiet")
    assert done.code == 1
    assert done.err.endswith(
        "no interrupted run of this config and these data; leave out --resume to begin a new one\n"
    )


def test_weekly_retraining_against_the_champion(glulam, place, whole):
    """The file in place is the champion: compared where it never was, and replaced by one that is not worse."""
    shutil.copy(whole / "ensemble.onnx", place / "ensemble.onnx")
    later = pa.csv.read_csv(CANDLES).slice(0, 1_500)
    pa.csv.write_csv(later, place / "candles.csv")
    done = glulam("train", "--force", *sets(["gates.not_worse_than='ensemble.onnx'"]))
    assert done.code == 0, done.err
    text = " ".join(done.out.replace("│", " ").split())
    assert "champion" in text
    assert "passed" in text
    assert "later than the champion's training" in text
    assert (place / "ensemble.onnx").read_bytes() != (whole / "ensemble.onnx").read_bytes()


LOADED = "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"


def test_help_imports_no_library(process):
    """``glulam train --help`` and a config that is not there load none of the libraries that train."""
    heavy = {"sklearn", "lightgbm", "xgboost", "scipy", "pandas", "onnx", "onnxruntime", "plotly", "optuna", "pyarrow"}
    done = process("train", "--help", after=LOADED)
    assert done.code == 0
    assert not {name for name in heavy if repr(name) in done.err}
    assert "Go on with the interrupted run" in " ".join(done.out.replace("│", " ").split())
    assert process("train", "--config", "nope.toml", blocked=["sklearn", "lightgbm"]).code == 2


@pytest.mark.parametrize(
    ("missing", "more", "advice"),
    [
        ("pydantic", [], "pip install 'glulam[cli]'"),
        ("sklearn", [], "pip install 'glulam[train]'"),
        ("onnx", [], "pip install 'glulam[onnx]'"),
        ("plotly", [], "pip install 'glulam[cli]'"),
        ("optuna", ["--set", "tune.enabled=true"], "pip install 'glulam[tune]'"),
        ("lightgbm", [], "pip install 'glulam[lightgbm]'"),
    ],
)
def test_a_missing_library_is_one_line(process, place, missing, more, advice):
    """Without a library that the run needs, one line says what to install, and nothing is put in place."""
    done = process("train", "--quiet", *more, blocked=[missing])
    assert done.code == 1
    assert missing in done.err
    assert advice in done.err
    assert done.err.count("\n") == 1
    assert not (place / "ensemble.onnx").exists()
