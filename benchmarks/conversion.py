"""Export, conversion, compilation: seconds, peak memory and file size of each peer, in a fresh process."""

from __future__ import annotations

import importlib
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.child import in_child, peak_bytes, resident_bytes
from benchmarks.environments import HOME, NotReadyError, python_of
from benchmarks.models import Model, read_model
from benchmarks.peers import OWN, PEERS, UnsupportedError

__all__ = ["convert", "converted", "forget"]

FIGURES = "figures.json"


def converted(
    model: Model, peers: Sequence[str], times: int = 1, *, anew: bool = False, home: Path = HOME
) -> dict[str, dict[str, Any]]:
    """Convert a model for those who need it; return figures, or ``refused`` and the reason, by peer.

    What was converted before is kept, unless it is to be measured ``anew``.
    """
    found = {}
    for name in (peer for peer in peers if PEERS[peer].converts):
        kept = PEERS[name].folder(model) / FIGURES
        if anew or not kept.is_file():
            found[name] = _anew(model, name, times, home)
        else:
            found[name] = json.loads(kept.read_text())
    return found


def forget(models: Path) -> None:
    """Remove what peers that live with glulam have converted: its code may have changed since."""
    for name in (name for name, peer in PEERS.items() if peer.environment == OWN):
        for folder in models.glob(f"*/converted/{name}"):
            shutil.rmtree(folder)


def _anew(model: Model, name: str, times: int, home: Path) -> dict[str, Any]:
    """Convert in some fresh processes; return the median of seconds, the largest of memory."""
    folder = PEERS[name].folder(model)
    try:
        python = python_of(PEERS[name].environment, home)
    except NotReadyError as error:
        return {"refused": str(error)}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    runs: list[dict[str, Any]] = []
    for _ in range(times):
        try:
            runs.append(in_child("benchmarks.conversion:convert", python, peer=name, folder=str(model.folder)))
        except RuntimeError as error:
            runs.append({"refused": str(error)})
        if "refused" in runs[-1]:
            break
    made = runs[-1]
    if "refused" not in made:
        made |= {"seconds": median(run["seconds"] for run in runs)}
        made |= {key: max(run[key] for run in runs) for key in ("peak_bytes", "increase_bytes")}
    (folder / FIGURES).write_text(json.dumps(made) + "\n")
    return made


def convert(peer: str, folder: str) -> dict[str, Any]:
    """Convert once; return what it took (in a child). Imports are done before; loading the members is part of it."""
    model, chosen = read_model(folder), PEERS[peer]
    for module in chosen.converts_by:
        importlib.import_module(module)
    before = resident_bytes()
    begun = time.perf_counter()
    try:
        chosen.convert(model, chosen.folder(model))
    except UnsupportedError as error:
        return {"refused": str(error)}
    except Exception as error:  # whatever a library raises is its reason
        return {"refused": f"does not convert: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"[:300]}
    seconds, peak = time.perf_counter() - begun, peak_bytes()
    return {
        "seconds": seconds,
        "before_bytes": before,
        "peak_bytes": peak,
        "increase_bytes": max(0, peak - before),
        "file_bytes": sum(each.stat().st_size for each in chosen.folder(model).rglob("*") if each.is_file()),
    }
