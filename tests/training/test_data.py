"""Reading the rows to learn from: every source gives the same rows, and what is wrong with them is said."""

import gzip
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glulam.errors import ArtifactError, ConfigError, FeatureError, FeatureTypeError
from glulam.training.config import DataConfig
from glulam.training.data import read_raw

EXAMPLES = Path(__file__).parents[2] / "examples" / "data"
CANDLES = "btcusdt_4h_2018_2023.csv.gz"
PRICES = ["open", "high", "low", "close", "volume"]
HOUR = 3_600_000_000


@pytest.fixture(scope="module")
def candles():
    """Return the first of the shipped candles."""
    return pd.read_csv(EXAMPLES / CANDLES, nrows=300)


def read(base, path="t.csv", needs_time=True, **config):
    """Read a table with a config of the given keys."""
    return read_raw(DataConfig(path=path, **config), base, needs_time=needs_time)


def write(base, text, name="t.csv"):
    """Write a text file and return its directory."""
    (base / name).write_text(text)
    return base


def database(base, statements, name="t.sqlite"):
    """Make a SQLite database and return its directory."""
    with sqlite3.connect(base / name) as made:
        made.executescript(statements)
    made.close()
    return base


def test_the_shipped_candles():
    """The candles are read whole, with the hash of the file and their time apart from the columns."""
    raw = read(EXAMPLES, CANDLES)
    assert len(raw) == 13_130
    assert list(raw.columns) == PRICES
    assert all(values.dtype == np.float64 for values in raw.columns.values())
    assert raw.time[0] == 1_514_764_800_000_000
    assert raw.time[1] - raw.time[0] == 4 * HOUR
    assert raw.file_rows.tolist() == list(range(13_130))
    assert raw.source == str(EXAMPLES / CANDLES)
    assert raw.sha256 == hashlib.sha256((EXAMPLES / CANDLES).read_bytes()).hexdigest()
    assert raw.findings == ()


def every_source(candles, base):
    """Write the candles in every kind of file, and return the config of each."""
    zoned = candles.assign(timestamp=pd.to_datetime(candles.timestamp))
    naive = zoned.assign(timestamp=zoned.timestamp.dt.tz_localize(None))
    candles.to_csv(base / "c.csv", index=False)
    candles.to_csv(base / "c.csv.gz", index=False)
    zoned.to_parquet(base / "c.parquet")
    naive.to_parquet(base / "naive.pq")
    with sqlite3.connect(base / "c.db") as made:
        candles.to_sql("candles", made, index=False)
    made.close()
    made = duckdb.connect(str(base / "c.duckdb"))
    made.execute("CREATE TABLE candles AS SELECT * FROM zoned")
    made.close()
    query = "SELECT * FROM candles ORDER BY timestamp"
    return {
        "c.csv": {}, "c.csv.gz": {}, "c.parquet": {}, "naive.pq": {"timezone": "UTC"}, "c.db": {"query": query},
        "c.duckdb": {"query": query},
    }  # fmt: skip


def test_every_source_gives_the_same_rows(candles, tmp_path):
    """CSV, packed CSV, Parquet, SQLite and DuckDB of the same candles are the same table."""
    expected = read(EXAMPLES, CANDLES).head(len(candles))
    digests = {}
    for path, config in every_source(candles, tmp_path).items():
        raw = read(tmp_path, path, **config)
        assert list(raw.columns) == PRICES
        np.testing.assert_array_equal(raw.time, expected.time)
        for name in PRICES:
            np.testing.assert_array_equal(raw.columns[name], expected.columns[name])
        digests[path] = raw.sha256
    # The rows of a query are hashed, not the database: another one with the same rows is the same data.
    assert digests["c.db"] == digests["c.duckdb"]
    assert len(set(digests.values())) == 5


def test_the_hash_of_a_query_is_of_its_rows(candles, tmp_path):
    """Rows that a query does not give do not change its hash; any that it gives do."""
    query = "SELECT * FROM candles ORDER BY timestamp LIMIT 200"
    every_source(candles, tmp_path)
    before = read(tmp_path, "c.db", query=query).sha256
    with sqlite3.connect(tmp_path / "c.db") as made:
        made.execute("DELETE FROM candles WHERE timestamp = (SELECT max(timestamp) FROM candles)")
        made.commit()
        assert read(tmp_path, "c.db", query=query).sha256 == before
        made.execute("UPDATE candles SET close = close + 1 WHERE rowid = 200")
        made.commit()
    made.close()
    assert read(tmp_path, "c.db", query=query).sha256 != before


