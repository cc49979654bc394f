"""A serving process: time to load, time from its start to the first answer, resident memory."""

from __future__ import annotations

import importlib
import time
from statistics import median

from benchmarks.child import in_child, peak_bytes, resident_bytes
from benchmarks.contestants import open_contestant
from benchmarks.workload import load_rows

__all__ = ["CONTESTANTS", "measure"]

IMPORTS = {
    "floor": ("numpy", "onnxruntime"),
    "glulam": ("numpy", "onnxruntime", "glulam.runtime"),
    "onnxruntime": ("numpy", "onnxruntime"),
    "skl2onnx": ("numpy", "onnxruntime"),
    "native": ("numpy", "joblib", "lightgbm", "xgboost", "sklearn.ensemble"),
}
CONTESTANTS = tuple(IMPORTS)


def measure(directory: str, starts: int) -> dict[str, dict[str, float]]:
    """Start processes of all contestants in turn; return the median of each figure."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    for _ in range(starts):
        for name in CONTESTANTS:
            runs[name].append(in_child("benchmarks.serving:serve", contestant=name, directory=directory))
    return {name: {key: median(run[key] for run in each) for key in each[0]} for name, each in runs.items()}


def serve(contestant: str, directory: str) -> dict[str, float]:
    """Import, load, answer one row; return seconds and memory (in a child).

    ``load`` is opening the file with all libraries imported, ``start`` is imports, load and the
    first answer together. The files have just been written, so the disk takes no part.
    """
    begun = time.perf_counter()
    for module in IMPORTS[contestant]:
        importlib.import_module(module)
    imported = loaded = time.perf_counter()
    if contestant != "floor":
        answer = open_contestant(contestant, directory)
        loaded = time.perf_counter()
        answer(load_rows(directory)[:1].copy())
    return {
        "start_seconds": time.perf_counter() - begun,
        "load_seconds": loaded - imported,
        "resident_bytes": resident_bytes(),
        "peak_bytes": peak_bytes(),
    }
