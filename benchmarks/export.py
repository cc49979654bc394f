"""Export: seconds, peak memory, file size, and how far the file is from the native libraries."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.child import in_child, peak_bytes, resident_bytes
from benchmarks.contestants import GLULAM_FILE, SKL2ONNX_FILE, native_probabilities, one_thread
from benchmarks.workload import load_ensemble, load_rows

__all__ = ["differences", "measure"]


def measure(directory: str, contestant: str, processes: int, proof_rows: int) -> dict[str, Any]:
    """Export in some fresh processes; return the median of seconds, the largest of memory."""
    child = f"benchmarks.export:{contestant}"
    runs: list[dict[str, Any]] = [in_child(child, directory=directory, proof_rows=proof_rows) for _ in range(processes)]
    return runs[-1] | {
        "seconds": median(run["seconds"] for run in runs),
        "peak_bytes": max(run["peak_bytes"] for run in runs),
        "increase_bytes": max(run["increase_bytes"] for run in runs),
    }


def glulam(directory: str, proof_rows: int) -> dict[str, Any]:
    """Export as glulam does by default, proof included (in a child)."""
    import glulam.exporting  # noqa: F401
    import glulam_exporters.onnx  # noqa: F401  the other contestant imports its libraries beforehand too

    ensemble = load_ensemble(directory)
    path = Path(directory) / GLULAM_FILE
    reports = []
    result = _measured(lambda: reports.append(ensemble.export(path, overwrite=True, proof_rows=proof_rows)), path)
    proof = reports[0].to_dict()
    return result | differences(path, ensemble, directory, proof_rows) | {
        "precision": proof["precision"], "proof_rows": proof["rows"], "proof_seconds": proof["seconds"],
        "proof_difference": proof["largest_difference"],
    }  # fmt: skip


def skl2onnx(directory: str, proof_rows: int) -> dict[str, Any]:
    """Export the same members by skl2onnx, which proves nothing (in a child)."""
    from benchmarks.voting_by_skl2onnx import convert, voting_classifier

    ensemble = load_ensemble(directory)
    path = Path(directory) / SKL2ONNX_FILE
    voting = voting_classifier(dict(ensemble.members_), ensemble.weights_)
    result = _measured(lambda: path.write_bytes(convert(voting)), path)
    return result | differences(path, ensemble, directory, proof_rows)


def _measured(write: Callable[[], object], path: Path) -> dict[str, Any]:
    """Write a file; return what it took. All that is needed has been imported and loaded before."""
    before = resident_bytes()
    begun = time.perf_counter()
    write()
    seconds = time.perf_counter() - begun
    peak = peak_bytes()
    return {
        "seconds": seconds, "before_bytes": before, "peak_bytes": peak,
        "increase_bytes": max(0, peak - before), "file_bytes": path.stat().st_size,
    }  # fmt: skip


def differences(path: Path, ensemble: Any, directory: str, proof_rows: int) -> dict[str, Any]:
    """Return the largest differences of probabilities to the native libraries.

    On training rows, and on rows made to find mistakes: on thresholds and a float32 step beside
    them, with NaN, with extreme values. Infinite rows are left out, as the forest refuses them.
    """
    import numpy as np

    from glulam._rows import families
    from glulam.forest import Forest

    run = one_thread(path).run
    models, weights = list(ensemble.members_.values()), ensemble.weights_
    share = (weights / weights.sum()).tolist()

    def largest(rows: Any) -> float:
        got = run(["probabilities"], {"features": rows})[0]
        # scikit-learn adds up all values to look for infinities; the extreme ones overflow there.
        with np.errstate(invalid="ignore", over="ignore"):
            return float(np.abs(got - native_probabilities(models, share, rows)).max())

    forests = [member.body for member in ensemble.program().members if isinstance(member.body, Forest)]
    made = families(ensemble.schema_, forests, ensemble.proof_rows_, rows=proof_rows, seed=0)
    hard = {family.name: largest(family.rows) for family in made if family.name not in ("training", "infinite")}
    return {
        "difference_training": largest(np.array(load_rows(directory))),
        "difference_hard": max(hard.values()),
        "differences": hard,
    }
