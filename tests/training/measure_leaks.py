"""Error rates of the leak checks over many sets with and without leaks: the figures of docs/leaks.md.

Run it as ``python tests/training/measure_leaks.py clean 10`` or ``planted 5``: how many of each kind,
and from which seed on.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import leaky
import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine, make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

from glulam import plugins
from glulam.training.leaks import find_leaks, look_for_leaks
from glulam.trainspecs import LeakCase

Random = np.random.Generator


# -- clean sets ------------------------------------------------------------------------------


def _candles(random: Random, *, recomputed: bool, splitter: str = "walk_forward") -> LeakCase:
    """Return candles: any stretch, horizon, threshold and choice of features."""
    n_bars, horizon = int(random.integers(1_500, 4_500)), int(random.choice([1, 1, 2, 3, 6, 12, 24]))
    bars = leaky.candles(int(random.integers(0, 13_100 - n_bars)), n_bars)
    X, rows = leaky.technical(bars)
    kept = np.sort(random.permutation(12)[: random.integers(2, 13)])
    y = leaky.direction(bars, horizon, float(random.choice([0.0, 0.0, 0.002, 0.01])))
    names = tuple(np.array(leaky.TECHNICAL.columns)[kept])
    folds = list(plugins.splitter(splitter, n_splits=5, horizon=horizon).split(X[:-horizon]))

    def generate(table: Any) -> Any:
        made, at = leaky.technical(table)
        return made[:, kept], at

    case = leaky.case_of(
        bars, X[:, kept], rows, names, y, horizon, folds=folds, generate=generate if recomputed else None
    )
    return leaky._scored(case)


def candles_generated(random: Random) -> LeakCase:
    """Return candles walk-forward, with features that can be recomputed."""
    return _candles(random, recomputed=True)


def candles_as_columns(random: Random) -> LeakCase:
    """Return candles walk-forward, with features that are columns."""
    return _candles(random, recomputed=False)


def candles_purged_k_fold(random: Random) -> LeakCase:
    """Return candles in purged k-fold, where later rows are fitted on too."""
    return _candles(random, recomputed=False, splitter="purged_k_fold")


def candles_lagged_columns(random: Random) -> dict[str, Any]:
    """Return a file of closes with their lags and a mean of the last ten."""
    close = leaky.candles(int(random.integers(0, 9_000)), 3_000).columns["close"]
    rows = np.arange(30, len(close) - 1)
    X = {f"close_{lag}": close[rows - lag] for lag in range(int(random.integers(2, 6)))}
    X["mean"] = np.lib.stride_tricks.sliding_window_view(close, 10).mean(axis=1)[rows - 9]
    return {"X": X, "y": (close[rows + 1] > close[rows]).astype(int), "time": rows, "horizon": 1}


def candles_as_values(random: Random) -> dict[str, Any]:
    """Return candles with the next return itself as value."""
    bars = leaky.candles(int(random.integers(0, 9_000)), 3_000)
    X, rows = leaky.technical(bars)
    close = bars.columns["close"]
    return {"X": X[:-1], "y": close[rows[1:]] / close[rows[:-1]] - 1, "time": rows[:-1], "horizon": 1}


def autoregression(random: Random) -> LeakCase:
    """Return a strong honest signal, in the last value and its lags."""
    return leaky.autoregression(
        float(random.uniform(0.3, 0.98)), seed=int(random.integers(1e6)), lags=int(random.integers(2, 8))
    )


def autoregression_and_noise(random: Random) -> LeakCase:
    """Return a strong honest signal in one feature, with another that knows nothing."""
    case = leaky.autoregression(float(random.uniform(0.3, 0.98)), seed=int(random.integers(1e6)), lags=2)
    X = case.data.X.copy()
    X[:, 1] = random.normal(size=len(X))
    return replace(case, data=replace(case.data, X=X), generate=None)


def seasonal(random: Random) -> dict[str, Any]:
    """Return hourly temperatures with the hour, whether the next hour is warmer."""
    hours = np.arange(4_000)
    noise = np.zeros(len(hours))
    for hour in range(1, len(hours)):
        noise[hour] = 0.9 * noise[hour - 1] + random.normal() * random.choice([0.3, 1.0])
    degrees = 10 + 8 * np.sin(2 * np.pi * hours / 24) + noise
    X = {
        "degrees": degrees[:-1],
        "hour": (hours % 24)[:-1],
        "day": (hours // 24)[:-1],
        "before": np.append(10, degrees[:-2]),
    }
    return {"X": X, "y": (degrees[1:] > degrees[:-1]).astype(int), "time": hours[:-1], "horizon": 1}


def independent_with_time(random: Random) -> dict[str, Any]:
    """Return rows that have a time and do not depend on it, in shuffled folds."""
    X, y = make_classification(3_000, 10, n_informative=4, flip_y=0.1, random_state=int(random.integers(1e6)))
    return {"X": X, "y": y, "time": np.arange(3_000), "splitter": StratifiedKFold(5, shuffle=True, random_state=0)}


def made_up(random: Random) -> LeakCase:
    """Return scikit-learn's made-up classes, of any difficulty."""
    n_informative = int(random.integers(2, 7))
    X, y = make_classification(
        int(random.integers(300, 3_000)), n_informative + int(random.integers(0, 8)), n_informative=n_informative,
        n_redundant=0, class_sep=float(random.uniform(0.3, 3)), flip_y=float(random.choice([0, 0.01, 0.1])),
        n_clusters_per_class=int(random.integers(1, 3)), random_state=int(random.integers(1e6)),
    )  # fmt: skip
    return leaky.unordered(X, y, seed=int(random.integers(1e6)))


