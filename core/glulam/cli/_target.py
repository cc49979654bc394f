"""The target column and the features of a training file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import typer

from glulam._task import decide_task
from glulam.cli._columns import holds_numbers, numbers, objects
from glulam.cli._data import Source, not_utf8, rows_of
from glulam.errors import FeatureError, FeatureTypeError

__all__ = ["NEXT_DIRECTION", "Generated", "TrainingTable", "decide_task", "generated", "generated_table", "plain_table"]

Array = npt.NDArray[Any]

NEXT_DIRECTION = "next_direction"
"""Target that is made of candles: 1 where the next close is above this one, else 0."""


@dataclass(frozen=True, slots=True)
class Generated:
    """What a feature generator made of a file.

    name, columns
        the names of the generator and of its features
    raw, checked, of_file
        the file's table, what the generator's check returned, and which row of the file each row of that is
    values, rows
        the features [n, n_columns], and which row of ``checked`` each of theirs is
    report
        of the check; None if it gives none
    """

    name: str
    columns: list[str]
    raw: Any
    checked: Any
    of_file: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    rows: npt.NDArray[np.int64]
    report: Any

    @property
    def warm_up(self) -> int:
        """Checked rows that have no features."""
        return len(self.of_file) - len(self.rows)

    @property
    def findings(self) -> str | None:
        """The report in one line."""
        if self.report is None:
            return None
        return "; ".join(" ".join(line.split()) for line in str(self.report).splitlines())

    def to_dict(self) -> dict[str, Any]:
        """Return what the check found and the warm-up, for JSON."""
        return {"check": None if self.report is None else self.report.to_dict(), "warm_up": self.warm_up}


@dataclass(frozen=True, slots=True)
class TrainingTable:
    """Features by name, those that are categorical, and the target [n_rows].

    ``rows`` are their numbers in the file, counted from 0, None if they are all; ``made`` is what a
    generator made, of which ``unlabelled`` rows have no next close and are left out.
    """

    columns: dict[str, Array]
    categorical: list[str]
    target: Array
    rows: list[int] | None = None
    made: Generated | None = None
    unlabelled: int = 0


def plain_table(source: Source, target: str, drop: list[str], categorical: list[str]) -> TrainingTable:
    """Return a file's columns as features, all but target and dropped ones.

    Raises FeatureTypeError naming columns that are neither numbers nor declared categorical.
    """
    for option, names in (("--target", [target]), ("--drop", drop), ("--categorical", categorical)):
        _check_known(source, names, option)
    if target in drop:
        raise typer.BadParameter(
            f"{target!r} is the target, which is no feature anyway; leave it out of --drop", param_hint="--drop"
        )
    both = [name for name in categorical if name == target or name in drop]
    if both:
        raise typer.BadParameter(f"{both}: no feature, as it is the target or dropped", param_hint="--categorical")
    table = source.read()
    names = [name for name in source.names if name != target and name not in drop]
    _check_text(source, table, [*names, target])
    if not names:
        raise FeatureError(f"{source.path}: no feature is left beside the target; drop fewer columns")
    categorical = [n for n in names if n in categorical or pa.types.is_dictionary(table.column(n).type)]
    _check_kinds(source, table, names, categorical)
    columns = {
        name: numbers(column) if holds_numbers(column.type) and name not in categorical else objects(column)
        for name, column in ((name, table.column(name)) for name in names)
    }
    return TrainingTable(columns, categorical, _target(source, table.column(target), target, range(table.num_rows)))


def generated(source: Source, generator: str, *, drop: bool = False) -> Generated:
    """Return what a feature generator makes of a file; ``drop`` leaves out rows that cannot be."""
    from glulam import plugins

    made = plugins.features(generator)
    table = source.read()
    with rows_of(source.path):
        checked, report = made.check(table, drop=drop)
    # A mapping is the check's own: a column "row" of the file itself means something else.
    own = isinstance(checked, Mapping) and "row" in checked
    of_file = np.asarray(checked["row"] if own else np.arange(table.num_rows), dtype=np.int64)
    with rows_of(source.path, of_file.tolist()):
        values, rows = made.generate(checked)
    return Generated(generator, list(made.columns), table, checked, of_file, values, rows, report)


def generated_table(source: Source, target: str, generator: str, *, drop: bool) -> TrainingTable:
    """Return what a feature generator makes of a file, with the target of the same rows."""
    direction = target == NEXT_DIRECTION and target not in source.names
    if not direction:
        _check_known(source, [target], "--target")
        _check_no_leak(target, generator)
    try:
        made = generated(source, generator, drop=drop)
    except FeatureError as error:
        if drop or "drop=True" not in str(error):
            raise
        raise type(error)(f"{error}; on the command line: --drop-bad") from error
    values, rows = made.values, made.rows
    if direction:
        close = _closes(source, made)
        known = rows + 1 < len(close)  # the last row has no next one
        values, rows = values[known], rows[known]
        labels: Array = (close[rows + 1] > close[rows]).astype(np.int64)
    of_file = made.of_file[rows].tolist()
    if not direction:
        _check_text(source, made.raw, [target])
        labels = _target(source, made.raw.column(target).take(pa.array(of_file)), target, of_file)
    columns = {name: values[:, index] for index, name in enumerate(made.columns)}
    return TrainingTable(columns, [], labels, of_file, made, len(made.rows) - len(rows))


def _closes(source: Source, made: Generated) -> Array:
    """Return the closes of the checked rows: between raw ones there may be rows that were dropped."""
    if isinstance(made.checked, Mapping) and "close" in made.checked:
        return np.asarray(made.checked["close"], dtype=np.float64)
    if "close" not in source.names:
        raise FeatureError(f"{source.path}: --target {NEXT_DIRECTION} needs a column 'close'")
    return numbers(made.raw.column("close"))


def _check_known(source: Source, names: list[str], option: str) -> None:
    unknown = [name for name in names if name not in source.names]
    if unknown:
        raise typer.BadParameter(
            f"no such column: {', '.join(map(repr, unknown))}; {source.path} has {source.names}", param_hint=option
        )


def _check_no_leak(target: str, generator: str) -> None:
    """Refuse a target that the features contain: a model would only repeat it, and its scores mean nothing."""
    from glulam import plugins

    if target in plugins.features(generator).columns:
        raise FeatureError(
            f"the target {target!r} is also a feature of {generator}; a model would only repeat it: choose a column "
            f"that is no feature, or --target {NEXT_DIRECTION}"
        )


def _check_text(source: Source, table: Any, names: list[str]) -> None:
    """Refuse columns of a CSV that pyarrow took for bytes, which it does where text is not UTF-8."""
    for name in names:
        if source.kind == "csv" and pa.types.is_binary(table.column(name).type):
            raise not_utf8(f"{source.path}: column {name!r}")


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


def _target(source: Source, column: Any, name: str, rows: Sequence[int]) -> Array:
    """Return the target as float64, int64, bool or text [n_rows]; ``rows`` are the numbers in the file."""
    if column.null_count:
        row = rows[column.is_null().to_pylist().index(True)]
        raise FeatureError(f"{source.path}, row {row + 1}: the target {name!r} is missing; leave such rows out")
    kind = column.type
    if pa.types.is_integer(kind):
        whole = column.to_pylist()
        largest = max(whole, default=0)
        if largest > np.iinfo(np.int64).max:
            row = rows[whole.index(largest)]
            raise FeatureError(
                f"{source.path}, row {row + 1}: the target {name!r} is {largest}, expected whole numbers within "
                "int64; use smaller ones, text for labels, or float64 for values"
            )
        return np.array(whole, dtype=np.int64)
    if holds_numbers(kind):
        values = numbers(column)
        if not np.isfinite(values).all():
            first = int(np.flatnonzero(~np.isfinite(values))[0])
            raise FeatureError(
                f"{source.path}, row {rows[first] + 1}: the target {name!r} is {values[first]}; leave such rows out"
            )
        return values
    values = column.to_pylist()
    if not (all(isinstance(value, str) for value in values) or all(isinstance(value, bool) for value in values)):
        raise FeatureTypeError(f"{source.path}: the target {name!r} holds {kind}; expected numbers, text or true/false")
    return np.array(values)
