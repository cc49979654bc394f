"""Assembling: features and labels of the same rows, and refusals where they would say too much or nothing."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from training.made import CANDLES

from glulam import plugins
from glulam.dataset import Labels, RawTable
from glulam.errors import ConfigError, FeatureError, FeatureTypeError, PluginError
from glulam.hookspecs import FeatureGenerator, hookimpl
from glulam.training.assembling import make_dataset, regenerate
from glulam.training.config import Config, DataConfig
from glulam.training.data import read_raw
from glulam.trainspecs import Label
from glulam_plugins.features.technical import Technical

EXAMPLES = Path(__file__).parents[2] / "examples" / "data"
HOURS = 4 * 3_600_000_000
TECHNICAL = {"generators": [{"name": "technical"}]}


@pytest.fixture(scope="module")
def candles():
    """Return the shipped candles."""
    return read_raw(DataConfig(path="btcusdt_4h_2018_2023.csv.gz"), EXAMPLES, needs_time=True)


def config(label="next_direction", features=None, data=None, **rest):
    """Return a config of a label, given by its name or with parameters."""
    label = {"name": label} if isinstance(label, str) else label
    return Config(data={"path": "t.csv", **(data or {})}, features=features or {}, label=label, **rest)


def table(**columns):
    """Return a raw table of columns without a time."""
    arrays = {
        name: values if isinstance(values, np.ndarray) else np.asarray(values) for name, values in columns.items()
    }
    return RawTable(arrays, None, np.arange(len(next(iter(arrays.values())))), "made.csv", "")


def text(*values):
    """Return a column of text."""
    return np.array(values, dtype=object)


def plain(n_rows=40, **columns):
    """Return a raw table of two numbers a row, a label y, and further columns."""
    random = np.random.default_rng(0)
    return table(**{"a": random.random(n_rows), "b": np.arange(n_rows), "y": np.arange(n_rows) % 2, **columns})


COLUMN = {"name": "column", "column": "y"}


def test_features_and_labels_of_the_same_rows(candles):
    """Row by row features are the generator's of that candle, and the label is of the next close."""
    data = make_dataset(candles, config(features=TECHNICAL))
    features, rows = Technical().generate(candles.columns)
    assert len(data) == 13_080
    np.testing.assert_array_equal(data.rows, rows[:-1])
    np.testing.assert_array_equal(data.X, features[:-1].astype(np.float32))
    close = candles.columns["close"]
    np.testing.assert_array_equal(data.y, close[data.rows + 1] > close[data.rows])
    np.testing.assert_array_equal(data.label_end, data.rows + 1)
    np.testing.assert_array_equal(data.time, candles.time[data.rows])
    assert data.schema.names == list(Technical.columns)
    assert (data.task, data.classes.tolist(), data.horizon) == ("binary", [0, 1], 1)
    assert (data.y.dtype, data.X.dtype) == (np.int64, np.float32)
    assert data.generators == (("technical", {}),)
    assert data.label == ("next_direction", {})
    assert data.groups is None
    gap, *rest = data.raw.findings
    assert gap.startswith("technical: candles 2018-01-01T00:00:00Z to 2023-12-31T20:00:00Z, every 4:00:00: 13130 rows")
    assert rest == [
        "49 rows without all features left out", "1 rows whose label is not known left out",
        "task: binary: label 'next_direction' is for classification",
        "8 labels reach across a gap in time: they count rows, whatever their distance",
    ]  # fmt: skip


def test_several_classes(candles):
    """Text labels become positions, and ends are the rows where barriers were touched."""
    label = {"name": "triple_barrier", "bars": 24, "up": 0.02}
    data = make_dataset(candles, config(label, TECHNICAL))
    made = plugins.label(**label).make(candles)
    assert (data.task, data.classes.tolist(), data.horizon) == ("multiclass", ["down", "time_out", "up"], 24)
    np.testing.assert_array_equal(data.classes[data.y], made.y[data.rows])
    np.testing.assert_array_equal(data.label_end, made.end[data.rows])
    assert made.known[data.rows].all()
    assert data.label == ("triple_barrier", {"bars": 24, "up": 0.02})


