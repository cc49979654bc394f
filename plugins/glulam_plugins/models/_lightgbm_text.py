"""LightGBM's model text, read fast: the header, and every tree's tables.

The text is what `Booster.save_model` writes (``src/boosting/gbdt_model_text.cpp``, ``src/io/tree.cpp``).
It holds a model to the last digit; the JSON dump does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import UnsupportedModelError

__all__ = ["CODE", "PLAIN", "ZERO", "ZERO_MISSING", "LinearLeaves", "ModelText", "TreeText", "read"]

PLAIN, ZERO_MISSING, CODE = 0, 1, 2
"""How a node reads its value: as it is, with zero as missing, or as the code of a category."""

ZERO = float(np.float32(1e-35))  # kZeroThreshold of include/LightGBM/meta.h, a float32 constant there too
_CATEGORICAL, _DEFAULT_LEFT = 1, 2  # bits of decision_type; bits 2 and 3 are the missing type
_LARGEST_CODE = 2**24
_NO_CODE = -2.0  # threshold of a node whose set is empty: below all codes


@dataclass(frozen=True, slots=True)
class LinearLeaves:
    """What the leaves of a tree add where it is linear: ``constant + sum of coefficients * features``.

    leaf, feature, coefficient
        arrays [n_terms], by ascending leaf
    constant
        float64 [n_leaves]
    """

    leaf: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int64]
    coefficient: npt.NDArray[np.float64]
    constant: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TreeText:
    """One tree: arrays [n_nodes] as `glulam.forest.Tree` has them, ``reading`` one of the three of this module."""

    feature: npt.NDArray[np.int64]
    reading: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float64]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    nan_left: npt.NDArray[np.bool_]
    leaf_value: npt.NDArray[np.float64]
    sets: dict[int, npt.NDArray[np.int64]]
    linear: LinearLeaves | None


@dataclass(frozen=True, slots=True)
class ModelText:
    """A model: header fields, and the trees as text until they are asked for.

    objective, options
        its name (empty if it is the user's own) and what follows it, as ``sigmoid`` in ``binary sigmoid:1``
    average
        whether the sums are divided by the number of iterations (boosting ``rf``)
    """

    header: dict[str, str]
    blocks: list[str]
    objective: str
    options: dict[str, str]
    average: bool

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return int(self.header["max_feature_idx"]) + 1

    @property
    def n_outputs(self) -> int:
        """Number of sums: trees an iteration."""
        return int(self.header["num_tree_per_iteration"])

    def trees(self) -> Iterator[TreeText]:
        """Read the trees in turn."""
        return (_tree(_fields(block)) for block in self.blocks)


def read(text: str) -> ModelText:
    """Read the text of a model."""
    head, *blocks = text[: text.find("\nend of trees")].split("\nTree=")
    header = _fields(head)
    objective, _, options = header.get("objective", "").partition(" ")
    settings = dict(option.partition(":")[::2] for option in options.split())
    return ModelText(header, blocks, objective, settings, "average_output" in header)


def _fields(block: str) -> dict[str, str]:
    """Return key and value of each line; ``average_output`` stands alone."""
    return {key: value for key, _, value in (line.partition("=") for line in block.split("\n"))}


def _numbers(tree: dict[str, str], key: str, dtype: type) -> npt.NDArray[Any]:
    """Return the numbers of a line. `numpy.fromstring` is several times as fast as a list of floats."""
    line = tree.get(key, "").strip()
    return np.fromstring(line, dtype=dtype, sep=" ") if line else np.empty(0, dtype=dtype)


def _tree(tree: dict[str, str]) -> TreeText:
    """Read one tree; the tables of a tree of one leaf are empty.

    Rules of ``NumericalDecision`` and ``CategoricalDecision`` in ``include/LightGBM/tree.h``.
    """
    inner = int(tree["num_leaves"]) - 1
    kind = _numbers(tree, "decision_type", np.int64)[:inner]
    threshold = _numbers(tree, "threshold", np.float64)[:inner]
    categorical = (kind & _CATEGORICAL) > 0
    missing_type = kind >> 2 & 3
    reading = np.where(categorical, CODE, np.where(missing_type == 1, ZERO_MISSING, PLAIN))
    # NaN counts as 0 where the missing type is None; it is no category, and goes right.
    nan_left = np.where(missing_type == 0, threshold >= 0, (kind & _DEFAULT_LEFT) > 0) & ~categorical
    return TreeText(
        feature=_numbers(tree, "split_feature", np.int64)[:inner],
        reading=reading,
        threshold=np.where(categorical, _NO_CODE, as_compared(threshold)),
        left=_numbers(tree, "left_child", np.int64)[:inner],
        right=_numbers(tree, "right_child", np.int64)[:inner],
        nan_left=nan_left,
        leaf_value=_finite(_numbers(tree, "leaf_value", np.float64)),
        sets=_sets(tree, np.flatnonzero(categorical), threshold[categorical]) if categorical.any() else {},
        linear=_linear(tree) if tree.get("is_linear", "0") == "1" else None,
    )


def as_compared(threshold: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return thresholds that decide as LightGBM does on the values that it reads as 0."""
    # All of [-1e-35, 1e-35] is 0 there: left of a threshold in [0, 1e-35), right of one in [-1e-35, 0).
    exact = np.where((threshold >= 0) & (threshold < ZERO), ZERO, threshold)
    return np.where((threshold < 0) & (threshold >= -ZERO), np.nextafter(-ZERO, -np.inf), exact)


def _sets(
    tree: dict[str, str], nodes: npt.NDArray[np.int64], number: npt.NDArray[np.float64]
) -> dict[int, npt.NDArray[np.int64]]:
    """Return the codes that go left at each categorical node, whose threshold is the number of its bitset."""
    start = _numbers(tree, "cat_boundaries", np.int64)
    words = _numbers(tree, "cat_threshold", np.int64).astype("<u4")
    bits = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
    owner = np.searchsorted(start, bits // 32, side="right") - 1
    codes = bits - 32 * start[owner]
    if codes.max(initial=0) > _LARGEST_CODE:
        raise UnsupportedModelError(
            f"lightgbm: a categorical feature has the code {int(codes.max())}; codes above {_LARGEST_CODE:,} are not "
            "all float32 numbers. Number the categories from 0"
        )
    parts = np.split(codes, np.searchsorted(owner, np.arange(1, len(start) - 1)))
    of_node = {int(node): parts[int(index)] for node, index in zip(nodes, number, strict=True)}
    return {node: codes for node, codes in of_node.items() if codes.size}


def _linear(tree: dict[str, str]) -> LinearLeaves:
    """Read the linear models of a tree's leaves."""
    count = _numbers(tree, "num_features", np.int64)
    return LinearLeaves(
        leaf=np.repeat(np.arange(len(count)), count),
        feature=_numbers(tree, "leaf_features", np.int64),
        coefficient=_finite(_numbers(tree, "leaf_coeff", np.float64)),
        constant=_finite(_numbers(tree, "leaf_const", np.float64)),
    )


def _finite(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if not np.isfinite(values).all():
        raise UnsupportedModelError(
            "lightgbm: a leaf is infinite or NaN, so that predict has no number for some rows; "
            "train on finite targets, or with a smaller learning_rate"
        )
    return values
