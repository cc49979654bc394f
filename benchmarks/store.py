"""What is kept: the fitted models between runs, and runs of single sections put together."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.child import in_child
from benchmarks.machine import version_of
from benchmarks.settings import Scale

__all__ = ["merge", "workload"]

Run = dict[str, Any]
TRAINERS = ("lightgbm", "xgboost", "xgboost-cpu", "scikit-learn", "numpy", "TA-Lib")


def workload(folder: Path, scale: Scale) -> Run:
    """Fit the models, unless the folder has those of the same libraries and settings; return what they are."""
    stamp = folder / "stamp.json"
    made_by = {
        "trees": scale.trees,
        "rows": scale.rows,
        "libraries": {name: version for name in TRAINERS if (version := version_of(name))},
        "code": hashlib.sha256((Path(__file__).parent / "workload.py").read_bytes()).hexdigest(),
    }
    if stamp.is_file() and (kept := json.loads(stamp.read_text()))["made_by"] == made_by:
        return dict(kept["workload"])
    print("... fit the models", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made: Run = in_child("benchmarks.workload:fit", directory=str(folder), trees=scale.trees, rows=scale.rows)
    stamp.write_text(json.dumps({"made_by": made_by, "workload": made}, indent=1) + "\n")
    return made


def merge(runs: Sequence[Run]) -> Run:
    """Return one run of several: what a later one measured takes the place of the same of an earlier one.

    Raises ValueError for runs of other models or scales, which cannot stand in one table.
    """
    first = runs[0]
    merged: Run = {**first, "results": {}}
    for run in runs:
        if run["scale"] != first["scale"] or run["workload"] != first["workload"]:
            raise ValueError("these runs measured different models or with different settings; run them again")
        merged |= {key: value for key, value in run.items() if key != "results"}
        for section, found in run["results"].items():
            merged["results"][section] = _over(merged["results"].get(section), found)
    return merged


def _over(old: Any, new: Any) -> Any:
    """Return records and tables by name with the new over the old; a whole section otherwise."""
    if isinstance(old, list):
        return [*({_key(record): record for record in [*old, *new]}).values()]
    if isinstance(old, dict):
        return {**old, **new}
    return new


def _key(record: Run) -> tuple[Any, ...]:
    """Return what makes a record this one: what was measured, not what came out."""
    return tuple(record.get(name) for name in ("model", "threads", "rows", "cache", "axis", "value"))
