"""Sections on what is inside: features with their stability, members and how they agree, weights."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.training.report import figures
from glulam.training.report.curves import rank_agreement
from glulam.training.report.page import Markup, Section, join, paragraph, reading, table, tag
from glulam.training.report.text import UNKNOWN, count, decimals, interval, number, percent
from glulam.training.results import Interval, RunResult

__all__ = ["importance", "members", "weights"]

Float64 = npt.NDArray[np.float64]
MOST = 20
"""Features that are drawn."""


def importance(result: RunResult) -> Section:
    """Return what each feature contributes, with its spread over the folds."""
    shares, names = result.importance, result.data.schema.names
    title = "Feature importance"
    if shares.ndim != 2 or not shares.size or shares.shape[1] != len(names):
        return Section("importance", title, paragraph("The members say nothing of their features' importance."))
    mean = shares.mean(axis=0)
    order = np.argsort(-mean, kind="stable")[:MOST]
    top = min(10, len(names))
    places = np.argsort(np.argsort(-shares, axis=1, kind="stable"), axis=1)
    among = (places < top).sum(axis=0)
    rows = [
        (
            names[index], percent(float(mean[index])), percent(float(shares[:, index].min())),
            percent(float(shares[:, index].max())), f"{among[index]} of {len(shares)}", *_chosen(result, int(index)),
        )
        for index in order
    ]  # fmt: skip
    selection = result.evaluation.selection
    chosen = ("rounds chosen",) if selection is not None and len(selection.frequency) == len(names) else ()
    head = ("feature", "mean", "lowest fold", "highest fold", f"folds among the first {top}", *chosen)
    parts = [_bars(shares, names, order), reading(_stability(shares)), table(head, rows)]
    if len(order) < len(names):
        parts.append(paragraph(f"The {len(order)} most important of {count(len(names), 'feature')} are shown."))
    if selection is not None:
        kept = f"Feature selection kept {len(selection.kept)} of {count(len(selection.frequency), 'feature')}: "
        parts.append(paragraph(kept, ", ".join(selection.kept), "."))
    return Section("importance", title, join(parts))


def _chosen(result: RunResult, index: int) -> tuple[str, ...]:
    selection = result.evaluation.selection
    if selection is None or len(selection.frequency) != len(result.data.schema.names):
        return ()
    return (percent(float(selection.frequency[index]), 0),)


def _stability(shares: Float64) -> str:
    agreement = rank_agreement(shares)
    text = (
        "Bars are a feature's mean share of the ensemble's importance, points its share in each fold. "
        "A bar whose points lie far apart belongs to a feature that was useful in some folds only."
    )
    if not np.isfinite(agreement):
        return text
    word = "stable" if agreement >= 0.8 else "partly stable" if agreement >= 0.5 else "unstable"
    return f"{text} The order of the features is {word} from fold to fold: rank correlation {number(agreement)}."


def _bars(shares: Float64, names: list[str], order: npt.NDArray[np.intp]) -> Markup:
    # Bars at numbers, not at names: two long names that are shortened alike stay two bars.
    place = np.arange(len(order))[::-1]
    labels = [figures.label(names[index]) for index in order]
    bars = {"type": "bar", "orientation": "h", "x": 100 * shares.mean(axis=0)[order], "y": place.tolist(),
            "name": "mean of the folds", "marker": {"color": figures.COLOURS[5]}}  # fmt: skip
    mark = {"color": figures.COLOURS[0], "size": 6, "symbol": "circle-open", "line": {"width": 1.5}}
    dots = {"type": "scatter", "mode": "markers", "x": 100 * shares[:, order].ravel(), "name": "each fold",
            "y": np.tile(place, len(shares)).tolist(), "marker": mark}  # fmt: skip
    layout = {
        "xaxis": figures.axis("share of the ensemble's importance (%)", rangemode="tozero"),
        "yaxis": figures.axis("", tickvals=place.tolist(), ticktext=labels, showgrid=False),
    }
    return figures.figure("Importance of the features", [bars, dots], layout, height=110 + 24 * len(order))


def members(result: RunResult) -> Section:
    """Return each member's own metrics, and how far members say the same."""
    oof, evaluation = result.evaluation.out_of_fold, result.evaluation
    names = _names(result)
    title = "Members and their agreement"
    shown = evaluation.metrics[:3]
    classes = result.data.task != "regression"
    unknown = Interval(float("nan"))
    rows: list[tuple[Any, ...]] = [
        (tag("strong", "ensemble"), *(tag("strong", interval(metric.ensemble)) for metric in shown))
    ]
    rows += [
        (name, *(interval(metric.members.get(name, unknown), places=decimals(metric.ensemble)) for metric in shown))
        for name in names
    ]
    parts = [
        table(("", *(metric.title for metric in shown)), rows, caption="Each member alone, on the same rows"),
        paragraph(f"Members are measured as they voted{', without calibration, at a threshold of 0.5' * classes}."),
    ]
    if len(names) > 1:
        parts.append(_pairs(oof.votes, names, values=not classes))
        parts.append(
            reading(
                "An ensemble gains from members that are good alone and wrong on different rows: a correlation near 1 "
                "means that the second member adds little but time."
            )
        )
    if len(names) > 1 and classes:
        parts.append(_unanimous(oof.votes.argmax(axis=2), oof.labels, result.data.y[oof.rows]))
    return Section("members", title, join(parts))