def thresholded(random: Random) -> LeakCase:
    """Return independent features, the label a noisy threshold on a weighted sum of them, some with one weight far ahead."""
    n_rows, n_features = int(random.integers(300, 3_000)), int(random.integers(2, 10))
    X = random.normal(size=(n_rows, n_features))
    weights = random.exponential(size=n_features) ** float(random.choice([0.5, 1, 3]))
    sums = X @ weights + float(random.uniform(0.1, 1)) * weights.max() * random.normal(size=n_rows)
    return leaky.unordered(X, (sums > np.quantile(sums, random.uniform(0.3, 0.7))).astype(int))


def one_strong_gaussian(random: Random) -> LeakCase:
    """Return two normal classes that one independent feature parts well: what the label with noise looks like."""
    y = random.integers(0, 2, 1_500)
    X = random.normal(size=(1_500, 6)) + y[:, None] * np.array([2.0, 0.5, 0.3, 0.2, 0, 0])
    return leaky.unordered(X, y)


def discrete(random: Random) -> LeakCase:
    """Return rows of few possible values, so that rows repeat honestly."""
    n_features, values = int(random.integers(3, 9)), int(random.integers(2, 5))
    hidden = random.normal(size=(2_000, 1))
    X = np.clip(np.round((hidden + random.normal(size=(2_000, n_features))) * values / 4 + values / 2), 0, values)
    y = (hidden[:, 0] + random.normal(size=2_000) > 0).astype(int)
    return leaky.unordered(X, y, seed=int(random.integers(1e6)))


def part_of_a_known_set(random: Random) -> LeakCase:
    """Return any of scikit-learn's sets, some rows and some features of it, sometimes standardised."""
    load = (load_breast_cancer, load_iris, load_wine, load_diabetes, load_digits)[int(random.integers(5))]
    X, y = load(return_X_y=True)
    rows = np.sort(random.permutation(len(X))[: int(len(X) * random.uniform(0.6, 1))])
    kept = np.sort(random.permutation(X.shape[1])[: int(random.integers(2, X.shape[1] + 1))])
    X, y = X[rows][:, kept], y[rows]
    if random.random() < 0.3:
        X = StandardScaler().fit_transform(X)
    if load is not load_diabetes and random.random() < 0.3:  # one class against the others
        y = (y == y[0]).astype(int)
    return leaky.unordered(X, y, seed=int(random.integers(1e6)))


def higgs_with_strong_scores(random: Random) -> LeakCase:
    """Return LightGBM's example with honest scores of a forest, out of fold."""
    case = leaky.higgs(int(random.integers(1_500, 5_000)), int(random.integers(1e6)))
    model = RandomForestClassifier(60, random_state=0, n_jobs=1)
    return replace(
        case, scores=cross_val_predict(model, case.data.X, case.data.y, cv=case.folds, method="predict_proba")
    )


def encoded_in_folds(random: Random) -> dict[str, Any]:
    """Return target encoding that reads earlier rows only."""
    key = random.integers(0, 30, 3_000)
    y = (random.random(3_000) < random.uniform(0.1, 0.9, 30)[key]).astype(int)
    before = np.array(
        [y[:row][key[:row] == key[row]].mean() if (key[:row] == key[row]).any() else 0.5 for row in range(3_000)]
    )
    return {"X": {"code": before, "noise": random.normal(size=3_000)}, "y": y, "time": np.arange(3_000)}


CLEAN: tuple[Callable[[Random], Any], ...] = (
    candles_generated, candles_as_columns, candles_purged_k_fold, candles_lagged_columns, candles_as_values,
    autoregression, autoregression_and_noise, seasonal, independent_with_time, made_up, thresholded,
    one_strong_gaussian, discrete, part_of_a_known_set, higgs_with_strong_scores, encoded_in_folds,
)  # fmt: skip


# -- leaks of any strength -------------------------------------------------------------------


