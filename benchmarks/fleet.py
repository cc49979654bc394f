"""The peers' processes side by side: each is given a block of calls in turn.

Peers need different versions of the same libraries, so they cannot share a process. What disturbs
one process soon disturbs the next, so ratios are taken turn by turn and their median counts. Each
process times its own calls; the one that asks waits meanwhile, on another core where there is one.
"""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.environments import HOME, NotReadyError, python_of
from benchmarks.models import Model
from benchmarks.peers import PEERS

__all__ = ["BASE", "GoneError", "Turns", "Worker", "fleet", "interleave", "summary"]

ROOT = Path(__file__).parents[1]
BASE = "glulam"
SECONDS = 300
"""How long one block may take; opening a model too."""


class GoneError(Exception):
    """A peer does not take part. The message is the reason that the results give."""


@dataclass(frozen=True, slots=True)
class Turns:
    """How often each peer has its turn, how long one lasts about, and the most calls in one."""

    count: int
    seconds: float
    calls: int = 400


class Worker:
    """A peer's process, with one model open. Raises GoneError where the peer cannot, with its reason."""

    def __init__(self, peer: str, model: Model, threads: int, home: Path = HOME) -> None:
        self.peer = peer
        try:
            python = python_of(PEERS[peer].environment, home)
        except NotReadyError as error:
            raise GoneError(str(error)) from error
        command = [python, "-m", "benchmarks.worker", peer, str(model.folder), str(threads), *_cores(threads)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=_environment(peer, threads), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, bufsize=1,
        )  # fmt: skip
        self._read()

    def ask(self, do: str, **arguments: Any) -> Any:
        """Ask and return what is answered."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        except BrokenPipeError as error:
            raise GoneError(f"its process ended with status {self._process.wait()}") from error
        return self._read()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> Any:
        pipe = self._process.stdout
        assert pipe is not None
        if not select.select([pipe], [], [], SECONDS)[0]:
            self.close()
            raise GoneError(f"no answer in {SECONDS} s")
        line = pipe.readline()
        if not line:
            raise GoneError(f"its process ended with status {self._process.wait()}")
        (found,) = json.loads(line).items()
        if found[0] == "refused":
            self.close()
            raise GoneError(found[1])
        return found[1]


@contextmanager
def fleet(
    peers: Sequence[str], model: Model, threads: int, gone: dict[str, str], home: Path = HOME
) -> Iterator[dict[str, Worker]]:
    """Start a process a peer; those that cannot take part are put into ``gone`` with the reason."""
    workers: dict[str, Worker] = {}
    try:
        for peer in peers:
            try:
                workers[peer] = Worker(peer, model, threads, home)
            except GoneError as error:
                gone[peer] = str(error)
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


def interleave(
    workers: dict[str, Worker], rows: int, turns: Turns, gone: dict[str, str], do: str = "block"
) -> dict[str, list[list[int]]]:
    """Return nanoseconds by peer, turn and call. A peer that fails leaves, and its reason is in ``gone``."""
    order = random.Random(0)  # noqa: S311  an order, not a secret
    calls: dict[str, int] = {}
    taken: dict[str, list[list[int]]] = {}
    for peer in list(workers):
        try:
            # The first call makes what is made on first use; the next ones tell how many fill a turn.
            workers[peer].ask(do, rows=rows, calls=1)
            one = median(workers[peer].ask(do, rows=rows, calls=3)) * 1e-9
        except GoneError as error:
            gone[peer] = str(error)
            workers.pop(peer).close()
        else:
            calls[peer] = max(1, min(turns.calls, int(turns.seconds / one)))
            taken[peer] = []
    for _ in range(turns.count):
        # In a random order, for each leaves its caches to the next.
        for peer in order.sample(list(taken), len(taken)):
            try:
                taken[peer].append(workers[peer].ask(do, rows=rows, calls=calls[peer]))
            except GoneError as error:
                gone[peer] = str(error)
                workers.pop(peer).close()
                del taken[peer]
    return taken


def summary(taken: dict[str, list[list[int]]], base: str = BASE) -> dict[str, dict[str, Any]]:
    """Return p50, p99 and p99.9 in seconds, the medians of the turns, and the ratio to ``base``, by peer.

    The ratio is the median over turns, with quartiles. Of less than 1,000 calls there is no p99.9.
    """
    import numpy as np

    middle = {peer: [median(turn) * 1e-9 for turn in turns] for peer, turns in taken.items()}
    found: dict[str, dict[str, Any]] = {}
    for peer, turns in taken.items():
        seconds = np.concatenate([np.asarray(turn, dtype=np.float64) for turn in turns]) * 1e-9
        p50, p99, p999 = np.quantile(seconds, [0.5, 0.99, 0.999]).tolist()
        found[peer] = {
            "p50": p50, "p99": p99, "p999": p999 if seconds.size >= 1_000 else None, "calls": seconds.size,
            "turns": middle[peer],
        }  # fmt: skip
        if base in middle:
            ratios = np.asarray(middle[peer]) / np.asarray(middle[base])
            low, ratio, high = np.quantile(ratios, [0.25, 0.5, 0.75]).tolist()
            found[peer] |= {"ratio": ratio, "ratio_low": low, "ratio_high": high}
    return found


def _environment(peer: str, threads: int) -> dict[str, str]:
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    # A thread that spins while it waits, after its process's turn, would take the next one's time.
    limits |= {"OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0"}
    # The switch of glulam's kernel is the peer's to set.
    kept = {key: value for key, value in os.environ.items() if key != "GLULAM_KERNEL"}
    return kept | limits | {"PYTHONWARNINGS": "ignore"} | dict(PEERS[peer].variables)


def _cores(threads: int) -> list[str]:
    """Return the cores that a process is kept on: the last ones, for the first has the interrupts."""
    affinity = getattr(os, "sched_getaffinity", None)
    return [str(core) for core in sorted(affinity(0))[-threads:]] if affinity else []
