"""Calibrated vote: another vote, whose scores or whose members' votes mean what they say as probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam.errors import ConfigError
from glulam.hookspecs import VotingStrategy, hookimpl
from glulam.program import OnnxFragment, Step, Steps, Task
from glulam.trainspecs import Calibrator

Float64 = npt.NDArray[np.float64]


class Calibrated(VotingStrategy):
    """A vote with calibration, learnt from votes on rows that the members were not fitted on.

    The votes that a file gives stay the members' own; calibration is a part of the vote.

    voting
        the vote that is calibrated: a name, or ``(name, params)``. What it learns itself, it learns from the
        same rows; its own ``cv`` is not used
    method
        name of a calibrator: ``sigmoid``, ``isotonic``, ``temperature``, or a plugin's
    on
        ``vote``: the vote's scores; ``members``: each member's votes before they are combined
    cv
        folds that the votes to learn from come from: a number, or a splitter of scikit-learn's; 5 if None. With
        fitted members (``prefit=True``) their votes on the given rows are taken
    """

    name = "calibrated"
    tasks = ("binary", "multiclass")
    needs_fit = True
    wide = True

    def __init__(self, voting: Any = "soft", method: str = "isotonic", on: str = "vote", cv: Any = None) -> None:
        self.voting, self.method, self.on, self.cv = voting, method, on, cv
        self._inner: VotingStrategy | None = None
        self._calibrators: list[Calibrator] = []
        self._weights: Float64 = np.empty(0)
        self._n_classes = 0

    @property
    def learns_weights(self) -> bool:
        """Whether the vote that is calibrated learns what each member is worth."""
        return self._made().learns_weights

    def fit(
        self,
        votes: Float64,
        y: npt.NDArray[Any],
        task: Task,
        sample_weight: Float64 | None = None,
        weights: Float64 | None = None,
    ) -> None:
        """Learn the calibrators, and the vote within if it learns, for these weights (equal ones if None)."""
        inner = self._made()
        if task not in inner.tasks or task not in self.tasks:
            served = [each for each in inner.tasks if each in self.tasks]
            raise ConfigError(
                f"voting 'calibrated': {inner.name!r} with calibration is for {' and '.join(served)}, not for {task}; "
                "use voting='soft'"
            )
        members = votes.shape[1]
        given = np.ones(members) if weights is None else np.asarray(weights, dtype=np.float64)
        calibrators = [plugins.calibrator(self.method) for _ in range(members if self.on == "members" else 1)]
        if self.on == "members":
            for index, calibrator in enumerate(calibrators):
                calibrator.fit(votes[:, index], y, sample_weight)
            votes = _calibrated(calibrators, votes)
        if inner.learns_weights:
            inner.fit(votes, y, task, sample_weight)
        elif inner.needs_fit:
            inner.fit(votes, y, task, sample_weight, given)
        if self.on == "vote":
            calibrators[0].fit(np.asarray(inner.combine(votes, given)), y, sample_weight)
        self._inner, self._calibrators, self._n_classes = inner, calibrators, votes.shape[2]
        self._weights = given / given.sum()

    def combine(self, votes: Float64, weights: Float64) -> Float64:
        """Return the calibrated scores; the weights must be those that calibration was learnt for."""
        inner = self._fitted(weights, votes.shape[2])
        if self.on == "members":
            return np.asarray(inner.combine(_calibrated(self._calibrators, votes), weights))
        return np.asarray(self._calibrators[0].apply(np.asarray(inner.combine(votes, weights))))

    def fragment(self, weights: Float64, n_classes: int) -> Steps:
        """Return the same as steps: each member's calibration and the vote, or the vote and its calibration."""
        inner = self._fitted(weights, n_classes).fragment(weights, n_classes)
        if self.on == "vote":
            steps = _steps(inner, "vote", "features")
            return Steps((*steps, Step("calibrated", self._calibrators[0].fragment(), (steps[-1].name,))))
        members = range(len(self._calibrators))
        parts = [Step(f"member{index}", _one(index)) for index in members]
        curves = [
            Step(f"calibrated{index}", calibrator.fragment(), (f"member{index}",))
            for index, calibrator in enumerate(self._calibrators)
        ]
        together = Step("votes", _together(len(members)), tuple(step.name for step in curves))
        return Steps((*parts, *curves, together, *_steps(inner, "vote", "votes")))

    def state(self) -> dict[str, Any]:
        """Return the arguments, the state of the vote within and of each calibrator, and the weights."""
        return {
            "cv": self.cv if isinstance(self.cv, int) else None,
            "method": self.method,
            "on": self.on,
            "voting": self._made().name,
            "voting_state": (self._inner or self._made()).state(),
            "calibrators": [each.state() for each in self._calibrators],
            "weights": self._weights.tolist(),
            "n_classes": self._n_classes,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned."""
        self.cv, self.method, self.on, self.voting = state["cv"], state["method"], state["on"], state["voting"]
        self._inner = plugins.voting(state["voting"])
        self._inner.restore(state["voting_state"])
        self._calibrators = [plugins.calibrator(self.method) for _ in state["calibrators"]]
        for calibrator, kept in zip(self._calibrators, state["calibrators"], strict=True):
            calibrator.restore(kept)
        self._weights, self._n_classes = np.array(state["weights"], dtype=np.float64), state["n_classes"]

    def _made(self) -> VotingStrategy:
        """Return the vote that is calibrated, as the arguments say; raise ConfigError where they cannot be."""
        who = "voting 'calibrated'"
        if self.on not in ("vote", "members"):
            raise ConfigError(f"{who}: on: expected 'vote' or 'members', got {self.on!r}")
        given = (self.voting, {}) if isinstance(self.voting, str) else self.voting
        if not (
            isinstance(given, (tuple, list))
            and len(given) == 2
            and isinstance(given[0], str)
            and isinstance(given[1], Mapping)
        ):
            raise ConfigError(f"{who}: voting: expected a name or (name, params), got {self.voting!r}")
        name, params = given
        strategy = plugins.voting(name)
        if isinstance(strategy, Calibrated):
            raise ConfigError(f"{who}: voting: {name!r} is calibrated already; give the vote that is to be calibrated")
        try:
            return type(strategy)(**params) if params else strategy
        except TypeError as error:
            raise ConfigError(f"{who}: voting {name!r}: {error}") from error

    def _fitted(self, weights: Float64, n_classes: int) -> VotingStrategy:
        """Return the vote within, or raise ConfigError where this was not learnt for such votes and weights."""
        who = "voting 'calibrated'"
        if self._inner is None or not self._calibrators:
            raise ConfigError(f"{who}: has not learnt yet; fit the ensemble again with voting='calibrated'")
        found = (len(weights), n_classes)
        if found != (len(self._weights), self._n_classes):
            raise ConfigError(
                f"{who}: learnt from votes of {len(self._weights)} members on {self._n_classes} classes, got "
                f"{found[0]} members and {found[1]} classes; fit the ensemble again with voting='calibrated'"
            )
        share = weights / weights.sum()
        if not self._inner.learns_weights and not np.allclose(share, self._weights, rtol=1e-9, atol=0):
            raise ConfigError(
                f"{who}: learnt for the weights {self._weights.round(4).tolist()}, got {share.round(4).tolist()}; fit "
                "again with these, as other weights give scores that it knows nothing of"
            )
        return self._inner


def _calibrated(calibrators: list[Calibrator], votes: Float64) -> Float64:
    """Return votes of which each member's are calibrated."""
    return np.stack([each.apply(votes[:, index]) for index, each in enumerate(calibrators)], axis=1)


def _one(index: int) -> OnnxFragment:
    """Return one member's vote [n, n_classes]."""
    return OnnxFragment(
        text="member (votes, index) => (vote) { vote = Gather <axis = 1> (votes, index) }",
        reference=lambda votes: votes[:, index],
        constants={"index": np.array(index)},
    )


def _together(count: int) -> OnnxFragment:
    """Return members' votes [n, n_classes] as one [n, n_members, n_classes]."""
    names = [f"x{index}" for index in range(count)]
    lines = [f"{name}m = Unsqueeze ({name}, axis)" for name in names]
    given, joined = ", ".join(names), ", ".join(f"{name}m" for name in names)
    return OnnxFragment(
        text=f"together ({given}, axis) => (votes) {{ {' '.join(lines)} votes = Concat <axis = 1> ({joined}) }}",
        reference=lambda *parts: np.stack(parts, axis=1),
        constants={"axis": np.array([1])},
    )


def _steps(rule: OnnxFragment | Steps, name: str, source: str) -> tuple[Step, ...]:
    """Return a vote's rule as steps of these names, the first of which work on ``source``."""
    if isinstance(rule, OnnxFragment):
        return (Step(name, rule, (source,)),)
    renamed = {"features": source} | {step.name: f"{name}.{step.name}" for step in rule.steps}
    return tuple(
        Step(renamed[step.name], step.rule, tuple(renamed[each] for each in step.inputs)) for step in rule.steps
    )


@hookimpl
def glulam_voting() -> type[VotingStrategy]:
    """Offer the calibrated vote."""
    return Calibrated
