"""One picture: the time of a call over its rows, both logarithmic, a line a peer. SVG, written by hand."""

from __future__ import annotations

from html import escape
from math import ceil, floor, log10
from typing import Any

from benchmarks.peers import PEERS

__all__ = ["svg"]

Record = dict[str, Any]
Points = list[tuple[float, float]]
PANELS = {
    "ensemble": "Three members and their vote, one thread",
    "lightgbm": "The LightGBM member alone, one thread",
}
WIDTH, HEIGHT, PLOT = 560, 520, (62, 44, 300, 416)
"""Of one panel; PLOT is left, top, width and height of its axes."""
OURS = {"glulam": "#0b6e4f", "glulam_session": "#3aa17e"}
COLORS = (
    "#b3541e", "#4063d8", "#8e44ad", "#c2185b", "#7d6608", "#00838f", "#5d4037", "#e67e22", "#546e7a", "#9e9d24",
    "#d81b60", "#3949ab", "#6d4c41", "#f4511e", "#757575",
)  # fmt: skip


def svg(records: list[Record]) -> str:
    """Return the picture of the records of calls with warm caches on one thread; '' if there are none."""
    wanted = [record for record in records if (record["cache"], record["threads"]) == ("hot", 1)]
    panels = {}
    for model, title in PANELS.items():
        lines = _lines([record for record in wanted if record["model"] == model])
        if any(len(points) > 1 for points in lines.values()):
            panels[title] = lines
    if not panels:
        return ""
    peers = [peer for peer in PEERS if any(peer in lines for lines in panels.values())]
    others = iter(COLORS * 2)
    color = {peer: OURS.get(peer) or next(others) for peer in peers}
    everything = [point for lines in panels.values() for points in lines.values() for point in points]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * len(panels)} {HEIGHT}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH * len(panels)}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for index, (title, lines) in enumerate(panels.items()):
        parts += [f'<g transform="translate({WIDTH * index} 0)">', *_panel(title, lines, everything, color), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _lines(records: list[Record]) -> dict[str, Points]:
    """Return points of rows and microseconds by peer."""
    found: dict[str, Points] = {}
    for record in sorted(records, key=lambda each: each["rows"]):
        for peer, figures in record["peers"].items():
            found.setdefault(peer, []).append((record["rows"], figures["p50"] * 1e6))
    return found


def _panel(title: str, lines: dict[str, Points], everything: Points, color: dict[str, str]) -> list[str]:
    """Return axes, lines and their names at the right ends. All panels have the same axes."""
    left, top, width, height = PLOT
    wide = [log10(x) for x, _ in everything]
    high = [log10(y) for _, y in everything]
    x0, x1, y0, y1 = floor(min(wide)), max(ceil(max(wide)), floor(min(wide)) + 1), floor(min(high)), ceil(max(high))

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (log10(x) - x0) / (x1 - x0) * width, top + height - (log10(y) - y0) / (y1 - y0) * height

    parts = [f'<text x="{left}" y="24" font-size="14" font-weight="bold">{escape(title)}</text>']
    for power in range(x0, x1 + 1):
        x, _ = place(10**power, 10**y0)
        parts.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{top + height}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{x:.1f}" y="{top + height + 16}" text-anchor="middle">{10**power:,}</text>')
    for power in range(y0, y1 + 1):
        _, y = place(10**x0, 10**power)
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + width}" y2="{y:.1f}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{_time(power)}</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 36}" text-anchor="middle">rows of a call</text>')
    ends = {peer: place(*points[-1]) for peer, points in lines.items()}
    labels = _spread({peer: y for peer, (_, y) in ends.items()}, top, top + height)
    for peer, points in lines.items():
        stroke = 3 if peer in OURS else 1.5
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
        x, y = ends[peer]
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{color[peer]}" stroke-width="{stroke}"/>')
        parts.append(
            f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{left + width + 10}" y2="{labels[peer]:.1f}" '
            f'stroke="{color[peer]}" stroke-width="0.6"/>'
        )
        weight = ' font-weight="bold"' if peer in OURS else ""
        parts.append(
            f'<text x="{left + width + 13}" y="{labels[peer] + 4:.1f}" fill="{color[peer]}"{weight}>'
            f"{escape(PEERS[peer].label)}</text>"
        )
    return parts


def _time(power: int) -> str:
    """Return so many microseconds, a power of ten, with the unit that people would use."""
    unit, below = ("us", 0) if power < 3 else ("ms", 3) if power < 6 else ("s", 6)
    return f"{10.0 ** (power - below):g} {unit}"


def _spread(wanted: dict[str, float], top: float, bottom: float, apart: float = 15) -> dict[str, float]:
    """Return heights of names near those wanted, in the same order, none on another."""
    names = sorted(wanted, key=lambda name: wanted[name])
    placed: dict[str, float] = {}
    lowest = top - apart
    for name in names:
        lowest = placed[name] = max(wanted[name], lowest + apart)
    # What was pushed below the end is pushed back up, from below.
    highest = bottom + apart
    for name in reversed(names):
        highest = placed[name] = min(placed[name], highest - apart)
    return placed
