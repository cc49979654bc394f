"""Leak checks that look at which rows are fitted on and tested on: overlaps, copies, and their order in the file."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.hookspecs import hookimpl
from glulam.trainspecs import Fold, LeakCase, LeakCheck, Suspicion
from glulam_plugins.leaks._measuring import fold_order, in_order, ranks, single_skill, standard_error

__all__ = ["DuplicateRows", "LabelOverlap", "RowOrder"]

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]

_NEAR = 0.1
"""Of the distance to the second nearest row: what is nearer is a near copy."""
_FEWEST_MEASURES = 3
_FOLDS_NEAR, _FITTED_NEAR, _TESTED_NEAR = 3, 8_000, 300
"""The last folds, and as many rows of each, that near copies are looked for in."""


class LabelOverlap(LeakCheck):
    """Looks in every fold for rows to fit on that share something with rows to test on.

    That is the row itself, a group, or a row of the table that both labels read: each label reads the rows from its
    own to its last one. It is counting, and has no false alarms as long as horizons and groups are right.
    """

    name = "label_overlap"
    title = "Overlap of rows to fit on and to test on: rows, groups, label horizons"

    def find(self, case: LeakCase) -> list[Suspicion]:
        """Return a suspicion for each kind of overlap."""
        data, folds = case.data, case.folds
        same = np.array([len(np.intersect1d(train, test)) for train, test in folds])
        tested = sum(len(test) for _, test in folds)
        found = []
        if same.any():
            found.append(
                Suspicion(
                    self.name,
                    f"{int(same.sum())} of {tested} rows to test on are among the rows that were fitted on",
                    "test on rows that the model has not seen",
                    {"rows": same.tolist(), "tested": tested},
                )
            )
        if data.groups is not None:
            torn = np.array([np.isin(data.groups[test], data.groups[train]).sum() for train, test in folds])
            if torn.any():
                found.append(
                    Suspicion(
                        self.name,
                        f"{int(torn.sum())} of {tested} rows to test on belong to a group that was fitted on too",
                        "split by groups, with the splitter group_k_fold",
                        {"rows": torn.tolist(), "tested": tested},
                    )
                )
        reached = np.array([_reached(data.rows, data.label_end, fold) for fold in folds])
        if reached.any():
            horizon = int((data.label_end - data.rows).max())
            found.append(
                Suspicion(
                    self.name,
                    f"labels of {int(reached.sum())} rows to fit on and rows to test on read the same rows of the "
                    f"table (labels reach {horizon} rows ahead)",
                    f"leave a gap of {horizon} rows between them (purge), and keep the rows in their order",
                    {"rows": reached.tolist(), "tested": tested, "horizon": horizon},
                )
            )
        return found


def _reached(rows: Int64, end: Int64, fold: Fold) -> int:
    """Count the rows to fit on whose span from row to label end meets that of another row to test on."""
    train, test = fold
    train = np.setdiff1d(train, test)
    if not len(train) or not len(test) or (end <= rows).all():
        return 0
    starts = np.sort(rows[test])
    furthest = np.maximum.accumulate(end[test][np.argsort(rows[test], kind="stable")])
    # Of the tested rows that start no later than this label's end, does the one reaching furthest reach this row?
    before = np.searchsorted(starts, end[train], side="right")
    meets = (before > 0) & (furthest[np.maximum(before, 1) - 1] >= rows[train])
    return int(meets.sum())


class DuplicateRows(LeakCheck):
    """Counts rows to test on of which a copy, with the same features, was fitted on.

    Rows of few possible values repeat honestly. How often that would be is estimated from how often each column
    repeats by itself (of columns that go together, only one is counted); copies are reported where there are at least
    five, at least 1 % of the rows, and twenty times as many as expected. Else near copies are looked for in three
    features or more of many values: rows of which one fitted row is ten times as near as any other, at least 1 % of
    the rows and twenty times as many as there would be in so many dimensions.
    """

    name = "duplicate_rows"
    title = "Copies of rows on both sides of a split"

    def find(self, case: LeakCase) -> list[Suspicion]:
        """Return a suspicion where copies are far more than chance would have it."""
        return self._exact(case) or self._near(case)

    def _exact(self, case: LeakCase) -> list[Suspicion]:
        """Count rows with the same features, to the last bit."""
        data = case.data
        # Bit patterns, so that missing values are equal to each other; adding 0 turns -0 into 0.
        keys = np.ascontiguousarray(data.X + np.float32(0)).view(np.dtype((np.void, data.X.shape[1] * 4))).ravel()
        _, which = np.unique(keys, return_inverse=True)
        copies, agree, tested = 0, 0, 0
        for train, test in case.folds:
            fitted = np.setdiff1d(train, test)
            at = test[np.isin(which[test], which[fitted])]
            copies, tested = copies + len(at), tested + len(test)
            label = dict(zip(which[fitted].tolist(), data.y[fitted].tolist(), strict=True))
            agree += sum(
                label[key] == value for key, value in zip(which[at].tolist(), data.y[at].tolist(), strict=True)
            )
        if not tested:
            return []
        share = copies / tested
        fitted_on = float(np.mean([len(train) for train, _ in case.folds]))
        expected = min(1.0, fitted_on * _chance_of_copy(data.X, case.seed))
        if copies < 5 or share < max(0.01, 20 * expected):
            return []
        return [
            Suspicion(
                self.name,
                f"{copies} of {tested} rows to test on ({share:.1%}) have a copy among the rows that were fitted on, "
                f"with the same label in {agree / copies:.0%}; by chance {expected:.2%} would",
                "drop repeated rows, or give what they belong to as group",
                {"copies": copies, "tested": tested, "same_label": agree / copies, "expected_share": expected},
            )
        ]

    def _near(self, case: LeakCase) -> list[Suspicion]:
        """Count rows with one fitted row ten times as near as the second nearest."""
        X = _measures(case)
        random = np.random.default_rng(case.seed)
        ratios, spreads = [], []
        for train, test in list(case.folds)[-_FOLDS_NEAR:] if X.shape[1] >= _FEWEST_MEASURES else []:
            fitted = np.setdiff1d(train, test)
            if len(fitted) < 100:
                continue
            fitted, asked = (
                part if len(part) <= most else random.choice(part, most, replace=False)
                for part, most in ((fitted, _FITTED_NEAR), (test, _TESTED_NEAR))
            )
            first, second, tenth = _distances(X[fitted], X[asked]).T
            apart = first > 0  # what is equal is a copy, or of few possible values
            ratios.append(first[apart] / second[apart])
            spreads.append(second[apart] / tenth[apart])
        ratio, spread = np.concatenate([*ratios, []]), np.concatenate([*spreads, []])
        if len(ratio) < 100:
            return []
        # How fast neighbours follow each other tells in how many dimensions the rows lie, and how rare a near one is.
        dimensions = np.log(5) / max(1e-9, -float(np.log(np.clip(np.median(spread), 1e-9, 1.0))))
        share, expected = float((ratio < _NEAR).mean()), float(_NEAR**dimensions)
        if share < max(0.01, 20 * expected):
            return []
        return [
            Suspicion(
                self.name,
                f"{share:.1%} of the rows to test on have a fitted row that is ten times as near as any other; by "
                f"chance {expected:.2%} would",
                "drop rows that repeat others with small changes, or give what they belong to as group",
                {"share": share, "expected_share": expected, "dimensions": float(dimensions), "rows": len(ratio)},
            )
        ]


def _measures(case: LeakCase) -> npt.NDArray[np.float32]:
    """Return the features that are measured and not counted, of one scale each."""
    kept = []
    for feature, column in zip(case.data.schema.features, case.data.X.T, strict=True):
        known = np.isfinite(column)
        if feature.kind == "numeric" and known.mean() > 0.5 and len(np.unique(column[known])) > 0.5 * known.sum():
            kept.append(np.where(known, ranks(column) / len(column), 0.0).astype(np.float32))
    return np.column_stack(kept) if kept else np.empty((len(case.data), 0), np.float32)


def _distances(fitted: npt.NDArray[np.float32], asked: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return how far the first, second and tenth nearest fitted rows are, [n_asked, 3]."""
    found = np.empty((len(asked), 3))
    for row, point in enumerate(asked):
        squared = ((fitted - point) ** 2).sum(axis=1)
        found[row] = np.sqrt(np.partition(squared, (0, 1, 9))[[0, 1, 9]])
    return found


