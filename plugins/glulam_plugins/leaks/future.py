"""Leak checks for features that read the future: by recomputing them, and by looking at columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError, FeatureError
from glulam.hookspecs import hookimpl
from glulam.trainspecs import LeakCase, LeakCheck, Suspicion
from glulam_plugins.leaks._measuring import in_order, price_behind

__all__ = ["FutureInColumns", "FutureInFeatures"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_CUTS = (0.53, 0.66, 0.79, 0.88, 0.97)
_ROUNDING = 1e-6  # of a feature's size: far above the rounding of sums in another order, far below any leak


class FutureInFeatures(LeakCheck):
    """Recomputes the features on a history that ends earlier: what changes has read what came later.

    The table is cut at five places. A feature that reads nothing after its row is the same whether the later rows are
    there or not, so that one change beyond rounding is proof; there is no false alarm but by a generator that draws
    random numbers.
    """

    name = "future_in_features"
    title = "Features that change when the future is removed"

    def applies(self, case: LeakCase) -> bool:
        """Tell whether the features can be recomputed."""
        return case.generate is not None

    def find(self, case: LeakCase) -> list[Suspicion]:
        """Return one suspicion that names every feature that changed. Raises FeatureError where no cut works."""
        if case.generate is None:
            return []
        raw = case.data.raw
        whole, rows = case.generate(raw)
        names = case.data.schema.names
        if whole.shape[1] != len(names):
            names = [f"generated column {position}" for position in range(whole.shape[1])]
        size = np.nanstd(np.where(np.isfinite(whole), whole, np.nan), axis=0)
        largest, reach, lost, tried = np.zeros(len(names)), np.zeros(len(names), np.int64), 0, 0
        for number, share in enumerate(_CUTS):
            cut = int(len(raw) * share) + number  # at another place of the day and week each time
            try:
                values, kept = case.generate(raw.head(cut))
            except FeatureError:  # too short a history for this generator
                continue
            tried += 1
            expected = rows[rows < cut]
            lost = max(lost, len(np.setdiff1d(expected, kept)))
            _, here, there = np.intersect1d(rows, kept, return_indices=True)
            changed = _changes(whole[here], values[there], size)
            largest = np.maximum(largest, changed.max(axis=0, initial=0.0))
            for position in np.flatnonzero((changed > 0).any(axis=0)):
                first = int(rows[here][np.argmax(changed[:, position] > 0)])
                reach[position] = max(reach[position], cut - first)
        if not tried:
            raise FeatureError(
                f"leak check {self.name!r}: the features of {len(raw)} rows could not be recomputed on any shorter "
                "history; give more rows, or skip the check"
            )
        found = np.flatnonzero(largest > 0)
        others = self._others(case, whole, rows, size)
        if not len(found) and not lost:
            return others
        return [*others, _suspicion(self.name, [names[i] for i in found], largest[found], reach[found], lost, tried)]

    def _others(self, case: LeakCase, whole: Float64, rows: Int64, size: Float64) -> list[Suspicion]:
        """Return a suspicion where rows hold other values than those that can be recomputed."""
        data = case.data
        _, here, there = np.intersect1d(data.rows, rows, return_indices=True)
        if whole.shape[1] != data.X.shape[1] or not len(here):
            return []
        with np.errstate(invalid="ignore", over="ignore"):
            expected = whole[there].astype(np.float32)
            near = np.abs(data.X[here] - expected) <= 1e-4 * np.maximum(np.abs(expected), size)
        same = near | (data.X[here] == expected) | (np.isnan(data.X[here]) & np.isnan(expected))
        names = [name for name, fits in zip(data.schema.names, same.all(axis=0), strict=True) if not fits]
        if not names:
            return []
        return [
            Suspicion(
                self.name,
                f"what generate returns is not in the rows: {names[0]} differs in "
                f"{int((~same[:, data.schema.names.index(names[0])]).sum())} of {len(here)} rows, "
                f"{len(names) - 1} other features somewhere",
                "do in generate all that is done to the features, so that it can be looked at",
                {"rows": int((~same).any(axis=1).sum()), "of": len(here)},
                tuple(names),
            )
        ]


def _changes(whole: Float64, part: Float64, size: Float64) -> Float64:
    """Return by how much values differ, in units of the feature's standard deviation; 0 where only by rounding."""
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.abs(whole - part)
        allowed = _ROUNDING * np.maximum(np.abs(whole), size)
        differs = ~((difference <= allowed) | (whole == part) | (np.isnan(whole) & np.isnan(part)))
        unit = np.where(size > 0, size, 1.0)
        return np.where(differs, np.where(np.isfinite(difference), difference / unit, np.inf), 0.0)


def _suspicion(check: str, names: list[str], largest: Float64, reach: Int64, lost: int, tried: int) -> Suspicion:
    """Say which features changed, by how much and how far back."""
    evidence: dict[str, Any] = {
        "largest_change": dict(zip(names, largest.tolist(), strict=True)),
        "rows_before_cut": dict(zip(names, reach.tolist(), strict=True)),
        "rows_lost": lost,
        "cuts": tried,
    }
    if not names:
        return Suspicion(
            check,
            f"the last {lost} rows before the end of the history get no features until later rows are there",
            "the generator waits for later rows; let every feature read its row and earlier ones only",
            evidence,
        )
    worst = int(np.argmax(largest))
    many = f"{len(names)} features change" if len(names) > 1 else f"{names[0]} changes"
    which = f"{names[worst]} most: " if len(names) > 1 else ""
    by = f"by {largest[worst]:.3g} standard deviations" if np.isfinite(largest[worst]) else "values go missing"
    what = f"{many} when later rows are removed, {which}{by}, up to {int(reach[worst])} rows before the end"
    advice = "let it read its row and earlier ones only: no centred window, no shift(-n), no statistic of all rows"
    return Suspicion(check, what, advice, evidence, tuple(names))


