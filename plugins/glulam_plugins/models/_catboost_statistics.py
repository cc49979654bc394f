"""Target statistics (CTR) of CatBoost: what it makes of categories, and of combinations of them, as numbers.

Rules as in CatBoost's ``catboost/libs/model/ctr_provider.h``, ``static_ctr_provider.cpp`` and
``ctr_value_table.h``: the hashes of a combination's categories, and whether numbers are above borders,
are hashed to one key; a table of the model has for the key how often it came, and with which targets;
``((count + prior) / (total + prior denominator) + shift) * scale`` in float32 is what trees split by.

Here all combinations of a row's codes are numbered, and the statistics of each are looked up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import UnsupportedModelError
from glulam.program import OnnxFragment

__all__ = ["Hashes", "statistics"]

Hashes = Mapping[int, npt.NDArray[np.uint32]]
Array = npt.NDArray[Any]
_MOST = 4_000_000
_UNSEEN = -(2**62)  # no hash, which has 32 bits
_EMPTY = 2**64 - 1  # the key of a free place in a model's table
_MULTIPLIER = np.uint64(0x4906BA494954CB65)
_ELEMENTS = ("cat_feature_value", "float_feature", "cat_feature_exact_value")  # in the order of hashing
_LOOKUP = """
    rows = Cast <to = 1> (features)
    known = Cast <to = 1> (sizes)
    given = Gather <axis = 1> (rows, columns)
    floor = Floor (given)
    whole = Equal (given, floor)
    none = Sub (known, known)
    least = GreaterOrEqual (given, none)
    most = Less (given, known)
    within = And (least, most)
    listed = And (whole, within)
    code = Where (listed, given, known)
    number = Cast <to = 7> (code)
    entry = Add (number, starts)
    places = Gather (ranks, entry)
    place = ReduceSum <keepdims = 0> (places, axis)
"""
_ABOVE = """
    values = Gather <axis = 1> (rows, numbers)
    edges = Cast <to = 1> (borders)
    greater = Greater (values, edges)
    lost = IsNaN (values)
    lifted = And (lost, nan_above)
    above = Or (greater, lifted)
    bit = Cast <to = 7> (above)
    bits = Mul (bit, steps)
    offset = ReduceSum <keepdims = 0> (bits, axis)
    index = Add (place, offset)
