"""Rules for models that are made of models: their columns, their classes, their sums."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam import plugins
from glulam._signature import numeric_schema
from glulam.errors import UnsupportedModelError
from glulam.fragments import Recipe, select
from glulam.program import LoweredMember, OnnxFragment, Width
from glulam_plugins.models._fragments import by_decision, by_index

__all__ = ["ballot", "lowered_part", "narrowest", "source_of", "total", "vote_width"]

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


def source_of(recipe: Recipe, columns: Sequence[int] | Array, n_features: int) -> str:
    """Return the name of these columns of the row, for a model inside another one."""
    if np.array_equal(columns, np.arange(n_features)):
        return "features"
    return recipe.add(select(columns))


def ballot(recipe: Recipe, part: Any, lowered: LoweredMember, source: str, table: npt.NDArray[np.float64]) -> str:
    """Add a lowered classifier; return the name of the row of ``table`` [n_classes, k] that its label chooses."""
    found = recipe.parts(lowered, source)
    if "choice" in found:
        return recipe.add(by_index(table), found["choice"])
    return recipe.add(by_decision(lowered.decision, vote_width(part, len(table)), table), found[""])


def vote_width(part: Any, n_classes: int) -> int:
    """Return how many columns a classifier's vote has: a decision function of two classes is one."""
    return 1 if n_classes == 2 and not hasattr(part, "predict_proba") else n_classes


def narrowest(parts: Iterable[LoweredMember]) -> Width:
    """Return the type that what is made of these computes in."""
    return "float32" if any(part.arithmetic == "float32" for part in parts) else "float64"


def total(count: int) -> OnnxFragment:
    """Return the sum of ``count`` matrices of one shape, in this order."""
    names = ", ".join(f"x{index}" for index in range(count))

    def reference(*parts: Array) -> Array:
        out = np.zeros(parts[0].shape)
        for part in parts:
            out = out + part
        return out

    return OnnxFragment(text=f"total ({names}) => (y) {{ y = Sum({names}) }}", reference=reference)
