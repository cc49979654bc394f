"""The start of a serving process: from its start to the first answer, opening the model, memory.

``python -m benchmarks.start <peer> <model's folder> <nanoseconds>``, in the peer's own environment.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.child import peak_bytes, resident_bytes
from benchmarks.conversion import converted
from benchmarks.environments import HOME, NotReadyError, python_of
from benchmarks.models import Model, read_model
from benchmarks.peers import PEERS, UnsupportedError

__all__ = ["measure"]

ROOT = Path(__file__).parents[1]


def measure(folder: Path, peers: Sequence[str], starts: int, home: Path = HOME) -> dict[str, dict[str, Any]]:
    """Start processes of all peers in turn; return the median of each figure, or ``refused`` and the reason."""
    model = read_model(folder)
    converted(model, peers, home=home)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in peers}
    for _ in range(starts):
        for name in peers:
            if not any("refused" in run for run in runs[name]):
                runs[name].append(_one(model, name, home))
    return {name: _together(each) for name, each in runs.items()}


def _together(runs: list[dict[str, Any]]) -> dict[str, Any]:
    refused = [run for run in runs if "refused" in run]
    return refused[0] if refused else {key: median(run[key] for run in runs) for key in runs[0]}


def _one(model: Model, name: str, home: Path) -> dict[str, Any]:
    try:
        python = python_of(PEERS[name].environment, home)
    except NotReadyError as error:
        return {"refused": str(error)}
    variables = {key: value for key, value in os.environ.items() if key != "GLULAM_KERNEL"}
    command = [python, "-m", "benchmarks.start", name, str(model.folder)]
    done = subprocess.run(
        [*command, str(time.monotonic_ns())], cwd=ROOT, env=variables | dict(PEERS[name].variables),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return {"refused": f"its process ended with status {done.returncode}: {reason}"[:300]}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def main(peer: str, folder: str, begun: str) -> None:
    """Open, answer one row, print seconds and memory. The files have just been written: the disk takes no part."""
    model, chosen = read_model(folder), PEERS[peer]
    for module in chosen.serves_by:
        importlib.import_module(module)
    row = model.rows()[:1].copy()
    loading = time.monotonic_ns()
    try:
        answer = chosen.open(model, chosen.folder(model), 1)
    except UnsupportedError as error:
        print(json.dumps({"refused": str(error)}))
        return
    loaded = time.monotonic_ns()
    answer(row)
    found = {
        "start_seconds": (time.monotonic_ns() - int(begun)) * 1e-9,
        "load_seconds": (loaded - loading) * 1e-9,
        "resident_bytes": resident_bytes(),
        "peak_bytes": peak_bytes(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
