"""Each exactness rule broken once: the proof refuses the export. These are tests of the proof itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from exactness.matrix import CASES
from exactness.test_matrix import fitted, table_of

import glulam
from glulam import plugins
from glulam.decision import Decision
from glulam.errors import ProofError
from glulam.forest import Forest
from glulam.program import LoweredMember, Steps
from glulam_exporters.onnx import _forest


def with_forests(lowered: LoweredMember, change: Callable[[Forest], Forest]) -> LoweredMember:
    """Return a lowered model with its forests changed."""
    body = lowered.body
    if isinstance(body, Forest):
        return replace(lowered, body=change(body))
    assert isinstance(body, Steps)
    steps = tuple(
        replace(step, rule=change(step.rule)) if isinstance(step.rule, Forest) else step for step in body.steps
    )
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


def of_step(case: str, rule: str, number: int) -> Mutation:
    """Return the mutation that leaves out one step."""
    return Mutation(case, rule, functools.partial(without_step, number=number))


def scaled(factor: float) -> Callable[[Forest], Forest]:
    """Return a change of all leaves by a factor."""
    return lambda forest: replace(forest, leaf_value=forest.leaf_value * factor)


def other_outputs(forest: Forest) -> Forest:
    """Return a forest whose trees belong to the next output."""
    return replace(forest, tree_output=(forest.tree_output + 1) % forest.n_outputs)


def step_up(forest: Forest) -> Forest:
    """Return a forest whose thresholds are one float32 higher."""
    with np.errstate(over="ignore"):
        return replace(
            forest, threshold=np.nextafter(forest.threshold.astype(np.float32), np.float32(np.inf)).astype(float)
        )


MUTATIONS = [
    *of_forest("LightGBM: binary", "x < t for x <= t", "sides swapped", "weight of a dropped tree forgotten"),
    *of_forest("LightGBM: missing values, binary", "NaN the other way", "NaN always right"),
    *of_forest("LightGBM: categories, binary", "sets one code off", "sides swapped"),
    of_step("LightGBM: categories, binary", "codes not truncated", 0),
    of_step("LightGBM: zero_as_missing", "zeros not missing", 0),
    of_step("LightGBM: objective=poisson", "exponential forgotten", -1),
    of_step("LightGBM: reg_sqrt", "square forgotten", -1),
    Mutation("LightGBM: boosting=rf, regression", "not divided", functools.partial(with_forests, change=scaled(10.0))),
    Mutation("LightGBM: sigmoid=3", "sigmoid's factor forgotten", functools.partial(with_forests, change=scaled(1 / 3))),
    Mutation("LightGBM: multiclass", "trees of another class", functools.partial(with_forests, change=other_outputs)),
    Mutation("LightGBM: multiclass", "no softmax", lambda lowered: replace(lowered, link="identity")),
    *of_forest("XGBoost: dart", "weight of a dropped tree forgotten", "NaN the other way"),
    *of_forest("XGBoost: regressor, base_score=-10000.0", "base forgotten"),
    *of_forest("XGBoost: categories as codes", "sets one code off", "sides swapped"),
    of_step("XGBoost: missing=-999.0", "-999 not missing", 0),
    of_step("XGBoost: reg:gamma", "exponential forgotten", -1),
    Mutation("XGBoost: classifier, tree_method=hist", "x <= t for x < t", functools.partial(with_forests, change=step_up)),
    Mutation("XGBoost: three targets", "trees of another target", functools.partial(with_forests, change=other_outputs)),
    *of_forest("scikit-learn: RandomForestClassifier missing values", "NaN the other way", "divisor forgotten"),
    *of_forest("scikit-learn: RandomForestRegressor squared_error", "divided by one tree more", "x < t for x <= t"),
    *of_forest("scikit-learn: GradientBoostingRegressor squared_error", "base forgotten"),
    *of_forest("scikit-learn: HistGradientBoostingClassifier missing values", "NaN the other way"),
    *of_forest("scikit-learn: HistGradientBoostingClassifier categories 0 to 5", "sets one code off", "NaN the other way"),
    *of_forest("scikit-learn: IsolationForest default", "divisor forgotten", "x < t for x <= t"),
    *of_forest("CatBoost: nan_mode Max, SymmetricTree", "NaN the other way", "x < t for x <= t"),
    *of_forest("CatBoost: set_scale_and_bias", "base forgotten", "weight of a dropped tree forgotten"),
    *of_forest("scikit-learn pipelines: StandardScaler, RandomForestClassifier", "x < t for x <= t"),
    Mutation(
        "scikit-learn meta-estimators: FixedThresholdClassifier", "its threshold forgotten",
        lambda lowered: replace(lowered, decision=Decision()),
    ),
]  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_broken_rule_is_refused(mutation, tmp_path, monkeypatch):
    """The proof finds what was done wrong, and no file is written."""
    case = next(case for case in CASES if str(case) == mutation.case)
    model = fitted(case)
    kind = type(plugins.required_model_of(model.model))
    right = kind.lower
    monkeypatch.setattr(kind, "lower", lambda self, model, schema: mutation.change(right(self, model, schema)))
    with pytest.raises(ProofError):
        glulam.export(model.model, tmp_path / "model.onnx", table_of(model), proof_rows=2_000, **model.options)
    assert not list(tmp_path.iterdir())


BROKEN_EXPORTER: dict[str, tuple[str, Callable[..., Any], str]] = {
    "thresholds rounded to nearest": ("float32_at_or_below", lambda t: np.asarray(t).astype(np.float32), "LightGBM: binary"),
    "base forgotten": ("_with_base", lambda forest: forest.leaf_value[:, 0].copy(), "XGBoost: regressor, tree_method=hist"),
}  # fmt: skip


@pytest.mark.parametrize("rule", BROKEN_EXPORTER)
def test_a_broken_exporter_is_refused(rule, tmp_path, monkeypatch):
    """What the exporter must not get wrong is found as well."""
    name, wrong, wanted = BROKEN_EXPORTER[rule]
    model = fitted(next(case for case in CASES if str(case) == wanted))
    monkeypatch.setattr(_forest, name, wrong)
    with pytest.raises(ProofError):
        glulam.export(model.model, tmp_path / "model.onnx", table_of(model), precision="float32", **model.options)
    assert not list(tmp_path.iterdir())
