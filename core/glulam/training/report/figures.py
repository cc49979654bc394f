"""Charts: traces and layout as plain dicts, checked by plotly, written as JSON that no text can break out of."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.training.report.page import Markup, tag
from glulam.training.report.text import shorten

__all__ = ["BLACK", "COLOURS", "GREY", "axis", "dashes", "figure", "label", "library", "line", "times"]

Array = npt.NDArray[Any]
Trace = dict[str, Any]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B5B5B")
"""Okabe and Ito's, which the colour-blind tell apart; the ensemble is always the first."""
BLACK, GREY = "#1C2430", "#8A929E"
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_FONT = {"family": "system-ui, -apple-system, Segoe UI, Roboto, Liberation Sans, Arial, sans-serif", "size": 12.5}


def library() -> str:
    """Return plotly's JavaScript."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def label(text: Any) -> str:
    """Return a text of the user's for a chart: plotly reads tags in texts, so that they are escaped, and shortened."""
    return html.escape(shorten(text), quote=False)


def dashes(index: int) -> str:
    """Return a line style, so that lines can be told apart without colours."""
    return _DASHES[index % len(_DASHES)]


def line(x: Any, y: Any, name: str, index: int = 0, **more: Any) -> Trace:
    """Return a line in the colour and style of its place in the legend."""
    style = {"color": COLOURS[index % len(COLOURS)], "dash": dashes(index), "width": 2.2 if index == 0 else 1.6}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": label(name), "line": style} | more


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return an axis with its title; nothing can be dragged, so that a phone scrolls the page and not the chart."""
    look = {"gridcolor": "#E6E9ED", "linecolor": GREY, "showline": True, "zeroline": False, "ticks": "outside"}
    return {
        **look,
        "tickcolor": GREY,
        "fixedrange": True,
        "automargin": True,
        "title": {"text": title, "font": {"size": 13}},
    } | more


def times(microseconds: Array) -> list[str]:
    """Return moments as plotly reads them, in UTC."""
    return [str(each) for each in microseconds.astype("datetime64[us]").astype("datetime64[m]")]


def figure(
    caption: str, traces: Sequence[Trace], layout: Mapping[str, Any], *, height: int = 340, legend: bool = True
) -> Markup:
    """Return a chart with its caption. The width is the page's, the height is fixed."""
    from plotly.graph_objects import Figure

    titled = bool(layout["xaxis"]["title"]["text"])
    whole = {
        "height": height, "autosize": True, "dragmode": False, "hovermode": "closest", "showlegend": legend,
        "paper_bgcolor": "#FFFFFF", "plot_bgcolor": "#FFFFFF", "font": {**_FONT, "color": BLACK},
        "margin": {"l": 56, "r": 14, "t": 12, "b": 48 if titled else 28, "pad": 0}, "template": {},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
    }  # fmt: skip
    drawn = Figure(data=[_compact(trace) for trace in traces], layout=whole | dict(layout)).to_json()
    # "<" could end the script that holds the JSON, or begin a comment.
    safe = drawn.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    data = Markup(f'<script type="application/json">{safe}</script>')
    plot = tag("div", class_="plot", style=f"height: {height}px", role="img", aria_label=caption)
    return tag("figure", tag("figcaption", caption), plot, data)


def _compact(trace: Trace) -> Trace:
    """Return a trace whose floats are float32: half the page for digits that no screen shows."""
    return {
        key: value.astype(np.float32) if isinstance(value, np.ndarray) and value.dtype == np.float64 else value
        for key, value in trace.items()
    }
