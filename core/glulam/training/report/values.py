"""Sections on answers that are values: predicted against actual, and residuals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from glulam.training.report import figures
from glulam.training.report.curves import thin
from glulam.training.report.metrics import period
from glulam.training.report.page import Section, join, reading
from glulam.training.report.text import number, percent
from glulam.training.results import RunResult

__all__ = ["predicted", "residuals"]

Float64 = npt.NDArray[np.float64]
POINTS = 2_500
STRETCHES = 60


def predicted(result: RunResult) -> Section:
    """Return predicted values against actual ones."""
    actual, values = _answers(result)
    keep = thin(len(actual), POINTS)
    # A few extreme predictions must not squeeze all others into a line.
    ends = np.quantile(values, [0.001, 0.999]).tolist()
    room = 0.05 * (ends[1] - ends[0]) or 1.0
    dots = {"type": "scatter", "mode": "markers", "x": values[keep], "y": actual[keep], "name": "tested rows",
            "marker": {"size": 4, "color": figures.COLOURS[0], "opacity": 0.35}}  # fmt: skip
    diagonal = figures.line(ends, ends, "predicted is actual", 1, line={"color": figures.BLACK, "dash": "dash"})
    layout = {
        "xaxis": figures.axis("predicted value", range=[ends[0] - room, ends[1] + room]),
        "yaxis": figures.axis("actual value"),
    }
    shown = "" if len(keep) == len(actual) else f" {len(keep):,} of {len(actual):,} rows are drawn, evenly spaced."
    text = (
        "Each point is a tested row; on the dashed line the prediction is right. A cloud narrower from left to right "
        "than from bottom to top is normal: what cannot be known is not predicted. Each axis has a scale of its own."
        f"{shown}"
    )
    drawn = figures.figure("Predicted against actual", [dots, diagonal], layout, height=420)
    return Section("predicted", "Predicted against actual", join([drawn, reading(text)]))


def residuals(result: RunResult) -> Section:
    """Return residuals over time or by row, as bands of stretches with as many rows, and how they are spread."""
    actual, values = _answers(result)
    rest = actual - values
    rows = result.evaluation.out_of_fold.rows
    order = np.argsort(rows, kind="stable")
    stretches = [part for part in np.array_split(order, min(STRETCHES, len(order))) if len(part)]
    quantiles = np.array([np.quantile(rest[part], [0.05, 0.5, 0.95]) for part in stretches])
    middle = np.array([rows[part[len(part) // 2]] for part in stretches])
    time = result.data.time
    x = figures.times(time[middle]) if time is not None else middle.tolist()
    title = f"time (UTC), {period(result.data, rows)}" if time is not None else "row"
    edge = {"color": figures.COLOURS[5], "width": 1}
    traces = [
        figures.line(x, quantiles[:, 2], "95 % of residuals are below", line=edge, showlegend=False),
        figures.line(x, quantiles[:, 0], "90 % of residuals", line=edge, fill="tonexty", fillcolor="#CFE8F8"),
        figures.line(x, quantiles[:, 1], "median"),
    ]
    layout = {"xaxis": figures.axis(title), "yaxis": figures.axis("residual (actual minus predicted)")}
    counts, edges = np.histogram(rest, bins=60, range=tuple(np.quantile(rest, [0.002, 0.998])))
    bars = {"type": "bar", "x": (edges[1:] + edges[:-1]) / 2, "y": counts.astype(np.float64), "width": np.diff(edges),
            "marker": {"color": figures.COLOURS[0]}, "name": "rows"}  # fmt: skip
    spread = {"xaxis": figures.axis("residual (actual minus predicted)"), "yaxis": figures.axis("rows"), "bargap": 0}
    shown = float(counts.sum() / len(rest))
    parts = [
        figures.figure("Residuals over time" if time is not None else "Residuals by row", traces, layout, height=340),
        reading("The median should stay near 0: where it does not, the ensemble is wrong in one direction"
                f"{' for a while' if time is not None else ''}. A band that widens says where errors are larger."),
        figures.figure("How residuals are spread", [bars], spread, height=260, legend=False),
        reading(f"Mean {number(float(rest.mean()))}, standard deviation {number(float(rest.std()))}. "
                f"{percent(shown)} of the rows are drawn; the largest errors lie further out."),
    ]  # fmt: skip
    return Section("residuals", "Residuals", join(parts))


def _answers(result: RunResult) -> tuple[Float64, Float64]:
    oof = result.evaluation.out_of_fold
    return np.asarray(result.data.y[oof.rows], dtype=np.float64), np.asarray(oof.scores[:, 0], dtype=np.float64)
