"""The results as Markdown: one table of all peers, and what else was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.claims import figures_of, goals
from benchmarks.curves import curve, grown
from benchmarks.peers import PEERS
from benchmarks.settings import MODELS
from benchmarks.tables import MB, MS, SECONDS, TIMES, TINY, US, cell, duration, table

__all__ = ["claim_lines", "markdown"]

Row = dict[str, Any]
PRECISIONS = ("float32", "float64")
COSTS: tuple[tuple[str, str, str, Callable[[float], str]], ...] = (
    ("convert", "seconds", "export or convert s", SECONDS),
    ("convert", "peak_bytes", "peak MB", MB),
    ("convert", "increase_bytes", "of it the export's MB", MB),
    ("convert", "file_bytes", "file MB", MB),
    ("start", "start_seconds", "start to answer ms", MS),
    ("start", "load_seconds", "load ms", MS),
    ("start", "resident_bytes", "serving MB", MB),
)


def markdown(run: Row) -> str:
    """Return a whole run as Markdown."""
    results = run["results"]
    parts = [
        _heading(run), _models(run["workload"]), _peers(results), _absent(results), _costs(results), _goals(results),
        _overhead(results.get("overhead", {})), _precisions(results, run["scale"]["batch"]),
        curve(results.get("sweep", [])), grown(results.get("growth", [])), claim_lines(run["claims"]),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _heading(run: Row) -> str:
    machine = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']} at the start; {machine['system']}, "
        f"Python {machine['python']}; {versions}" + (f"; {run['date']}" if "date" in run else "")
    ]
    if run["quick"]:
        lines += ["", "**--quick: nothing here is a measurement**"]
    return "\n".join(lines)


def _models(workload: Row) -> str:
    rows = [
        [
            name, MODELS[name], " + ".join(str(count) for count in each["trees"]), f"{sum(each['nodes']):,}",
            f"{each['levels']:,.0f}",
        ]
        for name, each in workload["models"].items()
    ]  # fmt: skip
    return table(["model", "what it is", "trees", "nodes with leaves", "splits met by a row"], rows, text=2)


def _peers(results: Row) -> str:
    """Return the table of all peers: times by rows and threads, ratios to glulam, and how far they are off."""
    measured = {(r["rows"], r["threads"], r["cache"] == "cold"): r["cache"] for r in results.get("calls", [])}
    kinds = sorted(measured, key=lambda kind: (kind[0], kind[2], kind[1]))
    heads = ["model", "peer"]
    for size, threads, cold in kinds:
        name = f"{size:,} row{'s' * (size > 1)}" + ", cold" * cold + ", 2 threads" * (threads == 2)
        heads += [f"{name}, p50"] + (["p99", "p99.9"] if (size, threads, cold) == (1, 1, False) else [])
    hot = [(size, threads, cold) for size, threads, cold in kinds if threads == 1 and not cold]
    heads += [f"{size:,}: times glulam's" for size, _, _ in hot] + ["off, training rows", "off, hard rows"]
    rows = []
    for model in dict.fromkeys(record["model"] for record in results.get("calls", [])):
        found = {kind: figures_of(results, model, kind[0], measured[kind], kind[1]) for kind in kinds}
        for peer in (peer for peer in PEERS if any(peer in figures for figures in found.values())):
            row = [model, PEERS[peer].label]
            for kind in kinds:
                figures = found[kind].get(peer, {})
                wanted = ("p50", "p99", "p999") if kind == (1, 1, False) else ("p50",)
                row += [cell(figures, key, duration) for key in wanted]
            row += [cell(found[kind].get(peer, {}), "ratio", TIMES) for kind in hot]
            far = results.get("differences", {}).get(model, {}).get(peer, {})
            row += [cell(far, name, TINY) for name in ("training", "hard")]
            rows.append(row)
    return table(heads, rows, text=2) if rows else ""


def _absent(results: Row) -> str:
    """Return who does not take part in what, and why."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for model, gone in results.get("gone", {}).items():
        for peer, reason in gone.items():
            reasons.setdefault((peer, reason), []).append(model)
    lines = [
        f"- {PEERS[peer].label}, {', '.join(models)}: {reason}" for (peer, reason), models in sorted(reasons.items())
    ]
    return "Not in the table:\n\n" + "\n".join(lines) if lines else ""


