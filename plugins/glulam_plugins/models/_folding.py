"""Folding: a forest on transformed columns becomes a forest on the row's own, with the same answers to the bit.

A column that is monotone in one column of the row is at or below a threshold exactly when that is
at or below (above) some number of its own type. It is found by bisection over all such numbers,
asking the fitted transformers themselves, so that their rounding is in it. A column that depends on
a category is asked of every category.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glulam.errors import UnsupportedModelError
from glulam.forest import Forest
from glulam_plugins.models._columns import Column

__all__ = ["Oracle", "fold", "unseen"]

Rows = npt.NDArray[np.floating[Any]]
Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
_BESIDE = 16
"""How many numbers on either side of a found threshold are asked as well."""


class Oracle:
    """Answers what a row's columns become, with one row to start from and the codes of categorical columns.

    transform
        float [n, n_features] to [n, m]; ValueError for rows that are refused
    """

    def __init__(self, transform: Callable[[Rows], Float64], start: Rows, codes: dict[int, Float64]) -> None:
        self.transform = transform
        self.start = start
        self.codes = codes
        self.dtype = start.dtype
        self._tables: dict[int, Float64] = {}
        self._low, self._high = self._bounds()

    def of(self, source: int, values: npt.ArrayLike) -> Float64 | None:
        """Return all columns for these values of one, or None if they are refused."""
        given = np.asarray(values, dtype=self.dtype)
        rows = np.repeat(self.start, len(given), axis=0)
        rows[:, source] = given
        try:
            return self.transform(rows)
        except ValueError:
            return None

    def table(self, source: int) -> Float64:
        """Return all columns for each code of a categorical column, then for one never seen; NaN where refused."""
        if source not in self._tables:
            codes = self.codes[source]
            parts = [self.of(source, codes), self.of(source, [unseen(codes)])]
            blank = np.full((1, self.transform(self.start).shape[1]), np.nan)
            sizes = [len(codes), 1]
            self._tables[source] = np.concatenate(
                [np.repeat(blank, n, axis=0) if part is None else part for part, n in zip(parts, sizes, strict=True)]
            )
        return self._tables[source]

    def _bounds(self) -> tuple[Rows, Rows]:
        """Return the lowest and highest number of each column that the transformers take."""
        largest = float(np.finfo(np.float32).max if self.dtype == np.float32 else np.finfo(np.float64).max)
        sizes = [largest, *(10.0**power for power in range(37 if self.dtype == np.float32 else 300, -38, -1))]
        low, high = self.start[0].copy(), self.start[0].copy()
        for source in range(len(low)):
            if source in self.codes:
                continue
            for bound, candidates in (
                (low, [*(-size for size in sizes), 0.0, *reversed(sizes)]), (high, sizes),
            ):  # fmt: skip
                answered = (value for value in candidates if self.of(source, [value]) is not None)
                bound[source] = next(answered, self.start[0, source])
        return low, high

    def largest_left(self, columns: Sequence[tuple[int, int, Float64]], test: Callable[[Rows], Rows]) -> list[Any]:
        """Return for each (output, source, thresholds) the turning numbers and whether the column falls.

        The sources must be distinct. For a rising column it is the largest number whose output is at
        or below the threshold, for a falling one the largest whose output is above it.
        """
        deep = max(len(limits) for _, _, limits in columns)
        at = [source for _, source, _ in columns]
        bound = np.full((deep, len(columns)), np.inf)
        for position, (_, _, limits) in enumerate(columns):
            bound[: len(limits), position] = limits
        outputs = [output for output, _, _ in columns]

        def asked(keys: npt.NDArray[np.int64]) -> Rows:
            rows = np.repeat(self.start, len(keys), axis=0)
            rows[:, at] = _number(keys, self.dtype)
            return test(self.transform(rows)[:, outputs])

        low, high = (_key(edge[at][None, :]) for edge in (self._low, self._high))
        spread = low + (high // 64 - low // 64) * np.arange(65)[:, None]  # high - low may be too large
        spread[-1] = high
        course = asked(spread)
        rises = np.asarray((course[1:] >= course[:-1]).all(axis=0))
        falls = np.asarray((course[1:] <= course[:-1]).all(axis=0))
        for position, output in enumerate(outputs):
            if not rises[position] and not falls[position]:
                raise _not_monotone(output)
        falling = ~rises
        floor = np.repeat(low - 1, deep, axis=0)
        ceiling = np.repeat(high, deep, axis=0)
        while (floor < ceiling).any():  # the answer is in floor..ceiling
            middle = (floor >> 1) + (ceiling >> 1) + ((floor & 1) + (ceiling & 1) + 1 >> 1)
            below = (asked(middle) <= bound) != falling
            floor, ceiling = np.where(below, middle, floor), np.where(below, ceiling, middle - 1)
        for offset in range(1 - _BESIDE, _BESIDE + 1):
            near = np.clip(floor + offset, low, high)
            below = (asked(near) <= bound) != falling
            wrong = (below != (near <= floor)).any(axis=0)
            if wrong.any():
                raise _not_monotone(outputs[int(np.flatnonzero(wrong)[0])])
        found = _number(np.maximum(floor, low), self.dtype).astype(np.float64)
        # All of them, or none: infinities are refused, or pass as they are.
        found = np.where(floor >= high, np.where(np.isinf(bound), np.inf, _top(self.dtype)), found)
        found = np.where(floor < low, -np.inf, found)
        return [
            (found[: len(limits), position], bool(falling[position])) for position, (_, _, limits) in enumerate(columns)
        ]


def fold(forest: Forest, columns: Sequence[Column], oracle: Oracle, n_features: int) -> Forest:
    """Return the forest on the row's own columns. Raises UnsupportedModelError where a column is not monotone."""

    def test(values: Rows) -> Rows:
        """Return values as the forest compares them."""
        with np.errstate(over="ignore"):
            return values.astype(np.float32).astype(np.float64) if forest.reads == "float32" else values

    left, right, nan_left = forest.left.copy(), forest.right.copy(), forest.nan_left.copy()
    threshold = forest.threshold.copy()
    feature = np.array([columns[j].source for j in forest.feature], dtype=np.int32)
    swap = np.zeros(feature.size, dtype=bool)
    sets = _Sets(feature.size)
    at_nan = {source: oracle.of(source, [np.nan]) for source in np.unique(feature).tolist()}
    used = np.unique(forest.feature).tolist()
    numeric: list[tuple[int, int, Float64]] = []
    for output in used:
        nodes = np.flatnonzero(forest.feature == output)
        source = int(feature[nodes[0]])
        answer = at_nan[source]
        if answer is not None:
            nan_left[nodes] = _goes_left(forest, nodes, test(answer[:, [output]])[0])
        if source in oracle.codes:
            sets.place(forest, nodes, output, source, oracle, test, swap)
        elif forest.is_categorical[nodes].any():
            raise UnsupportedModelError(
                f"pipeline: transformed column {output} is numeric, and the model takes it for categories; encode it"
            )
        else:
            numeric.append((output, source, np.unique(threshold[nodes])))
    turned: dict[int, Any] = {}
    for group in _distinct_sources(numeric):
        turned |= dict(zip((each[0] for each in group), oracle.largest_left(group, test), strict=True))
    for output, _, limits in numeric:
        nodes = np.flatnonzero(forest.feature == output)
        found, falling = turned[output]
        threshold[nodes] = found[np.searchsorted(limits, threshold[nodes])]
        swap[nodes] = falling
    left, right = np.where(swap, right, left), np.where(swap, left, right)
    nan_left = nan_left != swap
    return dataclasses.replace(
        forest, n_features=n_features, feature=feature, threshold=np.where(sets.alike, np.inf, threshold), left=left,
        right=right, nan_left=nan_left, reads="float64", **sets.tables(),
    )  # fmt: skip


