"""One row, and a batch: all contestants in one process, in turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.contestants import open_contestant
from benchmarks.workload import Scale, load_rows

__all__ = ["measure"]

SINGLE = ("glulam", "onnxruntime", "skl2onnx", "native", "native_all")
BATCH = (*SINGLE, "glulam_all")


def measure(directory: str, parts: Sequence[str], scale: dict[str, Any]) -> dict[str, Any]:
    """Return the wanted of ``latency`` and ``batch`` (in a child)."""
    sizes = Scale(**scale)
    made = {}
    if "latency" in parts:
        made["latency"] = _single(directory, sizes)
    if "batch" in parts:
        made["batch"] = _batch(directory, sizes)
    return made


def _single(directory: str, scale: Scale) -> dict[str, Any]:
    """Time single rows, another one each call."""
    from benchmarks.timing import Contestant, interleave, single_rows, summary

    contestants = [
        Contestant(
            name,
            open_contestant(name, directory),
            scale.slow_calls if name.startswith("native") else scale.calls,
        )
        for name in SINGLE
    ]
    taken = interleave(contestants, single_rows(load_rows(directory)), scale.blocks)
    return summary(taken, "glulam")


def _batch(directory: str, scale: Scale) -> dict[str, Any]:
    """Time batches, one call a turn."""
    from benchmarks.timing import Contestant, batches, interleave, summary

    blocks = batches(load_rows(directory), scale.batch)
    contestants = [Contestant(name, open_contestant(name, directory), 1) for name in BATCH]
    for each in contestants:
        each.answer(blocks[0])
    return summary(interleave(contestants, blocks, scale.batch_rounds), "glulam")
