"""The leak check for features that hold the label, a rule that gives it, or its statistics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.hookspecs import hookimpl
from glulam.trainspecs import LeakCase, LeakCheck, Suspicion
from glulam_plugins.leaks._measuring import (
    evaluate,
    in_order,
    one_thread,
    own_folds,
    ranks,
    single_skill,
    without_empty,
)  # fmt: skip

__all__ = ["LabelInFeature"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]

_FEWEST_ROWS = 100
_FEWEST_ENTANGLED = 400
"""Rows below which it is not looked at whether one feature stands apart from others that depend on each other."""
_FEWEST_ONE_SIDED = 50
"""Rows with a value, or without one, below which it may be chance that all have one label."""
_SCREENED = 2_000
"""Rows that pairs of features are first tried on."""
_MOST_PAIRED = 40
"""Features that are tried in pairs; of more, those that come first."""
_DOMINANT = {True: 0.70, False: 0.85}
"""Skill from which a feature by itself is looked at more closely, for rows in an order and without one."""


class LabelInFeature(LeakCheck):
    """Looks for the label inside the features, in five shapes.

    A copy: each value of the feature goes with one label, or a feature, the sum or the difference of two rises and
    falls with the values to foretell. Its presence: the feature has a value in rows of one label only. A rule: a
    threshold on a feature, on the difference of two, or (for rows in an order) on the change of one since the row
    before, gives the label without an error. Target
    encoding: for each value of the feature, the mean label is that value, over rows to test on as well. The label with
    noise: a feature far stronger than all others together, that differs between the labels by a shift alone, and has
    nothing to do with the other features or its own past once the label is known.
    """

    name = "label_in_feature"
    title = "Label contained in, or computable from, a feature"

    def find(self, case: LeakCase) -> list[Suspicion]:
        """Return a suspicion for each feature, or pair of features, that gives the label away."""
        data = case.data
        if len(data) < _FEWEST_ROWS or len(np.unique(data.y)) < 2:
            return []
        found: list[Suspicion] = []
        for position, name in enumerate(data.schema.names):
            values = data.X[:, position].astype(np.float64)
            for look in (self._copy, self._presence, self._encoding, self._rule):
                suspicion = look(case, (name,), name, values)
                if suspicion is not None:
                    found.append(suspicion)
                    break
        if found:  # pairs and dominance would only say again what is known
            return found
        for names, text, values in _combinations(case):
            look = self._rule if len(data.classes) else self._same_order
            suspicion = look(case, names, text, values)
            if suspicion is not None:
                return [suspicion]
        noisy = self._with_noise(case)
        return [] if noisy is None else [noisy]

    def _copy(self, case: LeakCase, names: tuple[str, ...], text: str, values: Float64) -> Suspicion | None:
        """Look for a feature of which each value goes with one label, or that is the value itself."""
        data, y = case.data, case.data.y
        if not len(data.classes):
            return self._same_order(case, names, text, values)
        _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
        if len(counts) < 2 or len(data) < 10 * len(counts):
            return None
        table = np.zeros((len(counts), len(data.classes)))
        np.add.at(table, (which, y), 1)
        wrong, baseline = len(y) - table.max(axis=1).sum(), len(y) - table.sum(axis=0).max()
        if baseline < 10 or wrong > 0.005 * baseline:
            return None
        return Suspicion(
            self.name,
            f"the {len(counts)} values of {text} tell the label in {1 - wrong / len(y):.2%} of the rows",
            "leave it out if it is the label or made from it",
            {"values": len(counts), "rows": len(y), "wrong": int(wrong)},
            names,
        )

    def _presence(self, case: LeakCase, names: tuple[str, ...], text: str, values: Float64) -> Suspicion | None:
        """Look for a feature that has a value, or none, in rows of one label only, and in at least half of these."""
        y = case.data.y
        for there, how in ((~np.isnan(values), "has a value"), (np.isnan(values), "is missing")):
            count = int(there.sum())
            if not len(case.data.classes) or count < _FEWEST_ONE_SIDED or count == len(y):
                continue
            (label, *others), rows = np.unique(y[there]), int((y == y[there][0]).sum())
            if others or count < 0.5 * rows or (count * (len(y) - rows)) < 10 * len(y):
                continue
            return Suspicion(
                self.name,
                f"{text} {how} in {count} rows, all of which have the label {str(case.data.classes[label])!r}, as "
                f"{rows} of {len(y)} rows have",
                "find out when it is filled in: what is known only once the outcome is known is no feature",
                {"rows": count, "of_label": rows, "of": len(y)},
                names,
            )
        return None

    def _same_order(self, case: LeakCase, names: tuple[str, ...], text: str, values: Float64) -> Suspicion | None:
        """Look for a feature that rises or falls with a label of many values in every row.

        In time it must do so from each row to the next as well: the last value of a long, slow series is as near to
        the one to foretell, and honest.
        """
        y = case.data.y
        if len(np.unique(y)) < 20 or len(np.unique(values)) < 20:
            return None
        correlation = 2 * single_skill(y, values, 0) - 1
        if correlation < 0.9999 or (in_order(case) and 2 * single_skill(np.diff(y), np.diff(values), 0) - 1 < 0.9):
            return None
        return Suspicion(
            self.name,
            f"{text} orders the rows as the label does (rank correlation {correlation:.5f})",
            "leave it out if it is the label or made from it",
            {"rank_correlation": correlation},
            names,
        )

    def _rule(self, case: LeakCase, names: tuple[str, ...], text: str, values: Float64) -> Suspicion | None:
        """Look for a threshold that parts two labels without error although values come close to it on both sides.

        A wide gap is no rule: classes that differ much are apart as well.
        """
        y = case.data.y
        if len(case.data.classes) != 2 or min(np.bincount(y, minlength=2)) < 30 or np.isnan(values).any():
            return None
        if single_skill(y, values, 2) < 0.9995:
            return None
        upper, lower = sorted((values[y == 0], values[y == 1]), key=lambda part: -float(np.median(part)))
        wrong = _fewest_wrong(values, y)
        gap = float(upper.min() - lower.max())
        middle = float(np.subtract(*np.quantile(values, [0.75, 0.25])))
        if wrong > 0.002 * min(len(upper), len(lower)) or gap > 10 * middle / len(values):
            return None
        threshold = (float(upper.min()) + float(lower.max())) / 2
        return Suspicion(
            self.name,
            f"{text} above or below {threshold:.6g} is the label in all but {wrong} of {len(y)} rows",
            "a label must be decided by what comes after its row: check that it is not one row off",
            {"threshold": threshold, "wrong": wrong, "rows": len(y), "gap": gap},
            names,
        )

    def _encoding(self, case: LeakCase, names: tuple[str, ...], text: str, values: Float64) -> Suspicion | None:
        """Look for values that are the mean label of their own rows, drawn towards the overall mean or not."""
        data = case.data
        distinct, which, counts = np.unique(values, return_inverse=True, return_counts=True)
        if not 3 <= len(distinct) <= len(data) // 5 or np.isnan(distinct).any():
            return None
        for position in range(len(data.classes)) if len(data.classes) > 2 else (1,):
            target = (data.y == position).astype(np.float64) if len(data.classes) else data.y.astype(np.float64)
            overall, means = target.mean(), np.bincount(which, target) / counts
            scale = max(float(target.std()), 1e-12)
            if np.std(means) < 1e-6 * scale:
                continue
            share, prior, fits = _smoothed(distinct, counts, means, overall, 1e-5 * scale)
            if fits.sum() >= 3 and share >= 0.8 and np.ptp(distinct[fits]) > 1e-3 * scale:
                return Suspicion(
                    self.name,
                    f"{text} is the mean label of the rows that share its value, in {share:.0%} of the rows, "
                    "those to test on among them",
                    "learn target encoding inside each fold, from the rows to fit on",
                    {"values": len(distinct), "share": share, "smoothing": prior},
                    names,
                )
        return None

    def _with_noise(self, case: LeakCase) -> Suspicion | None:
        """Look for one feature that is the label with noise on it."""
        data = case.data
        classes, ordered = len(data.classes), in_order(case)
        if classes > 2 or len(data.schema) < 2 or np.isnan(data.X).all(axis=0).any():
            return None
        alone = np.array([single_skill(data.y, column, classes) for column in data.X.T])
        if alone.max() < _DOMINANT[ordered]:
            return None
        folds = own_folds(case)
        target = data.y[:, None].astype(np.float32)
        beside = [_beside_label(column.astype(np.float64), data.y, classes) for column in data.X.T]
        linear = np.array(
            [_explained(np.delete(data.X, i, axis=1), rest, folds, quick=True) for i, (rest, _) in enumerate(beside)]
        )
        for best in np.argsort(-alone):
            rest, groups = beside[best]
            few = len(np.unique(data.X[:, best])) <= 2
            if alone[best] < _DOMINANT[ordered] or linear[best] > 0.03 or not (few or _same_shape(rest, groups)):
                continue
            others = np.delete(data.X, best, axis=1)
            without = max(evaluate(case, others, data.y, folds, linear=linear) for linear in (False, True))
            entangled = float(np.median(np.delete(linear, best))) if len(data) >= _FEWEST_ENTANGLED else 0.0
            if without - 0.5 >= 0.4 * (alone[best] - 0.5) and entangled < 0.2:
                continue
            past = [np.append(np.nan, data.X[:-1, best])[:, None].astype(np.float32)] if ordered else []
            explained = _explained(np.hstack([others, target, *past]), rest, folds)
            if explained > 0.03:
                continue
            name = data.schema.names[best]
            return Suspicion(
                self.name,
                f"{name} looks like the label with noise: by itself it has a skill of {alone[best]:.3f} (0.5 is "
                f"chance), all other features together {without:.3f}, and beside the label nothing explains it (R2 "
                f"{explained:.3f})",
                "find out where it comes from and whether it is known when the row is predicted",
                {
                    "alone": float(alone[best]), "others": without, "r2_beside_label": explained,
                    "r2_of_others": entangled,
                },
                (name,),
            )  # fmt: skip
        return None


def _smoothed(
    distinct: Float64, counts: Array, means: Float64, overall: float, allowed: float
) -> tuple[float, float, npt.NDArray[np.bool_]]:
    """Return for which values they are mean labels: the share of the rows, the smoothing, and which values.

    Each value by itself tells how strong the smoothing would be; categories with as many rows and the same mean share a
    value, and count a few times over.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        strengths = counts * (means - distinct) / (distinct - overall)
    strengths = strengths[np.isfinite(strengths) & (strengths > 0.01)]
    candidates = [0.0, *np.quantile(strengths, np.linspace(0, 1, 41), method="nearest")] if len(strengths) else [0.0]
    best = (-1.0, 0.0, np.zeros(len(distinct), dtype=bool))
    for strength in candidates:
        fits = np.zeros(len(distinct), dtype=bool)
        for times in range(1, 7):
            prior = times * strength
            fits |= np.abs((counts * means + prior * overall) / (counts + prior) - distinct) < allowed
        share = float(counts[fits].sum() / counts.sum())
        if share > best[0]:
            best = (share, float(strength), fits)
    return best


