"""What grows with what: the curve over rows, and the curves over trees, depth, features and classes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from benchmarks.peers import PEERS
from benchmarks.tables import TIMES, cell, duration, table

__all__ = ["curve", "grown", "worst_step"]

Record = dict[str, Any]


def curve(records: list[Record]) -> str:
    """Return the time a row by rows of a call, and the steepest step up: a cliff would be one."""
    if not records:
        return ""
    heads, sizes = ["rows"], sorted({record["rows"] for record in records})
    columns: list[dict[int, float]] = []
    for threads in sorted({record["threads"] for record in records}):
        here = {record["rows"]: record["peers"] for record in records if record["threads"] == threads}
        for peer in dict.fromkeys(name for figures in here.values() for name in figures):
            heads.append(f"{PEERS[peer].label}, {threads} thread{'s' * (threads > 1)}")
            columns.append({size: here[size][peer]["p50"] / size for size in sizes if peer in here[size]})
    rows = [[f"{size:,}", *(duration(each[size]) if size in each else "" for each in columns)] for size in sizes]
    steps = [
        f"- {head}: {factor:.2f} times, from {low:,} rows to {high:,}"
        for head, (factor, low, high) in zip(heads[1:], map(worst_step, columns), strict=True)
    ]
    return "Time a row:\n\n" + table(heads, rows) + "\n\nThe steepest step up of the time a row:\n\n" + "\n".join(steps)


def worst_step(by_size: dict[int, float]) -> tuple[float, int, int]:
    """Return the largest factor between neighbouring sizes, and these sizes."""
    sizes = sorted(by_size)
    if len(sizes) < 2:
        return 1.0, sizes[0], sizes[0]
    return max((by_size[high] / by_size[low], low, high) for low, high in pairwise(sizes))


def grown(records: list[Record]) -> str:
    """Return a row a point of growth: nodes, splits met, times, and how many times faster than the built-in kernel."""
    if not records:
        return ""
    sizes = list(records[0]["calls"])
    heads = ["grows", "to", "nodes", "splits met by a row"]
    peers = list(dict.fromkeys(peer for record in records for figures in record["calls"].values() for peer in figures))
    for size in sizes:
        heads += [f"{int(size):,} rows, {PEERS[peer].label}" for peer in peers]
        heads.append(f"{int(size):,} rows, built-in / glulam")
    rows = []
    for record in records:
        row = [record["axis"], f"{record['value']:,}", f"{record['nodes']:,}", f"{record['levels']:,.0f}"]
        for size in sizes:
            row += [cell(record["calls"][size].get(peer, {}), "p50", duration) for peer in peers]
            row.append(cell(record["calls"][size].get("builtin", {}), "ratio", TIMES))
        rows.append(row)
    return table(heads, rows)
