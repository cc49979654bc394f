"""Forest: what it means, what it refuses, and how float64 thresholds become float32 ones."""

from __future__ import annotations

import dataclasses

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glulam.forest import Forest, Tree, float32_at_or_below, float32_below, leaf_ranks

float32s = st.floats(width=32, allow_nan=False)
float64s = st.floats(allow_nan=False)


def two_leaves(threshold: float = 0.5, nan_left: bool = True, **more: object) -> Tree:
    """Return a stump on feature 0 with leaves 1 and 2."""
    return Tree([0], [threshold], [-1], [-2], [nan_left], [1.0, 2.0], **more)


@given(threshold=float64s, x=float32s)
def test_float64_threshold_decides_alike_in_float32(threshold, x):
    """X <= t in float64 is x <= float32_at_or_below(t) for every float32 x."""
    assert (np.float32(x) <= float32_at_or_below(threshold)) == (np.float64(np.float32(x)) <= threshold)


@given(threshold=float64s, offset=st.integers(-1, 1))
def test_float64_threshold_decides_alike_next_to_it(threshold, offset):
    """The same for the float32 numbers at the threshold and one step beside it, where rounding matters."""
    with np.errstate(over="ignore"):
        x = np.float64(threshold).astype(np.float32)
        if offset:
            x = np.nextafter(x, np.float32(offset * np.inf))
    assert (x <= float32_at_or_below(threshold)) == (x.astype(np.float64) <= threshold)


@given(threshold=st.floats(width=32, allow_nan=False).filter(lambda t: t > -np.inf), x=float32s)
def test_less_than_is_at_most_the_float_below(threshold, x):
    """X < t is x <= float32_below(t) for every float32."""
    assert (np.float32(x) <= float32_below(threshold)) == (np.float32(x) < np.float32(threshold))


def test_nothing_is_below_minus_infinity():
    """A threshold that no row is below has no form here and is refused."""
    with pytest.raises(ValueError, match="cannot be written"):
        float32_below([0.0, -np.inf])


def test_rows_go_left_at_the_threshold_and_nan_where_told():
    """A row on the threshold goes left, one float32 above it right, NaN as the node says."""
    forest = Forest.from_trees([two_leaves(0.5, nan_left=False)], n_features=1)
    above = np.nextafter(np.float32(0.5), np.float32(1))
    rows = np.array([[0.5], [above], [np.nan], [-np.inf], [np.inf]], dtype=np.float32)
    assert forest.leaves(rows).ravel().tolist() == [0, 1, 1, 0, 1]
    assert forest.raw(rows).ravel().tolist() == [1, 2, 2, 1, 2]


def test_trees_are_added_to_their_outputs_from_the_base():
    """Each tree adds to its own output; a tree of one leaf always adds that."""
    trees = [two_leaves(), two_leaves(output=1), Tree([], [], [], [], [], [10.0], 1)]
    forest = Forest.from_trees(trees, n_features=1, base=[100.0, 200.0])
    assert forest.raw(np.float32([[0.0], [1.0]])).tolist() == [[101, 211], [102, 212]]
    assert (forest.n_trees, forest.n_nodes, forest.n_outputs) == (3, 7, 2)


def test_pruned_nodes_are_left_out():
    """Nodes that nothing points to do not become part of the tree."""
    tree = Tree.from_nodes([2, -1, -1, -1], [3, -1, -1, -1], [0, 0, 0, 0], [0.5, 0, 0, 0], [1, 0, 0, 0], [0, 9, 1, 2])
    assert np.asarray(tree.leaf_value).tolist() == [1, 2]
    assert leaf_ranks([2, -1, -1, -1], [3, -1, -1, -1]).tolist() == [-1, -2, 0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threshold": np.float32([0.1, 0.2])}, "Forest.threshold: expected 1 entries, one a node, got 2"),
        ({"feature": np.int32([3])}, "Forest.feature: expected columns 0..0"),
        ({"threshold": np.float32([np.nan])}, "NaN is no threshold"),
        ({"leaf_value": np.array([[1.0], [np.inf]])}, "expected finite values"),
        ({"tree_output": np.int32([1])}, "Forest.tree_output: expected one output of 0..0 a tree"),
        ({"divisor": 0.0}, "Forest.divisor: expected a positive number, got 0.0"),
        ({"right": np.int32([-1])}, "every leaf must have exactly one parent"),
        ({"left": np.int32([0])}, "every node must have exactly one parent"),
    ],
)
def test_tables_that_are_no_trees_are_refused(change, message):
    """Each broken table is refused with what is wrong."""
    forest = Forest.from_trees([two_leaves()], n_features=1)
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(forest, **change)


