"""EnsembleProgram: everything an exporter needs, and nothing that knows a training library.

A trained ensemble is lowered into these frozen values; `glulam.interpreter` defines what they
mean; an exporter writes them into a file; the proof holds the file to the native libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from glulam.decision import Decision
from glulam.errors import ConfigError
from glulam.forest import Forest
from glulam.schema import FeatureSchema

__all__ = ["EnsembleProgram", "Guard", "Link", "LoweredMember", "OnnxFragment", "Scores", "Step", "Steps", "Task"]

Task = Literal["binary", "multiclass", "regression", "multioutput", "outlier"]
Link = Literal["identity", "sigmoid", "softmax", "complement"]
Scores = Literal["probabilities", "decision_function", "value"]
Width = Literal["float32", "float64"]
_SQUARED_STAYS_FINITE = 1e18


@dataclass(frozen=True, slots=True)
class OnnxFragment:
    """A rule, once as ONNX and once in numpy; the proof holds the two together.

    text
        One function in ONNX text syntax, without header:
        ``name (votes, weights) => (scores) { scores = MatMul(votes, weights) }``.
        Its first inputs (one, if `Step` does not say otherwise) are what the fragment works on:
        ``features`` for a member or a guard, ``votes`` for a voting strategy. The others are
        ``constants``, by name. One output.
        It uses operators of the default domain, opset 18. Members and votes work in float32 and in
        float64 alike: floating-point constants arrive in the type of the first input.
    reference
        The same rule in numpy, a function of the first inputs alone.
    constants
        Arrays for the other inputs.
    model
        Instead of ``text``: returns a serialised ModelProto for ``"float32"`` or ``"float64"``, which
        is the type of its only input [n, k] and of its only output [n, m]. Operators of the default
        domain up to opset 18, of ai.onnx.ml but for trees.
    """

    text: str
    reference: Callable[..., npt.NDArray[Any]]
    constants: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    model: Callable[[str], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One rule of several: what it is called, and the steps whose values it takes.

    ``features`` is the row as it came (in a vote: the votes [n, n_members, width]). A forest takes one
    matrix of its ``n_features`` columns, and gives its sums divided by its divisor.
    """

    name: str
    rule: Forest | OnnxFragment
    inputs: tuple[str, ...] = ("features",)


@dataclass(frozen=True, slots=True)
class Steps:
    """Rules that build on each other; the last one's value is the result, or ``output``'s.

    steps
        in an order in which each takes only earlier ones
    choice
        step whose value [n, 1] is the index of the predicted class, where the library predicts by
        another rule than its scores; see `LoweredMember.decision` for the usual ones
    extras
        further values [n, 1] that the file offers as [n], by name
    """

    steps: tuple[Step, ...]
    choice: str = ""
    extras: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that every step takes what is there."""
        known = {"features"}
        for step in self.steps:
            lacking = [name for name in step.inputs if name not in known]
            if lacking or step.name in known or not step.inputs:
                raise ValueError(
                    f"step {step.name!r}: expected a new name and inputs among {sorted(known)}, got {step}"
                )
            known.add(step.name)
        wanted = [*([self.choice] if self.choice else []), *self.extras.values()]
        if not self.steps or any(name not in known for name in wanted):
            raise ValueError(f"Steps: expected at least one step, and steps named {wanted}")

    @property
    def forests(self) -> list[Forest]:
        """The forests that test the row's own features."""
        return [step.rule for step in self.steps if isinstance(step.rule, Forest) and step.inputs == ("features",)]


