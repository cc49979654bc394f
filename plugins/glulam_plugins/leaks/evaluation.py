"""Leak checks that repeat the evaluation with a quick estimator, and ask whether its figures can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import ConfigError
from glulam.hookspecs import hookimpl
from glulam.trainspecs import Fold, LeakCase, LeakCheck, Suspicion
from glulam_plugins.leaks._measuring import (
    evaluate,
    fold_order,
    in_order,
    own_folds,
    price_behind,
    ranks,
    rows_tested,
    single_skill,
    skill,
    standard_error,
)  # fmt: skip

__all__ = ["ImplausibleScore", "InSampleScores", "PermutedLabels", "ShiftedLabels", "ShuffledGap"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]


def _beyond_chance(values: Sequence[float], error: float) -> bool:
    """Tell whether all skills on labels that nothing can know are above chance, by far more than they scatter."""
    found = np.array(values)
    if not len(found) or np.isnan(found).any():
        return False
    scatter = float(found.std(ddof=1) / np.sqrt(len(found)))
    return bool(found.min() > 0.5 and found.mean() - 0.5 > max(0.03, 4 * scatter, 4 * error / np.sqrt(len(found))))


class PermutedLabels(LeakCheck):
    """Repeats the evaluation with labels that are dealt out at random, which nothing can foretell.

    Four times over, with the folds that were used and a quick estimator. What is still above chance is what the
    evaluation lets through: rows tested on that were fitted on.
    """

    name = "permuted_labels"
    title = "Skill on labels dealt out at random"

    def find(self, case: LeakCase) -> list[Suspicion]:
        """Return a suspicion where permuted labels can be foretold."""
        data = case.data
        random = np.random.default_rng(case.seed)
        permuted = [evaluate(case, data.X, random.permutation(data.y), case.folds) for _ in range(4)]
        if not _beyond_chance(permuted, standard_error(data.y[rows_tested(case.folds)], data)):
            return []
        return [
            Suspicion(
                self.name,
                f"labels dealt out at random are foretold with a skill of {np.mean(permuted):.3f}, where 0.5 is all "
                "there can be",
                "rows that are tested on were fitted on: check the folds",
                {"permuted": permuted, "real": evaluate(case, data.X, data.y, case.folds)},
            )
        ]


class ShiftedLabels(LeakCheck):
    """Repeats the evaluation with labels moved far away in time, which features cannot know.

    Labels keep their own course, so that neighbours still have like labels and like features. What is above chance
    comes from neighbours of tested rows that were fitted on. Folds whose rows to fit on all come first have no such
    neighbours: there only chance trends would be found, and the check does not apply.
    """

    name = "shifted_labels"
    title = "Skill on labels moved far away in time"

    def applies(self, case: LeakCase) -> bool:
        """Tell whether rows have an order that the folds do not keep."""
        return in_order(case) and not fold_order(case.folds)

    def find(self, case: LeakCase) -> list[Suspicion]:
        """Return a suspicion where shifted labels can be foretold."""
        data = case.data
        steps = [len(data) * part // 5 for part in range(1, 5)]
        shifted = [evaluate(case, data.X, np.roll(data.y, step), case.folds) for step in steps]
        if not _beyond_chance(shifted, standard_error(data.y[rows_tested(case.folds)], data)):
            return []
        return [
            Suspicion(
                self.name,
                f"labels moved {steps[0]} rows and more away are foretold with a skill of {np.mean(shifted):.3f}, "
                "where 0.5 is all there can be",
                "neighbours in time of tested rows were fitted on: use walk_forward",
                {"rows_moved": steps, "shifted": shifted, "real": evaluate(case, data.X, data.y, case.folds)},
            )
        ]


class ShuffledGap(LeakCheck):
    """Compares the folds that were used with a walk-forward, where rows have an order that the folds do not keep.

    A gap is what the evaluation owes to rows from the tested ones' own time. Rows that do not depend on time have none.
    """

    name = "shuffled_gap"
    title = "Skill in folds that ignore time against walk-forward"

    def applies(self, case: LeakCase) -> bool:
        """Tell whether rows have an order that the folds do not keep."""
        return in_order(case) and not fold_order(case.folds)

    def find(self, case: LeakCase) -> list[Suspicion]:
        """Return a suspicion where walk-forward is clearly worse."""
        data = case.data
        used = evaluate(case, data.X, data.y, case.folds)
        folds = own_folds(case)
        forward = evaluate(case, data.X, data.y, folds)
        error = standard_error(data.y[rows_tested(folds)], data)
        if not used - forward > max(0.05, 4 * error):
            return []
        return [
            Suspicion(
                self.name,
                f"the folds used give a skill of {used:.3f}, walk-forward {forward:.3f} (0.5 is chance)",
                "rows to fit on must come before those to test on: use walk_forward",
                {"used": used, "walk_forward": forward, "standard_error": error},
            )
        ]


class ImplausibleScore(LeakCheck):
    """Asks whether a skill can be, where the label is the future change of something that moves like a price.

    If the table has a column whose changes do not depend on earlier ones, and the label follows from its change over
    the horizon, then little can be known of it. A walk-forward with a quick estimator that knows much is implausible.
    """

    name = "implausible_score"
    title = "Skill that cannot be, on the future of a price"

    def __init__(self, most: float = 0.62) -> None:
        if not 0.5 <= most <= 1:
            raise ConfigError(f"leak check {self.name!r}: most: expected a skill from 0.5 to 1, got {most}")
        self.most = most

    def applies(self, case: LeakCase) -> bool:
        """Tell whether rows have an order and labels of two classes reach into later rows."""
        return in_order(case) and case.data.horizon > 0 and len(case.data.classes) == 2 and len(case.data) >= 500

    def find(self, case: LeakCase) -> list[Suspicion]:
        """Return a suspicion that names the features which know too much by themselves."""
        data = case.data
        price = price_behind(case)
        if price is None or (memory := _memory(price[1])) > 0.15:
            return []
        folds = own_folds(case)
        forward = evaluate(case, data.X, data.y, folds)
        if not forward > max(self.most, 0.5 + 5 * standard_error(data.y[rows_tested(folds)], data)):
            return []
        alone = {
            feature: single_skill(data.y, column, 2)
            for feature, column in zip(data.schema.names, data.X.T, strict=True)
        }
        enough = max(self.most, 0.5 + 0.8 * (max(alone.values()) - 0.5))
        strong = sorted((feature for feature in alone if alone[feature] > enough), key=lambda each: -alone[each])
        by = f", most by {strong[0]} ({alone[strong[0]]:.3f} by itself)" if strong else ""
        return [
            Suspicion(
                self.name,
                f"walk-forward foretells the next changes of {price[0]} with a skill of {forward:.3f}{by}, though its "
                f"changes hardly depend on earlier ones (autocorrelation {memory:.3f} at most)",
                "look in the features, or in how the label is made, for something that comes later than its row",
                {"skill": forward, "autocorrelation": memory, "alone": alone},
                tuple(strong),
            )
        ]


def _memory(course: Float64) -> float:
    """Return the largest autocorrelation of a price's changes, by ranks, which a few jumps do not rule."""
    if course.min() <= 0:
        return 1.0
    change = ranks(np.diff(np.log(course)))
    change = change - change.mean()
    size = float(change @ change)
    return max(abs(float(change[lag:] @ change[:-lag])) / size for lag in range(1, 6)) if size else 1.0