def test_a_ring_beside_the_trees_is_refused():
    """Two nodes that are each other's parents are in no tree."""
    with pytest.raises(ValueError, match="a cycle"):
        Forest(
            1, np.int32([0, 0]), np.float32([0, 0]), np.int32([1, 0]), np.int32([-1, -2]), np.array([True, True]),
            np.zeros((3, 1)), np.int32([-3]), np.int32([0]), np.zeros(1),
        )  # fmt: skip


def test_no_trees_are_refused():
    """A forest has at least one tree."""
    with pytest.raises(ValueError, match="at least one tree"):
        Forest.from_trees([], n_features=1)


def test_tables_are_frozen():
    """Nobody changes a forest after it was built."""
    forest = Forest.from_trees([two_leaves()], n_features=1)
    with pytest.raises(ValueError, match="read-only"):
        forest.threshold[0] = 1


@given(
    values=hnp.arrays(np.float64, (8, 2), elements=st.sampled_from([0.0, 1.0])),
    rows=hnp.arrays(np.float32, (16, 3), elements=st.floats(-1, 1, width=32) | st.just(float("nan"))),
)
def test_an_output_of_a_forest_gives_that_output(values, rows):
    """Collapsing subtrees of one value changes no answer."""
    # A complete tree of depth 3 in heap order.
    tree = Tree(
        feature=[0, 1, 1, 2, 2, 2, 2], threshold=[0, -0.5, 0.5, 0, 0.25, -0.25, 0.125],
        left=[1, 3, 5, -1, -3, -5, -7], right=[2, 4, 6, -2, -4, -6, -8], nan_left=[1, 0, 1, 0, 1, 0, 1],
        leaf_value=values,
    )  # fmt: skip
    forest = Forest.from_trees([tree, tree], n_features=3, base=[0.5, 0.25], divisor=2)
    for index in range(2):
        column = forest.output(index)
        np.testing.assert_array_equal(column.raw(rows)[:, 0], forest.raw(rows)[:, index])
        assert column.n_nodes <= forest.n_nodes
        assert (column.n_trees, column.n_outputs, column.leaf_width) == (2, 1, 1)


def test_an_output_has_its_own_trees_only():
    """Trees of other outputs are left out; an output without trees is its base."""
    trees = [two_leaves(output=2), two_leaves(threshold=0.0), two_leaves(output=2), Tree([], [], [], [], [], [7.0], 2)]
    forest = Forest.from_trees(trees, n_features=1, base=[1, 2, 3], divisor=5)
    rows = np.float32([[-1], [0.25], [1], [np.nan]])
    for index, n_trees in enumerate([1, 1, 3]):
        found = forest.output(index)
        assert (found.n_trees, found.divisor) == (n_trees, 5)
        np.testing.assert_array_equal(found.raw(rows)[:, 0], forest.raw(rows)[:, index])


def test_an_output_without_difference_is_one_leaf():
    """A forest whose output is the same everywhere keeps no node."""
    tree = Tree([0], [0.0], [-1], [-2], [True], [[1.0, 5.0], [2.0, 5.0]])
    forest = Forest.from_trees([tree], n_features=1, base=[0, 0])
    assert forest.output(1).feature.size == 0
    assert forest.output(1).raw(np.float32([[1]])).tolist() == [[5.0]]


