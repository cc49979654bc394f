"""A peer's process: opens one model and times its own calls, a block at a time, as it is asked.

``python -m benchmarks.worker <peer> <model's folder> <threads> <cores>``, in the peer's own environment.
It reads a question a line from stdin and answers a line each, both JSON.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.models import Model, read_model
from benchmarks.peers import PEERS, UnsupportedError

__all__ = ["EVICTED_BYTES", "Rows"]

EVICTED_BYTES = 64 * 2**20
_clock = time.perf_counter_ns


class Rows:
    """Float32 rows by size: another block of the training rows each call.

    Rows must be many: on one row that comes again and again the processor's branch predictor learns
    the way through the trees, and a call takes a third of the time that it takes in use.
    """

    def __init__(self, table: Any) -> None:
        import numpy as np

        self._table = np.ascontiguousarray(table)
        self._order = np.random.default_rng(0).permutation(len(table))
        self._made: dict[int, list[Any]] = {}
        self._position: dict[int, int] = {}

    def next(self, size: int, count: int) -> list[Any]:
        """Return the next ``count`` matrices [size, features]; they come again after all rows have."""
        blocks = self._made.get(size)
        if blocks is None:
            blocks = self._made[size] = self._blocks(size)
        start = self._position.get(size, 0)
        self._position[size] = (start + count) % len(blocks)
        return [blocks[(start + index) % len(blocks)] for index in range(count)]

    def _blocks(self, size: int) -> list[Any]:
        """Return all rows in random order, cut into matrices; large ones are drawn, eight of them."""
        import numpy as np

        if size * 8 <= len(self._table):
            cuts = range(0, len(self._table) - size + 1, size)
            return [np.array(self._table[self._order[cut : cut + size]]) for cut in cuts]
        random = np.random.default_rng(1)
        return [self._table[random.integers(0, len(self._table), size)] for _ in range(8)]


def block(answer: Callable[[Any], Any], rows: Rows, size: int, calls: int) -> list[int]:
    """Return nanoseconds of each call. A tenth more are made first, to fill caches, and not kept."""
    matrices = rows.next(size, calls // 10 + calls)
    taken = [0] * len(matrices)
    for call, matrix in enumerate(matrices):
        begun = _clock()
        answer(matrix)
        taken[call] = _clock() - begun
    return taken[calls // 10 :]


def cold_block(answer: Callable[[Any], Any], rows: Rows, size: int, calls: int) -> list[int]:
    """Return nanoseconds of each call, with the caches full of something else before it."""
    import numpy as np

    buffer = np.zeros(EVICTED_BYTES // 8)
    taken = []
    for matrix in rows.next(size, calls):
        buffer += 1.0
        begun = _clock()
        answer(matrix)
        taken.append(_clock() - begun)
    return taken


def differences(answer: Callable[[Any], Any], model: Model) -> dict[str, float | None]:
    """Return the largest difference to the native libraries' probabilities, of training and of hard rows.

    An answer that is no number counts as 1. None where the peer refuses rows that the libraries answer.
    """
    import numpy as np

    found: dict[str, float | None] = {}
    for name, (rows, wanted) in model.checks().items():
        with np.errstate(all="ignore"):
            try:
                got = np.asarray(answer(rows)).reshape(len(rows), -1)
            except Exception:  # each library has its own for this
                found[name] = None
                continue
            # Of two classes some give the second alone.
            off = np.abs(got.astype(np.float64) - wanted[:, -got.shape[1] :])
        found[name] = float(np.where(np.isfinite(off), off, 1.0).max())
    return found


def main(peer_name: str, folder: str, threads: str, *cores: str) -> None:
    """Answer questions until there are no more, on these cores alone where any are given."""
    if cores:
        os.sched_setaffinity(0, map(int, cores))  # before the libraries count them
    # Libraries print to stdout; what they print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(found: dict[str, Any]) -> None:
        answers.write(json.dumps(found) + "\n")
        answers.flush()

    peer, model = PEERS[peer_name], read_model(folder)
    try:
        answer = peer.open(model, peer.folder(model), int(threads))
    except UnsupportedError as error:
        say({"refused": str(error)})
        return
    except Exception as error:  # whatever a library raises is its reason
        say({"refused": f"does not open: {_first_line(error)}"})
        return
    rows = Rows(model.rows())
    say({"ready": True})
    gc.disable()
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if asked["do"] == "differences":
                say({"differences": differences(answer, model)})
            else:
                way = cold_block if asked["do"] == "cold" else block
                say({"nanoseconds": way(answer, rows, asked["rows"], asked["calls"])})
        except Exception as error:
            say({"refused": f"does not answer: {_first_line(error)}"})
        gc.collect()


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"[:300]


if __name__ == "__main__":
    main(*sys.argv[1:])
