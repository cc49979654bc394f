"""Instructions of the tree kernel, counted by valgrind's callgrind and held against those of a known state.

``python -m benchmarks instructions``: unlike times they are the same on a busy machine, so that a
continuous check may rely on them. They say nothing of caches and branches.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["compare", "count", "main"]

ROOT = Path(__file__).parents[1]
KNOWN = ROOT / "benchmarks" / "instructions.json"
KINDS = ("shallow", "deep", "classes", "double")
WALKING = ("walk", "forest", "pack")
ACTS = ("pack", "single", "batch")
SAME_COMPILER, OTHER_COMPILER = 0.05, 0.30
"""How much more than known is let pass."""
NEEDED = "needs g++ and valgrind, on Linux: apt-get install g++ valgrind"
Counts = dict[str, dict[str, float]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, print, compare; return 1 if a count is too high, 2 if nothing can be counted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks instructions", description=__doc__)
    parser.add_argument("--update", action="store_true", help=f"accept the counts: write {KNOWN.relative_to(ROOT)}")
    chosen = parser.parse_args(arguments)
    compiler = _compiler()
    if compiler is None or not shutil.which("valgrind"):
        print(f"instructions: {NEEDED}", file=sys.stderr)
        return 2
    found = {"machine": platform.machine(), "compiler": _version(compiler), "counts": count(compiler)}
    if chosen.update:
        KNOWN.write_text(json.dumps(found, indent=1) + "\n")
        print(f"written: {KNOWN.relative_to(ROOT)}")
        return 0
    lines, failed = compare(found, json.loads(KNOWN.read_text()))
    print("\n".join(lines))
    return int(failed)


def count(compiler: Sequence[str]) -> Counts:
    """Return instructions by kind of forest and act: packing in all, walks by split that a row meets."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "walk"
        sources = [ROOT / "benchmarks" / "walk.cpp", *sorted((ROOT / "kernel").glob("*.cpp"))]
        # Only what packs and walks, not what speaks to onnxruntime: compiling takes longer than counting.
        sources = [source for source in sources if source.stem.startswith(WALKING)]
        flags = ["-std=c++17", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-pthread"]
        subprocess.run([*compiler, *flags, *map(str, sources), "-o", str(program)], check=True)
        return {kind: _of_kind(program, kind) for kind in KINDS}


def compare(found: dict[str, Any], known: dict[str, Any]) -> tuple[list[str], bool]:
    """Return a line a count, and whether one is too high."""
    if found["machine"] != known["machine"]:
        return [f"counts are known for {known['machine']}, this is {found['machine']}: nothing to compare"], False
    same = found["compiler"] == known["compiler"]
    allowed = SAME_COMPILER if same else OTHER_COMPILER
    lines = [] if same else [f"known by {known['compiler']}, counted by {found['compiler']}: {allowed:.0%} are allowed"]
    failed = lower = False
    for kind, counts in found["counts"].items():
        for act, value in counts.items():
            before = known["counts"].get(kind, {}).get(act)
            if before is None:
                failed = True
                lines.append(f"FAIL {kind} {act}: {value:,.2f}, not known")
                continue
            change = value / before - 1
            failed |= change > allowed
            lower |= change < -allowed
            word = "FAIL" if change > allowed else "ok"
            unit = "instructions" if act == "pack" else "a split"
            lines.append(f"{word} {kind} {act}: {value:,.2f} {unit}, known {before:,.2f} ({change:+.1%})")
    accept = "python -m benchmarks instructions --update"
    if failed:
        lines.append(f"more instructions than known by over {allowed:.0%}; if that is meant, accept them: {accept}")
    elif lower:
        lines.append(f"fewer instructions than known: keep what was gained: {accept}")
    return lines, failed


def _of_kind(program: Path, kind: str) -> dict[str, float]:
    levels = int(subprocess.run([str(program), kind, "levels"], capture_output=True, text=True, check=True).stdout)
    total = {act: _executed(program, kind, act) for act in ("tables", *ACTS)}
    return {
        "pack": total["pack"] - total["tables"],
        "single": round((total["single"] - total["pack"]) / levels, 3),
        "batch": round((total["batch"] - total["pack"]) / levels, 3),
    }


def _executed(program: Path, kind: str, act: str) -> int:
    """Return the instructions of one run."""
    written = program.with_suffix(".callgrind")  # not /dev/null, which must not be replaced by a file
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={written}", str(program), kind, act]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if not found:
        raise RuntimeError(f"valgrind gives no count: {done.stderr[-500:]}")
    return int(found[1])


def _compiler() -> list[str] | None:
    """Return the compiler: $CXX, or g++ if there is one."""
    named = os.environ.get("CXX", "").split()
    return named or (["g++"] if shutil.which("g++") else None)


def _version(compiler: Sequence[str]) -> str:
    said = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=True).stdout
    return said.splitlines()[0]
