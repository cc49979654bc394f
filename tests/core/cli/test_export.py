"""``glulam export``: a library's own model file to a proven ONNX file."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import lightgbm
import numpy as np
import pandas
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer

import glulam as library

NAMES = ["radius", "texture", "perimeter"]


@pytest.fixture(scope="module")
def data():
    """Return rows of three features, and two classes."""
    X, y = load_breast_cancer(return_X_y=True)
    return X[:, :3].astype(np.float32), y


@pytest.fixture(scope="module")
def files(tmp_path_factory, data) -> Path:
    """Return a directory with a LightGBM model of named columns and one of categories, an XGBoost model, and rows."""
    place = tmp_path_factory.mktemp("models")
    X, y = data
    settings = {"objective": "binary", "num_leaves": 6, "num_threads": 1, "verbose": -1}
    lightgbm.train(settings, lightgbm.Dataset(X, y, feature_name=NAMES), 4).save_model(place / "named.txt")
    table = pandas.DataFrame({"radius": X[:, 0], "wood": pandas.Categorical(np.where(X[:, 1] > 19, "oak", "fir"))})
    lightgbm.train(settings, lightgbm.Dataset(table, y), 4).save_model(place / "wood.txt")
    xgboost.XGBClassifier(n_estimators=4, max_depth=3, n_jobs=1).fit(X, y).save_model(place / "x.json")
    rows = pandas.DataFrame(X, columns=NAMES).assign(target=y).head(7)
    rows[["target", *NAMES[::-1]]].to_csv(place / "rows.csv", index=False)
    table.to_csv(place / "wood.csv", index=False)
    return place


@pytest.fixture
def export(glulam):
    """Run the command in this process, with a small proof."""
    return lambda *arguments: glulam("export", *arguments, "--proof-rows", 1_000)


def test_a_file_is_exported_and_described(export, files, data, tmp_path):
    """The file answers as the library does, and the summary says what was proven."""
    done = export(files / "named.txt", tmp_path / "m.onnx")
    assert done.code == 0, done.err
    size = (tmp_path / "m.onnx").stat().st_size
    for expected in (
        f"model      Booster of lightgbm {lightgbm.__version__}", "task       binary, classes 0, 1",
        "features   3 of float32: ['radius', 'texture', 'perimeter']", "outputs    label, probabilities",
        "precision  float32", "joint thresholds", f"written  {tmp_path / 'm.onnx'} ({size:,} bytes) in ",
    ):  # fmt: skip
        assert expected in done.out
    chance = lightgbm.Booster(model_file=files / "named.txt").predict(data[0])
    np.testing.assert_allclose(library.load(tmp_path / "m.onnx").predict_proba(data[0])[:, 1], chance, atol=1e-6)


def test_json_has_the_description_and_the_proof(export, files, tmp_path):
    """The document is what the file says of itself; with --quiet nothing is printed."""
    done = export(files / "x.json", tmp_path / "m.onnx", "--json", "--output", "label", "--precision", "float64")
    assert done.code == 0, done.err
    document, info = json.loads(done.out), library.load(tmp_path / "m.onnx").info()
    assert document["model"] == str(files / "x.json")
    assert document["type"] == "XGBClassifier"
    assert document["outputs"] == info["outputs"] == ["label"]
    assert document["precision"] == document["rows"] == "float64"
    assert document["parity"] == info["parity"]
    assert document["bytes"] == (tmp_path / "m.onnx").stat().st_size
    assert export(files / "x.json", tmp_path / "m.onnx", "--quiet", "--force").out == ""


def test_the_standard_form_is_written_on_demand(export, files, tmp_path):
    """By default the file is in the fused form, with --standard it has ONNX's own operators only."""
    for options, form in (((), "fused"), (("--standard",), "standard")):
        done = export(files / "x.json", tmp_path / "m.onnx", "--json", "--force", *options)
        assert done.code == 0, done.err
        assert json.loads(done.out)["form"] == library.load(tmp_path / "m.onnx").info()["form"] == form
    shown = export(files / "x.json", tmp_path / "m.onnx", "--force", "--standard").out
    assert "standard operators alone" in " ".join(shown.split())


