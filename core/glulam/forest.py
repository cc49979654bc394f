"""Forest: the one form that every tree ensemble is lowered to.

A node sends a row left when ``x[feature] <= threshold`` in float32, or, when ``x[feature]`` is
NaN, where ``nan_left`` says. Whatever else a library does (`<`, float64 thresholds, missing
types) is normalised when its model is lowered, so that nothing after it knows libraries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from glulam._trees import Tree, float32_at_or_below, float32_below, leaf_ranks

__all__ = ["Forest", "Tree", "float32_at_or_below", "float32_below", "leaf_ranks"]

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Forest:
    """A sum of trees: ``raw[o] = base[o] + sum of leaf values``, to be divided by ``divisor``.

    feature : int32 [n_nodes]
        column tested
    threshold : float32 [n_nodes]
        rows with ``x <= threshold`` go left
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
    """

    n_features: int
    feature: Int32
    threshold: Float32
    left: Int32
    right: Int32
    nan_left: npt.NDArray[np.bool_]
    leaf_value: Float64
    roots: Int32
    tree_output: Int32
    base: Float64
    divisor: float = 1.0

    @classmethod
    def from_trees(
        cls,
        trees: Iterable[Tree],
        *,
        n_features: int,
        base: npt.ArrayLike = (0.0,),
        divisor: float = 1.0,
    ) -> Forest:
        """Join trees into flat tables, in their order. Linear in nodes; no recursion.

        Raises ValueError where a tree is malformed (`Forest` says how).
        """
        columns: dict[str, list[npt.NDArray[np.generic]]] = {
            name: [] for name in ("feature", "threshold", "left", "right", "nan_left", "leaf_value")
        }
        roots: list[int] = []
        outputs: list[int] = []
        n_nodes = n_leaves = 0
        for tree in trees:
            feature = np.asarray(tree.feature, dtype=np.int32)
            values = np.asarray(tree.leaf_value, dtype=np.float64)
            columns["feature"].append(feature)
            columns["threshold"].append(np.asarray(tree.threshold, dtype=np.float32))
            columns["nan_left"].append(np.asarray(tree.nan_left, dtype=np.bool_))
            for side, child in (("left", tree.left), ("right", tree.right)):
                index = np.asarray(child, dtype=np.int32)
                columns[side].append(np.where(index < 0, index - n_leaves, index + n_nodes).astype(np.int32))
            columns["leaf_value"].append(values.reshape(len(values), -1))
            roots.append(n_nodes if feature.size else ~n_leaves)
            outputs.append(tree.output)
            n_nodes += feature.size
            n_leaves += len(values)
        if not roots:
            raise ValueError("a forest has at least one tree")
        tables = {name: np.concatenate(parts) for name, parts in columns.items()}
        return cls(
            n_features=n_features,
            roots=np.asarray(roots, dtype=np.int32),
            tree_output=np.asarray(outputs, dtype=np.int32),
            base=np.asarray(base, dtype=np.float64),
            divisor=float(divisor),
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
        self._check_every_part_has_one_parent(nodes, leaves)
        for name in (
            "feature", "threshold", "left", "right", "nan_left", "leaf_value", "roots", "tree_output", "base",
        ):  # fmt: skip
            getattr(self, name).setflags(write=False)

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
            return Forest.from_trees(
                [Tree([], [], [], [], [], [0.0])], n_features=self.n_features, base=base, divisor=self.divisor
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
            values[is_leaf].reshape(-1, 1), roots, np.zeros(mine.size, dtype=np.int32), base, self.divisor,
        )  # fmt: skip

    def leaves(self, rows: Float32) -> Int32:
        """Return the leaf that each row reaches in each tree, int32 [n_rows, n_trees].

        ``rows`` is float32 [n_rows, n_features]. Level by level over all rows and trees at once.
        """
        n_rows = len(rows)
        at = np.broadcast_to(self.roots, (n_rows, self.n_trees)).reshape(-1).copy()
        active = np.flatnonzero(at >= 0)
        flat = np.ascontiguousarray(rows, dtype=np.float32).reshape(-1)
        while active.size:
            node = at[active]
            x = flat[(active // self.n_trees) * self.n_features + self.feature[node]]
            goes_left = np.where(np.isnan(x), self.nan_left[node], x <= self.threshold[node])
            child = np.where(goes_left, self.left[node], self.right[node])
            at[active] = child
            active = active[child >= 0]
        return ~at.reshape(n_rows, self.n_trees)

    def raw(self, rows: Float32, chunk: int = 512) -> Float64:
        """Return the undivided sums, float64 [n_rows, n_outputs], adding trees in their order."""
        out = np.empty((len(rows), self.n_outputs))
        for start in range(0, len(rows), chunk):
            part = slice(start, start + chunk)
            out[part] = self.base
            leaf = self.leaves(rows[part])
            for tree, first in enumerate(self.tree_output):
                out[part, first : first + self.leaf_width] += self.leaf_value[leaf[:, tree]]
        return out
