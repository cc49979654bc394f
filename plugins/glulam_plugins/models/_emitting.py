"""Transformers of scikit-learn as steps of a file, each as near to scikit-learn's own arithmetic as it goes.

Selecting, filling, encoding and scaling are exact: numbers go through the same operations in the
same type. The rest is converted by skl2onnx and computed in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import compose, impute, pipeline

from glulam.errors import UnsupportedModelError
from glulam.fragments import Recipe, concat, select
from glulam.program import OnnxFragment
from glulam_plugins.models._columns import Column, Walk, branches, is_identity, kept_by_imputer
from glulam_plugins.models._folding import Oracle, unseen
from glulam_plugins.models._rounded import rounded
from glulam_plugins.models._scaling import mirrored, own_rule
from glulam_plugins.models._skl2onnx import converted
from glulam_plugins.models._sklearn_base import dense

__all__ = ["CLOSE", "EXACT", "Emitter", "Value"]

EXACT, CLOSE, ROUNDED = 2, 1, 0
"""The same bits; the same but for the last bits of float64; the same but for rounding to float32."""


@dataclass(frozen=True)
class Value:
    """A table at some step of a pipeline.

    name
        of the step that holds it
    columns
        what is known of its columns
    native
        a few rows of it as scikit-learn has it
    exact
        how near each of its columns is to scikit-learn's
    row
        the positions of its columns in the row, if it is a part of that
    """

    name: str
    columns: list[Column]
    native: Any
    exact: list[int]
    row: list[int] | None = None


class Emitter:
    """Adds the steps of fitted transformers to a recipe."""

    def __init__(self, recipe: Recipe, walk: Walk, oracle: Oracle, native: Any) -> None:
        self._recipe = recipe
        self._walk = walk
        self._oracle = oracle
        self._native = native

    def begin(self) -> Value:
        """Return the row itself."""
        count = len(self._walk.row)
        table = self._native(np.repeat(self._oracle.start, 2, axis=0))
        return Value("features", self._walk.row, table, [EXACT] * count, list(range(count)))

    def through(self, transformer: Any, value: Value) -> Value:
        """Add what a transformer makes of a table. Raises UnsupportedModelError where nothing is near enough."""
        if is_identity(transformer):
            return value
        columns = self._walk.through(transformer, value.columns)
        kind = type(transformer)
        if kind is not compose.ColumnTransformer and value.row is not None and all(c.coded for c in columns):
            return self._tabulated(transformer, value, columns)
        if kind is pipeline.Pipeline:
            for _, step in transformer.steps:
                value = self.through(step, value)
            return value
        if kind is compose.ColumnTransformer:
            return self._side_by_side(transformer, value, columns, branches(transformer))
        if kind is pipeline.FeatureUnion:
            if transformer.transformer_weights:
                raise UnsupportedModelError(
                    "pipeline: FeatureUnion(transformer_weights=...) has no exact form; scale in a step of its own"
                )
            every = list(range(len(value.columns)))
            return self._side_by_side(
                transformer, value, columns, [(t, every) for _, t in transformer.transformer_list]
            )
        after = transformer.transform(value.native)
        return self._leaf(transformer, replace(value, row=None), columns, after)

    def _leaf(self, transformer: Any, value: Value, columns: list[Column], after: Any) -> Value:
        """Add a transformer that is made of no others."""
        kind = type(transformer)
        if hasattr(transformer, "get_support"):
            chosen = transformer.get_support(indices=True)
            return Value(self._pick(value, chosen), columns, after, [value.exact[i] for i in chosen])
        if kind is impute.SimpleImputer and transformer.missing_values != transformer.missing_values:
            return self._filled(transformer, value, columns, after)
        dtype = _dtype(value.native)
        same = mirrored(transformer, dtype)
        if same is not None:
            each = value.exact if len(columns) == len(value.exact) else [min(value.exact)] * len(columns)
            return Value(self._recipe.add(same, value.name), columns, after, each)
        fragment = rounded(transformer, dtype)
        near = ROUNDED if fragment or _dtype(after) == np.float32 or min(value.exact) == ROUNDED else CLOSE
        fragment = fragment or converted(transformer, len(value.columns), own_rule(transformer))
        return Value(self._recipe.add(fragment, value.name), columns, after, [near] * len(columns))

    def _pick(self, value: Value, chosen: Sequence[int] | npt.NDArray[Any]) -> str:
        if list(chosen) == list(range(len(value.columns))):
            return value.name
        return self._recipe.add(select(chosen), value.name)

    def _side_by_side(
        self, transformer: Any, value: Value, columns: list[Column], parts: list[tuple[Any, list[int]]]
    ) -> Value:
        """Add the branches of a ColumnTransformer or FeatureUnion, and join them in their order."""
        found = []
        for part, taken in parts:
            if part == "drop" or not taken:
                continue
            native = _columns_of(value.native, taken)
            row = None if value.row is None else [value.row[i] for i in taken]
            piece = Value(
                self._pick(value, taken),
                [value.columns[i] for i in taken],
                native,
                [value.exact[i] for i in taken],
                row,
            )
            found.append(self.through(part, piece))
        name = found[0].name if len(found) == 1 else self._recipe.add(concat(len(found)), *(p.name for p in found))
        return Value(name, columns, transformer.transform(value.native), [each for p in found for each in p.exact])

    def _filled(self, transformer: Any, value: Value, columns: list[Column], after: Any) -> Value:
        """Add a SimpleImputer: a constant for each missing value, and where they were."""
        kept = kept_by_imputer(transformer)
        blank = np.full((1, len(value.columns)), np.nan, dtype=_dtype(value.native))
        filling = dense(transformer.transform(blank))[0, : len(kept)]
        name = self._recipe.add(_filled(filling), self._pick(value, kept))
        exact = [value.exact[i] for i in kept]
        if transformer.add_indicator:
            marked = transformer.indicator_.features_
            name = self._recipe.add(concat(2), name, self._recipe.add(_missing(), self._pick(value, marked)))
            exact += [EXACT] * len(marked)
        return Value(name, columns, after, exact)

    def _tabulated(self, transformer: Any, value: Value, columns: list[Column]) -> Value:
        """Add an encoder as a table: what it makes of each category, of a missing one and of one never seen."""
        row, oracle = value.row or [], self._oracle
        place, codes, owner, table, others = [], [], [], [], []
        sources = sorted({column.source for column in columns if column.source is not None})

        def made(source: int, values: Sequence[float] | npt.NDArray[Any]) -> npt.NDArray[np.float64]:
            """Return the encoder's columns for these values of one column; zeros where it refuses them."""
            rows = np.repeat(oracle.start, len(values), axis=0)
            rows[:, source] = values
            try:
                answer = dense(transformer.transform(_columns_of(self._native(rows), row)))
            except ValueError:
                return np.zeros((len(values), len(columns)))
            mine = np.array([column.source == source for column in columns])
            return np.where(mine, answer, 0.0)

        for number, source in enumerate(sources):
            known = self._walk.categories[source]
            levels = np.arange(len(known)) if known.dtype.kind not in "fiu" else known[known == known]
            levels = levels.astype(oracle.dtype)
            position = row.index(source)
            place += [position] * (len(levels) + 1)
            codes += [*levels, np.nan]
            owner += [number] * (len(levels) + 1)
            table += [made(source, levels), made(source, [np.nan])]
            others.append(made(source, [unseen(levels.astype(np.float64))]))
        fragment = _lookup(np.array(place), np.array(codes, dtype=np.float64), np.array(owner),
                           np.concatenate(table), np.concatenate(others))  # fmt: skip
        after = transformer.transform(value.native)
        held = np.concatenate([*table, *others])
        exact = [
            EXACT if each else ROUNDED for each in (_narrow(held) == held).all(axis=0) | np.isnan(held).any(axis=0)
        ]
        return Value(self._recipe.add(fragment, value.name), columns, after, exact)