def _pairs(votes: Float64, names: list[str], *, values: bool) -> Markup:
    labels = votes.argmax(axis=2)
    rows = []
    for first, second in list(combinations(range(len(names)), 2))[:30]:
        pair = (f"{names[first]} and {names[second]}", _correlation(votes[:, first], votes[:, second]))
        rows.append(pair if values else (*pair, percent(float((labels[:, first] == labels[:, second]).mean()))))
    head = ("members", "correlation of votes", "same class")
    return table(head[:2] if values else head, rows, caption="How far members agree")


def _correlation(first: Float64, second: Float64) -> str:
    """Return the correlation of two members' votes; of two classes the second says all."""
    one, other = (votes[:, 1] if votes.shape[1] == 2 else votes.ravel() for votes in (first, second))
    if one.std() == 0 or other.std() == 0:
        return UNKNOWN
    return number(float(np.corrcoef(one, other)[0, 1]))


def _unanimous(labels: npt.NDArray[np.intp], chosen: npt.NDArray[Any], y: npt.NDArray[Any]) -> Markup:
    same = (labels == labels[:, :1]).all(axis=1)
    right = chosen == y
    rows = [
        (
            name,
            f"{int(rows.sum()):,}",
            percent(float(rows.mean())),
            percent(float(right[rows].mean())) if rows.any() else UNKNOWN,
        )
        for name, rows in (("all members say the same", same), ("members differ", ~same))
    ]
    return table(("", "rows", "share of rows", "ensemble right"), rows, caption="Where members agree")


def weights(result: RunResult) -> Section:
    """Return the weights of the vote: given, equal, automatic, and those in the file."""
    kinds: dict[str, dict[str, float]] = {
        kind: dict(found) for kind, found in (result.facts.get("weights") or {}).items() if found
    }
    if not kinds and result.ensemble.get("weights"):
        kinds = {"used": dict(result.ensemble["weights"])}
    title = "Weights"
    if not kinds:
        return Section("weights", title, paragraph("This run kept no weights."))
    names = list(dict.fromkeys(name for found in kinds.values() for name in found))
    shares = {kind: _normalised([found.get(name, 0.0) for name in names]) for kind, found in kinds.items()}
    labels = [figures.label(name) for name in names]
    traces = [
        {"type": "bar", "x": list(range(len(names))), "y": share, "name": figures.label(kind),
         "marker": {"color": figures.COLOURS[index % 7], "pattern": {"shape": ("", "/", ".", "x")[index % 4]}}}
        for index, (kind, share) in enumerate(sorted(shares.items(), key=lambda pair: pair[0] != "used"))
    ]  # fmt: skip
    layout = {
        "barmode": "group",
        "xaxis": figures.axis("", tickvals=list(range(len(names))), ticktext=labels, showgrid=False),
        "yaxis": figures.axis("share of the vote", rangemode="tozero"),
    }
    rows = [(name, *(number(float(share[index])) for share in shares.values())) for index, name in enumerate(names)]
    parts = [
        figures.figure("Weight of each member", traces, layout, height=280),
        reading(
            "Weights add up to 1. Automatic weights minimise the loss of votes on rows that no member was fitted on; "
            "where they gain nothing over equal ones (see below), equal ones are the safer choice."
        ),
        table(("member", *shares), rows),
    ]
    return Section("weights", title, join(parts))


def _normalised(values: list[float]) -> Float64:
    total = sum(values)
    return np.asarray(values, dtype=np.float64) / (total if total > 0 else 1.0)


def _names(result: RunResult) -> list[str]:
    """Return the members' names, in the order of their votes."""
    n = result.evaluation.out_of_fold.votes.shape[1]
    listed = [each["name"] for each in result.ensemble.get("members", ())]
    for names in (listed, list(result.evaluation.metrics[0].members)):
        if len(names) == n:
            return names
    return [f"member {index + 1}" for index in range(n)]
