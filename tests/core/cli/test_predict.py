"""``glulam predict``: the same answers as in Python whatever the file, and what it refuses."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet
import pytest

import glulam as library
from glulam.training.assembling import make_dataset
from glulam.training.data import read_raw
from glulam.training.loading import load_config


def test_answers_are_those_of_python(glulam, trained, binary, tmp_path, answers):
    """Label, probabilities and votes in the file are what ProductionEnsemble gives."""
    out = tmp_path / "p.parquet"
    done = glulam("predict", trained.model, trained.data, "--out", out, "--votes")
    assert done.code == 0, done.err
    model, rows = library.load(trained.model), binary[0][:300]
    found = answers(out)
    assert found.column_names == [
        "label", "probability_0", "probability_1",
        "vote_lightgbm_0", "vote_lightgbm_1", "vote_xgboost_0", "vote_xgboost_1",
    ]  # fmt: skip
    assert found["label"].to_pylist() == model.predict(rows).tolist()
    np.testing.assert_array_equal(found["probability_1"].to_numpy(), model.predict_proba(rows)[:, 1])
    np.testing.assert_array_equal(found["vote_xgboost_1"].to_numpy(), model.votes(rows)[:, 1, 1])
    assert "300" in done.out
    assert "vote_xgboost_1" in done.out


def test_csv_holds_the_same_numbers_as_parquet(glulam, trained, tmp_path, answers):
    """Written as text, float32 probabilities read back the same."""
    tables = []
    for name in ("p.csv", "p.parquet"):
        assert glulam("predict", trained.model, trained.data, "--out", tmp_path / name).code == 0
        tables.append(answers(tmp_path / name))
    text, binary = (table["probability_0"].to_numpy().astype(np.float32) for table in tables)
    np.testing.assert_array_equal(text, binary)
    assert tables[0]["label"].to_pylist() == tables[1]["label"].to_pylist()


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_chunks_and_kind_of_file_change_no_answer(glulam, trained, tmp_path, kind):
    """Seven rows at a time from any kind of file give the bytes that one chunk of the CSV gives."""
    source = tmp_path / f"rows.{kind}"
    if kind == "parquet":
        pa.parquet.write_table(pa.csv.read_csv(trained.data), source, row_group_size=50)
    elif kind == "csv.gz":
        source.write_bytes(gzip.compress(trained.data.read_bytes()))
    else:
        source.write_bytes(trained.data.read_bytes())
    assert glulam("predict", trained.model, trained.data, "--out", tmp_path / "whole.csv").code == 0
    assert glulam("predict", trained.model, source, "--out", tmp_path / "chunks.csv", "--chunk-rows", 7).code == 0
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "chunks.csv").read_bytes()


def test_columns_are_found_by_name(glulam, trained, tmp_path):
    """Columns in another order, with others between them, are no matter; --no-reorder refuses them."""
    table = pa.csv.read_csv(trained.data)
    shuffled = table.select(list(reversed(table.column_names))).append_column("id", pa.array(range(300)))
    pa.csv.write_csv(shuffled, tmp_path / "shuffled.csv")
    for source in (trained.data, tmp_path / "shuffled.csv"):
        assert glulam("predict", trained.model, source, "--out", tmp_path / f"p-{source.name}").code == 0
    assert (tmp_path / "p-rows.csv").read_bytes() == (tmp_path / "p-shuffled.csv").read_bytes()
    strict = glulam("predict", trained.model, trained.data, "--no-reorder", "--out", tmp_path / "q.csv")
    assert strict.code == 1
    assert "expected just the columns ['x0', 'x1'," in strict.err
    assert "leave out --no-reorder" in strict.err


def test_missing_column_is_named(glulam, trained, tmp_path):
    """A file without a feature is refused with its name."""
    (tmp_path / "d.csv").write_text("a,b\n1,2\n")
    done = glulam("predict", trained.model, tmp_path / "d.csv", "--out", tmp_path / "p.csv")
    assert done.code == 1
    assert "the columns ['x0', 'x1'" in done.err
    assert "the file has ['a', 'b']" in done.err


def test_model_without_names_takes_columns_by_position(glulam, binary, tmp_path, answers):
    """An ensemble trained on an array takes any header, but just its number of columns."""
    rows, labels = binary
    ensemble = library.EnsembleClassifier([("lightgbm", {"n_estimators": 5, "n_jobs": 1})]).fit(
        rows[:300, :3], labels[:300]
    )
    ensemble.export(tmp_path / "m.onnx", proof_rows=1_000)
    lines = [",".join(map(str, row)) for row in rows[:50, :3].tolist()]
    (tmp_path / "three.csv").write_text("\n".join(["a,b,c", *lines]))
    (tmp_path / "four.csv").write_text("\n".join(["a,b,c,d", *(f"{line},1" for line in lines)]))
    assert glulam("predict", tmp_path / "m.onnx", tmp_path / "three.csv", "--out", tmp_path / "p.csv").code == 0
    assert answers(tmp_path / "p.csv")["label"].to_pylist() == ensemble.predict(rows[:50, :3]).tolist()
    done = glulam("predict", tmp_path / "m.onnx", tmp_path / "four.csv", "--out", tmp_path / "q.csv")
    assert done.code == 1
    assert "4 columns, but the model takes 3 without names" in done.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read: Empty CSV file"),
        (b"x0,x1\n", "the columns ['x2'"),
        (b"a,a\n1,2\n", "column names must be unique; ['a'] come more than once"),
        (",".join(f"x{i}" for i in range(28)).encode() + b"\n", "no rows, only column names"),
    ],
)
def test_files_without_rows_are_refused(glulam, trained, tmp_path, content, message):
    """An empty file, a bare header and a doubled name are errors, and nothing is written."""
    (tmp_path / "d.csv").write_bytes(content)
    done = glulam("predict", trained.model, tmp_path / "d.csv", "--out", tmp_path / "p.csv")
    assert done.code == 1
    assert message in done.err
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize("name", ["d.csv.gz", "d.parquet"])
def test_damaged_files_are_refused(glulam, trained, tmp_path, name):
    """A truncated or false file is an error of the input, not of the output."""
    good = gzip.compress(trained.data.read_bytes()) if name.endswith("gz") else b"PAR1 no more"
    (tmp_path / name).write_bytes(good[: len(good) // 2])
    done = glulam("predict", trained.model, tmp_path / name, "--out", tmp_path / "p.csv")
    assert done.code == 1
    assert f"{name}: cannot be read: " in done.err
    assert not (tmp_path / "p.csv").exists()


def test_output_is_replaced_only_with_force(glulam, trained, tmp_path):
    """An existing file is refused, and replaced with --force; the input never is."""
    out = tmp_path / "p.csv"
    out.write_text("old")
    done = glulam("predict", trained.model, trained.data, "--out", out)
    assert done.code == 1
    assert f"{out} exists" in done.err
    assert out.read_text() == "old"
    assert glulam("predict", trained.model, trained.data, "--out", out, "--force", "--no-proba").code == 0
    assert out.read_text().splitlines()[0] == '"label"'
    itself = glulam("predict", trained.model, trained.data, "--out", trained.data, "--force")
    assert itself.code == 2
    assert "is the input; choose another name" in itself.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv", "--out", "p.csv"], "'nowhere.csv' does not exist; see glulam predict --help"),
        (["{data}", "--out", "p.txt"], "--out: p.txt: expected a name that ends in .csv or .parquet"),
        (["{data}", "--out", "p.csv.gz"], "--out: p.csv.gz: expected a name that ends in .csv or .parquet"),
        (["{data}"], "Missing option '--out'"),
        (["{data}", "--out", "p.csv", "--chunk-rows", "0"], "--chunk-rows"),
    ],
)
def test_wrong_usage_is_code_2(glulam, trained, monkeypatch, tmp_path, arguments, message):
    """A missing input file and impossible options are wrong usage."""
    monkeypatch.chdir(tmp_path)
    done = glulam("predict", trained.model, *(part.format(data=trained.data) for part in arguments))
    assert done.code == 2
    assert message in done.err
    assert done.err.startswith("glulam: error: ")
    assert done.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_features_of_candles(glulam, candles, tmp_path, answers):
    """A model of generated features answers the raw file; 'row' tells which rows have an answer."""
    model = tmp_path / "m.onnx"
    generated = ["--features", "technical"]
    done = glulam(
        "train", candles, "--target", "next_direction", *generated, "--member", "lightgbm:n_estimators=5,n_jobs=1",
        "--out", model, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert json.loads(done.out)["classes"] == [0, 1]
    assert json.loads(done.out)["training"]["rows"] == 13_130 - 49 - 1
    done = glulam("predict", model, candles, *generated, "--out", tmp_path / "p.parquet", "--chunk-rows", 5000)
    assert done.code == 0, done.err
    assert "49 warm-up rows dropped; candles 2018-01-01T00:00:00Z to " in done.out
    found = answers(tmp_path / "p.parquet")
    assert found["row"].to_pylist() == list(range(50, 13_131))
    told = json.loads(glulam("predict", model, candles, *generated, "--out", tmp_path / "r.csv", "--json").out)
    assert (told["warm_up"], told["check"]["rows"], told["rows"]) == (49, 13_130, 13_081)
    unaided = glulam("predict", model, candles, "--out", tmp_path / "q.csv")
    assert unaided.code == 1
    assert "name it with --features" in unaided.err


CONFIG = """
[data]
path = "candles.csv"
time = "opened"
timezone = "Asia/Tokyo"
until = 2023-12-25
[features]
generators = ["technical", { name = "rolling", columns = ["volume"], windows = [60], statistics = ["median"] }]
[label]
name = "next_direction"
[members.lightgbm]
params = { n_estimators = 5 }
[evaluation]
folds = 2
bootstrap = 100
"""


def test_features_of_the_config(glulam, candles, tmp_path, answers):
    """A model of a training run makes its features by itself, with their parameters, of all rows of the raw file."""
    table = pa.csv.read_csv(candles).slice(12_300)
    time = pa.compute.strftime(table.column("timestamp"), "%Y-%m-%dT%H:%M:%S")
    table = table.set_column(0, "opened", time)
    pa.csv.write_csv(table, tmp_path / "candles.csv")
    (tmp_path / "glulam.toml").write_text(CONFIG)
    done = glulam("train", "--config", tmp_path / "glulam.toml", "--quiet")
    assert done.code == 0, done.err
    done = glulam(
        "predict", tmp_path / "ensemble.onnx", tmp_path / "candles.csv", "--out", tmp_path / "p.csv", "--votes"
    )
    assert done.code == 0, done.err
    assert "59 warm-up rows dropped" in done.out
    found = answers(tmp_path / "p.csv")
    assert found["row"].to_pylist() == list(range(60, len(table) + 1))
    config = load_config(tmp_path / "glulam.toml", overrides=['data.until=""'])
    made = make_dataset(read_raw(config.data, tmp_path, needs_time=True), config)
    asked = library.load(tmp_path / "ensemble.onnx").predict_proba(made.X)
    np.testing.assert_allclose(found["probability_1"].to_numpy()[: len(made)], asked[:, 1], atol=1e-6)
    lacking = tmp_path / "lacking.csv"
    pa.csv.write_csv(table.drop(["volume"]), lacking)
    done = glulam("predict", tmp_path / "ensemble.onnx", lacking, "--out", tmp_path / "q.csv")
    assert done.code == 1
    assert "lacking.csv" in done.err
    assert "volume" in done.err
    assert done.err.count("\n") == 1