class FutureInColumns(LeakCheck):
    """Looks for the future in features that are columns of a file, which nobody can recompute.

    Two signs are looked for in rows that have an order. Where the label follows the change of a column, such as the
    close, over its horizon: values that this column (or a high or low around it) has in a later row, and that no column
    had until then. And a column with a mean of 0 and a standard deviation of 1 over exactly all rows of the table, or
    one that lies between 0 and 1 and is each in exactly one row.
    """

    name = "future_in_columns"
    title = "Columns that hold later values or statistics of all rows"

    def __init__(self, furthest: int = 24) -> None:
        if furthest < 1:
            raise ConfigError(f"leak check {self.name!r}: furthest: expected at least 1 row, got {furthest}")
        self.furthest = furthest

    def applies(self, case: LeakCase) -> bool:
        """Tell whether rows have an order and features are columns."""
        return case.generate is None and in_order(case) and len(case.data) > 2 * self.furthest + 10

    def find(self, case: LeakCase) -> list[Suspicion]:
        """Return a suspicion for each feature that shows either sign."""
        found = []
        data = case.data
        raw = {name: values for name, values in data.raw.columns.items() if values.dtype.kind in "fiu"}
        # Only the label tells which column is now: of a price and its lagged copy, each is the other moved.
        price = price_behind(case)
        for position, feature in enumerate(data.schema.features):
            values = data.X[:, position]
            if feature.kind != "numeric" or len(np.unique(values)) < 20:
                continue
            for known in _of_the_row(raw, price):
                others = [column for name, column in raw.items() if name != feature.name or name == known]
                later = self._later(values, raw[known].astype(np.float64), others, data.rows)
                if later is not None:
                    found.append(self._holds_later(feature.name, known, *later))
                    break
            whole = raw.get(feature.name)
            how = _scaled(values) or (_scaled(whole) if whole is not None else "")
            if how:
                found.append(
                    Suspicion(
                        self.name,
                        f"{feature.name} has {how} over all {len(values)} rows, those to test on among them",
                        "scale inside each fold, by the rows to fit on; trees need no scaling",
                        {"rows": len(values), "mean": float(values.mean()), "std": float(values.std())},
                        (feature.name,),
                    )
                )
        return found

    def _later(
        self, values: npt.NDArray[Any], price: Float64, others: list[npt.NDArray[Any]], rows: Int64
    ) -> tuple[float, int] | None:
        """Return which share of the rows holds a later row's price, and how many rows later at most."""
        column = price.astype(np.float32)
        inside = (rows >= 2 * self.furthest) & (rows + self.furthest < len(column))
        at, held = rows[inside], values[inside]
        if not len(at):
            return None
        known = np.zeros(len(at), dtype=bool)
        for other in others:
            narrowed = other.astype(np.float32)
            for back in range(2 * self.furthest):
                known |= held == narrowed[at - back]
        hits = np.array([np.mean((held == column[at + step]) & ~known) for step in range(1, self.furthest + 1)])
        # What two values have in common by chance is seen where nothing can be known: half the table away.
        far = (at[:, None] + len(column) // 2 + np.arange(self.furthest)) % len(column)
        chance = float(np.mean(held[:, None] == column[far]))
        share = float(hits.sum())
        if share < 0.05 or hits.max() < 10 * chance:
            return None
        return share, int(np.flatnonzero(hits > max(0.01, 3 * chance)).max(initial=int(hits.argmax()))) + 1

    def _holds_later(self, feature: str, column: str, share: float, steps: int) -> Suspicion:
        return Suspicion(
            self.name,
            f"{feature} holds, in {share:.0%} of the rows, the value that {column} has up to {steps} rows later",
            "shift it so that each row holds what was known then; join longer bars by their end, not their start",
            {"share": share, "rows_later": steps, "column": column},
            (feature,),
        )


def _of_the_row(raw: dict[str, npt.NDArray[Any]], price: tuple[str, Float64] | None) -> list[str]:
    """Return which columns are surely of their own row: the price, and a high and a low that always enclose it."""
    if price is None:
        return []
    sides = [
        name for name, side in (("high", 1), ("low", -1)) if name in raw and (side * (raw[name] - price[1]) >= 0).all()
    ]
    return [price[0], *(name for name in sides if name != price[0])]


def _scaled(values: npt.NDArray[Any]) -> str:
    """Return how values are scaled over all rows exactly, or nothing."""
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        return ""
    if abs(values.mean()) < 2e-6 and min(abs(values.std() - 1), abs(values.std(ddof=1) - 1)) < 2e-6:
        return "a mean of 0 and a standard deviation of 1"
    # One row at either end: what is cut off at them, as a share or an oscillator is, has many there.
    once = all(np.count_nonzero(values == end) == 1 for end in (0, 1))
    if once and values.min() == 0 and values.max() == 1 and len(np.unique(values)) > len(values) / 2:
        return "its least value at 0 and its greatest at 1, each in one row,"
    return ""


@hookimpl
def glulam_leak_check() -> list[type[LeakCheck]]:
    """Offer the leak checks of this file."""
    return [FutureInFeatures, FutureInColumns]
