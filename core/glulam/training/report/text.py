"""Numbers, times and sizes as people read them; what is not known is a dash, never a nan."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, SupportsFloat

import numpy as np

from glulam.training.results import Interval

__all__ = [
    "UNKNOWN",
    "count",
    "day",
    "decimals",
    "duration",
    "interval",
    "interval_percent",
    "moment",
    "number",
    "percent",
    "shorten",
    "size",
    "started",
]

UNKNOWN = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: Any) -> str:
    """Return a number with about three sensible digits; other values as their text."""
    if value is None:
        return UNKNOWN
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return _signed(f"{value:,}")
    if not isinstance(value, (float, np.floating)):
        return str(value)
    large = abs(float(value))
    if math.isnan(large):
        return UNKNOWN
    if math.isinf(large):
        return "∞" if value > 0 else f"{_MINUS}∞"
    if large == 0:
        return "0"
    if large < 1e-3 or large >= 1e9:
        return scientific(float(value))
    places = 0 if large >= 1_000 else 1 if large >= 100 else 2 if large >= 10 else 3
    return _signed(f"{value:,.{places}f}")


def scientific(value: float) -> str:
    """Return a number in scientific notation, with a raised exponent."""
    digits, exponent = f"{value:.1e}".split("e")
    return _signed(f"{digits} \N{MULTIPLICATION SIGN} 10{str(int(exponent)).translate(_RAISED)}")


def count(value: SupportsFloat, noun: str) -> str:
    """Return a count with its noun, as ``1 row`` or ``1,024 rows``."""
    return f"{float(value):,.0f} {noun}{'' if float(value) == 1 else 's'}"


def decimals(each: Interval) -> int:
    """Return how many places say something: two digits of the interval's width."""
    width = each.high - each.low
    if not math.isfinite(width) or width <= 0:
        return 3 if abs(each.value) < 10 else 1
    return min(9, max(0, 1 - math.floor(math.log10(width))))


def interval(each: Interval, *, places: int | None = None) -> str:
    """Return a number and its interval as ``0.527 (0.514 to 0.541)``, all with as many places."""
    if not math.isfinite(each.value):
        return number(each.value)
    places = decimals(each) if places is None else places
    value = _signed(_fixed(each.value, places))
    if not (math.isfinite(each.low) and math.isfinite(each.high)):
        return value
    return f"{value} ({_signed(_fixed(each.low, places))} to {_signed(_fixed(each.high, places))})"


def interval_percent(each: Interval) -> str:
    """Return a share and its interval as ``12.3 % (-4.0 to 30.1)``."""
    value, *bounds = interval(Interval(100 * each.value, 100 * each.low, 100 * each.high), places=1).split(" (")
    return " (".join([value if value == UNKNOWN else f"{value} %", *bounds])


def started(text: str) -> str:
    """Return a moment in ISO 8601 to the minute, with its zone; another text as it is."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{when:%Y-%m-%d %H:%M} {when.tzname() or ''}".strip()


def percent(value: float | None, places: int = 1) -> str:
    """Return a share as ``51.6 %``."""
    if value is None or not math.isfinite(100 * value):
        return UNKNOWN
    return _signed(f"{_fixed(100 * value, places)} %")


def day(microseconds: SupportsFloat) -> str:
    """Return the date of a moment, which is microseconds since 1970."""
    return str(_time(microseconds).astype("datetime64[D]"))


def moment(microseconds: SupportsFloat) -> str:
    """Return date and minute of a moment, which is microseconds since 1970."""
    return str(_time(microseconds).astype("datetime64[m]")).replace("T", " ")


def duration(seconds: float | None) -> str:
    """Return how long something took, in the unit that suits."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds >= 120:
        return f"{seconds // 60:,.0f} min {seconds % 60:.0f} s"
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1 or unit == "µs":
            break
    text = f"{seconds * factor:.3g}"
    return f"{scientific(seconds * factor) if 'e' in text else text} {unit}"


def size(n_bytes: float | None) -> str:
    """Return a number of bytes as ``1.2 MB``."""
    if n_bytes is None or not math.isfinite(n_bytes):
        return UNKNOWN
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.1f} {unit}"
    return f"{n_bytes:.0f} bytes"


def shorten(text: Any, limit: int = 26) -> str:
    """Return a text cut to so many letters, with an ellipsis for the rest."""
    text = str(text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _time(microseconds: SupportsFloat) -> np.datetime64:
    return np.datetime64(int(float(microseconds)), "us")


def _fixed(value: float, places: int) -> str:
    """Return so many places, and no minus before what is rounded to zero."""
    text = f"{value:,.{places}f}"
    return text.removeprefix("-") if not text.strip("-0.,") else text


def _signed(text: str) -> str:
    return text.replace("-", _MINUS)
