"""The hooks, and the interfaces of what those of the machine return (those of training: `glulam.trainspecs`).

With the values that they exchange (`glulam.program`, `glulam.forest`, `glulam.schema`, `glulam.dataset`) and
`glulam.errors` this is all that a plugin imports from glulam.

A plugin is one file: its class and one hook implementation::

    from glulam.hookspecs import VotingStrategy, hookimpl

    class Median(VotingStrategy):
        name = "median"
        ...

    @hookimpl
    def glulam_voting():
        return Median

Its distribution names the file under the entry-point group ``glulam`` as ``KIND.NAME``::

    [project.entry-points.glulam]
    "voting.median" = "my_package.median"

so that a plugin is found by name without importing any other. `glulam.testing` has the checks
that a plugin must pass.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pluggy

from glulam.errors import ConfigError
from glulam.program import EnsembleProgram, Guard, LoweredMember, OnnxFragment, Scores, Steps, Task
from glulam.schema import FeatureSchema
from glulam.trainspecs import Calibrator, FeatureSelector, Label, LeakCheck, Metric, Splitter

__all__ = [
    "Exporter",
    "FeatureGenerator",
    "FeatureValidator",
    "ModelPlugin",
    "Signature",
    "VotingStrategy",
    "hookimpl",
    "hookspec",
]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

hookspec = pluggy.HookspecMarker("glulam")
hookimpl = pluggy.HookimplMarker("glulam")


@dataclass(frozen=True, slots=True)
class Signature:
    """What a fitted model takes and what it answers, when it is exported by itself.

    schema
        its features; those that it was not told the names of are x0, x1, ...
    task
        which of `glulam.program.Task` it serves
    classes
        labels in the order of its scores; for several outputs those of each in turn; else empty
    blocks
        for ``multioutput``: how many columns of scores each output has, 1 for a yes or no
    n_targets
        for ``regression``: values a row
    scores
        what its scores are
    """

    schema: FeatureSchema
    task: Task
    classes: npt.NDArray[Any] = field(default_factory=lambda: np.empty(0))
    blocks: tuple[int, ...] = ()
    n_targets: int = 1
    scores: Scores = "probabilities"


class ModelPlugin(ABC):
    """A kind of member: how to make, fit, ask, lower and store it.

    Instances hold no state; one is made without arguments for each ensemble.
    """

    generic: ClassVar[bool] = False
    """Whether `accepts` is so broad that every other plugin is asked first."""
    suffixes: ClassVar[tuple[str, ...]] = ()
    """Suffixes of the library's own model files, which `read` opens."""
    not_reproducible: ClassVar[str] = ""
    """Why two fits of the same rows, on one thread, are not stored as the same bytes; empty where they are."""
    name: ClassVar[str]
    distributions: ClassVar[tuple[str, ...]]
    """Distributions whose versions are recorded in files (the first installed one counts)."""

    @abstractmethod
    def make(self, task: Task, params: Mapping[str, Any], schema: FeatureSchema | None) -> Any:
        """Return an unfitted scikit-learn-style estimator: the plugin's defaults, then ``params``.

        ``schema`` is None where the features are not known yet.
        """

    @abstractmethod
    def accepts(self, model: Any) -> bool:
        """Tell whether ``model`` (an estimator or a raw booster, fitted or not) is of this kind."""

    @abstractmethod
    def votes(self, model: Any, X: Float32, task: Task) -> Float64:
        """Return the library's own answer: probabilities [n, n_classes], or values [n, n_targets].

        This is the reference that exports are held to. X is [n, n_features], float32 for members of
        an ensemble; float64 where a model is exported by itself for rows of that type. Raises
        ValueError for rows that the library refuses. A classifier without probabilities answers
        with its decision function, [n, 1] for two classes.
        """

    @abstractmethod
    def lower(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Return the fitted model in library-free form.

        Raises `glulam.errors.UnsupportedModelError` naming the option that cannot be exact.
        """

    def lower_wide(self, model: Any, schema: FeatureSchema) -> LoweredMember:
        """Return the fitted model for rows of float64, where that differs from those of float32."""
        return self.lower(model, schema)

    @abstractmethod
    def dump(self, model: Any) -> bytes:
        """Return the fitted model in the library's own safe format (never a pickle)."""

    @abstractmethod
    def restore(self, data: bytes) -> Any:
        """Return the model of `dump`. What comes back need only be good for votes and lower."""

    def fit(
        self,
        model: Any,
        X: Float32,
        y: npt.NDArray[Any],
        sample_weight: Float64 | None = None,
        eval_set: tuple[Float32, npt.NDArray[Any]] | None = None,
    ) -> Any:
        """Fit and return ``model``. y holds class indices 0..n_classes-1, or float64 values.

        ``eval_set`` is for early stopping; a library without it ignores it. Raises ConfigError for an
        estimator that takes no weights.
        """
        if sample_weight is None:
            return model.fit(X, y)
        if "sample_weight" not in inspect.signature(model.fit).parameters:
            raise ConfigError(
                f"{self.name}: {type(model).__name__} takes no sample_weight; fit without weights, or leave it out"
            )
        return model.fit(X, y, sample_weight=sample_weight)

    def check(self, model: Any, task: Task) -> None:  # noqa: B027  # most have nothing to refuse
        """Raise `glulam.errors.UnsupportedModelError` for a fitted model that `votes` cannot speak for.

        For example one that was fitted on native categories, which a float32 matrix does not carry.
        """

    def signature(self, model: Any) -> Signature:
        """Return what a fitted model takes and answers, by scikit-learn's conventions.

        Plugins whose models do not keep them override this.
        """
        from glulam._signature import sklearn_signature

        return sklearn_signature(model)

    def labels(self, model: Any, X: npt.NDArray[np.floating[Any]]) -> npt.NDArray[Any] | None:
        """Return the library's own ``predict`` for a classifier exported by itself, [n] or [n, n_outputs].

        None where it has none beside its scores: then labels are read off these.
        """
        return None

    def read(self, path: Path) -> Any | None:
        """Return the model in one of the library's own files; None if it is of another format.

        Raises `glulam.errors.ArtifactError` for a damaged one. Never reads a pickle.
        """
        return None

    def extras(self, model: Any, X: npt.NDArray[np.floating[Any]]) -> dict[str, Float64]:
        """Return the library's own values of `glulam.program.Steps.extras`, by name."""
        return {}

    def leaves(self, model: Any, X: Float32) -> npt.NDArray[np.int64] | None:
        """Return the library's own leaf numbers [n, n_trees] as `Forest.leaves` has them.

        None where the library does not tell, or the member is no forest.
        """
        return None

    def importance(self, model: Any) -> Float64 | None:
        """Return each feature's importance, float64 [n_features], not normalised; None if unknown."""
        values = getattr(model, "feature_importances_", None)
        return None if values is None else np.asarray(values, dtype=np.float64)

    def search_space(self, trial: Any, task: Task, n_rows: int) -> dict[str, Any]:
        """Return parameters to try for `make`, drawn from ``trial`` (an `optuna.Trial`); none where nothing is tuned.

        n_rows is how many rows the member is fitted on. What is drawn must hold for any seed.
        """
        return {}


class VotingStrategy(ABC):
    """How the members' votes become one score a class.

    Made without arguments, or with those the user gives as ``(name, params)``. Weights arrive as the
    user gave them: non-negative, not all zero, not normalised.
    """

    name: ClassVar[str]
    tasks: ClassVar[tuple[Task, ...]] = ("binary", "multiclass", "regression")
    needs_fit: ClassVar[bool] = False
    """Whether `fit` learns from the members' votes on rows that they were not fitted on."""
    wide: bool = False
    """Whether scores magnify the last digit of votes; by default files then add up in float64."""
    cv: Any = None
    """For ``needs_fit``: how rows are split, a number of folds or a splitter of scikit-learn's (None: 5 folds)."""

    @property
    def learns_weights(self) -> bool:
        """Whether `fit` learns what each member is worth: then the user gives no weights."""
        return self.needs_fit

    def fit(  # noqa: B027  # most have nothing to learn
        self,
        votes: Float64,
        y: npt.NDArray[Any],
        task: Task,
        sample_weight: Float64 | None = None,
        weights: Float64 | None = None,
    ) -> None:
        """Learn from votes [n, n_members, n_classes] on rows that their members were not fitted on.

        y holds class indices 0..n_classes-1, or float64 values. ``weights`` are the user's, where the
        strategy does not learn them itself.
        """

    @abstractmethod
    def combine(self, votes: Float64, weights: Float64) -> Float64:
        """Return scores [n, n_classes] from votes [n, n_members, n_classes] and weights [n_members].

        Scores of a classifier are probabilities: non-negative, rows sum to 1. For regression
        n_classes is 1 and the score is the value.
        """

    @abstractmethod
    def fragment(self, weights: Float64, n_classes: int) -> OnnxFragment | Steps:
        """Return the same rule for these weights as a graph fragment from ``votes`` to scores.

        Or as several that build on each other; for the first of these ``features`` are the votes.
        """

    def state(self) -> dict[str, Any]:
        """Return what `fit` and the arguments set, as JSON values; the keys are `restore`'s."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027  # most have no state
        """Take back what `state` returned."""


class FeatureValidator(ABC):
    """A check of rows: learns limits at fit, checks tables at fit and predict.

    Made without arguments, or with those the user gives as ``(name, params)``.
    """

    name: ClassVar[str]

    def learn(self, X: Float32, schema: FeatureSchema) -> None:  # noqa: B027  # most have no state
        """Take limits from the training rows, which are float32 [n, n_features]."""

    def check_fit(self, X: Float32, schema: FeatureSchema) -> None:
        """Raise `glulam.errors.FeatureError` if the training rows will not do."""
        self.check(X, schema)

    @abstractmethod
    def check(self, X: Float32, schema: FeatureSchema) -> None:
        """Raise `glulam.errors.FeatureError` saying what is wrong, where, and what to do."""

    def guard(self, schema: FeatureSchema) -> Guard | None:
        """Return the check as a graph fragment from ``features`` to bool [n], or None."""
        return None

    def state(self) -> dict[str, Any]:
        """Return what `learn` and the arguments set, as JSON values; the keys are `restore`'s."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:  # noqa: B027  # most have no state
        """Take back what `state` returned."""


class FeatureGenerator(ABC):
    """Makes a feature table from a raw one, in time order, reading nothing later than its row."""

    name: ClassVar[str]
    distributions: ClassVar[tuple[str, ...]] = ()
    """Distributions that decide about the values, whose versions a run records."""
    columns: tuple[str, ...]
    """Names of the features that `generate` returns, in order: the class's, or an instance's by its parameters."""
    warm_up: int
    """Rows at the start that have no complete features and are dropped; likewise."""

    def check(self, table: Any, *, drop: bool = False) -> tuple[Any, Any]:
        """Return the raw table, and a report of what was found in it (with ``to_dict`` and ``str``).

        Rows that cannot be are a `glulam.errors.FeatureError`; with ``drop`` they are left out and
        counted. By default nothing is checked and the report is None.
        """
        return table, None

    @abstractmethod
    def generate(self, table: Any) -> tuple[Float64, npt.NDArray[np.int64]]:
        """Return the features [n, n_columns] and the index of the raw row each belongs to."""


class Exporter(ABC):
    """Writes an `EnsembleProgram` in one file format."""

    name: ClassVar[str]

    @abstractmethod
    def export(self, program: EnsembleProgram, **options: Any) -> bytes:
        """Return the file's bytes, without metadata. Unknown options are a `ConfigError`."""

    @abstractmethod
    def attach(self, data: bytes, metadata: Mapping[str, str]) -> bytes:
        """Return the bytes with these metadata entries added; what they compute is untouched."""

    def form(self, data: bytes) -> str:
        """Return a word for how the bytes hold the model, where the format has several ways; `info` gives it."""
        return "standard"


class Hooks:
    """The hook specifications: each returns a class, or a list of classes where a file holds a family of them."""

    @hookspec
    def glulam_model(self) -> type[ModelPlugin]:  # type: ignore[empty-body]
        """Return a kind of member."""

    @hookspec
    def glulam_voting(self) -> type[VotingStrategy]:  # type: ignore[empty-body]
        """Return a voting strategy."""

    @hookspec
    def glulam_feature_validator(self) -> type[FeatureValidator]:  # type: ignore[empty-body]
        """Return a feature validator."""

    @hookspec
    def glulam_features(self) -> type[FeatureGenerator]:  # type: ignore[empty-body]
        """Return a feature generator."""

    @hookspec
    def glulam_exporter(self) -> type[Exporter]:  # type: ignore[empty-body]
        """Return an exporter."""

    @hookspec
    def glulam_label(self) -> type[Label]:  # type: ignore[empty-body]
        """Return a label."""

    @hookspec
    def glulam_splitter(self) -> type[Splitter]:  # type: ignore[empty-body]
        """Return a splitter of rows."""

    @hookspec
    def glulam_metric(self) -> type[Metric]:  # type: ignore[empty-body]
        """Return a metric."""

    @hookspec
    def glulam_calibrator(self) -> type[Calibrator]:  # type: ignore[empty-body]
        """Return a method of calibration."""

    @hookspec
    def glulam_selector(self) -> type[FeatureSelector]:  # type: ignore[empty-body]
        """Return a selector of features."""

    @hookspec
    def glulam_leak_check(self) -> type[LeakCheck]:  # type: ignore[empty-body]
        """Return a leak check."""
