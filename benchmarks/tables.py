"""Markdown tables and the forms of their figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["MB", "MS", "SECONDS", "TIMES", "TINY", "US", "cell", "duration", "table"]


def _number(scale: float, form: str) -> Callable[[float], str]:
    return lambda value: format(value * scale, form)


SECONDS, MS, US, MB = _number(1, ",.2f"), _number(1e3, ",.1f"), _number(1e6, ",.1f"), _number(1e-6, ",.1f")
TIMES, TINY = _number(1, ",.2f"), _number(1, ".0e")


def duration(seconds: float) -> str:
    """Return seconds in us or ms, three digits."""
    value, unit = (seconds * 1e6, "us") if seconds < 1e-3 else (seconds * 1e3, "ms")
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"


def cell(figures: dict[str, Any], key: str, form: Callable[[float], str]) -> str:
    """Return a figure as text: nothing where it was not measured, a dash where it is no number."""
    if key not in figures:
        return ""
    return "-" if figures[key] is None else form(figures[key])


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], text: int = 1) -> str:
    """Return a Markdown table: the first ``text`` columns left, figures right."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * text + "---:|" * (len(heads) - text)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
