"""``glulam init``: what it recognises, what it writes, what it refuses."""

import ast
import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from glulam.training.assembling import make_dataset
from glulam.training.config import Config
from glulam.training.data import read_raw
from glulam.training.loading import load_config

CANDLES = "btcusdt_4h_2018_2023.csv.gz"
TABLE = """\
when,day,age,city,remark,member,empty,y
2023-01-01T00:00:00Z,2023-01-01,31,Bern,{0} a,true,,0
2023-01-02T00:00:00Z,2023-01-02,32,Rome,{0} b,false,,1
2023-01-03T00:00:00Z,2023-01-03,33,Bern,{0} c,true,,0
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """Work in an empty directory, without variables that change configs."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GLULAM_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def table(here) -> Path:
    """Return a CSV with a time, a day, a number, a category, remarks, truth values, nothing, and the target."""
    head, *rows = TABLE.splitlines()
    remarks = [row.format(f"{number}") for number in range(10) for row in rows]
    (here / "rows.csv").write_text("\n".join([head, *remarks]) + "\n")
    return here / "rows.csv"


def uncommented(text: str) -> str:
    """Return a config with every key that is commented out put in force."""
    return re.sub(r"^#(?=\w+ = )", "", text, flags=re.MULTILINE)


def test_without_data_the_candles_are_copied(glulam, here, candles):
    """In an empty directory init gives a config and the data that it is about, and says what to do next."""
    done = glulam("init")
    assert (done.code, done.err) == (0, "")
    assert sorted(path.name for path in here.iterdir()) == [CANDLES, "glulam.toml"]
    assert (here / CANDLES).read_bytes() == candles.read_bytes()
    config = load_config(Path("glulam.toml"))
    assert config.data.path == CANDLES
    assert config.data.time == "timestamp"
    assert [each.name for each in config.features.generators] == ["technical"]
    assert config.label.name == "next_direction"
    assert "(its horizon)" in " ".join((here / "glulam.toml").read_text().split())
    assert "next        look through it, then run: glulam train" in done.out
    assert "candles" in done.out


def test_candles_that_are_there_stay(glulam, here):
    """The same candles are not written again, others are not replaced, but with --force."""
    assert glulam("init").code == 0
    before = (here / CANDLES).stat().st_mtime_ns
    assert glulam("init", "--out", "other.toml").code == 0
    assert (here / CANDLES).stat().st_mtime_ns == before
    (here / CANDLES).write_bytes(b"mine")
    done = glulam("init", "--out", "third.toml")
    assert done.code == 1
    assert done.err == (
        f"glulam: error: {CANDLES} exists with other content than the candles that come with glulam; give it as DATA to "
        "use it, choose another directory with --out, or replace it with --force\n"
    )
    assert not (here / "third.toml").exists()
    assert glulam("init", "--out", "third.toml", "--force").code == 0
    assert (here / CANDLES).stat().st_size > 100_000


def test_another_directory_gets_both(glulam, here):
    """With --out the candles lie beside the config, and its path is relative to it."""
    for name, out in (("a", Path("a", "c.toml")), ("b", here / "b" / "c.toml")):
        (here / name).mkdir()
        done = glulam("init", "--out", out)
        assert done.code == 0
        assert done.out.rstrip().endswith(f"glulam train --config {out}")
        assert load_config(out).data.path == CANDLES
        assert (here / name / CANDLES).is_file()


@pytest.mark.parametrize("arguments", [[], ["rows.csv", "--target", "y"]])
def test_every_commented_key_is_valid(glulam, here, table, arguments):
    """With every key put in force the config loads, and has each key of each section."""
    assert glulam("init", *arguments).code == 0
    text = (here / "glulam.toml").read_text()
    plain = load_config(Path("glulam.toml"))
    whole = uncommented(text)
    (here / "whole.toml").write_text(whole)
    found = load_config(Path("whole.toml"))
    raw = tomllib.loads(whole)
    for name, field in Config.model_fields.items():
        if name not in ("seed", "members", "label"):
            assert set(raw[name]) == set(field.annotation.model_fields), name
    assert all(set(member) == {"plugin", "weight", "params"} for member in raw["members"].values())
    # What was a default stays one; what had none shows an example.
    for section in ("evaluation", "backtest", "leaks", "output", "features"):
        assert getattr(found, section) == getattr(plain, section), section
    assert all(len(line) <= 120 for line in text.splitlines())


