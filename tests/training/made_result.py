"""Results of runs as reports get them, made of the real candles with quick models and without the runner."""

from __future__ import annotations

import csv
import gzip
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    mean_squared_error,
    r2_score,
    roc_auc_score,
)

from glulam import EnsembleClassifier, EnsembleRegressor, FeatureSchema, ProductionEnsemble
from glulam.dataset import Dataset, RawTable
from glulam.training.results import (
    Backtest,
    Comparison,
    Evaluation,
    GateResult,
    Interval,
    MetricResult,
    OutOfFold,
    RunResult,
)  # fmt: skip
from glulam.trainspecs import Selection, Suspicion

CANDLES = Path(__file__).parents[2] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
EVIL = "<script>alert(1)</script>"
NAMES = ("return_1", "return_6", "return_42", "range", "volatility_30", "volume_ratio", "distance_to_mean_50", "hour")
MEMBERS = ("lightgbm", "random_forest")
WEIGHTS = np.array([0.6, 0.4])
RESAMPLES = 20

CONFIG = """seed = 42

[data]
path = "candles.csv.gz"
time = "timestamp"

[label]
name = "next_direction"
horizon = 1

[members.lightgbm]
weight = 0.6
params = { n_estimators = 10, num_leaves = 7 }  # "quoted" <and> bracketed

[members.random_forest]
weight = 0.4
"""


@cache
def raw_table() -> RawTable:
    """Return the real candles."""
    with gzip.open(CANDLES, "rt") as lines:
        rows = list(csv.DictReader(lines))
    moments = np.array([row["timestamp"].rstrip("Z").replace(" ", "T")[:19] for row in rows], dtype="datetime64[us]")
    columns = {
        name: np.array([float(row[name]) for row in rows]) for name in ("open", "high", "low", "close", "volume")
    }
    digest = hashlib.sha256(np.column_stack(list(columns.values())).tobytes()).hexdigest()
    findings = ("gap: 8 (2018-02-08T04:00:00Z, ...): 16 bars are missing, counted in steps of 4:00:00",)
    time_ = moments.astype(np.int64)
    return RawTable(columns, time_, np.arange(len(rows)), "candles.csv.gz", digest, findings)


def _features(raw: RawTable) -> np.ndarray:
    """Return features of the past alone; the first 50 rows are nan."""
    closing, volume = raw.columns["close"], raw.columns["volume"]
    log = np.log(closing)

    def back(steps: int) -> np.ndarray:
        return np.concatenate([np.full(steps, np.nan), log[steps:] - log[:-steps]])

    def mean(values: np.ndarray, window: int) -> np.ndarray:
        sums = np.cumsum(np.concatenate([[0.0], np.nan_to_num(values)]))
        return np.concatenate([np.full(window - 1, np.nan), (sums[window:] - sums[:-window]) / window])

    spread = (raw.columns["high"] - raw.columns["low"]) / closing
    hour = raw.time // 3_600_000_000 % 24
    return np.column_stack(
        [
            back(1), back(6), back(42), spread, np.sqrt(mean(back(1) ** 2, 30)), volume / mean(volume, 30),
            closing / mean(closing, 50) - 1, hour,
        ]
    ).astype(np.float32)  # fmt: skip


def dataset(task: str, names: tuple[str, ...] = NAMES, classes: tuple[Any, ...] | None = None) -> Dataset:
    """Return the candles with the next bar's direction, its size in three classes, or its return as label."""
    raw = raw_table()
    following = np.append(np.diff(np.log(raw.columns["close"])), 0.0)
    rows = np.arange(50, len(raw) - 1)
    if task == "binary":
        y, found = (following > 0).astype(np.int64), classes or (0, 1)
    elif task == "multiclass":
        y, found = np.digitize(following, [-0.004, 0.004]), classes or ("down", "flat", "up")
    else:
        y, found = 100 * following, ()
    label = ("next_return", {"unit": "percent"}) if task == "regression" else ("next_direction", {"horizon": 1})
    return Dataset(
        X=_features(raw)[rows], y=y[rows], schema=FeatureSchema.learn({name: np.zeros(1) for name in names}),
        task=task, classes=np.array(found, dtype=object), horizon=1, rows=rows, label_end=rows + 1, raw=raw, label=label,
    )  # fmt: skip


