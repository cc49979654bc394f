"""Sets with a leak planted in them, and sets without one, as cases for the leak checks.

Those of candles are 4,000 real bars with the features of the `technical` generator; the leak is added to them. Sizes,
strengths and seeds are arguments, so that error rates can be measured over many of each.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold, TimeSeriesSplit

from glulam import plugins
from glulam.dataset import Dataset, RawTable
from glulam.schema import FeatureSchema
from glulam.trainspecs import LeakCase

DATA = Path(__file__).parents[2] / "examples" / "data"
TECHNICAL = plugins.features("technical")
N_BARS = 4_000
Make = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


# -- candles ---------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def all_candles() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the columns of all candles, and their times in microseconds since 1970."""
    with gzip.open(DATA / "btcusdt_4h_2018_2023.csv.gz", "rt") as lines:
        rows = [line.rstrip().split(",") for line in lines][1:]
    time = np.array([row[0].rstrip("Z") for row in rows], dtype="datetime64[us]").astype(np.int64)
    values = np.array([row[1:] for row in rows], dtype=np.float64)
    return dict(zip(("open", "high", "low", "close", "volume"), values.T, strict=True)), time


def candles(start: int = 5_000, n_bars: int = N_BARS) -> RawTable:
    """Return a stretch of the candles."""
    columns, time = all_candles()
    part = slice(start, start + n_bars)
    return RawTable(
        {name: values[part] for name, values in columns.items()}, time[part],
        np.arange(len(time[part])), "candles", "",
    )  # fmt: skip


def technical(bars: RawTable) -> tuple[np.ndarray, np.ndarray]:
    """Return the twelve honest features, and the row of each."""
    return TECHNICAL.generate(bars.columns)


def direction(bars: RawTable, horizon: int = 1, above: float = 0.0) -> np.ndarray:
    """Return whether the close ``horizon`` bars later is above this one by a share; -1 where it is not known yet."""
    close = bars.columns["close"]
    y = np.full(len(close), -1)
    y[: len(close) - horizon] = close[horizon:] / close[:-horizon] - 1 > above
    return y


def case_of(
    bars: RawTable, X: np.ndarray, rows: np.ndarray, names: tuple[str, ...], y: np.ndarray, horizon: int, **other: Any
) -> LeakCase:
    """Return features and labels of candles as a case; by default with walk-forward folds and a gap of the horizon."""
    known = y[rows] >= 0
    X, rows = X[known], rows[known]
    data = Dataset(
        X=X.astype(np.float32), y=y[rows].astype(np.int64),
        schema=FeatureSchema.learn({name: column.astype(np.float32) for name, column in zip(names, X.T, strict=True)}),
        task="binary", classes=np.array([0, 1]), horizon=horizon, rows=rows,
        label_end=np.minimum(rows + horizon, len(bars) - 1), raw=bars,
    )  # fmt: skip
    folds = other.pop("folds", None) or list(TimeSeriesSplit(5, gap=horizon).split(X))
    return LeakCase(data, folds, **other)


def with_feature(
    name: str, extra: Callable[[RawTable], np.ndarray], *, recomputed: bool = True, **other: Any
) -> LeakCase:
    """Return candles with the technical features and one more, made of the whole table."""
    bars = candles(other.pop("start", 5_000), other.pop("n_bars", N_BARS))

    def generate(table: RawTable) -> tuple[np.ndarray, np.ndarray]:
        X, rows = technical(table)
        return np.column_stack([X, extra(table)[rows]]), rows

    X, rows = generate(bars)
    usable = np.isfinite(X).all(axis=1)
    return case_of(
        bars, X[usable], rows[usable], (*TECHNICAL.columns, name), direction(bars), 1,
        generate=generate if recomputed else None, **other,
    )  # fmt: skip


# -- ten planted leaks -----------------------------------------------------------------------


def centred_rolling_mean(half: int = 2, **other: Any) -> LeakCase:
    """Plant the mean of the closes around each bar, over its close."""

    def extra(table: RawTable) -> np.ndarray:
        close = table.columns["close"]
        mean = np.full(len(close), np.nan)
        mean[half:-half] = np.lib.stride_tricks.sliding_window_view(close, 2 * half + 1).mean(axis=1)
        return mean / close - 1

    return with_feature("smooth", extra, **other)


def label_off_by_one(**other: Any) -> LeakCase:
    """Take the current bar's own direction as label: whether it closed above the bar before."""
    bars = candles(**other)
    X, rows = technical(bars)
    close = bars.columns["close"]
    y = np.append(0, close[1:] > close[:-1]).astype(int)
    return case_of(bars, X, rows, TECHNICAL.columns, y, 1, generate=technical)