def test_a_template_says_what_is_so_by_default(glulam, here):
    """A config as written is the default one, but for what was recognised."""
    assert glulam("init").code == 0
    found = load_config(Path("glulam.toml"))
    least = 'label = "next_direction"\nfeatures.generators = ["technical"]\n'
    (here / "least.toml").write_text(f'{least}data = {{ path = "{CANDLES}", time = "timestamp" }}\n')
    assert found == load_config(Path("least.toml"))


def test_a_table_is_looked_at(glulam, table):
    """Time, categories and what is rather no feature are found; the user sees it all in the config."""
    done = glulam("init", table.name, "--target", "y")
    assert (done.code, done.err) == (0, "")
    found = load_config(Path("glulam.toml"))
    assert found.data.path == "rows.csv"
    assert found.data.time == "when"
    assert found.data.timezone == ""
    assert found.data.categorical == ("city",)
    assert set(found.data.drop) == {"day", "remark", "empty"}
    assert (found.label.name, found.label.params) == ("column", {"column": "y", "horizon": 0})
    assert "features  3 columns, of categories city" in done.out
    assert "dropped   day, remark, empty" in done.out


def test_the_column_that_is_called_a_time_is_it(glulam, table):
    """Of several times the one of that name is taken; times without a zone are taken for UTC, and it says so."""
    table.write_text(table.read_text().replace("when,day", "bought,date"))
    assert glulam("init", table, "--target", "y").code == 0
    found = load_config(Path("glulam.toml"))
    assert (found.data.time, found.data.timezone) == ("date", "UTC")
    assert "bought" in found.data.drop
    assert "The times of date name no zone and are taken for UTC" in Path("glulam.toml").read_text()


@pytest.mark.parametrize(("name", "time"), [("timestamp", "timestamp"), ("amount", "")])
def test_numbers_are_times_only_by_name(glulam, here, name, time):
    """Seconds since 1970 in a column of another name may be anything."""
    rows = "\n".join(f"{1_600_000_000 + row},{row},{row % 2}" for row in range(9))
    (here / "n.csv").write_text(f"{name},x,y\n{rows}\n")
    assert glulam("init", "n.csv", "--target", "y").code == 0
    assert load_config(Path("glulam.toml")).data.time == time
    assert ("horizon" in load_config(Path("glulam.toml")).label.params) == bool(time)


def test_parquet_keeps_its_types(glulam, here):
    """A Parquet file's timestamps, dictionaries and lists are seen as such."""
    times = pa.array(range(4), pa.timestamp("us", "UTC"))
    columns = {
        "when": times,
        "city": pa.array(["a", "b", "a", None]).dictionary_encode(),
        "vector": pa.array([[1], [2], [3], [4]]),
        "x": pa.array([1.0, None, 3.0, 4.0]),
        "y": pa.array([True, False, True, False]),
    }
    pa.parquet.write_table(pa.table(columns), here / "t.parquet")
    assert glulam("init", "t.parquet", "--target", "y").code == 0
    found = load_config(Path("glulam.toml")).data
    assert (found.time, found.categorical, found.drop) == ("when", ("city",), ("vector",))


def test_candles_with_a_target_are_a_table(glulam, candles):
    """Who names a column means that column; next_direction is what candles get anyway."""
    done = glulam("init", candles, "--target", "close", "--json")
    assert json.loads(done.out)["label"] == "the column close"
    found = load_config(Path("glulam.toml"))
    assert (found.label.params, found.features.generators) == ({"column": "close", "horizon": 0}, ())
    assert found.data.path == str(candles)
    assert glulam("init", candles, "--target", "next_direction", "--force").code == 0
    assert load_config(Path("glulam.toml")).label.name == "next_direction"


