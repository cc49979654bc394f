"""Every configuration of the tests' matrix through the stock converters, and through glulam.

``python -m benchmarks converters``: which of them answer as their library does, and where they do not.
Converters and onnxruntime may crash or never end, so they run in a process that is watched, one a
library, and started again behind the case that brought it down.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.child import in_child
from benchmarks.stock import CONVERTERS

__all__ = ["COLUMNS", "main", "markdown", "run"]

ROOT = Path(__file__).parents[1]
SECONDS = 120
"""How long one conversion and its comparison may take; libraries are imported in that time too."""
WORKER = [sys.executable, "-m", "benchmarks.converting"]
CONTESTANTS = ("stock", "glulam")
COLUMNS = {
    "exact": "exact",
    "ordinary": "wrong on ordinary rows",
    "missing": "wrong with NaN",
    "threshold": "wrong at thresholds",
    "category": "wrong on odd codes",
    "extreme": "wrong on extreme values",
    "fails": "does not convert or load",
    "refused": "refused by name",
}
Task = tuple[str, str]
"""A case's name and a contestant."""


def run(tasks: Sequence[Task], seconds: float = SECONDS) -> Iterator[tuple[Task, str, str]]:
    """Yield what is found of each task; one that brings its process down, or never ends, fails."""
    with tempfile.TemporaryDirectory() as folder:
        waiting = list(tasks)
        attempt = 0
        while waiting:
            attempt += 1
            answer = Path(folder) / f"{attempt}.jsonl"
            ended = _watched(answer, waiting, seconds)
            lines = [json.loads(line) for line in answer.read_text().splitlines()] if answer.is_file() else []
            done = [line for line in lines if "done" in line]
            for line in done:
                yield (line["done"][0], line["done"][1]), line["found"], line["detail"]
            waiting = waiting[len(done) :]
            if waiting and lines:
                yield waiting[0], "fails", ended
                waiting = waiting[1:]
            elif waiting:
                reason = answer.with_suffix(".err").read_text(errors="replace").strip()
                raise RuntimeError(f"the process that converts does not start: {ended}: {reason}")


def _watched(answer: Path, tasks: Sequence[Task], seconds: float) -> str:
    """Run tasks in a process until they are done, it ends, or nothing more comes; return how it ended."""
    command = [*WORKER, str(answer), json.dumps(tasks)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    # What converters and onnxruntime say beside their errors is not for the reader of the table.
    with answer.with_suffix(".err").open("w") as said:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)
    size, since = 0, time.monotonic()
    while process.poll() is None:
        time.sleep(0.1)
        now = answer.stat().st_size if answer.is_file() else 0
        if now > size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > seconds:
            process.kill()
            process.wait()
            return f"not done in {seconds:g} s"
    return f"its process ends with status {process.returncode}"


def main(arguments: Sequence[str]) -> int:
    """Judge all cases, print the tables; return 1 if glulam is wrong anywhere."""
    chosen = _parser().parse_args(arguments)
    known = in_child("benchmarks.converting:listed")
    results = [
        case
        for case in known
        if (chosen.library or "").lower() in case["library"].lower() and (chosen.case or "") in case["name"]
    ]
    found: dict[Task, tuple[str, str]] = {}
    for library in dict.fromkeys(case["library"] for case in results):
        tasks = [(case["case"], each) for case in results if case["library"] == library for each in CONTESTANTS]
        print(f"... {library}: {len(tasks) // 2} cases", file=sys.stderr, flush=True)
        found |= {task: (kind, detail) for task, kind, detail in run(tasks)}
    for case in results:
        for each in CONTESTANTS:
            case[each], case[f"{each}_detail"] = found[case["case"], each]
    text = markdown(results, machine.describe()["versions"], whole=chosen.all)
    print(text, end="")
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1) + "\n")
    if chosen.out:
        chosen.out.write_text(text)
    return int(any(result["glulam"] not in ("exact", "refused") for result in results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks converters", description=__doc__.partition("\n")[0])
    parser.add_argument("--all", action="store_true", help="print every case as well")
    parser.add_argument("--library", metavar="TEXT", help="cases of libraries whose name has this in it")
    parser.add_argument("--case", metavar="TEXT", help="cases whose name has this in it")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write what was found of each case, and how it was seen"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write what is printed")
    return parser


def markdown(results: Sequence[dict[str, Any]], versions: dict[str, str], *, whole: bool) -> str:
    """Return the totals as a table, by library and in all; with ``whole`` a table of the cases too."""
    libraries = list(dict.fromkeys(result["library"] for result in results))
    groups = [(library, [each for each in results if each["library"] == library]) for library in libraries]
    groups.append(("all", list(results)))
    lines = [
        "| | | configurations | " + " | ".join(COLUMNS.values()) + " |",
        "|---|---|" + "---:|" * (len(COLUMNS) + 1),
    ]
    for name, group in groups:
        for contestant in CONTESTANTS:
            counts = Counter(result[contestant] for result in group)
            converters = sorted({CONVERTERS[result["converter"]] for result in group})
            who = "glulam" if contestant == "glulam" else converters[0] if len(converters) == 1 else "stock converters"
            cells = [
                name if contestant == "stock" else "",
                who,
                str(len(group)),
                *(str(counts[key]) for key in COLUMNS),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    text = "\n".join(lines) + "\n\n" + ", ".join(f"{name} {version}" for name, version in versions.items()) + "\n"
    if whole:
        lines = ["", "| library | configuration | stock converter | glulam |", "|---|---|---|---|"]
        lines += [
            f"| {each['library']} | {each['name']} | {COLUMNS[each['stock']]} | {COLUMNS[each['glulam']]} |"
            for each in results
        ]
        text += "\n".join(lines) + "\n"
    return text
