"""What the project promises in figures, and what it aims at, held against a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["CLAIMS", "GOALS", "figures_of", "goals", "judge", "ratio"]

Results = dict[str, Any]
OURS = ("glulam", "glulam_session")
"""The first is judged: what a user of `glulam.load` gets. The second is a session like the others'."""


@dataclass(frozen=True, slots=True)
class Goal:
    """How many times faster than others, on one model, by rows of a call. Of several others the faster counts."""

    text: str
    model: str
    theirs: tuple[str, ...]
    wanted: dict[int, float]


GOALS = (
    Goal("built-in kernel, same file", "ensemble", ("builtin",), {1: 5, 100: 7, 10_000: 7}),
    Goal("skl2onnx VotingClassifier", "ensemble", ("skl2onnx",), {1: 7, 100: 8, 10_000: 8}),
    Goal("three native predict_proba", "ensemble", ("native",), {1: 500, 100: 30, 10_000: 6}),
    Goal("lleaves, LightGBM alone", "lightgbm", ("lleaves",), {1: 1, 100: 1.2, 10_000: 1.4}),
    Goal("XGBoost itself, alone", "xgboost", ("dmatrix", "booster"), {1: 15, 100: 3, 10_000: 2.5}),
    Goal("built-in kernel, leaf-wise", "leafwise", ("builtin",), {1: 3, 100: 4, 10_000: 4}),
    Goal("built-in kernel, ten classes", "multiclass", ("builtin",), {1: 4, 100: 5, 10_000: 5}),
)


@dataclass(frozen=True, slots=True)
class Claim:
    """A figure of the results and what it may be. A claim that fails fails the run; an aim does not."""

    text: str
    figure: Callable[[Results], float | None]
    limit: float
    unit: str
    aim: bool = False


def figures_of(results: Results, model: str, rows: int, cache: str = "hot", threads: int = 1) -> Results:
    """Return the figures by peer of one record of calls; empty where it was not measured."""
    for record in results.get("calls", []):
        if (record["model"], record["rows"], record["cache"], record["threads"]) == (model, rows, cache, threads):
            return dict(record["peers"])
    return {}


def ratio(figures: Results, ours: str, theirs: Sequence[str]) -> float | None:
    """Return how many times faster ``ours`` is than the faster of ``theirs``, turn by turn; None if not measured."""
    found = [
        median(other / own for other, own in zip(figures[name]["turns"], figures[ours]["turns"], strict=True))
        for name in theirs
        if name in figures and ours in figures
    ]
    return min(found, default=None)


def goals(results: Results) -> list[Results]:
    """Return the goals that were measured, a row each of ours: ratios, and by size whether they are reached."""
    judged = []
    for goal in GOALS:
        for ours in OURS:
            cells = {
                str(rows): {"ratio": found, "wanted": wanted, "reached": found >= wanted}
                for rows, wanted in goal.wanted.items()
                if (found := ratio(figures_of(results, goal.model, rows), ours, goal.theirs)) is not None
            }
            cold = ratio(figures_of(results, goal.model, 1, "cold"), ours, goal.theirs)
            if cells or cold is not None:
                judged.append({"text": goal.text, "model": goal.model, "ours": ours, "cells": cells, "cold": cold})
    return judged


def judge(results: Results, *, quick: bool) -> list[Results]:
    """Return the claims whose figure was measured; ``passed`` is None where the run is a smoke run."""
    judged = []
    for claim in CLAIMS:
        measured = claim.figure(results)
        if measured is not None:
            passed = None if quick else measured <= claim.limit
            judged.append(
                {"text": claim.text, "limit": claim.limit, "unit": claim.unit, "aim": claim.aim}
                | {"measured": measured, "passed": passed}
            )
    return judged


def _at(*path: str, scale: float = 1) -> Callable[[Results], float | None]:
    """Return what looks a figure up by keys, in the unit of the claim."""

    def figure(results: Results) -> float | None:
        found: Any = results
        for key in path:
            found = found.get(key) if found else None
        return None if found is None else found * scale

    return figure


def _one_row(results: Results) -> float | None:
    figures = figures_of(results, "ensemble", 1).get("glulam")
    return figures["p50"] * 1e6 if figures else None


def _many_rows(results: Results) -> float | None:
    for record in results.get("sweep", []):
        if record["rows"] == 100_000 and record["threads"] == 2 and "glulam" in record["peers"]:
            return float(record["peers"]["glulam"]["p50"])
    return None


CLAIMS = (
    Claim("export, proof included, takes less than 5 s", _at("convert", "ensemble", "glulam", "seconds"), 5, "s"),
    Claim(
        "its process never holds 600 MB", _at("convert", "ensemble", "glulam", "peak_bytes", scale=1e-6), 600, "MB"
    ),
    Claim("the file has less than 6 MB", _at("convert", "ensemble", "glulam", "file_bytes", scale=1e-6), 6, "MB"),
    Claim(
        "Python around session.run costs at most 2 us", _at("overhead", "ensemble", "added", scale=1e6), 2, "us"
    ),
    Claim("... and on a file of a few nodes too", _at("overhead", "small", "added", scale=1e6), 2, "us"),
    Claim(
        "predict_proba of one row is within 2 us of a bound call",
        _at("overhead", "ensemble", "added_to_bound", scale=1e6), 2, "us", aim=True,
    ),
    Claim("one row, from Python, under 10 us", _one_row, 10, "us", aim=True),
    Claim("100,000 rows on two threads under 0.2 s", _many_rows, 0.2, "s", aim=True),
    Claim("load under 150 ms", _at("start", "ensemble", "glulam", "load_seconds", scale=1e3), 150, "ms", aim=True),
    Claim(
        "a serving process holds less than 100 MB",
        _at("start", "ensemble", "glulam", "resident_bytes", scale=1e-6), 100, "MB", aim=True,
    ),
)  # fmt: skip