@pytest.mark.parametrize("arguments", [[], ["rows.csv", "--target", "y"], ["naive.csv", "--target", "y"]])
def test_what_init_writes_is_read(glulam, here, table, arguments):
    """The rows of the config are read as they were recognised: in order of their time, and in full."""
    (here / "naive.csv").write_text("ts,x,y\n2023-01-01 00:00,1,0\n2023-01-01 01:00,2,1\n")
    (here / "rows.csv").write_text("\n".join(table.read_text().splitlines()[:4]) + "\n")
    assert glulam("init", *arguments).code == 0
    config = load_config(Path("glulam.toml"))
    raw = read_raw(config.data, here, needs_time=bool(config.features.generators))
    assert raw.time is not None
    assert len(raw) == {"rows.csv": 3, "naive.csv": 2, CANDLES: 13_130}[config.data.path]


def test_a_database_is_asked(glulam, here):
    """The columns are those of the query, which is kept in the config."""
    with sqlite3.connect(here / "shop.db") as database:
        database.execute("CREATE TABLE sales (price REAL, city TEXT, back INTEGER)")
        database.executemany("INSERT INTO sales VALUES (?, ?, ?)", [(1.5, "Bern", 0), (2.5, 'say "hi"', 1)])
    database.close()
    query = 'SELECT price, city, back AS "was ""back""" FROM sales'
    assert glulam("init", "shop.db", "--query", query, "--target", 'was "back"').code == 0
    found = load_config(Path("glulam.toml"))
    assert (found.data.query, found.data.categorical) == (query, ("city",))
    assert found.label.params == {"column": 'was "back"'}
    done = glulam("init", "shop.db", "--query", "SELECT absent FROM sales", "--force")
    assert done.code == 1
    assert "no such column: absent" in done.err


def test_json_has_what_was_found(glulam, here, table):
    """The document names the files, what was recognised, and what to do next."""
    done = glulam("init", table.name, "--target", "y", "--out", "c.toml", "--json")
    assert json.loads(done.out) == {
        "out": "c.toml",
        "data": "rows.csv",
        "label": "the column y",
        "time": "when",
        "features": "3 columns, of categories city",
        "dropped": "day, remark, empty",
        "next": "glulam train --config c.toml",
    }


