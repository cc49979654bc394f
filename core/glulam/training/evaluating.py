"""Evaluation: fit on each fold, ask about its test rows, and say how good the answers are, honestly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam.dataset import Dataset
from glulam.errors import ConfigError
from glulam.runtime import ProductionEnsemble
from glulam.training import champion as champions
from glulam.training.backtest import backtest
from glulam.training.baselines import predict_baselines
from glulam.training.bootstrap import counts_for
from glulam.training.config import Config
from glulam.training.ensembles import FoldFit, check_settings, fit_fold, given_weights, unfitted
from glulam.training.finishing import Finishing, comparisons, finish, finish_by_fold
from glulam.training.folder import RunFolder
from glulam.training.folds import make_folds
from glulam.training.gates import needs
from glulam.training.measuring import compare, measure, metrics_named
from glulam.training.results import Backtest, Comparison, Evaluation, OutOfFold
from glulam.training.selection import choose_features, select_by_fold, with_features
from glulam.training.threshold import EXPECTED_VALUE, ExpectedValue, threshold_table
from glulam.trainspecs import Fold, Metric, Selection

__all__ = ["Evaluator", "Judged"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """An evaluation, and what it leaves to do for the final fit.

    data
        the rows with the features to fit on: all, or the selected ones where that paid
    finishing
        weights, vote and threshold, learnt from all out-of-fold votes
    importance
        float64 [n_folds, n_features] for the features of ``data``
    champion
        the ensemble against the present one, and on which rows; None where no such gate was asked for
    facts
        for the manifest
    """

    data: Dataset
    evaluation: Evaluation
    finishing: Finishing
    importance: Float64
    champion: tuple[Comparison | None, str] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


class Evaluator:
    """Evaluates the ensemble of a config fold by fold; folds that a resumed run has are not fitted again."""

    def __init__(self, config: Config, data: Dataset, folder: RunFolder, say: Callable[[str], None]) -> None:
        self.config, self.data, self.folder, self.say = config, data, folder, say
        check_settings(config, data)
        self.splitter, self.folds = make_folds(config.evaluation, data)
        self.metrics = self._metrics()
        # What ensembles are compared by: it judges probabilities row by row, and notices small differences.
        self.comparing = plugins.metric("rmse" if data.task == "regression" else "log_loss")

    def _metrics(self) -> tuple[Metric, ...]:
        """Return the metrics of the config, and those that its gates read."""
        task = self.data.task
        chosen = metrics_named(self.config.evaluation.metrics, task)
        for gate, metric in needs(self.config.gates).items():
            if task not in plugins.metric(metric).tasks:
                raise ConfigError(f"gates.{gate}: {metric} is no metric of {task}; leave this gate out")
        named = [metric.name for metric in chosen]
        return metrics_named([*named, *(name for name in needs(self.config.gates).values() if name not in named)], task)

    def judge(self, champion: ProductionEnsemble | None, tuned: tuple[Comparison, ...] = ()) -> Judged:
        """Return the evaluation, by answers of ensembles that never saw the rows they are asked about.

        tuned: what searching parameters brought, to be shown among the comparisons.
        """
        self.say(f"evaluation: {self.splitter}")
        chosen, selection, selected = self._select()
        fits = [self._fold(number, fold, chosen[number]) for number, fold in enumerate(self.folds)]
        config, data = self.config, self.data
        answers, by_fold = self._answers(fits)
        y = data.y[answers.rows]
        measured, best, against = measure(
            data, self.folds, answers, self.metrics, list(config.members),
            ordered=self.splitter.ordered, n_draws=config.evaluation.bootstrap, seed=config.seed,
        )  # fmt: skip
        weights = given_weights(config)
        evaluation = Evaluation(
            splitter=str(self.splitter),
            ordered=self.splitter.ordered,
            folds=self.folds,
            out_of_fold=answers,
            metrics=measured,
            best_baseline=best,
            against_best=against,
            thresholds=self._thresholds(answers.scores, y),
            comparisons=(*self._comparisons(answers, by_fold), *selected, *tuned),
            backtest=self._backtest(answers),
            selection=selection,
        )
        final = finish(
            config.ensemble, weights, answers.votes, y, data.task, data.n_outputs,
            fold=None if self.splitter.ordered else answers.fold,
        )  # fmt: skip
        if final.why_plain:
            self.say(f"neither weights nor calibration nor threshold were learnt: {final.why_plain}")
        return Judged(
            data=data if selection is None else with_features(data, selection.kept),
            evaluation=evaluation,
            finishing=final,
            importance=self._importance(fits, selection),
            champion=None if champion is None else self._against(champion, answers),
            facts={
                "weights": self._weights(final),
                "threshold": final.threshold,
                "features": data.schema.names if selection is None else list(selection.kept),
                "warnings": self._warnings(final),
            },
        )

    def _warnings(self, final: Finishing) -> list[str]:
        """Return what the figures cannot be trusted in."""
        found = []
        if not self.splitter.ordered and self.data.task != "regression":
            found.append("folds are fitted on each other's rows, and vary more than their intervals tell")
        if not self.splitter.ordered and final.voting.learns_weights:
            found.append(
                f"voting {final.voting.name!r} learnt from members that were fitted on the rows it was tested on: "
                "no more than an estimate"
            )
        if final.why_plain:
            found.append(f"neither weights nor calibration nor threshold were learnt: {final.why_plain}")
        return found

    # -- folds ------------------------------------------------------------------------------

    def _select(self) -> tuple[Sequence[tuple[str, ...] | None], Selection | None, tuple[Comparison, ...]]:
        """Return which features each fold is fitted on, the choice on all rows, and what choosing brings.

        Each fold chooses from its own rows to fit on, and takes the choice by what choosing brought on other folds, so
        that its test rows have no say. All features, if it does not pay.
        """
        config, data = self.config, self.data
        if not config.features.select:
            return [None] * len(self.folds), None, ()
        selector = plugins.selector(config.features.select, **config.features.select_params)

        def make(rows: Dataset) -> Any:
            return unfitted(config, rows)

        by_fold = select_by_fold(data, self.folds, selector, make)
        selection, comparison, adopted, adopted_by_fold = choose_features(
            data, self.folds, selector, make, self.comparing, ordered=self.splitter.ordered,
            n_draws=config.evaluation.bootstrap, seed=config.seed, by_fold=by_fold,
        )  # fmt: skip
        found = comparison.difference
        self.say(
            f"feature selection: {len(selection.kept)} of {len(data.schema)}, {comparison.metric} better by "
            f"{found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f}) on unseen folds: "
            + (f"kept {', '.join(selection.kept)}" if adopted else "it does not pay, all are kept")
        )
        chosen = [each.kept if taken else None for each, taken in zip(by_fold, adopted_by_fold, strict=True)]
        return chosen, selection if adopted else None, (comparison,)

    def _fold(self, number: int, fold: Fold, names: tuple[str, ...] | None) -> FoldFit:
        """Fit a fold, or take what an interrupted run has left of it."""
        train, test = fold
        where = f"fold {number + 1} of {len(self.folds)}"
        fit = self.folder.load_fold(number, len(test))
        if fit is None:
            data = self.data if names is None else with_features(self.data, names)
            fit = fit_fold(self.config, data, train, test, where=where)
            if names is not None:
                fit = FoldFit(fit.votes, _spread(fit.importance, names, self.data.schema.names))
            self.folder.save_fold(number, fit)
            self.say(f"  {where}: fitted on {len(train):,} rows, tested on {len(test):,}")
        else:
            self.say(f"  {where}: kept from the interrupted run")
        return fit

    def _answers(self, fits: Sequence[FoldFit]) -> tuple[OutOfFold, list[Finishing]]:
        """Return all out-of-fold answers, and what each fold learnt of the earlier ones."""
        config, data = self.config, self.data
        rows = np.concatenate([test for _, test in self.folds])
        number = np.concatenate([np.full(len(test), index) for index, (_, test) in enumerate(self.folds)])
        votes = np.concatenate([fit.votes for fit in fits])
        scores, labels, by_fold = finish_by_fold(
            config.ensemble, given_weights(config), votes, data.y[rows], number, rows,
            horizon=data.horizon, ordered=self.splitter.ordered, task=data.task, n_outputs=data.n_outputs,
        )  # fmt: skip
        baselines = [predict_baselines(data, train, test) for train, test in self.folds]
        return OutOfFold(
            rows=rows,
            fold=number.astype(np.int64),
            votes=votes,
            scores=scores,
            labels=labels,
            baselines=_joined([each for each, _ in baselines]),
            baseline_labels=_joined([each for _, each in baselines]),
        ), by_fold

    # -- what is made of the answers --------------------------------------------------------

    def _comparisons(self, answers: OutOfFold, by_fold: Sequence[Finishing]) -> list[Comparison]:
        """Return what learning weights, calibration and threshold brings, on the folds that could learn."""
        y = self.data.y[answers.rows]
        contrasts = comparisons(
            self.config.ensemble, given_weights(self.config), answers.votes, y, answers.fold, by_fold,
            task=self.data.task,
        )  # fmt: skip
        return [self._compare(what, answers.rows[kept], ours, other) for what, kept, ours, other in contrasts]

    def _compare(
        self, what: str, rows: npt.NDArray[np.int64], ours: tuple[Float64, Array], other: tuple[Float64, Array]
    ) -> Comparison:
        """Compare two ways on the same rows and draws; thresholds, which move no score, by what they are chosen for."""
        metric = self.comparing
        if what.startswith("threshold"):
            settings = self.config.ensemble
            rule = str(settings.threshold)
            metric = ExpectedValue(settings.gain, settings.loss) if rule == EXPECTED_VALUE else plugins.metric(rule)
        order = np.argsort(rows, kind="stable")  # neighbours in time are neighbours in blocks
        first, second = ((scores[order], labels[order]) for scores, labels in (ours, other))
        return compare(what, metric, self.data.y[rows[order]], first, second, self._counts(rows[order]))

    def _counts(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
        """Return the bootstrap draws of rows, which are in the order of their time."""
        evaluation = self.config.evaluation
        return counts_for(
            self.data, rows, ordered=self.splitter.ordered, n_draws=evaluation.bootstrap, seed=self.config.seed
        )

    def _against(self, champion: ProductionEnsemble, answers: OutOfFold) -> tuple[Comparison | None, str]:
        """Compare with the champion on the tested rows that it was not fitted on."""
        fresh, words = champions.unseen_rows(champion, self.data, answers.rows)
        if not fresh.any():
            return None, words
        rows = answers.rows[fresh]
        theirs = champions.answers_of(champion, self.data, rows)
        ours = answers.scores[fresh], answers.labels[fresh]
        return self._compare("ensemble against the champion", rows, ours, theirs), words

    def _backtest(self, answers: OutOfFold) -> Backtest | None:
        config = self.config.backtest
        if not config.enabled:
            return None
        return backtest(self.data, answers, config, counts=self._counts(np.sort(answers.rows)))

    def _thresholds(self, scores: Float64, y: Array) -> Mapping[str, Float64]:
        settings = self.config.ensemble
        return threshold_table(scores, y, gain=settings.gain, loss=settings.loss) if self.data.task == "binary" else {}

    def _weights(self, final: Finishing) -> dict[str, dict[str, float]]:
        """Return the weights by member, normalised: given, equal, and those that are used."""
        members = self.config.members
        weights = {
            "given": np.array([member.weight for member in members.values()]),
            "equal": np.ones(len(members)),
            "used": final.weights,
        }
        if self.config.ensemble.weights == "auto":
            weights["auto"] = final.weights
        return {
            kind: dict(zip(members, (values / values.sum()).round(6).tolist(), strict=True))
            for kind, values in weights.items()
            if values.sum() > 0
        }

    def _importance(self, fits: Sequence[FoldFit], selection: Selection | None) -> Float64:
        importance = np.stack([fit.importance for fit in fits])
        if selection is None:
            return importance
        return importance[:, [self.data.schema.names.index(name) for name in selection.kept]]


def _spread(importance: Float64, names: Sequence[str], everything: Sequence[str]) -> Float64:
    """Return the importance of all features; 0 for those that a fold left out."""
    spread = np.zeros(len(everything))
    spread[[everything.index(name) for name in names]] = importance
    return spread


def _joined(folds: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Return the answers of all folds by name, those that every fold has."""
    names = [name for name in folds[0] if all(name in fold for fold in folds)]
    return {name: np.concatenate([fold[name] for fold in folds]) for name in names}
