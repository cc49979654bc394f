"""Clocks that are fair on a busy machine: contestants take turns, and each call has another row.

What disturbs one contestant soon disturbs the next one too, so ratios are taken turn by turn and
their median counts. Rows must be many: on one row that comes again and again the processor's branch
predictor learns the way through the trees (measured: 17 us; on ten rows 41, from a hundred on 52).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Contestant", "batches", "cold", "evict", "interleave", "quiet", "single_rows", "summary"]

Seconds = npt.NDArray[np.float64]
_clock = time.perf_counter


@dataclass(frozen=True, slots=True)
class Contestant:
    """A name, a function of rows, and how many calls a turn has."""

    name: str
    answer: Callable[[Any], Any]
    calls: int


def single_rows(rows: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    """Return all rows in random order, each a matrix of its own [1, n_features]."""
    order = np.random.default_rng(0).permutation(len(rows))
    return [np.array(rows[index : index + 1]) for index in order]


def batches(rows: npt.NDArray[np.float32], size: int) -> list[npt.NDArray[np.float32]]:
    """Return eight matrices [size, n_features] of rows drawn at random."""
    random = np.random.default_rng(0)
    return [rows[random.integers(0, len(rows), size)] for _ in range(8)]


def interleave(contestants: Sequence[Contestant], rows: Sequence[Any], turns: int) -> dict[str, Seconds]:
    """Return seconds [turns, calls] a contestant. The first tenth of a turn fills caches and is not kept."""
    random = np.random.default_rng(0)
    taken = {each.name: np.empty((turns, each.calls)) for each in contestants}
    position = 0
    with quiet():
        for turn in range(turns):
            # In a random order, for each leaves its caches and its waiting threads to the next.
            for index in random.permutation(len(contestants)):
                each = contestants[index]
                for call in range(-(each.calls // 10), each.calls):
                    row = rows[position]
                    position = (position + 1) % len(rows)
                    begun = _clock()
                    each.answer(row)
                    ended = _clock()
                    if call >= 0:
                        taken[each.name][turn, call] = ended - begun
    return taken


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the garbage collector from joining in. What is timed here makes no cycles."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def evict(buffer: Seconds) -> None:
    """Walk through a large array, so that the caches hold it and nothing else."""
    buffer += 1.0


def cold(contestants: Sequence[Contestant], rows: Sequence[Any], calls: int) -> dict[str, Seconds]:
    """Return seconds [calls, 1] of single calls, each after the caches were emptied."""
    buffer = np.zeros(64 * 2**20 // 8)
    taken = {each.name: np.empty((calls, 1)) for each in contestants}
    with quiet():
        for call in range(calls):
            # The same row for all: one call a turn leaves nothing to even out rows of another length.
            row = rows[call % len(rows)]
            for each in contestants if call % 2 else contestants[::-1]:
                evict(buffer)
                begun = _clock()
                each.answer(row)
                taken[each.name][call, 0] = _clock() - begun
    return taken


def summary(taken: dict[str, Seconds], base: str) -> dict[str, dict[str, float]]:
    """Return p50 and p99 in seconds, the ratio to ``base``, and how many calls, by contestant.

    The ratio is taken of the medians of each turn; it is the median over turns, with quartiles.
    """
    middle = {name: np.median(seconds, axis=1) for name, seconds in taken.items()}
    found = {}
    for name, seconds in taken.items():
        low, ratio, high = np.quantile(middle[name] / middle[base], [0.25, 0.5, 0.75]).tolist()
        p50, p99 = np.quantile(seconds, [0.5, 0.99]).tolist()
        found[name] = {
            "p50": p50, "p99": p99, "ratio": ratio, "ratio_low": low, "ratio_high": high, "calls": seconds.size,
        }  # fmt: skip
    return found