def test_kinds_of_columns(tmp_path):
    """Columns become float64, int64, bool or text; whole numbers with a hole in them are float64."""
    pd.DataFrame(
        {
            "whole": pd.array([1, 2], "Int64"), "holes": pd.array([1, None], "Int64"), "big": pd.array([1, 2**63], "UInt64"),
            "real": [0.5, 1.0], "small": np.array([1, 2], np.float32), "flag": [True, False],
            "maybe": pd.array([True, None], "boolean"), "text": ["a", None], "kind": pd.Categorical(["x", "y"]),
            "none": [None, None], "when": pd.to_datetime(["2018-01-01", "2018-01-02"]), "bytes": [b"a", b"b"],
        }
    ).to_parquet(tmp_path / "t.parquet")  # fmt: skip
    columns = read(tmp_path, "t.parquet", needs_time=False, drop=("bytes",)).columns
    assert {name: values.dtype.kind for name, values in columns.items()} == {
        "whole": "i", "holes": "f", "big": "f", "real": "f", "small": "f", "flag": "b", "maybe": "O", "text": "O",
        "kind": "O", "none": "f", "when": "O",
    }  # fmt: skip
    assert all(columns[name].dtype.itemsize == 8 for name in ("whole", "holes", "big", "real", "small", "none"))
    assert np.isnan(columns["holes"][1])
    assert np.isnan(columns["none"]).all()
    assert columns["maybe"].tolist() == [True, None]
    assert columns["text"].tolist() == ["a", None]
    assert columns["when"][1].startswith("2018-01-02 00:00:00")
    with pytest.raises(FeatureTypeError, match=r"column 'bytes': holds binary; expected numbers, .* data.drop"):
        read(tmp_path, "t.parquet", needs_time=False)


def test_rows_without_a_time(tmp_path):
    """A table without a time keeps the order of its rows."""
    raw = read(write(tmp_path, "a,y\n3,x\n1,y\n"), needs_time=False)
    assert raw.time is None
    assert raw.columns["a"].tolist() == [3, 1]


def test_windows(candles, tmp_path):
    """A window begins with since, ends before until, and days are its last ones; what was left out is noted."""
    candles.to_csv(tmp_path / "t.csv", index=False)
    whole = read(tmp_path)
    raw = read(tmp_path, since="2018-01-02T00:00", until="2018-01-10", days=2)
    assert raw.time[[0, -1]].tolist() == [whole.time[0] + (7 * 24 + 0) * HOUR, whole.time[0] + (8 * 24 + 20) * HOUR]
    assert raw.file_rows[0] == 42
    assert raw.findings == (
        "288 of 300 rows left out by data.since = '2018-01-02T00:00', data.until = '2018-01-10', data.days = 2",
    )
    assert read(tmp_path, since="2017-01-01").findings == ()
    with pytest.raises(
        FeatureError,
        match=r"t.csv: no row is left by data.since = '2030-01-01'; the table has 2018-01-01T00:00:00Z to 2018-02-21T00:00:00Z",
    ):
        read(tmp_path, since="2030-01-01")
    with pytest.raises(ConfigError, match="data.days needs to know the time of each row; name its column by data.time"):
        read(tmp_path, needs_time=False, days=3)


def test_unsorted_rows(tmp_path):
    """Rows out of order are refused with the first of them, or sorted if asked; rows of the file are kept in mind."""
    write(tmp_path, "t,a\n2018-01-01,1\n2018-01-03,3\n2018-01-02,2\n")
    with pytest.raises(
        FeatureError,
        match=r"t.csv, row 3, column 't': 2018-01-02T00:00:00Z is earlier than the row before \(1 such rows\); sort .* data.drop_bad = true",
    ):
        read(tmp_path, time="t", timezone="UTC")
    raw = read(tmp_path, time="t", timezone="UTC", drop_bad=True)
    assert raw.columns["a"].tolist() == [1, 2, 3]
    assert raw.file_rows.tolist() == [0, 2, 1]
    assert raw.findings == ("sorted: 1 rows were earlier than the row before",)


