"""``glulam evaluate``: honest figures of an ensemble that is there already, on rows that it has not seen."""

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import glulam as library
from glulam.cli import main

CANDLES = Path(__file__).parents[3] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
FAST = """
[members.lightgbm]
params = {n_estimators = 8, num_leaves = 7}
[members.random_forest]
params = {n_estimators = 8, max_depth = 4}
[evaluation]
folds = 3
bootstrap = 200
"""
BY_TIME = """
[data]
path = "early.csv"
time = "timestamp"
[features]
generators = ["technical"]
[label]
name = "next_direction"
"""
CITIES = """
[data]
path = "cities.csv"
categorical = ["city"]
drop = ["note"]
[label]
name = "column"
column = "size"
[output]
path = "cities.onnx"
"""
VALUES = """
[data]
path = "values.csv"
[label]
name = "column"
column = "value"
[output]
path = "values.onnx"
"""


def table(seed: int, n_rows: int = 400) -> dict[str, np.ndarray]:
    """Return rows with a category, a label of three texts, and a value."""
    rng = np.random.default_rng(seed)
    x, z, city = rng.normal(size=n_rows), rng.normal(size=n_rows), rng.choice(["Bern", "Rome", "Ulm"], n_rows)
    noisy = x + (city == "Bern") + rng.normal(size=n_rows)
    size = np.where(noisy > 0.9, "high", np.where(noisy < -0.3, "low", "mid"))
    return {"x": x.round(6), "city": city, "z": z.round(6), "size": size, "value": (x + z + noisy).round(6)}


def write(path: Path, columns: dict[str, np.ndarray]) -> Path:
    """Write a CSV."""
    pa.csv.write_csv(pa.table(columns), path)
    return path