def _chance_of_copy(X: Array, seed: int) -> float:
    """Return the chance that two rows agree in all features, if unrelated features repeat independently."""
    sample = np.random.default_rng(seed).permutation(len(X))[:2_000]
    repeats = []
    for position, column in enumerate(X.T):
        _, counts = np.unique(column, return_counts=True)
        repeats.append((float(((counts / len(X)) ** 2).sum() - 1 / len(X)), position))
    ranked = [ranks(column[sample]) for column in X.T]
    chance, used = 1.0, list[Array]()
    for repeat, position in sorted(repeats):
        own = ranked[position] - ranked[position].mean()
        size = float(np.sqrt(own @ own))
        if size == 0:
            continue
        own = own / size
        if all(abs(float(own @ other)) < 0.5 for other in used):
            used.append(own)
            chance *= max(repeat, 1 / len(X) ** 2)
    return chance


class RowOrder(LeakCheck):
    """Looks for a feature that is the row's number, a whole one, and foretells the label because the file is sorted.

    Only where that leaks: for rows without an order, or folds that do not keep it. A file sorted by its label is no
    leak by itself, as long as no feature tells where in the file a row stood.
    """

    name = "row_order"
    title = "Features that number the rows, and labels that follow the order of the file"

    def applies(self, case: LeakCase) -> bool:
        """Tell whether the place in the file must not matter."""
        return not in_order(case) or not fold_order(case.folds)

    def find(self, case: LeakCase) -> list[Suspicion]:
        """Return a suspicion for each feature that numbers the rows and foretells the label."""
        data = case.data
        place = data.raw.file_rows[data.rows].astype(np.float64)
        if len(data) < 50 or place.std() == 0:
            return []
        tenths = _by_tenth(data.y, place, len(data.classes))
        found = []
        for position, name in enumerate(data.schema.names):
            values = data.X[:, position].astype(np.float64)
            # Whole numbers: a sweep over evenly spaced settings, sorted, is a straight line too, and honest.
            if np.isnan(values).any() or len(np.unique(values)) < 0.9 * len(values) or (values % 1).any():
                continue
            straight = abs(float(np.corrcoef(values, place)[0, 1]))
            known = _known_by_place(data.y, place, len(data.classes))
            if straight < 0.9999 or known < 0.5 + max(0.05, 4 * standard_error(data.y, data)):
                continue
            found.append(
                Suspicion(
                    self.name,
                    f"{name} numbers the rows (correlation with their place in the file {straight:.5f}), and the place "
                    f"foretells the label: skill {known:.3f} (0.5 is chance)",
                    "leave it out",
                    {"correlation": straight, "skill": known, "label_by_tenth": tenths},
                    (name,),
                )
            )
        return found


def _by_tenth(y: Array, place: Array, classes: int) -> list[float]:
    """Return the mean label, or the share of the last class, in each tenth of the file."""
    target = (y == classes - 1) if classes else y
    return [float(part.mean()) for part in np.array_split(target[np.argsort(place, kind="stable")], 10) if len(part)]


def _known_by_place(y: Array, place: Array, classes: int) -> float:
    """Return how well the nearest rows in the file foretell a row's label."""
    order = np.argsort(place, kind="stable")
    y = y[order]
    near = np.arange(-5, 6)
    near = near[near != 0]
    at = np.clip(np.arange(len(y))[:, None] + near, 0, len(y) - 1)
    at = np.where(at == np.arange(len(y))[:, None], np.clip(len(y) - 1 - at, 0, len(y) - 1), at)
    if not classes:
        return single_skill(y, y[at].mean(axis=1), 0)
    return float(np.mean([single_skill((y == k).astype(int), (y[at] == k).mean(axis=1), 2) for k in range(classes)]))


@hookimpl
def glulam_leak_check() -> list[type[LeakCheck]]:
    """Offer the leak checks of this file."""
    return [LabelOverlap, DuplicateRows, RowOrder]