class _Sets:
    """The sets of a folded forest's categorical nodes, each kind once."""

    def __init__(self, n_nodes: int) -> None:
        self._of = np.full(n_nodes, -1, dtype=np.int32)
        self._number: dict[bytes, int] = {}
        self.alike = np.zeros(n_nodes, dtype=bool)

    def place(
        self, forest: Forest, nodes: npt.NDArray[Any], output: int, source: int, oracle: Oracle, test: Any, swap: Bool
    ) -> None:
        """Give nodes the set of codes that go to the side which others do not."""
        codes = oracle.codes[source]
        values = test(oracle.table(source)[:, [output]])
        for node in nodes:
            left = _goes_left(forest, np.array([node]), values)[:, 0]
            swap[node] = left[-1]
            chosen = codes[left[:-1] != left[-1]]
            if not chosen.size:  # one side for all: a threshold that no number is above
                self.alike[node], swap[node] = True, not left[-1]
                continue
            self._of[node] = self._number.setdefault(chosen.astype(np.float64).tobytes(), len(self._number))

    def tables(self) -> dict[str, Any]:
        """Return the forest's fields for them."""
        if not self._number:
            return {
                "category_set": np.empty(0, dtype=np.int32), "set_start": np.zeros(1, dtype=np.int64),
                "set_value": np.empty(0),
            }  # fmt: skip
        parts = [np.frombuffer(each, dtype=np.float64) for each in self._number]
        return {
            "category_set": self._of, "set_start": np.cumsum([0, *map(len, parts)], dtype=np.int64),
            "set_value": np.concatenate(parts),
        }  # fmt: skip


