"""Rules for models that are made of models: their columns, their classes, their sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam._signature import numeric_schema
from glulam.errors import UnsupportedModelError
from glulam.fragments import Recipe, select
from glulam.program import LoweredMember, OnnxFragment

__all__ = ["ballot", "lowered_part", "made_of", "source_of", "total"]

Array = npt.NDArray[Any]


def lowered_part(who: str, part: Any, n_features: int) -> LoweredMember:
    """Return a fitted model inside another one, lowered by its own plugin. Refuses by its name what that refuses."""
    plugin, kind = plugins.required_model_of(part), type(part).__name__
    found = plugin.signature(part)
    if any(feature.kind != "numeric" for feature in found.schema.features):
        raise UnsupportedModelError(
            f"{who}: a {kind} in it reads categories by name, which reach it as numbers here; "
            "encode them before the outer model"
        )
    if hasattr(part, "predict_proba") and found.scores != "probabilities":
        raise UnsupportedModelError(
            f"{who}: predict_proba of a {kind} in it gives no probabilities; choose an objective with probabilities"
        )
    return plugin.lower(part, numeric_schema(n_features))


def made_of(recipe: Recipe, parts: Sequence[LoweredMember]) -> LoweredMember:
    """Return the steps as a lowered model that computes no wider, and reads no wider rows, than its parts."""
    narrow = any(part.arithmetic == "float32" for part in parts)
    only = next((part.float32_only for part in parts if part.float32_only), "")
    return replace(recipe.lowered(arithmetic="float32" if narrow else "float64"), float32_only=only)


def source_of(recipe: Recipe, columns: Sequence[int] | Array, n_features: int) -> str:
    """Return the name of these columns of the row, for a model inside another one."""
    if np.array_equal(columns, np.arange(n_features)):
        return "features"
    return recipe.add(select(columns))


def ballot(recipe: Recipe, lowered: LoweredMember, source: str, table: npt.NDArray[np.float64]) -> str:
    """Add a lowered classifier; return the name of the row of ``table`` [n_classes, k] that its label chooses."""
    parts = recipe.parts(lowered, source)
    if "choice" in parts:
        return recipe.add(_at(table), parts["choice"])
    return recipe.add(_chosen(lowered, table), parts[""])


def _at(table: npt.NDArray[np.float64]) -> OnnxFragment:
    return OnnxFragment(
        text="at (choice, table, flat) => (y) {"
        " column = Reshape(choice, flat)"
        " index = Cast <to = 7> (column)"
        " y = Gather <axis = 0> (table, index) }",
        reference=lambda choice: table[np.asarray(choice).reshape(-1).astype(np.int64)],
        constants={"table": table, "flat": np.array([-1])},
    )


def _chosen(lowered: LoweredMember, table: npt.NDArray[np.float64]) -> OnnxFragment:
    """Return the rule from a vote to the row of ``table``, by the decision that the part's label is read off with."""
    decision = lowered.decision

    def reference(vote: Array) -> Array:
        return np.asarray(table[decision.choose(vote)])

    # One column is a decision function of two classes.
    if len(table) > 2 or (decision.threshold == 0.5 and not decision.inclusive):
        return OnnxFragment(
            text="largest (vote, table) => (y) {"
            " index = ArgMax <axis = 1, keepdims = 0> (vote)"
            " y = Gather <axis = 0> (table, index) }",
            reference=reference,
            constants={"table": table},
        )
    compare = "GreaterOrEqual" if decision.inclusive else "Greater"
    return OnnxFragment(
        text="above (vote, table, last, threshold) => (y) {"
        " score = Gather <axis = 1> (vote, last)"
        f" above = {compare}(score, threshold)"
        " index = Cast <to = 7> (above)"
        " y = Gather <axis = 0> (table, index) }",
        reference=reference,
        constants={"table": table, "last": np.array(-1), "threshold": np.array(decision.threshold)},
    )


def total(count: int) -> OnnxFragment:
    """Return the sum of ``count`` matrices of one shape, in this order."""
    names = ", ".join(f"x{index}" for index in range(count))

    def reference(*parts: Array) -> Array:
        out = np.zeros(parts[0].shape)
        for part in parts:
            out = out + part
        return out

    return OnnxFragment(text=f"total ({names}) => (y) {{ y = Sum({names}) }}", reference=reference)
