"""The ensemble and the rows that everything is measured on.

The configuration: the twelve technical features of the shipped candles, the direction of the
next bar, and the default ensemble (LightGBM, XGBoost and a random forest of 200 trees each).
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["FULL", "QUICK", "SMALL_FILE", "Scale", "fit", "load_ensemble", "load_members", "load_rows"]

CANDLES = Path(__file__).parents[1] / "examples" / "data" / "btcusdt_4h_2018_2023.csv.gz"
SMALL_FILE = "small.onnx"
COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is fitted and how often it is measured.

    trees
        of each member; None for the plugins' defaults
    blocks, calls, slow_calls
        one row: blocks of each contestant, calls in one, and in one of the native libraries
    batch, batch_rounds
        rows of a batch, and how often each contestant answers one
    cold_calls, overhead_calls
        calls with evicted caches, and calls of the overhead's two sides
    exports, starts
        fresh processes that export, and that start to serve
    proof_rows
        about how many rows the proof tries, and how many look for differences
    """

    trees: int | None
    rows: int
    blocks: int
    calls: int
    slow_calls: int
    batch: int
    batch_rounds: int
    cold_calls: int
    overhead_calls: int
    exports: int
    starts: int
    proof_rows: int


FULL = Scale(
    trees=None, rows=20_000, blocks=40, calls=400, slow_calls=10, batch=5_000, batch_rounds=21,
    cold_calls=400, overhead_calls=40_000, exports=3, starts=5, proof_rows=20_000,
)  # fmt: skip
QUICK = Scale(
    trees=3, rows=600, blocks=2, calls=10, slow_calls=2, batch=50, batch_rounds=2,
    cold_calls=3, overhead_calls=50, exports=1, starts=1, proof_rows=1_000,
)  # fmt: skip


def fit(directory: str, trees: int | None, rows: int) -> dict[str, Any]:
    """Fit the ensemble, store it for the other processes, and return what it is (in a child)."""
    import joblib
    import numpy as np

    X, y = _table(rows)
    ensemble = _ensemble({"n_estimators": trees, "max_depth": 3, "n_jobs": 1} if trees else {}).fit(X, y)
    folder = Path(directory)
    np.save(folder / "rows.npy", X)
    joblib.dump(ensemble, folder / "ensemble.joblib")
    # Apart, so that a process that serves them natively needs no glulam.
    joblib.dump((dict(ensemble.members_), ensemble.weights_), folder / "members.joblib")
    # One tree of depth 2 each: where nothing takes time but Python and onnxruntime's own start.
    small = _ensemble({"n_estimators": 1, "max_depth": 2, "n_jobs": 1}).fit(X[:500], y[:500])
    small.export(folder / SMALL_FILE, proof_rows=1_000)
    members = {}
    for name, member in zip(ensemble.members_, ensemble.program().members, strict=True):
        splits, leaves = int(member.body.feature.size), len(member.body.leaf_value)
        members[name] = {"trees": len(member.body.roots), "splits": splits, "leaves": leaves}
    return {
        "rows": len(X),
        "features": X.shape[1],
        "members": members,
        "nodes": sum(each["splits"] + each["leaves"] for each in members.values()),
    }


def _ensemble(params: dict[str, Any]) -> Any:
    """Return the default ensemble, unfitted, with parameters that all three members have."""
    from glulam import EnsembleClassifier

    names = ("lightgbm", "xgboost", "random_forest")
    return EnsembleClassifier([(name, params) for name in names], weights=[0.4, 0.4, 0.2])


def _table(most: int) -> tuple[Any, Any]:
    """Return float32 features [n, 12] of up to ``most`` bars, and whether the next bar closed higher."""
    import numpy as np

    from glulam_plugins.features.technical import Technical

    with gzip.open(CANDLES, "rt", newline="") as lines:
        table = list(csv.DictReader(lines))[:most]
    candles = {name: np.array([float(row[name]) for row in table]) for name in COLUMNS}
    features, bars = Technical().generate(candles)
    close = candles["close"]
    # The last bar has no next one.
    return features[:-1].astype(np.float32), (close[bars[:-1] + 1] > close[bars[:-1]]).astype(int)


def load_rows(directory: str) -> Any:
    """Return the training rows, float32 [n, 12], without reading them all at once."""
    import numpy as np

    return np.load(Path(directory) / "rows.npy", mmap_mode="r")


def load_ensemble(directory: str) -> Any:
    """Return the fitted EnsembleClassifier."""
    import joblib

    return joblib.load(Path(directory) / "ensemble.joblib")


def load_members(directory: str) -> tuple[dict[str, Any], Any]:
    """Return the fitted members by name, and their weights."""
    import joblib

    members, weights = joblib.load(Path(directory) / "members.joblib")
    return members, weights