def _costs(results: Row) -> str:
    """Return the table of exports and starts: what it takes to get there."""
    columns = [column for column in COSTS if column[0] in results]
    models = dict.fromkeys(model for section, *_ in columns for model in results[section])
    rows = []
    for model in models:
        for peer in PEERS:
            cells = [cell(results[part].get(model, {}).get(peer, {}), key, form) for part, key, _, form in columns]
            if any(cells):
                rows.append([model, PEERS[peer].label, *cells])
    return table(["model", "peer", *(head for _, _, head, _ in columns)], rows, text=2) if rows else ""


def _goals(results: Row) -> str:
    rows = []
    for goal in goals(results):
        cells = [_reached(goal["cells"].get(str(size))) for size in (1, 100, 10_000)]
        cold = "" if goal["cold"] is None else f"{goal['cold']:,.1f}"
        rows.append([goal["text"], PEERS[goal["ours"]].label, *cells, cold])
    heads = ["how many times faster than", "ours", "1 row", "100 rows", "10,000 rows", "1 row, cold"]
    return table(heads, rows, text=2) if rows else ""


def _reached(each: Row | None) -> str:
    return f"{each['ratio']:,.1f} of {each['wanted']:g}: {'PASS' if each['reached'] else 'below'}" if each else ""


def _overhead(overhead: dict[str, Row]) -> str:
    heads = ["one row", "predict_proba", "session.run", "bound run", "above session.run", "above the bound run"]
    names = {"ensemble": "the ensemble's file", "small": "a file of a few nodes"}
    keys = ("predict_proba_p50", "session_run_p50", "bound_run_p50", "added", "added_to_bound")
    rows = [[names[name], *(f"{each[key] * 1e6:,.2f} us" for key in keys)] for name, each in overhead.items()]
    return table(heads, rows) if rows else ""


def _precisions(results: Row, batch: int) -> str:
    """Return float32 and float64 side by side, and the verdict."""
    if "precision" not in results:
        return ""
    precision = results["precision"]
    rows = []
    for key, head, form in (
        ("hot", "1 row, warm caches, us", US),
        ("cold", "1 row, cold caches, us", US),
        ("batch", f"{batch:,} rows, ms", MS),
    ):
        low, high = (precision[key][name] for name in PRECISIONS)
        spread = f"{high['ratio']:.2f} ({high['ratio_low']:.2f} to {high['ratio_high']:.2f})"
        rows.append([head, form(low["p50"]), form(high["p50"]), spread])
    files = [precision["files"][name] for name in PRECISIONS]
    for key, head, form in (
        ("export_seconds", "export s", SECONDS),
        ("file_bytes", "file MB", MB),
        ("difference_training", "probabilities' difference to native, training rows", TINY),
        ("difference_hard", "probabilities' difference to native, hard rows", TINY),
    ):
        rows.append([head, *(form(each[key]) for each in files), TIMES(files[1][key] / files[0][key])])
    for member in files[0]["proof_differences"]:
        found = [TINY(each["proof_differences"][member]) for each in files]
        rows.append([f"vote's difference to native, {member}, proof's rows", *found, ""])
    made = table(["precision", *PRECISIONS, "float64 / float32 (quartiles)"], rows)
    return f"{made}\n\n{_verdict(precision)}"


def _verdict(precision: Row) -> str:
    """Return what float64 costs and what it gives, as one line."""
    cost = {key: 100 * (precision[key]["float64"]["ratio"] - 1) for key in ("hot", "cold", "batch")}
    far = [precision["files"][name]["difference_hard"] for name in PRECISIONS]
    return (
        f"Verdict: float64 costs {cost['hot']:+.0f} % at one row with warm caches, {cost['cold']:+.0f} % with "
        f"cold ones, {cost['batch']:+.0f} % on the batch; the largest difference to native goes from "
        f"{far[0]:.1e} to {far[1]:.1e}."
    )


def claim_lines(claims: Sequence[Row]) -> str:
    """Return a line a claim: pass, FAIL or not judged, and what was measured. An aim that is missed is below."""

    def word(claim: Row) -> str:
        return {True: "pass", False: "below" if claim["aim"] else "FAIL", None: "not judged"}[claim["passed"]]

    return "\n".join(f"- {word(claim)}: {claim['text']} ({claim['measured']:.2f} {claim['unit']})" for claim in claims)
