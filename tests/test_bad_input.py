"""docs/bad-input.md: every line of the table is what really happens."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from glulam import EnsembleClassifier, export, load
from glulam.training.loading import load_config
from glulam.training.running import train

DOCUMENT = Path(__file__).parents[1] / "docs" / "bad-input.md"
NAMES = ["open", "close", "volume"]
MEMBERS = [("random_forest", {"n_estimators": 3}), ("extra_trees", {"n_estimators": 3})]
FRAME = pd.DataFrame(np.random.default_rng(0).uniform(1, 2, (200, 3)), columns=NAMES)
Y = (FRAME.open > FRAME.close).astype(int)


def ensemble(**settings):
    """Return an unfitted ensemble of two small forests."""
    return EnsembleClassifier(MEMBERS, **settings)


@pytest.fixture(scope="module")
def trained():
    """Return a fitted one that checks ranges as well."""
    return ensemble(validators=["columns", "finite", "range", "minimum_samples"]).fit(FRAME, Y)


def changed(**columns):
    """Return three rows with some columns replaced."""
    return FRAME.head(3).assign(**columns)


BY_TRAINED = {
    "wrong number of columns": lambda e: e.predict(FRAME.to_numpy()[:, :2]),
    "wrong column name": lambda e: e.predict(FRAME.rename(columns={"volume": "Volume"})),
    "wrong column order": lambda e: e.predict(FRAME[["close", "open", "volume"]]),
    "wrong dtype": lambda e: e.predict({**changed(), "open": np.array(["2026-01-01"] * 3, dtype="datetime64[us]")}),
    "text where numbers are expected": lambda e: e.predict(changed(open=["high", "low", "mid"])),
    "object array with something else in it": lambda e: e.predict(
        np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, {}, 1.0]], dtype=object)
    ),
    "NaN where it is not allowed": lambda e: e.predict(changed(close=[1.0, np.nan, 1.0])),
    "infinity": lambda e: e.predict(changed(close=[1.0, np.inf, 1.0])),
    "number beyond float32": lambda e: e.predict(changed(close=[1.0, 1e300, 1.0])),
    "value outside the training range": lambda e: e.predict(changed(volume=[1e6, 1.5, 1.5])),
    "empty table": lambda e: e.predict(FRAME.head(0)),
    "0-d array": lambda e: e.predict(np.float64(1)),
    "3-d array": lambda e: e.predict(np.zeros((2, 2, 3))),
    "ragged rows": lambda e: e.predict([[1, 2, 3], [1, 2]]),
}
BY_FIT = {
    "unseen category": lambda: (
        ensemble()
        .fit(FRAME.assign(city=pd.Categorical(["Bern", "Ulm"] * 100)), Y)
        .predict({**FRAME.head(1), "city": ["Rome"]})
    ),
    "one class only": lambda: ensemble().fit(FRAME, Y * 0),
    "fewer than 100 rows": lambda: ensemble().fit(FRAME.head(99), Y.head(99)),
    "weights of the wrong length": lambda: ensemble(weights=[1, 2, 3]).fit(FRAME, Y),
    "negative weights": lambda: ensemble(weights=[1, -1]).fit(FRAME, Y),
    "weights that are all zero": lambda: ensemble(weights=[0, 0]).fit(FRAME, Y),
    "unknown member": lambda: EnsembleClassifier(["lightgmb"]).fit(FRAME, Y),
    "unknown voting strategy": lambda: ensemble(voting="sotf").fit(FRAME, Y),
    "unknown validator": lambda: ensemble(validators=["finte"]).fit(FRAME, Y),
    "min_confidence that can never trigger": lambda: ensemble(min_confidence=0.35).fit(FRAME, Y),
}


def neighbours(trained, folder):
    """Export a member that has no exact form."""
    EnsembleClassifier([("near", KNeighborsClassifier())]).fit(FRAME, Y).export(folder / "e.onnx")


def damaged_model(trained, folder):
    """Export a library's own file that breaks off."""
    (folder / "model.json").write_text('{"learner": {')
    export(folder / "model.json", folder / "e.onnx")


def pickled(trained, folder):
    """Export a pickle."""
    (folder / "model.pkl").write_bytes(b"\x80\x04.")
    export(folder / "model.pkl", folder / "e.onnx")


def refused_row(trained, folder):
    """Ask a model that was exported alone for a row that it refuses itself."""
    export(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), folder / "e.onnx", np.array([[0.0], [1.0]]))
    load(folder / "e.onnx").predict(np.array([[0.5], [np.nan]]))