def test_repeated_rows(tmp_path):
    """Rows that repeat another wholly are refused or left out; rows that differ are refused always."""
    write(tmp_path, "t,a,b,c\n2018-01-01,1,,\n2018-01-01,1,,\n2018-01-02,2,x,\n2018-01-02,2,x,\n2018-01-03,3,y,\n")
    config = {"time": "t", "timezone": "UTC"}
    with pytest.raises(
        FeatureError,
        match=r"column 't': 2 rows have the time of an earlier row \(2018-01-01T00:00:00Z, 2018-01-02T00:00:00Z\), with the same values; .* data.drop_bad",
    ):
        read(tmp_path, **config)
    raw = read(tmp_path, **config, drop_bad=True)
    assert raw.file_rows.tolist() == [0, 2, 4]
    assert raw.findings == ("2 rows left out that repeat an earlier one (2018-01-01T00:00:00Z, 2018-01-02T00:00:00Z)",)
    write(tmp_path, "t,a\n2018-01-01,1\n2018-01-01,1\n2018-01-01,2\n2018-01-02,\n2018-01-02,1\n")
    with pytest.raises(
        FeatureError,
        match=r"3 rows have .*, and 2 of them other values \(the first in row 3\), so that nobody can tell which are right; leave out the wrong ones, or name .* data.group",
    ):
        read(tmp_path, **config, drop_bad=True)


def test_groups_have_rows_of_one_time(tmp_path):
    """Two groups may each have a row of the same time; one group may not have two."""
    write(tmp_path, "t,who,a\n2018-01-01,x,1\n2018-01-01,y,2\n2018-01-02,x,3\n")
    config = {"time": "t", "timezone": "UTC", "group": "who"}
    assert len(read(tmp_path, **config)) == 3
    write(tmp_path, "t,who,a\n2018-01-01,x,1\n2018-01-01,y,2\n2018-01-01,x,3\n")
    with pytest.raises(
        FeatureError,
        match=r"1 rows have .*\(the first in row 3\), so that nobody can tell which are right; leave out the wrong ones$",
    ):
        read(tmp_path, **config)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
@settings(deadline=None, max_examples=60)
def test_mending_gives_each_row_once_in_order(tmp_path_factory, days):
    """However rows are shuffled and repeated, drop_bad gives each distinct one once, the first of it, in order."""
    base = tmp_path_factory.mktemp("days")
    start = pd.Timestamp("2018-01-01", tz="UTC")
    pd.DataFrame({"t": [start + pd.Timedelta(days=day) for day in days], "a": days}).to_csv(base / "t.csv", index=False)
    raw = read(base, time="t", drop_bad=True)
    assert raw.columns["a"].tolist() == sorted(set(days))
    assert raw.file_rows.tolist() == [days.index(day) for day in sorted(set(days))]