class InSampleScores(LeakCheck):
    """Compares the scores that were reported with what an honest repetition of the folds gives.

    Reported scores that are far above the best of a boosting model, a linear one and the estimator given, all fitted on
    the rows to fit on alone, were not made that way. So is a score for a row that no fold tests.
    """

    name = "in_sample_scores"
    title = "Reported scores against an honest repetition"

    def applies(self, case: LeakCase) -> bool:
        """Tell whether scores were reported."""
        return case.scores is not None

    def find(self, case: LeakCase) -> list[Suspicion]:
        """Return a suspicion where scores are beyond what the folds allow."""
        if case.scores is None:
            return []
        scores = np.asarray(case.scores, dtype=np.float64).reshape(len(case.data), -1)
        scored = np.asarray(~np.isnan(scores).any(axis=1))
        found = []
        untested = np.setdiff1d(np.flatnonzero(scored), rows_tested(case.folds))
        if len(untested):
            found.append(
                Suspicion(
                    self.name,
                    f"{len(untested)} of {int(scored.sum())} rows have scores though no fold tests them",
                    "score rows only by a model that was not fitted on them",
                    {"rows": len(untested), "scored": int(scored.sum())},
                )
            )
        return found + self._too_good(case, scores, scored)

    def _too_good(self, case: LeakCase, scores: Float64, scored: npt.NDArray[np.bool_]) -> list[Suspicion]:
        """Compare the scores fold by fold with those of quick estimators."""
        data = case.data
        folds: list[Fold] = [(train, test[scored[test]]) for train, test in case.folds]
        folds = [(np.setdiff1d(train, test), test) for train, test in folds]
        folds = [(train, test) for train, test in folds if len(test) > 1 and len(train) > 1]
        each = [skill(data.y[test], scores[test], len(data.classes)) for _, test in folds]
        each = [value for value in each if value == value]
        if not each:
            return []
        reported = float(np.mean(each))
        error = standard_error(data.y[rows_tested(folds)], data)
        if reported - 0.5 < max(0.1, 5 * error):
            return []
        repeated = [evaluate(case, data.X, data.y, folds), evaluate(case, data.X, data.y, folds, linear=True)]
        if case.make is not None:
            own = LeakCase(data, folds, seed=case.seed)
            repeated.append(evaluate(own, data.X, data.y, folds))
        honest = float(np.nanmax(repeated)) if not np.isnan(repeated).all() else float("nan")
        far = reported - honest > max(0.1, 5 * error)
        if not far or not (1 - reported < 0.5 * (1 - honest) or reported - 0.5 > 3 * (honest - 0.5)):
            return []
        return [
            Suspicion(
                self.name,
                f"the reported scores have a skill of {reported:.3f} where models fitted on the same folds reach "
                f"{honest:.3f} (0.5 is chance)",
                "the rows were scored by a model that had seen them: score each fold by a model fitted on its rows to "
                "fit on",
                {"reported": reported, "repeated": honest, "standard_error": error},
            )
        ]


@hookimpl
def glulam_leak_check() -> list[type[LeakCheck]]:
    """Offer the leak checks of this file."""
    return [PermutedLabels, ShiftedLabels, ShuffledGap, ImplausibleScore, InSampleScores]