@dataclass(frozen=True, slots=True)
class LoweredMember:
    """A member in library-free form.

    body
        `Forest`, an `OnnxFragment` from ``features`` [n, n_features], or `Steps`: to the member's
        vote [n, n_classes] ([n, n_targets] for regression), or to the sums that ``link`` makes it of
    link
        How a forest's raw sums become the vote (for Steps: those of a forest that is the last step).
        Sigmoid and softmax take them undivided:

        ========== ============================================================
        identity   the sums divided by the divisor
        sigmoid    one sum; ``[1 - s, s]`` with ``s = 1 / (1 + exp(-sum))``
        softmax    one sum a class; ``exp(sum) / total of exp(sums)``
        complement sums of all classes but the first, whose sum is what is left
                   of the divisor; then divided by it
        ========== ============================================================
    arithmetic
        Width in which the native library sums and links. The proof cannot ask for more digits
        than the library itself computes.
    decision
        How the library's own ``predict`` reads the label off the vote when the model is exported
        alone: by default the largest, the first of equal ones.
    by_sums
        Whether ``predict`` chooses the largest of the sums instead of their softmax, in which sums that
        differ in the last digit may be equal.
    wide
        whether float32 is too narrow, whatever a proof finds: features themselves are multiplied, which
        could overflow it, or a rule magnifies the last digit; then sums are taken in float64
    float32_only
        why rows of float64 would not be answered exactly; empty if they are
    """

    body: Forest | OnnxFragment | Steps
    link: Link = "identity"
    arithmetic: Width = "float64"
    decision: Decision = field(default_factory=Decision)
    by_sums: bool = False
    wide: bool = False
    float32_only: str = ""

    def check(self, task: Task, width: int) -> None:
        """Raise ValueError where the number of sums does not suit the link and the vote's width."""
        last = self.last
        if isinstance(last, OnnxFragment):
            return
        wanted = {
            "identity": width,
            "sigmoid": 1 if width == 2 else -1,
            "softmax": width,
            "complement": width - 1,
        }[self.link]
        if last.n_outputs != wanted:
            raise ValueError(f"link {self.link!r} and {width} columns of votes does not fit {last.n_outputs} sums")

    @property
    def may_overflow(self) -> bool:
        """Whether float32 might be too narrow for rows that no proof tried."""
        return self.wide or isinstance(self.body, OnnxFragment)

    def within_reach(self, rows: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Tell for which rows the library's own arithmetic surely does not overflow, bool [n].

        A library that multiplies features in float32 has no answer worth the name near float32's ends.
        """
        if not (self.may_overflow and self.arithmetic == "float32"):
            return np.ones(len(rows), dtype=bool)
        return np.asarray((~(np.abs(rows) > _SQUARED_STAYS_FINITE)).all(axis=1))

    @property
    def last(self) -> Forest | OnnxFragment:
        """The rule whose value is linked."""
        return self.body.steps[-1].rule if isinstance(self.body, Steps) else self.body

    @property
    def forests(self) -> list[Forest]:
        """The forests that test the row's own features."""
        if isinstance(self.body, Steps):
            return self.body.forests
        return [self.body] if isinstance(self.body, Forest) else []

    def forests_of(self, n_features: int) -> list[Forest]:
        """Return the forests whose first columns are, or seem to be, the row's: also after a rule for each column."""
        if not isinstance(self.body, Steps):
            return self.forests
        rules = [step.rule for step in self.body.steps]
        return [rule for rule in rules if isinstance(rule, Forest) and rule.n_features >= n_features]


@dataclass(frozen=True, slots=True)
class Guard:
    """A row check that is exported: a validator's name and its rule, bool [n] from ``features``."""

    name: str
    rule: OnnxFragment


@dataclass(frozen=True, slots=True)
class EnsembleProgram:
    """A whole ensemble in library-free form: input contract, members, vote and decision.

    classes
        labels in order; empty for regression; for ``multioutput`` those of every output in turn
    members, weights
        in the order of the vote
    vote
        None if there is one member, whose vote is the answer. Steps start from the votes, and have no forest
    blocks
        for ``multioutput``, how many columns of the vote each output has: its number of classes, or 1
        for the probability of a yes
    n_targets
        for ``regression``, how many values a row has
    scores
        what the answer is called: ``decision_function`` for classifiers without probabilities
    rows
        type of the file's input. A row is compared and added up from what it is in this type
    wide_vote
        whether the vote magnifies the last digit of the members' votes; then sums are taken in float64
    """

    schema: FeatureSchema
    task: Task
    classes: npt.NDArray[Any]
    names: tuple[str, ...]
    members: tuple[LoweredMember, ...]
    weights: npt.NDArray[np.float64]
    voting: str
    vote: OnnxFragment | Steps | None
    decision: Decision
    guards: tuple[Guard, ...] = ()
    blocks: tuple[int, ...] = ()
    n_targets: int = 1
    scores: Scores = "probabilities"
    rows: Width = "float32"
    wide_vote: bool = False

    def __post_init__(self) -> None:
        """Check that the parts fit each other."""
        if not len(self.names) == len(self.members) == len(self.weights) > 0:
            raise ConfigError("an ensemble program has at least one member, each with a name and a weight")
        for name, member in zip(self.names, self.members, strict=True):
            try:
                member.check(self.task, self.vote_width)
            except ValueError as error:
                raise ConfigError(f"member {name!r}: {error}") from error
            for forest in member.forests:
                if forest.n_features != len(self.schema):
                    raise ConfigError(
                        f"member {name!r}: lowered for {forest.n_features} features; the schema has {len(self.schema)}"
                    )
        if self.vote is None and len(self.members) > 1:
            raise ConfigError("an ensemble program of several members has a vote")
        if isinstance(self.vote, Steps) and any(isinstance(step.rule, Forest) for step in self.vote.steps):
            raise ConfigError(f"voting {self.voting!r}: expected a vote of OnnxFragments, got a forest among its steps")

    @property
    def vote_width(self) -> int:
        """Columns of a vote: the number of classes, or of targets."""
        if self.task == "regression":
            return self.n_targets
        if self.task == "multioutput":
            return sum(self.blocks)
        if self.scores == "decision_function" and len(self.classes) == 2:
            return 1
        return len(self.classes)
