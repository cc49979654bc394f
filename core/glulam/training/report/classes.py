"""Sections on answers that are classes: calibration, ranking, confusion, thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.training.report import figures
from glulam.training.report.curves import precision_recall, reliability, roc
from glulam.training.report.page import Markup, Section, join, note, paragraph, reading, table, tag
from glulam.training.report.text import count, interval, number, percent, shorten
from glulam.training.results import RunResult

__all__ = ["calibration", "confusion", "ranking", "thresholds"]

Float64 = npt.NDArray[np.float64]
MOST_CLASSES = 20
"""Of a confusion matrix that somebody can still read."""


def calibration(result: RunResult) -> Section:
    """Return how often what the scores state comes true; for more classes, of the class with the highest score."""
    scores, y = result.evaluation.out_of_fold.scores, result.data.y[result.evaluation.out_of_fold.rows]
    if scores.min() < 0 or scores.max() > 1 + 1e-6:
        text = "The scores of this vote are no probabilities, so that there is nothing to be calibrated."
        return Section("calibration", "Calibration", paragraph(text))
    two = scores.shape[1] == 2
    stated = scores[:, 1] if two else scores.max(axis=1)
    correct = (y == 1) if two else (y == scores.argmax(axis=1))
    what = f"class {result.data.classes[1]}" if two else "the class that was chosen"
    points = reliability(correct, stated)
    parts = [
        _reliability(points, stated, what),
        reading(
            "Points on the diagonal mean what they say: of the rows with a stated probability of 60 %, 60 % came true. "
            "Vertical bars are 95 % intervals. Below the diagonal the ensemble is too sure of itself. The axes show "
            "only the range in which its answers lie."
        ),
        _histogram(stated, what),
    ]
    measured = [
        metric for metric in result.evaluation.metrics if "calibration" in f"{metric.name} {metric.title}".lower()
    ]
    for metric in measured:
        parts.append(paragraph(f"{metric.title} of the ensemble: {interval(metric.ensemble)}."))
    return Section("calibration", "Calibration", join(parts))


def _reliability(points: Mapping[str, Float64], stated: Float64, what: str) -> Markup:
    low = float(min(points["low"].min(), stated.min(), points["stated"].min()))
    high = float(max(points["high"].max(), stated.max(), points["stated"].max()))
    pad = 0.03 * (high - low) + 1e-3
    reach = [max(-0.02, low - pad), min(1.02, high + pad)]
    bars = {"type": "data", "array": points["high"] - points["happened"], "symmetric": False,
            "arrayminus": points["happened"] - points["low"], "thickness": 1.4, "width": 4}  # fmt: skip
    traces = [
        figures.line(reach, reach, "what is stated happens", 1, line={"color": figures.GREY, "dash": "dash"}),
        figures.line(points["stated"], points["happened"], "ensemble", 0, mode="lines+markers", error_y=bars,
                     customdata=points["rows"], marker={"size": 8},
                     hovertemplate="stated %{x:.3f}<br>happened %{y:.3f}<br>%{customdata:,.0f} rows<extra></extra>"),
    ]  # fmt: skip
    layout = {
        "xaxis": figures.axis(f"stated probability of {figures.label(what)}", range=reach),
        "yaxis": figures.axis("share that came true", range=reach),
    }
    return figures.figure("Stated probability against what happened", traces, layout, height=380)


def _histogram(stated: Float64, what: str) -> Markup:
    counts, edges = np.histogram(stated, bins=40)
    bars = {"type": "bar", "x": (edges[1:] + edges[:-1]) / 2, "y": counts.astype(np.float64), "width": np.diff(edges),
            "marker": {"color": figures.COLOURS[0]}, "name": "rows"}  # fmt: skip
    layout = {
        "xaxis": figures.axis(f"stated probability of {figures.label(what)}"),
        "yaxis": figures.axis("rows"),
        "bargap": 0,
    }
    return figures.figure("How the stated probabilities are spread", [bars], layout, height=200, legend=False)


def ranking(result: RunResult) -> Section:
    """Return ROC and precision-recall; for more classes, of each against the rest."""
    oof, data = result.evaluation.out_of_fold, result.data
    y = data.y[oof.rows]
    ranked: list[tuple[str, Any, Float64]] = []
    if len(data.classes) == 2:
        positive = f"class {shorten(data.classes[1])}"
        best = result.evaluation.best_baseline
        ranked.append(("ensemble", y == 1, oof.scores[:, 1]))
        if best in oof.baselines:
            ranked.append((f"baseline {best}", y == 1, oof.baselines[best][:, 1]))
    else:
        positive = "each class against the rest"
        ranked += [(str(name), y == index, oof.scores[:, index]) for index, name in enumerate(data.classes[:8])]
    # A class that no tested row has, or every one, cannot be ranked.
    ranked = [(name, is_, score) for name, is_, score in ranked if is_.any() and not is_.all()]
    if not ranked:
        text = "The tested rows are all of one class: nothing can be ranked."
        return Section("ranking", "ROC and precision-recall", paragraph(text))
    pair = tag("div", _roc(ranked), _precision_recall(ranked), class_="pair")
    share = ", ".join(percent(float(is_.mean())) for _, is_, _ in (ranked[:1] if len(data.classes) == 2 else ranked))
    of = f"{positive} is {share} of the rows" if len(data.classes) == 2 else f"the classes' shares are {share}"
    parts = [
        pair,
        reading(
            "ROC: the further a curve bends to the upper left, the better rows are ranked; the diagonal is guessing. "
            "Precision and recall: the higher a curve, the fewer false alarms for as many finds; guessing stays at the "
            f"share of the class ({of}). Its left end stands on a handful of rows."
        ),
    ]
    if len(data.classes) > 8:
        parts.append(note(f"Only the first 8 of {len(data.classes)} classes are drawn."))
    return Section("ranking", "ROC and precision-recall", join(parts))


def _roc(ranked: list[tuple[str, Any, Float64]]) -> Markup:
    traces = [{"type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "name": "guessing", "hoverinfo": "skip",
               "line": {"color": figures.GREY, "dash": "dash", "width": 1.2}}]  # fmt: skip
    traces += [figures.line(*roc(is_, score), name, index) for index, (name, is_, score) in enumerate(ranked)]
    layout = {
        "xaxis": figures.axis("false positive rate", range=[-0.01, 1.01]),
        "yaxis": figures.axis("true positive rate", range=[-0.01, 1.01]),
    }
    return figures.figure("ROC", traces, layout, height=400)


def _precision_recall(ranked: list[tuple[str, Any, Float64]]) -> Markup:
    traces = []
    if len(ranked) <= 2:
        share = float(ranked[0][1].mean())
        traces.append({"type": "scatter", "mode": "lines", "x": [0, 1], "y": [share, share], "name": "guessing",
                       "line": {"color": figures.GREY, "dash": "dash", "width": 1.2}})  # fmt: skip
    traces += [
        figures.line(*precision_recall(is_, score), name, index) for index, (name, is_, score) in enumerate(ranked)
    ]
    layout = {
        "xaxis": figures.axis("recall", range=[-0.01, 1.01]),
        "yaxis": figures.axis("precision", range=[-0.01, 1.03]),
    }
    return figures.figure("Precision and recall", traces, layout, height=400)


def confusion(result: RunResult) -> Section:
    """Return which classes were chosen for which, as counts and shares of the true class."""
    oof, data = result.evaluation.out_of_fold, result.data
    n = len(data.classes)
    if n > MOST_CLASSES:
        text = f"{n} classes are too many for a table that anybody reads."
        return Section("confusion", "Confusion matrix", paragraph(text))
    y, chosen = data.y[oof.rows], np.asarray(oof.labels).astype(np.int64)
    decided = (chosen >= 0) & (chosen < n)
    counts = np.bincount(y[decided] * n + chosen[decided], minlength=n * n).reshape(n, n)
    names = [shorten(name) for name in data.classes]
    rows = []
    for index, name in enumerate(names):
        total = int(counts[index].sum())
        cells = [_cell(int(each), total) for each in counts[index]]
        rows.append((f"is {name}", *cells, tag("span", f"{total:,}")))
    right = int(np.trace(counts))
    body = table(("", *(f"chosen {name}" for name in names), "rows"), rows)
    parts = [
        tag("div", body, class_="confusion"),
        reading(
            f"Rows are what was true, columns what was chosen; below each count is its share of the row. Right are "
            f"{right:,} of {count(int(counts.sum()), 'row')} ({percent(right / max(1, int(counts.sum())))}), in the "
            "diagonal. The darker a cell, the larger its share."
        ),
    ]
    if not decided.all():
        parts.append(note(f"{count(int((~decided).sum()), 'row')} got no class, because no score was high enough."))
    return Section("confusion", "Confusion matrix", join(parts))


def _cell(each: int, total: int) -> Markup:
    """Return a count on a ground that is the darker the larger its share; its text stays readable on it."""
    share = each / total if total else 0.0
    red, green, blue = (round(255 + (end - 255) * share) for end in (0, 66, 120))
    ink = "#fff" if share > 0.70 else "#000"
    style = f"background: rgb({red}, {green}, {blue}); color: {ink}"
    return tag("span", f"{each:,}", tag("small", percent(share)), style=style)


def thresholds(result: RunResult) -> Section:
    """Return what other decision thresholds would have given."""
    columns = result.evaluation.thresholds
    if "threshold" not in columns:
        two = len(result.data.classes) == 2
        text = "No thresholds were tried in this run." if two else "A threshold decides between two classes only."
        return Section("thresholds", "Decision threshold", paragraph(text))
    at = columns["threshold"]
    rates = {name: values for name, values in columns.items() if name != "threshold" and _is_rate(name, values)}
    others = {name: values for name, values in columns.items() if name != "threshold" and name not in rates}
    used = _threshold(result)
    parts = []
    if rates:
        parts.append(_lines("Rates at each threshold", at, rates, "share", used))
    for name, values in others.items():
        if np.isfinite(values).any():
            parts.append(_lines(f"{_said(name).capitalize()} at each threshold", at, {name: values}, _said(name), used))
    position = "" if used is None else f" The dotted vertical line is the threshold in the file, {number(used)}."
    parts.append(
        reading(
            f"Class {shorten(result.data.classes[1])} is chosen where its probability is above the threshold: moving "
            "right trades recall for precision. A flat curve means that the exact threshold matters little.",
            position,
        )
    )
    return Section("thresholds", "Decision threshold", join(parts))


def _threshold(result: RunResult) -> float | None:
    """Return the threshold in the file; None where there is no file, or no single threshold in it."""
    found = (result.ensemble.get("decision") or {}).get("threshold")
    return float(found) if isinstance(found, (int, float)) else None


def _is_rate(name: str, values: Float64) -> bool:
    """Return whether a column is a share: money never is, even where it lies between 0 and 1."""
    known = values[np.isfinite(values)]
    return "value" not in name and len(known) > 0 and bool(known.min() >= 0 and known.max() <= 1)


def _said(name: str) -> str:
    return name.replace("_", " ")


def _lines(caption: str, at: Float64, columns: Mapping[str, Float64], title: str, used: float | None) -> Markup:
    traces = [figures.line(at, values, _said(name), index) for index, (name, values) in enumerate(columns.items())]
    layout: dict[str, Any] = {
        "xaxis": figures.axis("threshold on the probability"),
        "yaxis": figures.axis(figures.label(title)),
    }
    if used is not None:
        style = {"color": figures.BLACK, "width": 1.4, "dash": "dot"}
        layout["shapes"] = [{"type": "line", "x0": used, "x1": used, "y0": 0, "y1": 1, "yref": "paper", "line": style}]
    return figures.figure(caption, traces, layout, height=340 if len(columns) > 1 else 240, legend=len(columns) > 1)