def scaled_on_all(*, recomputed: bool = True, **other: Any) -> LeakCase:
    """Scale every feature by the mean and standard deviation of all rows."""
    bars = candles(**other)

    def generate(table: RawTable) -> tuple[np.ndarray, np.ndarray]:
        X, rows = technical(table)
        X, rows = X[:-1], rows[:-1]  # the last bar's label is not known yet
        return (X - X.mean(axis=0)) / X.std(axis=0), rows

    X, rows = generate(bars)
    return case_of(bars, X, rows, TECHNICAL.columns, direction(bars), 1, generate=generate if recomputed else None)


def target_encoded_on_all(parts: int = 42, smoothing: float = 0.0, **other: Any) -> LeakCase:
    """Plant the mean label of the bars of the same hour and weekday, over the whole table, as a column."""

    def extra(table: RawTable) -> np.ndarray:
        moment = table.time // (4 * 3_600 * 1_000_000) % parts
        y = direction(table)
        known = (y >= 0) & (np.arange(len(y)) >= TECHNICAL.warm_up)
        count = np.bincount(moment[known], minlength=parts)
        total = np.bincount(moment[known], y[known], minlength=parts)
        return ((total + smoothing * y[known].mean()) / (count + smoothing))[moment]

    return with_feature("time_code", extra, recomputed=False, **other)


def future_close(ahead: int = 1, **other: Any) -> LeakCase:
    """Plant the close of a later bar."""
    return with_feature(
        "close_lagged", lambda table: np.append(table.columns["close"][ahead:], [np.nan] * ahead), **other
    )


def duplicated_rows(share: float = 0.3, seed: int = 0, *, shuffled: bool = False, **other: Any) -> LeakCase:
    """Repeat some rows at the end of the table, as a table stitched together from two exports would."""
    bars = candles(**other)
    X, rows = technical(bars)
    X, rows = X[:-1], rows[:-1]  # the last bar's label is not known yet
    again = np.sort(np.random.default_rng(seed).choice(len(X), int(share * len(X)), replace=False))
    order = np.concatenate([np.arange(len(bars)), rows[again]])
    stitched = RawTable(
        {name: values[order] for name, values in bars.columns.items()},
        np.arange(len(order)), np.arange(len(order)), "stitched", "",
    )  # fmt: skip
    X = np.vstack([X, X[again]])
    rows = np.concatenate([rows, np.arange(len(bars), len(order))])
    folds = list(KFold(5, shuffle=True, random_state=seed).split(X)) if shuffled else None
    return case_of(stitched, X, rows, TECHNICAL.columns, direction(bars)[order], 0, folds=folds)


def overlapping_horizons(horizon: int = 24, seed: int = 0, **other: Any) -> LeakCase:
    """Split labels that reach 24 bars ahead by shuffled folds, without a gap."""
    bars = candles(**other)
    X, rows = technical(bars)
    folds = list(KFold(5, shuffle=True, random_state=seed).split(X[:-horizon]))
    return case_of(bars, X, rows, TECHNICAL.columns, direction(bars, horizon), horizon, folds=folds, generate=technical)


def unpurged_horizons(horizon: int = 6, **other: Any) -> LeakCase:
    """Split labels that reach 6 bars ahead by a walk-forward without a gap."""
    bars = candles(**other)
    X, rows = technical(bars)
    folds = list(TimeSeriesSplit(5).split(X[:-horizon]))
    return case_of(bars, X, rows, TECHNICAL.columns, direction(bars, horizon), horizon, folds=folds, generate=technical)


def in_sample_scoring(model: Any = None, **other: Any) -> LeakCase:
    """Report the scores of a model that was fitted on all rows, those to test on among them."""
    honest = candles_next_direction(**other)
    X, y = honest.data.X, honest.data.y
    model = model or ExtraTreesClassifier(10, min_samples_leaf=3, random_state=0, n_jobs=1)
    scores = np.full((len(X), 2), np.nan)
    tested = np.concatenate([test for _, test in honest.folds])
    scores[tested] = model.fit(X, y).predict_proba(X[tested])
    return LeakCase(honest.data, honest.folds, scores=scores, generate=technical)


def resampled_bars(bars_a_day: int = 6, **other: Any) -> LeakCase:
    """Join the close of the whole day to each of its bars."""

    def extra(table: RawTable) -> np.ndarray:
        _, first, day = np.unique(
            table.time // (bars_a_day * 4 * 3_600 * 1_000_000), return_index=True, return_inverse=True
        )
        last = np.append(first[1:], len(table)) - 1
        return table.columns["close"][last][day]

    return with_feature("daily_close", extra, **other)


def label_with_noise(noise: float = 0.5, seed: int = 0, **other: Any) -> LeakCase:
    """Plant the label with normal noise on it."""

    def extra(table: RawTable) -> np.ndarray:
        return direction(table) + noise * np.random.default_rng(seed).normal(size=len(table))

    return with_feature("sentiment", extra, recomputed=False, **other)


# -- sets without a leak ---------------------------------------------------------------------