def existing(trained, folder):
    """Export over a file."""
    (folder / "ensemble.onnx").touch()
    trained.export(folder / "ensemble.onnx")


def truncated(trained, folder):
    """Open the first half of a file."""
    trained.export(folder / "e.onnx", proof_rows=1_000)
    load((folder / "e.onnx").read_bytes()[: (folder / "e.onnx").stat().st_size // 2])


def foreign(trained, folder):
    """Open an ONNX file that says nothing of itself."""
    trained.export(folder / "e.onnx", proof_rows=1_000)
    model = onnx.load(folder / "e.onnx")
    del model.metadata_props[:]
    load(model.SerializeToString())


BY_FILE = {
    "model that cannot be exported exactly": neighbours,
    "model that is not fitted": lambda trained, folder: export(KNeighborsClassifier(), folder / "e.onnx"),
    "object that is no model": lambda trained, folder: export({"a": 1}, folder / "e.onnx"),
    "model file that is damaged": damaged_model,
    "model file that is a pickle": pickled,
    "row that a model exported alone refuses": refused_row,
    "file that exists": existing,
    "directory that does not exist": lambda trained, folder: trained.export(folder / "nowhere" / "e.onnx"),
    "file that is not there": lambda trained, folder: load(folder / "e.onnx"),
    "truncated file": truncated,
    "ONNX file of another program": foreign,
}

CANDLES = Path(__file__).parents[1] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
CONFIG = """
data.path = "candles.csv"
data.time = "timestamp"
features.generators = ["technical"]
label = "next_direction"
evaluation.folds = 3
[members.forest]
plugin = "random_forest"
params = {}
"""


def wrong(*overrides):
    """Return what trains by the config with some keys changed."""
    return lambda folder: trained_by(folder, *overrides)


def trained_by(folder, *overrides, **options):
    """Train by the config of a folder."""
    train(load_config(folder / "glulam.toml", overrides=overrides, environ={}), base=folder, **options)


def rewritten(change):
    """Return what trains on candles whose rows were changed."""

    def run(folder):
        head, *rows = (folder / "candles.csv").read_text().splitlines()
        (folder / "candles.csv").write_text("\n".join([head, *change(rows)]) + "\n")
        trained_by(folder)

    return run


def no_toml(folder):
    """Train by a config that breaks off."""
    (folder / "glulam.toml").write_text("seed = = 7\n")
    trained_by(folder)


def no_config(folder):
    """Train by a config that is not there."""
    (folder / "glulam.toml").unlink()
    trained_by(folder)


def locked_study(folder):
    """Tune while another process does."""
    import fcntl

    with (folder / "tuning.sqlite3.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        trained_by(folder, "tune.enabled=true", f"tune.storage='{folder / 'tuning.sqlite3'}'")


BY_RUN = {
    "config that is not there": no_config,
    "config that is no TOML": no_toml,
    "unknown key in a config": wrong("ensemble.votting=hard"),
    "wrong type in a config": wrong("evaluation.folds=five"),
    "unknown member in a config": wrong("members.xgbost.weight=1"),
    "unknown metric": wrong("evaluation.metrics=['aucc']"),
    "unknown label": wrong("label=next_dirction"),
    "parameter that a member does not have": wrong("members.forest.params.trees=3"),
    "parameter that a member cannot be fitted with": wrong("members.forest.params.max_depth=-3"),
    "data file that is not there": wrong("data.path=nope.csv"),
    "column of labels that is not there": wrong("label={name='column', column='up'}"),
    "too few rows for the folds": wrong("evaluation.folds=100"),
    "labels that are all equal": wrong("label={name='return_above', bars=1, threshold=0.9}"),
    "labels that are all equal in a fold": wrong("label={name='return_above', bars=1, threshold=0.07}"),
    "unsorted times": rewritten(lambda rows: [rows[1], rows[0], *rows[2:]]),
    "repeated times": rewritten(lambda rows: [rows[0], *rows]),
    "repeated times with other values": rewritten(
        lambda rows: [rows[0], rows[0].replace("13715.65", "13715.66"), *rows[1:]]
    ),
    "times without a zone": rewritten(lambda rows: [row.replace("Z", "") for row in rows]),
    "times with and without a zone": rewritten(lambda rows: [*rows[:7], rows[7].replace("Z", ""), *rows[8:]]),
    "times of several zones": rewritten(lambda rows: [*rows[:7], rows[7].replace("Z", "+01:00"), *rows[8:]]),
    "folds that test on the past": wrong("evaluation.splitter=stratified_k_fold"),
    "output in the place of the data": wrong("output.path=candles.csv", "output.overwrite=true"),
    "output in a directory that does not exist": wrong("output.path=nowhere/e.onnx"),
    "directory of runs that is a file": wrong("output.runs=candles.csv"),
    "champion that is not there": wrong("gates.not_worse_than=champion.onnx"),
    "nothing to resume": lambda folder: trained_by(folder, resume=True),
    "study locked by another process": locked_study,
}

PRELUDE = """
import importlib.abc, os, signal, resource, sys
from pathlib import Path
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "lightgbm":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
folder = Path(sys.argv[1])
def show(action):
    try:
        action()
    except Exception as error:
        print(type(error).__name__)
        print(error)
"""
BY_PROCESS = {
    "member library missing": """
sys.meta_path.insert(0, Missing())
import numpy as np
from glulam import EnsembleClassifier
show(lambda: EnsembleClassifier(["lightgbm"]).fit(np.eye(200), np.arange(200) % 2))
""",
    "directory that is not writable": """
from glulam import EnsembleClassifier
trained = EnsembleClassifier.load(folder / "saved")
if os.geteuid() == 0:
    os.setuid(65534)  # root may write anywhere
show(lambda: trained.export(folder / "locked" / "e.onnx", proof_rows=1000))
""",
    "disk that fills up during export": """
from glulam import EnsembleClassifier
trained = EnsembleClassifier.load(folder / "saved")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
show(lambda: trained.export(folder / "e.onnx", proof_rows=1000))
""",
}


def documented() -> dict[str, tuple[str, str]]:
    """Return the table of the document: input to error and words."""
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")][1:]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    return {what: (error.strip("`"), words) for what, error, words in cells}


def check(what: str, error: str, message: str) -> None:
    """Hold an error to its line of the document."""
    expected, words = documented()[what]
    assert error == expected, message
    message, position = " ".join(message.split()), 0
    for part in words.split("…"):
        position = message.find(part.strip(), position)
        assert position >= 0, f"{part!r} is not in {message!r}"


@pytest.mark.parametrize("what", BY_TRAINED)
def test_tables_at_predict(trained, what):
    """A wrong table is refused in the words of the document."""
    with pytest.raises(Exception, match=r".+") as caught:
        BY_TRAINED[what](trained)
    check(what, caught.type.__name__, str(caught.value))


@pytest.mark.parametrize("what", BY_FIT)
def test_arguments_at_fit(what):
    """A wrong argument is refused in the words of the document."""
    with pytest.raises(Exception, match=r".+") as caught:
        BY_FIT[what]()
    check(what, caught.type.__name__, str(caught.value))


@pytest.mark.parametrize("what", BY_FILE)
def test_files(trained, tmp_path, what):
    """A wrong file is refused in the words of the document."""
    with pytest.raises(Exception, match=r".+") as caught:
        BY_FILE[what](trained, tmp_path)
    check(what, caught.type.__name__, str(caught.value))


@pytest.mark.parametrize("what", BY_RUN)
def test_runs(tmp_path, what):
    """A config, or data, that cannot be trained by is refused in the words of the document, and leaves no file."""
    pa.csv.write_csv(pa.csv.read_csv(CANDLES).slice(0, 320), tmp_path / "candles.csv")
    (tmp_path / "glulam.toml").write_text(CONFIG)
    with pytest.raises(Exception, match=r".+") as caught:
        BY_RUN[what](tmp_path)
    check(what, caught.type.__name__, str(caught.value))
    assert "\n" not in str(caught.value)
    inputs = ("candles.csv", "glulam.toml", "tuning.sqlite3.lock")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in inputs]


@pytest.mark.parametrize("what", BY_PROCESS)
def test_machines(trained, what):
    """A missing library, a locked directory and a full disk are refused in the words of the document."""
    # Not pytest's own folder, which only the user who runs it may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        trained.save(folder / "saved")
        (folder / "locked").mkdir(mode=0o555)
        command = [sys.executable, "-c", PRELUDE + BY_PROCESS[what], name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        error, _, message = done.stdout.partition("\n")
        check(what, error, message)
        assert sorted(path.name for path in folder.iterdir()) == ["locked", "saved"]
        assert list((folder / "locked").iterdir()) == []


def test_every_line_of_the_document_is_run():
    """The document has no line without a test, and no test is without its line."""
    assert set(documented()) == {*BY_TRAINED, *BY_FIT, *BY_FILE, *BY_RUN, *BY_PROCESS}
