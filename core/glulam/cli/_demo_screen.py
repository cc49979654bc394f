"""What `glulam demo` prints: one function a stage, from the stage's results."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table

__all__ = ["show_candles", "show_evaluation", "show_export", "show_serving", "show_timing", "show_end"]

INDENT = "  "


def _heading(console: Console, text: str) -> None:
    # No markup anywhere: a path may hold what rich takes for it.
    console.print(f"\n{text}", style="bold", markup=False, highlight=False, soft_wrap=True)


def _say(console: Console, text: str) -> None:
    filled = textwrap.fill(text, console.width, initial_indent=INDENT, subsequent_indent=INDENT)
    console.print(filled, markup=False, highlight=False, soft_wrap=True)


def _table(console: Console, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table without rules; the first column is text, the others are numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    console.print(Padding.indent(table, len(INDENT)))


def show_candles(console: Console, candles: dict[str, Any], features: dict[str, Any]) -> None:
    """Print what came in, and how many rows are left with features and a label."""
    _heading(console, f"1 Candles: {candles['file']}")
    _say(
        console,
        f"{candles['start'][:10]} to {candles['end'][:10]}, every {candles['step_seconds'] / 3600:g} h: "
        f"{candles['rows']:,} rows, {candles['dropped']} dropped; "
        f"{candles['gaps']} gaps left in ({candles['missing_bars']} bars missing)",
    )
    _say(
        console,
        f"{len(features['columns'])} features: {candles['kept']:,} - {features['warm_up']} warm-up - "
        f"{features['unlabelled']} without a next bar = {features['rows']:,} rows; "
        f"next close higher in {features['up_share']:.1%}",
    )


def show_evaluation(console: Console, evaluation: dict[str, Any]) -> None:
    """Print the scores by fold beside those of the baselines, and what to make of them."""
    folds, whole = evaluation["folds"], evaluation["all"]
    _heading(console, f"2 Walk-forward, {len(folds)} expanding folds with a gap of 1 bar")

    def cells(scores: dict[str, Any]) -> list[str]:
        model = scores["ensemble"]
        return [f"{model[key]:.3f}" for key in ("auc", "accuracy", "f1")] + [
            f"{scores[name][key]:.3f}" for name in ("majority", "always_up") for key in ("accuracy", "f1")
        ]

    rows = [
        [str(number), f"{fold['train']:,}", f"{fold['test']:,}", *cells(fold)] for number, fold in enumerate(folds, 1)
    ]
    columns = ["fold", "train", "test", "AUC", "accuracy", "F1"]
    columns += ["majority\naccuracy", "\nF1", "always up\naccuracy", "\nF1"]
    _table(console, columns, [*rows, ["all", "", "", *cells(whole)]])
    auc, (low, high), best = whole["ensemble"]["auc"], evaluation["auc_interval"], evaluation["best_baseline"]
    _say(
        console,
        f"AUC {auc:.3f} ({low:.3f} to {high:.3f}); the best baseline, {best['name'].replace('_', ' ')}, has "
        f"{best['auc']:.3f}. About 0.51 to 0.53 is what honest looks like for the next bar's direction (single folds "
        "scatter by about 0.02; 0.60 would mean a leak).",
    )
    ours, up = whole["ensemble"]["f1"], whole["always_up"]["f1"]
    down = any(fold["majority"]["f1"] == 0 for fold in folds)
    told = f"Always saying up has the higher F1, {up:.3f} against {ours:.3f}: F1 alone misleads. " if up > ours else ""
    told += "The majority's F1 is 0 where it always says down. " if down else ""
    for suspicion in evaluation["suspicions"]:
        told += f"{suspicion}. "
    _say(console, told + f"Leak checks: {len(evaluation['checked_for'])}, {len(evaluation['suspicions'])} suspicious.")


def show_export(console: Console, export: dict[str, Any]) -> None:
    """Print the final fit, the file, and its proof with a line a family of rows."""
    members = ", ".join(f"{name} {weight:g}" for name, weight in export["members"].items())
    parity = export["parity"]
    _heading(
        console,
        f"3 Fit on all rows ({export['fit_seconds']:.1f} s), export to ensemble.onnx "
        f"({export['export_seconds']:.1f} s, {_size(export['file_bytes'])})",
    )
    _say(console, f"{members}, {export['voting']} vote; each vote held to its library's own:")
    whole = {"family": "all", **{key: parity[key] for key in ("rows", "largest_difference", "label_differences")}}
    rows = [
        [each["family"], f"{each['rows']:,}", f"{each['largest_difference']:.1e}", str(each["label_differences"])]
        for each in (*parity["families"], whole)
    ]
    _table(console, ["family", "rows", "largest difference", "labels that differ"], rows)
    told = f"{parity['precision']}, tolerance {parity['tolerance']:g}; labels may differ only at a native tie"
    for each in parity["families"]:
        if each["refused_by"]:
            told += f"; {', '.join(each['refused_by'])} takes no {each['family']} rows: reference interpreter there"
    _say(console, told)


def show_serving(console: Console, serving: dict[str, Any]) -> None:
    """Print what the separate process could import, and how its answers compare."""
    _heading(console, f"4 A separate process in which {len(serving['blocked'])} packages cannot be imported")
    _say(console, f"blocked: {', '.join(serving['blocked'])}")
    found = ", ".join(serving["blocked_imported"]) or "none"
    _say(console, f"imported beside Python's own: {', '.join(serving['packages'])}; of the blocked: {found}")
    _say(
        console,
        f"{serving['rows']:,} rows: probabilities equal bit for bit to this process's run of the file; "
        f"{serving['largest_difference']:.1e} at most from the libraries'; "
        f"labels equal: {serving['labels_equal']:,} of {serving['rows']:,}",
    )


def show_timing(console: Console, timing: dict[str, Any], serving: dict[str, Any], export: dict[str, Any]) -> None:
    """Print native against glulam: time, memory and size."""
    single, batch = timing["single"], timing["batch"]
    _heading(console, "5 The libraries' predict_proba against the file, one thread each, taking turns")
    pairs = [
        ("one row, p50", single["native"]["p50"], single["glulam"]["p50"], _duration),
        ("one row, p99", single["native"]["p99"], single["glulam"]["p99"], _duration),
        (f"{batch['rows']:,} rows, p50", batch["native"]["p50"], batch["glulam"]["p50"], _duration),
        (
            "process start to first answer",
            serving["native"]["seconds_to_first"],
            serving["seconds_to_first"],
            _duration,
        ),
        ("memory of that process", serving["native"]["memory_bytes"], serving["memory_bytes"], _size),
        ("saved ensemble, exported file", export["trained_bytes"], export["file_bytes"], _size),
    ]
    rows = [
        [what, show(native), show(ours), f"{_short(native / ours)} x"]
        for what, native, ours, show in pairs
        if native and ours
    ]
    _table(console, ["", "libraries", "glulam", "ratio"], rows)
    _say(console, _walked_by(timing))


def _walked_by(timing: dict[str, Any]) -> str:
    """Return which kernel walked the file's trees, and what that was worth."""
    if timing["kernel"] != "glulam":
        return f"onnxruntime's own kernel walked the trees: {timing['kernel_reason']}."
    single, batch = timing["single"], timing["batch"]
    took = [part["builtin"]["p50"] for part in (single, batch)]
    ratios = [part["builtin"]["p50"] / part["glulam"]["p50"] for part in (single, batch)]
    return (
        f"glulam's kernel walked the trees. With onnxruntime's own, the same file takes {_duration(took[0])} for one "
        f"row and {_duration(took[1])} for {batch['rows']:,}: {_short(ratios[0])} x and {_short(ratios[1])} x as long."
    )


def show_end(console: Console, seconds: float, out: Path | None, report: Path | None) -> None:
    """Print how long it all took, and where files and report are if they were to be kept."""
    _heading(console, f"{seconds:.0f} s in all")
    kept = "nothing was kept; glulam demo --out DIR keeps ensemble.onnx, the trained ensemble and the report"
    if out:
        kept = f"ensemble.onnx and the trained ensemble are in {out}; read {report or 'the report there'}"
    console.print(f"{INDENT}{kept}", markup=False, highlight=False, soft_wrap=True)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _duration(seconds: float) -> str:
    for factor, unit in ((1.0, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{_short(seconds * factor)} {unit}"
    return f"{_short(seconds * 1e6)} us"


def _size(size: float) -> str:
    return f"{_short(size / 1e6)} MB"