def candles_next_direction(start: int = 5_000, n_bars: int = N_BARS) -> LeakCase:
    """Return the direction of the next bar, walk-forward, with honest scores of a quick model."""
    bars = candles(start, n_bars)
    X, rows = technical(bars)
    case = case_of(bars, X, rows, TECHNICAL.columns, direction(bars), 1, generate=technical)
    return _scored(case)


def candles_return_above(start: int = 5_000, n_bars: int = N_BARS, horizon: int = 6) -> LeakCase:
    """Return whether the close six bars later is more than 1 % higher, walk-forward with a gap of six bars."""
    bars = candles(start, n_bars)
    X, rows = technical(bars)
    return _scored(
        case_of(bars, X, rows, TECHNICAL.columns, direction(bars, horizon, 0.01), horizon, generate=technical)
    )


def unordered(X: Any, y: Any, names: list[str] | None = None, seed: int = 0, *, scored: bool = True) -> LeakCase:
    """Return rows without an order as a case, with stratified folds (shuffled ones for values)."""
    X = np.asarray(X, dtype=np.float32)
    schema = FeatureSchema.learn(X if names is None else dict(zip(names, X.T, strict=True)))
    values = np.asarray(y).dtype.kind == "f"
    classes = np.empty(0) if values else np.unique(y)
    task: Any = "regression" if values else "binary" if len(classes) == 2 else "multiclass"
    at = np.arange(len(X))
    raw = RawTable(dict(zip(schema.names, X.T, strict=True)), None, at, "table", "")
    data = Dataset(
        X=X, y=np.asarray(y), schema=schema, task=task, classes=classes, horizon=0, rows=at, label_end=at, raw=raw
    )
    splitter = (KFold if values else StratifiedKFold)(5, shuffle=True, random_state=seed)
    case = LeakCase(data, list(splitter.split(X, y)), seed=seed)
    return case if values or not scored else _scored(case)


def breast_cancer(seed: int = 0) -> LeakCase:
    """Return scikit-learn's breast cancer set, where single features have an AUC of 0.97."""
    return unordered(*load_breast_cancer(return_X_y=True), seed=seed)


def iris(seed: int = 0) -> LeakCase:
    """Return iris: sorted by class, with a repeated row."""
    return unordered(*load_iris(return_X_y=True), seed=seed)


def wine(seed: int = 0) -> LeakCase:
    """Return scikit-learn's wine set, sorted by class."""
    return unordered(*load_wine(return_X_y=True), seed=seed)


def diabetes(seed: int = 0) -> LeakCase:
    """Return scikit-learn's diabetes set: values, and columns that were scaled over all rows."""
    return unordered(*load_diabetes(return_X_y=True), seed=seed)


@lru_cache(maxsize=1)
def _higgs() -> np.ndarray:
    with gzip.open(DATA / "lightgbm_binary.train.gz", "rt") as lines:
        return np.loadtxt(lines)


def higgs(n_rows: int = 3_000, seed: int = 0) -> LeakCase:
    """Return LightGBM's binary example."""
    table = _higgs()
    part = np.sort(np.random.default_rng(seed).permutation(len(table))[:n_rows])
    return unordered(table[part, 1:], table[part, 0].astype(int), seed=seed)


def autoregression(phi: float = 0.75, n_rows: int = 3_000, lags: int = 4, seed: int = 0) -> LeakCase:
    """Return the sign of the next value of an autoregression: an honest AUC of 0.8 and more, by the last value alone."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=n_rows)
    x = np.zeros(n_rows)
    for row in range(1, n_rows):
        x[row] = phi * x[row - 1] + noise[row]
    price = 100 * np.exp(np.cumsum(0.01 * x))
    bars = RawTable({"close": price}, np.arange(n_rows) * 60_000_000, np.arange(n_rows), "autoregression", "")

    def generate(table: RawTable) -> tuple[np.ndarray, np.ndarray]:
        change = np.append(0.0, np.diff(np.log(table.columns["close"])))
        rows = np.arange(lags, len(change))
        return np.column_stack([change[rows - lag] for lag in range(lags)]), rows

    X, rows = generate(bars)
    names = tuple(f"change_{lag}" for lag in range(lags))
    return _scored(case_of(bars, X, rows, names, direction(bars), 1, generate=generate))


def _scored(case: LeakCase) -> LeakCase:
    """Return the case with honest scores: each fold's, by a model fitted on its rows to fit on."""
    scores = np.full((len(case.data), case.data.n_outputs), np.nan)
    for train, test in case.folds:
        mean, size = case.data.X[train].mean(axis=0), case.data.X[train].std(axis=0) + 1e-9
        scaled = (case.data.X - mean) / size
        scores[test] = (
            LogisticRegression(max_iter=1_000).fit(scaled[train], case.data.y[train]).predict_proba(scaled[test])
        )
    return LeakCase(case.data, case.folds, scores=scores, generate=case.generate, seed=case.seed)