def _columns(case: LeakCase) -> LeakCase:
    """Return the case as if its features were columns of a file."""
    return replace(case, generate=None)


def leaks(random: Random) -> Iterator[tuple[str, LeakCase]]:
    """Yield leaks with how strong each is, on any stretch of the candles."""
    start = {"start": int(random.integers(0, 9_000))}
    seed = int(random.integers(1e6))
    for half in (1, 2, 10, 50):
        case = leaky.centred_rolling_mean(half, **start)
        yield f"centred rolling mean of {2 * half + 1} bars, generated", case
        yield f"centred rolling mean of {2 * half + 1} bars, column", _columns(case)
    yield "label off by one, column", _columns(leaky.label_off_by_one(**start))
    yield "scaled on all, generated", leaky.scaled_on_all(**start)
    yield "scaled on all, column", leaky.scaled_on_all(recomputed=False, **start)
    for smoothing in (0.0, 20.0):
        yield f"target encoded, smoothing {smoothing:.0f}, column", leaky.target_encoded_on_all(42, smoothing, **start)
    for ahead in (1, 3):
        case = leaky.future_close(ahead, **start)
        yield f"close {ahead} bars ahead, generated", case
        yield f"close {ahead} bars ahead, column", _columns(case)
    for share in (0.02, 0.1, 0.5):
        yield f"{share:.0%} of rows repeated, walk-forward", leaky.duplicated_rows(share, seed, **start)
        yield f"{share:.0%} of rows repeated, shuffled", leaky.duplicated_rows(share, seed, shuffled=True, **start)
    for horizon in (2, 6, 24):
        yield f"horizon {horizon}, shuffled", leaky.overlapping_horizons(horizon, seed, **start)
        yield f"horizon {horizon}, walk-forward without gap", leaky.unpurged_horizons(horizon, **start)
    for leaves in (8, 31, 128):
        model = HistGradientBoostingClassifier(max_leaf_nodes=leaves, max_iter=50, early_stopping=False, random_state=0)
        yield f"in-sample scores, boosting of 50 trees with {leaves} leaves", leaky.in_sample_scoring(model, **start)
    for days in (1, 7):
        case = leaky.resampled_bars(6 * days, **start)
        yield f"close of {days} days joined to each bar, generated", case
        yield f"close of {days} days joined to each bar, column", _columns(case)
    for noise in (0.05, 0.5, 1.0, 1.5, 2.0):
        yield f"label with noise {noise}, column", leaky.label_with_noise(noise, seed, **start)
    X, y = load_breast_cancer(return_X_y=True)
    for noise in (0.1, 0.5):
        noisy = y + noise * random.normal(size=len(y))
        yield f"breast cancer, label with noise {noise}", leaky.unordered(np.column_stack([X, noisy]), y)
    case = leaky.higgs(3_000, seed)
    for noise in (0.1, 0.5, 1.0):
        noisy = case.data.y + noise * random.normal(size=3_000)
        yield f"higgs, label with noise {noise}", leaky.unordered(np.column_stack([case.data.X, noisy]), case.data.y)
    yield "higgs, 20% of rows repeated, stratified", _repeated(case, random)


def _repeated(case: LeakCase, random: Random) -> LeakCase:
    again = np.concatenate([np.arange(len(case.data)), random.permutation(len(case.data))[: len(case.data) // 5]])
    return leaky.unordered(case.data.X[again], case.data.y[again])


def _found(made: Any, *skip: str) -> tuple[str, ...]:
    found = find_leaks(**made, skip=skip) if isinstance(made, dict) else look_for_leaks(made, skip=skip)[0]
    return tuple(sorted({suspicion.check for suspicion in found}))


def clean(variants: int, first: int) -> None:
    """Print how often what is reported on sets without a leak, for each kind of them."""
    alarms = tried = 0
    for make in CLEAN:
        found = [_found(make(np.random.default_rng(seed))) for seed in range(first, first + variants)]
        by = Counter(check for checks in found for check in checks)
        print(f"{make.__name__}: {sum(map(bool, found))} of {variants} {dict(by) or ''}", flush=True)
        if make is not one_strong_gaussian:
            alarms, tried = alarms + sum(map(bool, found)), tried + variants
    print(f"false alarms: {alarms} of {tried} (one_strong_gaussian aside)")


def planted(variants: int, first: int) -> None:
    """Print how often leaks of any strength are found, and by what."""
    hits: dict[str, list[tuple[str, ...]]] = {}
    for seed in range(first, first + variants):
        for name, case in leaks(np.random.default_rng(seed)):
            hits.setdefault(name, []).append(_found(case, "permuted_labels"))
            by = Counter(check for checks in hits[name] for check in checks)
            print(f"{name}: {sum(map(bool, hits[name]))} of {len(hits[name])} {dict(by)}", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("error")
    {"clean": clean, "planted": planted}[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
