"""Each exactness rule broken once: the proof refuses the export. These are tests of the proof itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from exactness.matrix import CASES
from exactness.test_matrix import fitted

import glulam
from glulam import plugins
from glulam.errors import ProofError
from glulam.forest import Forest
from glulam.program import LoweredMember, Step, Steps
from glulam_exporters.onnx import _forest


def with_forests(lowered: LoweredMember, change: Callable[[Forest], Forest]) -> LoweredMember:
    """Return a lowered model with its forests changed."""
    body = lowered.body
    if isinstance(body, Forest):
        return replace(lowered, body=change(body))
    assert isinstance(body, Steps)
    steps = tuple(replace(step, rule=change(step.rule)) if isinstance(step.rule, Forest) else step for step in body.steps)
    return replace(lowered, body=replace(body, steps=steps))


def without_step(lowered: LoweredMember, number: int) -> LoweredMember:
    """Return a lowered model with one of its steps left out: later ones take what it would have taken."""
    body = lowered.body
    assert isinstance(body, Steps)
    gone = body.steps[number]
    kept = tuple(
        replace(step, inputs=tuple(gone.inputs[0] if name == gone.name else name for name in step.inputs))
        for step in body.steps
        if step is not gone
    )
    return replace(lowered, body=Steps(kept, body.choice, body.extras))


def leaves_of_first_tree(forest: Forest, factor: float) -> Forest:
    """Return a forest whose first tree weighs more or less."""
    value = forest.leaf_value.copy()
    value[forest.leaf_trees() == 0] *= factor
    return replace(forest, leaf_value=value)


def other_sets(forest: Forest) -> Forest:
    """Return a forest whose sets are all those of the next number."""
    return replace(forest, set_value=forest.set_value + 1)


def step_down(forest: Forest) -> Forest:
    """Return a forest whose thresholds are one float32 lower."""
    lower = np.nextafter(forest.threshold.astype(np.float32), np.float32(-np.inf)).astype(np.float64)
    return replace(forest, threshold=np.where(np.isfinite(lower), lower, forest.threshold))


FOREST_RULES: dict[str, Callable[[Forest], Forest]] = {
    "x < t for x <= t": step_down,
    "NaN the other way": lambda f: replace(f, nan_left=~f.nan_left),
    "NaN always right": lambda f: replace(f, nan_left=np.zeros_like(f.nan_left)),
    "sides swapped": lambda f: replace(f, left=f.right, right=f.left),
    "divisor forgotten": lambda f: replace(f, divisor=1.0),
    "divided by one tree more": lambda f: replace(f, divisor=f.divisor * (f.n_trees + 1) / f.n_trees),
    "base forgotten": lambda f: replace(f, base=np.zeros_like(f.base)),
    "weight of a dropped tree forgotten": lambda f: leaves_of_first_tree(f, 1.25),
    "sets one code off": other_sets,
}


@dataclass(frozen=True)
class Mutation:
    """A case of the matrix by its name, and what is done wrong with it."""

    case: str
    rule: str
    change: Callable[[LoweredMember], LoweredMember]

    def __str__(self) -> str:
        """Return the id that pytest shows."""
        return f"{self.case}, {self.rule}"


def of_forest(case: str, *rules: str) -> list[Mutation]:
    """Return mutations of the tables of a case's forests."""
    return [Mutation(case, rule, functools.partial(with_forests, change=FOREST_RULES[rule])) for rule in rules]


MUTATIONS: list[Mutation] = []
