"""The speed comparison of `glulam demo`: the libraries' own prediction against the exported file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.runtime import load

__all__ = ["measure"]

BATCH_ROWS = 5_000

Float32 = npt.NDArray[np.float32]


def measure(ensemble: Any, X: Float32, file: Path) -> dict[str, Any]:
    """Time single rows and a batch: the libraries' predict_proba and their weighted mean, against the file.

    All have one thread, which for single rows is the faster choice for the libraries too, and
    take turns, so that what else the machine does hits all. Where glulam's kernel walks the file's
    trees, the file is timed with onnxruntime's own kernel as well.
    """
    models, weights = list(ensemble.members_.values()), ensemble.weights_
    total = float(weights.sum())
    exported = load(file)
    batch = X[np.arange(BATCH_ROWS) % len(X)]

    def native(rows: Float32) -> Any:
        return sum(w * model.predict_proba(rows) for w, model in zip(weights, models, strict=True)) / total

    ways: dict[str, Callable[[Float32], Any]] = {"native": native, "glulam": exported.predict_proba}
    walked_by = {key: exported.info()[key] for key in ("kernel", "kernel_reason")}
    if walked_by["kernel"] == "glulam":
        ways["builtin"] = load(file, kernel="off").predict_proba
    with _one_thread(models):
        single = _in_turns(ways, {"native": 10, "glulam": 200, "builtin": 200}, blocks=15, table=X, size=1)
        whole = _in_turns(ways, dict.fromkeys(ways, 1), blocks=7, table=batch, size=len(batch))
    return {"threads": 1, **walked_by, "single": _summary(single), "batch": {"rows": len(batch), **_summary(whole)}}


@contextlib.contextmanager
def _one_thread(models: Sequence[Any]) -> Iterator[None]:
    """Give each estimator one thread, and afterwards what it had."""
    had = {index: model.get_params().get("n_jobs", 1) for index, model in enumerate(models)}
    had = {index: n_jobs for index, n_jobs in had.items() if n_jobs != 1}
    try:
        for index in had:
            models[index].set_params(n_jobs=1)
        yield
    finally:
        for index, n_jobs in had.items():
            models[index].set_params(n_jobs=n_jobs)


def _in_turns(
    ways: dict[str, Callable[[Float32], Any]],
    calls: dict[str, int],
    *,
    blocks: int,
    table: Float32,
    size: int,
) -> dict[str, list[float]]:
    """Return the seconds of every call; each takes the ``size`` rows after those of the call before."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(table[:size])
    for _ in range(blocks):
        for name, way in ways.items():
            for _ in range(calls[name]):
                start = len(seconds[name]) * size % (len(table) - size + 1)
                rows = table[start : start + size]
                begun = time.perf_counter()
                way(rows)
                seconds[name].append(time.perf_counter() - begun)
    return seconds


def _summary(seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Return p50, p99 and count of each, and how many times faster the file is at p50."""
    found: dict[str, Any] = {
        name: {"p50": float(np.median(each)), "p99": float(np.percentile(each, 99)), "calls": len(each)}
        for name, each in seconds.items()
    }
    return found | {"ratio": found["native"]["p50"] / found["glulam"]["p50"]}