"""


@dataclass(frozen=True, slots=True)
class _Combination:
    """Categories and borders that make one key; its dimensions are those of the numbering of all combinations.

    columns, ranks
        for each categorical dimension its column, and the place in the dimension of each code, the last
        of them that of an unseen category
    numbers, borders, nan_above
        for each dimension of a number (not above, above): column, border, and whether NaN is above
    parts
        for each dimension what is hashed for its places, in the order of hashing
    is_category
        which dimensions are categorical
    """

    columns: list[int]
    ranks: list[npt.NDArray[np.int64]]
    numbers: npt.NDArray[np.int64]
    borders: npt.NDArray[np.float64]
    nan_above: npt.NDArray[np.bool_]
    parts: list[npt.NDArray[np.int64]]
    is_category: list[bool]

    @property
    def strides(self) -> npt.NDArray[np.int64]:
        """Return how far apart neighbours in each dimension are in the numbering."""
        return np.asarray(np.cumprod([1, *map(len, self.parts[:-1])], dtype=np.int64))

    @property
    def count(self) -> int:
        """Return how many combinations there are."""
        return math.prod(map(len, self.parts))


def statistics(document: Mapping[str, Any], hashes: Hashes) -> tuple[list[OnnxFragment], list[int]]:
    """Return rules from rows to columns of statistics, and for each of a model's statistics which column it is.

    Raises UnsupportedModelError where a combination has too many values, or categories lack names.
    """
    together: dict[str, list[int]] = {}
    all_of_them = document["features_info"].get("ctrs", [])
    for index, each in enumerate(all_of_them):
        together.setdefault(str(each["elements"]), []).append(index)
    rules, order = [], []
    for members in together.values():
        combination = _combination(document, hashes, all_of_them[members[0]]["elements"])
        if combination.count * len(members) > _MOST:
            raise UnsupportedModelError(
                f"catboost: a combination of {len(combination.columns)} categories has {combination.count:,} "
                "values, too many for a table in the file; train with max_ctr_complexity=1, or with fewer categories"
            )
        keys = _keys(combination)
        tables = [_values(all_of_them[index], document["ctr_data"], keys) for index in members]
        rules.append(_rule(combination, np.column_stack(tables)))
        order += members
    column = np.empty(len(order), dtype=np.int64)
    column[order] = np.arange(len(order))
    return rules, column.tolist()


def _combination(document: Mapping[str, Any], hashes: Hashes, elements: list[Mapping[str, Any]]) -> _Combination:
    """Read the dimensions of a combination in the order in which they are hashed."""
    info = document["features_info"]
    column_of = {each["feature_index"]: each["flat_feature_index"] for each in info["categorical_features"]}
    number_of = {each["feature_index"]: each for each in info.get("float_features", ())}
    of_kind: dict[str, list[Mapping[str, Any]]] = {name: [] for name in _ELEMENTS}
    for each in elements:
        if each["combination_element"] not in of_kind:
            raise UnsupportedModelError(
                f"catboost: statistics of {each['combination_element']!r} are not supported; train with "
                "max_ctr_complexity=1"
            )
        of_kind[each["combination_element"]].append(each)
    columns, ranks, parts = [], [], []
    for each in of_kind["cat_feature_value"]:
        columns.append(column_of[each["cat_feature_index"]])
        distinct, rank = np.unique(hashes[columns[-1]], return_inverse=True)
        ranks.append(np.append(rank, len(distinct)).astype(np.int64))
        # A hash counts as a signed number of 32 bits.
        parts.append(np.append(distinct.astype(np.int32).astype(np.int64), _UNSEEN))
    numbers = of_kind["float_feature"]
    parts += [np.arange(2)] * len(numbers)
    for each in of_kind["cat_feature_exact_value"]:
        columns.append(column_of[each["cat_feature_index"]])
        ranks.append(np.append(hashes[columns[-1]] == each["value"] % 2**32, False).astype(np.int64))
        parts.append(np.arange(2))
    features = [number_of[each["float_feature_index"]] for each in numbers]
    return _Combination(
        columns=columns,
        ranks=ranks,
        numbers=np.array([each["flat_feature_index"] for each in features], dtype=np.int64),
        borders=np.array([each["border"] for each in numbers], dtype=np.float64),
        nan_above=np.array([each["nan_value_treatment"] == "AsTrue" for each in features], dtype=bool),
        parts=parts,
        is_category=[name != "float_feature" for name in _ELEMENTS for _ in of_kind[name]],
    )


def _keys(combination: _Combination) -> npt.NDArray[np.uint64]:
    """Return the key of each combination by its number; that of a free place where a category is unseen."""
    number = np.arange(combination.count)
    keys = np.zeros(combination.count, dtype=np.uint64)
    unseen = np.zeros(combination.count, dtype=bool)
    for part, stride in zip(combination.parts, combination.strides, strict=True):
        hashed = part[number // stride % len(part)]
        unseen |= hashed == _UNSEEN
        with np.errstate(over="ignore"):
            keys = _MULTIPLIER * (keys + _MULTIPLIER * hashed.astype(np.uint64))
    keys[unseen] = _EMPTY
    return keys


def _values(
    statistic: Mapping[str, Any], tables: Mapping[str, Any], keys: npt.NDArray[np.uint64]
) -> npt.NDArray[np.float32]:
    """Return one statistic of all keys."""
    table = tables[statistic["identifier"]]
    entries = np.array(table["hash_map"], dtype=object).reshape(-1, table["hash_stride"])
    have = entries[:, 0].astype(np.uint64)
    entries, have = entries[have != _EMPTY], have[have != _EMPTY]
    if not np.isin(have, keys).all():
        raise UnsupportedModelError(
            "catboost: the model has statistics of categories that are not among the names it was told; call "
            "name_categories with the whole table that the model was trained on"
        )
    order = np.argsort(have)
    place = np.searchsorted(have[order], keys)
    found = np.zeros((len(keys), entries.shape[1] - 1), dtype=np.float32)
    is_there = np.isin(keys, have)
    found[is_there] = entries[order, 1:].astype(np.float32)[place[is_there]]
    kind, target = statistic["ctr_type"], statistic["target_border_idx"]
    if kind in ("Borders", "Buckets"):
        count = found[:, target + 1 :].sum(axis=1) if kind == "Borders" else found[:, target]
        total = found.sum(axis=1)
    elif kind in ("BinarizedTargetMeanValue", "FloatTargetMeanValue"):
        count, total = found.T
    elif kind in ("Counter", "FeatureFreq"):
        count, total = found[:, 0], np.float32(table["counter_denominator"])
    else:
        raise UnsupportedModelError(
            f"catboost: statistics of type {kind!r} are not supported; train with simple_ctr and combinations_ctr of "
            "Borders, Buckets, BinarizedTargetMeanValue or Counter"
        )
    prior, denominator, shift, scale = (
        np.float32(statistic[name]) for name in ("prior_numerator", "prior_denomerator", "shift", "scale")
    )
    return np.asarray(((count + prior) / (total + denominator) + shift) * scale, dtype=np.float32)


def _rule(combination: _Combination, table: npt.NDArray[np.float32]) -> OnnxFragment:
    """Return the rule that looks up a row's combination in a table."""
    is_category = np.array(combination.is_category)
    columns, steps = np.array(combination.columns), combination.strides[~is_category]
    sizes = np.array([len(rank) - 1 for rank in combination.ranks])
    starts = np.cumsum([0, *(sizes + 1)[:-1]])
    scaled = zip(combination.ranks, combination.strides[is_category], strict=True)
    ranks = np.concatenate([rank * stride for rank, stride in scaled])

    def reference(features: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            rows = features.astype(np.float32)
            given = rows[:, columns]
            listed = (given == np.floor(given)) & (given >= 0) & (given < sizes)
        index = ranks[np.where(listed, given, sizes).astype(np.int64) + starts].sum(axis=1)
        values = rows[:, combination.numbers]
        above = (values > combination.borders) | (np.isnan(values) & combination.nan_above)
        return np.asarray(table[index + (above * steps).sum(axis=1)])

    constants: dict[str, Array] = {
        "columns": columns, "sizes": sizes, "starts": starts, "ranks": ranks, "axis": np.array([1]), "table": table,
    }  # fmt: skip
    body, place = _LOOKUP, "place"
    if len(steps):
        body, place = _LOOKUP + _ABOVE, "index"
        constants |= {
            "numbers": combination.numbers, "borders": combination.borders, "nan_above": combination.nan_above,
            "steps": steps,
        }  # fmt: skip
    inputs = ", ".join(["features", *constants])
    text = f"statistics ({inputs}) => (y) {{ {body} y = Gather <axis = 0> (table, {place}) }}"
    return OnnxFragment(text, reference, constants)
