"""Forest: the one form that every tree ensemble is lowered to.

A node sends a row left when ``x[feature] <= threshold``, compared in float64; a categorical node
when ``x[feature]`` is one of a set of numbers; either of them where ``nan_left`` says when
``x[feature]`` is NaN. Whatever else a library does (`<`, missing types, fractional codes) is
normalised when its model is lowered, so that nothing after it knows libraries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from glulam._trees import Tree, float32_at_or_below, float32_below, leaf_ranks

__all__ = ["Forest", "Tree", "float32_at_or_below", "float32_below", "leaf_ranks"]

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Forest:
    """A sum of trees: ``raw[o] = base[o] + sum of leaf values``, to be divided by ``divisor``.

    feature : int32 [n_nodes]
        column tested
    threshold : float64 [n_nodes]
        rows with ``x <= threshold`` go left; of no meaning in a categorical node
    left, right : int32 [n_nodes]
        node index, or ``~leaf_index`` for a leaf
    nan_left : bool [n_nodes]
        whether NaN goes left
    leaf_value : float64 [n_leaves, leaf_width]
        what a leaf adds to outputs ``tree_output .. tree_output + leaf_width - 1``
    roots : int32 [n_trees]
        node index, or ``~leaf_index`` for a tree of one leaf
    tree_output : int32 [n_trees]
        first output that the tree adds to
    base : float64 [n_outputs]
        where each sum begins
    divisor : float
        what sums are divided by, last (the number of trees, in forests that average)
    reads : str
        type that a row's values are rounded to before they are compared: ``float32`` for libraries
        that keep rows in it (of no consequence where the rows are float32 themselves)
    category_set : int32 [n_nodes]
        -1 for a node with a threshold; else the set of numbers for which rows go left (empty if no
        node is categorical)
    set_start : int64 [n_sets + 1]
        where each set begins in ``set_value``
    set_value : float64 [all sets together]
        the numbers of each set, ascending: whole ones from 0 to 2**24. A value is in a set if it is
        equal to one of them; fractions are in none
    """

    n_features: int
    feature: Int32
    threshold: Float64
    left: Int32
    right: Int32
    nan_left: npt.NDArray[np.bool_]
    leaf_value: Float64
    roots: Int32
    tree_output: Int32
    base: Float64
    divisor: float = 1.0
    reads: Literal["float32", "float64"] = "float64"
    category_set: Int32 = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    set_start: Int64 = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    set_value: Float64 = field(default_factory=lambda: np.empty(0))

    @classmethod
    def from_trees(
        cls,
        trees: Iterable[Tree],
        *,
        n_features: int,
        base: npt.ArrayLike = (0.0,),
        divisor: float = 1.0,
        reads: Literal["float32", "float64"] = "float64",
    ) -> Forest:
        """Join trees into flat tables, in their order. Linear in nodes; no recursion.

        Raises ValueError where a tree is malformed (`Forest` says how).
        """
        columns: dict[str, list[npt.NDArray[np.generic]]] = {
            name: [] for name in ("feature", "threshold", "left", "right", "nan_left", "leaf_value")
        }
        roots: list[int] = []
        outputs: list[int] = []
        sets: list[Float64] = []
        set_of: dict[int, int] = {}
        n_nodes = n_leaves = 0
        for tree in trees:
            feature = np.asarray(tree.feature, dtype=np.int32)
            values = np.asarray(tree.leaf_value, dtype=np.float64)
            columns["feature"].append(feature)
            columns["threshold"].append(np.asarray(tree.threshold, dtype=np.float64))
            columns["nan_left"].append(np.asarray(tree.nan_left, dtype=np.bool_))
            for side, child in (("left", tree.left), ("right", tree.right)):
                index = np.asarray(child, dtype=np.int32)
                columns[side].append(np.where(index < 0, index - n_leaves, index + n_nodes).astype(np.int32))
            columns["leaf_value"].append(values.reshape(len(values), -1))
            roots.append(n_nodes if feature.size else ~n_leaves)
            outputs.append(tree.output)
            for node, values_left in tree.sets.items():
                set_of[n_nodes + node] = len(sets)
                sets.append(np.unique(np.asarray(values_left, dtype=np.float64)))
            n_nodes += feature.size
            n_leaves += len(values)
        if not roots:
            raise ValueError("a forest has at least one tree")
        tables = {name: np.concatenate(parts) for name, parts in columns.items()}
        if sets:
            tables["category_set"] = np.full(n_nodes, -1, dtype=np.int32)
            tables["category_set"][list(set_of)] = list(set_of.values())
            tables["set_start"] = np.cumsum([0, *map(len, sets)], dtype=np.int64)
            tables["set_value"] = np.concatenate(sets)
        return cls(
            n_features=n_features,
            roots=np.asarray(roots, dtype=np.int32),
            tree_output=np.asarray(outputs, dtype=np.int32),
            base=np.asarray(base, dtype=np.float64),
            divisor=float(divisor),
            reads=reads,
            **tables,
        )

    def __post_init__(self) -> None:
        """Check that the tables describe trees, and freeze the arrays."""
        nodes, leaves = self.feature.size, len(self.leaf_value)
        for name in ("threshold", "left", "right", "nan_left"):
            if len(getattr(self, name)) != nodes:
                raise ValueError(f"Forest.{name}: expected {nodes} entries, one a node, got {len(getattr(self, name))}")
        if nodes and not (self.feature.min() >= 0 and self.feature.max() < self.n_features):
            raise ValueError(f"Forest.feature: expected columns 0..{self.n_features - 1}")
        if np.isnan(self.threshold).any():
            raise ValueError("Forest.threshold: NaN is no threshold")
        if not np.isfinite(self.leaf_value).all() or not np.isfinite(self.base).all():
            raise ValueError("Forest.leaf_value, Forest.base: expected finite values")
        if len(self.tree_output) != len(self.roots) or (
            self.tree_output.min() < 0 or self.tree_output.max() + self.leaf_width > self.n_outputs
        ):
            raise ValueError(f"Forest.tree_output: expected one output of 0..{self.n_outputs - 1} a tree")
        if not self.divisor > 0:
            raise ValueError(f"Forest.divisor: expected a positive number, got {self.divisor}")
        self._check_sets(nodes)
        self._check_every_part_has_one_parent(nodes, leaves)
        for name in (
            "feature", "threshold", "left", "right", "nan_left", "leaf_value", "roots", "tree_output", "base",
            "category_set", "set_start", "set_value",
        ):  # fmt: skip
            getattr(self, name).setflags(write=False)

    def _check_sets(self, nodes: int) -> None:
        """Refuse sets that are not described: one a categorical node, finite numbers, ascending."""
        if not self.category_set.size:
            return
        sizes = np.diff(self.set_start)
        if len(self.category_set) != nodes or not -1 <= self.category_set.min() <= self.category_set.max() < len(sizes):
            raise ValueError(f"Forest.category_set: expected {nodes} entries of -1..{len(sizes) - 1}")
        if sizes.min(initial=1) < 1 or self.set_start[0] != 0 or self.set_start[-1] != len(self.set_value):
            raise ValueError("Forest.set_start: expected ascending positions in set_value; no set is empty")
        within = np.ones(len(self.set_value), dtype=bool)
        within[self.set_start[:-1]] = False
        whole = (self.set_value == np.rint(self.set_value)) & (self.set_value >= 0) & (self.set_value <= 2**24)
        if not whole.all() or (np.diff(self.set_value, prepend=0.0) <= 0)[within].any():
            raise ValueError("Forest.set_value: expected whole numbers of 0 to 2**24, ascending in each set")

    def _check_every_part_has_one_parent(self, nodes: int, leaves: int) -> None:
        """Refuse cycles, shared subtrees and orphans: children come after parents, each named once."""
        children = np.concatenate([self.left, self.right, self.roots])
        inner, leaf = children[children >= 0], ~children[children < 0]
        for kind, index, count in (("node", inner, nodes), ("leaf", leaf, leaves)):
            if not np.array_equal(np.sort(index), np.arange(count)):
                raise ValueError(f"Forest: every {kind} must have exactly one parent or be a root")
        # One parent each still allows a closed ring beside the trees; walk down from the roots.
        if sum(front.size for front in self._levels(self.roots)) != nodes:
            raise ValueError("Forest: some nodes are in no tree (a cycle)")

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.roots)

    @property
    def n_nodes(self) -> int:
        """Number of inner nodes and leaves together."""
        return int(self.feature.size) + len(self.leaf_value)

    @property
    def n_outputs(self) -> int:
        """Number of sums."""
        return len(self.base)

    @property
    def leaf_width(self) -> int:
        """How many outputs a leaf adds to: 1 for boosting, all of them for averaged forests."""
        return int(self.leaf_value.shape[1])

    @property
    def is_categorical(self) -> npt.NDArray[np.bool_]:
        """Which nodes test for a set, bool [n_nodes]."""
        return self.category_set >= 0 if self.category_set.size else np.zeros(self.feature.size, dtype=bool)

    def category_sets(self) -> list[Float64]:
        """Return the sets, by their number."""
        return np.split(self.set_value, self.set_start[1:-1]) if len(self.set_start) > 1 else []

    def _levels(self, roots: Int32) -> list[Int32]:
        """Return the inner nodes below some roots, level by level; children come after parents."""
        found: list[Int32] = []
        front = roots[roots >= 0]
        while front.size:
            found.append(front)
            below = np.concatenate([self.left[front], self.right[front]])
            front = below[below >= 0]
        return found

    def leaf_trees(self) -> Int32:
        """Return the tree that each leaf is in, int32 [n_leaves]."""
        of_node = np.empty(self.feature.size, dtype=np.int32)
        of_leaf = np.empty(len(self.leaf_value), dtype=np.int32)
        inner = self.roots >= 0
        trees = np.arange(self.n_trees, dtype=np.int32)
        of_node[self.roots[inner]] = trees[inner]
        of_leaf[~self.roots[~inner]] = trees[~inner]
        for front in self._levels(self.roots):
            for child in (self.left[front], self.right[front]):
                node = child >= 0
                of_node[child[node]] = of_node[front[node]]
                of_leaf[~child[~node]] = of_node[front[~node]]
        return of_leaf

    def output(self, index: int) -> Forest:
        """Return the trees that add to one output, as a forest of that output alone. Answers are the same.

        Subtrees whose leaves all hold one value become that leaf, so that the outputs of a forest
        of class fractions are together little larger than the forest.
        """
        offset = index - self.tree_output
        mine = np.flatnonzero((offset >= 0) & (offset < self.leaf_width))
        base = self.base[index : index + 1].copy()
        if not mine.size:
            nothing = Tree([], [], [], [], [], [0.0])
            return Forest.from_trees(
                [nothing], n_features=self.n_features, base=base, divisor=self.divisor, reads=self.reads
            )
        column = np.clip(offset[self.leaf_trees()], 0, self.leaf_width - 1)
        value = self.leaf_value[np.arange(len(self.leaf_value)), column]
        roots = self.roots[mine]
        reached = np.zeros(self.feature.size, dtype=bool)
        same, common = reached.copy(), np.zeros(self.feature.size)

        def alike(pointer: Int32) -> tuple[npt.NDArray[np.bool_], Float64]:
            """Tell for each pointer whether all below it holds one value, and which."""
            leaf = pointer < 0
            node = np.maximum(pointer, 0)
            found = np.where(leaf, value[np.where(leaf, ~pointer, 0)], common[node] if common.size else 0.0)
            return leaf | (same[node] if same.size else False), found

        for front in reversed(self._levels(roots)):
            reached[front] = True
            on_left, left_value = alike(self.left[front])
            on_right, right_value = alike(self.right[front])
            same[front] = on_left & on_right & (left_value == right_value)
            common[front] = left_value
        # Leaves are numbered anew, in the order in which what points to them is met.
        kept = np.flatnonzero(reached & ~same)
        pointers = np.concatenate([self.left[kept], self.right[kept], roots])
        is_leaf, values = alike(pointers)
        renamed = np.empty(pointers.size, dtype=np.int32)
        renamed[is_leaf] = ~np.arange(np.count_nonzero(is_leaf), dtype=np.int32)
        renamed[~is_leaf] = (np.cumsum(reached & ~same) - 1)[pointers[~is_leaf]]
        left, right, roots = np.split(renamed, [kept.size, 2 * kept.size])
        return Forest(
            self.n_features, self.feature[kept], self.threshold[kept], left, right, self.nan_left[kept],
            values[is_leaf].reshape(-1, 1), roots, np.zeros(mine.size, dtype=np.int32), base, self.divisor, self.reads,
            self.category_set[kept] if self.category_set.size else self.category_set, self.set_start, self.set_value,
        )  # fmt: skip

    def leaves(self, rows: npt.NDArray[np.floating[Any]]) -> Int32:
        """Return the leaf that each row reaches in each tree, int32 [n_rows, n_trees].

        ``rows`` is float32 or float64 [n_rows, n_features]. Level by level over all rows and trees at once.
        """
        n_rows = len(rows)
        at = np.broadcast_to(self.roots, (n_rows, self.n_trees)).reshape(-1).copy()
        active = np.flatnonzero(at >= 0)
        with np.errstate(over="ignore"):  # beyond float32 is infinite, as in libraries that read float32
            flat = np.ascontiguousarray(rows, dtype=np.float32 if self.reads == "float32" else rows.dtype).reshape(-1)
        in_set = _Membership(self) if self.category_set.size else None
        while active.size:
            node = at[active]
            x = flat[(active // self.n_trees) * self.n_features + self.feature[node]]
            goes_left = x <= self.threshold[node]
            if in_set is not None:
                goes_left = in_set(node, x, goes_left)
            goes_left = np.where(np.isnan(x), self.nan_left[node], goes_left)
            child = np.where(goes_left, self.left[node], self.right[node])
            at[active] = child
            active = active[child >= 0]
        return ~at.reshape(n_rows, self.n_trees)

    def raw(self, rows: npt.NDArray[np.floating[Any]], chunk: int = 512) -> Float64:
        """Return the undivided sums, float64 [n_rows, n_outputs], adding trees in their order."""
        out = np.empty((len(rows), self.n_outputs))
        for start in range(0, len(rows), chunk):
            part = slice(start, start + chunk)
            out[part] = self.base
            leaf = self.leaves(rows[part])
            for tree, first in enumerate(self.tree_output):
                out[part, first : first + self.leaf_width] += self.leaf_value[leaf[:, tree]]
        return out


class _Membership:
    """Tells which values are in the sets of their nodes, by one search in one sorted table."""

    def __init__(self, forest: Forest) -> None:
        self._set_of = forest.category_set
        self._levels = np.unique(forest.set_value)
        set_of_value = np.repeat(np.arange(len(forest.set_start) - 1), np.diff(forest.set_start))
        # A set and a level as one number; both tables ascend, so these do as well.
        self._pairs = set_of_value * max(1, self._levels.size) + np.searchsorted(self._levels, forest.set_value)

    def __call__(
        self, node: Int32, x: npt.NDArray[np.floating[Any]], otherwise: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Return membership for rows at categorical nodes, ``otherwise`` for the others."""
        which = self._set_of[node]
        if not self._levels.size:
            return otherwise & (which < 0)
        level = np.minimum(np.searchsorted(self._levels, x), self._levels.size - 1)
        pair = which * self._levels.size + level
        found = self._pairs[np.minimum(np.searchsorted(self._pairs, pair), self._pairs.size - 1)] == pair
        return np.where(which < 0, otherwise, found & (self._levels[level] == x))