def test_bad_candles_leave_the_raw_table(candles):
    """Rows that the check leaves out are in no label either: the next close is that of the next row that stays."""
    close = candles.columns["close"].copy()
    close[[500, 501, 900]] = np.nan
    bad = replace(candles, columns={**candles.columns, "close": close})
    with pytest.raises(
        FeatureError,
        match=r"btcusdt.*: check_candles: 13130 rows hold non_finite: 3 .*; in the config: data.drop_bad = true",
    ):
        make_dataset(bad, config(features=TECHNICAL))
    data = make_dataset(bad, config(features=TECHNICAL, data={"drop_bad": True}))
    good = np.setdiff1d(np.arange(len(candles)), [500, 501, 900])
    np.testing.assert_array_equal(data.raw.file_rows, good)
    np.testing.assert_array_equal(data.raw.columns["close"], candles.columns["close"][good])
    np.testing.assert_array_equal(data.raw.time, candles.time[good])
    closes = data.raw.columns["close"]
    np.testing.assert_array_equal(data.y, closes[data.rows + 1] > closes[data.rows])
    assert "3 dropped" in data.raw.findings[0]
    assert "0 dropped" in data.raw.findings[1]


def test_several_generators(candles):
    """Features of several generators stand side by side, of the rows that all have, and read the same rows."""
    generators = [
        {"name": "technical"}, {"name": "lags", "columns": ["close"], "lags": [1, 60]},
        {"name": "calendar", "parts": ["hour"]},
    ]  # fmt: skip
    raw = candles.head(1_000)
    data = make_dataset(raw, config(features={"generators": generators}))
    assert data.schema.names == [*Technical.columns, "close_lag_1", "close_lag_60", "timestamp_hour"]
    assert data.rows.tolist() == list(range(60, 999))
    np.testing.assert_array_equal(data.X[:, 12], raw.columns["close"][data.rows - 1].astype(np.float32))
    np.testing.assert_array_equal(data.X[:, 14], raw.time[data.rows] // 3_600_000_000 % 24)
    assert data.generators[1] == ("lags", {"columns": ["close"], "lags": [1, 60]})
    with pytest.raises(
        ConfigError,
        match=r"features.generators\[1\] \(lags\) and features.generators\[0\] \(lags\) both make a feature 'close_lag_2'; leave one out",
    ):
        make_dataset(
            raw,
            config(features={"generators": [{"name": "lags", "columns": "close", "lags": n} for n in ([1, 2], [2])]}),
        )


def test_the_time_has_the_usual_name_too(candles):
    """Generators find the time as timestamp, whatever the file calls it, and by the file's name."""
    calendar = {"generators": [{"name": "calendar", "time": "opened", "parts": ["hour"]}, {"name": "technical"}]}
    data = make_dataset(candles.head(300), config(features=calendar, data={"time": "opened"}))
    assert data.schema.names[0] == "opened_hour"
    assert len(data) == 250


def test_regenerate(candles):
    """Recomputed features are those of the dataset, and those of the first rows do not need the later ones."""
    asked = config(features=TECHNICAL)
    data = make_dataset(candles, asked)
    again = regenerate(asked)
    features, rows = again(data.raw)
    assert features.dtype == np.float64
    np.testing.assert_array_equal(features[np.isin(rows, data.rows)].astype(np.float32), data.X)
    early, early_rows = again(data.raw.head(1_000))
    np.testing.assert_array_equal(early_rows, rows[: len(early_rows)])
    np.testing.assert_allclose(early, features[: len(early)], rtol=1e-12)
    assert regenerate(config(COLUMN)) is None


def test_columns_as_features():
    """Without generators all columns but label, group and dropped ones are features, with their kinds."""
    raw = plain(6 * 4, flag=np.arange(24) % 3 == 0, city=text(*"abc" * 8), who=text(*"xyzz" * 6), note=text(*"n" * 24))
    data = make_dataset(raw, config(COLUMN, data={"group": "who", "drop": ["note"], "categorical": ["city"]}))
    assert [(feature.name, feature.kind) for feature in data.schema.features] == [
        ("a", "numeric"), ("b", "numeric"), ("flag", "boolean"), ("city", "categorical"),
    ]  # fmt: skip
    assert data.groups.tolist() == list("xyzz" * 6)
    np.testing.assert_array_equal(data.X[:, 3], np.arange(24) % 3)
    assert (data.horizon, data.rows.tolist(), data.label_end.tolist()) == (0, list(range(24)), list(range(24)))
    assert data.time is None
    assert data.generators == ()


def test_labels_that_are_not_known_yet():
    """Rows at the end without a label are left out and counted; their missing values do not matter."""
    y = np.array([*(np.arange(30) % 2), np.nan, np.nan], dtype=np.float64)
    a = np.array([*np.ones(30), np.nan, np.nan])
    data = make_dataset(plain(32, y=y, a=a), config(COLUMN))
    assert len(data) == 30
    assert data.classes.tolist() == [0, 1]
    assert data.raw.findings[0] == "2 rows whose label is not known left out"
    assert data.schema.features[0].missing == "error"


@pytest.mark.parametrize(
    ("y", "task", "found", "classes"),
    [
        (np.arange(40) % 3, "auto", "multiclass", [0, 1, 2]),
        (np.arange(40) % 2 == 0, "auto", "binary", [False, True]),
        (text(*"ab" * 20), "auto", "binary", ["a", "b"]),
        (np.arange(40), "auto", "regression", []),
        (np.arange(40), "classification", "multiclass", list(range(40))),
        (np.arange(40) / 3, "auto", "regression", []),
        (np.arange(40) % 2, "regression", "regression", []),
    ],
)  # fmt: skip
def test_tasks(y, task, found, classes):
    """The task follows from the labels, or is as asked; regression keeps values, classes get positions."""
    data = make_dataset(plain(y=y), config(COLUMN, ensemble={"task": task}))
    assert (data.task, data.classes.tolist()) == (found, classes)
    if classes:
        assert data.classes[data.y].tolist() == y.tolist()
    else:
        assert data.y.tolist() == y.astype(float).tolist()
        assert data.n_outputs == 1


@pytest.mark.parametrize(
    ("raw", "asked", "error", "said"),
    [
        (plain(y=np.ones(40)), {}, FeatureError, "made.csv: all 40 labels are 1.0; there is nothing to learn"),
        (plain(8), {}, FeatureError, "made.csv: 8 rows have features and a label; expected at least 12 for 5 folds and a label that reaches 0 rows ahead"),
        (plain(y=np.full(40, np.nan)), {}, FeatureError, "made.csv: no row of 40 has a label"),
        (plain(y=np.where(np.arange(40) == 7, np.nan, np.arange(40) % 2)), {}, FeatureError, r"made.csv, row 8, column 'y': the label is missing \(1 such rows"),
        (plain(y=text(*"ab" * 20)), {"ensemble": {"task": "regression"}}, FeatureTypeError, 'made.csv: ensemble.task = "regression": the target holds labels such as'),
        (plain(y=np.arange(40) / 2), {"ensemble": {"task": "classification"}}, FeatureTypeError, r'made.csv: ensemble.task = "classification": the target is fractional \(row 2: 0.5\)'),
        (plain(c=text(None, *"x" * 39), d=text(*"x" * 40)), {}, FeatureTypeError, r"made.csv: columns \['c', 'd'\] hold text \(row 2: 'x'\); .* data.categorical, or leave them out by data.drop"),
        (plain(), {"data": {"drop": ["a", "b"]}}, FeatureError, "made.csv: no column is left as a feature"),
        (plain(), {"data": {"categorical": ["y"]}}, ConfigError, r"data.categorical: \['y'\]: no feature, as it is the label"),
        (plain(), {"label": {"name": "column", "column": "z"}}, FeatureError, r"made.csv: label 'column': no column 'z'; the table has \['a', 'b', 'y'\]"),
        (plain(g=text(*"x" * 39, None)), {"data": {"group": "g"}}, FeatureError, r"made.csv, row 40, column 'g': the group is missing \(1 such rows\)"),
        (plain(), {"label": "next_direction", "ensemble": {"task": "regression"}, "data": {"drop": ["y"]}}, FeatureError, "made.csv: label 'next_direction' needs a column 'close'"),
        (plain(close=np.arange(1.0, 41) % 7 + 1), {"label": "next_direction", "ensemble": {"task": "regression"}}, ConfigError, "ensemble.task = \"regression\": label 'next_direction' is for classification"),
        (plain(), {"features": {"generators": [{"name": "technical", "x": 1}]}}, ConfigError, "features 'technical': got an unexpected keyword argument 'x'"),
        (plain(), {"features": {"generators": [{"name": "technicl"}]}}, PluginError, "unknown features 'technicl': did you mean 'technical'"),
    ],
)  # fmt: skip
def test_what_is_refused(raw, asked, error, said):
    """What cannot be learnt, or was not meant, is said in one line with where it is."""
    with pytest.raises(error, match=said) as caught:
        make_dataset(raw, config(**{"label": COLUMN, **asked}))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_values_that_no_feature_can_have():
    """What the schema refuses is said with the row of the file, also where rows before it were left out."""
    raw = plain(y=np.where(np.arange(40) < 39, np.arange(40) % 2, np.nan), a=np.where(np.arange(40) == 30, 1e300, 1.0))
    with pytest.raises(FeatureError, match=r"made.csv, row 31, column 'a': .*1e\+300"):
        make_dataset(raw, config(COLUMN))
    with pytest.raises(FeatureError, match=r"made.csv, row 35, column 'a': .*1e\+300"):
        make_dataset(replace(raw, file_rows=raw.file_rows + 4), config(COLUMN))


def test_labels_among_the_features(candles):
    """A label that a generator makes as a feature is refused, and so are words about columns that it makes."""
    with pytest.raises(
        FeatureError,
        match="label: column 'close' is also a feature that a generator makes; a model would only repeat it",
    ):
        make_dataset(candles, config({"name": "column", "column": "close"}, TECHNICAL))
    with pytest.raises(ConfigError, match=r"data.categorical: \['open'\]: features are made by generators"):
        make_dataset(candles, config(features=TECHNICAL, data={"categorical": ["open"]}))
    with pytest.raises(
        ConfigError, match=r"data.drop: \['close'\] are made by a generator, which data.drop does not change"
    ):
        make_dataset(candles, config(features=TECHNICAL, data={"drop": ["open", "close"]}))
    assert len(make_dataset(candles.head(300), config(features=TECHNICAL, data={"drop": ["open"]}))) == 250


def test_series_that_alternate(candles):
    """Labels and features that count rows are refused where rows of several series alternate."""

    def grouped(groups):
        return replace(candles.head(200), columns={**candles.head(200).columns, "who": text(*groups)})

    asked = {"features": TECHNICAL, "data": {"group": "who"}}
    with pytest.raises(
        FeatureError, match=r"rows of 2 groups of data.group = 'who' alternate, but generators would take the next row"
    ):
        make_dataset(grouped("ab" * 100), config(**asked))
    with pytest.raises(FeatureError, match="alternate, but label 'next_direction' would take the next row"):
        make_dataset(grouped("ab" * 100), config(data={"group": "who"}))
    assert make_dataset(grouped("a" * 100 + "b" * 100), config(**asked)).groups[-1] == "b"
    label = {"name": "column", "column": "volume", "horizon": 2}
    twice = replace(grouped("ab" * 100), time=np.repeat(candles.time[:100], 2))
    data = make_dataset(twice, config(label, data={"group": "who"}))
    assert len(data) == 200
    assert not any("gap" in finding for finding in data.raw.findings)


class Narrow(FeatureGenerator):
    """A generator whose check leaves out what a parameter says."""

    name = "narrow"
    columns = ("own",)
    warm_up = 0

    def __init__(self, rows=None, shape=(1,), index=None):
        self.rows, self.shape, self.index = rows, shape, index

    def check(self, table, *, drop=False):
        """Keep the given rows of the first table, and all rows of later ones."""
        n_rows = len(table["close"])
        keep = np.arange(n_rows) if self.rows is None or n_rows < 300 else np.asarray(self.rows)
        return {
            **{name: values[keep % n_rows] for name, values in table.items() if keep.dtype == int},
            "row": keep,
        }, None

    def generate(self, table):
        """Return the row number as a feature."""
        rows = np.arange(len(table["close"]), dtype=np.int64)
        return np.ones((len(rows), *self.shape)), rows if self.index is None else rows[:: self.index]


class Distant(Label):
    """A label whose parts are as a parameter says."""

    name = "distant"
    horizon = 1

    def __init__(self, reach=1, known=None, length=None):
        self.reach, self.known, self.length = reach, known, length

    def make(self, raw):
        """Return every second row as another class."""
        rows = np.arange(len(raw))
        known = np.ones(len(raw), dtype=bool) if self.known is None else np.isin(rows, self.known, invert=True)
        return Labels((rows % 2)[: self.length], known, np.minimum(rows + self.reach, len(raw) - 1))


@pytest.fixture
def others():
    """Register the generator and the label of this file."""
    plugin = SimpleNamespace(
        glulam_features=hookimpl(lambda: Narrow), glulam_label=hookimpl(lambda: Distant), __name__="others"
    )
    plugins.register(plugin)
    yield
    plugins.unregister(plugin)


def test_every_check_sees_the_rows_that_stay(candles, others):
    """Where one check leaves out rows, the others' features are made without them."""
    raw = candles.head(300)
    keep = np.setdiff1d(np.arange(300), [100, 200])
    data = make_dataset(raw, config(features={"generators": [{"name": "technical"}, {"name": "narrow", "rows": keep}]}))
    assert data.raw.file_rows.tolist() == keep.tolist()
    expected, _ = Technical().generate({name: values[keep] for name, values in raw.columns.items()})
    np.testing.assert_array_equal(data.X[:, :12], expected[:-1].astype(np.float32))


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"rows": [3, 2]}, r"features 'narrow': check: expected rising row numbers below 300 in column 'row'.* got int64 \[3 2\]"),
        ({"rows": [5, 300]}, "check: expected rising row numbers"),
        ({"rows": np.array([0.0, 1.0])}, "check: expected rising row numbers .* got float64"),
        ({"shape": (2,)}, r"features 'narrow': generate: expected 1 columns and rising row numbers below 300, got \(300, 2\)"),
        ({"index": -1}, "generate: expected 1 columns and rising row numbers"),
        ({"index": 2}, "generate: expected 1 columns and rising row numbers"),
    ],
)  # fmt: skip
def test_generators_that_break_their_contract(candles, others, params, said):
    """A generator that mixes up its rows is named; nothing is learnt from it."""
    with pytest.raises(PluginError, match=said):
        make_dataset(candles.head(300), config(features={"generators": [{"name": "narrow", **params}]}))


