"""Opening the libraries' own model files: those that they wrote, and everything else."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import catboost
import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer, load_iris

from glulam import _modelfiles, plugins
from glulam._modelfiles import read_model, try_out
from glulam.errors import ArtifactError
from glulam_plugins.models.lightgbm import LightGBM

SILENT = {"verbose": 0, "thread_count": 1, "allow_writing_files": False}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Return a directory of model files as the libraries write them."""
    place = tmp_path_factory.mktemp("files")
    X, y = load_breast_cancer(return_X_y=True)
    X, three = X[:, :5].astype(np.float32), np.array(load_iris().target_names)[np.arange(len(X)) % 3]
    lightgbm.LGBMClassifier(n_estimators=4, num_leaves=6, n_jobs=1, verbose=-1).fit(X, y).booster_.save_model(
        place / "light.txt"
    )
    boosted = xgboost.XGBClassifier(n_estimators=4, max_depth=3, n_jobs=1).fit(X, y)
    boosted.save_model(place / "x.json")
    boosted.get_booster().set_attr(scikit_learn=None)
    boosted.get_booster().save_model(place / "x.ubj")
    small = {"iterations": 4, "depth": 3, **SILENT}
    catboost.CatBoostClassifier(**small).fit(X, three).save_model(str(place / "cat.cbm"))
    catboost.CatBoostRegressor(loss_function="Poisson", **small).fit(X, y).save_model(
        str(place / "cat.json"), format="json"
    )
    return place


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("light.txt", "Booster"),
        ("x.json", "XGBClassifier"),
        ("x.ubj", "Booster"),
        ("cat.cbm", "CatBoostClassifier"),
        ("cat.json", "CatBoostRegressor"),
    ],
)
def test_a_file_is_opened_by_its_library(files, tmp_path, name, kind):
    """Suffix and content tell whose a file is; JSON is CatBoost's or XGBoost's; capitals do not matter."""
    path = tmp_path / name.upper()
    path.write_bytes((files / name).read_bytes())
    model = read_model(path)
    assert type(model).__name__ == kind
    # CatBoost keeps the numbers of columns as their names.
    prefix = "" if kind.startswith("CatBoost") else "x"
    assert plugins.required_model_of(model).signature(model).schema.names == [f"{prefix}{i}" for i in range(5)]


def test_a_catboost_file_keeps_its_labels(files):
    """Classes come from the file."""
    assert read_model(files / "cat.cbm").classes_.tolist() == ["setosa", "versicolor", "virginica"]


def damaged(files: Path, name: str) -> bytes:
    """Return a model file with a damage by the name of its test."""
    light, ubj = (files / "light.txt").read_bytes(), (files / "x.ubj").read_bytes()
    return {
        "breaks off.txt": light[: len(light) // 2],
        "no number.txt": light.replace(b"left_child=", b"left_child=x", 1),
        "no such column.txt": re.sub(rb"split_feature=\d", b"split_feature=7", light, count=1),
        "breaks off.json": (files / "x.json").read_bytes()[:-300],
        "breaks off.ubj": ubj[: len(ubj) // 2],
        "breaks off.cbm": (files / "cat.cbm").read_bytes()[:-300],
        "catboost breaks off.json": (files / "cat.json").read_bytes()[:-3],
    }[name]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("breaks off.txt", "a damaged LightGBM model: it ends before its trees do"),
        ("no number.txt", "damaged: "),
        ("no such column.txt", "damaged: "),
        ("breaks off.json", "not a model that XGBoost can read"),
        ("breaks off.ubj", "not a model that XGBoost can read"),
        ("breaks off.cbm", "a damaged CatBoost model"),
        ("catboost breaks off.json", "a damaged CatBoost model"),
    ],
)
def test_a_damaged_file_is_an_error(files, tmp_path, name, said):
    """Whatever the library does with it, the process lives and the error names the file and what to do."""
    path = tmp_path / name
    path.write_bytes(damaged(files, name))
    with pytest.raises(ArtifactError, match=f"^{re.escape(str(path))}: .*{said}.*save "):
        read_model(path)


@pytest.mark.parametrize(
    ("trial", "said"),
    [
        ("import os; os.abort()", "damaged: its library crashes when it opens it; save the model again"),
        ("import time; time.sleep(60)", "damaged: its library does not come to the end of it; save the model again"),
    ],
)
def test_a_library_that_crashes_or_never_ends(files, monkeypatch, trial, said):
    """What brings down the process that tries a file out is said here."""
    monkeypatch.setattr(_modelfiles, "_TRIAL", trial)
    monkeypatch.setattr(_modelfiles, "_SECONDS", 1)
    with pytest.raises(ArtifactError, match=said):
        read_model(files / "light.txt")


@pytest.mark.parametrize(
    ("name", "data"),
    [("empty.txt", b""), ("random.cbm", bytes(range(1, 200))), ("other.json", b"{}"), ("m.onnx", b"\x08\x0a")],
)
def test_another_format_is_refused_with_those_that_are_known(tmp_path, name, data):
    """The error lists suffixes and libraries."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(
        ArtifactError, match=r"expected a model file .*\.cbm \(catboost\), \.json \(catboost or xgboost\)"
    ):
        read_model(tmp_path / name)


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.txt"])
def test_a_pickle_is_not_opened(tmp_path, name):
    """Pickles run code; they are refused by name and by content, and told why."""
    (tmp_path / name).write_bytes(pickle.dumps([1]))
    with pytest.raises(
        ArtifactError, match=f"{name}: a pickle is not opened, because that runs whatever code is in it"
    ):
        read_model(tmp_path / name)


def test_what_is_no_file_is_refused(tmp_path):
    """A directory and a missing file are told apart."""
    with pytest.raises(ArtifactError, match="a directory; expected a model file"):
        read_model(tmp_path)
    with pytest.raises(ArtifactError, match="no such model file"):
        read_model(tmp_path / "nowhere.txt")


def test_the_trial_says_who_read_the_file_and_what_was_wrong(files, tmp_path, monkeypatch, capsys):
    """Its last line is for the process that asked for it; errors that this meets as well are left to it."""

    def tried(path: Path) -> dict[str, str]:
        try_out(str(path))
        return json.loads(capsys.readouterr().out.splitlines()[-1].removeprefix("glulam: "))

    def lower(*given: object) -> None:
        raise ValueError("Forest: a node\nhas two parents")

    (tmp_path / "cut.txt").write_bytes(damaged(files, "breaks off.txt"))
    assert tried(files / "light.txt") == {"plugin": "lightgbm", "problem": ""}
    assert tried(tmp_path / "cut.txt") == {"plugin": "", "problem": ""}
    monkeypatch.setattr(LightGBM, "lower", lower)
    assert tried(files / "light.txt") == {"plugin": "lightgbm", "problem": "ValueError: Forest: a node has two parents"}


def test_nothing_is_imported_from_the_working_directory(tmp_path, monkeypatch):
    """A file of a library's name beside the model is not run."""
    lightgbm.train(
        {"verbose": -1, "min_data_in_leaf": 1},
        lightgbm.Dataset(np.array([[0.0], [1.0]] * 20), np.array([0, 1] * 20)),
        1,
    ).save_model(tmp_path / "m.txt")
    (tmp_path / "lightgbm.py").write_text("open('planted', 'w')")
    monkeypatch.chdir(tmp_path)
    read_model(Path("m.txt"))
    assert not (tmp_path / "planted").exists()
