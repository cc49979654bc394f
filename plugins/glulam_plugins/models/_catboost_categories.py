"""Names of the categories that a CatBoost model was trained on, of which it keeps hashes alone.

`name_categories` writes them into the model's own metadata, where they stay when it is saved. Rows
then hold the position of a category among its feature's names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import catboost
import numpy as np
import numpy.typing as npt

from glulam._tables import as_table
from glulam.errors import ConfigError, UnsupportedModelError
from glulam.schema import Category, Feature, FeatureSchema

__all__ = [
    "codes_of_hashes",
    "decoded",
    "feature",
    "hash_pool",
    "hashes_of_codes",
    "known_categories",
    "name_categories",
]

_KEY = "glulam.categories"
_UNSEEN = "\0unseen"  # a category that no table has
_INTEGER = re.compile("0|-?[1-9][0-9]{0,15}")
Names = Mapping[int, tuple[Category, ...]]


def name_categories(model: Any, table: Any) -> None:
    """Tell a fitted CatBoost model the names of its categories, from the table that it was trained on.

    model
        a catboost model that was trained on native categories
    table
        array, pandas, polars or pyarrow table or mapping of columns; all of the model's, in their order

    Raises ConfigError where the columns cannot be the model's.
    """
    columns = [int(column) for column in model.get_cat_feature_indices()]
    source = as_table(table, "catboost: name_categories")
    if source.n_columns != len(model.feature_names_):
        raise ConfigError(
            f"catboost: name_categories: expected the {len(model.feature_names_)} columns that the model was trained "
            f"on, got {source.n_columns}"
        )
    called = source.names or [f"x{column}" for column in range(source.n_columns)]
    learnt = FeatureSchema.learn(table, categorical=[called[column] for column in columns], unseen="missing")
    names = {column: _with_equals(learnt.features[column]) for column in columns}
    model.get_metadata()[_KEY] = json.dumps(names)


def _with_equals(learnt: Feature) -> list[Category]:
    """Return the categories, then their other forms: 3 and "3" are one category to CatBoost, 1 and True as well."""
    known = list(learnt.categories)
    if all(isinstance(category, int) and category in (0, 1) for category in known):
        return [False, True]
    for category in learnt.categories:
        if isinstance(category, float):
            raise ConfigError(
                f"catboost: name_categories: column {learnt.name!r}: CatBoost takes integers and strings for "
                f"categories, got {category!r}; give the table that the model was trained on"
            )
        text = _hashed(category)
        other = int(text) if isinstance(category, str) and _INTEGER.fullmatch(text) else text
        if other not in known:
            known.append(other)
    return known


def _hashed(category: Category) -> str:
    """Return the text whose hash CatBoost takes: booleans are 1 and 0 to it."""
    return category if isinstance(category, str) else str(int(category))


def known_categories(model: Any) -> Names:
    """Return the names of the categories of each categorical column, or refuse a model that was not told them."""
    columns = [int(column) for column in model.get_cat_feature_indices()]
    if not columns:
        return {}
    metadata = model.get_metadata()
    told = json.loads(metadata[_KEY]) if _KEY in metadata.keys() else {}  # noqa: SIM118  # no mapping: it has no __contains__
    if sorted(int(column) for column in told) != columns:
        names = [model.feature_names_[column] for column in columns]
        raise UnsupportedModelError(
            f"catboost: the model keeps its categories (columns {names}) as hashes, not by name; tell it their names "
            "before export: from glulam_plugins.models.catboost import name_categories; "
            "name_categories(model, training_table)"
        )
    return {column: tuple(told[str(column)]) for column in columns}


def feature(name: str, categories: tuple[Category, ...]) -> Feature:
    """Return a feature that has these categories, and takes whatever is not listed for unseen, as CatBoost does."""
    if isinstance(categories[0], bool):
        return Feature(name, "boolean", missing="allow")
    return Feature(name, "categorical", categories, missing="allow", unseen="missing")


def decoded(model: Any, X: npt.NDArray[np.floating[Any]], names: Names) -> Any:
    """Return rows of codes as CatBoost takes them: with categories, and with an unseen one for any other number."""
    with np.errstate(over="ignore"):  # as every number of a row is read
        X = X.astype(np.float32)
    rows = X.astype(object)
    for column, categories in names.items():
        values = np.array([*categories, _UNSEEN], dtype=object)
        codes = X[:, column]
        listed = np.isin(codes, np.arange(len(categories)))
        rows[:, column] = values[np.where(listed, codes, len(categories)).astype(np.int64)]
    return _pool(model, rows, names)


def hash_pool(model: Any, names: Names) -> Any:
    """Return rows that have every category, for CatBoost to tell the hashes of."""
    rows = np.zeros((max(map(len, names.values())), len(model.feature_names_)), dtype=object)
    for column, categories in names.items():
        rows[:, column] = np.resize(np.array(categories, dtype=object), len(rows))
    return _pool(model, rows, names)


def _pool(model: Any, rows: npt.NDArray[Any], names: Names) -> Any:
    return catboost.Pool(rows, cat_features=list(names), feature_names=model.feature_names_)


def hashes_of_codes(document: Mapping[str, Any], names: Names) -> dict[int, npt.NDArray[np.uint32]]:
    """Return for each categorical column the hash of each code, as the JSON tells it of the rows of `hash_pool`."""
    known = {entry["value"]: entry["hash"] for entry in document["features_info"].get("cat_features_hash", ())}
    return {
        column: np.array([known[_hashed(category)] for category in categories], dtype=np.uint32)
        for column, categories in names.items()
    }


def codes_of_hashes(
    document: Mapping[str, Any], hashes: Mapping[int, npt.NDArray[np.uint32]]
) -> dict[int, dict[int, list[int]]]:
    """Return for each categorical column the codes of each hash; refuse hashes that split and have no name."""
    codes: dict[int, dict[int, list[int]]] = {}
    for entry in document["features_info"].get("categorical_features", ()):
        column = entry["flat_feature_index"]
        found: dict[int, list[int]] = {}
        for code, value in enumerate(hashes[column].tolist()):
            found.setdefault(value, []).append(code)
        nameless = [value for value in entry.get("values", ()) if value % 2**32 not in found]
        if nameless:
            raise UnsupportedModelError(
                f"catboost: column {entry.get('feature_name', column)!r} is split by {len(nameless)} categories that "
                "are not among its names; call name_categories with the whole table that the model was trained on"
            )
        codes[column] = found
    return codes