@pytest.mark.parametrize(
    ("params", "error", "said"),
    [
        ({"reach": 2}, PluginError, r"label 'distant': make: expected end from each row to 1 rows \(horizon\) beyond it, .* got 0 to 2"),
        ({"reach": -1}, PluginError, "expected end from each row .* got -1 to -1"),
        ({"length": 30}, PluginError, "expected y, known and end of 40 rows, got 30, 40 and 40"),
        ({"known": [9]}, FeatureError, r"made.csv, row 10: the label is missing \(1 such rows among labelled ones\)"),
    ],
)  # fmt: skip
def test_labels_that_break_their_contract(others, params, error, said):
    """A label that reaches further than it says, which purge could not know, is refused by its name."""
    with pytest.raises(error, match=said):
        make_dataset(plain(), config({"name": "distant", **params}))


def test_labels_that_begin_late(others):
    """Labels may be unknown at both ends of a table."""
    data = make_dataset(plain(), config({"name": "distant", "known": [0, 1, 39]}))
    assert data.rows.tolist() == list(range(2, 39))


def test_too_few_rows_for_a_generator(candles):
    """A history that is too short for the features is an error of the generator, with the file."""
    with pytest.raises(FeatureError, match=r"btcusdt.*: technical: expected more than 49 rows .* got 20"):
        make_dataset(candles.head(20), config(features=TECHNICAL))
    with pytest.raises(
        FeatureError, match=r"50 rows have .* expected at least 156 for 5 folds and a label that reaches 24"
    ):
        make_dataset(candles.head(123), config({"name": "return_above", "bars": 24, "threshold": 0.01}, TECHNICAL))


