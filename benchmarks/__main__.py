"""The commands: ``python -m benchmarks``, alone or with setup, report, converters, scale, stream or instructions."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import claims, conversion, converters, environments, instructions, machine, report, sections, stream
from benchmarks import scale as large
from benchmarks.peers import OWN, PEERS
from benchmarks.plot import svg
from benchmarks.sections import SECTIONS, Plan
from benchmarks.settings import FULL, MODELS, QUICK, QUICK_MODELS
from benchmarks.store import merge, workload

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 1 if a claim fails."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    commands: dict[str, Callable[[Sequence[str]], int]] = {
        "setup": _setup, "report": _report, "converters": converters.main, "scale": large.main,
        "stream": stream.main, "instructions": instructions.main,
    }  # fmt: skip
    if given and given[0] in commands:
        return commands[given[0]](given[1:])
    chosen = _parser().parse_args(given)
    scale = QUICK if chosen.quick else FULL
    chosen.models = chosen.models or list(QUICK_MODELS if chosen.quick else MODELS)
    run: dict[str, Any] = {"quick": chosen.quick, "machine": machine.describe(), "scale": asdict(scale)}
    if chosen.date:
        run["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    if not chosen.quick:
        environments.set_up({PEERS[peer].environment for peer in chosen.peers} - {OWN}, chosen.home)
    # A full run keeps its models, so that sections may be measured on different days.
    kept = nullcontext(str(chosen.home / "models"))
    with tempfile.TemporaryDirectory(prefix="glulam-benchmarks-") if chosen.quick else kept as directory:
        run["workload"] = workload(Path(directory), scale)
        conversion.forget(Path(directory))
        run["environments"] = _versions(chosen.peers, chosen.home)
        run["results"] = {}
        plan = Plan(Path(directory), chosen.models, chosen.peers, scale, chosen.home)
        for section, results in sections.measure(chosen.only, plan):
            run = merge([run, {**run, "results": results}])
            if chosen.json:  # after each section: what is done is not lost
                chosen.json.write_text(json.dumps(run, indent=1) + "\n")
            print(f"... {section}: done", file=sys.stderr, flush=True)
    return _tell(run, chosen)


def _setup(arguments: Sequence[str]) -> int:
    """Build the peers' environments; return 1 if one cannot be built."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks setup", description="build the peers' environments")
    known = environments.names()
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"some of {', '.join(known)} (default: all)")
    parser.add_argument("--again", action="store_true", help="also those that could not be built before")
    chosen = parser.parse_args(arguments)
    if unknown := sorted(set(chosen.peers) - set(known)):
        parser.error(f"unknown {unknown}; expected some of {', '.join(known)}")
    failed = environments.set_up(chosen.peers or known, again=chosen.again)
    for name, reason in failed.items():
        print(f"{name}: {reason}", file=sys.stderr)
    return int(bool(failed))


def _report(arguments: Sequence[str]) -> int:
    """Put runs together, the later over the earlier, and print; return 1 if a claim fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description=_report.__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN.json")
    _outputs(parser)
    chosen = parser.parse_args(arguments)
    try:
        run = merge([json.loads(path.read_text()) for path in chosen.runs])
    except ValueError as error:
        parser.error(str(error))
    return _tell(run, chosen)


def _tell(run: dict[str, Any], chosen: argparse.Namespace) -> int:
    """Judge, print and write; return 1 if a claim fails."""
    run["claims"] = claims.judge(run["results"], quick=run["quick"])
    run["goals"] = claims.goals(run["results"])
    text = report.markdown(run)
    print(text, end="")
    if chosen.json:
        chosen.json.write_text(json.dumps(run, indent=1) + "\n")
    if chosen.out:
        chosen.out.write_text(text)
    if chosen.plot and (picture := svg(run["results"].get("calls", []))):
        chosen.plot.write_text(picture)
    return int(any(claim["passed"] is False and not claim["aim"] for claim in run["claims"]))


def _versions(peers: Sequence[str], home: Path) -> dict[str, dict[str, str] | str]:
    """Return what is installed in each environment of the peers, or why there is none."""
    found: dict[str, dict[str, str] | str] = {}
    for name in dict.fromkeys(PEERS[peer].environment for peer in peers):
        try:
            found[name] = environments.versions(name, home)
        except environments.NotReadyError as error:
            found[name] = str(error)
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    for option, names in (("--only", SECTIONS), ("--models", MODELS), ("--peers", PEERS)):
        parser.add_argument(
            option,
            type=_some(names),
            default=None if names is MODELS else list(names),
            help=f"some of {','.join(names)} (default: all)",
        )
    parser.add_argument("--quick", action="store_true", help="tiny, to see that all of it runs; no claim is judged")
    parser.add_argument("--date", action="store_true", help="put today's date into the results")
    parser.add_argument(
        "--home", type=Path, default=environments.HOME, metavar="FOLDER", help="of environments and models"
    )
    _outputs(parser)
    return parser


def _outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, in seconds and bytes")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write what is printed")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the time of a call over its rows")


def _some(known: Sequence[str] | dict[str, Any]) -> Callable[[str], list[str]]:
    """Return a parser of some of the known names."""

    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        unknown = sorted(set(names) - set(known))
        if unknown or not names:
            raise argparse.ArgumentTypeError(f"unknown {unknown}; expected some of {','.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main())
