"""Curves: how a call grows with trees, depth, features and classes, one of them at a time."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from benchmarks.child import in_child
from benchmarks.conversion import converted
from benchmarks.fleet import Turns, fleet, interleave, summary
from benchmarks.models import read_model
from benchmarks.rows import unable
from benchmarks.settings import Scale

__all__ = ["AXES", "measure"]

PEERS = ("glulam", "builtin", "booster")
MIDDLE = {"trees": 200, "depth": 8, "features": 20, "classes": 2}
AXES = {
    "trees": (10, 30, 100, 300, 1_000, 3_000),
    "depth": (2, 4, 6, 8, 10, 12, 16),
    "features": (4, 20, 100, 300, 1_000),
    "classes": (2, 3, 5, 10, 20),
}
"""What grows, while the others stay at the middle. Growth with rows is a curve of its own."""
QUICK_AXES = {"trees": (4,), "classes": (3,)}
QUICK_MIDDLE = {"trees": 2, "depth": 3, "features": 5, "classes": 2}


def measure(models: Path, scale: Scale, home: Path) -> dict[str, Any]:
    """Return a record a point: what grows, its value, nodes, levels, and the figures of one row and of 1,000."""
    axes, middle = (AXES, MIDDLE) if scale.growth else (QUICK_AXES, QUICK_MIDDLE)
    records, gone = [], {}
    for axis, values in axes.items():
        for value in values:
            print(f"... growth, {axis} {value:,}", file=sys.stderr, flush=True)
            folder = models / f"{axis}-{value}"
            in_child("benchmarks.growth:write", folder=str(folder), **(middle | {axis: value}))
            record, lost = _point(folder, scale, home)
            records.append({"axis": axis, "value": value, **record})
            if lost:
                gone[f"growth of {axis} to {value:,}"] = lost
            shutil.rmtree(folder)
    return {"growth": records, "gone": gone}


def _point(folder: Path, scale: Scale, home: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the figures of one model, and why peers are missing."""
    model = read_model(folder)
    gone = unable(converted(model, PEERS, home=home))
    found: dict[str, Any] = {"nodes": sum(model.nodes), "levels": model.levels, "calls": {}}
    with fleet([peer for peer in PEERS if peer not in gone], model, 1, gone, home) as workers:
        for size in (1, 1_000):
            taken = interleave(workers, size, Turns(scale.few_turns, scale.turn_seconds), gone)
            found["calls"][str(size)] = summary(taken)
    return found, gone


def write(folder: str, trees: int, depth: int, features: int, classes: int) -> None:
    """Fit XGBoost on noise with a little sense in it, so that trees become as deep as they may (in a child)."""
    import numpy as np

    from benchmarks.workload import write_model
    from glulam import EnsembleClassifier

    random = np.random.default_rng(0)
    X = random.normal(size=(10_000, features)).astype(np.float32)
    y = np.digitize(X[:, 0] + random.normal(size=len(X)), np.linspace(-1.5, 1.5, classes + 1)[1:-1])
    params = {"n_estimators": trees, "max_depth": depth, "min_child_weight": 0}
    write_model(Path(folder), EnsembleClassifier([("xgboost", params)]).fit(X, y), X, ("xgboost",))
