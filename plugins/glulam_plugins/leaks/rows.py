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
    five, at least 1 % of the rows, and twenty times as many as expected.
    """

    name = "duplicate_rows"
    title = "Copies of rows on both sides of a split"

    def find(self, case: LeakCase) -> list[Suspicion]:
        """Return a suspicion where copies are far more than chance would have it."""
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
    """Looks for a feature that is the row's number, and foretells the label because the file is sorted.

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
            if np.isnan(values).any() or len(np.unique(values)) < 0.9 * len(values):
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
