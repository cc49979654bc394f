"""float32 against float64: the same ensemble exported both ways, to decide which is the default."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.models import read_model
from benchmarks.peers.glulam import session
from benchmarks.settings import Scale
from benchmarks.worker import differences
from benchmarks.workload import load_ensemble

__all__ = ["PRECISIONS", "measure"]

OUTPUTS = ["probabilities", "valid"]
PRECISIONS = ("float32", "float64")


def measure(directory: str, scale: dict[str, Any]) -> dict[str, Any]:
    """Export both and time one row with warm caches, one with cold ones, and a batch (in a child)."""
    from benchmarks.timing import Contestant, batches, cold, interleave, single_rows, summary

    sizes = Scale(**scale)
    files = _export_both(directory, sizes.proof_rows)
    table = read_model(Path(directory) / "ensemble").rows()
    rows = single_rows(table)
    answers = {name: _answer(_path(directory, name)) for name in PRECISIONS}

    def turns(calls: int) -> list[Contestant]:
        return [Contestant(name, answer, calls) for name, answer in answers.items()]

    taken = {
        "hot": interleave(turns(sizes.calls), rows, sizes.blocks),
        "cold": cold(turns(1), rows, sizes.cold_calls),
        "batch": interleave(turns(1), batches(table, sizes.batch), sizes.batch_rounds),
    }
    return {"files": files} | {name: summary(seconds, "float32") for name, seconds in taken.items()}


def _export_both(directory: str, proof_rows: int) -> dict[str, dict[str, Any]]:
    """Export both files; return size, seconds, and differences to the native libraries."""
    ensemble = load_ensemble(directory)
    # What is imported on first use is no precision's fault.
    ensemble.export(_path(directory, "first"), proof_rows=proof_rows)
    model, made = read_model(Path(directory) / "ensemble"), {}
    for precision in PRECISIONS:
        path = _path(directory, precision)
        begun = time.perf_counter()
        report = ensemble.export(path, precision=precision, proof_rows=proof_rows)
        seconds = time.perf_counter() - begun
        far = differences(_answer(path), model)
        made[precision] = {
            "difference_training": far["training"],
            "difference_hard": far["hard"],
            "export_seconds": seconds,
            "file_bytes": path.stat().st_size,
            "proof_differences": report.members,
        }
    return made


def _answer(path: Path) -> Callable[[Any], Any]:
    run = session(path, 1, kernel=True).run
    return lambda rows: run(OUTPUTS, {"features": rows})[0]


def _path(directory: str, precision: str) -> Path:
    return Path(directory) / f"{precision}.onnx"