@pytest.mark.parametrize(
    ("text", "config", "text_of_error"),
    [
        ("", {}, "t.csv: the file is empty"),
        ("timestamp,a\n", {}, "t.csv: no rows, only column names; give a file with data"),
        ("a,b\n1,2\n", {}, r"t.csv: data.time: no column 'timestamp'; rows need a time here: name its column by data.time; the table has \['a', 'b'\]"),
        ("timestamp,a\n2018,2\n", {"time": "timestmp"}, "data.time: no column 'timestmp'; did you mean 'timestamp'?"),
        ("timestamp,a\n2018,2\n", {"drop": ("b",)}, "data.drop: no column 'b'"),
        ("timestamp,a\n2018,2\n", {"categorical": ("b",)}, "data.categorical: no column 'b'"),
        ("timestamp,a\n2018,2\n", {"group": "b"}, "data.group: no column 'b'"),
        ("timestamp,a,a\n2018,2,3\n", {}, r"column names must be unique; \['a'\] come more than once"),
        ("timestamp,a\n2018-01-01T00:00Z,2\nmorning,3\n", {}, "t.csv, row 2, column 'timestamp': 'morning' is no time"),
        ("timestamp,a\n2018-01-01,2\n", {}, "t.csv: column 'timestamp': times name no zone; set data.timezone"),
    ],
)  # fmt: skip
def test_tables_that_do_not_do(tmp_path, text, config, text_of_error):
    """What is wrong with a table is said with the file, in one line."""
    with pytest.raises((FeatureError, ArtifactError), match=text_of_error) as caught:
        read(write(tmp_path, text), **config)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    """Missing files, directories, unknown kinds, other encodings and damaged files are errors that say which."""
    with pytest.raises(ArtifactError, match=r"no.csv: no such file; data.path is relative to the config, here /"):
        read(tmp_path, "no.csv")
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(ArtifactError, match=r"d.csv: expected a file, got a directory"):
        read(tmp_path, "d.csv")
    with pytest.raises(ConfigError, match=r"t.xlsx: expected a name that ends in .csv, .csv.gz, .*; convert the file"):
        read(tmp_path, "t.xlsx")
    with pytest.raises(ConfigError, match="data.path is empty; say which file has the rows"):
        read(tmp_path, "")
    (tmp_path / "l.csv").write_bytes("timestamp,städte\n2018-01-01T00:00Z,Köln\n".encode("latin-1"))
    with pytest.raises(ArtifactError, match=r"l.csv is not UTF-8; save it as UTF-8"):
        read(tmp_path, "l.csv")
    (tmp_path / "v.csv").write_bytes("timestamp,city\n2018-01-01T00:00Z,Köln\n".encode("latin-1"))
    with pytest.raises(ArtifactError, match=r"v.csv: column 'city' is not UTF-8; save it as UTF-8"):
        read(tmp_path, "v.csv")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and so on")
    with pytest.raises(ArtifactError, match=r"t.parquet: cannot be read: .*; write the file again"):
        read(tmp_path, "t.parquet")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"timestamp,a\n" * 1000)[:40])
    with pytest.raises(ArtifactError, match=r"t.csv.gz: cannot be read"):
        read(tmp_path, "t.csv.gz")
    write(tmp_path, "timestamp,a\n2018-01-01T00:00Z,1,2\n")
    with pytest.raises(ArtifactError, match=r"t.csv: cannot be read: .*row 1: Expected 2 columns, got 3"):
        read(tmp_path)
    with pytest.raises(ConfigError, match=r"data.query: .*t.csv is no database; leave the query out"):
        read(tmp_path, query="SELECT 1")


TABLE = "CREATE TABLE t (timestamp TEXT, a); INSERT INTO t VALUES ('2018-01-01T00:00Z', 1), ('2018-01-02T00:00Z', 2.5);"


@pytest.fixture(params=["t.sqlite", "t.duckdb"])
def both(request, tmp_path):
    """Return the path of a small database of each kind."""
    path = tmp_path / request.param
    if request.param == "t.sqlite":
        database(tmp_path, TABLE)
    else:
        made = duckdb.connect(str(path))
        made.execute(TABLE.replace("a)", "a DOUBLE)"))
        made.close()
    return path


@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE t", "DELETE FROM t", "INSERT INTO t VALUES ('x', 1)", "SELECT 1; SELECT 2", "PRAGMA user_version",
        "ATTACH 'other.db' AS other", "SELECT * FROM t; DROP TABLE t", "-- nothing", "BEGIN",
    ],
)  # fmt: skip
def test_queries_that_are_no_select(both, query):
    """Anything but one SELECT is refused, and the database stays as it was, byte by byte."""
    before = both.read_bytes()
    with pytest.raises(
        ConfigError, match=r"^data.query: .*; expected one SELECT statement; .* read only, and nothing"
    ) as caught:
        read(both.parent, both.name, query=query)
    assert "\n" not in str(caught.value)
    assert both.read_bytes() == before
    assert [path.name for path in both.parent.iterdir()] == [both.name]


def test_bad_queries(both):
    """What a database says of a query is kept, on one line."""
    for query, said in (("SELEC 1", 'near "SELEC"'), ("SELECT b FROM t", '"?b"?'), ("SELECT * FROM u", "u")):
        with pytest.raises(ConfigError, match=rf"^data.query: .*{both.name}: .*{said}.*; correct the query$") as caught:
            read(both.parent, both.name, query=query)
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=rf"data.query: .*{both.name} is a database; say by a SELECT which"):
        read(both.parent, both.name)
    with pytest.raises(FeatureError, match=rf"{both.name}: the query gives no rows"):
        read(both.parent, both.name, query="SELECT * FROM t WHERE a > 9")
    with pytest.raises(FeatureError, match=r"column names must be unique; \['a'\]"):
        read(both.parent, both.name, query="SELECT a, timestamp, a FROM t")
    raw = read(both.parent, both.name, query="WITH u AS (SELECT * FROM t) SELECT * FROM u ORDER BY timestamp")
    assert raw.columns["a"].tolist() == [1.0, 2.5]


