"""The models and the rows that everything is measured on.

The configuration: the twelve technical features of the shipped candles, the direction of the next
bar, and the default ensemble (LightGBM, XGBoost and a random forest of 200 trees each); its members
alone; deep leaf-wise trees; ten classes.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from benchmarks.models import NATIVE_FILES, weighted_mean
from glulam import EnsembleClassifier
from glulam._rows import families
from glulam_plugins.features.technical import Technical

__all__ = ["SMALL_FILE", "fit", "load_ensemble", "write_model"]

CANDLES = Path(__file__).parents[1] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
SMALL_FILE = "small.onnx"
COLUMNS = ("open", "high", "low", "close", "volume")
CHECKED_ROWS = 2_000


def fit(directory: str, trees: int | None, rows: int) -> dict[str, Any]:
    """Fit all models, store them for the other processes, and return what they are (in a child)."""
    X, y, future = _table(rows)
    small = {"n_estimators": trees, "max_depth": 3, "n_jobs": 1} if trees else {}
    ensemble = _ensemble(small).fit(X, y)
    folder = Path(directory)
    # One tree of depth 2 each: where nothing takes time but Python and onnxruntime's own start.
    least = _ensemble({"n_estimators": 1, "max_depth": 2, "n_jobs": 1}).fit(X[:500], y[:500])
    least.export(folder / SMALL_FILE, proof_rows=1_000)
    made = {"ensemble": write_model(folder / "ensemble", ensemble, X, tuple(ensemble.members_))}
    for kind in ensemble.members_:
        made[kind] = write_model(folder / kind, ensemble, X, (kind,))
    leafwise = _alone("lightgbm", {"num_leaves": 255, "max_depth": -1} | ({"n_estimators": trees} if trees else {}))
    made["leafwise"] = write_model(folder / "leafwise", leafwise.fit(X, y), X, ("lightgbm",))
    # Ten classes: tenths of the next bar's return, by XGBoost's own depth.
    classes = np.digitize(future, np.quantile(future, [i / 10 for i in range(1, 10)]))
    multiclass = _alone("xgboost", {"n_estimators": trees or 200, "max_depth": 6})
    made["multiclass"] = write_model(folder / "multiclass", multiclass.fit(X, classes), X, ("xgboost",))
    return {"rows": len(X), "features": X.shape[1], "models": made}


def write_model(folder: Path, ensemble: Any, X: Any, kinds: Sequence[str]) -> dict[str, Any]:
    """Write some members of a fitted ensemble as `benchmarks.models.Model` reads them; return what it is.

    Hard rows are on thresholds and a float32 step beside them, miss values, or are extreme. Infinite
    ones are left out, as scikit-learn's forests refuse them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    estimators = {kind: ensemble.members_[kind] for kind in kinds}
    program = dict(zip(ensemble.members_, ensemble.program().members, strict=True))
    forests = [program[kind].body for kind in kinds]
    chosen = np.array([ensemble.weights_[list(ensemble.members_).index(kind)] for kind in kinds])
    shares = (chosen / chosen.sum()).tolist()
    answer = weighted_mean([each.predict_proba for each in estimators.values()], tuple(shares))
    made = families(ensemble.schema_, forests, ensemble.proof_rows_, rows=CHECKED_ROWS, seed=0)
    hard = [family.rows for family in made if family.name not in ("training", "infinite")]
    # scikit-learn adds up all values to look for infinities; the extreme ones overflow there.
    with np.errstate(invalid="ignore", over="ignore"):
        for name, rows in (("training", X[:CHECKED_ROWS]), ("hard", np.concatenate(hard))):
            np.save(folder / f"{name}.npy", rows)
            np.save(folder / f"{name}_answers.npy", answer(rows))
    np.save(folder / "rows.npy", X)
    joblib.dump(estimators, folder / "members.joblib")
    if len(kinds) > 1:
        joblib.dump(ensemble, folder / "ensemble.joblib")
    for kind, estimator in estimators.items():
        _write_native(folder / NATIVE_FILES[kind], kind, estimator)
    facts: dict[str, Any] = {
        "name": folder.name, "kinds": list(kinds), "shares": shares, "features": X.shape[1],
        "classes": len(next(iter(estimators.values())).classes_),
        "trees": [len(forest.roots) for forest in forests],
        "nodes": [int(forest.feature.size) + len(forest.leaf_value) for forest in forests],
        "levels": sum(levels(forest, X[:: max(1, len(X) // 500)]) for forest in forests),
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(facts, indent=1) + "\n")
    return facts


def levels(forest: Any, rows: Any) -> float:
    """Return how many splits a row meets in all trees, in the mean: what a walk is paid for."""
    at = np.broadcast_to(forest.roots, (len(rows), len(forest.roots))).copy()
    met = 0
    row = np.arange(len(rows))[:, None]
    while (walking := at >= 0).any():
        met += int(walking.sum())
        node = np.where(walking, at, 0)
        value = rows[row, forest.feature[node]]
        left = np.where(np.isnan(value), forest.nan_left[node], value <= forest.threshold[node])
        at = np.where(walking, np.where(left, forest.left[node], forest.right[node]), at)
    return met / len(rows)


def _write_native(path: Path, kind: str, estimator: Any) -> None:
    if kind == "lightgbm":
        estimator.booster_.save_model(path)
    elif kind == "xgboost":
        estimator.get_booster().save_model(path)
    else:
        joblib.dump(estimator, path)


def _alone(name: str, params: dict[str, Any]) -> Any:
    """Return an unfitted ensemble of one member."""
    return EnsembleClassifier([(name, params)])


def _ensemble(params: dict[str, Any]) -> Any:
    """Return the default ensemble, unfitted, with parameters that all three members have."""
    names = ("lightgbm", "xgboost", "random_forest")
    return EnsembleClassifier([(name, params) for name in names], weights=[0.4, 0.4, 0.2])


def _table(most: int) -> tuple[Any, Any, Any]:
    """Return float32 features [n, 12] of up to ``most`` bars, whether the next bar closed higher, and its return."""
    with gzip.open(CANDLES, "rt", newline="") as lines:
        table = list(csv.DictReader(lines))[:most]
    candles = {name: np.array([float(row[name]) for row in table]) for name in COLUMNS}
    features, bars = Technical().generate(candles)
    close = candles["close"]
    # The last bar has no next one.
    now, following = close[bars[:-1]], close[bars[:-1] + 1]
    return features[:-1].astype(np.float32), (following > now).astype(int), following / now - 1


def load_ensemble(directory: str) -> Any:
    """Return the fitted EnsembleClassifier."""
    return joblib.load(Path(directory) / "ensemble" / "ensemble.joblib")