def _lookup(
    place: npt.NDArray[Any], codes: npt.NDArray[Any], owner: npt.NDArray[Any], table: npt.NDArray[Any],
    others: npt.NDArray[Any],
) -> OnnxFragment:  # fmt: skip
    """Return the rows of a table for the codes in some columns.

    place, codes, owner
        for each row of ``table``: the column it is about, the code there (NaN: a missing one), that column's number
    others
        for each column, what a code that is none of these gives
    """
    holes = np.isnan(codes)
    owners = np.eye(owner.max() + 1)[owner]

    def reference(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        picked = x[:, place]
        on = ((picked == codes) | (np.isnan(picked) & holes)).astype(np.float64)
        off = 1.0 - on @ owners
        gaps = on @ np.isnan(table) + off @ np.isnan(others)
        return np.where(gaps > 0, np.nan, on @ np.nan_to_num(table) + off @ np.nan_to_num(others))

    constants = {
        "place": place, "codes": codes, "holes": holes, "one": np.array(1.0), "zero": np.array(0.0), "owners": owners,
        "value": np.nan_to_num(table), "other": np.nan_to_num(others),
    }  # fmt: skip
    ending = "y = Add(mine, rest)"
    if np.isnan(table).any() or np.isnan(others).any():
        constants |= {"gaps": np.isnan(table) * 1.0, "rest_gaps": np.isnan(others) * 1.0, "nan": np.array(np.nan)}
        ending = (
            "sum = Add(mine, rest) hole = MatMul(on, gaps) far = MatMul(off, rest_gaps) all = Add(hole, far)"
            " gone = Greater(all, zero) y = Where(gone, nan, sum)"
        )
    return OnnxFragment(
        text=f"lookup (x, {', '.join(constants)}) => (y) {{ picked = Gather <axis = 1> (x, place)"
        " same = Equal(picked, codes) lost = IsNaN(picked) missing = And(lost, holes) hit = Or(same, missing)"
        " on = Where(hit, one, zero) known = MatMul(on, owners) off = Sub(one, known) mine = MatMul(on, value)"
        f" rest = MatMul(off, other) {ending} }}",
        reference=reference,
        constants=constants,
    )


def _filled(filling: npt.NDArray[Any]) -> OnnxFragment:
    values = filling.astype(np.float64)
    return OnnxFragment(
        text="filled (x, filling) => (y) { lost = IsNaN(x) y = Where(lost, filling, x) }",
        reference=lambda x: np.where(np.isnan(x), values, x),
        constants={"filling": values},
    )


def _missing() -> OnnxFragment:
    return OnnxFragment(
        text="missing (x, one, zero) => (y) { lost = IsNaN(x) y = Where(lost, one, zero) }",
        reference=lambda x: np.isnan(x).astype(np.float64),
        constants={"one": np.array(1.0), "zero": np.array(0.0)},
    )


def _narrow(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    with np.errstate(over="ignore"):
        return values.astype(np.float32).astype(np.float64)


def _dtype(table: Any) -> np.dtype[Any]:
    """Return the type in which scikit-learn holds a table."""
    if hasattr(table, "dtypes"):  # a DataFrame
        kinds = {np.dtype(each) for each in table.dtypes}
        joint: np.dtype[Any] = np.result_type(*kinds)
        return joint if {kind.kind for kind in kinds} <= set("fiub") else np.dtype(object)
    found: np.dtype[Any] = np.dtype(table.dtype)
    return found


def _columns_of(table: Any, taken: Sequence[int]) -> Any:
    return table.iloc[:, list(taken)] if hasattr(table, "iloc") else table[:, list(taken)]
