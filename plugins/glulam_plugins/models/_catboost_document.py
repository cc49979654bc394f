"""A CatBoost model as its own JSON tells it, and the trees of that as `glulam.forest.Tree`.

Rules as in CatBoost's ``catboost/libs/model``: a float split is true where ``x > border`` in float32,
a one-hot split where the hash of the category is the split's; true goes right. NaN is replaced before
by what is below or above every border (``nan_value_treatment`` AsFalse, AsTrue), or compared as it is
(AsIs), which is false. In a symmetric tree split i gives bit i of the leaf's number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import UnsupportedModelError
from glulam.forest import Tree

__all__ = ["Splits", "document_of", "leaf_ranks", "lower_trees", "model_bytes"]


@dataclass(frozen=True, slots=True)
class Splits:
    """The tests of a tree: what `glulam.forest.Tree` has of its nodes, and sets by the split's number."""

    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    nan_left: npt.NDArray[np.bool_]
    sets: Mapping[int, list[int]]


def model_bytes(model: Any, kind: str, pool: Any = None) -> bytes:
    """Return what ``save_model`` writes in a format; it writes to files alone, here to one that nobody else reads."""
    with TemporaryDirectory(prefix="glulam-") as folder:
        path = Path(folder) / "model"
        model.save_model(str(path), format=kind, pool=pool)
        return path.read_bytes()


def document_of(model: Any, pool: Any = None) -> dict[str, Any]:
    """Return the JSON of a model, or refuse what it uses beside numbers and categories.

    ``pool`` has categories whose hashes are to be told.
    """
    for kind, indices in (
        ("text features", model.get_text_feature_indices()),
        ("embedding features", model.get_embedding_feature_indices()),
    ):
        if indices:
            raise UnsupportedModelError(
                f"catboost: {kind} (columns {list(indices)}) become numbers by rules that ONNX does not have; "
                "make numbers of these columns before fit, or leave them out"
            )
    try:
        document: dict[str, Any] = json.loads(model_bytes(model, "json", pool))
    except RecursionError as error:
        raise UnsupportedModelError(
            "catboost: a tree is too deep for its JSON to be read; train with a smaller depth"
        ) from error
    return document


def lower_trees(
    document: Mapping[str, Any], codes: Mapping[int, Mapping[int, list[int]]], statistics: Sequence[int]
) -> Iterator[Tree]:
    """Yield the trees, their leaves in CatBoost's order and scaled.

    ``codes`` has for each categorical column what numbers stand for a hash; ``statistics`` the columns of
    the model's target statistics.
    """
    reader = _Reader(document, codes, statistics)
    scale = float(document["scale_and_bias"][0])
    for tree in document.get("oblivious_trees", ()):
        yield _symmetric(tree, reader, scale)
    for tree in document.get("trees", ()):
        yield _nested(tree, reader, scale)


class _Reader:
    """Reads splits: which column, which border, which set."""

    def __init__(
        self, document: Mapping[str, Any], codes: Mapping[int, Mapping[int, list[int]]], statistics: Sequence[int]
    ) -> None:
        numbers = document["features_info"].get("float_features", ())
        self._column = {each["feature_index"]: each["flat_feature_index"] for each in numbers}
        self._nan_left = {each["feature_index"]: each["nan_value_treatment"] != "AsTrue" for each in numbers}
        categories = document["features_info"].get("categorical_features", ())
        self._category = {each["feature_index"]: each["flat_feature_index"] for each in categories}
        self._codes = codes
        # Splits are numbered: all borders of numbers, then one-hot values, then borders of statistics.
        ctrs = document["features_info"].get("ctrs", ())
        before = sum(len(each.get("borders", ())) for each in numbers) + sum(
            len(each.get("values", ())) for each in categories
        )
        self._statistic = [-1] * before + [
            column for column, each in zip(statistics, ctrs, strict=True) for _ in each["borders"]
        ]

    def __call__(self, splits: list[Mapping[str, Any]]) -> Splits:
        """Return splits as tests that are true on the right; those with sets as tests that are true on the left."""
        feature = np.zeros(len(splits), dtype=np.int64)
        threshold = np.zeros(len(splits))
        nan_left = np.zeros(len(splits), dtype=bool)
        sets: dict[int, list[int]] = {}
        for index, split in enumerate(splits):
            kind = split["split_type"]
            if kind == "FloatFeature":
                feature[index] = self._column[split["float_feature_index"]]
                threshold[index] = split["border"]
                nan_left[index] = self._nan_left[split["float_feature_index"]]
            elif kind == "OneHotFeature":
                feature[index] = self._category[split["cat_feature_index"]]
                sets[index] = self._codes[int(feature[index])][split["value"] % 2**32]
            elif kind == "OnlineCtr":
                feature[index] = self._statistic[split["split_index"]]
                threshold[index] = split["border"]
            else:
                raise UnsupportedModelError(
                    f"catboost: splits of type {kind!r} are not supported; train on numbers and categories"
                )
        return Splits(feature, threshold, nan_left, sets)


