"""The sections of a run: what ``--only`` chooses from."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import growth, rows, start
from benchmarks.child import in_child
from benchmarks.conversion import converted
from benchmarks.models import read_model
from benchmarks.settings import Scale

__all__ = ["SECTIONS", "Plan", "measure"]

SECTIONS = ("convert", "start", "sweep", "growth", "overhead", "precision", *rows.PARTS)
Results = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: models in a folder, peers, how much, and the home of the peers' environments."""

    folder: Path
    models: Sequence[str]
    peers: Sequence[str]
    scale: Scale
    home: Path

    def times(self, most: int) -> dict[str, int]:
        """Return how often a process is started: the ensemble is what claims are made of, the others are to be seen."""
        return {name: most if name == "ensemble" else 1 for name in self.models}


def measure(wanted: Sequence[str], plan: Plan) -> Iterator[tuple[str, Results]]:
    """Yield what was done and its results, in seconds and bytes, as soon as it is there."""
    ways = {
        "convert": _convert, "start": _start, "sweep": _sweep, "growth": _growth, "overhead": _overhead,
        "precision": _precision,
    }  # fmt: skip
    for section in (each for each in ways if each in wanted):
        print(f"... {section}", file=sys.stderr, flush=True)
        yield section, ways[section](plan)
    if parts := [each for each in rows.PARTS if each in wanted]:
        # All parts of a model together: its peers stay open.
        for name in plan.models:
            yield f"{', '.join(parts)} of {name}", _calls(plan, name, parts)


def _convert(plan: Plan) -> Results:
    return {
        "convert": {
            name: converted(read_model(plan.folder / name), plan.peers, times, anew=True, home=plan.home)
            for name, times in plan.times(plan.scale.exports).items()
        }
    }


def _start(plan: Plan) -> Results:
    return {
        "start": {
            name: start.measure(plan.folder / name, plan.peers, times, plan.home)
            for name, times in plan.times(plan.scale.starts).items()
        }
    }


def _sweep(plan: Plan) -> Results:
    return rows.sweep(plan.folder, plan.scale, plan.home)


def _growth(plan: Plan) -> Results:
    return growth.measure(plan.folder, plan.scale, plan.home)


def _overhead(plan: Plan) -> Results:
    converted(read_model(plan.folder / "ensemble"), ["glulam"], home=plan.home)
    return {
        "overhead": in_child("benchmarks.overhead:measure", directory=str(plan.folder), calls=plan.scale.overhead_calls)
    }


def _precision(plan: Plan) -> Results:
    return {"precision": in_child("benchmarks.precision:measure", directory=str(plan.folder), scale=asdict(plan.scale))}


def _calls(plan: Plan, model: str, parts: Sequence[str]) -> Results:
    return rows.calls(plan.folder, model, plan.peers, parts, plan.scale, plan.home)
