"""What an evaluation found: frozen values that gates judge, reports show and ``metrics.json`` keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.dataset import Dataset
from glulam.trainspecs import Fold, Selection, Suspicion

__all__ = ["Backtest", "Comparison", "Evaluation", "GateResult", "Interval", "MetricResult", "OutOfFold", "RunResult"]

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its 95 % bootstrap interval; low and high are nan where none can be had."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Answers to rows by ensembles that were not fitted on them. Rows that no fold tests are not in here.

    rows
        int64 [n], positions in the dataset, in the order of folds
    fold
        int64 [n], which fold tested each, counted from 0
    votes
        float64 [n, n_members, n_outputs], the members' own
    scores
        float64 [n, n_outputs], the vote's, with weights and calibration learnt from earlier folds only
    labels
        [n], class positions that were chosen (with the threshold learnt from earlier folds), or values
    baselines
        scores [n, n_outputs] by name: answers that need no ensemble
    baseline_labels
        class positions [n] by name, or values
    """

    rows: Int64
    fold: Int64
    votes: Float64
    scores: Float64
    labels: Array
    baselines: Mapping[str, Float64]
    baseline_labels: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class MetricResult:
    """A metric of the ensemble, of each baseline and of each member, on all tested rows and by fold.

    ``by_fold`` and the arrays of ``baselines_by_fold`` are float64 [n_folds]; members are measured as they
    voted, without calibration, at a threshold of 0.5.
    """

    name: str
    title: str
    greater_is_better: bool
    ensemble: Interval
    by_fold: Float64
    baselines: Mapping[str, Interval]
    baselines_by_fold: Mapping[str, Float64]
    members: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much better one way does than another, on the same rows.

    what
        such as ``weights: auto against equal``
    metric
        in whose units ``difference`` is
    difference
        positive where the first way is better; paired by rows
    """

    what: str
    metric: str
    difference: Interval

    @property
    def better(self) -> bool:
        """Whether the whole interval is above 0."""
        return bool(self.difference.low > 0)


@dataclass(frozen=True, slots=True)
class Backtest:
    """What trading the signals would have given, with fees and slippage, and buying and holding beside it.

    time
        int64 [n_bars], microseconds since 1970
    equity, drawdown, hold_equity, hold_drawdown
        float64 [n_bars]; equity starts from 1, drawdown is 0 or negative
    position
        float64 [n_bars], held over each bar: 1 long, -1 short, 0 out of the market
    strategy, hold
        by name: total_return, annual_return, max_drawdown, sharpe, turnover, exposure, trades, costs
    settings
        fee, slippage, bars_per_year, rule, ...
    """

    time: Int64
    equity: Float64
    drawdown: Float64
    hold_equity: Float64
    hold_drawdown: Float64
    position: Float64
    strategy: Mapping[str, Interval]
    hold: Mapping[str, Interval]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GateResult:
    """One quality gate: what was demanded, what was found."""

    name: str
    passed: bool
    what: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An honest evaluation of an ensemble.

    splitter
        with its parameters, such as ``WalkForward(n_splits=5, horizon=1)``
    folds
        the rows fitted on and tested on, in order
    metrics
        in the config's order; the first is the one that verdicts are about
    best_baseline
        name of the baseline that is best by the first metric
    against_best
        the ensemble against it, by the first metric
    thresholds
        of two classes: a table of columns by name (threshold, precision, recall, f1, expected_value, ...), else empty
    comparisons
        of weights, calibration, tuned parameters, selected features
    """

    splitter: str
    ordered: bool
    folds: tuple[Fold, ...]
    out_of_fold: OutOfFold
    metrics: tuple[MetricResult, ...]
    best_baseline: str
    against_best: Comparison
    thresholds: Mapping[str, Float64] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    backtest: Backtest | None = None
    selection: Selection | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """A whole run: what the report and the model card show.

    importance
        float64 [n_folds, n_features], the ensemble's in each fold (rows sum to 1)
    ensemble
        what the file says of itself: `ProductionEnsemble.info`; empty where none was exported
    latency
        seconds of one row: p50 and p99, and of a batch; memory and file size in bytes
    facts
        config, data, versions, seed, git revision, times: what ``manifest.json`` has
    """

    data: Dataset
    evaluation: Evaluation
    suspicions: tuple[Suspicion, ...]
    checked_for: tuple[str, ...]
    gates: tuple[GateResult, ...]
    importance: Float64
    ensemble: Mapping[str, Any]
    latency: Mapping[str, float]
    facts: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """Whether every gate passed and nothing smells of a leak."""
        return all(gate.passed for gate in self.gates) and not self.suspicions
