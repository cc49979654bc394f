"""What a metric must do."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np

from glulam.program import Task
from glulam.testing._shared import TASKS, Array, ContractError, Float64, instance_of, require
from glulam.trainspecs import Metric

__all__ = ["check_metric"]

_ROWS = 200
_Rows = tuple[Array, Float64, Array]


def check_metric(metric_class: type[Metric]) -> None:
    """Check a metric, for each of its tasks, on random answers.

    The rules: ``score`` returns a float, the same whatever order the rows are in; a row with weight 3 counts as three
    rows, one with weight 0 as none; ``scorer`` gives the same as ``score``; right answers are at least as good as
    random ones, by ``greater_is_better``. Where it is undefined it is nan, with no error and no warning: of no rows,
    of weights that are all 0. What it is given it leaves as it is.
    """
    metric = instance_of(metric_class, Metric)
    who = f"metric {metric.name!r}"
    require(isinstance(getattr(metric, "title", None), str), f"{who}: title: expected a string on the class")
    known = [task for task in TASKS if task in metric.tasks]
    require(known, f"{who}: tasks: expected some of {TASKS}, got {metric.tasks!r}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            for task in known:
                _check_task(f"{who}, {task}", metric, task)
        except Warning as warning:
            raise ContractError(f"{who}: expected no warning, got {type(warning).__name__}: {warning}") from warning


def _check_task(who: str, metric: Metric, task: Task) -> None:
    """Check a metric for a task."""
    random = np.random.default_rng(0)
    rows = _answers(task, random)
    value = _score(who, metric, rows)
    require(np.isfinite(value), f"{who}: expected a finite number for {_ROWS} rows of random answers, got {value}")
    right = _score(who, metric, _right(task, rows[0]))
    require(
        right >= value if metric.greater_is_better else right <= value,
        f"{who}: greater_is_better is {metric.greater_is_better}, but right answers score {right}, random ones {value}",
    )
    order = random.permutation(_ROWS)
    _same(f"{who}: with the rows in another order", value, _score(who, metric, _take(rows, order)))
    weights = random.integers(0, 4, (5, _ROWS)).astype(np.float64)
    together = metric.scorer(*rows)(weights)
    require(np.shape(together) == (5,), f"{who}: scorer: expected shape (5,) for 5 draws, got {np.shape(together)}")
    for each, drawn in zip(weights, together, strict=True):
        weighted = _score(who, metric, rows, each)
        repeated = _score(who, metric, _take(rows, np.repeat(np.arange(_ROWS), each.astype(int))))
        _same(f"{who}: rows with whole weights, against rows that are repeated as often", repeated, weighted)
        _same(f"{who}: scorer against score", weighted, float(drawn))
    for what, odd in _undefined(rows):
        try:
            found = _score(who, metric, *odd)
        except (ContractError, Warning):
            raise
        except Exception as error:
            raise ContractError(f"{who}: expected nan {what}, got {type(error).__name__}: {error}") from error
        require(np.isnan(found), f"{who}: expected nan {what}, got {found}")
    constant = _take(rows, np.flatnonzero(rows[0] == rows[0][0]))
    _score(who, metric, constant)  # defined or not, without an error or a warning


def _score(who: str, metric: Metric, rows: _Rows, weights: Float64 | None = None) -> float:
    """Return a metric; it must be a float, and leave what it was given."""
    copies = [each.copy() for each in rows]
    value = metric.score(*rows, weights)
    require(isinstance(value, float), f"{who}: score: expected a float, got {value!r} ({type(value).__name__})")
    unchanged = all(np.array_equal(before, after) for before, after in zip(copies, rows, strict=True))
    require(unchanged, f"{who}: score: changes the arrays that it is given; copy them first")
    return value


def _same(who: str, expected: float, got: float) -> None:
    require(
        np.isclose(expected, got, rtol=1e-9, atol=1e-12, equal_nan=True), f"{who}: expected {expected!r}, got {got!r}"
    )


def _take(rows: _Rows, index: Array) -> _Rows:
    return rows[0][index], rows[1][index], rows[2][index]


def _undefined(rows: _Rows) -> Iterator[tuple[str, tuple[_Rows, Float64 | None]]]:
    """Yield rows of which no metric can be told."""
    yield "of no rows", (_take(rows, np.arange(0)), None)
    yield "of rows whose weights are all 0", (rows, np.zeros(_ROWS))


def _answers(task: Task, random: np.random.Generator) -> _Rows:
    """Return random answers to random rows, some of them tied."""
    if task == "regression":
        scores = random.normal(10, 2, (_ROWS, 1)).round(1)
        return random.normal(10, 2, _ROWS), scores, scores[:, 0]
    n_classes = 2 if task == "binary" else 3
    scores = random.dirichlet(np.ones(n_classes), _ROWS).round(2) + 1e-3
    scores /= scores.sum(axis=1, keepdims=True)
    return random.integers(0, n_classes, _ROWS), scores, scores.argmax(axis=1)


def _right(task: Task, y: Array) -> _Rows:
    """Return answers that are all right."""
    scores = y[:, None].astype(np.float64) if task == "regression" else np.eye(2 if task == "binary" else 3)[y]
    return y, scores, y
