"""docs/bad-input.md: every line of the table is what really happens."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from glulam import EnsembleClassifier, export, load

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
    assert set(documented()) == {*BY_TRAINED, *BY_FIT, *BY_FILE, *BY_PROCESS}