def _estimators(task: str) -> list[Any]:
    boosted, forest = (LGBMRegressor, RandomForestRegressor) if task == "regression" else (
        LGBMClassifier, RandomForestClassifier)  # fmt: skip
    return [
        boosted(n_estimators=12, num_leaves=7, n_jobs=1, verbose=-1, random_state=1),
        forest(10, max_depth=5, n_jobs=1, random_state=1),
    ]


def _votes(model: Any, X: np.ndarray) -> np.ndarray:
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)[:, None]


def out_of_fold(data: Dataset) -> tuple[OutOfFold, list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Return answers of a walk-forward with five expanding folds, the folds, and importances."""
    edges = np.linspace(0, len(data), 7).astype(int)
    folds = [(np.arange(0, edges[k] - 1), np.arange(edges[k], edges[k + 1])) for k in range(1, 6)]
    votes, linear, shares = [], [], []
    for fitted, tested in folds:
        members = [each.fit(data.X[fitted], data.y[fitted]) for each in _estimators(data.task)]
        votes.append(np.stack([_votes(each, data.X[tested]) for each in members], axis=1))
        middle, unit = data.X[fitted].mean(axis=0), data.X[fitted].std(axis=0)
        baseline = Ridge() if data.task == "regression" else LogisticRegression(max_iter=200)
        baseline.fit((data.X[fitted] - middle) / unit, data.y[fitted])
        linear.append(_votes(baseline, (data.X[tested] - middle) / unit))
        found = [each.feature_importances_ / each.feature_importances_.sum() for each in members]
        shares.append(WEIGHTS @ np.array(found))
    rows = np.concatenate([tested for _, tested in folds])
    all_votes, logistic = np.concatenate(votes), np.concatenate(linear)
    scores = np.einsum("nmk,m->nk", all_votes, WEIGHTS)
    if data.task == "regression":
        before = np.full((len(rows), 1), data.y[folds[0][0]].mean())
        baselines = {"constant": before, "ridge": logistic}
    else:
        share = np.bincount(data.y[folds[0][0]], minlength=len(data.classes)) / len(folds[0][0])
        baselines = {"prior": np.tile(share, (len(rows), 1)), "logistic": logistic}
    labels = {name: _labels(each) for name, each in {"": scores, **baselines}.items()}
    fold = np.repeat(np.arange(5), [len(tested) for _, tested in folds])
    chosen = labels.pop("")
    return OutOfFold(rows, fold, all_votes, scores, chosen, baselines, labels), folds, np.array(shares)


def _labels(scores: np.ndarray) -> np.ndarray:
    return scores[:, 0] if scores.shape[1] == 1 else scores.argmax(axis=1)


Score = Callable[[np.ndarray, np.ndarray, np.ndarray], float]
Measure = Callable[[np.ndarray], float]


def _scores(task: str) -> dict[str, tuple[str, bool, Score]]:
    if task == "regression":
        return {
            "rmse": ("RMSE", False, lambda y, s, _: float(np.sqrt(mean_squared_error(y, s[:, 0])))),
            "r2": ("R²", True, lambda y, s, _: r2_score(y, s[:, 0])),
        }
    found: dict[str, tuple[str, bool, Score]] = {
        "log_loss": ("log loss", False, lambda y, s, _: log_loss(y, s, labels=range(s.shape[1]))),
        "accuracy": ("accuracy", True, lambda y, _, chosen: accuracy_score(y, chosen)),
        "f1": ("F1", True, lambda y, s, chosen: f1_score(y, chosen, average="macro" if s.shape[1] > 2 else "binary")),
    }
    if task == "binary":
        auc = ("AUC", True, lambda y, s, _: roc_auc_score(y, s[:, 1]))
        found = {"auc": auc, **found, "brier": ("Brier score", False, lambda y, s, _: brier_score_loss(y, s[:, 1]))}
    return found


def evaluation(data: Dataset) -> tuple[Evaluation, np.ndarray]:
    """Return an evaluation of the walk-forward, and the importances."""
    oof, folds, shares = out_of_fold(data)
    y = data.y[oof.rows]
    rng = np.random.default_rng(7)
    draws = [rng.integers(0, len(y), len(y)) for _ in range(RESAMPLES)]

    def bounded(measure: Callable[[np.ndarray], float]) -> Interval:
        low, high = np.quantile([measure(draw) for draw in draws], [0.025, 0.975])
        return Interval(float(measure(np.arange(len(y)))), float(low), float(high))

    metrics = []
    for name, (title, greater, score) in _scores(data.task).items():

        def at(scores: np.ndarray, labels: np.ndarray, score: Score = score) -> Callable[[np.ndarray], float]:
            return lambda index: score(y[index], scores[index], labels[index])

        ways = {each: at(found, oof.baseline_labels[each]) for each, found in oof.baselines.items()}
        members = {each: at(oof.votes[:, k], _labels(oof.votes[:, k])) for k, each in enumerate(MEMBERS)}
        own = at(oof.scores, oof.labels)
        parts = [np.flatnonzero(oof.fold == k) for k in range(5)]
        metrics.append(
            MetricResult(
                name, title, greater, bounded(own), np.array([own(part) for part in parts]),
                {each: bounded(way) for each, way in ways.items()},
                {each: np.array([way(part) for part in parts]) for each, way in ways.items()},
                {each: bounded(way) for each, way in members.items()},
            )
        )  # fmt: skip
        if len(metrics) == 1:
            best, against = _against_best(own, ways, 1 if greater else -1, metrics[0], bounded)
    what = f"ensemble against {best}"
    return Evaluation(
        splitter="WalkForward(n_splits=5, horizon=1)", ordered=True, folds=tuple(folds),
        out_of_fold=oof, metrics=tuple(metrics), best_baseline=best,
        against_best=Comparison(what, metrics[0].name, against),
        thresholds=_thresholds(y, oof.scores) if data.task == "binary" else {},
        comparisons=(
            Comparison("weights: auto against equal", metrics[0].name, Interval(0.0011, -0.0024, 0.0043)),
            Comparison("calibration: sigmoid against none", metrics[0].name, Interval(0.0105, 0.0021, 0.0188)),
        ),
        backtest=None if data.task == "regression" else backtest(data, oof),
        selection=Selection(tuple(data.schema.names), shares.T, np.linspace(1.0, 0.6, shares.shape[1])),
    ), shares  # fmt: skip


def _against_best(
    own: Measure, ways: Mapping[str, Measure], sign: int, metric: MetricResult, bounded: Callable[[Measure], Interval]
) -> tuple[str, Interval]:
    """Return the best baseline and how much better the ensemble is, positive where it is."""
    best = max(ways, key=lambda name: sign * metric.baselines[name].value)
    return best, bounded(lambda index: sign * (own(index) - ways[best](index)))


def _thresholds(y: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
    at = np.linspace(0.3, 0.7, 81)
    chosen = scores[:, 1] >= at[:, None]
    true, positives = (chosen & (y == 1)).sum(axis=1), chosen.sum(axis=1)
    with np.errstate(invalid="ignore"):
        precision = true / positives  # nan where nothing is chosen, as in real runs
    recall = true / (y == 1).sum()
    f1 = 2 * true / (positives + (y == 1).sum())
    value = (true - 1.0 * (positives - true)) / len(y)
    return {"threshold": at, "precision": precision, "recall": recall, "f1": f1, "expected_value": value}


def backtest(data: Dataset, oof: OutOfFold) -> Backtest:
    """Return a backtest of going long where the highest class was chosen."""
    closing = data.raw.columns["close"]
    rows = data.rows[oof.rows]
    position = (oof.labels == len(data.classes) - 1).astype(float)
    change = closing[rows + 1] / closing[rows] - 1
    costs = 0.0015 * np.abs(np.diff(position, prepend=0.0))
    equity, hold = np.cumprod(1 + position * change - costs), np.cumprod(1 + change)

    def falls(values: np.ndarray) -> np.ndarray:
        return values / np.maximum.accumulate(values) - 1

    def found(values: np.ndarray, returns: np.ndarray, trades: float) -> Mapping[str, Interval]:
        sharpe = float(returns.mean() / returns.std() * np.sqrt(2190))
        return {
            "total_return": Interval(*(float(values[-1]) * factor - 1 for factor in (1.0, 0.6, 1.5))),
            "max_drawdown": Interval(float(falls(values).min())), "sharpe": Interval(sharpe, sharpe - 0.8, sharpe + 0.8),
            "exposure": Interval(float(position.mean()) if trades else 1.0), "trades": Interval(trades),
        }  # fmt: skip

    trades = float((np.diff(position, prepend=0.0) != 0).sum())
    return Backtest(
        time=data.raw.time[rows], equity=equity, drawdown=falls(equity), hold_equity=hold, hold_drawdown=falls(hold),
        position=position, strategy=found(equity, position * change - costs, trades), hold=found(hold, change, 0.0),
        settings={"fee": 0.001, "slippage": 0.0005, "bars_per_year": 2190, "rule": "long on the highest class, else out"},
    )  # fmt: skip


@cache
def made(task: str = "binary") -> RunResult:
    """Return the result of a run as the runner would return it, with the information of a really exported file."""
    started = time.perf_counter()
    data = dataset(task)
    judged, shares = evaluation(data)
    information, latency = _exported(data)
    gates = (
        GateResult("not_worse_than", True, "difference to the champion 0.002 (-0.003 to 0.006); must not be below 0"),
        GateResult("max_size_mb", True, f"{latency['file_bytes'] / 1e6:.2f} MB; at most 5 MB were asked for"),
        GateResult("max_latency_us", True, f"{latency['p50'] * 1e6:.0f} microseconds; at most 10,000 were asked for"),
    )  # fmt: skip
    names = ("future columns", "time shuffled rows", "label overlap", "too good to be true")
    return RunResult(data, judged, (), names, gates, shares, information, latency, _facts(data, started))


def _exported(data: Dataset) -> tuple[dict[str, Any], dict[str, float]]:
    """Export an ensemble of the last rows and return what the file says of itself, and its speed."""
    kind = EnsembleRegressor if data.task == "regression" else EnsembleClassifier
    y = data.y[-1500:] if data.task == "regression" else data.classes[data.y[-1500:]].tolist()
    members = list(zip(MEMBERS, _estimators(data.task), strict=True))
    ensemble = kind(members, weights=WEIGHTS.tolist()).fit(
        dict(zip(data.schema.names, data.X[-1500:].T, strict=True)), y
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ensemble.onnx"
        ensemble.export(path)
        opened = ProductionEnsemble(path)
        rows = np.ascontiguousarray(data.X[:500])
        seconds = []
        for index in range(100):
            start = time.perf_counter()
            opened.predict(rows[index : index + 1])
            seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        opened.predict(rows)
        batch = time.perf_counter() - start
        p50, p99 = np.quantile(seconds, [0.5, 0.99]).tolist()
        latency = {"p50": p50, "p99": p99, "batch": batch, "batch_rows": 500, "memory_bytes": 91_234_304}
        return opened.info(), {**latency, "file_bytes": path.stat().st_size}


def _facts(data: Dataset, started: float) -> dict[str, Any]:
    given = dict(zip(MEMBERS, WEIGHTS.tolist(), strict=True))
    equal, auto = dict.fromkeys(MEMBERS, 0.5), dict(zip(MEMBERS, (0.71, 0.29), strict=True))
    return {
        "config": CONFIG, "config_name": "btcusdt-4h-direction", "started": "2026-03-01T06:00:00+00:00",
        "seconds": time.perf_counter() - started, "seed": 42, "config_sha256": hashlib.sha256(CONFIG.encode()).hexdigest(),
        "versions": {"glulam": "0.2.0", "lightgbm": "4.7.0", "scikit-learn": "1.9.1", "numpy": "2.4.0"},
        "git": {"revision": "3f2c9a7b", "dirty": True},
        "data": {"source": "candles.csv.gz", "rows": len(data.raw), "sha256": data.raw.sha256, "since": "", "until": "",
                 "findings": [*data.raw.findings]},
        "features": data.schema.names, "label": "" if data.task == "regression" else "direction of the next bar",
        "exceptions": ["ensemble.onnx holds the time of its training"], "warnings": [],
        "weights": {"given": given, "equal": equal, "auto": auto, "used": given},
    }  # fmt: skip


def failed(result: RunResult) -> RunResult:
    """Return a result with a gate that did not pass."""
    gate = GateResult("min_auc_low", False, "lower end of the AUC's interval 0.503; 0.550 at least was asked for")
    return replace(result, gates=(gate, *result.gates))


def leaking(result: RunResult) -> RunResult:
    """Return a result with a suspected leak."""
    what = "AUC 0.981 on 10,899 rows is beyond what prices let anybody know"
    evidence = {"auc": 0.981, "expected_at_most": 0.6, "folds": [0.979, 0.984, 0.98]}
    advice = "look at feature 'return_1' first: alone it has AUC 0.97"
    return replace(result, suspicions=(Suspicion("too good to be true", what, advice, evidence, ("return_1",)),))


def bare(result: RunResult) -> RunResult:
    """Return a result of a dry run that knows nothing but what it must."""
    plain = replace(
        result.evaluation, thresholds={}, comparisons=(), backtest=None, selection=None,
        against_best=Comparison("ensemble against nothing", "auc", Interval(float("nan"))),
    )  # fmt: skip
    return replace(
        result,
        evaluation=plain,
        checked_for=(),
        gates=(),
        importance=np.empty((0, 0)),
        ensemble={},
        latency={},
        facts={},
    )


def hostile(result: RunResult) -> RunResult:
    """Return a result in which every name and text that a user can choose is markup."""
    names = [f"{EVIL}{index}" for index in range(len(NAMES))]
    data = replace(
        result.data, schema=FeatureSchema.learn({name: np.zeros(1) for name in names}),
        classes=np.array([f'"><img src=x onerror={EVIL}>{name}' for name in result.data.classes], dtype=object),
        label=(EVIL, {"x": EVIL}), raw=replace(result.data.raw, source=EVIL, findings=(EVIL,)),
    )  # fmt: skip
    metrics = [
        replace(
            each, title=f"{each.title}{EVIL}",
            baselines={f"{name}{EVIL}": value for name, value in each.baselines.items()},
            baselines_by_fold={f"{name}{EVIL}": value for name, value in each.baselines_by_fold.items()},
            members={f"{name}{EVIL}": value for name, value in each.members.items()},
        )
        for each in result.evaluation.metrics
    ]  # fmt: skip
    oof = result.evaluation.out_of_fold
    oof = replace(oof, baselines={f"{name}{EVIL}": each for name, each in oof.baselines.items()})
    judged = replace(
        result.evaluation, metrics=tuple(metrics), out_of_fold=oof, splitter=EVIL,
        best_baseline=f"{result.evaluation.best_baseline}{EVIL}",
        comparisons=(Comparison(EVIL, EVIL, Interval(0.1, 0.0, 0.2)),),
        selection=Selection(tuple(names), np.ones((8, 5)), np.ones(8)),
    )  # fmt: skip
    facts = {
        **result.facts, "config": f"# </code></pre>{EVIL}", "config_name": EVIL, "label": EVIL, "features": names,
        "versions": {EVIL: EVIL, "glulam": EVIL}, "exceptions": [EVIL], "warnings": [EVIL], "config_sha256": EVIL,
        "git": {"revision": EVIL, "dirty": False}, "started": EVIL,
        "data": {"source": EVIL, "rows": 1, "sha256": EVIL, "since": EVIL, "until": EVIL, "findings": [EVIL]},
        "weights": {EVIL: {EVIL: 1.0, f"{EVIL}2": 2.0}},
    }  # fmt: skip
    suspicion = Suspicion(EVIL, EVIL, EVIL, {EVIL: EVIL}, (EVIL,))
    gates = (GateResult(EVIL, False, EVIL),)
    ensemble = {**result.ensemble, "members": [{**each, "name": f"{EVIL}{k}", "versions": {EVIL: EVIL}}
                                               for k, each in enumerate(result.ensemble["members"])]}  # fmt: skip
    return replace(
        result, data=data, evaluation=judged, suspicions=(suspicion,), checked_for=(EVIL,), gates=gates, facts=facts,
        ensemble=ensemble,
    )  # fmt: skip
