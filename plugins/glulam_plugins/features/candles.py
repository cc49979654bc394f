"""Checks of OHLCV candles, made before anything is computed from them.

A table is pandas, polars, pyarrow or a mapping of columns; none of those libraries is imported.
Columns are found by their exact names: ``open``, ``high``, ``low``, ``close``, ``volume``, and
``timestamp`` for the opening time of the bar. Other columns are ignored.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError, FeatureError
from glulam_plugins.features._candles import OHLCV, read_bars, read_times

__all__ = ["CandleReport", "Finding", "check_candles"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NEIGHBOURS = 5
"""Bars on each side that a bar is compared with; a run of up to this many can be a spike."""

_OWNER = "check_candles"

_MESSAGES = {
    "duplicate": "the timestamp is that of an earlier row ({conflicts} with other values); "
    "drop=True keeps the first possible row",
    "disorder": "the timestamp is below that of the row before; drop=True sorts by timestamp",
    "non_finite": "a price or the volume is missing, nan or infinite",
    "non_positive_price": "a price is zero or negative",
    "high_below_low": "high is below low",
    "outside_range": "open or close is outside [low, high]",
    "negative_volume": "the volume is negative",
    "spike": "high or low is more than {spike:g} times away from the bars before and the bars after",
    "gap": "{missing} bars are missing, counted in steps of {step}; the times are the first missing bars",
    "uneven": "the step to the next bar is no whole multiple of {step}",
    "zero_volume": "nothing was traded",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of finding: how many rows (for gaps: how many gaps), and the first three times."""

    kind: str
    count: int
    first: tuple[str, ...]
    severity: Literal["error", "note"]
    message: str

    def __str__(self) -> str:
        """Return the finding as one line."""
        more = ", ..." if self.count > len(self.first) else ""
        return f"{self.kind}: {self.count} ({', '.join(self.first)}{more}): {self.message}"