def test_a_config_that_is_there_stays(glulam, here):
    """Without --force nothing is replaced, and nothing else is written."""
    (here / "glulam.toml").write_text("mine")
    done = glulam("init")
    assert done.code == 1
    assert done.err == "glulam: error: glulam.toml exists; choose another name, or overwrite it with --force\n"
    assert [path.name for path in here.iterdir()] == ["glulam.toml"]
    assert glulam("init", "--force").code == 0
    assert "[evaluation]" in (here / "glulam.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["rows.csv"], 1, "rows.csv: which column is to be predicted? name it with --target; its columns are ['when', 'day', "),
        (["rows.csv", "--json"], 1, "rows.csv: which column is to be predicted? name it with --target; "),
        (["rows.csv", "--target", "agee"], 1, "rows.csv: --target: no column 'agee'; did you mean 'age'? its columns are ['when', "),
        (["rows.csv", "--target", "y", "--query", "SELECT 1"], 2, "Invalid value for --query: rows.csv is no database; see glulam init --help"),
        (["x.db"], 2, "Invalid value for --query: x.db is a database: give the SQL that gives the rows; see glulam init --help"),
        (["--target", "y"], 2, "Invalid value for --target: needs DATA, the file that it is about; see glulam init --help"),
        (["--query", "y"], 2, "Invalid value for --query: needs DATA, the file that it is about; see glulam init --help"),
        (["rows.csv", "--target", "y", "--out", "rows.csv"], 2, "Invalid value for --out: rows.csv is the input; choose another name"),
        (["rows.txt"], 2, "rows.txt: expected a name that ends in .csv, .csv.gz or .parquet"),
        (["none.csv"], 2, "'none.csv' does not exist"),
        (["empty.csv", "--target", "y"], 1, "empty.csv: no rows, only column names; give data with rows"),
        (["alone.csv", "--target", "y"], 1, "no column is left to predict 'y' from; give a table with features"),
        (["Candles.csv"], 1, "candles are recognised by the names timestamp, open, high, low, close, volume, so rename to timestamp, open, "),
        (["rows.csv", "--target", "y", "--out", "no/c.toml"], 1, "no/c.toml: the directory no does not exist; create it first"),
    ],
)  # fmt: skip
def test_what_is_refused_says_what_to_do(glulam, here, table, arguments, code, said):
    """Every refusal is one line, and no config is written."""
    (here / "x.db").write_bytes(b"")
    (here / "rows.txt").write_text("x,y\n1,2\n")
    (here / "empty.csv").write_text("x,y\n")
    (here / "alone.csv").write_text("y\n1\n2\n")
    (here / "Candles.csv").write_text("Timestamp,Open,High,Low,Close,Volume\n1,1,1,1,1,1\n")
    done = glulam("init", *arguments)
    assert done.code == code, done.err
    assert done.err.startswith("glulam: error: ")
    assert said in done.err.replace("'--query'", "--query").replace("'--target'", "--target").replace(
        "'--out'", "--out"
    )
    assert done.err.count("\n") == 1
    assert not (here / "glulam.toml").exists()


def test_a_terminal_is_asked_for_the_target(here, table):
    """On a terminal the columns are shown, a wrong answer is asked for again, and the right one is taken."""
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "glulam.cli", "init", table.name]
    with subprocess.Popen(command, cwd=here, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal) as running:
        os.write(master, b"yy\ny\n")
        assert running.wait(30) == 0
    os.close(terminal)
    seen = os.read(master, 100_000).decode()
    os.close(master)
    assert "Which column of rows.csv is to be predicted (its columns are ['when', " in seen
    assert "no column 'yy'" in seen
    assert load_config(here / "glulam.toml").label.params["column"] == "y"


def test_init_imports_no_training_library(process, here):
    """A config is written without scikit-learn or any model library (pyarrow itself imports pandas if it is there)."""
    listing = "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    done = process("init", "--json", after=listing, cwd=here)
    assert done.code == 0, done.err
    unwanted = {"sklearn", "lightgbm", "xgboost", "joblib", "skops", "scipy", "polars", "onnx", "talib", "optuna"}
    assert not set(ast.literal_eval(done.err)) & unwanted


def test_a_missing_pydantic_is_one_line(process, here):
    """Configs need pydantic, which is in the extra of the command line."""
    done = process("init", blocked=["pydantic"], cwd=here)
    assert done.code == 1
    assert done.err == (
        "glulam: error: the command line needs pydantic, which is not installed; "
        "install it with: pip install 'glulam[cli]'\n"
    )
    assert not (here / "glulam.toml").exists()


def test_numbers_of_rows_are_no_features(glulam, tmp_path, monkeypatch):
    """The row numbers that pandas writes, counters and ids are dropped; other whole numbers are features."""
    monkeypatch.chdir(tmp_path)
    rows = (f"{row},{1_000 + 3 * row},{(row * 7) % 41 + 500},{row % 9},{row * row},{row % 2}" for row in range(40))
    Path("t.csv").write_text("\n".join([",serial,customer_id,age,area,y", *rows]) + "\n")
    done = glulam("init", "t.csv", "--target", "y")
    assert done.code == 0, done.err
    assert "the column without a name, serial, customer_id" in " ".join(done.out.split())
    config = load_config(Path("glulam.toml"), environ={})
    assert config.data.drop == ("", "serial", "customer_id")
    made = make_dataset(read_raw(config.data, Path(), needs_time=False), config)
    assert made.schema.names == ["age", "area"]
