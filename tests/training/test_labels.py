"""Labels: each against the slow, obvious loop, and the contract that purge rests on."""

from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glulam import plugins
from glulam.dataset import Labels, RawTable
from glulam.errors import ConfigError, FeatureError
from glulam.testing import ContractError, check_label
from glulam.training.config import DataConfig
from glulam.training.data import read_raw
from glulam.trainspecs import Label

EXAMPLES = Path(__file__).parents[2] / "examples" / "data"

EVERY = [
    ("column", {"column": "close"}),
    ("column", {"column": "close", "horizon": 5}),
    ("next_direction", {}),
    ("return_above", {"bars": 6, "threshold": 0.01}),
    ("return_above", {"bars": 1, "threshold": -0.02, "price": "open"}),
    ("triple_barrier", {"bars": 12, "up": 0.02}),
    ("triple_barrier", {"bars": 6, "up": 0.03, "down": 0.01}),
    ("triple_barrier", {"bars": 12, "up": 2, "down": 1, "volatility": 20}),
]


@pytest.fixture(scope="module")
def candles():
    """Return the shipped candles."""
    return read_raw(DataConfig(path="btcusdt_4h_2018_2023.csv.gz"), EXAMPLES, needs_time=True)


def table(**columns):
    """Return a raw table of columns, an hour a row."""
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    n_rows = len(next(iter(arrays.values())))
    return RawTable(arrays, np.arange(n_rows) * 3_600_000_000, np.arange(n_rows), "made", "")


def walk(seed, n_rows, step=0.02):
    """Return a random walk of candles whose highs and lows reach a little further."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, step, n_rows)))
    high, low = close * (1 + random.exponential(step / 2, n_rows)), close * (1 - random.uniform(0, step / 2, n_rows))
    return table(open=np.append(100.0, close[:-1]), high=high, low=low, close=close)


def slow_direction(raw):
    """Return whether each next close is higher; None where there is none."""
    close = raw.columns["close"]
    return [(int(close[row + 1] > close[row]), row + 1) if row + 1 < len(raw) else None for row in range(len(raw))]


def slow_return(raw, bars, threshold, price="close"):
    """Return whether the price some rows later is above the threshold; None where there is none."""
    values = raw.columns[price]
    return [
        (int(values[row + bars] / values[row] - 1 > threshold), row + bars) if row + bars < len(raw) else None
        for row in range(len(raw))
    ]


def slow_barriers(raw, bars, up, down=None, volatility=0):
    """Return which barrier each row touches first, walking bar by bar; None where the table ends before."""
    high, low, close = (raw.columns[name] for name in ("high", "low", "close"))
    down, found = up if down is None else down, []
    for row in range(len(raw)):
        width = 1.0
        if volatility:
            if row < volatility:
                found.append(None)
                continue
            width = np.std([close[at] / close[at - 1] - 1 for at in range(row - volatility + 1, row + 1)])
        label = None
        for later in range(row + 1, min(row + bars, len(raw) - 1) + 1):
            if low[later] <= close[row] * (1 - down * width):
                label = ("down", later)
            elif high[later] >= close[row] * (1 + up * width):
                label = ("up", later)
            elif later == row + bars:
                label = ("time_out", later)
            if label:
                break
        found.append(label)
    return found


SLOW = {"next_direction": slow_direction, "return_above": slow_return, "triple_barrier": slow_barriers}


def fast(name, raw, params):
    """Return a label's answers as the slow loops give them."""
    labels = plugins.label(name, **params).make(raw)
    return [
        (y, end) if known else None
        for y, known, end in zip(labels.y.tolist(), labels.known, labels.end.tolist(), strict=True)
    ]


def test_every_label_is_tried():
    """The labels that this distribution brings are all among those that are tried."""
    ours = {entry.name for entry in entry_points(group="glulam") if entry.value.startswith("glulam_plugins.labels")}
    assert {f"label.{name}" for name, _ in EVERY} == ours