def test_values_that_float32_cannot_tell_apart_are_a_finding(tmp_path):
    """What would be a warning in Python is a line of the run's findings, and so of its report."""
    lines = [f"{1e9 + row / 1000!r},{row % 2}" for row in range(200)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,y", *lines]) + "\n")
    config = Config.model_validate({"data": {"path": "rows.csv"}, "label": {"name": "column", "column": "y"}})
    data = make_dataset(read_raw(config.data, tmp_path, needs_time=False), config)
    assert any("distinct float64 values become equal in float32" in finding for finding in data.raw.findings)


def test_a_column_without_a_name_is_refused_until_it_is_dropped(tmp_path):
    """The row numbers that pandas writes are neither taken for a feature nor left out silently."""
    rows = "".join(f"{row},{row % 7},{row % 2}\n" for row in range(30))
    (tmp_path / "t.csv").write_text(",a,y\n" + rows)
    given = {"data": {"path": "t.csv"}, "label": {"name": "column", "column": "y"}}
    config = Config.model_validate(given)
    raw = read_raw(config.data, tmp_path, needs_time=False)
    with pytest.raises(FeatureError, match=r'a column has no name \(number 1 .* leave it out by data.drop = \[""\]'):
        make_dataset(raw, config)
    config = Config.model_validate(given | {"data": {"path": "t.csv", "drop": [""]}})
    assert make_dataset(read_raw(config.data, tmp_path, needs_time=False), config).schema.names == ["a"]


def test_a_misspelt_label_is_told_before_the_features(tmp_path):
    """The column that was meant holds text, but what is wrong is the name."""
    (tmp_path / "t.csv").write_text("a,churn\n" + "1,yes\n2,no\n" * 20)
    config = Config.model_validate({"data": {"path": "t.csv"}, "label": {"name": "column", "column": "chrun"}})
    with pytest.raises(FeatureError, match="label 'column': no column 'chrun'"):
        make_dataset(read_raw(config.data, tmp_path, needs_time=False), config)


def test_the_last_rows_are_not_chosen_by_their_outcome():
    """Of the last rows only those whose barrier came early would have a label: all are left out."""
    config = Config.model_validate(
        {
            "data": {"path": "candles.csv", "time": "timestamp"},
            "features": {"generators": [{"name": "technical"}]},
            "label": {"name": "triple_barrier", "bars": 24, "up": 0.02},
        }
    )
    known = config.data.model_copy(update={"path": CANDLES.name, "until": "2018-09-05"})
    raw = read_raw(known, CANDLES.parent, needs_time=True)
    data = make_dataset(raw, config)
    assert data.rows.max() == len(data.raw) - 24 - 1