def without(columns: dict[str, np.ndarray], *names: str) -> dict[str, np.ndarray]:
    """Return the columns but some."""
    return {name: values for name, values in columns.items() if name not in names}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return a directory with ensembles of candles, of categories and of values, and rows that came later."""
    place = tmp_path_factory.mktemp("evaluate")
    candles = pa.csv.read_csv(CANDLES).slice(0, 1_500)
    pa.csv.write_csv(candles.slice(0, 1_200), place / "early.csv")
    pa.csv.write_csv(candles, place / "later.csv")
    known, new = table(1), table(2)
    write(place / "cities.csv", without(known, "value") | {"note": known["value"]})
    write(place / "new_cities.csv", {"more": new["z"], **without(new, "value")})
    write(place / "values.csv", without(known, "size", "city"))
    write(place / "new_values.csv", without(new, "size", "city"))
    for name, text in (("early", BY_TIME), ("cities", CITIES), ("values", VALUES)):
        metric = "rmse" if name == "values" else "log_loss"
        (place / f"{name}.toml").write_text(text + FAST + f'metrics = ["{metric}"]\n')
        assert main(["train", "--config", str(place / f"{name}.toml"), "--quiet"]) == 0
    quick = ["--member", "lightgbm:n_estimators=8,n_jobs=1", "--categorical", "city", "--drop", "note"]
    arguments = ["train", place / "cities.csv", "--target", "size", *quick, "--out", place / "quick.onnx", "--quiet"]
    assert main([str(each) for each in arguments]) == 0
    return place


@pytest.mark.parametrize("name", ["ensemble.onnx", "ensemble.trained"])
def test_new_rows_only(glulam, place, name):
    """Rows that the ensemble was fitted on are left out; the figures are those of its own answers to the rest."""
    done = glulam("evaluate", place / name, place / "later.csv", "--json")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert (found["rows"], found["trained_rows"], found["limits"]) == (299, 1151, [])
    assert set(found["metrics"]["auc"]["baselines"]) == {"majority", "always_positive", "previous_label", "logistic"}
    close = pa.csv.read_csv(place / "later.csv").column("close").to_numpy()
    rises = (close[1:] > close[:-1])[-299:]
    assert found["metrics"]["accuracy"]["baselines"]["always_positive"] == pytest.approx(rises.mean())
    assert found["against_best"]["low"] <= found["against_best"]["value"] <= found["against_best"]["high"]


def test_what_is_printed(glulam, place, monkeypatch):
    """A table in 80 columns, the best baseline, and how many rows were left out."""
    monkeypatch.setenv("COLUMNS", "80")
    done = glulam("evaluate", place / "ensemble.onnx", place / "later.csv")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].strip() == "On 299 rows"
    assert max(map(len, (line for line in lines if line[:1] in "┏┃┡│└"))) <= 80
    assert any(line.startswith("│ calibration ") for line in lines)
    assert lines[-2].startswith("against    ")
    assert lines[-2].endswith(("may be chance", "better", "worse"))
    assert lines[-1] == "fitted on  1,151 of the rows, left out"


def test_rows_that_it_knows(glulam, place):
    """Rows all known are an error; asked for, they count, and that is no estimate for new ones."""
    done = glulam("evaluate", place / "ensemble.onnx", place / "early.csv")
    assert done.code == 1
    assert "the ensemble was fitted on all 1,150 rows with a label; give later ones, or see how well" in done.err
    done = glulam(
        "evaluate", place / "ensemble.onnx", place / "early.csv", "--include-trained", "--metric", "auc", "--json"
    )
    found = json.loads(done.out)
    assert (found["rows"], found["include_trained"]) == (1_150, True)
    assert found["limits"] == ["rows that it was fitted on are counted: this is no estimate for new ones"]
    assert list(found["metrics"]) == ["auc"]
    assert found["metrics"]["auc"]["low"] > 0.6


def test_windows(glulam, place):
    """--days, --since and --until choose rows; few of them are said to say little."""
    model, data = place / "ensemble.onnx", place / "later.csv"
    few = json.loads(glulam("evaluate", model, data, "--metric", "auc", "--json", "--until", "2018-07-24").out)
    assert few["rows"] == 14
    assert few["limits"] == ["14 rows say little; expected 30 or more"]
    days = json.loads(glulam("evaluate", model, data, "--metric", "auc", "--json", "--days", 20).out)
    since = json.loads(glulam("evaluate", model, data, "--metric", "auc", "--json", "--since", "2018-08-01").out)
    assert days["rows"] < since["rows"] < 299
    # Every bar of the window but the last, whose next one nobody knows: the bars before it are history.
    times = pa.csv.read_csv(data).column("timestamp").cast(pa.string()).to_pylist()
    assert since["rows"] == sum(time >= "2018-08-01" for time in times) - 1
    done = glulam("evaluate", model, data, "--days", 20, "--since", "2018-08-01")
    assert done.code == 2
    assert "--days: it counts back from the end; leave out --since and --until" in done.err


def test_other_kinds_of_files(glulam, place, tmp_path):
    """Parquet and a query of SQLite give what the CSV gives."""
    rows = pa.csv.read_csv(place / "later.csv")
    pa.parquet.write_table(rows, tmp_path / "later.parquet")
    with sqlite3.connect(tmp_path / "later.sqlite") as database:
        database.execute("CREATE TABLE candles (timestamp TEXT, open, high, low, close, volume)")
        values = [(f"{row.pop('timestamp'):%Y-%m-%dT%H:%M:%SZ}", *row.values()) for row in rows.to_pylist()]
        database.executemany("INSERT INTO candles VALUES (?, ?, ?, ?, ?, ?)", values)
    model = place / "ensemble.onnx"
    expected = json.loads(glulam("evaluate", model, place / "later.csv", "--metric", "auc", "--json").out)["metrics"]
    parquet = glulam("evaluate", model, tmp_path / "later.parquet", "--metric", "auc", "--json")
    assert json.loads(parquet.out)["metrics"] == expected
    query = ["--query", "SELECT * FROM candles ORDER BY timestamp"]
    sqlite = glulam("evaluate", model, tmp_path / "later.sqlite", *query, "--metric", "auc", "--json")
    assert json.loads(sqlite.out)["metrics"] == expected
    assert "is a database; say by a SELECT which" in glulam("evaluate", model, tmp_path / "later.sqlite").err
    assert "is no database; leave the query out" in glulam("evaluate", model, place / "later.csv", *query).err


def test_categories_and_labels_of_text(glulam, place):
    """Columns are found by name, others are left alone; accuracy is the share of right labels, counted by hand."""
    rows = table(2)
    own = library.load(place / "cities.onnx")
    right = own.predict({name: rows[name] for name in own.info()["feature_names"]}) == rows["size"]
    for name in ("cities.onnx", "cities.trained"):
        done = glulam("evaluate", place / name, place / "new_cities.csv", "--json")
        found = json.loads(done.out)
        assert found["metrics"]["accuracy"]["value"] == pytest.approx(right.mean())
        assert list(found["metrics"]["auc"]["baselines"]) == ["majority_of_these_rows"]
        assert found["limits"] == ["whether it was fitted on some of these rows cannot be known"]


def test_the_training_data_without_a_time(glulam, place):
    """The very rows of the training, which no time tells apart, are refused, or said to be no estimate."""
    done = glulam("evaluate", place / "cities.onnx", place / "cities.csv")
    assert done.code == 1
    assert "cities.csv is what the ensemble was fitted on, and the rows have no time to tell new ones by" in done.err
    done = glulam("evaluate", place / "cities.onnx", place / "cities.csv", "--include-trained")
    assert done.code == 0
    assert "it was fitted on these rows: this is no estimate for new ones" in done.out


def test_values(glulam, place):
    """RMSE of a regression is that of its answers; values that look like classes stay values."""
    rows = table(2)
    own = library.load(place / "values.onnx")
    errors = own.predict({name: rows[name] for name in ("x", "z")}).ravel() - rows["value"]
    found = json.loads(glulam("evaluate", place / "values.onnx", place / "new_values.csv", "--json").out)
    assert found["metrics"]["rmse"]["value"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-6)
    assert set(found["metrics"]) == {"rmse", "mae", "r2"}
    whole = write(place / "whole.csv", {"x": rows["x"], "z": rows["z"], "value": np.arange(400) % 2})
    assert glulam("evaluate", place / "values.trained", whole).code == 0


def test_ensembles_that_no_config_made(glulam, place, tmp_path):
    """--target says what they predict; without names of features, columns are told by their order."""
    done = glulam("evaluate", place / "quick.onnx", place / "new_cities.csv")
    assert done.code == 1
    assert "nobody knows what it predicts; name the column with the labels: --target COLUMN" in done.err
    done = glulam("evaluate", place / "quick.trained", place / "new_cities.csv", "--target", "size", "--json")
    assert json.loads(done.out)["metrics"]["accuracy"]["value"] > 0.5
    rows = table(1)
    X, y = np.c_[rows["x"], rows["z"]], (rows["x"] > 0).astype(int)
    model = library.EnsembleClassifier([("random_forest", {"n_estimators": 5})]).fit(X, y)
    model.export(tmp_path / "unnamed.onnx", proof_rows=1_000)
    data = write(tmp_path / "rows.csv", {"a": rows["x"], "b": rows["z"], "y": y})
    done = glulam("evaluate", tmp_path / "unnamed.onnx", data, "--target", "y", "--json")
    assert json.loads(done.out)["metrics"]["accuracy"]["value"] == pytest.approx((model.predict(X) == y).mean())
    more = write(tmp_path / "more.csv", {"a": rows["x"], "b": rows["z"], "c": rows["z"], "y": y})
    done = glulam("evaluate", tmp_path / "unnamed.onnx", more, "--target", "y")
    assert "reads 2 features, whose names it does not know; the table has 3 columns beside the label" in done.err


def test_rows_on_which_it_abstains(glulam, place, tmp_path):
    """They count by their likeliest class, and the note says how many there are."""
    rows = table(1)
    X, y = np.c_[rows["x"], rows["z"]], (rows["value"] > 0).astype(int)
    model = library.EnsembleClassifier([("random_forest", {"n_estimators": 9, "max_depth": 3})], min_confidence=0.8)
    model.fit(X, y).export(tmp_path / "unsure.onnx", proof_rows=1_000)
    data = write(tmp_path / "rows.csv", {"a": rows["x"], "b": rows["z"], "y": y})
    found = json.loads(glulam("evaluate", tmp_path / "unsure.onnx", data, "--target", "y", "--json").out)
    unsure = int((model.predict(X) == -1).sum())
    assert unsure > 0
    assert f"{unsure:,} rows on which it abstains count by their likeliest class" in found["limits"]


def odd_labels(place: Path, folder: Path) -> list[object]:
    """Return arguments for labels that the ensemble does not know."""
    rows = table(2)
    rows["size"] = np.where(rows["size"] == "low", "lower", rows["size"])
    return [place / "cities.onnx", write(folder / "d.csv", rows)]


def odd_category(place: Path, folder: Path) -> list[object]:
    """Return arguments for a category that was not seen."""
    rows = table(2)
    rows["city"] = np.where(rows["city"] == "Bern", "Paris", rows["city"])
    return [place / "cities.onnx", write(folder / "d.csv", rows)]


def foreign(place: Path, folder: Path) -> list[object]:
    """Return arguments for an ONNX file that says nothing of itself."""
    model = onnx.load(place / "cities.onnx")
    del model.metadata_props[:]
    onnx.save(model, folder / "foreign.onnx")
    return [folder / "foreign.onnx", place / "new_cities.csv"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (odd_labels, 1, "the labels ['lower'] are none of the ensemble's, which are ['high', 'low', 'mid']; correct"),
        (odd_category, 1, "category 'Paris' was not seen in training; expected one of ['Bern', 'Rome', 'Ulm']"),
        (
            lambda place, folder: [place / "cities.onnx", write(folder / "d.csv", without(table(2), "z", "city"))],
            1, "the ensemble reads the features ['city', 'z'], which the table does not have; it has ['x', 'size', ",
        ),
        (
            lambda place, folder: [place / "cities.onnx", write(folder / "d.csv", without(table(2), "size"))],
            1, "label 'column': no column 'size'; the table has ['x', 'city', 'z', 'value']",
        ),
        (
            lambda place, folder: [place / "ensemble.onnx", write(folder / "d.csv", {"timestamp": ["2020-01-01T00:00:00Z"]})],
            1, "columns ['open', 'high', 'low', 'close', 'volume'] are missing",
        ),
        (
            lambda place, folder: [place / "cities.onnx", place / "new_cities.csv", "--target", "x"],
            1, "'x' is a feature of the ensemble; name the column with the labels",
        ),
        (
            lambda place, folder: [place / "cities.onnx", place / "new_cities.csv", "--metric", "aucc"],
            1, "unknown metric 'aucc'; known for multiclass are",
        ),
        (
            lambda place, folder: [place / "cities.onnx", place / "new_cities.csv", "--metric", "rmse"],
            1, "'rmse' is for regression, the task is multiclass",
        ),
        (foreign, 1, "an ONNX file, but not one that glulam exported"),
        (lambda place, folder: [place / "later.csv", place / "later.csv"], 1, "not an ONNX model that onnxruntime"),
        (lambda place, folder: [place / "runs", place / "later.csv"], 1, "the saved ensemble is incomplete"),
        (lambda place, folder: [place / "ensemble.onnx", place / "early.toml"], 1, "expected a name that ends in .csv"),
        (lambda place, folder: [place / "nope.onnx", place / "later.csv"], 2, "nope.onnx' does not exist"),
        (lambda place, folder: [place / "ensemble.onnx", place / "nope.csv"], 2, "nope.csv' does not exist"),
        (lambda place, folder: [place / "ensemble.onnx", place], 2, "is a directory"),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated(glulam, place, tmp_path, arguments, code, message):
    """Each is one line that names what is wrong, with its code, and nothing on standard output."""
    done = glulam("evaluate", *arguments(place, tmp_path))
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert done.err.startswith("glulam: error: ")
    assert done.err.count("\n") == 1
    assert "--debug" not in done.err


def test_rows_are_told_as_the_file_counts_them(glulam, place, tmp_path):
    """A category that nobody knows and a value that is missing are named with file and row, from 1, as by predict."""
    columns = table(5, 60)
    city, x = columns["city"].astype(object), columns["x"].astype(object)
    city[7], x[11] = "Oslo", None
    for name, changed, message in (
        ("city", {"city": city}, "city.csv, row 8, column 'city': category 'Oslo' was not seen"),
        ("x", {"x": x.astype(np.float64)}, "x.csv, row 12: column 'x' is nan, which fails the file's checks"),
    ):
        file = write(tmp_path / f"{name}.csv", columns | changed)
        done = glulam("evaluate", place / "cities.onnx", file)
        assert done.code == 1
        assert message in done.err


def test_without_scikit_learn(process, place):
    """Measuring needs the extra for training; one line says so."""
    done = process("evaluate", place / "ensemble.onnx", place / "later.csv", blocked=["sklearn"])
    assert done.code == 1
    assert done.err.endswith("which is not installed; install it with: pip install 'glulam[train]'\n")


def test_nothing_is_written(glulam, place, tmp_path, monkeypatch):
    """An evaluation leaves no file."""
    shutil.copy(place / "new_cities.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert glulam("evaluate", place / "cities.onnx", "new_cities.csv").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["new_cities.csv"]
