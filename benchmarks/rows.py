"""Calls of one row and of many, with warm caches and cold ones, on one thread and on two: all peers in turns."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.conversion import converted
from benchmarks.fleet import GoneError, Turns, fleet, interleave, summary
from benchmarks.models import Model, read_model
from benchmarks.settings import Scale

__all__ = ["PARTS", "SWEPT", "calls", "sweep"]

PARTS = ("latency", "cold", "batch")
"""One row with warm caches, one with cold ones, and more rows than one."""
SWEPT = ("glulam", "glulam_session", "builtin")
COLD_CALLS = 10
Found = dict[str, Any]


def calls(models: Path, name: str, peers: Sequence[str], parts: Sequence[str], scale: Scale, home: Path) -> Found:
    """Return ``calls``, ``differences`` and ``gone`` of the wanted parts, on one model.

    A record of ``calls`` has model, threads, rows, cache (hot or cold), and the figures by peer.
    Two threads are for the ensemble alone, and so is the floor.
    """
    found: Found = {"calls": [], "differences": {}, "gone": {}}
    model = read_model(models / name)
    gone = unable(converted(model, peers, home=home))
    here = [peer for peer in peers if peer not in gone and (peer != "floor" or name == "ensemble")]
    for threads in (1, 2) if name == "ensemble" else (1,):
        lost = dict(gone)
        with fleet(here, model, threads, lost, home) as workers:
            if threads == 1:
                found["differences"][name] = _differences(workers, lost)
            for size, cache in _wanted(parts, scale, threads):
                _say(f"{name}, {size:,} rows, {cache}, {threads} threads: {len(workers)} peers")
                found["calls"].append(_record(workers, model, threads, size, cache, scale, lost))
        if threads == 1:
            found["gone"][name] = lost
    return found


def sweep(models: Path, scale: Scale, home: Path) -> Found:
    """Return records of one curve: the time of a call over its rows, with the kernel and without."""
    model = read_model(models / "ensemble")
    lost = unable(converted(model, SWEPT, home=home))
    records = []
    for threads in (1, 2):
        with fleet(SWEPT, model, threads, lost, home) as workers:
            for size in scale.sweep_sizes:
                _say(f"curve, {size:,} rows, {threads} threads")
                records.append(_record(workers, model, threads, size, "hot", scale, lost))
    return {"sweep": records, "gone": {"the curve over rows": lost} if lost else {}}


def unable(figures: dict[str, Found]) -> dict[str, str]:
    """Return the reason of each peer that could not convert."""
    return {peer: each["refused"] for peer, each in figures.items() if "refused" in each}


def _wanted(parts: Sequence[str], scale: Scale, threads: int) -> Iterator[tuple[int, str]]:
    for size in scale.sizes:
        if ("latency" if size == 1 else "batch") in parts:
            yield size, "hot"
        if size == 1 and threads == 1 and "cold" in parts:
            yield size, "cold"


def _record(
    workers: dict[str, Any], model: Model, threads: int, size: int, cache: str, scale: Scale, lost: dict[str, str]
) -> Found:
    count = scale.turns if size <= 1_000 else scale.few_turns
    if cache == "cold":
        taken = interleave(workers, size, Turns(count, scale.turn_seconds, COLD_CALLS), lost, do="cold")
    else:
        taken = interleave(workers, size, Turns(count, scale.turn_seconds), lost)
    return {"model": model.name, "threads": threads, "rows": size, "cache": cache, "peers": summary(taken)}


def _differences(workers: dict[str, Any], lost: dict[str, str]) -> Found:
    """Return how far each peer is from the native libraries; those whose process ends leave."""
    found = {}
    # The floor answers with the rows themselves.
    for peer in [peer for peer in workers if peer != "floor"]:
        try:
            found[peer] = workers[peer].ask("differences")
        except GoneError as error:
            lost[peer] = str(error)
            workers.pop(peer).close()
    return found


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)
