"""What glulam's own Python adds to ``session.run``, for one float32 row.

Both sides use one session, so that nothing differs but the Python around it: two sessions of the
same file differ by 1 to 2 us through where their nodes happen to lie in memory. They alternate call
by call, on rows of their own. The same is done on a file of a few nodes, where nothing else takes
time: there the figure is sharp, while on the large file the trees push Python out of the caches
between calls, as they do in use.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.contestants import GLULAM_FILE, OUTPUTS
from benchmarks.workload import SMALL_FILE, load_rows

__all__ = ["measure"]


def measure(directory: str, calls: int) -> dict[str, dict[str, float]]:
    """Return seconds added by predict_proba on the ensemble's file and on a small one (in a child)."""
    from benchmarks.timing import quiet, single_rows

    rows = single_rows(load_rows(directory))
    # An odd number of them, so that each side comes to each row.
    rows = rows[: len(rows) - (len(rows) + 1) % 2]
    folder = Path(directory)
    files = {"ensemble": folder / GLULAM_FILE, "small": folder / SMALL_FILE}
    with quiet():
        return {name: _added(path, rows, calls) for name, path in files.items()}


def _added(path: Path, rows: list[Any], calls: int) -> dict[str, float]:
    """Time ``calls`` calls of each side; return medians, and how much one is above the other."""
    import numpy as np

    import glulam

    production = glulam.load(path)
    predict_proba, run = production.predict_proba, production._session.run
    clock = time.perf_counter
    ours, bare = np.empty(calls), np.empty(calls)
    production.warmup()
    for call in range(calls):
        one, other = rows[2 * call % len(rows)], rows[(2 * call + 1) % len(rows)]
        # Written out twice: a function in between would cost as much as what is measured.
        if call % 2:
            a = clock()
            predict_proba(one)
            b = clock()
            run(OUTPUTS, {"features": other})
            c = clock()
            ours[call], bare[call] = b - a, c - b
        else:
            a = clock()
            run(OUTPUTS, {"features": one})
            b = clock()
            predict_proba(other)
            c = clock()
            ours[call], bare[call] = c - b, b - a
    return {
        "predict_proba_p50": float(np.median(ours)),
        "session_run_p50": float(np.median(bare)),
        "added": float(np.median(ours) - np.median(bare)),
        "calls": calls,
    }
