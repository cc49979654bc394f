"""The commands: ``python -m benchmarks``, ``python -m benchmarks converters`` and ``python -m benchmarks scale``."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import claims, converters, export, machine, report, serving
from benchmarks import scale as large
from benchmarks.child import in_child
from benchmarks.workload import FULL, QUICK, Scale

SECTIONS = ("export", "load", "memory", "latency", "batch", "precision", "overhead")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, store; return 1 if a claim fails."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["converters"]:
        return converters.main(given[1:])
    if given[:1] == ["scale"]:
        return large.main(given[1:])
    chosen = _parser().parse_args(given)
    scale = QUICK if chosen.quick else FULL
    run: dict[str, Any] = {"quick": chosen.quick, "machine": machine.describe(), "scale": asdict(scale)}
    if chosen.date:
        run["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    with tempfile.TemporaryDirectory(prefix="glulam-benchmarks-") as directory:
        _say("fit the ensemble")
        run["workload"] = in_child("benchmarks.workload:fit", directory=directory, trees=scale.trees, rows=scale.rows)
        run["results"] = measure(chosen.only, scale, directory)
    run["claims"] = claims.judge(run["results"], quick=chosen.quick)
    text = report.markdown(run)
    print(text, end="")
    if chosen.json:
        chosen.json.write_text(json.dumps(run, indent=1) + "\n")
    if chosen.out:
        chosen.out.write_text(text)
    return int(any(claim["passed"] is False for claim in run["claims"]))


def measure(sections: Sequence[str], scale: Scale, directory: str) -> dict[str, Any]:
    """Return the figures of the wanted sections. Seconds and bytes throughout."""
    results: dict[str, Any] = {}
    wanted = set(sections)
    # precision exports for itself, overhead needs one file, all others need all.
    exporters = ["glulam", "skl2onnx"] if wanted - {"precision", "overhead"} else ["glulam"]
    if wanted - {"precision"}:
        _say("export")
        times = scale.exports if "export" in wanted else 1
        exported = {name: export.measure(directory, name, times, scale.proof_rows) for name in exporters}
        if "export" in wanted:
            results["export"] = exported
    if wanted & {"load", "memory"}:
        _say("start serving processes")
        served = serving.measure(directory, scale.starts)
        results |= {part: served for part in ("load", "memory") if part in wanted}
    if parts := [part for part in ("latency", "batch") if part in wanted]:
        _say("single rows and batches")
        results |= in_child("benchmarks.latency:measure", directory=directory, parts=parts, scale=asdict(scale))
    if "overhead" in wanted:
        _say("overhead")
        calls = scale.overhead_calls
        results["overhead"] = in_child("benchmarks.overhead:measure", directory=directory, calls=calls)
    if "precision" in wanted:
        _say("float32 against float64")
        results["precision"] = in_child("benchmarks.precision:measure", directory=directory, scale=asdict(scale))
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", type=_sections, default=list(SECTIONS), help=f"some of {','.join(SECTIONS)} (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help="tiny, to see that all of it runs; no claim is judged")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, in seconds and bytes")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write what is printed")
    parser.add_argument("--date", action="store_true", help="put today's date into the results")
    return parser


def _sections(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = sorted(set(names) - set(SECTIONS))
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"unknown {unknown}; expected some of {','.join(SECTIONS)}")
    return names


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