def _combinations(case: LeakCase) -> Iterator[tuple[tuple[str, ...], str, Float64]]:
    """Yield differences of two features, and changes since the row before, that part the labels of a sample.

    For values those sums and differences of two that order them.
    """
    data = case.data
    if len(data.classes) > 2:
        return
    numeric = [i for i, feature in enumerate(data.schema.features) if feature.kind == "numeric"][:_MOST_PAIRED]
    names = data.schema.names
    X = data.X.astype(np.float64)
    if len(data.classes) and in_order(case):
        for i in numeric:
            change = np.append(0.0, np.diff(X[:, i]))
            if single_skill(data.y, change, 2) > 0.999:
                yield (names[i],), f"the change of {names[i]} since the row before", change
    sample = np.sort(np.random.default_rng(case.seed).permutation(len(data))[:_SCREENED])
    y = data.y[sample]
    for number, i in enumerate(numeric):
        for j in numeric[number + 1 :]:
            if single_skill(y, X[sample, i] - X[sample, j], len(data.classes)) > 0.999:
                yield (names[i], names[j]), f"{names[i]} - {names[j]}", X[:, i] - X[:, j]
            if not len(data.classes) and single_skill(y, X[sample, i] + X[sample, j], 0) > 0.999:
                yield (names[i], names[j]), f"{names[i]} + {names[j]}", X[:, i] + X[:, j]


