"""From LightGBM's trees to a `Forest`, with what its columns must be made into first and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.forest import Forest, Tree
from glulam.fragments import Recipe, select
from glulam.program import OnnxFragment
from glulam_plugins.models._lightgbm_text import CODE, PLAIN, ZERO, ZERO_MISSING, LinearLeaves, ModelText, TreeText

__all__ = ["LoweredTrees", "lower_trees"]

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LoweredTrees:
    """A forest, and the rules before and after it.

    columns
        which feature each of the forest's columns is made of
    reading
        how: one of `glulam_plugins.models._lightgbm_text`'s readings
    linear
        the features that leaves multiply, if trees are linear; the forest sums, for each output, the
        constants, then the positive coefficients of these features, then the negative ones
    """

    forest: Forest
    columns: Int64
    reading: Int64
    linear: Int64
    n_outputs: int

    @property
    def bare(self) -> bool:
        """Whether the forest by itself is the sums: it reads the rows as they are, and adds constants."""
        return not self.linear.size and not self.reading.any()

    def add_to(self, recipe: Recipe) -> str:
        """Add the rules in their order; return the name of the sums, divided, [n, n_outputs]."""
        source = "features"
        if len(self.columns) != self.columns.max() + 1:
            source = recipe.add(select(self.columns), source)
        if (self.reading == ZERO_MISSING).any():
            source = recipe.add(_zero_missing(self.reading == ZERO_MISSING), source)
        if (self.reading == CODE).any():
            source = recipe.add(_codes(self.reading == CODE), source)
        sums = recipe.add(self.forest, source)
        if not self.linear.size:
            return sums
        return recipe.add(_linear_sums(self.linear, self.n_outputs), "features", sums)


def lower_trees(model: ModelText, factor: float) -> LoweredTrees:
    """Lower all trees; ``factor`` multiplies what they add, and is divided by their number if they are averaged."""
    outputs, width = model.n_outputs, model.n_features
    trees = list(model.trees()) or [_NOTHING] * outputs
    linear = _linear_features(trees)
    each = 1 + 2 * len(linear)
    if model.average:
        factor /= len(trees) // outputs
    made = [_lower(tree, linear, index % outputs * each, factor) for index, tree in enumerate(trees)]
    columns, reading, place = _columns(made, width)
    if place is not None:
        made = [(replace(tree, feature=place[how, np.asarray(tree.feature)]), how) for tree, how in made]
    forest = Forest.from_trees(
        (tree for tree, _ in made),
        n_features=len(columns),
        base=np.zeros(outputs * each),
    )
    return LoweredTrees(forest, columns, reading, linear, outputs)


_EMPTY: Int64 = np.empty(0, dtype=np.int64)
_NOTHING = TreeText(
    _EMPTY, _EMPTY, np.empty(0), _EMPTY, _EMPTY, np.empty(0, dtype=np.bool_), np.zeros(1), {}, None
)  # a model that was never trained answers 0


def _linear_features(trees: Sequence[TreeText]) -> Int64:
    """Return the features that leaves multiply, ascending."""
    used = [tree.linear.feature for tree in trees if tree.linear is not None]
    return np.unique(np.concatenate([_EMPTY, *used]))


def _lower(tree: TreeText, features: Int64, output: int, factor: float) -> tuple[Tree, Int64]:
    """Return a tree whose leaves hold constant and coefficients, and how its nodes read."""
    value = np.zeros((len(tree.leaf_value), 1 + 2 * len(features)))
    value[:, 0] = (tree.leaf_value if tree.linear is None else tree.linear.constant) * factor
    lowered = Tree(tree.feature, tree.threshold, tree.left, tree.right, tree.nan_left, value, output, tree.sets)
    if tree.linear is None or not tree.linear.leaf.size:
        return lowered, tree.reading
    return _with_linear_leaves(lowered, tree, tree.linear, features, factor)


def _with_linear_leaves(
    lowered: Tree, tree: TreeText, linear: LinearLeaves, features: Int64, factor: float
) -> tuple[Tree, Int64]:
    """Return the tree with the coefficients of its leaves, and how its nodes read.

    ``Tree::Predict`` falls back to the leaf's plain value if any feature of its model is NaN. So each
    such leaf becomes a chain of nodes, one a feature: numbers go left, to the next one and at last
    to the model; NaN goes right, to the plain value.

    Positive and negative coefficients are summed apart: where a feature is infinite the library adds
    infinities of either sign, to NaN if both are there.
    """
    leaves, leaf, terms = len(tree.leaf_value), linear.leaf, len(linear.leaf)
    value = np.concatenate([np.asarray(lowered.leaf_value), np.zeros((terms, 1 + 2 * len(features)))])
    value[leaves:, 0] = tree.leaf_value[leaf] * factor
    coefficient = linear.coefficient * factor
    column = 1 + np.searchsorted(features, linear.feature) + len(features) * (coefficient < 0)
    np.add.at(value, (leaf, column), coefficient)
    chain = len(tree.feature) + np.arange(terms)
    last = np.append(leaf[1:] != leaf[:-1], True)
    entry = ~np.arange(leaves)
    entry[leaf[::-1]] = chain[::-1]  # of several terms of a leaf the first stays

    def entered(pointer: Int64) -> Int64:
        return np.where(pointer < 0, entry[np.where(pointer < 0, ~pointer, 0)], pointer)

    grown = replace(
        lowered,
        feature=np.append(tree.feature, linear.feature),
        threshold=np.append(tree.threshold, np.full(terms, np.inf)),
        left=np.append(entered(tree.left), np.where(last, ~leaf, chain + 1)),
        right=np.append(entered(tree.right), ~(leaves + np.arange(terms))),
        nan_left=np.append(tree.nan_left, np.zeros(terms, dtype=np.bool_)),
        leaf_value=value,
    )
    return grown, np.append(tree.reading, np.full(terms, PLAIN))


def _columns(trees: Sequence[tuple[Tree, Int64]], width: int) -> tuple[Int64, Int64, Int64 | None]:
    """Return the forest's columns, how each is read, and where a reading of a feature is, [3, n_features].

    A feature is usually read in one way, and stays in its place; each further way is a column more.
    """
    used = np.zeros((3, width), dtype=bool)
    for tree, how in trees:
        used[how, np.asarray(tree.feature)] = True
    if not used[1:].any():
        return np.arange(width), np.full(width, PLAIN), None
    first = used.argmax(axis=0)
    place = np.tile(np.arange(width), (3, 1))
    further = used & (np.arange(3)[:, None] != first)
    more_reading, more_feature = np.nonzero(further)
    place[further] = width + np.arange(len(more_feature))
    return np.append(np.arange(width), more_feature), np.append(first, more_reading), place


# -- rules before and after ------------------------------------------------------------------


def _zero_missing(which: npt.NDArray[np.bool_]) -> OnnxFragment:
    """Return the columns with what LightGBM reads as 0 made NaN in some (it sends either the default way)."""
    mask = which[None, :]

    def reference(x: Array) -> Array:
        return np.where(mask & (np.abs(x) <= ZERO), np.nan, x)

    return OnnxFragment(
        text="zero_missing (x, which, tiny, nan) => (y) {"
        " size = Abs(x) zero = LessOrEqual(size, tiny) odd = And(zero, which) y = Where(odd, nan, x) }",
        reference=reference,
        constants={"which": mask, "tiny": np.array(ZERO), "nan": np.array(np.nan)},
    )


def _codes(which: npt.NDArray[np.bool_]) -> OnnxFragment:
    """Return the columns with some of them truncated toward zero; -1 and below are -1, which is no code."""
    mask = which[None, :]

    def reference(x: Array) -> Array:
        return np.where(mask, np.where(x <= -1.0, -1.0, np.floor(np.abs(x))), x)

    return OnnxFragment(
        text="codes (x, which, none) => (y) {"
        " size = Abs(x) whole = Floor(size) below = LessOrEqual(x, none) code = Where(below, none, whole)"
        " y = Where(which, code, x) }",
        reference=reference,
        constants={"which": mask, "none": np.array(-1.0)},
    )


def _linear_sums(features: Int64, outputs: int) -> OnnxFragment:
    """Return, from the rows and the sums of `_with_linear_leaves`, constants plus coefficients times features.

    A coefficient of 0 is none: it must not meet an infinite feature, nor NaN, which only meets such.
    """
    terms = 2 * len(features)
    start = np.arange(outputs) * (1 + terms)
    inner = (start[:, None] + 1 + np.arange(terms)).reshape(-1)
    columns = np.tile(features, 2 * outputs)

    def reference(x: Array, sums: Array) -> Array:
        total = sums.astype(np.float64)
        coefficient = total[:, inner]
        with np.errstate(invalid="ignore", over="ignore"):
            parts = np.where(coefficient == 0, 0.0, coefficient * x.astype(np.float64)[:, columns])
            return np.asarray(total[:, start] + parts.reshape(len(x), outputs, terms).sum(axis=2))

    return OnnxFragment(
        text="linear (x, sums, start, inner, columns, zero, shape, axis) => (y) {"
        " read = Gather <axis = 1> (x, columns)"
        " constant = Gather <axis = 1> (sums, start) coefficient = Gather <axis = 1> (sums, inner)"
        " product = Mul(coefficient, read) none = Equal(coefficient, zero) part = Where(none, zero, product)"
        " parts = Reshape(part, shape) total = ReduceSum <keepdims = 0> (parts, axis) y = Add(constant, total) }",
        reference=reference,
        constants={
            "start": start, "inner": inner, "columns": columns, "zero": np.array(0.0),
            "shape": np.array([-1, outputs, terms]), "axis": np.array([2]),
        },
    )  # fmt: skip