def test_a_chain_of_thousands_of_nodes_needs_no_recursion():
    """Deep trees are walked level by level."""
    depth = 5_000
    inner = np.arange(depth)
    left = np.where(inner < depth - 1, inner + 1, -1)
    right = -2 - inner
    tree = Tree(np.zeros(depth, int), -inner, left, right, np.ones(depth, bool), np.arange(depth + 1))
    forest = Forest.from_trees([tree], n_features=1)
    assert forest.leaves(np.float32([[-2.5], [-1e9]])).ravel().tolist() == [3 + 1, 0]
    assert forest.output(0).n_nodes == forest.n_nodes


def in_set(values: object, nan_left: bool = False) -> Tree:
    """Return a tree of one categorical node on feature 0 with leaves 1 and 2."""
    return Tree([0], [0.0], [-1], [-2], [nan_left], [1.0, 2.0], sets={0: values})


def test_rows_go_left_where_their_number_is_in_the_set():
    """Numbers of the set go left; others, fractions and infinities among them, right; NaN as the node says."""
    forest = Forest.from_trees([in_set([0, 7, 3]), in_set([5], nan_left=True), two_leaves(4.0)], n_features=1)
    rows = np.float32([[0], [3], [7], [5], [4], [-1], [0.5], [np.nan], [np.inf], [-np.inf], [1e30]])
    leaves = forest.leaves(rows)
    assert leaves[:, 0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]
    assert leaves[:, 1].tolist() == [3, 3, 3, 2, 3, 3, 3, 2, 3, 3, 3]
    assert leaves[:, 2].tolist() == [4, 4, 5, 5, 4, 4, 4, 4, 5, 4, 5]


@given(
    sets=st.lists(st.sets(st.integers(0, 70), min_size=1), min_size=1, max_size=5),
    code=st.integers(-2, 75),
)
def test_sets_are_told_apart(sets, code):
    """Whatever sets there are, a number is in those it is in."""
    forest = Forest.from_trees([in_set(sorted(each)) for each in sets], n_features=1)
    leaf = forest.leaves(np.float32([[code]]))[0] - 2 * np.arange(len(sets))
    assert leaf.tolist() == [0 if code in each else 1 for each in sets]
    assert [values.tolist() for values in forest.category_sets()] == [sorted(each) for each in sets]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5], "whole numbers of 0 to 2"),
        ([-1], "whole numbers of 0 to 2"),
        ([2**24 + 2], "whole numbers of 0 to 2"),
        ([np.nan], "whole numbers of 0 to 2"),
        ([], "no set is empty"),
    ],
)
def test_sets_that_no_file_can_hold_are_refused(values, message):
    """Sets hold whole numbers that float32 has, and at least one."""
    with pytest.raises(ValueError, match=message):
        Forest.from_trees([in_set(values)], n_features=1)


def test_malformed_sets_are_refused():
    """Tables that do not describe sets are refused by name."""
    forest = Forest.from_trees([in_set([1, 2])], n_features=1)
    for changes, message in (
        ({"category_set": np.int32([3])}, r"Forest.category_set: expected 1 entries of -1..0"),
        ({"category_set": np.int32([0, 0])}, r"Forest.category_set: expected 1 entries"),
        ({"set_start": np.array([0, 1])}, "Forest.set_start: expected ascending positions"),
        ({"set_value": np.array([2.0, 1.0])}, "ascending in each set"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(forest, **changes)


def test_values_are_read_in_the_librarys_type():
    """A library that reads float32 rounds a float64 row before it compares."""
    row = np.array([[0.5 + 1e-12]])
    assert Forest.from_trees([two_leaves()], n_features=1).leaves(row).tolist() == [[1]]
    assert Forest.from_trees([two_leaves()], n_features=1, reads="float32").leaves(row).tolist() == [[0]]


def test_outputs_keep_their_sets():
    """A forest of one output of several still tests the sets that its nodes tested."""
    trees = [Tree([0], [0.0], [-1], [-2], [False], [[1.0, 5.0], [2.0, 5.0]], sets={0: [4]}), in_set([2, 9])]
    forest = Forest.from_trees([trees[0]], n_features=1, base=[0.0, 0.0])
    rows = np.float32([[4], [2], [np.nan]])
    for output in range(2):
        np.testing.assert_array_equal(forest.output(output).raw(rows)[:, 0], forest.raw(rows)[:, output])