def _goes_left(forest: Forest, nodes: npt.NDArray[Any], values: Rows) -> Bool:
    """Tell whether values [k, 1] (or one for all nodes) go left at nodes; [k, n_nodes] or [n_nodes]."""
    found = values <= forest.threshold[nodes]
    if forest.category_set.size:
        known = forest.category_sets()
        for position, node in enumerate(nodes):
            if forest.category_set[node] >= 0:
                found[..., position] = np.isin(values[..., 0], known[forest.category_set[node]])
    return np.asarray(np.where(np.isnan(values), forest.nan_left[nodes], found))


def unseen(codes: Float64) -> float:
    """Return a number that is none of the codes."""
    return float(codes.max()) + 1.0 if codes.size else 0.0


def _distinct_sources(columns: Sequence[tuple[int, int, Float64]]) -> list[list[tuple[int, int, Float64]]]:
    """Split columns into groups in which no two depend on the same column of the row."""
    groups: list[list[tuple[int, int, Float64]]] = []
    seen: dict[int, int] = {}
    for column in columns:
        number = seen.get(column[1], 0)
        seen[column[1]] = number + 1
        if number == len(groups):
            groups.append([])
        groups[number].append(column)
    return groups


def _not_monotone(output: int) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"pipeline: transformed column {output} neither rises nor falls all the way with its feature in floating "
        "point, so thresholds on it cannot be moved to the feature exactly; use a scaler that is linear, or none: "
        "trees need none"
    )


def _key(values: Rows) -> npt.NDArray[np.int64]:
    """Return integers in the order of the numbers; -0.0 and 0.0 are one."""
    bits = (values + 0.0).view(np.int32 if values.dtype == np.float32 else np.int64).astype(np.int64)
    sign = np.int64(-(2**31)) if values.dtype == np.float32 else np.iinfo(np.int64).min
    return np.where(bits < 0, sign - bits, bits)


def _number(keys: npt.NDArray[np.int64], dtype: np.dtype[Any]) -> Rows:
    """Return the numbers of `_key`."""
    sign = np.int64(-(2**31)) if dtype == np.float32 else np.iinfo(np.int64).min
    bits = np.where(keys < 0, sign - keys, keys)
    return bits.astype(np.int32).view(np.float32) if dtype == np.float32 else bits.view(np.float64)


def _top(dtype: np.dtype[Any]) -> float:
    return float(np.finfo(dtype).max)
