"""What glulam's own Python adds to a call of onnxruntime, for one float32 row.

All sides use one session, so that nothing differs but the Python around it: two sessions of the
same file differ by 1 to 2 us through where their nodes happen to lie in memory. They alternate call
by call, on rows of their own. The same is done on a file of a few nodes, where nothing else takes
time: there the figure is sharp, while on the large file the trees push Python out of the caches
between calls, as they do in use.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import glulam
from benchmarks.models import read_model
from benchmarks.peers import PEERS
from benchmarks.timing import quiet, single_rows
from benchmarks.workload import SMALL_FILE

__all__ = ["measure"]

OUTPUTS = ["probabilities", "valid"]
SIDES = ("predict_proba", "session_run", "bound_run")


def measure(directory: str, calls: int) -> dict[str, dict[str, float]]:
    """Return medians of predict_proba, of session.run and of a bound run, on two files (in a child)."""
    model = read_model(Path(directory) / "ensemble")
    rows = single_rows(model.rows())
    # Not a multiple of the sides, so that each of them comes to each row.
    rows = rows[: len(rows) - (len(rows) % len(SIDES) == 0)]
    files = {"ensemble": PEERS["glulam"].folder(model) / "model.onnx", "small": Path(directory) / SMALL_FILE}
    with quiet():
        return {name: _added(path, rows, calls) for name, path in files.items()}


def _added(path: Path, rows: list[Any], calls: int) -> dict[str, float]:
    """Time ``calls`` calls of each side; return medians, and how much predict_proba is above the others."""
    production = glulam.load(path)
    session = production._session
    bound, buffer = _bind(session, rows[0])
    taken = np.empty((len(SIDES), calls))
    clock = time.perf_counter
    production.warmup()
    for call in range(calls):
        for turn in range(len(SIDES)):
            side = (call + turn) % len(SIDES)
            row = rows[(len(SIDES) * call + turn) % len(rows)]
            buffer[:] = row  # for the bound run, outside of what is timed
            ask, *arguments = (
                (production.predict_proba, row),
                (session.run, OUTPUTS, {"features": row}),
                (session.run_with_iobinding, bound),
            )[side]
            begun = clock()
            ask(*arguments)
            taken[side, call] = clock() - begun
    middle = dict(zip(SIDES, np.median(taken, axis=1).tolist(), strict=True))
    return {f"{side}_p50": middle[side] for side in SIDES} | {
        "added": middle["predict_proba"] - middle["session_run"],
        "added_to_bound": middle["predict_proba"] - middle["bound_run"],
        "calls": calls,
    }


def _bind(session: Any, row: Any) -> tuple[Any, Any]:
    """Return a binding of a session to memory of numpy's, and the memory that it reads the row from."""
    buffer, bound = np.array(row), session.io_binding()
    bound.bind_cpu_input("features", buffer)
    shapes = {each.name: [1, *each.shape[1:]] for each in session.get_outputs()}
    for name, dtype in zip(OUTPUTS, (np.float32, np.bool_), strict=True):
        value = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(shapes[name], dtype))
        bound.bind_ortvalue_output(name, value)
    return bound, buffer