def _fewest_wrong(values: Float64, y: Array) -> int:
    """Return how many rows the best threshold, either way round, gets wrong."""
    order = np.argsort(values, kind="stable")
    ones = np.cumsum(y[order])
    last = np.append(np.diff(values[order]) > 0, True)  # a threshold lies between different values
    below = np.arange(1, len(y) + 1) - ones  # zeros at or below it
    wrong = ones + (below[-1] - below)  # where ones are expected above
    wrong = np.minimum(wrong, len(y) - wrong)[last]
    return int(min(wrong.min(), y.sum(), len(y) - y.sum()))


def _beside_label(values: Float64, y: Array, classes: int) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Return what of a feature its label does not explain, and the rows parted in two by the label."""
    values = np.where(np.isnan(values), np.nanmean(values), values)
    if classes:
        means = np.array([values[y == position].mean() for position in range(classes)])
        return values - means[y], y == 1
    slope = float(np.cov(values, y)[0, 1] / np.var(y, ddof=1))
    return values - values.mean() - slope * (y - y.mean()), y > np.median(y)


def _same_shape(values: Float64, groups: npt.NDArray[np.bool_]) -> bool:
    """Tell whether two groups may be of one distribution: by Kolmogorov and Smirnov's test, and by skewness.

    Noise has one, whatever the label. A feature that the label was decided by is cut off where the label changes, and
    so is skewed the other way in each group. Either test is passed by 99 of 100 features that are the label with noise.
    """
    order = np.argsort(values, kind="stable")
    inside = np.cumsum(groups[order]) / groups.sum()
    outside = np.cumsum(~groups[order]) / (~groups).sum()
    apart = float(np.abs(inside - outside).max())
    if apart > 1.63 * np.sqrt(len(values) / groups.sum() / (~groups).sum()):
        return False
    skewness, variance = [], 0.0
    for part in (values[groups], values[~groups]):
        unit = (part - part.mean()) / max(float(part.std()), 1e-30)
        skew = float((unit**3).mean())
        influence = unit**3 - skew - 3 * unit - 1.5 * skew * (unit**2 - 1)
        skewness.append(skew)
        variance += float(influence.var()) / len(part)
    return abs(skewness[0] - skewness[1]) < 2.58 * float(np.sqrt(variance))


def _explained(X: Array, target: Float64, folds: list[Any], *, quick: bool = False) -> float:
    """Return the out-of-fold R2 with which features explain a value, by least squares and, if not quick, boosting."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge

    ranked = np.column_stack([ranks(column) / len(column) - 0.5 for column in X.T])
    level = np.nan_to_num(X.astype(np.float64) - np.nanmean(X, axis=0))
    level /= np.maximum(level.std(axis=0), 1e-30)
    models: list[tuple[Any, Array]] = [(Ridge(), ranked), (Ridge(), level)]
    if not quick:
        models.append(
            (HistGradientBoostingRegressor(max_iter=30, learning_rate=0.15, early_stopping=False, random_state=0), X)
        )
    best = -np.inf
    for model, features in models:
        rest, total = 0.0, 0.0
        for train, test in folds:
            known, asked = without_empty(features[train], features[test])
            with one_thread():
                answers = model.fit(known, target[train]).predict(asked)
            rest += float(((target[test] - answers) ** 2).sum())
            total += float(((target[test] - target[train].mean()) ** 2).sum())
        best = max(best, 1 - rest / total if total else 1.0)
    return best


@hookimpl
def glulam_leak_check() -> type[LeakCheck]:
    """Offer the leak check of this file."""
    return LabelInFeature
