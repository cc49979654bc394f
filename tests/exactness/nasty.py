"""Rows that find mistakes, drawn anew for the matrix, and which of them a library answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from glulam import plugins
from glulam._native import ask
from glulam._rows import families
from glulam.program import LoweredMember
from glulam.schema import FeatureSchema


def nasty_rows(model: object, rows: np.ndarray, count: int = 1_200) -> np.ndarray:
    """Return rows of all families of the proof, with another seed, in the type of ``rows``."""
    return np.concatenate(list(nasty_families(model, rows, count).values()))


def nasty_families(model: object, rows: np.ndarray, count: int = 1_200) -> dict[str, np.ndarray]:
    """Return the same rows by the name of their family, but for those on which the library's own float32 overflows."""
    lowered, schema = lower(model)
    forests = lowered.forests_of(len(schema))
    found = families(schema, forests, rows, rows=count, seed=12345)
    random = np.random.default_rng(1)
    picked = {each.name: each.rows[random.permutation(len(each.rows))[:250]] for each in found}
    return {name: block[lowered.within_reach(block)] for name, block in picked.items()}


def lower(model: object) -> tuple[LoweredMember, FeatureSchema]:
    """Return a model in library-free form, and its features."""
    plugin = plugins.required_model_of(model)
    schema = plugin.signature(model).schema
    return plugin.lower(model, schema), schema


def answered(predict: Callable[[np.ndarray], Mapping[str, np.ndarray]], rows: np.ndarray) -> np.ndarray:
    """Tell which rows the library does not refuse."""

    def width(block: np.ndarray) -> np.ndarray:
        first = next(iter(predict(block).values()))
        return np.zeros((len(first), 1))

    return ask(width, rows)[1]
