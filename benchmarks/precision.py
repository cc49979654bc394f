"""float32 against float64: the same ensemble exported both ways, to decide which is the default."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.contestants import OUTPUTS, one_thread
from benchmarks.export import differences
from benchmarks.workload import Scale, load_ensemble, load_rows

__all__ = ["PRECISIONS", "measure"]

PRECISIONS = ("float32", "float64")


def measure(directory: str, scale: dict[str, Any]) -> dict[str, Any]:
    """Export both and time one row with warm caches, one with cold ones, and a batch (in a child)."""
    from benchmarks.timing import Contestant, batches, cold, interleave, single_rows, summary

    sizes = Scale(**scale)
    files = _export_both(directory, sizes.proof_rows)
    table = load_rows(directory)
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
    ensemble.export(
        _path(directory, "first"), proof_rows=proof_rows
    )  # what is imported on first use is no precision's fault
    made = {}
    for precision in PRECISIONS:
        path = _path(directory, precision)
        begun = time.perf_counter()
        report = ensemble.export(path, precision=precision, proof_rows=proof_rows)
        seconds = time.perf_counter() - begun
        made[precision] = differences(path, ensemble, directory, proof_rows) | {
            "export_seconds": seconds,
            "file_bytes": path.stat().st_size,
            "proof_differences": report.members,
        }
    return made


def _answer(path: Path) -> Callable[[Any], Any]:
    run = one_thread(path).run
    return lambda rows: run(OUTPUTS, {"features": rows})


def _path(directory: str, precision: str) -> Path:
    return Path(directory) / f"{precision}.onnx"
