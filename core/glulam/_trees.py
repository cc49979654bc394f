"""One tree, and thresholds in float32: what a lowering needs before there is a `Forest`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Tree", "float32_at_or_below", "float32_below", "leaf_ranks"]

Float32 = npt.NDArray[np.float32]


def float32_at_or_below(threshold: npt.ArrayLike) -> Float32:
    """Return the largest float32 that is not above each float64 threshold.

    For every float32 ``x``: ``x <= threshold`` (compared in float64) holds exactly when
    ``x <= float32_at_or_below(threshold)``. Rounding to nearest would not: it may round up, past
    a float32 that the library sends right.
    """
    wide = np.asarray(threshold, dtype=np.float64)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, below its lowest number as well
        narrow = wide.astype(np.float32)
        below = np.nextafter(narrow, np.float32(-np.inf))
    return np.where(narrow.astype(np.float64) > wide, below, narrow).astype(np.float32)


def float32_below(threshold: npt.ArrayLike) -> Float32:
    """Return the float32 just below each threshold: for float32 ``x``, ``x <= it`` means ``x < threshold``.

    Raises ValueError for a threshold of -infinity, which nothing is below.
    """
    narrow = np.asarray(threshold, dtype=np.float32)
    if np.isneginf(narrow).any():
        raise ValueError("x < -infinity cannot be written as x <= a float32")
    with np.errstate(over="ignore"):  # below the lowest number is -infinity
        return np.nextafter(narrow, np.float32(-np.inf)).astype(np.float32)


_INNER, _UNREACHED = -1, -2


def leaf_ranks(left: npt.ArrayLike, right: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return numbers for the leaves of one tree's full node table, from 0 in the table's order.

    A negative ``left`` marks a leaf; the root is node 0. Inner nodes get -1, nodes that nothing
    points to (pruned ones) -2. Returns int64 [n_nodes].
    """
    left, right = np.asarray(left, dtype=np.int64), np.asarray(right, dtype=np.int64)
    rank = np.full(left.size, _UNREACHED)
    front = np.zeros(1, dtype=np.int64)
    while front.size:
        rank[front] = _INNER
        inner = front[left[front] >= 0]
        front = np.concatenate([left[inner], right[inner]])
    is_leaf = (rank == _INNER) & (left < 0)
    rank[is_leaf] = np.arange(np.count_nonzero(is_leaf))
    return rank


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree, as a lowering reads it from a library; `Forest.from_trees` joins them.

    ``left`` and ``right`` name an inner node by its index, or a leaf by ``~leaf_index`` (so -1 is
    leaf 0). A tree without inner nodes is its single leaf.

    feature, threshold, left, right, nan_left
        arrays [n_nodes]
    leaf_value
        float64 [n_leaves] or [n_leaves, leaf_width]
    output
        which of the forest's outputs the (first column of the) leaf is added to
    sets
        for each categorical node, the numbers for which rows go left; its threshold has no meaning
    """

    feature: npt.ArrayLike
    threshold: npt.ArrayLike
    left: npt.ArrayLike
    right: npt.ArrayLike
    nan_left: npt.ArrayLike
    leaf_value: npt.ArrayLike
    output: int = 0
    sets: Mapping[int, npt.ArrayLike] = field(default_factory=dict)

    @classmethod
    def from_nodes(
        cls,
        left: npt.ArrayLike,
        right: npt.ArrayLike,
        feature: npt.ArrayLike,
        threshold: npt.ArrayLike,
        nan_left: npt.ArrayLike,
        value: npt.ArrayLike,
        output: int = 0,
        sets: Mapping[int, npt.ArrayLike] | None = None,
    ) -> Tree:
        """Build a tree from tables that hold leaves and inner nodes alike, the root at 0.

        All arrays have one entry a node; a negative ``left`` marks a leaf. Leaves keep their
        order. Nodes that nothing points to (pruned ones) are left out. ``sets`` goes by the numbers
        of these tables.
        """
        left, right = np.asarray(left, dtype=np.int64), np.asarray(right, dtype=np.int64)
        rank = leaf_ranks(left, right)
        is_leaf = rank >= 0
        is_inner = rank == _INNER
        index = np.where(is_leaf, ~rank, np.cumsum(is_inner) - 1)
        return cls(
            feature=np.asarray(feature)[is_inner],
            threshold=np.asarray(threshold)[is_inner],
            left=index[left[is_inner]],
            right=index[right[is_inner]],
            nan_left=np.asarray(nan_left)[is_inner],
            leaf_value=np.asarray(value)[is_leaf],
            output=output,
            sets={int(index[node]): values for node, values in (sets or {}).items() if is_inner[node]},
        )