def test_data_is_found_by_name_and_by_position(export, files, data, tmp_path):
    """Columns go by the model's names, in any order; where it has none by position; the proof starts from these rows."""
    out, given = tmp_path / "m.onnx", ("--data", files / "rows.csv")
    done = export(files / "named.txt", out, *given, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["parity"]["families"][0]["rows"] == 7
    wide = export(files / "x.json", out, *given, "--force")
    assert (wide.code, wide.err) == (
        1,
        f"glulam: error: {files / 'rows.csv'}: 4 columns, but the model takes 3 without names, by position; "
        "give a file with just these\n",
    )
    pandas.DataFrame(data[0], columns=["a", "b", "c"]).to_parquet(tmp_path / "rows.parquet")
    assert export(files / "x.json", out, "--data", tmp_path / "rows.parquet", "--force").code == 0
    lacking = export(files / "named.txt", out, "--data", tmp_path / "rows.parquet", "--force")
    assert lacking.code == 1
    assert "the columns ['radius', 'texture', 'perimeter'] are missing, which the model takes" in lacking.err


def test_categories_are_read_as_the_model_knows_them(export, files, tmp_path):
    """Text becomes the categories of training; numbers that are none name the row."""
    done = export(files / "wood.txt", tmp_path / "m.onnx", "--data", files / "wood.csv")
    assert done.code == 0, done.err
    assert library.load(tmp_path / "m.onnx").predict({"radius": [10.0], "wood": ["oak"]}).shape == (1,)
    (tmp_path / "rows.csv").write_text("wood,radius\noak,1\nfir,much\n")
    refused = export(files / "wood.txt", tmp_path / "n.onnx", "--data", tmp_path / "rows.csv")
    assert refused.code == 1
    assert refused.err.startswith(f"glulam: error: {tmp_path / 'rows.csv'}, row 2, column 'radius': expected a number")
    (tmp_path / "rows.csv").write_text("wood,radius\n")
    empty = export(files / "wood.txt", tmp_path / "n.onnx", "--data", tmp_path / "rows.csv")
    assert "no rows, only column names; give a file with data" in empty.err
    assert not (tmp_path / "n.onnx").exists()


def test_what_is_wrong_is_one_line_and_a_code(process, files, tmp_path):
    """As a process: 1 for what cannot be exported, 2 for wrong usage, and no file."""
    light = files / "named.txt"
    (tmp_path / "m.pkl").write_bytes(pickle.dumps([1]))
    (tmp_path / "cut.txt").write_bytes(light.read_bytes()[:900])
    # LightGBM ends the process that reads this.
    (tmp_path / "odd.txt").write_bytes(light.read_bytes().replace(b"left_child=", b"left_child=x", 1))
    out = tmp_path / "m.onnx"
    for arguments, code, said in (
        (
            [tmp_path / "m.pkl", out],
            1,
            f"{tmp_path / 'm.pkl'}: a pickle is not opened, because that runs whatever code",
        ),
        (
            [tmp_path / "cut.txt", out],
            1,
            f"{tmp_path / 'cut.txt'}: a damaged LightGBM model: it ends before its trees do",
        ),
        ([tmp_path / "odd.txt", out], 1, f"{tmp_path / 'odd.txt'}: damaged: "),
        ([tmp_path, out], 1, f"{tmp_path}: a directory; expected a model file"),
        ([light, out, "--output", "votes"], 1, "onnx: outputs: expected some of ['label', 'probabilities']"),
        ([light, tmp_path / "nowhere" / "m.onnx"], 1, f"{tmp_path / 'nowhere' / 'm.onnx'}: the directory"),
        ([light, light], 2, f"Invalid value for OUT: {light} is the input"),
        ([tmp_path / "nowhere.txt", out], 2, "Invalid value for 'MODEL'"),
        ([light, out, "--data", tmp_path / "m.pkl"], 2, "Invalid value for DATA"),
        ([light, out, "--precision", "half"], 2, "Invalid value for '--precision'"),
        ([light, out, "--proof-rows", 5], 2, "Invalid value for '--proof-rows'"),
    ):
        done = process("export", *arguments)
        assert (done.code, done.out) == (code, ""), done.err
        assert done.err.startswith(f"glulam: error: {said}")
        assert done.err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"m.pkl", "cut.txt", "odd.txt"}


def test_a_file_that_is_there_is_kept(export, files, tmp_path):
    """Without --force nothing is replaced, and the model is not even read."""
    (tmp_path / "m.onnx").write_text("mine")
    done = export(files / "named.txt", tmp_path / "m.onnx")
    assert (done.code, done.err) == (
        1,
        f"glulam: error: {tmp_path / 'm.onnx'} exists; choose another name, or overwrite it with --force\n",
    )
    assert (tmp_path / "m.onnx").read_text() == "mine"


def test_other_commands_take_the_file(export, glulam, files, tmp_path):
    """Inspect shows it, predict answers with it."""
    assert export(files / "named.txt", tmp_path / "m.onnx").code == 0
    shown = glulam("inspect", tmp_path / "m.onnx")
    assert shown.code == 0, shown.err
    assert "Booster, binary" in shown.out
    answered = glulam("predict", tmp_path / "m.onnx", files / "rows.csv", "--out", tmp_path / "p.csv")
    assert answered.code == 0, answered.err
    assert "label, probability_0, probability_1" in answered.out


def test_several_values_a_row_are_several_columns(export, glulam, answers, data, tmp_path):
    """Targets, labels and scores of a row are numbered, or named by class; each column is what the library answers."""
    X, y = data
    small = {"n_estimators": 3, "max_depth": 2, "n_jobs": 1}
    values = xgboost.XGBRegressor(**small).fit(X, np.column_stack([X[:, 0], y]))
    labels = xgboost.XGBClassifier(**small).fit(X, np.column_stack([y, X[:, 1] > 19]).astype(int))
    asked = pandas.DataFrame(X[:50], columns=NAMES)
    asked.to_csv(tmp_path / "rows.csv", index=False)
    for model, expected in (
        (values, {"value_0": values.predict(X[:50])[:, 0], "value_1": values.predict(X[:50])[:, 1]}),
        (labels, {
            "label_0": labels.predict(X[:50])[:, 0], "label_1": labels.predict(X[:50])[:, 1],
            "probability_0_1": labels.predict_proba(X[:50])[:, 0], "probability_1_1": labels.predict_proba(X[:50])[:, 1],
        }),
    ):  # fmt: skip
        model.save_model(tmp_path / "m.json")
        assert export(tmp_path / "m.json", tmp_path / "m.onnx", "--force").code == 0
        done = glulam("predict", tmp_path / "m.onnx", tmp_path / "rows.csv", "--out", tmp_path / "p.parquet", "--force")
        assert done.code == 0, done.err
        found = answers(tmp_path / "p.parquet")
        assert found.column_names == list(expected)
        for name, column in expected.items():
            np.testing.assert_allclose(found.column(name).to_numpy(), column, atol=1e-5)