@dataclass(frozen=True, slots=True)
class CandleReport:
    """What `check_candles` found: rows read and returned, the bars' step, and the findings.

    ``step_seconds`` is the most common distance of returned bars (None for a single one), and
    ``missing_bars`` how many bars of that step all the gaps have room for. Findings of severity
    "error" are in the report only where ``drop=True`` mended them.
    """

    rows: int
    kept: int
    start: str
    end: str
    step_seconds: float | None
    missing_bars: int
    findings: tuple[Finding, ...]

    @property
    def dropped(self) -> int:
        """Rows that were left out."""
        return self.rows - self.kept

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values, with ``dropped``."""
        findings = [{**asdict(finding), "first": list(finding.first)} for finding in self.findings]
        return {**asdict(self), "dropped": self.dropped, "findings": findings}

    def __str__(self) -> str:
        """Return a line on the whole and a line a finding."""
        step = "no step" if self.step_seconds is None else f"every {timedelta(seconds=self.step_seconds)}"
        head = f"candles {self.start} to {self.end}, {step}: {self.rows} rows, {self.kept} kept, {self.dropped} dropped"
        lines = [f"  {finding.severity:5s} {finding}" for finding in self.findings]
        return "\n".join([head, *(lines or ["  nothing to report"])])


def check_candles(
    table: Any, *, drop: bool = False, spike: float = 3.0, timestamp: str = "timestamp"
) -> tuple[dict[str, npt.NDArray[Any]], CandleReport]:
    """Return the candles as arrays, in time order and each bar once, and what was found in them.

    The arrays [n_kept] are ``timestamp`` (datetime64[us], UTC), the five `OHLCV` columns (float64)
    and ``row`` (int64, the row of ``table``), a mapping that feature generators take.

    Errors are timestamps that repeat or go back, prices or volumes that cannot be, and spikes: a
    high more than ``spike`` times above, or a low as far below, both the median close of the five
    bars before and that of the five bars after. A move that stays longer than five bars, such as
    a crash or a split, is none; the first and the last bar have one side only and are not judged.
    ``spike=math.inf`` turns this off. With ``drop=True`` such rows are left out (of duplicates the
    first possible one stays) and the rest is sorted. Notes, which change nothing, are gaps,
    uneven steps and bars without volume, all of the returned bars.

    Timestamps are datetime64, datetimes, ISO 8601 text or whole numbers since 1970; without a zone
    they count as UTC. The unit of a number follows from its size, one by one (seconds below 1e11,
    then milliseconds, microseconds from 1e14, nanoseconds from 1e17), because exchanges have
    changed it within one series; dates before March 1973 are therefore better given as datetimes.

    Raises `FeatureError` naming each kind of error, its count and first timestamps; for missing or
    empty columns, and for timestamps that cannot be read; `ConfigError` for a factor up to 1.
    """
    if not spike > 1:
        raise ConfigError(f"{_OWNER}: spike={spike!r}: expected a factor above 1, such as 3.0")
    bars = read_bars(table, _OWNER, also=(timestamp,))
    times = read_times(table[timestamp], timestamp, _OWNER)
    if len(times) != len(bars):
        raise FeatureError(f"{_OWNER}: {timestamp!r} has {len(times)} rows, the prices have {len(bars)}")

    masks, kept = _find_errors(bars, times, spike)
    facts = {"spike": spike, "conflicts": _count_conflicts(bars, times)}
    errors = [_finding(kind, times[rows], "error", facts) for kind, rows in masks.items() if rows.any()]
    if errors and not drop:
        raise FeatureError(_refusal(errors, len(bars)))
    if len(kept) == 0:
        raise FeatureError(f"{_OWNER}: none of {len(bars)} rows is a possible bar; {_listed(errors)}")
    notes, step, missing = _find_notes(bars[kept], times[kept])
    report = CandleReport(
        rows=len(bars),
        kept=len(kept),
        start=_text(times[kept[0]]),
        end=_text(times[kept[-1]]),
        step_seconds=step,
        missing_bars=missing,
        findings=(*errors, *notes),
    )
    columns = {name: bars[kept, index] for index, name in enumerate(OHLCV)}
    return {"timestamp": times[kept].view("datetime64[us]"), **columns, "row": kept}, report


def _find_errors(bars: Float64, times: Int64, spike: float) -> tuple[dict[str, Mask], Int64]:
    """Return the rows of each kind of error, and the good rows in time order."""
    impossible = _impossible(bars)
    order = np.argsort(times, kind="stable").astype(np.int64)
    kept = order[~np.any(list(impossible.values()), axis=0)[order]]
    kept = kept[np.diff(times[kept], prepend=-1 + times[kept[:1]]) > 0]
    spikes: Mask = np.zeros(len(bars), dtype=np.bool_)
    # The middle of a run shows first; after three passes a run of NEIGHBOURS bars is gone.
    for _ in range((NEIGHBOURS + 1) // 2):
        found = _spikes(bars[kept], spike)
        spikes[kept[found]] = True
        kept = kept[~found]
    duplicates: Mask = np.zeros(len(bars), dtype=np.bool_)
    duplicates[order[1:][np.diff(times[order]) == 0]] = True
    disorder = np.diff(times, prepend=times[:1]) < 0
    return {"duplicate": duplicates, "disorder": disorder, **impossible, "spike": spikes}, kept


def _impossible(bars: Float64) -> dict[str, Mask]:
    opening, high, low, closing, volume = bars.T
    finite = np.asarray(np.isfinite(bars).all(axis=1))
    outside = (np.minimum(opening, closing) < low) | (np.maximum(opening, closing) > high)
    return {
        "non_finite": ~finite,
        "non_positive_price": finite & (bars[:, :4] <= 0).any(axis=1),
        "high_below_low": finite & (high < low),
        "outside_range": finite & (high >= low) & outside,
        "negative_volume": finite & (volume < 0),
    }


def _spikes(bars: Float64, factor: float) -> Mask:
    """Return which of possible bars in time order leave the neighbours on both sides."""
    _, high, low, closing, _ = bars.T
    before, after = _medians_before(closing), _medians_before(closing[::-1])[::-1]
    # Divided, not multiplied: a price near float64's end must not overflow. nan compares false.
    above = high / factor > np.maximum(before, after)
    below = np.minimum(before, after) / factor > low
    return np.asarray(above | below)


def _medians_before(values: Float64) -> Float64:
    """Return the median of the up to NEIGHBOURS values before each; nan for the first."""
    padded = np.concatenate([np.full(NEIGHBOURS, np.nan), values])
    windows = np.lib.stride_tricks.sliding_window_view(padded, NEIGHBOURS)[:-1]
    ranked = np.sort(windows, axis=1)  # nan comes last
    rows = np.arange(len(values))
    size = np.minimum(rows, NEIGHBOURS)
    halves: Float64 = ranked[rows, (size - 1) // 2] / 2 + ranked[rows, size // 2] / 2
    return halves


def _count_conflicts(bars: Float64, times: Int64) -> int:
    """Count rows whose timestamp was there before, with other prices or another volume."""
    order = np.argsort(times, kind="stable")
    again = order[1:][np.diff(times[order]) == 0]
    former = order[:-1][np.diff(times[order]) == 0]
    same = (bars[again] == bars[former]) | (np.isnan(bars[again]) & np.isnan(bars[former]))
    return int((~same.all(axis=1)).sum())


def _find_notes(bars: Float64, times: Int64) -> tuple[list[Finding], float | None, int]:
    """Return notes on good bars in time order, their step in seconds, and how many are missing."""
    notes = []
    quiet = bars[:, 4] == 0
    step, missing = None, 0
    if len(times) > 1:
        steps = np.diff(times)
        sizes, counts = np.unique(steps, return_counts=True)
        common = int(sizes[np.argmax(counts)])
        step = common / 1_000_000
        absent = np.rint(steps / common).astype(np.int64) - 1
        missing = int(absent[absent > 0].sum())
        facts = {"missing": missing, "step": timedelta(seconds=step)}
        if missing:
            notes.append(_finding("gap", (times[:-1] + common)[absent > 0], "note", facts))
        uneven = steps % common != 0
        if uneven.any():
            notes.append(_finding("uneven", times[:-1][uneven], "note", facts))
    if quiet.any():
        notes.append(_finding("zero_volume", times[quiet], "note", {}))
    return notes, step, missing


def _finding(kind: str, times: Int64, severity: Literal["error", "note"], facts: dict[str, Any]) -> Finding:
    first = tuple(_text(value) for value in times[:3])
    return Finding(kind, len(times), first, severity, _MESSAGES[kind].format(**facts))


def _text(microseconds: np.int64) -> str:
    return np.datetime_as_string(microseconds.view("datetime64[us]")).removesuffix(".000000") + "Z"


def _listed(findings: list[Finding]) -> str:
    return "; ".join(map(str, findings))


def _refusal(errors: list[Finding], n_rows: int) -> str:
    return (
        f"{_OWNER}: {n_rows} rows hold {_listed(errors)}. Expected each bar once, in time order, with "
        "possible prices and volume: mend the rows at their source, or pass drop=True to drop and sort"
    )
