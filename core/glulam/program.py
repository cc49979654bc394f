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

__all__ = ["EnsembleProgram", "Guard", "Link", "LoweredMember", "OnnxFragment", "Task"]

Task = Literal["binary", "multiclass", "regression"]
Link = Literal["identity", "sigmoid", "softmax", "complement"]


@dataclass(frozen=True, slots=True)
class OnnxFragment:
    """A rule, once as ONNX text and once in numpy; the proof holds the two together.

    text
        One function in ONNX text syntax, without header:
        ``name (votes, weights) => (scores) { scores = MatMul(votes, weights) }``.
        Its first input is what the fragment works on (``features`` for a member or a guard,
        ``votes`` for a voting strategy); the others are ``constants``, by name. One output.
        It uses operators of the default domain, opset 18. Members and votes work in float32 and in
        float64 alike: floating-point constants arrive in the type of the first input.
    reference
        The same rule in numpy, a function of the first input alone.
    constants
        Arrays for the other inputs.
    """

    text: str
    reference: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
    constants: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoweredMember:
    """A member in library-free form.

    body
        `Forest`, or an `OnnxFragment` from ``features`` [n, n_features] to the member's vote
        [n, n_classes] ([n, 1] for regression).
    link
        How a forest's raw sums become the vote:

        ========== ============================================================
        identity   the sums divided by the divisor (regression)
        sigmoid    one sum; ``[1 - s, s]`` with ``s = 1 / (1 + exp(-sum))``
        softmax    one sum a class; ``exp(sum) / total of exp(sums)``
        complement sums of all classes but the first, whose sum is what is left
                   of the divisor; then divided by it
        ========== ============================================================
    arithmetic
        Width in which the native library sums and links. The proof cannot ask for more digits
        than the library itself computes.
    """

    body: Forest | OnnxFragment
    link: Link = "identity"
    arithmetic: Literal["float32", "float64"] = "float64"

    def check(self, task: Task, n_classes: int) -> None:
        """Raise ValueError where the number of sums does not suit the link and the task."""
        if isinstance(self.body, OnnxFragment):
            return
        wanted = {
            "identity": 1 if task == "regression" else n_classes,
            "sigmoid": 1 if n_classes == 2 else -1,
            "softmax": n_classes,
            "complement": n_classes - 1,
        }[self.link]
        if self.body.n_outputs != wanted:
            raise ValueError(f"link {self.link!r} with {n_classes} classes does not fit {self.body.n_outputs} sums")


@dataclass(frozen=True, slots=True)
class Guard:
    """A row check that is exported: a validator's name and its rule, bool [n] from ``features``."""

    name: str
    rule: OnnxFragment


@dataclass(frozen=True, slots=True)
class EnsembleProgram:
    """A whole ensemble in library-free form: input contract, members, vote and decision.

    ``classes`` is empty for regression. ``members`` and ``weights`` go in the order of the vote.
    """

    schema: FeatureSchema
    task: Task
    classes: npt.NDArray[Any]
    names: tuple[str, ...]
    members: tuple[LoweredMember, ...]
    weights: npt.NDArray[np.float64]
    voting: str
    vote: OnnxFragment
    decision: Decision
    guards: tuple[Guard, ...] = ()

    def __post_init__(self) -> None:
        """Check that the parts fit each other."""
        if not len(self.names) == len(self.members) == len(self.weights) > 0:
            raise ConfigError("an ensemble program has at least one member, each with a name and a weight")
        for name, member in zip(self.names, self.members, strict=True):
            try:
                member.check(self.task, len(self.classes))
            except ValueError as error:
                raise ConfigError(f"member {name!r}: {error}") from error
            body = member.body
            if isinstance(body, Forest) and body.n_features != len(self.schema):
                raise ConfigError(
                    f"member {name!r}: lowered for {body.n_features} features; the schema has {len(self.schema)}"
                )

    @property
    def vote_width(self) -> int:
        """Columns of a vote: the number of classes, 1 for regression."""
        return 1 if self.task == "regression" else len(self.classes)
