"""Sections on the numbers: metrics with intervals and baselines, by fold over time, and what choices brought."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.dataset import Dataset
from glulam.training.report import figures
from glulam.training.report.page import Markup, Section, join, paragraph, reading, table, tag
from glulam.training.report.text import UNKNOWN, count, day, decimals, interval
from glulam.training.report.verdict import compared
from glulam.training.results import Evaluation, Interval, MetricResult, RunResult

__all__ = ["choices", "folds", "metrics", "period"]

Int64 = npt.NDArray[np.int64]


def metrics(result: RunResult) -> Section:
    """Return every metric of the ensemble and of every baseline."""
    evaluation = result.evaluation
    baselines = list(dict.fromkeys(name for metric in evaluation.metrics for name in metric.baselines))
    best = evaluation.best_baseline
    baselines.sort(key=lambda name: name != best)
    titles = [f"{name} (best baseline)" if name == best else name for name in baselines]
    unknown = Interval(float("nan"))
    rows = [
        (
            join([metric.title, tag("small", " higher is better" if metric.greater_is_better else " lower is better")]),
            tag("strong", interval(metric.ensemble)),
            *(interval(metric.baselines.get(name, unknown), places=decimals(metric.ensemble)) for name in baselines),
        )
        for metric in evaluation.metrics
    ]
    tested = len(evaluation.out_of_fold.rows)
    return Section(
        "metrics",
        "Metrics against baselines",
        join(
            [
                paragraph(
                    f"Evaluated by {evaluation.splitter}: {count(tested, 'row')} were answered by ensembles that were "
                    f"not fitted on them, {period(result.data, evaluation.out_of_fold.rows)}. In parentheses is the "
                    "95 % bootstrap interval: numbers whose intervals overlap widely may well be equal."
                ),
                table(("metric", "ensemble", *titles), rows),
                paragraph(
                    "Baselines need no ensemble: a number that is not better than theirs is not worth a deployment."
                ),
            ]
        ),
    )


def folds(result: RunResult) -> Section:
    """Return the metrics fold by fold: a chart of the first, and a table of all."""
    evaluation, data = result.evaluation, result.data
    first = evaluation.metrics[0]
    better = "above" if first.greater_is_better else "below"
    lower = "" if first.greater_is_better else "; lower is better"
    told = (
        f"Each line spans the rows that one fold was tested on{lower}. An ensemble that lies {better} the baselines in "
        "some folds only has found something that comes and goes."
        if evaluation.ordered
        else f"Each line is one fold{lower}. An ensemble that lies {better} the baselines in some folds only may owe "
        "its number to which rows happened to be in which fold."
    )
    parts = [_over_time(first, evaluation, data), reading(told)]
    rows = [
        (
            f"{index + 1}", period(data, test), f"{len(fitted):,}", f"{len(test):,}",
            *(_of_fold(metric, index) for metric in evaluation.metrics),
        )
        for index, (fitted, test) in enumerate(evaluation.folds)
    ]  # fmt: skip
    head = ("fold", "tested on", "rows fitted", "rows tested", *(metric.title for metric in evaluation.metrics))
    parts.append(table(head, rows, text=(0, 1), caption="The ensemble's metrics by fold"))
    return Section("folds", f"Metrics by fold{' over time' * evaluation.ordered}", join(parts))


def _of_fold(metric: MetricResult, index: int) -> str:
    return interval(Interval(float(metric.by_fold[index])), places=decimals(metric.ensemble))


def _over_time(metric: MetricResult, evaluation: Evaluation, data: Dataset) -> Markup:
    """Draw a metric of ensemble and baselines as a level over each fold's rows."""
    spans: list[tuple[Any, Any]]
    if data.time is not None and evaluation.ordered:
        ends = [data.time[[test.min(), test.max()]] for _, test in evaluation.folds]
        spans = [(start, end) for start, end in map(figures.times, ends)]
        title = f"time (UTC), {period(data, evaluation.out_of_fold.rows)}"
        tested = figures.axis(title, type="date")
    else:
        spans = [(index + 0.6, index + 1.4) for index in range(len(evaluation.folds))]
        tested = figures.axis("fold", dtick=1)
    names = sorted(metric.baselines_by_fold, key=lambda name: name != evaluation.best_baseline)[:5]
    curves = [("ensemble", metric.by_fold), *((name, metric.baselines_by_fold[name]) for name in names)]
    traces = []
    # The ensemble last: it lies on top of what it is compared with.
    for index, (name, values) in reversed(list(enumerate(curves))):
        x, y = _levels(spans, values)
        trace = figures.line(x, y, name, index, mode="lines+markers", legendrank=index, connectgaps=False)
        traces.append(trace | {"marker": {"size": 7 if index == 0 else 4, "symbol": index}})
    for trace in traces:
        trace["line"]["width"] = 3.5 if trace["name"] == "ensemble" else 1.8
    layout = {"xaxis": tested, "yaxis": figures.axis(figures.label(metric.title))}
    return figures.figure(f"{metric.title} of each fold", traces, layout, height=360)


def _levels(spans: Sequence[tuple[Any, Any]], values: npt.NDArray[np.float64]) -> tuple[list[Any], list[float | None]]:
    """Return a horizontal line for each span, with a break after it; none where the value is undefined."""
    x: list[Any] = []
    y: list[float | None] = []
    for (start, end), value in zip(spans, values.tolist(), strict=True):
        level = value if np.isfinite(value) else None
        x += [start, end, end]
        y += [level, level, None]
    return x, y


def choices(result: RunResult) -> Section:
    """Return what weights, calibration, tuning and selection brought."""
    comparisons = result.evaluation.comparisons
    if not comparisons:
        text = "Nothing was chosen that could be compared: weights, calibration and parameters are as given."
        return Section("choices", "What the choices brought", paragraph(text))
    titles = {metric.name: metric.title for metric in result.evaluation.metrics}
    rows = [
        (each.what, titles.get(each.metric, each.metric), interval(each.difference), compared(each))
        for each in comparisons
    ]
    return Section(
        "choices",
        "What the choices brought",
        join(
            [
                paragraph(
                    "Each choice against doing without it, on the same rows, none of which it had seen. A difference "
                    "above 0 is an improvement; it is called better only if its whole 95 % interval is above 0."
                ),
                table(("compared", "metric", "difference", "result"), rows, text=(0, 1, 3)),
            ]
        ),
    )


def period(data: Dataset, rows: Int64) -> str:
    """Return the days, or the numbers, from the first of some rows to the last."""
    if not len(rows):
        return UNKNOWN
    time = data.time
    if time is None:
        return f"rows {int(rows.min()):,} to {int(rows.max()):,}"
    return f"{day(time[rows].min())} to {day(time[rows].max())}"