@pytest.mark.parametrize(("name", "params"), EVERY)
def test_contract(name, params, candles):
    """Every built-in label ends where it says, and does not change when later rows have come."""
    check_label(type(plugins.label(name, **params)), candles.head(400), params)


@pytest.mark.parametrize(("name", "params"), [each for each in EVERY if each[0] != "column"])
def test_real_candles(name, params, candles):
    """Labels of the shipped candles are those of the slow loop."""
    raw = candles.head(3_000)
    assert fast(name, raw, params) == SLOW[name](raw, **params)


@given(
    st.integers(0, 2**32), st.integers(2, 60), st.integers(1, 70), st.floats(0.001, 0.2),
    st.none() | st.floats(0.001, 0.2),
)  # fmt: skip
@settings(deadline=None)
def test_random_walks(seed, n_rows, bars, up, down):
    """Labels of random walks are those of the slow loops, also of tables shorter than the horizon."""
    raw = walk(seed, n_rows)
    params = {"bars": bars, "up": up, "down": down}
    assert fast("triple_barrier", raw, params) == slow_barriers(raw, **params)
    assert fast("return_above", raw, {"bars": bars, "threshold": up}) == slow_return(raw, bars, up)
    assert fast("next_direction", raw, {}) == slow_direction(raw)


@given(st.lists(st.sampled_from([99.0, 100.0, 101.0]), min_size=2, max_size=40), st.integers(1, 5))
@settings(deadline=None)
def test_prices_that_come_again(close, bars):
    """Where prices meet barriers exactly, or stay the same, the slow loops agree too."""
    raw = table(close=np.array(close), high=np.array(close) + 1, low=np.array(close) - 1)
    params = {"bars": bars, "up": 0.02, "down": 0.01}
    assert fast("triple_barrier", raw, params) == slow_barriers(raw, **params)
    assert fast("next_direction", raw, {}) == slow_direction(raw)


def test_next_direction_by_hand():
    """Up is 1, down and the same are 0, and of the last row nothing is known."""
    labels = plugins.label("next_direction").make(table(close=[1.0, 2.0, 2.0, 1.0]))
    assert labels.y[:3].tolist() == [1, 0, 0]
    assert labels.known.tolist() == [True, True, True, False]
    assert labels.end.tolist() == [1, 2, 3, 3]


def test_triple_barrier_by_hand():
    """The first touch counts, a bar that touches both is down, and touching is enough."""
    close = [100.0, 100.0, 100.0, 100.0, 100.0, 100.0]
    high = [100.0, 100.0, 102.0, 103.0, 101.0, 101.0]
    low = [100.0, 100.0, 100.0, 98.0, 99.0, 99.0]
    labels = plugins.label("triple_barrier", bars=2, up=0.02).make(table(close=close, high=high, low=low))
    assert labels.y.tolist()[:4] == ["up", "up", "down", "time_out"]
    assert labels.end.tolist() == [2, 2, 3, 5, 5, 5]
    assert labels.known.tolist() == [True, True, True, True, False, False]


def test_barriers_follow_volatility_of_the_past():
    """The width of barriers is the deviation of returns up to the row; before there are enough there is no label."""
    raw = walk(1, 200)
    labels = plugins.label("triple_barrier", bars=5, up=1.5, volatility=30).make(raw)
    assert not labels.known[:30].any()
    assert labels.known[30:-5].all()
    later = replace(raw, columns={name: np.append(v[:100], v[100:] * 3) for name, v in raw.columns.items()})
    changed = plugins.label("triple_barrier", bars=5, up=1.5, volatility=30).make(later)
    same = labels.end < 100
    assert changed.y[same].tolist() == labels.y[same].tolist()


def test_columns_keep_their_values():
    """A column's labels are its values; a label that is missing at the end is not known yet."""
    labels = plugins.label("column", column="y", horizon=2).make(table(y=np.array([0.5, 1.5, np.nan, np.nan])))
    assert labels.y[:2].tolist() == [0.5, 1.5]
    assert labels.known.tolist() == [True, True, False, False]
    assert labels.end.tolist() == [2, 3, 3, 3]
    text = plugins.label("column", column="y").make(table(y=np.array(["a", "b", None], dtype=object)))
    assert text.known.tolist() == [True, True, False]
    assert text.end.tolist() == [0, 1, 2]
    assert plugins.label("column", column="y").target == "y"
    assert plugins.label("next_direction").target == ""
    assert not plugins.label("column", column="y").make(table(y=np.array([np.nan]))).known.any()