def test_a_query_reads_no_other_file(tmp_path, both, monkeypatch):
    """A query reads the database that the config names, and nothing else on the machine."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "a\n1\n", "secret.csv")
    if both.suffix == ".duckdb":
        with pytest.raises(ConfigError, match=r"Permission Error: .*; correct the query"):
            read(tmp_path, both.name, query="SELECT * FROM read_csv('secret.csv')")
    else:
        with pytest.raises(ConfigError, match="expected one SELECT"):
            read(tmp_path, both.name, query="SELECT load_extension('secret.csv')")


def test_a_locked_sqlite_database(tmp_path):
    """A database that another program writes to is an error that says so."""
    database(tmp_path, TABLE)
    other = sqlite3.connect(tmp_path / "t.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ArtifactError, match=r"t.sqlite: the database is in use: database is locked; close the program"):
        read(tmp_path, "t.sqlite", query="SELECT * FROM t")
    other.execute("ROLLBACK")
    other.close()


def test_what_a_writer_left_is_read_and_stays(tmp_path):
    """Rows that only the log of an interrupted writer has are read, and the log is left to its owner."""
    program = (
        "import os, sqlite3; c = sqlite3.connect('t.db', isolation_level=None); c.execute('PRAGMA journal_mode = WAL');"
        f"c.executescript({TABLE!r}); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    before = (tmp_path / "t.db").read_bytes(), (tmp_path / "t.db-wal").read_bytes()
    assert len(read(tmp_path, "t.db", query="SELECT * FROM t")) == 2
    assert ((tmp_path / "t.db").read_bytes(), (tmp_path / "t.db-wal").read_bytes()) == before


def test_a_locked_duckdb_database(tmp_path):
    """A database that another process has open to write is an error that says so, and so is one of this process."""
    path = tmp_path / "t.duckdb"
    program = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline().strip() == b"open"
        with pytest.raises(ArtifactError, match=r"t.duckdb: the database is in use: .*lock.*; close the program"):
            read(tmp_path, "t.duckdb", query="SELECT 1")
        other.stdin.close()
        other.wait()
    own = duckdb.connect(str(path))
    with pytest.raises(ArtifactError, match="in use: .*different configuration.*; close the program"):
        read(tmp_path, "t.duckdb", query="SELECT 1")
    own.close()


@pytest.mark.parametrize("name", ["t.db", "t.duckdb"])
def test_files_that_are_no_database(tmp_path, name):
    """A file that only has the name of a database is an error, not an empty table."""
    write(tmp_path, "timestamp,a\n" * 500, name)
    with pytest.raises(ArtifactError, match=rf"{name}: cannot be read: .*; give a database"):
        read(tmp_path, name, query="SELECT * FROM t")


def test_sqlite_values_of_several_types(tmp_path):
    """A column of SQLite may hold a type a row; a feature may not."""
    database(tmp_path, "CREATE TABLE t (a); INSERT INTO t VALUES (1), ('one'), (NULL);")
    with pytest.raises(FeatureError, match=r"column 'a': values of several types \(int, str\); .* CAST\(a AS REAL\)"):
        read(tmp_path, "t.sqlite", needs_time=False, query="SELECT a FROM t")


def test_an_odd_name_of_a_database(tmp_path):
    """A name with signs that mean something in an address is only a name."""
    database(tmp_path, TABLE, "a b%20?mode=rwc#.sqlite")
    assert len(read(tmp_path, "a b%20?mode=rwc#.sqlite", query="SELECT * FROM t")) == 2


def test_without_duckdb(tmp_path, monkeypatch):
    """Where duckdb is not installed, the error says how to install it."""
    (tmp_path / "t.duckdb").touch()
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ConfigError, match=r"needs duckdb, which is not installed; .* pip install 'glulam\[duckdb\]'"):
        read(tmp_path, "t.duckdb", query="SELECT 1")


def test_reading_is_clean(tmp_path):
    """Reading a file imports neither duckdb nor a library that learns."""
    write(tmp_path, "timestamp,a\n2018-01-01T00:00Z,1\n")
    program = (
        "import json, sys; from pathlib import Path; from glulam.training.config import DataConfig;"
        "from glulam.training.data import read_raw; read_raw(DataConfig(path='t.csv'), Path('.'), needs_time=True);"
        "print(json.dumps(sorted({'duckdb', 'sklearn', 'lightgbm', 'typer', 'glulam.cli'} & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ, capture_output=True, check=True
    )
    assert json.loads(done.stdout) == []
