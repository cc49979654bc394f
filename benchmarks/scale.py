"""Large models: seconds, memory and file size of an export as forests grow."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.child import in_child, peak_bytes, resident_bytes

__all__ = ["TREES", "main", "markdown", "measure"]

TREES = 1_000
ROWS = (345, 3_450, 10_400)
"""Training rows for which forests of so many trees have about 0.1, 1 and 3 million nodes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 if the largest export takes a minute or 4 GB."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scale", description=__doc__)
    parser.add_argument("--trees", type=int, default=TREES)
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS), help="training rows of each forest")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="glulam-benchmarks-") as directory:
        results = measure(directory, tuple(chosen.rows), chosen.trees)
    print(markdown(results), end="")
    return int(any(each["seconds"] >= 60 or each["peak_bytes"] >= 4 * 2**30 for each in results))


def measure(directory: str, rows: tuple[int, ...] = ROWS, trees: int = TREES) -> list[dict[str, Any]]:
    """Export forests that grow, each in a fresh process."""
    return [in_child("benchmarks.scale:one", directory=directory, rows=count, trees=trees) for count in rows]


def one(directory: str, rows: int, trees: int) -> dict[str, Any]:
    """Fit a forest of unlimited depth on noise, export and prove it (in a child)."""
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier

    import glulam
    import glulam_exporters.onnx  # noqa: F401  imports are not what is measured

    random = np.random.default_rng(0)
    X = random.normal(size=(rows, 12)).astype(np.float32)
    y = (X[:, 0] + random.normal(size=rows) > 0).astype(int)
    model = RandomForestClassifier(trees, n_jobs=-1, random_state=0).fit(X, y)
    path = Path(directory) / "scale.onnx"
    before = resident_bytes()
    begun = time.perf_counter()
    report = glulam.export(model, path, X, overwrite=True)
    return {
        "nodes": sum(tree.tree_.node_count for tree in model.estimators_),
        "seconds": time.perf_counter() - begun,
        "proof_seconds": report.to_dict()["seconds"],
        "peak_bytes": peak_bytes(),
        "before_bytes": before,
        "file_bytes": path.stat().st_size,
        "rows": report.rows,
        "difference": report.largest_difference,
    }


def markdown(results: list[dict[str, Any]]) -> str:
    """Return the figures as a table; growth is against the first row, by node."""
    first = results[0]
    lines = [
        "| nodes | export, proof included | of it the proof | seconds a million nodes | peak memory | file |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {each['nodes']:,} | {each['seconds']:.1f} s | {each['proof_seconds']:.1f} s "
        f"| {each['seconds'] / each['nodes'] * 1e6:.1f} | {each['peak_bytes'] / 2**30:.2f} GB "
        f"| {each['file_bytes'] / 2**20:.1f} MB |"
        for each in results
    ]
    last = results[-1]
    lines += [
        "",
        f"{last['nodes'] / first['nodes']:.1f} times the nodes take {last['seconds'] / first['seconds']:.1f} times "
        "the time.",
    ]
    return "\n".join(lines) + "\n"
