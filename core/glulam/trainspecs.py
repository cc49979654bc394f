"""The interfaces of what training chooses by name: labels, splitters, metrics, calibration, selection, leak checks.

Their hooks are `glulam.hookspecs`' as those of the machine. Plugins of these kinds are made with the parameters that
the user gives, and hold no state but those and what they learnt.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from glulam.dataset import Dataset, Labels, RawTable
from glulam.program import OnnxFragment, Task

__all__ = [
    "Calibrator", "FeatureSelector", "Fold", "Label", "LeakCase", "LeakCheck", "Metric", "Scorer", "Selection",
    "Splitter", "Suspicion",
]  # fmt: skip

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Fold = tuple[Int64, Int64]
"""Positions of the rows to fit on, and of those to test on."""
Scorer = Callable[[Float64], Float64]
"""From weights [n_draws, n_rows], of rows that it knows already, to a metric for each draw [n_draws]."""


class Label(ABC):
    """What is to be predicted, made of a raw table. Parameters are the constructor's."""

    name: ClassVar[str]
    task: ClassVar[Literal["classification", "regression"] | None] = None
    """What the label is for; None where that follows from its values."""

    @property
    @abstractmethod
    def horizon(self) -> int:
        """Rows beyond its own that a label reads at most; gap, purge and embargo follow from it."""

    @property
    def target(self) -> str:
        """Column that holds the label itself and is no feature; empty where the label is made of others."""
        return ""

    @abstractmethod
    def make(self, raw: RawTable) -> Labels:
        """Return the labels. Raises `glulam.errors.FeatureError` for a table that lacks what they need."""


class Splitter(ABC):
    """Splits rows into those to fit on and those to test on, by scikit-learn's splitter interface.

    Rows are taken in their order. ``horizon`` is how many rows beyond its own a label reads: rows to fit on whose
    labels reach into the rows to test on are left out (purge). ``embargo`` leaves out as many rows more after them.
    """

    name: ClassVar[str]
    ordered: ClassVar[bool]
    """Whether rows to fit on all come before those to test on."""
    shuffles: ClassVar[bool] = False
    """Whether rows are torn out of their order, which is refused for rows that have a time unless forced."""

    @abstractmethod
    def __init__(self, n_splits: int = 5, *, horizon: int = 0, embargo: int = 0) -> None:
        """Take parameters, of a splitter's own after these. Raises `glulam.errors.ConfigError` for bad ones."""

    @abstractmethod
    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Fold]:
        """Yield folds. Raises `glulam.errors.ConfigError` where there are too few rows for them."""

    @abstractmethod
    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds."""


class Metric(ABC):
    """One number that says how good answers are."""

    name: ClassVar[str]
    title: ClassVar[str]
    """What reports call it."""
    tasks: ClassVar[tuple[Task, ...]] = ("binary", "multiclass")
    greater_is_better: ClassVar[bool] = True

    @abstractmethod
    def score(self, y: Array, scores: Float64, labels: Array, sample_weight: Float64 | None = None) -> float:
        """Return the metric; nan where it is undefined, such as an AUC of one class.

        y
            class positions int64 [n], or values float64 [n]
        scores
            probabilities [n, n_classes], or values [n, 1]
        labels
            chosen class positions int64 [n]; for values scores[:, 0]
        sample_weight
            [n], also whole numbers that say how often a row counts: that is how intervals are bootstrapped
        """

    def scorer(self, y: Array, scores: Float64, labels: Array) -> Scorer:
        """Return `score` of these rows as a function of many weights at once.

        Override it where work can be shared, such as the sorting that an AUC needs.
        """
        return lambda weights: np.array([self.score(y, scores, labels, each) for each in weights], dtype=np.float64)


class Calibrator(ABC):
    """Turns scores into probabilities that mean what they say; learnt out of fold, exported into the graph.

    Works for one member's votes and for the ensemble's scores alike.
    """

    name: ClassVar[str]

    @abstractmethod
    def fit(self, scores: Float64, y: Int64, sample_weight: Float64 | None = None) -> None:
        """Learn from scores [n, n_classes] on rows that the model was not fitted on; y holds class positions.

        Raises `glulam.errors.ConfigError` where a class has no row.
        """

    @abstractmethod
    def apply(self, scores: Float64) -> Float64:
        """Return probabilities [n, n_classes]: rows sum to 1."""

    @abstractmethod
    def fragment(self) -> OnnxFragment:
        """Return the same rule as a graph fragment from scores to probabilities, both [n, n_classes]."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return what `fit` learnt, as JSON values; the keys are `restore`'s."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which features were chosen.

    kept
        names, in the schema's order
    importance
        float64 [n_features, n_rounds], of each feature in each fold or repetition
    frequency
        float64 [n_features], how often each was among the chosen
    """

    kept: tuple[str, ...]
    importance: Float64
    frequency: Float64


class FeatureSelector(ABC):
    """Chooses features. It sees the rows to fit on only; whether its choice pays is judged on others."""

    name: ClassVar[str]

    @abstractmethod
    def select(self, data: Dataset, folds: Sequence[Fold], make: Callable[[Dataset], Any]) -> Selection:
        """Return the chosen features.

        folds
            of ``data``'s own rows
        make
            returns an unfitted estimator with fit, predict and, for classes, predict_proba, for the given rows
        """


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One thing that smells of a leak.

    check
        name of the check
    what
        one sentence: what was found
    evidence
        numbers by name, for the report
    advice
        what to look at or do next
    features
        names of the features it is about; empty where it is about the whole
    """

    check: str
    what: str
    advice: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    features: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the suspicion as one line."""
        return f"suspected leak ({self.check}): {self.what}; {self.advice}"


@dataclass(frozen=True, slots=True)
class LeakCase:
    """What leak checks look at.

    data
        the rows, their labels and the raw table
    folds
        that the evaluation used
    scores
        float64 [n_rows, n_outputs]: the scores that the evaluation reported for each row; nan where none
    generate
        recomputes the features of a raw table: float64 [n, n_features] and the int64 row of the table that each
        belongs to. None where features are columns of the file, which nobody can recompute
    make
        returns an unfitted, quick estimator to try things with
    seed
        of whatever is drawn
    """

    data: Dataset
    folds: Sequence[Fold]
    scores: Float64 | None = None
    generate: Callable[[RawTable], tuple[Float64, Int64]] | None = None
    make: Callable[[], Any] | None = None
    seed: int = 42


class LeakCheck(ABC):
    """Looks for one kind of leak."""

    name: ClassVar[str]
    title: ClassVar[str]
    """What reports call it."""

    def applies(self, case: LeakCase) -> bool:
        """Tell whether the case has what this check looks at; where not, it does not count as having run."""
        return True

    @abstractmethod
    def find(self, case: LeakCase) -> list[Suspicion]:
        """Return what smells of a leak; an empty list where nothing does."""
