"""The target column and the features of a training file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import typer

from glulam.cli._columns import holds_numbers, numbers, objects
from glulam.cli._data import Source, rows_of
from glulam.errors import FeatureError, FeatureTypeError

__all__ = ["NEXT_DIRECTION", "TrainingTable", "decide_task", "generated_table", "plain_table"]

Array = npt.NDArray[Any]

NEXT_DIRECTION = "next_direction"
"""Target that is made of candles: 1 where the next close is above this one, else 0."""

MOST_CLASSES = 20
"""A target of more distinct numbers is taken for regression, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class TrainingTable:
    """Features by name, those that are categorical, and the target [n_rows]."""

    columns: dict[str, Array]
    categorical: list[str]
    target: Array


def plain_table(source: Source, target: str, drop: list[str], categorical: list[str]) -> TrainingTable:
    """Return a file's columns as features, all but target and dropped ones.

    Raises FeatureTypeError naming columns that are neither numbers nor declared categorical.
    """
    for option, names in (("--target", [target]), ("--drop", drop), ("--categorical", categorical)):
        _check_known(source, names, option)
    both = [name for name in categorical if name == target or name in drop]
    if both:
        raise typer.BadParameter(f"{both}: no feature, as it is the target or dropped", param_hint="--categorical")
    table = source.read()
    names = [name for name in source.names if name != target and name not in drop]
    if not names:
        raise FeatureError(f"{source.path}: no feature is left beside the target; drop fewer columns")
    categorical = [n for n in names if n in categorical or pa.types.is_dictionary(table.column(n).type)]
    _check_kinds(source, table, names, categorical)
    columns = {
        name: numbers(column) if holds_numbers(column.type) and name not in categorical else objects(column)
        for name, column in ((name, table.column(name)) for name in names)
    }
    return TrainingTable(columns, categorical, _target(source, table, target))


def generated_table(source: Source, target: str, generator: str) -> TrainingTable:
    """Return what a feature generator makes of a file, with the target of the same rows."""
    from glulam import plugins

    made = plugins.features(generator)
    direction = target == NEXT_DIRECTION and target not in source.names
    if not direction:
        _check_known(source, [target], "--target")
    table = source.read()
    with rows_of(source.path):
        # Nothing is dropped or reordered here: rows that cannot be are an error, with what to do.
        checked, _ = made.check(table)
        values, rows = made.generate(checked)
    if direction:
        if "close" not in source.names:
            raise FeatureError(f"{source.path}: --target {NEXT_DIRECTION} needs a column 'close'")
        close = numbers(table.column("close"))
        known = rows + 1 < len(close)  # the last row has no next one
        values, rows = values[known], rows[known]
        labels: Array = (close[rows + 1] > close[rows]).astype(np.int64)
    else:
        labels = _target(source, table.take(pa.array(rows)), target)
    return TrainingTable({name: values[:, index] for index, name in enumerate(made.columns)}, [], labels)


def _check_known(source: Source, names: list[str], option: str) -> None:
    unknown = [name for name in names if name not in source.names]
    if unknown:
        raise typer.BadParameter(
            f"no such column: {', '.join(map(repr, unknown))}; {source.path} has {source.names}", param_hint=option
        )


def _check_kinds(source: Source, table: Any, names: list[str], categorical: list[str]) -> None:
    """Refuse columns that hold something else than a feature may, all in one message."""
    odd = []
    for name in names:
        kind = table.column(name).type
        if name in categorical:
            values = kind.value_type if pa.types.is_dictionary(kind) else kind
            if not _holds_categories(values):
                odd.append(f"column {name!r} holds {kind}, but categories are text, numbers or true/false")
        elif not (holds_numbers(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
            row, value = _first_odd(table.column(name))
            odd.append(f"column {name!r} holds {kind} (row {row + 1}: {str(value)!r})")
    if odd:
        raise FeatureTypeError(
            f"{source.path}: {'; '.join(odd)}; a feature is a number or true/false: leave such a column out with "
            "--drop NAME, or declare it with --categorical NAME"
        )


def _holds_categories(kind: Any) -> bool:
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(text or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _first_odd(column: Any) -> tuple[int, object]:
    """Return row and value of the first text that is no number, or of the first value if all are."""
    first = (0, column[0].as_py())
    for row, value in enumerate(column.to_pylist()):
        if isinstance(value, str):
            try:
                float(value)
            except ValueError:
                return row, value
    return first


def _target(source: Source, table: Any, name: str) -> Array:
    """Return the target as float64, int64, bool or text [n_rows]."""
    column = table.column(name)
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise FeatureError(f"{source.path}, row {row + 1}: the target {name!r} is missing; leave such rows out")
    kind = column.type
    if pa.types.is_integer(kind):
        return np.array(column.to_pylist(), dtype=np.int64)
    if holds_numbers(kind):
        values = numbers(column)
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise FeatureError(
                f"{source.path}, row {row + 1}: the target {name!r} is {values[row]}; leave such rows out"
            )
        return values
    values = column.to_pylist()
    if not (all(isinstance(value, str) for value in values) or all(isinstance(value, bool) for value in values)):
        raise FeatureTypeError(f"{source.path}: the target {name!r} holds {kind}; expected numbers, text or true/false")
    return np.array(values)


def decide_task(target: Array, asked: str) -> tuple[str, str, Array]:
    """Return ``classification`` or ``regression``, why, and the target as that task takes it.

    By default numbers are for regression if some are fractional or more than 20 are distinct.
    """
    numeric = target.dtype.kind in "if"
    whole = not numeric or bool((target == np.floor(target)).all())
    distinct = len(np.unique(target))
    if asked == "auto":
        reason = f"the target has {distinct:,} distinct {'numbers' if numeric else 'labels'}"
        if not whole:
            reason += ", some fractional"
        task = "regression" if numeric and (not whole or distinct > MOST_CLASSES) else "classification"
        reason += f"; --task {'classification' if task == 'regression' else 'regression'} otherwise" if numeric else ""
    else:
        task, reason = asked, "as asked"
    if task == "regression":
        if not numeric:
            raise FeatureTypeError(
                f"--task regression: the target holds labels such as {target[0].item()!r}, no numbers"
            )
        return task, reason, target.astype(np.float64)
    if not whole:
        first = int(np.flatnonzero(target != np.floor(target))[0])
        raise FeatureTypeError(
            f"--task classification: the target is fractional (row {first + 1}: {target[first]}); labels are whole "
            "numbers, text or true/false"
        )
    return task, reason, target.astype(np.int64) if numeric else target