def _leaf_values(values: list[Any], leaves: int, scale: float) -> npt.NDArray[np.float64]:
    """Return leaf values [n_leaves, n_outputs], scaled."""
    table = np.asarray(values, dtype=np.float64).reshape(leaves, -1) * scale
    if not np.isfinite(table).all():
        raise UnsupportedModelError("catboost: a leaf value is not finite; train on finite targets")
    return table


def _symmetric(tree: Mapping[str, Any], reader: _Reader, scale: float) -> Tree:
    """Write out a tree of one split a level, the last split at the root: then leaves keep their numbers."""
    tests = reader(tree["splits"] or [])
    depth = len(tests.feature)
    # Level l has nodes 2**l - 1 .. 2**(l + 1) - 2, so those below node i are 2 i + 1 and 2 i + 2.
    split = np.repeat(np.arange(depth)[::-1], 2 ** np.arange(depth))
    inner = 2**depth - 1
    below = 2 * np.arange(inner) + 1
    left = np.where(below < inner, below, ~(below - inner))
    right = np.where(below < inner, below + 1, ~(below + 1 - inner))
    return _tree(tests, split, left, right, _leaf_values(tree["leaf_values"], inner + 1, scale))


def _nested(tree: Mapping[str, Any], reader: _Reader, scale: float) -> Tree:
    """Flatten a tree of nested nodes; leaves are numbered from left to right."""
    splits: list[Mapping[str, Any]] = []
    children: tuple[list[int], list[int]] = ([], [])
    values: list[Any] = []
    waiting: list[tuple[Mapping[str, Any], int, int]] = [(tree, -1, 0)]
    while waiting:
        node, parent, side = waiting.pop()
        if "split" in node:
            pointer = len(splits)
            splits.append(node["split"])
            for each in children:
                each.append(0)
            waiting += [(node["right"], pointer, 1), (node["left"], pointer, 0)]
        else:
            pointer = ~len(values)
            values.append(node["value"])
        if parent >= 0:
            children[side][parent] = pointer
    left, right = (np.array(each, dtype=np.int64) for each in children)
    return _tree(reader(splits), np.arange(len(splits)), left, right, _leaf_values(values, len(values), scale))


def leaf_ranks(model: Any, tree: int) -> npt.NDArray[np.int64]:
    """Return for each leaf of a tree, as CatBoost numbers it, its place from left to right.

    A node of CatBoost's own table has how far on its children are; 0 for a leaf, which it then is itself.
    """
    steps = model._get_tree_step_nodes(tree)
    leaf = np.asarray(model._get_tree_node_to_leaf(tree))
    order: list[int] = []
    waiting = [(0, False)]
    while waiting:
        node, is_leaf = waiting.pop()
        left, right = (0, 0) if is_leaf else steps[node]
        if left == right == 0:
            order.append(node)
        else:
            waiting += [(node + right, right == 0), (node + left, left == 0)]
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[leaf[order]] = np.arange(len(order))
    return ranks


def _tree(
    tests: Splits,
    split: npt.NDArray[np.int64],
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
) -> Tree:
    """Return a tree whose nodes make these tests."""
    # A category that is the split's goes right in CatBoost, left in a Forest.
    swapped = np.isin(split, list(tests.sets))
    return Tree(
        feature=tests.feature[split],
        threshold=tests.threshold[split],
        left=np.where(swapped, right, left),
        right=np.where(swapped, left, right),
        nan_left=tests.nan_left[split],
        leaf_value=values,
        sets={int(node): tests.sets[int(split[node])] for node in np.flatnonzero(swapped)},
    )