@pytest.mark.parametrize(
    ("name", "params", "text"),
    [
        ("return_above", {"bars": 0, "threshold": 0.01}, "label 'return_above': bars: expected a whole number of at least 1, got 0"),
        ("return_above", {"bars": 2.0, "threshold": 0.01}, "bars: expected a whole number of at least 1, got 2.0"),
        ("return_above", {"bars": True, "threshold": 0.01}, "bars: expected .*, got True"),
        ("return_above", {"bars": 1, "threshold": float("nan")}, "threshold: expected a number, such as 0.01, got nan"),
        ("return_above", {"bars": 1, "threshold": float("inf")}, "threshold: expected a number, such as 0.01, got inf"),
        ("return_above", {"bars": 1, "threshold": "1 %"}, "threshold: expected a number, such as 0.01, got '1 %'"),
        ("return_above", {"bars": 1, "threshold": 0, "price": 3}, "price: expected the name of a column, got 3"),
        ("return_above", {"threshold": 0}, r"label 'return_above': missing a required argument: 'bars'; its parameters are \['bars', 'threshold', 'price'\]"),
        ("triple_barrier", {"bars": -1, "up": 0.01}, "label 'triple_barrier': bars: expected a whole number"),
        ("triple_barrier", {"bars": 1, "up": 0}, "up: expected a number above 0, such as 0.01, got 0"),
        ("triple_barrier", {"bars": 1, "up": 1.5}, "down: expected a number between 0 and 1, such as 0.01, got 1.5"),
        ("triple_barrier", {"bars": 1, "up": 1, "volatility": 1}, "volatility: expected a whole number of at least 2, got 1"),
        ("triple_barrier", {"bars": 1, "up": 1, "volatility": -1}, "volatility: expected a whole number of at least 0"),
        ("column", {"column": ""}, "label 'column': column: expected the name of a column, got ''"),
        ("column", {"column": "y", "horizon": -1}, "horizon: expected a whole number of at least 0, got -1"),
        ("next_direction", {"bars": 2}, "label 'next_direction': got an unexpected keyword argument 'bars'"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_work(name, params, text):
    """A parameter that cannot work is refused when the label is made, by its name."""
    with pytest.raises(ConfigError, match=text):
        plugins.label(name, **params)


@pytest.mark.parametrize(
    ("name", "params", "columns", "text"),
    [
        ("next_direction", {}, {"open": [1.0]}, r"label 'next_direction' needs a column 'close'; the table has \['open'\]"),
        ("return_above", {"bars": 1, "threshold": 0, "price": "mid"}, {"close": [1.0]}, "needs a column 'mid'"),
        ("next_direction", {}, {"close": [1.0, np.nan, np.nan]}, r"column 'close', row 1: label 'next_direction' expected a price above 0, got nan \(2 such rows\); mend"),
        ("return_above", {"bars": 1, "threshold": 0}, {"close": [1.0, 0.0]}, "row 1: label 'return_above' expected a price above 0, got 0.0"),
        ("next_direction", {}, {"close": np.array(["a"], dtype=object)}, "column 'close' holds text, expected prices"),
        ("next_direction", {}, {"close": [True]}, "column 'close' holds true/false, expected prices"),
        ("triple_barrier", {"bars": 1, "up": 2, "volatility": 2}, {key: [1.0, 2.0, 2.0, 2.0] for key in ("close", "high", "low")}, "column 'close', row 3: label 'triple_barrier': the price has not moved for 2 rows"),
        ("column", {"column": "y"}, {"x": [1]}, r"label 'column': no column 'y'; the table has \['x'\]"),
        ("column", {"column": "y"}, {"y": [1.0, np.nan, 2.0, np.nan]}, r"column 'y', row 1: the label is missing \(1 such rows before the last label\); leave such rows out"),
        ("column", {"column": "y"}, {"y": np.array(["a", None, "b"], dtype=object)}, "column 'y', row 1: the label is missing"),
        ("column", {"column": "y"}, {"y": [1.0, np.inf]}, "column 'y', row 1: the label is inf; expected a finite number"),
    ],
)  # fmt: skip
def test_tables_that_do_not_do(name, params, columns, text):
    """A table that lacks what a label needs is refused by column and row."""
    with pytest.raises(FeatureError, match=text):
        plugins.label(name, **params).make(table(**columns))


class Broken(Label):
    """A label that keeps the contract, to be broken in one way each."""

    name = "broken"
    horizon = 2
    change = staticmethod(lambda labels, raw: labels)

    def make(self, raw):
        """Return whether the close two rows on is higher, changed."""
        close, rows = raw.columns["close"], np.arange(len(raw))
        end = np.minimum(rows + 2, len(raw) - 1)
        return self.change(Labels((close[end] > close).astype(int), end == rows + 2, end), raw)


def whole_mean(labels, raw):
    """Label by the mean of the whole table: the leak that a label may have."""
    return replace(labels, y=(raw.columns["close"] > raw.columns["close"].mean()).astype(int))


def knows_too_much(labels, raw):
    """Say that the last labels are known."""
    return replace(labels, known=np.ones(len(raw), dtype=bool))


BREACHES = [
    (lambda labels, raw: replace(labels, y=labels.y[1:]), r"y: expected an array of 300 rows, got int64 \(299,\)"),
    (lambda labels, raw: replace(labels, known=labels.known.astype(int)), "known: expected an array"),
    (lambda labels, raw: replace(labels, end=labels.end.astype(np.int32)), "end: expected int64, got int32"),
    (lambda labels, raw: replace(labels, end=labels.end - 3), "end: expected from the row itself to 2 rows .*got -1 in row 0"),
    (lambda labels, raw: replace(labels, end=np.minimum(labels.end + 1, len(raw) - 1)), "got 3 in row 0"),
    (lambda labels, raw: replace(labels, known=labels.known & (np.arange(len(raw)) != 7)), "at the table's ends only, got one in row 7 of 300"),
    (lambda labels, raw: replace(labels, y=np.where(labels.y == 1, 1.0, np.nan)), "expected a value where the label is known"),
    (lambda labels, raw: replace(labels, known=labels.known & False), "got none that is known"),
    (lambda labels, raw: replace(labels, known=np.arange(len(raw)) < len(raw) - 9), "expected .*unknown|is not known of the first"),
    (whole_mean, r"the label of row \d+ changes when rows from \d+ on are there"),
    (knows_too_much, r"the label of row \d+ changes when rows from \d+ on are there"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "text"), BREACHES)
def test_broken_labels_are_found(change, text, candles):
    """Each rule of the contract, when it is broken, is named."""
    check_label(Broken, candles.head(300))
    broken = type("Changed", (Broken,), {"change": staticmethod(change)})
    with pytest.raises(ContractError, match=text):
        check_label(broken, candles.head(300))


def test_what_a_check_needs(candles):
    """A table that is too short, a wrong horizon, task or parameter are said."""
    with pytest.raises(ConfigError, match="check_label: expected a table of at least 52 rows, got 20"):
        check_label(Broken, candles.head(20))
    with pytest.raises(ContractError, match="horizon: expected a number of rows, at least 0, got -1"):
        check_label(type("Negative", (Broken,), {"horizon": -1}), candles)
    with pytest.raises(ContractError, match="task: expected 'classification', 'regression' or None, got 'ranking'"):
        check_label(type("Ranking", (Broken,), {"task": "ranking"}), candles)
    with pytest.raises(ContractError, match="target: expected a column's name or '', got None"):
        check_label(type("Targetless", (Broken,), {"target": None}), candles)
    with pytest.raises(ContractError, match="expected to make one with {'bars': 2}"):
        check_label(Broken, candles, {"bars": 2})
