"""The results as Markdown: one table of contestants, one of precisions, and the claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.contestants import LABELS
from benchmarks.precision import PRECISIONS

__all__ = ["claim_lines", "markdown"]

Row = dict[str, Any]


def _number(scale: float, form: str) -> Callable[[float], str]:
    return lambda value: format(value * scale, form)


SECONDS, MS, US, MB = _number(1, ",.2f"), _number(1e3, ",.1f"), _number(1e6, ",.1f"), _number(1e-6, ",.1f")
TIMES, TINY = _number(1, ",.2f"), _number(1, ".0e")

COLUMNS: tuple[tuple[str, str, str, Callable[[float], str]], ...] = (
    ("export", "seconds", "export s", SECONDS),
    ("export", "peak_bytes", "peak MB", MB),
    ("export", "increase_bytes", "of it export's MB", MB),
    ("export", "file_bytes", "file MB", MB),
    ("load", "load_seconds", "load ms", MS),
    ("load", "start_seconds", "start to answer ms", MS),
    ("memory", "resident_bytes", "serving MB", MB),
    ("latency", "p50", "1 row, p50 us", US),
    ("latency", "p99", "1 row, p99 us", US),
    ("latency", "ratio", "1 row, ratio", TIMES),
    ("batch", "p50", "{batch:,} rows, ms", MS),
    ("batch", "ratio", "{batch:,} rows, ratio", TIMES),
    ("export", "difference_training", "difference, training rows", TINY),
    ("export", "difference_hard", "difference, hard rows", TINY),
)


def markdown(run: dict[str, Any]) -> str:
    """Return a whole run as Markdown."""
    results = run["results"]
    parts = [_heading(run), _contestants(results, run["scale"]["batch"])]
    if "overhead" in results:
        parts.append(_overhead(results["overhead"]))
    if "precision" in results:
        parts += [_precisions(results["precision"], run["scale"]["batch"]), verdict(results["precision"])]
    parts.append(claim_lines(run["claims"]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _heading(run: dict[str, Any]) -> str:
    machine, workload = run["machine"], run["workload"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    members = ", ".join(
        f"{name} {each['trees']} trees, {each['splits'] + each['leaves']:,} nodes"
        for name, each in workload["members"].items()
    )
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']} at the start; {machine['system']}, "
        f"Python {machine['python']}; {versions}" + (f"; {run['date']}" if "date" in run else ""),
        "",
        f"{workload['rows']:,} training rows, {workload['features']} features; {workload['nodes']:,} nodes "
        f"with leaves ({members})" + ("; **--quick: nothing here is a measurement**" if run["quick"] else ""),
    ]
    return "\n".join(lines)


def _contestants(results: dict[str, Any], batch: int) -> str:
    """Return the table of contestants, with a column for each figure that was measured."""
    columns = [column for column in COLUMNS if column[0] in results]
    names = [name for name in LABELS if any(name in results[column[0]] for column in columns)]
    heads = [head.format(batch=batch) for _, _, head, _ in columns]
    rows = [
        [LABELS[name], *(_cell(results[part].get(name, {}), key, form) for part, key, _, form in columns)]
        for name in names
    ]
    return _table(["", *heads], rows) if columns else ""


def _cell(figures: Row, key: str, form: Callable[[float], str]) -> str:
    return form(figures[key]) if key in figures else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table: text left, figures right."""
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _overhead(overhead: dict[str, Row]) -> str:
    heads = ["one row", "predict_proba us", "session.run us", "added us"]
    names = {"ensemble": "the ensemble's file", "small": "a file of a few nodes"}
    form = _number(1e6, ",.2f")
    rows = [
        [names[name], *(form(each[key]) for key in ("predict_proba_p50", "session_run_p50", "added"))]
        for name, each in overhead.items()
    ]
    return _table(heads, rows)


def _precisions(precision: dict[str, Any], batch: int) -> str:
    """Return float32 and float64 side by side."""
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
    return _table(["precision", *PRECISIONS, "float64 / float32 (quartiles)"], rows)


def verdict(precision: dict[str, Any]) -> str:
    """Return what float64 costs and what it gives, as one line."""
    cost = {key: 100 * (precision[key]["float64"]["ratio"] - 1) for key in ("hot", "cold", "batch")}
    far = [precision["files"][name]["difference_hard"] for name in PRECISIONS]
    return (
        f"Verdict: float64 costs {cost['hot']:+.0f} % at one row with warm caches, {cost['cold']:+.0f} % with "
        f"cold ones, {cost['batch']:+.0f} % on the batch; the largest difference to native goes from "
        f"{far[0]:.1e} to {far[1]:.1e}."
    )


def claim_lines(claims: Sequence[Row]) -> str:
    """Return a line a claim: pass, FAIL or not judged, and what was measured."""
    words = {True: "pass", False: "FAIL", None: "not judged"}
    return "\n".join(
        f"- {words[claim['passed']]}: {claim['text']} ({claim['measured']:.2f} {claim['unit']})" for claim in claims
    )
