"""Which columns of a LightGBM model are pandas categories, and which categories they have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from glulam._signature import numeric_schema
from glulam.errors import UnsupportedModelError
from glulam.schema import Feature, FeatureSchema

__all__ = ["schema_of"]


def schema_of(booster: Any, text: str) -> FeatureSchema:
    """Return the schema of a Booster, whose model text (of any number of trees) is given.

    A column of pandas categories takes the categories themselves and encodes them as LightGBM does, to
    their position; missing and unseen ones are NaN. Codes that the user made are numbers.
    """
    names = booster.feature_name()
    width = len(names)
    known = None if names == [f"Column_{index}" for index in range(width)] else names
    schema = numeric_schema(width, known)
    lists = booster.pandas_categorical or []
    features = list(schema.features)
    for column, categories in zip(_owners(text, lists, names), lists, strict=True):
        if len(categories):
            features[column] = _categorical(names[column], categories)
    return FeatureSchema(tuple(features), named=schema.named)


def _categorical(name: str, categories: Sequence[Any]) -> Feature:
    values = tuple(value.item() if isinstance(value, np.generic) else value for value in categories)
    odd = [value for value in values if not isinstance(value, (str, int, float))]
    if odd:
        raise UnsupportedModelError(
            f"lightgbm: column {name!r} has categories like {odd[0]!r} ({type(odd[0]).__name__}); "
            "fit it on categories that are text, numbers or booleans"
        )
    return Feature(name, "categorical", values, missing="allow", unseen="missing")


def _owners(text: str, lists: Sequence[Sequence[Any]], names: Sequence[str]) -> list[int]:
    """Return the column of each list of categories, or refuse where more than one would do.

    LightGBM keeps the lists in the order of the columns, not the columns. Those with a categorical
    split are known; ordered categories are numbers to it, of which only the range is known.
    """
    if not lists:
        return []
    infos = re.search(r"^feature_infos=(.*)$", text, re.MULTILINE)
    ranges = infos.group(1).split(" ") if infos else [""] * len(names)
    given = re.search(r"^\[categorical_feature: ([\d,]+)\]$", text, re.MULTILINE)
    certain = {int(number) for number in given.group(1).split(",")} if given else set()
    certain |= {column for column, info in enumerate(ranges) if re.fullmatch(r"-?\d+(:-?\d+)*", info)}
    enough = len(lists) <= len(certain)
    columns = sorted(certain) if enough else list(range(len(names)))
    # ways[i][j]: how many ways there are to give lists i.. to columns j.., in their order
    ways = np.zeros((len(lists) + 1, len(columns) + 1), dtype=np.int64)
    ways[len(lists), len(columns)] = 1
    fits = np.array([[_fits(ranges[column], len(each)) for column in columns] for each in lists])
    for j in range(len(columns) - 1, -1, -1):
        skipped = ways[:, j + 1] if enough or columns[j] not in certain else 0
        ways[:, j] = np.minimum(2, skipped + np.append(fits[:, j] * ways[1:, j + 1], 0))
    if ways[0, 0] != 1:
        raise UnsupportedModelError(
            f"lightgbm: fitted on a DataFrame with {len(lists)} columns of categories, and it does not keep which "
            f"they are; {sorted(names[column] for column in certain)} are certain. Fit it with unordered "
            "categories alone, or on category codes"
        )
    found, i = [], 0
    for j, column in enumerate(columns):
        if i < len(lists) and fits[i, j] and ways[i + 1, j + 1]:
            found.append(column)
            i += 1
    return found


def _fits(info: str, count: int) -> bool:
    """Tell whether a column whose training values are described by ``info`` can have so many categories."""
    numbers = [float(number) for number in re.findall(r"[^:\[\]]+", info) if number not in ("none", "")]
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    return (
        low >= (0 if info.startswith("[") else -1) and high < max(count, 1) and low.is_integer() and high.is_integer()
    )
