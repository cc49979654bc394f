"""Measuring: every metric, of the ensemble, each baseline and each member, on the same rows and the same draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam.dataset import Dataset
from glulam.errors import ConfigError
from glulam.program import Task
from glulam.training.bootstrap import Counts, counts_for, drawn, paired, summary
from glulam.training.results import Comparison, Interval, MetricResult, OutOfFold
from glulam.trainspecs import Fold, Metric

__all__ = ["compare", "default_metrics", "measure", "metrics_named"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Answers = tuple[Float64, Array]
"""Scores [n, n_outputs] and labels [n]."""

_OF_CLASSES = (
    "auc", "log_loss", "brier", "accuracy", "balanced_accuracy", "f1", "precision", "recall", "calibration_error",
)  # fmt: skip
_OF_VALUES = ("rmse", "mae", "r2")


def default_metrics(task: Task) -> tuple[str, ...]:
    """Return the names of the metrics of a task; the first one is the one that verdicts are about."""
    return _OF_VALUES if task == "regression" else _OF_CLASSES


def metrics_named(names: Sequence[str], task: Task) -> tuple[Metric, ...]:
    """Return metrics by name, the default ones where none is named.

    Raises ConfigError for one that is unknown, named twice, or not for the task.
    """
    names = tuple(names) or default_metrics(task)
    for name in names:
        if name not in plugins.known("metric"):
            raise ConfigError(f"metrics: unknown metric {name!r}; known for {task} are {_known(task)}")
    if len(set(names)) != len(names):
        raise ConfigError(f"metrics: expected each name once, got {list(names)}; leave out the repeated one")
    metrics = tuple(plugins.metric(name) for name in names)
    _check(metrics, task)
    return metrics


def measure(
    data: Dataset,
    folds: Sequence[Fold],
    out_of_fold: OutOfFold,
    metrics: Sequence[Metric],
    members: Sequence[str],
    *,
    ordered: bool,
    n_draws: int,
    seed: int,
) -> tuple[tuple[MetricResult, ...], str, Comparison]:
    """Return each metric's results, the name of the baseline that is best by the first, and the ensemble against it.

    members
        their names, in the order of the votes
    ordered
        whether rows follow each other in time, so that intervals are drawn in blocks. Rows that have a time do,
        whatever is given; others are drawn by group where they have groups
    n_draws, seed
        of the bootstrap

    Raises ConfigError for a metric that is not for the task, and where there is none or no baseline.
    """
    _check(metrics, data.task)
    if not out_of_fold.baselines:
        raise ConfigError("metrics: expected at least one baseline to measure against, got none")
    order = np.argsort(out_of_fold.rows, kind="stable")  # neighbours in time are neighbours in blocks
    y, fold = data.y[out_of_fold.rows[order]], out_of_fold.fold[order]
    answers = {key: (scores[order], labels[order]) for key, (scores, labels) in _answers(out_of_fold, members).items()}
    counts = counts_for(data, out_of_fold.rows[order], ordered=ordered, n_draws=n_draws, seed=seed)
    parts = [fold == number for number in range(len(folds))]
    results = tuple(_measured(metric, y, answers, counts, parts) for metric in metrics)
    best = _best(results[0])
    what = f"ensemble against {best}"
    ensemble, baseline = answers["ensemble", ""], answers["baseline", best]
    return results, best, compare(what, metrics[0], y, ensemble, baseline, counts)


def compare(what: str, metric: Metric, data_y: Array, first: Answers, second: Answers, counts: Counts) -> Comparison:
    """Return by how much the first answers are better than the second, paired by rows and draws.

    first, second
        scores and labels of the rows of ``data_y`` and ``counts``, in their order
    """
    scorers = [metric.scorer(data_y, *answers) for answers in (first, second)]
    difference = paired(scorers[0], scorers[1], counts, greater_is_better=metric.greater_is_better)
    return Comparison(what, metric.name, difference)


def _answers(out_of_fold: OutOfFold, members: Sequence[str]) -> dict[tuple[str, str], Answers]:
    """Return all answers by what they are (ensemble, baseline, member) and by name."""
    answers: dict[tuple[str, str], Answers] = {("ensemble", ""): (out_of_fold.scores, out_of_fold.labels)}
    for name, scores in out_of_fold.baselines.items():
        answers["baseline", name] = scores, out_of_fold.baseline_labels[name]
    for index, name in enumerate(members):
        votes = out_of_fold.votes[:, index]
        answers["member", name] = votes, votes[:, 0] if votes.shape[1] == 1 else votes.argmax(axis=1)
    return answers


def _measured(
    metric: Metric, y: Array, answers: Mapping[tuple[str, str], Answers], counts: Counts, parts: Sequence[Array]
) -> MetricResult:
    """Return a metric's results; ``parts`` are masks of the rows of each fold."""
    values, draws = drawn([metric.scorer(y, *each) for each in answers.values()], counts)
    found = {key: summary(value, each) for key, value, each in zip(answers, values, draws, strict=True)}

    def by_fold(key: tuple[str, str]) -> Float64:
        scores, labels = answers[key]
        return np.array([metric.score(y[part], scores[part], labels[part]) for part in parts], dtype=np.float64)

    def named(kind: str) -> dict[str, Interval]:
        return {name: each for (of, name), each in found.items() if of == kind}

    return MetricResult(
        name=metric.name,
        title=metric.title,
        greater_is_better=metric.greater_is_better,
        ensemble=found["ensemble", ""],
        by_fold=by_fold(("ensemble", "")),
        baselines=named("baseline"),
        baselines_by_fold={name: by_fold(("baseline", name)) for name in named("baseline")},
        members=named("member"),
    )


def _best(result: MetricResult) -> str:
    """Return the name of the best baseline; one on which the metric is undefined only where it is so on all."""
    sign = 1.0 if result.greater_is_better else -1.0

    def rank(name: str) -> float:
        value = sign * result.baselines[name].value
        return -math.inf if math.isnan(value) else value

    return max(result.baselines, key=rank)


def _check(metrics: Sequence[Metric], task: Task) -> None:
    """Raise ConfigError where there is no metric, or one that is not for the task."""
    if not metrics:
        raise ConfigError(f"metrics: expected at least one, got none; known for {task} are {_known(task)}")
    for metric in metrics:
        if task not in metric.tasks:
            raise ConfigError(
                f"metrics: {metric.name!r} is for {' and '.join(metric.tasks)}, the task is {task}; known for it are "
                f"{_known(task)}"
            )


def _known(task: Task) -> list[str]:
    """Return the names of the metrics that are for a task; of other authors' those that can be loaded."""
    return [each.name for each in plugins.available("metric") if not each.why_not and task in _tasks_of(each.name)]


def _tasks_of(name: str) -> tuple[Task, ...]:
    """Return which tasks a metric is for."""
    return plugins.metric(name).tasks
